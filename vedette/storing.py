"""The storage writer of a serve process: output log in, database rows out, for ever.

The cursor lives in the database and never moves before the rows (`storage.writer`). After a power
cut the output log may be shorter than what was stored of it, and grow anew with other offsets; so
at each connect the place to go on from is found by what the records cover (`OutputBatch.through`).
"""

import logging
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

from prometheus_client import CollectorRegistry

from journal.codec import unpack_output
from journal.reader import LogReader, OffsetBeyondEnd, OffsetReleased
from model.errors import JournalError, StorageError
from model.ports import OutputBatch
from model.records import Kind
from storage.writer import Writer
from vedette.after import after
from vedette.retention import StoredMarks
from vedette.stages import StoreStage
from vedette.tail import first_after

log = logging.getLogger("vedette.serve")

BATCHES = 256
"""Output records in one transaction at most."""

LINGER_S = 0.2
"""Longest that an output waits for others to share its transaction, s."""

POLL_S = 0.05
"""Pause between two looks at the log, s."""

MARK_S = 2.0
"""Pause between two notes of how far storing has come, by which the core lets logs go, s."""

FIRST_RETRY_S = 0.5
"""First pause after the database was away, s; doubled each time."""

LAST_RETRY_S = 10.0
"""Longest pause, s."""


@dataclass(frozen=True, slots=True)
class StoringStatus:
    """How storing is doing.

    Parameters
    ----------
    connected
        The database answers.
    cursor
        Offset of the output log below which all is stored; -1: not known yet.
    through
        Input of the journal up to which all is stored.
    behind_ns
        When the oldest output not stored yet was written; 0: all is stored.
    away_ns
        Since when the database is away; 0: it is not.
    rows, transactions, failures
        Since the start.
    missing
        Inputs whose outputs were no longer in the log when they were to be stored.
    reason
        Why the database is away; empty: it is not.
    server
        Which database it is, with its version; empty: never reached.
    lacks
        What the database cannot do.
    """

    connected: bool = False
    cursor: int = -1
    through: int = -1
    behind_ns: int = 0
    rows: int = 0
    transactions: int = 0
    failures: int = 0
    missing: int = 0
    away_ns: int = 0
    reason: str = ""
    server: str = ""
    lacks: tuple[str, ...] = ()


