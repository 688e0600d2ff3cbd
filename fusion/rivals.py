"""Tracks that stand for the same mover: existence goes to the likelier one.

Two tracks of one place and speed are interchangeable: which of them exists is not to be known, how
many do is. Of all pairs of probabilities with the same sum the one with as many certain tracks as
possible says that best: a sum of 1.4 is one track that exists and one that does so by 0.4. So when
one of two movers that went side by side is gone, one track goes with it, instead of two that are
doubtful.

References
----------
J. Williams, "An efficient, variational approximation of the best fitting multi-Bernoulli filter",
IEEE Trans. Signal Processing 63(1), 2015, doi:10.1109/TSP.2014.2370946: on the same freedom.
"""

import math

import numpy as np

from fusion.existence import probability
from fusion.gate import search
from fusion.jit import kernel
from fusion.motion import combine
from fusion.records import MODES, PACKED, Record
from model.arrays import Array, Floats
from model.tracks import Status

_TENTATIVE = int(Status.TENTATIVE)

SPOKEN = 0.02
"""A track less likely to be there has nothing to give."""

SAME = 4.0
"""Squared Mahalanobis distance of position and velocity below which two tracks are alike: four
degrees of freedom, and either is uncertain by itself."""


TOGETHER_MPS = 1.5
"""Difference of speed up to which two tracks may be two ends of one hull, m/s: it turns."""

TOGETHER = 6.0
"""And its square in units of what is known of it (chi-square, 2 degrees of freedom: 0.95)."""


@kernel
def settle(predicted: Array, rows: Array, extent_m: float, s: Record) -> None:
    """Move existence between tracks that stand for the same mover: `there` of predictions.

    Parameters
    ----------
    predicted
        (n,) `fusion.records.PREDICTED`, updated; only those that claim a detection take part.
    rows
        The table's records.
    extent_m
        How large one mover may look: two tracks nearer than that which move as one are two ends
        of one hull, unless two sensors have shown them as two.
    s
        Constants.
    """
    chosen = np.empty(len(predicted), dtype=np.int64)
    points, reach = np.empty((len(predicted), 2)), np.empty(len(predicted))
    count = 0
    for i in range(len(predicted)):
        to = predicted[i]
        # Two that are alike could have each other's detections, but for two ends of one hull.
        alone = to.rivals == 0 and extent_m == 0.0
        if to.claims > 0.0 and not alone and to.there > SPOKEN:
            chosen[count] = i
            points[count, 0] = points[count, 1] = wide = 0.0
            for k in range(MODES):
                points[count, 0] += to.mu[k] * to.x[k, 0]
                points[count, 1] += to.mu[k] * to.x[k, 1]
                wide += to.mu[k] * max(to.P[k, 0], to.P[k, 4])
            for k in range(MODES):
                de, dn = to.x[k, 0] - points[count, 0], to.x[k, 1] - points[count, 1]
                wide += to.mu[k] * max(de * de, dn * dn)
            reach[count] = max(math.sqrt(4.0 * SAME * wide), extent_m)
            count += 1
    if count < 2:
        return
    points, reach = points[:count], reach[:count]
    one, two, found = search(points, reach, points)
    found = min(found, len(one))
    near = np.zeros(count, dtype=np.bool_)
    for p in range(found):
        if one[p] != two[p]:
            near[one[p]] = near[two[p]] = True
    order = np.flatnonzero(near)
    if not len(order):
        return
    # Those that have a name first, then those that are shown, the likelier ones, the elder ones.
    key = np.empty(len(order))
    for n in range(len(order)):
        to = predicted[chosen[order[n]]]
        shown = rows[to.row].status != _TENTATIVE
        key[n] = (0.0 if shown else 2.0) - np.round(to.there, 2)
        if rows[to.row].name != 0:
            key[n] -= 4.0
    order = order[np.argsort(key, kind="mergesort")]
    mean, spread = np.empty((len(order), 4)), np.empty((len(order), PACKED))
    rank = np.empty(count, dtype=np.int64)
    for n in range(len(order)):
        to = predicted[chosen[order[n]]]
        combine(to.x, to.P, to.mu, mean[n], spread[n])
        rank[order[n]] = n
    # Pairs by the rank of the better, then of the other.
    pairs = np.empty(found, dtype=np.int64)
    count = 0
    for p in range(found):
        if one[p] != two[p] and rank[one[p]] < rank[two[p]]:
            pairs[count] = rank[one[p]] * len(order) + rank[two[p]]
            count += 1
    pairs = np.sort(pairs[:count])
    most = probability(s.cap_llr)
    for p in range(count):
        i, j = pairs[p] // len(order), pairs[p] % len(order)
        better, other = predicted[chosen[order[i]]], predicted[chosen[order[j]]]
        if better.there <= 0.0 or other.there <= 0.0 or rows[other.row].name != 0:
            continue  # who has a name yields to nobody (`fusion.doubles`)
        if rows[better.row].name != 0:
            # A twin without a name, unless a sensor has shown both at once.
            alike = _distance(mean[i], mean[j], spread[i], spread[j]) <= SAME
            if alike and _shown_apart(rows[better.row], rows[other.row]) == 0:
                other.there = 0.0
            continue
        de, dn = mean[i, 0] - mean[j, 0], mean[i, 1] - mean[j, 1]
        close = de * de + dn * dn < extent_m * extent_m
        close = close and _together(mean[i], mean[j], spread[i], spread[j])
        if close and _shown_apart(rows[better.row], rows[other.row]) < 2:
            other.there = 0.0
            continue
        if better.there >= most or _distance(mean[i], mean[j], spread[i], spread[j]) > SAME:
            continue
        part = min(other.there, most - better.there)
        better.there += part
        other.there -= part


@kernel
def _shown_apart(one: Record, two: Record) -> int:
    """How many sensors have shown two tracks as two, each in its last report of either."""
    both = 0
    for a in range(len(one.sensors)):
        for b in range(len(two.sensors)):
            # Cameras draw several boxes about one hull.
            if one.by_angle[a] or two.by_angle[b]:
                continue
            if one.sensors[a] >= 0 and one.sensors[a] == two.sensors[b]:
                both += one.heard[a] == two.heard[b]
    return both


@kernel
def _distance(x: Floats, y: Floats, P: Floats, Q: Floats) -> float:
    """Squared distance of position and of velocity, each normalised by both covariances."""
    total = 0.0
    for first, second, third, at in ((0, 1, 4, 0), (7, 8, 9, 2)):
        a = P[first] + Q[first]
        b = P[second] + Q[second]
        c = P[third] + Q[third]
        de, dn = x[at] - y[at], x[at + 1] - y[at + 1]
        total += (c * de * de - 2.0 * b * de * dn + a * dn * dn) / (a * c - b * b)
    return total


@kernel
def _together(x: Floats, y: Floats, P: Floats, Q: Floats) -> bool:
    """Whether two tracks move as one: a known difference in speed would part them."""
    de, dn = x[2] - y[2], x[3] - y[3]
    if de * de + dn * dn > TOGETHER_MPS * TOGETHER_MPS:
        return False
    a, b, c = P[7] + Q[7], P[8] + Q[8], P[9] + Q[9]
    same: bool = (c * de * de - 2.0 * b * de * dn + a * dn * dn) / (a * c - b * b) < TOGETHER
    return same
