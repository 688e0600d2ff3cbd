"""A scenario: an area, the movers in it and the sensors that watch them, read from TOML.

::

    [scenario]  name, description, line (points of the line that is watched, for the map)
    [region]    lat, lon, radius_km, ground_m (HAE of ground and water)
    [[mover]]   see `read_mover`
    [[sensor]]  a site file's table plus `simulate`, see `exercise.sensor_tables`; with a key
                `node` it belongs to the node of that name alone

Nodes that play the same scenario, seed and start share one world: `Scenario.of_node` leaves a node
its own sensors, and movers and other sensors do not change by it.
"""

import math
import tomllib
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, Self

import numpy as np

from exercise.sensor_tables import SimulatedSensor, read_sensor
from exercise.tables import TableReader
from model.arrays import Floats
from model.errors import ConfigError
from model.frames import Region


@dataclass(frozen=True, slots=True)
class Kinematics:
    """What movers of a class do and can do.

    Parameters
    ----------
    cruise_mps, most_mps
        Usual and greatest speed.
    acceleration_mps2
        Greatest change of speed.
    turn_rps
        Greatest turn rate, rad/s.
    climb_mps
        Greatest change of height.
    """

    cruise_mps: float
    most_mps: float
    acceleration_mps2: float
    turn_rps: float
    climb_mps: float


KINEMATICS: dict[str, Kinematics] = {
    # Rounded everyday figures, chosen for plausible pictures, not measured.
    "human": Kinematics(1.3, 6.0, 0.8, math.radians(90), 0.5),
    "animal": Kinematics(1.0, 15.0, 1.5, math.radians(120), 0.5),
    "land_vehicle": Kinematics(12.0, 45.0, 2.0, math.radians(25), 3.0),
    "sea_vessel": Kinematics(6.0, 25.0, 0.3, math.radians(4), 0.5),
    "uav": Kinematics(14.0, 45.0, 3.0, math.radians(30), 5.0),
    "air_vehicle": Kinematics(60.0, 280.0, 3.0, math.radians(4), 10.0),
}
"""Classes that a scenario can move."""

BEHAVIOURS = ("route", "stop_and_go", "orbit", "random_walk", "hover")
ROUTED = frozenset({"route", "stop_and_go"})
ENDS = ("loop", "return", "stop")

MMSI = (200_000_000, 799_999_999)
"""Maritime identities of ships (ITU-R M.585-9, annex 1, section 1)."""


@dataclass(frozen=True, slots=True, eq=False)
class MoverSpec:
    """One mover of a scenario.

    Parameters
    ----------
    id
        Its id in the truth, from 1.
    name
        What people call it.
    label
        Its class, a key of `KINEMATICS`.
    behaviour
        One of `BEHAVIOURS`.
    speed_mps
        Cruising speed.
    turn_rps
        Greatest turn rate, rad/s.
    route
        (W, 3) rad, rad, HAE m: waypoints; for the behaviours about a place its one point.
    end
        What it does behind the last waypoint: one of `ENDS`.
    radius_m
        Of an orbit, or of the area of a random walk or hover.
    clockwise
        Sense of an orbit.
    go_s, stop_s
        Of stop-and-go: how long it moves and stands.
    from_s, until_s
        Seconds since the start between which it is there.
    start_leg
        Waypoint at which it begins.
    mmsi, icao24, system_id
        Identities; 0 and "" mean none. Never of humans or animals.
    """

    id: int
    name: str
    label: str
    behaviour: str
    speed_mps: float
    turn_rps: float
    route: Floats
    end: str
    radius_m: float
    clockwise: bool
    go_s: float
    stop_s: float
    from_s: float
    until_s: float
    start_leg: int
    mmsi: int
    icao24: str
    system_id: int


@dataclass(frozen=True, slots=True, eq=False)
class Scenario:
    """A scenario as read.

    Parameters
    ----------
    name, description
        For people.
    region
        The plane in which movers move.
    ground_m
        HAE of ground and water.
    line
        (V, 2) degrees latitude, longitude of the line that is watched; may be empty.
    movers, sensors
        Those of the file, in its order.
    """

    name: str
    description: str
    region: Region
    ground_m: float
    line: Floats
    movers: tuple[MoverSpec, ...]
    sensors: tuple[SimulatedSensor, ...]

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of the nodes that its sensors belong to, in the order of the file."""
        return tuple(dict.fromkeys(item.node for item in self.sensors if item.node))

    def of_node(self, node: str) -> Self:
        """The same world with the sensors of one node: its own, and those that are nobody's.

        Parameters
        ----------
        node
            Name of the node.

        Raises
        ------
        ConfigError
            If it would have none.
        """
        sensors = tuple(item for item in self.sensors if item.node in {"", node})
        if not sensors:
            nodes = ", ".join(self.nodes)
            raise ConfigError([f"scenario {self.name!r}: no sensor of node {node!r} (of {nodes})"])
        return replace(self, sensors=sensors)


def packaged(name: str) -> Path:
    """Path of a scenario that comes with the program.

    Raises
    ------
    ConfigError
        If there is none of that name.
    """
    folder = Path(str(resources.files("exercise"))) / "scenarios"
    path = folder / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(item.stem for item in folder.glob("*.toml")))
        raise ConfigError([f"scenario {name!r} is none of {known}"])
    return path


def load_scenario(path: Path) -> Scenario:
    """Read a scenario file.

    Raises
    ------
    ConfigError
        With every mistake, a line each that names the file and the key.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror or error}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: not UTF-8 at byte {error.start}"]) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{path}: not TOML: {error}"]) from error
    return read_scenario(document, str(path))


