"""One report against the table: the whole of what happens to it, step by step.

predict -> gate -> weigh -> associate -> update -> existence -> initiate -> confirm -> drop

References
----------
J. Williams, "Marginal multi-Bernoulli filters: RFS derivation of MHT, JIPDA, and association-based
MeMBer", IEEE Trans. AES 51(3), 2015, doi:10.1109/TAES.2015.130550: existence, association and new
movers in one Bayesian step.
"""

import numpy as np

from fusion import existence
from fusion.bearings import update_by_bearing
from fusion.gate import pairs_within
from fusion.initiate import initiate
from fusion.marginals import marginals
from fusion.measure import Scan
from fusion.motion import PACKED, combine_rows
from fusion.outcome import Outcome, remove
from fusion.pairs import Pairs, gated_pairs
from fusion.reach import Predicted, predict_tracks
from fusion.rivals import SAME, settle
from fusion.settings import NANO, Settings
from fusion.silence import lost_at
from fusion.table import TrackTable
from fusion.update import Shares, take_in
from model.arrays import Array, Bools, Floats
from model.detections import IdentityKind
from model.frames import Region
from model.sensors import Sensor, Sensors
from model.tracks import Status, UpdateReason


def fuse(
    table: TrackTable, scan: Scan, sensors: Sensors, region: Region, settings: Settings
) -> Outcome:
    """Fuse one report into the table, in place.

    Parameters
    ----------
    table
        The tracks; none of them newer than the report.
    scan
        The report in the plane of the region.
    sensors, region, settings
        Those that the indices are about, the plane, and the constants.

    Returns
    -------
    Outcome
        Which tracks changed and why, and the rows that were deleted.
    """
    outcome = Outcome()
    sensor = sensors[scan.sensor]
    # Silence is judged at the report's time, so the table depends on nothing but the reports.
    # Whoever reports himself now was silent, not lost: he keeps his track.
    lost = lost_at(table, scan.time, sensors, settings)
    remove(table, lost & ~_named_in(table, scan), outcome)
    predicted = predict_tracks(table, scan, sensors, region, settings)
    fresh = _new_ratio(table, scan, sensor, predicted.density, settings)
    unclaimed = np.where(scan.planar, 1.0, 0.0)
    paired = np.zeros(len(predicted.rows), dtype=np.bool_)  # an own detection was fused
    if len(predicted.rows):
        prior = _there(table, predicted, sensor, settings)
        unseen = _unseen(table, scan, predicted, sensors, settings)
        claims = np.zeros(len(predicted.rows))
        if scan.planar.any():
            pairs = gated_pairs(table, scan, predicted, sensor, settings)
            shares, claims, free = _associate(pairs, prior, unseen, predicted.pd, fresh)
            unclaimed[: len(free)] *= free
            paired = take_in(table, scan, predicted, pairs, shares, sensor, settings)
            outcome.add(table.track_id[predicted.rows[paired]], UpdateReason.DETECTED)
        if not np.isnan(scan.azimuth).all():
            rows, pointed = update_by_bearing(table, scan, predicted, sensor, settings)
            paired |= pointed
            unseen = np.where(pointed, 0.0, unseen)
            outcome.add(table.track_id[rows], UpdateReason.DETECTED)
        _exist(table, predicted, prior, unseen, claims, sensor.extent_m, settings, outcome)
    _confirm(table, scan, sensor, settings, outcome)
    initiate(table, scan, unclaimed, fresh, predicted, paired, sensor, settings, outcome)
    _drop(table, scan, settings, outcome)
    table.looks[scan.sensor] += 1
    return outcome


def _new_ratio(
    table: TrackTable, scan: Scan, sensor: Sensor, density: float, settings: Settings
) -> float:
    """New movers that the report brings out, against its clutter."""
    table.look_at(scan.sensor)
    chance = min(max(sensor.detection_probability.value), settings.greatest_pd)
    left = (1.0 - chance) ** min(int(table.looks[scan.sensor]), 50)
    new = max(settings.new_density_m2 / density, settings.new_share)
    unseen = max(settings.unseen_density_m2 / density, settings.unseen_share)
    return chance * max(new, unseen * left)


