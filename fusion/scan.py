"""One report against the table: predict, gate, associate, update, initiate, confirm, delete.

Confirmed tracks choose first, then tentative ones from what is left, and what nobody wants starts
new tentative tracks. Everything works on whole arrays; nothing depends on anything but the
arguments.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.spatial import cKDTree

from fusion import existence, kalman
from fusion.associate import assign
from fusion.gate import pairs_within
from fusion.measure import Scan
from fusion.settings import CLASS_CONFLICT, MAX_SPEED_MPS, NANO, RATE_SPAN_MPS, Settings
from fusion.silence import lost_at
from fusion.table import TrackTable
from model.arrays import Array, Bools, Floats, Int64s
from model.coverage import pd
from model.detections import IdentityKind
from model.frames import Region
from model.sensors import Sensor, Sensors
from model.tracks import Status, UpdateReason

CLASS_FLOOR = 0.05
"""Least likelihood of a class in one detection: no single report rules a class out."""

CLASS_SPAN = 6.0
"""Greatest log-odds between two classes: e^6 is 400 to 1."""


@dataclass(slots=True)
class Outcome:
    """What one report did.

    Parameters
    ----------
    touched
        Why each track that changed did so (`UpdateReason`), by track id; the last word counts.
    deleted
        Ids of tracks that left the table.
    """

    touched: dict[int, int] = field(default_factory=dict)
    deleted: list[int] = field(default_factory=list)

    def add(self, ids: Array, reason: UpdateReason) -> None:
        """Note that tracks changed."""
        self.touched.update(dict.fromkeys(ids.tolist(), int(reason)))


@dataclass(slots=True)
class _Predicted:
    """Rows of the table as the sensor should have seen them."""

    rows: Array
    x: Floats
    P: Floats
    pd: Floats
    density: float


def fuse(
    table: TrackTable, scan: Scan, sensors: Sensors, region: Region, settings: Settings
) -> Outcome:
    """Fuse one report into the table, in place.

    Parameters
    ----------
    table
        The tracks; none of them newer than the report.
    scan
        The report in the plane of the region.
    sensors, region, settings
        Those that the indices are about, the plane, and the constants.

    Returns
    -------
    Outcome
        Which tracks changed and why, and the rows that were deleted.
    """
    outcome = Outcome()
    sensor = sensors[scan.sensor]
    # Silence is judged at the report's time, so the table depends on nothing but the reports.
    remove(table, lost_at(table, scan.time, sensors, settings), outcome)
    predicted = _predict(table, scan, sensor, region, settings)
    free = scan.planar
    paired = np.zeros(len(predicted.rows), dtype=np.bool_)  # an own detection was fused
    if free.any() and len(predicted.rows):
        pair_row, pair_item, gain, score = _pairs(table, scan, predicted, sensor, settings)
        confirmed = table.status[predicted.rows] != Status.TENTATIVE
        named = _names_match(table, scan, predicted.rows[pair_row], pair_item)
        for stage in (named, confirmed[pair_row], ~confirmed[pair_row]):
            open_pairs = stage & free[pair_item] & ~paired[pair_row]
            chosen = np.flatnonzero(open_pairs)
            chosen = chosen[assign(pair_row[chosen], pair_item[chosen], gain[chosen])]
            if not len(chosen):
                continue
            rows, items = pair_row[chosen], pair_item[chosen]
            paired[rows] = True
            free[items] = False
            _update(table, scan, predicted, rows, items, score[chosen], sensor, settings)
            outcome.add(table.track_id[predicted.rows[rows]], UpdateReason.DETECTED)
    if not np.isnan(scan.azimuth).all():
        rows, pointed = _update_by_bearing(table, scan, predicted, sensor, settings)
        paired |= pointed
        outcome.add(table.track_id[rows], UpdateReason.DETECTED)
    _charge_misses(table, scan, predicted, paired, sensors, settings, outcome)
    _confirm(table, scan, sensor, settings, outcome)
    _initiate(table, scan, free, predicted, paired, sensor, settings, outcome)
    _drop(table, settings, outcome)
    return outcome


def _predict(
    table: TrackTable, scan: Scan, sensor: Sensor, region: Region, settings: Settings
) -> _Predicted:
    """Tracks that the report can say anything about, predicted to its time."""
    dt = np.maximum((scan.time - table.time) * NANO, 0.0)
    rows = np.flatnonzero(_within_reach(table, scan, sensor, dt, settings))
    x, P = kalman.predict(table.x[rows], table.P[rows], dt[rows], settings.acceleration_density)
    height = table.h[rows, 0]
    assumed = 0.0 if sensor.assumed_height_m is None else sensor.assumed_height_m
    height = np.where(np.isnan(height), assumed, height)
    ecef = region.ecef_from_plane(x[:, 0], x[:, 1], height)
    return _Predicted(
        rows=rows,
        x=x,
        P=P,
        pd=pd(sensor, ecef, scan.time, scan.look, class_probability(table.classes[rows])),
        density=existence.clutter_density(sensor, region.radius_m),
    )


def _within_reach(
    table: TrackTable, scan: Scan, sensor: Sensor, dt: Floats, settings: Settings
) -> Bools:
    """A cheap first choice: tracks near a detection, or where the sensor may have looked."""
    if not len(table):
        return np.zeros(0, dtype=np.bool_)
    speed = np.abs(table.x[:, 2:]).max(axis=1)
    spread = np.sqrt(table.P[:, [0, 1], [0, 1]].max(axis=1))
    rate = np.sqrt(table.P[:, [2, 3], [2, 3]].max(axis=1))
    sigmas = np.sqrt(settings.gate)
    if len(scan.delta):  # detections of another moment than the report's
        dt = dt + np.abs(scan.delta).max()
    noise = np.sqrt(settings.acceleration_density * dt**3 / 3.0)
    slack = 1.5 * (sigmas * (spread + rate * dt + noise) + np.minimum(speed, MAX_SPEED_MPS) * dt)
    chosen = np.zeros(len(table), dtype=np.bool_)
    planar = scan.planar
    if planar.any():
        z = scan.z[planar]
        wide = sigmas * np.sqrt(scan.R[planar][:, [0, 1], [0, 1]].max()) + 1.0
        low, high = z.min(axis=0) - wide, z.max(axis=0) + wide
        position = table.x[:, :2]
        chosen |= ((position >= low - slack[:, None]) & (position <= high + slack[:, None])).all(
            axis=1
        )
        if (scan.identity_kind != IdentityKind.NONE).any():
            chosen |= np.isin(table.identity, scan.identity) & (
                table.identity_kind != IdentityKind.NONE
            )
    if sensor.sensing == "scan" or not planar.all():
        greatest = sensor.coverage.range_m[1]
        if scan.look.sector is not None:
            greatest = float(scan.look.sector[1])
        if np.isnan(scan.origin[0]) or np.isinf(greatest):
            chosen[:] = True
        else:
            away = table.x[:, :2] - scan.origin
            chosen |= (away * away).sum(axis=1) <= (greatest + slack) ** 2
    return chosen


def _pairs(
    table: TrackTable, scan: Scan, predicted: _Predicted, sensor: Sensor, settings: Settings
) -> tuple[Array, Array, Floats, Floats]:
    """Gated pairs (row in `predicted`, item), gain over staying apart, and existence score."""
    items = np.flatnonzero(scan.planar)
    lag = np.abs(scan.delta[items]).max()
    rates = predicted.P[:, [2, 3], [2, 3]].max(axis=1)
    largest = _largest_variance(predicted.P) + _largest_variance(scan.R[items]).max()
    largest = largest + lag * lag * rates
    speed = np.hypot(predicted.x[:, 2], predicted.x[:, 3])
    reach = np.sqrt(settings.gate * largest) + speed * lag
    named = np.isin(table.identity[predicted.rows], scan.identity[items]) & (
        table.identity_kind[predicted.rows] != IdentityKind.NONE
    )
    reach = np.where(named, np.sqrt(settings.identity_gate * largest) + speed * lag, reach)
    row, column = pairs_within(predicted.x[:, :2], reach, scan.z[items])
    item = items[column]
    R = scan.R[item]
    delta = scan.delta[item]
    S = predicted.P[:, :2, :2][row] + R
    S[:, [0, 1], [0, 1]] += (delta * delta * rates[row])[:, None]
    inverse, determinant = kalman.invert2(S)
    innovation = scan.z[item] - predicted.x[row, :2] - delta[:, None] * predicted.x[row, 2:]
    d2 = np.einsum("pi,pij,pj->p", innovation, inverse, innovation)
    d2 = d2 + _height_distance(table, scan, predicted.rows[row], item, settings)
    rate, rate_score = _rate_distance(scan, predicted, row, item)
    d2 = d2 + rate
    kind = table.identity_kind[predicted.rows[row]]
    rival = (
        (kind == scan.identity_kind[item])
        & (kind != IdentityKind.NONE)
        & (table.identity[predicted.rows[row]] != scan.identity[item])
    )
    matched = _names_match(table, scan, predicted.rows[row], item)
    limit = np.where(matched, settings.identity_gate, settings.gate)
    other_mode = table.mode[predicted.rows[row]] != scan.mode
    keep = (d2 <= limit) & ~rival & ~other_mode
    row, item, d2, determinant = row[keep], item[keep], d2[keep], determinant[keep]
    chance = np.maximum(predicted.pd[row], 0.1)
    score = existence.hit(chance, d2, np.log(determinant), predicted.density)
    score = score + rate_score[keep]
    score = score + _class_score(table.classes[predicted.rows[row]], scan.classes[item], sensor)
    # A detection that names the track belongs to it wherever it lies within the identity gate.
    score = np.where(matched[keep], np.maximum(score, 0.0), score)
    gain = score - existence.miss(predicted.pd[row], settings.gate_probability)
    return row, item, np.where(matched[keep], np.maximum(gain, 1e-6), gain), score


def _largest_variance(P: Floats) -> Floats:
    """Larger eigenvalue (T,) of the leading 2 x 2 blocks."""
    half = 0.5 * (P[:, 0, 0] + P[:, 1, 1])
    return half + np.hypot(0.5 * (P[:, 0, 0] - P[:, 1, 1]), P[:, 0, 1])


def _height_distance(
    table: TrackTable, scan: Scan, rows: Array, items: Array, settings: Settings
) -> Floats:
    """Squared normalised difference in height (p,), 0 where either is not known."""
    dt = np.maximum((scan.time - table.h_time[rows]) * NANO, 0.0)
    h, Ph = kalman.predict_height(table.h[rows], table.Ph[rows], dt, settings.climb_density)
    difference = scan.height[items] - h[:, 0]
    distance = difference * difference / (Ph[:, 0] + scan.height_variance[items])
    return np.where(np.isnan(distance), 0.0, distance)


def _rate_distance(
    scan: Scan, predicted: _Predicted, row: Array, item: Array
) -> tuple[Floats, Floats]:
    """Squared normalised difference in range rate (p,), and what else it adds to the score."""
    sight = scan.sight[item]
    own = predicted.P[:, 2:, 2:][row]
    variance = np.einsum("pi,pij,pj->p", sight, own, sight) + scan.range_rate_variance[item]
    difference = scan.range_rate[item] - (sight * predicted.x[row, 2:]).sum(axis=1)
    distance = difference * difference / variance
    score = np.log(RATE_SPAN_MPS) - 0.5 * np.log(2.0 * np.pi * variance)
    unknown = np.isnan(distance)
    return np.where(unknown, 0.0, distance), np.where(unknown, 0.0, score)


def class_probability(log_likelihood: Floats) -> Floats:
    """Class probabilities (T, K) of the table's log-likelihoods; zeros where nothing was said."""
    weight = np.exp(log_likelihood)
    said = (log_likelihood != 0.0).any(axis=1)
    probability: Floats = weight / weight.sum(axis=1, keepdims=True) * said[:, None]
    return probability


