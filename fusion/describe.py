"""A track as the world sees it: predicted to a time, in geodetic coordinates and the axes there."""

import math

import numpy as np

from fusion.classes import class_probability
from fusion.existence import probability
from fusion.geodesy import Triple, angle_from, ecef_of_plane, height_of, sines_at, turn_of
from fusion.jit import inlined
from fusion.motion import combine, leave_of, mix_and_predict
from fusion.records import WORDS, Record
from fusion.settings import NANO
from fusion.silence import after, lost_after
from model.arrays import Array, Floats
from model.taxonomy import HUMAN, N_CLASSES
from model.tracks import MAX_SENSORS, SCHEMA, TrackUpdates

_BASIS = ("basis", "f8", (6,))  # what decides whether anything changed: x, P, time
_CLOSED = ("closed", "i8")  # newest report when it was closed, ns
_DOUBTED = ("doubted", "u1")  # whether readers were told that its identity is doubted

SAID = np.dtype(
    [
        *(
            (name, column.dtype, column.trailing)
            for name, column in SCHEMA.items()
            if name not in ("identity", "number")
        ),
        ("words", "u8", (WORDS,)),
        ("number", "u1", (5,)),
        _BASIS,
        _CLOSED,
        _DOUBTED,
    ],
    align=True,
)
"""One update, as `model.tracks.TrackUpdates` has it in columns, and what it was made from."""

PLANE = np.dtype(
    [
        ("origin", "f8", (3,)),
        ("rotation", "f8", (3, 3)),
        ("vertical", "f8"),
        ("meridian", "f8"),
        ("latitude", "f8"),
        ("longitude", "f8"),
    ],
    align=True,
)
"""A region for kernels: ECEF of its origin, m; its axes; radii of curvature there, m; where that
is, rad."""


FLAT_M = 30_000.0
"""So near a region's origin its radii of curvature say well enough where the ellipsoid is, m."""


@inlined
def describe(
    track: Record, valid: int, status: int, plane: Record, sensors: Array, s: Record, to: Record,
    out: Record, chance: Floats,
) -> None:  # fmt: skip
    """Fill what is said of a track, number and revision apart.

    Parameters
    ----------
    track
        Its record.
    valid
        Time that it shall be about, ns; its own time if that is later.
    status
        `Status` to show.
    plane
        `PLANE`.
    sensors, s
        (S,) `fusion.gathered.SENSOR`, and constants.
    to
        `fusion.records.PREDICTED`, to work in.
    out
        `SAID`.
    chance
        (K,), to work in.
    """
    dt = max((valid - track.time) * NANO, 0.0)
    if dt == 0.0:
        combine(track.x, track.P, track.mu, to.mean, to.spread)
    else:
        # By the settings and not by what was learned: so what was said of one that no report has
        # touched is what would be said now.
        motion = track.motion
        mix_and_predict(
            track.x, track.P, track.mu, dt, leave_of(dt, s.sojourn_s), s.motion_density[motion],
            s.motion_damping[motion], s.motion_share[motion], to.x, to.P, to.mu,
        )  # fmt: skip
        combine(to.x, to.P, to.mu, to.mean, to.spread)
    h, lifted = track.h[0], not math.isnan(track.h[0])
    dt_h = max((valid - track.h_time) * NANO, 0.0)
    if lifted:
        h += dt_h * track.h[1]
    place = _lifted(to.mean[0], to.mean[1], h if lifted else 0.0, plane)
    at = sines_at(place, h if lifted else 0.0)
    R = plane.rotation  # its rows are east, north and up at the region's origin
    latitude = angle_from(at[0], at[1], plane.latitude, R[2, 2], R[1, 2])
    longitude = angle_from(at[2], at[3], plane.longitude, -R[0, 0], R[0, 1])
    # Turn from the region's axes to those at the track: the meridians converge.
    a, b, c, d = turn_of(at, plane.rotation)
    norm = 1.0 / math.sqrt(abs(a * d - b * c))
    # Rows of `turn_of` are the region's axes, so to the local ones it goes by the transpose.
    e0, e1, n0, n1 = a * norm, c * norm, b * norm, d * norm
    out.track_id = track.track_id
    out.valid = max(valid, track.time)
    out.status = status
    out.state[0], out.state[1] = latitude, longitude
    out.state[2] = h
    out.state[3] = e0 * to.mean[2] + e1 * to.mean[3]
    out.state[4] = n0 * to.mean[2] + n1 * to.mean[3]
    out.state[5] = track.h[1]
    for k in range(21):
        out.covariance[k] = 0.0
    P = to.spread
    _turned(P[0], P[1], P[1], P[4], e0, e1, n0, n1, out.covariance, 0)
    _turned(P[2], P[3], P[5], P[6], e0, e1, n0, n1, out.covariance, 1)
    _turned(P[7], P[8], P[8], P[9], e0, e1, n0, n1, out.covariance, 2)
    q = s.climb_density
    V = track.Ph
    out.covariance[11] = V[0] + dt_h * (2.0 * V[1] + dt_h * V[2]) + q * dt_h * dt_h * dt_h / 3.0
    out.covariance[14] = V[1] + dt_h * V[2] + 0.5 * q * dt_h * dt_h
    out.covariance[20] = V[2] + q * dt_h
    if not lifted:
        for k in (2, 5, 7, 10, 11, 12, 13, 14, 17, 19, 20):
            out.covariance[k] = np.nan
    out.existence = probability(track.llr)
    _classes(track, out, chance)
    for k in range(MAX_SENSORS):
        out.sensors[k] = track.sensors[k]
    out.mode = track.mode
    out.stale = track.placed + after(lost_after(track, sensors, s))


