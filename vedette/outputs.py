"""The output log of a core: what inputs gave, without gaps and without repeats.

Its OUTPUT records cover the journal one after another: each begins (`OutputBatch.first`) where the
one before ended (`through` + 1), so a reader can tell whether it missed any. Inputs that gave
nothing are covered by the next record that holds something.

It is not synced as it grows: everything in it can be computed again. Before a snapshot it is, so
that no snapshot ever stands behind outputs that a power cut took.
"""

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from journal.codec import pack_output, unpack_output
from journal.log import SegmentedLog
from journal.reader import LogReader
from journal.snapshot import SnapshotStore
from model.detections import Detections
from model.errors import JournalFull
from model.ports import OutputBatch
from model.records import Kind, Record
from model.tracks import TrackUpdates
from vedette.retention import StoredMarks, let_go

log = logging.getLogger("vedette.core")

STEP = 256
"""Records looked at in one step when an OUTPUT record is searched."""

RETRY_S = 0.5
"""Pause before a further try when the disk is full, s."""


def is_empty(batch: OutputBatch) -> bool:
    """Whether the inputs of a batch gave nothing at all."""
    return not (
        batch.detections.n_reports or len(batch.updates) or len(batch.foreign) or batch.quarantined
    )


def last_output(reader: LogReader, end: int | None = None) -> Record | None:
    """Last OUTPUT record of an output log, or None.

    Parameters
    ----------
    reader
        Of the log.
    end
        Only records below this offset; None: all.
    """
    stop = reader.end() if end is None else end
    start = reader.start()
    while stop > start:
        begin = max(start, stop - STEP)
        found = None
        offset = begin
        while offset < stop:
            records = reader.read(offset, stop - offset, committed=stop)
            if not records:
                break
            for record in records:
                if record.kind == Kind.OUTPUT:
                    found = record
            offset = records[-1].offset + 1
        if found is not None:
            return found
        stop = begin
    return None


class OutputLog:
    """Writes outputs and statuses; one writer, one thread.

    Parameters
    ----------
    log
        The log itself.
    stopping
        When set, a full disk is not waited for any longer.
    make_room
        Called before each further try on a full disk.
    """

    def __init__(
        self,
        log: SegmentedLog,
        stopping: threading.Event,
        make_room: Callable[[], None] = lambda: None,
    ) -> None:
        self._log = log
        self._stopping = stopping
        self._make_room = make_room
        with LogReader(log.directory) as reader:
            record = last_output(reader, log.end)
        self.through = -1 if record is None else unpack_output(record.payload).through
        self._covered = self.through
        self._sensor_ids: tuple[str, ...] = ()
        self.stalled = ""
        self.healed_ns = 0
        """When there was room again for the last time, UTC ns; 0: there always was."""

    @property
    def end(self) -> int:
        """Offset of the next record of the output log."""
        return self._log.end

    @property
    def size_bytes(self) -> int:
        """Bytes on the disk."""
        return self._log.size_bytes

    def write(self, batch: OutputBatch) -> int | None:
        """Write what a batch of inputs gave, unless it is nothing.

        Returns
        -------
        int or None
            When it was written, UTC ns; None: nothing to write, or the disk stayed full until
            the process was asked to stop.
        """
        self._covered = batch.through
        self._sensor_ids = batch.sensor_ids
        if is_empty(batch):
            return None
        return self._append(batch)

    def cover(self) -> None:
        """Write down how far the inputs are covered, if that is not known from the log yet."""
        if self._covered > self.through:
            nothing = OutputBatch(
                first=self.through + 1,
                through=self._covered,
                sensor_ids=self._sensor_ids,
                detections=Detections.empty(),
                updates=TrackUpdates.empty(),
            )
            self._append(nothing)

    def status(self, document: dict[str, Any], now_ns: int) -> None:
        """Write a STATUS record; on a full disk it is left out."""
        try:
            self._log.append([(Kind.STATUS, now_ns, "", json.dumps(document).encode(), 0)])
        except JournalFull as error:
            self._stall(str(error))

    def sync(self) -> None:
        """Make everything written so far durable."""
        self._log.sync()

    def let_go(
        self, journal: SegmentedLog, snapshots: SnapshotStore, marks: StoredMarks, budget: int
    ) -> int:
        """Release what nobody needs any more of journal and output log (`vedette.retention`)."""
        return let_go(journal, self._log, snapshots, marks, budget)

    def close(self) -> None:
        """Close the log."""
        self._log.close()

    def _append(self, batch: OutputBatch) -> int | None:
        while True:
            now_ns = time.time_ns()
            whole = replace(batch, first=self.through + 1, published_ns=now_ns)
            try:
                self._log.append([(Kind.OUTPUT, now_ns, "", pack_output(whole), 0)])
            except JournalFull as error:
                self._stall(str(error))
                if self._stopping.wait(RETRY_S):
                    return None
                self._make_room()
            else:
                if self.stalled:
                    self.healed_ns = now_ns
                self.stalled = ""
                self.through = batch.through
                return now_ns

    def _stall(self, why: str) -> None:
        if not self.stalled:
            log.error("outputs stalled: %s", why)
        self.stalled = why
