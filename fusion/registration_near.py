"""Which tracks a report can be held against: those followed already, and a few more.

Nothing here looks at every track's record: who may be near the report's detections is told from the
table's columns (`fusion.near`), and of those not followed yet a few are looked into at a time.
"""

import numpy as np

from fusion.jit import kernel
from fusion.motion import combine
from fusion.near import rows_near
from fusion.records import PACKED, Record
from fusion.registration_kernels import Followed, Limits
from fusion.settings import NANO
from model.arrays import Array, Bools, Floats, Int64s
from model.tracks import Status

_TENTATIVE, _DELETED = int(Status.TENTATIVE), int(Status.DELETED)

LOOKED_INTO = 64
"""Tracks not followed yet that one report looks into, at most: the next report goes on from there.
"""

_UNSEEN, _SEEN, _NAMED = range(3)
# Whether others vouch for a track: no; yes; yes, and one of them knows where it is.

Place = tuple[Array, Floats, int]
"""Of the table: `rows`, `near` and `count`."""


@kernel
def movers(
    place: Place, box: Floats, lag_s: float, sensor: int, mode: int, now: int, sensors: Array,
    followed: Followed, limits: Limits, s: Record,
) -> tuple[Bools, Int64s, Int64s]:  # fmt: skip
    """Rows that others vouch for and that are followed, or are from now on.

    Parameters
    ----------
    place
        The tracks, before the report is fused.
    box, lag_s
        Where they may be, as in `fusion.near.rows_near`.
    sensor, mode, now
        Of the report; its time as stamped, ns.
    sensors
        (S,) `fusion.gathered.SENSOR`.
    followed, limits, s
        As in `fusion.registration_pairs.register`.

    Returns
    -------
    tuple
        Which rows (count,) are near and not among these; the rows (r,); and their slots (r,).
    """
    rows, near, count = place
    nowhere = np.full(2, np.nan)
    chosen = rows_near(near, count, now * NANO, lag_s, box, nowhere, -1.0, limits.density, s)
    slots_count = len(followed.track)
    found = np.empty(slots_count, np.int64)
    slots = np.empty(slots_count, np.int64)
    busy = np.zeros(slots_count, np.bool_)
    k, free = 0, 0
    for f in range(slots_count):
        busy[f] = not _is_free(followed, f, now, limits)
        if followed.number[f] > 0:
            row = _find(rows, count, followed, f)
            if row >= 0 and chosen[row]:
                chosen[row] = False
                seen = _vouched(rows[row], sensor, mode, now, sensors, limits)
                for m in range(followed.number[f]):
                    if followed.sensor[f, m] != sensor and seen >= _UNSEEN:
                        seen = max(seen, _SEEN)
                if seen > _UNSEEN:
                    found[k], slots[k] = row, f
                    busy[f] = True  # whoever is in this report keeps his slot until it is full
                    k += 1
        free += not busy[f]
    if free:
        k = _more(
            rows, chosen, sensor, mode, now, sensors, followed, limits, busy, free, found, slots, k
        )
    return chosen, found[:k], slots[:k]


@kernel
def _more(
    rows: Array, chosen: Bools, sensor: int, mode: int, now: int, sensors: Array,
    followed: Followed, limits: Limits, busy: Bools, free: int, found: Int64s, slots: Int64s,
    k: int,
) -> int:  # fmt: skip
    """Put tracks into free slots, those of whom is known where they are first."""
    here = np.flatnonzero(chosen)
    looked = min(len(here), LOOKED_INTO)
    if looked == 0:
        return k
    start = followed.cursor[0] % len(here)
    followed.cursor[0] = start + looked
    seen = np.empty(looked, np.int64)
    for i in range(looked):
        row = here[(start + i) % len(here)]
        seen[i] = _vouched(rows[row], sensor, mode, now, sensors, limits)
    slot = 0
    for wanted in (_NAMED, _SEEN):
        for i in range(looked):
            if seen[i] != wanted or free == 0:
                continue
            while busy[slot]:
                slot += 1
            row = here[(start + i) % len(here)]
            chosen[row] = False
            followed.at[slot] = row
            found[k], slots[k], busy[slot] = row, slot, True
            k += 1
            free -= 1
    return k


