"""Struct-of-arrays: one declared table of columns, and what every such table can do.

A table has one or more *axes* (for `Detections`: reports and detections). Each column lies along
one axis, has a fixed dtype, a fixed trailing shape and a value that means *not measured*.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float64]
Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a struct-of-arrays table.

    Parameters
    ----------
    axis
        Name of the axis it lies along.
    dtype
        NumPy dtype text.
    trailing
        Shape behind the axis: ``()`` for a scalar a row.
    fill
        What a row holds when the value is not given.
    """

    axis: str
    dtype: str
    trailing: tuple[int, ...] = ()
    fill: Any = 0

    def empty(self, rows: int) -> Array:
        """Array of `rows` rows that all hold the fill."""
        return np.full((rows, *self.trailing), self.fill, dtype=self.dtype)


def no_rows(schema: Mapping[str, Column]) -> dict[str, Array]:
    """Columns of no rows, to be made once: whoever has them cannot change anything in them."""
    return {name: column.empty(0) for name, column in schema.items()}


def indices_of(rows: Array | Sequence[int]) -> Int64s:
    """Chosen rows as indices: of a mask those that are true, indices as they are."""
    chosen = np.asarray(rows)
    if chosen.dtype == np.bool_:
        return np.flatnonzero(chosen)
    if not len(chosen):
        return np.zeros(0, np.int64)
    return chosen.astype(np.int64, casting="same_kind", copy=False)


@cache
def _dtype_of(text: str) -> np.dtype[Any]:
    """The dtype of a column's text; there are few."""
    return np.dtype(text)


def check_columns(name: str, schema: Mapping[str, Column], columns: Mapping[str, Array]) -> None:
    """Raise `ValueError` where columns are missing, unknown, of another dtype, shape or length."""
    if unknown := set(columns) - set(schema):
        raise ValueError(f"{name}: unknown columns {sorted(unknown)}")
    lengths: dict[str, int] = {}
    for key, column in schema.items():
        if key not in columns:
            raise ValueError(f"{name}: column {key} is missing")
        array = columns[key]
        dtype = _dtype_of(column.dtype)
        if array.dtype != dtype or array.shape[1:] != column.trailing:
            raise ValueError(
                f"{name}.{key}: {array.dtype}{array.shape[1:]} is not {dtype}{column.trailing}"
            )
        if lengths.setdefault(column.axis, len(array)) != len(array):
            raise ValueError(
                f"{name}.{key}: {len(array)} rows where its axis has {lengths[column.axis]}"
            )
