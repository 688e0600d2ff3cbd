# ruff: noqa: INP001 - a script of the checkout, in no package
"""Draw the pictures of docs/fusion.md: the real code on small seeded worlds.

``PYTHONPATH=. python scripts/draw_fusion.py [FOLDER]`` in the checkout; pictures go to
``docs/fusion`` or to the folder. Nothing in them depends on the machine.
"""

import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from drawing import COLOURS, GREY, INK, PALE, Graph, Point, Sheet, ellipse

from benchmarks import jitter, late
from benchmarks.crowd import Crowd, headed
from benchmarks.reports import REGION, place, positions, report
from fusion import Tracker, history
from fusion.associate import associate
from fusion.chain import begin, expect
from fusion.clutter import densities
from fusion.existence import probability
from fusion.gathered import gathered, sensor_records
from fusion.learn import memories
from fusion.measure import Scan, scans_of
from fusion.motion import combine
from fusion.pairs import gated
from fusion.records import MEASURED, PACKED
from fusion.scan import fuse
from fusion.settings import Settings
from fusion.table import TrackTable
from model.arrays import Array, Floats, Int64s
from model.sensors import Coverage, DetectionProbability, Sensor, Sensors, Sigmas
from model.tracks import Status

OUT = Path(__file__).resolve().parents[1] / "docs" / "fusion"

BLUE, RED, GREEN, PURPLE = COLOURS[:4]

MEETING, ONE_SEEN = 29, 31
"""Seconds of the two reports that `draw_meeting` looks into."""

MEETING_SEED = 17


def radar(sigma_m: float, pd: float, clutter: float, reach_m: float) -> Sensors:
    """One radar in the middle that looks once a second; `clutter` per look."""
    return Sensors(
        [
            Sensor(
                "radar",
                position=place(0.0, 0.0),
                detection_probability=DetectionProbability((0.0,), (pd,)),
                clutter_density_m2=clutter / (math.pi * reach_m**2),
                coverage=Coverage((0.0, reach_m)),
                period_s=1.0,
                sigmas=Sigmas(horizontal_m=sigma_m),
            )
        ]
    )


class World:
    """A table and one radar that reports to it."""

    def __init__(self, sensors: Sensors, sigma_m: float) -> None:
        self.sensors, self.sigma_m = sensors, sigma_m
        self.settings = Settings()
        self.records = sensor_records(sensors, REGION.radius_m)
        self.table = TrackTable()

    def scan(self, seconds: float, points: Floats) -> Scan:
        """A report of some places (n, 2), m."""
        said = report(0, seconds, positions(points, self.sigma_m), offset=round(seconds * 10))
        return scans_of(said, self.sensors, REGION)[0]

    def fuse(self, scan: Scan) -> None:
        """The whole chain."""
        fuse(self.table, scan, self.sensors, self.records, REGION, self.settings)

    def track(self, track_id: int) -> Array | None:
        """The record of a track, if there is one."""
        for row in self.table.alive().tolist():
            if int(self.table.rows["track_id"][row]) == track_id:
                record: Array = self.table.rows[row]
                return record
        return None

    def weigh(self, scan: Scan) -> tuple[Array, Array, Floats]:
        """The chain as far as association, on a copy: predictions, pairs, and what is free."""
        table = self.table.copy()
        table.look_at(0)
        table.reserve(len(scan))
        known, constants = gathered(self.sensors), self.settings.record
        memory, fresh_memory, sector = memories(table, scan, self.sensors[0], REGION)
        looks = int(table.looks[0])
        where = (
            table.rows, table.near, table.names, table.gone, table.count, len(table), table.room,
        )  # fmt: skip
        said = (scan.rows, scan.origin, scan.view, math.nan, 0, scan.time, scan.mode, scan.offset)
        about = (
            self.records, known.ranges[0], known.chances[0], constants, looks, memory,
            fresh_memory, sector, table.habits, table.loose,
        )  # fmt: skip
        _, predicted, i, items, count = begin(where, said, about)
        s, sensor, free = constants[0], self.records[0], np.empty(len(scan))
        density, fresh = expect(memory, predicted, scan.rows, sensor, looks, s)
        pairs = gated(
            predicted, table.rows, scan.rows, i[:count], items[:count], sensor, density,
            scan.time, scan.mode, s,
        )  # fmt: skip
        associate(predicted, pairs, fresh, free)
        predicted["row"] = table.rows["track_id"][predicted["row"]]
        return predicted, pairs, free