def _class_score(tracks: Floats, detections: Array, sensor: Sensor) -> Floats:
    """Log-likelihood (p,) of the detections' classes under the tracks', against any class."""
    likelihood = _class_likelihood(detections, sensor)
    weight = np.exp(likelihood - likelihood.max(axis=1, keepdims=True))
    match = (class_probability(tracks) * weight).sum(axis=1)
    unsaid = (tracks == 0.0).all(axis=1) | (likelihood == 0.0).all(axis=1)
    score: Floats = np.log(np.maximum(np.where(unsaid, 1.0, match), CLASS_CONFLICT))
    return score


def _names_match(table: TrackTable, scan: Scan, rows: Array, items: Array) -> Bools:
    kind = scan.identity_kind[items]
    match: Bools = (
        (kind != IdentityKind.NONE)
        & (table.identity_kind[rows] == kind)
        & (table.identity[rows] == scan.identity[items])
    )
    return match


def _update(
    table: TrackTable,
    scan: Scan,
    predicted: _Predicted,
    picked: Array,
    items: Array,
    score: Floats,
    sensor: Sensor,
    settings: Settings,
) -> None:
    rows = predicted.rows[picked]
    x, P = predicted.x[picked], predicted.P[picked]
    delta = scan.delta[items][:, None]
    z = scan.z[items] - delta * x[:, 2:]
    R = scan.R[items] + (delta * delta)[:, :, None] * P[:, 2:, 2:]
    x, P = kalman.update_pair(x, P, z, R)
    moving = np.flatnonzero(~np.isnan(scan.velocity[items, 0]))
    if len(moving):
        variance = scan.velocity_variance[items[moving], None, None] * np.eye(2)
        x[moving], P[moving] = kalman.update_pair(
            x[moving], P[moving], scan.velocity[items[moving], :2], variance, rates=True
        )
    doppler = np.flatnonzero(~np.isnan(scan.range_rate[items]))
    if len(doppler):
        H = np.zeros((len(doppler), 4))
        H[:, 2:] = scan.sight[items[doppler]]
        innovation = scan.range_rate[items[doppler]] - (H * x[doppler]).sum(axis=1)
        x[doppler], P[doppler] = kalman.update_scalar(
            x[doppler], P[doppler], innovation, H, scan.range_rate_variance[items[doppler]]
        )
    table.x[rows], table.P[rows] = x, P
    predicted.x[picked], predicted.P[picked] = x, P  # for what the report says besides
    _update_heights(table, scan, rows, items, settings)
    table.time[rows] = scan.time
    table.llr[rows] = np.minimum(table.llr[rows] + score, settings.cap_llr)
    table.hits[rows] += 1
    _hear(table, rows, scan)
    likelihood = _class_likelihood(scan.classes[items], sensor)
    combined = table.classes[rows] + likelihood
    combined -= combined.max(axis=1, keepdims=True)
    table.classes[rows] = np.maximum(combined, -CLASS_SPAN)
    named = scan.identity_kind[items] != IdentityKind.NONE
    table.identity_kind[rows[named]] = scan.identity_kind[items[named]]
    table.identity[rows[named]] = scan.identity[items[named]]


