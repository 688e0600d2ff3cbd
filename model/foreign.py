"""`ForeignUpdates`: track updates that a partner node shared with us.

They are tracks of another node, never detections: nothing here is fed to fusion. The columns of
`TrackUpdates` stand in `updates`; beside them stands where each row came from.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from model.arrays import Array, Bools, Column, Int32s, Int64s, check_columns, indices_of, no_rows
from model.tracks import TrackUpdates

MAX_HOPS = 1
"""Nodes that an update may have passed: its giver alone, so nothing is passed on."""

SCHEMA: dict[str, Column] = {
    "giver": Column("update", "i4", fill=-1),
    "agreement": Column("update", "i4", fill=-1),
    "seq": Column("update", "i8"),
    "sent": Column("update", "i8"),
    "received": Column("update", "i8"),
    "path": Column("update", "i4", (MAX_HOPS,), -1),
    "head": Column("update", "?", fill=False),
}


_NO_ROWS = no_rows(SCHEMA)


@dataclass(frozen=True, slots=True, eq=False)
class ForeignUpdates:
    """Track updates of partners, U rows, in the order in which they arrived.

    Parameters
    ----------
    updates
        The updates themselves. `known` is when the giver knew them, UTC ns of its clock;
        `known_offset` and `n` are ours: the journal offset of the input that brought the row, and
        its ordinal there (what the giver has in these two is not shared); `sensors` is empty.
    giver
        (U,) int32, index into `nodes`: whose track it is. `(giver, track_id)` names a track.
    agreement
        (U,) int32, index into `agreements`: under which it was given.
    seq
        (U,) int64, number of the row in the giver's ledger of that agreement, from 1;
        `(giver, agreement, seq)` names the row for both sides. 0: closed by ourselves, because
        the agreement ended.
    sent
        (U,) int64 ns, when the giver sent it, by its clock.
    received
        (U,) int64 ns, when our node took the input in.
    path
        (U, MAX_HOPS) int32, indices into `nodes` of the nodes it passed, the giver first; -1: none.
    head
        (U,) bool: newest of its track so far. False: an older revision that came late, to be
        stored and never to be shown as current.
    nodes, agreements
        Names behind the indices.
    """

    updates: TrackUpdates
    giver: Int32s
    agreement: Int32s
    seq: Int64s
    sent: Int64s
    received: Int64s
    path: Int32s
    head: Bools
    nodes: tuple[str, ...] = ()
    agreements: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.seq)

    def columns(self) -> dict[str, Array]:
        """The columns beside `updates`, by name."""
        return {name: getattr(self, name) for name in SCHEMA}

    def check(self) -> Self:
        """Return itself, or raise `ValueError` where a column breaks the schema."""
        check_columns("ForeignUpdates", SCHEMA, self.columns())
        self.updates.check()
        if len(self.updates) != len(self):
            raise ValueError(f"ForeignUpdates: {len(self)} rows beside {len(self.updates)} updates")
        for name, names in (("giver", self.nodes), ("agreement", self.agreements)):
            index = getattr(self, name)
            if len(self) and (int(index.min()) < 0 or int(index.max()) >= len(names)):
                raise ValueError(f"ForeignUpdates.{name}: an index has no name")
        if len(self) and not (-1 <= int(self.path.min()) <= int(self.path.max()) < len(self.nodes)):
            raise ValueError("ForeignUpdates.path: an index has no name")
        return self

    @classmethod
    def empty(
        cls, rows: int = 0, nodes: tuple[str, ...] = (), agreements: tuple[str, ...] = ()
    ) -> Self:
        """`rows` updates that say nothing yet."""
        columns: dict[str, Any] = _NO_ROWS
        if rows:
            columns = {name: column.empty(rows) for name, column in SCHEMA.items()}
        return cls(TrackUpdates.empty(rows), **columns, nodes=nodes, agreements=agreements)

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """Several tables one after another; their names are put together."""
        nodes = tuple(dict.fromkeys(name for part in parts for name in part.nodes))
        agreements = tuple(dict.fromkeys(name for part in parts for name in part.agreements))
        if not parts:
            return cls.empty()
        moved = [
            replace(
                part,
                giver=_moved(part.giver, part.nodes, nodes),
                agreement=_moved(part.agreement, part.agreements, agreements),
                path=_moved(part.path, part.nodes, nodes),
            )
            for part in parts
        ]
        values: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in moved]) for name in SCHEMA
        }
        updates = TrackUpdates.concat([part.updates for part in moved])
        return cls(updates, **values, nodes=nodes, agreements=agreements)

    def take(self, rows: Array | Sequence[int]) -> Self:
        """Chosen rows (mask or indices)."""
        index = indices_of(rows)
        values: dict[str, Any] = {name: getattr(self, name).take(index, axis=0) for name in SCHEMA}
        return type(self)(
            self.updates.take(rows), **values, nodes=self.nodes, agreements=self.agreements
        )


def _moved(index: Int32s, names: tuple[str, ...], wanted: tuple[str, ...]) -> Int32s:
    """Indices into `names` as indices into `wanted`; -1 stays."""
    table = np.array([*(wanted.index(name) for name in names), -1], dtype=np.int32)
    moved: Int32s = table[index]
    return moved
