"""Partners' tracks as they are shown: of each the newest row, while it has something to say.

A partner's link may break in any moment, and then nobody closes its tracks. So a head is shown
past its stale time (the page then draws it grey, crossed out, with its age) for `FADE_S` and no
longer, and never longer than `kept_s` after it came in. By this second bound a picture built from
the last `kept_s` of the output log is the picture of one who has followed it all along. Of more
than `MAX_HEADS` those that came in longest ago are dropped: the bound stands, and so does this.
"""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from model.arrays import Array, Int64s
from model.foreign import SCHEMA as FOREIGN
from model.foreign import ForeignUpdates
from model.time import NS_PER_S
from model.tracks import SCHEMA as UPDATES
from model.tracks import Status, TrackUpdates

FADE_S = 300.0
"""How long a head is still shown after its stale time, s: time enough to see where a mover was
when its giver fell silent, short enough that nobody steers by it."""

MAX_HEADS = 80_000
"""Heads that are held, of all partners together: as many as four partners may have held here
(`sharing.foreign_heads.MAX_TRACKS`); some 60 MB."""

FIRST_SLOTS = 256
"""Rows that a new picture has room for; doubled when they are used up."""

FREE = np.iinfo(np.int64).min
"""Stands for the end of a head where a slot holds none."""


class ForeignPicture:
    """Newest rows of partners' tracks; `take` and `forget` by one thread, `heads` by any.

    Rows stay where they are and are written over, so that a few updates cost little however many
    tracks are held.

    Parameters
    ----------
    kept_s
        How long a head is shown at most after it came in, s.
    limit
        Heads that are held at most.
    """

    def __init__(self, kept_s: float, limit: int = MAX_HEADS) -> None:
        self._limit = limit
        self._kept_ns = round(kept_s * NS_PER_S)
        self._lock = threading.Lock()
        self._nodes: dict[str, int] = {}
        self._agreements: dict[str, int] = {}
        self._slots: dict[tuple[int, int], int] = {}
        self._free: list[int] = []
        self._updates = {name: column.empty(0) for name, column in UPDATES.items()}
        self._foreign = {name: column.empty(0) for name, column in FOREIGN.items()}
        self._ends: Int64s = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self._slots)

    def take(self, parts: Sequence[ForeignUpdates]) -> None:
        """Take in tables in the order in which they became known.

        A head replaces the head of its track. One with the status *deleted* drops it, if that was
        given under the same agreement: where one agreement follows another, the tracks of the old
        one may be closed when the new one has given them already.
        """
        for part in parts:
            rows = np.flatnonzero(part.head)
            if len(rows):
                with self._lock:
                    self._take(part, rows)

    def _take(self, part: ForeignUpdates, rows: Int64s) -> None:
        nodes = _indices(part.nodes, self._nodes)
        giver = nodes[part.giver[rows]]
        agreement = _indices(part.agreements, self._agreements)[part.agreement[rows]]
        deleted = part.updates.status[rows] == Status.DELETED
        held: dict[tuple[int, int], int] = {}
        keys = zip(giver.tolist(), part.updates.track_id[rows].tolist(), strict=True)
        for place, (key, over) in enumerate(zip(keys, deleted.tolist(), strict=True)):
            if not over:
                held[key] = place
            elif agreement[place] == self._agreement_of(key, held, agreement):
                held.pop(key, None)
                self._drop(key)
        if not held:
            return
        slots = np.array([self._slot(key) for key in held], np.int64)
        places = np.array(list(held.values()), np.int64)
        chosen = rows[places]
        for name, column in self._updates.items():
            column[slots] = getattr(part.updates, name)[chosen]
        for name, column in self._foreign.items():
            column[slots] = getattr(part, name)[chosen]
        self._foreign["giver"][slots] = giver[places]
        self._foreign["agreement"][slots] = agreement[places]
        self._foreign["path"][slots] = nodes[part.path[chosen]]
        self._ends[slots] = self._end(part.take(chosen))
        self._bound()

    def _end(self, rows: ForeignUpdates) -> Int64s:
        """(U,) int64 UTC ns until which heads are shown; no stale time: as if stale when valid."""
        fade_ns = round(FADE_S * NS_PER_S)
        stale = np.where(rows.updates.stale > 0, rows.updates.stale, rows.updates.valid)
        end: Int64s = np.minimum(stale + fade_ns, rows.received + self._kept_ns)
        return end

    def _agreement_of(
        self, key: tuple[int, int], held: dict[tuple[int, int], int], agreement: Array
    ) -> int:
        """Index of the agreement of a head, of those just come or held before; -1: none."""
        if key in held:
            return int(agreement[held[key]])
        slot = self._slots.get(key)
        return -1 if slot is None else int(self._foreign["agreement"][slot])

    def _slot(self, key: tuple[int, int]) -> int:
        """Where a track stands; a new one gets a slot."""
        slot = self._slots.get(key)
        if slot is None:
            if not self._free:
                self._grow()
            slot = self._slots[key] = self._free.pop()
        return slot

    def _grow(self) -> None:
        before = len(self._ends)
        more = max(FIRST_SLOTS, before)
        for columns, schema in ((self._updates, UPDATES), (self._foreign, FOREIGN)):
            for name, column in schema.items():
                columns[name] = np.concatenate([columns[name], column.empty(more)])
        self._ends = np.concatenate([self._ends, np.full(more, FREE)])
        self._free.extend(range(before + more - 1, before - 1, -1))

    def _drop(self, key: tuple[int, int]) -> None:
        slot = self._slots.pop(key, None)
        if slot is not None:
            self._ends[slot] = FREE
            self._free.append(slot)

    def _bound(self) -> None:
        """Drop what came in longest ago, as far as there is too much."""
        over = len(self._slots) - self._limit
        if over <= 0:
            return
        used = np.flatnonzero(self._ends != FREE)
        came = (self._updates["n"][used], self._updates["known_offset"][used])
        self._let_go(used[np.lexsort(came)[:over]])

    def _let_go(self, slots: Int64s) -> None:
        givers = self._foreign["giver"][slots].tolist()
        tracks = self._updates["track_id"][slots].tolist()
        for key in zip(givers, tracks, strict=True):
            self._drop(key)

    def forget(self, now_ns: int) -> None:
        """Let go of the heads that are not shown any more."""
        over = np.flatnonzero((self._ends < now_ns) & (self._ends != FREE))
        if not len(over):
            return
        with self._lock:
            self._let_go(over)

    def heads(self, now_ns: int) -> ForeignUpdates:
        """What is shown at a time, one row a track in any order; a copy."""
        with self._lock:
            rows = np.flatnonzero((self._ends >= now_ns) & (self._ends != FREE))
            updates: dict[str, Any] = {name: one[rows] for name, one in self._updates.items()}
            foreign: dict[str, Any] = {name: one[rows] for name, one in self._foreign.items()}
            return ForeignUpdates(
                TrackUpdates(**updates),
                **foreign,
                nodes=tuple(self._nodes),
                agreements=tuple(self._agreements),
            )


def _indices(names: Sequence[str], known: dict[str, int]) -> Array:
    """Our index of each name, new ones added; behind them -1, which -1 finds."""
    return np.array([*(known.setdefault(name, len(known)) for name in names), -1], np.int32)
