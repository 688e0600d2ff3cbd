"""Horizontal motion: interacting multiple models, each nearly constant velocity, closed form.

A track has K modes, each a state (east, north, rate of each) with a covariance packed as the upper
triangle by rows (10 numbers), and a probability. The modes differ in the density of their white
acceleration and in how fast a mover just found is taken to go. Between updates a mover may change
its mode; the mixing depends on the time gone by, so it does not matter how often one looks.

References
----------
H. Blom, Y. Bar-Shalom, "The interacting multiple model algorithm for systems with Markovian
switching coefficients", IEEE Trans. Automatic Control 33(8), 1988, doi:10.1109/9.1299.
Y. Bar-Shalom, X. R. Li, T. Kirubarajan, "Estimation with Applications to Tracking and
Navigation", Wiley 2001, sections 6.2.2 and 11.6.6, doi:10.1002/0471221279.
"""

import math

import numpy as np

from fusion.jit import inlined, kernel
from fusion.records import MODES, PACKED, PREDICTED
from model.arrays import Array, Floats

UPPER = (np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 3]), np.array([0, 1, 2, 3, 1, 2, 3, 2, 3, 3]))
"""Row and column of each packed number."""


@inlined
def leave_of(dt: float, sojourn_s: float) -> float:
    """Probability that a mover has changed its mode after `dt` s.

    In the end of a long silence a mover does what movers do.
    """
    return 1.0 - math.exp(-dt / sojourn_s)


@inlined
def mix_and_predict(
    x: Floats, P: Floats, mu: Floats, dt: float, leave: float, density: Floats, share: Floats,
    x_out: Floats, P_out: Floats, mu_out: Floats,
) -> None:  # fmt: skip
    """Predict one track.

    Parameters
    ----------
    x, P, mu
        (K, 4), (K, 10) and (K,) at the last update.
    dt, leave
        Seconds since then, not negative, and `leave_of` them.
    density
        (K,) white-acceleration density of each mode, m²/s³.
    share
        (K,) probability of each mode where a mover changes its mode, adding up to 1.
    x_out, P_out, mu_out
        Filled with the prediction.
    """
    stay = 1.0 - leave
    for j in range(MODES):
        total = 0.0
        for i in range(MODES):
            total += (leave * share[j] + (stay if i == j else 0.0)) * mu[i]
        mu_out[j] = total
        part = 1.0 / total
        for a in range(4):
            x_out[j, a] = 0.0
        for c in range(PACKED):
            P_out[j, c] = 0.0
        for i in range(MODES):
            w = (leave * share[j] + (stay if i == j else 0.0)) * mu[i] * part
            for a in range(4):
                x_out[j, a] += w * x[i, a]
        for i in range(MODES):
            w = (leave * share[j] + (stay if i == j else 0.0)) * mu[i] * part
            d0 = x[i, 0] - x_out[j, 0]
            d1 = x[i, 1] - x_out[j, 1]
            d2 = x[i, 2] - x_out[j, 2]
            d3 = x[i, 3] - x_out[j, 3]
            P_out[j, 0] += w * (P[i, 0] + d0 * d0)
            P_out[j, 1] += w * (P[i, 1] + d0 * d1)
            P_out[j, 2] += w * (P[i, 2] + d0 * d2)
            P_out[j, 3] += w * (P[i, 3] + d0 * d3)
            P_out[j, 4] += w * (P[i, 4] + d1 * d1)
            P_out[j, 5] += w * (P[i, 5] + d1 * d2)
            P_out[j, 6] += w * (P[i, 6] + d1 * d3)
            P_out[j, 7] += w * (P[i, 7] + d2 * d2)
            P_out[j, 8] += w * (P[i, 8] + d2 * d3)
            P_out[j, 9] += w * (P[i, 9] + d3 * d3)
        predict_one(x_out[j], P_out[j], dt, density[j])


@kernel
def carry(x: Floats, P: Floats, dt: float) -> None:
    """Carry one mode along its own velocity, without noise: `x` (4,), `P` (10,), in place.

    Forth and back again it is as it was. A late report is taken in so: the track is carried back to
    the time of the report, updated there, and carried forward again. What the mover did meanwhile
    besides going straight on is left out of it, so this is for reports that are little late.
    """
    predict_one(x, P, dt, 0.0)


@inlined
def predict_one(x: Floats, P: Floats, dt: float, density: float) -> None:
    """Predict one mode in place: `x` (4,), `P` (10,)."""
    x[0] += dt * x[2]
    x[1] += dt * x[3]
    noise = density * dt
    half = 0.5 * noise * dt
    third = noise * dt * dt / 3.0
    p02, p03, p12, p13, p22, p23, p33 = P[2], P[3], P[5], P[6], P[7], P[8], P[9]
    P[0] += dt * (2.0 * p02 + dt * p22) + third
    P[1] += dt * (p03 + p12 + dt * p23)
    P[2] = p02 + dt * p22 + half
    P[3] = p03 + dt * p23
    P[4] += dt * (2.0 * p13 + dt * p33) + third
    P[5] = p12 + dt * p23
    P[6] = p13 + dt * p33 + half
    P[7] = p22 + noise
    P[9] = p33 + noise


