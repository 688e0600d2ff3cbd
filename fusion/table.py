"""The tracks of a region: an array of records in order of birth, and columns to search through.

Horizontal motion is kept in east and north of the region's plane, height above the ellipsoid apart
from it: sensors that give no height then do no harm to it, and a mover on the ground 50 km away
does not sink by 196 m with the plane.

A row is only ever predicted when it is updated: `x`, `P` and `mu` stand at `time`, the track's
newest detection. So a miss changes nothing but existence, and predictions never add up rounding.

A track that is gone leaves an empty row behind; when many rows are empty they are closed up. So
rows stay in order of birth, and what one report costs does not depend on how many tracks there are.
"""

from typing import Self

import numpy as np

from fusion.habits import none_yet
from fusion.jit import kernel
from fusion.motion import moments_at, packed, unpacked
from fusion.near import refresh_all
from fusion.records import LOOSE, MODES, NEVER, PACKED, PREDICTED, TRACK, WORDS
from fusion.settings import Settings
from model.arrays import Array, Floats, Int64s
from model.detections import IDENTITY_BYTES
from model.frames import Region
from model.tracks import Status

NEAR = 5
"""Rows of `TrackTable.near`."""

NOTHING = np.zeros((0, 4))
"""What a sensor has learned that has not looked yet, or that learns nothing."""

_DELETED = int(Status.DELETED)

LEAST_ROWS = 64
"""Rows of the smallest table, and empty rows that are never worth closing up."""