def _update_heights(
    table: TrackTable, scan: Scan, rows: Array, items: Array, settings: Settings
) -> None:
    lifted = np.flatnonzero(~np.isnan(scan.height[items]))
    if not len(lifted):
        return
    rows, items = rows[lifted], items[lifted]
    dt = np.maximum((scan.time - table.h_time[rows]) * NANO, 0.0)
    h, Ph = kalman.predict_height(table.h[rows], table.Ph[rows], dt, settings.climb_density)
    table.h[rows], table.Ph[rows] = kalman.update_height(
        h, Ph, scan.height[items], scan.height_variance[items], settings.initial_climb_mps
    )
    table.h_time[rows] = scan.time


def _hear(table: TrackTable, rows: Array, scan: Scan) -> None:
    """Put the sensor at the head of the rows' lists of those heard last."""
    sensors, heard = table.sensors[rows], table.heard[rows]
    absent = ~(sensors == scan.sensor).any(axis=1)
    sensors[absent, -1] = scan.sensor
    place = np.where(sensors == scan.sensor, -1, np.arange(sensors.shape[1]))
    order = np.argsort(place, axis=1, kind="stable")
    sensors = np.take_along_axis(sensors, order, axis=1)
    heard = np.take_along_axis(heard, order, axis=1)
    heard[:, 0] = scan.time
    table.sensors[rows], table.heard[rows] = sensors, heard


