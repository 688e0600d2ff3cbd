"""Accuracy: the standard scenario, and the Autoferry recordings where they are to be had.

GOSPA p = 2, alpha = 2, causal. Beside each figure of the standard scenario stands the same tracker
with its existence logic replaced by counting hits and misses (confirm at 3 hits, give up after 4
misses), so that one run shows what existence is worth.
"""

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.standard import REGION, START_NS, scans, sensor
from exercise.metrics import gospa
from exercise.pictures import read_pictures
from exercise.scoring import score
from exercise.truth import read_truth
from fusion import Settings, Tracker
from vedette.cli import main as vedette

SEEDS = (20_241_122, 1, 2, 3)
SCENARIOS = ("02", "03", "04", "13", "17")


def run() -> dict[str, Any]:
    """Measure; returns the rows that were printed."""
    results: dict[str, Any] = {"standard": _standard()}
    data = os.environ.get("VEDETTE_TEST_DATA")
    if data and (Path(data) / "autoferry").is_dir():
        results["autoferry"] = _autoferry(Path(data) / "autoferry")
    else:
        print("autoferry: VEDETTE_TEST_DATA names no folder with it; not measured")
    return results


def _standard() -> dict[str, Any]:
    rows = {}
    counting = Settings(confirm_hits=3, start_llr=0.0, confirm_llr=-1e9, cap_llr=1.0, drop_llr=-8.0)
    print("standard scenario        GOSPA   counting   ratio")
    for name, targets, spacing, c in (
        ("N=200", 200, 500.0, 100.0),
        ("N=50 dense", 50, 150.0, 50.0),
    ):
        own = _mean_gospa(targets, spacing, c, replace(Settings(), acceleration_density=1.0))
        other = _mean_gospa(targets, spacing, c, replace(counting, acceleration_density=1.0))
        print(f"{name:22s}  {own:6.1f}  {other:9.1f}  {own / other:6.2f}")
        rows[name] = {"gospa": round(own, 2), "counting": round(other, 2)}
    return rows


def _mean_gospa(targets: int, spacing: float, c: float, settings: Settings) -> float:
    values = []
    for seed in SEEDS:
        tracker = Tracker(sensor(targets, spacing), REGION, settings=settings)
        for step, scan in enumerate(scans(targets, 60, seed, spacing)):
            tracker.step(scan.report)
            if step < 10:
                continue
            shown = tracker.picture(START_NS + step * 1_000_000_000)
            flat = np.column_stack([shown.state[:, :2], np.zeros(len(shown))])
            plane = REGION.enu_from_geodetic(flat)[:, :2]
            distance = np.linalg.norm(scan.truth[:, None] - plane[None], axis=2)
            values.append(gospa(distance, c).value)
    return float(np.mean(values))


def _autoferry(folder: Path) -> dict[str, Any]:
    sensors = Path(__file__).parent.parent / "config" / "examples" / "autoferry.toml"
    rows: dict[str, Any] = {}
    print("\nautoferry, all sensors   GOSPA    near   miss  false   rmse  switches")
    with tempfile.TemporaryDirectory() as scratch:
        for name in SCENARIOS:
            at = folder / f"scenario{name}"
            out = Path(scratch) / f"{name}.jsonl"
            status = vedette(
                ["track", "--sensors", str(sensors), str(at / "reports.jsonl"), "--out", str(out)]
            )
            assert status == 0
            result = score(
                read_truth(at / "truth.jsonl"), read_pictures(out), at={"radar", "lidar"}
            )
            rows[name] = {
                "gospa": result.gospa,
                "near_gospa": result.near_gospa,
                "id_switches": result.id_switches,
            }
            print(
                f"scenario {name:12s}  {result.gospa:7.2f} {result.near_gospa:7.2f} "
                f"{result.miss:6.2f} {result.false:6.2f} {result.rmse:6.2f} {result.id_switches:9d}"
            )
    for key in ("gospa", "near_gospa"):
        rows[f"mean_{key}"] = float(np.mean([rows[name][key] for name in SCENARIOS]))
    rows["id_switches"] = sum(rows[name]["id_switches"] for name in SCENARIOS)
    print(
        f"mean                   {rows['mean_gospa']:7.2f} {rows['mean_near_gospa']:7.2f}"
        f"   (authors' tracker, as stated by others: near 13.3)"
    )
    return rows
