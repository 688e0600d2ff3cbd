"""Kalman updates of predictions, mode by mode, by what belongs to them with some probability."""

import math

import numpy as np

from fusion.jit import inlined, kernel
from fusion.motion import make_sound
from fusion.records import MODES, PACKED, Record
from fusion.tripwire import go_across, has_direction
from model.arrays import Array, Floats

TWO_PI = 2.0 * math.pi

LEAST_WEIGHT = 1e-12
"""Least part of a mode that an update may leave."""


@inlined
def absorb(
    to: Record, pairs: Array, scan: Array, missed: float, noise: float, room: Floats
) -> None:
    """Update a prediction, in place, with detections that are its own with some probability.

    Each mode becomes the mixture of its updates, brought back to one Gaussian of the same mean and
    covariance (Joseph's form for each); the modes' probabilities follow.

    Parameters
    ----------
    to
        `fusion.records.PREDICTED`.
    pairs
        All pairs (`fusion.records.PAIR`); its own are `to.count` from `to.first` on.
    scan
        (m,) `fusion.records.MEASURED`.
    missed
        Probability that none of the detections is its own; with the shares it adds up to 1.
    noise
        Factor on the detections' covariances (`intersect`).
    room
        (5, 10), to work in.
    """
    x, P, x_sum, P_sum, old = room[0], room[1], room[2], room[3], room[4]
    whole = 0.0
    for k in range(MODES):
        total = missed
        # About the prediction, so that nothing large cancels.
        for a in range(4):
            x_sum[a] = 0.0
        for c in range(PACKED):
            P_sum[c] = missed * to.P[k, c]
        for p in range(to.first, to.first + to.count):
            w = pairs[p].share * pairs[p].likelihood[k] / pairs[p].both
            if not w > 0.0:
                continue
            total += w
            d = scan[pairs[p].item]
            _updated(to.x[k], to.P[k], d, noise, x, P)
            if has_direction(d):
                go_across(to.x[k, 2], to.x[k, 3], P, x, d)
            c = 0
            for a in range(4):
                x_sum[a] += w * x[a]
                for b in range(a, 4):
                    P_sum[c] += w * (P[c] + x[a] * x[b])
                    c += 1
        if total < LEAST_WEIGHT:
            total = LEAST_WEIGHT
            for c in range(PACKED):
                P_sum[c] = total * to.P[k, c]
        old[0], old[1], old[2], old[3] = to.P[k, 0], to.P[k, 4], to.P[k, 7], to.P[k, 9]
        share = 1.0 / total
        c = 0
        for a in range(4):
            for b in range(a, 4):
                to.P[k, c] = share * P_sum[c] - (share * x_sum[a]) * (share * x_sum[b])
                c += 1
        make_sound(to.P[k], old)
        for a in range(4):
            to.x[k, a] += share * x_sum[a]
        to.mu[k] *= total
        whole += to.mu[k]
    for k in range(MODES):
        to.mu[k] /= whole


@kernel
def intersect(to: Record, d: Record) -> float:
    """Prepare covariance intersection of a prediction with a track of another tracker.

    What the two have in common is not known, so neither is believed whole: the prediction's
    covariance is divided, in place, by a weight, and the other's is to be multiplied by what is
    returned. With these an ordinary update gives a covariance that is honest whatever the two have
    in common. The weights are those of the inverse traces of the positions' covariances.

    References
    ----------
    S. Julier, J. Uhlmann, "A non-divergent estimation algorithm in the presence of unknown
    correlations", Proc. American Control Conference 1997, doi:10.1109/ACC.1997.609105.
    W. Niehsen, "Information fusion based on fast covariance intersection filtering", FUSION 2002,
    doi:10.1109/ICIF.2002.1020907: the weights.
    """
    own = 0.0
    for k in range(MODES):
        own += to.mu[k] * (to.P[k, 0] + to.P[k, 4])
    other = d.R[0, 0] + d.R[1, 1]
    weight = other / (own + other)
    for k in range(MODES):
        for c in range(PACKED):
            to.P[k, c] /= weight
    return 1.0 / (1.0 - weight)


