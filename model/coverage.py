"""What a miss is worth: the probability that a sensor would have seen a mover at a place.

Every miss in fusion is charged through `pd`, and through nothing else.
"""

from dataclasses import dataclass

import numpy as np

from model.arrays import Bools, Floats
from model.frames import ecef_from_geodetic, enu_rotation, geodetic_from_ecef
from model.sensors import Sensor

TWO_PI = 2.0 * np.pi


@dataclass(frozen=True, slots=True)
class Look:
    """What one report says about where its sensor stood and what it searched.

    Parameters
    ----------
    origin
        (3,) latitude rad, longitude rad, HAE m; None: the configured position.
    heading_rad
        Direction of azimuth zero from true north; None: as configured.
    sector
        (4,) range min m, max m, azimuth from rad, to rad; None: the configured coverage.
    polygon
        (V, 2) latitude, longitude rad; None: no polygon.
    """

    origin: Floats | None = None
    heading_rad: float | None = None
    sector: Floats | None = None
    polygon: Floats | None = None


CONFIGURED = Look()
"""A look about which the report says nothing."""


def pd(
    sensor: Sensor,
    position: Floats,
    time_ns: int,
    look: Look = CONFIGURED,
    classes: Floats | None = None,
) -> Floats:
    """Probability that `sensor`, looking at `time_ns`, would have detected movers at `position`.

    Parameters
    ----------
    sensor
        Its description.
    position
        (N, 3) float64 ECEF metres.
    time_ns
        When it looked, UTC ns. Present for coverage that changes with time (tides, opening
        hours, learned shadows); the configured coverage does not.
    look
        What the report itself says of origin and sector.
    classes
        (N, K) class probabilities of the movers; rows of zeros: not known. A sensor that says what
        it sees (`Sensor.classes`) cannot miss what it never sees. None: not known of any.

    Returns
    -------
    numpy.ndarray
        (N,) float64 in [0, 1]; 0 outside what was searched, and for sensors whose silence says
        nothing.
    """
    del time_ns
    count = len(position)
    # A cooperative report is about its sender alone: it says nothing of anybody else.
    if sensor.sensing == "event" or sensor.cooperative or count == 0:
        return np.zeros(count)
    origin = look.origin
    if origin is None and sensor.position is not None:
        origin = np.array(sensor.position)
    seen = np.ones(count, dtype=np.bool_)
    polygon = look.polygon
    if polygon is None and look.sector is None:
        polygon = sensor.coverage.polygon
    if polygon is not None:
        seen &= inside_polygon(geodetic_from_ecef(position)[:, :2], polygon)
    if origin is None:
        # A sensor with no place (a cooperative network) is silent about everything.
        value = sensor.detection_probability.value
        known = polygon is not None and len(value) == 1
        return np.where(seen, value[0] if known else 0.0, 0.0)
    enu = (position - ecef_from_geodetic(origin)) @ enu_rotation(origin[0], origin[1]).T
    distance = np.sqrt((enu * enu).sum(axis=1))
    low, high = sensor.coverage.range_m
    azimuth = sensor.coverage.azimuth_rad
    if look.sector is not None:
        low, high = float(look.sector[0]), float(look.sector[1])
        ends = float(look.sector[2]), float(look.sector[3])
        azimuth = None if np.isnan(ends[0]) else ends
    seen &= (distance >= low) & (distance <= high)
    if azimuth is not None:
        heading = sensor.heading_rad if look.heading_rad is None else look.heading_rad
        bearing = np.arctan2(enu[:, 0], enu[:, 1]) - heading
        width = (azimuth[1] - azimuth[0]) % TWO_PI or TWO_PI
        seen &= (bearing - azimuth[0]) % TWO_PI <= width
    chance = np.where(seen, sensor.detection_probability.at(distance), 0.0)
    if classes is None or sensor.classes is None:
        return chance
    visible = np.array(sensor.classes) > 0.0
    known = classes.sum(axis=1) > 0.0
    return chance * np.where(known, classes[:, visible].sum(axis=1), 1.0)


def inside_polygon(points: Floats, polygon: Floats) -> Bools:
    """Which points (N, 2) lie inside a polygon (V, 2), even-odd rule, both latitude, longitude rad.

    Longitudes are taken relative to the first vertex, so a polygon may cross the date line; it
    must not contain a pole.
    """
    base = polygon[0, 1]
    x = (points[:, 1] - base + np.pi) % TWO_PI - np.pi
    y = points[:, 0]
    xs = (polygon[:, 1] - base + np.pi) % TWO_PI - np.pi
    ys = polygon[:, 0]
    inside = np.zeros(len(points), dtype=np.bool_)
    for i in range(len(polygon)):
        x0, y0, x1, y1 = xs[i - 1], ys[i - 1], xs[i], ys[i]
        if y0 == y1:
            continue
        crosses = (y0 > y) != (y1 > y)
        inside ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return inside
