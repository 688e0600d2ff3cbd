"""Bearings: they sharpen confirmed tracks, and never start one."""

import numpy as np

from fusion.jit import kernel
from fusion.measure import Scan
from fusion.reach import Predicted
from fusion.settings import Settings
from fusion.table import TrackTable
from fusion.update import hear
from fusion.weigh import update_scalar
from model.arrays import Array, Bools, Floats
from model.sensors import Sensor
from model.tracks import Status


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
    P = predicted.spread
    away = predicted.mean[:, :2] - scan.origin
    squared = np.maximum((away * away).sum(axis=1), 1.0)
    h0, h1 = away[:, 1] / squared, -away[:, 0] / squared
    own = h0 * h0 * P[:, 0] + 2.0 * h0 * h1 * P[:, 1] + h1 * h1 * P[:, 4]
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
    _turn(
        row, predicted.x, predicted.P, predicted.mu, scan.origin, scan.azimuth[items[column]],
        noise[column],
    )  # fmt: skip
    table.x[rows[row]], table.P[rows[row]] = predicted.x[row], predicted.P[row]
    table.mu[rows[row]] = predicted.mu[row]
    table.time[rows[row]] = scan.time
    hear(table, rows[row], scan)
    return rows[row], pointed


@kernel
def _turn(
    rows: Array, x: Floats, P: Floats, mu: Floats, origin: Floats, azimuth: Floats, noise: Floats
) -> None:
    h = np.zeros(4)
    for n in range(len(rows)):
        i = rows[n]
        total = 0.0
        for k in range(mu.shape[1]):
            de, dn = x[i, k, 0] - origin[0], x[i, k, 1] - origin[1]
            squared = max(de * de + dn * dn, 1.0)
            h[0], h[1] = dn / squared, -de / squared
            innovation = azimuth[n] - np.arctan2(de, dn)
            innovation = (innovation + np.pi) % (2.0 * np.pi) - np.pi
            weight = mu[i, k] * update_scalar(x[i, k], P[i, k], innovation, h, noise[n])
            mu[i, k] = max(weight, 1e-300)
            total += mu[i, k]
        for k in range(mu.shape[1]):
            mu[i, k] /= total
