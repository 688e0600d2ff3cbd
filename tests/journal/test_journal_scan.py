"""A scan tells what can be read and what cannot, to the record, and touches nothing."""

from pathlib import Path
from tempfile import TemporaryDirectory

import google_crc32c
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal.log import SegmentedLog
from journal.scan import Flaw, payload_of, scan, total_bytes
from journal.segment import HEADER, Frame
from model.records import Kind
from tests.journal.support import record, rows, segments, write_log


def seen_by(folder):
    found = {}

    def visit(frame: Frame, data: bytes) -> None:
        topic, payload = payload_of(frame, data)
        found[frame.offset] = (frame.received_ns, topic, payload)

    return scan(folder, visit), found


def expected(offsets):
    return {at: (record(at).received_ns, record(at).topic, record(at).payload) for at in offsets}


def test_a_whole_log(tmp_path) -> None:
    write_log(tmp_path, [7] * 20, segment_bytes=1000)
    done: list[int] = []
    result = scan(tmp_path, progress=done.append)
    assert (result.start, result.end, result.records) == (0, 140, 140)
    assert result.kinds == {Kind.MESSAGE: 140}
    assert (result.first_ns, result.last_ns) == (record(0).received_ns, record(139).received_ns)
    assert result.problems == []
    assert sum(done) == result.bytes == total_bytes(tmp_path)
    assert result.segments == len(segments(tmp_path)) > 3
    assert seen_by(tmp_path)[1] == expected(range(140))


def test_no_log_at_all(tmp_path) -> None:
    assert scan(tmp_path / "none").records == 0


@settings(max_examples=300)
@given(st.integers(0, 2**20), st.integers(0, 7))
def test_a_flipped_bit_costs_one_record_and_is_named(place, bit) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_log(folder, [6] * 10, segment_bytes=700)
        files = segments(folder)
        place %= total_bytes(folder)
        index = 0
        while place >= files[index].stat().st_size:
            place -= files[index].stat().st_size
            index += 1
        data = bytearray(files[index].read_bytes())
        data[place] ^= 1 << bit
        files[index].write_bytes(data)
        before = {path: path.read_bytes() for path in folder.iterdir()}
        result, found = seen_by(folder)
        (problem,) = result.problems
        assert problem.path == files[index]
        assert found == expected(found)  # nothing is read that was not written
        assert problem.byte <= place
        missing = set(range(60)) - set(found)
        firsts = [int(path.stem) for path in files]
        if place < HEADER.size and index < len(files) - 1:
            # No record of the segment can be told from noise.
            assert missing == set(range(firsts[index], firsts[index + 1]))
            assert (problem.first, problem.stop) == (firsts[index], firsts[index + 1])
        elif place >= HEADER.size:
            assert missing <= {problem.first}
            if problem.flaw == Flaw.DAMAGED:
                assert (problem.first, problem.stop) == (min(missing), min(missing) + 1)
                assert problem.before_ns == (
                    record(problem.first - 1).received_ns if problem.first else 0
                )
            else:  # the very last record: it cannot be told from a torn append
                assert problem.flaw == Flaw.TORN
                assert missing == {59}
        assert before == {path: path.read_bytes() for path in folder.iterdir()}


def test_an_end_cut_at_every_byte_is_torn_and_never_damage(tmp_path) -> None:
    last = write_log(tmp_path, [1] * 4)
    data = last.read_bytes()
    for length in range(len(data)):
        last.write_bytes(data[:length])
        result, found = seen_by(tmp_path)
        assert found == expected(found)
        assert all(problem.flaw == Flaw.TORN for problem in result.problems)
        assert result.end == len(found)


def test_a_segment_that_is_gone_and_one_of_another_version(tmp_path) -> None:
    write_log(tmp_path, [6] * 10, segment_bytes=700)
    files = segments(tmp_path)
    gone, other = files[1], files[3]
    gone.unlink()
    data = bytearray(other.read_bytes())
    data[8] = 9
    body = bytes(data[: HEADER.size - 4])
    data[HEADER.size - 4 : HEADER.size] = google_crc32c.value(body).to_bytes(4, "little")
    other.write_bytes(data)
    problems = scan(tmp_path).problems
    firsts = [int(path.stem) for path in files]
    assert [(one.flaw, one.first, one.stop) for one in problems] == [
        (Flaw.MISSING, firsts[1], firsts[2]),
        (Flaw.UNKNOWN, firsts[3], firsts[3]),
        (Flaw.MISSING, firsts[3], firsts[4]),
    ]
    assert "version 9" in problems[1].text


def test_beside_a_writer_at_work_nothing_is_ever_wrong(tmp_path) -> None:
    with SegmentedLog(tmp_path, segment_bytes=900, durable=False) as log:
        for count in range(40):
            log.append(rows(log.end, log.end + 5))
            result = scan(tmp_path)
            assert result.problems == []
            assert result.end == 5 * count + 5
        log.release(100)
        assert scan(tmp_path).start == log.start > 0


def test_a_writer_that_rolls_while_it_is_read(tmp_path, monkeypatch) -> None:
    """The last segment is read, grows, and gets a successor before the next look."""
    with SegmentedLog(tmp_path, segment_bytes=900, durable=False) as log:
        log.append(rows(0, 5))
        real = Path.read_bytes
        grown: list[Path] = []

        def read_bytes(path):
            data = real(path)
            if not grown:
                grown.append(path)
                for _ in range(6):
                    log.append(rows(log.end, log.end + 5))
            return data

        monkeypatch.setattr(Path, "read_bytes", read_bytes)
        result = scan(tmp_path)
        assert len(segments(tmp_path)) > 1
        assert (result.problems, result.end) == ([], 35)


@pytest.mark.parametrize("kind", [Kind.OUTPUT, Kind.RECEIPTS])
def test_kinds_are_counted(tmp_path, kind) -> None:
    with SegmentedLog(tmp_path, durable=False) as log:
        log.append([(kind, 5, "", b"x", 0)] * 3)
    assert scan(tmp_path).kinds == {kind: 3}
