"""MAVLink 1 and 2 frames in a stream of bytes: where they begin and end, and whether they hold.

A frame is believed only when its checksum holds; between two such frames everything is garbage.
The checksum is CRC-16/MCRF4XX, which is the bit-reversed twin of the CRC that
`binascii.crc_hqx` computes: reversing the bits of every byte of the stream once makes the C
function do the work (about a microsecond a frame instead of forty).

References
----------
MAVLink developer guide, "Packet Serialization" and "Message Signing" (mavlink.io, 2024): frame
layouts, CRC_EXTRA, payload truncation, incompatibility flags.
"""

from binascii import crc_hqx
from collections.abc import Iterator
from typing import NamedTuple

from pymavlink.dialects.v20 import all as dialect

from model.errors import Reason

MAGIC_1 = 0xFE
"""First byte of a MAVLink 1 frame."""

MAGIC_2 = 0xFD
"""First byte of a MAVLink 2 frame."""

HEADER_1, HEADER_2 = 6, 10
"""Header bytes, magic included."""

CRC_BYTES = 2
SIGNATURE_BYTES = 13
"""Link id, time stamp and signature of a signed MAVLink 2 frame."""

SIGNED = 0x01
"""Incompatibility flag: a signature follows. It is carried past, not verified: that needs the
vehicle's key, and the broker's TLS already says who sent it."""

MAX_FRAME_BYTES = HEADER_2 + 255 + CRC_BYTES + SIGNATURE_BYTES
"""280 bytes, the longest frame."""

TLOG_BYTES = 8
"""Time stamp before each frame of a telemetry log: big-endian microseconds since 1970."""

REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))
"""Each byte with its bits in the other order."""

EXTRA: dict[int, bytes] = {
    number: bytes((REVERSED[message.crc_extra],)) for number, message in dialect.mavlink_map.items()
}
"""CRC_EXTRA of every known message, bits reversed; from the tables of pymavlink."""

FULL_BYTES: dict[int, int] = {
    number: message.unpacker.size for number, message in dialect.mavlink_map.items()
}
"""Longest payload of every known message, extension fields included."""

NAMES: dict[int, str] = {number: message.msgname for number, message in dialect.mavlink_map.items()}
"""Names of the messages, for people."""


class Frame(NamedTuple):
    """A frame whose checksum holds, or whose message is not known."""

    message: int
    system: int
    component: int
    payload: bytes
    time_us: int
    stop: int
    version: int


class Skipped(NamedTuple):
    """Bytes that are no frame."""

    reason: Reason
    detail: str


class Stream(NamedTuple):
    """What one stretch of bytes held, in order, and what may be the start of a frame."""

    items: list[Frame | Skipped]
    rest: bytes


_INCOMPLETE = 0
_BROKEN = 1


def split(data: bytes, lead: int = 0, *, final: bool = False) -> Stream:
    """Cut a stretch of bytes into frames.

    Parameters
    ----------
    data
        The bytes.
    lead
        Bytes of time stamp before each frame: 0, or `TLOG_BYTES`.
    final
        Nothing will follow: what is left open is garbage, not a rest.

    Notes
    -----
    Where no frame is, the next one is looked for byte by byte, and all that lies between is one
    skipped item. Bytes at the end that may begin a frame are the rest, at most
    ``lead + MAX_FRAME_BYTES - 1`` of them. Where a frame is due and its header is plausible, its
    end is awaited; nothing is looked for inside it.
    """
    mirrored = data.translate(REVERSED)
    items: list[Frame | Skipped] = []
    at = 0
    end = len(data)
    more = True  # a whole frame may still follow
    while at < end:
        found = frame_at(data, mirrored, at, lead)
        if isinstance(found, Frame):
            items.append(_judge(found))
            at = found.stop
            continue
        if found == _INCOMPLETE and not final and _plausible(data, at + lead):
            return Stream(items, data[at:])
        start, follows = _search(data, mirrored, at + 1, lead) if more else (-1, None)
        if follows is None:
            more = False
            start = end if final else _first_open(data, at, lead)
        if start > at:
            items.append(_explain(data, at, start, lead))
        at = start
        if follows is not None:
            items.append(_judge(follows))
            at = follows.stop
    return Stream(items, b"")


def _plausible(data: bytes, start: int) -> bool:
    """Whether what begins here may be the header of a known message, as far as it can be seen."""
    seen = data[start : start + HEADER_2]
    if not seen:
        return True
    if seen[0] == MAGIC_1:
        if len(seen) < HEADER_1:
            return True
        message = seen[5]
    elif seen[0] == MAGIC_2:
        if len(seen) > 2 and seen[2] & ~SIGNED:
            return False
        if len(seen) < HEADER_2:
            return True
        message = int.from_bytes(seen[7:], "little")
    else:
        return False
    return 0 < seen[1] <= FULL_BYTES.get(message, 0)