def _there(table: TrackTable, predicted: Predicted, sensor: Sensor, settings: Settings) -> Floats:
    """Probability (n,) that each track is still there, before the report is looked into."""
    gone = 1.0 - np.exp(-sensor.period_s / settings.lifetime_s)
    prior: Floats = existence.probability(table.llr[predicted.rows])
    left: Floats = prior * (1.0 - gone * predicted.pd)
    return left


def _unseen(
    table: TrackTable, scan: Scan, predicted: Predicted, sensors: Sensors, settings: Settings
) -> Floats:
    """How much (n,) it says that the sensor did not see a track: 0, nothing; 1, all."""
    chance = np.minimum(predicted.pd, settings.greatest_pd) * settings.gate_probability
    weight = min(1.0, sensors[scan.sensor].period_s / settings.miss_correlation_s)
    unseen = 1.0 - (1.0 - chance) ** weight
    return np.where(_reports_itself(table, scan, predicted, sensors, settings), 0.0, unseen)


def _associate(
    pairs: Pairs, prior: Floats, unseen: Floats, pd: Floats, fresh: float
) -> tuple[Shares, Floats, Floats]:
    """Probabilities of the pairs, claims (n,) on detections, and what is left of each detection."""
    items = int(pairs.item.max()) + 1 if len(pairs.item) else 0
    free = 1.0 - prior * unseen
    psi = prior[pairs.row] * np.maximum(pd[pairs.row], 0.1) * pairs.ratio / free[pairs.row]
    if pairs.named.any():
        # A detection that bears the track's name belongs to it wherever within the gate it lies.
        by_row, by_item = np.zeros(len(prior), np.bool_), np.zeros(items, np.bool_)
        by_row[pairs.row[pairs.named]] = True
        by_item[pairs.item[pairs.named]] = True
        taken = by_row[pairs.row] | by_item[pairs.item]
        # Of several that bear it the likeliest one.
        named = np.flatnonzero(pairs.named)
        named = named[np.lexsort((named, -psi[named], pairs.row[named]))]
        first = named[np.unique(pairs.row[named], return_index=True)[1]]
        psi = np.where(taken, 0.0, psi)
        psi[first] = CERTAIN
    psi = np.minimum(psi, 1e12)
    rest = np.full(items, 1.0 + fresh)
    prob, left = marginals(pairs.row, pairs.item, psi, rest, len(prior), items)
    claims: Floats = np.bincount(pairs.row, prob, minlength=len(prior)).astype(np.float64)
    silent = prior * (1.0 - unseen) / free  # there, if none of the detections is its own
    there = claims + np.maximum(1.0 - claims, 0.0) * silent
    return Shares(prob / np.maximum(there[pairs.row], 1e-300), claims, there), claims, left


CERTAIN = 1e9
"""Weight of a pair that is certain."""


def _exist(
    table: TrackTable,
    predicted: Predicted,
    prior: Floats,
    unseen: Floats,
    claims: Floats,
    extent_m: float,
    settings: Settings,
    outcome: Outcome,
) -> None:
    """What claims and silence say about the tracks being real."""
    silent = prior * (1.0 - unseen) / (1.0 - prior * unseen)
    there = claims + np.maximum(1.0 - claims, 0.0) * silent
    rows = predicted.rows
    # Only between tracks that this report says something about.
    spoken = np.flatnonzero((claims > 0.0) & (there > 0.02))
    if len(spoken) > 1:
        _settle(table, predicted, spoken, there, extent_m, settings)
    before = table.llr[rows]
    after = np.minimum(existence.log_odds(there), settings.cap_llr)
    changed = (unseen > 0.0) | (claims > 0.0)
    table.llr[rows] = np.where(changed, after, before)
    missed = changed & (after < before) & (claims < 0.5)
    ids = table.track_id[rows[missed]]
    outcome.touched |= {
        track: int(UpdateReason.MISSED) for track in ids.tolist() if track not in outcome.touched
    }


