"""Global nearest neighbour: the set of pairs with the greatest total log-likelihood ratio.

Pairs form a graph; its connected components are solved apart, each exactly unless it is too large.
A track or a detection may stay alone, at the price of nothing: gains are measured against that.

References
----------
S. Blackman, R. Popoli, "Design and Analysis of Modern Tracking Systems", Artech House 1999,
section 6.4 (score-based assignment).
"""

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from model.arrays import Array, Floats

LARGEST = 1_000_000
"""Tracks times detections of the largest component solved exactly: half a second and 16 MB. In a
larger one the best pair is taken first, then the best of what is left."""


def assign(i: Array, j: Array, gain: Floats) -> Array:
    """Choose pairs so that no track and no detection is used twice and the total gain is greatest.

    Parameters
    ----------
    i, j
        (p,) track and detection of each candidate pair, sorted by i, then j.
    gain
        (p,) log-likelihood ratio of the pair against both staying alone.

    Returns
    -------
    numpy.ndarray
        Indices of the chosen pairs, rising.
    """
    worth = np.flatnonzero(gain > 0.0)
    if len(worth) < 2:
        return worth
    i, j, gain = i[worth], j[worth], gain[worth]
    tracks, i = np.unique(i, return_inverse=True)
    detections, j = np.unique(j, return_inverse=True)
    count = len(tracks) + len(detections)
    graph = coo_array((np.ones(len(i)), (i, len(tracks) + j)), shape=(count, count))
    _, label = connected_components(graph, directed=False)
    component = label[i]
    size = np.bincount(component)
    chosen = [np.flatnonzero(size[component] == 1)]
    order = np.argsort(component, kind="stable")
    ends = np.cumsum(size)
    for number in np.flatnonzero(size > 1):
        members = order[ends[number] - size[number] : ends[number]]
        rows, row = np.unique(i[members], return_inverse=True)
        columns, column = np.unique(j[members], return_inverse=True)
        if len(rows) * len(columns) > LARGEST:
            chosen.append(members[_greedy(row, column, gain[members])])
            continue
        matrix = np.zeros((len(rows), len(columns)))
        index = np.full(matrix.shape, -1)
        matrix[row, column] = gain[members]
        index[row, column] = members
        solution = index[linear_sum_assignment(matrix, maximize=True)]
        chosen.append(solution[solution >= 0])
    return worth[np.sort(np.concatenate(chosen))]


def _greedy(row: Array, column: Array, gain: Floats) -> Array:
    """Indices of pairs, best first, that use no row and no column twice."""
    used_rows: set[int] = set()
    used_columns: set[int] = set()
    chosen = []
    order = np.argsort(-gain, kind="stable")
    for index, i, j in zip(
        order.tolist(), row[order].tolist(), column[order].tolist(), strict=True
    ):
        if i not in used_rows and j not in used_columns:
            used_rows.add(i)
            used_columns.add(j)
            chosen.append(index)
    return np.array(chosen, dtype=np.int64)
