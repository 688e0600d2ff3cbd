"""The receiver: what it takes, what it refuses, and what it says that it has."""

import random
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.codec import pack, unpack
from model.detections import Mode
from model.errors import Reason
from model.foreign import ForeignUpdates
from model.tracks import Status, TrackUpdates, UpdateReason
from sharing import foreign_heads
from sharing.answers import decode_ack, encode_back
from sharing.foreign_heads import ForeignHeads
from sharing.receive import MAX_AHEAD_S, MAX_TRANSIT_S, Received, Receiver
from sharing.release import transform
from sharing.rows import digests_of, genesis, rows_of
from sharing.wire import Batch, encode_batch
from tests.sharing.giver import Giver
from tests.sharing.samples import (
    FROM_NS,
    IN_HOLE,
    INSIDE,
    NOW_NS,
    OUTSIDE,
    SECOND,
    UNTIL_NS,
    agreement,
    at,
    degrees,
    of_class,
    same,
    updates,
)

LIVE = "vedette/north/shared/south/a-1/live"
BACKFILL = "vedette/north/shared/south/a-1/backfill"
START = genesis("north", "south", "a-1")


def receiver(agreed=None, **more) -> Receiver:
    agreements = {} if agreed is False else {"north": agreed or agreement()}
    return Receiver(agreements, more.pop("node", "south"), **more)


def given_rows(rows) -> TrackUpdates:
    return transform(rows, agreement(more="share_identity = true"))


def take(one: Receiver, payload, *, topic=LIVE, now_ns=NOW_NS, offset=9) -> Received:
    return one.take(payload, topic, now_ns, offset)


def whole(received: Received) -> Reason:
    assert not len(received.rows)
    (item,) = received.refused
    assert item.item == -1
    return item.reason


# -- what is taken


def test_rows_arrive_with_where_they_came_from() -> None:
    one, giver = receiver(), Giver()
    rows = given_rows(updates(3))
    received = take(one, giver.message(rows, sent_ns=NOW_NS - 5), offset=77)
    found = received.rows.check()
    assert not received.refused
    assert received.giver == "north"
    assert found.seq.tolist() == [1, 2, 3]
    assert found.head.tolist() == [True] * 3
    assert [found.nodes[i] for i in found.giver] == ["north"] * 3
    assert [found.agreements[i] for i in found.agreement] == ["a-1"] * 3
    assert found.path.tolist() == [[0]] * 3
    assert (found.sent == NOW_NS - 5).all()
    assert (found.received == NOW_NS).all()
    assert (found.updates.known_offset == 77).all()
    assert found.updates.n.tolist() == [0, 1, 2]
    assert (found.updates.sensors == -1).all()
    assert np.array_equal(found.updates.state, rows.state, equal_nan=True)
    assert found.updates.known.tolist() == rows.known.tolist()


def test_a_row_is_taken_once() -> None:
    one, giver = receiver(), Giver()
    payload = giver.message(given_rows(updates(3)))
    assert len(take(one, payload).rows) == 3
    assert not len(take(one, payload, topic=BACKFILL).rows)
    assert one.counters()["north"]["duplicates"] == 3


def test_gaps_are_told_and_closed_by_a_refill() -> None:
    one, giver = receiver(), Giver()
    payloads = [giver.message(given_rows(updates(4, revision=n + 1))) for n in range(5)]
    for n in (0, 2, 4):
        take(one, payloads[n])
    assert one.ack("north") == {
        "agreement": "a-1",
        "contiguous": 4,
        "highest": 20,
        "gaps": [[5, 8], [13, 16]],
        "head": one.ack("north")["head"],
    }
    topic, ack = one.ack_message("north")
    assert topic == "vedette/north/shared/south/a-1/ack"
    assert decode_ack(encode_back(ack)) == ack
    for n in (3, 1):
        late = take(one, payloads[n], topic=BACKFILL).rows
        assert late.head.tolist() == [False] * 4  # older revisions: stored, never shown
    assert one.ack("north") == {
        "agreement": "a-1", "contiguous": 20, "highest": 20, "gaps": [], "head": giver.head.hex(),
    }  # fmt: skip