def frame_at(data: bytes, mirrored: bytes, at: int, lead: int) -> Frame | int:
    """The frame that begins at a place (its time stamp does), or why there is none."""
    start = at + lead
    end = len(data)
    if start >= end:
        return _INCOMPLETE
    magic = data[start]
    if magic == MAGIC_1:
        if start + HEADER_1 > end:
            return _INCOMPLETE
        body = start + HEADER_1
        check = stop = body + data[start + 1]
        system, component, message = data[start + 3], data[start + 4], data[start + 5]
        version = 1
        stop = check + CRC_BYTES
    elif magic == MAGIC_2:
        if start + HEADER_2 > end:
            return _INCOMPLETE
        body = start + HEADER_2
        check = body + data[start + 1]
        system, component = data[start + 5], data[start + 6]
        message = data[start + 7] | data[start + 8] << 8 | data[start + 9] << 16
        version = 2
        stop = check + CRC_BYTES + (SIGNATURE_BYTES if data[start + 2] & SIGNED else 0)
    else:
        return _BROKEN
    extra = EXTRA.get(message)
    if stop > end:
        return _INCOMPLETE
    if extra is None:
        # cannot be verified: believed only if it fills the bytes up to the next frame or the end
        if stop != end and (stop + lead >= end or data[stop + lead] not in {MAGIC_1, MAGIC_2}):
            return _BROKEN
    else:
        crc = crc_hqx(extra, crc_hqx(mirrored[start + 1 : check], 0xFFFF))
        if crc != mirrored[check] << 8 | mirrored[check + 1]:
            return _BROKEN
    if version == 2 and data[start + 2] & ~SIGNED:
        version = -data[start + 2]
    time_us = int.from_bytes(data[at:start], "big") if lead else -1
    return Frame(message, system, component, data[body:check], time_us, stop, version)


def _judge(frame: Frame) -> Frame | Skipped:
    """A frame that must not be used is an item of its own."""
    if frame.message not in EXTRA:
        return Skipped(Reason.UNSUPPORTED, f"message {frame.message} is not known")
    if frame.version < 0:
        return Skipped(
            Reason.UNSUPPORTED, f"incompatibility flags 0x{-frame.version:02x} are not known"
        )
    return frame


def _search(data: bytes, mirrored: bytes, at: int, lead: int) -> tuple[int, Frame | None]:
    """The first known frame that holds, at or after a place; -1 if there is none."""
    for start in _magics(data, at + lead):
        if not _plausible(data, start):
            continue
        found = frame_at(data, mirrored, start - lead, lead)
        if isinstance(found, Frame) and found.message in EXTRA:
            return start - lead, found
    return -1, None


def _first_open(data: bytes, at: int, lead: int) -> int:
    """The first place behind a broken one where a frame may have begun that is not yet whole."""
    end = len(data)
    told = _told_end(data, at + lead)
    if at < told <= end and _plausible(data, told + lead):
        return told  # most likely: only bytes inside the broken frame are wrong
    for start in _magics(data, max(at + 1 + lead, end - MAX_FRAME_BYTES)):
        if _plausible(data, start) and frame_at(data, data, start - lead, lead) == _INCOMPLETE:
            return start - lead
    return max(at + 1, end - lead) if lead else end


def _told_end(data: bytes, start: int) -> int:
    """Where a frame ends by its own header, or -1."""
    if not _plausible(data, start) or start + HEADER_2 > len(data):
        return -1
    if data[start] == MAGIC_1:
        return start + HEADER_1 + data[start + 1] + CRC_BYTES
    signature = SIGNATURE_BYTES if data[start + 2] & SIGNED else 0
    return start + HEADER_2 + data[start + 1] + CRC_BYTES + signature


def _magics(data: bytes, at: int) -> Iterator[int]:
    """Places of either magic byte from a place on, in order."""
    one, two = data.find(MAGIC_1, at), data.find(MAGIC_2, at)
    while one >= 0 or two >= 0:
        if two < 0 or 0 <= one < two:
            yield one
            one = data.find(MAGIC_1, one + 1)
        else:
            yield two
            two = data.find(MAGIC_2, two + 1)


def _explain(data: bytes, at: int, stop: int, lead: int) -> Skipped:
    """What a stretch of garbage looks most like."""
    start = at + lead
    length = stop - at
    magic = data[start] if start < stop else -1
    if magic not in {MAGIC_1, MAGIC_2}:
        return Skipped(Reason.BAD_SHAPE, f"{length} bytes that are no frame")
    header = HEADER_1 if magic == MAGIC_1 else HEADER_2
    if start + header > stop or start + header + data[start + 1] + CRC_BYTES > stop:
        return Skipped(Reason.TRUNCATED, f"frame cut off after {stop - start} bytes")
    if magic == MAGIC_1:
        message = data[start + 5]
    else:
        message = int.from_bytes(data[start + 7 : start + 10], "little")
    name = NAMES.get(message, "unknown")
    return Skipped(Reason.BAD_CHECKSUM, f"message {message} ({name}): checksum does not hold")


def begins_with_frame(data: bytes, lead: int = 0) -> bool:
    """Whether bytes begin with a whole known frame whose checksum holds."""
    head = data[: lead + MAX_FRAME_BYTES]
    found = frame_at(head, head.translate(REVERSED), 0, lead)
    return isinstance(found, Frame) and found.message in EXTRA
