"""Files as messages for a node in exercise mode: the pure part of `replay`.

=====================  ==========================================================
a recording            what `record` wrote; arrival times as recorded
``.jsonl``             reports, one a line; they arrive in the order of the file
``.nmea .txt``         AIS sentences, one a message; times from their stamps, or evenly
``.tlog``              MAVLink log; frames in chunks, each with its time
=====================  ==========================================================

One shift, a whole number of nanoseconds, is added to every time of a file. So the distances
between times, and with them what a tracker makes of them, are exactly those of the recording.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from exercise import tlog
from exercise.lines import Problems, read_lines
from exercise.recording import RecordingReader, is_recording
from exercise.sensor_tables import NAME
from exercise.shifting import (
    Change,
    shift_framed,
    shift_raw,
    shift_report_line,
    shift_reports,
)
from model.errors import InputFileError
from model.time import MAX_TIME_NS, NS_PER_S, NS_PER_US

NMEA_RATE_HZ = 10.0
"""Sentences a second where a file gives no times."""

TOPIC = re.compile(r"vedette(?:-exercise)?/[^/]+/sensors/([^/]+)/(reports|raw|framed)")
"""Topics of a node whose messages can be played again."""

SHIFTS = {"reports": shift_reports, "framed": shift_framed, "raw": shift_raw}
"""What moves the times in the messages of a topic."""

SUFFIXES = {".jsonl": "reports", ".nmea": "nmea", ".txt": "nmea", ".tlog": "tlog"}


class Due(NamedTuple):
    """One message to be published.

    Parameters
    ----------
    due_ns
        When, UTC ns, at the recording's own pace; never falls.
    topic, payload
        What.
    """

    due_ns: int
    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Target:
    """Where messages go.

    Parameters
    ----------
    root
        First two levels of the topics: ``vedette-exercise/<node>``.
    sensor
        Sensor of files that name none (AIS, tlog); empty: none given.
    only
        Play these sensors only; empty: all.
    """

    root: str
    sensor: str = ""
    only: frozenset[str] = frozenset()

    def topic(self, sensor: str, leaf: str) -> str:
        """Topic of a sensor."""
        return f"{self.root}/sensors/{sensor}/{leaf}"

    def takes(self, sensor: str) -> bool:
        """Whether a sensor's messages are to be played."""
        return not self.only or sensor in self.only


@dataclass(slots=True)
class Summary:
    """What is in a file, found before anything is published.

    Parameters
    ----------
    messages
        To be published.
    first_ns, last_ns
        Due times of the first and the last one, as recorded.
    anchor_ns
        Time of the first report, which a shift puts at now.
    sensors
        Those that are spoken for.
    skipped
        Messages that cannot be played (topics of no sensor).
    unread
        Reports whose times could not be read; played as they are.
    torn_bytes
        Of a tail that was cut off, or of rubbish between frames.
    """

    messages: int = 0
    first_ns: int = 0
    last_ns: int = 0
    anchor_ns: int = 0
    sensors: set[str] = field(default_factory=set)
    skipped: int = 0
    unread: int = 0
    torn_bytes: int = 0


