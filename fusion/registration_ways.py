"""What a handful of detections of one mover say of the biases of the sensors that saw it."""

import numpy as np

from fusion.jit import kernel
from fusion.records import PARTS
from fusion.registration_filter import solve, update
from fusion.registration_kernels import (
    AZIMUTH,
    DETECTIONS,
    FIXED,
    RANGE,
    TIME,
    Biases,
    Followed,
    Limits,
    spread_of,
    unbiased,
)
from fusion.settings import NANO
from model.arrays import Bools, Floats, Int64s

LOCAL = 6
"""Sensors among them, at most."""

WAY = 6
"""Numbers of the way of a mover: place, velocity and acceleration, east and north."""

LOOSE_MPS, LOOSE_MPS2 = 1_000.0, 30.0
"""What is thought of velocity and acceleration before anything is seen: nothing, about (m/s, and
m/s²; 3 g). Keeps the way of detections that lie too close together finite."""

BEND = 4e-4
"""Mean squared distance, in parts of density times cubed length, of a way of white acceleration
from the best parabola along it (3,000 ways of 400 steps, least squares; at the ends four times
that)."""

ONE_SIDE, ONE_SIDE_M = 0.3, 20.0
"""Sensors look from one side that stand closer together than this part of the way to the mover, and
so many metres: what moves brings its origin, and that is not taken at the same time."""


@kernel
def gather(
    followed: Followed, biases: Biases, limits: Limits, slot: int, at: int, track: int,
    time: int, sensor: int, row: int, z: Floats, R: Floats, stand: Floats,
) -> None:  # fmt: skip
    """Put a detection into a mover's slot; a full or old slot is closed before.

    Parameters
    ----------
    slot, at, track
        Where, and whose: row in the table, and `track_id`.
    time, sensor, row
        ns as stamped; index of the sensor; its row or `FIXED`.
    z, R, stand
        (2,), (2, 2) and (3,) as in `Followed`.
    """
    n = followed.number[slot]
    if n and (
        followed.track[slot] != track
        or n == DETECTIONS
        or abs(time - followed.time[slot, 0]) > limits.span_ns
    ):
        close(followed, biases, limits, slot)
        n = 0
    followed.track[slot], followed.at[slot] = track, at
    followed.time[slot, n] = time
    followed.sensor[slot, n], followed.row[slot, n] = sensor, row
    followed.z[slot, n] = z
    followed.R[slot, n, 0], followed.R[slot, n, 1] = R[0, 0], R[0, 1]
    followed.R[slot, n, 2] = R[1, 1]
    followed.stand[slot, n] = stand
    followed.number[slot] = n + 1


@kernel
def close(followed: Followed, biases: Biases, limits: Limits, slot: int) -> None:
    """Learn from the detections of a slot, and empty it."""
    n = followed.number[slot]
    followed.number[slot] = 0
    rows = np.full(LOCAL, FIXED)
    which = np.full(n, FIXED)
    k, several = 0, False
    for m in range(n):
        several |= followed.sensor[slot, m] != followed.sensor[slot, 0]
        row = followed.row[slot, m]
        if row == FIXED:
            continue
        found = -1
        for at in range(k):
            if rows[at] == row:
                found = at
        if found < 0:
            if k == LOCAL:
                return
            rows[k] = row
            found = k
            k += 1
        which[m] = found
    if not several or k == 0 or n < 4:
        return
    _learn(followed, biases, limits, slot, n, rows[:k], which)


@kernel
def close_all(followed: Followed, biases: Biases, limits: Limits) -> None:
    """Learn from all that has been gathered."""
    for slot in range(len(followed.track)):
        if followed.number[slot] > 0:
            close(followed, biases, limits, slot)


