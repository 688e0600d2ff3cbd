"""New tentative tracks from detections that no track wanted."""

import numpy as np
from scipy.spatial import cKDTree

from fusion import existence
from fusion.classes import class_likelihood
from fusion.measure import Scan
from fusion.outcome import Outcome
from fusion.reach import Predicted
from fusion.settings import MODES, Settings
from fusion.table import TrackTable
from fusion.update import take_rates, update_heights
from model.arrays import Array, Bools, Floats, Int64s
from model.detections import IdentityKind
from model.sensors import Sensor
from model.tracks import Status, UpdateReason

LEAST_UNCLAIMED = 0.05
"""A detection that tracks claim to a greater part starts none of its own."""


def initiate(
    table: TrackTable,
    scan: Scan,
    unclaimed: Floats,
    ratio: float,
    predicted: Predicted,
    paired: Bools,
    sensor: Sensor,
    settings: Settings,
    outcome: Outcome,
) -> None:
    """Start tentative tracks from detections that no track claims.

    Parameters
    ----------
    table, scan, predicted, sensor, settings, outcome
        As in `fusion.scan`.
    unclaimed
        (m,) probability that each detection belongs to no track.
    ratio
        Movers not known yet that the report brings out, against its clutter.
    paired
        (n,) rows of `predicted` with a detection of their own.
    """
    items = np.flatnonzero(unclaimed > LEAST_UNCLAIMED)
    items = items[_first_of_name(table, scan, items, predicted.rows[paired])]
    if not len(items):
        return
    if sensor.extent_m > 0.0:
        items = items[_apart(table, scan.z[items], predicted, paired, sensor.extent_m)]
    if not len(items):
        return
    count = len(items)
    fresh = TrackTable(count)
    fresh.track_id = track_ids(scan, scan.item[items])
    fresh.time[:] = scan.time
    fresh.mode[:] = scan.mode
    _place(fresh, scan, items, settings)
    fresh.h_time[:] = scan.time
    update_heights(fresh, scan, np.arange(count), items, settings)
    fresh.hits[:] = 1
    fresh.llr[:] = existence.log_odds(unclaimed[items] * (ratio / (1.0 + ratio)))
    if sensor.cooperative:
        fresh.llr[:] = settings.cap_llr
    fresh.sensors[:, 0] = scan.sensor
    fresh.heard[:, 0] = scan.time
    likelihood = class_likelihood(scan.classes[items], sensor)
    fresh.classes[:] = likelihood - likelihood.max(axis=1, keepdims=True)
    fresh.identity_kind[:] = scan.identity_kind[items]
    fresh.identity[:] = scan.identity[items]
    outcome.add(fresh.track_id, UpdateReason.DETECTED)
    if sensor.cooperative:
        fresh.status[:] = Status.CONFIRMED
        outcome.add(fresh.track_id, UpdateReason.CONFIRMED)
    table.append(fresh)


def _place(fresh: TrackTable, scan: Scan, items: Array, settings: Settings) -> None:
    """Where new tracks are and how fast, in each mode."""
    fresh.mu[:] = 1.0 / MODES
    fresh.born[:] = scan.time
    fresh.anchor[:, :2] = scan.z[items]
    fresh.anchor[:, 2] = 0.5 * (scan.R[items, 0, 0] + scan.R[items, 1, 1])
    fresh.x[:, :, :2] = scan.z[items][:, None]
    fresh.P[:] = 0.0
    R = scan.R[items]
    # A detection of another time than the report's is carried to it by an unknown velocity.
    delta = scan.delta[items]
    for mode, speed in enumerate(settings.initial_speed_mps):
        fresh.P[:, mode, 0] = R[:, 0, 0] + (delta * speed) ** 2
        fresh.P[:, mode, 1] = R[:, 0, 1]
        fresh.P[:, mode, 4] = R[:, 1, 1] + (delta * speed) ** 2
        fresh.P[:, mode, 7] = fresh.P[:, mode, 9] = speed * speed
    moving = np.flatnonzero(~np.isnan(scan.velocity[items, 0]))
    if len(moving):
        velocity = scan.velocity[items[moving], :2]
        fresh.x[moving, :, 2:] = velocity[:, None]
        fresh.x[moving, :, :2] -= (delta[moving, None] * velocity)[:, None]
        fresh.P[moving[:, None], :, [7, 9]] = scan.velocity_variance[items[moving], None, None]
    rated = ~np.isnan(scan.range_rate[items]) & np.isnan(scan.velocity[items, 0])
    if rated.any():
        rows = np.flatnonzero(rated)
        take_rates(
            rows, items[rows], fresh.x, fresh.P, fresh.mu, scan.velocity, scan.velocity_variance,
            scan.range_rate, scan.range_rate_variance, scan.sight,
        )  # fmt: skip


def _first_of_name(table: TrackTable, scan: Scan, items: Array, rows: Array) -> Bools:
    """Which items bear no identity, or one that neither rows heard now nor an item before bear.

    A mover that says its name several times in a report is still one.
    """
    fresh = np.ones(len(items), dtype=np.bool_)
    kind = scan.identity_kind[items]
    if not (kind != IdentityKind.NONE).any():
        return fresh
    heard = set(zip(table.identity_kind[rows].tolist(), table.identity[rows].tolist(), strict=True))
    names = zip(kind.tolist(), scan.identity[items].tolist(), strict=True)
    for index, name in enumerate(names):
        if name[0] != IdentityKind.NONE:
            fresh[index] = name not in heard
            heard.add(name)
    return fresh


def _apart(
    table: TrackTable, z: Floats, predicted: Predicted, paired: Bools, extent_m: float
) -> Bools:
    """Which places (k, 2) lie farther than the extent from targets that the report has shown."""
    rows = predicted.rows
    known = (table.status[rows] != Status.TENTATIVE) | paired
    apart = np.ones(len(z), dtype=np.bool_)
    if known.any():
        distance, _ = cKDTree(predicted.mean[known, :2]).query(z)
        apart = np.asarray(distance) >= extent_m
    # Places kept lie an extent apart, so each cell of that size holds few of them.
    cells: dict[tuple[int, int], list[tuple[float, float]]] = {}
    columns = np.floor(z / max(extent_m, 1e-3)).astype(np.int64).tolist()
    points = z.tolist()
    for index in np.flatnonzero(apart).tolist():
        (east, north), (column, row) = points[index], columns[index]
        near = (
            place
            for a in (column - 1, column, column + 1)
            for b in (row - 1, row, row + 1)
            for place in cells.get((a, b), ())
        )
        if any((e - east) ** 2 + (n - north) ** 2 < extent_m * extent_m for e, n in near):
            apart[index] = False
        else:
            cells.setdefault((column, row), []).append((east, north))
    return apart


def track_ids(scan: Scan, items: Array) -> Int64s:
    """Ids (k,) > 0 that depend only on the detections that initiate the tracks.

    Offset and item are packed and mixed by the finaliser of SplitMix64 (Steele, Lea, Flood 2014,
    doi:10.1145/2660193.2660195), a bijection of 64 bits of which 63 are kept: two tracks share an
    id with probability 2^-63 while an input has fewer than 2^24 detections.
    """
    packed = scan.offset << 24
    value = np.uint64(packed & 0xFFFFFFFFFFFFFFFF) + items.astype(np.uint64)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    value = value ^ (value >> np.uint64(31))
    ids: Int64s = (value & np.uint64(0x7FFFFFFFFFFFFFFF)).astype(np.int64)
    return np.maximum(ids, 1)
