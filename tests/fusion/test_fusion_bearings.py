"""What bearings may say of tracks, and what they may not."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion import Settings, Tracker
from fusion.bearing_kernels import MOST_BEARINGS, pointed_at, since_heard, turn, turned
from fusion.jit import kernel
from fusion.records import MEASURED, PREDICTED, TRACK
from model.detections import DetectionKind, Detections, DetectionsBuilder
from model.sensors import Coverage, DetectionProbability, Sensor, Sensors
from model.taxonomy import one_hot
from tests.fusion.world import NAN, REGION, SECOND, START_NS, at

HERE = np.zeros(2)
SLOW = settings(deadline=None, max_examples=40)
WHOLE = settings(deadline=None, max_examples=8)


def predictions(places, sigma=10.0):
    """Predictions of tracks at places (n, 2), both modes alike."""
    out = np.zeros(len(places), PREDICTED)
    out["row"] = np.arange(len(places))
    out["x"][:, :, :2] = np.asarray(places, dtype=float)[:, None]
    out["P"][:, :, [0, 4]] = sigma * sigma
    out["P"][:, :, [7, 9]] = 1.0
    out["mu"] = 0.5
    out["mean"], out["spread"] = out["x"][:, 0], out["P"][:, 0]
    return out


def scan_of(azimuth, sigma=0.02):
    out = np.zeros(len(azimuth), MEASURED)
    out["azimuth"], out["azimuth_variance"] = azimuth, sigma * sigma
    out["z"] = NAN
    return out


def pairs(places, azimuth):
    return pointed_at(
        predictions(places), np.zeros(len(places), TRACK), scan_of(azimuth), HERE, 0,
        Settings().record[0],
    )  # fmt: skip


angles = st.floats(-20.0, 20.0)


@SLOW
@given(
    st.lists(st.tuples(st.floats(-500, 500), st.floats(-500, 500)), min_size=1, max_size=6),
    st.lists(angles | st.just(NAN), max_size=7),
)
def test_pairs_are_those_of_trying_all(places, azimuth):
    row, item, likelihood = pairs(places, azimuth)
    expected = []
    for i, (east, north) in enumerate(places):
        squared = max(east * east + north * north, 1.0)
        own = 100.0 * (east * east + north * north) / squared / squared
        for j, angle in enumerate(azimuth):
            difference = math.remainder(angle - math.atan2(east, north), 2 * math.pi)
            if own < 0.05 and difference**2 < 9.0 * (own + 0.0004) * (1 - 1e-9):
                expected.append((i, j))
    found = list(zip(row.tolist(), item.tolist(), strict=True))
    assert set(expected) <= set(found)
    assert found == sorted(found)
    assert np.isfinite(likelihood).all()


def test_a_bearing_across_the_seam_is_found():
    row, item, _ = pairs([(0.0, -500.0)], [math.pi - 0.01, -math.pi + 0.01, 3 * math.pi])
    assert row.tolist() == [0, 0, 0]
    assert item.tolist() == [0, 1, 2]


def test_of_many_bearings_the_nearest_are_kept():
    _, item, _ = pairs([(0.0, 500.0)], np.linspace(-0.04, 0.04, 41))
    assert item.tolist() == list(range(20 - MOST_BEARINGS // 2, 20 + MOST_BEARINGS // 2))


def test_a_track_at_the_sensor_is_on_no_line():
    row, _, _ = pairs([(0.0, 0.0), (3.0, 1.0)], [0.1, 2.0])
    assert not len(row)


@kernel
def _turn(out, scan, share, likelihood, same, worth):
    return turn(out[0], np.zeros(1, np.int64), share, likelihood, scan, same, worth, np.zeros(2))


@kernel
def _since(tracks, row, sensor, now, period):
    return since_heard(tracks[row], sensor, now, period)


@SLOW
@given(
    st.floats(-0.06, 0.06),
    st.floats(0.0, 1.0),
    st.floats(1.0, 1e9),
    st.floats(1e-4, 0.1),
    st.floats(20.0, 1e5),
)
def test_what_a_track_becomes_is_sound(error, share, same, sigma, distance):
    out = predictions([(0.0, distance)], sigma=min(0.15 * distance, 100.0))
    before = out["P"].copy()
    _turn(out, scan_of([error], sigma), np.array([share]), np.array([[1.0, 0.3]]), same, 0.0)
    assert np.isfinite(out["x"]).all()
    assert np.isfinite(out["P"]).all()
    assert out["mu"].sum() == pytest.approx(1.0)
    assert (out["P"][:, :, [0, 4, 7, 9]] > 0.0).all()
    # Along the line nothing is learned.
    assert (out["P"][:, :, 4] <= before[:, :, 4] * (1 + 1e-9)).all()


def test_what_is_hardly_worth_it_is_left_alone():
    out = predictions([(0.0, 500.0)])
    before = out["x"].copy(), out["P"].copy()
    assert not _turn(out, scan_of([0.02]), np.ones(1), np.ones((1, 2)), 1e3, 0.05)
    assert (out["x"] == before[0]).all()
    assert (out["P"] == before[1]).all()


def test_a_sensor_never_heard_is_new_and_one_lost_from_a_full_list_is_not():
    tracks = np.zeros(2, TRACK)
    tracks["sensors"][:] = -1
    tracks["sensors"][0, :2] = 3, 1
    tracks["sensors"][1] = np.arange(3, 3 + len(tracks["sensors"][1]))
    tracks["heard"] = 10 * SECOND
    now = 12 * SECOND
    assert [_since(tracks, row, 3, now, 0.2) for row in (0, 1)] == [2.0, 2.0]
    assert [_since(tracks, row, 2, now, 0.2) for row in (0, 1)] == [math.inf, 0.2]


def test_angles_stay_within_half_a_turn():
    for angle in (-7.0, -math.pi, 0.0, 3.0, math.pi, 9.0):
        assert -math.pi <= turned(angle) <= math.pi
        assert math.sin(turned(angle)) == pytest.approx(math.sin(angle), abs=1e-12)


# --- through the tracker


def world() -> Sensors:
    """A radar and two cameras; the second one looks at fixed intervals, and says so."""
    radar = Sensor(
        "radar",
        position=at(0, 0),
        detection_probability=DetectionProbability((0.0,), (0.7,)),
        coverage=Coverage((0.0, 5_000.0)),
        clutter_density_m2=1e-5,
    )
    event = Sensor("camera", position=at(0, -100), sensing="event", period_s=0.2)
    scanning = Sensor("scanner", position=at(0, -100), period_s=1.0, coverage=Coverage((0, 5e3)))
    return Sensors([radar, event, scanning])


def told(plan, seed=0, speed=8.0, said=None) -> Detections:
    """Reports in order: (sensor, second, whether it sees the target)."""
    rng = np.random.default_rng(seed)
    builder = DetectionsBuilder()
    for offset, (sensor, second, sees) in enumerate(plan):
        time = START_NS + round(second * SECOND)
        builder.report(sensor=sensor, time=time, received=time, offset=offset)
        place = np.array([speed * second, 800.0])
        if sees and sensor == 0:
            place = place + rng.normal(0, 5, 2)
            builder.detection(
                kind=DetectionKind.POSITION,
                position=(*at(*place)[:2], NAN),
                covariance=(25.0, 0.0, 25.0, NAN, NAN, NAN),
                classes=said,
            )
        elif sees:
            azimuth = math.atan2(place[0], place[1] + 100.0) + rng.normal(0, 0.005)
            builder.detection(
                kind=DetectionKind.BEARING,
                polar=(NAN, azimuth, NAN, NAN),
                polar_sigma=(NAN, 0.02, NAN, NAN),
            )
    return builder.build()


def llr_after(plan, **more) -> float:
    subject = Tracker(world(), REGION)
    subject.step(told(plan, **more))
    table = subject._table
    (value,) = table.rows["llr"][table.alive()]
    return float(value)


SEEN = [(0, float(second), True) for second in range(8)]
MISSED = [(0, 8.0 + second, False) for second in range(4)]


def with_camera(plan, begin=8.1, end=12.0, sensor=1, sees=True):
    looks = [(sensor, begin + 0.5 * k, sees) for k in range(int((end - begin) / 0.5))]
    return sorted(plan + looks, key=lambda look: look[1])


def test_bearings_keep_up_a_track_that_a_radar_misses():
    assert llr_after(with_camera(SEEN + MISSED)) > llr_after(SEEN + MISSED) + 1.0


def test_bearings_say_nothing_of_what_never_moved_and_has_no_name():
    alone, helped = (llr_after(plan, speed=0.0) for plan in (SEEN, with_camera(SEEN)))
    alone = llr_after(SEEN + MISSED, speed=0.0)
    helped = llr_after(with_camera(SEEN + MISSED), speed=0.0)
    assert helped == pytest.approx(alone)


def test_but_of_what_somebody_classified():
    vessel = one_hot("sea_vessel")
    alone = llr_after(SEEN + MISSED, speed=0.0, said=vessel)
    assert llr_after(with_camera(SEEN + MISSED), speed=0.0, said=vessel) > alone + 1.0


def test_bearings_raise_no_track_beyond_their_bound():
    bound = Settings()
    alone, helped = llr_after(SEEN + MISSED), llr_after(with_camera(SEEN + MISSED))
    assert helped <= max(alone + bound.bearing_lift, bound.bearing_cap_llr) + 1e-9


def test_bearings_confirm_no_track_that_places_leave_tentative():
    two = [(0, 0.0, True), (0, 1.0, False), (0, 2.0, False), (0, 3.0, True), (0, 4.0, False)]
    subject = Tracker(world(), REGION)
    plan = two + [(1, 4.1 + 0.2 * k, True) for k in range(30)]
    assert not len(subject.step(told(plan)))
    assert subject.census()["confirmed"] == 0


def test_a_camera_that_speaks_of_events_charges_no_miss():
    assert llr_after(with_camera(SEEN, 8.1, 14.0, sees=False)) == llr_after(SEEN)


def test_a_camera_that_looks_charges_misses():
    assert llr_after(with_camera(SEEN, 8.1, 9.2, sensor=2, sees=False)) < llr_after(SEEN) - 1.0


def test_bearings_alone_keep_no_track_for_long():
    subject = Tracker(world(), REGION)
    subject.step(told(with_camera(SEEN, 8.1, 40.0)))
    assert subject.census()["confirmed"] + subject.census()["coasting"] == 0


def test_bearings_keep_no_track_that_a_radar_looks_at_and_does_not_see():
    subject = Tracker(world(), REGION)
    missed = [(0, 8.0 + second, False) for second in range(10)]
    subject.step(told(with_camera(SEEN + missed, 8.1, 18.0)))
    assert subject.census()["confirmed"] + subject.census()["coasting"] == 0


@WHOLE
@given(st.integers(0, 1000), st.lists(st.integers(0, 200), max_size=4), st.integers(0, 60))
def test_cuts_snapshots_and_late_bearings_change_no_bit(seed, cuts, cut):
    plan = with_camera(SEEN + MISSED + [(0, 12.0 + k, True) for k in range(3)], 0.05, 14.0)
    whole = told(plan, seed)
    rng = np.random.default_rng(seed)
    order = np.argsort(np.arange(whole.n_reports) + rng.uniform(0, 5, whole.n_reports))
    late = whole.take_reports(order)
    straight, shuffled, restored = (Tracker(world(), REGION) for _ in range(3))
    straight.step(whole)
    edges = sorted({0, late.n_reports, *(c % late.n_reports for c in cuts)})
    for start, stop in itertools.pairwise(edges):
        shuffled.step(late.take_reports(np.arange(start, stop)))
    cut %= late.n_reports
    first = Tracker(world(), REGION)
    first.step(late.take_reports(np.arange(cut)))
    restored.restore(first.snapshot())
    restored.step(late.take_reports(np.arange(cut, late.n_reports)))
    want = straight._table.export()
    for other in (shuffled, restored):
        have = other._table.export()
        for name in want:
            if name not in ("say", "head"):  # what was said, and when, is another matter
                assert have[name].tobytes() == want[name].tobytes(), name
