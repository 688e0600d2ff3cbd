"""Partners' tracks as the receiver holds them, as tables of one giver each. Pure."""

import numpy as np

from console.source import ForeignTracks, Giver
from model.foreign import ForeignUpdates


def by_giver(heads: ForeignUpdates) -> list[ForeignTracks]:
    """Tables for `console.source.GivesForeign`, one for each giver, agreement and path.

    Parameters
    ----------
    heads
        One row a track: the newest that each giver gave.
    """
    if not len(heads):
        return []
    way = np.zeros(len(heads), np.int64)  # giver, agreement and path as one number
    for column in (heads.giver, heads.agreement, *heads.path.T):
        way = way * (int(column.max()) + 2) + column + 1
    _, first, which = np.unique(way, return_index=True, return_inverse=True)
    tables = []
    for number, row in enumerate(first.tolist()):
        part = heads.take(np.flatnonzero(which == number))
        path = tuple(heads.nodes[node] for node in heads.path[row].tolist() if node >= 0)
        giver, agreement = int(heads.giver[row]), int(heads.agreement[row])
        origin = Giver(heads.nodes[giver], heads.agreements[agreement], path)
        tables.append(ForeignTracks(origin, part.updates, part.received, part.sent))
    return tables
