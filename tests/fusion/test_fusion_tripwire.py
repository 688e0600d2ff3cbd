"""The direction in which a line was crossed is a half-plane of velocities."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, truncnorm

from fusion import Tracker, pairs, weigh
from fusion.measure import scans_of
from fusion.motion import unpacked
from fusion.records import MODES, PAIR
from fusion.tripwire import FAR, WRONG_WAY, go_across, hazard, way
from model.detections import DetectionKind, Detections, DetectionsBuilder
from model.sensors import Coverage, DetectionProbability, Sensor, Sensors
from model.tracks import Status, TrackUpdates
from tests.fusion.test_fusion_parts import both, measurements, predictions, random_covariances
from tests.fusion.world import NAN, REGION, SECOND, START_NS, at

LEFT, UNKNOWN, RIGHT = -1, 0, 1
EASTWARD = RIGHT
"""Over a line from south to north."""

RADAR, WIRE = 0, 1


def sensors() -> Sensors:
    radar = Sensor(
        "radar",
        position=at(0.0, 0.0),
        detection_probability=DetectionProbability((0.0,), (0.9,)),
        coverage=Coverage((0.0, 12_000.0)),
        clutter_density_m2=1e-7,
    )
    wire = Sensor("wire", sensing="event", coverage=Coverage((0.0, 2_000.0)), clutter_per_scan=0.01)
    return Sensors([radar, wire])


def turned(points: list[tuple[float, float]], angle: float) -> list[tuple[float, float]]:
    """Points turned about the region's origin, counter-clockwise."""
    c, s = math.cos(angle), math.sin(angle)
    return [(c * e - s * n, s * e + c * n) for e, n in points]


def crossed(
    second: float,
    line: list[tuple[float, float]],
    direction: int,
    turn: float = 0.0,
    offset: int | None = None,
) -> Detections:
    builder = DetectionsBuilder()
    time = START_NS + round(second * SECOND)
    number = round(10 * second) if offset is None else offset
    builder.report(sensor=WIRE, time=time, received=time, offset=number)
    builder.detection(
        kind=DetectionKind.LINE,
        line=[at(e, n, 0.0)[:2] for e, n in turned(line, turn)],
        direction=direction,
    )
    return builder.build().check()


def seen(second: float, place: tuple[float, float], turn: float = 0.0) -> Detections:
    builder = DetectionsBuilder()
    time = START_NS + round(second * SECOND)
    builder.report(sensor=RADAR, time=time, received=time, offset=round(10 * second))
    builder.detection(
        kind=DetectionKind.POSITION,
        position=(*at(*turned([place], turn)[0])[:2], NAN),
        covariance=(25.0, 0.0, 25.0, NAN, NAN, NAN),
    )
    return builder.build().check()


def wire_at(east: float) -> list[tuple[float, float]]:
    """100 m from south to north."""
    return [(east, 450.0), (east, 550.0)]


def rows_of(tracker: Tracker):
    return tracker._table.rows[tracker._table.alive()]


def velocity(row) -> np.ndarray:
    mean: np.ndarray = row["mu"] @ row["x"][:, 2:]
    return mean


# -- moments


@given(st.floats(-200.0, 40.0))
def test_hazard_is_density_over_probability(a):
    assert hazard(a) == pytest.approx(float(np.exp(norm.logpdf(a) - norm.logcdf(a))), rel=1e-6)


def test_the_series_goes_on_where_the_quotient_ends():
    assert hazard(FAR) == pytest.approx(hazard(FAR - 1e-9), rel=1e-6)


@given(st.integers(0, 9999), st.floats(0.0, 2 * math.pi), st.floats(-4.0, 4.0))
def test_what_is_left_has_the_moments_of_the_truncated_normal(seed, angle, off):
    rng = np.random.default_rng(seed)
    P = random_covariances(rng, 1, 4)[0]
    d = measurements(np.zeros((1, 2)), np.eye(2)[None])
    normal = np.array([math.cos(angle), math.sin(angle)])
    d["across"] = normal
    h = np.array([0.0, 0.0, *normal])
    sigma = math.sqrt(h @ P @ h)
    x = rng.normal(size=4)
    x[2:] += normal * (off * sigma - normal @ x[2:])  # the mean lies off sigmas beyond the border
    got_P, step = predictions(x[None, None], P[None, None], [[1.0]])["P"][0, 0].copy(), np.zeros(4)
    go_across(x[2], x[3], got_P, step, d[0])
    kept = truncnorm(-off, np.inf, loc=off * sigma, scale=sigma)
    gain = P @ h / sigma**2
    assert np.allclose(step, gain * (kept.mean() - off * sigma), atol=1e-9)
    expected = P + np.outer(gain, gain) * (kept.var() - sigma**2)
    got = unpacked(got_P[None])[0]
    assert np.allclose(got, expected, atol=1e-9)
    assert np.linalg.eigvalsh(got).min() > 0.0
    assert normal @ (x[2:] + step[2:]) > 0.0


