"""What a bias does to a place; and the arrays of registration that its kernels share.

`fusion.registration` says what is estimated and after which sources.
"""

import math
from typing import NamedTuple

import numpy as np

from fusion.jit import kernel
from fusion.records import PARTS, Record
from model.arrays import Array, Floats, Int64s

RANGE, AZIMUTH, TIME, EAST, NORTH = range(5)
"""Parts of a sensor's bias: m, rad, s, m, m."""

DETECTIONS = 32
"""Detections of one mover that are taken together."""

FIXED = -1
"""In place of a sensor's row: its bias is nil by definition (it is cooperative)."""


class Followed(NamedTuple):
    """Movers whose detections are being gathered: F slots of `DETECTIONS` (M) each.

    Parameters
    ----------
    track
        (F,) int64 `track_id`; 0: free.
    at
        (F,) int64 row of the track when it was seen last; -1: it is gone.
    number
        (F,) int64 detections gathered.
    time
        (F, M) int64 ns, as stamped.
    sensor, row
        (F, M) int64 index of the sensor, and its row in `Biases` or `FIXED`.
    z, R
        (F, M, 2) m as measured, and (F, M, 3) m²: EE, EN, NN.
    stand
        (F, M, 3) east, north m of the sensor (NaN: not known), and metres along the ground per
        metre of range.
    cursor
        (1,) int64 how many tracks have been looked into.
    """

    track: Int64s
    at: Int64s
    number: Int64s
    time: Int64s
    sensor: Int64s
    row: Int64s
    z: Floats
    R: Floats
    stand: Floats
    cursor: Int64s


class Biases(NamedTuple):
    """What is known of the biases of G sensors.

    Parameters
    ----------
    mean, covariance
        (5 G,) and (5 G, 5 G): `RANGE` to `NORTH` of each.
    used, refused, streak, astray
        (G,) int64 detections that counted; gatherings refused as contradictory, and how many of
        these lately without one that was taken; and reports lately of which no detection fits,
        though some would if the bias were another.
    speed
        (G,) mean squared speed of the movers they were of, m²/s².
    clock
        (2,) int64 ns, newest detection that counted; 0: none; and how often anything was learnt.
    """

    mean: Floats
    covariance: Floats
    used: Int64s
    refused: Int64s
    streak: Int64s
    astray: Int64s
    speed: Floats
    clock: Int64s


class Limits(NamedTuple):
    """`fusion.settings.Settings` as the kernels take them: see there."""

    prior: Floats
    drift: Floats
    span_ns: int
    density: float
    most: float
    tired: int


@kernel
def unbiased(z: Floats, stand: Floats, bias: Floats, out: Floats, D: Floats) -> None:
    """Take a bias off a place.

    Parameters
    ----------
    z, stand
        (2,) m as measured, and (3,) as in `Followed`.
    bias
        (5,)
    out
        (2,) filled: where it is without the bias; the time apart.
    D
        (2, 5) filled: how the measured place changes with the bias. The column of time is nil: it
        is the mover's velocity, with its sign changed, and that is not known here.
    """
    D[:] = 0.0
    D[0, EAST] = D[1, NORTH] = 1.0
    out[0], out[1] = z[0] - bias[EAST], z[1] - bias[NORTH]
    if np.isnan(stand[0]):
        return
    east, north = z[0] - stand[0], z[1] - stand[1]
    ground = np.hypot(east, north)
    if ground < 1.0:
        return
    shorter = max(ground - stand[2] * bias[RANGE], 1.0) / ground
    cos, sin = np.cos(bias[AZIMUTH]), np.sin(bias[AZIMUTH])
    # Azimuth runs clockwise from north.
    east, north = shorter * (east * cos - north * sin), shorter * (east * sin + north * cos)
    out[0], out[1] = stand[0] - bias[EAST] + east, stand[1] - bias[NORTH] + north
    ground *= shorter
    D[0, RANGE], D[1, RANGE] = stand[2] * east / ground, stand[2] * north / ground
    D[0, AZIMUTH], D[1, AZIMUTH] = north, -east


@kernel
def spread_of(D: Floats, P: Floats) -> tuple[float, float, float]:
    """EE, EN, NN (m²) of D P D' for D (2, 5) and P (5, 5)."""
    ee = en = nn = 0.0
    for a in range(PARTS):
        for b in range(PARTS):
            ee += D[0, a] * P[a, b] * D[0, b]
            en += D[0, a] * P[a, b] * D[1, b]
            nn += D[1, a] * P[a, b] * D[1, b]
    return ee, en, nn


@kernel
def stand_at(d: Record, origin: Floats, stand: Floats) -> None:
    """Where the sensor of a detection stands, as in `Followed`.

    Parameters
    ----------
    d
        `fusion.records.MEASURED`.
    origin
        (2,) east, north m.
    stand
        (3,) filled.
    """
    stand[0], stand[1], stand[2] = origin[0], origin[1], 1.0
    level = math.hypot(d.sight[0], d.sight[1])
    if not math.isnan(level):
        # Without an elevation the height is assumed, and the ground range follows from the slant.
        stand[2] = 1.0 / max(level, 0.1) if math.isnan(d.height) else level


@kernel
def take_off(scan: Array, origin: Floats, bias: Floats, P: Floats, speed: float) -> None:
    """Take a sensor's bias off its detections, in place, and add what is not known of it.

    Parameters
    ----------
    scan, origin
        Of the report (`fusion.measure.Scan`).
    bias, P
        (5,) and (5, 5).
    speed
        Mean squared speed of movers, m²/s²: how far an unknown time leads astray.
    """
    out, D, stand = np.empty(2), np.empty((2, PARTS)), np.empty(3)
    cos, sin = np.cos(bias[AZIMUTH]), np.sin(bias[AZIMUTH])
    astray = 0.5 * speed * P[TIME, TIME]
    for j in range(len(scan)):
        d = scan[j]
        d.azimuth -= bias[AZIMUTH]
        d.azimuth_variance += P[AZIMUTH, AZIMUTH]
        if math.isnan(d.z[0]):
            continue
        stand_at(d, origin, stand)
        unbiased(d.z, stand, bias, out, D)
        d.z[0], d.z[1] = out[0], out[1]
        ee, en, nn = d.R[0, 0], d.R[0, 1], d.R[1, 1]
        if not math.isnan(stand[0]):
            e, n = d.sight[0], d.sight[1]
            d.sight[0], d.sight[1] = e * cos - n * sin, e * sin + n * cos
            ee, en, nn = (
                cos * cos * ee - 2.0 * cos * sin * en + sin * sin * nn,
                cos * sin * (ee - nn) + (cos * cos - sin * sin) * en,
                sin * sin * ee + 2.0 * cos * sin * en + cos * cos * nn,
            )
        more = spread_of(D, P)
        d.R[0, 0] = ee + more[0] + astray
        d.R[0, 1] = d.R[1, 0] = en + more[1]
        d.R[1, 1] = nn + more[2] + astray
