"""What is said stays true to the table, whatever comes late."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion import Settings, Tracker
from fusion.history import Item, reports_of
from model.detections import DetectionKind, Detections, DetectionsBuilder
from model.sensors import Coverage, DetectionProbability, Sensor, Sensors
from model.tracks import Status, TrackUpdates, UpdateReason
from tests.fusion.batches import batches
from tests.fusion.world import NAN, REGION, SECOND, START_NS, at, reports, sensors

Places = list[tuple[float, float]]


def radar(**changes: Any) -> Sensor:
    values: dict[str, Any] = {
        "id": "radar",
        "position": at(0, 0),
        "detection_probability": DetectionProbability((0.0,), (0.9,)),
        "coverage": Coverage((0.0, 12_000.0)),
        "clutter_density_m2": 1e-7,
    }
    return Sensor(**(values | changes))


def report(
    second: float, places: Places, offset: int, sensor: int = 0, received: float | None = None
) -> Detections:
    builder = DetectionsBuilder()
    builder.report(
        sensor=sensor,
        time=START_NS + round(second * SECOND),
        received=START_NS + round((second if received is None else received) * SECOND),
        offset=offset,
    )
    for place in places:
        builder.detection(
            kind=DetectionKind.POSITION,
            position=(*at(*place)[:2], NAN),
            covariance=(100.0, 0.0, 100.0, NAN, NAN, NAN),
        )
    return builder.build()


def heads(updates: TrackUpdates) -> dict[int, int]:
    """The row of the last update of each track."""
    return {int(track): row for row, track in enumerate(updates.track_id)}


def same_as_table(subject: Tracker, said: list[TrackUpdates], now_ns: int) -> None:
    """What was said last is the table: the same tracks, at the same places."""
    updates = TrackUpdates.concat(said)
    last = updates.take(np.array(sorted(heads(updates).values()), dtype=np.int64))
    shown = last.take(last.status != Status.DELETED)
    table = subject.picture(now_ns)
    assert sorted(shown.track_id.tolist()) == sorted(table.track_id.tolist())
    index = {int(track): row for row, track in enumerate(table.track_id)}
    order = np.array([index[int(track)] for track in shown.track_id], dtype=np.int64)
    newest = shown.valid == now_ns
    assert np.array_equal(shown.state[newest], table.take(order).state[newest], equal_nan=True)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10_000), st.sampled_from([0.5, 2.0, 6.0]))
def test_what_was_said_last_is_what_the_table_holds(seed, late_s):
    whole = reports(seed, seconds=10, late_s=late_s)
    subject = Tracker(sensors(), REGION)
    said = []
    for row in range(whole.n_reports):
        said.append(subject.step(whole.take_reports([row])))
        same_as_table(subject, said, subject.now_ns)


def test_a_detection_that_a_late_report_takes_away_is_taken_back():
    # Two movers; the event sensor's detection went to the first, and with the late one it is
    # the second's.
    subject = Tracker(Sensors([radar(sensing="event", period_s=10.0)]), REGION)
    said = [subject.step(report(s, [(1000.0, 1000.0)], s)) for s in range(4)]
    said.append(subject.step(report(8.0, [(1060.0, 1000.0)], 4)))
    before = subject.picture(START_NS + 8 * SECOND)
    for offset, second in enumerate((4.1, 5.1, 6.1, 7.1), start=5):
        said.append(subject.step(report(second, [(1085.0, 1000.0)], offset, received=8.0)))
        same_as_table(subject, said, START_NS + 8 * SECOND)
    after = subject.picture(START_NS + 8 * SECOND)
    assert len(before) == 1
    assert len(after) == 2


def test_a_track_that_a_late_miss_makes_doubtful_is_retracted_and_may_come_back():
    subject = Tracker(Sensors([radar(clutter_density_m2=1e-6)]), REGION)
    said = [subject.step(report(s, [(1000.0, 1000.0)], s)) for s in range(3)]
    offset = 3
    first = TrackUpdates.concat(said)
    assert first.status.tolist()[-1] == Status.CONFIRMED
    while subject.census()["confirmed"]:
        said.append(subject.step(report(1.5 + offset / 1000, [], offset, received=2.0)))
        offset += 1
    assert said[-1].status.tolist() == [Status.DELETED]
    assert said[-1].reason.tolist() == [UpdateReason.LOST]
    same_as_table(subject, said, START_NS + 2 * SECOND)
    for second in (2.5, 3.0, 3.5, 4.0):
        said.append(subject.step(report(second, [(1000.0, 1000.0)], offset)))
        offset += 1
    whole = TrackUpdates.concat(said)
    assert set(whole.track_id.tolist()) == set(first.track_id.tolist())
    assert set(whole.number.tolist()) == set(first.number.tolist())
    assert whole.revision.tolist() == list(range(1, len(whole) + 1))
    assert whole.status[-1] == Status.CONFIRMED


def test_silence_is_judged_alike_when_the_past_is_fused_again():
    # The mover is silent for 17 s and found again at 19 s: that is a new track, and a late report
    # about something else changes nothing of it.
    def run(order: list[float]) -> list[int]:
        subject = Tracker(Sensors([radar(sensing="event")]), REGION)
        for offset, second in enumerate(order):
            here = [(1000.0, 1000.0)] if second in (0, 1, 2, 19, 20, 21) else [(-8000.0, 0.0)]
            arrived = max(order[: offset + 1])
            subject.step(report(second, here, round(10 * second), received=arrived))
        ids: list[int] = subject.picture(START_NS + 21 * SECOND).track_id.tolist()
        return ids

    sorted_once = [0, 1, 2, 10, 17.5, 18.5, 19, 20, 21]
    assert run([0, 1, 2, 10, 18.5, 19, 20, 21, 17.5]) == run(sorted_once)


def test_a_late_report_finds_the_track_that_silence_closed_with_its_number():
    subject = Tracker(Sensors([radar(), radar(id="slow", sensing="event")]), REGION)
    said = [subject.step(report(s, [(1000.0, 1000.0)], s)) for s in range(4)]
    said.append(subject.tick(START_NS + 19 * SECOND, 4))
    assert said[-1].status.tolist() == [Status.DELETED]
    assert said[-1].reason.tolist() == [UpdateReason.LOST]
    assert subject.census() == {"tentative": 0, "confirmed": 0, "coasting": 0}
    assert len(subject.picture(START_NS + 19 * SECOND)) == 0
    said.append(subject.step(report(10.0, [(1000.0, 1000.0)], 5, sensor=1, received=19.0)))
    whole = TrackUpdates.concat(said)
    assert len(set(whole.track_id.tolist())) == 1
    assert len(set(whole.number.tolist())) == 1
    assert whole.revision.tolist() == list(range(1, len(whole) + 1))
    assert whole.status[-1] != Status.DELETED


def test_heads_are_kept_while_a_late_report_can_bring_their_tracks_back():
    # Forty tracks closed by misses, long ago for a clock and not long ago for the reports.
    places = [(500.0 * (i % 8) - 2000, 500.0 * (i // 8) - 2000) for i in range(40)]
    subject = Tracker(Sensors([radar()]), REGION, late_window_s=8.0)
    said = [subject.step(report(s, places, s)) for s in range(4)]
    said.extend(subject.step(report(s, [], s)) for s in range(4, 9))
    closed = TrackUpdates.concat(said)
    assert (closed.status == Status.DELETED).sum() == 40
    said.append(subject.tick(START_NS + 60 * SECOND, 9))
    said.append(subject.step(report(4.5, places, 10, received=60.0)))
    said.append(subject.step(report(5.5, places, 11, received=60.0)))
    said.append(subject.step(report(6.5, places, 12, received=60.0)))
    whole = TrackUpdates.concat(said)
    for track in np.unique(whole.track_id):
        own = whole.take(whole.track_id == track)
        assert own.revision.tolist() == list(range(1, len(own) + 1))
        assert len(set(own.number.tolist())) == 1


def test_heads_of_closed_tracks_do_not_pile_up():
    subject = Tracker(Sensors([radar()]), REGION, late_window_s=2.0)
    rng = np.random.default_rng(1)
    for step in range(300):
        places = [tuple(row) for row in rng.uniform(-4000, 4000, (3, 2)).tolist()]
        start = 20.0 * step
        for offset in range(4):
            subject.step(report(start + offset, places, 4 * step + offset))
    assert len(subject.snapshot()["heads"]["last"]["track_id"]) < 100


@pytest.mark.parametrize("every", [0.1, 5.0])
def test_the_window_is_the_window_however_far_reports_lie_apart(every):
    subject = Tracker(Sensors([radar()]), REGION, late_window_s=6.0)
    for step in range(40):
        subject.step(report(every * step, [(1000.0, 1000.0)], step))
    newest = every * 39
    subject.step(report(newest - 6.5, [], 40, received=newest))
    assert subject.counters.too_late == 1
    subject.step(report(newest - 5.5, [], 41, received=newest))
    assert subject.counters.too_late == 1


def test_the_latency_of_a_sensor_is_no_lateness():
    slow = radar(latency_s=20.0)
    subject = Tracker(Sensors([radar(id="prompt", sensing="event"), slow]), REGION)
    for second in range(40):
        north = 10.0 * second
        subject.step(report(float(second), [(-3000.0, north)], 2 * second))
        subject.step(report(float(second), [(3000.0, north)], 2 * second + 1, sensor=1))
    assert subject.counters.too_late == 0
    assert subject.census()["confirmed"] + subject.census()["coasting"] == 2


def test_a_spoken_number_in_use_is_not_given_again():
    subject = Tracker(Sensors([radar()]), REGION)
    said = [subject.step(report(s, [(1000.0, 1000.0)], s)) for s in range(4)]
    subject._heads.serial = 240_000  # a lap later
    said += [subject.step(report(s, [(1000.0, 1000.0), (-2000.0, 0.0)], s)) for s in range(4, 9)]
    whole = TrackUpdates.concat(said)
    numbers = {int(t): n for t, n in zip(whole.track_id, whole.number.tolist(), strict=True)}
    assert len(numbers) == 2
    assert len(set(numbers.values())) == 2


def test_a_snapshot_does_not_carry_what_no_report_needs():
    # One batch of many reports, each with the polygon it looked at.
    builder = DetectionsBuilder()
    polygon = [at(1000 * np.sin(a), 1000 * np.cos(a))[:2] for a in np.linspace(0, 6, 20)]
    for step in range(60):
        time = START_NS + step * SECOND // 20
        builder.report(sensor=0, time=time, received=time, offset=step, looked_polygon=polygon)
    first = Tracker(Sensors([radar()]), REGION)
    first.step(builder.build())
    state = first.snapshot()
    kept = state["history"]["reports"]
    assert len(kept["vertices"]) == 20 * len(kept["sensor"])
    second = Tracker(Sensors([radar()]), REGION)
    second.restore(state)
    again = second.snapshot()["history"]["reports"]
    for name, column in kept.items():
        assert np.array_equal(column, again[name], equal_nan=column.dtype.kind == "f"), name


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_reports_are_gathered_from_many_batches_each_with_its_own(data):
    """Wherever they stand, each is given with its detections and vertices, and with no others."""
    two = Sensors([radar(), radar(id="other")])
    made = data.draw(st.lists(batches(REGION, two), min_size=1, max_size=4))
    standing = [(place, row) for place, one in enumerate(made) for row in range(one.n_reports)]
    chosen = [(made[place], row) for place, row in data.draw(st.lists(st.sampled_from(standing)))]
    items = [Item((0, place), None, batch, row, 0) for place, (batch, row) in enumerate(chosen)]
    found = reports_of(items).check()
    assert found.n_reports == len(chosen)
    vertices = 0
    for place, (batch, row) in enumerate(chosen):
        one, same = found.take_reports([place]), batch.take_reports([row])
        for name, values in one.columns().items():
            if name == "vertices":
                continue
            wanted = getattr(same, name)
            if name in {"looked_vertices", "line_vertices"}:
                for mine, theirs in zip(values.tolist(), wanted.tolist(), strict=True):
                    vertices += mine[1] - mine[0]
                    np.testing.assert_array_equal(
                        one.vertices[slice(*mine)], same.vertices[slice(*theirs)]
                    )
            else:
                np.testing.assert_array_equal(values, wanted)
    assert len(found.vertices) == vertices


def test_few_checkpoints_change_no_bit():
    whole = reports(3, seconds=12, late_s=3.0)
    many, few = (
        Tracker(sensors(), REGION),
        Tracker(sensors(), REGION, settings=Settings(max_checkpoints=4, checkpoint_every=3)),
    )
    a, b = many.step(whole), few.step(whole)
    assert a.state.tobytes() == b.state.tobytes()
    assert many.counters == few.counters


@pytest.mark.parametrize("late_s", [0.5, 6.0])
@pytest.mark.parametrize("seed", [3, 4, 5])
def test_reports_that_are_measured_anew_are_fused_as_if_they_had_been_kept(
    seed: int, late_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = reports(seed, seconds=12, late_s=late_s)
    outcomes = []
    for large in (0, 1 << 40):
        monkeypatch.setattr("fusion.tracker.LARGE", large)
        subject = Tracker(sensors(), REGION)
        said = [subject.step(whole.take_reports([row])) for row in range(whole.n_reports)]
        table = subject.snapshot()["table"]
        assert subject.counters.late > subject.counters.stood  # some went back
        outcomes.append((TrackUpdates.concat(said).columns(), table))
    for one, other in zip(*outcomes, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            assert one[name].tobytes() == other[name].tobytes(), name


@pytest.mark.parametrize("seed", [3, 4])
def test_bringing_reports_together_changes_no_bit(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is anything measured anew of another report's detections."""
    monkeypatch.setattr("fusion.tracker.LARGE", 0)  # no scan is kept
    whole = reports(seed, seconds=12, late_s=6.0)
    outcomes, tables = [], []
    for together in (3, 1 << 40):
        monkeypatch.setattr("fusion.history.TOGETHER", together)
        gathered: list[int] = []

        def counted(items: list[Item], into: list[int] = gathered) -> Detections:
            into.append(len(items))
            return reports_of(items)

        monkeypatch.setattr("fusion.history.reports_of", counted)
        subject = Tracker(sensors(), REGION)
        said = [subject.step(whole.take_reports([row])) for row in range(whole.n_reports)]
        assert subject.counters.late > subject.counters.stood  # some went back
        tables.append(len(gathered))
        outcomes.append((TrackUpdates.concat(said).columns(), subject.snapshot()["table"]))
    assert tables[0] > 20
    assert tables[1] == 0
    for one, other in zip(*outcomes, strict=True):
        for name in one:
            assert one[name].tobytes() == other[name].tobytes(), name


@pytest.mark.parametrize(("size", "detections", "copies"), [(1, 2, 4), (30, 2, 0), (1, 40, 0)])
def test_reports_are_brought_together_where_there_is_something_to_gain(
    size: int, detections: int, copies: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not of large batches, nor dense reports: then there are few tables, and much to copy."""
    monkeypatch.setattr("fusion.history.TOGETHER", 30)
    gathered: list[int] = []

    def counted(items: list[Item]) -> Detections:
        gathered.append(len(items))
        return reports_of(items)

    monkeypatch.setattr("fusion.history.reports_of", counted)
    places = [(300.0 * n, 0.0) for n in range(detections)]
    each = [report(0.1 * n, places, n) for n in range(120)]
    subject = Tracker(Sensors([radar()]), REGION, settings=Settings(replay_rows=1 << 30))
    for start in range(0, 120, size):
        subject.step(Detections.concat(each[start : start + size]))
    assert len(gathered) == copies
    state = subject.snapshot()["history"]["reports"]
    again = Tracker(Sensors([radar()]), REGION)
    again.restore(subject.snapshot())
    for name, column in again.snapshot()["history"]["reports"].items():
        assert column.tobytes() == state[name].tobytes(), name
