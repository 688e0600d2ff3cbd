"""What hits and misses say about a track being a real mover.

Existence is kept as log-odds. A detection adds the log-likelihood ratio of coming from the track
against coming from clutter; a report that should have held one and did not adds ``ln(1 - Pd Pg)``.
This is the integrated probabilistic data association filter with the nearest detection in place of
the weighted sum.

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


def hit(pd: Floats, d2: Floats, log_determinant: Floats, density: float) -> Floats:
    """Log-likelihood ratio (p,) of detections from tracks against clutter.

    Parameters
    ----------
    pd
        (p,) probability of detection of each track.
    d2, log_determinant
        (p,) squared Mahalanobis distance, and log of the determinant of the 2 x 2 innovation
        covariance.
    density
        Clutter per square metre.
    """
    likelihood = -0.5 * (d2 + log_determinant) - LOG_2PI
    ratio: Floats = np.log(np.maximum(pd, 1e-3)) + likelihood - np.log(density)
    return ratio


def miss(pd: Floats, gate_probability: float) -> Floats:
    """Log-likelihood ratio (T,) of not being detected: never more than 0."""
    charge: Floats = np.log1p(-np.minimum(pd, 0.999) * gate_probability)
    return charge


def probability(llr: Floats) -> Floats:
    """Log-odds as a probability."""
    return 1.0 / (1.0 + np.exp(-llr))
