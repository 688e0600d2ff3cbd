"""What hits and misses say about a track being a real mover.

Existence is kept as log-odds. How association weighs hits, misses and movers not known yet against
clutter is in `fusion.associate`; here stands what goes into it.

References
----------
D. Musicki, R. Evans, S. Stankovic, "Integrated probabilistic data association", IEEE Trans.
Automatic Control 39(6), 1994, doi:10.1109/9.293185.
"""

import math

import numpy as np

from fusion.jit import inlined, kernel
from fusion.records import Record
from fusion.settings import LEAST_CLUTTER_DENSITY_M2, NANO
from model.arrays import Array
from model.sensors import Sensor


def clutter_density(sensor: Sensor, region_radius_m: float) -> float:
    """False detections per square metre in one report of a sensor.

    Parameters
    ----------
    sensor
        Its description.
    region_radius_m
        What an unbounded coverage is bounded by.
    """
    if sensor.clutter_density_m2 is not None:
        return max(sensor.clutter_density_m2, LEAST_CLUTTER_DENSITY_M2)
    low, high = sensor.coverage.range_m
    high = min(high, region_radius_m)
    width = 2.0 * np.pi
    if sensor.coverage.azimuth_rad is not None:
        start, stop = sensor.coverage.azimuth_rad
        width = (stop - start) % (2.0 * np.pi) or width
    area = 0.5 * width * max(high * high - low * low, 1.0)
    return float(max(sensor.clutter_per_scan / area, LEAST_CLUTTER_DENSITY_M2))


def bearing_clutter_density(sensor: Sensor) -> float:
    """False bearings per radian in one report of a sensor."""
    width = 2.0 * np.pi
    if sensor.coverage.azimuth_rad is not None:
        start, stop = sensor.coverage.azimuth_rad
        width = (stop - start) % (2.0 * np.pi) or width
    return float(max(sensor.clutter_per_scan, 1e-3) / width)


LEAST, MOST = 1e-15, 1.0 - 1e-12
"""Probabilities are held between these when log-odds are taken."""


@inlined
def probability(llr: float) -> float:
    """Log-odds as a probability."""
    return 1.0 / (1.0 + math.exp(-llr))


@inlined
def log_odds(probability: float) -> float:
    """A probability as log-odds, finite at 0 and 1."""
    sure = min(max(probability, LEAST), MOST)
    return math.log(sure / (1.0 - sure))  # 1 - sure is exact from 0.5 on


@inlined
def unseen_of(
    track: Record, pd: float, now: int, sensors: Array, sensor: Record, s: Record
) -> float:
    """How much it says that a sensor did not see a track: 0, nothing; 1, all.

    Parameters
    ----------
    track
        Its record.
    pd
        Probability that the sensor detects it, if it is there.
    now
        Time of the report, ns.
    sensors, sensor, s
        (S,) `fusion.gathered.SENSOR` of all sensors, the report's own, and constants.
    """
    if now < track.born:
        return 0.0  # a late report, from before anybody saw it
    for k in range(len(track.sensors)):
        by = track.sensors[k]
        if by < 0:
            break
        # A mover that reports itself is not charged: a radar that misses it is in its shadow.
        itself = sensors[by].cooperative
        if itself and (now - track.heard[k]) * NANO < s.fresh_periods * sensors[by].period:
            return 0.0
    weight = min(1.0, sensor.period / s.miss_correlation_s)
    chance = min(pd, s.greatest_pd) * s.gate_probability
    if weight == 1.0:
        return chance
    return 1.0 - (1.0 - chance) ** weight


@kernel
def left_unseen(sensor: Record, looks: int, s: Record) -> float:
    """Part of the movers that were there at first which so many looks of a sensor have not shown.

    `sensor` and `s` as in `unseen_of`.
    """
    left: float = (1.0 - min(sensor.chance, s.greatest_pd)) ** min(looks, 50)
    return left


@kernel
def new_ratio(sensor: Record, density: float, left: float, s: Record) -> float:
    """New movers that a report brings out, against its clutter.

    Parameters
    ----------
    sensor, s
        As in `unseen_of`.
    density
        Clutter per m² and report.
    left
        `left_unseen` by the sensor's reports before this one.
    """
    chance = min(sensor.chance, s.greatest_pd)
    new = max(s.new_density_m2 / density, s.new_share)
    unseen = max(s.unseen_density_m2 / density, s.unseen_share)
    return chance * max(new, unseen * left)
