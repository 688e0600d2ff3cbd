"""What does not change of sensors, gathered from their descriptions into arrays for kernels."""

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from fusion.existence import bearing_clutter_density, clutter_density
from model.arrays import Array, Bools, Floats, Int64s
from model.coverage import TWO_PI
from model.sensors import Sensor, Sensors
from model.taxonomy import N_CLASSES

LATITUDE, LONGITUDE, HEIGHT, HEADING, ASSUMED = range(5)
"""Columns of `Gathered.stand`: rad, rad, HAE m, rad, HAE m."""

HORIZONTAL, VERTICAL, RANGE, AZIMUTH, ELEVATION, RANGE_RATE, VELOCITY = range(7)
"""Columns of `Gathered.sigmas`: m, m, m, rad, rad, m/s, m/s."""

LOW, HIGH, FROM, WIDTH = range(4)
"""Columns of `Gathered.sector`: m, m, rad, rad."""

SILENT, PLAIN, OTHER = range(3)
"""What a sensor's silence says: nothing; what its sector says; what `model.coverage.pd` says."""


SENSOR = np.dtype(
    [
        ("period", "f8"),  # s
        ("latency", "f8"),  # s, not negative
        ("extent", "f8"),  # m, how large one mover may look
        ("chance", "f8"),  # its greatest probability of detection
        ("density", "f8"),  # clutter, per m² and report
        ("bearing_density", "f8"),  # the same of bearings, per rad
        ("reach", "f8"),  # m
        ("classes", "f8", (N_CLASSES,)),  # prior of what it sees
        ("visible", "u1", (N_CLASSES,)),
        ("selective", "u1"),  # whether it says what it sees
        ("cooperative", "u1"),
        ("tracks", "u1"),  # whether its errors hang together from report to report
        ("scans", "u1"),  # whether it looks, and silence is a miss
    ],
    align=True,
)
"""What kernels ask of a sensor besides its view."""


def sensor_records(sensors: Sensors, region_radius_m: float) -> Array:
    """(S,) `SENSOR` of a table; `region_radius_m` bounds coverage that nothing else does."""
    records = np.zeros(len(sensors), SENSOR)
    for record, sensor in zip(records, sensors, strict=True):
        record["period"] = sensor.period_s
        record["latency"] = max(sensor.latency_s, 0.0)
        record["extent"] = sensor.extent_m
        record["chance"] = max(sensor.detection_probability.value, default=0.0)
        record["density"] = clutter_density(sensor, region_radius_m)
        record["bearing_density"] = bearing_clutter_density(sensor)
        record["reach"] = sensor.coverage.range_m[1]
        record["visible"] = _visible(sensor)
        record["cooperative"] = sensor.cooperative
        record["tracks"] = sensor.tracks
        record["scans"] = sensor.sensing == "scan"
        if sensor.classes is not None:
            record["selective"] = True
            record["classes"] = sensor.classes
    return records


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """All sensors of a table, one row for each.

    Parameters
    ----------
    stand
        (S, 5) place, heading, assumed height of targets; NaN: it has none.
    sigmas
        (S, 7) standard deviations of what a detection does not give.
    latency
        (S,) ns.
    case
        (S,) `SILENT`, `PLAIN` or `OTHER`, unless a report says otherwise.
    odd
        (S,) whether only `model.coverage.pd` can read its probability of detection.
    sector
        (S, 4) range from, to, azimuth from its heading, and width of the sector; width inf: all
        round.
    ranges, chances
        (S, J) slant ranges, m, and probability of detection at each; padded with inf and the last.
    selective, visible
        (S,) whether it says what it sees, and (S, K) whether it sees movers of a class.
    """

    stand: Floats
    sigmas: Floats
    latency: Int64s
    case: Int64s
    odd: Bools
    sector: Floats
    ranges: Floats
    chances: Floats
    selective: Bools
    visible: Bools


_known: WeakKeyDictionary[Sensors, Gathered] = WeakKeyDictionary()
# A table of sensors never changes, so what was gathered of it is true as long as it lives.


def gathered(sensors: Sensors) -> Gathered:
    """All sensors of a table; gathered once."""
    found = _known.get(sensors)
    if found is None:
        found = _known[sensors] = _gather(sensors)
    return found


def _gather(sensors: Sensors) -> Gathered:
    count = len(sensors)
    plain = [_plain_table(sensor) for sensor in sensors]
    longest = max([len(table[0]) for table in plain if table is not None], default=1)
    ranges, chances = np.full((count, longest), np.inf), np.zeros((count, longest))
    for row, table in enumerate(plain):
        if table is not None:
            ranges[row, : len(table[0])] = table[0]
            chances[row] = table[1][-1]
            chances[row, : len(table[1])] = table[1]
    odd = np.array([table is None for table in plain], dtype=np.bool_)
    return Gathered(
        stand=np.array([_stand(sensor) for sensor in sensors]).reshape(count, 5),
        sigmas=np.array([_sigmas(sensor) for sensor in sensors]).reshape(count, 7),
        latency=np.array([sensor.latency_ns for sensor in sensors], dtype=np.int64),
        case=np.array([_case(sensor) for sensor in sensors], dtype=np.int64),
        odd=odd,
        sector=np.array([_sector(sensor) for sensor in sensors]).reshape(count, 4),
        ranges=ranges,
        chances=chances,
        selective=np.array([sensor.classes is not None for sensor in sensors], dtype=np.bool_),
        visible=np.array([_visible(sensor) for sensor in sensors]).reshape(count, N_CLASSES),
    )


def _stand(sensor: Sensor) -> list[float]:
    place = (np.nan,) * 3 if sensor.position is None else sensor.position
    assumed = np.nan if sensor.assumed_height_m is None else sensor.assumed_height_m
    return [*place, sensor.heading_rad, assumed]


def _sigmas(sensor: Sensor) -> list[float]:
    s = sensor.sigmas
    return [
        s.horizontal_m,
        s.vertical_m,
        s.range_m,
        s.azimuth_rad,
        s.elevation_rad,
        s.range_rate_mps,
        s.velocity_mps,
    ]


def _case(sensor: Sensor) -> int:
    if sensor.sensing == "event" or sensor.cooperative:
        return SILENT
    return PLAIN if sensor.coverage.polygon is None else OTHER


def _sector(sensor: Sensor) -> list[float]:
    low, high = sensor.coverage.range_m
    if sensor.coverage.azimuth_rad is None:
        return [low, high, 0.0, np.inf]
    start, stop = sensor.coverage.azimuth_rad
    return [low, high, start, (stop - start) % TWO_PI or TWO_PI]


def _plain_table(sensor: Sensor) -> tuple[Array, Array] | None:
    ranges = np.array(sensor.detection_probability.range_m, dtype=np.float64)
    chances = np.array(sensor.detection_probability.value, dtype=np.float64)
    plain = (
        0 < len(ranges) == len(chances)
        and np.isfinite(ranges).all()
        and np.isfinite(chances).all()
        and (np.diff(ranges) > 0.0).all()
    )
    return (ranges, chances) if plain else None


def _visible(sensor: Sensor) -> Bools:
    if sensor.classes is None:
        return np.ones(N_CLASSES, dtype=np.bool_)
    return np.array(sensor.classes) > 0.0
