"""Movers that stop and go, their class said or not: what models of motion by class are worth.

Well separated movers of one class at a time: each goes, brakes, stands, and goes on elsewhere. A
sensor with one look a second misses a fifth of them and looks away for some seconds now and then.
The same detections are given twice, with the class of each and without it. Errors are root mean
squares of what is shown, of movers that go and of those that stand.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.reports import REGION, place, positions, report
from benchmarks.shown import nearest, shown
from fusion import Tracker
from model.arrays import Bools, Floats
from model.sensors import Coverage, DetectionProbability, Sensor, Sensors, Sigmas
from model.taxonomy import one_hot

SECONDS, FIRST = 180, 20
PD = 0.8
AWAY_EVERY_S, AWAY_S = 30, 6
"""The sensor looks away for so long, so often."""

MOVERS = 36
SPACING_M = 2_000.0


@dataclass(frozen=True, slots=True)
class Manner:
    """How a class stops and goes, and how it is seen.

    Parameters
    ----------
    speed
        Of one who goes, m/s.
    brake
        How it brakes and gathers speed, m/s².
    turn
        Density of white turning, rad²/s.
    go_s, stand_s
        Mean times.
    sigma_m
        Of a detection, per axis.
    """

    speed: float
    brake: float
    turn: float
    go_s: float
    stand_s: float
    sigma_m: float


MANNERS = {
    "human": Manner(1.3, 1.5, 0.02, 40.0, 20.0, 3.0),
    "land_vehicle": Manner(15.0, 2.0, 0.002, 40.0, 20.0, 10.0),
    "uav": Manner(12.0, 3.0, 0.01, 30.0, 20.0, 10.0),
}


def worlds(manner: Manner, seed: int) -> Iterator[tuple[Floats, Floats, Bools]]:
    """Each second: positions (n, 2) m, velocities (n, 2) m/s, and who stands (n,)."""
    rng = np.random.default_rng(seed)
    side = round(MOVERS**0.5)
    place_m = SPACING_M * np.stack(np.divmod(np.arange(MOVERS), side), axis=1)
    heading = rng.uniform(0.0, 2.0 * np.pi, MOVERS)
    goes = rng.random(MOVERS) < manner.go_s / (manner.go_s + manner.stand_s)
    speed = np.where(goes, manner.speed, 0.0)
    step = 0.1
    for _ in range(SECONDS):
        for _ in range(round(1.0 / step)):
            mean = np.where(goes, manner.go_s, manner.stand_s)
            changes = rng.random(MOVERS) < step / mean
            # Who sets out, sets out anywhere.
            heading = np.where(
                changes & ~goes & (speed == 0.0), rng.uniform(0, 2 * np.pi, MOVERS), heading
            )
            goes ^= changes
            heading = heading + rng.normal(0.0, np.sqrt(manner.turn * step), MOVERS)
            wanted = np.where(goes, manner.speed, 0.0)
            speed = speed + np.clip(wanted - speed, -manner.brake * step, manner.brake * step)
            velocity = speed[:, None] * np.stack([np.sin(heading), np.cos(heading)], axis=1)
            place_m = place_m + step * velocity
        yield place_m, velocity, speed == 0.0


def run(seeds: int) -> dict[str, Any]:
    """Measure; returns errors by class, with and without it."""
    print("\nmovers that stop and go, class not said -> said: RMS")
    print(f"  {'':14s}{'going':>18s}{'standing':>18s}{'their speed':>18s}{'not shown':>18s}")
    result: dict[str, Any] = {"seeds": seeds}
    for label in MANNERS:
        without, said = (_errors(label, seeds, said=said) for said in (False, True))
        result[label] = {
            name: {"without": round(a, 3), "with": round(b, 3)}
            for name, a, b in zip(NAMES, without, said, strict=True)
        }
        row = "".join(f"{a:9.2f} -> {b:5.2f}" for a, b in zip(without, said, strict=True))
        print(f"  {label:14s}{row}", flush=True)
    return result


NAMES = ("going_m", "standing_m", "standing_mps", "missing")


def _errors(label: str, seeds: int, *, said: bool) -> list[float]:
    manner = MANNERS[label]
    sums, counts = np.zeros(4), np.zeros(4)
    for seed in range(seeds):
        rng = np.random.default_rng([seed, 1])
        tracker = Tracker(_sensors(manner), REGION)
        for second, (at, velocity, stands) in enumerate(worlds(manner, seed)):
            seen = at[rng.random(MOVERS) < PD]
            points = seen + rng.normal(0.0, manner.sigma_m, seen.shape)
            if second % AWAY_EVERY_S >= AWAY_S or second < FIRST:
                detections = positions(points, manner.sigma_m)
                if said:
                    detections["classes"] = np.tile(one_hot(label), (len(points), 1))
                tracker.step(report(0, float(second), detections))
            if second < FIRST:
                continue
            tracks = shown(tracker, float(second))
            rows = nearest(at, tracks, 10.0 * manner.speed + 10.0 * manner.sigma_m)
            found = rows >= 0
            off = ((tracks.position[rows] - at) ** 2).sum(axis=1)
            wrong = ((tracks.state[rows, 2:] - velocity) ** 2).sum(axis=1)
            for k, (value, of) in enumerate(
                ((off, found & ~stands), (off, found & stands), (wrong, found & stands))
            ):
                sums[k] += value[of].sum()
                counts[k] += of.sum()
            sums[3] += (~found).sum()
            counts[3] += MOVERS
    means = sums / counts
    return [*np.sqrt(means[:3]).tolist(), float(means[3])]


def _sensors(manner: Manner) -> Sensors:
    middle = 0.5 * SPACING_M * (MOVERS**0.5 - 1.0)
    return Sensors(
        [
            Sensor(
                "radar",
                position=place(middle, middle),
                detection_probability=DetectionProbability((0.0,), (PD,)),
                clutter_density_m2=1e-9,
                coverage=Coverage((0.0, 4.0 * SPACING_M * MOVERS**0.5)),
                period_s=1.0,
                sigmas=Sigmas(horizontal_m=manner.sigma_m),
            )
        ]
    )
