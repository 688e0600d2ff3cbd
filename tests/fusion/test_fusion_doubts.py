"""An identity said in two places is doubted, told of once, and nothing else of the tracks is."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion import Settings, Tracker
from model.detections import DetectionKind, Detections, DetectionsBuilder, IdentityKind
from model.sensors import Sensor, Sensors
from model.taxonomy import N_CLASSES, one_hot
from model.tracks import Status, TrackUpdates, UpdateReason
from tests.fusion.world import NAN, REGION, SECOND, START_NS, at

NAME = b"230000001"
DOUBTED, CLEARED = UpdateReason.DOUBTED, UpdateReason.CLEARED
NO_CLASS = np.zeros(N_CLASSES, np.float32)
HERE, THERE = 0.0, 6000.0
"""East of the places, m."""


def said(
    seconds: float, offset: int, *easts: float, name: bytes = NAME, label: str = ""
) -> Detections:
    """One report in which movers that go east at 10 m/s say their name; b"": a radar sees them."""
    builder = DetectionsBuilder()
    time = START_NS + round(seconds * SECOND)
    builder.report(sensor=1 if name else 0, time=time, received=time, offset=offset)
    for east in easts:
        builder.detection(
            kind=DetectionKind.POSITION,
            position=(*at(east + 10.0 * seconds, 500.0)[:2], NAN),
            covariance=(25.0, 0.0, 25.0, NAN, NAN, NAN),
            identity_kind=IdentityKind.MMSI if name else IdentityKind.NONE,
            identity=name,
            classes=one_hot(label) if label else NO_CLASS,
        )
    return builder.build().check()


def subject(doubt_s: float = 60.0) -> Tracker:
    radar = Sensor("radar", position=at(0.0, 0.0), clutter_per_scan=0.1)
    network = Sensor("network", cooperative=True, sensing="event")
    return Tracker(Sensors([radar, network]), REGION, settings=Settings(doubt_s=doubt_s))


def run(tracker: Tracker, *reports: Detections) -> TrackUpdates:
    return TrackUpdates.concat([tracker.step(one) for one in reports])


def events(updates: TrackUpdates) -> Counter[UpdateReason]:
    return Counter(UpdateReason(r) for r in updates.reason.tolist() if r in (DOUBTED, CLEARED))


def doubted(tracker: Tracker) -> dict[int, int]:
    """Since when each identity is doubted, ns, of those tracks of which that is to be said."""
    rows = tracker._table.rows[tracker._table.alive()]
    chosen = rows[(rows["doubted"] > 0) & ((rows["name"] != 0) | (rows["aloud"] > 0))]
    return {int(r["track_id"]): int(r["doubted"]) for r in chosen}


def told(updates: TrackUpdates) -> set[int]:
    """Tracks of which a reader of all updates holds that their identity is doubted."""
    found: set[int] = set()
    for track, reason, status in zip(
        updates.track_id.tolist(), updates.reason.tolist(), updates.status.tolist(), strict=True
    ):
        if reason == DOUBTED:
            assert track not in found  # never said again while it lasts
            found.add(track)
        if reason == CLEARED:
            assert track in found
        if reason == CLEARED or status == Status.DELETED:
            found.discard(track)
    return found


def test_a_jump_is_told_once_of_both_tracks_and_moves_neither():
    tracker = subject()
    ways = [said(s, 10 * s, HERE) for s in range(20)]
    assert not events(run(tracker, *ways[:10]))
    jump = tracker.step(said(9.5, 95, THERE))
    assert jump.reason.tolist() == [DOUBTED, DOUBTED]
    assert doubted(tracker).keys() == set(jump.track_id.tolist())
    assert set(doubted(tracker).values()) == {START_NS + 19 * SECOND // 2}
    # The elder says who it is still; the younger says nothing of it.
    assert jump.identity.tolist() == [NAME, b""]
    assert (jump.status == Status.CONFIRMED).all()
    assert not events(run(tracker, *ways[10:]))
    # All else is as it would be if another had said another name there.
    plain = subject()
    run(plain, *ways[:10], said(9.5, 95, THERE, name=b"230000002"), *ways[10:])
    one, other = (t.picture(START_NS + 19 * SECOND) for t in (tracker, plain))
    for name in ("track_id", "status", "state", "covariance", "existence", "classes", "stale"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes()


@pytest.mark.parametrize("together", [True, False])
def test_a_conflict_is_told_once_however_long_it_lasts(together):
    tracker = subject()
    begun = run(tracker, said(0, 0, HERE))
    reports = []
    for s in range(1, 121):
        places = [HERE, THERE]
        if together:
            reports.append(said(s, 2 * s, *places))
        else:
            reports += [said(s + 0.5 * k, 2 * s + k, places[k]) for k in range(2)]
    updates = run(tracker, *reports)
    assert events(updates) == {DOUBTED: 2}
    assert len(tracker._table) == 2
    assert told(TrackUpdates.concat([begun, updates])) == doubted(tracker).keys()


def test_a_transponder_that_alternates_once_a_second_is_told_of_once():
    tracker = subject()
    updates = run(tracker, *(said(s, s, (HERE, THERE)[s % 2]) for s in range(120)))
    assert events(updates) == {DOUBTED: 2}
    assert len(doubted(tracker)) == 2
    assert len(np.unique(updates.track_id)) == 2


def test_one_that_hops_about_is_told_of_once_and_again_only_where_it_bears_the_name():
    tracker = subject()
    hops = [said(s, s, THERE + 500.0 * s if s % 2 else HERE) for s in range(60)]
    assert events(run(tracker, *hops)) == {DOUBTED: 2}
    assert len(tracker._table) > 5
    # Nobody is where he was: the name goes over as its bearers are lost, 15 s and more each.
    lost = subject()
    assert events(run(lost, *(said(s, s, 400.0 * s) for s in range(120))))[DOUBTED] <= 9


def test_a_place_that_the_mover_may_have_reached_is_no_jump():
    tracker = subject()
    run(tracker, *(said(s, s, HERE) for s in range(10)))
    assert not events(run(tracker, *(said(s, s, HERE + 40.0) for s in range(10, 20))))
    assert not doubted(tracker)


def test_an_identity_that_is_said_again_for_a_minute_is_doubted_no_longer():
    tracker = subject()
    first = run(tracker, *(said(s, s, HERE) for s in range(10)), said(9.5, 10, THERE))
    elder = int(first.track_id[0])
    quiet = run(tracker, *(said(s, s + 1, HERE) for s in range(10, 70)))
    assert not events(quiet.take(quiet.track_id == elder))
    cleared = tracker.step(said(70, 71, HERE))  # the first word since was at 10 s
    assert cleared.reason[cleared.track_id == elder].tolist() == [CLEARED]
    assert elder not in doubted(tracker)
    assert not events(run(tracker, *(said(s, s + 1, HERE) for s in range(71, 90))))


def test_silence_clears_nothing_and_a_contradiction_begins_the_minute_anew():
    tracker = subject()
    run(tracker, *(said(s, s, HERE) for s in range(10)), said(9.5, 10, THERE))
    assert not events(run(tracker, said(12, 12, HERE), said(40, 40, HERE)))
    run(tracker, said(41, 41, THERE + 3000.0))
    after = run(tracker, said(42, 42, HERE), said(73, 73, HERE))
    assert CLEARED not in events(after)
    assert CLEARED in events(run(tracker, said(102, 102, HERE)))


def test_who_was_silent_too_long_and_appears_where_he_cannot_be_is_doubted():
    tracker = subject()
    run(tracker, *(said(s, s, HERE) for s in range(5)))
    back = tracker.step(said(40, 40, 20_000.0))
    assert events(back) == {DOUBTED: 1}
    assert doubted(tracker).keys() == {int(back.track_id[back.reason == DOUBTED][0])}
    assert back.identity[back.reason == DOUBTED].tolist() == [NAME]


def test_of_a_person_neither_identity_nor_doubt_is_said():
    tracker = subject()
    reports = [said(s, 2 * s, HERE, label="human") for s in range(30)]
    reports += [said(s + 0.5, 2 * s + 1, THERE, label="human") for s in range(5, 30)]
    reports.sort(key=lambda one: int(one.time[0]))
    updates = run(tracker, *reports)
    assert len(doubted(tracker)) == 2
    assert not events(updates)
    assert (updates.identity_kind == IdentityKind.NONE).all()
    assert (updates.identity == b"").all()


def test_a_doubt_that_a_late_report_brings_is_told():
    tracker = subject()
    run(tracker, *(said(s, 2 * s, HERE) for s in range(10)))
    late = tracker.step(said(5.5, 11, THERE))
    assert events(late) == {DOUBTED: 2}
    assert set(doubted(tracker).values()) == {START_NS + 11 * SECOND // 2}


def test_an_adopted_track_takes_its_doubt_along_and_its_new_readers_are_told():
    tracker = subject()
    run(tracker, *(said(s, s, HERE) for s in range(10)), said(9.5, 10, THERE))
    ids = sorted(doubted(tracker))
    other = subject()
    other.adopt(tracker.export(ids))
    assert doubted(other) == doubted(tracker)
    updates = run(other, *(said(s, s + 1, HERE) for s in range(10, 80)))
    assert events(updates) == {DOUBTED: 2, CLEARED: 1}


def test_a_snapshot_keeps_what_was_told():
    whole = [said(s, s, (HERE, THERE)[s % 2]) for s in range(8)]
    tracker, other = subject(), subject()
    run(tracker, *whole[:4])
    other.restore(tracker.snapshot())
    one, two = run(tracker, *whole[4:]), run(other, *whole[4:])
    assert not events(one)
    for name, column in one.columns().items():
        assert column.tobytes() == two.columns()[name].tobytes()


@st.composite
def claims(draw):
    """Reports of one identity in up to three places, in order of time."""
    plan = draw(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2)), min_size=2, max_size=24))
    # One report at a time: of two at once the order of arrival decides, which is another matter.
    plan = sorted(dict(plan).items())
    places = (HERE, THERE, -THERE)
    return [said(0.4 * s, k, places[where]) for k, (s, where) in enumerate(plan)]


@settings(deadline=None, max_examples=25)
@given(claims(), st.integers(0, 1000))
def test_late_or_on_time_the_same_identities_are_doubted_and_readers_know(reports, seed):
    rng = np.random.default_rng(seed)
    order = np.argsort([int(r.time[0]) + rng.uniform(0.0, 3.0) * SECOND for r in reports])
    on_time, late = subject(doubt_s=4.0), subject(doubt_s=4.0)
    for tracker, chosen in ((on_time, range(len(reports))), (late, order.tolist())):
        updates = run(tracker, *(reports[k] for k in chosen))
        shown = set(tracker.picture(tracker.now_ns).track_id.tolist())
        assert told(updates) & shown == doubted(tracker).keys() & shown
    for name in ("track_id", "name", "doubted", "vouched", "x", "P", "llr"):
        one, two = (t._table.rows[t._table.alive()][name] for t in (on_time, late))
        assert one.tobytes() == two.tobytes()


@settings(deadline=None, max_examples=15)
@given(claims())
def test_step_by_step_is_the_same_to_the_bit_and_events_are_bounded(reports):
    radar = Sensors([Sensor("radar", position=at(0.0, 0.0)), Sensor("n", cooperative=True)])
    steps: list[str] = []
    chain, staged = Tracker(radar, REGION), Tracker(radar, REGION, lap=steps.append)
    one, two = run(chain, *reports), run(staged, *reports)
    assert steps
    for column, values in one.columns().items():
        assert values.tobytes() == two.columns()[column].tobytes()
    for track in np.unique(one.track_id):
        mine = one.take(one.track_id == track)
        onsets = mine.valid[mine.reason == DOUBTED]
        deleted = bool((mine.status == Status.DELETED).any())
        assert deleted or all(b - a >= 60 * SECOND for a, b in pairwise(onsets.tolist()))
