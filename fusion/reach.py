"""Tracks that a report can say anything about, predicted to its time."""

import math

import numpy as np

from fusion.classes import class_probability
from fusion.existence import probability, unseen_of
from fusion.gathered import PLAIN
from fusion.habits import manners
from fusion.jit import inlined, kernel
from fusion.motion import average, carry, combine, leave_of, mix_and_predict
from fusion.near import rows_named, rows_near
from fusion.pairs import Targets, reach_of
from fusion.pd_kernel import chance_at
from fusion.records import MODES, PACKED, Record
from fusion.seeing import tempered
from fusion.settings import NANO
from fusion.shadow import hidden
from model.arrays import Array, Bools, Floats, Int64s
from model.taxonomy import N_CLASSES
from model.tracks import Status

_DELETED = int(Status.DELETED)


@kernel
def choose(
    near: Floats, names: Int64s, count: int, scan: Array, said: Int64s, origin: Floats,
    sector_high: float, liveliest: float, sensor: Record, now: int, s: Record,
) -> Bools:  # fmt: skip
    """Which rows (count,) are near a detection, or where the sensor may have looked.

    Parameters
    ----------
    near, names, count
        Of the table.
    scan, said
        (m,) `fusion.records.MEASURED`, and the names in it.
    origin, sector_high
        (2,) m, NaN: the sensor has no place; and greatest range of the sector that the report says
        was searched, m, NaN: it says none.
    liveliest
        Greatest acceleration density of a mode, m²/s³.
    sensor, now, s
        `fusion.gathered.SENSOR`, time of the report, ns, and constants.
    """
    box = np.array([np.inf, np.inf, -np.inf, -np.inf])
    lag = widest = 0.0
    flat = True
    for j in range(len(scan)):
        d = scan[j]
        lag = max(lag, abs(d.delta))
        if math.isnan(d.z[0]):
            flat = False
            continue
        box[0], box[1] = min(box[0], d.z[0]), min(box[1], d.z[1])
        box[2], box[3] = max(box[2], d.z[0]), max(box[3], d.z[1])
        widest = max(widest, d.R[0, 0], d.R[1, 1])
    wide = math.sqrt(s.gate * widest) + 1.0
    box[:2] -= wide
    box[2:] += wide
    greatest = -1.0  # nothing is asked of who is merely within reach of the sensor
    if sensor.scans or not flat:
        greatest = sensor.reach if math.isnan(sector_high) else sector_high
        if math.isnan(origin[0]):
            return np.ones(count, dtype=np.bool_)
    chosen = rows_near(near, count, now * NANO, lag, box, origin, greatest, liveliest, s)
    if len(said):
        rows_named(names, count, said, chosen)
    return chosen


