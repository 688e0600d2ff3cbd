"""Simulated sensors: when they look, what they see of the movers, when they say so.

Every sensor draws from a generator of its own, seeded by the exercise's seed and its id: adding a
sensor changes nothing for the others. Time is int64 ns since the start of the exercise, and is
simulated in slices of a fixed length, so the same seed gives the same bytes at any pace.
"""

import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from exercise.movers import Movers, MoverStates
from exercise.reports import Natives, Reports
from exercise.sensor_tables import SimulatedSensor
from model.arrays import Bools, Floats, Int64s
from model.coverage import inside_polygon
from model.frames import Region, ecef_from_geodetic, enu_rotation, geodetic_from_ecef
from model.time import NS_PER_S

TWO_PI = 2.0 * np.pi


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """The movers as a sensor's place sees them; each (T, N).

    Parameters
    ----------
    range_m
        Slant range.
    azimuth
        rad from true north, clockwise.
    elevation
        rad above the sensor's horizontal plane.
    range_rate
        m/s, positive away.
    visible
        There, of a class that it sees, within coverage, not in a shadow, not too slow.
    """

    range_m: Floats
    azimuth: Floats
    elevation: Floats
    range_rate: Floats
    visible: Bools


class SensorModel(ABC):
    """One simulated sensor.

    Parameters
    ----------
    item
        Its tables.
    movers
        What there is to see.
    region
        The plane of the movers' velocities.
    seed, start_ns
        Of the exercise. The start (UTC ns) may only matter to what native bytes say of the time.
    """

    def __init__(
        self, item: SimulatedSensor, movers: Movers, region: Region, seed: int, start_ns: int
    ) -> None:
        self.start_ns = start_ns
        self.item = item
        self.sensor = item.sensor
        self.simulation = item.simulation
        self.movers = movers
        self.rng = np.random.default_rng([seed, 3, zlib.crc32(item.sensor.id.encode())])
        self.labels = tuple(spec.label for spec in movers.specs)
        self.seen_classes = np.isin(self.labels, item.simulation.sees)
        self._region = region
        self._period_ns = round(item.sensor.period_s * NS_PER_S)
        self._phase_ns = int(self.rng.integers(self._period_ns))
        self._last_send_ns = 0
        origin = np.array(item.sensor.position or (region.latitude, region.longitude, 0.0))
        self._origin = ecef_from_geodetic(origin)
        self._rotation = enu_rotation(origin[0], origin[1])

    @abstractmethod
    def run(self, first_ns: int, stop_ns: int) -> Reports | Natives | None:
        """What it says of the world in [first, stop) ns since the start; call in order of time."""

    def scans(self, first_ns: int, stop_ns: int) -> Int64s:
        """(S,) int64 ns: when it looks in [first, stop), dead intervals left out."""
        begin = -(-(first_ns - self._phase_ns) // self._period_ns)
        end = -(-(stop_ns - self._phase_ns) // self._period_ns)
        times = self._phase_ns + self._period_ns * np.arange(begin, end, dtype=np.int64)
        return times[self.alive(times)]

    def alive(self, times_ns: Int64s) -> Bools:
        """Which times (S,) lie outside the sensor's dead intervals."""
        alive = np.ones(len(times_ns), dtype=np.bool_)
        for first, last in self.simulation.dead_s:
            alive &= (times_ns < first * NS_PER_S) | (times_ns >= last * NS_PER_S)
        return alive

    def sends(self, stamp_ns: Int64s) -> Int64s:
        """When messages with these stamps (S,) reach the broker, in their order."""
        delay = self.simulation.delay_s + self.rng.exponential(
            self.simulation.jitter_s, len(stamp_ns)
        )
        sends = np.maximum.accumulate(stamp_ns + (delay * NS_PER_S).astype(np.int64))
        sends = np.maximum(sends, self._last_send_ns)
        if len(sends):
            self._last_send_ns = int(sends[-1])
        return sends

    def stamps(self, times_ns: Int64s) -> Int64s:
        """Time stamps (S,) of what was seen at these times: they lag by the sensor's latency."""
        return times_ns + self.sensor.latency_ns

    def sight(self, states: MoverStates) -> Sight:
        """The movers from the sensor's place."""
        enu = (states.ecef - self._origin) @ self._rotation.T
        distance = np.maximum(np.sqrt((enu * enu).sum(axis=2)), 1e-3)
        azimuth = np.arctan2(enu[..., 0], enu[..., 1]) % TWO_PI
        elevation = np.arcsin(np.clip(enu[..., 2] / distance, -1.0, 1.0))
        # Velocities are in the region's plane: turn them into the sensor's by way of ECEF.
        velocity = (states.velocity @ self._region.rotation) @ self._rotation.T
        range_rate = (enu * velocity).sum(axis=2) / distance
        speed = range_rate if self.simulation.kind == "ground_radar" else velocity
        visible = states.there & self.seen_classes
        visible &= self.covered(distance, azimuth)
        if self.sensor.coverage.polygon is not None:
            points = geodetic_from_ecef(states.ecef)[..., :2].reshape(-1, 2)
            inside = inside_polygon(points, self.sensor.coverage.polygon)
            visible &= inside.reshape(visible.shape)
        if self.simulation.min_speed_mps > 0.0:
            pace = np.abs(speed) if speed.ndim == 2 else np.sqrt((speed * speed).sum(axis=2))
            visible &= pace >= self.simulation.min_speed_mps
        return Sight(distance, azimuth, elevation, range_rate, visible)

    def covered(self, range_m: Floats, azimuth: Floats) -> Bools:
        """Which ranges and azimuths lie in the sector of the coverage and in no shadow."""
        coverage = self.sensor.coverage
        inside = (range_m >= coverage.range_m[0]) & (range_m <= coverage.range_m[1])
        if coverage.azimuth_rad is not None:
            inside &= in_sector(azimuth, coverage.azimuth_rad)
        for shadow in self.simulation.shadows:
            inside &= ~(in_sector(azimuth, shadow.azimuth_rad) & (range_m > shadow.beyond_m))
        return inside

    def detected(self, sight: Sight) -> Bools:
        """Which visible movers (T, N) are detected, by drawing."""
        probability = self.sensor.detection_probability.at(sight.range_m)
        return sight.visible & (self.rng.random(sight.visible.shape) < probability)

    def bias(self, times_ns: Int64s) -> tuple[Floats, Floats]:
        """Range (m) and azimuth (rad) bias at times (S,): slow sines, a quarter period apart."""
        angle = TWO_PI * (times_ns / NS_PER_S) / self.simulation.bias_period_s
        return self.simulation.bias_m * np.sin(angle), self.simulation.bias_rad * np.cos(angle)


def in_sector(azimuth: Floats, sector: tuple[float, float]) -> Bools:
    """Which azimuths (rad) lie in a sector from, to (rad), clockwise; equal ends: all round."""
    width = (sector[1] - sector[0]) % TWO_PI or TWO_PI
    inside: Bools = (azimuth - sector[0]) % TWO_PI <= width
    return inside
