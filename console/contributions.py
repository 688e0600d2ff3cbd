"""When each sensor last contributed to a track, followed from the track updates. Pure.

An update names the sensors heard last, newest first, but not when; whoever sees every update can
tell: the update of a detection is valid at the time of that detection.
"""

import threading
from collections.abc import Mapping

import numpy as np

from model.arrays import Array, Int64s
from model.tracks import MAX_SENSORS, Status, TrackUpdates, UpdateReason

HEARD = (UpdateReason.DETECTED, UpdateReason.CONFIRMED)
"""Reasons of an update that a detection made: its first sensor was heard at its valid time."""

GATHERED = 50_000
"""Rows that are gathered before they are put together, though nobody asks: some 2 MB."""

ROW = np.dtype([("track", "i8"), ("valid", "i8"), ("sensor", "i4"), ("over", "u1")])
"""One contribution, or the end of a track."""


class Contributions:
    """Follows the updates of a node; holds at most `model.tracks.MAX_SENSORS` times a track.

    A source that follows the output log gives it every batch, and answers
    `console.source.GivesContributions` out of it. Updates are many and questions are few, so
    updates are gathered, and put together when somebody asks.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held = np.zeros(0, ROW)  # by rising track, and each track's as they came
        self._gathered: list[Array] = []
        self._rows = 0

    def __len__(self) -> int:
        return len(np.unique(self._all()["track"]))

    def take(self, updates: TrackUpdates) -> None:
        """Take in updates in the order in which they became known."""
        reason = updates.reason
        made = (reason == HEARD[0]) | (reason == HEARD[1])
        made &= updates.sensors[:, 0] >= 0
        ends = updates.status == Status.DELETED
        rows = np.flatnonzero(made | ends)
        if not len(rows):
            return
        fresh = np.empty(len(rows), ROW)
        fresh["track"], fresh["valid"] = updates.track_id[rows], updates.valid[rows]
        fresh["sensor"], fresh["over"] = updates.sensors[rows, 0], ends[rows]
        with self._lock:
            self._gathered.append(fresh)
            self._rows += len(fresh)
            if self._rows > GATHERED:
                self._put_together()

    def of(self, track_id: int) -> Mapping[int, int]:
        """UTC ns of the last contribution by sensor index; empty: none seen."""
        held = self._all()
        first, last = np.searchsorted(held["track"], [track_id, track_id + 1])
        part = held[first:last]
        return dict(zip(part["sensor"].tolist(), part["valid"].tolist(), strict=True))

    def _all(self) -> Array:
        with self._lock:
            if self._gathered:
                self._put_together()
            return self._held

    def _put_together(self) -> None:
        rows = np.concatenate([self._held, *self._gathered])
        self._gathered, self._rows = [], 0
        order = np.argsort(rows["track"], kind="stable")
        rows = rows[order]
        # What stands behind the last end of its track.
        ends = np.flatnonzero(rows["over"])
        if len(ends):
            tracks, at = np.unique(rows["track"][ends][::-1], return_index=True)
            place = np.searchsorted(tracks, rows["track"])
            place[place == len(tracks)] = 0
            last = ends[::-1][at][place]
            kept = (tracks[place] != rows["track"]) | (np.arange(len(rows)) > last)
            rows = rows[kept]
        if not len(rows):
            self._held = rows
            return
        # Of each sensor the last row, with the newest time of all of its rows.
        pairs = np.lexsort((np.arange(len(rows)), rows["sensor"], rows["track"]))
        first = _begins(rows["track"][pairs]) | _begins(rows["sensor"][pairs])
        begin = np.flatnonzero(first)
        newest = np.maximum.reduceat(rows["valid"][pairs], begin)
        at_last = pairs[np.append(begin[1:], len(rows)) - 1]
        back = np.argsort(at_last)  # rows were in the order of tracks, and of arrival within
        rows, valid = rows[at_last[back]], newest[back]
        rows["valid"] = valid
        # No more than an update names, the last of each track.
        begin = np.flatnonzero(_begins(rows["track"]))
        sizes = np.diff(np.append(begin, len(rows)))
        behind = np.repeat(begin + sizes, sizes) - np.arange(len(rows))
        self._held = rows[behind <= MAX_SENSORS]


def _begins(values: Int64s) -> Array:
    """Whether each value differs from the one before; the first does."""
    return np.append(True, values[1:] != values[:-1])
