"""(boot, seq) of a message, read without an adapter: what receipts are made of.

A frame of a gateway tells its own. A report tells its own too, in whichever of its forms; only
these two keys are read, the rest is passed over (`adapters.report` reads it later). What tells
none is stored at least once, and nobody is given a receipt for it.
"""

from enum import StrEnum

import msgspec

from ingest.routes import unwrap

BOOT_BYTES = 24
"""Longest `boot`, bytes of UTF-8, as in frames and reports."""

SEQ_MAX = 2**63 - 1
"""Greatest sequence number: they are int64 in `Detections`."""

Identity = tuple[str, int]
"""boot, seq."""


class Form(StrEnum):
    """Of what the numbers are; a frame and the report in it have numbers of their own."""

    FRAMED = "framed"
    REPORTS = "reports"


class _Columns(msgspec.Struct):
    seq: bytes | None = None


class _Head(msgspec.Struct):
    """The two keys of a report, and where the array form keeps its numbers."""

    boot: str | None = None
    seq: int | None = None
    reports: _Columns | None = None


_JSON = msgspec.json.Decoder(_Head)
_PACK = msgspec.msgpack.Decoder(_Head)
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def of_frame(payload: bytes) -> list[Identity]:
    """Of a gateway's frame; empty: it is none."""
    frame = unwrap(payload)
    return [] if isinstance(frame, str) else [(frame.boot, frame.seq)]


def of_reports(payload: bytes) -> list[Identity]:
    """Of every report in a message; those that tell none, or cannot be read, are left out."""
    text = payload.lstrip()
    if text[:1] != b"{":
        return _numbers(payload, _PACK)
    try:
        return _of(_JSON.decode(text))
    except _UNREADABLE:
        # JSON Lines, or broken
        found: list[Identity] = []
        for line in text.split(b"\n"):
            found += _numbers(line, _JSON)
        return found


def of_cut_frame(head: bytes) -> list[Identity]:
    """Of a frame of which only the first bytes are kept (OVERSIZE); empty: they do not tell.

    Parameters
    ----------
    head
        The first 64 bytes: an array of 4, the boot (at most 26 bytes with its length), the seq.
    """
    try:
        if head[0] != 0x94:
            return []
        if head[1] == 0xD9:
            start, length = 3, head[2]
        elif head[1] & 0xE0 == 0xA0:
            start, length = 2, head[1] & 0x1F
        else:
            return []
        boot = head[start : start + length].decode()
        at = start + length
        width = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}.get(head[at])
        if width is None:
            seq = head[at]
            usable = seq < 0x80  # MessagePack: positive fixint
        else:
            seq = int.from_bytes(head[at + 1 : at + 1 + width])
            usable = at + 1 + width <= len(head)
    except (IndexError, UnicodeDecodeError):
        return []
    return [(boot, seq)] if usable and _fits(boot, seq) else []


def _numbers(
    payload: bytes, decoder: "msgspec.json.Decoder[_Head] | msgspec.msgpack.Decoder[_Head]"
) -> list[Identity]:
    try:
        return _of(decoder.decode(payload))
    except _UNREADABLE:
        return []


def _of(head: _Head) -> list[Identity]:
    if head.boot is None:
        return []
    if head.reports is not None and head.reports.seq is not None:
        column = head.reports.seq
        numbers = [
            int.from_bytes(column[at : at + 8], "little", signed=True)
            for at in range(0, len(column) - 7, 8)
        ]
        return [(head.boot, seq) for seq in numbers if _fits(head.boot, seq)]
    if head.seq is None or not _fits(head.boot, head.seq):
        return []
    return [(head.boot, head.seq)]


def _fits(boot: str, seq: int) -> bool:
    return (
        0 <= seq <= SEQ_MAX
        and 0 < len(boot.encode("utf-8", "replace")) <= BOOT_BYTES
        and "\0" not in boot
    )
