# ruff: noqa: INP001 - a script of the checkout, in no package
"""Draw every Autoferry recording with its truth and with what Vedette shows of it.

``PYTHONPATH=. python scripts/draw_recordings.py [FOLDER]`` in the checkout, with VEDETTE_TEST_DATA;
pictures go to ``docs/recordings`` or to the folder. Each recording goes through ``vedette track``
with all its sensors, so the pictures show what anybody gets who runs the command.
"""

import math
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from drawing import COLOURS, GREY, INK, WASH, Graph, Point, Sheet, ellipse

from exercise.metrics import gospa
from exercise.pictures import read_pictures
from exercise.scoring import Score, score
from exercise.truth import Truth, read_truth, surface_ecef
from model.arrays import Floats
from model.frames import Region
from vedette.cli import main as vedette

ROOT = Path(__file__).resolve().parents[1]
SENSORS = ROOT / "config" / "examples" / "autoferry.toml"
OUT = ROOT / "docs" / "recordings"

SCORED = frozenset({"radar", "lidar"})
"""Pictures after reports of these are scored and drawn, as in the benchmarks."""

CUT_M = 20.0
"""A target farther than this from every track is missed (GOSPA's cut-off)."""

BREAK_S = 3.0
"""A line is broken where its track was not shown for so long."""

ELLIPSE_S = 10.0
MARK_S = 30.0
WIDTH = 900.0
MARGIN = 24.0
PANEL = 62.0
FARTHEST_M = 40.0
"""Top of the graphs of distances."""

At = Callable[[Any], Point]
"""From a place, east, north m, to the sheet."""


class _Track(msgspec.Struct):
    id: str
    status: str
    lat: float
    lon: float
    covariance_m2: list[float]


class _Line(msgspec.Struct):
    time: float
    sensor: str
    tracks: list[_Track]


class _Number(msgspec.Struct):
    track_id: str
    number: str


class _Origin(msgspec.Struct):
    lat: float
    lon: float


class _Report(msgspec.Struct):
    time: float
    sensor: str
    origin: _Origin | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """One track in one picture: seconds, where, and covariance."""

    seconds: float
    place: Point
    covariance: list[float]
    coasting: bool


@dataclass(frozen=True, slots=True)
class Recording:
    """What is drawn of one recording; places are east, north m, times s since its first report.

    Parameters
    ----------
    name
        Two digits.
    score
        Of all pictures of radar and lidar.
    targets
        Per target: seconds, east, north (K, 3).
    ferry
        (F, 3) the same.
    tracks
        By spoken number, in order of first appearance.
    nearest
        Per target: seconds, distance m, number of the nearest track, whether it counts as missed.
    spare
        Per track: seconds at which it was assigned to no target.
    seconds
        Length.
    """

    name: str
    score: Score
    targets: list[Floats]
    ferry: Floats
    tracks: dict[str, list[Shown]]
    nearest: list[list[tuple[float, float, str, bool]]]
    spare: dict[str, list[float]]
    seconds: float


