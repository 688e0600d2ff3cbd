"""Milliseconds per scan of the standard scenario, beside the bare arithmetic on the same arrays.

The floor beside it does, once per scan: predict, a KD-tree gate and one update of every track, with
no association, no existence, no life cycle and no output. The ratio says what the rest costs.
"""

import time
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from benchmarks.standard import REGION, scans, sensor
from fusion import Tracker, kalman
from model.arrays import Floats

SIZES = {100: 40, 1_000: 25, 10_000: 12}
"""Targets, and scans run of each; the first ten are warm-up (tracks are still being confirmed)."""

WARM_UP = 10


def run() -> dict[str, Any]:
    """Measure; returns ``{"n": {"100": {"ms_per_scan", "floor_ms_per_scan", "ratio", ...}}}``."""
    results: dict[str, Any] = {}
    print("targets  ms/scan  floor ms/scan  ratio  ns/detection")
    for targets, count in SIZES.items():
        own, floor, detections = [], [], 0
        tracker = Tracker(sensor(targets), REGION)
        for step, scan in enumerate(scans(targets, count, seed=20_241_122)):
            start = time.process_time()
            tracker.step(scan.report)
            spent = time.process_time() - start
            if step < WARM_UP:
                continue
            table = tracker.snapshot()["table"]
            own.append(spent)
            floor.append(_floor(table["x"], table["P"], scan.truth))
            detections += scan.report.n_detections
        ms, least = 1e3 * float(np.median(own)), 1e3 * float(np.median(floor))
        per_detection = 1e9 * sum(own) / detections
        print(f"{targets:7d}  {ms:7.2f}  {least:13.2f}  {ms / least:5.1f}  {per_detection:12.0f}")
        results[str(targets)] = {
            "ms_per_scan": round(ms, 3),
            "floor_ms_per_scan": round(least, 3),
            "ratio": round(ms / least, 2),
            "ns_per_detection": round(per_detection),
        }
    growth = results["10000"]["ns_per_detection"] / results["1000"]["ns_per_detection"]
    print(f"ns per detection, 10,000 against 1,000: {growth:.2f}")
    return {"n": results, "ns_per_detection_growth": round(growth, 3)}


def _floor(x: Floats, P: Floats, points: Floats) -> float:
    start = time.process_time()
    x, P = kalman.predict(x, P, np.ones(len(x)), 1.0)
    _, nearest = cKDTree(points).query(x[:, :2])
    R = np.broadcast_to(np.eye(2) * 100.0, (len(x), 2, 2))
    kalman.update_pair(x, P, points[nearest], R)
    return time.process_time() - start