@kernel
def _learn(
    followed: Followed, biases: Biases, limits: Limits, slot: int, n: int, rows: Int64s,
    which: Int64s,
) -> None:  # fmt: skip
    """What the ways that different sensors saw do not agree in, wherever and however they lie.

    The detections of all on one way, less those of each sensor on a way of its own. How straight
    a way is says nothing of biases: a range that is too long bends it as a rudder does.
    """
    width = PARTS * len(rows)
    t, places = np.empty(n), np.empty((n, 2))
    D, noise = np.zeros((n, 2, PARTS)), np.empty((n, 3))
    start = followed.time[slot, 0]
    for m in range(n):
        at = PARTS * followed.row[slot, m]
        bias = np.zeros(PARTS)
        if which[m] != FIXED:
            bias[:] = biases.mean[at : at + PARTS]
        t[m] = (followed.time[slot, m] - start) * NANO - bias[TIME]
        unbiased(followed.z[slot, m], followed.stand[slot, m], bias, places[m], D[m])
    long = t.max() - t.min()
    t -= 0.5 * (t.min() + t.max())
    rough = np.empty((n, 3))
    for m in range(n):
        bend = BEND * limits.density * long * long * long
        noise[m] = followed.R[slot, m]
        noise[m, 0] += bend
        noise[m, 2] += bend
        rough[m] = noise[m]
        if which[m] == FIXED:
            D[m] = 0.0
        else:
            at = PARTS * followed.row[slot, m]
            more = spread_of(D[m], biases.covariance[at : at + PARTS, at : at + PARTS])
            for q in range(3):
                rough[m, q] += more[q]
    base = places[0].copy()
    places -= base  # small numbers from here on
    x, J, g = np.zeros(WAY), np.zeros((width, width)), np.zeros(width)
    everyone = np.ones(n, np.bool_)
    # First the way itself, with every sensor trusted as far as its bias is known.
    if not (_fit(t, places, rough, everyone, x) < np.inf):
        return
    for m in range(n):
        if which[m] != FIXED:
            D[m, 0, TIME], D[m, 1, TIME] = -(x[2] + t[m] * x[4]), -(x[3] + t[m] * x[5])
    c = _eliminate(t, places, noise, D, which, everyone, x, 1.0, J, g)
    freedom = 2.0 * n - WAY
    for m in range(n):
        own = followed.sensor[slot, :n] == followed.sensor[slot, m]
        if own[:m].any() or own.sum() < 3:  # two lie on a straight way always
            continue
        left = _eliminate(t, places, noise, D, which, own, x, -1.0, J, g)
        more = 2.0 * own.sum() - WAY
        if more > 0.0 and not left <= limits.most * more:
            return
        c -= left
        freedom -= more
    if len(rows) > 0 and (which != FIXED).all():
        less = _no_common(followed.stand[slot, :n], followed.z[slot, :n], which, J, g)
        c -= less[0]
        freedom -= less[1]
    if freedom < 1.0 or not np.isfinite(c):
        return
    speed = x[2] * x[2] + x[3] * x[3]
    newest = followed.time[slot, :n].max()
    update(biases, limits, rows, J, g, c, freedom, newest, speed, which)


@kernel
def _no_common(
    stand: Floats, z: Floats, which: Int64s, J: Floats, g: Floats
) -> tuple[float, float]:
    """Take out of J and g what all sensors would have in common; returns square and freedom lost.

    Without a cooperative sensor nothing is seen of a lag or a shift that all have; and nothing of
    a range or an azimuth that is wrong for all who look from one side. What seems to be is the
    manner in which movers steer.
    """
    count = len(g) // PARTS
    where, number = np.zeros((count, 2)), np.zeros(count)
    ground = 0.0
    for m in range(len(which)):
        k = which[m]
        number[k] += 1.0
        where[k, 0] += stand[m, 0]
        where[k, 1] += stand[m, 1]
        ground += np.hypot(z[m, 0] - stand[m, 0], z[m, 1] - stand[m, 1]) / len(which)
    apart = 0.0
    for k in range(count):
        for j in range(count):
            de = where[k, 0] / number[k] - where[j, 0] / number[j]
            dn = where[k, 1] / number[k] - where[j, 1] / number[j]
            apart = max(apart, np.hypot(de, dn))
            if np.isnan(de):
                apart = np.inf
    together = apart < ONE_SIDE * ground + ONE_SIDE_M
    square, freedom = 0.0, 0.0
    for part in range(PARTS):
        if part in (RANGE, AZIMUTH) and not together:
            continue
        common, along, most = np.zeros(len(g)), 0.0, 0.0
        whole = 0.0
        for k in range(count):
            p = PARTS * k + part
            along += g[p]
            most += abs(J[p, p])
            common += J[:, p]
        for k in range(count):
            whole += common[PARTS * k + part]
        if not whole > 1e-9 * most:
            continue
        square += along * along / whole
        freedom += 1.0
        for p in range(len(g)):
            g[p] -= common[p] * along / whole
            for q in range(len(g)):
                J[p, q] -= common[p] * common[q] / whole
    return square, freedom


