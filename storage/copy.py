"""From NumPy columns to blocks of PostgreSQL's binary COPY format, without an object per field.

Every column is encoded for all rows at once. Rows are laid out in a matrix of bytes as wide as the
widest could be, and one mask squeezes out what NULLs and short texts do not use.

Format: PostgreSQL 18 manual, COPY, section "Binary Format": a signature, then for each row an
int16 count of fields and for each field an int32 length (-1: NULL) and its bytes, then int16 -1.
Field bytes as the types' ``_send`` functions write them, big endian.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.arrays import Array, Bools, Int64s

Bytes = NDArray[np.uint8]

SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
"""Signature, flags 0, no header extension."""

TRAILER = b"\xff\xff"

POSTGRES_EPOCH_US = 946_684_800_000_000
"""2000-01-01T00:00:00Z in microseconds since 1970: where timestamptz counts from."""

BLOCK_ROWS = 2048
"""Rows a block: a matrix that stays in the processor's cache."""

BLOCK_BYTES = 16 << 20
"""A block whose matrix would be larger (a long polygon among short rows) is halved."""

OID_FLOAT4 = 700
OID_FLOAT8 = 701
OID_TEXT = 25
"""Object ids of element types (src/include/catalog/pg_type.dat)."""


@dataclass(frozen=True, slots=True, eq=False)
class Fixed:
    """Encoded column in which every value has the same length.

    Parameters
    ----------
    data
        (N, w) uint8.
    null
        (N,) bool, or None: no NULLs.
    """

    data: Bytes
    null: Bools | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Ragged:
    """Encoded column with values of any length.

    Parameters
    ----------
    data
        (B,) uint8, the bytes of the values in any order.
    start
        (N,) int64, where in `data` the value of a row begins.
    length
        (N,) int64, its length; -1: NULL.
    """

    data: Bytes
    start: Int64s
    length: Int64s


Encoded = Fixed | Ragged


def numbers(values: Array, dtype: str) -> Fixed:
    """Integers or floats as they are, NaN included.

    Parameters
    ----------
    values
        (N,) of any numeric dtype.
    dtype
        ``i2`` (smallint), ``i4`` (integer), ``i8`` (bigint), ``f4`` (real), ``f8`` (double).
    """
    return Fixed(_bytes(values.astype(f">{dtype}")))


def measured(values: Array) -> Fixed:
    """(N,) float64 as double precision; NaN, not measured, becomes NULL."""
    null = np.isnan(values)
    return Fixed(_bytes(values.astype(">f8")), null if null.any() else None)


