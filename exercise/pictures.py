"""What was shown: the Pictures contract, read from JSON Lines."""

from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from exercise.lines import Problems, read_json_lines, time_ns_of
from exercise.truth import place_problem, surface_ecef
from model.arrays import Floats
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
