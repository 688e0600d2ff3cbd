"""Late reports: taken in where they stand, or by going back and forward again.

As a rule reports are fused in the order of the time they are about, whatever the order they arrive
in: the table after any set of reports is the one that the same reports would have given sorted
(ties in order of arrival). A late report goes back to a checkpoint, is inserted, and what came
after it is fused again. Where checkpoints stand decides how much has to be fused again, never what
comes of it.

That costs as much as was fused since. Where that is a lot, a late report is taken in where it
stands: each track that it is about is carried back to the report's time, updated, and carried
forward again (`fusion.motion.carry`). Nobody is then asked again who belongs to whom. From then on
the past is closed: history begins anew when as much has been fused as a copy of the table costs.
docs/decisions/011 has the reasons and the figures.

A report older than the window is not fused at all; it is counted.
"""

from bisect import bisect_right, insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from fusion.measure import Scan
from fusion.registration import Correction
from fusion.settings import NANO, Settings
from fusion.table import TrackTable
from model.arrays import Array, Int64s
from model.detections import Detections

Key = tuple[int, int]
"""Time a report is about (ns), and its place in the order of arrival."""

Again = Callable[["Item"], Scan]
"""Measures a report anew, as it was fused."""

Fuse = Callable[[TrackTable, Scan], tuple[Int64s, Array]]
"""Fuses one report into a table in place: rows that changed, and why (`fusion.scan.fuse`)."""

SAVED_CHECKPOINTS = 8
"""Checkpoints in a snapshot, about: the others come again as reports are fused again."""

TOGETHER = 256
"""Reports that are put into one table. To save a thousand tables of two reports each takes a tenth
of a second, in which nothing is fused; a few at a time, nobody notices."""

OF_MANY, DENSE = 16, 32
"""But not where a batch has as many of them on average, or they as many detections: then there are
few tables, and much to copy."""

SPARSE = 4
"""Of a batch that has so many times the reports that are wanted of it, these are taken first."""

ROWS_BETWEEN = 8
"""Rows that are touched between two checkpoints, per row of the table: a copy costs a few
hundredths of what it takes to fuse as many rows."""


@dataclass(slots=True)
class Item:
    """One report that may have to be fused again, rows it touched, and what was taken off it.

    `first` is that of its scan. The scan itself is not kept of large reports: to measure them anew
    costs a twentieth of what it takes to fuse them, and memory that is written for the first time
    costs more than that (2 ns a byte where it has to be zeroed by two kernels). `settled`: where it
    stands is where it stays.
    """

    key: Key
    scan: Scan | None
    batch: Detections
    row: int
    first: int
    touched: int = 0
    correction: Correction | None = None
    settled: bool = False


