"""What hits and misses say about a track being a real mover.

Existence is kept as log-odds. How association weighs hits, misses and movers not known yet against
clutter is in `fusion.scan`; here stands what a sensor's clutter is.

References
----------
D. Musicki, R. Evans, S. Stankovic, "Integrated probabilistic data association", IEEE Trans.
Automatic Control 39(6), 1994, doi:10.1109/9.293185.
"""

import numpy as np

from fusion.settings import LEAST_CLUTTER_DENSITY_M2
from model.arrays import Floats
from model.sensors import Sensor

LOG_2PI = float(np.log(2.0 * np.pi))


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


def probability(llr: Floats) -> Floats:
    """Log-odds as a probability."""
    return 1.0 / (1.0 + np.exp(-llr))


def log_odds(probability: Floats) -> Floats:
    """A probability as log-odds, finite at 0 and 1."""
    sure = np.clip(probability, 1e-15, 1.0 - 1e-12)
    odds: Floats = np.log(sure) - np.log1p(-sure)
    return odds
