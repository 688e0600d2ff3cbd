"""Bearings that point at no track, and cross: from two places they say where somebody is.

A crossing starts a tentative track, and no more: two cameras that see two movers each make two
crossings where nobody is. So bearings of two places that cross in several ways start none, unless
a third place tells which are true. A track that only bearings have shown is raised by looks from
changing places (`fusion.bearings`); from one place the same ghost would be seen again and again.

References
----------
S. Blackman, R. Popoli, "Design and Analysis of Modern Tracking Systems", Artech House 1999,
section 7.6: triangulation by several passive sensors, and its ghosts.
"""

import math

import numpy as np

from fusion.existence import left_unseen, log_odds, new_ratio
from fusion.habits import SPEED
from fusion.initiate import id_of, start
from fusion.jit import kernel
from fusion.motion import largest_variance
from fusion.records import LOOSE, MEASURED, MODES, Record
from fusion.settings import NANO, NEW_TARGET_SPREAD_M
from fusion.update import hear
from model.arrays import Array, Bools, Floats, Int64s
from model.taxonomy import N_CLASSES
from model.tracks import Status

KEPT = 24
"""Loose bearings kept of one sensor, and looked at in one report, at most: work is bounded."""

ELSEWHERE = 0.15
"""Least sine of the angle at which two lines of sight must meet (8.6 degrees)."""

LOOKED_LONG = 50
"""Looks after which a sensor's surroundings hold nothing that was there before it looked."""

_TENTATIVE = int(Status.TENTATIVE)
_NONE_EARLIER, _NONE_LATER = -(1 << 62), 1 << 62


@kernel
def from_elsewhere(east: float, north: float, one: Floats, two: Floats, s: Record) -> bool:
    """Whether two places (2,) see a point along lines that cross well, and are two places."""
    ae, an, be, bn = east - one[0], north - one[1], east - two[0], north - two[1]
    base = (one[0] - two[0]) * (one[0] - two[0]) + (one[1] - two[1]) * (one[1] - two[1])
    across = ae * bn - an * be
    least = ELSEWHERE * ELSEWHERE * (ae * ae + an * an) * (be * be + bn * bn)
    well: bool = across * across >= least and base >= s.crossing_base_m * s.crossing_base_m
    return well


@kernel
def crossing(a: Record, b: Record, far: Floats, speed: float, s: Record, out: Floats) -> bool:
    """Where two bearings cross, if they do so well.

    Parameters
    ----------
    a, b
        `fusion.records.LOOSE`, of one time or nearly.
    far
        (2,) how far each sensor sees, m.
    speed
        How fast a mover may be, m/s: the crossing is of the time of `a`.
    s
        Constants.
    out
        (7,) filled: east, north m, covariance EE, EN, NN m², and the distance from either place, m.
    """
    ue, un, ve, vn = (
        math.sin(a.azimuth),
        math.cos(a.azimuth),
        math.sin(b.azimuth),
        math.cos(b.azimuth),
    )
    sine = ue * vn - un * ve
    de, dn = b.place[0] - a.place[0], b.place[1] - a.place[1]
    base = de * de + dn * dn
    if not abs(sine) >= ELSEWHERE or base < s.crossing_base_m * s.crossing_base_m:
        return False
    first, second = (de * vn - dn * ve) / sine, (de * un - dn * ue) / sine
    if not (0.0 < first <= far[0] and 0.0 < second <= far[1]):
        return False
    moved = speed * (a.time - b.time) * NANO
    floor = NEW_TARGET_SPREAD_M * NEW_TARGET_SPREAD_M
    p = 1.0 / (first * first * a.variance + floor)
    q = 1.0 / (second * second * b.variance + floor + moved * moved)
    # Information across each line of sight: along it a bearing says nothing.
    ee, en, nn = p * un * un + q * vn * vn, -p * un * ue - q * vn * ve, p * ue * ue + q * ve * ve
    size = ee * nn - en * en
    out[0], out[1] = a.place[0] + first * ue, a.place[1] + first * un
    out[2], out[3], out[4] = nn / size, -en / size, ee / size
    out[5], out[6] = first, second
    least = s.bearing_known * min(first, second)
    known: bool = largest_variance(out[2], out[3], out[4]) <= least * least
    return known


