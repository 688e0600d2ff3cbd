"""`GroupCommitter`: the one thread that journals; many messages share one sync."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from journal.segment import check_row
from model.errors import JournalError
from model.ports import Log
from model.records import Kind, Record

ROW_BYTES = 256
"""What a waiting message takes in memory beside its payload and topic, bytes (rounded up)."""


@dataclass(frozen=True, slots=True)
class CommitStats:
    """Counts since the start.

    Parameters
    ----------
    batches, records, bytes
        Journaled and durable; bytes of payload and topic.
    sync_s
        Time spent in `Log.sync`, s.
    waits
        Submissions that had to wait for room.
    refused
        Submissions that found no room, or came after the end: the caller must not acknowledge.
    stalls
        Appends that failed and were tried again.
    pending, pending_bytes
        Waiting now.
    clock_back_ns
        Furthest that the clock has been behind the newest stamp, ns: it was set back.
    """

    batches: int = 0
    records: int = 0
    bytes: int = 0
    sync_s: float = 0.0
    waits: int = 0
    refused: int = 0
    stalls: int = 0
    pending: int = 0
    pending_bytes: int = 0
    clock_back_ns: int = 0


@dataclass(frozen=True, slots=True)
class _Item:
    row: tuple[Kind, int, str, bytes, int]
    token: Any
    size: int


class GroupCommitter:
    """Journals what threads submit, in order of submission, a batch per sync.

    A batch is taken `linger_s` after its first message came, appended, synced once, and then
    handed to `on_durable` on the committer's own thread: which acknowledges it and passes it on.
    So an acknowledgement means that the bytes are on the disk.

    When the log takes nothing (budget, full disk) the batch is kept and tried again every
    `retry_s`; `stalled` says why; nothing is acknowledged meanwhile, and submissions are refused
    once `max_pending_bytes` wait. When a sync fails or `on_durable` raises, the thread ends:
    `failed` says why, and `stop` raises it.

    Parameters
    ----------
    log
        Where to; only this thread may append to it.
    on_durable
        Called with the records of a batch and their tokens, in order.
    linger_s
        How long a batch collects, s.
    max_batch
        Messages in a batch at most.
    max_pending_bytes
        Payload, topic and `ROW_BYTES` per message that may wait, the batch at work included.
    retry_s
        Pause between tries while stalled, s.
    clock_ns
        UTC nanoseconds. Stamps never fall: while the clock is set back the newest stamp is
        repeated, and `CommitStats.clock_back_ns` tells.
    not_before_ns
        Lowest stamp: `received_ns` of the last record of the log, for stamps that do not fall
        across a restart either.
    """

    def __init__(
        self,
        log: Log,
        on_durable: Callable[[Sequence[Record], Sequence[Any]], None],
        *,
        linger_s: float = 0.01,
        max_batch: int = 4096,
        max_pending_bytes: int = 64 * 1024 * 1024,
        retry_s: float = 0.5,
        clock_ns: Callable[[], int] = time.time_ns,
        not_before_ns: int = 0,
    ) -> None:
        if max_batch < 1:
            raise ValueError(f"max_batch={max_batch}: a batch holds at least one message")
        self._log = log
        self._on_durable = on_durable
        self._linger_s = linger_s
        self._max_batch = max_batch
        self._max_pending_bytes = max_pending_bytes
        self._retry_s = retry_s
        self._clock_ns = clock_ns
        self._last_ns = not_before_ns
        self._clock_back_ns = 0

        self._mutex = threading.Lock()
        self._work = threading.Condition(self._mutex)  # for the committer: something to do
        self._room = threading.Condition(self._mutex)  # for submitters: room again, or the end
        self._abandon = threading.Event()
        self._pending: list[_Item] = []
        self._pending_bytes = 0
        self._first_at = 0.0
        self._stopping = False
        self._ended = False
        self._waits = self._refused = self._stalls = 0
        self._batches = self._records = self._bytes = 0
        self._sync_s = 0.0
        self._stalled = ""
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    # submitting

    def submit(
        self,
        kind: Kind,
        topic: str,
        payload: bytes,
        mid: int = 0,
        token: Any = None,
        received_ns: int | None = None,
        *,
        wait_s: float = 0.0,
        spare_bytes: int = 0,
    ) -> bool:
        """Hand a message over; from any thread.

        Parameters
        ----------
        kind, topic, payload, mid
            As in `model.records.Record`.
        token
            Handed to `on_durable` beside the record.
        received_ns
            When it came, UTC ns; default: now.
        wait_s
            How long to wait for room, s. A thread that waits here reads nothing from its socket:
            that is the back-pressure. 0: do not wait.
        spare_bytes
            Room that must stay free for others after it, bytes: who comes second gives more.

        Returns
        -------
        bool
            False: not taken (no room, stopped or failed); it must not be acknowledged.

        Raises
        ------
        JournalError
            The message can never be stored: too long, or its topic is no text.
        """
        size = len(payload) + len(check_row(topic, payload, mid, received_ns or 0))
        cost = size + ROW_BYTES
        with self._mutex:
            wanted = cost + spare_bytes
            if not self._has_room(wanted):
                if wait_s > 0 and not self._closed():
                    self._waits += 1
                    self._room.wait_for(lambda: self._closed() or self._has_room(wanted), wait_s)
                if not self._has_room(wanted):
                    self._refused += 1
                    return False
            if self._closed():
                self._refused += 1
                return False
            stamp = self._clock_ns() if received_ns is None else received_ns
            if stamp < self._last_ns:
                self._clock_back_ns = max(self._clock_back_ns, self._last_ns - stamp)
                stamp = self._last_ns
            self._last_ns = stamp
            if not self._pending:
                self._first_at = time.monotonic()
            self._pending.append(_Item((kind, stamp, topic, payload, mid), token, size))
            self._pending_bytes += cost
            if len(self._pending) == 1 or len(self._pending) == self._max_batch:
                self._work.notify()
            return True

    def _has_room(self, cost: int) -> bool:
        # one message longer than the bound is taken alone: it would wait for ever otherwise
        return not self._pending_bytes or self._pending_bytes + cost <= self._max_pending_bytes

    def _closed(self) -> bool:
        return self._stopping or self._ended

    # state

    @property
    def stalled(self) -> str:
        """Why nothing is journaled at present; empty: all is well."""
        return self._stalled

    @property
    def failed(self) -> BaseException | None:
        """What ended the thread; None: nothing did."""
        return self._failed

    @property
    def stats(self) -> CommitStats:
        """Counts since the start."""
        with self._mutex:
            return CommitStats(
                batches=self._batches,
                records=self._records,
                bytes=self._bytes,
                sync_s=self._sync_s,
                waits=self._waits,
                refused=self._refused,
                stalls=self._stalls,
                pending=len(self._pending),
                pending_bytes=self._pending_bytes,
                clock_back_ns=self._clock_back_ns,
            )

    # the thread

    def _run(self) -> None:
        try:
            while (batch := self._take()) and self._commit(batch):
                pass
        except BaseException as error:  # noqa: BLE001 - kept in `failed`, raised by `stop`
            self._failed = error
        finally:
            with self._mutex:
                self._ended = True
                self._room.notify_all()

    def _take(self) -> list[_Item]:
        """Next batch; empty: the end."""
        with self._mutex:
            self._work.wait_for(lambda: self._pending or self._stopping)
            self._work.wait_for(
                lambda: self._stopping or len(self._pending) >= self._max_batch,
                max(0.0, self._first_at + self._linger_s - time.monotonic()),
            )
            if self._abandon.is_set():
                return []
            batch = self._pending[: self._max_batch]
            del self._pending[: self._max_batch]
            return batch

    def _commit(self, batch: list[_Item]) -> bool:
        """Journal a batch and hand it on; False: given up while stalled."""
        rows = [item.row for item in batch]
        while True:
            try:
                first = self._log.append(rows)
                break
            except JournalError as error:
                with self._mutex:
                    self._stalls += 1
                    self._stalled = str(error)
            if self._abandon.wait(self._retry_s):
                with self._mutex:
                    self._pending[:0] = batch
                return False
        self._stalled = ""
        began = time.perf_counter()
        self._log.sync()
        took = time.perf_counter() - began
        size = sum(item.size for item in batch)
        with self._mutex:
            self._batches += 1
            self._records += len(batch)
            self._bytes += size
            self._sync_s += took
            self._pending_bytes -= size + ROW_BYTES * len(batch)
            self._room.notify_all()
        records = [
            Record(first + i, kind, received_ns, topic, payload, mid)
            for i, (kind, received_ns, topic, payload, mid) in enumerate(rows)
        ]
        self._on_durable(records, [item.token for item in batch])
        return True

    def stop(self, *, drain: bool = True, timeout: float = 10.0) -> int:
        """End the thread; further submissions are refused.

        Parameters
        ----------
        drain
            Journal what is pending first; else only finish the batch at work.
        timeout
            How long to wait, s. A stalled log does not drain: then the rest is given up.

        Returns
        -------
        int
            Messages not journaled. They were not acknowledged either: the broker sends them again.

        Raises
        ------
        JournalError
            The thread had failed (chained), or is still at work in the system.
        """
        with self._mutex:
            self._stopping = True
            if not drain:
                self._abandon.set()
            self._work.notify_all()
            self._room.notify_all()
        self._thread.join(timeout)
        self._abandon.set()
        # woken from a stall it ends at once; in a sync it gets a moment more
        self._thread.join(max(1.0, self._retry_s))
        if self._thread.is_alive():
            raise JournalError(f"the journal thread is still at work after {timeout} s")
        if self._failed is not None:
            raise JournalError(f"the journal thread failed: {self._failed}") from self._failed
        with self._mutex:
            return len(self._pending)
