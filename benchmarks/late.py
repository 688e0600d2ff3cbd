"""Late data: the picture of now, when the better of two sensors comes late.

Well separated movers of constant velocity (q = 1 m²/s³). Sensor A: every second, 10 m, at once.
Sensor B: every second, 3 m, each report delayed by its own U(0, 2 s). Every 0.1 s the live picture,
predicted to now, is held against the truth of now. Beside it, over the same reports:

- full replay: at every arrival a fresh tracker is fed all that has arrived, in order of time;
- reordered: reports wait until they are 1 s old; what is older then is dropped;
- B dropped;
- B as current: its reports are taken to be about the time at which they arrive.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.crowd import Crowd, headed, lattice
from benchmarks.reports import REGION, place, positions, report
from benchmarks.shown import nearest, shown
from fusion import Tracker
from model.arrays import Array, Floats
from model.detections import Detections
from model.sensors import Coverage, DetectionProbability, Sensor, Sensors, Sigmas

SIDE = 6
SPACING_M = 5_000.0
DENSITY = 1.0
SIGMA_A_M, SIGMA_B_M = 10.0, 3.0
DELAY_S = 2.0
BUFFER_S = 1.0
SECONDS = 40.0
FROM_S = 10.0
"""Scored from here on: by then every tracker has found its tracks."""

GRID_S = 0.1
WITHIN_M = 500.0
"""A track farther away than this is not the target's."""


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """One report before it is one: what a sensor measured, when, and when it arrives, s."""

    sensor: int
    seconds: float
    arrives: float
    points: Floats

    def report(self, seconds: float | None = None) -> Detections:
        """As the tracker gets it; `seconds`: another time than the true one."""
        sigma = (SIGMA_A_M, SIGMA_B_M)[self.sensor]
        at = self.seconds if seconds is None else seconds
        columns = positions(self.points, sigma)
        return report(self.sensor, at, columns, received=max(self.arrives, at))


Feed = Callable[[Sequence[Said]], Callable[[float], Tracker]]
"""From all reports of a run to the tracker that a picture of a time is asked of; times rise."""


def sensors() -> Sensors:
    """Both, described as they are."""
    half = SIDE * SPACING_M
    return Sensors(
        Sensor(
            name,
            position=place(0.0, 0.0),
            detection_probability=DetectionProbability((0.0,), (1.0,)),
            clutter_per_scan=0.0,
            coverage=Coverage((0.0, 2.0 * half)),
            sigmas=Sigmas(horizontal_m=sigma),
        )
        for name, sigma in (("a", SIGMA_A_M), ("b", SIGMA_B_M))
    )


def world(seed: int) -> tuple[list[Said], Floats, Floats]:
    """Reports in order of arrival, times of the grid (G,) s, and the truth (G, N, 2) at them."""
    rng = np.random.default_rng([seed, 2])
    count = SIDE**2
    crowd = Crowd(
        lattice(SIDE, SPACING_M), headed(rng.uniform(10.0, 40.0, count), rng), DENSITY, rng
    )
    delays = rng.uniform(0.0, DELAY_S, round(SECONDS) + 1)
    said: list[Said] = []
    grid = np.round(np.arange(0.0, SECONDS, GRID_S), 6)
    truth = np.empty((len(grid), count, 2))
    ticks = round(1.0 / GRID_S)
    for index, now in enumerate(grid.tolist()):
        crowd.advance(GRID_S if index else 0.0)
        truth[index] = crowd.position
        if index % ticks == 0:
            said.append(Said(0, now, now, crowd.noisy(SIGMA_A_M)))
        if index % ticks == ticks // 2:
            late = float(delays[index // ticks])
            said.append(Said(1, now, now + late, crowd.noisy(SIGMA_B_M)))
    return sorted(said, key=lambda one: one.arrives), grid, truth


def live(said: Sequence[Said]) -> Callable[[float], Tracker]:
    """Fed as they arrive."""
    return _fed([(one.arrives, one.report()) for one in said])


def dropped(said: Sequence[Said]) -> Callable[[float], Tracker]:
    """Only sensor A."""
    return _fed([(one.arrives, one.report()) for one in said if one.sensor == 0])


def as_current(said: Sequence[Said]) -> Callable[[float], Tracker]:
    """The time of a report is that of its arrival."""
    return _fed([(one.arrives, one.report(one.arrives)) for one in said])


def reordered(said: Sequence[Said]) -> Callable[[float], Tracker]:
    """Held until they are `BUFFER_S` old."""
    kept = [one for one in said if one.arrives <= one.seconds + BUFFER_S]
    kept.sort(key=lambda one: one.seconds)
    return _fed([(one.seconds + BUFFER_S, one.report()) for one in kept])


def replayed(said: Sequence[Said]) -> Callable[[float], Tracker]:
    """Everything again from the start whenever something has come."""
    reports = [(one.arrives, one.seconds, one.report()) for one in said]
    here, tracker = 0, _tracker()

    def at(now: float) -> Tracker:
        nonlocal here, tracker
        known = sum(arrives <= now for arrives, _, _ in reports)
        if known > here:
            here, tracker = known, _tracker()
            for _, _, one in sorted(reports[:known], key=lambda row: row[1]):
                tracker.step(one)
        return tracker

    return at


def _tracker() -> Tracker:
    return Tracker(sensors(), REGION)


def _fed(reports: list[tuple[float, Detections]]) -> Callable[[float], Tracker]:
    tracker, waiting = _tracker(), iter(reports)
    pending = next(waiting, None)

    def at(now: float) -> Tracker:
        nonlocal pending
        while pending is not None and pending[0] <= now:
            tracker.step(pending[1])
            pending = next(waiting, None)
        return tracker

    return at


FEEDS: dict[str, Feed] = {
    "live": live,
    "full_replay": replayed,
    "reordered": reordered,
    "dropped": dropped,
    "as_current": as_current,
}


def run(seeds: int) -> dict[str, Any]:
    """Measure over so many worlds; returns live RMSE of each way to treat late reports."""
    worlds = [world(seed) for seed in range(seeds)]
    result: dict[str, Any] = {"seeds": len(worlds)}
    print(f"\nlate data: B 3 m, delayed U(0, {DELAY_S:.0f} s), beside A 10 m; RMSE of now, m")
    for name, feed in FEEDS.items():
        parts = [errors(feed, *one) for one in worlds]
        squared = np.concatenate([part[0] for part in parts])
        rmse = float(np.sqrt(squared.mean()))
        lacking = sum(part[1] for part in parts)
        result[name] = {"rmse_m": round(rmse, 3), "without_track": lacking}
        note = f"   {lacking} of {lacking + len(squared)} without a track" if lacking else ""
        print(f"  {name:12s} {rmse:6.2f}{note}", flush=True)
    ratio = result["live"]["rmse_m"] / result["full_replay"]["rmse_m"]
    print(f"  live against full replay: {ratio:.3f}")
    return result | {"live_to_replay": round(ratio, 4)}


def errors(feed: Feed, said: Sequence[Said], grid: Floats, truth: Floats) -> tuple[Array, int]:
    """Squared errors m² of targets with a track, and how often a target had none."""
    at = feed(said)
    squared: list[Floats] = []
    lacking = 0
    for index, now in enumerate(grid.tolist()):
        tracker = at(now)
        if now < FROM_S:
            continue
        tracks = shown(tracker, now)
        rows = nearest(truth[index], tracks, WITHIN_M)
        found = rows >= 0
        lacking += int((~found).sum())
        difference = tracks.position[rows[found]] - truth[index][found]
        squared.append((difference * difference).sum(axis=1))
    return np.concatenate(squared), lacking
