"""Agreements and updates for the tests of sharing."""

import math
from typing import Any

import numpy as np

from model.detections import Mode
from model.taxonomy import CLASS_INDEX, one_hot
from model.time import ns_from_iso
from model.tracks import Status, TrackUpdates
from sharing.agreement import Agreement, parse_agreement
from sharing.release import Parties

FROM, UNTIL = "2026-03-01T00:00:00Z", "2026-12-31T22:00:00+02:00"
FROM_NS, UNTIL_NS = ns_from_iso(FROM), ns_from_iso(UNTIL)
NOW_NS = ns_from_iso("2026-06-01T12:00:00Z")
SECOND = 1_000_000_000
PARTIES = Parties("north", "south")
BOX = "[[59.0, 27.0], [59.0, 29.0], [60.0, 29.0], [60.0, 27.0]]"
HOLE = "[[59.4, 27.9], [59.4, 28.1], [59.5, 28.1], [59.5, 27.9]]"
INSIDE, OUTSIDE, IN_HOLE = (59.2, 28.0), (58.9, 28.0), (59.45, 28.0)

TEXT = """
[agreement]
id = "{id}"
giver = "{giver}"
receiver = "{receiver}"
purpose = "border surveillance"
valid_from = {since}
valid_until = "{until}"
classes = {classes}
mode = "{mode}"
{more}
[[area]]
polygon = {area}
[[exclude]]
polygon = {exclude}
"""


def text(**changes: Any) -> str:
    values = {
        "id": "a-1", "giver": "north", "receiver": "south", "since": FROM, "until": UNTIL,
        "classes": '["sea_vessel", "uav"]', "mode": "live", "more": "", "area": BOX,
        "exclude": HOLE, **changes,
    }  # fmt: skip
    return TEXT.format(**values)


def agreement(**changes: Any) -> Agreement:
    return parse_agreement(text(**changes), "a-1.toml")


def updates(count: int = 1, **columns: Any) -> TrackUpdates:
    """Sound updates of confirmed vessels inside the area, one track each; columns as given."""
    rows = TrackUpdates.empty(count)
    rows.known_offset[:] = np.arange(count)
    rows.track_id[:] = 1 + np.arange(count)
    rows.number[:] = b"A0001"
    rows.authority_epoch[:] = 1
    rows.revision[:] = 1
    rows.valid[:] = rows.known[:] = NOW_NS - SECOND
    rows.stale[:] = NOW_NS + 60 * SECOND
    rows.status[:] = Status.CONFIRMED
    rows.state[:, :2] = np.radians(INSIDE)
    rows.state[:, 3:5] = (3.0, -4.0)
    rows.covariance[:, [0, 1, 6]] = (100.0, 0.0, 100.0)
    rows.existence[:] = 0.97
    rows.classes[:] = one_hot("sea_vessel")
    rows.sensors[:, 0] = 3
    rows.mode[:] = Mode.LIVE
    for name, value in columns.items():
        getattr(rows, name)[:] = value
    return rows


def at(*places: tuple[float, float], **columns: Any) -> TrackUpdates:
    """Updates of one track at places in degrees, revisions rising."""
    rows = updates(len(places), track_id=7, **columns)
    rows.revision[:] = 1 + np.arange(len(places))
    rows.state[:, :2] = np.radians(places)
    return rows


def of_class(label: str) -> Any:
    row = np.zeros(len(CLASS_INDEX), dtype=np.float32)
    row[CLASS_INDEX[label]] = 0.8
    return row


def same(one: TrackUpdates, two: TrackUpdates) -> bool:
    return all(
        np.array_equal(a, getattr(two, name), equal_nan=a.dtype.kind == "f")
        for name, a in one.columns().items()
    )


def degrees(row: TrackUpdates, index: int = 0) -> tuple[float, float]:
    lat, lon = row.state[index, :2]
    return round(math.degrees(lat), 6), round(math.degrees(lon), 6)
