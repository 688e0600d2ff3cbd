"""Bearings that point at nobody, and cross: what they start, and what they never do."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion import Settings, Tracker
from fusion.crossings import KEPT, crossing
from fusion.jit import kernel
from fusion.records import LOOSE
from model.detections import DetectionKind, Detections, DetectionsBuilder
from model.sensors import Sensor, Sensors
from model.tracks import Status
from tests.fusion.world import NAN, REGION, SECOND, START_NS, at

PLACES = np.array([[-500.0, 0.0], [500.0, 0.0], [0.0, -400.0]])
SIGMA = 0.005
TARGET = (100.0, 700.0)


def cameras(count=2) -> Sensors:
    return Sensors(
        [
            Sensor(f"camera-{k}", position=at(*PLACES[k]), sensing="event", period_s=1.0)
            for k in range(count)
        ]
    )


def looks(plan, targets=(TARGET,), seed=0, speed=0.0) -> Detections:
    """Reports of (camera, second) in order of arrival, each of all targets."""
    rng = np.random.default_rng(seed)
    builder = DetectionsBuilder()
    for offset, (camera, second) in enumerate(plan):
        time = START_NS + round(second * SECOND)
        builder.report(sensor=camera, time=time, received=time, offset=offset)
        for target in targets:
            east, north = np.array(target) - PLACES[camera] + [speed * second, 0.0]
            builder.detection(
                kind=DetectionKind.BEARING,
                polar=(NAN, math.atan2(east, north) + rng.normal(0, SIGMA), NAN, NAN),
                polar_sigma=(NAN, SIGMA, NAN, NAN),
            )
    return builder.build()


def tracker(count=2) -> Tracker:
    return Tracker(cameras(count), REGION)


def rows_of(subject):
    return subject._table.take(subject._table.alive())


BOTH = [(second % 2, 0.5 * second) for second in range(60)]


def test_one_camera_starts_nothing_however_long_it_looks():
    subject = tracker()
    assert not len(subject.step(looks([(0, 0.5 * k) for k in range(60)])))
    assert not len(rows_of(subject))


def test_two_looks_from_two_places_start_a_tentative_track_with_the_crossings_covariance():
    subject = tracker()
    assert not len(subject.step(looks(BOTH[:2])))
    (track,) = rows_of(subject)
    assert track["status"] == Status.TENTATIVE
    assert np.hypot(*(track["x"][0, :2] - TARGET)) < 25.0
    assert 0.0 < track["P"][0, 0] < 30.0**2
    assert 0.0 < track["P"][0, 4] < 30.0**2


def test_looks_from_changing_places_confirm_it_and_one_place_alone_never():
    subject, alone = tracker(), tracker()
    subject.step(looks(BOTH[:2]))
    assert subject.census()["confirmed"] == 0
    subject.step(looks(BOTH[:24]).take_reports(np.arange(2, 24)))
    assert subject.census()["confirmed"] == 1
    said = alone.step(looks(BOTH[:2] + [(1, 1.0 + 0.5 * k) for k in range(60)]))
    assert not len(said)
    assert alone.census()["confirmed"] == 0


def test_it_follows_who_moves():
    subject = tracker()
    subject.step(looks(BOTH, speed=8.0))
    (track,) = rows_of(subject)
    assert track["status"] == Status.CONFIRMED
    assert track["moved"]
    assert np.hypot(*(track["x"][0, :2] - [TARGET[0] + 8.0 * 29.5, TARGET[1]])) < 50.0


def test_two_cameras_and_two_movers_make_ghosts_and_start_none():
    subject = tracker()
    subject.step(looks(BOTH, targets=(TARGET, (-150.0, 600.0))))
    assert not len(rows_of(subject))


def test_a_third_place_tells_which_are_true():
    subject = tracker(3)
    targets = np.array([TARGET, (-150.0, 600.0)])
    subject.step(looks([(k % 3, 0.1 * k) for k in range(3)], targets=targets))
    found = rows_of(subject)["x"][:, 0, :2]
    assert len(found) == 2
    apart = np.hypot(*(found[:, None] - targets[None]).transpose(2, 0, 1))
    assert (apart.min(axis=0) < 25.0).all()


def test_a_camera_that_moved_enough_is_two_places():
    for step, tracks in ((5.0, 0), (300.0, 1)):
        builder = DetectionsBuilder()
        for second in range(2):
            place = np.array([step * second, 0.0])
            time = START_NS + second * SECOND // 10
            builder.report(sensor=0, time=time, received=time, offset=second, origin=at(*place))
            azimuth = math.atan2(100.0 - place[0], 500.0)
            builder.detection(
                kind=DetectionKind.BEARING,
                polar=(NAN, azimuth, NAN, NAN),
                polar_sigma=(NAN, SIGMA, NAN, NAN),
            )
        subject = tracker()
        subject.step(builder.build())
        assert len(rows_of(subject)) == tracks


def test_what_is_kept_is_bounded_and_forgotten():
    subject = tracker()
    crowd = [(1000.0 * math.sin(a), 1000.0 * math.cos(a)) for a in np.linspace(0, 6, 100)]
    subject.step(looks([(0, 0.0), (0, 0.5)], targets=crowd))
    assert len(subject._table.loose) == KEPT
    subject.step(looks([(1, 60.0)]))
    assert subject._table.loose["sensor"].tolist() == [1]


@settings(deadline=None, max_examples=6)
@given(st.integers(0, 1000), st.integers(0, 60))
def test_late_looks_and_snapshots_change_no_bit(seed, cut):
    whole = looks(BOTH, seed=seed)
    rng = np.random.default_rng(seed)
    late = whole.take_reports(np.argsort(np.arange(60) + rng.uniform(0, 5, 60)))
    straight, first, restored = (tracker() for _ in range(3))
    straight.step(whole)
    first.step(late.take_reports(np.arange(cut)))
    restored.restore(first.snapshot())
    restored.step(late.take_reports(np.arange(cut, 60)))
    want, have = straight._table.export(), restored._table.export()
    for name in want:
        if name not in ("say", "head"):  # what was said, and when, is another matter
            assert have[name].tobytes() == want[name].tobytes(), name


@kernel
def _crossing(pair, far, speed, s, out):
    return crossing(pair[0], pair[1], far, speed, s[0], out)


@settings(deadline=None, max_examples=60)
@given(
    st.tuples(st.floats(-2000, 2000), st.floats(-2000, 2000)),
    st.tuples(st.floats(-2000, 2000), st.floats(-2000, 2000)),
    st.floats(1e-4, 0.2),
    st.floats(0.0, 5.0),
)
def test_a_crossing_lies_on_both_lines_and_its_covariance_is_sound(base, target, sigma, age):
    pair, out = np.zeros(2, LOOSE), np.zeros(7)
    pair["place"][1], pair["variance"] = base, sigma * sigma
    pair["time"] = round(age * SECOND), 0
    away = np.array(target) - pair["place"]
    pair["azimuth"] = np.arctan2(away[:, 0], away[:, 1])
    far = np.full(2, np.inf)
    if _crossing(pair, far, 15.0, Settings().record, out):
        assert np.hypot(*(out[:2] - target)) < 1e-6 * (1.0 + np.hypot(*away.T).max())
        assert out[2] > 0.0
        assert out[2] * out[4] > out[3] ** 2
        assert math.sqrt(max(out[2], out[4])) < 0.2 * out[5:].min() + 1e-9
