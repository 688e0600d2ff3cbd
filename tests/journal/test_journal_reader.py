"""Readers beside a writer: only what is complete is seen, in order, across segments and crashes."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from journal.log import SegmentedLog
from journal.reader import (
    CHUNK_BYTES,
    INDEX_BYTES,
    LogReader,
    OffsetBeyondEnd,
    OffsetReleased,
    _Index,
)
from journal.segment import HEADER, encode_header, encode_rows, segment_name
from model.errors import JournalCorrupt, JournalError
from model.records import Kind
from tests.journal.support import first_segment, record, records, rows, segments, write_log

SALT = b"saltsalt"
ROOT = Path(__file__).parents[2]


def encoded(first: int, stop: int, attempt: int = 0) -> bytes:
    """The bytes of one append in a log whose salt is `SALT`."""
    wanted = rows(first, stop)
    topics = [topic.encode() for _, _, topic, _, _ in wanted]
    _, seed = encode_header(0, SALT)
    return encode_rows(wanted, topics, first=first, durable=0, attempt=attempt, seed=seed)


def test_a_log_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    with LogReader(tmp_path / "later") as reader:
        assert (reader.start(), reader.end(), reader.read(0)) == (0, 0, [])
        with pytest.raises(OffsetBeyondEnd, match="offset 3 lies beyond the log's end, 0"):
            reader.read(3)
        with SegmentedLog(tmp_path / "later") as log:
            log.append(rows(0, 2))
            assert reader.read(0) == records(0, 2)
            assert reader.end() == 2


def test_limits_and_any_order(tmp_path: Path) -> None:
    write_log(tmp_path, [50] * 8, segment_bytes=4000)
    assert len(segments(tmp_path)) > 3
    with LogReader(tmp_path) as reader:
        assert reader.end() == 400
        generator = random.Random(1)
        for _ in range(300):
            offset = generator.randrange(401)
            count = generator.randint(1, 30)
            found = reader.read(offset, max_records=count)
            assert found == records(offset, offset + len(found))
            assert (0 < len(found) <= count) == (offset < 400)
        assert [r.offset for r in reader.read(20, max_bytes=1)] == [20]
        payloads = [len(r.payload) for r in records(20, 400)]
        taken = reader.read(20, max_bytes=sum(payloads[:10]))
        assert sum(len(r.payload) for r in taken) <= sum(payloads[:10])
        assert len(taken) >= 10
        for wrong in (401, 10**12):
            with pytest.raises(OffsetBeyondEnd):
                reader.read(wrong)
        assert reader.read(400) == []


def test_sequential_reading_reads_each_byte_about_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SegmentedLog(tmp_path, durable=False) as log:
        for first in range(0, 60_000, 200):
            log.append(rows(first, first + 200))
        size = log.size_bytes
    assert size > 4 * CHUNK_BYTES
    got = 0
    real = os.pread

    def counted(fd: int, length: int, position: int) -> bytes:
        nonlocal got
        data = real(fd, length, position)
        got += len(data)
        return data

    monkeypatch.setattr(os, "pread", counted)
    with LogReader(tmp_path) as reader:
        offset = 0
        while batch := reader.read(offset, max_records=37):
            assert batch[0].offset == offset
            offset += len(batch)
        assert offset == 60_000
        assert got < 1.1 * size
        got = 0
        assert reader.read(59_000, max_records=5) == records(59_000, 59_005)
        assert reader.read(30_000, max_records=5) == records(30_000, 30_005)
        assert got <= 4 * CHUNK_BYTES


def test_records_longer_than_what_is_read_at_a_time(tmp_path: Path) -> None:
    long = bytes(range(256)) * (3 * CHUNK_BYTES // 256)
    with SegmentedLog(tmp_path) as log, LogReader(tmp_path) as reader:
        log.append(rows(0, 2))
        log.append([(Kind.OUTPUT, 5, "", long, 0)] * 3)
        assert reader.read(0, max_records=2) == records(0, 2)
        assert [r.payload for r in reader.read(2, max_bytes=len(long))] == [long]
        assert [r.payload for r in reader.read(2, max_bytes=10 * len(long))] == [long] * 3


def test_an_append_is_seen_only_when_it_is_complete(tmp_path: Path) -> None:
    header, _ = encode_header(0, SALT)
    path = first_segment(tmp_path)
    first, second = encoded(0, 4), encoded(4, 7)
    path.write_bytes(header)
    with LogReader(tmp_path) as reader:
        for length in range(len(first)):
            path.write_bytes(header + first[:length])
            assert reader.read(0) == []
            assert reader.end() == 0
        path.write_bytes(header + first)
        assert reader.read(0) == records(0, 4)
        for length in range(len(second)):
            path.write_bytes(header + first + second[:length])
            assert reader.read(4) == []
        path.write_bytes(header + first + second)
        assert reader.read(4) == records(4, 7)


def test_whole_records_of_a_killed_append_appear_with_the_next_one(tmp_path: Path) -> None:
    header, _ = encode_header(0, SALT)
    first_segment(tmp_path).write_bytes(header + encoded(0, 9)[: len(encoded(0, 4)) + 17])
    with LogReader(tmp_path) as reader:
        assert reader.read(0) == []
        with SegmentedLog(tmp_path, segment_bytes=10**6) as log:
            assert log.recovered.truncated_bytes == 17
            assert log.end == 4
            assert list(log.read(0)) == records(0, 4)  # the writer knows that they stay
            assert reader.read(0) == []
            assert reader.read(4) == []  # the writer's end is no error
            log.append(rows(4, 6))
            assert reader.read(0) == records(0, 6)


def test_whole_records_of_a_killed_append_appear_with_the_next_segment(tmp_path: Path) -> None:
    header, _ = encode_header(0, SALT)
    first_segment(tmp_path).write_bytes(header + encoded(0, 9)[: len(encoded(0, 4)) + 17])
    with LogReader(tmp_path) as reader, SegmentedLog(tmp_path, segment_bytes=100) as log:
        log.append(rows(4, 5))
        assert len(segments(tmp_path)) == 2
        assert reader.read(0) == records(0, 5)


def test_append_replaced_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer took a failed append back and wrote another while one read was under way."""
    header, _ = encode_header(0, SALT)
    old = encoded(0, 9, attempt=0)
    _, seed = encode_header(0, SALT)
    changed = [(kind, 5, topic, payload, mid) for kind, _, topic, payload, mid in rows(0, 9)]
    new = encode_rows(
        changed, [r[2].encode() for r in changed], first=0, durable=0, attempt=1, seed=seed
    )
    assert len(old) == len(new)
    seam = len(encoded(0, 5))
    first_segment(tmp_path).write_bytes(header + new)
    real, mixed = os.pread, [header + old[:seam] + new[seam:]]

    def torn(fd: int, length: int, position: int) -> bytes:
        if mixed and length == CHUNK_BYTES:
            return mixed.pop()[position:]
        return real(fd, length, position)

    monkeypatch.setattr(os, "pread", torn)
    with LogReader(tmp_path) as reader:
        assert [r.received_ns for r in reader.read(0)] == [5] * 9
    assert not mixed


