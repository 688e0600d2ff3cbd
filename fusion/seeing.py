"""How much of its described detection probability a sensor shows, learned by range.

Tracks that are surely there are what a sensor is held against: so many detections of them were to
be expected of it, so many it made. The part has a beta-like prior about 1, worth a few detections
that were expected, so a dead sensor that is described as seeing everything stops ending tracks that
others see.
"""

import math

from fusion.jit import inlined, kernel
from fusion.records import Record
from fusion.surroundings import EXPECTED, HEADER, PER_RANGE, RING, RINGS, SEEN, SIDE
from model.arrays import Array, Floats
from model.tracks import Status

MOST = 0.99
"""Greatest probability of detection that is learned."""

_TENTATIVE = int(Status.TENTATIVE)


@inlined
def ring_of(memory: Floats, to: Record, origin: Floats) -> int:
    """The row of a memory that stands for the range of a prediction; `origin` (2,) the sensor's."""
    east, north = to.mean[0] - origin[0], to.mean[1] - origin[1]
    width = memory[HEADER, SIDE] * PER_RANGE / RINGS
    return RING + min(int(math.sqrt(east * east + north * north) / width), RINGS - 1)


@inlined
def tempered(memory: Floats, to: Record, origin: Floats, worth: float) -> float:
    """Probability of detection of a prediction by what the sensor was found to see.

    Parameters
    ----------
    memory
        (`fusion.surroundings.ROWS`, 4); none at all: as described.
    to
        `fusion.records.PREDICTED` with its `described` probability.
    origin
        (2,) east, north m of the sensor.
    worth
        Detections that were expected that the description is worth.
    """
    if len(memory) == 0 or not to.described > 0.0:
        return to.described
    row = ring_of(memory, to, origin)
    part = (worth + memory[row, SEEN]) / (worth + memory[row, EXPECTED])
    return min(to.described * part, max(to.described, MOST))


@kernel
def count_seen(
    memory: Floats, predicted: Array, rows: Array, origin: Floats, weight: float, sure_hits: int
) -> None:
    """Count what was seen of tracks that are surely there, in place.

    Parameters
    ----------
    memory, origin
        As for `tempered`.
    predicted
        (n,) `fusion.records.PREDICTED` with `there` and `claims`.
    rows
        The table's records.
    weight
        What this report weighs: those that follow one another closely miss together.
    sure_hits
        Detections after which a track that is shown is surely there.
    """
    for i in range(len(predicted)):
        to = predicted[i]
        track = rows[to.row]
        if track.status == _TENTATIVE or track.hits < sure_hits or not to.described > 0.0:
            continue
        row = ring_of(memory, to, origin)
        memory[row, SEEN] += weight * to.claims
        memory[row, EXPECTED] += weight * to.there * to.described
