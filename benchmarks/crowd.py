"""Movers of near constant velocity, advanced by any time step.

References
----------
Y. Bar-Shalom, X. R. Li, T. Kirubarajan, "Estimation with applications to tracking and navigation",
2001, doi:10.1002/0471221279, section 6.2.2: white acceleration, discretised.
"""

from dataclasses import dataclass

import numpy as np

from model.arrays import Bools, Floats


@dataclass(slots=True, eq=False)
class Crowd:
    """N movers.

    Parameters
    ----------
    position, velocity
        (N, 2) east, north m and m/s.
    density
        Power spectral density of their white acceleration, m²/s³ per axis.
    rng
        Where their jolts come from.
    """

    position: Floats
    velocity: Floats
    density: float
    rng: np.random.Generator

    def advance(self, seconds: float) -> None:
        """Let time go by."""
        if seconds <= 0.0:
            return
        t = seconds
        noise = self.density * np.array([[t**3 / 3.0, t**2 / 2.0], [t**2 / 2.0, t]])
        jolt = self.rng.normal(size=(*self.position.shape, 2)) @ np.linalg.cholesky(noise).T
        self.position = self.position + t * self.velocity + jolt[..., 0]
        self.velocity = self.velocity + jolt[..., 1]

    def seen(self, probability: float) -> Bools:
        """Which movers a sensor of that probability of detection sees this time."""
        return self.rng.random(len(self.position)) < probability

    def noisy(self, sigma_m: float, chosen: Bools | None = None) -> Floats:
        """Their positions, or those of some, with noise of that standard deviation per axis."""
        points = self.position if chosen is None else self.position[chosen]
        return points + self.rng.normal(0.0, sigma_m, points.shape)


def headed(speed: Floats, rng: np.random.Generator) -> Floats:
    """Velocities (N, 2) of given speeds (N,) in any direction."""
    course = rng.uniform(0.0, 2.0 * np.pi, len(speed))
    velocity: Floats = speed[:, None] * np.stack([np.sin(course), np.cos(course)], axis=1)
    return velocity


def lattice(side: int, spacing_m: float) -> Floats:
    """Points (side², 2) of a square lattice about the origin."""
    line = (np.arange(side) - (side - 1) / 2.0) * spacing_m
    return np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
