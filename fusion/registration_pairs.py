"""Which detections clearly belong to which movers, though their sensor may be wrong.

The tracker's own association cannot be asked: a sensor that is wrong by more than its gate makes
tracks of its own. So a detection goes to a track that other sensors vouch for: first within the
plain gate, then, if no track is there, within one that is as wide as the sensor's bias may be. Both
times only where one detection fits one track and nothing else fits either. Who belongs to whom in a
crowd is not needed: there are other movers.
"""

import math

import numpy as np

from fusion.jit import kernel
from fusion.records import PARTS
from fusion.registration_filter import doubt
from fusion.registration_kernels import (
    FIXED,
    TIME,
    Biases,
    Followed,
    Limits,
    spread_of,
    stand_at,
    unbiased,
)
from fusion.registration_near import Place, beside, carried, movers
from fusion.registration_ways import gather
from fusion.settings import NANO
from model.arrays import Array, Floats, Int64s

CROWD = 8
"""Detections within a track's wide gate beyond which none is looked into."""

NOBODY = -1

Found = tuple[Int64s, Floats, Floats, Floats, Floats, Floats]
"""Detections of a report: which (n,), and of each place (n, 2) m, covariance (n, 2, 2) m², how it
changes with the bias (n, 2, 5), lag s, and where the sensor stands (n, 3)."""


@kernel
def register(
    place: Place, scan: Array, origin: Floats, mode: int, sensor: int, row: int, now: int,
    sensors: Array, settings: Array, followed: Followed, biases: Biases, limits: Limits,
) -> int:  # fmt: skip
    """Gather what a report says of movers that others see too; returns of how many it does.

    `NOBODY`: there is none that it could be held against.

    Parameters
    ----------
    place
        Of the table before the report is fused: `rows`, `near` and `count`.
    scan, origin, mode, sensor
        Of the report, nothing taken off (`fusion.measure.Scan`).
    row, now
        Its sensor's row in `biases`, or `FIXED`; and its time as stamped, ns.
    sensors, settings
        (S,) `fusion.gathered.SENSOR`, and (1,) constants.
    followed, biases, limits
        What is learnt, in place.
    """
    s = settings[0]
    gate = s.gate
    bias, Q = np.zeros(PARTS), np.zeros((PARTS, PARTS))
    if row != FIXED:
        at = PARTS * row
        bias[:] = biases.mean[at : at + PARTS]
        Q[:, :] = biases.covariance[at : at + PARTS, at : at + PARTS]
    found = _found(scan, origin, bias)
    items, places, R, D, delta, stands = found
    n = len(items)
    if n == 0:
        return 0
    # Where the movers may be that they are of.
    loose, wide = _loose(R, D, Q), np.empty(n)
    box = np.array([np.inf, np.inf, -np.inf, -np.inf])
    lag = 0.0
    for j in range(n):
        wide[j] = math.sqrt(gate * loose[j])
        box[0], box[1] = min(box[0], places[j, 0] - wide[j]), min(box[1], places[j, 1] - wide[j])
        box[2], box[3] = max(box[2], places[j, 0] + wide[j]), max(box[3], places[j, 1] + wide[j])
        lag = max(lag, abs(delta[j]))
    lag += abs(bias[TIME]) + math.sqrt(gate * Q[TIME, TIME])
    chosen, rows, slots = movers(place, box, lag, sensor, mode, now, sensors, followed, limits, s)
    if not len(rows):
        return NOBODY
    mean, spread = carried(place[0], rows, now, bias[TIME], limits)
    asked = np.zeros(n, np.bool_)
    for i in range(len(rows)):
        for j in range(n):
            asked[j] |= _fits(mean[i], spread[i], found, j, Q, loose, gate)
    count = len(rows)
    if asked.any():
        others = beside(place, chosen, places, wide, asked, lag, sensor, mode, now, sensors, limits)
        if len(others):
            more = carried(place[0], others, now, bias[TIME], limits)
            mean, spread = np.concatenate((mean, more[0])), np.concatenate((spread, more[1]))
    done = 0
    claims = np.full(n, -1)
    for i in range(count):
        j = _own(i, mean, spread, found, asked, Q, loose, gate, claims, row != FIXED)
        if j < 0:
            continue
        stamp = now + int(np.rint(delta[j] / NANO))
        d = scan[items[j]]
        track = place[0][rows[i]].track_id
        gather(
            followed, biases, limits, slots[i], rows[i], track, stamp, sensor, row, d.z, d.R,
            stands[j],
        )  # fmt: skip
        done += 1
    if row != FIXED:
        _doubt_if_astray(done, count, mean, spread, found, gate, biases, limits, row)
    return done


@kernel
def _found(scan: Array, origin: Floats, bias: Floats) -> Found:
    """Detections that say where in the plane, freed of the bias."""
    items = np.empty(len(scan), np.int64)
    n = 0
    for j in range(len(scan)):
        if not math.isnan(scan[j].z[0]):
            items[n] = j
            n += 1
    places, R, D = np.empty((n, 2)), np.empty((n, 2, 2)), np.empty((n, 2, PARTS))
    delta, stands = np.empty(n), np.empty((n, 3))
    for m in range(n):
        d = scan[items[m]]
        stand_at(d, origin, stands[m])
        unbiased(d.z, stands[m], bias, places[m], D[m])
        R[m], delta[m] = d.R, d.delta
    return items[:n], places, R, D, delta, stands


