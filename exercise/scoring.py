"""How good a picture is: GOSPA against the truth, and what it is made of.

References
----------
A. S. Rahmathullah, Á. F. García-Fernández, L. Svensson, "Generalized optimal sub-pattern
assignment metric", Fusion 2017, doi:10.23919/ICIF.2017.8009645: definition 1 with alpha = 2,
where proposition 1 splits the metric into localisation, missed and false targets.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from scipy.optimize import linear_sum_assignment

from exercise.lines import Problems, read_json_lines, time_ns_of
from exercise.truth import Truth, place_problem, surface_ecef
from model.arrays import Array, Bools, Floats, Int64s
from model.errors import InputFileError

SHOWN = frozenset({"confirmed", "coasting"})
"""Statuses that are part of a picture."""

HIDDEN = frozenset({"tentative", "deleted"})
"""Statuses that are not, and are passed over where a file has them."""


class PictureTrack(msgspec.Struct, frozen=True):
    """One track of a picture; further keys are not scored."""

    id: int | str
    lat: float
    lon: float
    status: str = "confirmed"


class PictureLine(msgspec.Struct, frozen=True):
    """One line of a pictures file."""

    tracks: list[PictureTrack]
    sensor: str = ""
    time: float | int | str | None = None
    time_ns: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """What was shown after one report.

    Parameters
    ----------
    time
        The newest report time so far, UTC ns.
    sensor
        Sensor of the report.
    ids
        T track ids.
    ecef
        (T, 3) float64 ECEF m at height 0.
    """

    time: int
    sensor: str
    ids: tuple[int | str, ...]
    ecef: Floats


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
    """

    pictures: int
    skipped: int
    gospa: float
    miss: float
    false: float
    rmse: float
    id_switches: int
    near_gospa: float


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
        Cut-off (m) and exponent of GOSPA.
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
    totals = np.zeros(4)  # gospa, near gospa, miss, false
    squares, pairs, switches = 0.0, 0, 0
    last: dict[int | str, int | str] = {}
    for index in np.flatnonzero(known):
        picture = chosen[index]
        targets = np.flatnonzero(there[index])
        distance = _distances(ecef[index, targets], picture.ecef)
        result = gospa(distance, c, p)
        far = _left_over_beyond(distance, result.columns, near)
        near_value = max(result.value**p - c**p / 2.0 * far, 0.0) ** (1.0 / p)
        totals += (result.value, near_value, result.miss, result.false)
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


def read_pictures(path: Path) -> list[Picture]:
    """Read a pictures file.

    Raises
    ------
    InputFileError
        If the file cannot be read, or lines break the contract; each is named.
    """
    problems = Problems(path)
    pictures: list[Picture] = []
    for number, line in read_json_lines(path, PictureLine, problems):
        try:
            time_ns = time_ns_of(line.time, line.time_ns)
        except ValueError as error:
            problems.add(number, str(error))
            continue
        shown: dict[int | str, tuple[float, float]] = {}
        for track in line.tracks:
            if wrong := place_problem(track.lat, track.lon):
                problems.add(number, f"track {track.id}: {wrong}")
            elif track.id in shown:
                problems.add(number, f"track {track.id} is there twice")
            elif track.status in SHOWN:
                shown[track.id] = (track.lat, track.lon)
            elif track.status not in HIDDEN:
                problems.add(number, f"track {track.id}: status {track.status!r} is unknown")
        places = np.array(list(shown.values()), dtype=np.float64).reshape(-1, 2)
        pictures.append(Picture(time_ns, line.sensor, tuple(shown), surface_ecef(places)))
    problems.raise_any()
    if not pictures:
        raise InputFileError(f"{path}: no pictures in it")
    return pictures
