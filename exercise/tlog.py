"""MAVLink logs, and the times within MAVLink bytes: what a replay has to move.

A `.tlog` is a run of records: time as big-endian uint64 microseconds since 1970 UTC, then one
MAVLink frame as it was on the wire (QGroundControl and MAVProxy write them so).

A vehicle with GNSS tells its own clock in SYSTEM_TIME, and its positions are dated by it. So that
clock moves with the rest, and the frame gets a new checksum. All other frames stay as they were.

References
----------
MAVLink guide, "Packet Serialization": frame layouts of MAVLink 1 and 2, CRC_EXTRA.
MAVLink common message set: SYSTEM_TIME (2).
"""

import struct
from binascii import crc_hqx
from collections.abc import Iterator
from typing import NamedTuple

from adapters.mavlink.frames import EXTRA, REVERSED

TIME = struct.Struct(">Q")
"""Microseconds since 1970 UTC before each frame."""

V1, V2 = 0xFE, 0xFD
"""Start markers of MAVLink 1 and 2."""

V1_AROUND, V2_AROUND, SIGNATURE = 8, 12, 13
"""Bytes around a payload: header and checksum of either version, and a signature's length."""

SIGNED = 0x01
"""Incompatibility flag of MAVLink 2: a signature follows the checksum."""

LATEST_US = 4_102_444_800_000_000
"""2100-01-01, µs: no time in a log is later."""


SYSTEM_TIME = 2
CLOCK = struct.Struct("<QI")
"""Payload of SYSTEM_TIME: UTC µs (0: not known), ms since boot."""


class Stamped(NamedTuple):
    """One record of a log.

    Parameters
    ----------
    time_us
        When the frame was received, UTC µs.
    frame
        Its bytes.
    """

    time_us: int
    frame: bytes


def frame_length(data: bytes, at: int) -> int:
    """Length of the frame that begins at `at`; 0: none begins there, or it is cut off."""
    if at + 3 > len(data):
        return 0
    if data[at] == V1:
        length = data[at + 1] + V1_AROUND
    elif data[at] == V2:
        length = data[at + 1] + V2_AROUND + (SIGNATURE if data[at + 2] & SIGNED else 0)
    else:
        return 0
    return length if at + length <= len(data) else 0


def split(data: bytes) -> tuple[list[Stamped], int]:
    """Records of a log, and how many bytes of it belong to none.

    After rubbish it goes on at the next place where a believable time stands before a frame.
    """
    records: list[Stamped] = []
    at = skipped = 0
    while at + TIME.size < len(data):
        time_us = TIME.unpack_from(data, at)[0]
        length = frame_length(data, at + TIME.size) if time_us <= LATEST_US else 0
        if length == 0:
            at += 1
            skipped += 1
            continue
        start = at + TIME.size
        records.append(Stamped(time_us, data[start : start + length]))
        at = start + length
    return records, skipped + len(data) - at


def join(records: list[Stamped], shift_us: int = 0) -> bytes:
    """Records as bytes of a log, their times and the vehicles' clocks moved by whole µs."""
    return b"".join(
        TIME.pack(time_us + shift_us) + moved_clock(frame, shift_us) for time_us, frame in records
    )


def moved_clock(frame: bytes, shift_us: int) -> bytes:
    """A frame with the clock in it moved, if it is a whole SYSTEM_TIME with a clock.

    Signed frames stay as they were: nobody but the vehicle can sign them anew.
    """
    head = 6 if frame[0] == V1 else 10
    number = frame[5] if frame[0] == V1 else int.from_bytes(frame[7:10], "little")
    if shift_us == 0 or number != SYSTEM_TIME or len(frame) > head + CLOCK.size + 2:
        return frame
    body, told = frame[1:-2], frame[-2:]
    if (frame[0] == V2 and frame[2]) or _checksum(body) != told:
        return frame
    unix_us, boot_ms = CLOCK.unpack(body[head - 1 :].ljust(CLOCK.size, b"\0"))
    if not 0 < unix_us <= LATEST_US or not 0 < unix_us + shift_us <= LATEST_US:
        return frame
    payload = CLOCK.pack(unix_us + shift_us, boot_ms)
    if frame[0] == V2:
        payload = payload.rstrip(b"\0")  # as MAVLink 2 sends it
    body = bytes((len(payload),)) + body[1 : head - 1] + payload
    return frame[:1] + body + _checksum(body)


def _checksum(body: bytes) -> bytes:
    """CRC-16/MCRF4XX over a SYSTEM_TIME's body and CRC_EXTRA, as on the wire.

    It is the bit-reversed twin of `crc_hqx`.
    """
    crc = crc_hqx(EXTRA[SYSTEM_TIME], crc_hqx(body.translate(REVERSED), 0xFFFF))
    return crc.to_bytes(2, "big").translate(REVERSED)


def moved(data: bytes, shift_us: int) -> bytes:
    """Any bytes with the MAVLink times in them moved; all others come back as they were.

    Bytes that are wholly records of a log move as such. Elsewhere a SYSTEM_TIME is believed if
    its header and its checksum hold: in random bytes that happens once in 2^32 places or less.
    """
    if V1 not in data and V2 not in data:
        return data
    records, skipped = split(data)
    if records and not skipped:
        return join(records, shift_us)
    parts: list[bytes] = []
    at = copied = 0
    while at < len(data):
        length = frame_length(data, at)
        changed = moved_clock(data[at : at + length], shift_us) if length else b""
        if length and changed != data[at : at + length]:
            parts += [data[copied:at], changed]
            at = copied = at + length
        else:
            at += 1
    return b"".join([*parts, data[copied:]])


def chunks(
    records: list[Stamped], *, longest_us: int = 100_000, most: int = 64
) -> Iterator[list[Stamped]]:
    """Records in runs of at most `most` frames and `longest_us` from first to last."""
    run: list[Stamped] = []
    for record in records:
        if run and (len(run) >= most or not 0 <= record.time_us - run[0].time_us <= longest_us):
            yield run
            run = []
        run.append(record)
    if run:
        yield run
