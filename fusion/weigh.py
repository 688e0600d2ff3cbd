"""What each pair of a track and a detection is worth, mode by mode."""

import numpy as np

from fusion.jit import kernel
from fusion.motion import make_sound
from model.arrays import Array, Bools, Floats

TWO_PI = 2.0 * np.pi


@kernel
def weigh(
    row: Array, item: Array, xp: Floats, Pp: Floats, mup: Floats, z: Floats, R: Floats,
    delta: Floats, beside: Floats, limit: Floats, likelihood: Floats, keep: Bools,
) -> None:  # fmt: skip
    """Gate pairs and give the likelihood of each.

    Parameters
    ----------
    row, item
        (p,) rows of the predictions and detections.
    xp, Pp, mup
        (n, K, 4), (n, K, 10) and (n, K), predicted.
    z, R, delta
        (m, 2) m, (m, 2, 2) m², and (m,) s by which a detection lies behind the report.
    beside
        (p,) squared normalised distance in what else was measured (height, range rate).
    limit
        (p,) greatest squared distance of a pair, in all.
    likelihood
        (p, K) filled: density of the detection under each mode, 1/m².
    keep
        (p,) filled: whether the pair is within the gate under any mode.
    """
    K = mup.shape[1]
    for p in range(len(row)):
        i, j = row[p], item[p]
        lag = delta[j]
        keep[p] = False
        for k in range(K):
            a = Pp[i, k, 0] + R[j, 0, 0]
            b = Pp[i, k, 1] + R[j, 0, 1]
            c = Pp[i, k, 4] + R[j, 1, 1]
            de = z[j, 0] - xp[i, k, 0]
            dn = z[j, 1] - xp[i, k, 1]
            if lag != 0.0:
                de -= lag * xp[i, k, 2]
                dn -= lag * xp[i, k, 3]
                a += lag * lag * Pp[i, k, 7]
                b += lag * lag * Pp[i, k, 8]
                c += lag * lag * Pp[i, k, 9]
            determinant = a * c - b * b
            distance = (c * de * de - 2.0 * b * de * dn + a * dn * dn) / determinant
            if distance + beside[p] <= limit[p]:
                keep[p] = True
            likelihood[p, k] = np.exp(-0.5 * distance) / (TWO_PI * np.sqrt(determinant))


@kernel
def absorb(
    first: Array, count: Array, item: Array, share: Floats, likelihood: Floats, missed: Floats,
    xp: Floats, Pp: Floats, mup: Floats, z: Floats, R: Floats, delta: Floats,
) -> None:  # fmt: skip
    """Update predictions, in place, with detections that are theirs with some probability.

    Each mode becomes the mixture of its updates, brought back to one Gaussian of the same mean and
    covariance (Joseph's form for each); the modes' probabilities follow.

    Parameters
    ----------
    first, count
        (n,) where the pairs of each track begin, and how many there are.
    item, share, likelihood
        (p,), (p,) probability that the detection is the track's own, given that it is there, and
        (p, K) as `weigh` gave it.
    missed
        (n,) probability that none of them is; with the shares it adds up to 1.
    xp, Pp, mup
        The predictions.
    z, R, delta
        Of the detections.
    """
    K = mup.shape[1]
    x = np.empty(4)
    P = np.empty(10)
    x_sum = np.empty(4)
    P_sum = np.empty(10)
    before = np.empty(K)
    old = np.empty(4)
    for i in range(len(first)):
        if missed[i] >= 1.0:
            continue
        whole = 0.0
        for k in range(K):
            before[k] = mup[i, k]
        for k in range(K):
            total = missed[i]
            # About the prediction, so that nothing large cancels.
            for a in range(4):
                x_sum[a] = 0.0
            for c in range(10):
                P_sum[c] = missed[i] * Pp[i, k, c]
            for p in range(first[i], first[i] + count[i]):
                if share[p] <= 0.0:
                    continue
                both = 0.0
                for other in range(K):
                    both += before[other] * likelihood[p, other]
                w = share[p] * likelihood[p, k] / both
                if w <= 0.0:
                    continue
                total += w
                j = item[p]
                _updated(xp[i, k], Pp[i, k], z[j], R[j], delta[j], x, P)
                for a in range(4):
                    x_sum[a] += w * x[a]
                c = 0
                for a in range(4):
                    for b in range(a, 4):
                        P_sum[c] += w * (P[c] + x[a] * x[b])
                        c += 1
            if total < 1e-12:
                total = 1e-12
                for c in range(10):
                    P_sum[c] = total * Pp[i, k, c]
            old[0], old[1], old[2], old[3] = Pp[i, k, 0], Pp[i, k, 4], Pp[i, k, 7], Pp[i, k, 9]
            c = 0
            for a in range(4):
                for b in range(a, 4):
                    Pp[i, k, c] = P_sum[c] / total - x_sum[a] / total * x_sum[b] / total
                    c += 1
            make_sound(Pp[i, k], old)
            for a in range(4):
                xp[i, k, a] += x_sum[a] / total
            mup[i, k] *= total
            whole += mup[i, k]
        for k in range(K):
            mup[i, k] /= whole


@kernel
def _updated(
    x: Floats, P: Floats, z: Floats, R: Floats, lag: float, step: Floats, out: Floats
) -> None:
    """Kalman update by a position: fills the change of state (4,) and the covariance (10,)."""
    r0, r1, r2 = R[0, 0], R[0, 1], R[1, 1]
    de, dn = z[0] - x[0], z[1] - x[1]
    if lag != 0.0:
        de -= lag * x[2]
        dn -= lag * x[3]
        r0 += lag * lag * P[7]
        r1 += lag * lag * P[8]
        r2 += lag * lag * P[9]
    a, b, c = P[0] + r0, P[1] + r1, P[4] + r2
    determinant = a * c - b * b
    ia, ib, ic = c / determinant, -b / determinant, a / determinant
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
def update_scalar(x: Floats, P: Floats, innovation: float, h: Floats, variance: float) -> float:
    """Update one mode in place by a scalar: `h` (4,) its derivative; returns its likelihood."""
    v = np.empty(4)
    v[0] = P[0] * h[0] + P[1] * h[1] + P[2] * h[2] + P[3] * h[3]
    v[1] = P[1] * h[0] + P[4] * h[1] + P[5] * h[2] + P[6] * h[3]
    v[2] = P[2] * h[0] + P[5] * h[1] + P[7] * h[2] + P[8] * h[3]
    v[3] = P[3] * h[0] + P[6] * h[1] + P[8] * h[2] + P[9] * h[3]
    s = variance + h[0] * v[0] + h[1] * v[1] + h[2] * v[2] + h[3] * v[3]
    old = np.empty(4)
    old[0], old[1], old[2], old[3] = P[0], P[4], P[7], P[9]
    c = 0
    for a in range(4):
        x[a] += v[a] / s * innovation
        for b in range(a, 4):
            P[c] -= v[a] * v[b] / s
            c += 1
    make_sound(P, old)
    density: float = np.exp(-0.5 * innovation * innovation / s) / np.sqrt(TWO_PI * s)
    return density
