"""`Entry`: rows of a ledger as they lie in one of its records."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from journal.codec import unpack
from model.arrays import Array, Int32s, Int64s
from model.errors import JournalError
from model.records import Record
from model.tracks import TrackUpdates
from sharing.rows import WIRE, digests_of, heads_of, rows_of

FORMAT = 1
"""Of the records' payloads."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """Rows of one record of a ledger, or a part of them.

    Parameters
    ----------
    first
        Sequence number of the first row.
    rows
        (R,) rows in their final form.
    why
        (R,) uint8: 0: released; else the `sharing.release.Refusal` because of which it closes its
        track.
    known_offset, n
        (R,) int64, int32: of the giver's update behind each row, its key there; -1: a closing row
        that no update led to.
    through
        Last input of the node's journal whose outputs were looked at.
    before
        Head of the chain before the first row.
    digests, heads
        Of each row; head after each row.
    """

    first: int
    rows: TrackUpdates
    why: Array
    known_offset: Int64s
    n: Int32s
    through: int
    before: bytes
    digests: list[bytes]
    heads: list[bytes]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def last(self) -> int:
        """Sequence number of the last row."""
        return self.first + len(self) - 1

    def cut(self, first: int, last: int) -> "Entry":
        """The part of it from one sequence number to another, both included."""
        low, high = max(first, self.first) - self.first, min(last, self.last) - self.first + 1
        if (low, high) == (0, len(self)):
            return self
        part = slice(low, high)
        return Entry(
            self.first + low,
            self.rows.take(np.arange(low, high)),
            self.why[part],
            self.known_offset[part],
            self.n[part],
            self.through,
            self.heads[low - 1] if low else self.before,
            self.digests[part],
            self.heads[part],
        )


def document_of(directory: Path, record: Record) -> dict[str, Any]:
    """Content of a record.

    Raises
    ------
    JournalError
        It is of another format.
    """
    document = unpack(record.payload)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise JournalError(f"{directory}: the record {record.offset} has another format")
    return document


def entry_of(directory: Path, record: Record, document: dict[str, Any]) -> Entry:
    """Rows of an OUTPUT record, their digests and heads computed anew.

    Raises
    ------
    JournalError
        It is not one.
    """
    try:
        columns = document["columns"]
        count = len(document["why"])
        rows = rows_of({name: columns[name].tobytes() for name in WIRE}, count)
        digests = digests_of(rows)
        return Entry(
            document["first"],
            rows,
            document["why"],
            document["known_offset"],
            document["n"],
            document["through"],
            document["before"],
            digests,
            heads_of(document["before"], document["first"], digests),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise JournalError(f"{directory}: the record {record.offset}: {error}") from error
