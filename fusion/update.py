"""Tracks take in what belongs to them: position, velocity, range rate, height, class, identity."""

import math

import numpy as np

from fusion.classes import learn_class, take_motion
from fusion.doubts import vouch
from fusion.jit import inlined, kernel
from fusion.motion import carry, combine
from fusion.records import MODES, PACKED, WORDS, Record
from fusion.settings import NANO
from fusion.weigh import absorb, intersect, take_velocity
from model.arrays import Array, Floats
from model.taxonomy import N_CLASSES

LEAST_CLAIM = 1e-3
"""A track that claims less of all detections stays as it was."""

MOSTLY = 0.5
"""A detection of which a track's share is greater is taken to be its own."""


@kernel
def take_in(
    predicted: Array, pairs: Array, rows: Array, scan: Array, sensor: Record, now: int, index: int,
    s: Record,
) -> None:  # fmt: skip
    """Fuse detections into the tracks that they belong to.

    Parameters
    ----------
    predicted, pairs
        As `fusion.associate.associate` left them; `own` is filled.
    rows
        The table's records; those of the predictions are changed.
    scan
        (m,) `fusion.records.MEASURED`.
    sensor
        `fusion.gathered.SENSOR`.
    now, index
        Time of the report, ns, and index of its sensor.
    s
        Constants.
    """
    room, wide = np.empty((2, N_CLASSES)), np.empty((5, PACKED))
    mean, spread = np.empty(4), np.empty(PACKED)
    for i in range(len(predicted)):
        to = predicted[i]
        to.own = -1
        if to.claims < LEAST_CLAIM or to.count == 0:
            continue
        claimed = most = 0.0
        own = -1
        for p in range(to.first, to.first + to.count):
            claimed += pairs[p].share
            if pairs[p].share > MOSTLY and pairs[p].share > most:
                own, most = pairs[p].item, pairs[p].share
        noise = 1.0
        if sensor.tracks and own >= 0:
            noise = intersect(to, scan[own])
        absorb(to, pairs, scan, max(1.0 - claimed, 0.0), noise, wide)
        track = rows[to.row]
        if own >= 0:
            take_velocity(to, scan[own])
        put_back(track, to, now)
        note_motion(track, mean, spread, s)
        if own < 0:
            continue
        to.own = own
        d = scan[own]
        take_height(track, d, now, s)
        track.hits += 1
        hear(track, index, now, False)
        track.placed, track.lift, track.crossed = max(track.placed, now), 0.0, 0
        if learn_class(track, d, sensor, room):
            take_motion(track, s, mean, spread, room[0])
        if d.name != 0:
            track.name, track.identity_kind = d.name, d.identity_kind
            for w in range(WORDS):
                track.words[w] = d.words[w]
            vouch(track, now, s)


@inlined
def put_back(track: Record, to: Record, now: int) -> None:
    """Give a track the state that its prediction was updated to, at the track's own time if later.

    Parameters
    ----------
    track, to
        Records of both.
    now
        Time of the report, ns.
    """
    for k in range(MODES):
        for a in range(4):
            track.x[k, a] = to.x[k, a]
        for c in range(PACKED):
            track.P[k, c] = to.P[k, c]
        track.mu[k] = to.mu[k]
        if to.dt < 0.0:
            carry(track.x[k], track.P[k], -to.dt)
    track.time = max(track.time, now)


@inlined
def note_motion(track: Record, mean: Floats, spread: Floats, s: Record) -> None:
    """Note of a track whether it certainly went somewhere since it was first seen.

    `mean` (4,) and `spread` (10,) are room to work in.
    """
    if track.moved or track.hits < 3:
        return
    combine(track.x, track.P, track.mu, mean, spread)
    de, dn = mean[0] - track.anchor[0], mean[1] - track.anchor[1]
    far = de * de + dn * dn
    where = 0.5 * (spread[0] + spread[4]) + track.anchor[2]
    speed = mean[2] * mean[2] + mean[3] * mean[3]
    rate = 0.5 * (spread[7] + spread[9])
    limit = s.moved_sigmas * s.moved_sigmas
    went = far > limit * where or (speed > limit * rate and far > 0.25 * limit * where)
    track.moved = 1 if went else 0


@inlined
def take_height(track: Record, d: Record, now: int, s: Record) -> None:
    """Fuse a detection's height, if it has one."""
    if math.isnan(d.height):
        return
    h, P = track.h, track.Ph
    if math.isnan(h[0]):
        h[0], h[1] = d.height, 0.0
        P[0], P[1], P[2] = d.height_variance, 0.0, s.initial_climb_mps * s.initial_climb_mps
        track.h_time = now
        return
    dt = max((now - track.h_time) * NANO, 0.0)
    q = s.climb_density
    h[0] += dt * h[1]
    a = P[0] + dt * (2.0 * P[1] + dt * P[2]) + q * dt * dt * dt / 3.0
    b = P[1] + dt * P[2] + 0.5 * q * dt * dt
    c = P[2] + q * dt
    S = a + d.height_variance
    innovation = d.height - h[0]
    h[0] += a / S * innovation
    h[1] += b / S * innovation
    # R S^-1 P, without the rounding that could leave nothing.
    keep = d.height_variance / S
    P[0], P[1], P[2] = keep * a, keep * b, c - b / S * b
    track.h_time = max(now, track.h_time)


@inlined
def hear(track: Record, sensor: int, now: int, angle: bool) -> None:
    """Put a sensor where it belongs in the list of those heard last, newest first.

    `angle`: it gave a bearing, and no place.
    """
    sensors, heard, by_angle = track.sensors, track.heard, track.by_angle
    last = len(sensors) - 1
    place = last
    for k in range(len(sensors)):
        if sensors[k] == sensor:
            place = k
            now = max(now, heard[k])
    while place > 0 and (sensors[place - 1] < 0 or heard[place - 1] <= now):
        sensors[place], heard[place] = sensors[place - 1], heard[place - 1]
        by_angle[place] = by_angle[place - 1]
        place -= 1
    if place == last and sensors[last] >= 0 and sensors[last] != sensor and heard[last] > now:
        return  # eight others were heard since
    sensors[place], heard[place], by_angle[place] = sensor, now, angle
