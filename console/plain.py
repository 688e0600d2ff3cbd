"""Tracks as plain objects for people's programs: degrees, ISO times, names instead of indices."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from model.detections import IdentityKind, Mode
from model.taxonomy import CLASSES
from model.time import iso_from_ns
from model.tracks import Affiliation, Status, TrackUpdates, UpdateReason

POSITION_BLOCK = (0, 1, 6, 2, 7, 11)
"""Where EE, EN, NN, EU, NU, UU stand in the upper triangle by rows of the 6 x 6 covariance."""


def track_objects(tracks: TrackUpdates, sensor_ids: Sequence[str]) -> list[dict[str, Any]]:
    """A dict a row; what was never measured is None.

    Parameters
    ----------
    tracks
        Track updates in SI and radians.
    sensor_ids
        Names behind their sensor indices; an index without a name becomes ``"#<index>"``.
    """
    return [_track_object(tracks, row, sensor_ids) for row in range(len(tracks))]


def _track_object(tracks: TrackUpdates, row: int, sensor_ids: Sequence[str]) -> dict[str, Any]:
    lat, lon, height, east, north, up = (_number(value) for value in tracks.state[row])
    kind = IdentityKind(int(tracks.identity_kind[row]))
    identity = bytes(tracks.identity[row]).decode("utf-8", "replace")
    return {
        "id": str(int(tracks.track_id[row])),  # text: JavaScript's numbers end at 2**53
        "number": bytes(tracks.number[row]).decode("ascii", "replace"),
        "status": Status(int(tracks.status[row])).name.lower(),
        "reason": UpdateReason(int(tracks.reason[row])).name.lower(),
        "valid": iso_from_ns(int(tracks.valid[row])),
        "known": iso_from_ns(int(tracks.known[row])),
        "stale": iso_from_ns(int(tracks.stale[row])) if tracks.stale[row] > 0 else None,
        "known_offset": int(tracks.known_offset[row]),
        "n": int(tracks.n[row]),
        "revision": int(tracks.revision[row]),
        "authority_epoch": int(tracks.authority_epoch[row]),
        "lat": None if lat is None else float(np.degrees(lat)),
        "lon": None if lon is None else float(np.degrees(lon)),
        "alt_m": height,
        "east_mps": east,
        "north_mps": north,
        "up_mps": up,
        "speed_mps": None if east is None or north is None else float(np.hypot(east, north)),
        "course_deg": _course(east, north),
        "covariance_m2": [_number(value) for value in tracks.covariance[row, POSITION_BLOCK]],
        "existence": _number(tracks.existence[row]),
        "class": {
            label: round(float(value), 4)
            for label, value in zip(CLASSES, tracks.classes[row], strict=True)
            if value > 0
        },
        "affiliation": Affiliation(int(tracks.affiliation[row])).name.lower(),
        "identity": None if kind == IdentityKind.NONE else {kind.name.lower(): identity},
        "sensors": [
            sensor_ids[index] if index < len(sensor_ids) else f"#{index}"
            for index in tracks.sensors[row].tolist()
            if index >= 0
        ],
        "mode": Mode(int(tracks.mode[row])).name.lower(),
    }


def _number(value: Any) -> float | None:
    number = float(value)
    return number if np.isfinite(number) else None


def _course(east: float | None, north: float | None) -> float | None:
    """Degrees from true north, clockwise; None: not known, or it stands still."""
    if east is None or north is None or (east == 0 and north == 0):
        return None
    return float(np.degrees(np.arctan2(east, north)) % 360.0)
