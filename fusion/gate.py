"""Which detections could belong to which tracks: a grid search for pairs within reach."""

import numpy as np
from scipy.spatial import cKDTree

from fusion.jit import kernel
from model.arrays import Array, Floats

MAX_PAIRS = 1_000_000
"""Above so many pairs within reach, each target keeps its nearest points only: memory is bounded
(below 1 GB), and in such a crowd nobody can tell who is who."""

NEAREST = 8
"""So many."""

DENSE = 64
"""Below so many targets all of them are tried: cheaper than building a grid."""

WIDEST = 16
"""Cells on a side of the largest neighbourhood that is searched through the grid; whoever reaches
farther is held against every target."""


def pairs_within(points: Floats, reach: Floats, targets: Floats) -> tuple[Array, Array]:
    """Pairs (i, j) with ``|points[i] - targets[j]| <= reach[i]``, sorted by i, then j.

    Parameters
    ----------
    points
        (T, 2) m.
    reach
        (T,) m.
    targets
        (n, 2) m.

    Returns
    -------
    tuple
        Two int64 arrays of equal length.
    """
    i, j, count = search(points, reach, targets)
    if count > MAX_PAIRS:
        return nearest_pairs(points, reach, targets)
    return i[:count], j[:count]


def nearest_pairs(points: Floats, reach: Floats, targets: Floats) -> tuple[Array, Array]:
    """For each target the points nearest to it that reach it, `MAX_PAIRS` in all."""
    most = int(np.clip(MAX_PAIRS // len(targets), 1, min(NEAREST, len(points))))
    # Asked for as a list of ranks, the answer has a row for each target even if one is wanted.
    answer = cKDTree(points).query(targets, k=np.arange(1, most + 1))
    distance, i = np.ravel(answer[0]), np.ravel(answer[1])
    j = np.repeat(np.arange(len(targets)), most)
    near = distance <= reach[i]
    i, j = i[near], j[near]
    order = np.lexsort((j, i))
    return i[order], j[order]


@kernel
def search(points: Floats, reach: Floats, targets: Floats) -> tuple[Array, Array, int]:
    """Pairs and their number; more than `MAX_PAIRS`: it gave up."""
    T, n = len(points), len(targets)
    if T == 0 or n == 0:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), 0
    capacity = T + n + 64
    i_out = np.empty(capacity, dtype=np.int64)
    j_out = np.empty(capacity, dtype=np.int64)
    count = 0
    low_e, low_n = targets[0, 0], targets[0, 1]
    high_e, high_n = low_e, low_n
    for j in range(n):
        low_e, high_e = min(low_e, targets[j, 0]), max(high_e, targets[j, 0])
        low_n, high_n = min(low_n, targets[j, 1]), max(high_n, targets[j, 1])
    # Cells about as large as the common reach (the mean of those that are no greater than twice
    # the mean of all), and not many more of them than targets.
    whole, some, common = 0.0, 0.0, 0
    for i in range(T):
        whole += reach[i]
    for i in range(T):
        if reach[i] * T <= 2.0 * whole:
            some += reach[i]
            common += 1
    cell = max(some / max(common, 1), 1e-3)
    wide, tall = max(high_e - low_e, 1e-3), max(high_n - low_n, 1e-3)
    cell = max(cell, np.sqrt(wide * tall / (4.0 * n + 16.0)), wide / 4096.0, tall / 4096.0)
    scale = 1.0 / cell
    columns, rows = int(wide * scale) + 1, int(tall * scale) + 1
    dense = n <= DENSE
    if dense:
        columns = rows = 1
    start = np.zeros(columns * rows + 1, dtype=np.int32)
    home = np.zeros(n, dtype=np.int32)
    order = np.empty(n, dtype=np.int32)
    place_of = np.empty((n, 2))
    for j in range(n):
        if not dense:
            home[j] = int((targets[j, 0] - low_e) * scale) * rows + int(
                (targets[j, 1] - low_n) * scale
            )
        start[home[j] + 1] += 1
    for c in range(columns * rows):
        start[c + 1] += start[c]
    fill = start[:-1].copy()
    # Rising within a cell; places go along, so that a search reads on and does not jump about.
    for j in range(n):
        at = fill[home[j]]
        fill[home[j]] += 1
        order[at] = j
        place_of[at, 0], place_of[at, 1] = targets[j, 0], targets[j, 1]
    for i in range(T):
        east, north, r = points[i, 0], points[i, 1], reach[i]
        if not (
            east + r >= low_e and east - r <= high_e and north + r >= low_n and north - r <= high_n
        ):
            continue
        first = count
        whole = dense or r > 0.5 * WIDEST * cell
        a0 = b0 = 0
        a1, b1 = columns - 1, rows - 1
        if not whole:
            a0 = max(0, int(np.floor((east - r - low_e) * scale)))
            a1 = min(columns - 1, int(np.floor((east + r - low_e) * scale)))
            b0 = max(0, int(np.floor((north - r - low_n) * scale)))
            b1 = min(rows - 1, int(np.floor((north + r - low_n) * scale)))
        square = r * r
        for a in range(a0, a1 + 1):
            # Cells of one column lie one after another.
            for place in range(start[a * rows + b0], start[a * rows + b1 + 1]):
                de, dn = place_of[place, 0] - east, place_of[place, 1] - north
                if de * de + dn * dn <= square:
                    if count == len(i_out):
                        if count > MAX_PAIRS:
                            return i_out, j_out, count + 1
                        more_i = np.empty(2 * count, dtype=np.int64)
                        more_j = np.empty(2 * count, dtype=np.int64)
                        more_i[:count] = i_out
                        more_j[:count] = j_out
                        i_out, j_out = more_i, more_j
                    i_out[count] = i
                    j_out[count] = order[place]
                    count += 1
        # Few each: sorted by insertion.
        if count - first > 32:
            j_out[first:count] = np.sort(j_out[first:count])
        else:
            for place in range(first + 1, count):
                value = j_out[place]
                back = place - 1
                while back >= first and j_out[back] > value:
                    j_out[back + 1] = j_out[back]
                    back -= 1
                j_out[back + 1] = value
    return i_out, j_out, count
