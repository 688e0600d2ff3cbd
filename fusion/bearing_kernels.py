"""Bearings against tracks: which could be whose, and what a track becomes by them.

A bearing is an angle: linear in a track's place only while that is known to a fraction of its
distance. A track less well known is held against no bearing.

References
----------
S. Blackman, R. Popoli, "Design and Analysis of Modern Tracking Systems", Artech House 1999,
sections 3.4 and 5.5: angle-only updates of Cartesian tracks.
"""

import math

import numpy as np

from fusion.jit import kernel
from fusion.motion import make_sound
from fusion.records import MODES, PACKED, Record
from fusion.settings import NANO
from fusion.weigh import LEAST_WEIGHT, update_scalar
from model.arrays import Array, Floats, Int64s

TWO_PI = 2.0 * math.pi

MOST_BEARINGS = 8
"""Of the bearings that point at one track the nearest so many are kept: work is bounded."""

LINEAR = 0.05
"""Greatest variance (rad²) of a track's own bearing for which a bearing is linear enough."""

LEAST_RANGE_M = 1.0
"""A track is never taken to be nearer to the sensor, m."""


@kernel
def turned(angle: float) -> float:
    """An angle, rad, within half a turn of 0."""
    return (angle + math.pi) % TWO_PI - math.pi


@kernel
def sight_of(x: Floats, P: Floats, origin: Floats, h: Floats) -> tuple[float, float]:
    """Azimuth, rad, and its variance, rad², of a state; fills its derivative `h` (4,), rad/m."""
    de, dn = x[0] - origin[0], x[1] - origin[1]
    squared = max(de * de + dn * dn, LEAST_RANGE_M * LEAST_RANGE_M)
    h[0], h[1], h[2], h[3] = dn / squared, -de / squared, 0.0, 0.0
    variance = h[0] * h[0] * P[0] + 2.0 * h[0] * h[1] * P[1] + h[1] * h[1] * P[4]
    return math.atan2(de, dn), variance


@kernel
def pointed_at(
    predicted: Array, rows: Array, scan: Array, origin: Floats, mode: int, s: Record
) -> tuple[Int64s, Int64s, Floats]:
    """Pairs of tracks and bearings within the gate, and what each is worth.

    Parameters
    ----------
    predicted, rows, scan
        (n,) `fusion.records.PREDICTED`, the table's records, and (m,) `fusion.records.MEASURED`.
    origin
        (2,) east, north m of the sensor.
    mode, s
        Of the report, and constants.

    Returns
    -------
    tuple
        (p,) predictions and (p,) detections, sorted by these, at most `MOST_BEARINGS` a prediction;
        and (p, K) densities of the bearing under each mode, 1/rad.
    """
    order, rising, widest = _by_azimuth(scan)
    most = len(predicted) * min(len(order), MOST_BEARINGS)
    row, item = np.empty(most, np.int64), np.empty(most, np.int64)
    likelihood = np.empty((most, MODES))
    h, at, own = np.empty(4), np.empty(MODES), np.empty(MODES)
    best, which = np.empty(MOST_BEARINGS), np.empty(MOST_BEARINGS, np.int64)
    count = 0
    for i in range(len(predicted)):
        to = predicted[i]
        if rows[to.row].mode != mode:
            continue
        middle, whole = sight_of(to.mean, to.spread, origin, h)
        if not whole < LINEAR:
            continue
        reach = math.sqrt(s.bearing_gate * (whole + widest))
        for k in range(MODES):
            at[k], own[k] = sight_of(to.x[k], to.P[k], origin, h)
            wide = math.sqrt(s.bearing_gate * (own[k] + widest))
            reach = max(reach, abs(turned(at[k] - middle)) + wide)
        kept = 0
        # The bearings within reach stand together on the circle, perhaps across its seam.
        low = np.searchsorted(rising, turned(middle - reach)) if reach < math.pi else 0
        for step in range(len(order)):
            place = (low + step) % len(order)
            if reach < math.pi and not abs(turned(rising[place] - middle)) <= reach:
                break
            j = order[place]
            nearest = np.inf
            for k in range(MODES):
                off = turned(rising[place] - at[k])
                nearest = min(nearest, off * off / (own[k] + scan[j].azimuth_variance))
            if nearest <= s.bearing_gate:
                kept = _keep(best, which, kept, nearest, j)
        for j in np.sort(which[:kept]):
            row[count], item[count] = i, j
            for k in range(MODES):
                variance = own[k] + scan[j].azimuth_variance
                off = turned(scan[j].azimuth - at[k])
                likelihood[count, k] = math.exp(-0.5 * off * off / variance) / math.sqrt(
                    TWO_PI * variance
                )
            count += 1
    return row[:count], item[:count], likelihood[:count]


