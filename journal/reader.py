"""`LogReader`: reads a log by offset, from any process, while its writer writes."""

import os
from array import array
from bisect import bisect_right
from pathlib import Path
from typing import Self

from journal.disk import failure
from journal.segment import (
    FRAME,
    HEADER,
    Frame,
    decode_header,
    frame_length,
    frames,
    list_segments,
    segment_name,
)
from model.errors import JournalCorrupt, JournalError
from model.records import Kind, Record

CHUNK_BYTES = 1024 * 1024
"""Bytes read at a time: some thousand small records."""

INDEX_BYTES = 64 * 1024
"""Least distance of the entries of the index in memory, bytes."""

_KINDS = {int(kind): kind for kind in Kind}

_Piece = tuple[bytes, Frame]


class OffsetReleased(JournalError):  # noqa: N818 - a state of the log, named as one
    """The record was deleted; `start` is the oldest that is left."""

    def __init__(self, directory: Path, offset: int, start: int) -> None:
        self.start = start
        super().__init__(
            f"{directory}: offset {offset} was released; the oldest record held is {start}"
        )


class OffsetBeyondEnd(JournalError):  # noqa: N818 - a state of the log, named as one
    """The log ends before the offset: it lost its end in a power cut, or is another log."""

    def __init__(self, directory: Path, offset: int, end: int) -> None:
        self.end = end
        super().__init__(f"{directory}: offset {offset} lies beyond the log's end, {end}")


class _Index:
    """Sparse map from offsets to positions in one segment.

    Machine words, not Python's numbers, which take five times as much: a process that follows an
    output log of 2 GB an hour makes thirty thousand entries.
    """

    def __init__(self, first: int) -> None:
        self.offsets = array("q", [first])
        self.positions = array("q", [HEADER.size])

    def add(self, offset: int, position: int) -> None:
        if position >= self.positions[-1] + INDEX_BYTES:
            self.offsets.append(offset)
            self.positions.append(position)

    def find(self, offset: int) -> tuple[int, int]:
        row = bisect_right(self.offsets, offset) - 1
        return self.offsets[row], self.positions[row]


