"""Bearings: they sharpen confirmed tracks, and never start one."""

import math

import numpy as np

from fusion.jit import kernel
from fusion.records import MODES, Record
from fusion.update import hear, put_back
from fusion.weigh import update_scalar
from model.arrays import Array, Floats
from model.tracks import Status

_TENTATIVE = int(Status.TENTATIVE)

TWO_PI = 2.0 * math.pi

LINEAR = 0.05
"""Greatest variance (rad²) of a track's own bearing for which a bearing is linear enough."""


@kernel
def turned(angle: float) -> float:
    """An angle, rad, within half a turn of 0."""
    return (angle + math.pi) % TWO_PI - math.pi


@kernel
def update_by_bearing(
    predicted: Array, rows: Array, scan: Array, origin: Floats, sensor: Record, now: int,
    index: int, mode: int, s: Record,
) -> None:  # fmt: skip
    """Sharpen confirmed tracks by bearings that can belong to no other track.

    Parameters
    ----------
    predicted
        (n,) `fusion.records.PREDICTED`; `pointed` is filled, and `own` of those sharpened.
    rows, scan
        The table's records, and (m,) `fusion.records.MEASURED`.
    origin
        (2,) east, north m of the sensor.
    sensor, s
        `fusion.gathered.SENSOR`, and constants.
    now, index, mode
        Time of the report, ns, its sensor's index, and its mode.
    """
    n, m = len(predicted), len(scan)
    aims = np.zeros(n, dtype=np.int64)
    aim = np.full(n, -1)
    claimed = np.zeros(m, dtype=np.int64)
    same = max(s.bearing_correlation_s / sensor.period, 1.0)
    for i in range(n):
        to = predicted[i]
        to.pointed = 0
        track = rows[to.row]
        if track.mode != mode:
            continue
        de, dn = to.mean[0] - origin[0], to.mean[1] - origin[1]
        squared = max(de * de + dn * dn, 1.0)
        h0, h1 = dn / squared, -de / squared
        own = h0 * h0 * to.spread[0] + 2.0 * h0 * h1 * to.spread[1] + h1 * h1 * to.spread[4]
        where = math.atan2(de, dn)
        sharp = own < LINEAR and track.status != _TENTATIVE
        for j in range(m):
            if math.isnan(scan[j].azimuth):
                continue
            difference = turned(scan[j].azimuth - where)
            variance = own + scan[j].azimuth_variance * same
            if difference * difference <= s.bearing_gate * variance:
                to.pointed = 1
                if sharp:
                    aims[i] += 1
                    aim[i] = j
                    claimed[j] += 1
    h, room = np.zeros(4), np.empty(8)
    for i in range(n):
        if aims[i] != 1 or claimed[aim[i]] != 1:
            continue
        to, d = predicted[i], scan[aim[i]]
        total = 0.0
        for k in range(MODES):
            de, dn = to.x[k, 0] - origin[0], to.x[k, 1] - origin[1]
            squared = max(de * de + dn * dn, 1.0)
            h[0], h[1] = dn / squared, -de / squared
            innovation = turned(d.azimuth - math.atan2(de, dn))
            noise = d.azimuth_variance * same
            weight = update_scalar(to.x[k], to.P[k], innovation, h, noise, room)
            to.mu[k] = max(to.mu[k] * weight, 1e-300)
            total += to.mu[k]
        for k in range(MODES):
            to.mu[k] /= total
        put_back(rows[to.row], to, now)
        hear(rows[to.row], index, now)
        to.own = aim[i]
