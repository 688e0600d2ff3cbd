"""The `[[sensor]]` tables of a scenario: those of a site file, plus `node` and a table `simulate`.

Without these two a table is exactly what a site file takes, so the node under exercise and the
simulation that feeds it cannot disagree about a sensor. Degrees here, radians inside.
"""

import math
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from exercise.tables import TableReader
from model.arrays import Floats
from model.sensors import Coverage, DetectionProbability, Sensor, Sigmas
from model.taxonomy import CLASSES, N_CLASSES

KINDS: dict[str, str] = {
    "radar": "report",
    "ground_radar": "report",
    "camera": "report",
    "acoustic": "report",
    "zone": "report",
    "line": "report",
    "cooperative": "report",
    "ais": "ais",
    "mavlink": "mavlink",
}
"""Kinds of simulated sensors, and the adapter that reads what each sends."""

EVENT_KINDS = frozenset({"zone", "line"})
COOPERATIVE_KINDS = frozenset({"cooperative", "ais", "mavlink"})
FORMATS = ("json", "msgpack", "arrays")
"""Forms of a report: JSON, MessagePack, MessagePack as struct-of-arrays."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""What a sensor's id or a node's name may be: it stands in topics and in file names."""

GROUND_CLASSES = ("human", "animal", "land_vehicle")


@dataclass(frozen=True, slots=True)
class Shadow:
    """A sector in which an obstacle hides what lies behind it.

    Parameters
    ----------
    azimuth_rad
        From, to, clockwise from true north.
    beyond_m
        Slant range from which on nothing is seen.
    """

    azimuth_rad: tuple[float, float]
    beyond_m: float


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """How a sensor of the exercise behaves, besides what its site table says.

    Parameters
    ----------
    kind
        One of `KINDS`.
    format
        One of `FORMATS`; native kinds have their own.
    sees
        Classes it can detect.
    delay_s, jitter_s
        Constant way of a report from the sensor to the broker, and the mean of an exponential
        addition to it.
    resolution_m, resolution_rad
        Movers closer than both give one detection.
    bias_m, bias_rad, bias_period_s
        Amplitude of a slow sine on range and azimuth, and its period.
    shadows
        What obstacles hide.
    dead_s
        (from, to) seconds since the start in which nothing is sent.
    min_speed_mps
        Movers slower than this (radially, for a ground radar) are not seen.
    elevation
        Whether it measures elevation.
    classify
        Probability that it gives the right class of what it sees; 0: it gives none.
    radius_m
        Of a zone.
    hold_s
        A zone is silent for so long after an alarm.
    points
        (V, 3) rad, rad, HAE m: centres of zones, or the points of a line.
    false_alarms_per_h
        Of an event sensor, over all its zones.
    """

    kind: str
    format: str
    sees: tuple[str, ...]
    delay_s: float
    jitter_s: float
    resolution_m: float
    resolution_rad: float
    bias_m: float
    bias_rad: float
    bias_period_s: float
    shadows: tuple[Shadow, ...]
    dead_s: tuple[tuple[float, float], ...]
    min_speed_mps: float
    elevation: bool
    classify: float
    radius_m: float
    hold_s: float
    points: Floats
    false_alarms_per_h: float


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedSensor:
    """A sensor of the exercise.

    Parameters
    ----------
    sensor
        As the node knows it.
    simulation
        How it is simulated.
    site_table
        Its table for a site file, as written.
    node
        Name of the node that it belongs to; empty: to whoever plays the scenario.
    """

    sensor: Sensor
    simulation: Simulation
    site_table: dict[str, Any]
    node: str = ""


def read_sensor(reader: TableReader, table: Any, ground_m: float) -> SimulatedSensor:
    """Read one `[[sensor]]` table; mistakes go to the reader's problems.

    Parameters
    ----------
    reader
        Over the table.
    table
        The bare table, of which the site table is a copy.
    ground_m
        HAE of the ground, for points that give no height.
    """
    sensor_id = reader.text("id")
    if sensor_id and not NAME.fullmatch(sensor_id):
        reader.problem("id", f"{sensor_id!r} is no name (letters, digits, . _ -, at most 64)")
    if sensor_id:
        reader.where += f" ({sensor_id})"
    node = reader.text("node", "") if reader.has("node") else ""
    if node and not NAME.fullmatch(node):
        reader.problem("node", f"{node!r} is no name (letters, digits, . _ -, at most 64)")
    simulate = reader.table("simulate")
    kind = simulate.choice("kind", KINDS)
    simulation = _read_simulation(simulate, kind, ground_m)
    sensor = _read_site(reader, sensor_id, kind)
    reader.close()
    site = {key: value for key, value in table.items() if key not in {"simulate", "node"}}
    return SimulatedSensor(sensor, simulation, site, node)


