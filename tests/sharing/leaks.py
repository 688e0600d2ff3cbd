"""What was given and is not agreed, looked for by somebody who asks neither giver nor receiver."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from model.taxonomy import CLASS_INDEX, CLASSES
from model.time import ns_from_iso
from model.tracks import ABOUT_IDENTITY, Status, TrackUpdates
from sharing.agreement import Agreement
from sharing.area import excluded_area, released_area
from sharing.closing import is_withdrawal


def _leak(lat: float, lon: float, best: str, named: bool, agreed: Agreement) -> str:
    point = np.radians([[lat, lon]])
    if not any(released_area(point, area)[0] for area in agreed.areas):
        return f"at {lat:.4f}, {lon:.4f}, outside"
    if any(excluded_area(point, area)[0] for area in agreed.excludes):
        return f"at {lat:.4f}, {lon:.4f}, excluded"
    if CLASS_INDEX[best] not in agreed.classes:
        return f"a {best}"
    if named and (not agreed.share_identity or best == "human"):
        return "an identity"
    return ""


def leaks_for_people(message: Mapping[str, Any], agreed: Agreement) -> list[str]:
    """What a message of ``live.json`` gives beyond the agreement, a line each."""
    found = []
    alive = any(one["reason"] != "withdrawn" for one in message["tracks"])
    if alive and not agreed.in_force(ns_from_iso(message["sent"])):
        found.append(f"sent {message['sent']}, when it is not valid")
    for one in message["tracks"]:
        if one["reason"] == "withdrawn":
            said = one.keys() - {"seq", "id", "number", "revision", "status", "reason", "time"}
            leak = f"withdrawn, and says {sorted(said)}" if said else ""
        else:
            best = max(one["class"], key=one["class"].get, default="unknown")
            named = one["identity"] is not None or one["reason"] in ("doubted", "cleared")
            leak = _leak(one["lat"], one["lon"], best, named, agreed)
        if leak:
            found.append(f"row {one['seq']}: {leak}")
    return found


def leaks_in_ledger(parts: Iterable[TrackUpdates], agreed: Agreement) -> list[str]:
    """What rows of a giver's ledger give beyond the agreement, a line each."""
    found = []
    for rows in parts:
        withdrawn = is_withdrawal(rows)
        for row in np.flatnonzero(~withdrawn).tolist():
            lat, lon = np.degrees(rows.state[row, :2]).tolist()
            best = (
                CLASSES[int(rows.classes[row].argmax())] if rows.classes[row].any() else "unknown"
            )
            named = bool(rows.identity_kind[row]) or rows.identity[row] != b""
            named |= rows.reason[row] in ABOUT_IDENTITY
            leak = _leak(lat, lon, best, named, agreed)
            if rows.status[row] == Status.TENTATIVE:
                leak = leak or "tentative"
            if rows.known_offset[row] > 0 or (rows.sensors[row] >= 0).any():
                leak = leak or "where it came from"
            if leak:
                found.append(f"track {rows.track_id[row]}: {leak}")
    return found
