"""The AIS adapter: lines to positions, with the parts of long messages kept until complete.

AIS tells only the second of its UTC minute, so the time of a report is the time it was received;
set `latency_s` of the sensor where a network delays it.

References
----------
ITU-R M.1371-5 (02/2014), annex 8: table 46 and following for the messages and their sentinels.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyais

from adapters.ais.position import HEADER_BITS, MIN_BITS, Fix, fix_of
from adapters.ais.sentence import Refused, Sentence, parse
from adapters.common import MODE_NOT_SAID, refusal, table, unknown_options
from model.detections import DetectionKind, Detections, IdentityKind
from model.errors import Quarantined, Reason
from model.ports import Decoded, KeyedState, Messages
from model.sensors import Sensors
from model.taxonomy import N_CLASSES
from model.time import NS_PER_S

WAIT_S = 600
"""How long a part waits for the others, s: long enough for a redelivery after an outage. Parts
are of static data and binary messages; every position report fits in one sentence."""

MAX_WAITING = 64
"""Messages of one sensor that wait for parts; one more, and the oldest is refused."""

Waiting = list[Any]
"""One message that waits: [key, received_ns of its first part, {part: [offset, item, raw]}]."""


class AisAdapter:
    """NMEA 0183 VDM and VDO sentences; a payload may hold several lines.

    Items are lines, counted from 0 without the empty ones. Parts of a message are joined by
    sensor, channel, sequence number and number of parts, in any order; the newest message that
    lacks a part gets it. A message still incomplete `WAIT_S` after its first part, by the time of
    reception of the same sensor's later sentences, is refused as incomplete, each part at its own
    offset.
    """

    name = "ais"
    version = "1"

    def check_options(self, options: Mapping[str, Any]) -> list[str]:
        """Mistakes in a sensor's `options`, a line each; there are none to take."""
        return unknown_options(options, ())

    def decode(self, messages: Messages, sensors: Sensors, state: KeyedState) -> Decoded:
        """Decode a batch; see `model.ports.Adapter`."""
        refused: list[Quarantined] = []
        fixes: list[Fix] = []
        rows: list[int] = []
        items: list[int] = []
        each = np.zeros(len(messages), dtype=np.int32)
        ids = sensors.ids
        for row, payload in enumerate(messages.payload):
            offset, received = int(messages.offset[row]), int(messages.received[row])
            sensor = ids[int(messages.sensor[row])]
            kept: list[Waiting] = state.get(sensor) or []
            waiting = _expire(kept, received, sensor, refused)
            lines = [line for line in (part.strip() for part in payload.split(b"\n")) if line]
            if not lines:
                refused.append(refusal(offset, -1, sensor, Reason.BAD_SHAPE, "no line at all"))
            for item, line in enumerate(lines):
                try:
                    sentence = parse(line)
                    if sentence.parts == 1:
                        fix = _decode([sentence])
                    else:
                        place = [offset, item, sentence.raw]
                        waiting, whole = _join(waiting, sentence, received, place, sensor, refused)
                        if whole is None:
                            continue
                        fix = _decode(whole)
                except Refused as error:
                    refused.append(refusal(offset, item, sensor, error.reason, error.detail))
                    continue
                each[row] += 1
                if fix is not None:
                    fixes.append(fix)
                    rows.append(row)
                    items.append(item)
            if waiting:
                if waiting is not kept:
                    state.put(sensor, waiting)
            elif kept:
                state.drop(sensor)
        detections = _detections(fixes, rows, items, messages, sensors)
        return Decoded(detections, tuple(refused), int(each.sum()), each)


def _decode(sentences: list[Sentence]) -> Fix | None:
    """The position in a complete message, or None where it has none; raises `Refused`."""
    bits = sum(len(sentence.payload) * 6 for sentence in sentences) - sentences[-1].fill
    first = sentences[0].payload[0] - 48
    kind = first - 8 if first > 40 else first
    least = MIN_BITS.get(kind, HEADER_BITS)
    if bits < least:
        raise Refused(Reason.TRUNCATED, f"message {kind}: {bits} bits of {least}")
    try:
        message = pyais.decode(*(sentence.raw for sentence in sentences))
    except Exception as error:  # noqa: BLE001 - pyais raises far more than its own on hostile bits
        known = isinstance(error, pyais.exceptions.UnknownMessageException)
        reason = Reason.UNSUPPORTED if known or kind not in range(1, 28) else Reason.BAD_SHAPE
        raise Refused(reason, f"message {kind}: {type(error).__name__}") from None
    return fix_of(message)


