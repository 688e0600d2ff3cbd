"""Agreements: what one node gives to another. A file each, in TOML, in degrees and ISO times.

::

    [agreement]
    id = "north-south-2026"
    giver = "north"
    receiver = "south"
    purpose = "border surveillance, treaty of 1 March 2026, article 4"
    valid_from = 2026-03-01T00:00:00Z
    valid_until = "2026-12-31T22:00:00+02:00"  # ISO 8601 with an offset, quoted or not
    classes = ["sea_vessel", "uav"]            # most probable class of a track
    min_existence = 0.5                        # default 0
    share_identity = false                     # default false; never of a human
    mode = "live"                              # default; "exercise" in a node of that mode

    [[area]]                                   # released inside any of these
    polygon = [[59.0, 27.0], [59.0, 29.0], [60.0, 29.0], [60.0, 27.0]]

    [[exclude]]                                # never inside these
    polygon = [[59.4, 27.9], [59.4, 28.1], [59.5, 28.0]]

What is not said is not given. Both sides hold the same file: the giver releases by it, the
receiver checks by it.
"""

import math
import re
import tomllib
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from model.arrays import Floats
from model.detections import Mode
from model.errors import ConfigError
from model.taxonomy import CLASS_INDEX, CLASSES
from model.time import ns_from_iso
from sharing.area import polygon_mistakes

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""A name that may stand in topics and in file names, as in the site file."""

MAX_BYTES = 1 << 20
"""Longest agreement file, bytes."""

MAX_POINTS = 2_000
"""Points of a polygon at most: every update is compared with every edge."""

_KEYS = {
    "id", "giver", "receiver", "purpose", "valid_from", "valid_until", "classes", "min_existence",
    "share_identity", "mode",
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """What one node gives to another.

    Parameters
    ----------
    id
        Its name, in topics and ledgers. A changed agreement may keep it.
    giver, receiver
        Names of the nodes.
    purpose
        Why; for people and for the record.
    valid_from_ns, valid_until_ns
        UTC ns: in force in [from, until).
    classes
        Indices into `model.taxonomy.CLASSES`: released where the most probable class is one.
    areas
        Polygons (V, 2) latitude, longitude rad: released inside any of them.
    excludes
        The same: never released inside any of them.
    share_identity
        Whether a craft's identity (ICAO, MMSI...) is given too.
    min_existence
        Least probability of existence.
    mode
        Of the nodes that it is for.
    text
        The file it was read from.
    """

    id: str
    giver: str
    receiver: str
    purpose: str
    valid_from_ns: int
    valid_until_ns: int
    classes: tuple[int, ...]
    areas: tuple[Floats, ...]
    excludes: tuple[Floats, ...] = ()
    share_identity: bool = False
    min_existence: float = 0.0
    mode: Mode = Mode.LIVE
    text: str = field(default="", repr=False)

    @property
    def digest(self) -> str:
        """SHA-256 of the file, hexadecimal."""
        return sha256(self.text.encode()).hexdigest()

    def in_force(self, now_ns: int) -> bool:
        """Whether it is valid at a time."""
        return self.valid_from_ns <= now_ns < self.valid_until_ns


def load_agreement(path: Path) -> Agreement:
    """Read an agreement file.

    Parameters
    ----------
    path
        The TOML file.

    Raises
    ------
    ConfigError
        With every mistake, a line each that names the file and the key.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror or error}"]) from error
    if len(data) > MAX_BYTES:
        raise ConfigError([f"{path}: {len(data)} bytes; at most {MAX_BYTES}"])
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: not UTF-8 at byte {error.start}"]) from error
    return parse_agreement(text, str(path))


def parse_agreement(text: str, where: str) -> Agreement:
    """Read the text of an agreement file.

    Parameters
    ----------
    text
        TOML.
    where
        Name of the file, for messages.

    Raises
    ------
    ConfigError
        With every mistake, a line each that names the file and the key.
    """
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError([f"{where}: not TOML: {error}"]) from error
    reading = _Reading(where)
    table = document.get("agreement")
    if not isinstance(table, dict):
        reading.problem("agreement", "missing" if table is None else "must be a table")
        table = {}
    reading.unknown("", set(document) - {"agreement", "area", "exclude"})
    reading.unknown("agreement.", set(table) - _KEYS)
    giver, receiver = reading.name(table, "giver"), reading.name(table, "receiver")
    if giver and giver == receiver:
        reading.problem("agreement.receiver", f"is the giver itself ({giver!r})")
    since, until = reading.time(table, "valid_from"), reading.time(table, "valid_until")
    if since is not None and until is not None and until <= since:
        reading.problem("agreement.valid_until", "does not lie behind valid_from")
    agreement = Agreement(
        id=reading.name(table, "id"),
        giver=giver,
        receiver=receiver,
        purpose=reading.purpose(table),
        valid_from_ns=since or 0,
        valid_until_ns=until or 0,
        classes=reading.classes(table),
        areas=reading.polygons(document, "area", required=True),
        excludes=reading.polygons(document, "exclude", required=False),
        share_identity=reading.switch(table, "share_identity"),
        min_existence=reading.probability(table, "min_existence"),
        mode=reading.mode(table),
        text=text,
    )
    if reading.problems:
        raise ConfigError(reading.problems)
    return agreement


