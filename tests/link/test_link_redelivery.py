"""Nothing is lost and nothing acked unread, whatever fails; known redeliveries are recognised."""

import random
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from link.ackmark import NOTHING, AckMark
from link.messages import Incoming, Token
from link.redelivery import Redelivery, Seen
from tests.link.model_broker import FRESH_FIRST, SETTINGS, Rig

DIGEST = sha256(b"p").digest()


STEPS = {
    "publish": 30, "send": 40, "take": 25, "commit": 20, "tick": 4, "oversize": 3,
    "acknowledge": 20, "release": 3, "deliver_acks": 25, "overdue": 1, "connect": 4, "kill": 5,
    "lose_session": 1,
}  # fmt: skip
"""Steps of a walk, and how often each is taken."""


def walk(folder, seed) -> Any:
    """A random life of a session; returns the rig, everything at rest."""
    choice = random.Random(seed)
    rig = Rig(folder, window=choice.randint(1, 4), identifiers=choice.randint(1, 4))
    rig.connect()
    for step in choice.choices(list(STEPS), list(STEPS.values()), k=choice.randint(20, 120)):
        count = choice.randint(1, 4)
        if step == "publish":  # every message is the same to the eye
            for _ in range(count):
                rig.publish("ais", b"!AIVDM the same sentence")
        elif step == "send":
            for _ in range(count):
                rig.send(choice.randint(0, FRESH_FIRST))
        elif step in {"take", "deliver_acks"}:
            getattr(rig, step)(count)
        else:
            getattr(rig, step)()
            if step in {"kill", "lose_session"}:
                rig.connect()
    rig.settle()
    return rig


@pytest.mark.parametrize("block", range(4))
def test_a_session_under_every_fault_loses_nothing(tmp_path, block) -> None:
    """No rule may be loosened: without any of them some of these walks lose a message."""
    for seed in range(block * 1000, (block + 1) * 1000):
        rig = walk(tmp_path, seed)
        rig.mark.close()
        (tmp_path / "acked").unlink()
        assert not rig.promised - set(rig.numbers), f"seed {seed}: lost"
        assert not rig.acked_unjournaled, f"seed {seed}: acked before it was journaled"


@pytest.fixture
def rig(tmp_path) -> Any:
    rig = Rig(tmp_path, window=50, identifiers=60)
    rig.connect()
    yield rig
    rig.mark.close()


def journaled(rig) -> Any:
    return sorted(number for number in rig.numbers if number >= 0)


def stream(rig, count) -> Any:
    for _ in range(count):
        rig.publish("ais", b"!AIVDM the same sentence")
        rig.send(0)
    rig.take(count)
    rig.commit()


def test_after_a_kill_unsent_acks_prove_what_is_known(rig) -> None:
    stream(rig, 10)
    rig.kill()  # durable, no ack sent
    rig.connect()
    rig.settle()
    assert journaled(rig) == list(range(10))
    assert rig.redelivery.redelivered == 10


@pytest.mark.parametrize("arrived", range(10))
def test_after_a_kill_the_anchor_proves_what_was_acked_in_vain(rig, arrived) -> None:
    stream(rig, 10)
    rig.acknowledge()  # nine acks handed to the network, the last held back as anchor
    rig.deliver_acks(arrived)
    rig.kill()
    rig.connect()
    rig.settle()
    assert journaled(rig) == list(range(10))
    assert rig.redelivery.redelivered == 10 - arrived
    assert rig.redelivery.undecided == 0


def test_equal_messages_that_took_over_identifiers_are_kept(rig) -> None:
    stream(rig, 10)
    rig.acknowledge()
    rig.deliver_acks(9)
    for _ in range(5):  # same topic, same bytes, and identifiers that came free just now
        rig.publish("ais", b"!AIVDM the same sentence")
        rig.send(0)
    rig.kill()  # before they were journaled; the broker has tried to send them: DUP
    rig.connect()
    rig.settle()
    assert journaled(rig) == list(range(15))