@kernel
def _agrees(c: Record, at: Floats, now: int, far: float, speed: float, s: Record) -> bool:
    """Whether a bearing from a third place passes through a crossing."""
    ce, cn = math.sin(c.azimuth), math.cos(c.azimuth)
    de, dn = at[0] - c.place[0], at[1] - c.place[1]
    along, across = de * ce + dn * cn, de * cn - dn * ce
    if not 0.0 < along <= far:
        return False
    moved = speed * (now - c.time) * NANO
    variance = cn * cn * at[2] - 2.0 * cn * ce * at[3] + ce * ce * at[4]
    variance += along * along * c.variance + moved * moved
    agrees: bool = across * across <= s.bearing_gate * variance
    return agrees


@kernel
def _loose_of(
    scan: Array, free: Bools, origin: Floats, index: int, now: int, mode: int
) -> tuple[Array, Int64s]:
    """Bearings of a report that point at no track (`LOOSE`), and which of its items they are."""
    fresh, items = np.empty(KEPT, LOOSE), np.empty(KEPT, np.int64)
    count = 0
    for j in range(len(scan)):
        if free[j] and count < KEPT:
            one = fresh[count]
            one.time, one.sensor, one.mode = now, index, mode
            one.place[0], one.place[1] = origin[0], origin[1]
            one.azimuth, one.variance = scan[j].azimuth, scan[j].azimuth_variance
            items[count] = j
            count += 1
    return fresh[:count], items[:count]


@kernel
def _partners(loose: Array, index: int, now: int, mode: int, sensors: int, s: Record) -> Int64s:
    """Of other sensors the newest look, of the same one the oldest: it may have moved since."""
    window = s.crossing_s / NANO
    newest, oldest = np.full(sensors, _NONE_EARLIER), _NONE_LATER
    for n in range(len(loose)):
        one = loose[n]
        if one.mode == mode and abs(now - one.time) <= window:
            newest[one.sensor] = max(newest[one.sensor], one.time)
            if one.sensor == index:
                oldest = min(oldest, one.time)
    found = np.empty(len(loose), np.int64)
    count = 0
    for n in range(len(loose)):
        one = loose[n]
        wanted = oldest if one.sensor == index else newest[one.sensor]
        if one.mode == mode and one.time == wanted:
            found[count] = n
            count += 1
    return found[:count]


@kernel
def _kept(loose: Array, fresh: Array, now: int, s: Record) -> Array:
    """Loose bearings with those of a report: those that are recent, at most `KEPT` a sensor."""
    window = s.crossing_s / NANO
    out = np.empty(len(loose) + len(fresh), LOOSE)
    begin = len(out)  # filled from behind: the last ones stay
    for n in range(len(fresh) - 1, -1, -1):
        begin -= 1
        out[begin] = fresh[n]
    for n in range(len(loose) - 1, -1, -1):
        if now - loose[n].time > window:
            continue
        same = 0
        for m in range(begin, len(out)):
            same += out[m].sensor == loose[n].sensor
        if same < KEPT:
            begin -= 1
            out[begin] = loose[n]
    return out[begin:].copy()


