"""Tracks take in what belongs to them: position, velocity, range rate, height, class, bearing."""

import numpy as np

from fusion import kalman
from fusion.classes import CLASS_SPAN, class_likelihood
from fusion.measure import Scan
from fusion.reach import Predicted
from fusion.settings import NANO, Settings
from fusion.table import TrackTable
from model.arrays import Array, Bools, Floats
from model.detections import IdentityKind
from model.sensors import Sensor
from model.tracks import Status


def update_rows(
    table: TrackTable,
    scan: Scan,
    predicted: Predicted,
    picked: Array,
    items: Array,
    score: Floats,
    sensor: Sensor,
    settings: Settings,
) -> None:
    """Fuse detections into their tracks: place, velocity, range rate, height, class, name."""
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
    update_heights(table, scan, rows, items, settings)
    table.time[rows] = scan.time
    table.llr[rows] = np.minimum(table.llr[rows] + score, settings.cap_llr)
    table.hits[rows] += 1
    hear(table, rows, scan)
    likelihood = class_likelihood(scan.classes[items], sensor)
    combined = table.classes[rows] + likelihood
    combined -= combined.max(axis=1, keepdims=True)
    table.classes[rows] = np.maximum(combined, -CLASS_SPAN)
    named = scan.identity_kind[items] != IdentityKind.NONE
    table.identity_kind[rows[named]] = scan.identity_kind[items[named]]
    table.identity[rows[named]] = scan.identity[items[named]]


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


def update_by_bearing(
    table: TrackTable, scan: Scan, predicted: Predicted, sensor: Sensor, settings: Settings
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
    hear(table, rows[row], scan)
    return rows[row], pointed
