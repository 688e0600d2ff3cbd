"""Tracks that a report can say anything about, predicted to its time."""

from dataclasses import dataclass

import numpy as np

from fusion import existence
from fusion.classes import class_probability
from fusion.measure import Scan
from fusion.motion import PACKED, predict_rows
from fusion.settings import MAX_SPEED_MPS, MODES, NANO, Settings
from fusion.table import TrackTable
from model.arrays import Array, Bools, Floats
from model.coverage import pd
from model.detections import IdentityKind
from model.frames import Region
from model.sensors import Sensor


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
    table: TrackTable, scan: Scan, sensor: Sensor, region: Region, settings: Settings
) -> Predicted:
    """Tracks that the report can say anything about, predicted to its time."""
    dt = np.maximum((scan.time - table.time) * NANO, 0.0)
    rows = np.flatnonzero(_within_reach(table, scan, sensor, dt, settings))
    count = len(rows)
    x, P, mu = np.empty((count, MODES, 4)), np.empty((count, MODES, PACKED)), np.empty((count, MODES))
    mean, spread = np.empty((count, 4)), np.empty((count, PACKED))
    predict_rows(
        rows, table.x, table.P, table.mu, dt[rows], settings.densities, settings.sojourn_s,
        x, P, mu, mean, spread,
    )  # fmt: skip
    height = table.h[rows, 0]
    assumed = 0.0 if sensor.assumed_height_m is None else sensor.assumed_height_m
    height = np.where(np.isnan(height), assumed, height)
    ecef = region.ecef_from_plane(mean[:, 0], mean[:, 1], height)
    return Predicted(
        rows=rows,
        x=x,
        P=P,
        mu=mu,
        mean=mean,
        spread=spread,
        pd=pd(sensor, ecef, scan.time, scan.look, class_probability(table.classes[rows])),
        density=existence.clutter_density(sensor, region.radius_m),
    )


def _within_reach(
    table: TrackTable, scan: Scan, sensor: Sensor, dt: Floats, settings: Settings
) -> Bools:
    """A cheap first choice: tracks near a detection, or where the sensor may have looked."""
    if not len(table):
        return np.zeros(0, dtype=np.bool_)
    speed = np.abs(table.x[:, :, 2:]).max(axis=(1, 2))
    spread = np.sqrt(table.P[:, :, [0, 4]].max(axis=(1, 2)))
    rate = np.sqrt(table.P[:, :, [7, 9]].max(axis=(1, 2)))
    sigmas = np.sqrt(settings.gate)
    if len(scan.delta):  # detections of another moment than the report's
        dt = dt + np.abs(scan.delta).max()
    noise = np.sqrt(max(settings.acceleration_density) * dt**3 / 3.0)
    slack = 1.5 * (sigmas * (spread + rate * dt + noise) + np.minimum(speed, MAX_SPEED_MPS) * dt)
    chosen = np.zeros(len(table), dtype=np.bool_)
    planar = scan.planar
    position = table.x[:, 0, :2]
    apart = np.abs(table.x[:, 1:, :2] - table.x[:, :1, :2]).max(axis=(1, 2), initial=0.0)
    slack = slack + apart
    if planar.any():
        z = scan.z[planar]
        wide = sigmas * np.sqrt(scan.R[planar][:, [0, 1], [0, 1]].max()) + 1.0
        low, high = z.min(axis=0) - wide, z.max(axis=0) + wide
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
            away = position - scan.origin
            chosen |= (away * away).sum(axis=1) <= (greatest + slack) ** 2
    return chosen
