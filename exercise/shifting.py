"""Moving the times within recorded payloads by a whole number of nanoseconds.

Everything that is not a time, the mode or the boot is copied as the bytes it was: numbers keep
their digits, unknown keys stay, keys keep their order.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np

from exercise import tlog
from exercise.lines import time_ns_of
from model.time import NS_PER_US

Fields = dict[str, msgspec.Raw]

BOOT_BYTES = 24
"""Longest `boot` of a report, bytes (`Detections.boot`)."""


class Shifted(NamedTuple):
    """A payload with its times moved.

    Parameters
    ----------
    payload
        The new bytes.
    times
        Its report times *before*, UTC ns; empty if nothing could be read, and then the payload is
        as it was.
    sensor
        Sensor that it names, or empty.
    """

    payload: bytes
    times: tuple[int, ...]
    sensor: str


@dataclass(frozen=True, slots=True)
class Change:
    """What is done to reports.

    Parameters
    ----------
    shift_ns
        Added to every time.
    mode
        Mode that they get.
    boot_suffix
        Put behind each boot, so that a node takes them for reports of another start.
    """

    shift_ns: int = 0
    mode: str = "exercise"
    boot_suffix: str = ""


@dataclass(frozen=True, slots=True)
class _Form:
    """JSON or MessagePack."""

    fields: Callable[[bytes], Fields]
    items: Callable[[bytes], list[Fields]]
    value: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]


_JSON = _Form(
    msgspec.json.Decoder(dict[str, msgspec.Raw]).decode,
    msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode,
    msgspec.json.Decoder().decode,
    msgspec.json.Encoder().encode,
)
_PACK = _Form(
    msgspec.msgpack.Decoder(dict[str, msgspec.Raw]).decode,
    msgspec.msgpack.Decoder(list[dict[str, msgspec.Raw]]).decode,
    msgspec.msgpack.Decoder().decode,
    msgspec.msgpack.Encoder().encode,
)

_FRAMED = msgspec.msgpack.Decoder(tuple[str, int, int, bytes])

_PROBLEMS = (ValueError, msgspec.DecodeError, RecursionError, OverflowError, TypeError)
"""What reading bytes from the field can raise; UnicodeDecodeError is a ValueError."""

_SPACE = b" \t\r\n"


def shift_reports(payload: bytes, change: Change) -> Shifted:
    """A payload of a `reports` topic with its times moved.

    JSON (one report, or one a line), MessagePack, or MessagePack around arrays. Bytes that cannot
    be read come back as they were: what a node should quarantine, a replay must not mend.
    """
    try:
        if payload.lstrip(_SPACE)[:1] == b"{":
            return _shift_json(payload, change)
        fields = _PACK.fields(payload)
        if "arrays" in fields:
            return _shift_arrays(fields, change)
        return _shift_fields(fields, change, _PACK)
    except _PROBLEMS:
        return Shifted(payload, (), "")


def shift_report_line(line: bytes, change: Change) -> Shifted:
    """One JSON report with its times moved.

    Raises
    ------
    ValueError
        If it is none; the message says why.
    """
    try:
        shifted = _shift_fields(_JSON.fields(line), change, _JSON)
    except _PROBLEMS as error:
        raise ValueError(str(error)) from error
    if not shifted.sensor:
        raise ValueError("sensor is missing")
    return shifted


def shift_framed(payload: bytes, change: Change) -> Shifted:
    """A gateway's frame ``[boot, seq, received_ns, bytes]`` with its time moved."""
    try:
        boot, seq, received_ns, data = msgspec.msgpack.decode(
            payload, type=tuple[str, int, int, bytes]
        )
    except _PROBLEMS:
        return Shifted(payload, (), "")
    data = shift_raw(data, change).payload
    moved = (_boot(boot, change), seq, received_ns + change.shift_ns, data)
    return Shifted(msgspec.msgpack.encode(moved), (received_ns,), "")