def mixed(track: Array) -> tuple[Floats, Floats]:
    """Mean (4,) and packed covariance (10,) of a record."""
    mean, spread = np.empty(4), np.empty(PACKED)
    combine(track["x"], track["P"], track["mu"], mean, spread)
    return mean, spread


def draw_chain(path: Path) -> None:
    """The way of one report."""
    sheet = Sheet(900, 480, "The way of one report through the core")

    def box(x: float, y: float, name: str, says: str, *, fill: str, width: float = 148.0) -> None:
        sheet.rect(x, y, width, 58, fill, "#9aa7ad", round_px=6)
        sheet.text(x + width / 2, y + 20, name, 13, anchor="middle", bold=True)
        for line, words in enumerate(says.split("|")):
            sheet.text(x + width / 2, y + 36 + 13 * line, words, 10.5, GREY, anchor="middle")

    steps = [
        ("lose", "silent for too long:|gone before it is asked"),
        ("choose", "who is near a detection|or where it looked"),
        ("predict", "two modes each,|shadows, learned pd"),
        ("gate", "pairs within reach,|by a grid"),
        ("weigh", "likelihood per mode;|height, rate, class"),
        ("associate", "a probability for|every pair"),
        ("update", "mixture of updates,|one Gaussian a mode"),
        ("learn", "clutter and detection|probability, by place"),
        ("existence", "hits, misses, silence;|rivals settle"),
        ("initiate", "what nobody claims|starts a track"),
        ("confirm, hide, drop", "by log-odds|of existence"),
    ]
    box(20, 20, "report", "in the order|of arrival", fill="#ffffff", width=120)
    box(176, 20, "measure", "metres in the plane,|a covariance each", fill="#eef4f7")
    box(360, 20, "history", "on time, back and again,|or where it stands", fill="#eef4f7")
    sheet.arrow((140, 49), (175, 49))
    sheet.arrow((324, 49), (359, 49))
    sheet.line([(434, 78), (434, 102), (98, 102)], INK, 1.5)
    sheet.arrow((98, 102), (98, 134))
    sheet.rect(12, 112, 876, 260, "none", PURPLE, round_px=8)
    sheet.text(880, 106, "fusion/chain.py: one chain of compiled kernels", 11, PURPLE, anchor="end")
    for index, (name, says) in enumerate(steps):
        row, column = divmod(index, 5)
        x, y = 24.0 + 172.0 * column, 136.0 + 80.0 * row
        box(x, y, name, says, fill="#f4eef4")
        if index + 1 == len(steps):
            continue
        if column < 4:
            sheet.arrow((x + 148, y + 29), (x + 171, y + 29))
        else:
            sheet.line([(x + 74, y + 58), (x + 74, y + 68), (98, y + 68)], INK, 1.2)
            sheet.arrow((98, y + 64), (98, y + 79))
    sheet.line([(172, 325), (250, 325), (250, 398)], INK, 1.5)
    sheet.arrow((250, 390), (250, 405))
    box(176, 406, "table", "rows of records; what|was learned beside it", fill="#eef4f7")
    box(360, 406, "heads", "what was said last: what|differs is said now", fill="#eef4f7")
    box(544, 406, "track updates", "never rewritten,|only followed", fill="#ffffff")
    sheet.arrow((324, 435), (359, 435))
    sheet.arrow((508, 435), (543, 435))
    sheet.line([(176, 435), (5, 435), (5, 165), (16, 165)], GREY, 1.0, dash="4 3")
    sheet.arrow((12, 165), (24, 165), GREY, 1.0)
    sheet.text(20, 428, "the next report", 10.5, GREY)
    sheet.save(path)


