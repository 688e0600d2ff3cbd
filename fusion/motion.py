"""Horizontal motion: interacting multiple models, all linear and in closed form.

A track has K modes, each a state (east, north, rate of each) with a covariance packed as the upper
triangle by rows (10 numbers), and a probability. In each the velocity is nearly constant, or is
forgotten: so one stands. The modes differ in the density of their white acceleration, in that, and
in how fast a mover just found is taken to go (`fusion.motions`, `fusion.habits`). Between updates a
mover may change its mode; the mixing depends on the time gone by, so it does not matter how often
one looks.

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
from model.taxonomy import UNKNOWN

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
    x: Floats, P: Floats, mu: Floats, dt: float, leave: float, density: Floats, damping: Floats,
    share: Floats, x_out: Floats, P_out: Floats, mu_out: Floats,
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
    damping
        (K,) rate at which each mode forgets its velocity, 1/s.
    share
        (K,) probability of each mode where a mover changes its mode, adding up to 1.
    x_out, P_out, mu_out
        Filled with the prediction.
    """
    if MODES == 1:
        for a in range(4):
            x_out[0, a] = x[0, a]
        for c in range(PACKED):
            P_out[0, c] = P[0, c]
        mu_out[0] = 1.0
        predict_one(x_out[0], P_out[0], dt, density[0], damping[0])
        return
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
        predict_one(x_out[j], P_out[j], dt, density[j], damping[j])


@kernel
def carry(x: Floats, P: Floats, dt: float) -> None:
    """Carry one mode along its own velocity, without noise: `x` (4,), `P` (10,), in place.

    Forth and back again it is as it was. A late report is taken in so: the track is carried back to
    the time of the report, updated there, and carried forward again. What the mover did meanwhile
    besides going straight on is left out of it, so this is for reports that are little late.
    """
    predict_one(x, P, dt, 0.0, 0.0)


@inlined
def predict_one(x: Floats, P: Floats, dt: float, density: float, damping: float) -> None:
    """Predict one mode in place: `x` (4,), `P` (10,).

    With `damping` 0 the velocity is nearly constant; otherwise it is an Ornstein-Uhlenbeck process.
    """
    noise = density * dt
    half = 0.5 * noise * dt
    third = noise * dt * dt / 3.0
    far, keep = dt, 1.0  # position by velocity, velocity by velocity
    u = damping * dt
    if u > _NOTHING:
        keep = math.exp(-u)
        far = -math.expm1(-u) / damping
        noise = -0.5 * density * math.expm1(-2.0 * u) / damping
        half = 0.5 * density * far * far
        if u > _SMALL:
            third = (density * (dt - 2.0 * far) + noise) / (damping * damping)
        else:  # its series: the difference would be lost in rounding
            third *= 1.0 - 0.75 * u + 0.35 * u * u
    x[0] += far * x[2]
    x[1] += far * x[3]
    x[2] *= keep
    x[3] *= keep
    p02, p03, p12, p13, p22, p23, p33 = P[2], P[3], P[5], P[6], P[7], P[8], P[9]
    P[0] += far * (2.0 * p02 + far * p22) + third
    P[1] += far * (p03 + p12 + far * p23)
    P[2] = keep * (p02 + far * p22) + half
    P[3] = keep * (p03 + far * p23)
    P[4] += far * (2.0 * p13 + far * p33) + third
    P[5] = keep * (p12 + far * p23)
    P[6] = keep * (p13 + far * p33) + half
    P[7] = keep * keep * p22 + noise
    P[8] = keep * keep * p23
    P[9] = keep * keep * p33 + noise


_NOTHING = 1e-15
"""Damping times seconds that changes no velocity in float64; rates so small may be denormal."""

_SMALL = 0.02
"""Damping times seconds below which a series is more exact than the closed form: both then err by
less than 1e-5."""


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
            of.x, of.P, of.mu, dt[n], leave_of(dt[n], s.sojourn_s), s.motion_density[UNKNOWN],
            s.motion_damping[UNKNOWN], s.motion_share[UNKNOWN], to.x, to.P, to.mu,
        )  # fmt: skip
        combine(to.x, to.P, to.mu, mean[n], spread[n])


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