@given(st.integers(0, 9999))
def test_a_pair_is_worth_the_probability_of_going_that_way(seed):
    rng = np.random.default_rng(seed)
    x, P = rng.normal(size=(1, MODES, 4)), random_covariances(rng, MODES, 4)[None]
    z, R = rng.normal(size=(1, 2)), random_covariances(rng, 1, 2)
    got, made = predictions(x, P, [[0.3, 0.7]]), measurements(z, R)
    plain, directed = np.zeros(1, PAIR), np.zeros(1, PAIR)
    pairs.weigh(got[0], made[0], 1e9, plain[0])
    normal = rng.normal(size=2)
    made["across"] = normal / np.hypot(*normal)
    near = pairs.weigh(got[0], made[0], 1e9, directed[0])
    parts = []
    for k in range(MODES):
        K = P[0, k, :, :2] @ np.linalg.inv(P[0, k, :2, :2] + R[0])
        mean = x[0, k] + K @ (z[0] - x[0, k, :2])
        spread = P[0, k] - K @ P[0, k, :2]
        h = np.array([0.0, 0.0, *made["across"][0]])
        parts.append(2.0 * norm.cdf(h @ mean / math.sqrt(h @ spread @ h)))
    assert np.allclose(directed["likelihood"][0], plain["likelihood"][0] * parts)
    assert near == (max(parts) >= WRONG_WAY)
    # Either way one goes: the two add up.
    made["across"] *= -1.0
    other = np.zeros(1, PAIR)
    pairs.weigh(got[0], made[0], 1e9, other[0])
    assert np.allclose(directed["likelihood"] + other["likelihood"], 2.0 * plain["likelihood"])


@given(st.integers(0, 9999))
def test_modes_that_go_the_other_way_lose_weight(seed):
    rng = np.random.default_rng(seed)
    x, P = np.zeros((1, MODES, 4)), both(random_covariances(rng, 1, 4))
    x[0, 0, 2], x[0, 1, 2] = 3.0, -3.0
    got, made = predictions(x, P, [[0.5, 0.5]]), measurements(np.zeros((1, 2)), np.eye(2)[None])
    made["across"] = (1.0, 0.0)
    pair = np.zeros(1, PAIR)
    pairs.weigh(got[0], made[0], 1e9, pair[0])
    pair["share"], got["count"] = 1.0, 1
    weigh.absorb(got[0], pair, made, 0.0, 1.0, np.empty((5, 10)))
    assert got["mu"][0, 0] > 0.5
    assert got["mu"][0].sum() == pytest.approx(1.0)
    assert np.linalg.eigvalsh(unpacked(got["P"][0])).min() > 0.0


def test_what_is_nearly_impossible_stays_finite():
    got = predictions(np.zeros((1, 1, 4)), 1e-6 * np.eye(4)[None, None], [[1.0]])
    made = measurements(np.zeros((1, 2)), np.eye(2)[None])
    made["across"] = (1.0, 0.0)
    x = np.array([0.0, 0.0, -400.0, 0.0])
    assert way(x, got["P"][0, 0], made[0], 0.0, 0.0, 1.0, 0.0, 1.0) == 0.0
    step, P = np.zeros(4), got["P"][0, 0].copy()
    go_across(x[2], x[3], P, step, made[0])
    assert np.isfinite(step).all()
    assert np.isfinite(P).all()
    assert x[2] + step[2] >= 0.0


# -- lines


@pytest.mark.parametrize(
    ("line", "direction", "across"),
    [
        (wire_at(0.0), RIGHT, (1.0, 0.0)),
        (wire_at(0.0), LEFT, (-1.0, 0.0)),
        (wire_at(0.0)[::-1], RIGHT, (-1.0, 0.0)),
        ([(0.0, 0.0), (100.0, 0.0)], LEFT, (0.0, 1.0)),
        (wire_at(0.0), UNKNOWN, (0.0, 0.0)),
        ([(0.0, 0.0), (50.0, 5.0), (100.0, 0.0)], LEFT, (0.0, 1.0)),
        ([(0.0, 0.0), (50.0, 0.0), (50.0, 50.0)], LEFT, (0.0, 0.0)),  # a corner: which side?
        ([(0.0, 0.0), (0.0, 0.0)], LEFT, (0.0, 0.0)),
    ],
)
def test_left_and_right_are_seen_along_the_points(line, direction, across):
    scan = scans_of(crossed(0.0, line, direction), sensors(), REGION)[0]
    assert np.allclose(scan.across[0], across, atol=1e-6)


