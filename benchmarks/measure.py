"""Microseconds of CPU to make reports measurements: one alone, many at once, and a great one.

Beside them, what it takes to ask where a sensor would have detected ten thousand tracks.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from fusion.measure import scans_of
from fusion.pd_kernel import pd_plane
from model.detections import SCHEMA, DetectionKind, Detections
from model.frames import Region
from model.sensors import Coverage, DetectionProbability, Sensor, Sensors

REGION = Region(1.03, 0.42, 50_000.0)
SIZES = ((1, 1), (1, 10), (1_000, 1), (1_000, 10), (1, 100_000))
"""Reports in a call, and detections in each."""

KINDS = (DetectionKind.POSITION, DetectionKind.ZONE, DetectionKind.POLAR, DetectionKind.BEARING)
TRACKS = 10_000
ROUNDS = 15


def run() -> dict[str, Any]:
    """Measure; returns ``{"position 1000x10": {"us_per_report", "ns_per_detection"}, ...}``."""
    table = Sensors(
        [
            Sensor(
                "radar",
                position=(1.03, 0.42, 20.0),
                coverage=Coverage((100.0, 20_000.0), (0.5, 4.0)),
                detection_probability=DetectionProbability((0.0, 5e3, 2e4), (0.95, 0.9, 0.4)),
            )
        ]
    )
    results: dict[str, Any] = {}
    print("kind      reports x detections  us/report  ns/detection")
    for kind in KINDS:
        for count, each in SIZES:
            batch = _batch(kind, count, each)
            spent = _least(partial(scans_of, batch, table, REGION))
            us, ns = 1e6 * spent / count, 1e9 * spent / (count * each)
            print(f"{kind.name.lower():9s}{count:8d} x {each:<10d}{us:11.2f}{ns:14.0f}")
            results[f"{kind.name.lower()} {count}x{each}"] = {
                "us_per_report": round(us, 2),
                "ns_per_detection": round(ns),
            }
    scan = scans_of(_batch(KINDS[0], 1, 1), table, REGION)[0]
    place = np.random.default_rng(1).uniform(-2e4, 2e4, (TRACKS, 2))
    height = np.full(TRACKS, np.nan)
    asked = (scan.view, scan.look, table, 0, REGION)
    for count in (10, TRACKS):
        near, high = place[:count], height[:count]
        us = 1e6 * _least(partial(pd_plane, *asked, near, high, scan.time))
        print(f"pd of {count} tracks: {us:.1f} us")
        results[f"pd {count}"] = {"us": round(us, 1)}
    return results


def _least(call: Callable[[], Any]) -> float:
    """CPU seconds of one call, in the quickest of several rounds of a millisecond or more."""
    call()
    start = time.process_time()
    call()
    repeats = max(1, round(1e-3 / (time.process_time() - start)))
    rounds = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(repeats):
            call()
        rounds.append((time.process_time() - start) / repeats)
    return min(rounds)


def _batch(kind: DetectionKind, count: int, each: int) -> Detections:
    rng = np.random.default_rng(7)
    lengths = {"report": count, "detection": count * each, "vertex": 0}
    columns = {name: column.empty(lengths[column.axis]) for name, column in SCHEMA.items()}
    total = count * each
    columns["sensor"][:] = 0
    columns["offset"][:] = np.arange(count)
    columns["report"][:] = np.repeat(np.arange(count), each)
    columns["kind"][:] = kind
    if kind in (DetectionKind.POSITION, DetectionKind.ZONE):
        columns["position"][:, 0] = REGION.latitude + rng.uniform(-1e-3, 1e-3, total)
        columns["position"][:, 1] = REGION.longitude + rng.uniform(-1e-3, 1e-3, total)
        columns["radius"][:] = 50.0
        columns["velocity"][:, :2] = rng.normal(0.0, 9.0, (total, 2))
    else:
        columns["polar"][:, 0] = rng.uniform(100.0, 20_000.0, total)
        columns["polar"][:, 1] = rng.uniform(0.0, 6.0, total)
        columns["polar"][:, 2] = rng.uniform(0.0, 0.1, total)
        columns["polar"][:, 3] = rng.normal(0.0, 9.0, total)
    columns["identity_kind"][:] = 2
    columns["identity"][:] = b"230000001"
    return Detections(**columns).check()