@kernel
def _true_ones(
    fresh: Array, loose: Array, partners: Int64s, sensors: Array, now: int, speed: float, s: Record
) -> tuple[Int64s, Int64s, Floats]:
    """Crossings that are no ghosts: new bearing, partner, and what `crossing` gives (c, 7)."""
    most = len(fresh) * len(partners)
    one, two = np.empty(most, np.int64), np.empty(most, np.int64)
    at, far = np.empty((most, 7)), np.empty(2)
    backed = np.zeros(most, np.int64)
    count = 0
    for j in range(len(fresh)):
        for n in partners:
            far[0], far[1] = sensors[fresh[j].sensor].reach, sensors[loose[n].sensor].reach
            if not crossing(fresh[j], loose[n], far, speed, s, at[count]):
                continue
            one[count], two[count] = j, n
            for m in partners:
                c = loose[m]
                if c.sensor == fresh[j].sensor or c.sensor == loose[n].sensor:
                    continue
                e, u = at[count, 0], at[count, 1]
                if from_elsewhere(e, u, c.place, fresh[j].place, s) and from_elsewhere(
                    e, u, c.place, loose[n].place, s
                ):
                    reach = sensors[c.sensor].reach
                    backed[count] += _agrees(c, at[count], now, reach, speed, s)
            count += 1
    kept = 0
    for c in range(count):
        rivals = stronger = 0
        for d in range(count):
            if c != d and (
                (one[c] == one[d] and loose[two[c]].sensor == loose[two[d]].sensor)
                or two[c] == two[d]
            ):
                rivals += 1
                stronger += backed[d] > 0
        if rivals == 0 or (backed[c] > 0 and stronger == 0):
            one[kept], two[kept], at[kept] = one[c], two[c], at[c]
            kept += 1
    return one[:kept], two[:kept], at[:kept]


@kernel
def cross(
    rows: Array, end: int, scan: Array, free: Bools, origin: Floats, sensors: Array, index: int,
    now: int, mode: int, offset: int, loose: Array, habits: Floats, s: Record,
) -> tuple[int, Array]:  # fmt: skip
    """Start tentative tracks where loose bearings cross.

    Parameters
    ----------
    rows, end
        The table's records, and how many are in use; there is room for one track a detection.
    scan, free
        (m,) `fusion.records.MEASURED`, and which of them are bearings that point at no track.
    origin, index, now, mode, offset
        Of the report.
    sensors
        (S,) `fusion.gathered.SENSOR`.
    loose
        (n,) `fusion.records.LOOSE` of the table.
    habits, s
        How movers behave (`fusion.habits`), and constants.

    Returns
    -------
    tuple
        How many rows are in use then, and the loose bearings to keep.
    """
    fresh, items = _loose_of(scan, free, origin, index, now, mode)
    if not len(fresh):
        return end, loose
    speed = habits[SPEED + MODES - 1]
    partners = _partners(loose, index, now, mode, len(sensors), s)
    one, two, at = _true_ones(fresh, loose, partners, sensors, now, speed, s)
    d, room = np.empty(1, MEASURED), np.empty((2, N_CLASSES))
    spent = np.zeros(len(fresh), dtype=np.bool_)
    gone = np.zeros(len(loose), dtype=np.bool_)
    sensor = sensors[index]
    for c in range(len(one)):
        if spent[one[c]] or gone[two[c]]:
            continue
        spent[one[c]] = gone[two[c]] = True
        a, b, item = fresh[one[c]], loose[two[c]], items[one[c]]
        d[0] = scan[item]
        d[0].delta = 0.0
        d[0].z[0], d[0].z[1] = at[c, 0], at[c, 1]
        d[0].R[0, 0], d[0].R[0, 1] = at[c, 2], at[c, 3]
        d[0].R[1, 0], d[0].R[1, 1] = at[c, 3], at[c, 4]
        # False bearings of the two sensors cross as often as this, per square metre.
        sine = abs(math.sin(a.azimuth - b.azimuth))
        density = sensor.bearing_density * sensors[b.sensor].bearing_density * sine
        density /= at[c, 5] * at[c, 6]
        unseen = left_unseen(sensor, LOOKED_LONG, s)
        ratio = new_ratio(sensor, max(density, 1e-12), unseen, s)
        track = rows[end]
        start(track, d[0], id_of(offset, scan[item].item), 1.0, ratio, sensor, now, index, mode,
              habits, s, room)  # fmt: skip
        track.status, track.llr = _TENTATIVE, log_odds(ratio / (1.0 + ratio))
        track.crossed, track.by_angle[0] = 1, 1
        track.look[0], track.look[1] = origin[0], origin[1]
        hear(track, b.sensor, b.time, True)
        end += 1
    left = np.flatnonzero(~spent)
    rest = np.flatnonzero(~gone)
    return end, _kept(loose[rest], fresh[left], now, s)
