"""What silence means: when a track coasts, and when it is lost.

The same is asked in the table at the time of each report, and by the clock of what is published.
"""

import numpy as np

from fusion.settings import NANO, Settings
from fusion.table import TrackTable
from model.arrays import Array, Bools, Floats
from model.sensors import Sensors
from model.tracks import Status


def periods(table: TrackTable, sensors: Sensors) -> tuple[Floats, Floats]:
    """Shortest and longest period (T,), s, of the sensors that contributed to each track."""
    period = np.array([sensor.period_s for sensor in sensors] + [np.nan])
    of_each = period[np.where(table.sensors < 0, len(period) - 1, table.sensors)]
    return (
        np.where(np.isnan(of_each), np.inf, of_each).min(axis=1),
        np.where(np.isnan(of_each), 0.0, of_each).max(axis=1),
    )


def latencies(table: TrackTable, sensors: Sensors) -> Floats:
    """Greatest latency (T,), s, of the sensors that contributed to each track: no silence."""
    latency = np.array([max(sensor.latency_s, 0.0) for sensor in sensors] + [0.0])
    greatest: Floats = latency[table.sensors].max(axis=1)  # -1, no sensor, is the last
    return greatest


def lost_after(table: TrackTable, sensors: Sensors, settings: Settings) -> Floats:
    """Seconds (T,) of silence after which each track is lost."""
    _, longest = periods(table, sensors)
    silence = np.where(
        table.status == Status.TENTATIVE,
        np.maximum(settings.confirm_hits * longest, settings.tentative_lost_s),
        np.maximum(settings.lost_periods * longest, settings.least_lost_s),
    )
    return silence + latencies(table, sensors)


def lost_at(table: TrackTable, now_ns: int, sensors: Sensors, settings: Settings) -> Bools:
    """Which tracks were silent for too long, or are no longer known to be anywhere (T,)."""
    silent = (now_ns - table.heard[:, 0]) * NANO
    lost = np.zeros(len(table), dtype=np.bool_)
    doubtful = np.flatnonzero(silent > min(settings.tentative_lost_s, settings.least_lost_s))
    if not len(doubtful):
        return lost
    rows = table.take(doubtful)
    dt = silent[doubtful]
    spread = (
        rows.P[:, :, [0, 4]]
        + 2.0 * dt[:, None, None] * rows.P[:, :, [2, 6]]
        + (dt * dt)[:, None, None] * rows.P[:, :, [7, 9]]
    ).max(axis=2)
    spread = (spread * rows.mu).sum(axis=1)
    lost[doubtful] = dt > lost_after(rows, sensors, settings)
    lost[doubtful] |= (
        (rows.status != Status.TENTATIVE)
        & (dt > settings.least_lost_s + latencies(rows, sensors))
        & (spread > settings.lost_sigma_m**2)
    )
    return lost


def status_at(table: TrackTable, now_ns: int, sensors: Sensors, settings: Settings) -> Array:
    """(T,) uint8: the table's status, with confirmed tracks that were not heard coasting."""
    shortest, _ = periods(table, sensors)
    silent = (now_ns - table.heard[:, 0]) * NANO
    coasting = (table.status == Status.CONFIRMED) & (
        silent
        > np.maximum(settings.coast_periods * shortest, settings.least_coast_s)
        + latencies(table, sensors)
    )
    return np.where(coasting, np.uint8(Status.COASTING), table.status)
