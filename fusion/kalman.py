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

from model.arrays import Array, Floats

_I4 = np.eye(4)


def predict(x: Floats, P: Floats, dt: Floats, density: float) -> tuple[Floats, Floats]:
    """Predict horizontal states.

    Parameters
    ----------
    x, P
        (T, 4) and (T, 4, 4).
    dt
        (T,) seconds, not negative.
    density
        White-acceleration density per axis, m²/s³.

    Returns
    -------
    tuple
        Predicted `x` and `P`, new arrays.
    """
    step = dt[:, None]
    x = x.copy()
    x[:, :2] += step * x[:, 2:]
    block = dt[:, None, None]
    A, B, C = P[:, :2, :2], P[:, :2, 2:], P[:, 2:, 2:]
    noise = density * dt
    out = np.empty_like(P)
    out[:, :2, :2] = A + block * (B + B.transpose(0, 2, 1)) + block * block * C
    cross = B + block * C
    out[:, :2, 2:] = cross
    out[:, 2:, 2:] = C
    third, half = noise * dt * dt / 3.0, noise * dt / 2.0
    for axis in (0, 1):
        out[:, axis, axis] += third
        out[:, axis, axis + 2] += half
        out[:, axis + 2, axis + 2] += noise
    out[:, 2:, :2] = out[:, :2, 2:].transpose(0, 2, 1)
    return x, out


def predict_height(h: Floats, Ph: Floats, dt: Floats, density: float) -> tuple[Floats, Floats]:
    """Predict vertical states (T, 2) and packed covariances (T, 3); NaN stays NaN."""
    height = h[:, 0] + dt * h[:, 1]
    variance = Ph[:, 0] + 2.0 * dt * Ph[:, 1] + dt * dt * Ph[:, 2] + density * dt**3 / 3.0
    cross = Ph[:, 1] + dt * Ph[:, 2] + density * dt * dt / 2.0
    rate = Ph[:, 2] + density * dt
    return np.stack([height, h[:, 1]], axis=1), np.stack([variance, cross, rate], axis=1)


def invert2(S: Floats) -> tuple[Floats, Floats]:
    """Inverse (T, 2, 2) and determinant (T,) of symmetric 2 x 2 matrices."""
    a, b, c = S[:, 0, 0], S[:, 0, 1], S[:, 1, 1]
    determinant = a * c - b * b
    inverse = np.empty_like(S)
    inverse[:, 0, 0] = c / determinant
    inverse[:, 1, 1] = a / determinant
    inverse[:, 0, 1] = inverse[:, 1, 0] = -b / determinant
    return inverse, determinant


def update_pair(
    x: Floats, P: Floats, z: Floats, R: Floats, *, rates: bool = False
) -> tuple[Floats, Floats]:
    """Update with two-dimensional measurements of position, or of velocity.

    Parameters
    ----------
    x, P
        (T, 4) and (T, 4, 4), predicted.
    z, R
        (T, 2) and (T, 2, 2).
    rates
        `z` measures the rates instead of the position.
    """
    part = slice(2, 4) if rates else slice(0, 2)
    inverse, _ = invert2(P[:, part, part] + R)
    gain = P[:, :, part] @ inverse
    innovation = z - x[:, part]
    x = x + (gain @ innovation[:, :, None])[:, :, 0]
    keep = np.broadcast_to(_I4, P.shape).copy()
    keep[:, :, part] -= gain
    P = keep @ P @ keep.transpose(0, 2, 1) + gain @ R @ gain.transpose(0, 2, 1)
    return x, symmetric(P)


def update_scalar(
    x: Floats, P: Floats, innovation: Floats, H: Floats, variance: Floats
) -> tuple[Floats, Floats]:
    """Update with one-dimensional measurements.

    Parameters
    ----------
    x, P
        (T, 4) and (T, 4, 4).
    innovation, variance
        (T,) each.
    H
        (T, 4), the measurement's derivative.
    """
    PH = (P @ H[:, :, None])[:, :, 0]
    gain = PH / ((H * PH).sum(axis=1) + variance)[:, None]
    x = x + gain * innovation[:, None]
    keep = _I4 - gain[:, :, None] * H[:, None, :]
    P = keep @ P @ keep.transpose(0, 2, 1)
    P = P + gain[:, :, None] * gain[:, None, :] * variance[:, None, None]
    return x, symmetric(P)


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


def symmetric(P: Array) -> Array:
    """The symmetric part of matrices (T, n, n)."""
    return 0.5 * (P + P.transpose(0, 2, 1))
