"""Tracks handed from one tracker to another: the state whole, the numbers kept.

What is handed over is plain data and arrays, so it can be journaled like any other input; a tracker
that adopts the same tracks at the same point gives the same outputs.
"""

from typing import Any

import numpy as np

from fusion.describe import said_of
from fusion.outbox import updates_of
from fusion.records import TRACK
from fusion.table import columns_of, records_of
from model.arrays import Array
from model.sensors import Sensors
from model.tracks import TrackUpdates


def pack(records: Array, said: Array, ids: tuple[str, ...]) -> dict[str, Any]:
    """Tracks as plain data.

    Parameters
    ----------
    records
        (n,) `fusion.records.TRACK`.
    said
        (k,) `fusion.describe.SAID`, what was said last of those that were published.
    ids
        Ids of the sensors that the records' indices are about.
    """
    return {
        "tracks": columns_of(records),
        "last": updates_of(said).columns(),
        "sensors": list(ids),
    }


def unpack(state: dict[str, Any], sensors: Sensors) -> tuple[Array, Array]:
    """Records (n,) and what was said of them (k,), with the indices of these sensors.

    Sensors that are not known here are left out of the lists of those heard; the time at which a
    track was heard last stays, whoever it was.
    """
    records = np.zeros(0, TRACK)
    if len(state["tracks"]["track_id"]):
        records = records_of(state["tracks"])
    index = [sensors.index(name) for name in state["sensors"]]
    own = np.array([*(-1 if i is None else i for i in index), -1], dtype=np.int64)
    heard = records["heard"][:, 0].copy()
    for record in records:
        known = own[record["sensors"]]
        order = np.flatnonzero(known >= 0)
        times, by_angle = record["heard"][order], record["by_angle"][order]
        record["sensors"], record["heard"], record["by_angle"] = -1, 0, 0
        record["sensors"][: len(order)] = known[order]
        record["heard"][: len(order)] = times
        record["by_angle"][: len(order)] = by_angle
    records["heard"][:, 0] = heard
    records["head"] = -1
    return records, said_of(TrackUpdates(**state["last"]))
