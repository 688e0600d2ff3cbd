"""The storage writer of a serve process: output log in, database rows out, for ever.

The cursor lives in the database and never moves before the rows (`storage.writer`). After a power
cut the output log may be shorter than what was stored of it, and grow anew with other offsets; so
at each connect the place to go on from is found by what the records cover (`OutputBatch.through`).

Two threads: while the server takes in the rows of one transaction, those of the next are read and
encoded (`storage.rows`). One at a time they would take as long as both.
"""

import logging
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from prometheus_client import CollectorRegistry

from journal.codec import unpack_output
from journal.reader import LogReader, OffsetBeyondEnd, OffsetReleased
from model.arrays import Int64s
from model.errors import JournalError, StorageError
from model.ports import OutputBatch
from model.records import Kind
from storage.rows import Rows, rows_of
from storage.writer import Writer
from vedette.after import after
from vedette.retention import StoredMarks
from vedette.stages import StoreStage
from vedette.tail import first_after

log = logging.getLogger("vedette.serve")

BATCHES, ROWS = 256, 100_000
"""Output records, and rows, in one transaction at most, or a record more: two to five thousand
reports on a busy node. Two transactions are in memory at a time, each twice: as columns, and as
what is sent."""

READ = 32
"""Output records that are read at a time."""

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


@dataclass(frozen=True, slots=True)
class _Group:
    """Outputs for one transaction.

    Parameters
    ----------
    rows
        Theirs.
    cursor, through
        Behind them, in the output log and in the journal.
    oldest_ns
        When the first of them was written; 0: there is none.
    received
        When their reports were received, UTC ns, by batch.
    missing
        Inputs before or between them whose outputs are gone.
    lost
        The log was made anew, or old records were let go: the place is to be found again. Nothing
        is in the group then.
    last
        It was asked to stop before it looked for the last time, and found no more.
    """

    rows: Rows
    cursor: int
    through: int
    oldest_ns: int = 0
    received: tuple[Int64s, ...] = ()
    missing: int = 0
    lost: bool = False
    last: bool = False


class Storing:
    """Stores outputs and never gives up.

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
        self._node = node
        self._writing_ns = self._collecting_ns = 0
        """When the oldest output was written that is being stored, and that waits; 0: none."""
        self._draining = threading.Event()
        self._stopping = threading.Event()
        self._drained = False
        self._collector = ThreadPoolExecutor(1, "collecting")
        self._thread = threading.Thread(target=self._run, name="storing", daemon=True)

    @property
    def status(self) -> StoringStatus:
        """A snapshot of how it is doing."""
        return replace(self._status, behind_ns=self._writing_ns or self._collecting_ns)

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
        return not self._thread.is_alive() and self._drained

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
        self._collector.shutdown()
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
        ahead = self._ahead(self._status.cursor, self._status.through)
        try:
            while not self._stopping.is_set():
                group = ahead.result()
                self._writing_ns = group.oldest_ns
                if group.lost:
                    ahead = self._ahead(self._again(group.cursor), group.through)
                    continue
                if not group.last:
                    ahead = self._ahead(group.cursor, group.through)
                came = group.cursor > self._status.cursor
                if came:
                    self._write(group)
                if group.last or not came:  # a core that is down must not leave heads waiting
                    self._writer.settle()
                if group.last:
                    self._drained = True
                    return
        finally:
            if not ahead.cancel():
                ahead.exception()  # wait for what is under way: it is collected again
            # What a failed one raised holds this frame, and with it all that was collected.
            del ahead

    def _ahead(self, cursor: int, through: int) -> Future[_Group]:
        """Begin to collect, from a place in the output log and in the journal on."""
        return self._collector.submit(self._collect, cursor, through)

    def _collect(self, cursor: int, through: int) -> _Group:
        """Outputs for one transaction."""
        batches: list[OutputBatch] = []
        begin = (cursor, through)
        oldest_ns = self._collecting_ns = 0
        missing = rows = 0
        last = False
        deadline = time.monotonic() + LINGER_S
        while len(batches) < BATCHES and rows < ROWS and not self._stopping.is_set():
            draining = self._draining.is_set()
            try:
                records = self._reader.read(cursor, min(READ, BATCHES - len(batches)))
            except (OffsetBeyondEnd, OffsetReleased):
                return _Group(rows_of([], self._node), *begin, lost=True)
            for record in records:
                if rows >= ROWS:
                    break
                cursor = record.offset + 1
                if record.kind != Kind.OUTPUT:
                    continue
                batch = unpack_output(record.payload)
                missing += _missing(batch, through)
                batches.append(after(batch, through))
                rows += batches[-1].detections.n_detections + len(batches[-1].updates)
                through = max(through, batch.through)
                if not oldest_ns:  # what has waited long enough waits no longer
                    oldest_ns = self._collecting_ns = record.received_ns
                    waited_s = max(0.0, (time.time_ns() - oldest_ns) / 1e9)
                    deadline = time.monotonic() + max(0.0, LINGER_S - waited_s)
            if records:
                continue
            last = draining
            if time.monotonic() >= deadline or last:
                break
            self._stopping.wait(POLL_S)
        received = tuple(batch.detections.received.copy() for batch in batches)
        encoded = rows_of(batches, self._node)
        return _Group(encoded, cursor, through, oldest_ns, received, missing, last=last)

    def _again(self, cursor: int) -> int:
        """The place from where to collect, found anew: `cursor` is none any more, or not yet."""
        found = first_after(self._reader, self._status.through)
        if found == cursor:
            self._stopping.wait(POLL_S)
        else:
            log.warning("output log has changed cursor=%d was=%d", found, cursor)
            self._set(cursor=found)
        return found

    def _write(self, group: _Group) -> None:
        written = self._writer.write_rows(group.rows, group.cursor)
        now_ns = time.time_ns()
        for received in group.received:
            self._stage.committed(received, now_ns)
        status = self._status
        self._set(
            cursor=group.cursor,
            through=max(status.through, group.through),
            rows=status.rows + written.rows,
            transactions=status.transactions + bool(group.received),
            missing=status.missing + group.missing,
        )
        self._writing_ns = 0
        if time.monotonic() >= self._mark_due:
            self._mark_due = time.monotonic() + MARK_S
            settled = self._writer.settled
            self._marks.save(settled.through + 1, settled.next_offset)


def _missing(batch: OutputBatch, through: int) -> int:
    """Inputs between one that is covered and a batch."""
    gone = batch.first - through - 1
    if gone > 0:
        log.error("outputs missing inputs=%d..%d", through + 1, batch.first - 1)
    return max(0, gone)
