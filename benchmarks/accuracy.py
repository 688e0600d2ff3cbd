"""Accuracy: scenarios made here and recordings made by others, one set of defaults for all.

Every tracker here has the default settings of `fusion`; what differs between scenarios is only what
the sensors' own descriptions say. All scores are causal: what was shown at a time, held against the
truth of that time. Beside them stands Stone Soup on the same scans, where it can do the task; it
has no filter for late data of several targets, no registration and no existence logic but counting.
"""

from typing import Any

import numpy as np

from benchmarks import autoferry, classes, consistency, late, registration, williams
from benchmarks.peer import Peer, Plan, missing
from benchmarks.reports import REGION
from benchmarks.shown import distance_gospa, scored
from benchmarks.standard import CLUTTER_PER_TARGET, PD, SIGMA_M, Q, scans, sensor
from fusion import Tracker

SEEDS = (20_241_122, 1, 2, 3)
SCANS, FIRST_SCORED = 60, 10

STANDARD = {"N=200": (200, 500.0, 100.0), "N=50 dense": (50, 150.0, 50.0)}
"""Targets, spacing m, and the cut-off of GOSPA m."""

PEERS = {"N=200": ("kdtree",), "N=50 dense": ("kdtree", "jpda")}
"""Stone Soup's associations; its JPDA does not finish N = 200 in reasonable time."""

FULL_ONLY = {"jpda"}


def run(*, full: bool = False) -> dict[str, Any]:
    """Measure; returns the rows that were printed.

    Parameters
    ----------
    full
        All seeds and runs, also of Stone Soup: some ten minutes instead of three.
    """
    return {
        "standard": _standard(full=full),
        "williams": williams.run(*((100, 20) if full else (20, 3))),
        "late": late.run(8 if full else 2),
        "classes": classes.run(4 if full else 1),
        "consistency": consistency.run(5 if full else 1),
        "registration": registration.run(4 if full else 1),
        "autoferry": autoferry.run(),
    }


def _standard(*, full: bool) -> dict[str, Any]:
    print("standard scenario, GOSPA (mean of scans from the tenth on)")
    rows: dict[str, Any] = {}
    why = missing()
    for name, (targets, spacing, c) in STANDARD.items():
        values = {seed: _own(targets, spacing, c, seed) for seed in SEEDS}
        own = float(np.mean(list(values.values())))
        rows[name] = {"gospa": round(own, 2), "c_m": c, "seeds": len(SEEDS)}
        print(f"  {name:10s} c = {c:3.0f} m   Vedette {own:6.1f}   {len(SEEDS)} seeds", flush=True)
        if why:
            print(f"  {'':10s}             Stone Soup not measured: {why}")
            rows[name]["not_measured"] = why
            continue
        seeds = SEEDS if full else SEEDS[:1]
        same = float(np.mean([values[seed] for seed in seeds]))
        rows[name] |= {"peer_seeds": len(seeds), "same_seeds_gospa": round(same, 2)}
        for association in PEERS[name]:
            if association in FULL_ONLY and not full:
                continue
            # Its best: four hits where false tracks are many.
            results = [_peer(targets, spacing, c, seed, association) for seed in seeds]
            value = float(np.mean(results))
            rows[name][f"stonesoup_{association}_gospa"] = round(value, 2)
            print(
                f"  {'':10s}             Stone Soup {association} {value:6.1f}   beside Vedette "
                f"{same:6.1f}   {len(seeds)} seeds",
                flush=True,
            )
    return rows


def _own(targets: int, spacing: float, c: float, seed: int) -> float:
    tracker = Tracker(sensor(targets, spacing), REGION)
    values = []
    for step, scan in enumerate(scans(targets, SCANS, seed, spacing)):
        tracker.step(scan.report)
        if step >= FIRST_SCORED:
            values.append(scored(tracker, float(step), scan.truth, c))
    return float(np.mean(values))


def _peer(targets: int, spacing: float, c: float, seed: int, association: str) -> float:
    plan = Plan(
        association,
        Q,
        speed_mps=20.0,
        sigma_m=SIGMA_M,
        pd=PD,
        clutter_m2=CLUTTER_PER_TARGET / spacing**2,
        hits=4,
    )
    peer = Peer(plan)
    values = []
    for step, scan in enumerate(scans(targets, SCANS, seed, spacing)):
        tracks = peer.step(scan.points, float(step), SIGMA_M)
        if step >= FIRST_SCORED:
            values.append(distance_gospa(scan.truth, tracks.position, c))
    return float(np.mean(values))
