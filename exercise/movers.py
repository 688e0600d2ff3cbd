"""Where all movers of a scenario are at any time: a deterministic function of scenario and seed.

Movement is integrated in fixed steps for all movers at once and kept in chunks of about a minute,
each begun from a saved state; so any time costs at most one chunk, and an exercise may run for
days. Between steps positions are linear: at 5 m/s² the error of that is 4 cm.

Movers move in the east-north plane of the scenario's region; heights are HAE.
"""

from collections import OrderedDict
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from exercise.scenario import BEHAVIOURS, ENDS, KINEMATICS, MoverSpec, Scenario
from model.arrays import Array, Bools, Floats, Int64s
from model.frames import ecef_from_geodetic
from model.time import NS_PER_S

STEP_NS = NS_PER_S // 4
"""Integration step."""

STEP_S = STEP_NS / NS_PER_S

STEPS = 256
"""Steps of a chunk: 64 s."""

CHUNKS_KEPT = 8
"""Chunks kept at once: 8 × 257 steps × 40 movers × 56 bytes are 5 MB."""

TWO_PI = 2.0 * np.pi

WANDER_RPS = 0.5
"""Standard deviation of a random walk's change of heading in a second, rad."""

MOOD_PER_S = 0.05
"""How often in a second a random walker takes up another pace."""


@dataclass(slots=True, eq=False)
class _State:
    """What integration carries from step to step; each (N,) unless said."""

    east: Floats
    north: Floats
    height: Floats
    speed: Floats
    heading: Floats
    leg: Int64s
    sense: Int64s  # +1 along the route, -1 back along it, 0 ended
    pace: Floats  # of a random walk: 0 stands, 1 cruises

    def copy(self) -> "_State":
        return _State(**{field.name: getattr(self, field.name).copy() for field in fields(self)})


@dataclass(frozen=True, slots=True, eq=False)
class MoverStates:
    """All movers at T times.

    Parameters
    ----------
    ecef
        (T, N, 3) float64 m.
    velocity
        (T, N, 3) float64 m/s east, north, up of the region's plane.
    there
        (T, N) bool: within the mover's time of presence.
    """

    ecef: Floats
    velocity: Floats
    there: Bools


@dataclass(frozen=True, slots=True, eq=False)
class _Chunk:
    ecef: Floats  # (STEPS + 1, N, 3)
    velocity: Floats  # (STEPS + 1, N, 3)


