"""Where the movers really were: the Truth contract, read, written and interpolated.

One JSON line a moment: ``{"time":…,"targets":[{"id":1,"lat":…,"lon":…}]}``; further keys of a
target (``alt_m``, ``class``) are for people and are not scored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from exercise.lines import Problems, read_json_lines, time_ns_of
from model.arrays import Bools, Floats, Int64s
from model.errors import InputFileError
from model.frames import ecef_from_geodetic
from model.time import NS_PER_S

MAX_GAP_NS = 5 * NS_PER_S
"""Truth further apart than this is not interpolated (the Truth contract)."""


class TruthTarget(msgspec.Struct, frozen=True):
    """One target of a truth line."""

    id: int | str
    lat: float
    lon: float


class TruthLine(msgspec.Struct, frozen=True):
    """One line of a truth file."""

    targets: list[TruthTarget]
    time: float | int | str | None = None
    time_ns: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Where every target was, when.

    Parameters
    ----------
    moments
        (L,) int64 ns, rising: the times about which the truth says something, also "nobody".
    times
        Per target id: (K,) int64 ns, strictly rising.
    ecef
        Per target id: (K, 3) float64 ECEF m of the point on the ellipsoid (height 0) below it.
    """

    moments: Int64s
    times: Mapping[int | str, Int64s]
    ecef: Mapping[int | str, Floats]

    def known(self, at_ns: Int64s) -> Bools:
        """Which of the times (P,) lie on a moment, or between two at most 5 s apart."""
        return _between(self.moments, at_ns)[2]

    def at(self, at_ns: Int64s) -> tuple[tuple[int | str, ...], Floats, Bools]:
        """Positions at given times, interpolated linearly.

        Parameters
        ----------
        at_ns
            (P,) int64 ns.

        Returns
        -------
        ids
            T target ids.
        ecef
            (P, T, 3) float64 m; arbitrary where the target is not there.
        there
            (P, T) bool: false where the target has no truth, or only across a gap of over 5 s.
        """
        ids = tuple(self.times)
        ecef = np.zeros((len(at_ns), len(ids), 3))
        there = np.zeros((len(at_ns), len(ids)), dtype=np.bool_)
        for column, target in enumerate(ids):
            before, weight, inside = _between(self.times[target], at_ns)
            points = self.ecef[target]
            after = np.minimum(before + 1, len(points) - 1)
            ecef[:, column] = points[before] + weight[:, None] * (points[after] - points[before])
            there[:, column] = inside
        return ids, ecef, there


def surface_ecef(lat_lon_deg: Floats) -> Floats:
    """ECEF (N, 3) m of points (N, 2) latitude, longitude degrees at height 0.

    Distances between near points of one surface are chords: within 1 km they differ from the
    horizontal distance in local ENU by less than a micrometre, and no region need be chosen.
    """
    geodetic = np.zeros((len(lat_lon_deg), 3))
    geodetic[:, :2] = np.radians(lat_lon_deg)
    return ecef_from_geodetic(geodetic)


def _between(times: Int64s, at_ns: Int64s) -> tuple[Int64s, Floats, Bools]:
    """Index of the sample before each time, weight of the one after, and whether both count."""
    if len(times) == 0:
        none = np.zeros(len(at_ns), dtype=np.int64)
        return none, none.astype(np.float64), none.astype(np.bool_)
    before = np.searchsorted(times, at_ns, side="right").astype(np.int64) - 1
    inside = before >= 0
    before = np.maximum(before, 0)
    after = np.minimum(before + 1, len(times) - 1)
    gap = times[after] - times[before]
    since = at_ns - times[before]
    inside &= (since == 0) | ((gap > 0) & (gap <= MAX_GAP_NS))
    weight = np.where(gap > 0, since / np.maximum(gap, 1), 0.0)
    return before, np.clip(weight, 0.0, 1.0), inside


def truth_of(rows: Sequence[tuple[int, Sequence[TruthTarget]]]) -> Truth:
    """Truth out of (time ns, targets) rows in any order; of equal times the last wins."""
    ordered = dict(sorted(rows, key=lambda row: row[0]))
    samples: dict[int | str, list[tuple[int, float, float]]] = {}
    for time_ns, targets in ordered.items():
        for target in targets:
            samples.setdefault(target.id, []).append((time_ns, target.lat, target.lon))
    return Truth(
        np.array(list(ordered), dtype=np.int64),
        {key: np.array([row[0] for row in rows], dtype=np.int64) for key, rows in samples.items()},
        {
            key: surface_ecef(np.array([row[1:] for row in rows], dtype=np.float64))
            for key, rows in samples.items()
        },
    )


def place_problem(lat: float, lon: float) -> str | None:
    """What is wrong with a latitude and longitude in degrees, or None."""
    if not -90.0 <= lat <= 90.0:
        return f"lat {lat} is not a latitude in degrees"
    if not -180.0 <= lon <= 180.0:
        return f"lon {lon} is not a longitude in degrees"
    return None


def read_truth(path: Path) -> Truth:
    """Read a truth file.

    Raises
    ------
    InputFileError
        If the file cannot be read, or lines break the contract; each is named.
    """
    problems = Problems(path)
    rows: list[tuple[int, list[TruthTarget]]] = []
    for number, line in read_json_lines(path, TruthLine, problems):
        try:
            time_ns = time_ns_of(line.time, line.time_ns)
        except ValueError as error:
            problems.add(number, str(error))
            continue
        seen: set[int | str] = set()
        for target in line.targets:
            if wrong := place_problem(target.lat, target.lon):
                problems.add(number, f"target {target.id}: {wrong}")
            elif target.id in seen:
                problems.add(number, f"target {target.id} is there twice")
            seen.add(target.id)
        rows.append((time_ns, line.targets))
    problems.raise_any()
    if not rows:
        raise InputFileError(f"{path}: no truth in it")
    return truth_of(rows)
