"""The chain of one report, compiled: from the tracks that are lost to those that are born.

lost -> choose -> predict -> gate -> weigh -> associate -> update -> learn -> existence ->
initiate -> confirm -> drop
"""

import math

import numpy as np

from fusion.associate import associate
from fusion.bearings import any_bearing, raise_by_bearings, take_bearings
from fusion.crossings import cross
from fusion.doubles import CLOSE, DOUBT, doubles, unname
from fusion.existence import left_unseen, log_odds, new_ratio
from fusion.gate import MAX_PAIRS, search
from fusion.gathered import PLAIN
from fusion.habits import SINCE, judge, learn_habits, liveliest, lively
from fusion.initiate import id_of, start, starters
from fusion.jit import inlined, kernel
from fusion.learn import clutter_of, learn
from fusion.near import names_said, refresh
from fusion.pairs import gated, targets_of
from fusion.reach import choose, predict, shade
from fusion.records import NEVER, NOT_TOUCHED, Record
from fusion.rivals import settle
from fusion.silence import gone_at, stands
from fusion.update import LEAST_CLAIM, take_in
from model.arrays import Array, Bools, Floats, Int64s
from model.taxonomy import N_CLASSES
from model.tracks import Status, UpdateReason

_TENTATIVE, _CONFIRMED = int(Status.TENTATIVE), int(Status.CONFIRMED)
_DELETED = int(Status.DELETED)
_DETECTED, _MISSED = int(UpdateReason.DETECTED), int(UpdateReason.MISSED)
_CONFIRMED_NOW, _LOST = int(UpdateReason.CONFIRMED), int(UpdateReason.LOST)

_MINE = 0.5
"""A track that claims less of all detections has missed."""

Place = tuple[Array, Floats, Int64s, Int64s, int, int, Array]
"""Of the table: `rows`, `near`, `names`, `gone`, `count`, how many tracks there are, and `room`."""

Report = tuple[Array, Floats, Floats, float, int, int, int, int]
"""Its detections, origin, view, greatest range searched, sensor, time, mode and offset."""

About = tuple[Array, Floats, Floats, Array, int, Floats, Floats, Floats, Floats, Array]
"""Sensors, the sensor's ranges and chances, settings, how often it has looked before,
`fusion.learn.memories`, habits, and bearings that pointed at nobody."""

Window = tuple[Floats, Floats, Floats, Int64s]
"""Points (n, 2) and reach (n,) of predictions, targets (q, 2), all m, and which detections those
are (q,)."""


@kernel
def through(
    place: Place, report: Report, about: About, ask: bool
) -> tuple[Bools, Array, Int64s, Int64s, int, Int64s, int, int, Array]:
    """The whole chain; its first half alone if the model has to be asked, or in a crowd."""
    why, predicted, i, items, count = begin(place, report, about)
    touched, end, emptied, loose = np.empty(0, dtype=np.int64), place[4], 0, about[9]
    if not ask and count <= MAX_PAIRS:
        touched, end, emptied, loose = finish(
            place, report, about, why, predicted, i[:count], items[:count]
        )
    return why, predicted, i, items, count, touched, end, emptied, loose


@kernel
def begin(place: Place, report: Report, about: About) -> tuple[Array, Array, Int64s, Int64s, int]:
    """Lose, choose, predict, gate: why rows changed, predictions, and pairs within reach."""
    said = names_said(report[0])
    why, chosen = choose_rows(place, report, about, said)
    predicted, window = predict_rows(place, report, about, said, chosen)
    i, paired, found = gate(window)
    return why, predicted, i, paired, found


