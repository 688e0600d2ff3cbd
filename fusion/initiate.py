"""New tentative tracks from detections that no track wanted."""

import math

import numpy as np

from fusion.classes import learn_class, motion_of
from fusion.existence import log_odds
from fusion.habits import SHARE, SPEED
from fusion.jit import kernel
from fusion.motions import ANY
from fusion.names import mixed
from fusion.records import MODES, PACKED, WORDS, Record
from fusion.tripwire import go_across, has_direction
from fusion.update import take_height
from fusion.weigh import take_velocity
from model.arrays import Array, Bools, Floats, Int64s
from model.taxonomy import N_CLASSES
from model.tracks import Status

LEAST_UNCLAIMED = 0.05
"""A detection that tracks claim to a greater part starts none of its own."""

_TENTATIVE, _CONFIRMED = int(Status.TENTATIVE), int(Status.CONFIRMED)


@kernel
def starters(
    predicted: Array, rows: Array, scan: Array, free: Floats, extent_m: float, s: Record
) -> Int64s:
    """Detections (k,) that start tracks of their own.

    Parameters
    ----------
    predicted, rows, scan
        `fusion.records.PREDICTED` as updated, the table's records, and `fusion.records.MEASURED`.
    free
        (m,) probability that each detection belongs to no track.
    extent_m
        Within this of a mover that the report has shown, a detection is of that mover.
    s
        Constants.
    """
    items = np.empty(len(scan), dtype=np.int64)
    count = 0
    named = False
    for j in range(len(scan)):
        if free[j] > LEAST_UNCLAIMED and not math.isnan(scan[j].z[0]):
            items[count] = j
            count += 1
            named = named or scan[j].name != 0
    items = items[:count]
    if named:
        items = items[_first_of_name(predicted, rows, scan, items, s)]
    if extent_m > 0.0 and len(items):
        items = items[_apart(predicted, rows, scan, items, extent_m)]
    return items


@kernel
def _first_of_name(predicted: Array, rows: Array, scan: Array, items: Int64s, s: Record) -> Bools:
    """Which items bear no name, or one that neither rows heard now nor an item before bear.

    A mover that says its name several times in a report is still one, unless it cannot have come
    to where it is said: then that is another, and `fusion.doubles` doubts both.
    """
    heard = np.empty(len(predicted), dtype=np.int64)
    count = 0
    for i in range(len(predicted)):
        if (predicted[i].own >= 0 or predicted[i].pointed) and rows[predicted[i].row].name != 0:
            heard[count] = i
            count += 1
    known = np.empty(count, dtype=np.int64)
    for i in range(count):
        known[i] = rows[predicted[heard[i]].row].name
    by_name = np.argsort(known, kind="mergesort")
    heard, known = heard[:count][by_name], known[by_name]
    names = np.empty(len(items), dtype=np.int64)
    for k in range(len(items)):
        names[k] = scan[items[k]].name
    fresh = np.ones(len(items), dtype=np.bool_)
    last = 0
    for k in np.argsort(names, kind="mergesort"):
        name = names[k]
        if name == 0:
            continue
        at = np.searchsorted(known, name)
        while at < count and known[at] == name:
            if _within(predicted[heard[at]], scan[items[k]], s.identity_gate):
                fresh[k] = False
            at += 1
        fresh[k] = fresh[k] and name != last
        if fresh[k]:
            last = name
    return fresh


@kernel
def _within(to: Record, d: Record, gate: float) -> bool:
    """Whether a detection lies within a gate of a prediction, all modes together."""
    lag = d.delta
    de = d.z[0] - lag * to.mean[2] - to.mean[0]
    dn = d.z[1] - lag * to.mean[3] - to.mean[1]
    a = to.spread[0] + d.R[0, 0] + lag * lag * to.spread[7]
    b = to.spread[1] + d.R[0, 1] + lag * lag * to.spread[8]
    c = to.spread[4] + d.R[1, 1] + lag * lag * to.spread[9]
    inside: bool = c * de * de - 2.0 * b * de * dn + a * dn * dn <= gate * (a * c - b * b)
    return inside


@kernel
def _apart(predicted: Array, rows: Array, scan: Array, items: Int64s, extent_m: float) -> Bools:
    """Which items lie farther than the extent from targets that the report has shown.

    Places that are kept stand in a table of cells of that size, found by a mix of their numbers.
    """
    most = len(predicted) + len(items)
    size = 16
    while size < 2 * most:
        size *= 2
    head = np.full(size, -1)
    chain = np.empty(most, dtype=np.int64)
    place = np.empty((most, 2))
    kept = 0
    for i in range(len(predicted)):
        to = predicted[i]
        if rows[to.row].status != _TENTATIVE or to.own >= 0 or to.pointed:
            place[kept, 0], place[kept, 1] = to.mean[0], to.mean[1]
            _put(head, chain, place, kept, extent_m)
            kept += 1
    apart = np.ones(len(items), dtype=np.bool_)
    for k in range(len(items)):
        east, north = scan[items[k]].z[0], scan[items[k]].z[1]
        if _anybody(head, chain, place, east, north, extent_m):
            apart[k] = False
        else:
            place[kept, 0], place[kept, 1] = east, north
            _put(head, chain, place, kept, extent_m)
            kept += 1
    return apart