class _Walker:
    """Goes through a log; `ready` holds the records just passed, `offset` follows the last one."""

    def __init__(self, directory: Path, indices: dict[int, _Index]) -> None:
        self.directory = directory
        self.indices = indices
        self.ready: list[_Piece] = []
        self.offset = 0
        self.whole_end = 0
        """Offset behind the last whole record seen, of a complete append or not."""
        self._first = -1  # no segment is open
        self._fd = -1
        self._seed = 0
        self._position = 0

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = self._first = -1

    def seek(self, offset: int) -> None:
        """Go to an indexed record at or before `offset`, in the segment that holds it."""
        self.ready = []
        firsts = list_segments(self.directory)
        for released in self.indices.keys() - firsts:
            del self.indices[released]
        if not firsts:
            self.close()
            self.offset = self.whole_end = 0
        elif offset < firsts[0]:
            raise OffsetReleased(self.directory, offset, firsts[0])
        else:
            self._enter(firsts[bisect_right(firsts, offset) - 1], offset)

    def _enter(self, first: int, offset: int) -> None:
        """Open a segment; where it is not fully made yet, stay without one."""
        if first != self._first:
            self.close()
            path = self.directory / segment_name(first)
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:  # released since it was listed
                firsts = list_segments(self.directory)
                raise OffsetReleased(
                    self.directory, offset, firsts[0] if firsts else first
                ) from None
            except OSError as error:
                raise failure(path, "open", error) from error
            try:
                # listed before the header is read: with a successor it was complete by then
                has_successor = list_segments(self.directory)[-1:] > [first]
                data = os.pread(fd, HEADER.size + 1, 0)
                seed = decode_header(data, first, path)
            except BaseException:
                os.close(fd)
                raise
            if seed is None:
                os.close(fd)
                if len(data) > HEADER.size or has_successor:
                    raise JournalCorrupt(f"{path}: its header is damaged (offset {first})")
                self.offset = self.whole_end = first
                return
            self._first, self._fd, self._seed = first, fd, seed
        index = self.indices.setdefault(first, _Index(first))
        self.offset, self._position = index.find(offset)
        self.whole_end = self.offset

    def more(self, committed: int = 0) -> bool:
        """Pass the records that follow, as far as they are visible; False: none yet.

        A record is visible once its append is complete, or the next append or segment has begun
        (then a crash cut the append short and its whole records stay), or it lies below
        `committed`.
        """
        self.ready = []
        if self._first < 0:
            self.seek(self.offset)
            if self._first < 0:
                return False
        later: list[int] = []  # segments behind this one: then this one is final
        while True:
            visible, held, rest = self._look(committed, final=bool(later))
            if visible:
                self.ready = visible
                self.offset = self.whole_end = visible[-1][1].offset + 1
                return True
            if not later:
                later = [first for first in list_segments(self.directory) if first > self._first]
                if later:
                    continue  # look again: it may have grown before the next segment was made
                self.whole_end = self.offset + held
                self._check_still_there()
                return False
            if rest:
                raise JournalCorrupt(
                    f"{self._path()}: the record of offset {self.offset} "
                    f"(byte {self._position}) is damaged"
                )
            if later[0] != self.offset:
                left = list_segments(self.directory)
                if left and self.offset < left[0]:
                    raise OffsetReleased(self.directory, self.offset, left[0])
                raise JournalCorrupt(
                    f"{self._path()}: ends at offset {self.offset}, but the next segment begins "
                    f"at {later[0]}"
                )
            self._enter(later[0], self.offset)
            if self._first < 0:
                return False
            later = []

    def _look(self, committed: int, *, final: bool) -> tuple[list[_Piece], int, int]:
        """Read from the present position: visible records, how many are held back, bytes behind.

        Moves the position (not the offset) behind the visible ones.
        """
        look = self._scan(committed, final=final, settled=final)
        if look is None:
            # An append that was cut short is followed by another one. A live writer may have
            # replaced it between our reads, so we read it once more; now it cannot change.
            look = self._scan(committed, final=final, settled=True)
        assert look is not None  # noqa: S101 - settled
        visible, held, rest, position = look
        if visible:
            self.indices[self._first].add(self.offset, self._position)
            self._position = position
        return visible, held, rest

    def _scan(
        self, committed: int, *, final: bool, settled: bool
    ) -> tuple[list[_Piece], int, int, int] | None:
        visible: list[_Piece] = []
        held: list[_Piece] = []
        position, offset, size = self._position, self.offset, CHUNK_BYTES
        visible_end = position
        while True:
            try:
                chunk = os.pread(self._fd, size, position)
            except OSError as error:
                raise failure(self._path(), "read", error) from error
            used = 0
            for frame in frames(chunk, self._seed, offset):
                if held:
                    before = held[-1][1]
                    if frame.ahead + 1 != before.ahead or frame.attempt != before.attempt:
                        if not settled:
                            return None
                        visible += held
                        held = []
                        visible_end = position + used
                held.append((chunk, frame))
                used = frame.end
                offset += 1
                if frame.ahead == 0 or frame.offset < committed:
                    visible += held
                    held = []
                    visible_end = position + used
            if visible or len(chunk) < size:
                break
            if used:  # an append longer than what was read
                position += used
                size = CHUNK_BYTES
                continue
            wanted = frame_length(chunk, 0, offset)
            if wanted is None or wanted <= size:
                break
            size = wanted
        if final and not visible:
            visible, held, visible_end = held, [], position + used
        return visible, len(held), len(chunk) - used, visible_end

    def _check_still_there(self) -> None:
        """Raise where the file under us was exchanged or cut below what we have read."""
        path = self._path()
        ours = os.fstat(self._fd)
        try:
            theirs = path.stat()
        except FileNotFoundError:
            if any(first > self._first for first in list_segments(self.directory)):
                return  # it was released just now
            raise JournalError(f"{path}: was removed while it was read") from None
        if (ours.st_dev, ours.st_ino) != (theirs.st_dev, theirs.st_ino):
            raise JournalError(f"{path}: was replaced while it was read")
        if ours.st_size < self._position:
            raise JournalError(f"{path}: was cut below offset {self.offset}, which had been read")

    def _path(self) -> Path:
        return self.directory / segment_name(self._first)