@kernel
def choose_rows(place: Place, report: Report, about: About, said: Int64s) -> tuple[Array, Bools]:
    """Lose who is lost, and choose who may be spoken of: why rows changed, and which are chosen."""
    rows, near, names, gone, count, tracks, _ = place
    scan, origin, _, high, index, now, _, _ = report
    sensors, settings, habits = about[0], about[3], about[8]
    s, sensor = settings[0], sensors[index]
    why = np.full(count + len(scan), NOT_TOUCHED, dtype=np.uint8)
    _lose(rows, near, names, gone, count, now, said, sensors, s, why)
    learn_habits(rows, count, tracks, s, habits)
    widest = liveliest(habits, s)
    return why, choose(near, names, count, scan, said, origin, high, widest, sensor, now, s)


@kernel
def predict_rows(
    place: Place, report: Report, about: About, said: Int64s, chosen: Bools
) -> tuple[Array, Window]:
    """Predictions of the rows chosen, and where to look for their detections."""
    rows = place[0]
    scan, origin, view, _, index, now, _, _ = report
    sensors, ranges, chances, settings, _, memory, _, _, habits, _ = about
    s, sensor = settings[0], sensors[index]
    targets = targets_of(scan)
    predicted, points, reach = predict(
        rows,
        chosen,
        place[6],
        view,
        ranges,
        chances,
        memory,
        habits,
        origin,
        sensors,
        sensor,
        targets,
        said,
        now,
        s,
    )
    if view[0] == PLAIN and sensor.extent > 0.0 and len(predicted) > 1:
        shade(predicted, rows, memory, origin, sensors, sensor, now, s)
    return predicted, (points, reach, targets[0], targets[1])


@kernel
def gate(window: Window) -> tuple[Int64s, Int64s, int]:
    """Pairs within reach: predictions, detections, and how many (`fusion.gate.search`)."""
    points, reach, targets, items = window
    i, j, found = search(points, reach, targets)
    paired = np.empty(min(found, len(j)), dtype=np.int64)
    for p in range(len(paired)):
        paired[p] = items[j[p]]
    return i, paired, found


@kernel
def _lose(
    rows: Array, near: Floats, names: Int64s, gone: Int64s, count: int, now: int, said: Int64s,
    sensors: Array, s: Record, why: Array,
) -> None:  # fmt: skip
    """Close tracks that were silent for too long, and hide those that have stood too long.

    Silence is judged at the report's time, so the table depends on nothing but the reports. Whoever
    reports himself now was silent, not lost: he keeps his track.
    """
    for row in range(count):
        if gone[row] >= now:
            continue
        if len(said) and names[row] != 0:
            at = np.searchsorted(said, names[row])
            if at < len(said) and said[at] == names[row]:
                continue
        track = rows[row]
        if track.status == _CONFIRMED and stands(track, now, s):
            track.status = _TENTATIVE
            gone[row] = gone_at(track, sensors, s)
            why[row] = _LOST
            if gone[row] >= now:
                continue
        _empty(rows, near, names, gone, row)
        why[row] = _LOST


@kernel
def _empty(rows: Array, near: Floats, names: Int64s, gone: Int64s, row: int) -> None:
    rows[row].status = _DELETED
    near[:, row] = np.nan
    names[row] = 0
    gone[row] = NEVER


@kernel
def finish(
    place: Place, report: Report, about: About, why: Array, predicted: Array, i: Int64s,
    items: Int64s,
) -> tuple[Int64s, int, int, Array]:  # fmt: skip
    """The rest: rows that changed, how many are in use and have become empty, loose bearings."""
    rows = place[0]
    scan, origin, _, _, index, now, mode, _ = report
    sensors, _, _, settings, looks, memory, fresh_memory, sector, habits, _ = about
    s, sensor = settings[0], sensors[index]
    density, fresh = expect(memory, predicted, scan, sensor, looks, s)
    free = np.empty(len(scan))
    pairs = gated(predicted, rows, scan, i, items, sensor, density, now, mode, s)
    associate(predicted, pairs, fresh, free)
    judge(predicted, pairs, rows, scan, s, habits)
    take_in(predicted, pairs, rows, scan, sensor, now, index, s)
    if len(fresh_memory):
        learn(
            fresh_memory, sector, origin, predicted, pairs, rows, scan, free, fresh, sensor, now, s
        )
    gain, alone = point(predicted, rows, scan, origin, sensor, now, index, mode, s)
    exist(predicted, rows, sensor, s, why)
    end = begin_tracks(place, report, about, predicted, free, fresh, why)
    end, loose = point_on(place, report, about, predicted, gain, alone, why, end)
    touched, emptied = close(place, report, about, predicted, why, end)
    return touched, end, emptied, loose


