"""The Autoferry recordings: a ferry's radar, lidar, daylight and infrared cameras in a harbour.

Five recordings with two target vessels whose places are known; much else is about that nobody
surveyed. GOSPA c = 20 m, p = 2, from the sixth radar or lidar report on, after radar and lidar
reports only, as in the publications on these recordings; *near* does not charge estimates farther
than 60 m from both targets.

Rows: radar alone, radar and lidar, and these with the cameras' bearings; each with the latencies of
the sensors file, and with none given.
"""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.peer import Peer, Plan, missing
from exercise.pictures import Picture, read_pictures
from exercise.scoring import Score, score
from exercise.truth import Truth, read_truth, surface_ecef
from model.frames import Region
from vedette.cli import main as vedette

SCENARIOS = ("02", "03", "04", "13", "17")
SENSORS = Path(__file__).parent.parent / "config" / "examples" / "autoferry.toml"
SCORED = frozenset({"radar", "lidar"})

KEPT = ("gospa", "near_gospa", "id_switches", "ospa", "miss", "false", "rmse")

PUBLISHED = "VIMMJIPDA, radar and lidar, as published: raw 13.41, near 13.33"
"""The tracker of the group that recorded the data; stated by others, not measured here."""

PEER_SIGMA_M = {"radar": 8.0, "lidar": 3.0}
PEER_PLANS = {
    "raw": Plan("gnn", 0.1, speed_mps=3.0, sigma_m=8.0, hits=4, misses=10),
    "near": Plan("gnn", 0.1, speed_mps=3.0, sigma_m=8.0, hits=4, misses=10, tentative_misses=10),
}
"""The best of seventeen settings (hits 3 to 6, misses 6 to 16) for each of the two figures."""


@dataclass(frozen=True, slots=True)
class Row:
    """One way to run all recordings.

    Parameters
    ----------
    name
        Key of the results.
    sensors
        Which of them are heard.
    latency
        Whether the sensors file gives latencies.
    """

    name: str
    sensors: tuple[str, ...]
    latency: bool


CLOSE = ("radar", "lidar")
ALL = ("radar", "lidar", "eo", "ir")
ROWS = (
    Row("radar, latency", ("radar",), latency=True),
    Row("radar+lidar", CLOSE, latency=False),
    Row("radar+lidar, latency", CLOSE, latency=True),
    Row("all", ALL, latency=False),
    Row("all, latency", ALL, latency=True),
)


def run() -> dict[str, Any]:
    """Measure; returns scores by row and recording."""
    root = Path(os.environ.get("VEDETTE_TEST_DATA", "")) / "autoferry"
    print("\nautoferry recordings, GOSPA c = 20 m; near / raw, id switches")
    if not os.environ.get("VEDETTE_TEST_DATA") or not root.is_dir():
        nowhere = "VEDETTE_TEST_DATA names no folder with them"
        print(f"  not measured: {nowhere}")
        return {"not_measured": nowhere}
    truths = {name: read_truth(root / f"scenario{name}" / "truth.jsonl") for name in SCENARIOS}
    print(f"  {'':22s}{''.join(f'{name:>14s}' for name in SCENARIOS)}{'mean':>15s}  switches")
    result: dict[str, Any] = {}
    for row in ROWS:
        result[row.name] = _row(row.name, [_own(row, root, name, truths[name]) for name in truths])
    if why := missing():
        print(f"  Stone Soup             not measured: {why}")
        result["stonesoup"] = {"not_measured": why}
    else:
        for best, plan in PEER_PLANS.items():
            scores = [_peer(plan, root, name, truths[name]) for name in truths]
            result[f"stonesoup radar+lidar, {best}"] = _row(f"Stone Soup, best {best}", scores)
    for with_latency in ("", ", latency"):
        without, with_bearings = result[f"radar+lidar{with_latency}"], result[f"all{with_latency}"]
        for key in ("gospa", "near_gospa"):
            worse = [n for n in SCENARIOS if with_bearings[n][key] > without[n][key]]
            gain = round(without[f"mean_{key}"] - with_bearings[f"mean_{key}"], 3)
            result[f"bearings{with_latency} {key}"] = {"gain": gain, "worse": worse}
            print(
                f"  bearings{with_latency}: mean {key} better by {gain:.2f}; "
                f"worse in {', '.join(worse) or 'none'}"
            )
    print(f"  {PUBLISHED}")
    return result