class Source(ABC):
    """A file that can be played, as often as one likes.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.summary = Summary()

    @abstractmethod
    def play(self, target: Target, change: Change) -> Iterator[Due]:
        """Messages in order; due times are the recorded ones plus the shift.

        Afterwards `summary` has its counts of what was skipped.

        Raises
        ------
        InputFileError
            If the file is damaged; the message names file and place.
        """

    def survey(self, target: Target) -> Summary:
        """Read the file through and say what is in it.

        Raises
        ------
        InputFileError
            With every mistake, if there are any, or if there is nothing to play.
        """
        count = first = last = 0
        sensors: set[str] = set()
        self.summary = Summary()
        for due_ns, topic, _ in self.play(target, Change()):
            first = first if count else due_ns
            last = due_ns
            count += 1
            sensors.add(topic.split("/")[3])
        if count == 0:
            raise InputFileError(f"{self.path}: nothing to play in it")
        self.summary.messages, self.summary.first_ns, self.summary.last_ns = count, first, last
        self.summary.anchor_ns = self.summary.anchor_ns or first
        self.summary.sensors = sensors
        return replace(self.summary)


class ReportsSource(Source):
    """Reports, one JSON object a line."""

    def play(self, target: Target, change: Change) -> Iterator[Due]:
        """Messages in order of the file; none arrives before the newest time before it."""
        problems = Problems(self.path)
        newest = 0
        for number, line in read_lines(self.path):
            try:
                payload, times, sensor = shift_report_line(line, change)
            except ValueError as error:
                problems.add(number, str(error))
                continue
            if not NAME.fullmatch(sensor):
                problems.add(number, f"sensor {sensor!r} is no name")
                continue
            if not 0 <= times[0] + change.shift_ns <= MAX_TIME_NS:
                problems.add(number, "the shift moves its time out of 1970-2100")
                continue
            if not target.takes(sensor):
                self.summary.skipped += 1
                continue
            self.summary.anchor_ns = self.summary.anchor_ns or times[0]
            newest = max(newest, times[0])
            yield Due(newest + change.shift_ns, target.topic(sensor, "reports"), payload)
        problems.raise_any()


class RecordingSource(Source):
    """A recording of topics."""

    def play(self, target: Target, change: Change) -> Iterator[Due]:
        """Messages in order of arrival; those on topics of no sensor go to `target.sensor`."""
        newest = 0
        with self.path.open("rb") as file:
            reader = RecordingReader(file, str(self.path))
            for received_ns, topic, payload in reader:
                match = TOPIC.fullmatch(topic)
                sensor, leaf = match.groups() if match else (target.sensor, "raw")
                known = bool(sensor) and (match is not None or not topic.startswith("vedette"))
                if not known or not target.takes(sensor):
                    self.summary.skipped += 1
                    continue
                shift = SHIFTS[leaf](payload, change)
                self.summary.unread += leaf != "raw" and not shift.times
                anchor = shift.times[0] if shift.times else received_ns
                self.summary.anchor_ns = self.summary.anchor_ns or anchor
                newest = max(newest, received_ns)
                due_ns = newest + change.shift_ns
                yield Due(due_ns, target.topic(sensor, leaf), shift.payload)
            self.summary.torn_bytes = reader.torn


class NmeaSource(Source):
    """AIS sentences, as they are: their adapter takes the time of arrival for theirs.

    Bad lines go out like all others: refusing them is the adapter's work.
    """

    def play(self, target: Target, change: Change) -> Iterator[Due]:
        """One line a message, at the times that stand beside them, else evenly."""
        lines = [line for _, line in read_lines(self.path)]
        stamps = [nmea_time(line) for line in lines]
        even = round(NS_PER_S / NMEA_RATE_HZ)
        known = [stamp for stamp in stamps if stamp is not None]
        newest = known[0] if known else NS_PER_S
        self.summary.anchor_ns = newest
        for line, stamp in zip(lines, stamps, strict=True):
            newest = max(newest, stamp or 0)
            yield Due(newest + change.shift_ns, target.topic(target.sensor, "raw"), line)
            newest += 0 if known else even


class TlogSource(Source):
    """A MAVLink log."""

    def play(self, target: Target, change: Change) -> Iterator[Due]:
        """Chunks of frames, each with its time; a chunk is due when its last frame was."""
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise InputFileError(f"{self.path}: {error.strerror or error}") from error
        records, self.summary.torn_bytes = tlog.split(data)
        shift_us = change.shift_ns // NS_PER_US
        newest = 0
        for chunk in tlog.chunks(records):
            self.summary.anchor_ns = self.summary.anchor_ns or chunk[0].time_us * NS_PER_US
            newest = max(newest, chunk[-1].time_us * NS_PER_US)
            yield Due(
                newest + shift_us * NS_PER_US,
                target.topic(target.sensor, "raw"),
                tlog.join(chunk, shift_us),
            )


_TAG = re.compile(rb"\\(?:[^\\]*,)?c:(\d{9,13})[,*]")
"""Time of an NMEA 0183 v4 TAG block (parameter code c), seconds or milliseconds."""

_TRAILING = re.compile(rb"\*[0-9A-Fa-f]{2}(?:,[^,]*)*,(\d{9,10})$")
"""Seconds behind a sentence, as receivers of the US Coast Guard's network write them."""

_MILLISECONDS_FROM = 100_000_000_000
"""A TAG block's time from here on counts milliseconds: as seconds it would be the year 5138."""


def nmea_time(line: bytes) -> int | None:
    """The time that stands beside a sentence, UTC ns, or None."""
    match = _TAG.match(line) or _TRAILING.search(line)
    if match is None:
        return None
    number = int(match[1])
    time_ns = number * (NS_PER_S // 1000 if number >= _MILLISECONDS_FROM else NS_PER_S)
    return time_ns if time_ns <= MAX_TIME_NS else None


def open_source(path: Path, target: Target) -> Source:
    """The source of a file, by its first bytes or its suffix.

    Raises
    ------
    InputFileError
        If it cannot be read, is of no known kind, or needs a sensor and none was given.
    """
    try:
        recording = is_recording(path)
    except OSError as error:
        raise InputFileError(f"{path}: {error.strerror or error}") from error
    if recording:
        return RecordingSource(path)
    kind = SUFFIXES.get(path.suffix.lower())
    if kind is None:
        known = ", ".join(SUFFIXES)
        raise InputFileError(f"{path}: neither a recording nor one of {known}")
    if kind == "reports":
        return ReportsSource(path)
    if not target.sensor:
        raise InputFileError(f"{path}: names no sensor: say which with --sensor")
    return NmeaSource(path) if kind == "nmea" else TlogSource(path)


def strangers(summary: Summary, known: Collection[str]) -> list[str]:
    """Sensors of a file that a site does not have."""
    return sorted(summary.sensors - set(known))
