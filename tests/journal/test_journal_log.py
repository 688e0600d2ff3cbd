"""The writer: order, segments, budget, full disks, the lock."""

import errno
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from journal.disk import sync_file
from journal.log import SegmentedLog
from journal.reader import LogReader, OffsetReleased
from journal.segment import HEADER
from model.errors import JournalCorrupt, JournalError, JournalFull
from model.ports import Log
from tests.journal.support import first_segment, record, records, row, rows, segments


def fill(log: SegmentedLog, length: int) -> None:
    """Append until the log refuses."""
    while True:
        log.append(rows(log.end, log.end + length))


def test_it_is_a_log(tmp_path: Path) -> None:
    with SegmentedLog(tmp_path / "deep" / "journal") as log:
        port: Log = log
        assert (port.end, log.start, log.size_bytes) == (0, 0, 0)
        assert list(port.read(0)) == []
        assert port.append([]) == 0
        assert port.append(rows(0, 3)) == 0
        assert port.append(rows(3, 5)) == 3
        port.sync()
        assert port.end == 5
        assert list(port.read(0)) == records(0, 5)
        assert list(port.read(4)) == [record(4)]
        assert list(port.read(5)) == []
        with pytest.raises(JournalError, match="offset 6 lies beyond the log's end, 5"):
            list(port.read(6))
        with pytest.raises(JournalError, match="offset -1"):
            list(port.read(-1))
    with SegmentedLog(tmp_path / "deep" / "journal") as log:
        assert log.end == 5
        assert (log.recovered.truncated_bytes, log.recovered.segment) == (0, "")
        assert log.append(rows(5, 6)) == 5
        assert list(log.read(0)) == records(0, 6)


def test_segments_roll_and_are_released_whole(tmp_path: Path) -> None:
    with SegmentedLog(tmp_path, segment_bytes=1000) as log:
        for first in range(0, 200, 4):
            log.append(rows(first, first + 4))
        names = segments(tmp_path)
        assert len(names) > 10
        assert all(path.stat().st_size <= 1000 for path in names)
        assert log.size_bytes == sum(path.stat().st_size for path in names)
        firsts = [int(path.stem) for path in names]
        before = log.size_bytes
        assert log.release(firsts[1] - 1) == 0
        assert log.release(firsts[3]) == before - log.size_bytes > 0
        assert log.start == firsts[3]
        assert [int(path.stem) for path in segments(tmp_path)] == firsts[3:]
        assert list(log.read(firsts[3])) == records(firsts[3], 200)
        with pytest.raises(OffsetReleased, match=f"offset 2 was released.*{firsts[3]}"):
            list(log.read(2))
        assert log.release(10**9, enough_bytes=0) == 0
        first, second = (path.stat().st_size for path in segments(tmp_path)[:2])
        assert log.release(10**9, enough_bytes=first + 1) == first + second
        assert log.start == firsts[5]
        log.release(10**9)
        assert len(segments(tmp_path)) == 1
        assert log.end == 200
    with SegmentedLog(tmp_path, segment_bytes=1000) as log:
        assert (log.start, log.end) == (firsts[-1], 200)


def test_an_append_longer_than_a_segment_stays_whole(tmp_path: Path) -> None:
    with SegmentedLog(tmp_path, segment_bytes=500) as log:
        log.append(rows(0, 1))
        log.append(rows(1, 100))
        log.append(rows(100, 101))
        assert [int(path.stem) for path in segments(tmp_path)] == [0, 1, 100]
        assert list(log.read(0)) == records(0, 101)


def test_second_writer_is_turned_away_with_the_holder(tmp_path: Path) -> None:
    with SegmentedLog(tmp_path):
        with pytest.raises(JournalError) as caught:
            SegmentedLog(tmp_path)
        assert f"pid {os.getpid()}" in str(caught.value)
        assert str(tmp_path) in str(caught.value)
        code = "import sys; from pathlib import Path; from journal.log import SegmentedLog\n"
        code += "SegmentedLog(Path(sys.argv[1]))"
        child = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
        )
        assert f"JournalError: {tmp_path}: another process (pid {os.getpid()})" in child.stderr
    SegmentedLog(tmp_path).close()