def test_an_older_revision_never_becomes_the_newest() -> None:
    one, giver = receiver(), Giver()
    rows = given_rows(at(INSIDE, INSIDE, INSIDE))
    rows.revision[:] = [2, 3, 1]
    assert take(one, giver.message(rows)).rows.head.tolist() == [True, True, False]
    taken_over = given_rows(at(INSIDE))
    taken_over.revision[:], taken_over.authority_epoch[:] = 1, 2
    assert take(one, giver.message(taken_over)).rows.head.tolist() == [True]


def test_a_withdrawn_track_keeps_the_state_known_last() -> None:
    one, giver = receiver(), Giver()
    take(one, giver.message(given_rows(updates(3))))
    take(one, giver.message(given_rows(at(INSIDE, (59.3, 28.5)))))
    found = take(one, giver.close()).rows
    assert (found.updates.status == Status.DELETED).all()
    assert (found.updates.reason == UpdateReason.WITHDRAWN).all()
    assert found.head.all()
    assert found.updates.track_id.tolist() == [1, 2, 3, 7]
    told = [degrees(found.updates, row) for row in range(4)]
    assert told == [INSIDE, INSIDE, INSIDE, (59.3, 28.5)]
    assert (found.updates.existence == 0.97).all()


def test_a_withdrawn_track_comes_back_with_its_next_revision() -> None:
    one, giver = receiver(), Giver()
    take(one, giver.message(given_rows(at(INSIDE))))
    take(one, giver.close())
    assert one.counters()["north"]["held"] == 0
    back = given_rows(at(INSIDE, revision=5))
    back.revision[:] = 5
    assert take(one, giver.message(back)).rows.head.tolist() == [True]
    assert one.counters()["north"]["held"] == 1


def test_void_rows_close_gaps_and_say_nothing() -> None:
    one, giver = receiver(), Giver()
    received = take(one, giver.message(given_rows(updates(3)), void=[1]))
    assert received.rows.seq.tolist() == [1, 3]
    assert one.ack("north")["contiguous"] == 3
    assert one.ack("north")["head"] == giver.head.hex()
    assert one.counters()["north"]["void"] == 1


# -- what is refused as a whole


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("vedette/north/sensors/radar/raw", Reason.UNKNOWN_TOPIC),
        ("vedette/north/shared/south/a-1/ack", Reason.UNKNOWN_TOPIC),
        ("vedette/north/shared/south/a-1/live.json", Reason.UNKNOWN_TOPIC),
        ("vedette-exercise/north/shared/south/a-1/live", Reason.WRONG_MODE),
        ("vedette/north/shared/west/a-1/live", Reason.PARTNER_MISMATCH),
        ("vedette/east/shared/south/a-1/live", Reason.NOT_AGREED),
        ("vedette/north/shared/south/a-2/live", Reason.NOT_AGREED),
    ],
)
def test_topics_that_are_not_agreed(topic, reason) -> None:
    assert whole(take(receiver(), Giver().message(given_rows(updates())), topic=topic)) == reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"giver": "east"}, Reason.PARTNER_MISMATCH),
        ({"receiver": "west"}, Reason.PARTNER_MISMATCH),
        ({"agreement": "a-2"}, Reason.PARTNER_MISMATCH),
        ({"mode": Mode.EXERCISE}, Reason.PARTNER_MISMATCH),
        ({"path": ("north", "south")}, Reason.LOOP),
        ({"path": ("south",)}, Reason.LOOP),
        ({"path": ("east", "north")}, Reason.LOOP),
        ({"path": ("east",)}, Reason.LOOP),
        ({"sent_ns": NOW_NS + int(MAX_AHEAD_S * SECOND) + 1}, Reason.TIME_FUTURE),
        ({"sent_ns": NOW_NS - int(MAX_TRANSIT_S * SECOND) - 1}, Reason.TIME_PAST),
    ],
)
def test_messages_that_are_not_agreed(changes, reason) -> None:
    one = receiver()
    assert whole(take(one, Giver().message(given_rows(updates()), **changes))) == reason
    assert one.ack("north")["highest"] == 0  # it may come again, and better
    assert one.refused_messages == 1


