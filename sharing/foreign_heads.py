"""`ForeignHeads`: the newest row of every track that a partner gave us, in bounded memory."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from model.arrays import Bools
from model.tracks import Status, TrackUpdates, UpdateReason
from sharing.closing import is_withdrawal
from sharing.rows import row_bytes, rows_of_bytes

MAX_TRACKS = 20_000
"""Tracks under one agreement that are remembered. Beyond them closed ones are forgotten, those
silent for longest first; of a forgotten track any row counts as its newest. One that is held is
never forgotten, for nobody would close it: while so many are held, no other is taken."""


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
        self._held = 0

    def __len__(self) -> int:
        return len(self._heads)

    @property
    def held(self) -> int:
        """Tracks that are not closed."""
        return self._held

    def crowded(self, rows: TrackUpdates, first: int) -> Bools:
        """(R,) bool: rows of further tracks while as many are held as may be.

        Parameters
        ----------
        rows, first
            As of `take`, which must not be given these rows.
        """
        found = np.zeros(len(rows), dtype=np.bool_)
        if self._held + len(rows) <= self._limit:
            return found
        held = self._held
        passed: dict[int, tuple[tuple[int, int, int], bool]] = {}
        for row, track in enumerate(rows.track_id.tolist()):
            order = _order(rows, row, first)
            known = self._heads.get(track)
            if track in passed:
                before, was = passed[track]
            else:
                before, was = (known.order, known.held) if known else ((-1, -1, -1), False)
            if before >= order:
                continue  # an older revision, which changes nothing
            now = bool(rows.status[row] != Status.DELETED)
            if now and not was and held >= self._limit:
                found[row] = True
                continue
            held += now - was
            passed[track] = order, now
        return found

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
            order = _order(rows, row, first)
            known = self._heads.get(track)
            if known is not None and known.order >= order:
                continue
            newest[row] = True
            if withdrawn[row] and known is not None:
                data[row] = known.row
                filled.append(row)
            self._heads.pop(track, None)  # the newest stands last
            held = bool(rows.status[row] != Status.DELETED)
            self._heads[track] = Head(order, held, data[row])
            self._held += held - (known is not None and known.held)
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

    def close(self, refused: Callable[[TrackUpdates], Bools] | None = None) -> TrackUpdates:
        """Close tracks that may not be held any longer.

        Parameters
        ----------
        refused
            Says of newest rows, (R,) bool, whose tracks are closed; None: all are.
        """
        held = [track for track, head in self._heads.items() if head.held]
        rows = rows_of_bytes([self._heads[track].row for track in held])
        if refused is not None and len(rows):
            index = np.flatnonzero(refused(rows))
            rows, held = rows.take(index), [held[place] for place in index.tolist()]
        rows.status[:] = Status.DELETED
        rows.reason[:] = UpdateReason.WITHDRAWN
        for track in held:
            self._heads[track] = self._heads[track]._replace(held=False)
        self._held -= len(held)
        return rows

    def _bound(self) -> None:
        over = len(self._heads) - self._limit
        if over <= 0:
            return
        for track in [track for track, head in self._heads.items() if not head.held][:over]:
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
        self._held = sum(head.held for head in self._heads.values())


def _order(rows: TrackUpdates, row: int, first: int) -> tuple[int, int, int]:
    """What decides which row of a track is the newer."""
    return int(rows.authority_epoch[row]), int(rows.revision[row]), first + int(rows.n[row])
