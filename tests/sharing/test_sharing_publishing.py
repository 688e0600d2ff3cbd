"""A publisher process and a partner over a real Mosquitto with users and grants."""

import json
import os
import time
from collections import Counter

import numpy as np
import pytest

from model.tracks import Status
from sharing.answers import Control, encode_back
from sharing.release import Refusal
from sharing.wire import Batch, decode_batch
from tests.sharing.partners import (
    SOUTH,
    USERS,
    GivingNode,
    Listener,
    TakingNode,
    acl,
    until,
)
from tests.sharing.samples import INSIDE, OUTSIDE
from vedette.publishing import main

pytestmark = [pytest.mark.broker, pytest.mark.node]

OUTAGE_S = float(os.environ.get("VEDETTE_TEST_OUTAGE_S", "3"))
"""How long the broker is away; 60 for the long form of the test."""

RATE = 200
"""Updates per second while it is away."""

WITH_USERS = pytest.mark.parametrize(
    "broker", [{"prefer": "mosquitto", "users": USERS, "acl": acl()}], indirect=True
)
EXERCISE = pytest.mark.parametrize(
    "broker",
    [{"prefer": "mosquitto", "users": USERS, "acl": acl("vedette-exercise")}],
    indirect=True,
)


def assert_same_on_both_sides(north, south, expected) -> None:
    """Both sides' books: every update given once, in order, and taken once."""
    ledger = north.ledger()
    given = [(offset, n) for _, offset, n, why in ledger if why == 0]
    assert given == expected
    assert [seq for seq, *_ in ledger] == list(range(1, len(ledger) + 1))
    verified = north.verified()
    assert verified.broken == 0
    seqs = south.rows.seq.tolist()
    assert sorted(seqs) == list(range(1, len(ledger) + 1))
    ack = south.ack()
    assert (ack["contiguous"], ack["gaps"], ack["head"]) == (len(ledger), [], verified.head)
    assert not south.refused


@WITH_USERS
def test_what_is_agreed_arrives_and_nothing_else(broker, tmp_path) -> None:
    with (
        GivingNode(tmp_path, broker) as north,
        TakingNode(broker, north.agree()) as south,
        Listener(broker, "south-people", f"{SOUTH}/+/live.json") as people,
        Listener(broker, "west", f"{SOUTH}/#", "vedette/north/shared/#") as west,
        Listener(broker, "west-people", "#") as west_people,
    ):
        north.start()
        until(lambda: north.status().get("connected"), what=north.log_text)
        for n in range(30):
            north.fuse(5)
            north.fuse(2, OUTSIDE, track_id=100 + n)
            north.fuse(1, classes=0, track_id=200)
        until(lambda: south.complete(150), what=north.log_text)
        until(lambda: north.lane().get("acked_seq") == 150, what=north.status)
        status = north.lane()
        assert status["head_agrees"] is True
        assert status["refused"] == {"outside": 60, "class": 30}
        assert (status["released"], status["withdrawn"], status["state"]) == (150, 0, "valid")
        assert status["last_ack_s"] < 5.0
        assert north.status()["problems"] == []
        until(lambda: sum(len(json.loads(m.payload)["tracks"]) for m in people.messages) == 150)
        track = json.loads(people.messages[0].payload)["tracks"][0]
        assert (track["lat"], track["lon"]) == pytest.approx(INSIDE)
        north.stop()
        rows = south.rows
        assert rows.updates.track_id.max() <= 5
        assert rows.head.all()
        assert (rows.updates.sensors == -1).all()
        expected = [key for key in north.written_keys() if key[0] % 3 == 0]
        assert_same_on_both_sides(north, south, expected)
        # whoever is not the partner got nothing, though the broker granted the subscription
        assert not west.messages
        assert not west_people.messages
        assert west.subscriber.counts.refused_filters == 0


