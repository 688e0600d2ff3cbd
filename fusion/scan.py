"""One report against the table: predict, gate, associate, update, initiate, confirm, delete.

Confirmed tracks choose first, then tentative ones from what is left, and what nobody wants starts
new tentative tracks. Everything works on whole arrays; nothing depends on anything but the
arguments.
"""

import numpy as np

from fusion import existence
from fusion.associate import assign
from fusion.initiate import initiate
from fusion.measure import Scan
from fusion.outcome import Outcome, remove
from fusion.pairs import gated_pairs, names_match
from fusion.reach import Predicted, predict_rows
from fusion.settings import NANO, Settings
from fusion.silence import lost_at
from fusion.table import TrackTable
from fusion.update import update_by_bearing, update_rows
from model.arrays import Bools
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
    predicted = predict_rows(table, scan, sensor, region, settings)
    free = scan.planar
    paired = np.zeros(len(predicted.rows), dtype=np.bool_)  # an own detection was fused
    if free.any() and len(predicted.rows):
        pair_row, pair_item, gain, score = gated_pairs(table, scan, predicted, sensor, settings)
        confirmed = table.status[predicted.rows] != Status.TENTATIVE
        named = names_match(table, scan, predicted.rows[pair_row], pair_item)
        for stage in (named, confirmed[pair_row], ~confirmed[pair_row]):
            open_pairs = stage & free[pair_item] & ~paired[pair_row]
            chosen = np.flatnonzero(open_pairs)
            chosen = chosen[assign(pair_row[chosen], pair_item[chosen], gain[chosen])]
            if not len(chosen):
                continue
            rows, items = pair_row[chosen], pair_item[chosen]
            paired[rows] = True
            free[items] = False
            update_rows(table, scan, predicted, rows, items, score[chosen], sensor, settings)
            outcome.add(table.track_id[predicted.rows[rows]], UpdateReason.DETECTED)
    if not np.isnan(scan.azimuth).all():
        rows, pointed = update_by_bearing(table, scan, predicted, sensor, settings)
        paired |= pointed
        outcome.add(table.track_id[rows], UpdateReason.DETECTED)
    _charge_misses(table, scan, predicted, paired, sensors, settings, outcome)
    _confirm(table, scan, sensor, settings, outcome)
    initiate(table, scan, free, predicted, paired, sensor, settings, outcome)
    _drop(table, settings, outcome)
    return outcome


def _named_in(table: TrackTable, scan: Scan) -> Bools:
    """Which tracks (T,) bear an identity that the report names."""
    names = scan.identity[scan.identity_kind != IdentityKind.NONE]
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


def _charge_misses(
    table: TrackTable,
    scan: Scan,
    predicted: Predicted,
    paired: Bools,
    sensors: Sensors,
    settings: Settings,
    outcome: Outcome,
) -> None:
    """Charge tracks that the sensor could have seen and did not."""
    chance = np.minimum(predicted.pd, settings.greatest_pd)
    charge = existence.miss(chance, settings.gate_probability)
    charge = charge * min(1.0, sensors[scan.sensor].period_s / settings.miss_correlation_s)
    excused = paired | _reports_itself(table, scan, predicted, sensors, settings)
    missed = np.flatnonzero(~excused & (charge < 0.0))
    if not len(missed):
        return
    rows = predicted.rows[missed]
    table.llr[rows] += charge[missed]
    outcome.add(table.track_id[rows], UpdateReason.MISSED)


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
    if ready.any():
        table.status[ready] = Status.CONFIRMED
        outcome.add(table.track_id[ready], UpdateReason.CONFIRMED)


def _drop(table: TrackTable, settings: Settings, outcome: Outcome) -> None:
    tentative = table.status == Status.TENTATIVE
    limit = np.where(tentative, settings.tentative_drop_llr, settings.drop_llr)
    remove(table, table.llr < limit, outcome)