def read(folder: Path) -> Recording:
    """Track one recording and gather what is to be drawn."""
    reports = [
        msgspec.json.decode(line, type=_Report)
        for line in (folder / "reports.jsonl").read_bytes().splitlines()
    ]
    truth = read_truth(folder / "truth.jsonl")
    with tempfile.TemporaryDirectory() as scratch:
        out, updates = Path(scratch) / "pictures.jsonl", Path(scratch) / "updates.jsonl"
        command = ["track", "--sensors", str(SENSORS), str(folder / "reports.jsonl")]
        status = vedette([*command, "--out", str(out), "--updates", str(updates)])
        if status:
            raise SystemExit(f"vedette track ended with {status}")
        scored = score(truth, read_pictures(out), at=SCORED)
        lines = [msgspec.json.decode(line, type=_Line) for line in out.read_bytes().splitlines()]
        said = [
            msgspec.json.decode(line, type=_Number) for line in updates.read_bytes().splitlines()
        ]
    numbers = {one.track_id: one.number for one in said}
    lines = [line for line in lines if line.sensor in SCORED]
    begin = min(report.time for report in reports)
    origin = next(report.origin for report in reports if report.origin is not None)
    region = Region(math.radians(origin.lat), math.radians(origin.lon))

    def plane(lat_lon: Sequence[tuple[float, float]]) -> Floats:
        at: Floats = region.enu_from_ecef(surface_ecef(np.array(lat_lon).reshape(-1, 2)))[:, :2]
        return at

    tracks: dict[str, list[Shown]] = {}
    for line in lines:
        places = plane([(t.lat, t.lon) for t in line.tracks]).tolist()
        for track, place in zip(line.tracks, places, strict=True):
            tracks.setdefault(numbers[track.id], []).append(
                Shown(
                    line.time - begin, (place[0], place[1]), track.covariance_m2[:3],
                    track.status == "coasting",
                )
            )  # fmt: skip
    ferry = [(r.time - begin, r.origin.lat, r.origin.lon) for r in reports if r.origin is not None]
    way = plane([(lat, lon) for _, lat, lon in ferry])
    nearest, spare = _held(truth, lines, numbers, begin)
    return Recording(
        folder.name[-2:],
        scored,
        [
            np.column_stack(
                [truth.times[key] * 1e-9 - begin, region.enu_from_ecef(truth.ecef[key])[:, :2]]
            )
            for key in truth.times
        ],
        np.column_stack([[seconds for seconds, _, _ in ferry], way]),
        tracks,
        nearest,
        spare,
        max(report.time for report in reports) - begin,
    )


def _held(
    truth: Truth, lines: Sequence[_Line], numbers: dict[str, str], begin: float
) -> tuple[list[list[tuple[float, float, str, bool]]], dict[str, list[float]]]:
    """Pictures held against the truth: the nearest track of each target, and spare tracks."""
    times = np.array([round(line.time * 1e9) for line in lines], dtype=np.int64)
    known = truth.known(times)
    lines = [line for line, at in zip(lines, known.tolist(), strict=True) if at]
    times = times[known]
    _, ecef, there = truth.at(times)
    nearest: list[list[tuple[float, float, str, bool]]] = [[] for _ in truth.times]
    spare: dict[str, list[float]] = {}
    for index, line in enumerate(lines):
        seconds = line.time - begin
        targets = np.flatnonzero(there[index]).tolist()
        names = [numbers[track.id] for track in line.tracks]
        places = np.array([(t.lat, t.lon) for t in line.tracks]).reshape(-1, 2)
        apart = ecef[index, targets][:, None] - surface_ecef(places)[None]
        distance = np.sqrt((apart * apart).sum(axis=2))
        result = gospa(distance, CUT_M, 2.0)
        pairs = dict(zip(result.rows.tolist(), result.columns.tolist(), strict=True))
        for row, target in enumerate(targets):
            if row in pairs:
                column = pairs[row]
                near = (float(distance[row, column]), names[column], False)
            elif names:
                column = int(distance[row].argmin())
                near = (float(distance[row, column]), names[column], True)
            else:
                near = (math.inf, "", True)
            nearest[target].append((seconds, *near))
        for column, name in enumerate(names):
            if column not in pairs.values():
                spare.setdefault(name, []).append(seconds)
    return nearest, spare