def shift_raw(payload: bytes, change: Change) -> Shifted:
    """Native bytes of a sensor: times of MAVLink move, all else stays as it was."""
    return Shifted(tlog.moved(payload, change.shift_ns // NS_PER_US), (), "")


def _shift_json(payload: bytes, change: Change) -> Shifted:
    try:
        return _shift_fields(_JSON.fields(payload), change, _JSON)
    except msgspec.DecodeError:
        lines = [line for line in payload.split(b"\n") if line.strip()]
        if len(lines) < 2:
            raise
    parts = [_shift_fields(_JSON.fields(line), change, _JSON) for line in lines]
    times = tuple(time for part in parts for time in part.times)
    return Shifted(b"\n".join(part.payload for part in parts), times, parts[0].sensor)


def _shift_fields(fields: Fields, change: Change, form: _Form) -> Shifted:
    """A report given by its fields."""
    sensor = form.value(fields["sensor"]) if "sensor" in fields else ""
    if not isinstance(sensor, str):
        raise TypeError("sensor is not a text")
    time_ns, moved = _shift_times(fields, change, form)
    if time_ns is None:
        raise ValueError("time is missing")
    items = fields.get("detections")
    if items is not None and b"time" in bytes(items):
        moved["detections"] = msgspec.Raw(
            form.encode([_shift_times(item, change, form)[1] for item in form.items(items)])
        )
    _rewrite_head(moved, change, form)
    return Shifted(form.encode(moved), (time_ns,), sensor)


def _shift_times(fields: Fields, change: Change, form: _Form) -> tuple[int | None, Fields]:
    """The time of a report or a detection, and its fields with `time_ns` in place of it."""
    given = {key: form.value(fields[key]) for key in ("time", "time_ns") if key in fields}
    if all(value is None for value in given.values()):
        return None, dict(fields)
    time_ns = time_ns_of(given.get("time"), given.get("time_ns"))
    moved: Fields = {}
    for key, value in fields.items():
        if key in given:
            moved["time_ns"] = msgspec.Raw(form.encode(time_ns + change.shift_ns))
        else:
            moved[key] = value
    return time_ns, moved


def _rewrite_head(fields: Fields, change: Change, form: _Form) -> None:
    """Set mode and boot, in place."""
    fields["mode"] = msgspec.Raw(form.encode(change.mode))
    if change.boot_suffix and "boot" in fields:
        boot = form.value(fields["boot"])
        if isinstance(boot, str):
            fields["boot"] = msgspec.Raw(form.encode(_boot(boot, change)))


def _boot(boot: str, change: Change) -> str:
    """The boot with the suffix, cut in front where both are too long."""
    if not change.boot_suffix:
        return boot
    room = BOOT_BYTES - len(change.boot_suffix.encode())
    return boot.encode()[:room].decode(errors="ignore") + change.boot_suffix


def _shift_arrays(fields: Fields, change: Change) -> Shifted:
    """A message of arrays: the columns `time_ns` of its reports and detections move."""
    sensor = _PACK.value(fields["sensor"])
    reports = _columns(fields["reports"])
    times = np.frombuffer(reports["time_ns"], "<i8")
    reports["time_ns"] = (times + change.shift_ns).astype("<i8").tobytes()
    moved = dict(fields)
    moved["reports"] = msgspec.Raw(_PACK.encode(reports))
    if "detections" in fields:
        detections = _columns(fields["detections"])
        if "time_ns" in detections:
            own = np.frombuffer(detections["time_ns"], "<i8")
            # Below 0: the detection has none of its own.
            own = np.where(own < 0, own, own + change.shift_ns)
            detections["time_ns"] = own.astype("<i8").tobytes()
            moved["detections"] = msgspec.Raw(_PACK.encode(detections))
    _rewrite_head(moved, change, _PACK)
    return Shifted(_PACK.encode(moved), tuple(times.tolist()), sensor)


def _columns(raw: bytes) -> dict[str, bytes]:
    columns: Mapping[str, bytes] = msgspec.msgpack.decode(raw, type=dict[str, bytes])
    return dict(columns)
