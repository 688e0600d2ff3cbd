"""Withdrawals: the partner holds exactly the tracks whose last update it may see."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from model.tracks import Status, TrackUpdates, UpdateReason
from sharing.closing import OpenTracks, close, decide, is_withdrawal
from sharing.release import Refusal, refusals
from tests.sharing.samples import (
    IN_HOLE,
    INSIDE,
    NOW_NS,
    OUTSIDE,
    PARTIES,
    agreement,
    at,
    updates,
)

AGREED = agreement()


def given_for(rows, held, agreed=AGREED):
    made = decide(rows, refusals(rows, agreed, NOW_NS, PARTIES), agreed, held)
    held.take(made.rows)
    return made


def test_leaving_the_area_closes_the_track_once() -> None:
    held = OpenTracks()
    made = given_for(at(INSIDE, INSIDE, OUTSIDE, OUTSIDE, IN_HOLE), held)
    assert made.source.tolist() == [0, 1, 2]
    assert made.why.tolist() == [0, 0, Refusal.OUTSIDE]
    assert not len(held)
    last = made.rows.take(np.array([2]))
    assert is_withdrawal(made.rows).tolist() == [False, False, True]
    assert (last.status[0], last.reason[0]) == (Status.DELETED, UpdateReason.WITHDRAWN)
    # nothing new: the revision released last, and no state at all
    assert last.revision[0] == 2
    assert np.isnan(last.state).all()
    assert np.isnan(last.covariance).all()
    assert not given_for(at(OUTSIDE), held).rows


def test_a_track_that_comes_back_is_given_again() -> None:
    held = OpenTracks()
    made = given_for(at(INSIDE, OUTSIDE, INSIDE), held)
    assert is_withdrawal(made.rows).tolist() == [False, True, False]
    assert held.rows.revision.tolist() == [3]


def test_a_deleted_track_is_closed_by_its_own_last_update() -> None:
    held = OpenTracks()
    rows = at(INSIDE, INSIDE)
    rows.status[1] = Status.DELETED
    assert not is_withdrawal(given_for(rows, held).rows).any()
    assert not len(held)
    assert not len(given_for(at(OUTSIDE), held).rows)


def test_without_an_agreement_all_that_is_held_is_closed() -> None:
    held = OpenTracks()
    given_for(updates(3), held)
    codes = refusals(held.rows, None, NOW_NS, PARTIES)
    made = close(held, codes > 0, codes)
    held.take(made.rows)
    assert made.rows.track_id.tolist() == [1, 2, 3]
    assert is_withdrawal(made.rows).all()
    assert made.why.tolist() == [Refusal.NO_AGREEMENT] * 3
    assert not len(held)


STEPS = st.lists(
    st.tuples(
        st.integers(1, 4),
        st.sampled_from([INSIDE, INSIDE, OUTSIDE, IN_HOLE]),
        st.sampled_from([Status.CONFIRMED, Status.COASTING, Status.DELETED]),
    ),
    max_size=30,
)


def rows_of(steps) -> TrackUpdates:
    rows = updates(len(steps))
    for row, (track, place, status) in enumerate(steps):
        rows.track_id[row], rows.status[row] = track, status
        rows.revision[row] = 1 + sum(step[0] == track for step in steps[:row])
        rows.state[row, :2] = np.radians(place)
    return rows


@given(STEPS, st.lists(st.integers(0, 30), max_size=4))
def test_the_partner_holds_what_one_row_at_a_time_gives_it(steps, cuts) -> None:
    picture: set[int] = set()
    expected = []
    for row, (track, place, status) in enumerate(steps):
        if place == INSIDE:
            expected.append((row, False))
            (picture.discard if status == Status.DELETED else picture.add)(track)
        elif track in picture:
            expected.append((row, True))
            picture.discard(track)
    rows, held = rows_of(steps), OpenTracks()
    found: list[tuple[int, bool]] = []
    edges = sorted({0, len(steps), *(cut for cut in cuts if cut < len(steps))})
    for low, high in pairwise(edges):
        made = given_for(rows.take(np.arange(low, high)), held)
        assert (is_withdrawal(made.rows) == (made.why > 0)).all()
        found += zip((made.source + low).tolist(), (made.why > 0).tolist(), strict=True)
    assert found == expected
    assert set(held.rows.track_id.tolist()) == picture