class LogReader:
    """Reads a log by offset.

    Never locks, writes or waits. It returns whole records of complete appends only: what the
    writer may still take back is not visible. What cannot be read at the very end is *not yet
    written*; only a segment that has a successor can be corrupt. One thread at a time.

    Parameters
    ----------
    directory
        Of the log; it need not exist yet.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        indices: dict[int, _Index] = {}
        self._reading = _Walker(directory, indices)
        self._ending = _Walker(directory, indices)
        self._topics: dict[bytes, str] = {}

    def read(
        self,
        offset: int,
        max_records: int = 4096,
        max_bytes: int = 4 * 1024 * 1024,
        *,
        committed: int = 0,
    ) -> list[Record]:
        """Records from `offset` on; empty: nothing new yet.

        Parameters
        ----------
        offset
            Of the first record wanted.
        max_records, max_bytes
            Where to stop; at least one record is returned if there is one.
        committed
            Offset below which the caller knows that appends are complete (the writer itself).

        Raises
        ------
        OffsetReleased
            The record was deleted.
        OffsetBeyondEnd
            The log ends before `offset`.
        JournalCorrupt
            A stored record has changed, or a segment is missing; names the segment and the offset.
        JournalError
            The system refuses, or the log was replaced.
        """
        if offset < 0:
            raise JournalError(f"{self.directory}: offset {offset} is below 0")
        walker = self._reading
        if not walker.offset - len(walker.ready) <= offset <= walker.offset:
            walker.seek(offset)
        result: list[Record] = []
        size = 0
        while True:
            base = walker.offset - len(walker.ready)
            try:
                for piece in walker.ready[offset - base :]:
                    if result and size + piece[1].end - piece[1].topic_end > max_bytes:
                        return result
                    record = self._record(piece)
                    result.append(record)
                    size += len(record.payload)
                    offset += 1
                    if len(result) >= max_records or size >= max_bytes:
                        return result
                if not walker.more(committed):
                    if offset > walker.whole_end:
                        raise OffsetBeyondEnd(self.directory, offset, walker.whole_end)
                    return result
            except JournalError:
                if not result:
                    raise
                return result  # what was good first; the next call raises

    def _record(self, piece: _Piece) -> Record:
        chunk, frame = piece
        topic_bytes = chunk[frame.start + FRAME.size : frame.topic_end]
        topic = self._topics.get(topic_bytes)
        if topic is None:
            if len(self._topics) >= 4096:  # topics are few; a stranger's are not kept for ever
                self._topics.clear()
            topic = self._topics[topic_bytes] = topic_bytes.decode()
        kind = _KINDS.get(frame.kind)
        if kind is None:
            raise JournalError(
                f"{self.directory}: the record of offset {frame.offset} has kind {frame.kind}, "
                "which this program does not know; a newer one wrote it"
            )
        payload = chunk[frame.topic_end : frame.end]
        return Record(frame.offset, kind, frame.received_ns, topic, payload, frame.mid)

    def start(self) -> int:
        """Offset of the oldest record held; 0 if there is no segment yet."""
        return next(iter(list_segments(self.directory)), 0)

    def end(self) -> int:
        """Offset behind the last record that `read` would return."""
        walker = self._ending
        firsts = list_segments(self.directory)
        if not firsts:
            return 0
        if walker.offset < firsts[-1] or walker.offset == 0:
            walker.seek(firsts[-1])
        while walker.more():
            pass
        return walker.offset

    def close(self) -> None:
        """Close the files."""
        self._reading.close()
        self._ending.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
