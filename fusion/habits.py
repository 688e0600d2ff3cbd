"""How the movers of a scene behave, learned from those that are shown.

Movers of one scene are alike: where all turn, the next one will. Of those whose class is not known
(`fusion.motions` has models of the others) three things are learned, each as the most probable
value under a prior that the settings give: which mode of motion is how frequent,
how fast movers are in it, and how strong the acceleration of the liveliest mode is. The first is
where a mover's mode goes when it changes and what a mover just found is taken to do; the second is
the spread of the velocity of a mover just found; the third scales the process noise, so covariances
are honest of calm movers and of wild ones.

All of it is in one small array that is a part of the table, so that it is copied, saved and rolled
back with the tracks.

References
----------
H. Robbins, "An empirical Bayes approach to statistics", Proc. 3rd Berkeley Symposium 1, 1956:
a prior learned from the other members of a population.
R. K. Mehra, "On the identification of variances and adaptive Kalman filtering", IEEE Trans.
Automatic Control 15(2), 1970, doi:10.1109/TAC.1970.1099422: process noise from innovations.
S. Amari, "Natural gradient works efficiently in learning", Neural Computation 10(2), 1998,
doi:10.1162/089976698300017746: the step that is taken.
"""

import math

import numpy as np

from fusion.jit import kernel
from fusion.motions import ANY
from fusion.records import MODES, Record
from model.arrays import Array, Floats
from model.taxonomy import N_CLASSES
from model.tracks import Status

SHARE = 0
"""Where the share of each mode begins in the array of habits."""

SPEED = MODES
"""Where the speeds begin: one standard deviation per axis in each mode, m/s."""

NOISE = 2 * MODES
"""Where the logarithm stands by which the acceleration density of the last mode is greater than the
settings'; behind it, the information that it rests on, the prior's apart."""

SINCE = 2 * MODES + 2
"""Where it stands how many rows were touched since shares and speeds were learned."""

HABITS = 2 * MODES + 3
"""Numbers of habits."""

FEW = 0.25
"""Shares and speeds are learned anew when so large a part of the table was touched: one pass over
all tracks then costs little beside what was done."""

JUDGED = 128
"""Pairs of a report that the noise is judged by, at most: more would say the same."""

SENSITIVITY = 0.25
"""Logarithmic derivative of a predicted variance of position by the acceleration density: in the
steady state it grows with the fourth root while the density is small beside the sensor's noise
(P. R. Kalata, "The tracking index", IEEE Trans. AES 20(2), 1984, doi:10.1109/TAES.1984.310438)."""

SURE = 0.5
"""A pair of which the share is less says nothing of the noise: it may be another mover's."""

WIDEST = 1.4
"""Greatest change of the noise's logarithm: a factor of four. Beyond it a sensor is misdescribed,
and noise would hide that."""

SEEN = 5
"""Detections after which a prediction hangs on the acceleration and not on the first velocity."""

_TENTATIVE, _DELETED = int(Status.TENTATIVE), int(Status.DELETED)


def none_yet() -> Floats:
    """Habits (`HABITS`,) before anything was seen; `learn` sets the speeds before their use."""
    habits = np.zeros(HABITS)
    habits[SHARE : SHARE + MODES] = 1.0 / MODES
    habits[SINCE] = np.inf
    return habits


@kernel
def lively(habits: Floats, s: Record) -> Floats:
    """Acceleration density (K,) of each mode, m²/s³, as learned."""
    density = np.empty(MODES)
    for k in range(MODES):
        density[k] = s.acceleration_density[k]
    density[MODES - 1] *= math.exp(habits[NOISE])
    return density


@kernel
def manners(habits: Floats, s: Record) -> tuple[Floats, Floats]:
    """Acceleration density (C, K), m²/s³, and shares (C, K) of the modes of all classes.

    Those of movers whose class is not known are as learned.
    """
    density, share = np.empty((N_CLASSES, MODES)), np.empty((N_CLASSES, MODES))
    for c in range(N_CLASSES):
        for k in range(MODES):
            density[c, k], share[c, k] = s.motion_density[c, k], s.motion_share[c, k]
    for k in range(MODES):
        share[ANY, k] = habits[SHARE + k]
    density[ANY] = lively(habits, s)
    return density, share


