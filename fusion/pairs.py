"""Which detection could belong to which track, and what each pair is worth."""

import numpy as np

from fusion import existence, kalman
from fusion.classes import class_score
from fusion.gate import pairs_within
from fusion.measure import Scan
from fusion.reach import Predicted
from fusion.settings import NANO, RATE_SPAN_MPS, Settings
from fusion.table import TrackTable
from model.arrays import Array, Bools, Floats
from model.detections import IdentityKind
from model.sensors import Sensor


def gated_pairs(
    table: TrackTable, scan: Scan, predicted: Predicted, sensor: Sensor, settings: Settings
) -> tuple[Array, Array, Floats, Floats]:
    """Gated pairs (row in `predicted`, item), gain over staying apart, and existence score."""
    items = np.flatnonzero(scan.planar)
    lag = np.abs(scan.delta[items]).max()
    rates = predicted.P[:, [2, 3], [2, 3]].max(axis=1)
    largest = _largest_variance(predicted.P) + _largest_variance(scan.R[items]).max()
    largest = largest + lag * lag * rates
    speed = np.hypot(predicted.x[:, 2], predicted.x[:, 3])
    reach = np.sqrt(settings.gate * largest) + speed * lag
    named = np.isin(table.identity[predicted.rows], scan.identity[items]) & (
        table.identity_kind[predicted.rows] != IdentityKind.NONE
    )
    reach = np.where(named, np.sqrt(settings.identity_gate * largest) + speed * lag, reach)
    row, column = pairs_within(predicted.x[:, :2], reach, scan.z[items])
    item = items[column]
    R = scan.R[item]
    delta = scan.delta[item]
    S = predicted.P[:, :2, :2][row] + R
    S[:, [0, 1], [0, 1]] += (delta * delta * rates[row])[:, None]
    inverse, determinant = kalman.invert2(S)
    innovation = scan.z[item] - predicted.x[row, :2] - delta[:, None] * predicted.x[row, 2:]
    d2 = np.einsum("pi,pij,pj->p", innovation, inverse, innovation)
    d2 = d2 + _height_distance(table, scan, predicted.rows[row], item, settings)
    rate, rate_score = _rate_distance(scan, predicted, row, item)
    d2 = d2 + rate
    kind = table.identity_kind[predicted.rows[row]]
    rival = (
        (kind == scan.identity_kind[item])
        & (kind != IdentityKind.NONE)
        & (table.identity[predicted.rows[row]] != scan.identity[item])
    )
    matched = names_match(table, scan, predicted.rows[row], item)
    limit = np.where(matched, settings.identity_gate, settings.gate)
    other_mode = table.mode[predicted.rows[row]] != scan.mode
    keep = (d2 <= limit) & ~rival & ~other_mode
    row, item, d2, determinant = row[keep], item[keep], d2[keep], determinant[keep]
    chance = np.maximum(predicted.pd[row], 0.1)
    score = existence.hit(chance, d2, np.log(determinant), predicted.density)
    score = score + rate_score[keep]
    score = score + class_score(table.classes[predicted.rows[row]], scan.classes[item], sensor)
    # A detection that names the track belongs to it wherever it lies within the identity gate.
    score = np.where(matched[keep], np.maximum(score, 0.0), score)
    gain = score - existence.miss(predicted.pd[row], settings.gate_probability)
    return row, item, np.where(matched[keep], np.maximum(gain, 1e-6), gain), score


def _largest_variance(P: Floats) -> Floats:
    """Larger eigenvalue (T,) of the leading 2 x 2 blocks."""
    half = 0.5 * (P[:, 0, 0] + P[:, 1, 1])
    return half + np.hypot(0.5 * (P[:, 0, 0] - P[:, 1, 1]), P[:, 0, 1])


def _height_distance(
    table: TrackTable, scan: Scan, rows: Array, items: Array, settings: Settings
) -> Floats:
    """Squared normalised difference in height (p,), 0 where either is not known."""
    dt = np.maximum((scan.time - table.h_time[rows]) * NANO, 0.0)
    h, Ph = kalman.predict_height(table.h[rows], table.Ph[rows], dt, settings.climb_density)
    difference = scan.height[items] - h[:, 0]
    distance = difference * difference / (Ph[:, 0] + scan.height_variance[items])
    return np.where(np.isnan(distance), 0.0, distance)


def _rate_distance(
    scan: Scan, predicted: Predicted, row: Array, item: Array
) -> tuple[Floats, Floats]:
    """Squared normalised difference in range rate (p,), and what else it adds to the score."""
    sight = scan.sight[item]
    own = predicted.P[:, 2:, 2:][row]
    variance = np.einsum("pi,pij,pj->p", sight, own, sight) + scan.range_rate_variance[item]
    difference = scan.range_rate[item] - (sight * predicted.x[row, 2:]).sum(axis=1)
    distance = difference * difference / variance
    score = np.log(RATE_SPAN_MPS) - 0.5 * np.log(2.0 * np.pi * variance)
    unknown = np.isnan(distance)
    return np.where(unknown, 0.0, distance), np.where(unknown, 0.0, score)


def names_match(table: TrackTable, scan: Scan, rows: Array, items: Array) -> Bools:
    """Which pairs (p,) have one and the same identity."""
    kind = scan.identity_kind[items]
    match: Bools = (
        (kind != IdentityKind.NONE)
        & (table.identity_kind[rows] == kind)
        & (table.identity[rows] == scan.identity[items])
    )
    return match
