"""The end of the output log, as the console shows it: heads of tracks, and the newest status.

Own tracks stand in `vedette.heads`, partners' in `vedette.foreign_picture`. It follows the log by
itself and never waits for the database, so the picture stays live while the database is away.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from console.contributions import Contributions
from console.doubts import Doubts
from journal.codec import unpack_output
from journal.reader import LogReader, OffsetBeyondEnd, OffsetReleased
from model.errors import JournalError
from model.foreign import ForeignUpdates
from model.ports import OutputBatch
from model.records import Kind
from model.tracks import TrackUpdates
from vedette.foreign_picture import ForeignPicture
from vedette.heads import Heads

LOOKBACK_S = 600.0
"""How far back the picture is built at the start, s: a moored ship reports every 3 min
(ITU-R M.1371-5, table 1)."""


class Tail:
    """Follows an output log; `look` is called by one thread, the rest by any.

    Parameters
    ----------
    reader
        Of the output log.
    """

    def __init__(self, reader: LogReader) -> None:
        self._reader = reader
        self._heads = Heads()
        self._foreign = ForeignPicture(LOOKBACK_S)
        self._next: int | None = None
        self.sensor_ids: tuple[str, ...] = ()
        self.contributions = Contributions()
        self.doubts = Doubts()
        self.status: dict[str, Any] = {}
        self.received: dict[str, int] = {}
        self.through = -1
        self.end = 0
        self.resets = 0

    @property
    def tracks(self) -> TrackUpdates:
        """Head of every track that is not deleted."""
        return self._heads.tracks

    def foreign(self, now_ns: int) -> ForeignUpdates:
        """Head of every track that a partner gave and that is shown at a time, one row a track."""
        return self._foreign.heads(now_ns)

    def look(self, now_ns: int) -> int:
        """Take in what is new; returns the number of records.

        Raises
        ------
        JournalError
            The log cannot be read.
        """
        if self._next is None:
            self._next = first_since(self._reader, now_ns - int(LOOKBACK_S * 1e9))
        try:
            records = self._reader.read(self._next)
        except (OffsetBeyondEnd, OffsetReleased):
            # The core began the log anew, or let old records go: build the picture anew.
            self._heads = Heads()
            self._foreign = ForeignPicture(LOOKBACK_S)
            self.contributions = Contributions()
            self.doubts = Doubts()
            self._next = None
            self.resets += 1
            return 0
        outputs: list[OutputBatch] = []
        for record in records:
            if record.kind == Kind.OUTPUT:
                outputs.append(unpack_output(record.payload))
            elif record.kind == Kind.STATUS:
                self.status = json.loads(record.payload)
        if records:
            self._next = records[-1].offset + 1
        self.end = self._next
        self._take(outputs)
        self._foreign.forget(now_ns)
        return len(records)

    def _take(self, outputs: Sequence[OutputBatch]) -> None:
        for batch in outputs:
            self.contributions.take(batch.updates)
            self.doubts.take(batch.updates)
            if len(batch.sensor_ids) > len(self.sensor_ids):
                self.sensor_ids = batch.sensor_ids
            self.through = batch.through
            found = batch.detections
            for index in np.unique(found.sensor).tolist():
                newest = int(found.received[found.sensor == index].max())
                name = batch.sensor_ids[index]
                self.received[name] = max(newest, self.received.get(name, 0))
        # Last, so that whoever sees a track can also see what else came with it.
        self._heads.take([batch.updates for batch in outputs])
        self._foreign.take([batch.foreign for batch in outputs])


def first_since(reader: LogReader, since_ns: int) -> int:
    """Offset of the first record written at or after a time (stamps of a log never fall far)."""
    low, high = reader.start(), reader.end()
    while low < high:
        middle = (low + high) // 2
        records = reader.read(middle, 1)
        if records and records[0].received_ns < since_ns:
            low = middle + 1
        else:
            high = middle
    return low


def first_after(reader: LogReader, through: int) -> int:
    """Offset of the first OUTPUT record that covers an input behind `through`.

    Parameters
    ----------
    reader
        Of an output log; what its OUTPUT records cover rises.
    through
        Last input whose outputs are stored; -1: none.

    Returns
    -------
    int
        Where a reader goes on; the log's end if all is stored.
    """
    low, high = reader.start(), reader.end()
    while low < high:
        middle = (low + high) // 2
        covered, offset = _covered(reader, middle, high)
        if covered is None or covered > through:
            high = middle
        else:
            low = offset + 1
    return low


def _covered(reader: LogReader, offset: int, stop: int) -> tuple[int | None, int]:
    """What the first OUTPUT record at or behind an offset covers, and where it stands."""
    while offset < stop:
        records = reader.read(offset, min(64, stop - offset))
        if not records:
            raise JournalError(f"{reader.directory}: the record of offset {offset} is not there")
        for record in records:
            if record.kind == Kind.OUTPUT:
                return unpack_output(record.payload).through, record.offset
        offset = records[-1].offset + 1
    return None, stop
