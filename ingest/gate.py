"""What a report and a detection must fulfil to go on; all checks over whole batches.

The first check that fails names the reason. A report that fails is refused with all its
detections; a detection that fails is refused alone. A report all of whose detections were refused
is dropped wholly: the sensor did see something, so it must not count as *looked and saw nothing*.
"""

from dataclasses import dataclass

import numpy as np

from adapters.common import MODE_NOT_SAID, refusal
from ingest.checks import (
    HEIGHT_M,
    MAX_SPEED_MPS,
    TWO_PI,
    Checks,
    bad_spans,
    check_motion_and_class,
    check_places,
    not_text,
    on_earth,
    within,
)
from ingest.limits import Limits
from model.arrays import Array, Bools
from model.detections import DetectionKind, Detections, IdentityKind, Mode
from model.errors import Quarantined, Reason
from model.sensors import Sensors
from model.taxonomy import HUMAN
from model.time import NS_PER_S


@dataclass(frozen=True, slots=True)
class Gated:
    """What passed and what did not.

    Parameters
    ----------
    detections
        What passed.
    quarantined
        What did not, in the order of offsets and items.
    humans
        (H,) sensor of each human detection whose identity was taken away.
    """

    detections: Detections
    quarantined: tuple[Quarantined, ...]
    humans: Array


def gate(found: Detections, sensors: Sensors, mode: Mode, limits: Limits) -> Gated:
    """Judge reports and detections.

    Parameters
    ----------
    found
        Reports of one batch in the order of their offsets.
    sensors
        Behind the sensor indices.
    mode
        Of the node; a report that says no mode has it.
    limits
        Time bounds.
    """
    if not found.n_reports:
        return Gated(found, (), np.zeros(0, dtype=np.int32))
    said = found.mode != MODE_NOT_SAID
    if not said.all():
        found = found.replace(mode=np.where(said, found.mode, int(mode)).astype(np.uint8))
    reports = _check_reports(found, mode, limits)
    items = Checks(found.n_detections)
    if found.n_detections:
        items.failed |= reports.failed[found.report]
        _check_text(found, items)
        _check_times(found, items, limits)
        check_places(found, sensors, items)
        check_motion_and_class(found, items)
    human = _humans(found) & ~items.failed
    humans = found.sensor[found.report[human]] if human.any() else np.zeros(0, dtype=np.int32)
    if human.any():
        found = found.replace(
            identity_kind=np.where(human, 0, found.identity_kind).astype(np.uint8),
            identity=np.where(human, b"", found.identity).astype(found.identity.dtype),
        )
    quarantined = _refusals(found, sensors, reports, items)
    return Gated(_passed(found, reports, items), quarantined, humans)


def _check_reports(found: Detections, mode: Mode, limits: Limits) -> Checks:
    checks = Checks(found.n_reports)
    checks.refuse(
        found.mode != int(mode),
        Reason.WRONG_MODE,
        lambda row: f"mode: {_mode_name(int(found.mode[row]))}; this node is {mode.name.lower()}",
    )
    _refuse_times(checks, found.time, found.received, "time", limits)
    origin = found.origin
    told = ~np.isnan(origin).all(axis=1)
    if told.any():
        checks.refuse(told & ~np.isfinite(origin).all(axis=1), Reason.NOT_FINITE, "origin")
        outside = told & ~on_earth(origin[:, 0], origin[:, 1])
        checks.refuse(outside, Reason.OUT_OF_RANGE, "origin: latitude or longitude")
        checks.refuse(
            told & ~within(origin[:, 2], *HEIGHT_M), Reason.OUT_OF_RANGE, "origin: height"
        )
    speed = np.abs(found.origin_velocity)
    checks.refuse((speed > MAX_SPEED_MPS).any(axis=1), Reason.OUT_OF_RANGE, "origin: velocity")
    checks.refuse(np.abs(found.heading) > 2 * TWO_PI, Reason.OUT_OF_RANGE, "origin: heading")
    looked = found.looked
    if not np.isnan(looked).all():
        low, high = looked[:, 0], looked[:, 1]
        half = np.isnan(low) != np.isnan(high)
        checks.refuse(
            half | (low < 0.0) | (low > high) | np.isinf(low), Reason.OUT_OF_RANGE, "looked: range"
        )
        half = np.isnan(looked[:, 2]) != np.isnan(looked[:, 3])
        wide = (np.abs(looked[:, 2:]) > 2 * TWO_PI).any(axis=1)
        checks.refuse(half | wide, Reason.OUT_OF_RANGE, "looked: azimuth")
        nowhere = np.isnan(low) & ~np.isnan(looked[:, 2])
        checks.refuse(nowhere, Reason.NOT_FINITE, "looked: azimuth without a range")
    checks.refuse(
        bad_spans(found, found.looked_vertices, 3), Reason.OUT_OF_RANGE, "looked: polygon"
    )
    checks.refuse(found.seq < -1, Reason.OUT_OF_RANGE, "seq: negative")
    checks.refuse(not_text(found.boot), Reason.BAD_FIELD, "boot: not printable text")
    return checks


