r"""One NMEA 0183 line: its fields, its checksum, its place in a message of several parts.

References
----------
IEC 61162-1 (NMEA 0183), sentence structure and checksum; encapsulation sentences VDM and VDO.
IEC 61162-450 / NMEA 4.10, TAG blocks (``\…\`` before the sentence; passed over here).
"""

from typing import NamedTuple

from model.errors import Reason

MAX_LINE_BYTES = 1024
"""Longest line read; the standard says 82 characters, receivers in the field write more."""

MAX_PARTS = 9
"""Most parts of a message: the field has one digit (IEC 61162-1, VDM)."""

HEX_DIGITS = frozenset(b"0123456789abcdefABCDEF")


class Sentence(NamedTuple):
    """A VDM or VDO sentence whose checksum holds."""

    raw: bytes
    parts: int
    part: int
    sequence: str
    channel: str
    payload: bytes
    fill: int


class Refused(Exception):  # noqa: N818 - it says what becomes of the line
    """Internal: a line cannot be used, and why."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(detail)


def checksum(data: bytes) -> int:
    """XOR of all bytes (IEC 61162-1): what stands between ``!`` and ``*``."""
    folded = int.from_bytes(data, "big")
    bits = 1 << max(3, (len(data) * 8 - 1).bit_length())
    while bits > 8:
        bits >>= 1
        folded = (folded >> bits) ^ (folded & ((1 << bits) - 1))
    return folded


def parse(line: bytes) -> Sentence:
    """Read one line; raises `Refused`."""
    if len(line) > MAX_LINE_BYTES:
        raise Refused(Reason.BAD_SHAPE, f"line of {len(line)} bytes")
    sentence = line
    if line.startswith(b"\\"):
        end = line.find(b"\\", 1)
        if end < 0:
            raise Refused(Reason.TRUNCATED, "TAG block without an end")
        sentence = line[end + 1 :]
    if not sentence.startswith(b"!"):
        reason = Reason.UNSUPPORTED if sentence.startswith(b"$") else Reason.BAD_SHAPE
        raise Refused(reason, f"no ! sentence: {_text(sentence[:12])}")
    body, star, after = sentence[1:].partition(b"*")
    if not star or len(after) < 2:
        raise Refused(Reason.TRUNCATED, f"ends before its checksum: {_text(sentence[-12:])}")
    if after[0] not in HEX_DIGITS or after[1] not in HEX_DIGITS:
        raise Refused(Reason.BAD_CHECKSUM, f"checksum {_text(after[:2])} is no number")
    told = int(after[:2], 16)
    if (found := checksum(body)) != told:
        raise Refused(Reason.BAD_CHECKSUM, f"checksum {told:02X} told, {found:02X} found")
    if len(after) > 2 and after[2:3] not in {b",", b" ", b"\t"}:
        raise Refused(Reason.BAD_SHAPE, f"{_text(after[2:14])} behind the checksum")
    fields = body.split(b",")
    tag = fields[0]
    if tag[2:] not in {b"VDM", b"VDO"}:
        raise Refused(Reason.UNSUPPORTED, f"sentence {_text(tag[:8])}, not VDM or VDO")
    if len(fields) != 7:
        raise Refused(Reason.BAD_SHAPE, f"{len(fields)} fields, not 7")
    _, parts, part, sequence, channel, payload, fill = fields
    if not (_digit(parts, 1, MAX_PARTS) and _digit(part, 1, int(parts))):
        raise Refused(Reason.BAD_FIELD, f"part {_text(part)} of {_text(parts)}")
    if not _digit(fill, 0, 5):
        raise Refused(Reason.BAD_FIELD, f"fill bits {_text(fill)}, not 0 to 5")
    if sequence and not _digit(sequence, 0, 9):
        raise Refused(Reason.BAD_FIELD, f"sequence {_text(sequence)}, not a digit")
    if len(channel) > 2 or (channel and not channel.isalnum()):
        raise Refused(Reason.BAD_FIELD, f"channel {_text(channel)}")
    if not payload:
        raise Refused(Reason.MISSING_FIELD, "payload: empty")
    if payload.translate(None, ARMOUR):
        raise Refused(Reason.BAD_FIELD, "payload: characters outside the 6-bit armour")
    clean = b"!" + body + b"*" + after[:2]
    return Sentence(
        clean, int(parts), int(part), sequence.decode(), channel.decode(), payload, int(fill)
    )


ARMOUR = bytes([*range(0x30, 0x58), *range(0x60, 0x78)])
"""The 64 characters that carry six bits each (IEC 61162-1, VDM)."""


def _digit(field: bytes, low: int, high: int) -> bool:
    return len(field) == 1 and field.isdigit() and low <= int(field) <= high


def _text(data: bytes) -> str:
    return repr(data.decode("ascii", "replace"))