def draw_modes(path: Path) -> None:
    """A mover that goes straight, turns, and goes straight again."""
    rng = np.random.default_rng(4)
    world = World(radar(10.0, 0.9, 1.0, 3_000.0), 10.0)
    where, course, ways, tracks, mode = np.array([-900.0, -250.0]), 0.5 * math.pi, [], [], []
    for second in range(91):
        turning = 30 <= second < 54
        course -= math.radians(5.0) if turning else 0.0
        where = where + 18.0 * np.array([math.sin(course), math.cos(course)])
        ways.append((float(where[0]), float(where[1])))
        world.fuse(world.scan(float(second), (where + rng.normal(0.0, 10.0, 2))[None]))
        record = world.table.rows[world.table.alive()[0]]
        tracks.append(mixed(record))
        mode.append((float(second), float(record["mu"][1])))
    sheet = Sheet(900, 330, "Two modes of motion")
    low, high = np.array(ways).min(axis=0) - 40.0, np.array(ways).max(axis=0) + 40.0
    scale = float(min(440.0 / (high[0] - low[0]), 260.0 / (high[1] - low[1])))

    def at(point: Point) -> Point:
        return (
            24.0 + scale * (point[0] - float(low[0])),
            296.0 - scale * (point[1] - float(low[1])),
        )

    sheet.line([at(p) for p in ways], "#c4c4c4", 7)
    sheet.line([at((float(m[0]), float(m[1]))) for m, _ in tracks], BLUE, 2)
    for mean, spread in tracks[::4]:
        ring = ellipse((float(mean[0]), float(mean[1])), *(float(spread[c]) for c in (0, 1, 4)))
        sheet.line([at(p) for p in ring], BLUE, 0.8, closed=True)
    sheet.line([(30, 306), (30, 310), (30 + 200 * scale, 310), (30 + 200 * scale, 306)], INK, 1.5)
    sheet.text(36 + 200 * scale, 313, "200 m", 11)
    sheet.text(30, 20, "grey: truth; blue: track and 95 % of it", 11, GREY)
    graph = Graph(sheet, (520, 40, 355, 240), (0.0, 90.0), (0.0, 1.0))
    for first, last in ((30.0, 54.0),):
        x0, x1 = graph.at(first, 0.0)[0], graph.at(last, 0.0)[0]
        sheet.rect(x0, 40, x1 - x0, 240, "#eef4f7")
    graph.axes(
        [(float(s), str(s)) for s in range(0, 91, 15)], [(0.0, "0"), (0.5, "0.5"), (1.0, "1")],
        "seconds", "probability of the livelier mode; shaded: the mover turns",
    )  # fmt: skip
    graph.line(mode, RED, 2.0)
    sheet.save(path)