def test_released_offsets_and_a_reader_in_a_released_segment(tmp_path: Path) -> None:
    with SegmentedLog(tmp_path, segment_bytes=400) as log, LogReader(tmp_path) as reader:
        for first in range(0, 60, 3):
            log.append(rows(first, first + 3))
        assert reader.read(0, max_records=1) == [record(0)]
        log.release(30)
        start = log.start
        assert 0 < start <= 30
        assert reader.start() == start
        with LogReader(tmp_path) as fresh:
            with pytest.raises(OffsetReleased, match=f"offset 4 was released.* {start}$") as caught:
                fresh.read(4)
            assert caught.value.start == start
            assert fresh.read(start, max_records=3) == records(start, start + 3)
        at_one = reader.read(1)
        assert at_one == records(1, 1 + len(at_one))  # its file is open still
        with pytest.raises(OffsetReleased, match=f"offset {1 + len(at_one)} was released"):
            reader.read(1 + len(at_one))


def test_log_that_was_exchanged_is_an_error_not_silence(tmp_path: Path) -> None:
    write_log(tmp_path / "a", [5])
    with LogReader(tmp_path / "a") as reader:
        assert len(reader.read(0)) == 5
        path = first_segment(tmp_path / "a")
        path.rename(tmp_path / "old")
        with pytest.raises(JournalError, match="removed"):
            reader.read(5)
        write_log(tmp_path / "a", [2])
        with pytest.raises(JournalError, match="replaced"):
            reader.read(5)
    with LogReader(tmp_path / "a") as reader:
        assert len(reader.read(0)) == 2
        path.write_bytes(path.read_bytes()[: HEADER.size + 10])
        with pytest.raises(JournalError, match="cut below offset 2"):
            reader.read(2)