@kernel
def expect(
    memory: Floats, predicted: Array, scan: Array, sensor: Record, looks: int, s: Record
) -> tuple[Floats, Floats]:
    """Clutter (m,) at each detection, 1/m², and movers not known yet (m,) against it."""
    density, fresh = np.empty(len(scan)), np.empty(len(scan))
    clutter_of(memory, predicted, scan, sensor, s, density)
    left = left_unseen(sensor, looks, s)
    for j in range(len(scan)):
        fresh[j] = new_ratio(sensor, density[j], left, s)
    return density, fresh


@kernel
def point(
    predicted: Array, rows: Array, scan: Array, origin: Floats, sensor: Record, now: int,
    index: int, mode: int, s: Record,
) -> tuple[Floats, Bools]:  # fmt: skip
    """Take in bearings, if there are any; what they say of existence, and who points at nobody."""
    if not any_bearing(scan) or math.isnan(origin[0]):
        return np.empty(0), np.empty(0, dtype=np.bool_)
    gain, alone = np.empty(len(predicted)), np.empty(len(scan), dtype=np.bool_)
    take_bearings(predicted, rows, scan, origin, sensor, now, index, mode, s, gain, alone)
    return gain, alone


@kernel
def point_on(
    place: Place, report: Report, about: About, predicted: Array, gain: Floats, alone: Bools,
    why: Array, end: int,
) -> tuple[int, Array]:  # fmt: skip
    """Raise existence by bearings, and start tracks where those that point at nobody cross.

    Returns how many rows are in use then, and the bearings to keep.
    """
    if len(alone) == 0:
        return end, about[9]
    rows, near, names, gone, _, _, _ = place
    scan, origin, _, _, index, now, mode, offset = report
    sensors, settings, habits = about[0], about[3], about[8]
    s, first = settings[0], end
    raise_by_bearings(predicted, rows, origin, now, gain, s, why)
    end, loose = cross(
        rows, end, scan, alone, origin, sensors, index, now, mode, offset, about[9], habits, s
    )
    for row in range(first, end):
        _refresh(rows, near, names, gone, row, sensors, s)
        why[row] = _DETECTED
    return end, loose


@kernel
def close(
    place: Place, report: Report, about: About, predicted: Array, why: Array, end: int
) -> tuple[Int64s, int]:
    """Confirm, hide and drop; returns rows that changed, and how many have become empty."""
    rows, near, names, gone, _, _, _ = place
    index, now = report[4], report[5]
    sensors, settings, habits = about[0], about[3], about[8]
    s, sensor = settings[0], sensors[index]
    for n in range(len(predicted)):
        row = predicted[n].row
        if why[row] == NOT_TOUCHED:
            continue
        status = rows[row].status
        _promote(rows[row], row, index, now, sensor, s, why)
        if rows[row].llr < s.tentative_drop_llr:
            why[row] = _LOST
            _empty(rows, near, names, gone, row)
        elif (
            predicted[n].claims >= LEAST_CLAIM
            or predicted[n].own >= 0
            or predicted[n].pointed
            or rows[row].status != status
        ):  # who is missed is where he was
            _refresh(rows, near, names, gone, row, sensors, s)
    _part_doubles(place, report, about, why, end)
    emptied = found = 0
    touched = np.empty(len(why), dtype=np.int64)
    for row in range(end):
        if why[row] != NOT_TOUCHED:
            touched[found] = row
            found += 1
            emptied += rows[row].status == _DELETED
    habits[SINCE] += found
    return touched[:found], emptied