class TrackTable:
    """Rows of tracks.

    Attributes
    ----------
    rows
        (capacity,) records (`fusion.records.TRACK`), of which the first `count` are in use; those
        whose status is DELETED are empty.
    near
        (`NEAR`, capacity) float64, for `fusion.near`: where each may be; NaN: the row is empty.
    names
        (capacity,) int64, the records' `name`.
    gone
        (capacity,) int64 ns, when silence closes each track, if nothing is heard until then.
    say
        (capacity,) int64 ns of the clock, when something has to be said of it, if not before.
    looks
        (S,) reports of each sensor that were fused.
    learned
        (S,) what each sensor has learned (`fusion.surroundings`); copies share it, so it is
        replaced and never changed.
    habits
        (`fusion.habits.HABITS`,) how the movers behave.
    loose
        (n,) `fusion.records.LOOSE`, bearings that pointed at nobody; copies share it, as above.
    room
        (count or more,) `fusion.records.PREDICTED`, to work in: nothing lasts there.
    """

    __slots__ = (
        "count", "empty", "gone", "habits", "learned", "looks", "loose", "names", "near", "room",
        "rows",
        "say",
    )  # fmt: skip

    rows: Array
    near: Floats
    names: Int64s
    gone: Int64s
    say: Int64s
    looks: Int64s
    learned: list[Floats]
    habits: Floats
    loose: Array
    room: Array

    def __init__(self, capacity: int = LEAST_ROWS) -> None:
        self.count = 0
        self.empty = 0
        self.rows = np.zeros(capacity, TRACK)
        self.near = np.full((NEAR, capacity), np.nan)
        self.names = np.zeros(capacity, np.int64)
        self.gone = np.full(capacity, NEVER)
        self.say = np.full(capacity, NEVER)
        self.looks = np.zeros(0, dtype=np.int64)
        self.learned = []
        self.habits = none_yet()
        self.loose = np.zeros(0, LOOSE)
        self.room = np.empty(0, PREDICTED)

    def __len__(self) -> int:
        """How many tracks there are."""
        return self.count - self.empty

    def look_at(self, sensor: int) -> None:
        """Make room for a sensor."""
        if sensor >= len(self.looks):
            more = np.zeros(sensor + 1 - len(self.looks), dtype=np.int64)
            self.looks = np.concatenate([self.looks, more])
            self.learned.extend(NOTHING for _ in more)

    def forget(self) -> None:
        """Let go of what lies in a plane that is no longer the region's, tracks apart."""
        self.learned = [NOTHING for _ in self.learned]
        self.loose = self.loose[:0]

    def reserve(self, more: int) -> None:
        """Make room for further rows, and to predict those that there are."""
        if self.count + more > len(self.rows):
            self._resize(max(self.count + more, 2 * len(self.rows)))
        if len(self.room) < self.count:
            self.room = np.empty(len(self.rows), PREDICTED)

    def _resize(self, capacity: int) -> None:
        kept = min(self.count, capacity)
        old = self.rows, self.near, self.names, self.gone, self.say
        fresh = type(self)(capacity)
        self.rows, self.near, self.names = fresh.rows, fresh.near, fresh.names
        self.gone, self.say = fresh.gone, fresh.say
        self.rows[:kept] = old[0][:kept]
        self.near[:, :kept] = old[1][:, :kept]
        self.names[:kept], self.gone[:kept], self.say[:kept] = (part[:kept] for part in old[2:])

    def alive(self) -> Int64s:
        """Row of every track, in order of birth."""
        rows: Int64s = np.flatnonzero(self.rows["status"][: self.count] != Status.DELETED)
        return rows

    def close_up(self) -> None:
        """Close up empty rows if there are many."""
        if self.empty > LEAST_ROWS + self.count // 2:
            self.count = _close_up(
                self.rows, self.near, self.names, self.gone, self.say, self.count
            )
            self.empty = 0

    def keep(self, rows: Int64s) -> None:
        """Keep some rows only, in their order, one behind another."""
        kept = len(rows)
        self.rows[:kept] = self.rows[rows]
        self.near[:, :kept] = self.near[:, rows]
        self.names[:kept], self.gone[:kept] = self.names[rows], self.gone[rows]
        self.say[:kept] = self.say[rows]
        self.rows["status"][kept : self.count] = Status.DELETED
        self.near[:, kept : self.count] = np.nan
        self.names[kept : self.count] = 0
        self.gone[kept : self.count] = self.say[kept : self.count] = NEVER
        self.count, self.empty = kept, 0

    def copy(self) -> Self:
        """An independent copy, closed up, with no more room than it needs."""
        other = type(self)(max(len(self), 1))
        other.count, other.looks = len(self), self.looks.copy()
        other.learned, other.habits = self.learned.copy(), self.habits.copy()
        other.loose = self.loose
        _copy(
            (self.rows, self.near, self.names, self.gone, self.say), self.count,
            (other.rows, other.near, other.names, other.gone, other.say),
        )  # fmt: skip
        return other

    def take(self, rows: Array) -> Array:
        """Copies of the records of some rows (mask over, or indices of, the rows in use)."""
        return self.rows[: self.count][rows]

    def append(self, records: Array, say: int, sensors: Array, settings: Settings) -> None:
        """Add tracks at the end.

        Parameters
        ----------
        records
            (n,) `fusion.records.TRACK`.
        say
            ns of the clock, when something has to be said of them.
        sensors, settings
            As in `refresh`.
        """
        self.reserve(len(records))
        end = self.count + len(records)
        self.rows[self.count : end] = records
        self.say[self.count : end] = say
        self.count = end
        self.refresh(sensors, settings)

    def refresh(self, sensors: Array, settings: Settings) -> None:
        """Derive the columns anew: sensors or the region have changed.

        Parameters
        ----------
        sensors
            (S,) `fusion.gathered.SENSOR`.
        settings
            Constants.
        """
        self.empty = self.count - len(self.alive())
        self.names[: self.count] = self.rows["name"][: self.count]
        refresh_all(self.rows, self.near, self.gone, self.count, sensors, settings.record)

    def export(self) -> dict[str, Array]:
        """The tracks by columns, as plain arrays, and what was seen."""
        rows = self.alive()
        return columns_of(self.rows[rows]) | {
            "say": self.say[rows],
            "looks": self.looks.copy(),
            "habits": self.habits.copy(),
            "learned": np.concatenate([NOTHING, *self.learned]),
            **{f"loose_{name}": self.loose[name].copy() for name in LOOSE.names or ()},
            "learned_rows": np.array([len(one) for one in self.learned], dtype=np.int64),
        }

    @classmethod
    def restore(cls, columns: dict[str, Array], sensors: Array, settings: Settings) -> Self:
        """A table of exported columns; `sensors` and `settings` as in `refresh`."""
        records = records_of(columns)
        table = cls(max(len(records), LEAST_ROWS))
        table.rows[: len(records)] = records
        table.say[: len(records)] = columns["say"]
        table.count = len(records)
        table.looks, table.habits = np.array(columns["looks"]), np.array(columns["habits"])
        table.loose = np.zeros(len(columns["loose_time"]), LOOSE)
        for name in LOOSE.names or ():
            table.loose[name] = columns[f"loose_{name}"]
        stops = np.cumsum(columns["learned_rows"])[:-1].astype(np.int64)
        table.learned = [part.copy() for part in np.split(columns["learned"], stops)]
        table.learned = table.learned[: len(table.looks)]
        table.refresh(sensors, settings)
        return table


