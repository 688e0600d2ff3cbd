"""Reading JSON Lines so that every mistake of a file is told at once, by file and line."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from model.errors import InputFileError
from model.time import MAX_TIME_NS, NS_PER_S, ns_from_iso, ns_from_seconds

MAX_PROBLEMS = 20
"""Mistakes of one file that are told one by one; of the rest, how many there are."""

T = TypeVar("T")


class Problems:
    """Mistakes found so far in one file.

    Parameters
    ----------
    path
        The file, as the person wrote it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: list[str] = []
        self._count = 0

    def add(self, line: int, what: str) -> None:
        """Note a mistake on a line (from 1)."""
        self._count += 1
        if self._count <= MAX_PROBLEMS:
            self._lines.append(f"{self.path}:{line}: {what}")

    def raise_any(self) -> None:
        """Raise `InputFileError` with all mistakes, a line each, if there are any."""
        if self._count:
            more = self._count - len(self._lines)
            tail = [f"{self.path}: {more} more lines with mistakes"] if more else []
            raise InputFileError("\n".join(self._lines + tail))


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines of a file that are not blank, with their numbers from 1.

    Raises
    ------
    InputFileError
        If the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if stripped := line.strip():
                    yield number, stripped
    except OSError as error:
        raise InputFileError(f"{path}: {error.strerror or error}") from error


def read_json_lines(path: Path, kind: type[T], problems: Problems) -> Iterator[tuple[int, T]]:
    """Lines of a JSON Lines file as values of one msgspec type; mistakes go to `problems`."""
    decoder = msgspec.json.Decoder(kind)
    for number, line in read_lines(path):
        try:
            yield number, decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            problems.add(number, str(error))


def time_ns_of(time: float | str | None, time_ns: int | None) -> int:
    """Time of a line in any of the three forms of the report contract.

    Parameters
    ----------
    time
        Seconds since 1970 UTC, or ISO 8601.
    time_ns
        Integer nanoseconds since 1970 UTC; wins.

    Returns
    -------
    int
        Nanoseconds since 1970 UTC.

    Raises
    ------
    ValueError
        If neither is given, or the time is none between 1970 and 2100.
    """
    if time_ns is not None:
        if not 0 <= time_ns <= MAX_TIME_NS:
            raise ValueError(f"time_ns {time_ns} is not a time between 1970 and 2100")
        return time_ns
    if time is None:
        raise ValueError("time is missing")
    if isinstance(time, str):
        return ns_from_iso(time)
    if isinstance(time, int):
        return time_ns_of(None, time * NS_PER_S)
    return ns_from_seconds(time)
