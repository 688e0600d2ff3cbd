"""What silence means: when a track coasts, and when it is lost.

The same is asked in the table at the time of each report, and by the clock of what is published. So
it is worked out once, when a track changes, as the moments at which silence will have said enough.
"""

import math

from fusion.jit import inlined
from fusion.records import MODES, Record
from fusion.settings import NANO
from model.arrays import Array
from model.taxonomy import N_CLASSES
from model.tracks import Status

_TENTATIVE = int(Status.TENTATIVE)

_PER_S = 1e9
_LONGEST_NS = 1e17
"""Three years: longer silences are all the same, and within what int64 holds."""


@inlined
def after(seconds: float) -> int:
    """Seconds as ns, within what can be added to a time."""
    return int(min(max(seconds * _PER_S, 0.0), _LONGEST_NS))


@inlined
def lost_after(track: Record, sensors: Array, s: Record) -> float:
    """Seconds of silence after which a track is lost.

    Parameters
    ----------
    track
        Its record.
    sensors
        (S,) `fusion.gathered.SENSOR`.
    s
        `fusion.settings.Settings.record`, its one record.
    """
    longest = latency = 0.0
    for k in range(len(track.sensors)):
        sensor = track.sensors[k]
        if sensor < 0:
            break
        if track.by_angle[k] and not track.crossed:
            continue
        longest = max(longest, sensors[sensor].period)
        latency = max(latency, sensors[sensor].latency)
    if track.status == _TENTATIVE:
        return max(s.confirm_hits * longest, s.tentative_lost_s) + latency
    return max(s.lost_periods * longest, s.least_lost_s) + latency


@inlined
def gone_at(track: Record, sensors: Array, s: Record) -> int:
    """Time (ns) after which silence closes a track, or hides it because it has stood too long."""
    # Bearings keep no track: how far away it is they do not say.
    silent = track.placed + after(lost_after(track, sensors, s))
    if track.status == _TENTATIVE:
        return silent
    latency = a = b = c = 0.0
    for k in range(len(track.sensors)):
        if track.sensors[k] < 0:
            break
        latency = max(latency, sensors[track.sensors[k]].latency)
    # Its variance grows with the square of the silence, until it may be anywhere.
    for k in range(MODES):
        a += track.mu[k] * max(track.P[k, 0], track.P[k, 4])
        b += track.mu[k] * max(track.P[k, 2], track.P[k, 6])
        c += track.mu[k] * max(track.P[k, 7], track.P[k, 9])
    lacking = s.lost_sigma_m * s.lost_sigma_m - a
    wait = 0.0
    if lacking > 0.0:
        root = math.sqrt(max(b * b + c * lacking, 0.0))
        wait = lacking / (b + root) if b + root > 0.0 else _LONGEST_NS * NANO
    unknown = max(track.time + after(wait), track.placed + after(s.least_lost_s + latency))
    gone = min(silent, unknown)
    if plain(track) and not track.moved:
        gone = min(gone, track.born + after(s.still_s))
    return gone


@inlined
def plain(track: Record) -> bool:
    """Whether nobody says what a track is."""
    said = track.name != 0
    for k in range(N_CLASSES):
        said = said or track.classes[k] != 0.0
    return not said


@inlined
def stands(track: Record, now: int, s: Record) -> bool:
    """Whether a track stands where it was first seen and nobody says what it is.

    A shore, a buoy or a moored boat returns at every look, and is no mover. What a sensor names or
    classifies is shown wherever it stands: a drone that hovers, a person who waits.
    """
    return not track.moved and now - track.born > after(s.still_s) and plain(track)


@inlined
def coasts_at(track: Record, sensors: Array, s: Record) -> int:
    """Time (ns) at which a track begins to coast, if nothing is heard of it."""
    latency = 0.0
    shortest = math.inf
    for k in range(len(track.sensors)):
        sensor = track.sensors[k]
        if sensor < 0:
            break
        if track.by_angle[k] and not track.crossed:
            continue
        shortest = min(shortest, sensors[sensor].period)
        latency = max(latency, sensors[sensor].latency)
    return track.heard[0] + after(max(s.coast_periods * shortest, s.least_coast_s) + latency)