@kernel
def _fit(t: Floats, places: Floats, noise: Floats, chosen: Bools, x: Floats) -> float:
    """Least squares of a way (6,): place, velocity, acceleration at t = 0; inf: there is none."""
    D = np.zeros((len(t), 2, PARTS))
    A, B, C = np.zeros((WAY, WAY)), np.zeros((WAY, 0)), np.zeros((0, 0))
    a, g = np.zeros((WAY, 1)), np.zeros(0)
    c = _normal(t, places, noise, D, np.full(len(t), FIXED), chosen, x, A, B, C, a, g)
    if not solve(A, a):
        return np.inf
    for i in range(WAY):
        x[i] += a[i, 0]
    return c


@kernel
def _eliminate(
    t: Floats, places: Floats, noise: Floats, D: Floats, which: Int64s, chosen: Bools, x: Floats,
    sign: float, J: Floats, g: Floats,
) -> float:  # fmt: skip
    """Add what some detections say of the biases to J and g; returns their squared residual.

    Parameters
    ----------
    t, places, noise
        (n,) s, (n, 2) m and (n, 3) m².
    D, which
        (n, 2, 5) how each changes with its sensor's bias, and (n,) which of those in J that is, or
        `FIXED`.
    chosen
        (n,) which of them lie on one way.
    x
        (6,) near that way.
    sign
        1: add; -1: take away.
    J, g
        (w, w) and (w,): information, the way eliminated.
    """
    width = len(g)
    A, B, C = np.zeros((WAY, WAY)), np.zeros((WAY, width)), np.zeros((width, width))
    a, own = np.zeros((WAY, 1)), np.zeros(width)
    c = _normal(t, places, noise, D, which, chosen, x, A, B, C, a, own)
    right = np.empty((WAY, width + 1))
    right[:, 0], right[:, 1:] = a[:, 0], B
    if not solve(A, right):
        return np.inf
    for i in range(WAY):
        c -= a[i, 0] * right[i, 0]
        for p in range(width):
            own[p] -= B[i, p] * right[i, 0]
            for q in range(width):
                C[p, q] -= B[i, p] * right[i, 1 + q]
    for p in range(width):
        g[p] += sign * own[p]
        for q in range(width):
            J[p, q] += sign * 0.5 * (C[p, q] + C[q, p])
    return max(c, 0.0)


@kernel
def _normal(
    t: Floats, places: Floats, noise: Floats, D: Floats, which: Int64s, chosen: Bools, x: Floats,
    A: Floats, B: Floats, C: Floats, a: Floats, g: Floats,
) -> float:  # fmt: skip
    """Normal equations of way and biases about x, added to the last five; returns the square."""
    c = 0.0
    F = np.empty(3)
    A[2, 2] = A[3, 3] = 1.0 / (LOOSE_MPS * LOOSE_MPS)
    A[4, 4] = A[5, 5] = 1.0 / (LOOSE_MPS2 * LOOSE_MPS2)
    for m in range(len(t)):
        if not chosen[m]:
            continue
        F[0], F[1], F[2] = 1.0, t[m], 0.5 * t[m] * t[m]
        determinant = noise[m, 0] * noise[m, 2] - noise[m, 1] * noise[m, 1]
        w00, w01, w11 = noise[m, 2] / determinant, -noise[m, 1] / determinant, noise[m, 0]
        w11 /= determinant
        y0 = places[m, 0] - x[0] - F[1] * x[2] - F[2] * x[4]
        y1 = places[m, 1] - x[1] - F[1] * x[3] - F[2] * x[5]
        s0, s1 = w00 * y0 + w01 * y1, w01 * y0 + w11 * y1
        c += s0 * y0 + s1 * y1
        for p in range(3):
            a[2 * p, 0] += F[p] * s0
            a[2 * p + 1, 0] += F[p] * s1
            for q in range(3):
                A[2 * p, 2 * q] += F[p] * F[q] * w00
                A[2 * p, 2 * q + 1] += F[p] * F[q] * w01
                A[2 * p + 1, 2 * q] += F[p] * F[q] * w01
                A[2 * p + 1, 2 * q + 1] += F[p] * F[q] * w11
        if which[m] == FIXED:
            continue
        first = PARTS * which[m]
        for i in range(PARTS):
            d0 = w00 * D[m, 0, i] + w01 * D[m, 1, i]
            d1 = w01 * D[m, 0, i] + w11 * D[m, 1, i]
            g[first + i] += d0 * y0 + d1 * y1
            for p in range(3):
                B[2 * p, first + i] += F[p] * d0
                B[2 * p + 1, first + i] += F[p] * d1
            for j in range(PARTS):
                C[first + i, first + j] += d0 * D[m, 0, j] + d1 * D[m, 1, j]
    return c