@inlined
def _updated(x: Floats, P: Floats, d: Record, noise: float, step: Floats, out: Floats) -> None:
    """Kalman update by a position: fills the change of state (4,) and the covariance (10,)."""
    r0, r1, r2 = noise * d.R[0, 0], noise * d.R[0, 1], noise * d.R[1, 1]
    de, dn = d.z[0] - x[0], d.z[1] - x[1]
    lag = d.delta
    if lag != 0.0:
        de -= lag * x[2]
        dn -= lag * x[3]
        r0 += lag * lag * P[7]
        r1 += lag * lag * P[8]
        r2 += lag * lag * P[9]
    a, b, c = P[0] + r0, P[1] + r1, P[4] + r2
    inverse = 1.0 / (a * c - b * b)
    ia, ib, ic = c * inverse, -b * inverse, a * inverse
    # Gains: columns 0 and 1 of P times the inverse.
    g00, g01 = P[0] * ia + P[1] * ib, P[0] * ib + P[1] * ic
    g10, g11 = P[1] * ia + P[4] * ib, P[1] * ib + P[4] * ic
    g20, g21 = P[2] * ia + P[5] * ib, P[2] * ib + P[5] * ic
    g30, g31 = P[3] * ia + P[6] * ib, P[3] * ib + P[6] * ic
    step[0] = g00 * de + g01 * dn
    step[1] = g10 * de + g11 * dn
    step[2] = g20 * de + g21 * dn
    step[3] = g30 * de + g31 * dn
    # The position's block is R S^-1 P, which cannot lose its sign by cancelling.
    w00, w01 = r0 * ia + r1 * ib, r0 * ib + r1 * ic
    w10, w11 = r1 * ia + r2 * ib, r1 * ib + r2 * ic
    out[0] = w00 * P[0] + w01 * P[1]
    out[1] = 0.5 * (w00 * P[1] + w01 * P[4] + w10 * P[0] + w11 * P[1])
    out[4] = w10 * P[1] + w11 * P[4]
    out[2] = w00 * P[2] + w01 * P[5]
    out[3] = w00 * P[3] + w01 * P[6]
    out[5] = w10 * P[2] + w11 * P[5]
    out[6] = w10 * P[3] + w11 * P[6]
    out[7] = P[7] - (g20 * P[2] + g21 * P[5])
    out[8] = P[8] - 0.5 * (g20 * P[3] + g21 * P[6] + g30 * P[2] + g31 * P[5])
    out[9] = P[9] - (g30 * P[3] + g31 * P[6])


@kernel
def update_scalar(
    x: Floats, P: Floats, innovation: float, h: Floats, variance: float, v: Floats
) -> float:
    """Update one mode in place by a scalar: `h` (4,) its derivative; returns its likelihood.

    `v` (8,) is room to work in.
    """
    v[0] = P[0] * h[0] + P[1] * h[1] + P[2] * h[2] + P[3] * h[3]
    v[1] = P[1] * h[0] + P[4] * h[1] + P[5] * h[2] + P[6] * h[3]
    v[2] = P[2] * h[0] + P[5] * h[1] + P[7] * h[2] + P[8] * h[3]
    v[3] = P[3] * h[0] + P[6] * h[1] + P[8] * h[2] + P[9] * h[3]
    s = variance + h[0] * v[0] + h[1] * v[1] + h[2] * v[2] + h[3] * v[3]
    v[4], v[5], v[6], v[7] = P[0], P[4], P[7], P[9]
    c = 0
    for a in range(4):
        x[a] += v[a] / s * innovation
        for b in range(a, 4):
            P[c] -= v[a] * v[b] / s
            c += 1
    make_sound(P, v[4:])
    density: float = math.exp(-0.5 * innovation * innovation / s) / math.sqrt(TWO_PI * s)
    return density


@inlined
def take_velocity(to: Record, d: Record) -> None:
    """Update a track or a prediction, in place, with a detection's velocity and range rate.

    Parameters
    ----------
    to
        A record with `x`, `P` and `mu`.
    d
        `fusion.records.MEASURED`.
    """
    moving, rated = not math.isnan(d.velocity[0]), not math.isnan(d.range_rate)
    if not moving and not rated:
        return
    h, room = np.zeros(4), np.empty(8)
    total = 0.0
    for k in range(MODES):
        weight = to.mu[k]
        if moving:
            for axis in range(2):
                h[2], h[3] = 1.0 - axis, axis
                innovation = d.velocity[axis] - to.x[k, 2 + axis]
                weight *= update_scalar(to.x[k], to.P[k], innovation, h, d.velocity_variance, room)
        if rated:
            h[2], h[3] = d.sight[0], d.sight[1]
            innovation = d.range_rate - h[2] * to.x[k, 2] - h[3] * to.x[k, 3]
            weight *= update_scalar(to.x[k], to.P[k], innovation, h, d.range_rate_variance, room)
        to.mu[k] = max(weight, 1e-300)
        total += to.mu[k]
    for k in range(MODES):
        to.mu[k] /= total