@kernel
def liveliest(habits: Floats, s: Record) -> float:
    """Greatest acceleration density of any mode, m²/s³."""
    greatest = lively(habits, s).max()
    for c in range(N_CLASSES):
        for k in range(MODES):
            greatest = max(greatest, s.motion_density[c, k])
    return greatest


@kernel
def learn_habits(rows: Array, count: int, tracks: int, s: Record, habits: Floats) -> None:
    """Learn shares and speeds from the tracks that are shown, in place, if it is time to.

    Parameters
    ----------
    rows, count, tracks
        The table's records, how many are in use, and how many tracks there are.
    s
        Constants.
    habits
        (`HABITS`,).
    """
    if habits[SINCE] < FEW * tracks:
        return
    habits[SINCE] = 0.0
    total = s.habit_tracks
    weight, squares = np.empty(MODES), np.empty(MODES)
    for k in range(MODES):
        weight[k] = s.habit_tracks / MODES
        squares[k] = weight[k] * s.initial_speed_mps[k] * s.initial_speed_mps[k]
    for row in range(count):
        track = rows[row]
        if track.status == _TENTATIVE or track.status == _DELETED or track.motion != ANY:
            continue
        total += 1.0
        for k in range(MODES):
            weight[k] += track.mu[k]
            # The expected square: who is hardly known adds what was taken of him before.
            fast = track.x[k, 2] * track.x[k, 2] + track.x[k, 3] * track.x[k, 3]
            squares[k] += track.mu[k] * 0.5 * (fast + track.P[k, 7] + track.P[k, 9])
    for k in range(MODES):
        habits[SHARE + k] = weight[k] / total
        habits[SPEED + k] = math.sqrt(squares[k] / weight[k])


@kernel
def judge(
    predicted: Array, pairs: Array, rows: Array, scan: Array, s: Record, habits: Floats
) -> None:
    """Correct the noise of the last mode by what detections say of its predictions, in place.

    A step along the gradient of the log-likelihood of some pairs, over the information gathered.

    Parameters
    ----------
    predicted, pairs, rows, scan
        As `fusion.associate.associate` left them, before `fusion.update.take_in`.
    s, habits
        Constants, and (`HABITS`,).
    """
    k = MODES - 1
    slope = information = 0.0
    judged = 0
    for p in range(len(pairs)):
        pair = pairs[p]
        to, d = predicted[pair.row], scan[pair.item]
        if pair.share < SURE or d.delta != 0.0 or not pair.both > 0.0 or to.dt < 0.0:
            continue
        track = rows[to.row]
        if track.status == _TENTATIVE or track.hits < SEEN or track.motion != ANY:
            continue
        judged += 1
        if judged > JUDGED:
            break
        w = pair.share * to.mu[k] * pair.likelihood[k] / pair.both
        p0, p1, p4 = to.P[k, 0], to.P[k, 1], to.P[k, 4]
        a, b, c = p0 + d.R[0, 0], p1 + d.R[0, 1], p4 + d.R[1, 1]
        determinant = a * c - b * b
        ia, ib, ic = c / determinant, -b / determinant, a / determinant
        # Inverse of the innovation's covariance, times the prediction's part of it.
        m00, m01 = ia * p0 + ib * p1, ia * p1 + ib * p4
        m10, m11 = ib * p0 + ic * p1, ib * p1 + ic * p4
        de, dn = d.z[0] - to.x[k, 0], d.z[1] - to.x[k, 1]
        u, v = ia * de + ib * dn, ib * de + ic * dn
        square = u * (p0 * u + p1 * v) + v * (p1 * u + p4 * v)
        slope += w * 0.5 * SENSITIVITY * (square - m00 - m11)
        part = m00 * m00 + 2.0 * m01 * m10 + m11 * m11
        information += w * 0.5 * SENSITIVITY * SENSITIVITY * part
    if not information > 0.0:
        return
    known = min(habits[NOISE + 1] + information, s.density_memory)
    # What is forgotten for lack of memory makes room for the prior again.
    back = s.density_information * min(information / s.density_memory, 1.0) * habits[NOISE]
    noise = habits[NOISE] + (slope - back) / (known + s.density_information)
    habits[NOISE] = min(max(noise, -WIDEST), WIDEST)
    habits[NOISE + 1] = known
