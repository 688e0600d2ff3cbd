"""What kind of mover: class likelihoods of detections and tracks, and models of motion by class."""

import math

from fusion.jit import inlined, kernel
from fusion.motion import combine
from fusion.motions import ANY, MODELLED
from fusion.records import MODES, PACKED, Record
from fusion.settings import CLASS_CONFLICT
from model.arrays import Floats
from model.taxonomy import N_CLASSES

CLASS_FLOOR = 0.05
"""Least likelihood of a class in one detection: no single report rules a class out."""

CLASS_SPAN = 6.0
"""Greatest log-odds between two classes: e^6 is 400 to 1."""

SURE = 0.7
"""Probability of a class at which a track takes its models: one detection that is certain of it."""

DOUBTED = 0.5
"""Probability of that class below which it goes back to those that fit all."""


@inlined
def class_probability(log_likelihood: Floats, out: Floats) -> bool:
    """Fill class probabilities (K,) of a track's log-likelihoods (K,); False: nothing was said."""
    said = False
    total = 0.0
    for k in range(N_CLASSES):
        said = said or log_likelihood[k] != 0.0
    if not said:
        for k in range(N_CLASSES):
            out[k] = 0.0
        return False
    for k in range(N_CLASSES):
        out[k] = math.exp(log_likelihood[k])
        total += out[k]
    for k in range(N_CLASSES):
        out[k] /= total
    return True


@inlined
def class_likelihood(detection: Record, sensor: Record, out: Floats) -> bool:
    """Fill log-likelihoods (K,) of what a detection, or else its sensor, says; False: nothing.

    Parameters
    ----------
    detection
        `fusion.records.MEASURED`.
    sensor
        `fusion.gathered.SENSOR`.
    out
        Filled; zeros where nothing is said.
    """
    total = 0.0
    for k in range(N_CLASSES):
        out[k] = detection.classes[k]
        total += out[k]
    if total == 0.0 and sensor.selective:
        for k in range(N_CLASSES):
            out[k] = sensor.classes[k]
            total += out[k]
    for k in range(N_CLASSES):
        out[k] = math.log(max(out[k], CLASS_FLOOR)) if total > 0.0 else 0.0
    return total > 0.0


@inlined
def class_score(track: Record, detection: Record, sensor: Record, room: Floats) -> float:
    """Log-likelihood of a detection's class under the track's, against any class.

    Parameters
    ----------
    track
        `fusion.records.TRACK`.
    detection, sensor
        As in `class_likelihood`.
    room
        (2, K), to work in.
    """
    if not class_likelihood(detection, sensor, room[1]):
        return 0.0  # asked first: the track's classes lie far from all else that a pair asks of it
    if not class_probability(track.classes, room[0]):
        return 0.0
    greatest = room[1, 0]
    for k in range(N_CLASSES):
        greatest = max(greatest, room[1, k])
    match = 0.0
    for k in range(N_CLASSES):
        match += room[0, k] * math.exp(room[1, k] - greatest)
    return math.log(max(match, CLASS_CONFLICT))


@inlined
def learn_class(track: Record, detection: Record, sensor: Record, room: Floats) -> bool:
    """Take what a detection says of its class into its track; False: it says nothing.

    Arguments as in `class_score`.
    """
    if not class_likelihood(detection, sensor, room[0]):
        return False
    greatest = -math.inf
    for k in range(N_CLASSES):
        track.classes[k] += room[0, k]
        greatest = max(greatest, track.classes[k])
    for k in range(N_CLASSES):
        track.classes[k] = max(track.classes[k] - greatest, -CLASS_SPAN)
    return True


@kernel
def motion_of(classes: Floats, present: int, chance: Floats) -> int:
    """Models (column of a class, or `ANY`) that fit a track of these class likelihoods.

    Parameters
    ----------
    classes
        (K,) log-likelihoods of a track.
    present
        Those that it has.
    chance
        (K,) room to work in.
    """
    if not class_probability(classes, chance):
        return ANY
    if present != ANY and chance[present] >= DOUBTED:
        return present
    for k in range(len(MODELLED)):
        if chance[MODELLED[k]] >= SURE:
            return MODELLED[k]
    return ANY


@kernel
def take_motion(track: Record, s: Record, mean: Floats, spread: Floats, chance: Floats) -> None:
    """Let a track follow the models of its class, if that has become sure or doubtful.

    The modes of one class say nothing about those of another, so all begin from the same state.

    Parameters
    ----------
    track
        `fusion.records.TRACK`, its class as it now is.
    s
        Constants.
    mean, spread, chance
        (4,), (10,) and (K,), room to work in.
    """
    motion = motion_of(track.classes, track.motion, chance)
    if motion == track.motion:
        return
    track.motion = motion
    combine(track.x, track.P, track.mu, mean, spread)
    for k in range(MODES):
        track.mu[k] = s.motion_share[motion, k]
        for a in range(4):
            track.x[k, a] = mean[a]
        for c in range(PACKED):
            track.P[k, c] = spread[c]
