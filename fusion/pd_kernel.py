"""`model.coverage.pd` for many tracks at once, in a compiled kernel, where the case is plain.

Plain is: a sensor with a place, a sector of ranges and azimuths (configured, or as the report says
it was searched), and a probability of detection over range; and sensors whose silence says
nothing. Polygons go to `model.coverage.pd`, which alone defines what a miss is worth.
"""

import math

import numpy as np

from fusion.gathered import (
    ASSUMED,
    FROM,
    HEADING,
    HEIGHT,
    HIGH,
    LATITUDE,
    LONGITUDE,
    LOW,
    OTHER,
    PLAIN,
    SILENT,
    WIDTH,
    gathered,
)
from fusion.geodesy import ecef_of, sines
from fusion.jit import kernel, plain
from fusion.measure_kernels import (
    SAYS,
    SAYS_HEADING,
    SAYS_ORIGIN,
    SAYS_POLYGON,
    SAYS_SECTOR,
    SENSOR,
)
from model.arrays import Bools, Floats, Int64s
from model.coverage import TWO_PI, Look, pd
from model.frames import Region
from model.sensors import Sensors

VIEW = 22
"""Numbers of a view: where a sensor looked in one report, in the region's plane."""

(_CASE, _LOW, _HIGH, _EAST, _NORTH, _OPENING, _ASSUMED, _VERTICAL, _MERIDIAN, _SHIFT) = range(10)
_TURN = 13
# A view: the case (`SILENT`, `PLAIN`, `OTHER`); slant ranges from, to, m; the middle of the sector
# of azimuths as a direction, and the cosine of half its width (all round: -2); HAE m assumed of
# tracks without height; half the region's curvatures, 1/m; what takes the region's east, north,
# up, m, to those of the sensor: a shift (3) and a rotation (3 x 3).

_ALL_ROUND = -2.0


@kernel
def views(
    facts: Int64s,
    origin: Floats,
    heading: Floats,
    looked: Floats,
    stand: Floats,
    case: Int64s,
    odd: Bools,
    sector: Floats,
    region_origin: Floats,
    rotation: Floats,
    prime_vertical: float,
    meridian: float,
    view: Floats,
) -> None:
    """Fill the views (M, `VIEW`) of reports; `facts` as `list_reports` filled it."""
    for m in range(len(facts)):
        s, says = facts[m, SENSOR], facts[m, SAYS]
        latitude, longitude, altitude = stand[s, LATITUDE], stand[s, LONGITUDE], stand[s, HEIGHT]
        if says & SAYS_ORIGIN:
            latitude, longitude, altitude = origin[m, 0], origin[m, 1], origin[m, 2]
            if math.isnan(altitude):
                altitude = 0.0
        found = case[s]
        if found != SILENT:
            if says & SAYS_POLYGON or (found == OTHER and not says & SAYS_SECTOR):
                found = OTHER
            elif math.isnan(latitude):
                found = SILENT
            else:
                found = OTHER if odd[s] else PLAIN
        view[m, :] = 0.0
        view[m, _CASE] = found
        if found != PLAIN:
            continue
        low, high, start, width = sector[s, LOW], sector[s, HIGH], sector[s, FROM], sector[s, WIDTH]
        if says & SAYS_SECTOR:
            low, high, start, width = looked[m, 0], looked[m, 1], looked[m, 2], np.inf
            if math.isnan(start):
                start = 0.0
            else:
                width = (looked[m, 3] - start) % TWO_PI
                if width == 0.0:
                    width = TWO_PI
        faces = heading[m] if says & SAYS_HEADING else stand[s, HEADING]
        view[m, _LOW], view[m, _HIGH] = low, high
        middle = faces + start + 0.5 * width if width < np.inf else 0.0
        view[m, _EAST], view[m, _NORTH] = math.sin(middle), math.cos(middle)
        view[m, _OPENING] = _ALL_ROUND if width == np.inf else math.cos(0.5 * width)
        view[m, _ASSUMED] = 0.0 if math.isnan(stand[s, ASSUMED]) else stand[s, ASSUMED]
        view[m, _VERTICAL], view[m, _MERIDIAN] = 0.5 / prime_vertical, 0.5 / meridian
        at = sines(latitude, longitude)
        sin_lat, cos_lat, sin_lon, cos_lon = at
        place = ecef_of(at, altitude)
        axes = (
            (-sin_lon, cos_lon, 0.0),
            (-sin_lat * cos_lon, -sin_lat * sin_lon, cos_lat),
            (cos_lat * cos_lon, cos_lat * sin_lon, sin_lat),
        )
        for i in range(3):
            shift = 0.0
            for k in range(3):
                shift += axes[i][k] * (region_origin[k] - place[k])
            view[m, _SHIFT + i] = shift
            for j in range(3):
                turn = 0.0
                for k in range(3):
                    turn += axes[i][k] * rotation[j, k]
                view[m, _TURN + 3 * i + j] = turn