@dataclass(slots=True)
class History:
    """The recent reports in order of time, and checkpoints of the table between them.

    Parameters
    ----------
    window_ns
        How far back a late report may lie.
    settings
        Bounds.

    Attributes
    ----------
    items
        Reports since the first checkpoint.
    checkpoints
        The first is where history begins; none: late reports are taken in where they stand.
    floor
        Older reports are too late.
    since
        Rows touched since the last checkpoint, or since history was closed.
    stood
        Late reports that were taken in where they stand.
    """

    window_ns: int
    settings: Settings
    items: list[Item] = field(default_factory=list)
    checkpoints: list[tuple[Key, TrackTable]] = field(default_factory=list)
    arrivals: int = 0
    newest_ns: int = -(1 << 62)
    floor: Key = (-(1 << 62), -1)
    late: int = 0
    stood: int = 0
    since: int = 0
    _apart: int = 0

    def start(self, table: TrackTable) -> None:
        """Forget everything; history begins with `table`, at the newest report so far."""
        self.items.clear()
        self.floor = (self.newest_ns, -1)
        self.checkpoints = [(self.floor, table.copy())]
        self.since = 0

    def insert(
        self, table: TrackTable, scan: Scan, batch: Detections, row: int, fuse: Fuse, again: Again,
        correction: Correction | None = None, lent: bool = False,
    ) -> tuple[TrackTable, Array | None, bool]:  # fmt: skip
        """Fuse a report at its time.

        Parameters
        ----------
        table
            The present table.
        scan, batch, row
            The report, and where it stands in its batch.
        fuse
            Fuses one report into a table in place.
        again
            Measures a report whose scan was not kept.
        correction
            What was taken off the report when it arrived.
        lent
            Whether the scan lies in memory that is another's soon: it is not kept.

        Returns
        -------
        tuple
            The new present table, why each of its rows changed, and whether history was rolled
            back: then any row may have. No reasons at all: the report was too late.
        """
        key = (scan.time, self.arrivals)
        self.arrivals += 1
        if key < self.floor:
            return table, None, False
        kept = None if lent else scan
        item = Item(key, kept, batch, row, scan.first, correction=correction)
        if scan.time >= self.newest_ns:
            touched, why = fuse(table, scan)
            self.newest_ns = scan.time
            self._note(item, table, len(touched))
            self._trim()
            return table, why, False
        self.late += 1
        if not self.checkpoints or key < self.checkpoints[0][0] or self._stands(key, table):
            touched, why = fuse(table, scan)
            self.stood += 1
            self.items.clear()
            self.checkpoints.clear()
            self.since = 0
            return table, why, False
        insort(self.items, item, key=lambda other: other.key)
        table = self._again(key, fuse, again)
        self._bring_together()
        self._thin()
        self._trim()
        return table, None, True

    def _stands(self, key: Key, table: TrackTable) -> bool:
        """Whether a late report is taken in where it stands."""
        s = self.settings
        rows = len(table)
        for item in reversed(self.items):
            if item.key < key or rows > s.replay_rows:
                break
            rows += item.touched
        little = (self.newest_ns - key[0]) * NANO <= s.stand_s
        return rows > s.replay_rows or (little and rows > s.stand_rows)

    def _again(self, key: Key, fuse: Fuse, again: Again) -> TrackTable:
        """The present table, all reports after `key` fused again."""
        while self.checkpoints[-1][0] > key:
            self.checkpoints.pop()
        since, saved = self.checkpoints[-1]
        table = saved.copy()
        self.since = 0
        first = bisect_right(self.items, since, key=lambda other: other.key)
        count = 0
        for index in range(first, len(self.items)):
            item = self.items[index]
            scan = again(item) if item.scan is None else item.scan
            item.touched = len(fuse(table, scan)[0])
            self.since += item.touched
            count += 1
            if self._due(table, count):
                self.checkpoints.append((item.key, table.copy()))
                count = self.since = 0
        return table

    def _due(self, table: TrackTable, count: int) -> bool:
        """Whether a checkpoint is due."""
        return count >= self.settings.checkpoint_every and self.since >= ROWS_BETWEEN * len(table)

    def _note(self, item: Item, table: TrackTable, touched: int) -> None:
        """Keep a report that was fused on time, and a checkpoint if one is due."""
        item.touched = touched
        self.since += touched
        if not self.checkpoints:
            if self.since >= ROWS_BETWEEN * len(table):
                self.checkpoints.append((item.key, table.copy()))
                self.since = 0
            return
        self.items.append(item)
        self._bring_together()
        since = self.checkpoints[-1][0]
        waiting = len(self.items) - bisect_right(self.items, since, key=lambda other: other.key)
        if self._due(table, waiting):
            self.checkpoints.append((item.key, table.copy()))
            self.since = 0
            self._thin()

    def _bring_together(self) -> None:
        """Another report has come: put those that stand alone into one table, if they are many."""
        self._apart += 1
        if self._apart < TOGETHER:
            return
        self._apart = 0
        alone = [item for item in self.items if not item.settled]
        for item in alone:
            item.settled = True
        batches = {id(item.batch): item.batch for item in alone}.values()
        detections = sum(batch.n_detections for batch in batches)
        if len(batches) * OF_MANY < len(alone) or detections > DENSE * len(alone):
            return
        table = reports_of(alone)
        for row, item in enumerate(alone):
            item.batch, item.row = table, row

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
        most = self.settings.max_history
        if len(self.items) > most and self.items[-most].key > self.floor:
            self.floor = self.items[-most].key
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


def reports_of(items: Sequence[Item]) -> Detections:
    """The reports of some items in their order, with the vertices that they need and no others."""
    members: dict[int, list[int]] = {}
    for place, item in enumerate(items):
        members.setdefault(id(item.batch), []).append(place)
    # A call on each of a thousand small batches would take a tenth of a second: first one table.
    tables: list[Detections] = []
    rows: Int64s = np.empty(len(items), dtype=np.int64)
    count = 0
    for places in members.values():
        table, own = items[places[0]].batch, [items[place].row for place in places]
        if table.n_reports > SPARSE * len(own):
            table, own = table.take_reports(own), list(range(len(own)))
        rows[places] = np.array(own) + count
        tables.append(table)
        count += table.n_reports
    return _compact(Detections.concat(tables).take_reports(rows))


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
