"""Heads of tracks that are not in the database yet.

`track_current` holds one row a track, and a fast track brings several updates a second. Writing its
head anew with each transaction costs the server as much as all rows beside it; so under load heads
wait here, and every track's newest goes there once in a while.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from model.tracks import TrackUpdates
from storage.tables import heads

MAX_ROWS = 20_000
"""Rows that wait before older ones of the same tracks are let go: some 12 MB."""


class PendingHeads:
    """The newest update of each track since the last `clear`."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._tables: list[TrackUpdates] = []
        self._rows = 0

    def __len__(self) -> int:
        """Rows that wait, a track perhaps more than once."""
        return self._rows

    @property
    def names(self) -> list[str]:
        """Names of the sensors that `newest` speaks of by index."""
        return list(self._places)

    def take(self, updates: TrackUpdates, names: Sequence[str]) -> None:
        """Take in updates.

        Parameters
        ----------
        updates
            In any order.
        names
            Of the sensors, by index.
        """
        if not len(updates):
            return
        places = [self._places.setdefault(name, len(self._places)) for name in names]
        newest = updates.take(heads(updates))
        # Index -1, no sensor, stays what it is: it finds the -1 at the end.
        lookup = np.array([*places, -1], dtype=np.int32)
        self._tables.append(replace(newest, sensors=lookup[newest.sensors]))
        self._rows += len(newest)
        if self._rows > MAX_ROWS:
            self.newest()

    def newest(self) -> TrackUpdates:
        """One row a track."""
        if len(self._tables) != 1:
            merged = TrackUpdates.concat(self._tables)
            self._tables = [merged.take(heads(merged))]
            self._rows = len(self._tables[0])
        return self._tables[0]

    def clear(self) -> None:
        """Forget them all."""
        self._places, self._tables, self._rows = {}, [], 0
