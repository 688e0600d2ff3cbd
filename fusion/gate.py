"""Which detections could belong to which tracks: a grid search for pairs within reach."""

import numpy as np
from scipy.spatial import cKDTree

from model.arrays import Array, Floats

DENSE_PAIRS = 20_000
"""Below so many pairs, all are tried: cheaper than building a grid."""

MAX_PAIRS = 1_000_000
"""Above so many pairs within reach, each target keeps its nearest points only: memory is bounded
(below 1 GB), and in such a crowd nobody can tell who is who."""

NEAREST = 8
"""So many."""


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
    none = np.zeros(0, dtype=np.int64)
    if not len(points) or not len(targets):
        return none, none
    if len(points) * len(targets) <= DENSE_PAIRS:
        i, j = _dense(points, reach, targets, np.arange(len(points)))
        return i, j
    # A few tracks know little of where they are; they must not make every cell large.
    cell = min(float(reach.max()), 2.0 * float(np.quantile(reach, 0.95)))
    wide = np.flatnonzero(reach > cell)
    narrow = np.flatnonzero(reach <= cell)
    found = _grid(points, reach, targets, narrow, max(cell, 1e-3))
    if found is None:
        return _nearest(points, reach, targets)
    parts = [found]
    total = len(found[0])
    chunk = max(1, DENSE_PAIRS * 20 // len(targets))
    for start in range(0, len(wide), chunk):
        parts.append(_dense(points, reach, targets, wide[start : start + chunk]))
        total += len(parts[-1][0])
        if total > MAX_PAIRS:
            return _nearest(points, reach, targets)
    i = np.concatenate([part[0] for part in parts])
    j = np.concatenate([part[1] for part in parts])
    order = np.lexsort((j, i))
    return i[order], j[order]


def _nearest(points: Floats, reach: Floats, targets: Floats) -> tuple[Array, Array]:
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


def _dense(points: Floats, reach: Floats, targets: Floats, rows: Array) -> tuple[Array, Array]:
    east = targets[None, :, 0] - points[rows, 0, None]
    north = targets[None, :, 1] - points[rows, 1, None]
    near, j = np.nonzero(east * east + north * north <= (reach * reach)[rows, None])
    return rows[near], j


def _grid(
    points: Floats, reach: Floats, targets: Floats, rows: Array, cell: float
) -> tuple[Array, Array] | None:
    """Pairs through a grid of cells as large as the farthest reach; None: far too many to try."""
    base = targets.min(axis=0) - 2.0 * cell
    span = np.int64(np.ceil((targets[:, 1].max() - base[1]) / cell)) + 3
    column = np.floor((targets - base) / cell).astype(np.int64)
    key = column[:, 0] * span + column[:, 1]
    order = np.argsort(key, kind="stable")
    key = key[order]
    limit = targets.max(axis=0) + 2.0 * cell
    inside = ((points[rows] > base) & (points[rows] < limit)).all(axis=1)
    rows = rows[inside]
    home = np.floor((points[rows] - base) / cell).astype(np.int64)
    found_i, found_j = [], []
    tried = 0
    for step in (-1, 0, 1):
        # Three neighbouring cells of one column are one run of keys.
        middle = (home[:, 0] + step) * span + home[:, 1]
        low = np.searchsorted(key, middle - 1, side="left")
        count = np.searchsorted(key, middle + 1, side="right") - low
        tried += int(count.sum())
        if tried > 4 * MAX_PAIRS:
            return None
        i = np.repeat(rows, count)
        within = np.arange(len(i)) - np.repeat(np.cumsum(count) - count, count)
        j = order[np.repeat(low, count) + within]
        distance = points[i] - targets[j]
        near = (distance * distance).sum(axis=1) <= (reach * reach)[i]
        found_i.append(i[near])
        found_j.append(j[near])
    if sum(map(len, found_i)) > MAX_PAIRS:
        return None
    return np.concatenate(found_i), np.concatenate(found_j)
