"""What fusion costs: CPU of one core, warm-up left out, beside Stone Soup and a fused C loop.

The standard scenario at N = 1,000, 10,000 and 100,000; local reports over 10,000 live tracks; late
reports against the same reports in order. The tracker has its default settings: everything on. The
C loop (`floor.c`) predicts as many tracks as the tracker holds, gates them over a grid and updates
each once with the same detections; it is one pass over the same arrays, and no tracker.
"""

from typing import Any

import numpy as np

from benchmarks import jitter, local
from benchmarks.floor import Floor, packed
from benchmarks.peer import Peer, Plan, missing
from benchmarks.reports import REGION
from benchmarks.same import C_M, SEED, cpu_s, in_a_process, same
from benchmarks.shown import distance_gospa, shown
from benchmarks.standard import SIGMA_M, Q, scans, sensor
from fusion import Tracker
from model.arrays import Floats

SIZES = {1_000: 24, 10_000: 16, 100_000: 13}
"""Targets, and scans run of each."""

FULL_SIZES = {1_000: 40, 10_000: 30, 100_000: 20}

WARM_UP = 10
"""Scans before measuring: by then all is compiled and births and deaths are in balance."""

PEER_TARGETS = 1_000
PEER_SCANS, FULL_PEER_SCANS = 13, 20
VELOCITY_SIGMA_MPS = 20.0
"""Of tentative tracks, which no picture shows, in the C loop."""


def run(*, full: bool = False) -> dict[str, Any]:
    """Measure; returns what was printed.

    Parameters
    ----------
    full
        More scans and reports: several minutes.
    """
    sizes = FULL_SIZES if full else SIZES
    rows = {str(targets): scan_rows(targets, count) for targets, count in sizes.items()}
    _beside_stone_soup(rows[str(PEER_TARGETS)], FULL_PEER_SCANS if full else PEER_SCANS)
    least, most = (rows[str(f(sizes))]["ns_per_detection"] for f in (min, max))
    growth = most / least
    print(f"  ns per detection, {max(sizes):,} against {min(sizes):,}: {growth:.2f}")
    reports = local.run(reports=1_000 if full else 200)
    late = jitter.run(seconds=10.0 if full else 4.0)
    return {
        "n": rows,
        "ns_per_detection_growth": round(growth, 3),
        "ms_per_report": reports["single"],
        "ms_per_report_batched": reports["batched"],
        "live_tracks": reports["live_tracks"],
        "late_ratio": late["late_ratio"],
        "late": late,
    }


def scan_rows(targets: int, count: int) -> dict[str, Any]:
    """One size: the tracker and the C loop, scan by scan."""
    if targets == min(SIZES):
        print("targets   tracks   ms/scan   ns/detection   C loop ms   multiple")
    tracker = Tracker(sensor(targets), REGION)
    floor, why = _floor()
    own, least, detections, tracks = [], [], 0, 0
    previous: Floats = np.zeros((0, 2))
    for step, scan in enumerate(scans(targets, count, SEED)):
        if step >= WARM_UP:
            arrays = _arrays(tracker, previous, step - 1)
            tracks = arrays.shape[1]
            if floor is not None:
                least.append(floor.scan(arrays, scan.points, SIGMA_M, 1.0, Q)[0])
        spent = cpu_s(tracker, scan)
        if step >= WARM_UP:
            own.append(spent)
            detections += scan.report.n_detections
        previous = scan.points
    ms = 1e3 * float(np.median(own))
    per_detection = 1e9 * ms / 1e3 * len(own) / detections
    row: dict[str, Any] = {
        "ms_per_scan": round(ms, 4),
        "ns_per_detection": round(per_detection, 1),
        "tracks": tracks,
    }
    text = f"{targets:7,d} {tracks:8,d} {ms:9.3f} {per_detection:14.0f}"
    if floor is None:
        print(f"{text}   not measured: {why}", flush=True)
        return row | {"not_measured": why}
    c_ms = 1e3 * float(np.median(least))
    print(f"{text} {c_ms:11.3f} {ms / c_ms:10.1f}", flush=True)
    return row | {"c_loop_ms_per_scan": round(c_ms, 4), "c_loop_multiple": round(ms / c_ms, 2)}


def _floor() -> tuple[Floor | None, str]:
    try:
        return Floor(), ""
    except RuntimeError as error:
        return None, str(error)


def _arrays(tracker: Tracker, points: Floats, step: int) -> Floats:
    """As many tracks as the tracker holds: those it shows, the tentative ones on detections."""
    seen = shown(tracker, float(step))
    tentative = tracker.census().get("tentative", 0)
    chosen = np.resize(np.arange(len(points)), tentative)
    state = np.zeros((tentative, 4))
    state[:, :2] = points[chosen]
    variances = [SIGMA_M**2] * 2 + [VELOCITY_SIGMA_MPS**2] * 2
    covariance = np.tile(np.diag(variances), (tentative, 1, 1))
    return packed(
        np.concatenate([seen.state, state]), np.concatenate([seen.covariance, covariance])
    )


def _beside_stone_soup(row: dict[str, Any], count: int) -> None:
    """Add the figures of the same scans through Stone Soup, and what both made of them."""
    print(f"  N = {PEER_TARGETS:,} beside Stone Soup's KD-tree GNN (3 hits, 4 misses):")
    if why := missing():
        print(f"    not measured: {why}")
        row |= {"stonesoup_ms_per_scan": None, "ratio": None, "stonesoup_not_measured": why}
        return
    peer = Peer(Plan("kdtree", Q, speed_mps=20.0, sigma_m=SIGMA_M))
    spent, theirs = [], []
    for step, scan in enumerate(scans(PEER_TARGETS, count, SEED)):
        tracks = peer.step(scan.points, float(step), SIGMA_M)
        if step >= WARM_UP:
            spent.append(tracks.cpu_s)
            theirs.append(distance_gospa(scan.truth, tracks.position, C_M))
    ms = 1e3 * float(np.median(spent))
    row |= {
        "stonesoup_ms_per_scan": round(ms, 1),
        "stonesoup_gospa": round(float(np.mean(theirs)), 1),
    }
    print(f"    Stone Soup        {ms:9.1f} ms/scan             GOSPA {np.mean(theirs):6.1f}")
    for name, prefix in (("everything on", ""), ("one model", "one_model_")):
        asked = (PEER_TARGETS, count, WARM_UP)
        mine, cpu = in_a_process(1, *asked) if prefix else same(*asked)
        row |= {f"{prefix}gospa": round(mine, 1), f"{prefix}ratio": round(ms / cpu, 1)}
        row[f"{prefix}ms_per_scan"] = round(cpu, 4)
        print(f"    {name:16s}  {cpu:9.3f} ms/scan  {ms / cpu:7.0f} x   GOSPA {mine:6.1f}")