def _read_simulation(reader: TableReader, kind: str, ground_m: float) -> Simulation:
    sees = reader.take("sees")
    default = GROUND_CLASSES if kind in {"ground_radar", *EVENT_KINDS} else CLASSES
    if sees is not None and (
        not isinstance(sees, list) or not sees or any(label not in CLASSES for label in sees)
    ):
        reader.problem("sees", f"must be a list out of {', '.join(CLASSES)}")
        sees = None
    bias = reader.table("bias")
    simulation = Simulation(
        kind=kind,
        format=reader.choice("format", FORMATS, "json"),
        sees=tuple(sees or default),
        delay_s=reader.number("delay_s", 0.05, 0.0, 30.0),
        jitter_s=reader.number("jitter_s", 0.0, 0.0, 30.0),
        resolution_m=reader.number("resolution_m", 0.0, 0.0),
        resolution_rad=math.radians(reader.number("resolution_deg", 0.0, 0.0, 90.0)),
        bias_m=bias.number("range_m", 0.0),
        bias_rad=math.radians(bias.number("azimuth_deg", 0.0, -180.0, 180.0)),
        bias_period_s=bias.number("period_s", 600.0, 1.0),
        shadows=_read_shadows(reader),
        dead_s=_read_dead(reader),
        min_speed_mps=reader.number("min_speed_mps", 0.0, 0.0),
        elevation=reader.flag("elevation", default=False),
        classify=reader.number("classify", 0.0, 0.0, 1.0),
        radius_m=reader.number("radius_m", 40.0, 1.0) if kind == "zone" else 0.0,
        hold_s=reader.number("hold_s", 3.0, 0.0) if kind == "zone" else 0.0,
        points=_read_points(reader, kind, ground_m),
        false_alarms_per_h=(
            reader.number("false_alarms_per_h", 0.0, 0.0, 3600.0) if kind in EVENT_KINDS else 0.0
        ),
    )
    bias.close()
    reader.close()
    return simulation


def _read_points(reader: TableReader, kind: str, ground_m: float) -> Floats:
    if kind == "zone":
        return reader.places("nodes", 1, ground_m)
    if kind == "line":
        return reader.places("points", 2, ground_m)
    return np.zeros((0, 3))


def _read_shadows(reader: TableReader) -> tuple[Shadow, ...]:
    shadows = []
    for table in reader.tables("shadows"):
        sector = table.numbers("azimuth_deg", 2, -360.0, 360.0)
        if sector is None:
            table.problem("azimuth_deg", "is missing")
            sector = (0.0, 0.0)
        first, last = (math.radians(angle) for angle in sector)
        shadows.append(Shadow((first, last), table.number("beyond_m", 0.0, 0.0)))
        table.close()
    return tuple(shadows)


def _read_dead(reader: TableReader) -> tuple[tuple[float, float], ...]:
    value = reader.take("dead_s")
    if value is None:
        return ()
    good = isinstance(value, list) and all(
        isinstance(pair, list)
        and len(pair) == 2
        and all(isinstance(end, int | float) for end in pair)
        and pair[0] < pair[1]
        for pair in value
    )
    if not good:
        reader.problem("dead_s", "must be a list of [from, to] seconds since the start")
        return ()
    return tuple((float(first), float(last)) for first, last in value)


