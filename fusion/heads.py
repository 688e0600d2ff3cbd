"""What was said of each track last, and what must be said next.

Nothing published is rewritten. This store is therefore not rolled back with the table: when a late
report changes the past, the difference between what was said and what is now known becomes a
further update of the same track.
"""

from typing import Any

import numpy as np

from fusion import kalman
from fusion.classes import class_probability
from fusion.existence import probability
from fusion.motion import unpacked
from fusion.settings import NANO, Settings
from fusion.silence import lost_after
from fusion.table import TrackTable, moments
from model.arrays import Array, Floats, Int64s
from model.detections import IdentityKind
from model.frames import Region, enu_rotation
from model.sensors import Sensors
from model.taxonomy import HUMAN
from model.time import NS_PER_S
from model.tracks import MAX_SENSORS, SCHEMA, Status, TrackUpdates

LETTERS = b"ABCDEFGHJKLMNPQRSTUVWXYZ"
"""First letters of spoken numbers; I and O are left out, they sound and look like 1 and 0."""

NUMBERS = len(LETTERS) * 10_000
"""How many spoken numbers there are."""

_UPPER = np.triu_indices(6)
_PLACE = [0, 1, 3, 4]  # east, north and their rates among (E, N, U, vE, vN, vU)


def spoken_number(serial: int) -> bytes:
    """A letter and four digits; the same comes again after 240,000 tracks."""
    serial %= NUMBERS
    return b"%c%04d" % (LETTERS[serial // 10_000], serial % 10_000)


class Heads:
    """The last update of every track published, row by row.

    Parameters
    ----------
    region
        The plane that tables are in.
    settings
        Constants.
    """

    def __init__(self, region: Region, settings: Settings) -> None:
        self.region = region
        self.settings = settings
        self.serial = 0
        self._row: dict[int, int] = {}
        self._last = TrackUpdates.empty()
        self._basis = np.zeros((0, 6))  # what decides whether anything changed: x, P, time
        self._closed = np.zeros(0, dtype=np.int64)  # newest report when it was closed, ns

    def publish(
        self, rows_of: TrackTable, status: Array, reasons: Array, valid_ns: int, sensors: Sensors
    ) -> TrackUpdates:
        """Updates that are due for some tracks.

        Parameters
        ----------
        rows_of
            Rows of the table to look at, all of confirmed tracks; a copy that may be changed.
        status, reasons
            (k,) `Status` to show, and why.
        valid_ns
            Time that the updates shall be about.
        sensors
            For the periods after which a track is lost.

        Returns
        -------
        TrackUpdates
            Without `known_offset`, `n` and `known`, which the caller fills in.
        """
        slots = np.array([self._row.get(t, -1) for t in rows_of.track_id.tolist()], dtype=np.int64)
        chance = probability(rows_of.llr)
        mean = (rows_of.mu[:, :, None] * rows_of.x).sum(axis=1)
        basis = np.column_stack([mean, rows_of.P[:, 0, 0], rows_of.time.astype(np.float64)])
        due = slots < 0
        if len(self._last):
            known = self._last
            due |= (known.status[slots] != status) | (
                np.abs(known.existence[slots] - chance) >= self.settings.publish_existence
            )
            due |= (self._basis[slots] != basis).any(axis=1)
        if not due.any():
            return TrackUpdates.empty()
        rows_of.keep(due)
        updates = describe(rows_of, status[due], valid_ns, self.region, sensors, self.settings)
        updates.reason[:] = reasons[due]
        self._note(updates, slots[due], basis[due])
        return updates

    def _note(self, updates: TrackUpdates, slots: Int64s, basis: Floats) -> None:
        fresh = np.flatnonzero(slots < 0)
        if len(fresh):
            updates.number[fresh] = self._numbers(len(fresh))
        old = np.flatnonzero(slots >= 0)
        if len(old):
            updates.number[old] = self._last.number[slots[old]]
            updates.revision[old] = self._last.revision[slots[old]] + 1
        if len(fresh):
            updates.revision[fresh] = 1
            base = len(self._last)
            for step, index in enumerate(fresh):
                self._row[int(updates.track_id[index])] = base + step
            slots = slots.copy()
            slots[fresh] = base + np.arange(len(fresh))
            self._last = TrackUpdates.concat([self._last, TrackUpdates.empty(len(fresh))])
            self._basis = np.concatenate([self._basis, np.zeros((len(fresh), 6))])
            self._closed = np.concatenate([self._closed, np.zeros(len(fresh), dtype=np.int64)])
        for name in SCHEMA:
            getattr(self._last, name)[slots] = getattr(updates, name)
        self._basis[slots] = basis

    def _numbers(self, count: int) -> list[bytes]:
        """The next spoken numbers; from the second lap on, those in use are passed over."""
        taken = set()
        if self.serial + count > NUMBERS:
            taken = set(self._last.number[self._last.status != Status.DELETED].tolist())
        numbers: list[bytes] = []
        while len(numbers) < count:
            number = spoken_number(self.serial)
            self.serial += 1
            if number not in taken or len(taken) >= NUMBERS:
                numbers.append(number)
        return numbers

    def alive(self) -> Int64s:
        """Ids of tracks last published as not deleted."""
        ids: Int64s = self._last.track_id[self._last.status != Status.DELETED]
        return ids

    def close(self, ids: Int64s, reasons: Array, newest_ns: int) -> TrackUpdates:
        """Close tracks that are no longer shown, with the state published last.

        Parameters
        ----------
        ids, reasons
            (k,) tracks, all alive, and why.
        newest_ns
            Time of the newest report fused.
        """
        slots = np.array([self._row[track] for track in ids.tolist()], dtype=np.int64)
        self._closed[slots] = newest_ns
        updates = self._last.take(slots)
        updates.status[:] = Status.DELETED
        updates.reason[:] = reasons
        updates.revision[:] += 1
        updates.existence[:] = 0.0
        for name in ("status", "reason", "revision", "existence"):
            getattr(self._last, name)[slots] = getattr(updates, name)
        return updates

    def forget(self, before_ns: int, present: Int64s) -> None:
        """Let go of closed tracks that nothing can bring back.

        Parameters
        ----------
        before_ns
            Time of the oldest report that may still come.
        present
            Ids of tracks that the table holds, shown or not.
        """
        gone = (self._last.status == Status.DELETED) & (self._closed < before_ns)
        if int(gone.sum()) * 4 < len(gone) + 64:
            return
        gone &= ~np.isin(self._last.track_id, present)
        self._closed = self._closed[~gone]
        self._last = self._last.take(~gone)
        self._basis = self._basis[~gone]
        self._row = {int(track): row for row, track in enumerate(self._last.track_id)}

    def snapshot(self) -> dict[str, Any]:
        """Plain data and arrays."""
        return {
            "serial": self.serial,
            "last": {name: array.copy() for name, array in self._last.columns().items()},
            "basis": self._basis.copy(),
            "closed": self._closed.copy(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `snapshot` gave."""
        self.serial = state["serial"]
        self._last = TrackUpdates(**{name: np.array(a) for name, a in state["last"].items()})
        self._basis = np.array(state["basis"])
        self._closed = np.array(state["closed"])
        self._row = {int(track): row for row, track in enumerate(self._last.track_id)}


def describe(
    table: TrackTable,
    status: Array,
    valid_ns: int,
    region: Region,
    sensors: Sensors,
    settings: Settings,
) -> TrackUpdates:
    """Rows of a table as updates about one time: predicted to it, geodetic, axes turned to ENU.

    Parameters
    ----------
    table, status
        T rows and the status to show.
    valid_ns
        Time to predict to; never before a row's own.
    region, sensors, settings
        The plane, the sensors' periods, and constants.
    """
    updates = TrackUpdates.empty(len(table))
    dt = np.maximum((valid_ns - table.time) * NANO, 0.0)
    x, packed = moments(table, dt, settings)
    P = unpacked(packed)
    dt_h = np.maximum((valid_ns - table.h_time) * NANO, 0.0)
    h, Ph = kalman.predict_height(table.h, table.Ph, dt_h, settings.climb_density)
    lifted = ~np.isnan(h[:, 0])
    at = region.geodetic_from_plane(x[:, 0], x[:, 1], np.where(lifted, h[:, 0], 0.0))
    # Turn from the region's axes to those at the track: the meridians converge.
    turn = (enu_rotation(at[:, 0], at[:, 1]) @ region.rotation.T)[:, :2, :2]
    norm = np.sqrt(np.abs(np.linalg.det(turn)))[:, None, None]
    turn = turn / norm
    velocity = (turn @ x[:, 2:, None])[:, :, 0]
    updates.track_id[:] = table.track_id
    updates.valid[:] = np.maximum(valid_ns, table.time)
    updates.status[:] = status
    updates.state[:, 0] = at[:, 0]
    updates.state[:, 1] = at[:, 1]
    updates.state[:, 2] = np.where(lifted, h[:, 0], np.nan)
    updates.state[:, 3:5] = velocity
    updates.state[:, 5] = h[:, 1]
    both = np.zeros((len(table), 4, 4))
    both[:, :2, :2] = both[:, 2:, 2:] = turn
    P = both @ P @ both.transpose(0, 2, 1)
    full = np.full((len(table), 6, 6), 0.0)
    full[:, np.array(_PLACE)[:, None], _PLACE] = P
    full[:, 2, 2], full[:, 2, 5], full[:, 5, 5] = Ph[:, 0], Ph[:, 1], Ph[:, 2]
    for axis in (2, 5):
        full[~lifted, axis, :] = np.nan
        full[~lifted, :, axis] = np.nan
    updates.covariance[:] = full[:, _UPPER[0], _UPPER[1]]
    updates.existence[:] = probability(table.llr)
    updates.classes[:] = class_probability(table.classes)
    person = (updates.classes.argmax(axis=1) == HUMAN) & (updates.classes[:, HUMAN] > 0.0)
    updates.identity_kind[:] = np.where(person, IdentityKind.NONE, table.identity_kind)
    updates.identity[:] = np.where(person, b"", table.identity)
    updates.sensors[:] = table.sensors[:, :MAX_SENSORS]
    updates.mode[:] = table.mode
    silence = (lost_after(table, sensors, settings) * NS_PER_S).astype(np.int64)
    updates.stale[:] = table.heard[:, 0] + silence
    return updates
