"""Reading TOML tables by hand, so that every mistake is told at once, by file and key."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from model.arrays import Floats


class TableReader:
    """One table of a TOML file: takes values out, notes what is wrong with them.

    After the last value `close` notes the keys that nobody asked for. A value that is wrong or
    missing gives a stand-in, so that reading goes on to the next mistake.

    Parameters
    ----------
    where
        File and place of the table, as a person would say it: ``border.toml: mover[3]``.
    table
        The table itself.
    problems
        Lines are added here; shared by all tables of a file.
    """

    def __init__(self, where: str, table: Any, problems: list[str]) -> None:
        self.where = where
        self.problems = problems
        if not isinstance(table, dict):
            problems.append(f"{where}: must be a table")
            table = {}
        self._table: Mapping[str, Any] = table
        self._taken: set[str] = set()

    def problem(self, key: str, what: str) -> None:
        """Note a mistake at a key of this table."""
        self.problems.append(f"{self._at(key) if key else self.where.rstrip(':')}: {what}")

    def _at(self, key: str) -> str:
        """Place of a key; behind a bare file name (which ends in a colon) it stands apart."""
        return f"{self.where} {key}" if self.where.endswith(":") else f"{self.where}.{key}"

    def has(self, key: str) -> bool:
        """Whether the key is there."""
        return key in self._table

    def take(self, key: str) -> Any:
        """The bare value of a key, or None."""
        self._taken.add(key)
        return self._table.get(key)

    def number(
        self,
        key: str,
        default: float | None = None,
        low: float = -math.inf,
        high: float = math.inf,
    ) -> float:
        """A finite number in [low, high]; without a default it must be there."""
        value = self.take(key)
        if value is None:
            if default is None:
                self.problem(key, "is missing")
                return max(low, min(high, 1.0))
            return default
        return self._checked(key, value, low, high)

    def whole(self, key: str, default: int | None, low: int, high: int) -> int:
        """A whole number in [low, high]; without a default it must be there."""
        value = self.take(key)
        if value is None:
            if default is None:
                self.problem(key, "is missing")
                return low
            return default
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self.problem(key, f"{value!r} is not a whole number from {low} to {high}")
            return low
        return value

    def numbers(
        self, key: str, count: int | None, low: float = -math.inf, high: float = math.inf
    ) -> tuple[float, ...] | None:
        """A list of `count` numbers (None: at least one), or None if the key is not there."""
        value = self.take(key)
        if value is None:
            return None
        if not isinstance(value, list) or len(value) != (count or len(value)) or not value:
            what = f"a list of {count}" if count else "a list of"
            self.problem(key, f"must be {what} numbers")
            return (0.0,) * (count or 1)
        return tuple(self._checked(key, item, low, high) for item in value)

    def text(self, key: str, default: str | None = None) -> str:
        """A text that is not empty; without a default it must be there."""
        value = self.take(key)
        if value is None:
            if default is None:
                self.problem(key, "is missing")
            return default or ""
        if not isinstance(value, str) or not value:
            self.problem(key, f"{value!r} is not a text")
            return default or ""
        return value

    def choice(self, key: str, choices: Iterable[str], default: str | None = None) -> str:
        """One of some texts."""
        value = self.text(key, default)
        options = list(choices)
        if value not in options:
            if value:
                self.problem(key, f"{value!r} is none of {', '.join(options)}")
            return options[0]
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false."""
        value = self.take(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.problem(key, f"{value!r} is not true or false")
            return default
        return value

    def tables(self, key: str) -> list["TableReader"]:
        """An array of tables; empty if it is not there."""
        value = self.take(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self.problem(key, "must be an array of tables")
            return []
        return [
            TableReader(f"{self._at(key)}[{index}]", item, self.problems)
            for index, item in enumerate(value)
        ]

    def table(self, key: str) -> "TableReader":
        """A table; an empty one if it is not there."""
        value = self.take(key)
        return TableReader(self._at(key), {} if value is None else value, self.problems)

    def places(self, key: str, least: int, height_m: float) -> Floats:
        """Points as radians and HAE m.

        A list of ``[lat, lon]`` or ``[lat, lon, alt_m]`` in degrees; without a third number the
        height is `height_m`.

        Returns
        -------
        numpy.ndarray
            (V, 3) float64 latitude rad, longitude rad, HAE m; V is at least `least`.
        """
        value = self.take(key)
        stand_in = np.zeros((max(least, 1), 3))
        if value is None:
            self.problem(key, "is missing")
            return stand_in
        if not isinstance(value, list) or len(value) < least:
            self.problem(key, f"must be a list of at least {least} points [lat, lon]")
            return stand_in
        rows = [self._point(f"{key}[{index}]", item, height_m) for index, item in enumerate(value)]
        return np.array(rows)

    def place(self, key: str, height_m: float) -> Floats:
        """One point ``[lat, lon]`` or ``[lat, lon, alt_m]`` as (3,) rad, rad, HAE m."""
        value = self.take(key)
        if value is None:
            self.problem(key, "is missing")
            return np.zeros(3)
        return np.array(self._point(key, value, height_m))

    def close(self) -> None:
        """Note every key that was not asked for."""
        for key in self._table:
            if key not in self._taken:
                self.problem(key, "unknown key")

    def _checked(self, key: str, value: Any, low: float, high: float) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            self.problem(key, f"{value!r} is not a number")
        elif not math.isfinite(value) or not low <= value <= high:
            limits = f"from {low:g} to {high:g}" if high < math.inf else f"of at least {low:g}"
            self.problem(key, f"{value!r} is not a number {limits}")
        else:
            return float(value)
        return max(low, min(high, 1.0))

    def _point(self, key: str, value: Any, height_m: float) -> tuple[float, float, float]:
        if not isinstance(value, list) or len(value) not in {2, 3}:
            self.problem(key, "must be [lat, lon] or [lat, lon, alt_m]")
            return (0.0, 0.0, height_m)
        lat = self._checked(key, value[0], -90.0, 90.0)
        lon = self._checked(key, value[1], -180.0, 180.0)
        alt = self._checked(key, value[2], -500.0, 30_000.0) if len(value) == 3 else height_m
        return (math.radians(lat), math.radians(lon), alt)
