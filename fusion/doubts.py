"""An identity that is doubted: two movers cannot both be the one that says it.

What a transponder says of who it is can be false, or be said by two. It is found where a report
with a track's identity comes from a place that its mover cannot have reached (a jump), or where two
tracks bear one identity (a conflict): `fusion.doubles`. Then both tracks are in doubt: nobody can
tell from here which of them says what is not. Nothing else of them changes, neither where they are
nor whether: what is doubted is the name, not the mover.

The doubt lasts until the track's own reports have said an identity for `Settings.doubt_s` without a
contradiction. So who is contradicted once a second for an hour is doubted once, for an hour. It is
said of the two tracks with which it begins, and of each that bears the name later. Of one that hops
about, the many other places are tracks without a name of which nothing is said.
"""

from fusion.classes import class_probability
from fusion.jit import kernel
from fusion.records import Record
from fusion.settings import NANO
from model.arrays import Floats
from model.taxonomy import HUMAN, N_CLASSES
from model.tracks import UpdateReason

_DOUBTED, _CLEARED = int(UpdateReason.DOUBTED), int(UpdateReason.CLEARED)


@kernel
def doubt(track: Record, now: int) -> bool:
    """Note that a track's identity was contradicted at a time (ns); whether that is new."""
    track.vouched = 0
    if track.doubted != 0:
        return False
    track.doubted = max(now, 1)  # 0 is kept for no doubt
    return True


@kernel
def vouch(track: Record, now: int, s: Record) -> None:
    """Note that a track said its identity itself, at a time (ns); a doubt may end with that.

    If the same report contradicts it, `doubt` comes behind this and takes it back.
    """
    if track.doubted == 0:
        return
    if track.vouched == 0:
        track.vouched = max(now, 1)
    elif (now - track.vouched) * NANO >= s.doubt_s:
        track.doubted = track.vouched = 0


@kernel
def shown_doubt(track: Record, chance: Floats) -> int:
    """1 if it is to be said that a track's identity is doubted, else 0.

    Of a person no identity is ever said, so neither is a doubt about one; nor of a track without a
    name, unless the doubt began with it.

    Parameters
    ----------
    track
        Its record.
    chance
        (K,) float64, to work in.
    """
    if track.doubted == 0 or (track.name == 0 and track.aloud == 0):
        return 0
    class_probability(track.classes, chance)
    best = 0
    for k in range(N_CLASSES):
        if chance[k] > chance[best]:
            best = k
    return 0 if best == HUMAN and chance[HUMAN] > 0.0 else 1


@kernel
def reason_of(why: int, now: int, last: int) -> int:
    """`UpdateReason` of an update: a doubt that begins or ends goes before all else.

    Parameters
    ----------
    why
        The reason without it.
    now, last
        Whether a doubt is to be said, and whether one was (`shown_doubt`).
    """
    if now == last:
        return why
    return _DOUBTED if now else _CLEARED