@inlined
def _classes(track: Record, out: Record, chance: Floats) -> None:
    """Class, and identity unless it is a person."""
    class_probability(track.classes, chance)
    best = 0
    for k in range(N_CLASSES):
        out.classes[k] = chance[k]
        if chance[k] > chance[best]:
            best = k
    person = best == HUMAN and chance[HUMAN] > 0.0
    out.identity_kind = 0 if person else track.identity_kind
    for w in range(WORDS):
        out.words[w] = np.uint64(0) if person else track.words[w]


@inlined
def _turned(
    ee: float, en: float, ne: float, nn: float, e0: float, e1: float, n0: float, n1: float,
    out: Floats, block: int,
) -> None:  # fmt: skip
    """Turn a block of a covariance into its place: of place, between, or of velocity."""
    a, b = e0 * ee + e1 * ne, e0 * en + e1 * nn
    c, d = n0 * ee + n1 * ne, n0 * en + n1 * nn
    EE, EN = a * e0 + b * e1, a * n0 + b * n1
    NE, NN = c * e0 + d * e1, c * n0 + d * n1
    if block == 0:
        out[0], out[1], out[6] = EE, EN, NN
    elif block == 1:
        out[3], out[4], out[8], out[9] = EE, EN, NE, NN
    else:
        out[15], out[16], out[18] = EE, EN, NN


@inlined
def _lifted(east: float, north: float, height: float, plane: Record) -> Triple:
    """ECEF (m) of the point above (east, north) whose HAE is `height`, all m.

    From the radii of curvature, then, where that is not near enough, a Newton step: 1 cm of height
    within `FLAT_M` and 1 mm within 200 km. What else is said of the place is off by less than a
    hundredth of that.
    """
    up = height - east * east / (2.0 * plane.vertical) - north * north / (2.0 * plane.meridian)
    place = ecef_of_plane(east, north, up, plane.origin, plane.rotation)
    if east * east + north * north < FLAT_M * FLAT_M:
        return place
    tilt = (east / plane.vertical) ** 2 + (north / plane.meridian) ** 2
    slope = 1.0 / math.sqrt(1.0 - min(tilt, 0.5))
    up += (height - height_of(place)) * slope
    return ecef_of_plane(east, north, up, plane.origin, plane.rotation)


def said_of(updates: TrackUpdates) -> Array:
    """Records `SAID` of columns; basis, time of closing and doubt are not filled."""
    said = np.zeros(len(updates), SAID)
    for name in SCHEMA:
        column = np.ascontiguousarray(getattr(updates, name))
        if name == "identity":
            said["words"] = column.view("<u8").reshape(len(said), WORDS)
        elif name == "number":
            said["number"] = column.view("u1").reshape(len(said), 5)
        else:
            said[name] = column
    return said
