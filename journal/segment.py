r"""The format of a segment file: a header, then records one after another. Little-endian.

Header, 32 bytes::

    0   8s  magic  "VDTSEG\r\n"
    8   u16 version, 1
    10  u16 0
    12  i64 offset of the first record; also the file's name: 20 digits and ".seg"
    20  8s  salt, random
    28  u32 CRC32C of bytes 0..28: the *seed* of the records' checksums

Record, 40 bytes, then the topic (UTF-8), then the payload::

    0   u32 CRC32C of all that follows in the record, continued from the seed
    4   u16 marker 0x569E
    6   u8  kind
    7   u8  attempt: the writer's failed appends so far, modulo 256
    8   u16 mid
    10  u16 length of the topic, bytes
    12  u32 length of the payload, bytes
    16  u32 behind: records before this one that were not known to be durable when it was written
    20  u32 ahead: records of the same append that follow this one
    24  i64 offset
    32  i64 received, UTC ns

The salt makes checksums that nobody outside can compute: a payload that imitates records is never
taken for one when a damaged file is searched. `behind` says what a crash may have taken and what
it may not, `ahead` and `attempt` let a reader wait until an append is complete.

CRC32C: polynomial 0x1EDC6F41 (Castagnoli), reflected, as in RFC 3720, appendix B.4.
"""

import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import google_crc32c

from model.errors import JournalCorrupt, JournalError
from model.records import Kind

if (
    google_crc32c.implementation != "c"
):  # pragma: no cover - the pure Python one is 500 times slower
    raise ImportError(
        "google_crc32c lacks its C extension on this machine; install a wheel with it"
    )

MAGIC = b"VDTSEG\r\n"
VERSION = 1
HEADER = struct.Struct("<8sHHq8sI")
FRAME = struct.Struct("<IHBBHHIIIqq")
_BODY = struct.Struct("<HBBHHIIIqq")
_CRC = struct.Struct("<I")
MARKER = 0x569E
_MARKER_BYTES = MARKER.to_bytes(2, "little")

MAX_PAYLOAD = 2**28
"""Longest payload, bytes; MQTT cannot send a longer one (MQTT 5.0, 1.5.5: 268,435,455)."""

MAX_TOPIC = 2**16 - 1
"""Longest topic, bytes (MQTT 5.0, 1.5.4)."""

_U32_MAX = 2**32 - 1

Row = tuple[Kind, int, str, bytes, int]
"""What is appended: kind, received ns, topic, payload, mid."""


class Frame(NamedTuple):
    """A whole record as it lies in a buffer; `start`, `end` are positions in that buffer."""

    offset: int
    start: int
    end: int
    kind: int
    attempt: int
    mid: int
    topic_end: int
    behind: int
    ahead: int
    received_ns: int


def segment_name(first: int) -> str:
    """File name of the segment whose first record has this offset."""
    return f"{first:020d}.seg"


def list_segments(directory: Path) -> list[int]:
    """First offsets of the segments in a directory, rising; empty where there is none yet."""
    try:
        with os.scandir(directory) as entries:
            names = [entry.name for entry in entries]
    except FileNotFoundError:
        return []
    return sorted(
        int(name[:20])
        for name in names
        if len(name) == 24 and name.endswith(".seg") and name[:20].isdecimal() and name.isascii()
    )


def encode_header(first: int, salt: bytes) -> tuple[bytes, int]:
    """Header of a segment, and the seed of its records."""
    body = HEADER.pack(MAGIC, VERSION, 0, first, salt, 0)[:-4]
    seed: int = google_crc32c.value(body)
    return body + _CRC.pack(seed), seed


def decode_header(data: bytes, first: int, path: Path) -> int | None:
    """Seed of a segment's records; None: the header is not (or not yet) whole.

    Raises
    ------
    JournalError
        A whole header of another version.
    JournalCorrupt
        A whole header of another segment.
    """
    if len(data) < HEADER.size:
        return None
    magic, version, _, its_first, _, seed = HEADER.unpack_from(data)
    if magic != MAGIC or google_crc32c.value(data[: HEADER.size - 4]) != seed:
        return None
    if version != VERSION:
        raise JournalError(f"{path}: version {version} of the format; this program knows {VERSION}")
    if its_first != first:
        raise JournalCorrupt(f"{path}: its header says that it begins at offset {its_first}")
    return int(seed)