Columns = tuple[Array, Floats, Int64s, Int64s, Int64s]


@kernel
def _copy(of: Columns, count: int, to: Columns) -> None:
    """Copy the rows that are not empty, one behind another."""
    kept = 0
    for row in range(count):
        if of[0][row].status == _DELETED:
            continue
        to[0][kept] = of[0][row]
        for k in range(NEAR):
            to[1][k, kept] = of[1][k, row]
        to[2][kept], to[3][kept], to[4][kept] = of[2][row], of[3][row], of[4][row]
        kept += 1


@kernel
def _close_up(
    rows: Array, near: Floats, names: Int64s, gone: Int64s, say: Int64s, count: int
) -> int:
    """Close up empty rows, in place; returns how many there are then."""
    kept = 0
    for row in range(count):
        if rows[row].status == _DELETED:
            continue
        if kept < row:
            rows[kept] = rows[row]
            names[kept], gone[kept], say[kept] = names[row], gone[row], say[row]
            for k in range(NEAR):
                near[k, kept] = near[k, row]
        kept += 1
    for row in range(kept, count):
        rows[row].status = _DELETED
        names[row], gone[row], say[row] = 0, NEVER, NEVER
        for k in range(NEAR):
            near[k, row] = np.nan
    return kept


def columns_of(records: Array) -> dict[str, Array]:
    """Columns of `fusion.records.TRACK` records, as plain arrays."""
    columns = {name: records[name].copy() for name in TRACK.names or () if name != "words"}
    return columns | {"identity": identities(records)}


def records_of(columns: dict[str, Array]) -> Array:
    """(n,) `fusion.records.TRACK` of what `columns_of` gave."""
    records = np.zeros(len(columns["track_id"]), TRACK)
    for name in TRACK.names or ():
        if name == "words":
            identity = np.ascontiguousarray(columns["identity"], dtype=f"S{IDENTITY_BYTES}")
            records[name] = identity.view("<u8").reshape(len(records), WORDS)
        else:
            records[name] = columns[name]
    return records


def identities(records: Array) -> Array:
    """(n,) bytes24 of `fusion.records.TRACK` records."""
    words = np.ascontiguousarray(records["words"])
    return words.view(f"S{IDENTITY_BYTES}").reshape(len(records))


def carry_over(records: Array, old: Region, new: Region) -> Array:
    """Tracks carried over from one region's plane into another's, in place; those inside it.

    Parameters
    ----------
    records
        (n,) `fusion.records.TRACK`, in the plane of `old`.
    old, new
        The regions.

    Returns
    -------
    numpy.ndarray
        (n,) bool, which of them lie in the new region.
    """
    count = len(records)
    place = records["x"][:, :, :2].reshape(-1, 2)
    height = np.repeat(np.where(np.isnan(records["h"][:, 0]), 0.0, records["h"][:, 0]), MODES)
    up = old.up_of_height(place[:, 0], place[:, 1], height)
    enu = new.enu_from_ecef(old.ecef_from_enu(np.column_stack([place, up])))
    records["x"][:, :, :2] = enu[:, :2].reshape(count, MODES, 2)
    shift = records["x"][:, 0, :2] - place.reshape(count, MODES, 2)[:, 0]
    records["anchor"][:, :2] += shift
    records["look"] += shift
    inside = (enu * enu).sum(axis=1) <= new.radius_m**2 + height**2
    turn = (new.rotation @ old.rotation.T)[:2, :2]
    turn = turn / np.sqrt(np.abs(np.linalg.det(turn)))
    both = np.zeros((4, 4))
    both[:2, :2] = both[2:, 2:] = turn
    records["x"][:, :, 2:] = records["x"][:, :, 2:] @ turn.T
    flat = both @ unpacked(records["P"].reshape(-1, PACKED)) @ both.T
    records["P"] = packed(flat).reshape(count, MODES, PACKED)
    within: Array = inside.reshape(count, MODES).all(axis=1)
    return within


def moments(records: Array, dt: Floats, settings: Settings) -> tuple[Floats, Floats]:
    """Means (n, 4) and packed covariances (n, 10) of tracks, predicted by `dt` (n,) s."""
    return moments_at(records, dt, settings.record)
