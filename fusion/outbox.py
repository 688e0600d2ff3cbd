"""Track updates of one batch by columns: copied out of records in one pass, hot from the cache."""

import sys

import numpy as np

from fusion.jit import kernel
from fusion.records import WORDS
from model.arrays import Array, Floats, Int64s
from model.detections import IDENTITY_BYTES
from model.taxonomy import N_CLASSES
from model.tracks import MAX_SENSORS, TrackUpdates

_LONGS, _INTS, _BYTES = 5, 3, 5
# Columns of one number a row, by their type: one array for all of a type, column by column.
_BY_COLUMN = 3
# So many arrays are such.
_EXISTENCE = 5
# Which array that is.
_UNHELD = 2
# References to an array of a set that nobody holds: the set's, and that of counting them.

Columns = tuple[Int64s, Array, Array, Floats, Floats, Floats, Array, Array, Array, Array]


MANY = 256
"""Room for so many updates is worth using again."""

FEW = 16
"""Least room: most reports change a few tracks, and a batch has many of them."""

SETS = 2
"""Sets of columns kept: one that a caller still holds, and the one before."""


class Spare:
    """Columns given out before, used again once nobody holds them any more.

    Memory that was given back is zeroed by the system before it is had again, which costs as much
    as to say what is written there.
    """

    def __init__(self) -> None:
        self._sets: list[Columns] = []

    def room(self, rows: int) -> Columns:
        """Columns of at least so many rows, with anything in them."""
        for k, columns in enumerate(self._sets):
            # The set and the counting itself: any view of a column would be one more.
            free = all(sys.getrefcount(columns[at]) == _UNHELD for at in range(len(columns)))
            if free and rows <= len(columns[_EXISTENCE]) <= 4 * rows:
                self._sets.append(self._sets.pop(k))
                return columns
        columns = _room(rows + rows // 8)
        self._sets = [*self._sets[1 - SETS :], columns]
        return columns


class Outbox:
    """Updates in the order in which they became known.

    Parameters
    ----------
    rows
        Room for so many at first.
    spare
        Where to take room for many from; None: it is made.
    """

    def __init__(self, rows: int = 0, spare: Spare | None = None) -> None:
        self._spare = spare
        self._columns = _room(rows) if rows else _NO_ROOM
        self._rows = rows
        self._count = 0
        self._offset, self._received, self._n = -1, 0, 0

    def of(self, offset: int, received: int) -> None:
        """What is added from now on is known of the input of a journal offset, received then."""
        if offset != self._offset:
            self._offset, self._n = offset, 0
        self._received = received

    def add(self, said: Array, slots: Int64s) -> None:
        """Add the updates in some slots (k,) of records `SAID`, numbered by input from 0."""
        count = len(slots)
        if not count:
            return
        begin, end = self._count, self._count + count
        self._lay_out(said, slots)
        longs, ints = self._columns[0], self._columns[1]
        longs[0, begin:end], longs[3, begin:end] = self._offset, self._received
        ints[0, begin:end] = np.arange(self._n, self._n + count)
        self._n += count

    def _lay_out(self, said: Array, slots: Int64s) -> None:
        end = self._count + len(slots)
        if end > self._rows:
            self._grow(max(end, 2 * self._rows, FEW))
        _lay_out(said, slots, self._count, *self._columns)
        self._count = end

    def _grow(self, rows: int) -> None:
        old = self._columns
        if self._spare is None or rows < MANY:
            self._columns = _room(rows)
        else:
            self._columns = self._spare.room(rows)
        self._rows = len(self._columns[_EXISTENCE])
        if not self._count:
            return
        for k, (before, after) in enumerate(zip(old, self._columns, strict=True)):
            if k < _BY_COLUMN:
                after[:, : self._count] = before[:, : self._count]
            else:
                after[: self._count] = before[: self._count]

    def updates(self) -> TrackUpdates:
        """All that was added."""
        longs, ints, octets, state, covariance, existence, classes, sensors, number, words = (
            self._columns
        )
        stop = self._count
        known_offset, track_id, valid, known, stale = longs[:, :stop]
        n, authority_epoch, revision = ints[:, :stop]
        status, reason, affiliation, identity_kind, mode = octets[:, :stop]
        return TrackUpdates(
            known_offset=known_offset,
            n=n,
            track_id=track_id,
            number=number[:stop].view("S5").reshape(stop),
            authority_epoch=authority_epoch,
            revision=revision,
            valid=valid,
            known=known,
            status=status,
            reason=reason,
            state=state[:stop],
            covariance=covariance[:stop],
            existence=existence[:stop],
            classes=classes[:stop],
            affiliation=affiliation,
            identity_kind=identity_kind,
            identity=words[:stop].view(f"S{IDENTITY_BYTES}").reshape(stop),
            sensors=sensors[:stop],
            mode=mode,
            stale=stale,
        )


def updates_of(said: Array) -> TrackUpdates:
    """Columns of records `SAID`."""
    outbox = Outbox(len(said))
    outbox._lay_out(said, np.arange(len(said)))
    return outbox.updates()


def _room(rows: int) -> Columns:
    # Of few types: each array that a kernel takes costs its call. A tuple of them costs far more.
    return (
        np.empty((_LONGS, rows), np.int64),
        np.empty((_INTS, rows), np.int32),
        np.empty((_BYTES, rows), np.uint8),
        np.empty((rows, 6)),
        np.empty((rows, 21)),
        np.empty(rows),
        np.empty((rows, N_CLASSES), np.float32),
        np.empty((rows, MAX_SENSORS), np.int32),
        np.empty((rows, 5), np.uint8),
        np.empty((rows, WORDS), np.uint64),
    )


_NO_ROOM = _room(0)


@kernel
def _lay_out(
    said: Array, slots: Int64s, begin: int, longs: Int64s, ints: Array, octets: Array,
    state: Floats, covariance: Floats, existence: Floats, classes: Array, sensors: Array,
    number: Array, words: Array,
) -> None:  # fmt: skip
    for n in range(len(slots)):
        of, at = said[slots[n]], begin + n
        longs[0, at], longs[1, at], longs[2, at] = of.known_offset, of.track_id, of.valid
        longs[3, at], longs[4, at] = of.known, of.stale
        ints[0, at], ints[1, at], ints[2, at] = of.n, of.authority_epoch, of.revision
        octets[0, at], octets[1, at], octets[2, at] = of.status, of.reason, of.affiliation
        octets[3, at], octets[4, at] = of.identity_kind, of.mode
        existence[at] = of.existence
        for k in range(6):
            state[at, k] = of.state[k]
        for k in range(21):
            covariance[at, k] = of.covariance[k]
        for k in range(N_CLASSES):
            classes[at, k] = of.classes[k]
        for k in range(MAX_SENSORS):
            sensors[at, k] = of.sensors[k]
        for k in range(5):
            number[at, k] = of.number[k]
        for k in range(WORDS):
            words[at, k] = of.words[k]