def draw_meeting(path: Path) -> None:
    """Two movers that meet: who belongs to whom, in two reports."""
    rng = np.random.default_rng(MEETING_SEED)
    sigma = 8.0
    world = World(radar(sigma, 0.9, 8.0, 1_000.0), sigma)
    start = np.array([[-420.0, 90.0], [-420.0, -90.0]])
    velocity = np.array([[14.0, -3.0], [14.0, 3.0]])
    ways: list[Floats] = []
    kept: dict[int, list[Point]] = {}
    seen: dict[int, tuple[Array, Array, Floats, Floats]] = {}
    for second in range(61):
        truth = start + velocity * second
        ways.append(truth)
        points = truth + rng.normal(0.0, sigma, truth.shape)
        if second == ONE_SEEN:
            points = points[:1]
        elif not MEETING - 2 <= second <= ONE_SEEN + 1:
            points = points[rng.random(2) < 0.9]
        false = rng.uniform(-500.0, 500.0, (rng.poisson(2), 2))
        scan = world.scan(float(second), np.concatenate([points, false]))
        if second in (MEETING, ONE_SEEN):
            seen[second] = (*world.weigh(scan), scan.rows["z"].copy())
        world.fuse(scan)
        for row in world.table.alive().tolist():
            record = world.table.rows[row]
            if record["status"] == Status.CONFIRMED:
                mean, _ = mixed(record)
                at = (float(mean[0]), float(mean[1]))
                kept.setdefault(int(record["track_id"]), []).append(at)
    tall = sorted(kept, key=lambda one: -len(kept[one]))[:2]
    for track in tall:  # who began in the north ends in the south
        if kept[track][0][1] * kept[track][-1][1] >= 0.0:
            raise SystemExit("the example does not show what its caption says")
    shade = dict(zip(tall, (BLUE, RED), strict=True))
    sheet = Sheet(900, 640, "Association by probability: two tracks that meet")
    wide = Graph(sheet, (24, 40, 852, 192), (-430.0, 430.0), (-97.0, 97.0))
    sheet.rect(24, 40, 852, 192, "#f8fafb", PALE)
    sheet.text(24, 26, "Two movers cross, and each track stays with its own. Grey: truth; "
               "dots: 29 and 31 s", 12, GREY)  # fmt: skip
    for k in range(2):
        wide.line([(float(w[k, 0]), float(w[k, 1])) for w in ways], "#c4c4c4", 6)
        for second in (MEETING, ONE_SEEN):
            sheet.dot(*wide.at(*ways[second][k].tolist()), 4, "#7d7d7d")
    for track in tall:
        wide.line(kept[track], shade[track], 1.8)
    _shares(sheet, 256.0, "29 s: both are seen", seen[MEETING], shade)
    _shares(sheet, 448.0, "31 s: one is seen", seen[ONE_SEEN], shade)
    sheet.save(path)


def _shares(
    sheet: Sheet, top: float, title: str, seen: tuple[Array, Array, Floats, Floats],
    shade: dict[int, str],
) -> None:  # fmt: skip
    """One report: where, and what is whose."""
    predicted, pairs, free, z = seen
    chosen = [n for n in range(len(predicted)) if int(predicted["row"][n]) in shade]
    centre = predicted["mean"][chosen, :2].mean(axis=0)
    near = Graph(
        sheet, (24, top, 380, 172), (centre[0] - 56.0, centre[0] + 56.0),
        (centre[1] - 25.3, centre[1] + 25.3),
    )  # fmt: skip
    sheet.rect(24, top, 380, 172, "#f8fafb", PALE)
    for n in chosen:
        ink = shade[int(predicted["row"][n])]
        mean, spread = predicted["mean"][n].tolist(), predicted["spread"][n].tolist()
        ring = ellipse(mean[:2], spread[0], spread[1], spread[4])
        sheet.line([near.at(*p) for p in ring], ink, 1.5, closed=True)
        sheet.dot(*near.at(mean[0], mean[1]), 4, ink)
    used = sorted({int(p["item"]) for p in pairs if int(p["row"]) in chosen})
    names = {item: "abcdefgh"[index] for index, item in enumerate(used)}
    for item in used:
        x, y = near.at(*z[item].tolist())
        sheet.cross(x, y, 5, INK, 2)
        sheet.text(x + 8, y - 5, names[item], 13, bold=True, halo=True)
    sheet.text(440, top + 14, title, 13, bold=True)
    plain = _plain_shares(pairs, chosen, used)
    for column, n in enumerate(chosen):
        x = 570.0 + 130.0 * column
        ink = shade[int(predicted["row"][n])]
        sheet.dot(x - 20, top + 35, 5, ink)
        sheet.text(x - 10, top + 39, "track", 12, ink, bold=True)
    sheet.text(800, top + 39, "neither", 12, GREY, bold=True)
    y = top + 66.0
    for item in [*used, -1]:
        sheet.text(440, y, f"detection {names[item]}" if item >= 0 else "none", 12)
        for column, n in enumerate(chosen):
            own = {int(p["item"]): float(p["share"]) for p in pairs if int(p["row"]) == n}
            share = own.get(item, 0.0) if item >= 0 else 1.0 - sum(own.values())
            ink = shade[int(predicted["row"][n])]
            _bar(sheet, 550.0 + 130.0 * column, y, share, ink, plain[n, item])
        if item >= 0:
            _bar(sheet, 800.0, y, float(free[item]), GREY)
        y += 26.0
    sheet.text(440, y, "in brackets: plain joint association, nothing pruned", 11, GREY)