def draw(recording: Recording, path: Path) -> None:
    """One picture: the map, and below it how far each target was from what is shown."""
    colour = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(recording.tracks)}
    everything = np.concatenate(
        [
            *(target[:, 1:] for target in recording.targets),
            recording.ferry[:, 1:],
            np.array([one.place for shown in recording.tracks.values() for one in shown]),
        ]
    )
    low, high = everything.min(axis=0) - 20.0, everything.max(axis=0) + 20.0
    scale = min((WIDTH - 2 * MARGIN) / (high[0] - low[0]), 640.0 / (high[1] - low[1]))
    tall = float(scale * (high[1] - low[1]))
    wide = float(scale * (high[0] - low[0]))
    top = 66.0
    rows = len(recording.targets) * (PANEL + 26.0) + 14.0 * max(len(recording.spare), 1) + 60.0
    sheet = Sheet(WIDTH, top + tall + rows + 20.0, f"Autoferry recording {recording.name}")
    left = 0.5 * (WIDTH - wide)

    def at(place: Any) -> Point:
        return (
            left + float(scale * (place[0] - low[0])),
            top + float(scale * (high[1] - place[1])),
        )

    _caption(sheet, recording)
    area = (MARGIN, top, WIDTH - 2 * MARGIN, tall)
    sheet.rect(*area, "#f4f8fa", "#c9d3d8")
    sheet.clip(area)
    _truth(sheet, recording, at)
    _ferry(sheet, recording, at)
    for name, shown in recording.tracks.items():
        _track(sheet, shown, colour[name], at)
    sheet.clip_no_more()
    _labels(sheet, recording, colour, at, area)
    _compass(sheet, float(scale), top, tall)
    _distances(sheet, recording, colour, top + tall + 40.0)
    sheet.save(path)


def _caption(sheet: Sheet, recording: Recording) -> None:
    s = recording.score
    sheet.text(MARGIN, 24, f"Autoferry recording {recording.name}", 17, bold=True)
    sheet.text(
        MARGIN, 43,
        f"GOSPA near / raw {s.near_gospa:.1f} / {s.gospa:.1f} m · id switches {s.id_switches} · "
        f"missed {s.miss:.2f} and false {s.false:.2f} per picture · "
        f"{s.pictures} pictures after radar or lidar reports", 12, GREY,
    )  # fmt: skip
    x, y = MARGIN, 58.0
    for name, width, dash, ink in (
        ("truth", 7.0, "", "#c4c4c4"), ("ferry", 1.5, "2 3", INK),
        ("track as shown", 2.0, "", COLOURS[0]), ("coasting", 2.0, "5 4", COLOURS[0]),
    ):  # fmt: skip
        sheet.line([(x, y - 4), (x + 26, y - 4)], ink, width, dash=dash)
        sheet.text(x + 32, y, name, 11, GREY)
        x += 48 + 6.2 * len(name)
    sheet.line([(px, y - 4 + py) for px, py in ellipse((x + 13, 0), 22, 0, 4)], COLOURS[0], 0.8,
               closed=True)  # fmt: skip
    sheet.text(x + 32, y, f"95 % of its covariance, every {ELLIPSE_S:.0f} s; "
               "letter and digits: spoken number; minutes:seconds", 11, GREY)  # fmt: skip


def _truth(sheet: Sheet, recording: Recording, at: At) -> None:
    for target in recording.targets:
        kept = target[np.unique(np.floor(target[:, 0] * 2.0), return_index=True)[1]]
        sheet.line([at(row[1:]) for row in kept], "#c4c4c4", 7.0)
        for _, place in _marks(recording, target):
            sheet.dot(*at(place), 2.5, "#7d7d7d")


def _marks(recording: Recording, target: Floats) -> list[tuple[float, Point]]:
    """Where a target was every half minute."""
    marks: list[tuple[float, Point]] = []
    for seconds in np.arange(0.0, recording.seconds + 0.1, MARK_S).tolist():
        row = target[np.abs(target[:, 0] - seconds).argmin()].tolist()
        if abs(row[0] - seconds) <= 1.0:
            marks.append((seconds, (row[1], row[2])))
    return marks


