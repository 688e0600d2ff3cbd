"""Every byte of a log looked at, without its writer and without changing anything.

Where `LogReader` stops at the first damaged record, this goes on behind it and tells what is
missing in between. It takes no lock: beside a writer at work the end may be an append that is not
complete yet, which is told apart from damage as `journal.recovery` does.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from journal.recovery import assess
from journal.segment import (
    FRAME,
    HEADER,
    Frame,
    decode_header,
    find_frame,
    frames,
    list_segments,
    segment_name,
)
from model.errors import JournalError


class Flaw(StrEnum):
    """What is wrong at a place of a log."""

    DAMAGED = "damaged"
    """Records that were once whole cannot be read any more."""
    MISSING = "missing"
    """A segment, or the end of one, is not there."""
    TORN = "torn"
    """An append at the very end that is not complete: of a crash, or of a writer at work."""
    UNKNOWN = "unknown"
    """The file is of another version, or not a segment."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One place of a log that is not as it was written.

    Parameters
    ----------
    flaw
        What is wrong.
    path
        The segment.
    byte
        Where in it.
    first, stop
        Offsets [first, stop) that cannot be read; for a torn end `stop` is `first`.
    before_ns, after_ns
        `received_ns` of the nearest readable records before and behind; 0: there is none.
    text
        More about it.
    """

    flaw: Flaw
    path: Path
    byte: int
    first: int
    stop: int
    before_ns: int = 0
    after_ns: int = 0
    text: str = ""


@dataclass(slots=True)
class Scan:
    """What a log holds.

    Parameters
    ----------
    start, end
        Offsets of the oldest readable record and behind the newest; equal: none.
    segments, bytes
        Files, and their length.
    records, kinds
        Readable records, all and by kind.
    first_ns, last_ns
        `received_ns` of the oldest and the newest; 0: none.
    problems
        What is wrong, in the order of offsets.
    """

    start: int = 0
    end: int = 0
    segments: int = 0
    bytes: int = 0
    records: int = 0
    kinds: dict[int, int] = field(default_factory=dict)
    first_ns: int = 0
    last_ns: int = 0
    problems: list[Problem] = field(default_factory=list)


Visit = Callable[[Frame, bytes], None]
"""Called with each readable record and the bytes that it lies in."""


def total_bytes(directory: Path) -> int:
    """Length of all segments, for a progress bar."""
    total = 0
    for first in list_segments(directory):
        with contextlib.suppress(FileNotFoundError):  # released just now
            total += (directory / segment_name(first)).stat().st_size
    return total


def scan(
    directory: Path, visit: Visit | None = None, progress: Callable[[int], None] | None = None
) -> Scan:
    """Look at every record of a log.

    Parameters
    ----------
    directory
        Of the log.
    visit
        Called with each readable record.
    progress
        Called with the length of each segment that is done, bytes.

    Raises
    ------
    JournalError
        The system refuses to read.
    """
    found = Scan()
    offset: int | None = None  # where the next segment has to begin
    for first, path, data, last in _segments(directory):
        found.segments += 1
        found.bytes += len(data)
        if offset is None:
            found.start = found.end = offset = first
        elif first != offset:
            found.problems.append(
                Problem(Flaw.MISSING, path, 0, offset, first, before_ns=found.last_ns)
            )
        offset = _one(found, path, data, first, visit, last=last)
        if progress is not None:
            progress(len(data))
    found.problems = _joined(found.problems)
    return found


def _segments(directory: Path) -> Iterator[tuple[int, Path, bytes, bool]]:
    """First offset, file and bytes of each segment, and whether it is the last one."""
    at = -1
    while True:
        # Listed anew: a writer at work may have begun another one meanwhile.
        left = [first for first in list_segments(directory) if first > at]
        if not left:
            return
        path = directory / segment_name(left[0])
        try:
            data = path.read_bytes()
            if len(left) == 1 and list_segments(directory)[-1:] != left:
                continue  # it was the last when it was read, and has grown since: read it again
        except FileNotFoundError:
            pass  # released since it was listed
        except OSError as error:
            raise JournalError(f"{path}: cannot read: {error.strerror}") from error
        else:
            yield left[0], path, data, len(left) == 1
        at = left[0]


def _one(
    found: Scan, path: Path, data: bytes, first: int, visit: Visit | None, *, last: bool
) -> int:
    """Look at one segment; returns the offset behind its last readable record."""
    try:
        seed = decode_header(data, first, path)
    except JournalError as error:
        found.problems.append(Problem(Flaw.UNKNOWN, path, 0, first, first, text=str(error)))
        return first
    if seed is None:
        if last and len(data) <= HEADER.size:
            text = "the file was just being made"
            found.problems.append(Problem(Flaw.TORN, path, 0, first, first, text=text))
        else:
            # Without the seed in it no record can be told from noise.
            text = "the header is damaged, so no record of the segment can be checked"
            stop = first
            found.problems.append(
                Problem(Flaw.DAMAGED, path, 0, first, stop, found.last_ns, text=text)
            )
        return first
    offset, position = first, HEADER.size
    while True:
        for frame in frames(data, seed, offset, position):
            _count(found, frame)
            if visit is not None:
                visit(frame, data)
            offset, position = frame.offset + 1, frame.end
        found.end = max(found.end, offset)
        if position == len(data):
            return offset
        behind = find_frame(data, seed, offset, position)
        if last and assess(data, seed, offset, position).torn:
            text = f"{len(data) - position} bytes of an append that is not complete"
            found.problems.append(Problem(Flaw.TORN, path, position, offset, offset, text=text))
            return offset
        if behind is None:
            text = f"{len(data) - position} bytes up to the end of the file"
            found.problems.append(
                Problem(Flaw.DAMAGED, path, position, offset, offset, found.last_ns, text=text)
            )
            return offset
        found.problems.append(
            Problem(Flaw.DAMAGED, path, position, offset, behind.offset, found.last_ns,
                    behind.received_ns, f"{behind.start - position} bytes")
        )  # fmt: skip
        offset, position = behind.offset, behind.start


def _count(found: Scan, frame: Frame) -> None:
    if not found.records:
        found.first_ns = frame.received_ns
    found.records += 1
    found.kinds[frame.kind] = found.kinds.get(frame.kind, 0) + 1
    found.last_ns = frame.received_ns


def _joined(problems: list[Problem]) -> list[Problem]:
    """Join what hangs together: a damaged end, and the offsets up to the next segment."""
    joined: list[Problem] = []
    for one in problems:
        before = joined[-1] if joined else None
        if (
            before is not None
            and one.flaw == Flaw.MISSING
            and before.flaw == Flaw.DAMAGED
            and before.stop == before.first == one.first
        ):
            joined[-1] = Problem(
                Flaw.DAMAGED, before.path, before.byte, before.first, one.stop, before.before_ns,
                one.after_ns, before.text,
            )  # fmt: skip
        else:
            joined.append(one)
    return joined


def payload_of(frame: Frame, data: bytes) -> tuple[str, bytes]:
    """Topic and payload of a record that `Visit` was called with."""
    topic = data[frame.start + FRAME.size : frame.topic_end].decode("utf-8", "replace")
    return topic, data[frame.topic_end : frame.end]
