"""Torn ends, flipped bits, power cuts: nothing wrong is ever returned, nothing good lost silently.

`write_log(directory, [2, 1, 3])` makes three synced appends of 2, 1 and 3 records.
"""

import random
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal.log import SegmentedLog
from journal.reader import LogReader
from journal.segment import FRAME, HEADER, encode_rows
from model.errors import JournalCorrupt
from model.records import Kind, Record
from tests.journal.support import first_segment, records, row, rows, segments, write_log


def positions(data: bytes) -> list[int]:
    """Where the records of `support.row` begin, and the end."""
    found = [HEADER.size]
    offset = 0
    while found[-1] < len(data):
        _, _, topic, payload, _ = row(offset)
        found.append(found[-1] + FRAME.size + len(topic) + len(payload))
        offset += 1
    return found


def read_all(reader: LogReader, found: list[Record], max_records: int = 4096) -> None:
    """Read to the end, into `found`."""
    while batch := reader.read(len(found), max_records=max_records):
        found += batch


def reopen(directory: Path) -> tuple[list[Record], SegmentedLog]:
    log = SegmentedLog(directory, durable=False)
    try:
        return list(log.read(log.start)), log
    finally:
        log.close()


@pytest.mark.parametrize("appends", [[7], [1] * 7, [3, 4]])
def test_every_cut_in_the_last_record_loses_only_it(tmp_path: Path, appends: list[int]) -> None:
    path = write_log(tmp_path, appends)
    whole = path.read_bytes()
    last = positions(whole)[-2]
    for cut in range(last, len(whole)):
        path.write_bytes(whole[:cut])
        found, log = reopen(tmp_path)
        assert found == records(0, 6)
        assert log.recovered.truncated_bytes == cut - last
        assert log.recovered.offset == 6
        assert log.recovered.segment == (path.name if cut > last else "")
        assert path.stat().st_size == last
        with SegmentedLog(tmp_path, durable=False) as again:
            assert again.append(rows(6, 8)) == 6
            assert list(again.read(0)) == records(0, 8)


@pytest.mark.parametrize("appends", [[3, 3], [6]])
def test_every_cut_anywhere_gives_a_prefix(tmp_path: Path, appends: list[int]) -> None:
    path = write_log(tmp_path, appends)
    whole = path.read_bytes()
    starts = positions(whole)
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        with LogReader(tmp_path) as reader:
            seen = reader.read(0)
        assert seen == records(0, len(seen))  # a reader may wait for the rest of an append
        found, log = reopen(tmp_path)
        assert found == records(0, max(0, sum(start <= cut for start in starts) - 1))
        assert len(seen) <= len(found)
        if cut < HEADER.size:
            assert log.recovered.truncated_bytes == cut


@pytest.mark.parametrize("appends", [[2, 1, 2], [5], [1] * 5])
def test_every_flipped_bit_is_found(tmp_path: Path, appends: list[int]) -> None:
    path = write_log(tmp_path, appends)
    whole = path.read_bytes()
    starts = positions(whole)
    for at in range(len(whole)):
        victim = sum(start <= at for start in starts) - 1  # -1: the header
        for bit in range(8):
            data = bytearray(whole)
            data[at] ^= 1 << bit
            path.write_bytes(data)
            with LogReader(tmp_path) as reader:  # a record may not be written yet
                if victim == -1:
                    with pytest.raises(JournalCorrupt, match="header"):
                        reader.read(0)
                else:
                    seen = reader.read(0)
                    assert seen == records(0, len(seen))
                    assert len(seen) <= victim
            if victim == 4:
                found, log = reopen(tmp_path)
                assert found == records(0, 4)
                assert log.recovered.truncated_bytes == len(whole) - starts[4]
                continue
            with pytest.raises(JournalCorrupt) as caught:
                SegmentedLog(tmp_path, durable=False)
            assert str(path) in str(caught.value)
            assert f"offset {max(victim, 0)}" in str(caught.value)
            assert path.read_bytes() == bytes(data)  # evidence is left as it was found


def test_flipped_bit_in_an_earlier_segment_is_found_when_read(tmp_path: Path) -> None:
    write_log(tmp_path, [3] * 8, segment_bytes=400)
    assert len(segments(tmp_path)) > 2
    path = segments(tmp_path)[1]
    first = int(path.stem)
    whole = path.read_bytes()
    for at in range(len(whole)):
        data = bytearray(whole)
        data[at] ^= 1 << at % 8
        path.write_bytes(data)
        found: list[Record] = []
        with LogReader(tmp_path) as reader, pytest.raises(JournalCorrupt) as caught:
            read_all(reader, found, max_records=2)
        assert str(path) in str(caught.value)
        assert re.search(rf"offset {max(len(found), first)}\b", str(caught.value))
        assert found == records(0, len(found))
        assert len(found) >= first
        with SegmentedLog(tmp_path, durable=False) as log:
            assert log.end == 24
            assert list(log.read(int(segments(tmp_path)[2].stem)))[-1].offset == 23
            with pytest.raises(JournalCorrupt, match=path.name):
                list(log.read(first))


def test_earlier_segment_cut_short_is_corruption(tmp_path: Path) -> None:
    write_log(tmp_path, [3] * 8, segment_bytes=400)
    path = segments(tmp_path)[1]
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        with LogReader(tmp_path) as reader, pytest.raises(JournalCorrupt, match=path.name):
            read_all(reader, [])