def _row(name: str, scores: Sequence[Score]) -> dict[str, Any]:
    row: dict[str, Any] = {
        scenario: {key: round(getattr(one, key), 3) for key in KEPT}
        for scenario, one in zip(SCENARIOS, scores, strict=True)
    }
    for key in ("gospa", "near_gospa"):
        row[f"mean_{key}"] = round(float(np.mean([getattr(one, key) for one in scores])), 3)
    row["id_switches"] = sum(one.id_switches for one in scores)
    cells = "".join(f"{f'{s.near_gospa:.1f} / {s.gospa:.1f}':>14s}" for s in scores)
    mean = f"{row['mean_near_gospa']:.2f} / {row['mean_gospa']:.2f}"
    print(f"  {name:22s}{cells}{mean:>15s}{row['id_switches']:10d}", flush=True)
    return row


def _own(row: Row, root: Path, name: str, truth: Truth) -> Score:
    """Through the command, on files: what anybody can do again."""
    with tempfile.TemporaryDirectory() as scratch:
        reports, sensors, out = (Path(scratch) / n for n in ("r.jsonl", "s.toml", "p.jsonl"))
        lines = (root / f"scenario{name}" / "reports.jsonl").read_bytes().splitlines(keepends=True)
        wanted = [line for line in lines if _head(line).sensor in row.sensors]
        reports.write_bytes(b"".join(wanted))
        text = SENSORS.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in text if row.latency or not line.startswith("latency_s")]
        sensors.write_text("".join(kept), encoding="utf-8")
        status = vedette(["track", "--sensors", str(sensors), str(reports), "--out", str(out)])
        assert status == 0, f"vedette track ended with {status}"
        return score(truth, read_pictures(out), at=SCORED)


class _Detection(msgspec.Struct):
    lat: float = float("nan")
    lon: float = float("nan")


class _Report(msgspec.Struct):
    sensor: str
    time: float
    detections: list[_Detection]


class _Head(msgspec.Struct):
    sensor: str


def _head(line: bytes) -> _Head:
    return msgspec.json.decode(line, type=_Head)


def _peer(plan: Plan, root: Path, name: str, truth: Truth) -> Score:
    """Stone Soup over the same radar and lidar reports, in order of time."""
    lines = (root / f"scenario{name}" / "reports.jsonl").read_bytes().splitlines()
    wanted = [line for line in lines if _head(line).sensor in SCORED]
    reports = sorted(
        (msgspec.json.decode(line, type=_Report) for line in wanted), key=lambda one: one.time
    )
    first = next(one.detections[0] for one in reports if one.detections)
    region = Region(*np.radians([first.lat, first.lon]).tolist())
    peer, pictures = Peer(plan), []
    for report in reports:
        degrees = np.array([[d.lat, d.lon] for d in report.detections]).reshape(-1, 2)
        points = region.enu_from_ecef(surface_ecef(degrees))[:, :2]
        seconds = report.time - reports[0].time
        tracks = peer.step(points, seconds, PEER_SIGMA_M[report.sensor])
        east, north = tracks.position.T
        shown = region.geodetic_from_plane(east, north, np.zeros(len(east)))
        ecef = surface_ecef(np.degrees(shown[:, :2]))
        pictures.append(Picture(round(report.time * 1e9), report.sensor, tracks.ids, ecef))
    return score(truth, pictures)