@pytest.mark.timeout(120 + 4 * OUTAGE_S)
@WITH_USERS
def test_a_broker_that_is_away_costs_nothing(broker, tmp_path) -> None:
    with GivingNode(tmp_path, broker) as north, TakingNode(broker, north.agree()) as south:
        north.start()
        until(lambda: north.status().get("connected"), what=north.log_text)
        for _ in range(5):
            north.fuse(10)
        until(lambda: south.complete(50), what=north.log_text)
        broker.kill()
        began, fused = time.monotonic(), 0
        while (age := time.monotonic() - began) < OUTAGE_S:
            if fused < age * RATE / 10:
                north.fuse(10)
                fused += 1
            time.sleep(0.005)
        broker.start()
        until(lambda: south.subscriber.status.connected, what=north.log_text)
        for _ in range(5):
            north.fuse(10)
        total = 10 * (fused + 10)
        until(lambda: south.complete(total), wait_s=60.0, what=north.status)
        until(lambda: north.lane().get("acked_seq") == total, what=north.status)
        north.stop()
        assert fused >= 0.9 * OUTAGE_S * RATE / 10
        assert_same_on_both_sides(north, south, north.written_keys())


@WITH_USERS
def test_a_partner_that_was_not_there_gets_it_all(broker, tmp_path) -> None:
    with GivingNode(tmp_path, broker) as north:
        content = north.agree()
        north.start()
        for _ in range(40):
            north.fuse(10)
        # nobody has subscribed: the broker says so, and that counts as not delivered
        until(lambda: north.lane().get("last_seq") == 400, what=north.log_text)
        until(lambda: north.status()["unmatched"] + north.status()["not_sent"] > 0)
        assert north.status()["stored"] == 0
        with TakingNode(broker, content) as south:
            until(lambda: south.complete(400), what=north.status)
            north.stop()
            assert_same_on_both_sides(north, south, north.written_keys())


@WITH_USERS
def test_a_publisher_killed_at_any_time_gives_each_row_once(broker, tmp_path) -> None:
    with GivingNode(tmp_path, broker) as north, TakingNode(broker, north.agree()) as south:
        for _ in range(4):
            given = south.ack()["highest"]
            north.start()
            for n in range(25):
                north.fuse(10, OUTSIDE if n % 8 == 7 else INSIDE)
                time.sleep(0.005)
            until(lambda given=given: south.ack()["highest"] > given + 50, what=north.log_text)
            assert north.child is not None
            north.child.kill()
        pid = north.start().pid
        until(lambda: north.status().get("pid") == pid and north.through == north.lane()["through"])
        last = north.lane()["last_seq"]
        until(lambda: south.complete(last), what=north.status)
        north.stop()
        inside = [key for key in north.written_keys() if key[0] % 25 % 8 != 7]
        assert_same_on_both_sides(north, south, inside)
        whys = Counter(why for *_, why in north.ledger())
        assert whys == {0: len(inside), int(Refusal.OUTSIDE): 4 * 3 * 10}


@WITH_USERS
def test_the_end_of_an_agreement_ends_the_sending(broker, tmp_path) -> None:
    valid_s = 3.0
    with GivingNode(tmp_path, broker) as north:
        north.start()
        until(lambda: north.status().get("connected"), what=north.log_text)
        content = north.agree(valid_s)
        ends = time.time_ns() + int(valid_s * 1e9)
        with TakingNode(broker, content) as south:
            while time.time_ns() < ends + 10**9:
                north.fuse(3)
                time.sleep(0.02)
            until(lambda: north.lane().get("state") == "expired", what=north.status)
            until(lambda: len(south.withdrawn()) == 3, what=north.log_text)
            until(lambda: north.lane()["refused"].get("expired", 0) > 10, what=north.status)
            north.stop()
            rows = south.rows
            closing = np.isin(rows.seq, rows.seq[rows.updates.status == Status.DELETED])
            assert south.withdrawn() == {1: 1, 2: 1, 3: 1}
            assert (rows.sent[~closing] < ends).all()
            assert (rows.updates.known[~closing] < ends).all()
            for message in south.messages:
                batch = decode_batch(message.payload)
                assert isinstance(batch, Batch)
                if batch.sent_ns >= ends:  # only closing rows, and these without any state
                    assert np.isnan(batch.rows.state).all()
            assert len(rows) > 20
            whys = {why for *_, why in north.ledger()}
            assert whys == {0, int(Refusal.EXPIRED)}


@WITH_USERS
def test_a_track_that_leaves_is_withdrawn_and_may_come_back(broker, tmp_path) -> None:
    with GivingNode(tmp_path, broker) as north, TakingNode(broker, north.agree()) as south:
        north.start()
        until(lambda: north.status().get("connected"), what=north.log_text)
        north.fuse(2)
        until(lambda: south.complete(2), what=north.log_text)
        north.fuse(2, OUTSIDE)
        north.fuse(2, OUTSIDE)
        north.fuse(1, INSIDE)
        until(lambda: south.complete(5), what=north.log_text)
        north.stop()
        rows = south.rows.updates
        assert south.withdrawn() == {1: 1, 2: 1}
        closed = np.flatnonzero(rows.status == Status.DELETED)
        assert np.degrees(rows.state[closed, :2]) == pytest.approx(np.array([INSIDE] * 2))
        assert (rows.state[closed, 3] == 1).all()  # of the first update: nothing new
        assert south.receiver.counters()["north"]["held"] == 1


