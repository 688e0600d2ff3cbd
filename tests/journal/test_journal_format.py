"""The bytes on disk, literally."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.log import SegmentedLog
from journal.reader import LogReader
from journal.segment import (
    FRAME,
    HEADER,
    check_row,
    decode_header,
    encode_header,
    encode_rows,
    find_frame,
    frames,
    list_segments,
)
from model.errors import JournalCorrupt, JournalError
from model.records import Kind, Record

GOLDEN = bytes.fromhex(
    # header: magic, version and zero, first offset, salt, checksum
    "56445453 45470d0a 0100 0000 00000000 00000000 01020304 05060708 b031beda"
    # record: checksum, marker, kind, attempt, mid, length of topic and payload, behind, ahead,
    # offset, received; topic, payload
    "98d46658 9e56 01 00 3412 0300 03000000 00000000 01000000 00000000 00000000 8032bdc2 d9b59818"
    "612f62 78797a"
    "c1b88cbb 9e56 02 00 0000 0000 00000000 01000000 00000000 01000000 00000000 00c955c3 d9b59818"
    "59a0d7a5 9e56 03 00 0700 0200 02000000 00000000 00000000 02000000 00000000 805feec3 d9b59818"
    "c3a9 7b7d"
)  # fmt: skip

GOLDEN_RECORDS = [
    Record(0, Kind.MESSAGE, 1_772_366_400_250_000_000, "a/b", b"xyz", 0x1234),
    Record(1, Kind.TICK, 1_772_366_400_260_000_000, "", b"", 0),
    Record(2, Kind.COMMAND, 1_772_366_400_270_000_000, "é", b"{}", 7),
]


def crc32c(data: bytes) -> int:
    """CRC32C bit by bit, as RFC 3720 describes it: an oracle for the library."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_writer_makes_the_golden_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "urandom", lambda n: bytes(range(1, n + 1)))
    with SegmentedLog(tmp_path) as log:
        rows = [(r.kind, r.received_ns, r.topic, r.payload, r.mid) for r in GOLDEN_RECORDS]
        assert log.append(rows[:2]) == 0
        log.sync()
        assert log.append(rows[2:]) == 2
    assert [path.name for path in tmp_path.glob("*.seg")] == ["00000000000000000000.seg"]
    assert (tmp_path / "00000000000000000000.seg").read_bytes() == GOLDEN


def test_reader_reads_the_golden_bytes(tmp_path: Path) -> None:
    (tmp_path / "00000000000000000000.seg").write_bytes(GOLDEN)
    with LogReader(tmp_path) as reader:
        assert reader.read(0) == GOLDEN_RECORDS


def test_checksums_are_crc32c_chained_from_the_header() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720 and the catalogue of CRCs: check value
    seed = crc32c(GOLDEN[:28])
    assert seed == int.from_bytes(GOLDEN[28:32], "little")
    # continuing from a seed is the checksum of the concatenation
    first = GOLDEN[36 : 32 + 40 + 6]
    assert crc32c(GOLDEN[:28] + first) == int.from_bytes(GOLDEN[32:36], "little")


rows_strategy = st.lists(
    st.tuples(
        st.sampled_from(list(Kind)),
        st.integers(-(2**63), 2**63 - 1),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        st.binary(max_size=200),
        st.integers(0, 0xFFFF),
    ),
    max_size=20,
)


@given(rows_strategy, st.integers(0, 2**62), st.integers(0, 300), st.binary(min_size=8, max_size=8))
def test_rows_come_back(
    rows: list[tuple[Kind, int, str, bytes, int]], first: int, attempt: int, salt: bytes
) -> None:
    _, seed = encode_header(first, salt)
    topics = [topic.encode() for _, _, topic, _, _ in rows]
    durable = max(0, first - 5)
    data = encode_rows(rows, topics, first=first, durable=durable, attempt=attempt, seed=seed)
    found = list(frames(data, seed, first))
    assert [frame.offset for frame in found] == list(range(first, first + len(rows)))
    back = [
        (Kind(f.kind), f.received_ns, data[f.start + FRAME.size : f.topic_end].decode(),
         data[f.topic_end : f.end], f.mid)
        for f in found
    ]  # fmt: skip
    assert back == rows
    assert [f.ahead for f in found] == list(range(len(rows)))[::-1]
    assert [f.offset - f.behind for f in found] == [durable] * len(rows)
    assert all(f.attempt == attempt % 256 for f in found)


@given(st.binary(max_size=300), st.integers(0, 2**32 - 1), st.integers(0, 2**40))
def test_no_bytes_upset_the_scan(data: bytes, seed: int, offset: int) -> None:
    for frame in frames(data, seed, offset):
        assert frame.end <= len(data)
    find_frame(data, seed, offset, 0)


@given(st.binary(max_size=80))
def test_no_bytes_upset_the_header(data: bytes) -> None:
    assert decode_header(data, 0, Path("x.seg")) is None


def test_header_of_another_version_or_segment_names_the_file() -> None:
    path = Path("x.seg")
    body = bytearray(GOLDEN[:28])
    body[8] = 2
    header = bytes(body) + crc32c(bytes(body)).to_bytes(4, "little")
    with pytest.raises(JournalError, match=r"x\.seg: version 2"):
        decode_header(header, 0, path)
    with pytest.raises(JournalCorrupt, match=r"x\.seg.*offset 0"):
        decode_header(GOLDEN, 7, path)
    assert len(GOLDEN[:32]) == HEADER.size


def test_rows_that_cannot_be_stored_are_named() -> None:
    assert check_row("é" * 32767, b"", 0xFFFF, 2**63 - 1) == "é".encode() * 32767
    for topic, mid, received_ns, what in [
        ("x" * 65536, 0, 0, "topic of 65536 bytes"),
        ("\ud800", 0, 0, "no valid text"),
        ("", 65536, 0, "packet identifier 65536"),
        ("", -1, 0, "packet identifier -1"),
        ("", 0, 2**63, "time 9223372036854775808"),
    ]:
        with pytest.raises(JournalError, match=what):
            check_row(topic, b"", mid, received_ns)


def test_only_segments_are_listed(tmp_path: Path) -> None:
    for name in ["lock", "00000000000000000010.seg", "0.seg", "00000000000000000002.seg",
                 "00000000000000000003.seg.tmp", "٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠.seg"]:  # fmt: skip
        (tmp_path / name).touch()
    assert list_segments(tmp_path) == [2, 10]
    assert list_segments(tmp_path / "missing") == []
