"""Sensors of several kinds: what they measure of movers, and how a picture is held against it.

Each instrument measures with the errors that its description states, sees a mover with its
detection probability, and has no clutter. `innovation` compares what it measured with tracks
predicted to that moment: the difference, and what its covariance should be.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from benchmarks.reports import bearings, place, polar, positions, sight
from benchmarks.shown import Shown
from model.arrays import Array, Bools, Floats
from model.sensors import Coverage, DetectionProbability, Sensor, Sigmas

PD = 0.9
REACH_M = 40_000.0


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """What one instrument says of N movers at one time.

    Parameters
    ----------
    seen
        (N,) which of them it detected.
    columns
        Columns of `Detections` of all N.
    values
        (N, m) what was measured, in the form in which `innovation` compares it.
    """

    seen: Bools
    columns: dict[str, Array]
    values: Floats


class Instrument(Protocol):
    """What can be measured with."""

    phase: float
    """When in each second it looks, s."""

    def described(self, name: str) -> Sensor:
        """Its description."""
        ...

    def measure(self, position: Floats, velocity: Floats, rng: np.random.Generator) -> Told:
        """Measure movers at (N, 2) m with velocities (N, 2) m/s."""
        ...

    def innovation(self, values: Floats, tracks: Shown) -> tuple[Floats, Floats]:
        """Differences (T, m) of values from tracks, and their covariances (T, m, m)."""
        ...


@dataclass(slots=True)
class Positions:
    """East and north."""

    sigma_m: float
    phase: float = 0.0

    def described(self, name: str) -> Sensor:
        """Its description."""
        return _sensor(name, np.zeros(2), Sigmas(horizontal_m=self.sigma_m))

    def measure(self, position: Floats, velocity: Floats, rng: np.random.Generator) -> Told:
        """What it says of movers (N, 2)."""
        del velocity
        points = position + rng.normal(0.0, self.sigma_m, position.shape)
        return Told(_seen(position, rng), positions(points, self.sigma_m), points)

    def innovation(self, values: Floats, tracks: Shown) -> tuple[Floats, Floats]:
        """Differences from tracks, and their covariances."""
        own = self.sigma_m**2 * np.eye(2)
        return values - tracks.position, tracks.covariance[:, :2, :2] + own


@dataclass(slots=True)
class Radar:
    """Slant range and azimuth, and range rate where `sigma_rate_mps` is not NaN."""

    stand: tuple[float, float]
    sigma_range_m: float
    sigma_azimuth: float
    sigma_rate_mps: float = float("nan")
    phase: float = 0.0

    def described(self, name: str) -> Sensor:
        """Its description."""
        sigmas = Sigmas(range_m=self.sigma_range_m, azimuth_rad=self.sigma_azimuth)
        return _sensor(name, np.array(self.stand), sigmas)

    def measure(self, position: Floats, velocity: Floats, rng: np.random.Generator) -> Told:
        """What it says of movers (N, 2)."""
        count = len(position)
        range_m, azimuth = sight(np.array(self.stand), position)
        range_m = range_m + rng.normal(0.0, self.sigma_range_m, count)
        azimuth = azimuth + rng.normal(0.0, self.sigma_azimuth, count)
        seen = _seen(position, rng)
        # The mean of r (sin a, cos a) with a noisy azimuth lies short by exp(-sigma²/2).
        ground = range_m * np.exp(0.5 * self.sigma_azimuth**2)
        points = np.array(self.stand) + ground[:, None] * _direction(azimuth)
        if np.isnan(self.sigma_rate_mps):
            columns = polar(range_m, azimuth, self.sigma_range_m, self.sigma_azimuth)
            return Told(seen, columns, points)
        along = (position - self.stand) / np.linalg.norm(position - self.stand, axis=1)[:, None]
        rate = (along * velocity).sum(axis=1) + rng.normal(0.0, self.sigma_rate_mps, count)
        columns = polar(
            range_m, azimuth, self.sigma_range_m, self.sigma_azimuth, rate, self.sigma_rate_mps
        )
        return Told(seen, columns, np.column_stack([points, rate]))

    def innovation(self, values: Floats, tracks: Shown) -> tuple[Floats, Floats]:
        """Differences from tracks, and their covariances."""
        away = tracks.position - self.stand
        ground = np.linalg.norm(away, axis=1)
        along = away / ground[:, None]
        across = np.stack([along[:, 1], -along[:, 0]], axis=1)
        narrow = self.sigma_azimuth**2
        lateral = ground**2 * -0.5 * np.expm1(-2.0 * narrow)
        radial = self.sigma_range_m**2 + 0.5 * (ground * narrow) ** 2
        own = radial[:, None, None] * along[:, :, None] * along[:, None, :]
        own += lateral[:, None, None] * across[:, :, None] * across[:, None, :]
        rated = values.shape[1] == 3
        size = values.shape[1]
        H = np.zeros((len(away), size, 4))
        H[:, 0, 0] = H[:, 1, 1] = 1.0
        noise = np.zeros((len(away), size, size))
        noise[:, :2, :2] = own
        expected = tracks.position
        if rated:
            velocity = tracks.state[:, 2:]
            rate = (along * velocity).sum(axis=1)
            H[:, 2, :2] = (velocity - rate[:, None] * along) / ground[:, None]
            H[:, 2, 2:] = along
            noise[:, 2, 2] = self.sigma_rate_mps**2
            expected = np.column_stack([expected, rate])
        return values - expected, H @ tracks.covariance @ H.transpose(0, 2, 1) + noise


@dataclass(slots=True, eq=False)
class Camera:
    """Azimuth alone; its errors stay for a while, as those of mountings and boxes do.

    Parameters
    ----------
    correlation_s
        Time constant of the errors of one target (first-order Gauss-Markov); it looks every second.
    """

    stand: tuple[float, float]
    sigma_azimuth: float
    correlation_s: float
    phase: float = 0.0
    _error: Floats | None = None

    def described(self, name: str) -> Sensor:
        """Its description."""
        sigmas = Sigmas(azimuth_rad=self.sigma_azimuth)
        return _sensor(name, np.array(self.stand), sigmas)

    def measure(self, position: Floats, velocity: Floats, rng: np.random.Generator) -> Told:
        """What it says of movers (N, 2)."""
        del velocity
        fresh = rng.normal(0.0, self.sigma_azimuth, len(position))
        kept = float(np.exp(-1.0 / self.correlation_s))
        error = fresh if self._error is None else kept * self._error + (1 - kept**2) ** 0.5 * fresh
        self._error = error
        azimuth = sight(np.array(self.stand), position)[1] + error
        columns = bearings(azimuth, self.sigma_azimuth)
        return Told(_seen(position, rng), columns, azimuth[:, None])

    def innovation(self, values: Floats, tracks: Shown) -> tuple[Floats, Floats]:
        """Differences from tracks, and their covariances."""
        away = tracks.position - self.stand
        squared = (away * away).sum(axis=1)
        H = np.stack([away[:, 1], -away[:, 0]], axis=1)[:, None, :] / squared[:, None, None]
        expected = np.arctan2(away[:, 0], away[:, 1])
        turned = (values[:, 0] - expected + np.pi) % (2.0 * np.pi) - np.pi
        covariance = H @ tracks.covariance[:, :2, :2] @ H.transpose(0, 2, 1)
        return turned[:, None], covariance + self.sigma_azimuth**2


def _sensor(name: str, stand: Floats, sigmas: Sigmas) -> Sensor:
    return Sensor(
        name,
        position=place(float(stand[0]), float(stand[1])),
        detection_probability=DetectionProbability((0.0,), (PD,)),
        clutter_per_scan=0.0,
        coverage=Coverage((0.0, REACH_M)),
        sigmas=sigmas,
    )


def _seen(position: Floats, rng: np.random.Generator) -> Bools:
    return rng.random(len(position)) < PD


def _direction(azimuth: Floats) -> Floats:
    return np.stack([np.sin(azimuth), np.cos(azimuth)], axis=1)