def _join(
    waiting: list[Waiting],
    sentence: Sentence,
    received: int,
    place: list[Any],
    sensor: str,
    refused: list[Quarantined],
) -> tuple[list[Waiting], list[Sentence] | None]:
    """The messages that wait from now on, and the parts of the one that became complete."""
    key = f"{sentence.channel}/{sentence.sequence}/{sentence.parts}"
    for index in range(len(waiting) - 1, -1, -1):
        name, since, parts = waiting[index]
        if name == key and sentence.part not in parts:
            parts = {**parts, sentence.part: place}
            rest = waiting[:index] + waiting[index + 1 :]
            if len(parts) == sentence.parts:
                return rest, [parse(parts[number][2]) for number in sorted(parts)]
            return [*waiting[:index], [name, since, parts], *waiting[index + 1 :]], None
    waiting = [*waiting, [key, received, {sentence.part: place}]]
    if len(waiting) > MAX_WAITING:
        _give_up(waiting[0], sensor, refused)
        waiting = waiting[1:]
    return waiting, None


def _expire(
    waiting: list[Waiting], received: int, sensor: str, refused: list[Quarantined]
) -> list[Waiting]:
    """Those that may go on waiting; the same list where that is all."""
    late = [entry for entry in waiting if received - entry[1] > WAIT_S * NS_PER_S]
    if not late:
        return waiting
    for entry in late:
        _give_up(entry, sensor, refused)
    return [entry for entry in waiting if entry not in late]


def _give_up(entry: Waiting, sensor: str, refused: list[Quarantined]) -> None:
    key, _, parts = entry
    total = key.rpartition("/")[2]
    for number in sorted(parts):
        offset, item, _ = parts[number]
        detail = f"part {number} of {total}: the others never came"
        refused.append(refusal(offset, item, sensor, Reason.INCOMPLETE, detail))


def _detections(
    fixes: list[Fix], rows: list[int], items: list[int], messages: Messages, sensors: Sensors
) -> Detections:
    """One report with one position for each fix."""
    count = len(fixes)
    if not count:
        return Detections.empty()
    row = np.array(rows, dtype=np.int64)
    sensor = np.asarray(messages.sensor, dtype=np.int32)[row]
    received = np.asarray(messages.received, dtype=np.int64)[row]
    sigmas = [sensors[int(index)].sigmas for index in sensor]
    sigma = np.array(
        [
            entry.horizontal_m if fix.sigma_m is None else fix.sigma_m
            for fix, entry in zip(fixes, sigmas, strict=True)
        ]
    )
    sigma = np.maximum(sigma, [fix.least_sigma_m for fix in fixes])
    position = np.full((count, 3), np.nan)
    position[:, :2] = np.deg2rad([(fix.latitude_deg, fix.longitude_deg) for fix in fixes])
    covariance = np.full((count, 6), np.nan)
    covariance[:, 0] = covariance[:, 2] = sigma * sigma
    covariance[:, 1] = 0.0
    velocity = np.full((count, 3), np.nan)
    velocity[:, :2] = [(fix.east_mps, fix.north_mps) for fix in fixes]
    classes = np.zeros((count, N_CLASSES), dtype=np.float32)
    classes[np.arange(count), [fix.class_index for fix in fixes]] = 1.0
    default = np.array([entry.velocity_mps for entry in sigmas])
    return table(
        count,
        np.arange(count),
        sensor=sensor,
        time=received,
        received=received,
        offset=np.asarray(messages.offset, dtype=np.int64)[row],
        mode=np.full(count, MODE_NOT_SAID),
        item=np.array(items),
        detection_time=received,
        kind=np.full(count, int(DetectionKind.POSITION)),
        position=position,
        covariance=covariance,
        velocity=velocity,
        velocity_sigma=np.where(np.isnan(velocity[:, 0]), np.nan, default),
        identity_kind=np.array([IdentityKind.MMSI if fix.mmsi else 0 for fix in fixes]),
        identity=np.array([fix.mmsi for fix in fixes], dtype="S24"),
        classes=classes,
    )
