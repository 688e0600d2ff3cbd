"""Tracks take in what belongs to them: position, velocity, range rate, height, class, identity."""

from dataclasses import dataclass

import numpy as np

from fusion import kalman
from fusion.classes import CLASS_SPAN, class_likelihood
from fusion.jit import kernel
from fusion.measure import Scan
from fusion.motion import combine_rows
from fusion.pairs import Pairs
from fusion.reach import Predicted
from fusion.settings import NANO, Settings
from fusion.table import TrackTable
from fusion.weigh import absorb, update_scalar
from model.arrays import Array, Bools, Floats
from model.detections import IdentityKind
from model.sensors import Sensor

LEAST_CLAIM = 1e-3
"""A track that claims less of all detections stays as it was."""

MOSTLY = 0.5
"""A detection of which a track's share is greater is taken to be its own."""


@dataclass(slots=True)
class Shares:
    """What association gave.

    Parameters
    ----------
    share
        (p,) probability that the detection of a pair is the track's own, given that it is there.
    claims
        (n,) probability that a track is there and one of the detections is its own.
    there
        (n,) probability that it is there.
    """

    share: Floats
    claims: Floats
    there: Floats


def take_in(
    table: TrackTable,
    scan: Scan,
    predicted: Predicted,
    pairs: Pairs,
    shares: Shares,
    sensor: Sensor,
    settings: Settings,
) -> Bools:
    """Fuse detections into the tracks that they belong to; returns which rows (n,) have an own."""
    count = len(predicted.rows)
    number = np.bincount(pairs.row, minlength=count)
    first = np.cumsum(number) - number
    claimed = np.bincount(pairs.row, shares.share, minlength=count)
    missed = np.where(shares.claims < LEAST_CLAIM, 1.0, np.maximum(1.0 - claimed, 0.0))
    absorb(
        first, number, pairs.item, shares.share, pairs.likelihood, missed,
        predicted.x, predicted.P, predicted.mu, scan.z, scan.R, scan.delta,
    )  # fmt: skip
    own = pairs.row[shares.share > MOSTLY]
    items = pairs.item[shares.share > MOSTLY]
    _rates(scan, predicted, own, items)
    moved = np.flatnonzero(missed < 1.0)
    rows = predicted.rows[moved]
    table.x[rows], table.P[rows] = predicted.x[moved], predicted.P[moved]
    table.mu[rows] = predicted.mu[moved]
    note_motion(table, rows, settings)
    table.time[rows] = scan.time
    paired = np.zeros(count, dtype=np.bool_)
    paired[own] = True
    rows = predicted.rows[own]
    update_heights(table, scan, rows, items, settings)
    table.hits[rows] += 1
    hear(table, rows, scan)
    likelihood = class_likelihood(scan.classes[items], sensor)
    combined = table.classes[rows] + likelihood
    combined -= combined.max(axis=1, keepdims=True)
    table.classes[rows] = np.maximum(combined, -CLASS_SPAN)
    named = scan.identity_kind[items] != IdentityKind.NONE
    table.identity_kind[rows[named]] = scan.identity_kind[items[named]]
    table.identity[rows[named]] = scan.identity[items[named]]
    return paired


def _rates(scan: Scan, predicted: Predicted, rows: Array, items: Array) -> None:
    """Velocities and range rates of detections that are a track's own."""
    rated = np.flatnonzero(~(np.isnan(scan.velocity[items, 0]) & np.isnan(scan.range_rate[items])))
    if len(rated):
        take_rates(
            rows[rated], items[rated], predicted.x, predicted.P, predicted.mu,
            scan.velocity, scan.velocity_variance, scan.range_rate, scan.range_rate_variance,
            scan.sight,
        )  # fmt: skip


def note_motion(table: TrackTable, rows: Array, settings: Settings) -> None:
    """Mark those tracks that certainly went somewhere since they were first seen."""
    still = rows[~table.moved[rows] & (table.hits[rows] >= 3)]
    if not len(still):
        return
    count = len(still)
    mean, spread = np.empty((count, 4)), np.empty((count, 10))
    combine_rows(still, table.x, table.P, table.mu, mean, spread)
    away = mean[:, :2] - table.anchor[still, :2]
    far = (away * away).sum(axis=1)
    where = 0.5 * (spread[:, 0] + spread[:, 4]) + table.anchor[still, 2]
    speed = (mean[:, 2:] ** 2).sum(axis=1)
    rate = 0.5 * (spread[:, 7] + spread[:, 9])
    limit = settings.moved_sigmas**2
    went = (far > limit * where) | ((speed > limit * rate) & (far > 0.25 * limit * where))
    table.moved[still] = went


@kernel
def take_rates(
    rows: Array, items: Array, x: Floats, P: Floats, mu: Floats, velocity: Floats,
    variance: Floats, rate: Floats, rate_variance: Floats, sight: Floats,
) -> None:  # fmt: skip
    """Update rows (n,) in place with the velocity or the range rate of a detection (n,) each."""
    h = np.zeros(4)
    for n in range(len(rows)):
        i, j = rows[n], items[n]
        total = 0.0
        for k in range(mu.shape[1]):
            weight = mu[i, k]
            if not np.isnan(velocity[j, 0]):
                for axis in range(2):
                    h[:] = 0.0
                    h[2 + axis] = 1.0
                    innovation = velocity[j, axis] - x[i, k, 2 + axis]
                    weight *= update_scalar(x[i, k], P[i, k], innovation, h, variance[j])
            if not np.isnan(rate[j]):
                h[:] = 0.0
                h[2], h[3] = sight[j, 0], sight[j, 1]
                innovation = rate[j] - h[2] * x[i, k, 2] - h[3] * x[i, k, 3]
                weight *= update_scalar(x[i, k], P[i, k], innovation, h, rate_variance[j])
            mu[i, k] = max(weight, 1e-300)
            total += mu[i, k]
        for k in range(mu.shape[1]):
            mu[i, k] /= total


def update_heights(
    table: TrackTable, scan: Scan, rows: Array, items: Array, settings: Settings
) -> None:
    """Fuse the heights of those detections that have one."""
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


def hear(table: TrackTable, rows: Array, scan: Scan) -> None:
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
