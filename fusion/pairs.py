"""Which detection could belong to which track, and what each pair is worth."""

from dataclasses import dataclass

import numpy as np

from fusion import kalman
from fusion.classes import class_score
from fusion.gate import pairs_within
from fusion.measure import Scan
from fusion.reach import Predicted
from fusion.settings import MODES, NANO, RATE_SPAN_MPS, Settings
from fusion.table import TrackTable
from fusion.weigh import weigh
from model.arrays import Array, Bools, Floats
from model.detections import IdentityKind
from model.sensors import Sensor


@dataclass(slots=True)
class Pairs:
    """Gated pairs, sorted by row, then item.

    Parameters
    ----------
    row
        (p,) row in `fusion.reach.Predicted`.
    item
        (p,) detection.
    likelihood
        (p, K) density of the detection under each mode of the track, 1/m².
    ratio
        (p,) likelihood ratio of the detection against clutter, if the track is there and is
        detected.
    named
        (p,) whether the detection bears the track's identity.
    """

    row: Array
    item: Array
    likelihood: Floats
    ratio: Floats
    named: Bools


def gated_pairs(
    table: TrackTable, scan: Scan, predicted: Predicted, sensor: Sensor, settings: Settings
) -> Pairs:
    """Pairs within the gate."""
    items = np.flatnonzero(scan.planar)
    lag = np.abs(scan.delta[items]).max()
    rates = np.maximum(predicted.spread[:, 7], predicted.spread[:, 9])
    largest = _largest_variance(predicted.P).max(axis=1) + _largest(scan.R[items]).max()
    largest = largest + lag * lag * rates
    # The modes of a track lie apart from its mean.
    apart = np.abs(predicted.x[:, :, :2] - predicted.mean[:, None, :2]).max(axis=(1, 2))
    slack = np.hypot(predicted.mean[:, 2], predicted.mean[:, 3]) * lag + 1.5 * apart
    reach = np.sqrt(settings.gate * largest) + slack
    table_named = table.identity_kind[predicted.rows] != IdentityKind.NONE
    if table_named.any() and (scan.identity_kind[items] != IdentityKind.NONE).any():
        named = table_named & np.isin(table.identity[predicted.rows], scan.identity[items])
        reach = np.where(named, np.sqrt(settings.identity_gate * largest) + slack, reach)
    row, column = pairs_within(np.ascontiguousarray(predicted.mean[:, :2]), reach, scan.z[items])
    item = items[column]
    beside = _height_distance(table, scan, predicted.rows[row], item, settings)
    rate, rate_score = _rate_distance(scan, predicted, row, item)
    beside = beside + rate
    matched = names_match(table, scan, predicted.rows[row], item)
    limit = np.where(matched, settings.identity_gate, settings.gate)
    likelihood, keep = np.empty((len(row), MODES)), np.empty(len(row), dtype=np.bool_)
    weigh(
        row, item, predicted.x, predicted.P, predicted.mu, scan.z, scan.R, scan.delta, beside,
        limit, likelihood, keep,
    )  # fmt: skip
    kind = table.identity_kind[predicted.rows[row]]
    rival = (
        (kind == scan.identity_kind[item])
        & (kind != IdentityKind.NONE)
        & (table.identity[predicted.rows[row]] != scan.identity[item])
    )
    keep &= ~rival & (table.mode[predicted.rows[row]] == scan.mode)
    row, item, likelihood, matched = row[keep], item[keep], likelihood[keep], matched[keep]
    both = (predicted.mu[row] * likelihood).sum(axis=1)
    score = rate_score[keep] - 0.5 * beside[keep]
    score = score + class_score(table.classes[predicted.rows[row]], scan.classes[item], sensor)
    ratio = both * np.exp(score) / predicted.density
    return Pairs(row, item, likelihood, ratio, matched)


def _largest_variance(P: Floats) -> Floats:
    """Larger eigenvalue (..., ) of the positions' 2 x 2 blocks of packed covariances."""
    half = 0.5 * (P[..., 0] + P[..., 4])
    return half + np.hypot(0.5 * (P[..., 0] - P[..., 4]), P[..., 1])


def _largest(R: Floats) -> Floats:
    half = 0.5 * (R[:, 0, 0] + R[:, 1, 1])
    return half + np.hypot(0.5 * (R[:, 0, 0] - R[:, 1, 1]), R[:, 0, 1])


def _height_distance(
    table: TrackTable, scan: Scan, rows: Array, items: Array, settings: Settings
) -> Floats:
    """Squared normalised difference in height (p,), 0 where either is not known."""
    if np.isnan(scan.height).all():
        return np.zeros(len(rows))
    dt = np.maximum((scan.time - table.h_time[rows]) * NANO, 0.0)
    h, Ph = kalman.predict_height(table.h[rows], table.Ph[rows], dt, settings.climb_density)
    difference = scan.height[items] - h[:, 0]
    distance = difference * difference / (Ph[:, 0] + scan.height_variance[items])
    return np.where(np.isnan(distance), 0.0, distance)


def _rate_distance(
    scan: Scan, predicted: Predicted, row: Array, item: Array
) -> tuple[Floats, Floats]:
    """Squared normalised difference in range rate (p,), and what else it adds to the score."""
    if np.isnan(scan.range_rate).all():
        return np.zeros(len(row)), np.zeros(len(row))
    sight, spread = scan.sight[item], predicted.spread[row]
    variance = (
        sight[:, 0] * sight[:, 0] * spread[:, 7]
        + 2.0 * sight[:, 0] * sight[:, 1] * spread[:, 8]
        + sight[:, 1] * sight[:, 1] * spread[:, 9]
        + scan.range_rate_variance[item]
    )
    difference = scan.range_rate[item] - (sight * predicted.mean[row, 2:]).sum(axis=1)
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
