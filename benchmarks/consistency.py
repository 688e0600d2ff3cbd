"""Are the covariances honest? ANEES of positions, and NIS by kind of sensor.

Well separated movers, each kind of sensor by itself, two worlds: movers of constant velocity with
white acceleration, and movers as an exercise has them (vehicles that stop and go, vessels and
walkers that wander, UAVs that circle). Instants are 10 s apart, so that errors of one target at two
instants are nearly independent; then N samples of dimension m, divided by N m, lie within
chi-square bounds about 1. NIS is of the report that comes at such an instant: the picture of that
moment, before the report is fused, against what the report then says of the target.

References
----------
Y. Bar-Shalom, X. R. Li, T. Kirubarajan, "Estimation with applications to tracking and navigation",
2001, doi:10.1002/0471221279, section 5.4.
L. Mo, X. Song, Y. Zhou, Z. K. Sun, Y. Bar-Shalom, "Unbiased converted measurements for tracking",
IEEE Trans. AES 34(3), 1998, doi:10.1109/7.705921.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import chi2

from benchmarks.instruments import Camera, Instrument, Positions, Radar, Told
from benchmarks.populations import POPULATIONS, Population
from benchmarks.reports import REGION, report
from benchmarks.shown import nearest, shown
from fusion import Tracker
from model.arrays import Floats
from model.sensors import Sensors

SECONDS = 60
INSTANTS = (20, 30, 40, 50, 60)
WITHIN_M = 1_000.0
"""A track farther away than this is not the target's."""

CONFIDENCE = 0.95

STAND = (-1_500.0, -1_500.0)
"""Of the radar: between four movers, the others 2 to 15 km away."""


def _kinds() -> dict[str, tuple[Instrument, ...]]:
    """Instruments by name; the last of each is the one whose NIS is taken."""
    wide = math.radians(0.7)
    return {
        "position": (Positions(10.0),),
        "polar": (Radar(STAND, 10.0, wide),),
        "polar and rate": (Radar(STAND, 10.0, wide, 0.5),),
        "position, bearings": (
            Positions(30.0),
            Camera((4_500.0, -1_500.0), math.radians(0.3), 5.0, 0.25),
            Camera(STAND, math.radians(0.3), 5.0, 0.5),
        ),
    }


@dataclass(slots=True)
class Sum:
    """Normalised squares and how many degrees of freedom they have."""

    squares: float = 0.0
    freedom: int = 0

    def add(self, error: Floats, covariance: Floats) -> None:
        """Add errors (n, m) under covariances (n, m, m)."""
        scaled = np.linalg.solve(covariance, error[:, :, None])[:, :, 0]
        self.squares += float((error * scaled).sum())
        self.freedom += error.size

    def result(self) -> dict[str, Any]:
        """Mean of a degree of freedom, its bounds, and whether it lies within."""
        tail = (1.0 - CONFIDENCE) / 2.0
        low, high = (float(chi2.ppf(p, self.freedom)) / self.freedom for p in (tail, 1.0 - tail))
        value = self.squares / self.freedom
        return {
            "value": round(value, 3),
            "low": round(low, 3),
            "high": round(high, 3),
            "freedom": self.freedom,
            "inside": low <= value <= high,
        }


def run(seeds: int) -> dict[str, Any]:
    """Measure over so many worlds; returns ANEES and NIS with bounds, by world and sensors."""
    print(f"\nhonest covariances: mean of a degree of freedom, {CONFIDENCE:.0%} bounds")
    print("  movers     sensors              ANEES                  NIS                lost")
    result: dict[str, Any] = {}
    for name, population in POPULATIONS.items():
        result[name] = {}
        for kind in _kinds():
            row = _measure(kind, population, range(seeds))
            result[name][kind] = row
            print(
                f"  {name:9s}  {kind:18s} {_text(row['anees'])}  {_text(row['nis'])}"
                f"  {row['lost']:4d}"
            )
    return result


def _text(row: dict[str, Any]) -> str:
    mark = " " if row["inside"] else "!"
    return f"{row['value']:6.2f}{mark} [{row['low']:.2f}, {row['high']:.2f}]"


def _measure(
    kind: str, population: Callable[[int], Population], seeds: Sequence[int]
) -> dict[str, Any]:
    nees, nis, lost = Sum(), Sum(), 0
    for seed in seeds:
        rng = np.random.default_rng([seed, 3])
        movers, instruments = population(seed), _kinds()[kind]
        names = [f"s{number}" for number in range(len(instruments))]
        described = (one.described(name) for name, one in zip(names, instruments, strict=True))
        tracker = Tracker(Sensors(described), REGION)
        for second in range(SECONDS + 1):
            for sensor, instrument in enumerate(instruments):
                now = second + instrument.phase
                position, velocity = movers.at(now)
                told = instrument.measure(position, velocity, rng)
                judged = second in INSTANTS and sensor == len(instruments) - 1
                if judged:
                    _innovations(instrument, told, position, tracker, now, nis)
                columns = {name: column[told.seen] for name, column in told.columns.items()}
                tracker.step(report(sensor, now, columns, offset=second))
                if judged:
                    lost += _errors(position, tracker, now, nees)
    return {"anees": nees.result(), "nis": nis.result(), "lost": lost}


def _innovations(
    instrument: Instrument, told: Told, position: Floats, tracker: Tracker, now: float, nis: Sum
) -> None:
    """Add up what the picture before a report makes of it."""
    tracks = shown(tracker, now)
    rows = nearest(position, tracks, WITHIN_M)
    both = (rows >= 0) & told.seen
    nis.add(*instrument.innovation(told.values[both], tracks.take(rows[both])))


def _errors(position: Floats, tracker: Tracker, now: float, nees: Sum) -> int:
    """Add up the errors of the picture; returns how many targets have no track."""
    tracks = shown(tracker, now)
    rows = nearest(position, tracks, WITHIN_M)
    found = rows >= 0
    mine = tracks.take(rows[found])
    nees.add(mine.position - position[found], mine.covariance[:, :2, :2])
    return int((~found).sum())