def _class_likelihood(classes: Array, sensor: Sensor) -> Floats:
    """Log-likelihoods (k, K); all 0 where neither detection nor sensor says anything."""
    given = classes.astype(np.float64)
    if sensor.classes is not None:
        silent = given.sum(axis=1) == 0.0
        given[silent] = sensor.classes
    said = given.sum(axis=1) > 0.0
    return np.where(said[:, None], np.log(np.maximum(given, CLASS_FLOOR)), 0.0)


def _update_by_bearing(
    table: TrackTable, scan: Scan, predicted: _Predicted, sensor: Sensor, settings: Settings
) -> tuple[Array, Bools]:
    """Sharpen confirmed tracks by bearings that can belong to no other track.

    Returns the rows of the table updated, and which rows of `predicted` any bearing points at.
    """
    rows = predicted.rows
    none = np.zeros(0, dtype=np.int64), np.zeros(len(rows), dtype=np.bool_)
    items = np.flatnonzero(~np.isnan(scan.azimuth))
    if not len(items) or not len(rows) or np.isnan(scan.origin[0]):
        return none
    x, P = predicted.x, predicted.P
    away = x[:, :2] - scan.origin
    squared = np.maximum((away * away).sum(axis=1), 1.0)
    H = np.zeros((len(rows), 4))
    H[:, 0] = away[:, 1] / squared
    H[:, 1] = -away[:, 0] / squared
    own = np.einsum("pi,pij,pj->p", H, P, H)
    same = max(settings.bearing_correlation_s / sensor.period_s, 1.0)
    noise = scan.azimuth_variance[items] * same
    difference = scan.azimuth[None, items] - np.arctan2(away[:, 0], away[:, 1])[:, None]
    difference = (difference + np.pi) % (2.0 * np.pi) - np.pi
    variance = own[:, None] + noise[None, :]
    inside = difference * difference <= settings.bearing_gate * variance
    inside &= (table.mode[rows] == scan.mode)[:, None]
    pointed: Bools = inside.any(axis=1)
    # Linear in the bearing only while the track is known to a fraction of its distance.
    inside &= ((own < 0.05) & (table.status[rows] != Status.TENTATIVE))[:, None]
    sole = inside & (inside.sum(axis=0) == 1)[None, :] & (inside.sum(axis=1) == 1)[:, None]
    row, column = np.nonzero(sole)
    if not len(row):
        return none[0], pointed
    x, P = kalman.update_scalar(x[row], P[row], difference[row, column], H[row], noise[column])
    table.x[rows[row]], table.P[rows[row]] = x, P
    table.time[rows[row]] = scan.time
    _hear(table, rows[row], scan)
    return rows[row], pointed


