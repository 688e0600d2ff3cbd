"""Tracks that a report can say anything about, predicted to its time."""

from dataclasses import dataclass

import numpy as np

from fusion import existence
from fusion.classes import class_probability
from fusion.jit import kernel
from fusion.measure import Scan
from fusion.motion import PACKED, predict_rows
from fusion.pd_kernel import pd_plane
from fusion.settings import MAX_SPEED_MPS, MODES, NANO, Settings
from fusion.table import TrackTable
from model.arrays import Array, Bools, Floats
from model.detections import IdentityKind
from model.frames import Region
from model.sensors import Sensor, Sensors


@dataclass(slots=True)
class Predicted:
    """Rows of the table as the sensor should have seen them.

    Parameters
    ----------
    rows
        (n,) of the table.
    x, P, mu
        (n, K, 4), (n, K, 10) and (n, K): the modes; `fusion.weigh.absorb` updates them in place.
    mean, spread
        (n, 4) and (n, 10): all modes taken together, as predicted.
    pd
        (n,) probability that the sensor detects them, if they are there.
    density
        Clutter of the sensor, per square metre and report.
    """

    rows: Array
    x: Floats
    P: Floats
    mu: Floats
    mean: Floats
    spread: Floats
    pd: Floats
    density: float


def predict_tracks(
    table: TrackTable, scan: Scan, sensors: Sensors, region: Region, settings: Settings
) -> Predicted:
    """Tracks that the report can say anything about, predicted to its time."""
    sensor = sensors[scan.sensor]
    rows = _within_reach(table, scan, sensor, settings)
    dt = np.maximum((scan.time - table.time[rows]) * NANO, 0.0)
    count = len(rows)
    x, P, mu = (
        np.empty((count, MODES, 4)),
        np.empty((count, MODES, PACKED)),
        np.empty((count, MODES)),
    )
    mean, spread = np.empty((count, 4)), np.empty((count, PACKED))
    predict_rows(
        rows, table.x, table.P, table.mu, dt, settings.densities, settings.sojourn_s,
        x, P, mu, mean, spread,
    )  # fmt: skip
    return Predicted(
        rows=rows,
        x=x,
        P=P,
        mu=mu,
        mean=mean,
        spread=spread,
        pd=pd_plane(
            scan.view,
            scan.look,
            sensors,
            scan.sensor,
            region,
            mean[:, :2],
            table.h[rows, 0],
            scan.time,
            class_probability(table.classes[rows]),
        ),
        density=existence.clutter_density(sensor, region.radius_m),
    )


def _within_reach(table: TrackTable, scan: Scan, sensor: Sensor, settings: Settings) -> Array:
    """A cheap first choice: rows near a detection, or where the sensor may have looked."""
    if not len(table):
        return np.zeros(0, dtype=np.int64)
    sigmas = float(np.sqrt(settings.gate))
    lag = float(np.abs(scan.delta).max()) if len(scan.delta) else 0.0
    planar = scan.planar
    low, high = np.full(2, np.inf), np.full(2, -np.inf)
    if planar.any():
        z = scan.z[planar]
        wide = sigmas * np.sqrt(scan.R[planar][:, [0, 1], [0, 1]].max()) + 1.0
        low, high = z.min(axis=0) - wide, z.max(axis=0) + wide
    greatest = -1.0  # nothing is asked of who is merely within reach of the sensor
    if sensor.sensing == "scan" or not planar.all():
        greatest = sensor.coverage.range_m[1]
        if scan.look.sector is not None:
            greatest = float(scan.look.sector[1])
        if np.isnan(scan.origin[0]):
            greatest = np.inf
    chosen = _reached(
        table.x, table.P, table.time, scan.time, low, high, scan.origin, greatest, sigmas, lag,
        max(settings.acceleration_density),
    )  # fmt: skip
    if (scan.identity_kind != IdentityKind.NONE).any():
        chosen |= np.isin(table.identity, scan.identity) & (
            table.identity_kind != IdentityKind.NONE
        )
    return np.flatnonzero(chosen)


@kernel
def _reached(
    x: Floats, P: Floats, time: Array, now: int, low: Floats, high: Floats, origin: Floats,
    greatest: float, sigmas: float, lag: float, density: float,
) -> Bools:  # fmt: skip
    """Which rows (T,) may lie in a box, or within a distance of the sensor."""
    count, K = x.shape[0], x.shape[1]
    chosen = np.zeros(count, dtype=np.bool_)
    for row in range(count):
        if np.isinf(greatest):
            chosen[row] = True
            continue
        dt = max((now - time[row]) * NANO, 0.0) + lag
        speed = where = rate = apart = 0.0
        east, north = x[row, 0, 0], x[row, 0, 1]
        for k in range(K):
            speed = max(speed, abs(x[row, k, 2]), abs(x[row, k, 3]))
            where = max(where, P[row, k, 0], P[row, k, 4])
            rate = max(rate, P[row, k, 7], P[row, k, 9])
            apart = max(apart, abs(x[row, k, 0] - east), abs(x[row, k, 1] - north))
        spread = np.sqrt(where) + np.sqrt(rate) * dt + np.sqrt(density * dt * dt * dt / 3.0)
        slack = 1.5 * (sigmas * spread + min(speed, MAX_SPEED_MPS) * dt) + apart
        if low[0] - slack <= east <= high[0] + slack and low[1] - slack <= north <= high[1] + slack:
            chosen[row] = True
        elif greatest >= 0.0:
            de, dn = east - origin[0], north - origin[1]
            chosen[row] = de * de + dn * dn <= (greatest + slack) * (greatest + slack)
    return chosen