def _labels(
    sheet: Sheet, recording: Recording, colour: dict[str, str], at: At,
    area: tuple[float, float, float, float],
) -> None:  # fmt: skip
    """Names and times, each beside its point where it hides no other."""
    left, top, width, height = area
    taken: list[tuple[float, float, float, float]] = []

    def put(place: Point, text: str, size: float, ink: str, *, bold: bool) -> None:
        wide, best, least = 0.62 * size * len(text), place, math.inf
        for ring, (turn_x, turn_y) in enumerate(
            [(1, 0), (-1, 0), (1, -1), (-1, -1), (1, 1), (-1, 1), (0, -1.4), (0, 1.4)] * 2
        ):
            far = 9.0 if ring < 8 else 22.0
            x = place[0] + turn_x * far - (0.5 - 0.5 * turn_x) * wide
            y = place[1] + turn_y * far + 0.35 * size
            box = (x - 1, y - 0.8 * size, x + wide + 1, y + 2)
            hidden = sum(
                max(min(box[2], b[2]) - max(box[0], b[0]), 0.0)
                * max(min(box[3], b[3]) - max(box[1], b[1]), 0.0)
                for b in taken
            )
            out = box[0] < left or box[2] > left + width or box[1] < top or box[3] > top + height
            cost = hidden + (1000.0 if out else 0.0) + 0.1 * ring
            if cost < least:
                least, best = cost, (x, y)
        taken.append((best[0] - 1, best[1] - 0.8 * size, best[0] + wide + 1, best[1] + 2))
        sheet.text(*best, text, size, ink, bold=bold, halo=True)

    for target in recording.targets:
        x, y = at(target[0, 1:])
        taken.append((x - 9, y - 9, x + 9, y + 9))
    for number, target in enumerate(recording.targets, start=1):
        x, y = at(target[0, 1:])
        sheet.dot(x, y, 8, "#7d7d7d", "#ffffff")
        sheet.text(x, y + 4, str(number), 11, "#ffffff", anchor="middle", bold=True)
    x, y = at(recording.ferry[-1, 1:])
    taken.append((x - 6, y - 8, x + 6, y + 6))
    put((x, y), "ferry", 11, INK, bold=False)
    for name, shown in recording.tracks.items():
        put(at(shown[0].place), name, 12, colour[name], bold=True)
    for target in recording.targets:
        for seconds, place in _marks(recording, target):
            if seconds > 0.0:
                put(at(place), _clock(seconds), 10, GREY, bold=False)


def _ferry(sheet: Sheet, recording: Recording, at: At) -> None:
    ferry = recording.ferry[np.unique(np.floor(recording.ferry[:, 0]), return_index=True)[1]]
    places = [at(row[1:]) for row in ferry]
    sheet.line(places, INK, 1.5, dash="2 3")
    x, y = places[-1]
    sheet.line([(x - 5, y + 5), (x, y - 7), (x + 5, y + 5)], INK, 1.0, fill=INK, closed=True)


def _track(sheet: Sheet, shown: list[Shown], colour: str, at: At) -> None:
    for part in _parts(shown):
        if len(part) == 1:
            sheet.dot(*at(part[0].place), 2.0, colour)
        places = [at(one.place) for one in part]
        first = 0
        for index in range(1, len(part) + 1):
            if index == len(part) or part[index].coasting != part[first].coasting:
                stretch = places[max(first - 1, 0) : index]
                if len(stretch) > 1:
                    dash = "5 4" if part[first].coasting else ""
                    sheet.line(stretch, colour, 2.0, dash=dash)
                first = index
        last = -ELLIPSE_S
        for one in part:
            if one.seconds >= last + ELLIPSE_S:
                last = one.seconds
                sheet.line(
                    [at(p) for p in ellipse(one.place, *one.covariance)], colour, 0.8,
                    closed=True, opacity=0.75,
                )  # fmt: skip
        x, y = places[0]
        sheet.dot(x, y, 3.0, colour)


def _parts(shown: list[Shown]) -> list[list[Shown]]:
    """A track's appearances without a break."""
    parts: list[list[Shown]] = []
    for one in shown:
        if not parts or one.seconds - parts[-1][-1].seconds > BREAK_S:
            parts.append([])
        parts[-1].append(one)
    return parts