@kernel
def _keep(best: Floats, which: Int64s, kept: int, square: float, j: int) -> int:
    """Insert a bearing among the nearest so far; returns how many there are then."""
    spot = kept
    while spot > 0 and (
        best[spot - 1] > square or (best[spot - 1] == square and which[spot - 1] > j)
    ):
        spot -= 1
    if spot == MOST_BEARINGS:
        return kept
    for back in range(min(kept, MOST_BEARINGS - 1), spot, -1):
        best[back], which[back] = best[back - 1], which[back - 1]
    best[spot], which[spot] = square, j
    return min(kept + 1, MOST_BEARINGS)


@kernel
def _by_azimuth(scan: Array) -> tuple[Int64s, Floats, float]:
    """Bearings' items by rising azimuth, these within half a turn, and the greatest variance."""
    items, angle = np.empty(len(scan), np.int64), np.empty(len(scan))
    widest, count = 0.0, 0
    for j in range(len(scan)):
        if not math.isnan(scan[j].azimuth):
            items[count], angle[count] = j, turned(scan[j].azimuth)
            widest = max(widest, scan[j].azimuth_variance)
            count += 1
    order = np.argsort(angle[:count], kind="mergesort")
    return items[:count][order], angle[:count][order], widest


@kernel
def since_heard(track: Record, sensor: int, now: int, period: float) -> float:
    """Seconds since a track was last heard by a sensor; never: inf.

    A list of those heard last that is full may have lost the sensor: then one period.
    """
    last = len(track.sensors) - 1
    since = np.inf if track.sensors[last] < 0 else period
    for k in range(len(track.sensors)):
        if track.sensors[k] == sensor:
            since = max((now - track.heard[k]) * NANO, 0.0)
    return since


@kernel
def turn(
    to: Record, item: Int64s, share: Floats, likelihood: Floats, scan: Array, same: float,
    worth: float, origin: Floats,
) -> bool:  # fmt: skip
    """Update a prediction in place with bearings that are its own with some probability.

    Each mode becomes the mixture of what its bearings would make of it, and of itself, brought back
    to one Gaussian of the same mean and covariance; the modes' probabilities follow.

    Parameters
    ----------
    to
        `fusion.records.PREDICTED`.
    item, share, likelihood
        (p,) its bearings, (p,) the probability that each is its own given that it is there, and
        (p, K) what `pointed_at` gave.
    scan
        (m,) `fusion.records.MEASURED`.
    same
        How many bearings of this sensor say no more than one (>= 1): errors of successive frames
        are the same.
    worth
        Least part of its azimuth's variance by which bearings must sharpen it.
    origin
        (2,) east, north m of the sensor.

    Returns
    -------
    bool
        Whether they did.
    """
    h, x, x_sum, old = np.empty(4), np.empty(4), np.empty(4), np.empty(4)
    P, P_sum, room = np.empty(PACKED), np.empty(PACKED), np.empty(8)
    missed, most = 1.0, 0.0
    middle, own = sight_of(to.mean, to.spread, origin, h)
    for p in range(len(item)):
        missed -= share[p]
        most = max(most, share[p] * own / (own + scan[item[p]].azimuth_variance * same))
    if most < worth:
        return False
    missed = max(missed, 0.0)
    both, whole = np.zeros(len(item)), 0.0
    for p in range(len(item)):
        for k in range(MODES):
            both[p] += to.mu[k] * likelihood[p, k]
    for k in range(MODES):
        middle, own = sight_of(to.x[k], to.P[k], origin, h)
        total = missed
        x_sum[:] = 0.0
        for c in range(PACKED):
            P_sum[c] = missed * to.P[k, c]
        for p in range(len(item)):
            # What is said again and again is worth a part each time: of the modes as well.
            w = share[p] * (likelihood[p, k] / max(both[p], 1e-300)) ** (1.0 / same)
            if not w > 0.0:
                continue
            total += w
            d = scan[item[p]]
            x[:] = 0.0  # about the prediction, so that nothing large cancels
            for c in range(PACKED):
                P[c] = to.P[k, c]
            update_scalar(x, P, turned(d.azimuth - middle), h, d.azimuth_variance * same, room)
            c = 0
            for a in range(4):
                x_sum[a] += w * x[a]
                for b in range(a, 4):
                    P_sum[c] += w * (P[c] + x[a] * x[b])
                    c += 1
        if total < LEAST_WEIGHT:
            total = LEAST_WEIGHT
            for c in range(PACKED):
                P_sum[c] = total * to.P[k, c]
        old[0], old[1], old[2], old[3] = to.P[k, 0], to.P[k, 4], to.P[k, 7], to.P[k, 9]
        c = 0
        for a in range(4):
            for b in range(a, 4):
                to.P[k, c] = P_sum[c] / total - (x_sum[a] / total) * (x_sum[b] / total)
                c += 1
        make_sound(to.P[k], old)
        for a in range(4):
            to.x[k, a] += x_sum[a] / total
        to.mu[k] *= total
        whole += to.mu[k]
    for k in range(MODES):
        to.mu[k] /= whole
    return True