def timestamps(time_ns: Int64s) -> Fixed:
    """(N,) int64 UTC nanoseconds as timestamptz, cut to the microsecond."""
    return Fixed(_bytes((time_ns // 1000 - POSTGRES_EPOCH_US).astype(">i8")))


def booleans(values: Bools) -> Fixed:
    """(N,) bool as boolean."""
    return Fixed(values.astype(np.uint8).reshape(-1, 1))


def float_arrays(values: Array, oid: int, null: Bools) -> Fixed:
    """Rows of floats as arrays of one dimension.

    Parameters
    ----------
    values
        (N, k) float32 or float64.
    oid
        `OID_FLOAT4` or `OID_FLOAT8`.
    null
        (N,) bool, which rows become NULL.
    """
    rows, count = values.shape
    width = 4 if oid == OID_FLOAT4 else 8
    item = np.dtype([("length", ">i4"), ("value", f">f{width}")])
    row = np.dtype([("header", ">i4", (5,)), ("items", item, (count,))])
    out = np.empty(rows, dtype=row)
    # dimensions, has NULLs, element type, size of the dimension, its lower bound
    out["header"] = (1, 0, oid, count, 1)
    out["items"]["length"] = width
    out["items"]["value"] = values
    return Fixed(_bytes(out), null if null.any() else None)


def byte_strings(values: Array) -> Ragged:
    """(N,) bytes (NumPy ``S``) as bytea; the empty string becomes NULL."""
    width = values.dtype.itemsize
    data = np.ascontiguousarray(values).view(np.uint8)
    length = np.char.str_len(values).astype(np.int64)
    start = np.arange(len(values), dtype=np.int64) * width
    return Ragged(data, start, np.where(length == 0, -1, length))


def ascii_texts(values: Array) -> Ragged:
    """(N,) bytes (NumPy ``S``) as text; what is not printable ASCII becomes ``?``.

    PostgreSQL refuses NUL and broken UTF-8, and one such byte would hold up the whole batch.
    """
    width = values.dtype.itemsize
    data = np.ascontiguousarray(values).view(np.uint8)
    data = np.where((data < 0x20) | (data > 0x7E), np.uint8(ord("?")), data)
    length = np.char.str_len(values).astype(np.int64)
    return Ragged(data, np.arange(len(values), dtype=np.int64) * width, length)


def coded(codes: Array, table: Sequence[bytes | None]) -> Ragged:
    """A value of a table for each row.

    Parameters
    ----------
    codes
        (N,) integers, rows of `table`.
    table
        Field bytes, already encoded; None: NULL.
    """
    lengths = np.array([-1 if value is None else len(value) for value in table], dtype=np.int64)
    ends = np.cumsum(np.maximum(lengths, 0))
    data = np.frombuffer(b"".join(value or b"" for value in table), dtype=np.uint8)
    starts = ends - np.maximum(lengths, 0)
    return Ragged(data, starts[codes], lengths[codes])


def repeated_text(text: str, rows: int) -> Fixed:
    """The same text in every row."""
    data = np.frombuffer(text_bytes(text), dtype=np.uint8)
    return Fixed(np.broadcast_to(data, (rows, len(data))))


def text_bytes(text: str) -> bytes:
    """Field bytes of a text, with what PostgreSQL refuses (NUL, lone surrogates) replaced."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace")


def text_array_bytes(texts: Sequence[str | None]) -> bytes:
    """Field bytes of a text[] of one dimension; None is a NULL element."""
    if not texts:
        return np.array([0, 0, OID_TEXT], ">i4").tobytes()
    out = [np.array([1, None in texts, OID_TEXT, len(texts), 1], ">i4").tobytes()]
    for text in texts:
        data = b"" if text is None else text_bytes(text)
        out += [(-1 if text is None else len(data)).to_bytes(4, "big", signed=True), data]
    return b"".join(out)


def float_array_bytes(values: Array) -> bytes:
    """Field bytes of a double precision[] of one dimension."""
    flat = values.reshape(1, -1)
    return float_arrays(flat, OID_FLOAT8, np.zeros(1, np.bool_)).data.tobytes()


def blocks(columns: Sequence[Encoded], rows: int) -> Iterator[bytes]:
    """Binary COPY data of a table.

    Parameters
    ----------
    columns
        Encoded columns in the order of COPY's column list, N rows each.
    rows
        N.

    Yields
    ------
    bytes
        Blocks that make one whole COPY stream one after another.
    """
    yield SIGNATURE
    for start in range(0, rows, BLOCK_ROWS):
        yield from _rows(columns, start, min(start + BLOCK_ROWS, rows))
    yield TRAILER


def _rows(columns: Sequence[Encoded], start: int, stop: int) -> Iterator[bytes]:
    widths = [
        column.data.shape[1]
        if isinstance(column, Fixed)
        else max(0, int(column.length[start:stop].max()))
        for column in columns
    ]
    total = 2 + sum(widths) + 4 * len(widths)
    count = stop - start
    if count > 1 and count * total > BLOCK_BYTES:
        middle = (start + stop) // 2
        yield from _rows(columns, start, middle)
        yield from _rows(columns, middle, stop)
        return
    matrix = np.empty((count, total), dtype=np.uint8)
    used: Bools | None = None
    matrix[:, :2] = _bytes(np.array([len(columns)], ">i2"))
    at = 2
    for column, width in zip(columns, widths, strict=True):
        lengths, present = _fill(column, matrix[:, at + 4 : at + 4 + width], start, stop)
        matrix[:, at : at + 4] = lengths
        if present is not None:
            if used is None:
                used = np.ones(matrix.shape, dtype=np.bool_)
            used[:, at + 4 : at + 4 + width] = present
        at += 4 + width
    yield matrix.tobytes() if used is None else matrix[used].tobytes()


def _fill(column: Encoded, target: Bytes, start: int, stop: int) -> tuple[Bytes, Bools | None]:
    """Write a column's bytes; return the length fields and which of the bytes count."""
    width = target.shape[1]
    if isinstance(column, Fixed):
        target[:] = column.data[start:stop]
        if column.null is None:
            return _bytes(np.array([width], ">i4")), None
        null = column.null[start:stop]
        return _bytes(np.where(null, -1, width).astype(">i4")), ~null[:, None]
    length = column.length[start:stop]
    if width:
        index = column.start[start:stop, None] + np.arange(width)
        target[:] = column.data[np.minimum(index, len(column.data) - 1)]
    present = np.arange(width) < length[:, None]
    return _bytes(length.astype(">i4")), None if present.all() else present


def _bytes(values: Array) -> Bytes:
    """(N, w) uint8: the bytes of N values of w bytes."""
    width = values.dtype.itemsize * math.prod(values.shape[1:])
    return np.ascontiguousarray(values).view(np.uint8).reshape(len(values), width)
