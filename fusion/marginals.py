"""Who belongs to whom: probabilities of each pair, in each cluster of tracks and detections.

Pairs form a graph; what hangs together is a cluster. A cluster of one track or one detection has
a closed form. Small ones are enumerated; of joint hypotheses that differ only in which track took
which of the same detections the best one alone is kept, so tracks that meet do not melt into one
(the coalescence of plain joint probabilistic data association). In large ones loopy belief
propagation gives the marginals; it always converges.

References
----------
J. Williams, R. Lau, "Approximate evaluation of marginal association probabilities with belief
propagation", IEEE Trans. AES 50(4), 2014, doi:10.1109/TAES.2014.120568.
H. Blom, E. Bloem, "Probabilistic data association avoiding track coalescence", IEEE Trans.
Automatic Control 45(2), 2000, doi:10.1109/9.839947.
"""

import numpy as np

from fusion.jit import kernel
from model.arrays import Array, Floats

MOST_TRACKS = 6
"""Tracks of the largest cluster that is enumerated."""

MOST_HYPOTHESES = 4_096
"""Joint hypotheses of the largest cluster that is enumerated: 0.2 ms."""

ROUNDS = 60
"""Rounds of belief propagation at most; it gains a digit every few."""

SETTLED = 1e-6
"""Relative change of messages below which it has settled."""


@kernel
def _root(parent: Array, node: int) -> int:
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@kernel
def _propagate(
    members: Array, track: Array, item: Array, psi: Floats, rest: Floats,
    into: Floats, out: Floats, by_track: Floats, by_item: Floats,
) -> None:  # fmt: skip
    """Belief propagation over some pairs: fills `into`, messages to tracks, and `out`, to items."""
    for m in members:
        into[m] = 1.0 / rest[item[m]]
    for _ in range(ROUNDS):
        for m in members:
            by_track[track[m]] = 1.0
            by_item[item[m]] = rest[item[m]]
        for m in members:
            by_track[track[m]] += psi[m] * into[m]
        for m in members:
            out[m] = psi[m] / (by_track[track[m]] - psi[m] * into[m])
            by_item[item[m]] += out[m]
        change = 0.0
        for m in members:
            new = 1.0 / (by_item[item[m]] - out[m])
            change = max(change, abs(new - into[m]) / new)
            into[m] = new
        if change < SETTLED:
            break


@kernel
def _enumerate(
    members: Array, track: Array, item: Array, psi: Floats, rest: Floats, local: Array,
    tracks: int, T: int, M: int, prob: Floats,
) -> bool:  # fmt: skip
    """Marginals of a small cluster into `prob`; False: there are too many hypotheses.

    `local` gives the place of a track, or of an item behind all `tracks`, in the cluster of T
    tracks and M items.
    """
    count = 1
    degree = np.zeros(T, dtype=np.int64)
    for m in members:
        degree[local[track[m]]] += 1
    for t in range(T):
        count *= degree[t] + 1
        if count > 16 * MOST_HYPOTHESES:
            return False
    start = np.zeros(T + 1, dtype=np.int64)
    for t in range(T):
        start[t + 1] = start[t] + degree[t]
    pair = np.empty(start[T], dtype=np.int64)
    fill = start[:T].copy()
    for m in members:
        t = local[track[m]]
        pair[fill[t]] = m
        fill[t] += 1
    weight = np.empty(MOST_HYPOTHESES)
    key = np.empty(MOST_HYPOTHESES, dtype=np.int64)
    choice = np.empty((MOST_HYPOTHESES, T), dtype=np.int64)
    at = np.zeros(T, dtype=np.int64)  # next option of each track; 0: none, then its pairs
    product = np.ones(T + 1)
    used = np.zeros(M, dtype=np.bool_)
    taken = np.full(T, -1, dtype=np.int64)
    found, depth = 0, 0
    while depth >= 0:
        if depth == T:
            if found == MOST_HYPOTHESES:
                return False
            mask = 0
            for t in range(T):
                choice[found, t] = taken[t]
                if taken[t] >= 0:
                    mask |= 1 << t
                    mask |= 1 << (T + local[tracks + item[taken[t]]])
            weight[found] = product[T]
            key[found] = mask
            found += 1
            depth -= 1
            continue
        if taken[depth] >= 0:  # take back what was tried before
            used[local[tracks + item[taken[depth]]]] = False
            taken[depth] = -1
        option = at[depth]
        if option > degree[depth]:
            at[depth] = 0
            depth -= 1
            continue
        at[depth] = option + 1
        if option == 0:
            product[depth + 1] = product[depth]
            depth += 1
            continue
        m = pair[start[depth] + option - 1]
        if used[local[tracks + item[m]]]:
            continue
        used[local[tracks + item[m]]] = True
        taken[depth] = m
        product[depth + 1] = product[depth] * psi[m] / rest[item[m]]
        depth += 1
    order = np.argsort(key[:found])
    for m in members:
        prob[m] = 0.0
    total = 0.0
    first = 0
    while first < found:
        stop = first + 1
        best = order[first]
        while stop < found and key[order[stop]] == key[order[first]]:
            h = order[stop]
            # Of equals the one found first: the sort must not decide.
            if weight[h] > weight[best] or (weight[h] == weight[best] and h < best):
                best = h
            stop += 1
        total += weight[best]
        for t in range(T):
            if choice[best, t] >= 0:
                prob[choice[best, t]] += weight[best]
        first = stop
    for m in members:
        prob[m] /= total
    return True


