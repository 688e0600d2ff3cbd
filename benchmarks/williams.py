"""Four targets that meet: the scenario of Williams, as PMBM filters are compared on it.

At the middle of 81 scans all four are within a metre of one another; their states then are drawn
from N((150, 0, 150, 0), 0.1 I) and run forward and backward. One of them dies right there. GOSPA
c = 10 m, p = 2, alpha = 2; the figure is the root of the mean square over all scans and runs.

References
----------
J. L. Williams, "Marginal multi-Bernoulli filters: RFS derivation of MHT, JIPDA, and
association-based MeMBer", IEEE Trans. AES 51(3), 2015, doi:10.1109/TAES.2015.130550.
Á. F. García-Fernández, J. L. Williams, K. Granström, L. Svensson, "Poisson multi-Bernoulli mixture
filter: direct derivation and implementation", IEEE Trans. AES 54(4), 2018,
doi:10.1109/TAES.2018.2805153.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.crowd import Crowd
from benchmarks.peer import Peer, Plan, missing
from benchmarks.reports import REGION, place, positions, report
from benchmarks.shown import distance_gospa, scored
from benchmarks.standard import Scan
from fusion import Tracker
from model.sensors import Coverage, DetectionProbability, Sensor, Sensors, Sigmas

TARGETS = 4
STEPS = 81
MIDDLE = 40
SIDE_M = 300.0
SPREAD = 0.1
"""Variance of the states in the middle, m² and m²/s²."""

DENSITY = 0.02
SIGMA_M = 1.0
PD = 0.9
CLUTTER = 10.0
C_M = 10.0

SENSORS = Sensors(
    [
        Sensor(
            "radar",
            position=place(SIDE_M / 2.0, SIDE_M / 2.0),
            detection_probability=DetectionProbability((0.0,), (PD,)),
            clutter_density_m2=CLUTTER / SIDE_M**2,
            coverage=Coverage((0.0, SIDE_M)),
            sigmas=Sigmas(horizontal_m=SIGMA_M),
        )
    ]
)


def scans(seed: int) -> Iterator[Scan]:
    """Scans of one run."""
    rng = np.random.default_rng([seed, TARGETS])
    middle = np.array([150.0, 150.0]) + rng.normal(0.0, np.sqrt(SPREAD), (TARGETS, 2))
    velocity = rng.normal(0.0, np.sqrt(SPREAD), (TARGETS, 2))
    # Backward in time is forward with the velocities turned round.
    forward = Crowd(middle, velocity, DENSITY, rng)
    backward = Crowd(middle, -velocity, DENSITY, rng)
    places = [middle]
    for _ in range(MIDDLE):
        backward.advance(1.0)
        places.insert(0, backward.position)
    for _ in range(STEPS - MIDDLE - 1):
        forward.advance(1.0)
        places.append(forward.position)
    for step, position in enumerate(places):
        truth = position if step < MIDDLE else position[1:]
        seen = truth[rng.random(len(truth)) < PD]
        points = np.concatenate(
            [
                seen + rng.normal(0.0, SIGMA_M, seen.shape),
                rng.uniform(0.0, SIDE_M, (rng.poisson(CLUTTER), 2)),
            ]
        )
        points = points[rng.permutation(len(points))]
        one = report(0, float(step), positions(points, SIGMA_M), offset=step)
        yield Scan(one, points, truth)


def run(runs: int, peer_runs: int) -> dict[str, Any]:
    """Measure; returns RMS GOSPA over so many runs, and over those that Stone Soup makes too."""
    own = _rms([_own(seed) for seed in range(runs)])
    result: dict[str, Any] = {"runs": runs, "rms_gospa": round(own, 3)}
    print(f"\nfour targets that meet (Williams), RMS GOSPA, c = {C_M:.0f} m")
    print(f"  Vedette                      {own:6.2f}   {runs} runs")
    if why := missing():
        print(f"  Stone Soup                   not measured: {why}")
        return result | {"not_measured": why}
    same = _rms([_own(seed) for seed in range(peer_runs)])
    print(f"  Vedette, the first runs      {same:6.2f}   {peer_runs} runs")
    result |= {"peer_runs": peer_runs, "same_runs_rms_gospa": round(same, 3)}
    for name, association in (("GNN", "gnn"), ("JPDA (EHM2)", "jpda")):
        value = _rms([_peer(seed, association) for seed in range(peer_runs)])
        print(f"  Stone Soup {name:16s}  {value:6.2f}   {peer_runs} runs", flush=True)
        result[f"stonesoup_{association}_rms_gospa"] = round(value, 3)
    return result


def _own(seed: int) -> list[float]:
    tracker = Tracker(SENSORS, REGION)
    values = []
    for step, scan in enumerate(scans(seed)):
        tracker.step(scan.report)
        values.append(scored(tracker, float(step), scan.truth, C_M))
    return values


def _peer(seed: int, association: str) -> list[float]:
    clutter = CLUTTER / SIDE_M**2
    plan = Plan(association, DENSITY, 1.0, SIGMA_M, pd=PD, clutter_m2=clutter, hits=4)
    peer = Peer(plan)
    values = []
    for step, scan in enumerate(scans(seed)):
        tracks = peer.step(scan.points, float(step), SIGMA_M)
        values.append(distance_gospa(scan.truth, tracks.position, C_M))
    return values


def _rms(runs: list[list[float]]) -> float:
    return float(np.sqrt(np.mean(np.square(runs))))
