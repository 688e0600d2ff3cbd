"""`SegmentedLog`: the one writer of an append-only log."""

import math
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from journal.disk import (
    DirectoryLock,
    failure,
    make_directory,
    sync_directory,
    sync_file,
    write_all,
)
from journal.reader import LogReader
from journal.recovery import Recovery, recover
from journal.segment import (
    FRAME,
    HEADER,
    Row,
    check_row,
    encode_header,
    encode_rows,
    list_segments,
    segment_name,
)
from model.errors import JournalCorrupt, JournalError, JournalFull
from model.records import Record

SEGMENT_BYTES = 64 * 1024 * 1024
"""Length at which a segment is closed, bytes: the unit in which disk space is given back."""


@dataclass(slots=True)
class _Segment:
    first: int
    size: int


class SegmentedLog:
    """Append-only log in a directory, one writer at a time.

    Fulfils `model.ports.Log`. All methods may be called from any thread. An append is one
    ``write(2)``; when it fails the file is cut back to its last good length, so that the next
    append works as soon as there is room again.

    Parameters
    ----------
    directory
        Where the segments are; made if missing.
    segment_bytes
        Length at which a segment is closed; at most a quarter of the budget is used. An append is
        never split, so a segment may be longer by one append.
    budget_bytes
        Bytes that all segments together may take; None: as the disk allows.
    durable
        Whether `sync` reaches the device. A closed segment always does.

    Attributes
    ----------
    recovered
        What was mended when the log was opened.

    Raises
    ------
    JournalCorrupt
        A stored record of the last segment has changed. Earlier segments are checked when read.
    JournalError
        Another writer holds the directory (named with its process id), or the system refuses.
    """

    def __init__(
        self,
        directory: Path,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        budget_bytes: int | None = None,
        durable: bool = True,
    ) -> None:
        if segment_bytes <= HEADER.size:
            raise ValueError(f"segment_bytes {segment_bytes} leaves no room behind the header")
        self.directory = directory
        self.durable = durable
        self.budget_bytes = budget_bytes
        self.segment_bytes = (
            segment_bytes
            if budget_bytes is None
            else min(segment_bytes, max(budget_bytes // 4, HEADER.size + 1))
        )
        self.recovered = Recovery()
        self._mutex = threading.RLock()
        self._fd: int | None = None
        self._seed = 0
        self._end = 0
        self._durable_end = 0
        self._attempt = 0
        self._dirty = False
        self._torn = False  # bytes behind the good length could not be cut away yet
        self._broken = ""
        self._segments: list[_Segment] = []
        make_directory(directory)
        self._lock = DirectoryLock(directory)
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    # opening

    def _open(self) -> None:
        try:
            self._segments = [
                _Segment(first, self._path(first).stat().st_size)
                for first in list_segments(self.directory)
            ]
        except OSError as error:
            raise failure(self.directory, "list segments", error) from error
        if not self._segments:
            return  # the first append makes the first segment: a full disk must not stop a start
        last = self._segments[-1]
        path = self._path(last.first)
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
            opened = recover(self._fd, path, last.first)
            self._seed, self._end, last.size = opened.seed, opened.end, opened.size
            self.recovered = opened.recovery
            if self.durable:
                sync_file(self._fd)
                sync_directory(self.directory)
        except OSError as error:
            raise failure(path, "open", error) from error
        self._durable_end = self._end if self.durable else last.first

    # state

    @property
    def start(self) -> int:
        """Offset of the oldest record held; `end` if there is none."""
        segments = self._segments
        return segments[0].first if segments else self._end

    @property
    def end(self) -> int:
        """Offset that the next record will get."""
        return self._end

    @property
    def size_bytes(self) -> int:
        """Bytes of all segments."""
        with self._mutex:
            return sum(segment.size for segment in self._segments)

    def _path(self, first: int) -> Path:
        return self.directory / segment_name(first)

    # writing

    def append(self, records: Sequence[Row]) -> int:
        """Append rows, all or (as far as any reader can see) none.

        Parameters
        ----------
        records
            (kind, received ns, topic, payload, mid) each.

        Returns
        -------
        int
            Offset of the first.

        Raises
        ------
        JournalFull
            The budget is used up or the disk is full; nothing was appended. It may be tried again.
        JournalError
            The system refused, a row cannot be stored, or an earlier `sync` failed; nothing was
            appended.
        """
        topics = [check_row(topic, payload, mid, ns) for _, ns, topic, payload, mid in records]
        size = sum(
            FRAME.size + len(t) + len(row[3]) for t, row in zip(topics, records, strict=True)
        )
        with self._mutex:
            self._check_usable()
            first = self._end
            if not records:
                return first
            if self._torn:
                self._cut_back()
            rolls = self._fd is None or (
                self._segments[-1].size > HEADER.size
                and self._segments[-1].size + size > self.segment_bytes
            )
            if self.budget_bytes is not None:
                held = self.size_bytes
                if held + size + HEADER.size * rolls > self.budget_bytes:
                    raise JournalFull(
                        f"{self.directory}: the budget of {self.budget_bytes} bytes is used up "
                        f"({held} bytes hold the offsets {self.start} to {self._end})"
                    )
            if rolls:
                self._roll()
            data = encode_rows(
                records, topics, first=first, durable=self._durable_end,
                attempt=self._attempt, seed=self._seed,
            )  # fmt: skip
            self._write(data)
            self._end = first + len(records)
            return first

    def _write(self, data: bytes) -> None:
        assert self._fd is not None  # noqa: S101 - `append` has rolled
        segment = self._segments[-1]
        try:
            write_all(self._fd, data)
        except BaseException as error:
            self._attempt += 1
            self._torn = True
            if isinstance(error, OSError):
                failed = failure(self._path(segment.first), "append", error)
                try:
                    self._cut_back()
                except JournalError as second:
                    raise second from error
                raise failed from error
            self._cut_back()
            raise
        segment.size += len(data)
        self._dirty = True

    def _cut_back(self) -> None:
        """Remove what a failed append left; readers never saw it, because it was not complete."""
        assert self._fd is not None  # noqa: S101 - a failed append had it open
        segment = self._segments[-1]
        try:
            os.ftruncate(self._fd, segment.size)
        except OSError as error:
            raise failure(self._path(segment.first), "cut back a failed append", error) from error
        self._torn = False

    def _roll(self) -> None:
        """Close the last segment, durably, and make the next: so only the last can be torn."""
        if self._fd is not None and self._dirty:
            self._sync_data()
        path = self._path(self._end)
        header, seed = encode_header(self._end, os.urandom(8))
        fd = -1
        try:
            fd = os.open(
                path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_CREAT | os.O_EXCL, 0o640
            )
            write_all(fd, header)
            sync_file(fd)
            sync_directory(self.directory)
        except OSError as error:
            if fd >= 0:
                os.close(fd)
                path.unlink(missing_ok=True)
            raise failure(path, "make the segment", error) from error
        if self._fd is not None:
            os.close(self._fd)
        self._fd, self._seed = fd, seed
        self._segments = [*self._segments, _Segment(self._end, HEADER.size)]

    def sync(self) -> None:
        """Make everything appended so far durable: one ``fdatasync(2)``.

        Nothing happens where the log is not `durable` or nothing was appended. Other threads may
        append meanwhile; what they append is not covered.

        Raises
        ------
        JournalError
            The device refused. What is on it is not known any more, so the log takes nothing
            until it is opened again (as PostgreSQL does: `data_sync_retry`).
        """
        with self._mutex:
            self._check_usable()
            if not self.durable or not self._dirty:
                return
            assert self._fd is not None  # noqa: S101 - something was appended
            # A second name of the same open file: a segment that is closed meanwhile stays open.
            fd, end, first = os.dup(self._fd), self._end, self._segments[-1].first
        try:
            sync_file(fd)
        except OSError as error:
            with self._mutex:
                raise self._sync_failed(first, error) from error
        finally:
            os.close(fd)
        with self._mutex:
            self._durable_end = max(self._durable_end, end)
            self._dirty = self._end > end

    def _sync_data(self) -> None:
        assert self._fd is not None  # noqa: S101 - something was appended
        try:
            sync_file(self._fd)
        except OSError as error:
            raise self._sync_failed(self._segments[-1].first, error) from error
        self._dirty = False
        self._durable_end = self._end

    def _sync_failed(self, first: int, error: OSError) -> JournalError:
        path = self._path(first)
        self._broken = f"{path}: cannot sync: {error.strerror or error}; open the log again"
        return JournalError(self._broken)

    def _check_usable(self) -> None:
        if self._broken:
            raise JournalError(self._broken)

    # reading and giving back

    def read(self, offset: int) -> Iterator[Record]:
        """Records from `offset` to the present end.

        Raises
        ------
        JournalCorrupt
            A stored record has changed.
        JournalError
            `offset` was released, or lies beyond the end.
        """
        end = self._end
        if offset == end:
            return
        with LogReader(self.directory) as reader:
            while offset != end:
                records = reader.read(offset, committed=end)
                if not records:
                    raise JournalCorrupt(
                        f"{self.directory}: the record of offset {offset} cannot be read any more"
                    )
                for record in records:
                    if record.offset >= end:
                        return
                    yield record
                offset = records[-1].offset + 1

    def release(self, offset: int, enough_bytes: float = math.inf) -> int:
        """Delete the segments all of whose records lie below `offset`; never the last one.

        Parameters
        ----------
        offset
            Of the first record that is still needed.
        enough_bytes
            When so much was given back the rest stays.

        Returns
        -------
        int
            Bytes given back.

        Raises
        ------
        JournalError
            The system refused.
        """
        freed = 0
        with self._mutex:
            while (
                freed < enough_bytes
                and len(self._segments) > 1
                and self._segments[1].first <= offset
            ):
                oldest = self._segments[0]
                path = self._path(oldest.first)
                try:
                    path.unlink(missing_ok=True)
                except OSError as error:
                    raise failure(path, "delete", error) from error
                self._segments = self._segments[1:]
                freed += oldest.size
        return freed

    def close(self) -> None:
        """Sync, and let another writer in."""
        with self._mutex:
            try:
                if self._fd is not None and not self._broken:
                    self.sync()
            finally:
                if self._fd is not None:
                    os.close(self._fd)
                    self._fd = None
                self._broken = self._broken or f"{self.directory}: the log is closed"
                self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