@kernel
def marginals(
    track: Array, item: Array, psi: Floats, rest: Floats, tracks: int, items: int
) -> tuple[Floats, Floats]:
    """Probability of each pair.

    Parameters
    ----------
    track, item
        (p,) of each pair; pairs of one track stand together.
    psi
        (p,) weight of the pair against the track having no detection.
    rest
        (items,) weight of a detection belonging to none of the tracks.
    tracks, items
        How many there are.

    Returns
    -------
    prob
        (p,) probability that the track is there and the detection is its own.
    unclaimed
        (items,) probability that a detection belongs to none of the tracks.
    """
    count = len(track)
    prob = np.zeros(count)
    unclaimed = np.ones(items)
    # Most pairs stand alone: they need no cluster.
    of_track, of_item = np.zeros(tracks, dtype=np.int64), np.zeros(items, dtype=np.int64)
    for p in range(count):
        of_track[track[p]] += 1
        of_item[item[p]] += 1
    some = np.empty(count, dtype=np.int64)
    kept = 0
    for p in range(count):
        if of_track[track[p]] == 1 and of_item[item[p]] == 1:
            odds = psi[p] / rest[item[p]]
            prob[p] = odds / (1.0 + odds)
            unclaimed[item[p]] = max(1.0 - prob[p], 0.0)
        else:
            some[kept] = p
            kept += 1
    if kept:
        _clusters(some[:kept], track, item, psi, rest, tracks, items, prob, unclaimed)
    return prob, unclaimed


@kernel
def _clusters(
    some: Array, track: Array, item: Array, psi: Floats, rest: Floats, tracks: int, items: int,
    prob: Floats, unclaimed: Floats,
) -> None:  # fmt: skip
    """Marginals of pairs that do not stand alone, cluster by cluster."""
    count = len(some)
    parent = np.arange(tracks + items)
    for p in some:
        a, b = _root(parent, track[p]), _root(parent, tracks + item[p])
        if a != b:
            parent[max(a, b)] = min(a, b)
    # Pairs by cluster, clusters by their lowest track: a counting sort.
    size = np.zeros(tracks + items + 1, dtype=np.int64)
    root = np.empty(len(track), dtype=np.int64)
    for p in some:
        root[p] = _root(parent, track[p])
        size[root[p] + 1] += 1
    for node in range(tracks + items):
        size[node + 1] += size[node]
    order = np.empty(count, dtype=np.int64)
    fill = size[:-1].copy()
    for p in some:
        order[fill[root[p]]] = p
        fill[root[p]] += 1
    into, out = np.empty(len(track)), np.empty(len(track))
    by_track, by_item = np.empty(tracks), np.empty(items)
    local = np.full(tracks + items, -1, dtype=np.int64)
    first = 0
    while first < count:
        stop = first + 1
        while stop < count and root[order[stop]] == root[order[first]]:
            stop += 1
        members = order[first:stop]
        first = stop
        n_tracks, n_items = 0, 0
        for m in members:
            if local[track[m]] < 0:
                local[track[m]] = n_tracks
                n_tracks += 1
            if local[tracks + item[m]] < 0:
                local[tracks + item[m]] = n_items
                n_items += 1
        if n_tracks == 1:
            total = 1.0
            for m in members:
                total += psi[m] / rest[item[m]]
            for m in members:
                prob[m] = psi[m] / rest[item[m]] / total
        elif n_items == 1:
            total = rest[item[members[0]]]
            for m in members:
                total += psi[m]
            for m in members:
                prob[m] = psi[m] / total
        else:
            done = False
            if n_tracks <= MOST_TRACKS and n_tracks + n_items < 62:
                done = _enumerate(
                    members, track, item, psi, rest, local, tracks, n_tracks, n_items, prob
                )
            if not done:
                _propagate(members, track, item, psi, rest, into, out, by_track, by_item)
                for m in members:
                    by_track[track[m]] = 1.0
                for m in members:
                    by_track[track[m]] += psi[m] * into[m]
                for m in members:
                    prob[m] = psi[m] * into[m] / by_track[track[m]]
        for m in members:
            unclaimed[item[m]] -= prob[m]
    for p in some:
        unclaimed[item[p]] = min(max(unclaimed[item[p]], 0.0), 1.0)
