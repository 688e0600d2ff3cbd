"""What holds of the tracker whatever the world does."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion import Tracker
from model.detections import DetectionKind, Detections, DetectionsBuilder, IdentityKind
from model.sensors import Sensor, Sensors
from model.taxonomy import HUMAN, one_hot
from model.tracks import Status, TrackUpdates, UpdateReason
from tests.fusion.world import NAN, REGION, SECOND, START_NS, at, reports, sensors

SLOW = settings(deadline=None, max_examples=12)


def tracker() -> Tracker:
    return Tracker(sensors(), REGION)


def bits(updates: TrackUpdates) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in updates.columns().items()}


def stepped(subject: Tracker, whole: Detections, cuts: list[int]) -> TrackUpdates:
    edges = sorted({0, whole.n_reports, *(cut % (whole.n_reports + 1) for cut in cuts)})
    parts = [
        subject.step(whole.take_reports(np.arange(start, stop)))
        for start, stop in itertools.pairwise(edges)
    ]
    return TrackUpdates.concat(parts)


@SLOW
@given(st.integers(0, 10_000), st.lists(st.integers(0, 1000), max_size=6), st.sampled_from([0, 1]))
def test_the_cut_into_batches_changes_no_bit(seed, cuts, late):
    whole = reports(seed, late_s=2.0 * late)
    assert bits(stepped(tracker(), whole, [])) == bits(stepped(tracker(), whole, cuts))


@SLOW
@given(st.integers(0, 10_000), st.integers(1, 70))
def test_a_snapshot_at_any_point_changes_no_bit(seed, cut):
    whole = reports(seed, late_s=1.5)
    first = tracker()
    first.step(whole.take_reports(np.arange(cut)))
    second = tracker()
    second.restore(first.snapshot())
    rest = whole.take_reports(np.arange(cut, whole.n_reports))
    assert bits(first.step(rest)) == bits(second.step(rest))
    assert first.counters == second.counters


@pytest.mark.timeout(600)  # nobody has compiled the steps by themselves before
@SLOW
@given(st.integers(0, 10_000))
def test_step_by_step_the_bits_are_the_same(seed):
    whole = reports(seed, late_s=1.0)
    steps: list[str] = []
    timed = Tracker(sensors(), REGION, lap=steps.append)
    assert bits(timed.step(whole)) == bits(tracker().step(whole))
    assert {"measure", "predict", "associate", "update", "learn", "publish"} <= set(steps)


@SLOW
@given(st.integers(0, 10_000))
def test_late_reports_give_the_picture_that_sorted_ones_give(seed):
    late = reports(seed, late_s=2.0)
    order = np.argsort(late.time, kind="stable")
    one, other = tracker(), tracker()
    one.step(late)
    other.step(late.take_reports(order))
    assert one.counters.late > 0
    assert one.counters.too_late == 0
    now = int(late.time.max())
    a, b = one.picture(now), other.picture(now)
    assert a.state.tobytes() == b.state.tobytes()
    assert a.covariance.tobytes() == b.covariance.tobytes()
    assert a.track_id.tolist() == b.track_id.tolist()


@SLOW
@given(st.integers(0, 10_000))
def test_updates_are_sane(seed):
    updates = tracker().step(reports(seed, seconds=15, late_s=1.0))
    assert len(updates)
    keys = list(zip(updates.known_offset.tolist(), updates.n.tolist(), strict=True))
    assert len(set(keys)) == len(keys)
    assert keys == sorted(keys)
    assert np.isfinite(updates.state[:, [0, 1, 3, 4]]).all()
    assert ((updates.existence >= 0) & (updates.existence <= 1)).all()
    assert (updates.status != Status.TENTATIVE).all()
    for track in np.unique(updates.track_id):
        own = updates.take(updates.track_id == track)
        assert own.revision.tolist() == list(range(1, len(own) + 1))
        assert len(set(own.number.tolist())) == 1
    diagonal = updates.covariance[:, [0, 6, 15, 18]]
    assert (diagonal > 0).all()


def test_movers_are_found_and_placed():
    whole = reports(7, seconds=30, count=6)
    subject = tracker()
    subject.step(whole)
    rng = np.random.default_rng(7)
    from tests.fusion.world import movers

    world = movers(rng, 6)
    now = int(whole.time.max())
    shown = subject.picture(now)
    plane = REGION.enu_from_geodetic(
        np.column_stack([shown.state[:, :2], np.full(len(shown), 10.0)])
    )[:, :2]
    truth = world.at((now - START_NS) / SECOND)
    distance = np.hypot(*(truth[:, None] - plane[None]).transpose(2, 0, 1))
    assert len(shown) == 6
    assert distance.min(axis=1).max() < 25.0


def position(builder: DetectionsBuilder, east: float, north: float, **values) -> None:
    builder.detection(
        kind=DetectionKind.POSITION,
        position=(*at(east, north)[:2], NAN),
        covariance=(100.0, 0.0, 100.0, NAN, NAN, NAN),
        **values,
    )


def series(sensor: int, seconds: list[float], first_offset: int = 0, **values) -> Detections:
    """Reports of one detection each at (1000, 1000)."""
    builder = DetectionsBuilder()
    for step, second in enumerate(seconds):
        time = START_NS + round(second * SECOND)
        builder.report(sensor=sensor, time=time, received=time, offset=first_offset + step)
        position(builder, 1000.0, 1000.0, **values)
    return builder.build()


def empty(sensor: int, seconds: list[float], first_offset: int) -> Detections:
    builder = DetectionsBuilder()
    for step, second in enumerate(seconds):
        time = START_NS + round(second * SECOND)
        builder.report(sensor=sensor, time=time, received=time, offset=first_offset + step)
    return builder.build()


def test_misses_delete_where_the_sensor_looked():
    subject = tracker()
    subject.step(series(0, [0, 1, 2, 3, 4]))
    assert subject.census()["confirmed"] == 1
    updates = subject.step(empty(0, [5, 6, 7, 8, 9, 10], 5))
    assert updates.status[-1] == Status.DELETED
    assert updates.reason[-1] == UpdateReason.LOST


def test_silence_of_an_event_sensor_is_no_miss():
    subject = tracker()
    subject.step(series(0, [0, 1, 2, 3, 4]))
    subject.step(empty(3, [5, 6, 7, 8, 9, 10], 5))
    assert subject.census()["confirmed"] + subject.census()["coasting"] == 1


def test_ticks_let_a_silent_track_coast_and_go():
    subject = tracker()
    subject.step(series(0, [0, 1, 2, 3, 4]))
    coasting = subject.tick(START_NS + 8 * SECOND, 5)
    assert coasting.status.tolist() == [Status.COASTING]
    assert subject.tick(START_NS + 9 * SECOND, 6).status.tolist() == []
    gone = subject.tick(START_NS + 60 * SECOND, 7)
    assert gone.status.tolist() == [Status.DELETED]
    assert subject.census() == {"tentative": 0, "confirmed": 0, "coasting": 0}


def test_bearings_never_start_a_track():
    builder = DetectionsBuilder()
    for second in range(20):
        time = START_NS + second * SECOND
        builder.report(sensor=2, time=time, received=time, offset=second)
        builder.detection(kind=DetectionKind.BEARING, polar=(NAN, 0.3, NAN, NAN))
    subject = tracker()
    assert len(subject.step(builder.build())) == 0
    assert subject.census() == {"tentative": 0, "confirmed": 0, "coasting": 0}


def test_a_bearing_sharpens_across_its_line_of_sight():
    subject = tracker()
    subject.step(series(0, [0, 1, 2, 3, 4]))
    before = subject.picture(START_NS + 5 * SECOND)
    from tests.fusion.world import polar_of

    _, azimuth = polar_of(sensors()[2], np.array([1000.0, 1000.0]))
    builder = DetectionsBuilder()
    time = START_NS + 5 * SECOND
    builder.report(sensor=2, time=time, received=time, offset=9)
    builder.detection(
        kind=DetectionKind.BEARING,
        polar=(NAN, azimuth, NAN, NAN),
        polar_sigma=(NAN, 0.0002, NAN, NAN),
    )
    subject.step(builder.build())
    after = subject.picture(time)
    trace = after.covariance[0, [0, 6]].sum() / before.covariance[0, [0, 6]].sum()
    assert trace < 0.9  # its errors stay the same for half a minute, so it counts little


def test_identity_keeps_two_vessels_apart_that_pass_in_one_place():
    builder = DetectionsBuilder()
    for second in range(20):
        time = START_NS + second * SECOND
        builder.report(sensor=4, time=time, received=time, offset=second)
        for sign, name in ((1, b"230000001"), (-1, b"230000002")):
            position(
                builder,
                sign * 10.0 * (second - 10),
                0.0,
                identity_kind=IdentityKind.MMSI,
                identity=name,
            )
    subject = tracker()
    updates = subject.step(builder.build())
    for name in (b"230000001", b"230000002"):
        assert len(set(updates.track_id[updates.identity == name].tolist())) == 1
    assert len(set(updates.track_id.tolist())) == 2


def test_a_mover_that_reports_itself_after_a_silence_keeps_its_track():
    subject = tracker()
    named: dict[str, Any] = {"identity_kind": IdentityKind.MMSI, "identity": b"230000001"}
    before = subject.step(series(4, [0, 3, 6], **named))
    after = subject.step(series(4, [120, 123], first_offset=3, **named))
    assert set(after.track_id.tolist()) == set(before.track_id.tolist())


def test_a_human_track_never_carries_an_identity():
    subject = tracker()
    updates = subject.step(
        series(
            4,
            [0, 3, 6],
            classes=one_hot("human"),
            identity_kind=IdentityKind.REMOTE_ID,
            identity=b"SERIAL",
        )
    )
    assert len(updates)
    assert (updates.classes.argmax(axis=1) == HUMAN).all()
    assert (updates.identity == b"").all()
    assert (updates.identity_kind == IdentityKind.NONE).all()


def test_a_late_report_corrects_what_was_said():
    subject = tracker()
    subject.step(series(0, [0, 1, 2, 3, 5]))
    late = series(0, [4], first_offset=5)
    updates = subject.step(late)
    assert subject.counters.late == 1
    assert updates.reason.tolist() == [UpdateReason.CORRECTED]
    assert updates.revision[0] > 1
    assert updates.valid[0] == START_NS + 5 * SECOND


def test_a_report_older_than_history_is_counted_not_fused():
    subject = Tracker(sensors(), REGION, late_window_s=2.0)
    subject.step(series(0, [float(s) for s in range(60)]))
    assert len(subject.step(series(0, [1.5], first_offset=60))) == 0
    assert subject.counters.too_late == 1


def test_a_detection_outside_the_region_is_counted_not_fused():
    builder = DetectionsBuilder()
    builder.report(sensor=4, time=START_NS, received=START_NS, offset=0)
    builder.detection(kind=DetectionKind.POSITION, position=(-0.5, 2.0, NAN))
    subject = tracker()
    assert len(subject.step(builder.build())) == 0
    assert subject.counters.refused == 1


def test_zones_and_lines_start_tracks_with_their_own_uncertainty():
    builder = DetectionsBuilder()
    line = [at(1000, 900)[:2], at(1000, 1100)[:2]]
    for second in range(4):
        time = START_NS + second * SECOND
        builder.report(sensor=3, time=time, received=time, offset=second)
        builder.detection(kind=DetectionKind.ZONE, position=at(-500, 0), radius=40.0)
        builder.detection(kind=DetectionKind.LINE, line=line)
    subject = tracker()
    subject.step(builder.build())
    table = subject.snapshot()["table"]
    variance = table["P"][:, 0, [0, 4]]
    zone, stroke = variance[np.argsort(table["x"][:, 0, 0])]
    assert zone.max() < 40.0**2 / 4 + 1
    assert stroke[1] > 20 * stroke[0]


@pytest.mark.parametrize("hours", [0.0, 1.0])
def test_two_reports_of_one_time_and_time_running_backwards(hours):
    subject = tracker()
    subject.step(series(0, [10, 10, 11, 11, 12]))
    subject.step(series(0, [13 - 3600 * hours], first_offset=5))
    shown = subject.picture(START_NS + 14 * SECOND)
    assert np.isfinite(shown.state[:, [0, 1, 3, 4]]).all()


@pytest.mark.parametrize("tracks", [False, True])
def test_tracks_of_another_tracker_do_not_make_ours_surer_than_theirs(tracks):
    # The same wrong place again and again, 10 m off with 10 m of sigma: a tracker's error lasts.
    sensor = Sensor("theirs", tracks=tracks, clutter_density_m2=1e-9, sensing="event")
    subject = Tracker(Sensors([sensor]), REGION)
    subject.step(series(0, [0.1 * step for step in range(100)]))
    shown = subject.picture(START_NS + 10 * SECOND)
    variance = shown.covariance[0, [0, 6]].max()
    assert (variance > 50.0) == tracks
