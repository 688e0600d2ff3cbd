"""Lanes: what is sent now, what waits, what is never sent."""

import numpy as np
import pytest

from model.errors import JournalFull
from model.tracks import TrackUpdates
from sharing.answers import Ack
from sharing.closing import is_withdrawal
from sharing.lane import BATCH_ROWS, REFILL_AFTER_S, Lane
from sharing.ledger import Ledger
from sharing.sequence import Sequence
from sharing.wire import Batch, decode_batch, encode_batch
from tests.sharing.samples import (
    INSIDE,
    NOW_NS,
    OUTSIDE,
    PARTIES,
    SECOND,
    UNTIL_NS,
    agreement,
    at,
    updates,
)


@pytest.fixture
def lane(tmp_path):
    with Ledger(tmp_path, PARTIES, "a-1") as ledger:
        made = Lane(ledger, PARTIES)
        made.put(agreement())
        made.review(NOW_NS)
        yield made


def clock(now_ns=NOW_NS):
    return lambda: now_ns


def sent(lane, entry, now_ns=NOW_NS) -> list[Batch]:
    return list(lane.batches(entry, clock(now_ns)))


def ack_of(lane, sequence) -> Ack:
    gaps = sequence.gaps(64)
    return Ack("a-1", sequence.contiguous, sequence.highest, gaps, sequence.head.hex())


def arrive(sequence, batches) -> None:
    for batch in batches:
        found = decode_batch(encode_batch(batch))
        assert isinstance(found, Batch)
        assert not sequence.take(found.first, found.before, found.heads).broken


def refilled(lane, now_s, now_ns=NOW_NS) -> list[Batch]:
    return list(lane.refill(10**6, clock(now_ns), now_s))


def test_refusals_are_counted_by_reason(lane) -> None:
    entry = lane.take(at(OUTSIDE, INSIDE, OUTSIDE, OUTSIDE), 3, NOW_NS)
    assert lane.refused == {"outside": 3}
    assert (lane.released, lane.withdrawn) == (1, 1)
    assert len(entry) == 2
    assert lane.take(at(OUTSIDE), 4, NOW_NS) is None
    assert lane.ledger.through == 4


def test_nothing_goes_out_without_an_agreement(tmp_path) -> None:
    with Ledger(tmp_path, PARTIES, "a-1") as ledger:
        lane = Lane(ledger, PARTIES)
        assert lane.take(updates(5), 0, NOW_NS) is None
        lane.put(agreement(receiver="west"))
        assert lane.take(updates(5), 1, NOW_NS) is None
        assert lane.refused == {"no_agreement": 5, "other_party": 5}
        assert ledger.last == 0


def test_a_row_that_waited_until_the_end_is_never_sent(lane) -> None:
    entry = lane.take(updates(3, known=UNTIL_NS - 10), 0, UNTIL_NS - 5)
    assert [len(batch) for batch in sent(lane, entry, UNTIL_NS - 1)] == [3]
    assert sent(lane, entry, UNTIL_NS) == []
    assert sent(lane, entry, UNTIL_NS + 10**15) == []


def test_the_end_comes_between_two_batches_of_one_entry(lane) -> None:
    times = iter([UNTIL_NS - 1, UNTIL_NS])
    entry = lane.take(updates(BATCH_ROWS + 1, known=UNTIL_NS - 10), 0, UNTIL_NS - 5)
    assert [len(batch) for batch in lane.batches(entry, lambda: next(times))] == [BATCH_ROWS]


def test_at_the_end_every_track_is_closed_without_a_state(lane) -> None:
    lane.take(updates(3, known=UNTIL_NS - 10), 0, UNTIL_NS - 5)
    assert lane.review(UNTIL_NS - 1) is None
    entry = lane.review(UNTIL_NS)
    (batch,) = sent(lane, entry, UNTIL_NS)
    assert is_withdrawal(batch.rows).all()
    assert batch.rows.track_id.tolist() == [1, 2, 3]
    assert (batch.first, batch.last) == (4, 6)
    assert not batch.void.any()
    assert lane.review(UNTIL_NS + SECOND) is None
    assert lane.take(updates(3, known=UNTIL_NS), 1, UNTIL_NS) is None


def test_a_removed_agreement_ends_at_once_and_a_new_one_goes_on(lane) -> None:
    entry = lane.take(updates(2), 0, NOW_NS)
    lane.put(None)
    assert sent(lane, entry) == []
    closing = lane.review(NOW_NS)
    assert is_withdrawal(closing.rows).all()
    lane.put(agreement())
    assert lane.review(NOW_NS) is None
    assert len(sent(lane, entry)) == 1
    assert lane.take(updates(2, revision=2), 1, NOW_NS).first == 5


def test_a_narrowed_agreement_closes_what_it_does_not_cover(lane) -> None:
    rows = updates(2)
    rows.state[1, :2] = np.radians((59.8, 28.5))
    entry = lane.take(rows, 0, NOW_NS)
    lane.put(agreement(area="[[59.0, 27.0], [59.0, 29.0], [59.5, 29.0], [59.5, 27.0]]"))
    closing = lane.review(NOW_NS)
    assert closing.rows.track_id.tolist() == [2]
    # a row that it does not cover any more is stood for by its digest: the chain still closes
    (batch,) = sent(lane, entry)
    assert batch.void.tolist() == [False, True]
    sequence = Sequence(lane.ledger.head_at(0))
    arrive(sequence, [batch, *sent(lane, closing)])
    assert (sequence.contiguous, sequence.head) == (3, lane.ledger.head)


