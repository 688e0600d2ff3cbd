"""Tracks as plain objects for people's programs: degrees, ISO times, names instead of indices."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from console.source import ForeignTracks
from model.detections import IdentityKind, Mode
from model.taxonomy import CLASSES
from model.time import iso_from_ns
from model.tracks import Affiliation, Status, TrackUpdates, UpdateReason

POSITION_BLOCK = (0, 1, 6, 2, 7, 11)
"""Where EE, EN, NN, EU, NU, UU stand in the upper triangle by rows of the 6 x 6 covariance."""


def track_objects(
    tracks: TrackUpdates,
    sensor_ids: Sequence[str],
    node: str,
    foreign: ForeignTracks | None = None,
) -> list[dict[str, Any]]:
    """A dict a row; what was never measured is None.

    Parameters
    ----------
    tracks
        Track updates in SI and radians.
    sensor_ids
        Names behind their sensor indices; an index without a name becomes ``"#<index>"``.
    node
        Name of this node, which is that of its own tracks.
    foreign
        The table that `tracks` are the updates of, where they are a partner's.
    """
    if foreign is None:
        return [
            {"node": node, **_track_object(tracks, row, sensor_ids), "given": None}
            for row in range(len(tracks))
        ]
    return [
        {
            "node": foreign.giver.node,
            **_track_object(tracks, row, None),
            "given": _given(foreign, row),
        }
        for row in range(len(tracks))
    ]


def contribution_objects(times: Mapping[str, int], now_ns: int) -> list[dict[str, Any]]:
    """Who contributed when, newest first, with ages in s."""
    newest_first = sorted(times.items(), key=lambda item: (-item[1], item[0]))
    return [
        {"sensor": name, "time": iso_from_ns(at), "age_s": round((now_ns - at) * 1e-9, 3)}
        for name, at in newest_first
    ]


def _given(foreign: ForeignTracks, row: int) -> dict[str, Any]:
    sent = 0 if foreign.sent is None else int(foreign.sent[row])
    received = int(foreign.received[row])
    return {
        "agreement": foreign.giver.agreement,
        "path": list(foreign.giver.path),
        "sent": iso_from_ns(sent) if sent > 0 else None,
        "received": iso_from_ns(received) if received > 0 else None,
    }


def _track_object(
    tracks: TrackUpdates, row: int, sensor_ids: Sequence[str] | None
) -> dict[str, Any]:
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
        "sensors": [] if sensor_ids is None else _names(tracks.sensors[row].tolist(), sensor_ids),
        "mode": Mode(int(tracks.mode[row])).name.lower(),
    }


def _names(indices: Sequence[int], names: Sequence[str]) -> list[str]:
    return [names[i] if i < len(names) else f"#{i}" for i in indices if i >= 0]


def _number(value: Any) -> float | None:
    number = float(value)
    return number if np.isfinite(number) else None


def _course(east: float | None, north: float | None) -> float | None:
    """Degrees from true north, clockwise; None: not known, or it stands still."""
    if east is None or north is None or (east == 0 and north == 0):
        return None
    return float(np.degrees(np.arctan2(east, north)) % 360.0)