def _reports_itself(
    table: TrackTable, scan: Scan, predicted: _Predicted, sensors: Sensors, settings: Settings
) -> Bools:
    """Which rows have a cooperative sensor that heard them lately."""
    fresh = np.array([settings.fresh_periods * s.period_s * s.cooperative for s in sensors] + [0.0])
    heard_by = table.sensors[predicted.rows]
    age = (scan.time - table.heard[predicted.rows]) * NANO
    lately: Bools = np.asarray((age < fresh[heard_by]).any(axis=1))
    return lately


def _charge_misses(
    table: TrackTable,
    scan: Scan,
    predicted: _Predicted,
    paired: Bools,
    sensors: Sensors,
    settings: Settings,
    outcome: Outcome,
) -> None:
    """Charge tracks that the sensor could have seen and did not."""
    chance = np.minimum(predicted.pd, settings.greatest_pd)
    charge = existence.miss(chance, settings.gate_probability)
    charge = charge * min(1.0, sensors[scan.sensor].period_s / settings.miss_correlation_s)
    excused = paired | _reports_itself(table, scan, predicted, sensors, settings)
    missed = np.flatnonzero(~excused & (charge < 0.0))
    if not len(missed):
        return
    rows = predicted.rows[missed]
    table.llr[rows] += charge[missed]
    outcome.add(table.track_id[rows], UpdateReason.MISSED)