def test_an_identity_given_once_is_taken_back_when_it_is_not_agreed_any_more(lane) -> None:
    lane.put(agreement(more="share_identity = true"))
    entry = lane.take(updates(1, identity_kind=2, identity=b"276000001"), 0, NOW_NS)
    assert entry.rows.identity[0] == b"276000001"
    lane.put(agreement())
    assert is_withdrawal(lane.review(NOW_NS).rows).all()
    assert [batch.void.tolist() for batch in sent(lane, entry)] == [[True]]
    assert b"276000001" not in encode_batch(sent(lane, entry)[0])
    again = lane.take(updates(1, revision=2, identity_kind=2, identity=b"276000001"), 1, NOW_NS)
    assert again.rows.identity[0] == b""


def test_what_is_lost_on_the_way_is_refilled_once_the_ack_shows_it(lane) -> None:
    sequence = Sequence(lane.ledger.head_at(0))
    for n in range(10):
        entry = lane.take(updates(20, revision=n + 1), n, NOW_NS)
        batches = sent(lane, entry)
        if n not in (3, 4, 9):  # lost: in the middle and at the end
            arrive(sequence, batches)
        lane.sent(entry, float(n))
    assert lane.hear(ack_of(lane, sequence), 9.0 + REFILL_AFTER_S / 2)
    assert lane.head_agrees
    early = refilled(lane, 10.0)
    assert [(b.first, b.last) for b in early] == [(61, 80), (81, 100)]
    arrive(sequence, early)
    assert lane.hear(ack_of(lane, sequence), 9.0 + REFILL_AFTER_S)
    late = refilled(lane, 11.0)
    assert [(b.first, b.last) for b in late] == [(181, 200)]
    arrive(sequence, late)
    lane.hear(ack_of(lane, sequence), 12.0)
    assert refilled(lane, 12.0) == []
    assert (sequence.contiguous, sequence.head) == (200, lane.ledger.head)


def test_a_refill_that_is_lost_comes_again_but_not_at_every_ack(lane) -> None:
    lane.sent(lane.take(updates(5), 0, NOW_NS), 0.0)
    nothing = ack_of(lane, Sequence(lane.ledger.head_at(0)))
    lane.hear(nothing, 10.0)
    assert len(refilled(lane, 10.0)) == 1
    lane.hear(nothing, 10.5)
    assert refilled(lane, 10.5) == []
    lane.hear(nothing, 10.0 + REFILL_AFTER_S)
    assert len(refilled(lane, 13.0)) == 1


def test_after_the_end_a_refill_holds_closing_rows_only_and_ends(lane) -> None:
    lane.sent(lane.take(updates(3, known=UNTIL_NS - 10), 0, UNTIL_NS - 5), 0.0)
    lane.sent(lane.review(UNTIL_NS), 0.0)
    sequence = Sequence(lane.ledger.head_at(0))
    lane.hear(ack_of(lane, sequence), 10.0)
    (batch,) = refilled(lane, 10.0, UNTIL_NS + SECOND)
    assert (batch.first, batch.last) == (4, 6)
    assert is_withdrawal(batch.rows).all()
    arrive(sequence, [batch])
    for now_s in (20.0, 30.0):
        lane.hear(ack_of(lane, sequence), now_s)
        assert refilled(lane, now_s, UNTIL_NS + SECOND) == []
    assert lane._useless == ((1, 3),)
    # renewed, the rest may go out
    lane.put(agreement(until="2027-12-31T00:00:00Z"))
    lane.review(UNTIL_NS + SECOND)
    lane.hear(ack_of(lane, sequence), 40.0)
    arrive(sequence, refilled(lane, 40.0, UNTIL_NS + SECOND))
    assert sequence.contiguous == 6


def test_an_ack_that_cannot_be_true_changes_nothing(lane) -> None:
    lane.sent(lane.take(updates(2), 0, NOW_NS), 0.0)
    assert not lane.hear(Ack("a-1", 3, 3, [], "ab" * 32), 10.0)
    assert lane.ack is None
    assert lane.hear(Ack("a-1", 2, 2, [], "ab" * 32), 10.0)
    assert lane.head_agrees is False
    assert lane.status(NOW_NS, 10.5)["last_ack_s"] == 0.5


def test_a_request_is_answered_but_not_too_often(lane) -> None:
    lane.take(updates(9), 0, NOW_NS)
    assert lane.asked([(2, 4), (8, 10**15)], 0.0)
    assert [(b.first, b.last) for b in refilled(lane, 0.0)] == [(2, 4), (8, 9)]
    assert not lane.asked([(1, 9)], REFILL_AFTER_S / 2)
    assert lane.asked([(1, 9)], REFILL_AFTER_S)


def test_lost_outputs_close_what_the_partner_holds(lane) -> None:
    lane.take(updates(2), 0, NOW_NS)
    entry = lane.lost(1, 9, NOW_NS)
    assert is_withdrawal(entry.rows).all()
    assert (lane.missed, lane.ledger.through) == (9, 9)


def test_a_full_disk_changes_nothing_and_may_be_tried_again(lane, monkeypatch) -> None:
    lane.take(updates(2), 0, NOW_NS)
    append = lane.ledger._log.append

    def full(_rows):
        raise JournalFull("full")

    monkeypatch.setattr(lane.ledger._log, "append", full)
    state = (lane.ledger.last, lane.ledger.head, lane.ledger.through, lane.released, lane.refused)
    with pytest.raises(JournalFull):
        lane.take(at(INSIDE, OUTSIDE), 1, NOW_NS)
    lane.put(None)
    with pytest.raises(JournalFull):
        lane.review(NOW_NS)
    assert state == (
        lane.ledger.last, lane.ledger.head, lane.ledger.through, lane.released, lane.refused,
    )  # fmt: skip
    monkeypatch.setattr(lane.ledger._log, "append", append)
    assert len(lane.review(NOW_NS)) == 2
    assert lane.take(TrackUpdates.empty(), 1, NOW_NS) is None