def _compass(sheet: Sheet, scale: float, top: float, tall: float) -> None:
    length = 100.0 if scale * 100.0 < 260.0 else 50.0
    x, y = MARGIN + 14.0, top + tall - 14.0
    sheet.line([(x, y - 5), (x, y), (x + length * scale, y), (x + length * scale, y - 5)], INK, 1.5)
    sheet.text(x + 6, y - 6, f"{length:.0f} m", 11, halo=True)
    x, y = WIDTH - MARGIN - 20.0, top + 40.0
    sheet.arrow((x, y), (x, y - 28))
    sheet.text(x, y + 13, "N", 12, anchor="middle", bold=True)


def _distances(sheet: Sheet, recording: Recording, colour: dict[str, str], top: float) -> None:
    wide = WIDTH - 2 * MARGIN - 40.0
    ticks = [(s, _clock(s)) for s in np.arange(0.0, recording.seconds, MARK_S).tolist()]
    for number, rows in enumerate(recording.nearest, start=1):
        graph = Graph(
            sheet, (MARGIN + 40.0, top, wide, PANEL), (0.0, recording.seconds), (0.0, FARTHEST_M)
        )
        for begin, end in _missed(rows):
            x0, x1 = graph.at(begin, 0.0)[0], graph.at(end, 0.0)[0]
            sheet.rect(x0, top, max(x1 - x0, 1.0), PANEL, WASH)
        graph.axes([], [(0.0, "0"), (CUT_M, "20"), (FARTHEST_M, "40 m")])
        sheet.text(
            MARGIN + 40.0, top - 6,
            f"target {number}: distance to its track, or to the nearest one; "
            "red: missed, no track for it within 20 m",
            11, GREY,
        )  # fmt: skip
        for stretch in _stretches(rows):
            points = [(seconds, distance) for seconds, distance in stretch[1]]
            if len(points) == 1:
                sheet.dot(*graph.at(*points[0]), 1.5, colour[stretch[0]])
            else:
                graph.line(points, colour[stretch[0]], 1.8)
        top += PANEL + 26.0
    sheet.text(
        MARGIN + 40.0,
        top - 6,
        "tracks of neither target" + ("" if recording.spare else ": none"),
        11,
        GREY,
    )
    graph = Graph(sheet, (MARGIN + 40.0, top, wide, 14.0 * max(len(recording.spare), 1)),
                  (0.0, recording.seconds), (0.0, 1.0))  # fmt: skip
    graph.axes(ticks, [], "minutes:seconds")
    for name, times in recording.spare.items():
        sheet.text(MARGIN + 34.0, top + 11, name, 11, colour[name], anchor="end")
        for seconds in times:
            x, _ = graph.at(seconds, 0.0)
            sheet.rect(x, top + 3, 2.0, 8, colour[name])
        top += 14.0


def _missed(rows: list[tuple[float, float, str, bool]]) -> list[tuple[float, float]]:
    """Begin and end of the times at which a target was missed."""
    spans: list[tuple[float, float]] = []
    begin = -1.0
    for seconds, _, _, missed in [*rows, (rows[-1][0], 0.0, "", False)]:
        if missed and begin < 0.0:
            begin = seconds
        elif not missed and begin >= 0.0:
            spans.append((begin, seconds))
            begin = -1.0
    return spans


def _stretches(
    rows: list[tuple[float, float, str, bool]],
) -> list[tuple[str, list[Point]]]:
    """The same track without a break, as far as it is within the graph."""
    stretches: list[tuple[str, list[Point]]] = []
    going = ""
    for seconds, distance, name, _ in rows:
        if distance > FARTHEST_M:
            going = ""
            continue
        if name != going:
            stretches.append((name, []))
            going = name
        stretches[-1][1].append((seconds, distance))
    return stretches


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def main() -> None:
    """Draw all of them."""
    root = Path(os.environ.get("VEDETTE_TEST_DATA", "")) / "autoferry"
    if not os.environ.get("VEDETTE_TEST_DATA") or not root.is_dir():
        raise SystemExit("VEDETTE_TEST_DATA names no folder with the recordings (autoferry/)")
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else OUT
    for folder in sorted(root.glob("scenario*")):
        draw(read(folder), out / f"{folder.name}.svg")


if __name__ == "__main__":
    main()