def test_next_segment_whose_header_is_not_written_yet(tmp_path: Path) -> None:
    write_log(tmp_path, [5])
    following = tmp_path / segment_name(5)
    header, _ = encode_header(5, SALT)
    with LogReader(tmp_path) as reader:
        assert reader.read(0) == records(0, 5)
        for length in range(HEADER.size):
            following.write_bytes(header[:length])
            assert reader.read(5) == []
            assert reader.end() == 5
        following.write_bytes(bytes(HEADER.size + 8))
        with pytest.raises(JournalCorrupt, match=r"00005\.seg: its header is damaged"):
            reader.read(5)


def test_record_of_an_unknown_kind_is_named(tmp_path: Path) -> None:
    header, seed = encode_header(0, SALT)
    unknown: Kind = 99  # type: ignore[assignment] # what a newer program may write
    data = encode_rows([(unknown, 0, "", b"", 0)], [b""], first=0, durable=0, attempt=0, seed=seed)
    first_segment(tmp_path).write_bytes(header + data)
    with LogReader(tmp_path) as reader, pytest.raises(JournalError, match="offset 0 has kind 99"):
        reader.read(0)


WRITER = """
import random, sys
from pathlib import Path
from journal.log import SegmentedLog
from tests.journal.support import rows

log = SegmentedLog(Path(sys.argv[1]), segment_bytes=300_000, durable=False)
print(log.recovered.truncated_bytes, flush=True)
lengths = random.Random(log.end)
while True:
    length = lengths.choice([1, 5, 50, 800])
    log.append(rows(log.end, log.end + length))
"""


def test_reader_beside_a_writer_that_is_killed_again_and_again(tmp_path: Path) -> None:
    """Every record is seen once, whole and in order, and none that a restart takes back."""
    directory = tmp_path / "outputs"
    generator = random.Random(7)
    seen = 0
    with LogReader(directory) as reader:
        for _ in range(15):
            child = subprocess.Popen(
                [sys.executable, "-c", WRITER, str(directory)], cwd=ROOT, stdout=subprocess.PIPE
            )
            try:
                goal = seen + generator.randint(200, 8000)
                deadline = time.monotonic() + 30
                while seen < goal:
                    batch = reader.read(seen, max_records=generator.choice([1, 100, 5000]))
                    assert batch == records(seen, seen + len(batch))
                    seen += len(batch)
                    assert time.monotonic() < deadline, "the writer made no progress"
                    assert child.poll() is None, "the writer ended by itself"
            finally:
                child.send_signal(signal.SIGKILL)
                child.communicate()
        while batch := reader.read(seen):
            assert batch == records(seen, seen + len(batch))
            seen += len(batch)
        with SegmentedLog(directory, durable=False) as log:
            assert log.end >= seen
            assert len(segments(directory)) > 1
            end = log.end
            log.append(rows(end, end + 1))
            rest = reader.read(seen, max_records=10**6)
            assert rest == records(seen, end + 1)


def test_the_index_of_a_reader_that_follows_for_long_stays_small():
    index = _Index(0)
    for entry in range(10_000):
        index.add(entry * 100, (entry + 2) * INDEX_BYTES)
    assert index.find(555_555) == (555_500, (5_555 + 2) * INDEX_BYTES)
    taken = sys.getsizeof(index.offsets) + sys.getsizeof(index.positions)
    assert taken / len(index.offsets) < 20  # bytes: two machine words, and room to grow