@WITH_USERS
def test_a_removed_agreement_stops_at_once_and_a_restored_one_goes_on(broker, tmp_path) -> None:
    with GivingNode(tmp_path, broker) as north:
        content = north.agree()
        with TakingNode(broker, content) as south:
            north.start()
            north.fuse(2)
            until(lambda: south.complete(2), what=north.log_text)
            north.agreement.unlink()
            until(lambda: len(south.withdrawn()) == 2, what=north.log_text)
            north.fuse(2)
            until(lambda: north.lane()["refused"] == {"no_agreement": 2}, what=north.status)
            assert north.lane()["state"] == "none"
            north.agreement.write_text(content.replace('"uav"', '"ufo"'))
            wrong = "agreement.classes[1]: no class 'ufo'"
            until(lambda: wrong in " ".join(north.status()["problems"]), what=north.log_text)
            north.agreement.write_text(content)
            until(lambda: north.lane()["state"] == "valid", what=north.log_text)
            north.fuse(2)
            until(lambda: south.complete(6), what=north.log_text)
            north.stop()
            assert [key[0] for key in north.written_keys()] == [0, 0, 1, 1, 2, 2]
            found = [(offset, why) for _, offset, _, why in north.ledger()]
            gone = int(Refusal.NO_AGREEMENT)
            assert found == [(0, 0), (0, 0), (-1, gone), (-1, gone), (2, 0), (2, 0)]
            assert_chain(north, south)


def assert_chain(north, south) -> None:
    assert south.ack()["head"] == north.verified().head


@WITH_USERS
def test_a_request_is_answered_from_the_ledger(broker, tmp_path) -> None:
    with GivingNode(tmp_path, broker) as north:
        north.agree()
        with Listener(broker, "south", f"{SOUTH}/+/backfill") as south:
            north.start()
            for _ in range(4):
                north.fuse(5)
            until(lambda: north.lane().get("last_seq") == 20, what=north.log_text)
            until(lambda: north.status().get("connected"), what=north.log_text)

            def asked() -> bool:
                request = encode_back(Control("a-1", [(3, 4), (11, 99)]))
                south.subscriber.publish(f"{SOUTH}/a-1/control", request)
                south.subscriber.publish(f"{SOUTH}/a-1/control", b"{}")
                south.subscriber.publish(f"{SOUTH}/a-9/ack", b"{}")
                time.sleep(0.2)
                return bool(south.messages)

            until(asked, what=north.status)
            found: set[int] = set()

            def answered() -> bool:
                for message in south.messages:
                    batch = decode_batch(message.payload)
                    assert isinstance(batch, Batch)
                    found.update(range(batch.first, batch.last + 1))
                return len(found) >= 12

            until(answered, what=north.status)
            assert found == {3, 4, *range(11, 21)}
            until(lambda: north.status()["bad_answers"] >= 2, what=north.status)
            north.stop()


@EXERCISE
def test_an_exercise_has_topics_and_agreements_of_its_own(broker, tmp_path) -> None:
    with GivingNode(tmp_path, broker, "exercise") as north:
        content = north.agree()
        north.agreement.write_text(content.replace('"exercise"', '"live"'))
        with TakingNode(broker, content, "exercise") as south:
            north.start()
            until(lambda: north.status().get("problems"), what=north.log_text)
            assert "agreement.mode" in north.status()["problems"][0]
            north.agreement.write_text(content)
            until(lambda: north.status()["agreement"] == "a-1", what=north.log_text)
            north.fuse(4)
            until(lambda: south.complete(4), what=north.log_text)
            assert south.messages[0].topic == "vedette-exercise/north/shared/south/a-1/live"
            north.stop()


def test_mistakes_end_with_status_2_and_one_line_each(tmp_path, capsys) -> None:
    assert main([str(tmp_path / "none.toml"), "south"]) == 2
    assert "none.toml: No such file" in capsys.readouterr().err
