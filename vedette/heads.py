"""The newest update of every own track, as serve shows them."""

import threading
from collections.abc import Sequence

import numpy as np

from model.arrays import Bools
from model.tracks import SCHEMA, Status, TrackUpdates

FIRST_SLOTS = 256
"""Tracks that a new table has room for; doubled when it is used up."""


class Heads:
    """The newest update of every track that is not deleted; safe from any thread.

    Rows stay where they are and are written over: an update costs what it holds and not what is
    there, and a process that runs for months has the memory of its busiest hour, in one piece.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slots: dict[int, int] = {}
        self._free: list[int] = []
        self._columns = {name: column.empty(0) for name, column in SCHEMA.items()}
        self._used: Bools = np.zeros(0, np.bool_)

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def tracks(self) -> TrackUpdates:
        """One row a track, in any order; a copy."""
        with self._lock:
            rows = np.flatnonzero(self._used)
            taken = {name: column.take(rows, axis=0) for name, column in self._columns.items()}
        return TrackUpdates(**taken)

    def take(self, updates: Sequence[TrackUpdates]) -> None:
        """Take in tables of updates in the order in which they became known."""
        fresh = [table for table in updates if len(table)]
        if not fresh:
            return
        table = fresh[0] if len(fresh) == 1 else TrackUpdates.concat(fresh)
        ids = table.track_id.tolist()
        last = dict(zip(ids, range(len(ids)), strict=True))
        rows = np.array(list(last.values()), np.int64)
        over = table.status[rows] == Status.DELETED
        with self._lock:
            for track in table.track_id[rows[over]].tolist():
                self._drop(track)
            rows = rows[~over]
            slots = np.array(
                [self._slot(track) for track in table.track_id[rows].tolist()], np.int64
            )
            for name, column in self._columns.items():
                column[slots] = getattr(table, name).take(rows, axis=0)
            self._used[slots] = True

    def _slot(self, track: int) -> int:
        """Where a track stands; a new one gets a slot."""
        slot = self._slots.get(track)
        if slot is None:
            if not self._free:
                self._grow()
            slot = self._slots[track] = self._free.pop()
        return slot

    def _drop(self, track: int) -> None:
        slot = self._slots.pop(track, None)
        if slot is not None:
            self._used[slot] = False
            self._free.append(slot)

    def _grow(self) -> None:
        before = len(self._used)
        more = max(FIRST_SLOTS, before)
        for name, column in SCHEMA.items():
            self._columns[name] = np.concatenate([self._columns[name], column.empty(more)])
        self._used = np.concatenate([self._used, np.zeros(more, np.bool_)])
        self._free.extend(range(before + more - 1, before - 1, -1))