@inlined
def average(x: Floats, mu: Floats, out: Floats) -> None:
    """Mean (4,) of a track's modes."""
    for a in range(4):
        value = 0.0
        for k in range(MODES):
            value += mu[k] * x[k, a]
        out[a] = value


@inlined
def combine(x: Floats, P: Floats, mu: Floats, x_out: Floats, P_out: Floats) -> None:
    """Mean (4,) and packed covariance (10,) of a track's modes."""
    average(x, mu, x_out)
    for c in range(PACKED):
        P_out[c] = 0.0
    for k in range(MODES):
        d0, d1 = x[k, 0] - x_out[0], x[k, 1] - x_out[1]
        d2, d3 = x[k, 2] - x_out[2], x[k, 3] - x_out[3]
        w = mu[k]
        P_out[0] += w * (P[k, 0] + d0 * d0)
        P_out[1] += w * (P[k, 1] + d0 * d1)
        P_out[2] += w * (P[k, 2] + d0 * d2)
        P_out[3] += w * (P[k, 3] + d0 * d3)
        P_out[4] += w * (P[k, 4] + d1 * d1)
        P_out[5] += w * (P[k, 5] + d1 * d2)
        P_out[6] += w * (P[k, 6] + d1 * d3)
        P_out[7] += w * (P[k, 7] + d2 * d2)
        P_out[8] += w * (P[k, 8] + d2 * d3)
        P_out[9] += w * (P[k, 9] + d3 * d3)


def moments_at(records: Array, dt: Floats, settings: Array) -> tuple[Floats, Floats]:
    """Means (n, 4) and packed covariances (n, 10) of tracks predicted by `dt` (n,) s.

    Parameters
    ----------
    records
        (n,) with `x`, `P` and `mu` (`fusion.records.TRACK`).
    dt
        s, not negative.
    settings
        `fusion.settings.Settings.record`.
    """
    mean, spread = np.empty((len(records), 4)), np.empty((len(records), PACKED))
    _moments(records, dt, settings, np.zeros(1, PREDICTED), mean, spread)
    return mean, spread


@kernel
def _moments(
    records: Array, dt: Floats, settings: Array, room: Array, mean: Floats, spread: Floats
) -> None:
    s, to = settings[0], room[0]
    for n in range(len(records)):
        of = records[n]
        mix_and_predict(
            of.x, of.P, of.mu, dt[n], leave_of(dt[n], s.sojourn_s), s.acceleration_density, EVEN,
            to.x, to.P, to.mu,
        )  # fmt: skip
        combine(to.x, to.P, to.mu, mean[n], spread[n])


EVEN = np.full(MODES, 1.0 / MODES)
"""Modes of equal shares. What is said of a track is predicted by these and by the settings, not by
what was learned: so what was said of one that no report has touched is what would be said now."""


def unpacked(P: Floats) -> Floats:
    """Matrices (T, 4, 4) of packed covariances (T, 10)."""
    full = np.empty((len(P), 4, 4))
    full[:, UPPER[0], UPPER[1]] = P
    full[:, UPPER[1], UPPER[0]] = P
    return full


def packed(P: Floats) -> Floats:
    """Packed covariances (..., 10) of matrices (..., 4, 4)."""
    upper: Floats = P[..., UPPER[0], UPPER[1]]
    return upper


LEAST_PART = 1e-12
"""Least part of a variance that an update may leave: float64 keeps 1e-16 of it."""


@inlined
def make_sound(P: Floats, before: Floats) -> None:
    """Make a packed covariance (10,) positive again where rounding has taken that from it.

    Parameters
    ----------
    P
        After an update, in place. As a rule it is sound, and stays as it is.
    before
        (4,) variances before the update.
    """
    for a, c in ((0, 0), (1, 4), (2, 7), (3, 9)):
        P[c] = max(P[c], LEAST_PART * before[a])
    shrink = 1e-12
    while not _positive(P) and shrink < 1.0:
        for c in (1, 2, 3, 5, 6, 8):
            P[c] *= 1.0 - shrink
        shrink *= 10.0
    if shrink >= 1.0:
        for c in (1, 2, 3, 5, 6, 8):
            P[c] = 0.0


@inlined
def _positive(P: Floats) -> bool:
    """Whether a packed covariance has a Cholesky factor, each step in units of its own variance."""
    if not P[0] > 0.0:
        return False
    i0 = 1.0 / P[0]
    d1 = P[4] - P[1] * P[1] * i0
    if not d1 > LEAST_PART * P[4]:
        return False
    i1 = 1.0 / d1
    l21, l31 = P[5] - P[1] * P[2] * i0, P[6] - P[1] * P[3] * i0
    d2 = P[7] - P[2] * P[2] * i0 - l21 * l21 * i1
    if not d2 > LEAST_PART * P[7]:
        return False
    l32 = P[8] - P[2] * P[3] * i0 - l21 * l31 * i1
    d3 = P[9] - P[3] * P[3] * i0 - l31 * l31 * i1 - l32 * l32 / d2
    positive: bool = d3 > LEAST_PART * P[9]
    return positive


@inlined
def largest_variance(ee: float, en: float, nn: float) -> float:
    """Greater eigenvalue of a symmetric 2 x 2 matrix."""
    half, cross = 0.5 * (ee - nn), en
    return 0.5 * (ee + nn) + math.sqrt(half * half + cross * cross)
