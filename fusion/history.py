"""Late reports: go back to a checkpoint, insert the report, go forward again.

Reports are fused in the order of the time they are about, whatever the order they arrive in: the
table after any set of reports is the one that the same reports would have given sorted (ties in
order of arrival). A report older than the window is not inserted; it is counted.

Where checkpoints stand decides how much has to be fused again, never what comes of it.
"""

from bisect import bisect_right, insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from fusion.measure import Scan
from fusion.outcome import Outcome
from fusion.settings import Settings
from fusion.table import TrackTable
from model.arrays import Array
from model.detections import Detections
from model.time import NS_PER_S

Key = tuple[int, int]
"""Time a report is about (ns), and its place in the order of arrival."""


SAVED_CHECKPOINTS = 8
"""Checkpoints in a snapshot, about: the others come again as reports are fused again."""


@dataclass(slots=True)
class Item:
    """One report that may have to be fused again."""

    key: Key
    scan: Scan
    batch: Detections
    row: int


@dataclass(slots=True)
class History:
    """The recent reports in order of time, and checkpoints of the table between them.

    Parameters
    ----------
    window_ns
        How far back a late report may lie.
    settings
        Bounds.
    """

    window_ns: int
    settings: Settings
    items: list[Item] = field(default_factory=list)
    checkpoints: list[tuple[Key, TrackTable]] = field(default_factory=list)
    arrivals: int = 0
    newest_ns: int = -(1 << 62)
    floor: Key = (-(1 << 62), -1)
    late: int = 0

    def start(self, table: TrackTable) -> None:
        """Forget everything; history begins with `table`, at the newest report so far."""
        self.items.clear()
        self.floor = (self.newest_ns, -1)
        self.checkpoints = [(self.floor, table.copy())]

    def insert(
        self,
        table: TrackTable,
        scan: Scan,
        batch: Detections,
        row: int,
        fuse: Callable[[TrackTable, Scan], Outcome],
    ) -> tuple[TrackTable, list[Outcome], bool]:
        """Fuse a report at its time.

        Parameters
        ----------
        table
            The present table.
        scan, batch, row
            The report, and where it stands in its batch.
        fuse
            Fuses one report into a table in place.

        Returns
        -------
        tuple
            The new present table, what each report fused now did in order of time, and whether
            history was rolled back. No outcome at all: the report was too late.
        """
        key = (scan.time, self.arrivals)
        self.arrivals += 1
        if key < self.floor:
            return table, [], False
        item = Item(key, scan, batch, row)
        if not self.items or key > self.items[-1].key:
            self.items.append(item)
            self.newest_ns = max(self.newest_ns, scan.time)
            outcomes = [fuse(table, scan)]
            self._checkpoint(table)
            self._trim()
            return table, outcomes, False
        self.late += 1
        insort(self.items, item, key=lambda other: other.key)
        while self.checkpoints[-1][0] > key:
            self.checkpoints.pop()
        since, saved = self.checkpoints[-1]
        table = saved.copy()
        outcomes = []
        first = bisect_right(self.items, since, key=lambda other: other.key)
        for index in range(first, len(self.items)):
            outcomes.append(fuse(table, self.items[index].scan))
            if (index - first + 1) % self.settings.checkpoint_every == 0:
                self.checkpoints.append((self.items[index].key, table.copy()))
        self._thin()
        self._trim()
        return table, outcomes, True

    def _checkpoint(self, table: TrackTable) -> None:
        since = self.checkpoints[-1][0]
        waiting = len(self.items) - bisect_right(self.items, since, key=lambda other: other.key)
        if waiting >= self.settings.checkpoint_every:
            self.checkpoints.append((self.items[-1].key, table.copy()))
            self._thin()

    def _thin(self) -> None:
        """Keep the newest checkpoints close together and the older ones apart."""
        rows = sum(len(table) for _, table in self.checkpoints)
        while len(self.checkpoints) > 3 and (
            len(self.checkpoints) > self.settings.max_checkpoints
            or rows > self.settings.max_checkpoint_rows
        ):
            half = len(self.checkpoints) // 2
            # The first one is where history begins, so it stays.
            gaps = range(1, half + 1)
            drop = min(
                gaps, key=lambda i: self.checkpoints[i + 1][0][0] - self.checkpoints[i - 1][0][0]
            )
            rows -= len(self.checkpoints[drop][1])
            del self.checkpoints[drop]

    def _trim(self) -> None:
        """Let go of what no late report can reach any more."""
        self.floor = max(self.floor, (self.newest_ns - self.window_ns, -1))
        within = len(self.items) - bisect_right(self.items, self.floor, key=lambda item: item.key)
        if within > self.settings.max_history:
            self.floor = self.items[-self.settings.max_history].key
        begin = 0
        while begin + 1 < len(self.checkpoints) and self.checkpoints[begin + 1][0] <= self.floor:
            begin += 1
        if begin == 0:
            return
        del self.checkpoints[:begin]
        base = self.checkpoints[0][0]
        del self.items[: bisect_right(self.items, base, key=lambda other: other.key)]

    def few(self) -> list[tuple[Key, TrackTable]]:
        """A few of the checkpoints, the first among them: enough to go on from."""
        step = max(1, len(self.checkpoints) // SAVED_CHECKPOINTS)
        return self.checkpoints[::step]

    @property
    def span_s(self) -> float:
        """Seconds of history kept."""
        if not self.items:
            return 0.0
        return (self.newest_ns - self.items[0].key[0]) / NS_PER_S


def reports_of(items: Sequence[Item]) -> Detections:
    """The reports of some items in their order, with the vertices that they need and no others."""
    batches: dict[int, tuple[Detections, list[int]]] = {}
    for place, item in enumerate(items):
        batches.setdefault(id(item.batch), (item.batch, []))[1].append(place)
    parts, places = [], []
    for batch, members in batches.values():
        parts.append(_compact(batch.take_reports([items[place].row for place in members])))
        places.extend(members)
    # Each batch's reports stand together; bring them into the items' order.
    return _compact(Detections.concat(parts).take_reports(np.argsort(places, kind="stable")))


def _compact(reports: Detections) -> Detections:
    """The same with only the vertices that are spoken of, in the order of those who speak."""
    if not len(reports.vertices):
        return reports
    names = ("looked_vertices", "line_vertices")
    spans = np.concatenate([getattr(reports, name) for name in names]).astype(np.int64)
    count = spans[:, 1] - spans[:, 0]
    start = np.cumsum(count) - count
    within = np.arange(int(count.sum())) - np.repeat(start, count)
    fresh: Array = np.stack([start, start + count], axis=1).astype(np.int32)
    fresh[count == 0] = 0
    edge = len(reports.looked_vertices)
    return reports.replace(
        vertices=reports.vertices[np.repeat(spans[:, 0], count) + within],
        looked_vertices=fresh[:edge],
        line_vertices=fresh[edge:],
    )
