"""CPU of one local report over 10,000 live tracks, by how many detections it holds.

Twenty sensors stand among 10,000 movers and look, ten times a second each, as far as their nearest
1, 10 or 300; each report says so (`looked`). Fed one report a call, and fifty a call.
"""

import math
import time
from typing import Any

import numpy as np

from benchmarks.crowd import Crowd, headed
from benchmarks.reports import REGION, place, positions, report
from benchmarks.standard import SIGMA_M, Q
from fusion import Tracker
from model.arrays import Floats
from model.detections import Detections
from model.sensors import Coverage, DetectionProbability, Sensor, Sensors, Sigmas

SIZES = (1, 10, 300)
TARGETS = 10_000
SPACING_M = 500.0
LOCALS = 20
RATE_HZ = 10.0
SURVEYS = 8
"""Scans of everything at first: enough that all are confirmed."""

BATCH = 50
WARM_UP = 100


def run(reports: int = 200, targets: int = TARGETS) -> dict[str, Any]:
    """Measure; returns median CPU ms per report by detections, single and in batches.

    Parameters
    ----------
    reports
        Measured of each kind, after the warm-up.
    targets
        Movers.
    """
    rng = np.random.default_rng(11)
    half = 0.5 * SPACING_M * math.sqrt(targets)
    crowd = Crowd(
        rng.uniform(-half, half, (targets, 2)), headed(rng.uniform(10, 40, targets), rng), Q, rng
    )
    stands = rng.uniform(-0.7 * half, 0.7 * half, (LOCALS, 2))
    tracker = Tracker(_sensors(stands, half), REGION)
    now = 0.0
    for _ in range(SURVEYS):
        now = _survey(tracker, crowd, now)
    census = tracker.census()
    live = census.get("confirmed", 0) + census.get("coasting", 0)
    print(f"\nCPU ms per report over {live} live tracks")
    print(f"  detections   single call   {BATCH} a call")
    result: dict[str, Any] = {"live_tracks": live, "single": {}, "batched": {}}
    for size in SIZES:
        for name, batch in (("single", 1), ("batched", BATCH)):
            now = _survey(tracker, crowd, now)
            calls, now = _calls(crowd, stands, now, size, WARM_UP + reports, batch)
            result[name][str(size)] = round(_median_ms(tracker, calls, batch), 4)
        single, batched = result["single"][str(size)], result["batched"][str(size)]
        print(f"  {size:10d}   {single:11.3f}   {batched:9.3f}", flush=True)
    return result


def _median_ms(tracker: Tracker, calls: list[Detections], batch: int) -> float:
    spent = []
    for call in calls:
        start = time.process_time()
        tracker.step(call)
        spent.append((time.process_time() - start) / batch)
    return 1e3 * float(np.median(spent[WARM_UP // batch :]))


def _calls(
    crowd: Crowd, stands: Floats, now: float, size: int, count: int, batch: int
) -> tuple[list[Detections], float]:
    """Local reports in turn, so many a call, and the time of the last."""
    pace = 1.0 / (RATE_HZ * LOCALS)
    reports = []
    for number in range(count):
        crowd.advance(pace)
        now += pace
        turn = number % LOCALS
        distance = np.linalg.norm(crowd.position - stands[turn], axis=1)
        order = np.argpartition(distance, size)
        reach = 0.5 * (distance[order[:size]].max() + distance[order[size]])
        points = crowd.position[order[:size]]
        points = points + crowd.rng.normal(0.0, SIGMA_M, points.shape)
        looked = (0.0, reach, 0.0, 2.0 * math.pi)
        reports.append(
            report(1 + turn, now, positions(points, SIGMA_M), offset=number, looked=looked)
        )
    parts = range(0, count, batch)
    return [Detections.concat(reports[start : start + batch]) for start in parts], now


def _survey(tracker: Tracker, crowd: Crowd, now: float) -> float:
    crowd.advance(1.0)
    now += 1.0
    tracker.step(report(0, now, positions(crowd.noisy(SIGMA_M, crowd.seen(0.95)), SIGMA_M)))
    return now


def _sensors(stands: Floats, half: float) -> Sensors:
    def sensor(name: str, east: float, north: float, reach: float, period: float) -> Sensor:
        return Sensor(
            name,
            position=place(east, north),
            detection_probability=DetectionProbability((0.0,), (0.95,)),
            clutter_density_m2=1e-9,
            coverage=Coverage((0.0, reach)),
            period_s=period,
            sigmas=Sigmas(horizontal_m=SIGMA_M),
        )

    near = (
        sensor(f"local-{number}", float(east), float(north), half, 1.0 / RATE_HZ)
        for number, (east, north) in enumerate(stands)
    )
    return Sensors([sensor("survey", 0.0, 0.0, 2.0 * half, 1.0), *near])