def test_no_agreement_no_rows() -> None:
    payload = Giver().message(given_rows(updates()))
    assert whole(take(receiver(False), payload)) == Reason.NOT_AGREED
    assert whole(take(receiver(agreement(receiver="west")), payload)) == Reason.NOT_AGREED
    assert whole(take(receiver(agreement(giver="east")), payload)) == Reason.NOT_AGREED


@pytest.mark.parametrize(("now_ns", "taken"), [(FROM_NS - 1, 0), (FROM_NS, 1), (UNTIL_NS, 0)])
def test_only_while_it_is_valid(now_ns, taken) -> None:
    rows = given_rows(updates(known=FROM_NS, valid=FROM_NS))
    one = receiver()
    received = take(one, Giver().message(rows, sent_ns=now_ns), now_ns=now_ns)
    assert len(received.rows) == taken
    assert one.ack("north")["contiguous"] == taken


def test_closing_rows_are_taken_after_the_end() -> None:
    one, giver = receiver(), Giver()
    take(one, giver.message(given_rows(at(INSIDE))))
    found = take(one, giver.close(sent_ns=UNTIL_NS), now_ns=UNTIL_NS + SECOND).rows
    assert found.updates.status.tolist() == [Status.DELETED]


def test_a_chain_that_does_not_hold_is_refused() -> None:
    one, giver, other = receiver(), Giver(), Giver()
    take(one, giver.message(given_rows(updates(2))))
    other.message(given_rows(updates(2, revision=9)))
    assert whole(take(one, other.message(given_rows(updates(1, revision=3))))) == Reason.BAD_CHAIN
    assert one.ack("north")["highest"] == 2
    assert len(take(one, giver.message(given_rows(updates(1, revision=3)))).rows) == 1


# -- what is refused row by row


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"state": [*np.radians(OUTSIDE), 0, 0, 0, 0]}, Reason.NOT_AGREED),
        ({"state": [*np.radians(IN_HOLE), 0, 0, 0, 0]}, Reason.NOT_AGREED),
        ({"state": np.nan}, Reason.NOT_AGREED),
        ({"state": np.inf}, Reason.NOT_FINITE),
        ({"state": [1.0, 9.0, 0, 0, 0, 0]}, Reason.OUT_OF_RANGE),
        ({"state": [*np.radians(INSIDE), 0, 1e9, 0, 0]}, Reason.OUT_OF_RANGE),
        ({"covariance": -np.inf}, Reason.NOT_FINITE),
        ({"classes": of_class("human")}, Reason.NOT_AGREED),
        ({"classes": np.nan}, Reason.NOT_FINITE),
        ({"classes": -1}, Reason.OUT_OF_RANGE),
        ({"classes": 1}, Reason.OUT_OF_RANGE),
        ({"existence": 2}, Reason.OUT_OF_RANGE),
        ({"existence": np.nan}, Reason.OUT_OF_RANGE),
        ({"status": Status.TENTATIVE}, Reason.NOT_AGREED),
        ({"status": 9}, Reason.BAD_FIELD),
        ({"reason": 99}, Reason.BAD_FIELD),
        ({"reason": UpdateReason.WITHDRAWN}, Reason.BAD_FIELD),
        ({"affiliation": 99}, Reason.BAD_FIELD),
        ({"track_id": 0}, Reason.BAD_FIELD),
        ({"revision": 0}, Reason.BAD_FIELD),
        ({"authority_epoch": -1}, Reason.BAD_FIELD),
        ({"number": b"\n\n"}, Reason.BAD_FIELD),
        ({"mode": Mode.EXERCISE}, Reason.WRONG_MODE),
        ({"known": NOW_NS + 6 * SECOND}, Reason.TIME_FUTURE),
        ({"valid": NOW_NS + 6 * SECOND}, Reason.TIME_FUTURE),
        ({"stale": -1}, Reason.OUT_OF_RANGE),
        ({"known": FROM_NS - 1}, Reason.NOT_AGREED),
        ({"identity_kind": 2, "identity": b"276000001"}, Reason.NOT_AGREED),
        ({"reason": UpdateReason.DOUBTED}, Reason.NOT_AGREED),
        ({"reason": max(UpdateReason) + 1}, Reason.BAD_FIELD),
    ],
)
def test_rows_that_are_not_agreed(columns, reason) -> None:
    one, giver = receiver(), Giver()
    rows = given_rows(updates(3))
    for name, value in columns.items():
        getattr(rows, name)[1] = value
    received = take(one, giver.message(rows))
    (item,) = received.refused
    assert (item.item, item.reason, item.offset) == (1, reason, 9)
    assert item.detail.startswith("north row 2: ")
    assert received.rows.seq.tolist() == [1, 3]
    # it did arrive: nobody need send it again
    assert one.ack("north")["contiguous"] == 3