def _plain_shares(pairs: Array, chosen: list[int], used: list[int]) -> dict[tuple[int, int], float]:
    """Shares (-1: none) when all joint hypotheses of two tracks count; new movers left out."""
    psi = {(int(p["row"]), int(p["item"])): float(p["psi"]) for p in pairs}
    one, two = chosen
    shares = dict.fromkeys(((n, item) for n in chosen for item in (*used, -1)), 0.0)
    total = 0.0
    for a in (*used, -1):
        for b in (*used, -1):
            if a == b and a >= 0:
                continue
            weight = (psi.get((one, a), 0.0) if a >= 0 else 1.0) * (
                psi.get((two, b), 0.0) if b >= 0 else 1.0
            )
            total += weight
            shares[one, a] += weight
            shares[two, b] += weight
    return {key: value / total for key, value in shares.items()}


def _bar(
    sheet: Sheet, x: float, y: float, share: float, ink: str, plain: float | None = None
) -> None:
    share = max(share, 0.0)
    sheet.rect(x, y - 11, 50, 14, "#f0f0f0")
    sheet.rect(x, y - 11, 50.0 * share, 14, ink, opacity=0.55)
    more = "" if plain is None else f" ({plain:.2f})"
    sheet.text(x + 54, y, f"{share:.2f}{more}", 11)


@dataclass(slots=True)
class Life:
    """What is drawn of one track's existence."""

    name: str
    colour: str
    track_id: int = 0
    points: list[Point] | None = None
    hits: list[float] | None = None
    misses: list[float] | None = None


def draw_existence(path: Path) -> None:
    """Existence of a true and of a false track."""
    world = World(radar(10.0, 0.8, 40.0, 1_000.0), 10.0)
    settings = world.settings
    rng = np.random.default_rng(2)
    leaves, missed = 40, {5, 14, 15, 26}
    lives = [Life("mover", BLUE), Life("clutter", RED)]
    false = {8: (-500.0, -400.0), 9: (-512.0, -408.0)}
    for second in range(60):
        said: list[tuple[float, float]] = []
        if second < leaves and second not in missed and second > 1:
            jitter_m = rng.normal(0.0, 10.0, 2)
            said.append((-300.0 + 15.0 * second + float(jitter_m[0]), 300.0 + float(jitter_m[1])))
        first_of = {0: 2, 1: 8}
        if second in false:
            said.append(false[second])
        before = set(world.table.rows["track_id"][world.table.alive()].tolist())
        points = np.array(said).reshape(-1, 2)
        world.fuse(world.scan(float(second), points))
        after = world.table.rows["track_id"][world.table.alive()].tolist()
        for number, life in enumerate(lives):
            if second == first_of[number]:
                life.track_id = next(one for one in after if one not in before)
                life.points, life.hits, life.misses = [], [], []
            record = world.track(life.track_id) if life.track_id else None
            if record is None or life.points is None or life.hits is None or life.misses is None:
                continue
            life.points.append((float(second), float(record["llr"])))
            heard = second in false if number else 1 < second < leaves and second not in missed
            (life.hits if heard else life.misses).append(float(second))
    sheet = Sheet(900, 420, "Existence over time")
    graph = Graph(sheet, (60, 40, 815, 280), (0.0, 60.0), (-8.0, 9.0))
    graph.axes(
        [(float(s), str(s)) for s in range(0, 61, 10)],
        [(float(v), f"{v:+d}" if v else "0") for v in range(-8, 9, 4)],
        "", "log-odds of existence",
    )  # fmt: skip
    for value, words in (
        (settings.cap_llr, "never above"), (settings.confirm_llr, "shown above, from two hits on"),
        (settings.drop_llr, "hidden below"), (settings.tentative_drop_llr, "dropped below"),
    ):  # fmt: skip
        graph.line([(0.0, value), (60.0, value)], GREY, 1.0, dash="5 4")
        graph.text(
            59.6, value + 0.25,
            f"{words} {value:g} ({100.0 * probability(value):.4g} %)", GREY, 11, anchor="end",
        )  # fmt: skip
    for row, life in enumerate(lives):
        assert life.points is not None  # noqa: S101 - both lives began
        assert life.hits is not None  # noqa: S101
        assert life.misses is not None  # noqa: S101
        graph.line(life.points, life.colour, 2.2)
        y = 356.0 + 22.0 * row
        sheet.text(54, y + 5, life.name, 12, life.colour, anchor="end", bold=True)
        for at in life.hits:
            sheet.dot(graph.at(at, 0.0)[0], y + 1, 3.5, life.colour)
        for at in life.misses:
            sheet.cross(graph.at(at, 0.0)[0], y + 1, 3, life.colour, 1.2)
    sheet.text(60, 408, "seconds; dot: detected; cross: looked for and not detected. "
               "At 40 s the mover is gone.", 11, GREY)  # fmt: skip
    sheet.save(path)