@kernel
def _part_doubles(place: Place, report: Report, about: About, why: Array, end: int) -> None:
    """See to it that no two tracks bear one identity (`fusion.doubles`)."""
    rows, near, names, gone, _, _, _ = place
    sensors, settings, habits = about[0], about[3], about[8]
    s = settings[0]
    found, fate = doubles(rows, names, gone, end, report[0], report[5], lively(habits, s).max(), s)
    for n in range(len(found)):
        row = found[n]
        if fate[n] == DOUBT:
            if why[row] == NOT_TOUCHED:
                why[row] = _DETECTED
            continue
        why[row] = _LOST
        if fate[n] == CLOSE:
            _empty(rows, near, names, gone, row)
        else:
            unname(rows[row])
            why[row] = _DETECTED
            _refresh(rows, near, names, gone, row, sensors, s)


@inlined
def _promote(
    track: Record, row: int, index: int, now: int, sensor: Record, s: Record, why: Array
) -> None:
    """Confirm a track that is likely enough, hide one that is not."""
    if track.status == _TENTATIVE:
        own = track.sensors[0] == index and track.heard[0] == now
        needed = 1 if own and sensor.cooperative else s.confirm_hits
        if track.llr >= s.confirm_llr and track.hits >= needed and not stands(track, now, s):
            track.status = _CONFIRMED
            why[row] = _CONFIRMED_NOW
    # A track that is hardly there is not shown; if it is seen again it comes back as the same.
    if track.status == _CONFIRMED and (track.llr < s.drop_llr or stands(track, now, s)):
        track.status = _TENTATIVE
        why[row] = _LOST


@inlined
def _refresh(
    rows: Array, near: Floats, names: Int64s, gone: Int64s, row: int, sensors: Array, s: Record
) -> None:
    refresh(rows[row], near, row, s)
    names[row] = rows[row].name
    gone[row] = gone_at(rows[row], sensors, s)


@kernel
def exist(predicted: Array, rows: Array, sensor: Record, s: Record, why: Array) -> None:
    """What claims and silence say about tracks being real."""
    for i in range(len(predicted)):
        to = predicted[i]
        silent = to.prior * (1.0 - to.unseen) / (1.0 - to.prior * to.unseen)
        to.there = to.claims + max(1.0 - to.claims, 0.0) * silent
        if to.own >= 0 or to.pointed:
            why[to.row] = _DETECTED
    settle(predicted, rows, sensor.extent, s)
    for i in range(len(predicted)):
        to = predicted[i]
        if to.unseen == 0.0 and to.claims == 0.0:
            continue
        track = rows[to.row]
        before = track.llr
        track.llr = min(log_odds(to.there), s.cap_llr)
        if why[to.row] == NOT_TOUCHED:
            fallen = track.llr < before and to.claims < _MINE
            why[to.row] = _MISSED if fallen else _DETECTED


@kernel
def begin_tracks(
    place: Place, report: Report, about: About, predicted: Array, free: Floats, fresh: Floats,
    why: Array,
) -> int:  # fmt: skip
    """Start tracks from what is left; returns how many rows are in use then."""
    rows, near, names, gone, count, _, _ = place
    scan, _, _, _, index, now, mode, offset = report
    sensors, _, _, settings, _, _, _, _, habits, _ = about
    s, sensor = settings[0], sensors[index]
    room = np.empty((2, N_CLASSES))
    end = count
    for j in starters(predicted, rows, scan, free, sensor.extent, s):
        d = scan[j]
        start(
            rows[end], d, id_of(offset, d.item), free[j], fresh[j], sensor, now, index, mode,
            habits, s, room,
        )  # fmt: skip
        _refresh(rows, near, names, gone, end, sensors, s)
        why[end] = _CONFIRMED_NOW if sensor.cooperative else _DETECTED
        end += 1
    return end
