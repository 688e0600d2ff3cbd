"""Sequences: any order, any repetition, and forged chains."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sharing.rows import genesis, heads_of
from sharing.sequence import MAX_RUNS, Sequence

START = genesis("north", "south", "a-1")
DIGESTS = [bytes([n]) * 32 for n in range(1, 41)]
HEADS = [START, *heads_of(START, 1, DIGESTS)]


def take(sequence, low, high):
    return sequence.take(low, HEADS[low - 1], HEADS[low : high + 1])


RUNS = st.lists(
    st.tuples(st.integers(1, 40), st.integers(0, 12)).map(lambda r: (r[0], min(40, sum(r)))),
    max_size=25,
)


@given(RUNS)
def test_what_has_arrived_is_known_in_any_order(runs) -> None:
    sequence = Sequence(START)
    arrived: set[int] = set()
    for low, high in runs:
        taken = take(sequence, low, high)
        assert not taken.broken
        rows = range(low, high + 1)
        assert taken.new.tolist() == [seq not in arrived for seq in rows]
        arrived.update(rows)
        missing = [seq for seq in range(1, max(arrived) + 1) if seq not in arrived]
        contiguous = missing[0] - 1 if missing else max(arrived)
        assert sequence.contiguous == contiguous
        assert sequence.head == HEADS[contiguous]
        assert sequence.highest == max(arrived)
        told = [seq for first, last in sequence.gaps(99) for seq in range(first, last + 1)]
        assert told == missing
        assert Sequence.restore(sequence.snapshot()).snapshot() == sequence.snapshot()


@given(RUNS, st.integers(1, 40), st.integers(0, 8))
def test_a_forged_run_is_taken_nowhere_that_it_meets_another(runs, low, length) -> None:
    sequence = Sequence(START)
    for run in runs:
        take(sequence, *run)
    before = sequence.snapshot()
    high = min(40, low + length)
    forged = heads_of(b"x" * 32, low, DIGESTS[low - 1 : high])
    taken = sequence.take(low, b"x" * 32, forged)
    met = [r for r in before if r[1] >= low - 1 and r[0] <= high + 1]
    if any(low - 1 <= r[0] - 1 or r[1] <= high for r in met):
        assert taken.broken
    if not taken.new.any():
        assert sequence.snapshot() == before


def test_memory_is_bounded() -> None:
    sequence = Sequence(START)
    for n in range(MAX_RUNS + 50):
        first = 3 + 3 * n
        taken = sequence.take(first, b"a" * 32, [b"b" * 32])
        assert taken.crowded == (n >= MAX_RUNS)
    assert len(sequence.snapshot()) == MAX_RUNS + 1
    assert not np.any(sequence.take(10**9, b"a" * 32, [b"b" * 32]).new)
    # what closes a gap is always taken
    assert take(sequence, 1, 1).new.all()
