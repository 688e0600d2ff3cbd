"""A cheap first choice: rows near a detection, or where the sensor may have looked.

Columns that lie by themselves, read from end to end without a branch: a nanosecond a track.
"""

import math

import numpy as np

from fusion.jit import inlined, kernel
from fusion.records import MODES, Record
from fusion.settings import MAX_SPEED_MPS, NANO
from fusion.silence import gone_at
from model.arrays import Array, Bools, Floats, Int64s
from model.tracks import Status

WIDER = 1.5
"""The first choice is held wider by this, so that it never loses what the gate would keep."""

_EAST, _NORTH, _REACH, _PACE, _TIME = range(5)
# Of `near`: m in the plane; how far from there a track may be found, m; by how much that grows,
# m/s; s since 1970 of the state.

_DELETED = int(Status.DELETED)


@inlined
def refresh(track: Record, near: Floats, row: int, s: Record) -> None:
    """Fill a row of `near` from its track's record."""
    east, north = track.x[0, 0], track.x[0, 1]
    speed = where = rate = apart = 0.0
    for k in range(MODES):
        speed = max(speed, abs(track.x[k, 2]), abs(track.x[k, 3]))
        where = max(where, track.P[k, 0], track.P[k, 4])
        rate = max(rate, track.P[k, 7], track.P[k, 9])
        apart = max(apart, abs(track.x[k, 0] - east), abs(track.x[k, 1] - north))
    sigmas = math.sqrt(s.gate)
    near[_EAST, row], near[_NORTH, row] = east, north
    near[_REACH, row] = WIDER * sigmas * math.sqrt(where) + apart
    near[_PACE, row] = WIDER * (sigmas * math.sqrt(rate) + min(speed, MAX_SPEED_MPS))
    near[_TIME, row] = track.time * NANO


@kernel
def refresh_all(
    rows: Array, near: Floats, gone: Int64s, count: int, sensors: Array, settings: Array
) -> None:
    """Fill `near` and `gone` of all rows in use from the records."""
    s = settings[0]
    for row in range(count):
        if rows[row].status != _DELETED:
            refresh(rows[row], near, row, s)
            gone[row] = gone_at(rows[row], sensors, s)


@kernel
def rows_near(
    near: Floats, count: int, now_s: float, lag_s: float, box: Floats, origin: Floats,
    greatest: float, liveliest: float, s: Record,
) -> Bools:  # fmt: skip
    """Which rows (count,) may lie in a box, or within a distance of the sensor.

    Parameters
    ----------
    near, count
        Of the table.
    now_s, lag_s
        Time of the report, s since 1970, and by how much its detections may lie beside it.
    box
        (4,) least east, least north, greatest east, greatest north, m; inf, inf, -inf, -inf: none.
    origin
        (2,) east, north m of the sensor.
    greatest
        m; inf: all rows; negative: none for being near the sensor alone.
    liveliest
        Greatest acceleration density of a mode, m²/s³.
    s
        Constants.
    """
    chosen = np.empty(count, dtype=np.bool_)
    drift = WIDER * math.sqrt(s.gate * liveliest)
    drift *= math.sqrt(1.0 / 3.0)
    e, n, reach, pace, time = near[_EAST], near[_NORTH], near[_REACH], near[_PACE], near[_TIME]
    e0, n0, e1, n1 = box[0], box[1], box[2], box[3]
    oe, on = origin[0], origin[1]
    circle = greatest >= 0.0
    for i in range(count):
        dt = abs(now_s - time[i]) + lag_s
        slack = reach[i] + pace[i] * dt + drift * dt * math.sqrt(dt)
        in_box = (
            (e[i] >= e0 - slack)
            & (e[i] <= e1 + slack)
            & (n[i] >= n0 - slack)
            & (n[i] <= n1 + slack)
        )
        de, dn, far = e[i] - oe, n[i] - on, greatest + slack
        chosen[i] = in_box | (circle & (de * de + dn * dn <= far * far))
    return chosen


@kernel
def rows_named(names: Int64s, count: int, wanted: Int64s, chosen: Bools) -> None:
    """Choose the rows that bear one of some names, rising and none of them 0."""
    for i in range(count):
        if names[i] != 0:
            at = np.searchsorted(wanted, names[i])
            if at < len(wanted) and wanted[at] == names[i]:
                chosen[i] = True


@kernel
def names_said(scan: Array) -> Int64s:
    """Names that a report says, rising, each once."""
    said = np.empty(len(scan), dtype=np.int64)
    count = 0
    for j in range(len(scan)):
        if scan[j].name != 0:
            said[count] = scan[j].name
            count += 1
    if count < 2:
        return said[:count]
    return np.unique(said[:count])
