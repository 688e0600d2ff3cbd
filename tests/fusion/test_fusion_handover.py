"""Tracks handed from one tracker to another go on as if nothing had happened."""

import numpy as np
import pytest

from fusion import Tracker
from model.frames import Region
from model.sensors import Sensors
from model.tracks import Status, TrackUpdates
from tests.fusion.test_fusion_late import radar, report
from tests.fusion.world import REGION, SECOND, START_NS, reports, sensors

HERE = [(1000.0, 1000.0), (-2000.0, 500.0)]


def begun(seconds: int = 5) -> tuple[Tracker, TrackUpdates]:
    subject = Tracker(Sensors([radar()]), REGION)
    said = [
        subject.step(report(s, [(e + 10.0 * s, n) for e, n in HERE], s)) for s in range(seconds)
    ]
    return subject, TrackUpdates.concat(said)


def test_an_adopted_track_goes_on_to_the_bit():
    whole = reports(5, seconds=12)
    cut = whole.n_reports // 2
    first = Tracker(sensors(), REGION)
    first.step(whole.take_reports(np.arange(cut)))
    second = Tracker(sensors(), REGION)
    ids = first.snapshot()["table"]["track_id"].tolist()
    assert second.adopt(first.export(ids)) == ids
    # What was learned of sensors and movers is the tracker's, not a track's.
    for name in ("looks", "learned", "habits", "loose"):
        setattr(second._table, name, getattr(first._table, name).copy())
    rest = whole.take_reports(np.arange(cut, whole.n_reports))
    one, other = first.step(rest), second.step(rest)
    last = {int(t): row for row, t in enumerate(one.track_id)}
    again = {int(t): row for row, t in enumerate(other.track_id)}
    assert last.keys() <= again.keys()
    for track, row in last.items():
        assert one.state[row].tobytes() == other.state[again[track]].tobytes()
        assert one.number[row] == other.number[again[track]]


def test_numbers_revisions_and_authority_go_on():
    first, said = begun()
    second = Tracker(Sensors([radar(id="other"), radar()]), REGION)
    taken = second.adopt(first.export(np.unique(said.track_id).tolist()))
    after = second.step(report(5.0, [(e + 50.0, n) for e, n in HERE], 9, sensor=1))
    assert sorted(taken) == sorted(after.track_id.tolist())
    for track in taken:
        before = said.take(said.track_id == track)
        now = after.take(after.track_id == track)
        assert now.number[0] == before.number[-1]
        assert now.revision[0] == before.revision[-1] + 1
        assert now.authority_epoch[0] == before.authority_epoch[-1] + 1
        assert now.sensors[0, 0] == 1
    first.release(taken)
    assert first.census() == {"tentative": 0, "confirmed": 0, "coasting": 0}
    assert len(first.tick(START_NS + 90 * SECOND, 10)) == 0  # said by its new owner, not here


def test_a_number_in_use_is_not_spoken_twice():
    first, said = begun()
    second, own = begun()
    second_said = second.step(report(5.0, [(5000.0, -3000.0)], 5))
    assert set(own.number.tolist()) == set(said.number.tolist())
    # The same numbers here belong to tracks of other ids.
    other = Tracker(Sensors([radar()]), REGION)
    mine = [
        other.step(report(s, [(4000.0, -4000.0), (-4000.0, -4000.0)], 50 + s)) for s in range(4)
    ]
    used = set(TrackUpdates.concat(mine).number.tolist())
    other.adopt(first.export(np.unique(said.track_id).tolist()))
    after = other.tick(START_NS + 5 * SECOND, 60)
    numbers = dict(zip(after.track_id.tolist(), after.number.tolist(), strict=True))
    adopted = {numbers[t] for t in np.unique(said.track_id).tolist()}
    assert not adopted & used
    assert len(adopted) == 2
    assert len(second_said)


def test_tracks_outside_the_region_and_unknown_ids_are_left_out():
    first, said = begun()
    ids = np.unique(said.track_id).tolist()
    far = Tracker(Sensors([radar()]), Region(REGION.latitude + 0.1, REGION.longitude, 20_000.0))
    assert far.adopt(first.export(ids)) == []
    empty = first.export([12345])
    assert empty["tracks"]["track_id"].tolist() == []
    assert far.adopt(empty) == []


@pytest.mark.parametrize("shift", [0.001, -0.004])
def test_another_plane_is_the_same_place(shift):
    first, said = begun()
    region = Region(REGION.latitude + shift, REGION.longitude - shift, 60_000.0)
    second = Tracker(Sensors([radar()]), region)
    second.adopt(first.export(np.unique(said.track_id).tolist()))
    time = START_NS + 5 * SECOND
    one, other = first.picture(time), second.picture(time)
    assert one.track_id.tolist() == other.track_id.tolist()
    assert (other.status == Status.CONFIRMED).all()
    np.testing.assert_allclose(one.state[:, :2], other.state[:, :2], atol=1e-9)
    np.testing.assert_allclose(one.state[:, 3:5], other.state[:, 3:5], atol=1e-3)
    np.testing.assert_allclose(one.covariance, other.covariance, rtol=2e-2, atol=2e-2)
