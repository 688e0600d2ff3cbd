"""The MAVLink adapter: bytes to frames to the positions of vehicles."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from adapters.common import MODE_NOT_SAID, refusal, table, unknown_options
from adapters.mavlink import vehicle as vehicles
from adapters.mavlink.frames import TLOG_BYTES, Frame, Skipped, begins_with_frame, split
from adapters.mavlink.vehicle import Position
from model.detections import IDENTITY_BYTES, DetectionKind, Detections, IdentityKind
from model.errors import Quarantined, Reason
from model.ports import Decoded, KeyedState, Messages
from model.sensors import Sensors
from model.taxonomy import CLASS_INDEX, N_CLASSES
from model.time import MAX_TIME_NS

FRAMINGS = ("stream", "tlog")
"""Values of the option ``framing``."""

_FLEET_BYTES = IDENTITY_BYTES - 3
"""Longest option ``fleet``: a system number has up to three digits."""

Link = dict[str, Any]
"""Plain data kept of a sensor: ``rest`` bytes that may begin a frame, and where they were
(``offset``, ``item``); ``systems`` by number."""


class MavlinkAdapter:
    """MAVLink 1 and 2 frames; a payload is a stretch of one stream for each sensor.

    Items are frames, and stretches of garbage between frames, counted from 0 in each message. A
    frame cut across two messages belongs to the one that completes it. Where a message begins
    with a whole frame, what the one before left open was cut off for good.

    Options: ``framing`` ``"stream"`` (default) or ``"tlog"``; ``fleet``, a prefix of the
    identities (``"ee-"`` makes ``ee-1`` of system 1).
    """

    name = "mavlink"
    version = "1"

    def check_options(self, options: Mapping[str, Any]) -> list[str]:
        """Mistakes in a sensor's `options`, a line each."""
        problems = unknown_options(options, ("framing", "fleet"))
        if (framing := options.get("framing", "stream")) not in FRAMINGS:
            problems.append(f"options.framing: {framing!r} is not one of {', '.join(FRAMINGS)}")
        fleet = options.get("fleet", "")
        if not isinstance(fleet, str) or not fleet.isprintable():
            problems.append(f"options.fleet: {fleet!r} is no printable text")
        elif len(fleet.encode()) > _FLEET_BYTES:
            problems.append(f"options.fleet: over {_FLEET_BYTES} bytes")
        return problems

    def decode(self, messages: Messages, sensors: Sensors, state: KeyedState) -> Decoded:
        """Decode a batch; see `model.ports.Adapter`."""
        refused: list[Quarantined] = []
        found: list[tuple[int, int, int, Position, int]] = []
        each = np.zeros(len(messages), dtype=np.int32)
        for row, payload in enumerate(messages.payload):
            sensor = sensors[int(messages.sensor[row])]
            offset, received = int(messages.offset[row]), int(messages.received[row])
            lead = TLOG_BYTES if sensor.options.get("framing") == "tlog" else 0
            link: Link = state.get(sensor.id) or {}
            systems: dict[int, Any] = link.get("systems", {})
            rest: bytes = link.get("rest", b"")
            if not payload:
                refused.append(refusal(offset, -1, sensor.id, Reason.BAD_SHAPE, "no byte at all"))
                continue
            items: list[Frame | Skipped] = []
            if rest and begins_with_frame(payload, lead):
                items = split(rest, lead, final=True).items
                rest = b""
            left = len(items)  # of the message before; what it holds is refused at its place
            stream = split(rest + payload, lead)
            items += stream.items
            changed: dict[int, Any] = {}
            for item, entry in enumerate(items):
                checked = _length_checked(entry) if isinstance(entry, Frame) else entry
                if isinstance(checked, Skipped):
                    at, base = (link["offset"], link["item"]) if item < left else (offset, 0)
                    reason, detail = checked
                    refused.append(refusal(at, base + item, sensor.id, reason, detail))
                    continue
                each[row] += 1
                if checked.message not in vehicles.LENGTHS:
                    continue
                number = checked.system
                kept = changed.get(number) or systems.get(number) or {}
                changed[number], position = _hear(kept, checked, received)
                if position is not None:
                    found.append((row, item, number, position, _time(position, checked)))
            state.put(
                sensor.id,
                {
                    "rest": stream.rest,
                    "offset": offset,
                    "item": len(items),
                    "systems": {**systems, **changed},
                },
            )
        return Decoded(_detections(found, messages, sensors), tuple(refused), int(each.sum()), each)