@kernel
def _loose(R: Floats, D: Floats, Q: Floats) -> Floats:
    """(n,) m², no less than a detection's variance in any direction, time apart."""
    loose = np.empty(len(R))
    for j in range(len(R)):
        ee, _, nn = spread_of(D[j], Q)
        # Whatever time has to do with the other parts, the two together are less than twice each.
        loose[j] = R[j, 0, 0] + R[j, 1, 1] + 2.0 * (ee + nn)
    return loose


@kernel
def _doubt_if_astray(
    done: int, count: int, mean: Floats, spread: Floats, found: Found, gate: float,
    biases: Biases, limits: Limits, row: int,
) -> None:  # fmt: skip
    """Count reports of which nothing fits, though it would were nothing known of the bias."""
    if done:
        biases.astray[row] = 0
        return
    _, places, R, D, _, _ = found
    Q = np.diag(limits.prior * limits.prior)
    loose = _loose(R, D, Q)
    for i in range(count):
        for j in range(len(places)):
            if _fits(mean[i], spread[i], found, j, Q, loose, gate):
                biases.astray[row] += 1
                if biases.astray[row] > limits.tired:
                    doubt(biases, limits, row)
                return


@kernel
def _fits(
    mean: Floats, spread: Floats, found: Found, j: int, Q: Floats, loose: Floats, gate: float
) -> bool:
    """Whether a place is within the gate of a track, its sensor's bias known to Q (5, 5)."""
    _, places, R, D, delta, _ = found
    lag = delta[j]
    de = places[j, 0] - mean[0] - lag * mean[2]
    dn = places[j, 1] - mean[1] - lag * mean[3]
    square = de * de + dn * dn
    speed = mean[2] * mean[2] + mean[3] * mean[3]
    if square > gate * (spread[0] + spread[2] + loose[j] + 2.0 * speed * Q[TIME, TIME]):
        return False
    D[j, 0, TIME], D[j, 1, TIME] = -mean[2], -mean[3]
    ee, en, nn = spread_of(D[j], Q)
    D[j, 0, TIME] = D[j, 1, TIME] = 0.0
    return _within(de, dn, spread, R[j], ee, en, nn, gate)


@kernel
def _fits_plainly(mean: Floats, spread: Floats, found: Found, j: int, gate: float) -> bool:
    """Whether a place is within the gate of a track, its sensor's bias as it is held to be."""
    _, places, R, _, delta, _ = found
    de = places[j, 0] - mean[0] - delta[j] * mean[2]
    dn = places[j, 1] - mean[1] - delta[j] * mean[3]
    return _within(de, dn, spread, R[j], 0.0, 0.0, 0.0, gate)


@kernel
def _within(
    de: float, dn: float, spread: Floats, R: Floats, ee: float, en: float, nn: float, gate: float
) -> bool:
    ee += spread[0] + R[0, 0]
    en += spread[1] + R[0, 1]
    nn += spread[2] + R[1, 1]
    if de * de + dn * dn > gate * (ee + nn):
        return False
    determinant = ee * nn - en * en
    if not determinant > 0.0:
        return False
    inside: bool = nn * de * de - 2.0 * en * de * dn + ee * dn * dn <= gate * determinant
    return inside


@kernel
def _claims(claims: Int64s, j: int, mean: Floats, spread: Floats, found: Found, gate: float) -> int:
    """How many tracks have a detection within their plain gate; `claims` (n,) remembers."""
    if claims[j] < 0:
        claims[j] = 0
        for i in range(len(mean)):
            claims[j] += _fits_plainly(mean[i], spread[i], found, j, gate)
    said: int = claims[j]
    return said


@kernel
def _own(
    i: int, mean: Floats, spread: Floats, found: Found, asked: Array, Q: Floats, loose: Floats,
    gate: float, claims: Int64s, biased: bool,
) -> int:  # fmt: skip
    """The one detection that is a track's own and nobody else's; -1: none, or several."""
    tight, only = 0, -1
    for j in range(len(asked)):
        if asked[j] and _fits_plainly(mean[i], spread[i], found, j, gate):
            tight += 1
            only = j
    if tight == 1:
        return only if _claims(claims, only, mean, spread, found, gate) == 1 else -1
    if tight > 1 or not biased:
        return -1
    return _far(i, mean, spread, found, asked, Q, loose, gate, claims)


@kernel
def _far(
    i: int, mean: Floats, spread: Floats, found: Found, asked: Array, Q: Floats, loose: Floats,
    gate: float, claims: Int64s,
) -> int:  # fmt: skip
    """The one detection within a track's wide gate that fits nothing else; -1: none, or several."""
    within, chosen, free = 0, -1, 0
    for j in range(len(asked)):
        if not (asked[j] and _fits(mean[i], spread[i], found, j, Q, loose, gate)):
            continue
        within += 1
        if within > CROWD:
            return -1
        if _claims(claims, j, mean, spread, found, gate) == 0:
            free += 1
            chosen = j
    if free != 1:
        return -1
    for other in range(len(mean)):
        if other == i or not _fits(mean[other], spread[other], found, chosen, Q, loose, gate):
            continue
        settled = False  # it has a detection of its own
        for j in range(len(asked)):
            settled |= j != chosen and _fits_plainly(mean[other], spread[other], found, j, gate)
        if not settled:
            return -1
    return chosen
