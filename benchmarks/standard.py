"""The standard scenario of the field's comparisons, seeded.

Two-dimensional constant velocity, q = 1 m²/s³, 10-40 m/s, one scan a second, sigma 10 m,
detection probability 0.9, clutter 0.5 per target and scan, uniform over a square of side
500 sqrt(N) m; a tenth of the targets is born in the first half, a tenth dies in the second.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.reports import REGION, positions
from benchmarks.reports import report as one_report
from model.arrays import Floats
from model.detections import Detections
from model.sensors import Coverage, DetectionProbability, Sensor, Sensors, Sigmas

SIGMA_M = 10.0
PD = 0.9
CLUTTER_PER_TARGET = 0.5
Q = 1.0


@dataclass(frozen=True)
class Scan:
    """One scan: the report, its points (m, 2), and the living targets (n, 2), east, north m."""

    report: Detections
    points: Floats
    truth: Floats


def sensor(targets: int, spacing_m: float = 500.0) -> Sensors:
    """The one sensor, described as it is."""
    side = spacing_m * np.sqrt(targets)
    return Sensors(
        [
            Sensor(
                "radar",
                position=(REGION.latitude, REGION.longitude, 0.0),
                detection_probability=DetectionProbability((0.0,), (PD,)),
                clutter_density_m2=CLUTTER_PER_TARGET * targets / side**2,
                coverage=Coverage((0.0, 2.0 * side)),
                sigmas=Sigmas(horizontal_m=SIGMA_M),
            )
        ]
    )


def scans(targets: int, count: int, seed: int, spacing_m: float = 500.0) -> Iterator[Scan]:
    """Scans of the scenario.

    Parameters
    ----------
    targets
        N.
    count
        Scans; 60 is the full scenario.
    seed
        Of the generator.
    spacing_m
        Side of the square is this times sqrt(N).
    """
    rng = np.random.default_rng(seed)
    half = 0.5 * spacing_m * np.sqrt(targets)
    position = rng.uniform(-half, half, (targets, 2))
    speed, course = rng.uniform(10, 40, targets), rng.uniform(0, 2 * np.pi, targets)
    velocity = np.stack([speed * np.sin(course), speed * np.cos(course)], axis=1)
    tenth = targets // 10
    born = np.zeros(targets)
    born[:tenth] = rng.integers(1, 30, tenth)
    dead = np.full(targets, 10_000.0)
    dead[tenth : 2 * tenth] = rng.integers(30, 60, tenth)
    noise = np.linalg.cholesky(np.array([[1 / 3, 1 / 2], [1 / 2, 1.0]]) * Q)
    for step in range(count):
        jolt = rng.normal(size=(targets, 2, 2)) @ noise.T
        position = position + velocity + jolt[:, :, 0]
        velocity = velocity + jolt[:, :, 1]
        alive = (born <= step) & (step < dead)
        seen = alive & (rng.random(targets) < PD)
        points = [
            position[seen] + rng.normal(0, SIGMA_M, (int(seen.sum()), 2)),
            rng.uniform(-half, half, (rng.poisson(CLUTTER_PER_TARGET * targets), 2)),
        ]
        shuffled = np.concatenate(points)
        shuffled = shuffled[rng.permutation(len(shuffled))]
        report = one_report(0, float(step), positions(shuffled, SIGMA_M), offset=step)
        yield Scan(report, shuffled, position[alive])