def read_scenario(document: dict[str, Any], where: str) -> Scenario:
    """Read a scenario out of a TOML document.

    Parameters
    ----------
    document
        As `tomllib` gives it.
    where
        File name for messages.

    Raises
    ------
    ConfigError
        With every mistake, a line each that names the file and the key.
    """
    problems: list[str] = []
    root = TableReader(f"{where}:", document, problems)
    head = root.table("scenario")
    name, description = head.text("name"), head.text("description", "-")
    line = head.places("line", 2, 0.0) if head.has("line") else np.zeros((0, 3))
    head.close()
    area = root.table("region")
    region = Region(
        math.radians(area.number("lat", low=-90.0, high=90.0)),
        math.radians(area.number("lon", low=-180.0, high=180.0)),
        1000.0 * area.number("radius_km", 50.0, 0.1, 500.0),
    )
    ground_m = area.number("ground_m", 0.0, -500.0, 9000.0)
    area.close()
    movers = [
        read_mover(reader, index + 1, ground_m) for index, reader in enumerate(root.tables("mover"))
    ]
    readers = root.tables("sensor")
    bare = document.get("sensor", [])
    sensors = [
        read_sensor(reader, table if isinstance(table, dict) else {}, ground_m)
        for reader, table in zip(readers, bare if readers else [], strict=True)
    ]
    root.close()
    if not movers:
        problems.append(f"{where}: mover: there is none")
    if not sensors:
        problems.append(f"{where}: sensor: there is none")
    problems += _repeated(where, "mover", "id", [str(mover.id) for mover in movers])
    for key in ("mmsi", "icao24", "system_id"):
        values = [str(getattr(mover, key) or "") for mover in movers]
        problems += _repeated(where, "mover", key, values)
    problems += _repeated(where, "sensor", "id", [item.sensor.id for item in sensors])
    if problems:
        raise ConfigError(problems)
    return Scenario(
        name,
        description,
        region,
        ground_m,
        np.degrees(line[:, :2]),
        tuple(movers),
        tuple(sensors),
    )


def read_mover(reader: TableReader, number: int, ground_m: float) -> MoverSpec:
    """Read one `[[mover]]` table.

    Keys: `id` (default: its ordinal), `name`, `class`, `behaviour`, `speed_mps`,
    `turn_rate_dps`, `alt_m` (HAE; default: the ground), `from_s`, `until_s`, `mmsi`, `icao24`,
    `system_id`; with a route `route`, `end`, `start_leg`; stop-and-go also `go_s`, `stop_s`;
    orbit `centre`, `radius_m`, `clockwise`; random walk and hover `centre`, `radius_m`.
    """
    identity = reader.whole("id", number, 1, 1_000_000)
    label = reader.choice("class", KINEMATICS)
    kinematics = KINEMATICS[label]
    behaviour = reader.choice("behaviour", BEHAVIOURS, "route")
    height = reader.number("alt_m", ground_m, -500.0, 30_000.0)
    routed = behaviour in ROUTED
    route = reader.places("route", 2, height) if routed else reader.place("centre", height)[None, :]
    turn_dps = reader.number("turn_rate_dps", math.degrees(kinematics.turn_rps), 0.1, 360.0)
    hovering = behaviour == "hover"
    stopping = behaviour == "stop_and_go"
    from_s = reader.number("from_s", 0.0, 0.0)
    spec = MoverSpec(
        id=identity,
        name=reader.text("name", f"{label} {identity}"),
        label=label,
        behaviour=behaviour,
        speed_mps=reader.number(
            "speed_mps", 0.3 if hovering else kinematics.cruise_mps, 0.05, kinematics.most_mps
        ),
        turn_rps=math.radians(turn_dps),
        route=route,
        end=reader.choice("end", ENDS, "loop") if routed else "loop",
        radius_m=0.0 if routed else reader.number("radius_m", 3.0 if hovering else 200.0, 1.0),
        clockwise=reader.flag("clockwise", default=True) if behaviour == "orbit" else True,
        go_s=reader.number("go_s", 60.0, 1.0) if stopping else 1.0,
        stop_s=reader.number("stop_s", 30.0, 1.0) if stopping else 0.0,
        from_s=from_s,
        until_s=reader.number("until_s", low=from_s) if reader.has("until_s") else math.inf,
        start_leg=reader.whole("start_leg", 0, 0, len(route) - 1) if routed else 0,
        mmsi=_identity(reader, label, "mmsi", "sea_vessel", MMSI),
        icao24=_icao24(reader, label),
        system_id=_identity(reader, label, "system_id", "uav", (1, 255)),
    )
    reader.close()
    return spec


def _identity(reader: TableReader, label: str, key: str, of: str, limits: tuple[int, int]) -> int:
    if not reader.has(key):
        return 0
    if label != of:
        reader.problem(key, f"only a {of} has one, not a {label}")
    return reader.whole(key, 0, *limits)


def _icao24(reader: TableReader, label: str) -> str:
    if not reader.has("icao24"):
        return ""
    text = reader.text("icao24")
    if label not in {"air_vehicle", "uav"}:
        reader.problem("icao24", f"only aircraft have one, not a {label}")
    if len(text) != 6 or any(digit not in "0123456789abcdef" for digit in text):
        reader.problem("icao24", f"{text!r} is not six hexadecimal digits")
    return text


def _repeated(where: str, table: str, key: str, values: list[str]) -> list[str]:
    """A line for each value that is there twice; empty ones may repeat."""
    repeated = sorted({value for value in values if value and values.count(value) > 1})
    return [f"{where}: {table}.{key}: {value} is given twice" for value in repeated]


def site_tables(scenario: Scenario) -> list[dict[str, Any]]:
    """The `[[sensor]]` tables that a node under this exercise needs, as in a site file."""
    return [dict(item.site_table) for item in scenario.sensors]
