"""What two nodes of the demo agree upon, and what each user may do at their brokers."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from exercise.run import ROOTS
from exercise.scenario import Scenario
from model.arrays import Floats
from model.time import NS_PER_S, iso_from_ns
from vedette.local.broker_files import Grant

HALF_WIDTH_M = 6_000.0
"""The band that is shared reaches so far to each side of the scenario's line."""

CLASSES = ("sea_vessel", "land_vehicle", "uav", "air_vehicle")
"""Craft are shared; people and animals are not, nor what may be one."""

MIN_EXISTENCE = 0.5

DAY_NS = 86_400 * NS_PER_S

CORE = "core"
SENSORS = "sensors"


def band(scenario: Scenario, half_width_m: float = HALF_WIDTH_M) -> list[tuple[float, float]]:
    """Polygon of all that lies beside the scenario's line, latitude and longitude in degrees.

    Its ends are cut square to the line, its corners mitred; so no bend of the line may be sharp
    beside the width.

    Parameters
    ----------
    scenario
        Its line has at least two points.
    half_width_m
        How far it reaches to each side.
    """
    region = scenario.region
    degrees = np.column_stack([scenario.line, np.zeros(len(scenario.line))])
    line = region.enu_from_geodetic(np.radians(degrees) * [1.0, 1.0, 0.0])[:, :2]
    normals = [_left(after - before) for before, after in pairwise(line)]
    sides: list[Floats] = []
    for index, point in enumerate(line):
        first, last = normals[max(index - 1, 0)], normals[min(index, len(normals) - 1)]
        middle = (first + last) / np.linalg.norm(first + last)
        sides.append(point + np.outer([1.0, -1.0], middle) * half_width_m / (middle @ last))
    left, right = np.array(sides).transpose(1, 0, 2)
    corners = np.concatenate([left, right[::-1]])
    ground = np.full(len(corners), scenario.ground_m)
    places = np.degrees(region.geodetic_from_plane(corners[:, 0], corners[:, 1], ground))
    return [(round(lat, 6), round(lon, 6)) for lat, lon in places[:, :2].tolist()]


def _left(way: Floats) -> Floats:
    """Unit vector to the left of a way, east and north."""
    normal: Floats = np.array([-way[1], way[0]]) / np.linalg.norm(way)
    return normal


def agreement_name(giver: str, receiver: str) -> str:
    """Id of what one node of the demo gives to another."""
    return f"{giver}-{receiver}-exercise"


def agreement_text(
    giver: str, receiver: str, area: Sequence[tuple[float, float]], now_ns: int
) -> str:
    """An agreement file, from a day before `now_ns` to a day after it.

    Parameters
    ----------
    giver, receiver
        Names of the nodes.
    area
        Corners of what is shared, degrees.
    now_ns
        UTC ns.
    """
    since, until = iso_from_ns(now_ns - DAY_NS), iso_from_ns(now_ns + DAY_NS)
    classes = ", ".join(f'"{label}"' for label in CLASSES)
    points = "".join(f"    [{lat}, {lon}],\n" for lat, lon in area)
    return f"""\
[agreement]
id = "{agreement_name(giver, receiver)}"
giver = "{giver}"
receiver = "{receiver}"
purpose = "exercise: both sides of a fictional line see what moves near it"
valid_from = {since}
valid_until = {until}
classes = [{classes}]
min_existence = {MIN_EXISTENCE}
share_identity = true  # of craft; there are no others under this agreement
mode = "exercise"

[[area]]  # along the line, {HALF_WIDTH_M / 1000.0:g} km to each side
polygon = [
{points}]
"""


@dataclass(frozen=True, slots=True)
class Users:
    """Who may connect to the broker of one node; each is one connection.

    Parameters
    ----------
    node
        Whose broker.
    partner
        The node that it gives to.
    """

    node: str
    partner: str

    @property
    def publisher(self) -> str:
        """Gives to the partner."""
        return f"{self.node}-to-{self.partner}"

    @property
    def people(self) -> str:
        """The partner's people, who read what their node is given, as JSON."""
        return f"{self.partner}-people"

    @property
    def root(self) -> str:
        """First two levels of the node's topics."""
        return f"{ROOTS['exercise']}/{self.node}"

    @property
    def shared(self) -> str:
        """First levels of what the partner is given."""
        return f"{self.root}/shared/{self.partner}"

    def grants(self) -> dict[str, Grant]:
        """What each user may do, by name."""
        answers = (f"{self.shared}/+/ack", f"{self.shared}/+/control")
        return {
            CORE: Grant(
                (f"{self.root}/quarantine/#", f"{self.root}/receipts/#"),
                (f"{self.root}/sensors/#",),
            ),
            SENSORS: Grant((f"{self.root}/sensors/#",), (f"{self.root}/receipts/#",)),
            self.publisher: Grant((f"{self.shared}/#",), answers),
            self.partner: Grant(answers, (f"{self.shared}/#",)),
            self.people: Grant((), (f"{self.shared}/+/live.json",)),
        }


def new_passwords(users: Mapping[str, Grant]) -> dict[str, str]:
    """A random password for each user, for one run."""
    return {name: secrets.token_urlsafe(24) for name in users}


def write_secret(path: Path, password: str) -> Path:
    """Write a password file that nobody else can read; returns its path."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(password + "\n", encoding="utf-8")
    return path