def test_budget_is_kept_and_heals_by_release(tmp_path: Path) -> None:
    budget = 8000
    with SegmentedLog(tmp_path, budget_bytes=budget) as log:
        assert log.segment_bytes == budget // 4
        with pytest.raises(JournalFull, match="budget of 8000 bytes") as caught:
            fill(log, 3)
        assert str(tmp_path) in str(caught.value)
        end = log.end
        assert budget * 0.9 < log.size_bytes <= budget
        with pytest.raises(JournalFull):
            log.append(rows(end, end + 3))
        assert log.release(end // 2) > 0
        log.append(rows(end, end + 3))
        assert list(log.read(log.start)) == records(log.start, end + 3)


@pytest.fixture
def file_limit() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_short_write_is_taken_back_and_heals(tmp_path: Path, file_limit: None) -> None:
    """RLIMIT_FSIZE makes the kernel write a part, then fail (`setrlimit(2)`)."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with SegmentedLog(tmp_path, durable=False) as log, LogReader(tmp_path) as reader:
        log.append(rows(0, 40))
        size = log.size_bytes
        for room in (0, 1, 39, 40, 200, 500):
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + room, hard))
            with pytest.raises(JournalFull, match="cannot append"):
                log.append(rows(40, 60))
            assert first_segment(tmp_path).stat().st_size == size
            assert log.end == 40
            assert reader.read(0) == records(0, 40)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        assert log.append(rows(40, 60)) == 40
        assert reader.read(0) == records(0, 60)
        data = first_segment(tmp_path).read_bytes()
        # by this a reader tells the append from the six that were taken back
        assert [data[at + 7] for at in (HEADER.size, size)] == [0, 6]
    with SegmentedLog(tmp_path) as log:
        assert log.recovered.truncated_bytes == 0
        assert log.end == 60


def test_roll_on_a_full_disk_leaves_no_segment_behind(tmp_path: Path, file_limit: None) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with SegmentedLog(tmp_path, segment_bytes=300) as log:
        log.append(rows(0, 4))
        resource.setrlimit(resource.RLIMIT_FSIZE, (16, hard))
        with pytest.raises(JournalFull, match="cannot make the segment"):
            log.append(rows(4, 8))
        assert segments(tmp_path) == [first_segment(tmp_path)]
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        log.append(rows(4, 8))
        assert list(log.read(0)) == records(0, 8)


def test_full_file_system_heals(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    mount = tmp_path / "small"
    mount.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(mount)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    try:
        with (
            SegmentedLog(mount / "journal", segment_bytes=32 * 1024) as log,
            LogReader(mount / "journal") as reader,
        ):
            with pytest.raises(JournalFull, match="No space left"):
                fill(log, 50)
            end = log.end
            assert reader.read(0, 10**6) == records(0, end)
            for _ in range(3):
                with pytest.raises(JournalFull):
                    log.append(rows(end, end + 50))
            log.sync()
            assert log.release(end // 2) > 0
            for _ in range(20):
                log.append(rows(log.end, log.end + 50))
            assert list(log.read(log.start)) == records(log.start, end + 1000)
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_failed_cut_is_made_good_before_the_next_append(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SegmentedLog(tmp_path) as log, LogReader(tmp_path) as reader:
        log.append(rows(0, 3))
        write = os.write

        def half(fd: int, data: memoryview) -> int:
            if len(data) < 400:  # the second try of the same append
                raise OSError(errno.EIO, "Input/output error")
            return write(fd, data[: len(data) - 300])

        def refuse(fd: int, length: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", half)
            patch.setattr(os, "ftruncate", refuse)
            with pytest.raises(JournalError, match="cannot cut back"):
                log.append(rows(3, 13))
            with pytest.raises(JournalError, match="cannot cut back"):
                log.append(rows(3, 13))
        assert reader.read(0) == records(0, 3)  # whole records of a failed append stay invisible
        assert log.append(rows(3, 5)) == 3
        assert reader.read(0) == records(0, 5)
        assert list(log.read(0)) == records(0, 5)


def test_interrupt_in_the_middle_of_a_write_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SegmentedLog(tmp_path) as log:
        log.append(rows(0, 3))
        write = os.write

        def interrupted(fd: int, data: memoryview) -> int:
            write(fd, data[:70])
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", interrupted)
            with pytest.raises(KeyboardInterrupt):
                log.append(rows(3, 6))
        log.append(rows(3, 6))
        assert list(log.read(0)) == records(0, 6)


def test_failed_sync_closes_the_log_until_it_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with SegmentedLog(tmp_path) as log:
        log.append(rows(0, 3))
        with monkeypatch.context() as patch:
            patch.setattr("journal.log.sync_file", refuse)
            with pytest.raises(JournalError, match="cannot sync"):
                log.sync()
        for call in (log.sync, lambda: log.append(rows(3, 4))):
            with pytest.raises(JournalError, match="open the log again"):
                call()
    with SegmentedLog(tmp_path) as log:
        assert log.append(rows(3, 4)) == 3


def test_sync_is_one_call_and_only_where_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def counted(fd: int) -> None:
        calls.append(fd)
        sync_file(fd)

    monkeypatch.setattr("journal.log.sync_file", counted)
    with SegmentedLog(tmp_path / "a") as log:
        log.append(rows(0, 3))
        calls.clear()
        log.append(rows(3, 6))
        log.sync()
        log.sync()
        assert len(calls) == 1
    with SegmentedLog(tmp_path / "b", durable=False) as log:
        log.append(rows(0, 3))
        calls.clear()
        log.sync()
        assert not calls
    assert not calls


@pytest.mark.parametrize("durable", [True, False])
def test_a_segment_is_on_the_disk_before_its_successor_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    seen: list[tuple[int, int]] = []

    def noted(fd: int) -> None:
        seen.append((os.fstat(fd).st_ino, len(segments(tmp_path))))
        sync_file(fd)

    with SegmentedLog(tmp_path, segment_bytes=300, durable=durable) as log:
        log.append(rows(0, 4))
        old = first_segment(tmp_path).stat().st_ino
        monkeypatch.setattr("journal.log.sync_file", noted)
        log.append(rows(4, 8))
        assert seen == [(old, 1), (segments(tmp_path)[1].stat().st_ino, 2)]


def test_refused_rows_leave_the_log_as_it_was(tmp_path: Path) -> None:
    with SegmentedLog(tmp_path) as log:
        kind, received_ns, _, payload, mid = row(0)
        with pytest.raises(JournalError, match="topic of 70000 bytes"):
            log.append([row(0), (kind, received_ns, "x" * 70_000, payload, mid)])
        assert (log.end, log.size_bytes) == (0, 0)
        log.append(rows(0, 2))
        assert list(log.read(0)) == records(0, 2)


def test_closed_log_says_so(tmp_path: Path) -> None:
    log = SegmentedLog(tmp_path)
    log.append(rows(0, 1))
    log.close()
    log.close()
    with pytest.raises(JournalError, match="is closed"):
        log.append(rows(1, 2))


def test_unusable_places_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="file"):
        SegmentedLog(tmp_path / "file")
    with pytest.raises(ValueError, match="segment_bytes"):
        SegmentedLog(tmp_path / "log", segment_bytes=10)


def test_missing_segment_in_the_middle_is_corruption(tmp_path: Path) -> None:
    with SegmentedLog(tmp_path, segment_bytes=300) as log:
        for first in range(0, 40, 4):
            log.append(rows(first, first + 4))
        victim = segments(tmp_path)[2]
        victim.unlink()
        with pytest.raises(JournalCorrupt, match=f"ends at offset {int(victim.stem)}"):
            list(log.read(0))


def test_appends_go_on_while_another_thread_syncs_and_are_not_taken_for_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    synced: list[int] = []

    def slow(fd: int) -> None:
        begun.set()
        assert go_on.wait(30.0)
        sync_file(fd)
        synced.append(fd)

    with SegmentedLog(tmp_path, segment_bytes=1000) as log:
        log.append(rows(0, 4))
        monkeypatch.setattr("journal.log.sync_file", slow)
        syncing = threading.Thread(target=log.sync)
        syncing.start()
        assert begun.wait(30.0)
        monkeypatch.setattr("journal.log.sync_file", sync_file)
        while log.end < 100:  # also into further segments
            log.append(rows(log.end, log.end + 4))
        rolled = log._durable_end
        assert 4 < rolled < log.end
        go_on.set()
        syncing.join(30.0)
        assert synced
        assert (log._durable_end, log._dirty) == (rolled, True)
        log.sync()
        assert (log._durable_end, log._dirty) == (log.end, False)
        assert list(log.read(0)) == records(0, log.end)