@kernel
def _vouched(
    track: Record, sensor: int, mode: int, now: int, sensors: Array, limits: Limits
) -> int:
    """Whether others vouch for a track; -1: it is not one to be held against at all.

    One other sensor is enough for those that come after it only: else of two sensors that differ
    each would be held against the other's tracks, and both for the reference. Cooperative ones
    vouch alone.
    """
    if track.status == _TENTATIVE or track.status == _DELETED or track.mode != mode:
        return -1
    if abs(now - track.time) > limits.span_ns:
        return -1
    others, before, named = 0, False, False
    for c in range(len(track.sensors)):
        other = track.sensors[c]
        if other < 0 or other >= len(sensors) or abs(now - track.heard[c]) > limits.span_ns:
            continue
        cooperative = sensors[other].cooperative != 0
        named |= cooperative
        if other != sensor:
            others += 2 if cooperative else 1
            before |= other < sensor
    if others < 2 and not (others == 1 and before):
        return _UNSEEN
    return _NAMED if named else _SEEN


@kernel
def _find(rows: Array, count: int, followed: Followed, slot: int) -> int:
    """Row of a followed track; -1: it is gone. It seldom moves, and mostly down."""
    hint, track = followed.at[slot], followed.track[slot]
    if hint < 0:
        return -1
    if hint < count and rows[hint].track_id == track and rows[hint].status != _DELETED:
        return int(hint)
    for row in range(min(hint, count) - 1, -1, -1):
        if rows[row].track_id == track and rows[row].status != _DELETED:
            followed.at[slot] = row
            return row
    for row in range(hint, count):
        if rows[row].track_id == track and rows[row].status != _DELETED:
            followed.at[slot] = row
            return row
    followed.at[slot] = -1
    return -1


@kernel
def _is_free(followed: Followed, slot: int, now: int, limits: Limits) -> bool:
    """Whether a slot is empty, or was left."""
    n = followed.number[slot]
    if n == 0:
        return True
    left: bool = abs(now - followed.time[slot, n - 1]) > limits.span_ns
    return left


@kernel
def beside(
    place: Place, chosen: Bools, places: Floats, wide: Floats, asked: Bools, lag_s: float,
    sensor: int, mode: int, now: int, sensors: Array, limits: Limits,
) -> Int64s:  # fmt: skip
    """Further rows that others vouch for and that may have one of some detections.

    Parameters
    ----------
    place, lag_s, sensor, mode, now, sensors, limits
        As in `movers`.
    chosen
        (count,) rows to look at.
    places, wide, asked
        (n, 2) m; (n,) how far from there a mover may be at rest, m; and (n,) which are asked for.
    """
    rows, near, count = place
    order = np.argsort(np.where(asked, places[:, 0], np.inf), kind="mergesort")
    n, widest = 0, 0.0
    for j in range(len(asked)):
        if asked[j]:
            n += 1
            widest = max(widest, wide[j])
    east = places[order[:n], 0]
    found = np.empty(count, np.int64)
    k = 0
    for row in range(count):
        if not chosen[row]:
            continue
        slack = near[2, row] + near[3, row] * (abs(now * NANO - near[4, row]) + lag_s)
        for at in range(np.searchsorted(east, near[0, row] - slack - widest), n):
            j = order[at]
            reach = slack + wide[j]
            if east[at] > near[0, row] + slack + widest:
                break
            if (
                abs(places[j, 0] - near[0, row]) <= reach
                and abs(places[j, 1] - near[1, row]) <= reach
            ):
                if _vouched(rows[row], sensor, mode, now, sensors, limits) > _UNSEEN:
                    found[k] = row
                    k += 1
                break
    return found[:k]


@kernel
def carried(
    rows: Array, chosen: Int64s, now: int, late_s: float, limits: Limits
) -> tuple[Floats, Floats]:
    """Tracks at the time of a report, forwards or backwards.

    Parameters
    ----------
    rows
        The table's records.
    chosen
        (r,) of them.
    now, late_s
        Time of the report as stamped, ns, and what is known of the stamp being late, s.

    Returns
    -------
    tuple
        Means (r, 4), and EE, EN, NN (r, 3) m² of the places.
    """
    mean, spread = np.empty((len(chosen), 4)), np.empty((len(chosen), 3))
    pack = np.empty(PACKED)
    for i in range(len(chosen)):
        track = rows[chosen[i]]
        combine(track.x, track.P, track.mu, mean[i], pack)
        dt = (now - track.time) * NANO - late_s
        mean[i, 0] += dt * mean[i, 2]
        mean[i, 1] += dt * mean[i, 3]
        bend = limits.density * abs(dt * dt * dt) / 3.0
        spread[i, 0] = pack[0] + 2.0 * dt * pack[2] + dt * dt * pack[7] + bend
        spread[i, 1] = pack[1] + dt * (pack[3] + pack[5]) + dt * dt * pack[8]
        spread[i, 2] = pack[4] + 2.0 * dt * pack[6] + dt * dt * pack[9] + bend
    return mean, spread