def draw_clutter(path: Path) -> None:
    """Learned clutter beside what the clutter really is."""
    rng = np.random.default_rng(9)
    reach, described, looks = 4_000.0, 20.0, 150
    world = World(radar(15.0, 0.9, described, reach), 15.0)
    last = np.empty((0, 2))
    for second in range(looks):
        ring = reach * np.sqrt(rng.random(rng.poisson(described)))
        turn = rng.uniform(0.0, 2.0 * np.pi, len(ring))
        sea = np.stack([ring * np.sin(turn), ring * np.cos(turn)], axis=1)
        along = rng.uniform(-2_500.0, 2_500.0, rng.poisson(70))
        shore = np.stack([along, 2_200.0 + 0.25 * along + rng.normal(0.0, 170.0, len(along))], 1)
        last = np.concatenate([sea, shore])
        world.fuse(world.scan(float(second), last))
    memory, settings = world.table.learned[0], world.settings
    density = described / (math.pi * reach**2)
    side = reach / 8.0
    sheet = Sheet(900, 470, "What is learned of clutter")
    probe, out = np.zeros(1, MEASURED), np.empty(1)
    scale = 190.0 / reach
    for number, name in enumerate(("one report", f"density learned from {looks} reports")):
        x0, y0 = 225.0 + 430.0 * number, 240.0
        sheet.text(x0, 24, name, 13, anchor="middle", bold=True)
        if number:
            for a in range(-8, 8):
                for b in range(-8, 8):
                    middle = np.array([(a + 0.5) * side, (b + 0.5) * side])
                    if np.hypot(*middle) > reach:
                        continue
                    probe["z"][0] = middle
                    densities(
                        memory, probe, density, settings.clutter_worth,
                        settings.clutter_prior_looks, settings.clutter_least_part, 0.0, out,
                    )  # fmt: skip
                    part = min(math.log(out[0] / density) / math.log(40.0), 1.0)
                    sheet.rect(
                        x0 + scale * a * side, y0 - scale * (b + 1) * side, scale * side,
                        scale * side, _heat(part),
                    )  # fmt: skip
        else:
            for e, n in last.tolist():
                sheet.cross(x0 + scale * e, y0 - scale * n, 2.2, INK, 0.9)
        circle = [
            (x0 + 190.0 * math.sin(t), y0 + 190.0 * math.cos(t))
            for t in np.linspace(0.0, 2.0 * math.pi, 73).tolist()
        ]
        sheet.line(circle, GREY, 1.0)
        sheet.line(
            [(x0 - 5, y0 + 5), (x0, y0 - 6), (x0 + 5, y0 + 5)], INK, 1, fill=INK, closed=True
        )
    sheet.text(225, 450, "radar (triangle), 4 km all round: a shore in the north", 11, GREY,
               anchor="middle")  # fmt: skip
    for index in range(41):
        sheet.rect(555.0 + 4.0 * index, 440, 4.2, 12, _heat(index / 40.0))
    sheet.text(549, 450, "as described", 11, GREY, anchor="end")
    sheet.text(725, 450, "40 times that", 11, GREY)
    sheet.save(path)