def _mode_name(value: int) -> str:
    return Mode(value).name.lower() if value in set(Mode) else str(value)


def _refuse_times(checks: Checks, time: Array, received: Array, name: str, limits: Limits) -> None:
    def detail(row: int) -> str:
        seconds = (int(time[row]) - int(received[row])) / NS_PER_S
        side = "after" if seconds > 0 else "before"
        return f"{name}: {abs(seconds):.3f} s {side} its reception"

    past = time < received - round(limits.max_age_s * NS_PER_S)
    future = time > received + round(limits.max_future_s * NS_PER_S)
    checks.refuse(past, Reason.TIME_PAST, detail)
    checks.refuse(future, Reason.TIME_FUTURE, detail)


def _check_text(found: Detections, checks: Checks) -> None:
    kinds = found.identity_kind
    checks.refuse(found.kind > max(DetectionKind), Reason.BAD_FIELD, "kind: unknown")
    named = kinds > 0
    if named.any() or (found.identity != b"").any():
        wrong = (kinds > max(IdentityKind)) | (named != (found.identity != b""))
        checks.refuse(wrong, Reason.BAD_FIELD, "identity: kind and number do not go together")
        checks.refuse(not_text(found.identity), Reason.BAD_FIELD, "identity: not printable text")


def _check_times(found: Detections, checks: Checks, limits: Limits) -> None:
    received = found.received[found.report]
    _refuse_times(checks, found.detection_time, received, "detection time", limits)


def _humans(found: Detections) -> Bools:
    """(N,) where a detection that is most probably a human has an identity."""
    named = found.identity_kind > 0
    if not named.any():
        return named
    certain = found.classes[:, HUMAN] > 0.0
    human: Bools = named & certain & (found.classes.argmax(axis=1) == HUMAN)
    return human


def _refusals(
    found: Detections, sensors: Sensors, reports: Checks, items: Checks
) -> tuple[Quarantined, ...]:
    if not reports.why and not items.why:
        return ()
    ids = sensors.ids
    refused = []
    for row, (reason, detail) in items.why.items():
        report = int(found.report[row])
        refused.append(
            refusal(
                found.offset[report],
                int(found.item[row]),
                ids[found.sensor[report]],
                reason,
                f"detection {found.item[row]}: {detail}",
            )
        )
    for row, (reason, detail) in reports.why.items():
        offset = int(found.offset[row])
        item = report_item(found, row)
        refused.append(refusal(offset, item, ids[found.sensor[row]], reason, detail))
    return tuple(sorted(refused, key=lambda entry: (entry.offset, entry.item)))


def report_item(found: Detections, row: int) -> int:
    """The item that stands for a whole report: -1 if it is alone in its input."""
    same = np.flatnonzero(found.offset == found.offset[row])
    if len(same) == 1:
        return -1
    starts = np.searchsorted(found.report, [row, row + 1])
    if starts[1] > starts[0]:
        return int(found.item[starts[0]])
    # an empty one takes a place behind what came before it in the same input
    filled = np.isin(same, found.report) & (same < row)
    if not filled.any():
        return int(row - same[0])
    last = int(same[filled][-1])
    return int(found.item[starts[0] - 1]) + int(row - last)


def _passed(found: Detections, reports: Checks, items: Checks) -> Detections:
    """What is left, azimuths turned into [0, 2π)."""
    azimuth = found.polar[:, 1]
    turned = ((azimuth < 0.0) | (azimuth >= TWO_PI)) & ~items.failed
    if turned.any():
        polar = found.polar.copy()
        polar[turned, 1] %= TWO_PI
        found = found.replace(polar=polar)
    if not reports.failed.any() and not items.failed.any():
        return found
    starts = found.starts()
    had = np.diff(starts)
    kept = found.keep_detections(~items.failed)
    has = np.bincount(kept.report, minlength=found.n_reports)
    return kept.take_reports(~reports.failed & ~((had > 0) & (has == 0)))
