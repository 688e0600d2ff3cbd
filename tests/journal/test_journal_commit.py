"""Group commit: order, one sync a batch, back-pressure, stalls that heal, errors that stay."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from journal.commit import ROW_BYTES, GroupCommitter
from journal.log import SegmentedLog
from model.errors import JournalError, JournalFull
from model.records import Kind, Record

PATIENCE_S = 20.0
"""Longest that a test waits for another thread: only a failing test takes so long."""


class Sink:
    """What became durable, and a way to wait for it."""

    def __init__(self) -> None:
        self.batches: list[tuple[Sequence[Record], Sequence[Any]]] = []
        self.changed = threading.Condition()
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, records: Sequence[Record], tokens: Sequence[Any]) -> None:
        with self.changed:
            self.batches.append((records, tokens))
            self.changed.notify_all()
        assert self.gate.wait(PATIENCE_S)

    def records(self) -> list[Record]:
        return [record for records, _ in self.batches for record in records]

    def wait_for(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.records()) >= count, PATIENCE_S)


def wait_until(condition: Callable[[], object]) -> None:
    """Poll what no condition variable tells."""
    pause = threading.Event()
    for _ in range(int(PATIENCE_S / 0.002)):
        if condition():
            return
        pause.wait(0.002)
    pytest.fail("it did not happen")


class CountingLog(SegmentedLog):
    """The real log; counts, and may be told to refuse."""

    appends = 0
    syncs = 0
    refusal: Exception | None = None
    sync_refusal: Exception | None = None

    def append(self, records: Sequence[tuple[Kind, int, str, bytes, int]]) -> int:
        if self.refusal is not None:
            raise self.refusal
        self.appends += 1
        return super().append(records)

    def sync(self) -> None:
        if self.sync_refusal is not None:
            raise self.sync_refusal
        self.syncs += 1
        super().sync()


@contextmanager
def committing(
    directory: Path, sink: Callable[[Sequence[Record], Sequence[Any]], None], **options: Any
) -> Iterator[tuple[CountingLog, GroupCommitter]]:
    with CountingLog(directory) as log:
        committer = GroupCommitter(log, sink, **options)
        try:
            yield log, committer
        finally:
            sink_gate = getattr(sink, "gate", None)
            if sink_gate is not None:
                sink_gate.set()
            if committer.failed is None:
                committer.stop(drain=False, timeout=PATIENCE_S)


def message(n: int) -> bytes:
    return b"%d" % n


def test_one_append_and_one_sync_a_batch_in_order(tmp_path: Path) -> None:
    sink = Sink()
    with committing(tmp_path, sink, linger_s=PATIENCE_S, max_batch=100) as (log, committer):
        for n in range(250):
            assert committer.submit(Kind.MESSAGE, "t", message(n), n, token=f"token {n}")
        sink.wait_for(200)  # two full batches do not linger
        assert committer.stats.records == 200
        assert committer.stop(timeout=PATIENCE_S) == 0
        assert [len(records) for records, _ in sink.batches] == [100, 100, 50]
        assert (log.appends, log.syncs) == (3, 3)
        assert [r.payload for r in sink.records()] == [message(n) for n in range(250)]
        tokens = [token for _, batch in sink.batches for token in batch]
        assert tokens == [f"token {n}" for n in range(250)]
        assert list(log.read(0)) == sink.records()
        stats = committer.stats
        assert (stats.batches, stats.records, stats.pending, stats.pending_bytes) == (3, 250, 0, 0)
        assert stats.bytes == sum(len(message(n)) + 1 for n in range(250))
        assert stats.sync_s > 0
        assert not committer.submit(Kind.MESSAGE, "t", b"late")
        assert committer.stats.refused == 1


def test_a_lone_message_does_not_wait_for_company(tmp_path: Path) -> None:
    sink = Sink()
    with committing(tmp_path, sink) as (_, committer):
        assert committer.submit(Kind.TICK, "", b"")
        sink.wait_for(1)


def test_it_is_durable_before_it_is_handed_on(tmp_path: Path) -> None:
    order: list[tuple[int, int]] = []
    logs: list[CountingLog] = []

    def on_durable(records: Sequence[Record], tokens: Sequence[Any]) -> None:
        assert threading.current_thread().name == "journal"
        order.append((logs[0].syncs, logs[0].end))

    with committing(tmp_path, on_durable, linger_s=0.0, max_batch=1) as (log, committer):
        logs.append(log)
        for n in range(5):
            assert committer.submit(Kind.MESSAGE, "t", message(n))
        committer.stop(timeout=PATIENCE_S)
    assert order == [(n, n) for n in range(1, 6)]


def test_many_threads_keep_their_own_order(tmp_path: Path) -> None:
    sink = Sink()
    with committing(tmp_path, sink, max_batch=64, linger_s=0.001) as (log, committer):

        def send(who: int) -> None:
            for n in range(300):
                assert committer.submit(Kind.MESSAGE, str(who), message(n))

        threads = [threading.Thread(target=send, args=(who,)) for who in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        committer.stop(timeout=PATIENCE_S)
        records = list(log.read(0))
        for who in range(4):
            mine = [r.payload for r in records if r.topic == str(who)]
            assert mine == [message(n) for n in range(300)]
        assert records == sink.records()
        stamps = [record.received_ns for record in records]
        assert stamps == sorted(stamps)


def test_stamps_never_fall(tmp_path: Path) -> None:
    sink = Sink()
    clock = iter([100, 105, 90, 106])
    with committing(tmp_path, sink, clock_ns=lambda: next(clock), not_before_ns=101) as (
        _,
        committer,
    ):
        committer.submit(Kind.TICK, "", b"")  # 100
        committer.submit(Kind.TICK, "", b"")  # 105
        committer.submit(Kind.TICK, "", b"")  # 90
        committer.submit(Kind.TICK, "", b"", received_ns=104)
        committer.submit(Kind.TICK, "", b"")  # 106
        committer.submit(Kind.TICK, "", b"", received_ns=200)
        committer.stop(timeout=PATIENCE_S)
        assert [r.received_ns for r in sink.records()] == [101, 105, 105, 105, 106, 200]
        assert committer.stats.clock_back_ns == 15


def test_bound_refuses_counts_and_gives_way(tmp_path: Path) -> None:
    sink = Sink()
    sink.gate.clear()
    cost = ROW_BYTES + 1 + 100
    with committing(tmp_path, sink, linger_s=0, max_pending_bytes=3 * cost) as (_, committer):
        assert committer.submit(Kind.MESSAGE, "t", bytes(100))
        sink.wait_for(1)  # the thread is busy handing it on; what follows piles up
        for _ in range(3):
            assert committer.submit(Kind.MESSAGE, "t", bytes(100))
        assert not committer.submit(Kind.MESSAGE, "t", bytes(100))
        assert not committer.submit(Kind.MESSAGE, "t", bytes(100), wait_s=0.01)
        stats = committer.stats
        assert (stats.refused, stats.waits, stats.pending) == (2, 1, 3)
        assert stats.pending_bytes == 3 * cost
        taken: list[bool] = []
        waiter = threading.Thread(
            # waits longer than we do: so it must be woken, not find room when its time is up
            target=lambda: taken.append(
                committer.submit(Kind.MESSAGE, "t", b"waited", wait_s=10 * PATIENCE_S)
            ),
            daemon=True,
        )
        waiter.start()
        wait_until(lambda: committer.stats.waits == 2)
        sink.gate.set()
        waiter.join(PATIENCE_S)
        assert taken == [True]
        sink.wait_for(5)
        assert sink.records()[-1].payload == b"waited"


def test_a_message_longer_than_the_bound_is_taken_alone(tmp_path: Path) -> None:
    sink = Sink()
    with committing(tmp_path, sink, max_pending_bytes=1000) as (_, committer):
        assert committer.submit(Kind.MESSAGE, "t", bytes(5000))
        sink.wait_for(1)
        assert committer.submit(Kind.MESSAGE, "t", bytes(5000), wait_s=PATIENCE_S)
        sink.wait_for(2)


def test_full_budget_stalls_and_heals_without_loss(tmp_path: Path) -> None:
    sink = Sink()
    with SegmentedLog(tmp_path, budget_bytes=20_000) as log:
        committer = GroupCommitter(
            log, sink, linger_s=0, max_batch=10, max_pending_bytes=20_000, retry_s=0.01
        )
        sent = 0
        while not committer.stalled:
            if committer.submit(Kind.MESSAGE, "t", bytes(300), token=sent, wait_s=0.05):
                sent += 1
        assert "budget of 20000 bytes" in committer.stalled
        while committer.submit(Kind.MESSAGE, "t", bytes(300), token=sent):
            sent += 1  # until the bound: nothing is acknowledged, and nothing is dropped
        durable = log.end
        assert committer.stats.stalls > 0
        assert len(sink.records()) == durable < sent
        assert committer.failed is None
        log.release(durable)
        sink.wait_for(sent)
        assert committer.stop(timeout=PATIENCE_S) == 0
        assert committer.stalled == ""
        assert [token for _, batch in sink.batches for token in batch] == list(range(sent))
        assert [r.offset for r in sink.records()] == list(range(sent))


def test_stop_while_stalled_gives_the_rest_up_and_says_how_many(tmp_path: Path) -> None:
    sink = Sink()
    with committing(tmp_path, sink, linger_s=0, retry_s=30) as (log, committer):
        log.refusal = JournalFull("no room")
        assert committer.submit(Kind.MESSAGE, "t", b"1")
        wait_until(lambda: committer.stalled)
        assert committer.submit(Kind.MESSAGE, "t", b"2")
        assert committer.stop(timeout=0.05) == 2
        assert committer.stalled == "no room"
        assert sink.batches == []


def test_stop_without_draining_leaves_the_pending(tmp_path: Path) -> None:
    sink = Sink()
    with committing(tmp_path, sink, linger_s=PATIENCE_S) as (log, committer):
        for n in range(3):
            assert committer.submit(Kind.MESSAGE, "t", message(n))
        assert committer.stop(drain=False, timeout=PATIENCE_S) == 3
        assert log.end == 0


def test_failed_sync_is_not_acknowledged_and_never_vanishes(tmp_path: Path) -> None:
    sink = Sink()
    with committing(tmp_path, sink, linger_s=0) as (log, committer):
        refusal = log.sync_refusal = JournalError("cannot sync: Input/output error")
        assert committer.submit(Kind.MESSAGE, "t", b"1")
        wait_until(lambda: committer.failed)
        assert sink.batches == []
        wait_until(lambda: not committer.submit(Kind.MESSAGE, "t", b"2"))
        for _ in range(2):
            with pytest.raises(JournalError, match="thread failed: cannot sync") as caught:
                committer.stop()
            assert caught.value.__cause__ is refusal
        log.sync_refusal = None  # closing the log syncs too


def test_error_in_the_hand_over_never_vanishes(tmp_path: Path) -> None:
    entered, gate = threading.Event(), threading.Event()

    def broken(records: Sequence[Record], tokens: Sequence[Any]) -> None:
        entered.set()
        assert gate.wait(PATIENCE_S)
        raise LookupError("nobody there")

    with committing(tmp_path, broken, linger_s=0, max_pending_bytes=100) as (log, committer):
        assert committer.submit(Kind.MESSAGE, "t", b"1")
        assert entered.wait(PATIENCE_S)
        assert committer.submit(Kind.MESSAGE, "t", b"2")
        taken: list[bool] = []
        waiter = threading.Thread(
            target=lambda: taken.append(
                committer.submit(Kind.MESSAGE, "t", b"3", wait_s=10 * PATIENCE_S)
            ),
            daemon=True,
        )
        waiter.start()
        wait_until(lambda: committer.stats.waits == 1)
        gate.set()
        waiter.join(PATIENCE_S)
        assert taken == [False]  # who waits for room is let go when the thread ends
        with pytest.raises(JournalError, match="nobody there"):
            committer.stop()
        assert log.end == 1


def test_what_can_never_be_stored_is_refused_at_once(tmp_path: Path) -> None:
    sink = Sink()
    with committing(tmp_path, sink) as (_, committer):
        with pytest.raises(JournalError, match="topic of 70000 bytes"):
            committer.submit(Kind.MESSAGE, "x" * 70_000, b"")
        with pytest.raises(JournalError, match="packet identifier"):
            committer.submit(Kind.MESSAGE, "x", b"", mid=70_000)
        assert committer.submit(Kind.MESSAGE, "x", b"")
        sink.wait_for(1)
    with (
        SegmentedLog(tmp_path / "other") as log,
        pytest.raises(ValueError, match="max_batch"),
    ):
        GroupCommitter(log, sink, max_batch=0)
