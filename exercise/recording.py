r"""Recordings: what came on some topics, in order of arrival, in one file.

::

    file    = b"VEDETTE-RECORDING 1\n" frame(header) frame(message)*
    frame   = length uint32 LE, CRC32C of the body uint32 LE, body
    header  = MessagePack map: created_ns, node, topics (the filters), program
    message = MessagePack array [received_ns, topic, payload]

The magic line is text, so that ``head -1`` says what the file is. A file is written front to back
and can be read while it grows; a tail cut off by a crash is told and passed over. A frame whose
checksum is wrong in the middle of a file is an error: what follows cannot be trusted.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

import google_crc32c
import msgspec

from model.errors import InputFileError

MAGIC = b"VEDETTE-RECORDING 1\n"

FRAME = struct.Struct("<II")
"""Length of the body in bytes, CRC32C (Castagnoli; RFC 3720, appendix B.4) of the body."""

MAX_BODY = 128 << 20
"""Longest body that is believed, bytes: over twice the largest payload a site can allow."""


class Header(msgspec.Struct, frozen=True):
    """What a recording says about itself.

    Parameters
    ----------
    created_ns
        When it was begun, UTC ns.
    node
        Node that it was taken from, or empty.
    topics
        Topic filters that were captured.
    program
        What wrote it.
    """

    created_ns: int
    node: str = ""
    topics: tuple[str, ...] = ()
    program: str = "vedette"


class Captured(NamedTuple):
    """One message of a recording.

    Parameters
    ----------
    received_ns
        When it arrived, UTC ns.
    topic, payload
        As they came.
    """

    received_ns: int
    topic: str
    payload: bytes


def _frame(body: bytes) -> bytes:
    return FRAME.pack(len(body), google_crc32c.value(body)) + body


class RecordingWriter:
    """Writes a recording; a context manager.

    Parameters
    ----------
    path
        A file that must not exist yet: recordings are never overwritten.
    header
        What it says about itself.

    Raises
    ------
    InputFileError
        If the file cannot be made.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self.path = path
        self.count = 0
        try:
            self._file = path.open("xb")
        except OSError as error:
            raise InputFileError(f"{path}: {error.strerror or error}") from error
        self._file.write(MAGIC + _frame(msgspec.msgpack.encode(header)))
        self._file.flush()

    def write(self, messages: Iterable[Captured]) -> None:
        """Append messages and hand them to the operating system."""
        rows = [_frame(msgspec.msgpack.encode(tuple(message))) for message in messages]
        self._file.write(b"".join(rows))
        self._file.flush()
        self.count += len(rows)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class RecordingReader:
    """Reads a recording from the front; an iterator of `Captured`.

    Parameters
    ----------
    file
        Open for reading bytes; need not be seekable.
    name
        For messages.

    Attributes
    ----------
    header
        What the recording says about itself.
    torn
        After the last message: bytes of a tail that was cut off; 0: the file is whole.

    Raises
    ------
    InputFileError
        If it is no recording, or damaged before its end.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self._at = len(MAGIC)
        self._decoder = msgspec.msgpack.Decoder(tuple[int, str, bytes])
        self.torn = 0
        if file.read(len(MAGIC)) != MAGIC:
            raise InputFileError(f"{name}: not a recording (it does not begin with {MAGIC!r})")
        body = self._body()
        if body is None:
            raise InputFileError(f"{name}: cut off within its header")
        try:
            self.header = msgspec.msgpack.decode(body, type=Header)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InputFileError(f"{name}: header: {error}") from error

    def __iter__(self) -> Iterator[Captured]:
        while True:
            at = self._at
            body = self._body()
            if body is None:
                return
            try:
                yield Captured(*self._decoder.decode(body))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise InputFileError(f"{self._name}: byte {at}: {error}") from error

    def _body(self) -> bytes | None:
        """Next body, or None at the end or at a tail that was cut off."""
        head = self._file.read(FRAME.size)
        if len(head) < FRAME.size:
            self.torn = len(head)
            return None
        length, crc = FRAME.unpack(head)
        body = self._file.read(min(length, MAX_BODY))
        if length > MAX_BODY or len(body) < length:
            # A wrong length cannot be told from a torn tail, unless more than a body follows.
            if length > MAX_BODY:
                raise InputFileError(f"{self._name}: byte {self._at}: damaged length {length}")
            self.torn = len(head) + len(body)
            return None
        if google_crc32c.value(body) != crc:
            rest = self._file.read(1)
            if not rest:
                self.torn = len(head) + len(body)
                return None
            raise InputFileError(f"{self._name}: byte {self._at}: damaged (checksum)")
        self._at += len(head) + len(body)
        return body


def is_recording(path: Path) -> bool:
    """Whether a file begins like a recording."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def read_recording(path: Path) -> tuple[Header, Sequence[Captured], int]:
    """A whole recording: header, messages, bytes of a torn tail."""
    with path.open("rb") as file:
        reader = RecordingReader(file, str(path))
        return reader.header, list(reader), reader.torn