def _length_checked(frame: Frame) -> Frame | Skipped:
    """MAVLink 1 never cuts payloads: a short one is of another dialect."""
    least = vehicles.LENGTHS.get(frame.message, 0)
    if frame.version == 1 and len(frame.payload) < least:
        detail = f"message {frame.message}: {len(frame.payload)} bytes of {least}"
        return Skipped(Reason.BAD_SHAPE, detail)
    return frame


def _hear(kept: Any, frame: Frame, received: int) -> tuple[Any, Position | None]:
    payload = vehicles.padded(frame.message, frame.payload)
    if frame.message == vehicles.SYSTEM_TIME:
        return vehicles.system_time(kept, payload), None
    if frame.message == vehicles.GPS_RAW_INT:
        return vehicles.gps_raw_int(kept, payload, received), None
    return vehicles.global_position_int(kept, payload, received)


def _time(position: Position, frame: Frame) -> int:
    """UTC ns by the vehicle's clock, else by the log's, else -1."""
    if position.time_ns is not None and 0 < position.time_ns <= MAX_TIME_NS:
        return position.time_ns
    return frame.time_us * 1000 if 0 < frame.time_us * 1000 <= MAX_TIME_NS else -1


def _detections(
    found: list[tuple[int, int, int, Position, int]], messages: Messages, sensors: Sensors
) -> Detections:
    """One report with one position for each."""
    count = len(found)
    if not count:
        return Detections.empty()
    rows, items, systems, positions, times = zip(*found, strict=True)
    row = np.array(rows, dtype=np.int64)
    sensor = np.asarray(messages.sensor, dtype=np.int32)[row]
    received = np.asarray(messages.received, dtype=np.int64)[row]
    time = np.array(times, dtype=np.int64)
    time = np.where(time < 0, received, time)
    entries = {int(index): sensors[int(index)] for index in np.unique(sensor)}
    defaults = [entries[int(index)].sigmas for index in sensor]
    pairs = list(zip(positions, defaults, strict=True))
    horizontal = np.array([p.sigma_m or s.horizontal_m for p, s in pairs])
    vertical = np.array([p.sigma_height_m or s.vertical_m for p, s in pairs])
    position = np.array([(p.latitude_deg, p.longitude_deg, p.height_m) for p in positions])
    position[:, :2] = np.deg2rad(position[:, :2])
    covariance = np.zeros((count, 6))
    covariance[:, 0] = covariance[:, 2] = horizontal * horizontal
    covariance[:, 5] = vertical * vertical
    covariance[np.isnan(position[:, 2]), 3:] = math.nan
    classes = np.zeros((count, N_CLASSES), dtype=np.float32)
    classes[:, CLASS_INDEX["uav"]] = 1.0
    names = [
        f"{entries[int(index)].options.get('fleet', '')}{system}".encode()
        for index, system in zip(sensor, systems, strict=True)
    ]
    return table(
        count,
        np.arange(count),
        sensor=sensor,
        time=time,
        received=received,
        offset=np.asarray(messages.offset, dtype=np.int64)[row],
        mode=np.full(count, MODE_NOT_SAID),
        item=np.array(items),
        detection_time=time,
        kind=np.full(count, int(DetectionKind.POSITION)),
        position=position,
        covariance=covariance,
        velocity=np.array([p.velocity_mps for p in positions]),
        velocity_sigma=np.array([p.sigma_velocity_mps or s.velocity_mps for p, s in pairs]),
        identity_kind=np.full(count, int(IdentityKind.MAVLINK)),
        identity=np.array(names, dtype=f"S{IDENTITY_BYTES}"),
        classes=classes,
    )
