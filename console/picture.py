"""The present picture, and what of it changed since a reader last looked. Pure.

A row of the feed counts as changed when its bytes changed, whatever the reason: no reader can be
left with a head that the node does not hold any more. Own tracks are one layer; those of each
giver (a partner, under one agreement, by one path) are another: ids are compared within a layer.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from console.feed import (
    DELETED,
    HEAD,
    LABEL,
    OWN,
    FeedMessage,
    Kind,
    deleted_rows,
    head_rows,
    label_rows,
    text_of,
)
from console.source import ForeignTracks, Giver
from model.arrays import Array, Int64s
from model.taxonomy import CLASSES
from model.tracks import Status, TrackUpdates

DELETIONS_KEPT = 64
"""Pictures of which the deletions are remembered (13 s at 5 Hz); older readers get a snapshot."""

MOST_GIVERS = 2**16 - 1
"""Givers that the feed can number besides this node."""


@dataclass(slots=True)
class _Layer:
    """Tracks of one giver, each numbered by the picture in which it last changed."""

    giver: int
    heads: Array = field(default_factory=lambda: np.zeros(0, HEAD))
    labels: Array = field(default_factory=lambda: np.zeros(0, LABEL))
    head_changed: Int64s = field(default_factory=lambda: np.zeros(0, np.int64))
    label_changed: Int64s = field(default_factory=lambda: np.zeros(0, np.int64))

    def update(self, heads: Array, labels: Array, sequence: int) -> Array:
        """Take in rows in the order of their ids; returns the `DELETED` rows of those gone."""
        before, after = self.heads["track_id"], heads["track_id"]
        old = np.searchsorted(before, after)
        old[old == len(before)] = 0
        kept = before[old] == after if len(before) else np.zeros(len(after), np.bool_)
        self.head_changed = _numbers(heads, self.heads, self.head_changed, old, kept, sequence)
        self.label_changed = _numbers(labels, self.labels, self.label_changed, old, kept, sequence)
        self.heads, self.labels = heads, labels
        return deleted_rows(np.setdiff1d(before, after, assume_unique=True), self.giver)


class Picture:
    """Confirmed and coasting tracks, own and foreign.

    Parameters
    ----------
    node
        Name of the node, as sent in the text.
    """

    def __init__(self, node: str) -> None:
        self._node = node
        self._sensors: tuple[str, ...] = ()
        self._givers: dict[Giver, int] = {}
        self._text = text_of(node, (), CLASSES)
        self._text_changed = 0
        self._layers = [_Layer(OWN)]
        self._deletions: deque[tuple[int, Array]] = deque()
        self._forgotten = 0
        self._tentative = 0
        self._newest = 0
        self.sequence = 0

    def __len__(self) -> int:
        return sum(len(layer.heads) for layer in self._layers)

    def update(
        self,
        tracks: TrackUpdates,
        sensor_ids: Sequence[str],
        foreign: Sequence[ForeignTracks] = (),
    ) -> None:
        """Take in the present tracks; the sequence rises by one.

        Parameters
        ----------
        tracks
            This node's, one row a track, any order; of a track that stands twice the last row
            counts.
        sensor_ids
            Names behind their sensor indices.
        foreign
            What partners gave; where a giver stands twice, the last table counts.
        """
        given = {self._number(one.giver): one for one in foreign}
        self.sequence += 1
        self._tentative = int(np.count_nonzero(tracks.status == Status.TENTATIVE))
        alive = tracks.status != Status.DELETED
        if alive.any():  # when the last track goes, the time that was newest still is
            self._newest = int(tracks.valid[alive].max())
        chosen = tracks.take(_shown(tracks))
        gone = [self._layers[OWN].update(head_rows(chosen), label_rows(chosen), self.sequence)]
        for layer in self._layers[1:]:
            one = given.get(layer.giver)
            if one is None:
                heads, labels = np.zeros(0, HEAD), np.zeros(0, LABEL)
            else:
                part = one.take(_shown(one.updates))
                heads = head_rows(part.updates, layer.giver, part.received, part.sent)
                labels = label_rows(part.updates, layer.giver)
            gone.append(layer.update(heads, labels, self.sequence))
        self._remember(np.concatenate(gone))
        if tuple(sensor_ids) != self._sensors:
            self._sensors = tuple(sensor_ids)
            self._text_changed = self.sequence
        if self._text_changed == self.sequence:
            self._text = text_of(self._node, self._sensors, CLASSES, tuple(self._givers))

    def keep(self) -> None:
        """The source gave nothing: the same picture under the next sequence."""
        self.sequence += 1
        self._remember(np.zeros(0, DELETED))

    def _number(self, giver: Giver) -> int:
        """Index of a giver; a new one gets the next, and a layer."""
        number = self._givers.get(giver)
        if number is None:
            number = len(self._givers) + 1
            if number > MOST_GIVERS:
                raise ValueError(f"feed: more than {MOST_GIVERS} givers")
            self._givers[giver] = number
            self._layers.append(_Layer(number))
            self._text_changed = self.sequence + 1
        return number

    def _remember(self, gone: Array) -> None:
        self._deletions.append((self.sequence, gone))
        if len(self._deletions) > DELETIONS_KEPT:
            self._forgotten = self._deletions.popleft()[0]

    def message(self, since: int | None, server_ns: int, core_ns: int) -> FeedMessage:
        """What a reader needs that holds picture `since`; a snapshot where that is None or too old.

        Parameters
        ----------
        since
            Sequence of the last message sent to the reader.
        server_ns, core_ns
            The server's time and the core's last sign of life, UTC ns.
        """
        layers = self._layers
        if since is None or not self._forgotten <= since <= self.sequence:
            heads = [layer.heads for layer in layers]
            labels = [layer.labels for layer in layers]
            text, kind = self._text, Kind.SNAPSHOT
            deleted = np.zeros(0, DELETED)
        else:
            heads = [_chosen(one.heads, np.flatnonzero(one.head_changed > since)) for one in layers]
            labels = [
                _chosen(one.labels, np.flatnonzero(one.label_changed > since)) for one in layers
            ]
            text, kind = self._text if self._text_changed > since else b"", Kind.DELTA
            deleted = self._gone(since)
        return FeedMessage(
            kind=kind,
            sequence=self.sequence,
            tentative=self._tentative,
            server=server_ns,
            newest=self._newest,
            core=core_ns,
            heads=np.concatenate(heads),
            labels=np.concatenate(labels),
            deleted=deleted,
            text=text,
        )

    def _gone(self, since: int) -> Array:
        """Tracks that left behind picture `since` and are not back, in order."""
        parts = [rows for sequence, rows in self._deletions if sequence > since and len(rows)]
        if not parts:
            return np.zeros(0, DELETED)
        rows = np.concatenate(parts)
        found = []
        for giver in np.unique(rows["giver"]).tolist():
            ids = np.unique(rows["track_id"][rows["giver"] == giver])
            # one that left and came back meanwhile stands in heads, as a changed row
            present = self._layers[giver].heads["track_id"]
            found.append(deleted_rows(np.setdiff1d(ids, present, assume_unique=True), giver))
        return np.concatenate(found)


def _shown(tracks: TrackUpdates) -> Int64s:
    """Rows of confirmed and coasting tracks, one a track (the last), by rising id."""
    rows = np.flatnonzero((tracks.status == Status.CONFIRMED) | (tracks.status == Status.COASTING))
    _, last = np.unique(tracks.track_id[rows][::-1], return_index=True)
    chosen: Int64s = rows[::-1][last].astype(np.int64)
    return chosen


def _numbers(
    rows: Array, old_rows: Array, old_numbers: Int64s, old: Array, kept: Array, sequence: int
) -> Int64s:
    """Number of the picture in which each row last changed, (V,) int64."""
    numbers = np.full(len(rows), sequence, np.int64)
    there = np.flatnonzero(kept)
    before = old[there]
    same = (_words(_chosen(rows, there)) == _words(_chosen(old_rows, before))).all(axis=1)
    numbers[there[same]] = old_numbers[before[same]]
    return numbers


def _chosen(rows: Array, index: Int64s) -> Array:
    """Rows at some places; as plain bytes, for NumPy copies records field by field."""
    plain = np.ascontiguousarray(rows).view(f"V{rows.dtype.itemsize}")
    return plain.take(index).view(rows.dtype)


def _words(rows: Array) -> Array:
    """(V, words of a row): so NaN equals NaN, and a row takes few comparisons."""
    size = rows.dtype.itemsize
    word = next(width for width in (8, 4, 2, 1) if size % width == 0)
    return np.ascontiguousarray(rows).view(f"u{word}").reshape(len(rows), size // word)
