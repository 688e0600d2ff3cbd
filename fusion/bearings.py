"""Bearings: they sharpen tracks and say that these are there; from one place they confirm none.

Association is probabilistic, as for positions: bearings against tracks on the line of sight,
against a miss, and against clutter per radian. Successive frames of a camera share their errors and
their false alarms, so each counts as a part, by the time since the track was last heard by it.

References
----------
D. Musicki, R. Evans, S. Stankovic, "Integrated probabilistic data association", IEEE Trans.
Automatic Control 39(6), 1994, doi:10.1109/9.293185: existence by association.
"""

import math

import numpy as np

from fusion.bearing_kernels import TWO_PI, pointed_at, since_heard, turn
from fusion.crossings import from_elsewhere
from fusion.existence import log_odds
from fusion.jit import kernel
from fusion.marginals import marginals
from fusion.records import MODES, PACKED, Record
from fusion.silence import plain
from fusion.update import LEAST_CLAIM, MOSTLY, hear, note_motion, put_back
from model.arrays import Array, Bools, Floats
from model.tracks import Status, UpdateReason

_TENTATIVE = int(Status.TENTATIVE)
_DETECTED = int(UpdateReason.DETECTED)

BRINK = 0.1
"""Log-odds that a track raised by bearings alone stays below confirmation."""

MOST_WEIGHT = 1e12
"""Greatest weight of a pair."""


@kernel
def any_bearing(scan: Array) -> bool:
    """Whether a report has a bearing."""
    found = False
    for j in range(len(scan)):
        found = found or not math.isnan(scan[j].azimuth)
    return found


@kernel
def take_bearings(
    predicted: Array, rows: Array, scan: Array, origin: Floats, sensor: Record, now: int,
    index: int, mode: int, s: Record, gain: Floats, loose: Bools,
) -> None:  # fmt: skip
    """Hold bearings against tracks, and sharpen these.

    Parameters
    ----------
    predicted
        (n,) `fusion.records.PREDICTED`; `unseen` is lessened, `own` of those heard is filled.
    rows, scan
        The table's records, and (m,) `fusion.records.MEASURED`.
    origin
        (2,) east, north m of the sensor.
    sensor, s
        `fusion.gathered.SENSOR`, and constants.
    now, index, mode
        Time of the report, ns, its sensor's index, and its mode.
    gain
        (n,) filled: log-odds of existence that the bearings add, before any bound.
    loose
        (m,) filled: bearings that point at no track.
    """
    gain[:] = 0.0
    number = 0
    for j in range(len(scan)):
        loose[j] = not math.isnan(scan[j].azimuth)
        number += loose[j]
    row, item, likelihood = pointed_at(predicted, rows, scan, origin, mode, s)
    count = len(row)
    if not count:
        return
    chance = min(sensor.chance, s.greatest_pd)
    # In a harbour there are more than anybody described: what no track explains is clutter.
    known = 0.0
    for i in range(len(predicted)):
        known += predicted[i].prior * chance
    density = max(sensor.bearing_density, (number - known) / TWO_PI)
    psi = np.empty(count)
    shown = np.zeros(len(scan), np.int64)
    for p in range(count):
        to = predicted[row[p]]
        both = 0.0
        for k in range(MODES):
            both += to.mu[k] * likelihood[p, k]
        psi[p] = min(to.prior * chance * both / density / (1.0 - to.prior * chance), MOST_WEIGHT)
        loose[item[p]] = False
        shown[item[p]] += rows[to.row].status != _TENTATIVE
    share, _ = marginals(row, item, psi, np.ones(len(scan)), len(predicted), len(scan))
    begin = 0
    mean, spread = np.empty(4), np.empty(PACKED)
    while begin < count:
        i, end = row[begin], begin
        to = predicted[i]
        track = rows[to.row]
        # One hull may be drawn as several boxes: what points at a shown track speaks for no other.
        others = 1 if track.status != _TENTATIVE else 0
        claims = speaks = most = 0.0
        own = -1
        while end < count and row[end] == i:
            claims += share[end]
            if shown[item[end]] <= others:
                speaks += share[end]
            if share[end] > most:
                own, most = item[end], share[end]
            end += 1
        to.unseen *= 1.0 - min(claims, 1.0)
        since = since_heard(track, index, now, sensor.period)
        if since >= s.bearing_look_s and (track.crossed or _known(to, origin, s)):
            there = speaks + max(1.0 - speaks, 0.0) * to.prior
            gain[i] = max(log_odds(there) - log_odds(to.prior), 0.0)
            gain[i] *= min(since / s.bearing_existence_s, 1.0)
            there = claims + max(1.0 - claims, 0.0) * to.prior * (1.0 - chance) / (
                1.0 - to.prior * chance
            )
            for p in range(begin, end):
                share[p] /= max(there, 1e-300)
            # A track not confirmed yet is not bent to a line on which it may not be.
            if claims >= LEAST_CLAIM and (track.status != _TENTATIVE or track.crossed):
                worth = 0.0 if track.crossed else s.bearing_worth
                same = max(s.bearing_correlation_s / max(since, 1e-3), 1.0)
                if turn(
                    to, item[begin:end], share[begin:end], likelihood[begin:end], scan, same,
                    worth, origin,
                ):  # fmt: skip
                    put_back(track, to, now)
                    note_motion(track, mean, spread, s)
                    to.pointed = 1
            if most > MOSTLY * there:
                hear(track, index, now, True)
                to.own, to.pointed = own, 1
        begin = end


@kernel
def _known(to: Record, origin: Floats, s: Record) -> bool:
    """Whether it is known how far away a track is: else each mover behind it would speak for it."""
    de, dn = to.mean[0] - origin[0], to.mean[1] - origin[1]
    S = to.spread
    along = de * de * S[0] + 2.0 * de * dn * S[1] + dn * dn * S[4]
    far = de * de + dn * dn
    known: bool = along < s.bearing_known * s.bearing_known * far * far
    return known


@kernel
def raise_by_bearings(
    predicted: Array, rows: Array, origin: Floats, now: int, gain: Floats, s: Record, why: Array
) -> None:
    """Add what bearings say of existence, up to a bound: the rest positions must say.

    Parameters
    ----------
    predicted, rows, origin, now, gain, s
        As in `take_bearings`.
    why
        Why rows changed.
    """
    for i in range(len(predicted)):
        to = predicted[i]
        track = rows[to.row]
        more = gain[i]
        if track.crossed:
            more = _seen_again(track, to, origin, now, more, s)
        elif (not track.moved and plain(track)) or track.hits < s.bearing_hits:
            more = 0.0  # what stands is a shore, and has a bearing at every look
        else:
            # Only a place confirms: bearings bring a tentative track no farther than to the brink.
            most = s.bearing_cap_llr
            if track.status == _TENTATIVE:
                most = min(s.confirm_llr - BRINK, most)
            more = max(min(more, s.bearing_lift - track.lift, most - track.llr), 0.0)
            track.lift += more
        if more > 0.0:
            track.llr += more
            if why[to.row] == 255:
                why[to.row] = _DETECTED


@kernel
def _seen_again(
    track: Record, to: Record, origin: Floats, now: int, gain: float, s: Record
) -> float:
    """What a look says of a track that no position has shown: nothing from the same place again."""
    if to.own < 0 or not from_elsewhere(to.mean[0], to.mean[1], track.look, origin, s):
        return 0.0
    track.look[0], track.look[1] = origin[0], origin[1]
    track.placed = max(track.placed, now)
    track.hits += 1
    return max(min(gain, s.bearing_cap_llr - track.llr), 0.0)
