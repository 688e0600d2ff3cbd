"""Movers far from one another: of constant velocity, or as an exercise moves them."""

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np

from benchmarks.crowd import Crowd, headed, lattice
from benchmarks.reports import REGION, geodetic
from exercise.movers import Movers
from exercise.scenario import KINEMATICS, MoverSpec, Scenario
from model.arrays import Floats
from model.time import NS_PER_S

SIDE = 7
SPACING_M = 3_000.0

DENSITY = 0.3
"""White acceleration of the first world, m²/s³: what trackers of mixed traffic assume."""

HABITS = (
    ("land_vehicle", "stop_and_go", 500.0),
    ("sea_vessel", "random_walk", 800.0),
    ("uav", "orbit", 300.0),
    ("human", "random_walk", 300.0),
    ("land_vehicle", "route", 600.0),
    ("uav", "random_walk", 700.0),
)
"""Class, behaviour, and how far it goes from its middle, m; they take turns."""


class Population(Protocol):
    """Movers whose places are asked for at rising times."""

    def at(self, seconds: float) -> tuple[Floats, Floats]:
        """Positions (N, 2) m and velocities (N, 2) m/s."""
        ...


class Steady:
    """Near constant velocity, 5-15 m/s."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 5])
        velocity = headed(rng.uniform(5.0, 15.0, SIDE**2), rng)
        self._crowd = Crowd(lattice(SIDE, SPACING_M), velocity, DENSITY, rng)
        self._now = 0.0

    def at(self, seconds: float) -> tuple[Floats, Floats]:
        """Positions (N, 2) m and velocities (N, 2) m/s."""
        self._crowd.advance(seconds - self._now)
        self._now = seconds
        return self._crowd.position, self._crowd.velocity


class Exercised:
    """Movers of an exercise, in the classes and behaviours of `HABITS`."""

    def __init__(self, seed: int) -> None:
        specs = tuple(
            _spec(number, middle, *HABITS[number % len(HABITS)])
            for number, middle in enumerate(lattice(SIDE, SPACING_M))
        )
        nowhere = np.zeros((0, 2))
        scenario = Scenario("consistency", "", REGION, 0.0, nowhere, specs, ())
        self._movers = Movers(scenario, seed)

    def at(self, seconds: float) -> tuple[Floats, Floats]:
        """Positions (N, 2) m and velocities (N, 2) m/s."""
        states = self._movers.at(np.array([round(seconds * NS_PER_S)]))
        return REGION.enu_from_ecef(states.ecef[0])[:, :2], states.velocity[0, :, :2]


POPULATIONS: dict[str, Callable[[int], Population]] = {"steady": Steady, "exercise": Exercised}
"""From a seed to movers."""


def _spec(number: int, middle: Floats, label: str, behaviour: str, radius: float) -> MoverSpec:
    kinematics = KINEMATICS[label]
    if behaviour in {"route", "stop_and_go"}:
        corners = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [1.0, -1.0]])
        points = middle + radius / math.sqrt(2.0) * corners
    else:
        points = middle[None]
    return MoverSpec(
        id=number + 1,
        name=f"{label} {number + 1}",
        label=label,
        behaviour=behaviour,
        speed_mps=kinematics.cruise_mps,
        turn_rps=kinematics.turn_rps,
        route=geodetic(points),
        end="loop",
        radius_m=radius,
        clockwise=number % 2 == 0,
        go_s=20.0,
        stop_s=15.0,
        from_s=0.0,
        until_s=math.inf,
        start_leg=0,
        mmsi=0,
        icao24="",
        system_id=0,
    )
