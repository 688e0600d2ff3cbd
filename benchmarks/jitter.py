"""Sixty sensors at 10 Hz whose reports come up to 100 ms late, against the same reports in order.

With 600 reports a second and delays of U(0, 100 ms), 84 % of the reports arrive after one that is
about a later time. Two trackers take turns in slices of 100 ms, so that what else the machine does
slows both; the ratio of their CPU is the figure.
"""

import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.crowd import Crowd, headed
from benchmarks.reports import REGION, place, positions, report
from benchmarks.shown import scored
from benchmarks.standard import SIGMA_M, Q
from fusion import Tracker
from model.arrays import Floats
from model.detections import Detections
from model.sensors import Coverage, DetectionProbability, Sensor, Sensors, Sigmas

SENSORS = 60
RATE_HZ = 10
JITTER_S = 0.1
TARGETS = 500
SPACING_M = 500.0
REACH_M = 1_500.0
PD = 0.9
CLUTTER = 1.0
C_M = 50.0


def run(seconds: float = 4.0, warm_up: float = 2.0) -> dict[str, Any]:
    """Measure; returns CPU per report late and sorted, and the ratio.

    Parameters
    ----------
    seconds
        How long the sensors report.
    warm_up
        How much of it is not measured.
    """
    rng = np.random.default_rng(12)
    half = 0.5 * SPACING_M * math.sqrt(TARGETS)
    stands = rng.uniform(-half, half, (SENSORS, 2))
    speed = headed(rng.uniform(10.0, 40.0, TARGETS), rng)
    crowd = Crowd(rng.uniform(-half, half, (TARGETS, 2)), speed, Q, rng)
    described = Sensors(_sensor(number, *stand) for number, stand in enumerate(stands.tolist()))
    trackers = {name: Tracker(described, REGION) for name in ("sorted", "late")}
    spent, count = dict.fromkeys(trackers, 0.0), dict.fromkeys(trackers, 0)
    before = 0
    waiting: list[tuple[float, Detections]] = []
    detections = 0
    for end, fresh in _slices(crowd, stands, seconds):
        waiting = sorted(waiting + [row[1:] for row in fresh], key=lambda row: row[0])
        due = [one for arrives, one in waiting if arrives < end]
        waiting = waiting[len(due) :]
        for name, reports in (("sorted", [row[2] for row in fresh]), ("late", due)):
            start = time.process_time()
            for one in reports:
                trackers[name].step(one)
            if end > warm_up + 1e-9:
                spent[name] += time.process_time() - start
                count[name] += len(reports)
        if end <= warm_up + 1e-9:
            before = trackers["late"].counters.late
        detections += sum(row[2].n_detections for row in fresh)
    total = SENSORS * RATE_HZ * seconds
    ms = {name: 1e3 * spent[name] / count[name] for name in trackers}
    share = (trackers["late"].counters.late - before) / count["late"]
    quality = {
        name: scored(one, seconds, crowd.position, C_M) / math.sqrt(TARGETS)
        for name, one in trackers.items()
    }
    ratio = ms["late"] / ms["sorted"]
    print(f"\n{SENSORS} sensors x {RATE_HZ} Hz, {1e3 * JITTER_S:.0f} ms jitter")
    print(f"  {detections / total:.1f} detections a report, {share:.0%} counted late")
    print(f"  CPU ms per report: late {ms['late']:.3f}, sorted {ms['sorted']:.3f}: {ratio:.2f}")
    print(
        f"  GOSPA per root target at the end (c = {C_M:.0f} m): late {quality['late']:.2f}, "
        f"sorted {quality['sorted']:.2f}"
    )
    return {
        "late_ms_per_report": round(ms["late"], 4),
        "sorted_ms_per_report": round(ms["sorted"], 4),
        "late_ratio": round(ratio, 3),
        "late_share": round(share, 3),
        "gospa_late": round(quality["late"], 3),
        "gospa_sorted": round(quality["sorted"], 3),
    }


def _slices(
    crowd: Crowd, stands: Floats, seconds: float
) -> Iterator[tuple[float, list[tuple[float, float, Detections]]]]:
    """End of each slice, and its reports (time, arrival, report) in order of time.

    Within a slice movers stand where they are at each report's own time.
    """
    rng = crowd.rng
    period = 1.0 / RATE_HZ
    phases = np.sort(rng.uniform(0.0, period, SENSORS))
    turns = rng.permutation(SENSORS)
    now = 0.0
    for slot in range(round(seconds * RATE_HZ)):
        rows = []
        for phase, sensor in zip(phases.tolist(), turns.tolist(), strict=True):
            at = slot * period + phase
            crowd.advance(at - now)
            now = at
            arrives = at + float(rng.uniform(0.0, JITTER_S))
            close = np.linalg.norm(crowd.position - stands[sensor], axis=1) < REACH_M
            points = crowd.noisy(SIGMA_M, close & crowd.seen(PD))
            clutter = _disc(stands[sensor], rng)
            columns = positions(np.concatenate([points, clutter]), SIGMA_M)
            rows.append((at, arrives, report(sensor, at, columns, received=arrives)))
        yield (slot + 1) * period, rows
    crowd.advance(seconds - now)


def _disc(stand: Floats, rng: np.random.Generator) -> Floats:
    count = rng.poisson(CLUTTER)
    away = REACH_M * np.sqrt(rng.random(count))
    course = rng.uniform(0.0, 2.0 * np.pi, count)
    points: Floats = stand + away[:, None] * np.stack([np.sin(course), np.cos(course)], axis=1)
    return points


def _sensor(number: int, east: float, north: float) -> Sensor:
    return Sensor(
        f"s{number}",
        position=place(east, north),
        detection_probability=DetectionProbability((0.0,), (PD,)),
        clutter_density_m2=CLUTTER / (math.pi * REACH_M**2),
        coverage=Coverage((0.0, REACH_M)),
        period_s=1.0 / RATE_HZ,
        sigmas=Sigmas(horizontal_m=SIGMA_M),
    )