def _read_site(reader: TableReader, sensor_id: str, kind: str) -> Sensor:
    """The keys of a site file's table; `config` reads the same ones for the node."""
    adapter = reader.choice("adapter", sorted(set(KINDS.values())), KINDS[kind])
    if adapter != KINDS[kind]:
        reader.problem("adapter", f"kind {kind!r} speaks {KINDS[kind]!r}, not {adapter!r}")
    sensing = reader.choice("sensing", ("scan", "event"), "scan")
    if (sensing == "event") != (kind in EVENT_KINDS):
        right = "event" if kind in EVENT_KINDS else "scan"
        reader.problem("sensing", f"kind {kind!r} needs sensing = {right!r}")
    cooperative = reader.flag("cooperative", default=False)
    if cooperative != (kind in COOPERATIVE_KINDS):
        right = "true" if kind in COOPERATIVE_KINDS else "false"
        reader.problem("cooperative", f"kind {kind!r} needs cooperative = {right}")
    position = _read_position(reader)
    if position is None and kind not in {"mavlink", "zone", "line"}:
        reader.problem("position", "is missing")
        position = (0.0, 0.0, 0.0)
    height = reader.number("assumed_height_m") if reader.has("assumed_height_m") else None
    density = (
        reader.number("clutter_density_m2", low=0.0) if reader.has("clutter_density_m2") else None
    )
    if density is not None and reader.has("clutter_per_scan"):
        reader.problem("clutter_density_m2", "give it or clutter_per_scan, not both")
    if reader.number("heading_deg", 0.0, -360.0, 360.0) != 0.0:
        reader.problem("heading_deg", "simulated sensors report from true north: leave it out")
    # What only the node needs, not the simulation, is left for `config` to check.
    for key in ("options", "topics"):
        reader.take(key)
    sensor = Sensor(
        id=sensor_id or "?",
        adapter=adapter,
        position=position,
        sensing=sensing,
        cooperative=cooperative,
        detection_probability=_read_probability(reader),
        clutter_per_scan=reader.number("clutter_per_scan", 0.0, 0.0, 1000.0),
        clutter_density_m2=density,
        coverage=_read_coverage(reader),
        period_s=reader.number("period_s", 1.0, 0.02, 3600.0),
        latency_s=reader.number("latency_s", 0.0, -60.0, 60.0),
        extent_m=reader.number("extent_m", 0.0, 0.0),
        assumed_height_m=height,
        sigmas=_read_sigmas(reader),
        max_rate_hz=reader.number("max_rate_hz", 0.0, 0.0),
        classes=_read_classes(reader),
    )
    radars = {"radar", "ground_radar"}
    if kind in radars and not math.isfinite(sensor.coverage.range_m[1]):
        reader.problem("coverage", f"kind {kind!r} needs coverage.range_m")
    return sensor


def _read_position(reader: TableReader) -> tuple[float, float, float] | None:
    if not reader.has("position"):
        return None
    table = reader.table("position")
    lat = table.number("lat", low=-90.0, high=90.0)
    lon = table.number("lon", low=-180.0, high=180.0)
    height = table.number("alt_m", 0.0, -500.0, 100_000.0)
    table.close()
    return math.radians(lat), math.radians(lon), height


def _read_probability(reader: TableReader) -> DetectionProbability:
    value = reader.take("detection_probability")
    if not isinstance(value, dict):
        number = reader.number("detection_probability", 0.9, 0.0, 1.0)
        return DetectionProbability((0.0,), (number,))
    table = reader.table("detection_probability")
    ranges = table.numbers("range_m", None, 0.0) or (0.0,)
    values = table.numbers("value", None, 0.0, 1.0) or (0.9,)
    table.close()
    rising = all(b > a for a, b in pairwise(ranges))
    if len(ranges) != len(values) or not rising:
        table.problem("", "range_m must rise and be as long as value")
        return DetectionProbability()
    return DetectionProbability(ranges, values)


def _read_coverage(reader: TableReader) -> Coverage:
    table = reader.table("coverage")
    ends = table.numbers("range_m", 2, 0.0)
    low, high = (ends[0], ends[1]) if ends else (0.0, math.inf)
    if high <= low:
        table.problem("range_m", "must be [least, greatest]")
    sector = table.numbers("azimuth_deg", 2, -360.0, 360.0)
    polygon = table.places("polygon", 3, 0.0) if table.has("polygon") else None
    table.close()
    return Coverage(
        range_m=(low, high),
        azimuth_rad=(math.radians(sector[0]), math.radians(sector[1])) if sector else None,
        polygon=None if polygon is None else polygon[:, :2].copy(),
    )


def _read_sigmas(reader: TableReader) -> Sigmas:
    """Standard deviations; the defaults are those of `model.sensors.Sigmas` in degrees."""

    def positive(key: str, default: float) -> float:
        return reader.number(key, default, 1e-9)

    base = Sigmas()
    return Sigmas(
        horizontal_m=positive("sigma_m", base.horizontal_m),
        vertical_m=positive("sigma_alt_m", base.vertical_m),
        range_m=positive("sigma_range_m", base.range_m),
        azimuth_rad=math.radians(positive("sigma_azimuth_deg", 0.2)),
        elevation_rad=math.radians(positive("sigma_elevation_deg", 0.5)),
        range_rate_mps=positive("sigma_range_rate_mps", base.range_rate_mps),
        velocity_mps=positive("sigma_velocity_mps", base.velocity_mps),
    )


def _read_classes(reader: TableReader) -> tuple[float, ...] | None:
    if not reader.has("class"):
        return None
    table = reader.table("class")
    row = [0.0] * N_CLASSES
    for index, label in enumerate(CLASSES):
        row[index] = table.number(label, 0.0, 0.0, 1.0)
    table.close()
    return tuple(row)
