"""The tracks of a region, struct-of-arrays in order of birth.

Horizontal motion is kept in east and north of the region's plane, height above the ellipsoid apart
from it: sensors that give no height then do no harm to it, and a mover on the ground 50 km away
does not sink by 196 m with the plane.

A row is only ever predicted when it is updated: `x`, `P` and `mu` stand at `time`, the track's last
detection. So a miss changes nothing but existence, and predictions never add up rounding.
"""

from typing import Self

import numpy as np

from fusion.motion import PACKED, moments_at, packed, unpacked
from fusion.settings import MODES, Settings
from model.arrays import Array, Column, Floats
from model.detections import IDENTITY_BYTES, NAN
from model.frames import Region
from model.taxonomy import N_CLASSES
from model.tracks import MAX_SENSORS, Status

SCHEMA: dict[str, Column] = {
    "track_id": Column("track", "i8"),
    "time": Column("track", "i8"),  # ns, the last detection fused
    "x": Column("track", "f8", (MODES, 4)),  # east, north m; their rates m/s; by mode
    "P": Column("track", "f8", (MODES, PACKED)),  # upper triangles by rows: m², m²/s, m²/s²
    "mu": Column("track", "f8", (MODES,)),  # probability of each mode
    "h": Column("track", "f8", (2,), NAN),  # HAE m; its rate m/s; NaN: never measured
    "Ph": Column("track", "f8", (3,), NAN),  # variance of height, covariance, variance of rate
    "h_time": Column("track", "i8"),  # ns, the last height fused
    "born": Column("track", "i8"),  # ns, its first detection
    "anchor": Column("track", "f8", (3,)),  # east, north m, then; variance m²
    "moved": Column("track", "?", fill=False),  # whether it ever went anywhere
    "llr": Column("track", "f8"),  # log-odds of existence
    "hits": Column("track", "i4"),
    "status": Column("track", "u1", fill=int(Status.TENTATIVE)),
    "identity_kind": Column("track", "u1"),
    "identity": Column("track", f"S{IDENTITY_BYTES}", fill=b""),
    "classes": Column("track", "f8", (N_CLASSES,), 0.0),  # log-likelihoods, relative
    "sensors": Column("track", "i4", (MAX_SENSORS,), -1),  # heard last, newest first
    "heard": Column("track", "i8", (MAX_SENSORS,), 0),  # ns, when
    "mode": Column("track", "u1"),
}


class TrackTable:
    """Rows of tracks; every column of `SCHEMA` is an attribute."""

    track_id: Array
    time: Array
    x: Array
    P: Array
    mu: Array
    h: Array
    Ph: Array
    h_time: Array
    born: Array
    anchor: Array
    moved: Array
    llr: Array
    hits: Array
    status: Array
    identity_kind: Array
    identity: Array
    classes: Array
    sensors: Array
    heard: Array
    mode: Array

    looks: Array
    """(S,) reports of each sensor that were fused."""

    __slots__ = (*SCHEMA, "looks")

    def __init__(self, rows: int = 0) -> None:
        for name, column in SCHEMA.items():
            setattr(self, name, column.empty(rows))
        self.looks = np.zeros(0, dtype=np.int64)

    def look_at(self, sensor: int) -> None:
        """Make room for a sensor."""
        if sensor >= len(self.looks):
            more = np.zeros(sensor + 1 - len(self.looks), dtype=np.int64)
            self.looks = np.concatenate([self.looks, more])

    def __len__(self) -> int:
        return len(self.track_id)

    def copy(self) -> Self:
        """An independent copy."""
        other = type(self).__new__(type(self))
        for name in SCHEMA:
            setattr(other, name, getattr(self, name).copy())
        other.looks = self.looks.copy()
        return other

    def take(self, rows: Array) -> Self:
        """Copies of some rows (mask or indices)."""
        other = type(self).__new__(type(self))
        for name in SCHEMA:
            setattr(other, name, getattr(self, name)[rows])
        other.looks = self.looks
        return other

    def append(self, other: Self) -> None:
        """Add rows at the end."""
        for name in SCHEMA:
            setattr(self, name, np.concatenate([getattr(self, name), getattr(other, name)]))

    def keep(self, mask: Array) -> None:
        """Drop the rows where `mask` is false; order stays."""
        for name in SCHEMA:
            setattr(self, name, getattr(self, name)[mask])

    def export(self) -> dict[str, Array]:
        """Copies of all columns by name."""
        return {name: getattr(self, name).copy() for name in self.__slots__}

    @classmethod
    def restore(cls, columns: dict[str, Array]) -> Self:
        """A table of exported columns."""
        table = cls.__new__(cls)
        for name in cls.__slots__:
            setattr(table, name, np.array(columns[name]))
        return table


def carry_over(table: TrackTable, old: Region, new: Region) -> None:
    """Carry tracks over from one region's plane into another's, in place; those outside go.

    Parameters
    ----------
    table
        In the plane of `old`.
    old, new
        The regions.
    """
    place = table.x[:, :, :2].reshape(-1, 2)
    height = np.repeat(np.where(np.isnan(table.h[:, 0]), 0.0, table.h[:, 0]), MODES)
    up = old.up_of_height(place[:, 0], place[:, 1], height)
    enu = new.enu_from_ecef(old.ecef_from_enu(np.column_stack([place, up])))
    table.x[:, :, :2] = enu[:, :2].reshape(-1, MODES, 2)
    table.anchor[:, :2] += table.x[:, 0, :2] - place.reshape(-1, MODES, 2)[:, 0]
    inside = (enu * enu).sum(axis=1) <= new.radius_m**2 + height**2
    table.keep(inside.reshape(-1, MODES).all(axis=1))
    if not len(table):
        return
    turn = (new.rotation @ old.rotation.T)[:2, :2]
    turn = turn / np.sqrt(np.abs(np.linalg.det(turn)))
    both = np.zeros((4, 4))
    both[:2, :2] = both[2:, 2:] = turn
    table.x[:, :, 2:] = table.x[:, :, 2:] @ turn.T
    flat = both @ unpacked(table.P.reshape(-1, PACKED)) @ both.T
    table.P[:] = packed(flat).reshape(-1, MODES, PACKED)


def moments(table: TrackTable, dt: Floats, settings: Settings) -> tuple[Floats, Floats]:
    """Means (T, 4) and packed covariances (T, 10) of all tracks, predicted by `dt` (T,) s."""
    return moments_at(table.x, table.P, table.mu, dt, settings.densities, settings.sojourn_s)