def power_cut_log(directory: Path) -> tuple[Path, bytes, list[int]]:
    """A synced append of 30 records, then one of 300 that was never synced."""
    with SegmentedLog(directory, durable=False) as log:
        log.append(rows(0, 30))
        log._durable_end = 30
        log.append(rows(30, 330))
    path = first_segment(directory)
    whole = path.read_bytes()
    return path, whole, positions(whole)


def test_lost_pages_of_an_append_never_synced_are_cut_away(tmp_path: Path) -> None:
    path, whole, starts = power_cut_log(tmp_path)
    page = 4096
    synced = starts[30]
    for start in range(synced // page * page, len(whole), page):
        data = bytearray(whole)
        begin, stop = max(start, synced), min(start + page, len(whole))
        data[begin:stop] = bytes(stop - begin)
        path.write_bytes(data)
        found, log = reopen(tmp_path)
        lost = max(i for i, position in enumerate(starts) if position <= begin)
        assert found == records(0, lost)
        assert log.recovered.truncated_bytes == len(whole) - starts[lost]
        assert (log.recovered.dropped_records > 0) == (stop < starts[-2])


def test_lost_page_of_a_synced_append_is_corruption(tmp_path: Path) -> None:
    path, whole, starts = power_cut_log(tmp_path)
    assert starts[20] > HEADER.size + 1024
    data = bytearray(whole)
    data[512:1024] = bytes(512)
    path.write_bytes(data)
    with pytest.raises(JournalCorrupt, match=r"damaged, and 3\d\d whole records follow"):
        SegmentedLog(tmp_path)


def test_flipped_bit_in_an_append_never_synced_is_corruption(tmp_path: Path) -> None:
    path, whole, starts = power_cut_log(tmp_path)
    for victim in (30, 31, 100, 328):
        data = bytearray(whole)
        data[starts[victim] + 20] ^= 4
        path.write_bytes(data)
        with pytest.raises(JournalCorrupt, match=f"offset {victim} "):
            SegmentedLog(tmp_path)


def test_payload_that_imitates_records_is_not_taken_for_one(tmp_path: Path) -> None:
    """A sensor may send bytes of a log; cut off within them, the end is still only torn."""
    false = encode_rows(rows(1, 9), [r[2].encode() for r in rows(1, 9)], first=1, durable=1,
                        attempt=0, seed=0)  # fmt: skip
    with SegmentedLog(tmp_path) as log:
        log.append(rows(0, 1))
        log.append([(Kind.MESSAGE, 0, "t", false * 5, 0)])
    path = first_segment(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    found, log = reopen(tmp_path)
    assert found == records(0, 1)
    assert log.recovered.dropped_records == 0


def test_crash_while_the_first_segment_is_made(tmp_path: Path) -> None:
    write_log(tmp_path, [3])
    path = first_segment(tmp_path).rename(tmp_path / f"{77:020d}.seg")
    path.write_bytes(bytes(32))
    found, log = reopen(tmp_path)
    assert (found, log.start, log.end) == ([], 77, 77)
    assert log.recovered.truncated_bytes == 32
    with SegmentedLog(tmp_path) as again:
        assert again.append(rows(77, 79)) == 77
        assert list(again.read(77)) == records(77, 79)


@settings(max_examples=150, deadline=None)
@given(
    appends=st.lists(st.integers(1, 6), min_size=1, max_size=8),
    segment_bytes=st.sampled_from([200, 500, 10_000]),
    cut=st.floats(0, 1),
    garbage=st.binary(max_size=120),
)
def test_crash_with_garbage_gives_a_prefix_and_goes_on(
    appends: list[int], segment_bytes: int, cut: float, garbage: bytes
) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        path = write_log(directory, appends, segment_bytes=segment_bytes)
        first, total = int(path.stem), sum(appends)
        data = path.read_bytes()
        kept = HEADER.size + round(cut * (len(data) - HEADER.size))
        path.write_bytes(data[:kept] + garbage)
        with SegmentedLog(directory, segment_bytes=segment_bytes, durable=False) as log:
            end = log.end
            assert first <= end <= total
            assert list(log.read(0)) == records(0, end)
            log.append(rows(end, end + 4))
            assert list(log.read(0)) == records(0, end + 4)


def test_random_damage_never_gives_a_wrong_record(tmp_path: Path) -> None:
    path = write_log(tmp_path, [3, 4, 5, 6])
    whole = path.read_bytes()
    generator = random.Random(20260301)
    outcomes = {"mended": 0, "refused": 0}
    for _ in range(400):
        data = bytearray(whole)
        at = generator.randrange(len(data))
        patch = generator.randbytes(generator.randint(1, 60))
        data[at : at + len(patch)] = patch
        path.write_bytes(data)
        try:
            found, log = reopen(tmp_path)
        except JournalCorrupt:
            outcomes["refused"] += 1
            continue
        outcomes["mended"] += 1
        assert found == records(0, len(found))
        assert log.recovered.dropped_records == 0
        # what follows the damage was not whole either: at most the last record starts before it
        assert at + len(patch) > positions(whole)[-2] or bytes(data[: len(whole)]) == whole
    assert min(outcomes.values()) > 10
