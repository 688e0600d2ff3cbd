"""What the tests of the journal share: rows whose bytes follow from their offset."""

from collections.abc import Sequence
from pathlib import Path

from journal.log import SegmentedLog
from journal.segment import Row, segment_name
from model.records import Kind, Record


def row(offset: int) -> Row:
    """The row that every test log holds at an offset."""
    payload = (offset * 2_654_435_761 % 2**32).to_bytes(4, "little") * (offset % 23)
    return (
        Kind.MESSAGE,
        1_700_000_000_000_000_000 + offset,
        f"t/{offset % 7}",
        payload,
        offset % 9,
    )


def rows(first: int, stop: int) -> list[Row]:
    return [row(offset) for offset in range(first, stop)]


def record(offset: int) -> Record:
    kind, received_ns, topic, payload, mid = row(offset)
    return Record(offset, kind, received_ns, topic, payload, mid)


def records(first: int, stop: int) -> list[Record]:
    return [record(offset) for offset in range(first, stop)]


def segments(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.seg"))


def write_log(directory: Path, appends: Sequence[int], *, segment_bytes: int = 2**20) -> Path:
    """A log of appends of these lengths, each synced; returns its last segment."""
    with SegmentedLog(directory, segment_bytes=segment_bytes, durable=False) as log:
        for length in appends:
            log.append(rows(log.end, log.end + length))
            log._durable_end = log.end  # what `sync` notes, without the device's time
    return segments(directory)[-1]


def first_segment(directory: Path) -> Path:
    return directory / segment_name(0)
