"""Tracks as the world sees them: track updates, the one output of fusion.

`(node, known_offset, n)` names an update once for all. Nothing published is rewritten: a late
report that changes the head of a track gives a further update with the next `revision`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Self

import numpy as np

from model.arrays import Array, Column, Floats, Int32s, Int64s, check_columns, indices_of, no_rows
from model.detections import IDENTITY_BYTES, NAN
from model.taxonomy import N_CLASSES

MAX_SENSORS = 8
"""Contributing sensors that an update names: those heard last."""


class Status(IntEnum):
    """Where a track stands in its life."""

    TENTATIVE = 0
    CONFIRMED = 1
    COASTING = 2
    DELETED = 3


class UpdateReason(IntEnum):
    """Why an update was issued."""

    DETECTED = 0
    """A detection was fused."""
    MISSED = 1
    """A sensor that could have seen it did not."""
    COASTED = 2
    """Time went by without a detection."""
    CONFIRMED = 3
    """Existence rose over the threshold."""
    LOST = 4
    """Existence fell below the threshold, or nothing was heard for too long."""
    CORRECTED = 5
    """A late report changed the head."""
    RETRACTED = 6
    """A late report showed that the track never was."""
    WITHDRAWN = 7
    """A partner's track that is no longer shared; says nothing about the mover."""
    DOUBTED = 8
    """Its identity is doubted from now on: it was said where this mover cannot be."""
    CLEARED = 9
    """Its identity is doubted no longer."""


ABOUT_IDENTITY = (UpdateReason.DOUBTED, UpdateReason.CLEARED)
"""Reasons that say something of an identity; whoever may not know the identity gets neither."""


class Affiliation(IntEnum):
    """Whose mover it is."""

    UNKNOWN = 0
    OWN = 1
    FRIEND = 2
    NEUTRAL = 3
    SUSPECT = 4


SCHEMA: dict[str, Column] = {
    "known_offset": Column("update", "i8", fill=-1),
    "n": Column("update", "i4"),
    "track_id": Column("update", "i8"),
    "number": Column("update", "S5", fill=b""),
    "authority_epoch": Column("update", "i4"),
    "revision": Column("update", "i4"),
    "valid": Column("update", "i8"),
    "known": Column("update", "i8"),
    "status": Column("update", "u1"),
    "reason": Column("update", "u1"),
    "state": Column("update", "f8", (6,), NAN),
    "covariance": Column("update", "f8", (21,), NAN),
    "existence": Column("update", "f8", fill=NAN),
    "classes": Column("update", "f4", (N_CLASSES,), 0.0),
    "affiliation": Column("update", "u1"),
    "identity_kind": Column("update", "u1"),
    "identity": Column("update", f"S{IDENTITY_BYTES}", fill=b""),
    "sensors": Column("update", "i4", (MAX_SENSORS,), -1),
    "mode": Column("update", "u1"),
    "stale": Column("update", "i8"),
}


_NO_ROWS = no_rows(SCHEMA)


@dataclass(frozen=True, slots=True, eq=False)
class TrackUpdates:
    """Track updates, U rows, in the order in which they became known.

    Parameters
    ----------
    known_offset, n
        (U,) int64 and int32: journal offset of the input after which the update was known, and
        its ordinal among the updates of that input, from 0.
    track_id
        (U,) int64 > 0, derived from the detection that initiated the track.
    number
        (U,) bytes5, the spoken number: a letter and four digits, unique for 24 h.
    authority_epoch
        (U,) int32, rises when another node takes the track over.
    revision
        (U,) int32, counts the updates of the track from 1.
    valid
        (U,) int64 ns, the time that the state is about.
    known
        (U,) int64 ns, `received` of the input after which it was known.
    status, reason
        (U,) uint8, `Status` and `UpdateReason`.
    state
        (U, 6) float64: latitude rad, longitude rad, HAE m, velocity east, north, up m/s; NaN: never
        measured (height and its rate under sensors that do not give them).
    covariance
        (U, 21) float64, upper triangle by rows of the 6 x 6 covariance of (E, N, U, vE, vN, vU)
        in ENU at the track: m², m²/s, m²/s²; NaN: as in `state`.
    existence
        (U,) float64, probability that the track is a real mover.
    classes
        (U, K) float32, probability of each of `model.taxonomy.CLASSES`.
    affiliation
        (U,) uint8, `Affiliation`.
    identity_kind, identity
        (U,) uint8 `IdentityKind` and bytes24: what a cooperative mover says it is.
    sensors
        (U, 8) int32, indices of the sensors that contributed last, newest first; -1: none.
    mode
        (U,) uint8, `model.detections.Mode`.
    stale
        (U,) int64 ns, when the update should no longer be shown as current.
    """

    known_offset: Int64s
    n: Int32s
    track_id: Int64s
    number: Array
    authority_epoch: Int32s
    revision: Int32s
    valid: Int64s
    known: Int64s
    status: Array
    reason: Array
    state: Floats
    covariance: Floats
    existence: Floats
    classes: Array
    affiliation: Array
    identity_kind: Array
    identity: Array
    sensors: Int32s
    mode: Array
    stale: Int64s

    def __len__(self) -> int:
        return len(self.track_id)

    def columns(self) -> dict[str, Array]:
        """All columns by name."""
        return {name: getattr(self, name) for name in SCHEMA}

    def check(self) -> Self:
        """Return itself, or raise `ValueError` where a column breaks the schema."""
        check_columns("TrackUpdates", SCHEMA, self.columns())
        return self

    @classmethod
    def empty(cls, rows: int = 0) -> Self:
        """`rows` updates that say nothing yet."""
        if not rows:
            return cls(**_NO_ROWS)
        return cls(**{name: column.empty(rows) for name, column in SCHEMA.items()})

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """Several tables one after another."""
        if not parts:
            return cls.empty()
        values: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in SCHEMA
        }
        return cls(**values)

    def take(self, rows: Array | Sequence[int]) -> Self:
        """Chosen rows (mask or indices)."""
        index = indices_of(rows)
        # A third of the time of `column[rows]`, which looks at every element of a row.
        return type(self)(**{name: getattr(self, name).take(index, axis=0) for name in SCHEMA})
