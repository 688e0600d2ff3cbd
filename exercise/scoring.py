"""How good pictures are against the truth: means of GOSPA, OSPA and SIAP, switches, misses."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from exercise.metrics import Siap, SiapCounts, gospa, ospa, siap, siap_counts
from exercise.pictures import Picture
from exercise.truth import Truth
from model.arrays import Array, Bools, Floats


@dataclass(frozen=True, slots=True)
class Score:
    """Means over the scored pictures.

    Parameters
    ----------
    pictures
        How many were scored.
    skipped
        Pictures whose time the truth says nothing about (outside it, or in a gap of over 5 s).
    gospa
        Mean GOSPA, m.
    miss, false
        Mean number of targets without an estimate, of estimates without a target.
    rmse
        Root of the mean squared distance over all assigned pairs, m; NaN: there were none.
    id_switches
        How often, over all pictures, the track assigned to a target was another than the one
        assigned to it last.
    near_gospa
        As `gospa`, but estimates farther than `near` from every target are not charged.
    ospa
        Mean OSPA, m.
    siap
        Completeness, ambiguity, spuriousness and position accuracy over all scored pictures.
    """

    pictures: int
    skipped: int
    gospa: float
    miss: float
    false: float
    rmse: float
    id_switches: int
    near_gospa: float
    ospa: float
    siap: Siap


def score(
    truth: Truth,
    pictures: Sequence[Picture],
    *,
    c: float = 20.0,
    p: float = 2.0,
    start: int = 6,
    near: float = 60.0,
    at: Collection[str] | None = None,
) -> Score:
    """Score pictures against the truth.

    Parameters
    ----------
    truth
        Where the targets were.
    pictures
        One per report, in the order of arrival.
    c, p
        Cut-off (m) and exponent of GOSPA and OSPA; SIAP's tracks belong to targets nearer than `c`.
    start
        The first picture scored, counted from 1 among those of `at`.
    near
        Estimates farther than this (m) from every target are not charged in `near_gospa`.
    at
        Score only pictures after reports of these sensors; None: after all.

    Raises
    ------
    ValueError
        If no picture is left to score, or a parameter is out of its range.
    """
    if not (c > 0.0 and p >= 1.0 and near >= 0.0 and start >= 1):
        raise ValueError("score: c must be above 0, p and from at least 1, near not below 0")
    chosen = [picture for picture in pictures if at is None or picture.sensor in at][start - 1 :]
    times = np.array([picture.time for picture in chosen], dtype=np.int64)
    known = truth.known(times)
    ids, ecef, there = truth.at(times)
    totals = np.zeros(5)  # gospa, near gospa, miss, false, ospa
    counts: list[SiapCounts] = []
    squares, pairs, switches = 0.0, 0, 0
    last: dict[int | str, int | str] = {}
    for index in np.flatnonzero(known):
        picture = chosen[index]
        targets = np.flatnonzero(there[index])
        distance = _distances(ecef[index, targets], picture.ecef)
        result = gospa(distance, c, p)
        far = _left_over_beyond(distance, result.columns, near)
        near_value = max(result.value**p - c**p / 2.0 * far, 0.0) ** (1.0 / p)
        totals += (result.value, near_value, result.miss, result.false, ospa(result, c, p))
        counts.append(siap_counts(distance, c))
        squares += float((result.distance**2).sum())
        pairs += len(result.rows)
        for row, column in zip(result.rows, result.columns, strict=True):
            target, track = ids[targets[row]], picture.ids[column]
            switches += last.setdefault(target, track) != track
            last[target] = track
    scored = int(known.sum())
    if scored == 0:
        raise ValueError(
            f"no picture to score: {len(pictures)} in all, {len(chosen)} chosen by --at and "
            f"--from, none of them at a time that the truth knows"
        )
    mean = totals / scored
    return Score(
        pictures=scored,
        skipped=len(chosen) - scored,
        gospa=float(mean[0]),
        miss=float(mean[2]),
        false=float(mean[3]),
        rmse=float(np.sqrt(squares / pairs)) if pairs else float("nan"),
        id_switches=switches,
        near_gospa=float(mean[1]),
        ospa=float(mean[4]),
        siap=siap(counts),
    )


def _distances(targets: Floats, estimates: Floats) -> Floats:
    """(X, Y) m between (X, 3) and (Y, 3)."""
    difference = targets[:, None, :] - estimates[None, :, :]
    distance: Floats = np.sqrt((difference * difference).sum(axis=2))
    return distance


def _left_over_beyond(distance: Floats, assigned: Array, near: float) -> int:
    """Estimates that are not assigned and farther than `near` from every target."""
    far: Bools = np.asarray((distance > near).all(axis=0))
    far[assigned] = False
    return int(far.sum())