class _Reading:
    """Takes values out of a document and collects what is wrong with them."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.problems: list[str] = []

    def problem(self, key: str, text: str) -> None:
        self.problems.append(f"{self.where}: {key}: {text}")

    def unknown(self, prefix: str, keys: set[str]) -> None:
        for key in sorted(keys):
            self.problem(prefix + key, "unknown key")

    def name(self, table: dict[str, Any], key: str) -> str:
        value = table.get(key)
        if value is None:
            self.problem(f"agreement.{key}", "missing")
        elif not isinstance(value, str) or not NAME.fullmatch(value):
            self.problem(
                f"agreement.{key}",
                f"{value!r} is no name (letters, digits, '_', '.', '-'; at most 64)",
            )
        else:
            return value
        return ""

    def purpose(self, table: dict[str, Any]) -> str:
        value = table.get("purpose")
        if value is None:
            self.problem("agreement.purpose", "missing")
        elif not isinstance(value, str) or not value.strip():
            self.problem("agreement.purpose", "must say why tracks are shared")
        else:
            return value.strip()
        return ""

    def time(self, table: dict[str, Any], key: str) -> int | None:
        value = table.get(key)
        if value is None:
            self.problem(f"agreement.{key}", "missing")
            return None
        if isinstance(value, datetime):
            value = value.isoformat()
        if not isinstance(value, str):
            self.problem(f"agreement.{key}", f"{value!r} is no ISO 8601 time")
            return None
        try:
            return ns_from_iso(value)
        except (ValueError, OverflowError) as error:
            self.problem(f"agreement.{key}", str(error))
            return None

    def classes(self, table: dict[str, Any]) -> tuple[int, ...]:
        value = table.get("classes")
        if value is None:
            self.problem("agreement.classes", "missing")
            return ()
        if not isinstance(value, list) or not value:
            self.problem("agreement.classes", "must list at least one class")
            return ()
        found = []
        for index, label in enumerate(value):
            if not isinstance(label, str) or label not in CLASS_INDEX:
                known = ", ".join(CLASSES)
                self.problem(
                    f"agreement.classes[{index}]", f"no class {label!r} (there are {known})"
                )
            else:
                found.append(CLASS_INDEX[label])
        return tuple(sorted(set(found)))

    def switch(self, table: dict[str, Any], key: str) -> bool:
        value = table.get(key, False)
        if not isinstance(value, bool):
            self.problem(f"agreement.{key}", f"{value!r} is neither true nor false")
            return False
        return value

    def probability(self, table: dict[str, Any], key: str) -> float:
        value = table.get(key, 0.0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            self.problem(f"agreement.{key}", f"{value!r} is no probability from 0 to 1")
            return 1.0
        return float(value)

    def mode(self, table: dict[str, Any]) -> Mode:
        value = table.get("mode", "live")
        if value not in ("live", "exercise"):
            self.problem("agreement.mode", f"{value!r} is neither 'live' nor 'exercise'")
            return Mode.LIVE
        return Mode[value.upper()]

    def polygons(self, document: dict[str, Any], key: str, *, required: bool) -> tuple[Floats, ...]:
        value = document.get(key)
        if value is None:
            if required:
                self.problem(key, "missing (nothing would be shared)")
            return ()
        if not isinstance(value, list) or not value:
            self.problem(key, f"must be written as [[{key}]]")
            return ()
        found = []
        for index, table in enumerate(value):
            where = f"{key}[{index}]"
            if not isinstance(table, dict):
                self.problem(where, f"must be written as [[{key}]]")
                continue
            self.unknown(f"{where}.", set(table) - {"polygon"})
            polygon = self._polygon(table, f"{where}.polygon")
            if polygon is not None:
                found.append(polygon)
        return tuple(found)

    def _polygon(self, table: dict[str, Any], where: str) -> Floats | None:
        value = table.get("polygon")
        if value is None:
            self.problem(where, "missing")
            return None
        if not isinstance(value, list) or not 3 <= len(value) <= MAX_POINTS:
            self.problem(where, f"must be a list of 3 to {MAX_POINTS} points [lat, lon]")
            return None
        before = len(self.problems)
        for index, point in enumerate(value):
            if not isinstance(point, list) or len(point) != 2 or not all(map(_number, point)):
                self.problem(f"{where}[{index}]", f"{point!r} is no point [lat, lon] in degrees")
            elif not (-90 <= point[0] <= 90 and -180 <= point[1] <= 180):
                self.problem(
                    f"{where}[{index}]",
                    f"{point!r} lies outside of latitude -90..90, longitude -180..180",
                )
        if len(self.problems) > before:
            return None
        if len(value) > 3 and value[0] == value[-1]:
            value = value[:-1]  # a ring that names its first point again
        polygon = np.radians(np.array(value, dtype=np.float64))
        polygon.flags.writeable = False
        for mistake in polygon_mistakes(polygon):
            self.problem(where, mistake)
        return polygon


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