def check_row(topic: str, payload: bytes, mid: int, received_ns: int) -> bytes:
    """Topic of a row as bytes.

    Raises
    ------
    JournalError
        The row cannot be stored: too long, no text, or a number that does not fit.
    """
    try:
        encoded = topic.encode()
    except UnicodeEncodeError as error:
        raise JournalError(f"topic {topic!r} is no valid text: {error.reason}") from error
    if len(encoded) > MAX_TOPIC:
        raise JournalError(f"topic of {len(encoded)} bytes; at most {MAX_TOPIC}")
    if len(payload) > MAX_PAYLOAD:
        raise JournalError(f"payload of {len(payload)} bytes; at most {MAX_PAYLOAD}")
    if not 0 <= mid <= 0xFFFF:
        raise JournalError(f"packet identifier {mid} does not lie in 0..65535")
    if not -(2**63) <= received_ns < 2**63:
        raise JournalError(f"time {received_ns} ns does not fit in 64 bits")
    return encoded


def encode_rows(
    rows: Sequence[Row],
    topics: Sequence[bytes],
    *,
    first: int,
    durable: int,
    attempt: int,
    seed: int,
) -> bytes:
    """Records of one append as bytes.

    Parameters
    ----------
    rows, topics
        What to store, and the topics as `check_row` gave them.
    first
        Offset of the first row.
    durable
        Offset below which everything is known to be durable.
    attempt
        Failed appends so far.
    seed
        Of the segment.

    Raises
    ------
    JournalError
        A number does not fit.
    """
    parts: list[bytes] = []
    extend, pack, pack_crc = google_crc32c.extend, _BODY.pack, _CRC.pack
    ahead = len(rows)
    offset = first
    try:
        for (kind, received_ns, _, payload, mid), topic in zip(rows, topics, strict=True):
            ahead -= 1
            behind = min(offset - durable, _U32_MAX)
            fixed = pack(
                MARKER, kind, attempt & 0xFF, mid, len(topic), len(payload), behind, ahead, offset,
                received_ns,
            )  # fmt: skip
            body = b"".join((fixed, topic, payload))
            parts.append(pack_crc(extend(seed, body)))
            parts.append(body)
            offset += 1
    except struct.error as error:
        raise JournalError(f"row {offset - first} cannot be stored: {error}") from error
    return b"".join(parts)


def frame_length(buffer: bytes, position: int, offset: int) -> int | None:
    """Bytes that the record at a position claims to take; None: no record of that offset is there.

    Needs the record's 40 fixed bytes; its checksum is not looked at.
    """
    if position + FRAME.size > len(buffer):
        return None
    _, marker, _, _, _, topic, payload, _, _, its_offset, _ = FRAME.unpack_from(buffer, position)
    if marker != MARKER or its_offset != offset or payload > MAX_PAYLOAD:
        return None
    return int(FRAME.size + topic + payload)


def frames(buffer: bytes, seed: int, offset: int, position: int = 0) -> Iterator[Frame]:
    """Whole and undamaged records of consecutive offsets, up to the first that is not."""
    unpack, size, extend = FRAME.unpack_from, FRAME.size, google_crc32c.extend
    limit = len(buffer)
    while position + size <= limit:
        (
            crc, marker, kind, attempt, mid, topic, payload, behind, ahead, its_offset, received_ns,
        ) = unpack(buffer, position)  # fmt: skip
        topic_end = position + size + topic
        end = topic_end + payload
        if (
            marker != MARKER
            or its_offset != offset
            or end > limit
            or extend(seed, buffer[position + 4 : end]) != crc
        ):
            return
        yield Frame(
            offset, position, end, kind, attempt, mid, topic_end, behind, ahead, received_ns
        )
        offset += 1
        position = end


def find_frame(buffer: bytes, seed: int, offset: int, position: int) -> Frame | None:
    """First whole and undamaged record of an offset above `offset`, at or behind a position."""
    at = buffer.find(_MARKER_BYTES, position + 4)
    while at >= 0:
        start = at - 4
        if start + FRAME.size <= len(buffer):
            its_offset = int.from_bytes(buffer[start + 24 : start + 32], "little", signed=True)
            if offset < its_offset <= offset + len(buffer) // FRAME.size:
                found = next(frames(buffer, seed, its_offset, start), None)
                if found is not None:
                    return found
        at = buffer.find(_MARKER_BYTES, at + 1)
    return None