def _confirm(
    table: TrackTable, scan: Scan, sensor: Sensor, settings: Settings, outcome: Outcome
) -> None:
    spoke = (table.sensors[:, 0] == scan.sensor) & (table.heard[:, 0] == scan.time)
    needed = np.where(spoke & sensor.cooperative, 1, settings.confirm_hits)
    ready = (
        (table.status == Status.TENTATIVE)
        & (table.llr >= settings.confirm_llr)
        & (table.hits >= needed)
    )
    if ready.any():
        table.status[ready] = Status.CONFIRMED
        outcome.add(table.track_id[ready], UpdateReason.CONFIRMED)


def _initiate(
    table: TrackTable,
    scan: Scan,
    free: Bools,
    predicted: _Predicted,
    paired: Bools,
    sensor: Sensor,
    settings: Settings,
    outcome: Outcome,
) -> None:
    """Start tentative tracks from detections that no track wanted."""
    items = np.flatnonzero(free)
    items = items[_first_of_name(table, scan, items, predicted.rows[paired])]
    if not len(items):
        return
    if sensor.extent_m > 0.0:
        items = items[_apart(table, scan.z[items], predicted, paired, sensor.extent_m)]
    if not len(items):
        return
    count = len(items)
    fresh = TrackTable(count)
    fresh.track_id = track_ids(scan, scan.item[items])
    fresh.time[:] = scan.time
    fresh.mode[:] = scan.mode
    fresh.x[:, :2] = scan.z[items]
    fresh.P[:, :2, :2] = scan.R[items]
    fresh.P[:, [2, 3], [2, 3]] = settings.initial_speed_mps**2
    # A detection of another time than the report's is carried to it by an unknown velocity.
    delta = scan.delta[items]
    fresh.P[:, [0, 1], [0, 1]] += (delta * settings.initial_speed_mps)[:, None] ** 2
    moving = ~np.isnan(scan.velocity[items, 0])
    fresh.x[moving, 2:] = scan.velocity[items[moving], :2]
    fresh.x[moving, :2] -= delta[moving, None] * fresh.x[moving, 2:]
    fresh.P[np.flatnonzero(moving)[:, None], [2, 3], [2, 3]] = scan.velocity_variance[
        items[moving], None
    ]
    doppler = np.flatnonzero(~np.isnan(scan.range_rate[items]) & ~moving)
    if len(doppler):
        H = np.zeros((len(doppler), 4))
        H[:, 2:] = scan.sight[items[doppler]]
        fresh.x[doppler], fresh.P[doppler] = kalman.update_scalar(
            fresh.x[doppler],
            fresh.P[doppler],
            scan.range_rate[items[doppler]],
            H,
            scan.range_rate_variance[items[doppler]],
        )
    fresh.h_time[:] = scan.time
    _update_heights(fresh, scan, np.arange(count), items, settings)
    fresh.hits[:] = 1
    fresh.llr[:] = settings.confirm_llr if sensor.cooperative else settings.start_llr
    fresh.sensors[:, 0] = scan.sensor
    fresh.heard[:, 0] = scan.time
    likelihood = _class_likelihood(scan.classes[items], sensor)
    fresh.classes[:] = likelihood - likelihood.max(axis=1, keepdims=True)
    fresh.identity_kind[:] = scan.identity_kind[items]
    fresh.identity[:] = scan.identity[items]
    outcome.add(fresh.track_id, UpdateReason.DETECTED)
    if sensor.cooperative:
        fresh.status[:] = Status.CONFIRMED
        outcome.add(fresh.track_id, UpdateReason.CONFIRMED)
    table.append(fresh)


