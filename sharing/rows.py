"""Rows as both sides see them: which columns are shared, their bytes, their digests, the chain.

A row is the track update without what is the giver's own business: the journal offset and ordinal
of the input behind it, and the sensors that saw the mover. Its bytes are its columns one after
another, little-endian, in the order of `WIRE`; its digest is the SHA-256 of a label and these
bytes. The chain runs over digests, not over rows: so a row that may not be given any more can be
stood for by its digest, and the chain still closes::

    head[0] = SHA-256("vedette-chain-1" NUL giver NUL receiver NUL agreement)
    head[s] = SHA-256(head[s - 1], s as 8 bytes little-endian, digest of row s)
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import numpy as np

from model.arrays import Array, Column
from model.tracks import SCHEMA, TrackUpdates

PRIVATE = frozenset({"known_offset", "n", "sensors"})
"""Columns of `TrackUpdates` that never leave the node."""

WIRE: dict[str, Column] = {name: column for name, column in SCHEMA.items() if name not in PRIVATE}
"""Columns of a row, in the order of its bytes."""

DIGEST_BYTES = 32
"""Length of a SHA-256."""

_DTYPES = {name: np.dtype(column.dtype).newbyteorder("<") for name, column in WIRE.items()}
_ITEMS = {name: int(np.prod(column.trailing, dtype=int)) for name, column in WIRE.items()}

COLUMN_BYTES = {name: _DTYPES[name].itemsize * _ITEMS[name] for name in WIRE}
"""Bytes that one row takes in each column."""

ROW_BYTES = sum(COLUMN_BYTES.values())
"""Bytes of a row."""

_ROW_LABEL = b"vedette-row-1\0"
_CHAIN_LABEL = b"vedette-chain-1"


def column_bytes(rows: TrackUpdates) -> dict[str, bytes]:
    """Each shared column of a table as little-endian bytes in C order."""
    return {name: getattr(rows, name).astype(_DTYPES[name], copy=False).tobytes() for name in WIRE}


def rows_of(columns: Mapping[str, bytes], count: int) -> TrackUpdates:
    """The table of `count` rows that `column_bytes` gave; private columns are empty.

    Raises
    ------
    ValueError
        A column is missing, unknown, or has not the length that `count` rows take.
    """
    if unknown := sorted(set(columns) - set(WIRE)):
        raise ValueError(f"unknown columns {', '.join(map(repr, unknown))}"[:200])
    values: dict[str, Any] = {}
    for name, column in WIRE.items():
        data = columns.get(name)
        if data is None:
            raise ValueError(f"column {name} is missing")
        if len(data) != count * COLUMN_BYTES[name]:
            raise ValueError(
                f"column {name} has {len(data)} bytes; {count} rows take "
                f"{count * COLUMN_BYTES[name]}"
            )
        flat = np.frombuffer(data, _DTYPES[name]).astype(column.dtype)
        values[name] = flat.reshape((count, *column.trailing))
    for name in PRIVATE:
        values[name] = SCHEMA[name].empty(count)
    return TrackUpdates(**values)


def row_bytes(rows: TrackUpdates) -> Array:
    """(U, ROW_BYTES) uint8: the bytes of each row."""
    parts = [
        np.frombuffer(data, np.uint8).reshape(len(rows), COLUMN_BYTES[name])
        for name, data in column_bytes(rows).items()
    ]
    matrix: Array = np.concatenate(parts, axis=1)
    return matrix


def rows_of_bytes(rows: Sequence[bytes]) -> TrackUpdates:
    """The table whose rows have these bytes, each of `ROW_BYTES`."""
    matrix = np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), ROW_BYTES)
    columns, start = {}, 0
    for name, size in COLUMN_BYTES.items():
        columns[name] = matrix[:, start : start + size].tobytes()
        start += size
    return rows_of(columns, len(rows))


def digests_of(rows: TrackUpdates) -> list[bytes]:
    """Digest of each row."""
    label = sha256(_ROW_LABEL)
    found = []
    for row in row_bytes(rows):
        one = label.copy()
        one.update(row.data)
        found.append(one.digest())
    return found


def genesis(giver: str, receiver: str, agreement: str) -> bytes:
    """Head of a chain before its first row; names are without NUL."""
    names = (giver.encode(), receiver.encode(), agreement.encode())
    return sha256(b"\0".join((_CHAIN_LABEL, *names))).digest()


def heads_of(before: bytes, first: int, digests: Sequence[bytes]) -> list[bytes]:
    """Head of the chain after each of some rows.

    Parameters
    ----------
    before
        Head before the first of them.
    first
        Its sequence number, at most 2**63 - 1 less their number.
    digests
        Of the rows, in order.
    """
    heads = []
    for seq, digest in enumerate(digests, first):
        before = sha256(before + seq.to_bytes(8, "little") + digest).digest()
        heads.append(before)
    return heads