class Storing:
    """One thread that stores outputs and never gives up.

    Parameters
    ----------
    outputs
        Folder of the output log.
    dsn, node
        Database, and whose outputs they are.

    Attributes
    ----------
    registry : prometheus_client.CollectorRegistry
        How long reports took to be committed.
    """

    def __init__(self, outputs: Path, dsn: str, node: str) -> None:
        self._reader = LogReader(outputs)
        self._writer = Writer(dsn, node)
        self._marks = StoredMarks(outputs.parent)
        self._mark_due = 0.0
        self.registry = CollectorRegistry()
        self._stage = StoreStage(self.registry)
        self._status = StoringStatus()
        self._draining = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="storing", daemon=True)

    @property
    def status(self) -> StoringStatus:
        """A snapshot of how it is doing."""
        return self._status

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, drain_s: float) -> bool:
        """Store what is in the log, for at most `drain_s`; returns whether all was stored."""
        self._draining.set()
        self._thread.join(drain_s)
        self._stopping.set()
        self._thread.join(1.0)
        return (
            not self._thread.is_alive() and self._status.behind_ns == 0 and not self._status.reason
        )

    def _run(self) -> None:
        delay = FIRST_RETRY_S
        while not self._stopping.is_set():
            try:
                self._connect()
                delay = FIRST_RETRY_S
                self._store()
                break
            except (StorageError, JournalError) as error:
                if str(error) != self._status.reason:
                    log.error("storing waits: %s", error)  # noqa: TRY400 - one line, then retried
                self._failed(str(error))
            except Exception as error:
                log.exception("storing failed, and is tried again")
                self._failed(f"{type(error).__name__}: {error}")
            if self._draining.is_set():
                break
            self._stopping.wait(delay)
            delay = min(2 * delay, LAST_RETRY_S)
        self._writer.close()
        self._reader.close()

    def _failed(self, reason: str) -> None:
        self._set(
            connected=False,
            reason=reason,
            failures=self._status.failures + 1,
            away_ns=self._status.away_ns or time.time_ns(),
        )

    def _set(self, **changes: object) -> None:
        self._status = replace(self._status, **changes)  # type: ignore[arg-type] # fields by name

    def _connect(self) -> None:
        capabilities = self._writer.connect()
        position = self._writer.position()
        cursor = first_after(self._reader, position.through)
        if position.next_offset != cursor and position.next_offset > self._reader.end():
            log.warning("output log made anew cursor=%d was=%d", cursor, position.next_offset)
        self._set(
            connected=True,
            cursor=cursor,
            through=position.through,
            away_ns=0,
            reason="",
            server=f"PostgreSQL {capabilities.postgres}"
            + (f", TimescaleDB {capabilities.timescale}" if capabilities.timescale else ""),
            lacks=capabilities.lacks,
        )
        log.info("storing cursor=%d through=%d", cursor, position.through)

    def _store(self) -> None:
        """Store until asked to stop, or until something fails."""
        while not self._stopping.is_set():
            batches, cursor = self._collect()
            if cursor > self._status.cursor:
                self._write(batches, cursor)
            elif self._draining.is_set():
                self._writer.settle()
                return
            else:  # nothing came for a while: a core that is down must not leave heads waiting
                self._writer.settle()

    def _collect(self) -> tuple[list[OutputBatch], int]:
        """Outputs for one transaction, and the cursor behind them."""
        batches: list[OutputBatch] = []
        cursor = self._status.cursor
        deadline = time.monotonic() + LINGER_S
        while len(batches) < BATCHES:
            try:
                records = self._reader.read(cursor, BATCHES - len(batches))
            except (OffsetBeyondEnd, OffsetReleased):
                return [], self._again(cursor)
            for record in records:
                cursor = record.offset + 1
                if record.kind == Kind.OUTPUT:
                    batches.append(self._unstored(unpack_output(record.payload), batches))
                    if len(batches) == 1:  # what has waited long enough waits no longer
                        waited_s = max(0.0, (time.time_ns() - record.received_ns) / 1e9)
                        deadline = time.monotonic() + max(0.0, LINGER_S - waited_s)
                    if not self._status.behind_ns:
                        self._set(behind_ns=record.received_ns)
            if records:
                continue
            if time.monotonic() >= deadline or self._draining.is_set():
                break
            self._stopping.wait(POLL_S)
        return batches, cursor

    def _unstored(self, batch: OutputBatch, before: list[OutputBatch]) -> OutputBatch:
        """The part of a batch that is not stored yet; what is missing before it is counted."""
        through = before[-1].through if before else self._status.through
        if batch.first > through + 1:
            self._set(missing=self._status.missing + batch.first - through - 1)
            log.error("outputs missing inputs=%d..%d", through + 1, batch.first - 1)
        return after(batch, through)

    def _again(self, cursor: int) -> int:
        """The log was made anew, or old records were let go: find the place again."""
        found = first_after(self._reader, self._status.through)
        if found != cursor:
            log.warning("output log has changed cursor=%d was=%d", found, cursor)
            self._set(cursor=found)
        else:
            self._stopping.wait(POLL_S)
        return self._status.cursor

    def _write(self, batches: list[OutputBatch], cursor: int) -> None:
        written = self._writer.write(batches, cursor)
        now_ns = time.time_ns()
        for batch in batches:
            self._stage.committed(batch.detections.received, now_ns)
        status = self._status
        self._set(
            cursor=cursor,
            through=max([status.through, *(batch.through for batch in batches)]),
            behind_ns=0,
            rows=status.rows + written.rows,
            transactions=status.transactions + bool(batches),
        )
        if time.monotonic() >= self._mark_due:
            self._mark_due = time.monotonic() + MARK_S
            settled = self._writer.settled
            self._marks.save(settled.through + 1, settled.next_offset)
