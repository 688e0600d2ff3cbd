"""Which detection could belong to which track, and what each pair is worth."""

import math

import numpy as np

from fusion.classes import class_score
from fusion.jit import inlined, kernel
from fusion.motion import largest_variance
from fusion.records import MODES, PAIR, Record
from fusion.settings import NANO, RATE_SPAN_MPS
from fusion.tripwire import WRONG_WAY, has_direction, way
from model.arrays import Array, Floats, Int64s
from model.taxonomy import N_CLASSES

TWO_PI = 2.0 * math.pi

Targets = tuple[Floats, Int64s, float, float, bool]


@kernel
def targets_of(scan: Array) -> Targets:
    """Detections that say where in the plane.

    Parameters
    ----------
    scan
        (m,) `fusion.records.MEASURED`.

    Returns
    -------
    tuple
        Targets (q, 2) m, (q,) which detections they are, the greatest difference of a detection's
        time from the report's, s, the largest variance, m², and whether any detection is held
        against more of a prediction than its place: against `spread`.
    """
    items = np.empty(len(scan), dtype=np.int64)
    targets = np.empty((len(scan), 2))
    count = 0
    lag = widest = 0.0
    more = False
    for j in range(len(scan)):
        d = scan[j]
        more = more or d.delta != 0.0 or not math.isnan(d.range_rate) or d.name != 0
        if math.isnan(d.z[0]):
            more = True  # a bearing
            continue
        items[count] = j
        targets[count, 0], targets[count, 1] = d.z[0], d.z[1]
        count += 1
        lag = max(lag, abs(d.delta))
        widest = max(widest, largest_variance(d.R[0, 0], d.R[0, 1], d.R[1, 1]))
    return targets[:count], items[:count], lag, widest, more


@inlined
def reach_of(p: Record, name: int, said: Int64s, lag: float, widest: float, s: Record) -> float:
    """How far from a prediction's mean a detection may lie that belongs to it, m.

    Parameters
    ----------
    p, name
        `fusion.records.PREDICTED`, and the name of its track.
    said
        Names that the report says, rising (`fusion.near.names_said`).
    lag, widest
        Of `targets_of`.
    s
        Constants.
    """
    # The modes of a track lie apart from its mean.
    apart = largest = 0.0
    for k in range(MODES):
        largest = max(largest, largest_variance(p.P[k, 0], p.P[k, 1], p.P[k, 4]))
        apart = max(apart, abs(p.x[k, 0] - p.mean[0]), abs(p.x[k, 1] - p.mean[1]))
    slack = 1.5 * apart
    if lag > 0.0:
        largest += lag * lag * max(p.spread[7], p.spread[9])
        slack += lag * math.sqrt(p.mean[2] * p.mean[2] + p.mean[3] * p.mean[3])
    gate = s.gate
    if len(said) and name != 0:
        at = np.searchsorted(said, name)
        if at < len(said) and said[at] == name:
            gate = s.identity_gate
    return math.sqrt(gate * (largest + widest)) + slack


@kernel
def gated(
    predicted: Array, rows: Array, scan: Array, i: Int64s, items: Int64s, sensor: Record,
    density: Floats, now: int, mode: int, s: Record,
) -> Array:  # fmt: skip
    """Pairs within the gate, and what each is worth.

    Parameters
    ----------
    predicted, rows
        (n,) `fusion.records.PREDICTED`, and the table's records.
    scan
        (m,) `fusion.records.MEASURED`.
    i, items
        (p,) prediction and detection of each pair within reach, in this order.
    sensor
        `fusion.gathered.SENSOR`.
    density
        (m,) clutter at each detection, per m² and report.
    now, mode
        Of the report: ns, and `model.detections.Mode`.
    s
        Constants.

    Returns
    -------
    numpy.ndarray
        (q,) `fusion.records.PAIR`, in the same order; `psi` and `share` are not filled.
    """
    pairs = np.empty(len(i), PAIR)
    room = np.empty((2, N_CLASSES))
    count = 0
    for p in range(len(i)):
        to, d = predicted[i[p]], scan[items[p]]
        track = rows[to.row]
        rival = track.identity_kind == d.identity_kind and track.name != d.name
        if (rival and d.name != 0 and track.name != 0) or track.mode != mode:
            continue
        named = d.name != 0 and track.name == d.name
        beside, score = 0.0, 0.0
        if not math.isnan(d.height) and not math.isnan(track.h[0]):
            beside += _height_distance(track, d, now, s.climb_density)
        if not math.isnan(d.range_rate):
            square, more = _rate_distance(to, d)
            beside += square
            score += more
        limit = s.identity_gate if named else s.gate
        pair = pairs[count]
        if not weigh(to, d, limit - beside, pair):
            continue
        score += class_score(track, d, sensor, room) - 0.5 * beside
        pair.row, pair.item, pair.named = i[p], items[p], named
        pair.ratio = pair.both / density[items[p]] * (math.exp(score) if score != 0.0 else 1.0)
        count += 1
    return pairs[:count]


@inlined
def weigh(to: Record, d: Record, limit: float, pair: Record) -> bool:
    """Fill a pair's likelihoods; False: it is not within the limit.

    Parameters
    ----------
    to, d
        The prediction and the detection.
    limit
        Greatest squared distance, under any mode, of a pair that is kept. The mode must not say
        either that the mover goes the other way across a line (`fusion.tripwire`).
    pair
        `fusion.records.PAIR`.
    """
    near, both, lag = False, 0.0, d.delta
    directed = has_direction(d)
    for k in range(MODES):
        a = to.P[k, 0] + d.R[0, 0]
        b = to.P[k, 1] + d.R[0, 1]
        c = to.P[k, 4] + d.R[1, 1]
        de = d.z[0] - to.x[k, 0]
        dn = d.z[1] - to.x[k, 1]
        if lag != 0.0:
            de -= lag * to.x[k, 2]
            dn -= lag * to.x[k, 3]
            a += lag * lag * to.P[k, 7]
            b += lag * lag * to.P[k, 8]
            c += lag * lag * to.P[k, 9]
        determinant = a * c - b * b
        distance = (c * de * de - 2.0 * b * de * dn + a * dn * dn) / determinant
        inside = distance <= limit
        value = math.exp(-0.5 * distance) / (TWO_PI * math.sqrt(determinant))
        if directed:
            part = way(to.x[k], to.P[k], d, de, dn, a, b, c)
            inside = inside and part >= WRONG_WAY
            value *= part
        near = near or inside
        pair.likelihood[k] = value
        both += to.mu[k] * value
    pair.both = both
    return near


@kernel
def _height_distance(track: Record, d: Record, now: int, density: float) -> float:
    """Squared normalised difference in height."""
    dt = max((now - track.h_time) * NANO, 0.0)
    variance = track.Ph[0] + dt * (2.0 * track.Ph[1] + dt * track.Ph[2])
    variance += density * dt * dt * dt / 3.0 + d.height_variance
    difference = d.height - track.h[0] - dt * track.h[1]
    return difference * difference / variance


@kernel
def _rate_distance(to: Record, d: Record) -> tuple[float, float]:
    """Squared normalised difference in range rate, and what else it adds to the score."""
    e, n = d.sight[0], d.sight[1]
    variance = e * e * to.spread[7] + 2.0 * e * n * to.spread[8] + n * n * to.spread[9]
    variance += d.range_rate_variance
    difference = d.range_rate - e * to.mean[2] - n * to.mean[3]
    score = math.log(RATE_SPAN_MPS) - 0.5 * math.log(TWO_PI * variance)
    return difference * difference / variance, score