@pytest.mark.parametrize(("direction", "sign"), [(LEFT, -1.0), (RIGHT, 1.0), (UNKNOWN, 0.0)])
def test_a_crossing_gives_a_new_track_half_a_velocity(direction, sign):
    tracker = Tracker(sensors(), REGION)
    tracker.step(crossed(0.0, wire_at(0.0), direction))
    (row,) = rows_of(tracker)
    speeds = tracker._table.habits[2:4]
    half, left = math.sqrt(2.0 / math.pi), 1.0 - 2.0 / math.pi
    assert np.allclose(row["x"][:, 2], sign * half * speeds, rtol=1e-5)
    part = left if sign else 1.0
    assert np.allclose(unpacked(row["P"])[:, 2, 2], part * speeds**2, rtol=1e-5)
    assert np.allclose(unpacked(row["P"])[:, 3, 3], speeds**2, rtol=1e-5)
    assert np.allclose(row["x"][:, 3], 0.0, atol=1e-3)


def test_two_lines_crossed_the_same_way_are_one_mover_on_that_way():
    def run(direction: int) -> tuple[np.ndarray, TrackUpdates]:
        tracker = Tracker(sensors(), REGION)
        said = [tracker.step(crossed(s, wire_at(8.0 * s), direction)) for s in (0.0, 10.0)]
        return rows_of(tracker), said[1]

    (one, twin), said = run(EASTWARD)
    (other, other_twin), _ = run(UNKNOWN)
    assert (one["hits"], twin["hits"]) == (2, 1)
    assert said.status.tolist() == [Status.CONFIRMED]
    # Both have learned the way that lies between; who knows the direction has it sooner,
    assert abs(velocity(one)[0] - 8.0) < 0.5 < abs(velocity(other)[0] - 8.0)
    # and that another mover was there all the same is less likely.
    assert twin["llr"] < other_twin["llr"] - 1.0


def test_two_lines_crossed_in_ways_that_no_mover_goes_are_two():
    tracker = Tracker(sensors(), REGION)
    tracker.step(crossed(0.0, wire_at(0.0), EASTWARD))
    tracker.step(crossed(10.0, wire_at(80.0), LEFT))
    assert [int(row["hits"]) for row in rows_of(tracker)] == [1, 1]


@pytest.mark.parametrize("turn", [0.0, 1.0])
def test_a_crossing_the_other_way_is_not_this_mover(turn):
    def run(direction: int) -> Tracker:
        tracker = Tracker(sensors(), REGION)
        for s in range(10):
            tracker.step(seen(s, (10.0 * s - 92.0, 500.0), turn))
        tracker.step(crossed(9.2, wire_at(0.0), direction, turn))
        return tracker

    towards, other, unknown = run(EASTWARD), run(LEFT), run(UNKNOWN)
    assert [int(row["hits"]) for row in rows_of(towards)] == [11]
    assert [int(row["hits"]) for row in rows_of(unknown)] == [11]
    assert [int(row["hits"]) for row in rows_of(other)] == [10, 1]


@settings(deadline=None, max_examples=10)
@given(st.floats(0.0, 2 * math.pi))
def test_the_world_may_be_turned(turn):
    def run(angle: float) -> list[np.ndarray]:
        tracker = Tracker(sensors(), REGION)
        tracker.step(crossed(0.0, wire_at(0.0), EASTWARD, angle))
        tracker.step(crossed(10.0, wire_at(80.0), EASTWARD, angle))
        for s in range(11, 14):
            tracker.step(seen(s, (8.0 * s, 500.0), angle))
        (row,) = rows_of(tracker)
        return [row["x"], unpacked(row["P"]), row["mu"], row["llr"]]

    c, s = math.cos(turn), math.sin(turn)
    block = np.kron(np.eye(2), np.array([[c, -s], [s, c]]))
    x, P, mu, llr = run(0.0)
    got_x, got_P, got_mu, got_llr = run(turn)
    # Only for the Earth's curvature, which turns lines by parts in a million.
    assert np.allclose(got_x, x @ block.T, atol=1e-3)
    assert np.allclose(got_P, block @ P @ block.T, rtol=1e-3, atol=1e-3)
    assert np.allclose(got_mu, mu, atol=1e-4)
    assert got_llr == pytest.approx(llr, abs=1e-3)