def _settle(
    table: TrackTable, predicted: Predicted, spoken: Array, there: Floats, extent_m: float,
    settings: Settings,
) -> None:  # fmt: skip
    """Move existence between tracks that stand for the same mover, in place."""
    mean, spread = np.empty((len(spoken), 4)), np.empty((len(spoken), PACKED))
    combine_rows(spoken, predicted.x, predicted.P, predicted.mu, mean, spread)
    names = table.identity_kind[predicted.rows[spoken]]
    plain = np.flatnonzero(names == IdentityKind.NONE)  # who has a name is nobody else
    if len(plain) < 2:
        return
    some = there[spoken]
    shown = table.status[predicted.rows[spoken]] != Status.TENTATIVE
    order = plain[np.lexsort((plain, -np.round(some[plain], 2), ~shown[plain]))]
    reach = np.sqrt(4.0 * SAME * np.maximum(spread[:, 0], spread[:, 4]))
    reach = np.maximum(reach, extent_m)
    i, j = pairs_within(np.ascontiguousarray(mean[order, :2]), reach[order], mean[order, :2])
    close = i < j
    if close.any():
        most = float(existence.probability(np.array([settings.cap_llr]))[0])
        better, other = order[i[close]], order[j[close]]
        rows = predicted.rows[spoken]
        resolved = _resolved(table, rows[better], rows[other])
        settle(mean, spread, better, other, some, most, resolved, extent_m)
        there[spoken] = some


def _resolved(table: TrackTable, one: Array, two: Array) -> Bools:
    """Which pairs of rows (p,) two sensors have shown as two, each in its last report of either."""
    same = table.sensors[one][:, :, None] == table.sensors[two][:, None, :]
    same &= table.sensors[one][:, :, None] >= 0
    same &= table.heard[one][:, :, None] == table.heard[two][:, None, :]
    both: Bools = same.sum(axis=(1, 2)) >= 2
    return both


def _named_in(table: TrackTable, scan: Scan) -> Bools:
    """Which tracks (T,) bear an identity that the report names."""
    names = scan.identity[scan.identity_kind != IdentityKind.NONE]
    if not len(names):
        return np.zeros(len(table), dtype=np.bool_)
    named: Bools = (table.identity_kind != IdentityKind.NONE) & np.isin(table.identity, names)
    return named


def _reports_itself(
    table: TrackTable, scan: Scan, predicted: Predicted, sensors: Sensors, settings: Settings
) -> Bools:
    """Which rows have a cooperative sensor that heard them lately."""
    fresh = np.array([settings.fresh_periods * s.period_s * s.cooperative for s in sensors] + [0.0])
    heard_by = table.sensors[predicted.rows]
    age = (scan.time - table.heard[predicted.rows]) * NANO
    lately: Bools = np.asarray((age < fresh[heard_by]).any(axis=1))
    return lately


def _confirm(
    table: TrackTable, scan: Scan, sensor: Sensor, settings: Settings, outcome: Outcome
) -> None:
    spoke = (table.sensors[:, 0] == scan.sensor) & (table.heard[:, 0] == scan.time)
    needed = np.where(spoke & sensor.cooperative, 1, settings.confirm_hits)
    ready = (
        (table.status == Status.TENTATIVE)
        & (table.llr >= settings.confirm_llr)
        & (table.hits >= needed)
    )
    ready &= ~_stands(table, scan, settings)
    if ready.any():
        table.status[ready] = Status.CONFIRMED
        outcome.add(table.track_id[ready], UpdateReason.CONFIRMED)


def _stands(table: TrackTable, scan: Scan, settings: Settings) -> Bools:
    """Which tracks (T,) stand where they were first seen and nobody says what they are.

    A shore, a buoy or a moored boat returns at every look, and is no mover. What a sensor names or
    classifies is shown wherever it stands: a drone that hovers, a person who waits.
    """
    age = (scan.time - table.born) * NANO
    plain = (table.identity_kind == IdentityKind.NONE) & (table.classes == 0.0).all(axis=1)
    stands: Bools = ~table.moved & plain & (age > settings.still_s)
    return stands


def _drop(table: TrackTable, scan: Scan, settings: Settings, outcome: Outcome) -> None:
    # A track that is hardly there is not shown; if it is seen again it comes back as the same.
    doubtful = table.llr < settings.drop_llr
    doubtful |= _stands(table, scan, settings)
    doubtful &= table.status != Status.TENTATIVE
    if doubtful.any():
        table.status[doubtful] = Status.TENTATIVE
        outcome.add(table.track_id[doubtful], UpdateReason.LOST)
        outcome.deleted.extend(table.track_id[doubtful].tolist())
    remove(table, table.llr < settings.tentative_drop_llr, outcome)
