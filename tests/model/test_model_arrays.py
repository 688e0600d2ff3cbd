"""Rows of a table are chosen by masks, indices or lists, and come whole."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.arrays import indices_of
from model.tracks import SCHEMA, TrackUpdates


def table(rows: int) -> TrackUpdates:
    """Updates in which every element differs from its neighbours."""
    made = TrackUpdates.empty(rows)
    for name, column in made.columns().items():
        values = np.arange(column.size).reshape(column.shape)
        column[...] = values.astype(column.dtype) if SCHEMA[name].dtype != "u1" else values % 251
    return made


@given(
    rows=st.integers(0, 6),
    data=st.data(),
    form=st.sampled_from([list, np.array, lambda index: np.array(index, np.int32)]),
)
def test_rows_come_as_indexing_gives_them(
    rows: int, data: st.DataObject, form: Callable[[Any], Any]
) -> None:
    whole = table(rows)
    inside = st.integers(-rows, rows - 1) if rows else st.nothing()
    index = data.draw(st.lists(inside, max_size=8 if rows else 0))
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows)), np.bool_)
    for taken, chosen in (
        (whole.take(form(index)), np.array(index, np.int64)),
        (whole.take(mask), np.flatnonzero(mask)),
    ):
        taken.check()
        for name, column in whole.columns().items():
            assert getattr(taken, name).tobytes() == column[chosen].tobytes()


def test_what_is_no_row_is_refused() -> None:
    with pytest.raises(IndexError):
        table(3).take([3])
    with pytest.raises(TypeError):
        indices_of(np.array([0.5]))
