"""Distances between what is there and what is shown: GOSPA, OSPA, and the counts of SIAP.

All three are about one picture: X targets, Y estimates and the (X, Y) distances between them.

References
----------
GOSPA: A. S. Rahmathullah, Á. F. García-Fernández, L. Svensson, "Generalized optimal sub-pattern
assignment metric", Fusion 2017, doi:10.23919/ICIF.2017.8009645: definition 1 with alpha = 2,
where proposition 1 splits the metric into localisation, missed and false targets.
OSPA: D. Schuhmacher, B.-T. Vo, B.-N. Vo, "A consistent metric for performance evaluation of
multi-object filters", IEEE Trans. SP 56(8), 2008, doi:10.1109/TSP.2008.920469: equation 3.
SIAP: P. Votruba, R. Nisley, R. Rothrock, B. Zombro, "Single Integrated Air Picture (SIAP) metrics
implementation", 29 October 2001, in the form in which Stone Soup has it
(`stonesoup.metricgenerator.tracktotruthmetrics`), with one association for each picture by itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from model.arrays import Floats, Int64s


@dataclass(frozen=True, slots=True, eq=False)
class Gospa:
    """GOSPA of one picture.

    Parameters
    ----------
    value
        The metric, m.
    rows, columns
        (A,) int64 assigned targets and estimates.
    distance
        (A,) float64 m of each pair, below the cut-off.
    miss, false
        Targets and estimates left over.
    """

    value: float
    rows: Int64s
    columns: Int64s
    distance: Floats
    miss: int
    false: int


def gospa(distance: Floats, c: float = 20.0, p: float = 2.0) -> Gospa:
    """GOSPA with alpha = 2, with an optimal assignment.

    Parameters
    ----------
    distance
        (X, Y) float64 m between targets and estimates.
    c
        Cut-off, m: a pair this far apart or farther is a miss and a false estimate.
    p
        Exponent, at least 1.
    """
    targets, estimates = distance.shape
    close = distance < c
    rows = np.flatnonzero(close.any(axis=1))
    columns = np.flatnonzero(close.any(axis=0))
    cost = np.minimum(distance[np.ix_(rows, columns)], c) ** p
    chosen_rows, chosen_columns = linear_sum_assignment(cost)
    rows, columns = rows[chosen_rows], columns[chosen_columns]
    kept = close[rows, columns]
    rows, columns = rows[kept], columns[kept]
    pairs = distance[rows, columns]
    miss, false = targets - len(rows), estimates - len(rows)
    total = float((pairs**p).sum()) + c**p / 2.0 * (miss + false)
    return Gospa(total ** (1.0 / p), rows, columns, pairs, miss, false)


def ospa(result: Gospa, c: float = 20.0, p: float = 2.0) -> float:
    """OSPA of the picture that a GOSPA is about.

    Both metrics add up ``min(d, c)**p`` over pairs and a constant for each point without a
    partner, so one assignment is optimal for both.

    Parameters
    ----------
    result
        GOSPA of the picture, of the same `c` and `p`.
    c
        Cut-off, m: also what a point without a partner costs.
    p
        Exponent, at least 1.

    Returns
    -------
    float
        The metric, m, between 0 and `c`; 0 where nothing is there and nothing is shown.
    """
    pairs = len(result.rows)
    most = pairs + max(result.miss, result.false)
    if most == 0:
        return 0.0
    total = float((result.distance**p).sum()) + c**p * (most - pairs)
    return float((total / most) ** (1.0 / p))


@dataclass(frozen=True, slots=True)
class SiapCounts:
    """What SIAP counts in one picture.

    Parameters
    ----------
    targets, tracked
        J: targets that are there; JT: those with a track.
    tracks, assigned
        N: tracks shown; NA: those that belong to a target.
    error
        PA: sum of the distances between tracks and the targets they belong to, m.
    """

    targets: int
    tracked: int
    tracks: int
    assigned: int
    error: float


@dataclass(frozen=True, slots=True)
class Siap:
    """SIAP over several pictures; NaN where there was nothing to divide by.

    Parameters
    ----------
    completeness
        Part of the targets that had a track, 0 to 1; best 1.
    ambiguity
        Tracks per tracked target, from 1; best 1.
    spuriousness
        Part of the tracks that belonged to no target, 0 to 1; best 0.
    position_accuracy
        Mean distance between a track and its target, m; best 0.
    """

    completeness: float
    ambiguity: float
    spuriousness: float
    position_accuracy: float


def siap_counts(distance: Floats, c: float = 20.0) -> SiapCounts:
    """What SIAP counts in one picture: a track belongs to the nearest target, if nearer than `c`.

    Several tracks may belong to one target: that is what ambiguity tells and GOSPA does not.

    Parameters
    ----------
    distance
        (X, Y) float64 m between targets and tracks.
    c
        How far, m, a track may be from the target it belongs to.
    """
    targets, tracks = distance.shape
    if targets == 0 or tracks == 0:
        return SiapCounts(targets, 0, tracks, 0, 0.0)
    nearest = distance.argmin(axis=0)
    error = distance[nearest, np.arange(tracks)]
    mine = error < c
    tracked = len(np.unique(nearest[mine]))
    return SiapCounts(targets, tracked, tracks, int(mine.sum()), float(error[mine].sum()))


def siap(counts: Iterable[SiapCounts]) -> Siap:
    """SIAP over pictures: sums of counts divided by sums of counts."""
    targets = tracked = tracks = assigned = 0
    error = 0.0
    for one in counts:
        targets += one.targets
        tracked += one.tracked
        tracks += one.tracks
        assigned += one.assigned
        error += one.error
    return Siap(
        completeness=_share(tracked, targets),
        ambiguity=_share(assigned, tracked),
        spuriousness=_share(tracks - assigned, tracks),
        position_accuracy=_share(error, assigned),
    )


def _share(part: float, whole: int) -> float:
    return part / whole if whole else float("nan")