def _heat(part: float) -> str:
    low, high = np.array([244.0, 248.0, 250.0]), np.array([176.0, 42.0, 16.0])
    red, green, blue = (low + max(part, 0.0) * (high - low)).round().astype(int).tolist()
    return f"#{red:02x}{green:02x}{blue:02x}"


class Counting(Tracker):
    """A tracker that counts how often reports are fused."""

    fused = 0

    def _fuse(self, table: TrackTable, scan: Scan) -> tuple[Int64s, Array]:
        touched, why = super()._fuse(table, scan)
        self.fused += 1
        return touched, why


def _work() -> list[tuple[str, float, str]]:
    """How often a report is fused: 60 sensors at 10 Hz, 100 ms of jitter."""
    rng = np.random.default_rng(12)
    half = 0.5 * jitter.SPACING_M * math.sqrt(jitter.TARGETS)
    stands = rng.uniform(-half, half, (jitter.SENSORS, 2))
    speed = headed(rng.uniform(10.0, 40.0, jitter.TARGETS), rng)
    crowd = Crowd(rng.uniform(-half, half, (jitter.TARGETS, 2)), speed, 1.0, rng)
    described = Sensors(
        jitter._sensor(number, *stand) for number, stand in enumerate(stands.tolist())
    )
    rows = [row for _, slot in jitter._slices(crowd, stands, 1.2) for row in slot]
    by_time = [one for _, _, one in sorted(rows, key=lambda row: row[0])]
    by_arrival = [one for _, _, one in sorted(rows, key=lambda row: row[1])]
    never = Settings(stand_rows=1 << 40, replay_rows=1 << 40)
    result, apart = [], history.ROWS_BETWEEN
    for name, order, settings, between, ink in (
        ("sorted", by_time, Settings(), apart, GREY),
        ("late, as it is done", by_arrival, Settings(), apart, BLUE),
        ("going back, many copies", by_arrival, never, 0, GREY),
        ("going back, few copies", by_arrival, never, apart, GREY),
    ):
        history.ROWS_BETWEEN = between
        tracker = Counting(described, REGION, settings=settings)
        for one in order:
            tracker.step(one)
        result.append((name, tracker.fused / len(order), ink))
    history.ROWS_BETWEEN = apart
    return result


def draw_late(path: Path) -> None:
    """What late reports are worth, and what they cost."""
    worlds = [late.world(seed) for seed in range(3)]
    ways = (
        ("fused at their time", late.live, BLUE), ("everything replayed", late.replayed, GREY),
        ("held back for 1 s", late.reordered, GREY), ("dropped", late.dropped, GREY),
        ("taken for current", late.as_current, GREY),
    )  # fmt: skip
    rmse = []
    for name, feed, ink in ways:
        squared = np.concatenate([late.errors(feed, *one)[0] for one in worlds])
        rmse.append((name, float(np.sqrt(squared.mean())), ink))
    sheet = Sheet(900, 250, "Late reports: what they are worth, what they cost")
    for x, title, bars in (
        (24.0, "error of now, m (B of 3 m comes up to 2 s late, beside A of 10 m)", rmse),
        (474.0, "times that a report is fused (60 sensors, 100 ms of jitter)", _work()),
    ):
        sheet.text(x, 30, title, 12, bold=True)
        most = max(value for _, value, _ in bars)
        for index, (name, value, ink) in enumerate(bars):
            y = 50.0 + 36.0 * index
            sheet.text(x + 152, y + 16, name, 12, anchor="end")
            sheet.rect(x + 160, y, 190.0 * value / most, 22, ink, opacity=0.75)
            sheet.text(x + 166 + 190.0 * value / most, y + 16, f"{value:.2f}", 12)
    sheet.save(path)


def main() -> None:
    """Draw all of them."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else OUT
    draw_chain(out / "chain.svg")
    draw_modes(out / "modes.svg")
    draw_meeting(out / "meeting.svg")
    draw_existence(out / "existence.svg")
    draw_clutter(out / "clutter.svg")
    draw_late(out / "late.svg")


if __name__ == "__main__":
    main()
