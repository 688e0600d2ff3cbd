"""Reports made of arrays: what one sensor says at one time, as `Detections`.

All places are east, north m of the plane of `REGION`, at height 0 above the ellipsoid.
"""

from typing import Any

import numpy as np

from model.arrays import Array, Floats
from model.detections import NAN, SCHEMA, DetectionKind, Detections
from model.frames import Region, ecef_from_geodetic, enu_rotation
from model.time import NS_PER_S

REGION = Region(0.9, 0.4, 400_000.0)
"""Where all simulated scenarios lie; in a corner of Europe, far from poles and date line."""

START_NS = 1_772_366_400_000_000_000
"""Time zero of all simulated scenarios, UTC ns."""


def time_ns(seconds: float) -> int:
    """UTC ns of a time in seconds since the start of a scenario."""
    return START_NS + round(seconds * NS_PER_S)


def geodetic(points: Floats) -> Floats:
    """Latitude rad, longitude rad, HAE 0 (n, 3) of points (n, 2)."""
    return REGION.geodetic_from_plane(points[:, 0], points[:, 1], np.zeros(len(points)))


def place(east: float, north: float) -> tuple[float, float, float]:
    """`Sensor.position` of a point of the plane."""
    latitude, longitude, _ = geodetic(np.array([[east, north]]))[0].tolist()
    return latitude, longitude, 0.0


def report(
    sensor: int,
    seconds: float,
    detections: dict[str, Array],
    *,
    received: float | None = None,
    offset: int | None = None,
    **values: Any,
) -> Detections:
    """One report.

    Parameters
    ----------
    sensor
        Its index.
    seconds
        When it looked.
    detections
        Columns of `Detections` along the detections, of equal length; none: it saw nothing.
    received
        When the report came in; None: at once.
    offset
        Journal offset; None: one of its own for each sensor and microsecond.
    values
        Columns along the reports: ``origin``, ``looked``.
    """
    count = len(next(iter(detections.values()))) if detections else 0
    sizes = {"report": 1, "detection": count, "vertex": 0}
    columns = {name: column.empty(sizes[column.axis]) for name, column in SCHEMA.items()}
    columns["sensor"][:] = sensor
    columns["time"][:] = columns["detection_time"][:] = time_ns(seconds)
    columns["received"][:] = time_ns(seconds if received is None else received)
    own = 64 * round(1e6 * seconds) + sensor
    columns["offset"][:] = own if offset is None else offset
    columns["item"][:] = np.arange(count)
    for name, value in (*detections.items(), *values.items()):
        columns[name][:] = value
    return Detections(**columns).check()


def positions(points: Floats, sigma_m: float) -> dict[str, Array]:
    """Detections that are positions.

    Parameters
    ----------
    points
        (n, 2) as measured.
    sigma_m
        Standard deviation per axis that they claim.
    """
    at = geodetic(points)
    at[:, 2] = NAN
    covariance = np.full((len(points), 6), NAN)
    covariance[:, :3] = sigma_m**2, 0.0, sigma_m**2
    kind = np.full(len(points), DetectionKind.POSITION, dtype=np.uint8)
    return {"kind": kind, "position": at, "covariance": covariance}


def sight(stand: Floats, points: Floats) -> tuple[Floats, Floats]:
    """Slant range (n,) m and azimuth (n,) rad of points (n, 2) seen from a point (2,)."""
    origin = geodetic(stand[None])[0]
    away = ecef_from_geodetic(geodetic(points)) - ecef_from_geodetic(origin)
    local = away @ enu_rotation(origin[0], origin[1]).T
    return np.sqrt((local * local).sum(axis=1)), np.arctan2(local[:, 0], local[:, 1])


def polar(
    range_m: Floats,
    azimuth: Floats,
    sigma_range_m: float,
    sigma_azimuth: float,
    range_rate: Floats | None = None,
    sigma_range_rate: float = NAN,
) -> dict[str, Array]:
    """Detections in slant range, azimuth and perhaps range rate.

    Parameters
    ----------
    range_m, azimuth, range_rate
        (n,) m, rad, m/s as measured; None: no range rate.
    sigma_range_m, sigma_azimuth, sigma_range_rate
        Standard deviations that they claim.
    """
    count = len(range_m)
    measured = np.full((count, 4), NAN)
    measured[:, 0], measured[:, 1] = range_m, azimuth
    sigmas = np.full((count, 4), NAN)
    sigmas[:, 0], sigmas[:, 1] = sigma_range_m, sigma_azimuth
    if range_rate is not None:
        measured[:, 3], sigmas[:, 3] = range_rate, sigma_range_rate
    kind = np.full(count, DetectionKind.POLAR, dtype=np.uint8)
    return {"kind": kind, "polar": measured, "polar_sigma": sigmas}


def bearings(azimuth: Floats, sigma_azimuth: float) -> dict[str, Array]:
    """Detections that are directions (n,) rad."""
    measured = np.full((len(azimuth), 4), NAN)
    measured[:, 1] = azimuth
    sigmas = np.full((len(azimuth), 4), NAN)
    sigmas[:, 1] = sigma_azimuth
    kind = np.full(len(azimuth), DetectionKind.BEARING, dtype=np.uint8)
    return {"kind": kind, "polar": measured, "polar_sigma": sigmas}