def test_a_human_never_has_an_identity() -> None:
    agreed = agreement(more="share_identity = true", classes='["human"]')
    rows = updates(classes=of_class("human"), identity_kind=2, identity=b"276000001")
    (item,) = take(receiver(agreed), Giver().message(rows)).refused
    assert item.reason == Reason.HUMAN_IDENTITY
    rows = updates(classes=of_class("human"), reason=UpdateReason.CLEARED)
    (item,) = take(receiver(agreed), Giver().message(rows)).refused
    assert item.reason == Reason.HUMAN_IDENTITY


@given(st.data())
def test_hostile_rows_never_raise(data) -> None:
    document = msgspec.msgpack.decode(Giver().message(given_rows(updates(2))))
    for name in document["columns"]:
        size = len(document["columns"][name])
        if data.draw(st.booleans()):
            document["columns"][name] = data.draw(st.binary(min_size=size, max_size=size))
    rows = Batch(
        "north", "south", "a-1", Mode.LIVE, ("north",), 1,
        rows_of(document["columns"], 2),
        np.zeros(2, dtype=bool), [], START, NOW_NS,
    )  # fmt: skip
    rows = replace(rows, digests=digests_of(rows.rows))
    received = take(receiver(), encode_batch(rows))
    assert len(received.rows) + len(received.refused) == 2
    received.rows.check()


# -- time


def test_the_end_closes_tracks_without_the_partner() -> None:
    one, giver = receiver(), Giver()
    take(one, giver.message(given_rows(updates(3))))
    assert not len(one.expire(UNTIL_NS - 1, 20))
    closed = one.expire(UNTIL_NS, 21).check()
    assert closed.seq.tolist() == [0, 0, 0]
    assert closed.updates.track_id.tolist() == [1, 2, 3]
    assert (closed.updates.status == Status.DELETED).all()
    assert (closed.updates.reason == UpdateReason.WITHDRAWN).all()
    assert degrees(closed.updates) == INSIDE
    assert (closed.updates.known_offset == 21).all()
    assert closed.updates.n.tolist() == [0, 1, 2]
    assert not len(one.expire(UNTIL_NS + 1, 22))


def test_another_agreement_closes_what_came_under_the_one_before() -> None:
    one, giver = receiver(), Giver()
    take(one, giver.message(given_rows(updates(2))))
    one.reconfigure({"north": agreement(id="a-2")})
    closed = one.expire(NOW_NS, 30)
    assert closed.updates.track_id.tolist() == [1, 2]
    assert closed.agreements == ("a-1",)
    assert one.ack("north")["agreement"] == "a-2"
    one.reconfigure({"north": agreement()})
    assert one.ack("north")["contiguous"] == 2  # what has arrived is remembered


# -- state