def _first_of_name(table: TrackTable, scan: Scan, items: Array, rows: Array) -> Bools:
    """Which items bear no identity, or one that neither rows heard now nor an item before bear.

    A mover that says its name several times in a report is still one.
    """
    fresh = np.ones(len(items), dtype=np.bool_)
    kind = scan.identity_kind[items]
    if not (kind != IdentityKind.NONE).any():
        return fresh
    heard = set(zip(table.identity_kind[rows].tolist(), table.identity[rows].tolist(), strict=True))
    names = zip(kind.tolist(), scan.identity[items].tolist(), strict=True)
    for index, name in enumerate(names):
        if name[0] != IdentityKind.NONE:
            fresh[index] = name not in heard
            heard.add(name)
    return fresh


def _apart(
    table: TrackTable, z: Floats, predicted: _Predicted, paired: Bools, extent_m: float
) -> Bools:
    """Which places (k, 2) lie farther than the extent from targets that the report has shown."""
    rows = predicted.rows
    known = (table.status[rows] != Status.TENTATIVE) | paired
    apart = np.ones(len(z), dtype=np.bool_)
    if known.any():
        distance, _ = cKDTree(predicted.x[known, :2]).query(z)
        apart = np.asarray(distance) >= extent_m
    # Places kept lie an extent apart, so each cell of that size holds few of them.
    cells: dict[tuple[int, int], list[tuple[float, float]]] = {}
    columns = np.floor(z / max(extent_m, 1e-3)).astype(np.int64).tolist()
    points = z.tolist()
    for index in np.flatnonzero(apart).tolist():
        (east, north), (column, row) = points[index], columns[index]
        near = (
            place
            for a in (column - 1, column, column + 1)
            for b in (row - 1, row, row + 1)
            for place in cells.get((a, b), ())
        )
        if any((e - east) ** 2 + (n - north) ** 2 < extent_m * extent_m for e, n in near):
            apart[index] = False
        else:
            cells.setdefault((column, row), []).append((east, north))
    return apart


def _drop(table: TrackTable, settings: Settings, outcome: Outcome) -> None:
    tentative = table.status == Status.TENTATIVE
    limit = np.where(tentative, settings.tentative_drop_llr, settings.drop_llr)
    remove(table, table.llr < limit, outcome)


def remove(table: TrackTable, mask: Bools, outcome: Outcome) -> None:
    """Delete rows, remembering their ids."""
    if not mask.any():
        return
    gone = table.track_id[mask]
    outcome.add(gone, UpdateReason.LOST)
    outcome.deleted.extend(gone.tolist())
    table.keep(~mask)


def track_ids(scan: Scan, items: Array) -> Int64s:
    """Ids (k,) > 0 that depend only on the detections that initiate the tracks.

    Offset and item are packed and mixed by the finaliser of SplitMix64 (Steele, Lea, Flood 2014,
    doi:10.1145/2660193.2660195), a bijection of 64 bits of which 63 are kept: two tracks share an
    id with probability 2^-63 while an input has fewer than 2^24 detections.
    """
    packed = scan.offset << 24
    value = np.uint64(packed & 0xFFFFFFFFFFFFFFFF) + items.astype(np.uint64)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    value = value ^ (value >> np.uint64(31))
    ids: Int64s = (value & np.uint64(0x7FFFFFFFFFFFFFFF)).astype(np.int64)
    return np.maximum(ids, 1)
