"""Constant-velocity Kalman filters in batches.

The horizontal state is (east, north, rate of each), shape (T, 4), with covariance (T, 4, 4); the
vertical one (height, rate), shape (T, 2), with packed covariance (T, 3). Updates are in Joseph's
form, which keeps a covariance symmetric and positive under rounding.

References
----------
Y. Bar-Shalom, X. R. Li, T. Kirubarajan, "Estimation with Applications to Tracking and
Navigation", Wiley 2001, sections 5.2 and 6.2.2, doi:10.1002/0471221279.
"""

import numpy as np

from model.arrays import Floats


def predict_height(h: Floats, Ph: Floats, dt: Floats, density: float) -> tuple[Floats, Floats]:
    """Predict vertical states (T, 2) and packed covariances (T, 3); NaN stays NaN."""
    height = h[:, 0] + dt * h[:, 1]
    variance = Ph[:, 0] + 2.0 * dt * Ph[:, 1] + dt * dt * Ph[:, 2] + density * dt**3 / 3.0
    cross = Ph[:, 1] + dt * Ph[:, 2] + density * dt * dt / 2.0
    rate = Ph[:, 2] + density * dt
    return np.stack([height, h[:, 1]], axis=1), np.stack([variance, cross, rate], axis=1)


def update_height(
    h: Floats, Ph: Floats, z: Floats, variance: Floats, initial_rate: float
) -> tuple[Floats, Floats]:
    """Update vertical states with heights (T,); a state that is NaN starts from the measurement."""
    fresh = np.isnan(h[:, 0])
    a, b, c = (Ph[:, i] for i in range(3))
    S = a + variance
    k0, k1 = a / S, b / S
    innovation = z - h[:, 0]
    out = np.stack([h[:, 0] + k0 * innovation, h[:, 1] + k1 * innovation], axis=1)
    keep = variance / S  # 1 - k0, without the rounding that could leave nothing
    covariance = np.stack([keep * a, keep * b, c - k1 * b], axis=1)
    start = np.stack([z, np.zeros_like(z)], axis=1)
    start_covariance = np.stack(
        [variance, np.zeros_like(z), np.full_like(z, initial_rate**2)], axis=1
    )
    return (
        np.where(fresh[:, None], start, out),
        np.where(fresh[:, None], start_covariance, covariance),
    )