def test_without_the_anchor_behind_it_nothing_is_proved() -> None:
    """Even a broker that forgot the anchor in a crash of its own loses us nothing."""
    known = Redelivery()
    known.recover([], [Seen(9, "t", sha256(b"anchor").digest())], [Seen(1, "t", DIGEST)])
    known.connected(1, session_present=True)
    assert known.receive([message(1, dup=True)]) == ([], [])  # held
    received = known.receive([message(2)])
    assert [m.token.mid for m in received.messages] == [1, 2]
    assert known.undecided == 1


def test_what_is_held_too_long_counts_as_new() -> None:
    known = Redelivery()
    known.recover([], [Seen(9, "t", sha256(b"anchor").digest())], [Seen(1, "t", DIGEST)])
    known.connected(1, session_present=True)
    known.receive([message(1, dup=True)])
    assert known.overdue(1_000_000_000) == ([], [])
    assert len(known.overdue(1_000_000_001).messages) == 1


def test_records_of_the_next_connection_are_no_anchors(rig) -> None:
    """A message may be older at the broker than one that came later on another connection."""
    stream(rig, 3)
    rig.acknowledge()
    rig.deliver_acks(1)  # the first identifier is free again,
    rig.publish("ais", b"!AIVDM the same sentence")
    rig.send(0)  # and is given to message 3, which is lost on its way
    rig.connect()
    rig.publish("ais", b"!AIVDM the same sentence")
    rig.send(FRESH_FIRST)
    rig.take(1)
    rig.commit()  # message 4 is durable before anything else has come again
    rig.kill()
    rig.connect()
    rig.settle()
    assert set(journaled(rig)) == {0, 1, 2, 3, 4}


def test_a_cut_connection_does_not_repeat_what_waits_to_be_journaled(rig) -> None:
    for _ in range(6):
        rig.publish("t", b"p")
        rig.send(0)
    rig.take(6)
    rig.connect()  # cut before anything was durable; all six come again
    rig.settle()
    assert journaled(rig) == list(range(6))
    assert rig.redelivery.redelivered == 6


def test_a_lost_session_makes_old_identifiers_worthless(rig) -> None:
    stream(rig, 3)
    rig.lose_session()
    rig.connect()
    stream(rig, 3)
    rig.acknowledge()
    rig.kill()
    rig.connect()
    rig.settle()
    assert journaled(rig) == list(range(6))


def test_another_boot_of_the_machine_knows_nothing(rig, tmp_path) -> None:
    stream(rig, 3)
    rig.acknowledge()
    assert rig.mark.now.floor == 2
    other = AckMark(tmp_path / "acked", SETTINGS, boot_id="another")
    assert other.now == NOTHING
    other.close()


def message(mid, payload=b"p", *, dup=False, retained=False, qos=1, epoch=1) -> Any:
    return Incoming(Token(epoch, mid if qos else 0, qos), "t", payload, 0, dup, retained)


def test_retained_copies_are_acked_in_their_place_and_not_used() -> None:
    known = Redelivery()
    known.connected(1, session_present=False)
    batch = [message(1), message(2, retained=True), message(3), message(0, retained=True, qos=0)]
    received = known.receive(batch)
    assert [m.token.mid for m in received.messages] == [1, 3]
    assert [t.mid for t in received.tokens] == [1, 2, 3]
    assert known.retained == 2


def test_without_the_dup_flag_nothing_is_known() -> None:
    known = Redelivery()
    known.recover([Seen(7, "t", b"")], [], [])
    known.connected(1, session_present=True)
    assert len(known.receive([message(7)]).messages) == 1


@given(st.lists(st.tuples(st.integers(1, 3), st.booleans(), st.sampled_from([0, 1])), max_size=12))
def test_every_message_is_journaled_or_acked_in_order(packets) -> None:
    known = Redelivery()
    known.recover([Seen(1, "t", b"q")], [], [])
    known.connected(1, session_present=True)
    batch = [message(mid, dup=dup, qos=qos) for mid, dup, qos in packets]
    received = known.receive(batch)
    assert list(received.tokens) == [m.token for m in batch if m.token.qos]
    assert set(received.messages) <= set(batch)
