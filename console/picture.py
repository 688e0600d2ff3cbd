"""The present picture, and what of it changed since a reader last looked. Pure.

A row of the feed counts as changed when its bytes changed, whatever the reason: no reader can be
left with a head that the node does not hold any more.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np

from console.feed import HEAD, LABEL, FeedMessage, Kind, head_rows, label_rows, text_of
from model.arrays import Array, Int64s
from model.taxonomy import CLASSES
from model.tracks import Status, TrackUpdates

DELETIONS_KEPT = 64
"""Pictures of which the deletions are remembered (13 s at 5 Hz); older readers get a snapshot."""


class Picture:
    """Confirmed and coasting tracks, numbered by the picture in which each last changed.

    Parameters
    ----------
    node
        Name of the node, as sent in the text.
    """

    def __init__(self, node: str) -> None:
        self._node = node
        self._sensors: tuple[str, ...] = ()
        self._text = text_of(node, (), CLASSES)
        self._text_changed = 0
        self._heads = np.zeros(0, HEAD)
        self._labels = np.zeros(0, LABEL)
        self._head_changed = np.zeros(0, np.int64)
        self._label_changed = np.zeros(0, np.int64)
        self._deletions: deque[tuple[int, Int64s]] = deque()
        self._forgotten = 0
        self._tentative = 0
        self._newest = 0
        self.sequence = 0

    def __len__(self) -> int:
        return len(self._heads)

    def update(self, tracks: TrackUpdates, sensor_ids: Sequence[str]) -> None:
        """Take in the node's present tracks; the sequence rises by one.

        Parameters
        ----------
        tracks
            One row a track, any order; where a track stands twice, the last row counts.
        sensor_ids
            Names behind their sensor indices.
        """
        self.sequence += 1
        shown = (tracks.status == Status.CONFIRMED) | (tracks.status == Status.COASTING)
        self._tentative = int(np.count_nonzero(tracks.status == Status.TENTATIVE))
        rows = np.flatnonzero(shown)
        _, last = np.unique(tracks.track_id[rows][::-1], return_index=True)
        chosen = tracks.take(rows[::-1][last])
        alive = tracks.status != Status.DELETED
        if alive.any():  # when the last track goes, the time that was newest still is
            self._newest = int(tracks.valid[alive].max())
        heads, labels = head_rows(chosen), label_rows(chosen)

        before, after = self._heads["track_id"], heads["track_id"]
        old = np.searchsorted(before, after)
        old[old == len(before)] = 0
        kept = before[old] == after if len(before) else np.zeros(len(after), np.bool_)
        self._head_changed = self._numbers(heads, self._heads, self._head_changed, old, kept)
        self._label_changed = self._numbers(labels, self._labels, self._label_changed, old, kept)
        gone = np.setdiff1d(before, after, assume_unique=True)
        self._heads, self._labels = heads, labels

        self._remember(gone)
        if tuple(sensor_ids) != self._sensors:
            self._sensors = tuple(sensor_ids)
            self._text = text_of(self._node, self._sensors, CLASSES)
            self._text_changed = self.sequence

    def keep(self) -> None:
        """The source gave nothing: the same picture under the next sequence."""
        self.sequence += 1
        self._remember(np.zeros(0, np.int64))

    def _remember(self, gone: Int64s) -> None:
        self._deletions.append((self.sequence, gone))
        if len(self._deletions) > DELETIONS_KEPT:
            self._forgotten = self._deletions.popleft()[0]

    def _numbers(
        self, rows: Array, old_rows: Array, old_numbers: Array, old: Array, kept: Array
    ) -> Array:
        """Number of the picture in which each row last changed, (V,) int64."""
        numbers = np.full(len(rows), self.sequence, np.int64)
        there = np.flatnonzero(kept)
        same = there[_bytes(rows[there], len(there)) == _bytes(old_rows[old[there]], len(there))]
        numbers[same] = old_numbers[old[same]]
        return numbers

    def message(self, since: int | None, server_ns: int, core_ns: int) -> FeedMessage:
        """What a reader needs that holds picture `since`; a snapshot where that is None or too old.

        Parameters
        ----------
        since
            Sequence of the last message sent to the reader.
        server_ns, core_ns
            The server's time and the core's last sign of life, UTC ns.
        """
        if since is None or not self._forgotten <= since <= self.sequence:
            heads, labels, text = self._heads, self._labels, self._text
            deleted = np.zeros(0, np.int64)
            kind = Kind.SNAPSHOT
        else:
            heads = self._heads[self._head_changed > since]
            labels = self._labels[self._label_changed > since]
            text = self._text if self._text_changed > since else b""
            parts = [ids for sequence, ids in self._deletions if sequence > since]
            gone = np.unique(np.concatenate(parts)) if parts else np.zeros(0, np.int64)
            # one that left and came back meanwhile stands in heads, as a changed row
            deleted = np.setdiff1d(gone, self._heads["track_id"], assume_unique=True)
            kind = Kind.DELTA
        return FeedMessage(
            kind=kind,
            sequence=self.sequence,
            tentative=self._tentative,
            server=server_ns,
            newest=self._newest,
            core=core_ns,
            heads=heads,
            labels=labels,
            deleted=deleted,
            text=text,
        )


def _bytes(rows: Array, count: int) -> Array:
    """Each row as one opaque value, so that NaN equals NaN."""
    return np.ascontiguousarray(rows).view(f"V{rows.dtype.itemsize}").reshape(count)