@kernel
def predict(
    rows: Array, chosen: Bools, room: Array, view: Floats, ranges: Floats, chances: Floats,
    memory: Floats, habits: Floats, origin: Floats, sensors: Array, sensor: Record,
    targets: Targets, said: Int64s, now: int, s: Record,
) -> tuple[Array, Floats, Floats]:  # fmt: skip
    """Chosen tracks as the sensor should have seen them.

    Parameters
    ----------
    rows, chosen, room
        The table's records, which of them, and room for so many predictions.
    view, ranges, chances
        Where the sensor looked, and its row of `fusion.gathered.Gathered.ranges` and `chances`.
    memory, habits, origin
        What the sensor has learned (`fusion.surroundings`), how movers behave (`fusion.habits`),
        and where it stands, m.
    sensors
        (S,) `fusion.gathered.SENSOR`.
    targets
        Of the report's detections (`fusion.pairs.targets_of`).
    sensor, said, now, s
        As in `choose`.

    Returns
    -------
    tuple
        (n,) `fusion.records.PREDICTED`, as far as it can be known before pairs are; `described`
        is 0 unless the view is plain. Points (n, 2) and reach (n,), m: where to look for
        detections of each (`fusion.gate.search`).
    """
    count = 0
    for row in range(len(chosen)):
        count += chosen[row] and rows[row].status != _DELETED
    predicted = room[:count]
    points, reach = np.empty((count, 2)), np.empty(count)
    _, _, lag, widest, more = targets
    classes = np.empty(N_CLASSES)
    gone = 1.0 - math.exp(-sensor.period / s.lifetime_s)
    looked = view[0] == PLAIN
    i = 0
    last, leave = -1.0, 0.0
    density, share = manners(habits, s)
    for row in range(len(chosen)):
        if not chosen[row] or rows[row].status == _DELETED:
            continue
        track, to = rows[row], predicted[i]
        to.row, to.dt = row, (now - track.time) * NANO
        if to.dt >= 0.0:
            if to.dt != last:  # mostly the same for all that a sensor looks at
                last, leave = to.dt, leave_of(to.dt, s.sojourn_s)
            motion = track.motion
            mix_and_predict(
                track.x, track.P, track.mu, to.dt, leave, density[motion], s.motion_damping[motion],
                share[motion], to.x, to.P, to.mu,
            )  # fmt: skip
        else:
            for k in range(MODES):
                for a in range(4):
                    to.x[k, a] = track.x[k, a]
                for c in range(PACKED):
                    to.P[k, c] = track.P[k, c]
                to.mu[k] = track.mu[k]
                carry(to.x[k], to.P[k], to.dt)
        if more:
            combine(to.x, to.P, to.mu, to.mean, to.spread)
        else:
            average(to.x, to.mu, to.mean)
        # Here, and not in a pass of its own: predictions of many tracks do not stay in the cache.
        points[i, 0], points[i, 1] = to.mean[0], to.mean[1]
        reach[i] = reach_of(to, track.name, said, lag, widest, s)
        to.own, to.pointed, to.rivals, to.first, to.count, to.claims = -1, 0, 0, 0, 0, 0.0
        to.described = 0.0
        if looked:
            to.described = _pd(track, to, view, ranges, chances, sensor, classes)
        weigh_silence(track, to, gone, memory, origin, sensors, sensor, now, s)
        i += 1
    return predicted, points, reach


@inlined
def _pd(
    track: Record, to: Record, view: Floats, ranges: Floats, chances: Floats, sensor: Record,
    classes: Floats,
) -> float:  # fmt: skip
    chance = chance_at(view, ranges, chances, to.mean[0], to.mean[1], track.h[0])
    if chance > 0.0 and sensor.selective and class_probability(track.classes, classes):
        share = 0.0
        for k in range(N_CLASSES):
            if sensor.visible[k]:
                share += classes[k]
        chance *= share
    return chance


@inlined
def weigh_silence(
    track: Record, to: Record, gone: float, memory: Floats, origin: Floats, sensors: Array,
    sensor: Record, now: int, s: Record,
) -> None:  # fmt: skip
    """Fill `pd`, `prior` and `unseen` of a prediction whose `described` is known.

    `gone` is the probability that a mover has left since the sensor's last look.
    """
    to.pd = tempered(memory, to, origin, s.seen_worth)
    to.prior = probability(track.llr) * (1.0 - gone * to.pd)
    to.unseen = unseen_of(track, to.pd, now, sensors, sensor, s) if to.pd > 0.0 else 0.0


@kernel
def weigh_all(
    predicted: Array, rows: Array, memory: Floats, origin: Floats, sensors: Array,
    sensor: Record, now: int, s: Record,
) -> None:  # fmt: skip
    """`weigh_silence` of all predictions: their `described` was asked of the model."""
    gone = 1.0 - math.exp(-sensor.period / s.lifetime_s)
    for i in range(len(predicted)):
        to = predicted[i]
        weigh_silence(rows[to.row], to, gone, memory, origin, sensors, sensor, now, s)


@kernel
def shade(
    predicted: Array, rows: Array, memory: Floats, origin: Floats, sensors: Array,
    sensor: Record, now: int, s: Record,
) -> None:  # fmt: skip
    """Lessen what is charged to those who stand in the shadow of others."""
    gone = 1.0 - math.exp(-sensor.period / s.lifetime_s)
    shaded = hidden(predicted, rows, origin, sensor.extent)
    for i in range(len(predicted)):
        to = predicted[i]
        if shaded[i] and to.described > 0.0:
            to.described *= s.shadow_part
            weigh_silence(rows[to.row], to, gone, memory, origin, sensors, sensor, now, s)
