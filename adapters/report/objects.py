"""JSON, JSON Lines and MessagePack reports, one object a report.

The fast path decodes a whole report into typed structs. Where that fails, its detections are read
one by one, so that a bad one is refused alone and the good ones beside it stay.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from adapters.common import refusal
from adapters.report.schema import (
    Head,
    Identity,
    Item,
    RawReport,
    Report,
)
from model.detections import IDENTITY_BYTES, IdentityKind
from model.errors import Quarantined, Reason
from model.time import ns_from_iso, ns_from_seconds

BOOT_BYTES = 24
"""Longest `boot`, bytes of UTF-8: the width of `Detections.boot`."""

_JSON_REPORT = msgspec.json.Decoder(Report)
_JSON_RAW = msgspec.json.Decoder(RawReport)
_JSON_ITEM = msgspec.json.Decoder(Item)
_JSON_ANY = msgspec.json.Decoder(msgspec.Raw)
_PACK_REPORT = msgspec.msgpack.Decoder(Report)
_PACK_RAW = msgspec.msgpack.Decoder(RawReport)
_PACK_ITEM = msgspec.msgpack.Decoder(Item)

REQUIRED: dict[str, tuple[str, ...]] = {
    "position": ("lat", "lon"),
    "polar": ("range_m", "azimuth_deg"),
    "bearing": ("azimuth_deg",),
    "zone": ("lat", "lon", "radius_m"),
    "line": ("points",),
}
"""What a detection of a kind cannot do without."""

_NOT_FINITE = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]|\xca[\x7f\xff][\x80-\xff]", re.DOTALL)
"""MessagePack float 64 and float 32 whose exponent is all ones."""


class Refused(Exception):  # noqa: N818 - it says what becomes of the item
    """Internal: an item cannot be used, and why."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(detail)


@dataclass(slots=True)
class Objects:
    """Reports read so far, waiting to become columns; lists in step with each other."""

    messages: list[int] = field(default_factory=list)
    heads: list[Head] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    item_times: list[int] = field(default_factory=list)


def read_json(
    payload: bytes, row: int, offset: int, sensor: str, into: Objects, refused: list[Quarantined]
) -> int:
    """Read one JSON report, or JSON Lines of them; returns how many were understood."""
    text = payload.strip()
    if b"\n" in text and not _is_one_document(text):
        number = 0
        understood = 0
        for count, line in enumerate(text.split(b"\n"), 1):
            if not line.strip():
                continue
            where = f"line {count}: "
            before = number
            number, good = _read(
                line, row, offset, sensor, into, refused, _JSON, where=where, base=number
            )
            number = max(number, before + 1)  # an empty or refused report takes a number too
            understood += good
        return understood
    return _read(text, row, offset, sensor, into, refused, _JSON)[1]


def read_msgpack(
    payload: bytes, row: int, offset: int, sensor: str, into: Objects, refused: list[Quarantined]
) -> int:
    """Read one MessagePack report; returns how many were understood."""
    return _read(payload, row, offset, sensor, into, refused, _PACK)[1]


@dataclass(frozen=True, slots=True)
class _Form:
    report: Callable[[bytes], Report]
    raw: Callable[[bytes], RawReport]
    item: Callable[[msgspec.Raw], Item]
    broken: Reason


_JSON = _Form(_JSON_REPORT.decode, _JSON_RAW.decode, _JSON_ITEM.decode, Reason.NOT_JSON)
_PACK = _Form(_PACK_REPORT.decode, _PACK_RAW.decode, _PACK_ITEM.decode, Reason.NOT_MSGPACK)


def _is_one_document(text: bytes) -> bool:
    try:
        _JSON_ANY.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False
    return True


def _read(
    payload: bytes,
    row: int,
    offset: int,
    sensor: str,
    into: Objects,
    refused: list[Quarantined],
    form: _Form,
    *,
    where: str = "",
    base: int = -1,
) -> tuple[int, int]:
    """Read one report; returns the next free item number and 1 if it was understood."""
    whole = base  # the item that stands for all of the report
    first = max(base, 0)
    try:
        report: Report | RawReport
        parts: list[tuple[int, Item]]
        bad: list[tuple[int, Refused]] = []
        try:
            report = form.report(payload)
            parts = list(enumerate(report.detections))
        except msgspec.ValidationError:
            # either the head is bad (then this raises again, with its path) or a detection is
            report = form.raw(payload)
            parts = []
            for number, raw in enumerate(report.detections):
                try:
                    parts.append((number, form.item(raw)))
                except msgspec.ValidationError as error:
                    bad.append((number, explain(error, _within(number, ""))))
        # JSON has no word for NaN; MessagePack has, and it must not pass for "not measured"
        odd = form is _PACK and _NOT_FINITE.search(payload) is not None
        time_ns = _check_head(report, sensor, odd=odd)
        good: list[tuple[int, Item]] = []
        times: list[int] = []
        for number, item in parts:
            try:
                times.append(_check_item(item, time_ns, odd=odd))
                good.append((number, item))
            except Refused as error:
                bad.append((number, Refused(error.reason, _within(number, error.detail))))
    except msgspec.ValidationError as error:
        why = explain(error)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        why = Refused(form.broken, str(error))
    except RecursionError:
        why = Refused(form.broken, "nested too deeply")
    except Refused as error:
        why = error
    else:
        bad.sort(key=lambda pair: pair[0])
        refused.extend(
            refusal(offset, first + number, sensor, error.reason, where + error.detail)
            for number, error in bad
        )
        count = len(report.detections)
        if count and not good:
            return first + count, 0  # nothing of it stands: it is no "looked and saw nothing"
        into.messages.append(row)
        into.heads.append(report)
        into.times.append(time_ns)
        into.counts.append(len(good))
        into.items.extend(item for _, item in good)
        into.numbers.extend(first + number for number, _ in good)
        into.item_times.extend(times)
        return first + count, 1
    refused.append(refusal(offset, whole, sensor, why.reason, where + why.detail))
    return first + 1, 0