@kernel
def chance_at(
    view: Floats, ranges: Floats, chances: Floats, east: float, north: float, height: float
) -> float:
    """Probability that a mover would have been detected; `view` is of the case `PLAIN`.

    Parameters
    ----------
    view
        (`VIEW`,) where the sensor looked.
    ranges, chances
        (J,) the sensor's row of `Gathered.ranges` and of `Gathered.chances`.
    east, north, height
        m in the region's plane, and HAE m; NaN: as the sensor assumes, or else 0.
    """
    if math.isnan(height):
        height = view[_ASSUMED]
    # As `Region.ecef_from_plane`: by the curvature at the region's origin.
    up = height - east * east * view[_VERTICAL] - north * north * view[_MERIDIAN]
    x = view[_SHIFT] + view[_TURN] * east + view[_TURN + 1] * north + view[_TURN + 2] * up
    y = view[_SHIFT + 1] + view[_TURN + 3] * east + view[_TURN + 4] * north + view[_TURN + 5] * up
    w = view[_SHIFT + 2] + view[_TURN + 6] * east + view[_TURN + 7] * north + view[_TURN + 8] * up
    distance = math.sqrt(x * x + y * y + w * w)
    if not (view[_LOW] <= distance <= view[_HIGH]):
        return 0.0
    # As far from the middle of the sector as its ends, or less: by cosines, for they are quick.
    if view[_OPENING] > _ALL_ROUND and not (
        x * view[_EAST] + y * view[_NORTH] >= view[_OPENING] * math.sqrt(x * x + y * y)
    ):
        return 0.0
    if distance <= ranges[0]:
        return float(chances[0])
    j = 0
    while j + 1 < len(ranges) and ranges[j + 1] <= distance:
        j += 1
    if j + 1 == len(ranges):
        return float(chances[j])
    slope = (chances[j + 1] - chances[j]) / (ranges[j + 1] - ranges[j])
    return float(slope * (distance - ranges[j]) + chances[j])


@kernel
def chances_at(
    view: Floats,
    ranges: Floats,
    chances: Floats,
    visible: Bools,
    place: Floats,
    height: Floats,
    classes: Floats,
    out: Floats,
) -> None:
    """Fill `out` (N,) with `pd_plane` of the cases `SILENT` and `PLAIN`; `classes` may be empty."""
    for i in range(len(place)):
        chance = 0.0
        if view[_CASE] == PLAIN:
            chance = chance_at(view, ranges, chances, place[i, 0], place[i, 1], height[i])
        if chance > 0.0 and len(classes):
            total = share = 0.0
            for k in range(classes.shape[1]):
                total += classes[i, k]
                if visible[k]:
                    share += classes[i, k]
            if total > 0.0:
                chance *= share
        out[i] = chance


_UNKNOWN = np.zeros((0, 0))


def pd_plane(
    view: Floats,
    look: Look,
    sensors: Sensors,
    index: int,
    region: Region,
    place: Floats,
    height: Floats,
    time_ns: int,
    classes: Floats | None = None,
) -> Floats:
    """Probability that a sensor would have detected movers; `model.coverage.pd` to rounding.

    Parameters
    ----------
    view, look
        Of the report (`fusion.measure.Scan`).
    sensors, index
        The sensors, and which of them.
    region
        The plane that `view` was made for.
    place
        (N, 2 or more) east, north m.
    height
        (N,) HAE m; NaN: the height that the sensor assumes, or else 0.
    time_ns
        When it looked, UTC ns.
    classes
        (N, K) class probabilities of the movers; rows of zeros: not known. None: not known of any.

    Returns
    -------
    numpy.ndarray
        (N,) in [0, 1].
    """
    sensor = sensors[index]
    if view[_CASE] == OTHER:
        assumed = 0.0 if sensor.assumed_height_m is None else sensor.assumed_height_m
        filled = np.where(np.isnan(height), assumed, height)
        ecef = region.ecef_from_plane(place[:, 0], place[:, 1], filled)
        return pd(sensor, ecef, time_ns, look, classes)
    known = gathered(sensors)
    if classes is None or not known.selective[index]:
        classes = _UNKNOWN
    out: Floats = np.empty(len(place))
    chances_at(
        view,
        known.ranges[index],
        known.chances[index],
        known.visible[index],
        plain(place),
        plain(height),
        plain(classes),
        out,
    )
    return out
