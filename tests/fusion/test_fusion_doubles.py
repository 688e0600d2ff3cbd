"""No two tracks bear one identity for long: the elder keeps it."""

import pytest

from fusion import Tracker
from model.detections import DetectionKind, Detections, DetectionsBuilder, IdentityKind
from model.sensors import Sensor, Sensors
from tests.fusion.world import NAN, REGION, SECOND, START_NS, at

NAME = b"230000001"


def said(seconds: float, offset: int, east: float, *, name: bytes = NAME) -> Detections:
    """One report of a mover about itself, on its way east from `east` at 10 m/s; b"": no name."""
    builder = DetectionsBuilder()
    time = START_NS + round(seconds * SECOND)
    builder.report(sensor=1 if name else 0, time=time, received=time, offset=offset)
    builder.detection(
        kind=DetectionKind.POSITION,
        position=(*at(east + 10.0 * seconds, 500.0)[:2], NAN),
        covariance=(25.0, 0.0, 25.0, NAN, NAN, NAN),
        identity_kind=IdentityKind.MMSI if name else IdentityKind.NONE,
        identity=name,
    )
    return builder.build().check()


def subject() -> Tracker:
    radar = Sensor("radar", position=at(0.0, 0.0), clutter_per_scan=0.1)
    return Tracker(Sensors([radar, Sensor("network", cooperative=True, sensing="event")]), REGION)


def named(tracker: Tracker) -> list[int]:
    """Ids of tracks that bear the name."""
    records = tracker._table.rows[tracker._table.alive()]
    return [int(one["track_id"]) for one in records if one["name"] != 0]


def test_the_elder_keeps_an_identity_that_is_said_in_two_places():
    tracker = subject()
    for second in range(10):
        tracker.step(said(second, 2 * second, 0.0))
        elder = named(tracker)[0]
        if second >= 5:
            tracker.step(said(second + 0.5, 2 * second + 1, 6000.0))
            assert named(tracker) == [elder]
    assert len(tracker._table) == 2


def test_who_was_silent_for_too_long_gives_his_identity_to_where_it_is_said_now():
    tracker = subject()
    for second in range(5):
        tracker.step(said(second, second, 0.0))
    elder = named(tracker)
    for second in range(40, 45):
        tracker.step(said(second, second, 20_000.0))
    assert len(named(tracker)) == 1
    assert named(tracker) != elder
    assert len(tracker._table) == 1


@pytest.mark.parametrize("apart", [0.0, 5.0])
def test_two_of_one_identity_at_one_place_are_one(apart: float):
    tracker = subject()
    for second in range(6):
        tracker.step(said(second, 2 * second, 0.0))
    table, elder = tracker._table, named(tracker)
    twin = table.rows[:1].copy()
    twin["track_id"] += 1
    twin["x"][:, :, 1] += apart
    table.append(twin, 1 << 62, tracker._records, tracker.settings)
    assert len(named(tracker)) == 2
    tracker.step(said(6.0, 100, 0.0))
    assert named(tracker) == elder
    assert len(table) == 1
    assert len(tracker.picture(START_NS + 6 * SECOND)) == 1