def _within(number: int, detail: str) -> str:
    return f"detections[{number}].{detail}"


def explain(error: msgspec.ValidationError, within: str = "") -> Refused:
    """The reason behind a msgspec message, with the field first."""
    what, _, path = str(error).partition(" - at `")
    path = within + path.rstrip("`").removeprefix("$").removeprefix(".")
    if "missing required field" in what:
        name = what.rpartition("field `")[2].rstrip("`")
        dot = "." if path and not path.endswith(".") else ""
        return Refused(Reason.MISSING_FIELD, f"{path}{dot}{name}: missing")
    if not path.rstrip("."):
        return Refused(Reason.BAD_SHAPE, what)
    return Refused(Reason.BAD_FIELD, f"{path.rstrip('.')}: {what}")


def _check_head(report: Report | RawReport, sensor: str, *, odd: bool) -> int:
    """Time of a report in ns; raises `Refused` for what its types do not say."""
    if report.sensor != sensor:
        raise Refused(
            Reason.SENSOR_MISMATCH, f"sensor: {report.sensor!r}, but the topic says {sensor!r}"
        )
    time_ns = _time(report.time, report.time_ns)
    if time_ns is None:
        raise Refused(Reason.MISSING_FIELD, "time: missing (time_ns, or time)")
    if report.seq is not None and not report.boot:
        raise Refused(Reason.MISSING_FIELD, "boot: missing (seq needs it)")
    if report.boot is not None and not fits(report.boot, BOOT_BYTES):
        raise Refused(Reason.BAD_FIELD, f"boot: over {BOOT_BYTES} bytes, or with a NUL")
    if odd:
        _finite("", msgspec.to_builtins(_head_only(report)))
    return time_ns


def _check_item(item: Item, time_ns: int, *, odd: bool) -> int:
    """Time of a detection in ns; raises `Refused` for what its types do not say."""
    if odd:
        _finite("", msgspec.to_builtins(item))
    for name in REQUIRED[item.kind]:
        if getattr(item, name) is None:
            raise Refused(Reason.MISSING_FIELD, f"{name}: missing ({item.kind} needs it)")
    if item.covariance_m2 is not None:
        length = len(item.covariance_m2)
        if length not in {3, 6}:
            raise Refused(Reason.BAD_FIELD, f"covariance_m2: {length} values, not 3 or 6")
        if length == 6 and item.alt_m is None:
            raise Refused(Reason.BAD_FIELD, "covariance_m2: 6 values without alt_m")
    if item.identity is not None:
        identity_of(item.identity)
    if item.time is None and item.time_ns is None:
        return time_ns
    own = _time(item.time, item.time_ns)
    return time_ns if own is None else own


def _head_only(report: Report | RawReport) -> dict[str, Any]:
    return {"time": report.time, "origin": report.origin, "looked": report.looked}


def _finite(path: str, value: Any) -> None:
    """Refuse NaN and infinity that were really written."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Refused(Reason.NOT_FINITE, f"{path}: {value} is not finite")
    elif isinstance(value, dict):
        for key, entry in value.items():
            _finite(f"{path}.{key}".lstrip("."), entry)
    elif isinstance(value, (list, tuple)):
        for number, entry in enumerate(value):
            _finite(f"{path}[{number}]", entry)


def _time(value: float | str | None, time_ns: int | None) -> int | None:
    if time_ns is not None:
        return time_ns
    if value is None:
        return None
    try:
        return ns_from_iso(value) if isinstance(value, str) else ns_from_seconds(value)
    except (ValueError, OverflowError) as error:
        finite = isinstance(value, str) or math.isfinite(value)
        reason = Reason.BAD_FIELD if finite else Reason.NOT_FINITE
        raise Refused(reason, f"time: {error}") from None


def fits(text: str, limit: int) -> bool:
    """Whether a text keeps to a number of bytes of UTF-8 and has no NUL."""
    try:
        data = text.encode()
    except UnicodeEncodeError:
        return False
    return len(data) <= limit and b"\0" not in data


def identity_of(identity: Identity) -> tuple[int, bytes]:
    """Kind and bytes of an identity in its one spelling."""
    given = [
        (kind, value)
        for kind, value in (
            (IdentityKind.ICAO24, identity.icao24),
            (IdentityKind.MMSI, identity.mmsi),
            (IdentityKind.MAVLINK, identity.mavlink),
            (IdentityKind.REMOTE_ID, identity.remote_id),
        )
        if value is not None
    ]
    if len(given) != 1:
        raise Refused(Reason.BAD_FIELD, f"identity: {len(given)} numbers, not one")
    kind, value = given[0]
    text = str(value)
    if kind is IdentityKind.ICAO24:
        text = text.lower()
        good = len(text) == 6 and all(c in "0123456789abcdef" for c in text)
    elif kind is IdentityKind.MMSI:
        text = text.zfill(9)
        good = len(text) == 9 and text.isascii() and text.isdigit()
    else:
        good = bool(text) and text.isprintable() and fits(text, IDENTITY_BYTES)
    if not good:
        raise Refused(Reason.BAD_FIELD, f"identity.{kind.name.lower()}: {text!r} is none")
    return int(kind), text.encode()