def test_a_restored_receiver_goes_on_bit_for_bit() -> None:
    generator = random.Random(3)
    giver = Giver()
    messages = []
    for n in range(40):
        place = generator.choice([INSIDE, INSIDE, (59.6, 28.3)])
        rows = given_rows(at(place, place, revision=1))
        rows.track_id[:] = generator.randrange(1, 6), generator.randrange(1, 6)
        rows.revision[:] = 2 * n + 1, 2 * n + 2
        messages.append(giver.message(rows) if n % 9 else giver.message(rows, void=[1]))
        if n % 11 == 10:
            messages.append(giver.close())
    generator.shuffle(messages)
    undisturbed, other = receiver(), receiver()
    for n, payload in enumerate(messages):
        state = unpack(pack(other.snapshot()))
        other = receiver()
        other.restore(state)
        one, two = take(undisturbed, payload, offset=n), take(other, payload, offset=n)
        assert same(one.rows.updates, two.rows.updates)
        assert one.rows.head.tolist() == two.rows.head.tolist()
        assert one.refused == two.refused
        assert undisturbed.ack("north") == other.ack("north")
    assert pack(undisturbed.snapshot()) == pack(other.snapshot())
    assert other.ack("north")["contiguous"] == giver.last
    assert other.counters() == undisturbed.counters()


def test_memory_for_tracks_is_bounded_and_closed_ones_go_first() -> None:
    heads = ForeignHeads(limit=10)
    rows = given_rows(updates(10))
    rows.status[[2, 5]] = Status.DELETED
    heads.take(rows, 1)
    more = given_rows(updates(4))
    more.track_id[:] += 100
    crowded = heads.crowded(more, 20)
    assert crowded.tolist() == [False, False, True, True]
    heads.take(more.take(~crowded), 20)
    assert [track for track, *_ in heads.snapshot()] == [1, 2, 4, 5, 7, 8, 9, 10, 101, 102]
    assert foreign_heads.MAX_TRACKS >= 10_000


def test_no_held_track_is_forgotten_and_further_ones_are_refused() -> None:
    one, giver = receiver(), Giver()
    one._streams["north", "a-1"].heads = ForeignHeads(limit=3)
    assert len(take(one, giver.message(given_rows(updates(3)))).rows) == 3
    rows = given_rows(updates(5, revision=2))
    received = take(one, giver.message(rows))
    assert received.rows.updates.track_id.tolist() == [1, 2, 3]
    assert [(item.item, item.reason) for item in received.refused] == [
        (3, Reason.OUT_OF_RANGE),
        (4, Reason.OUT_OF_RANGE),
    ]
    assert "3 tracks are held" in received.refused[0].detail
    counter = one.counters()["north"]
    assert (counter["held"], counter["reasons"]) == (3, {"out_of_range": 2})
    assert one.ack("north")["contiguous"] == giver.last
    # One that ends makes room, within the same message too.
    rows = given_rows(updates(5, revision=3))
    rows.status[1] = Status.DELETED
    assert take(one, giver.message(rows)).rows.updates.track_id.tolist() == [1, 2, 3, 4]
    assert one.counters()["north"]["held"] == 3
    closed = one.expire(UNTIL_NS, 30)
    assert sorted(closed.updates.track_id.tolist()) == [1, 3, 4]
    assert one.counters()["north"]["held"] == 0


# -- an agreement that was changed


def test_what_a_narrower_agreement_does_not_cover_is_closed_by_us() -> None:
    one, giver = receiver(), Giver()
    take(one, giver.message(given_rows(updates(4, classes=of_class("sea_vessel")))))
    uavs = given_rows(updates(2, classes=of_class("uav")))
    uavs.track_id[:] += 100
    take(one, giver.message(uavs))
    assert not len(one.expire(NOW_NS, 10))
    one.reconfigure({"north": agreement(classes='["uav"]')})
    again = receiver(agreement(classes='["uav"]'))
    again.restore(unpack(pack(one.snapshot())))  # a restart between the two changes nothing
    for subject in (one, again):
        closed = subject.expire(NOW_NS, 11).check()
        assert closed.updates.track_id.tolist() == [1, 2, 3, 4]
        assert closed.seq.tolist() == [0] * 4
        assert (closed.updates.status == Status.DELETED).all()
        assert (closed.updates.reason == UpdateReason.WITHDRAWN).all()
        assert closed.head.all()
        assert subject.counters()["north"]["held"] == 2
        assert not len(subject.expire(NOW_NS + SECOND, 12))


