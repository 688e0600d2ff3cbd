"""`ForeignHeads`: the newest row of every track that a partner gave us, in bounded memory."""

from typing import Any, NamedTuple

import numpy as np

from model.arrays import Bools
from model.tracks import Status, TrackUpdates, UpdateReason
from sharing.closing import is_withdrawal
from sharing.rows import row_bytes, rows_of_bytes

MAX_TRACKS = 20_000
"""Tracks of one partner that are remembered. Beyond them closed ones are forgotten first, then
those silent for longest; of a forgotten track any row counts as its newest."""


class Head(NamedTuple):
    """Newest row of a track.

    Parameters
    ----------
    order
        Authority epoch, revision and sequence number: the greater is the newer.
    held
        It is not closed.
    row
        Its bytes; of a closed track those of the last state.
    """

    order: tuple[int, int, int]
    held: bool
    row: bytes


class ForeignHeads:
    """Which rows are the newest of their tracks."""

    def __init__(self, limit: int = MAX_TRACKS) -> None:
        self._limit = limit
        self._heads: dict[int, Head] = {}

    def __len__(self) -> int:
        return len(self._heads)

    @property
    def held(self) -> int:
        """Tracks that are not closed."""
        return sum(head.held for head in self._heads.values())

    def take(self, rows: TrackUpdates, first: int) -> tuple[TrackUpdates, Bools]:
        """Take in rows in order of arrival.

        Parameters
        ----------
        rows
            Accepted rows.
        first
            Sequence number of each is `first` plus its `n`.

        Returns
        -------
        TrackUpdates
            The same rows; those that withdraw a track now carry the last state that we know of it.
        numpy.ndarray
            (R,) bool: which are the newest of their tracks.
        """
        newest = np.zeros(len(rows), dtype=np.bool_)
        if not len(rows):
            return rows, newest
        data = [one.tobytes() for one in row_bytes(rows)]
        withdrawn = is_withdrawal(rows)
        filled: list[int] = []
        for row, track in enumerate(rows.track_id.tolist()):
            order = (
                int(rows.authority_epoch[row]), int(rows.revision[row]), first + int(rows.n[row]),
            )  # fmt: skip
            known = self._heads.get(track)
            if known is not None and known.order >= order:
                continue
            newest[row] = True
            if withdrawn[row] and known is not None:
                data[row] = known.row
                filled.append(row)
            self._heads.pop(track, None)  # the newest stands last
            held = rows.status[row] != Status.DELETED
            self._heads[track] = Head(order, bool(held), data[row])
        self._bound()
        if filled:
            told = rows_of_bytes([data[row] for row in filled])
            for name in ("state", "covariance", "existence", "classes", "affiliation",
                         "identity_kind", "identity", "stale"):  # fmt: skip
                getattr(rows, name)[filled] = getattr(told, name)
        return rows, newest

    def holds(self, track: int) -> bool:
        """Whether a track is known here and not closed."""
        known = self._heads.get(track)
        return known is not None and known.held

    def close(self) -> TrackUpdates:
        """Close every track, because nothing of this partner may be held any longer."""
        held = [track for track, head in self._heads.items() if head.held]
        rows = rows_of_bytes([self._heads[track].row for track in held])
        rows.status[:] = Status.DELETED
        rows.reason[:] = UpdateReason.WITHDRAWN
        for track in held:
            self._heads[track] = self._heads[track]._replace(held=False)
        return rows

    def _bound(self) -> None:
        over = len(self._heads) - self._limit
        if over <= 0:
            return
        closed = [track for track, head in self._heads.items() if not head.held][:over]
        for track in closed:
            del self._heads[track]
        for track in list(self._heads)[: over - len(closed)]:
            del self._heads[track]

    def snapshot(self) -> list[list[Any]]:
        """Plain data, oldest first."""
        return [
            [track, list(head.order), head.held, head.row] for track, head in self._heads.items()
        ]

    def restore(self, state: list[list[Any]]) -> None:
        """Take over what `snapshot` gave."""
        self._heads = {
            track: Head((order[0], order[1], order[2]), held, row)
            for track, order, held, row in state
        }
