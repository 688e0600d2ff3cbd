"""Who belongs to whom in one report: weights of the pairs, marginals, claims and existence.

References
----------
J. Williams, "Marginal multi-Bernoulli filters: RFS derivation of MHT, JIPDA, and association-based
MeMBer", IEEE Trans. AES 51(3), 2015, doi:10.1109/TAES.2015.130550: existence, association and new
movers in one Bayesian step.
"""

import numpy as np

from fusion.jit import kernel
from fusion.marginals import marginals
from model.arrays import Array, Floats

CERTAIN = 1e9
"""Weight of a pair that is certain."""

MOST_WEIGHT = 1e12
"""Greatest weight of a pair: beyond it nothing becomes more certain, and nothing overflows."""

LEAST_PD = 0.1
"""Least probability of detection that a detection at hand is weighed with."""


@kernel
def associate(predicted: Array, pairs: Array, fresh: Floats, free: Floats) -> None:
    """Fill shares of pairs, claims of tracks, and what is left of each detection.

    Parameters
    ----------
    predicted
        (n,) with `prior`, `unseen` and `pd`, as `fusion.reach.predict` gives it; gets `claims`,
        `there`, `first`, `count` and `rivals`.
    pairs
        (p,) in order of prediction and detection; get `psi` and `share`.
    fresh
        (m,) movers not known yet that the report brings out, against its clutter, at each
        detection.
    free
        (m,) filled: probability that the detection belongs to none of the tracks.
    """
    n, count = len(predicted), len(pairs)
    for j in range(len(free)):
        free[j] = 1.0
    track, item = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    psi = np.empty(count)
    wanted = np.zeros(len(free), dtype=np.int64)
    named = False
    for p in range(count):
        pair = pairs[p]
        to = predicted[pair.row]
        if to.count == 0:
            to.first = p
        to.count += 1
        wanted[pair.item] += 1
        track[p], item[p] = pair.row, pair.item
        psi[p] = to.prior * max(to.pd, LEAST_PD) * pair.ratio / (1.0 - to.prior * to.unseen)
        named = named or pair.named
    if named:
        _by_name(predicted, pairs, psi, len(free))
    for p in range(count):
        psi[p] = min(psi[p], MOST_WEIGHT)
        pairs[p].psi = psi[p]
    prob, left = marginals(track, item, psi, 1.0 + fresh, n, len(free))
    for p in range(count):
        if wanted[item[p]] > 1:
            predicted[track[p]].rivals = 1
        predicted[track[p]].claims += prob[p]
        free[item[p]] = left[item[p]]
    for i in range(n):
        to = predicted[i]
        silent = to.prior * (1.0 - to.unseen) / (1.0 - to.prior * to.unseen)
        to.there = to.claims + max(1.0 - to.claims, 0.0) * silent
    for p in range(count):
        pairs[p].share = prob[p] / max(predicted[track[p]].there, 1e-300)


@kernel
def _by_name(predicted: Array, pairs: Array, psi: Floats, items: int) -> None:
    """A detection that bears a track's name belongs to it, wherever within the gate it lies."""
    by_item = np.zeros(items, dtype=np.bool_)
    by_row = np.zeros(len(predicted), dtype=np.bool_)
    for p in range(len(pairs)):
        if pairs[p].named:
            by_item[pairs[p].item] = by_row[pairs[p].row] = True
    for i in range(len(predicted)):
        first, stop = predicted[i].first, predicted[i].first + predicted[i].count
        best = -1
        for p in range(first, stop):  # of several that bear it the likeliest one
            if pairs[p].named and (best < 0 or psi[p] > psi[best]):
                best = p
        for p in range(first, stop):
            if by_row[i] or by_item[pairs[p].item]:
                psi[p] = 0.0
        if best >= 0:
            psi[best] = CERTAIN
