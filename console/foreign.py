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
    ways = np.column_stack([heads.giver, heads.agreement, heads.path])
    found, which = np.unique(ways, axis=0, return_inverse=True)
    tables = []
    for number, (giver, agreement, *path) in enumerate(found.tolist()):
        part = heads.take(np.flatnonzero(which.reshape(-1) == number))
        names = tuple(heads.nodes[node] for node in path if node >= 0)
        origin = Giver(heads.nodes[giver], heads.agreements[agreement], names)
        tables.append(ForeignTracks(origin, part.updates, part.received, part.sent))
    return tables