def test_a_smaller_area_closes_what_lies_outside_of_it() -> None:
    one, giver = receiver(), Giver()
    rows = given_rows(updates(2))
    rows.state[1, :2] = np.radians((59.8, 28.5))
    take(one, giver.message(rows))
    small = "[[59.0, 27.0], [59.0, 29.0], [59.5, 29.0], [59.5, 27.0]]"
    one.reconfigure({"north": agreement(area=small)})
    assert one.expire(NOW_NS, 11).updates.track_id.tolist() == [2]


def test_the_end_of_a_held_track_is_heard_whatever_is_agreed() -> None:
    one, giver = receiver(), Giver()
    take(one, giver.message(given_rows(updates(2))))
    gone = given_rows(updates(3, revision=2, status=Status.DELETED, reason=UpdateReason.LOST))
    gone.state[:, :2] = np.radians(OUTSIDE)
    received = take(one, giver.message(gone))
    found = received.rows.check()
    assert found.updates.track_id.tolist() == [1, 2]
    assert (found.updates.status == Status.DELETED).all()
    assert (found.updates.reason == UpdateReason.WITHDRAWN).all()
    assert degrees(found.updates) == INSIDE  # as known last, not where it may not be told
    assert found.head.all()
    (item,) = received.refused  # of the third nothing is known
    assert (item.item, item.reason) == (2, Reason.NOT_AGREED)
    assert one.counters()["north"]["held"] == 0


def test_a_track_that_comes_and_ends_in_one_message_is_closed() -> None:
    one, giver = receiver(), Giver()
    rows = given_rows(at(INSIDE, OUTSIDE))
    rows.status[1] = Status.DELETED
    found = take(one, giver.message(rows)).rows
    assert found.updates.status.tolist() == [Status.CONFIRMED, Status.DELETED]
    assert degrees(found.updates, 1) == INSIDE


def test_an_agreement_that_is_not_in_force_says_so_by_the_time_of_inputs() -> None:
    one = receiver()
    assert one.counters()["north"]["not_in_force"] == ""
    one.expire(FROM_NS - SECOND, 1)
    assert one.counters()["north"]["not_in_force"].startswith("the agreement begins at 2026-03-01")
    one.expire(FROM_NS, 2)
    assert one.counters()["north"]["not_in_force"] == ""
    one.expire(UNTIL_NS, 3)
    assert one.counters()["north"]["not_in_force"].startswith("the agreement ended at 2026-12-31")


def test_tables_of_several_partners_are_put_together() -> None:
    agreements = {"north": agreement(), "east": agreement(giver="east", id="e-1")}
    one = Receiver(agreements, "south")
    north = one.take(Giver().message(given_rows(updates(2))), LIVE, NOW_NS, 1).rows
    topic = "vedette/east/shared/south/e-1/live"
    east = one.take(Giver("e-1", "east").message(given_rows(updates(1))), topic, NOW_NS, 2).rows
    both = ForeignUpdates.concat([east, north, ForeignUpdates.empty()]).check()
    assert [both.nodes[i] for i in both.giver] == ["east", "north", "north"]
    assert [both.nodes[i] for i in both.path[:, 0]] == ["east", "north", "north"]
    assert [both.agreements[i] for i in both.agreement] == ["e-1", "a-1", "a-1"]
    assert both.take(both.giver == 0).seq.tolist() == [1]
    assert not len(ForeignUpdates.concat([]).check())
    with pytest.raises(ValueError, match="no name"):
        replace(both, nodes=("east",)).check()
    with pytest.raises(ValueError, match="beside"):
        replace(both, updates=both.updates.take(np.array([0]))).check()