class Movers:
    """The movers of a scenario.

    Parameters
    ----------
    scenario
        With its movers and its region.
    seed
        Of everything random; equal seeds give equal bytes.
    """

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.specs = scenario.movers
        self._region = scenario.region
        self._seed = seed
        self._chunks: OrderedDict[int, _Chunk] = OrderedDict()
        specs = self.specs
        self._behaviour = _codes(specs, BEHAVIOURS, "behaviour")
        self._end = _codes(specs, ENDS, "end")
        self._cruise = _column(specs, "speed_mps")
        self._turn = _column(specs, "turn_rps")
        self._radius = _column(specs, "radius_m")
        self._clockwise = np.where(_column(specs, "clockwise") > 0, 1.0, -1.0)
        self._go = _column(specs, "go_s")
        self._cycle = self._go + _column(specs, "stop_s")
        self._from = _column(specs, "from_s")
        self._until = _column(specs, "until_s")
        self._acceleration = np.array([KINEMATICS[s.label].acceleration_mps2 for s in specs])
        self._climb = np.array([KINEMATICS[s.label].climb_mps for s in specs])
        self._phase = np.random.default_rng([seed, 1]).random(len(specs))
        self._points, self._counts = self._waypoints()
        self._routed = (self._behaviour == 0) | (self._behaviour == 1)
        self._orbiting = self._behaviour == 2
        self._walking = (self._behaviour == 3) | (self._behaviour == 4)
        self._starts: list[_State] = [self._first_state()]

    def __len__(self) -> int:
        return len(self.specs)

    def at(self, elapsed_ns: Int64s) -> MoverStates:
        """All movers at times since the start.

        Parameters
        ----------
        elapsed_ns
            (T,) int64 ns since the start; earlier than 0 counts as 0.
        """
        elapsed = np.maximum(np.asarray(elapsed_ns, dtype=np.int64), 0)
        count = len(self.specs)
        ecef = np.empty((len(elapsed), count, 3))
        velocity = np.empty((len(elapsed), count, 3))
        step, rest = np.divmod(elapsed, STEP_NS)
        number, step = np.divmod(step, STEPS)
        weight = (rest / STEP_NS)[:, None, None]
        for chunk_number in np.unique(number):
            rows = np.flatnonzero(number == chunk_number)
            chunk = self._chunk(int(chunk_number))
            at, w = step[rows], weight[rows]
            for out, knots in ((ecef, chunk.ecef), (velocity, chunk.velocity)):
                out[rows] = knots[at] + w * (knots[at + 1] - knots[at])
        seconds = (elapsed / NS_PER_S)[:, None]
        return MoverStates(ecef, velocity, (seconds >= self._from) & (seconds <= self._until))

    def _waypoints(self) -> tuple[Floats, Int64s]:
        """Waypoints (N, W, 3) east, north m, HAE m, the last repeated, and how many each has."""
        counts = np.array([len(spec.route) for spec in self.specs], dtype=np.int64)
        points = np.empty((len(counts), int(counts.max()), 3))
        for row, spec in enumerate(self.specs):
            enu = self._region.enu_from_geodetic(spec.route)
            enu[:, 2] = spec.route[:, 2]
            points[row, : len(enu)] = enu
            points[row, len(enu) :] = enu[-1]
        return points, counts

    def _first_state(self) -> _State:
        """Where everybody stands at the start."""
        rows = np.arange(len(self.specs))
        leg = np.array([spec.start_leg for spec in self.specs], dtype=np.int64)
        start = self._points[rows, leg].copy()
        following = np.where(leg + 1 < self._counts, leg + 1, 0)
        toward = self._points[rows, following] - start
        heading = np.where(
            self._routed, np.arctan2(toward[:, 0], toward[:, 1]), TWO_PI * self._phase
        )
        # Orbits begin on their circle, flying along it; walks within their area.
        away = np.where(self._routed, 0.0, self._radius)
        away[self._walking] *= np.sqrt(self._phase[self._walking]) / 2.0
        bearing = heading - np.where(self._orbiting, self._clockwise * np.pi / 2.0, 0.0)
        return _State(
            east=start[:, 0] + away * np.sin(bearing),
            north=start[:, 1] + away * np.cos(bearing),
            height=start[:, 2],
            speed=np.where(self._walking, 0.0, self._cruise),
            heading=heading,
            leg=np.where(self._routed, following, 0),
            sense=np.where(leg + 1 < self._counts, 1, np.where(self._end == 1, -1, 1)),
            pace=np.ones(len(rows)),
        )

    def _chunk(self, number: int) -> _Chunk:
        """Chunk of a number, integrated if need be."""
        if number in self._chunks:
            self._chunks.move_to_end(number)
            return self._chunks[number]
        while len(self._starts) <= number:
            self._integrate(len(self._starts) - 1)
        chunk = self._chunks.get(number) or self._integrate(number)
        while len(self._chunks) > CHUNKS_KEPT:
            self._chunks.popitem(last=False)
        return chunk

    def _integrate(self, number: int) -> _Chunk:
        """Integrate a chunk from its saved start; saves the start of the next one."""
        state = self._starts[number].copy()
        count = len(self.specs)
        random = np.random.default_rng([self._seed, 2, number])
        normal = random.standard_normal((STEPS, count))
        uniform = random.random((STEPS, 2, count))
        track = np.empty((STEPS + 1, count, 3))
        for step in range(STEPS):
            track[step] = np.stack([state.east, state.north, state.height], axis=1)
            seconds = (number * STEPS + step) * STEP_S
            self._advance(state, seconds, normal[step], uniform[step])
        track[STEPS] = np.stack([state.east, state.north, state.height], axis=1)
        velocity = np.asarray(np.gradient(track, STEP_S, axis=0))
        geodetic = self._region.geodetic_from_plane(track[..., 0], track[..., 1], track[..., 2])
        chunk = _Chunk(ecef_from_geodetic(geodetic), velocity)
        self._chunks[number] = chunk
        if len(self._starts) == number + 1:
            self._starts.append(state)
        return chunk

    def _advance(self, s: _State, seconds: float, normal: Floats, uniform: Floats) -> None:
        """One step of everybody, in place."""
        rows = np.arange(len(s.east))
        target = self._points[rows, s.leg]
        east, north = target[:, 0] - s.east, target[:, 1] - s.north
        distance = np.hypot(east, north)
        bearing = np.arctan2(east, north)

        wanted = bearing
        # An orbit flies along its tangent, turned inwards outside the circle, outwards inside it.
        inward = np.arctan(2.0 * (distance - self._radius) / np.maximum(self._radius, 1.0))
        tangent = bearing + np.pi + self._clockwise * (np.pi / 2.0 + inward)
        wanted = np.where(self._orbiting, tangent, wanted)
        # A walk changes its mind, and goes home from the rim of its area.
        wander = s.heading + normal * WANDER_RPS * np.sqrt(STEP_S)
        wanted = np.where(self._walking & (distance < self._radius), wander, wanted)

        error = (wanted - s.heading + np.pi) % TWO_PI - np.pi
        limit = self._turn * STEP_S
        s.heading = (s.heading + np.clip(error, -limit, limit)) % TWO_PI

        pace = np.where(uniform[0] < MOOD_PER_S * STEP_S, uniform[1], s.pace)
        s.pace = np.where(self._walking, pace, 1.0)
        # Slow down where the way turns sharply, so that no waypoint lies inside the circle.
        pace = np.where(self._routed, np.maximum(np.cos(error), 0.25), s.pace)
        stopping = self._behaviour == 1
        moment = (seconds + self._phase * self._cycle) % self._cycle
        pace = np.where((stopping & (moment >= self._go)) | (s.sense == 0), 0.0, pace)
        change = self._acceleration * STEP_S
        s.speed = s.speed + np.clip(self._cruise * pace - s.speed, -change, change)

        s.east = s.east + s.speed * STEP_S * np.sin(s.heading)
        s.north = s.north + s.speed * STEP_S * np.cos(s.heading)
        climb = self._climb * STEP_S
        s.height = s.height + np.clip(target[:, 2] - s.height, -climb, climb)
        self._next_leg(s, distance, error)

    def _next_leg(self, s: _State, distance: Floats, error: Floats) -> None:
        """Turn to the next waypoint where one has been reached or passed close by."""
        reach = np.maximum(s.speed * STEP_S * 1.5, s.speed / self._turn)
        passed = (distance < 3.0 * reach) & (np.abs(error) > np.pi / 2.0)
        done = self._routed & (s.sense != 0) & ((distance < reach) | passed)
        if not done.any():
            return
        last = self._counts - 1
        leg = s.leg + s.sense
        off = (leg > last) | (leg < 0)
        looped = np.where(off, 0, leg)
        returned = np.where(leg > last, last - 1, np.where(leg < 0, 1, leg))
        stopped = np.where(off, s.leg, leg)
        leg = np.choose(self._end, [looped, returned, stopped])
        sense = np.choose(
            self._end,
            [s.sense, np.where(off, -s.sense, s.sense), np.where(off, 0, s.sense)],
        )
        s.leg = np.where(done, leg, s.leg)
        s.sense = np.where(done, sense, s.sense)


def _codes(specs: tuple[MoverSpec, ...], names: tuple[str, ...], attribute: str) -> Array:
    """Position of each mover's attribute in a list of names."""
    return np.array([names.index(getattr(spec, attribute)) for spec in specs])


def _column(specs: tuple[MoverSpec, ...], attribute: str) -> Floats:
    """A number of each mover."""
    values: list[Any] = [getattr(spec, attribute) for spec in specs]
    return np.array(values, dtype=np.float64)
