"""`BoundedState`: bounded, taken back, the same whatever the batch cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.state import BoundedState
from model.errors import SnapshotError

operations = st.lists(
    st.tuples(st.sampled_from(["get", "put", "drop"]), st.sampled_from("abcdefg"), st.integers())
)


def apply(state, steps):
    seen = []
    for what, key, value in steps:
        if what == "get":
            seen.append(state.get(key))
        elif what == "put":
            state.put(key, value)
        else:
            state.drop(key)
    return seen


def test_least_recently_used_goes_first():
    state = BoundedState(2)
    state.put("a", 1)
    state.put("b", 2)
    state.get("a")
    state.put("c", 3)
    assert (state.get("a"), state.get("b"), state.get("c")) == (1, None, 3)
    assert state.evicted == 1


@given(operations, st.integers(1, 5))
def test_commits_change_nothing(steps, size):
    whole, cut = BoundedState(3), BoundedState(3)
    expected = apply(whole, steps)
    found = []
    for at in range(0, len(steps), size):
        found += apply(cut, steps[at : at + size])
        cut.commit()
    assert found == expected
    assert cut.export() == whole.export()


@given(operations, operations)
def test_rollback_leaves_nothing(before, after):
    state = BoundedState(3)
    apply(state, before)
    state.commit()
    kept = state.export()
    apply(state, after)
    state.rollback()
    assert state.export() == kept


@given(operations, operations)
def test_restored_goes_on_the_same(before, after):
    state, other = BoundedState(3), BoundedState(3)
    apply(state, before)
    other.restore(state.export())
    assert apply(other, after) == apply(state, after)
    assert other.export() == state.export()


def test_damaged_snapshot_is_named():
    with pytest.raises(SnapshotError, match="decoder state"):
        BoundedState().restore({"entries": [1]})


def test_bound_must_keep_something():
    with pytest.raises(ValueError, match="keeps nothing"):
        BoundedState(0)
