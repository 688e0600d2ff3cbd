"""Since when an identity is doubted, told from the updates alone."""

from console.doubts import Doubts
from model.tracks import Status, TrackUpdates, UpdateReason
from tests.console.test_console_contributions import update

R = UpdateReason


def taken(*rows: TrackUpdates) -> Doubts:
    doubts = Doubts()
    for row in rows:
        doubts.take(row)
    return doubts


def test_a_doubt_lasts_from_its_onset_until_it_is_cleared():
    rows = [update(1, 10, R.DOUBTED, 4), update(2, 11, R.DETECTED, 4), update(1, 12, R.MISSED, 4)]
    doubts = taken(*rows)
    assert (doubts.since(1), doubts.since(2), len(doubts)) == (10, None, 1)
    assert taken(TrackUpdates.concat(rows)).since(1) == 10
    assert taken(*rows, update(1, 14, R.DOUBTED, 4)).since(1) == 10  # a new authority tells anew
    assert taken(*rows, update(1, 14, R.CLEARED, 4)).since(1) is None


def test_what_is_deleted_is_forgotten_and_told_anew_if_it_comes_back():
    gone = [update(1, 10, R.DOUBTED, 4), update(1, 20, R.LOST, 4, status=Status.DELETED)]
    assert len(taken(*gone)) == 0
    assert taken(*gone, update(1, 30, R.DOUBTED, 4)).since(1) == 30
