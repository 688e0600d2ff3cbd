"""What is learned of sensors' surroundings: clutter by place, detection probability, shadows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion import Settings, Tracker
from fusion.clutter import count_false, densities
from fusion.records import MEASURED, PREDICTED, TRACK
from fusion.shadow import hidden
from fusion.surroundings import (
    BLOCK,
    EAST,
    EXPECTED,
    LOOKED,
    NORTH,
    RING,
    ROWS,
    SEEN,
    blank,
    look_round,
)
from model.detections import DetectionKind, Detections, DetectionsBuilder
from model.sensors import Coverage, DetectionProbability, Sensor, Sensors, Sigmas
from model.tracks import Status
from tests.fusion.world import NAN, REGION, SECOND, START_NS, at

ALL_ROUND = np.array([0.0, 400.0, 0.0, 1.0, -2.0])

DEAF = Settings(clutter_worth=1e12, clutter_prior_looks=1e12, seen_worth=1e12)
"""Descriptions are believed, whatever is seen."""


def measured(points: np.ndarray) -> np.ndarray:
    records = np.zeros(len(points), MEASURED)
    records["z"] = points
    return records


def sensor(name: str, density: float, pd: float = 0.9, reach: float = 2_000.0) -> Sensor:
    return Sensor(
        name,
        position=at(0, 0),
        detection_probability=DetectionProbability((0.0,), (pd,)),
        coverage=Coverage((0.0, reach)),
        clutter_density_m2=density,
        sigmas=Sigmas(horizontal_m=10.0),
    )


def report(index: int, second: float, points: np.ndarray, offset: int) -> Detections:
    builder = DetectionsBuilder()
    time = START_NS + round(second * SECOND)
    builder.report(sensor=index, time=time, received=time, offset=offset)
    for east, north in points:
        builder.detection(
            kind=DetectionKind.POSITION,
            position=(*at(east, north)[:2], NAN),
            covariance=(100.0, 0.0, 100.0, NAN, NAN, NAN),
        )
    return builder.build().check()


def shown(tracker: Tracker, second: float) -> int:
    return len(tracker.picture(START_NS + round(second * SECOND)))


@pytest.mark.parametrize("seed", [1, 2])
def test_a_sensor_described_with_too_little_clutter_is_found_out(seed):
    counts = {}
    for name, constants in (("learned", None), ("believed", DEAF)):
        rng = np.random.default_rng(seed)
        tracker = Tracker(Sensors([sensor("radar", 1e-8)]), REGION, settings=constants)
        total = 0
        for second in range(30):
            points = rng.uniform(-1000.0, 1000.0, (rng.poisson(40.0), 2))
            tracker.step(report(0, second, points, second))
            total += shown(tracker, second) if second >= 10 else 0
        counts[name] = total
    assert counts["learned"] < 0.2 * counts["believed"]


def along_a_shore(constants: Settings | None) -> tuple[Tracker, int]:
    """Returns of a shore 25 m apart, which hop from stone to stone, and one mover on open water."""
    rng = np.random.default_rng(5)
    tracker = Tracker(Sensors([sensor("radar", 1e-5, reach=400.0)]), REGION, settings=constants)
    shore = np.column_stack([np.linspace(-240.0, -65.0, 8), np.full(8, 275.0)])
    total = 0
    for second in range(90):
        mover = np.array([[-225.0 + 5.0 * second, -200.0]])
        points = np.concatenate([shore[rng.random(8) < 0.8], mover])
        points = points + rng.normal(0.0, 10.0, points.shape)
        tracker.step(report(0, second, points, second))
        total += shown(tracker, second) if second >= 30 else 0
    return tracker, total


def test_a_shore_that_always_returns_learns_to_be_clutter():
    tracker, learned = along_a_shore(None)
    _, believed = along_a_shore(DEAF)
    # The mover stands in all 60 pictures; of the shore less is shown, though not yet nothing.
    assert 60 <= learned < believed
    out = np.empty(2)
    places = np.array([[-150.0, 275.0], [150.0, 100.0]])
    densities(tracker._table.learned[0], measured(places), 1e-5, 3.0, 50.0, 0.0, 100.0, out)
    assert out[0] > 10.0 * 1e-5
    assert out[1] < 0.05 * out[0]


def test_a_dead_sensor_described_as_seeing_everything_ends_no_track():
    rng = np.random.default_rng(7)
    sensors = Sensors([sensor("good", 1e-7, 0.7), sensor("dead", 1e-7, 0.99)])
    there = {}
    for name, constants in (("learned", None), ("believed", DEAF)):
        tracker = Tracker(sensors, REGION, settings=constants)
        rng = np.random.default_rng(7)
        count = 0
        for second in range(80):
            mover = np.array([[-600.0 + 10.0 * second, 300.0]])
            mover = mover + rng.normal(0.0, 10.0, (1, 2))
            tracker.step(report(0, second, mover[rng.random(1) < 0.7], 2 * second))
            tracker.step(report(1, second + 0.5, np.zeros((0, 2)), 2 * second + 1))
            count += shown(tracker, second + 0.5) if second >= 40 else 0
        there[name] = count
    memory = tracker._table.learned[1]
    assert there["learned"] >= max(there["believed"], 39)
    assert memory[RING:, EXPECTED].sum() > 10.0
    assert memory[RING:, SEEN].sum() == 0.0


def test_what_was_learned_survives_a_snapshot_and_a_late_report():
    rng = np.random.default_rng(3)
    sensors = Sensors([sensor("radar", 1e-7), sensor("other", 1e-6)])
    reports = [report(n % 2, 0.5 * n, rng.uniform(-1500.0, 1500.0, (8, 2)), n) for n in range(24)]
    whole, late, cut = (Tracker(sensors, REGION) for _ in range(3))
    for one in reports:
        whole.step(one)
    order = list(range(24))
    order[9], order[13] = 13, 9
    for n in order:
        late.step(reports[n])
    for one in reports[:11]:
        cut.step(one)
    state = cut.snapshot()
    cut = Tracker(sensors, REGION)
    cut.restore(state)
    for one in reports[11:]:
        cut.step(one)
    expected = whole._table.export()["learned"]
    assert np.array_equal(expected, cut._table.export()["learned"])
    assert np.array_equal(expected, late._table.export()["learned"])
    assert np.isfinite(expected).all()


def test_the_window_follows_a_sensor_that_moves():
    memory = blank(400.0)
    for step in range(40):
        look_round(memory, 50.0 * step, 0.0, ALL_ROUND, 0.99)
    blocks = memory[BLOCK:RING]
    looked = blocks[blocks[:, LOOKED] > 0.0]
    assert looked[:, EAST].max() * 50.0 >= 50.0 * 39 + 300.0
    # What it came to lately it has seen less often than what it stood beside all the time.
    near = looked[(looked[:, EAST] == 39) & (looked[:, NORTH] == 0)]
    far = looked[(looked[:, EAST] == 46) & (looked[:, NORTH] == 0)]
    assert near[0, LOOKED] > 4.0 * far[0, LOOKED]


def test_only_who_stands_behind_is_in_the_shadow():
    predicted, rows = np.zeros(5, PREDICTED), np.zeros(5, TRACK)
    predicted["mean"][:, :2] = [
        [0.0, 100.0], [5.0, 200.0], [120.0, 200.0], [0.0, 50.0], [0.0, -150.0],
    ]  # fmt: skip
    predicted["row"] = np.arange(5)
    rows["status"][0] = Status.CONFIRMED
    assert hidden(predicted, rows, np.zeros(2), 20.0).tolist() == [False, True, False, False, False]


@given(st.integers(0, 9999), st.integers(1, 40), st.floats(0.1, 300.0))
def test_shadows_are_those_that_trying_all_finds(seed, count, extent):
    rng = np.random.default_rng(seed)
    predicted, rows = np.zeros(count, PREDICTED), np.zeros(count, TRACK)
    place = rng.uniform(-300.0, 300.0, (count, 2))
    predicted["mean"][:, :2], predicted["row"] = place, np.arange(count)
    rows["status"] = rng.integers(0, 2, count)
    far = np.hypot(*place.T)
    expected = np.zeros(count, dtype=bool)
    for j in np.flatnonzero(rows["status"]):
        unit = place[j] / far[j]
        along = place @ unit
        across = np.abs(place[:, 0] * unit[1] - place[:, 1] * unit[0])
        behind = along > max(far[j], 1.0)
        behind[j] = False
        expected |= behind & (across * max(far[j], 1.0) < 0.5 * extent * along)
    assert hidden(predicted, rows, np.zeros(2), extent).tolist() == expected.tolist()


FINITE = st.floats(-1e6, 1e6)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(FINITE, FINITE, st.floats(0.0, 1.0)), max_size=12),
    FINITE,
    FINITE,
    st.sampled_from([1.0, 400.0, 50_000.0]),
    st.sampled_from([1e-9, 1e-4, 10.0]),
    st.floats(0.0, 1e9),
)
def test_densities_are_finite_and_positive_whatever_was_counted(
    counted, east, north, reach, described, farther
):
    memory = blank(reach)
    points = np.array([one[:2] for one in counted]).reshape(-1, 2)
    weight = np.array([one[2] for one in counted])
    for _ in range(3):
        sector = np.array([0.0, max(reach, farther), 0.0, 1.0, -2.0])
        look_round(memory, east, north, sector, 0.99)
        count_false(memory, measured(points), weight)
    out = np.empty(len(points))
    densities(memory, measured(points), described, 3.0, 50.0, 0.0, 0.0, out)
    assert memory.shape == (ROWS, 4)
    assert np.isfinite(memory).all()
    assert (out >= 1e-9).all()
    assert np.isfinite(out).all()