@kernel
def _slot(column: float, row: float, size: int) -> int:
    packed = np.uint64(np.int64(column)) * np.uint64(0x9E3779B97F4A7C15)
    return int(mixed(packed + np.uint64(np.int64(row))) & np.uint64(size - 1))


@kernel
def _put(head: Int64s, chain: Int64s, place: Floats, index: int, cell: float) -> None:
    slot = _slot(np.floor(place[index, 0] / cell), np.floor(place[index, 1] / cell), len(head))
    chain[index] = head[slot]
    head[slot] = index


@kernel
def _anybody(
    head: Int64s, chain: Int64s, place: Floats, east: float, north: float, cell: float
) -> bool:
    column, row = np.floor(east / cell), np.floor(north / cell)
    for a in range(-1, 2):
        for b in range(-1, 2):
            index = head[_slot(column + a, row + b, len(head))]
            while index >= 0:
                de, dn = place[index, 0] - east, place[index, 1] - north
                if de * de + dn * dn < cell * cell:
                    return True
                index = chain[index]
    return False


@kernel
def start(
    track: Record, d: Record, track_id: int, unclaimed: float, ratio: float, sensor: Record,
    now: int, index: int, mode: int, habits: Floats, s: Record, room: Floats,
) -> None:  # fmt: skip
    """Fill a new track's record from the detection that starts it.

    Parameters
    ----------
    track, d
        The record to fill, and the detection.
    track_id
        Its id.
    unclaimed
        Probability that the detection belongs to no track.
    ratio
        Movers not known yet that the report brings out, against its clutter.
    sensor, s
        `fusion.gathered.SENSOR`, and constants.
    now, index, mode
        Time of the report, ns, its sensor's index, and its mode.
    habits
        How movers behave (`fusion.habits`).
    room
        (2, K), to work in.
    """
    track.track_id = track_id
    track.time = track.born = track.h_time = now
    track.mode, track.moved, track.head, track.hits = mode, 0, -1, 1
    track.placed, track.lift, track.crossed = now, 0.0, 0
    track.doubted = track.vouched = track.aloud = 0
    track.look[0] = track.look[1] = np.nan
    track.anchor[0], track.anchor[1] = d.z[0], d.z[1]
    track.anchor[2] = 0.5 * (d.R[0, 0] + d.R[1, 1])
    track.h[0] = track.h[1] = track.Ph[0] = track.Ph[1] = track.Ph[2] = np.nan
    for k in range(N_CLASSES):
        track.classes[k] = 0.0
    for k in range(len(track.sensors)):
        track.sensors[k], track.heard[k], track.by_angle[k] = -1, 0, 0
    track.sensors[0], track.heard[0] = index, now
    track.name, track.identity_kind = d.name, d.identity_kind
    for w in range(WORDS):
        track.words[w] = d.words[w]
    track.motion = ANY
    if learn_class(track, d, sensor, room):
        track.motion = motion_of(track.classes, ANY, room[0])
    _place(track, d, habits, s)
    take_height(track, d, now, s)
    if sensor.cooperative:
        track.llr, track.status = s.cap_llr, _CONFIRMED
    else:
        track.llr, track.status = log_odds(unclaimed * (ratio / (1.0 + ratio))), _TENTATIVE


@kernel
def _place(track: Record, d: Record, habits: Floats, s: Record) -> None:
    """Where a new track is and how fast, in each mode."""
    moving = not math.isnan(d.velocity[0])
    for k in range(MODES):
        track.mu[k], speed = s.motion_share[track.motion, k], s.motion_speed[track.motion, k]
        if track.motion == ANY:
            track.mu[k], speed = habits[SHARE + k], habits[SPEED + k]
        # A detection of another time than the report's is carried to it by an unknown velocity.
        blur = d.delta * speed * d.delta * speed
        track.x[k, 0], track.x[k, 1] = d.z[0], d.z[1]
        track.x[k, 2] = track.x[k, 3] = 0.0
        for c in range(PACKED):
            track.P[k, c] = 0.0
        track.P[k, 0], track.P[k, 1] = d.R[0, 0] + blur, d.R[0, 1]
        track.P[k, 4] = d.R[1, 1] + blur
        track.P[k, 7] = track.P[k, 9] = speed * speed
        if moving:
            track.x[k, 2], track.x[k, 3] = d.velocity[0], d.velocity[1]
            track.x[k, 0] -= d.delta * d.velocity[0]
            track.x[k, 1] -= d.delta * d.velocity[1]
            track.P[k, 7] = track.P[k, 9] = d.velocity_variance
        if has_direction(d):
            go_across(0.0, 0.0, track.P[k], track.x[k], d)
    if not moving:
        take_velocity(track, d)


@kernel
def id_of(offset: int, item: int) -> int:
    """Id > 0 of a track: it depends only on the detection that initiates it.

    Offset and item are packed and mixed by the finaliser of SplitMix64 (Steele, Lea, Flood 2014,
    doi:10.1145/2660193.2660195), a bijection of 64 bits of which 63 are kept: two tracks share an
    id with probability 2^-63 while an input has fewer than 2^24 detections.
    """
    value = mixed(np.uint64(offset << 24) + np.uint64(item))
    return max(int(value & np.uint64(0x7FFFFFFFFFFFFFFF)), 1)
