"""Track updates as JSON Lines: pictures (the contract of ``vedette track``) and updates."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from model.detections import IdentityKind
from model.taxonomy import CLASSES
from model.time import NS_PER_S
from model.tracks import Status, TrackUpdates, UpdateReason

_HORIZONTAL = [0, 1, 6]  # EE, EN, NN in the packed upper triangle of a 6 x 6 matrix
_SPATIAL = [0, 1, 6, 2, 7, 11]  # EE, EN, NN, EU, NU, UU


def picture(time_ns: int, sensor: str, shown: TrackUpdates, ids: Sequence[str]) -> dict[str, Any]:
    """One line of pictures.

    Parameters
    ----------
    time_ns
        The newest report time so far.
    sensor
        Sensor of the report just taken in.
    shown
        Confirmed and coasting tracks at that time.
    ids
        Names behind the sensor indices.
    """
    tracks = []
    for row in range(len(shown)):
        state = shown.state[row]
        lifted = not math.isnan(state[2])
        packed = shown.covariance[row, _SPATIAL if lifted else _HORIZONTAL]
        tracks.append(
            {
                "id": track_name(int(shown.track_id[row])),
                "status": Status(int(shown.status[row])).name.lower(),
                "lat": math.degrees(state[0]),
                "lon": math.degrees(state[1]),
                "alt_m": _number(state[2]),
                "east_mps": float(state[3]),
                "north_mps": float(state[4]),
                "covariance_m2": packed.tolist(),
                "existence": float(shown.existence[row]),
                "class": classes(shown.classes[row]),
                "sensors": names(shown.sensors[row], ids),
            }
        )
    return {"time": round(time_ns / NS_PER_S, 6), "sensor": sensor, "tracks": tracks}


def update_lines(updates: TrackUpdates, node: str, ids: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Updates as plain objects, every number exact."""
    for row in range(len(updates)):
        kind = IdentityKind(int(updates.identity_kind[row]))
        yield {
            "node": node,
            "known_offset": int(updates.known_offset[row]),
            "n": int(updates.n[row]),
            "track_id": track_name(int(updates.track_id[row])),
            "number": updates.number[row].decode(),
            "authority_epoch": int(updates.authority_epoch[row]),
            "revision": int(updates.revision[row]),
            "valid_ns": int(updates.valid[row]),
            "known_ns": int(updates.known[row]),
            "status": Status(int(updates.status[row])).name.lower(),
            "reason": UpdateReason(int(updates.reason[row])).name.lower(),
            "state": [_number(value) for value in updates.state[row]],
            "covariance": [_number(value) for value in updates.covariance[row]],
            "existence": float(updates.existence[row]),
            "class": classes(updates.classes[row]),
            "identity": None
            if kind == IdentityKind.NONE
            else {kind.name.lower(): updates.identity[row].decode()},
            "sensors": names(updates.sensors[row], ids),
            "stale_ns": int(updates.stale[row]),
        }


def track_name(track_id: int) -> str:
    """A track id as people and files write it: sixteen hexadecimal digits."""
    return f"{track_id:016x}"


def classes(row: Any) -> dict[str, float]:
    """Classes with a probability of a thousandth or more."""
    return {
        label: round(float(value), 4)
        for label, value in zip(CLASSES, row, strict=True)
        if value >= 0.001
    }


def names(indices: Any, ids: Sequence[str]) -> list[str]:
    """Sensor names of indices; -1 is none."""
    return [ids[index] for index in np.asarray(indices).tolist() if index >= 0]


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
