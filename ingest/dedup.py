"""(sensor, boot, seq) seen once: what makes delivery *at least once* count once.

Sequence numbers seen are kept as intervals, which is exact however late a number comes: a sender
that loses nothing takes one interval, whatever the order. Only beyond a bound is something
forgotten, and then a repetition may pass; a new report is never taken for an old one.
"""

from bisect import bisect_right
from typing import Any


class Intervals:
    """A set of whole numbers as disjoint closed intervals that do not touch.

    Parameters
    ----------
    limit
        Intervals kept; one more, and the lowest is forgotten.
    """

    __slots__ = ("_first", "_last", "_limit")

    def __init__(self, limit: int) -> None:
        self._first: list[int] = []
        self._last: list[int] = []
        self._limit = limit

    def add(self, number: int) -> bool:
        """Put a number in; False if it was in."""
        first, last = self._first, self._last
        if last and number == last[-1] + 1:  # the common case: the next one
            last[-1] = number
            return True
        at = bisect_right(first, number) - 1
        if at >= 0 and number <= last[at]:
            return False
        joins_left = at >= 0 and last[at] + 1 == number
        joins_right = at + 1 < len(first) and first[at + 1] == number + 1
        if joins_left and joins_right:
            last[at] = last.pop(at + 1)
            del first[at + 1]
        elif joins_left:
            last[at] = number
        elif joins_right:
            first[at + 1] = number
        else:
            first.insert(at + 1, number)
            last.insert(at + 1, number)
            if len(first) > self._limit:
                del first[0], last[0]
        return True

    def __len__(self) -> int:
        return len(self._first)

    def export(self) -> list[list[int]]:
        """The intervals as [first, last]."""
        return [list(pair) for pair in zip(self._first, self._last, strict=True)]

    def restore(self, data: list[list[int]]) -> None:
        """Take over what `export` gave."""
        self._first = [int(pair[0]) for pair in data]
        self._last = [int(pair[1]) for pair in data]


class Seen:
    """Which (sensor, boot, seq) have been seen.

    Parameters
    ----------
    max_boots
        Boots remembered for a sensor; the least recently heard goes first.
    max_intervals
        Intervals remembered for a boot.
    """

    def __init__(self, max_boots: int, max_intervals: int) -> None:
        self._max_boots = max_boots
        self._max_intervals = max_intervals
        self._sensors: dict[str, dict[bytes, Intervals]] = {}

    def is_new(self, sensor: str, boot: bytes, seq: int) -> bool:
        """Whether this is the first time; from now on it is not."""
        boots = self._sensors.setdefault(sensor, {})
        numbers = boots.pop(boot, None)
        if numbers is None:
            numbers = Intervals(self._max_intervals)
            if len(boots) >= self._max_boots:
                del boots[next(iter(boots))]
        boots[boot] = numbers  # the last of the dict is the one heard last
        return numbers.add(seq)

    def export(self) -> dict[str, Any]:
        """Plain data from which `restore` makes an equal memory."""
        return {
            sensor: [[boot, numbers.export()] for boot, numbers in boots.items()]
            for sensor, boots in self._sensors.items()
        }

    def restore(self, data: dict[str, Any]) -> None:
        """Take over what `export` gave."""
        self._sensors = {}
        for sensor, boots in data.items():
            kept = self._sensors[sensor] = {}
            for boot, intervals in boots:
                kept[bytes(boot)] = Intervals(self._max_intervals)
                kept[bytes(boot)].restore(intervals)
