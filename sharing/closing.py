"""Tracks that the partner holds, and the last word on each when it may not follow any further.

A track that leaves the area, the classes or the validity of an agreement is *withdrawn*: one row
with the status *deleted* and the reason *withdrawn* that carries no state. So the partner's picture
keeps no stale track, and the row itself can go out at any time, whatever may be agreed by then.
"""

from dataclasses import dataclass

import numpy as np

from model.arrays import Array, Bools
from model.tracks import SCHEMA, Status, TrackUpdates, UpdateReason
from sharing.agreement import Agreement
from sharing.release import Refusal, transform
from sharing.rows import WIRE


class OpenTracks:
    """The tracks that the partner holds: the row released last of each, while it is not closed."""

    def __init__(self, rows: TrackUpdates | None = None) -> None:
        self.rows = TrackUpdates.empty() if rows is None else rows

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: TrackUpdates) -> None:
        """Take in rows given, in order: a track with the status *deleted* is closed by it."""
        if not len(rows):
            return
        merged = TrackUpdates.concat([self.rows, rows])
        _, last = np.unique(merged.track_id[::-1], return_index=True)
        index = len(merged) - 1 - last
        index = index[merged.status[index] != Status.DELETED]
        index.sort()
        self.rows = merged.take(index)


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """What some updates gave for the partner, R rows in order.

    Parameters
    ----------
    rows
        In their final form.
    why
        (R,) uint8: 0 for a released row, else the `Refusal` because of which a track was closed.
    source
        (R,) int64, row of the updates that led to it; -1: none did.
    """

    rows: TrackUpdates
    why: Array
    source: Array


def decide(
    updates: TrackUpdates, codes: Array, agreement: Agreement | None, held: OpenTracks
) -> Given:
    """Rows to be given for some updates, with the closing rows in their places.

    Parameters
    ----------
    updates
        In the order in which they became known.
    codes
        Their `refusals`.
    agreement
        The same as for `refusals`; None: all are refused.
    held
        Tracks that the partner holds; not changed.
    """
    released = codes == Refusal.NONE
    stays = released & (updates.status != Status.DELETED)
    # The row before each among those of its track, -1: none.
    order = np.argsort(updates.track_id, kind="stable")
    before = np.full(len(updates), -1, dtype=np.int64)
    same = updates.track_id[order[1:]] == updates.track_id[order[:-1]]
    before[order[1:][same]] = order[:-1][same]
    was_held = np.where(before < 0, np.isin(updates.track_id, held.rows.track_id), stays[before])
    closing = ~released & was_held
    source = np.flatnonzero(released | closing)
    if agreement is None or not len(source):
        given = TrackUpdates.empty(len(source))
    else:
        given = transform(updates.take(source), agreement)
    for place, row in enumerate(source.tolist()):
        if not closing[row]:
            continue
        if before[row] >= 0:  # held because of that row, which stands in `given` already
            known, index = given, int(np.searchsorted(source, before[row]))
        else:
            # Few close, of ten thousand that are held: a table of all would cost more each time.
            known = held.rows
            index = int(np.flatnonzero(known.track_id == updates.track_id[row])[-1])
        _close(given, place, known, index)
    return Given(given, np.where(closing, codes, 0)[source].astype(np.uint8), source)


def close(held: OpenTracks, which: Bools, codes: Array) -> Given:
    """Closing rows of tracks that the partner holds.

    Parameters
    ----------
    held
        The tracks.
    which
        (H,) bool: those to be closed.
    codes
        (H,) uint8, `Refusal` of each.
    """
    index = np.flatnonzero(which)
    rows = TrackUpdates.empty(len(index))
    for place, row in enumerate(index.tolist()):
        _close(rows, place, held.rows, row)
    return Given(rows, codes[index].astype(np.uint8), np.full(len(index), -1, dtype=np.int64))


KEPT = ("track_id", "number", "authority_epoch", "revision", "valid", "known", "mode")
"""What a closing row says: which track, and which state of it was the last one released."""


def _close(rows: TrackUpdates, place: int, known: TrackUpdates, index: int) -> None:
    """Make a row close a track.

    It carries no state at all, not even the last one released: that may still wait somewhere, and
    must not go out by this way once the agreement has ended. The receiver knows the last state.
    """
    for name, column in SCHEMA.items():
        value = getattr(known, name)[index] if name in KEPT else column.fill
        getattr(rows, name)[place] = value
    rows.status[place] = Status.DELETED
    rows.reason[place] = UpdateReason.WITHDRAWN


BLANK = tuple(name for name in WIRE if name not in (*KEPT, "status", "reason"))
"""Columns in which a closing row says nothing."""


def strip(rows: TrackUpdates, which: Bools) -> None:
    """Make rows with the status *deleted* withdrawals, in place: they say nothing else any more."""
    for name in BLANK:
        getattr(rows, name)[which] = WIRE[name].fill
    rows.reason[which] = UpdateReason.WITHDRAWN


def is_withdrawal(rows: TrackUpdates) -> Bools:
    """(U,) bool: rows that close a track and say nothing else, whatever may be agreed."""
    mask: Bools = (rows.reason == UpdateReason.WITHDRAWN) & (rows.status == Status.DELETED)
    for name in BLANK if mask.any() else ():
        values: Array = getattr(rows, name)[mask]
        fill = WIRE[name].fill
        blank = np.isnan(values) if fill != fill else values == fill  # NaN is not itself
        mask[np.flatnonzero(mask)[~blank.reshape(len(values), -1).all(axis=1)]] = False
        if not mask.any():
            break
    return mask
