"""The Kalman filter over the biases of all sensors."""

import numpy as np

from fusion.jit import kernel
from fusion.records import PARTS
from fusion.registration_kernels import FIXED, Biases, Limits
from fusion.settings import NANO
from model.arrays import Floats, Int64s

CHANCE = 2.0
"""Standard deviations by which a gathering's squared residual may be greater than expected before
it counts for less: by chance one in twenty is."""


@kernel
def update(
    biases: Biases, limits: Limits, rows: Int64s, J: Floats, g: Floats, c: float, freedom: float,
    newest: int, speed: float, which: Int64s,
) -> None:  # fmt: skip
    """Kalman update of all biases by an information matrix J and vector g of a few of them."""
    mean, P = biases.mean, biases.covariance
    _drift(biases, limits, newest)
    width, whole = len(g), len(mean)
    local = np.empty(width, np.int64)
    for k in range(len(rows)):
        for i in range(PARTS):
            local[PARTS * k + i] = PARTS * rows[k] + i
    M, right = np.zeros((width, width)), np.zeros((width, 1 + whole))
    for p in range(width):
        M[p, p] = 1.0
        right[p, 0] = g[p]
        for q in range(width):
            for r in range(width):
                M[p, q] += J[p, r] * P[local[r], local[q]]
            for r in range(whole):
                right[p, 1 + r] += J[p, q] * P[local[q], r]
    if not solve(M, right):
        return
    distance = c
    for p in range(width):
        for q in range(width):
            distance -= g[p] * P[local[p], local[q]] * right[q, 0]
    excess = max(distance, 0.0) / freedom
    if not excess <= limits.most:
        for row in rows:
            biases.refused[row] += 1
            biases.streak[row] += 1
            if biases.streak[row] >= limits.tired:
                doubt(biases, limits, row)
        return
    usual = 1.0 + CHANCE * np.sqrt(2.0 / freedom)
    if excess > usual:
        # Noisier than claimed: it counts for less. M x = r holds no longer, so solve anew.
        _update_scaled(biases, local, J, g, usual / excess)
    else:
        _add(mean, P, local, right)
    biases.clock[1] += 1
    for m in range(len(which)):
        if which[m] != FIXED:
            row = rows[which[m]]
            biases.used[row] += 1
            biases.speed[row] += (speed - biases.speed[row]) / min(biases.used[row], 1000)
    for row in rows:
        biases.streak[row] = 0


@kernel
def _update_scaled(biases: Biases, local: Int64s, J: Floats, g: Floats, scale: float) -> None:
    P = biases.covariance
    width, whole = len(g), len(biases.mean)
    M, right = np.zeros((width, width)), np.zeros((width, 1 + whole))
    for p in range(width):
        M[p, p] = 1.0
        right[p, 0] = scale * g[p]
        for q in range(width):
            for r in range(width):
                M[p, q] += scale * J[p, r] * P[local[r], local[q]]
            for r in range(whole):
                right[p, 1 + r] += scale * J[p, q] * P[local[q], r]
    if solve(M, right):
        _add(biases.mean, P, local, right)


@kernel
def _add(mean: Floats, P: Floats, local: Int64s, right: Floats) -> None:
    """Mean and covariance after the update, `right` = (I + J P)^-1 (g, J P)."""
    whole = len(mean)
    gain = np.empty((whole, len(local)))
    for r in range(whole):
        for p in range(len(local)):
            gain[r, p] = P[r, local[p]]
    for r in range(whole):
        for p in range(len(local)):
            mean[r] += gain[r, p] * right[p, 0]
            for s in range(whole):
                P[r, s] -= gain[r, p] * right[p, 1 + s]
    for r in range(whole):
        P[r, r] = max(P[r, r], 1e-16)
        for s in range(r):
            P[r, s] = P[s, r] = 0.5 * (P[r, s] + P[s, r])


@kernel
def _drift(biases: Biases, limits: Limits, newest: int) -> None:
    """Biases wander with time, never beyond what is thought of a sensor nothing is known of."""
    before = biases.clock[0]
    if newest <= before:
        return
    biases.clock[0] = newest
    if before == 0:
        return
    dt = (newest - before) * NANO
    for r in range(len(biases.mean)):
        part = r % PARTS
        most = limits.prior[part] * limits.prior[part]
        more = limits.drift[part] * limits.drift[part] * dt
        biases.covariance[r, r] += max(min(more, most - biases.covariance[r, r]), 0.0)


@kernel
def doubt(biases: Biases, limits: Limits, row: int) -> None:
    """What contradicts again and again is known less well than was thought: it has changed."""
    P = biases.covariance
    biases.clock[1] += 1
    for i in range(PARTS):
        r = PARTS * row + i
        scale = min(1.3, limits.prior[i] / np.sqrt(P[r, r]))
        if scale > 1.0:
            P[r, :] *= scale
            P[:, r] *= scale


@kernel
def solve(A: Floats, b: Floats) -> bool:
    """Solve A x = b in place of b (n, m), by elimination; False: A is singular."""
    n = len(A)
    for i in range(n):
        top = i
        for r in range(i + 1, n):
            if abs(A[r, i]) > abs(A[top, i]):
                top = r
        if not abs(A[top, i]) > 1e-300:
            return False
        if top != i:
            for q in range(n):
                A[i, q], A[top, q] = A[top, q], A[i, q]
            for q in range(b.shape[1]):
                b[i, q], b[top, q] = b[top, q], b[i, q]
        for r in range(i + 1, n):
            factor = A[r, i] / A[i, i]
            if factor == 0.0:
                continue
            for q in range(i, n):
                A[r, q] -= factor * A[i, q]
            for q in range(b.shape[1]):
                b[r, q] -= factor * b[i, q]
    for i in range(n - 1, -1, -1):
        for q in range(b.shape[1]):
            for r in range(i + 1, n):
                b[i, q] -= A[i, r] * b[r, q]
            b[i, q] /= A[i, i]
    return True
