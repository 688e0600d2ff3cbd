"""Tracks that a report can say anything about, predicted to its time."""

from dataclasses import dataclass

import numpy as np

from fusion import existence, kalman
from fusion.classes import class_probability
from fusion.measure import Scan
from fusion.settings import MAX_SPEED_MPS, NANO, Settings
from fusion.table import TrackTable
from model.arrays import Array, Bools, Floats
from model.coverage import pd
from model.detections import IdentityKind
from model.frames import Region
from model.sensors import Sensor


@dataclass(slots=True)
class Predicted:
    """Rows of the table as the sensor should have seen them."""

    rows: Array
    x: Floats
    P: Floats
    pd: Floats
    density: float


def predict_rows(
    table: TrackTable, scan: Scan, sensor: Sensor, region: Region, settings: Settings
) -> Predicted:
    """Tracks that the report can say anything about, predicted to its time."""
    dt = np.maximum((scan.time - table.time) * NANO, 0.0)
    rows = np.flatnonzero(_within_reach(table, scan, sensor, dt, settings))
    x, P = kalman.predict(table.x[rows], table.P[rows], dt[rows], settings.acceleration_density)
    height = table.h[rows, 0]
    assumed = 0.0 if sensor.assumed_height_m is None else sensor.assumed_height_m
    height = np.where(np.isnan(height), assumed, height)
    ecef = region.ecef_from_plane(x[:, 0], x[:, 1], height)
    return Predicted(
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
