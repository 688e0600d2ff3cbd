"""`Tracker`: detections in, track updates out; the same inputs give the same bits.

Order of inputs is all that matters, never how they were cut into batches: reports are fused one by
one, each with arrays over its own detections and the tracks that it can say something about.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fusion.heads import Heads, describe, lost_after, status_at
from fusion.history import History, Item
from fusion.measure import Scan, scan_of
from fusion.scan import Outcome, fuse, remove
from fusion.settings import NANO, Settings
from fusion.table import TrackTable
from model.arrays import Array, Floats
from model.detections import DetectionKind, Detections
from model.frames import Region
from model.sensors import Sensors
from model.time import NS_PER_S
from model.tracks import Status, TrackUpdates, UpdateReason


@dataclass(slots=True)
class Counters:
    """What fusion did with reports and detections since it began.

    Parameters
    ----------
    reports, detections
        Fused.
    late
        Reports older than one fused before, inserted at their time.
    too_late
        Reports older than the history that is kept; stored, not fused.
    refused
        Detections that no region or no covariance could be found for, or outside the region.
    """

    reports: int = 0
    detections: int = 0
    late: int = 0
    too_late: int = 0
    refused: int = 0


class Tracker:
    """Fuses reports into tracks.

    Parameters
    ----------
    sensors
        Those that the detections' indices are about.
    region
        Where to fuse; None: about the first place that a report names.
    late_window_s
        How far behind the newest report a late one is still fused.
    settings
        Constants.
    """

    def __init__(
        self,
        sensors: Sensors,
        region: Region | None = None,
        *,
        late_window_s: float = 10.0,
        settings: Settings | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.sensors = sensors
        self.region = region
        self.counters = Counters()
        self.now_ns = -(1 << 62)
        self._table = TrackTable()
        self._window_ns = round(late_window_s * NS_PER_S)
        self._history = History(self._window_ns, self.settings)
        self._history.start(self._table)
        self._heads = Heads(region or Region(0.0, 0.0), self.settings)

    def step(self, detections: Detections) -> TrackUpdates:
        """Fuse reports in the order given.

        Parameters
        ----------
        detections
            Gated; reports of one input stand together.

        Returns
        -------
        TrackUpdates
            What became known, with `known_offset` and `n` counted per input.
        """
        starts = detections.starts()
        parts: list[TrackUpdates] = []
        offset, ordinal, n = -1, 0, 0
        for row in range(detections.n_reports):
            if int(detections.offset[row]) == offset:
                ordinal += 1
            else:
                offset, ordinal, n = int(detections.offset[row]), 0, 0
            rows = slice(int(starts[row]), int(starts[row + 1]))
            part = self._report(detections, row, rows, ordinal)
            if len(part):
                part.known_offset[:] = offset
                part.known[:] = detections.received[row]
                part.n[:] = n + np.arange(len(part))
                n += len(part)
                parts.append(part)
        return TrackUpdates.concat(parts)

    def tick(self, time_ns: int, offset: int) -> TrackUpdates:
        """Let time go by: tracks that nobody hears coast and are lost.

        Parameters
        ----------
        time_ns
            The node's clock, UTC ns.
        offset
            Journal offset of the tick.
        """
        if not len(self._table):
            self.now_ns = max(self.now_ns, time_ns)
            return TrackUpdates.empty()
        updates = self._advance(time_ns)
        updates.known_offset[:] = offset
        updates.known[:] = time_ns
        updates.n[:] = np.arange(len(updates))
        return updates

    def picture(self, time_ns: int) -> TrackUpdates:
        """Confirmed and coasting tracks predicted to a time, in order of birth.

        Parameters
        ----------
        time_ns
            UTC ns; rows updated later than that stay at their own time.
        """
        if self.region is None:
            return TrackUpdates.empty()
        shown = self._table.take(self._table.status != Status.TENTATIVE)
        status = status_at(shown, time_ns, self.sensors, self.settings)
        return describe(shown, status, time_ns, self.region, self.sensors, self.settings)

    def census(self) -> dict[str, int]:
        """Number of tracks by status."""
        status = status_at(self._table, self.now_ns, self.sensors, self.settings)
        return {kind.name.lower(): int((status == kind).sum()) for kind in Status if kind < 3}

    def reconfigure(self, sensors: Sensors) -> None:
        """Take over a changed sensors table; indices already given keep their meaning.

        Late reports from before the change are not fused over it.
        """
        self.sensors = sensors
        self._history.start(self._table)
        self._history.checkpoints[0] = ((self._history.newest_ns, -1), self._table.copy())

    def _report(self, detections: Detections, row: int, rows: slice, ordinal: int) -> TrackUpdates:
        if self.region is None:
            self.region = _first_region(detections, row, rows)
            if self.region is None:
                self.counters.refused += rows.stop - rows.start
                return TrackUpdates.empty()
            self._heads.region = self.region
        sensor = self.sensors[int(detections.sensor[row])]
        scan = self._within(scan_of(detections, row, rows, ordinal, sensor, self.region))
        before = self._history.late
        table, outcomes, rolled_back = self._history.insert(
            self._table, scan, detections, row, self._fuse
        )
        self._table = table
        self.counters.late += self._history.late - before
        if not outcomes:
            self.counters.too_late += 1
            return TrackUpdates.empty()
        self.counters.reports += 1
        self.counters.detections += len(scan)
        return self._publish(outcomes, scan, rolled_back=rolled_back)

    def _fuse(self, table: TrackTable, scan: Scan) -> Outcome:
        assert self.region is not None  # noqa: S101 - no report is fused before a region is known
        return fuse(table, scan, self.sensors, self.region, self.settings)

    def _within(self, scan: Scan) -> Scan:
        """The report without detections that lie outside the region or say nothing of place."""
        assert self.region is not None  # noqa: S101 - set before the first report
        squared = (scan.z * scan.z).sum(axis=1)
        keep = (squared <= self.region.radius_m**2) | ~np.isnan(scan.azimuth)
        if keep.all():
            return scan
        self.counters.refused += int((~keep).sum())
        return scan.take(keep)

    def _publish(self, outcomes: list[Outcome], scan: Scan, *, rolled_back: bool) -> TrackUpdates:
        touched: dict[int, int] = {}
        deleted: list[int] = []
        for outcome in outcomes:
            touched.update(outcome.touched)
            deleted.extend(outcome.deleted)
        if rolled_back:
            touched = dict.fromkeys(touched, int(UpdateReason.CORRECTED))
        valid_ns = max(self._history.newest_ns, scan.time)
        return self._say(touched, deleted, valid_ns, rolled_back=rolled_back, now_ns=scan.reported)

    def _advance(self, time_ns: int) -> TrackUpdates:
        return self._say({}, [], time_ns, rolled_back=False, now_ns=time_ns)

    def _say(
        self,
        touched: dict[int, int],
        deleted: list[int],
        valid_ns: int,
        *,
        rolled_back: bool,
        now_ns: int,
    ) -> TrackUpdates:
        """Sweep, then publish what differs from what was said last."""
        self.now_ns = max(self.now_ns, now_ns)
        table = self._table
        swept = Outcome()
        self._sweep(swept)
        deleted.extend(swept.deleted)
        silent = status_at(table, self.now_ns, self.sensors, self.settings) == Status.COASTING
        for track in table.track_id[silent].tolist():
            touched.setdefault(track, int(UpdateReason.COASTED))
        shown = table.track_id[table.status != Status.TENTATIVE]
        ids = shown[np.isin(shown, np.fromiter(touched, np.int64, len(touched)))]
        parts = []
        if len(ids):
            reasons = np.array([touched[track] for track in ids.tolist()], dtype=np.uint8)
            parts.append(
                self._heads.publish(
                    table,
                    ids,
                    reasons,
                    valid_ns,
                    self.sensors,
                    always=False,
                )
            )
        parts.extend(self._closing(deleted, table.track_id, rolled_back=rolled_back))
        self._heads.forget(self.now_ns - 2 * self._window_ns)
        return TrackUpdates.concat(parts)

    def _closing(
        self, deleted: list[int], present: Array, *, rolled_back: bool
    ) -> list[TrackUpdates]:
        """Last words on tracks that were published and are gone."""
        if not deleted and not rolled_back:
            return []
        alive = self._heads.alive()
        parts = []
        lost = np.unique(np.array(deleted, dtype=np.int64))
        lost = lost[np.isin(lost, alive) & ~np.isin(lost, present)]
        if len(lost):
            parts.append(self._heads.retract(lost, UpdateReason.LOST))
        if rolled_back:
            never = alive[~np.isin(alive, present) & ~np.isin(alive, lost)]
            if len(never):
                parts.append(self._heads.retract(never, UpdateReason.RETRACTED))
        return parts

    def _sweep(self, outcome: Outcome) -> None:
        """Drop tracks that were silent for too long, or whose place is no longer known."""
        table = self._table
        if not len(table):
            return
        silent = (self.now_ns - table.heard.max(axis=1)) * NANO
        dt = np.maximum(silent, 0.0)
        spread = (
            table.P[:, [0, 1], [0, 1]]
            + 2.0 * dt[:, None] * table.P[:, [0, 1], [2, 3]]
            + (dt * dt)[:, None] * table.P[:, [2, 3], [2, 3]]
        ).max(axis=1)
        settled = table.status != Status.TENTATIVE
        lost = silent > lost_after(table, self.sensors, self.settings)
        lost |= (
            settled
            & (silent > self.settings.least_lost_s)
            & (spread > self.settings.lost_sigma_m**2)
        )
        remove(table, lost, outcome)

    def snapshot(self) -> dict[str, Any]:
        """Everything that decides later outputs, as plain data and arrays."""
        items = self._history.items
        batches = [item.batch.take_reports([item.row]) for item in items]
        region = self.region
        return {
            "region": None
            if region is None
            else [region.latitude, region.longitude, region.radius_m],
            "now": self.now_ns,
            "table": self._table.export(),
            "heads": self._heads.snapshot(),
            "counters": {
                name: getattr(self.counters, name) for name in Counters.__dataclass_fields__
            },
            "history": {
                "arrivals": self._history.arrivals,
                "newest": self._history.newest_ns,
                "late": self._history.late,
                "keys": np.array([item.key for item in items], dtype=np.int64).reshape(-1, 2),
                "ordinals": np.array([item.scan.ordinal for item in items], dtype=np.int64),
                "reports": Detections.concat(batches).columns(),
                "checkpoints": [
                    [list(key), table.export()] for key, table in self._history.checkpoints
                ],
            },
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `snapshot` gave, under the same sensors and settings."""
        region = state["region"]
        self.region = None if region is None else Region(*region)
        self.now_ns = state["now"]
        self._table = TrackTable.restore(state["table"])
        self._heads = Heads(self.region or Region(0.0, 0.0), self.settings)
        self._heads.restore(state["heads"])
        self.counters = Counters(**state["counters"])
        saved = state["history"]
        history = History(self._window_ns, self.settings)
        history.arrivals = saved["arrivals"]
        history.newest_ns = saved["newest"]
        history.late = saved["late"]
        history.checkpoints = [
            ((key[0], key[1]), TrackTable.restore(columns)) for key, columns in saved["checkpoints"]
        ]
        reports = Detections(**saved["reports"])
        starts = reports.starts()
        for row in range(reports.n_reports):
            assert self.region is not None  # noqa: S101 - reports were fused, so it was known
            rows = slice(int(starts[row]), int(starts[row + 1]))
            sensor = self.sensors[int(reports.sensor[row])]
            ordinal = int(saved["ordinals"][row])
            scan = scan_of(reports, row, rows, ordinal, sensor, self.region)
            counted = self.counters.refused
            scan = self._within(scan)
            self.counters.refused = counted
            key = (int(saved["keys"][row][0]), int(saved["keys"][row][1]))
            history.items.append(Item(key, scan, reports, row))
        self._history = history


def _first_region(detections: Detections, row: int, rows: slice) -> Region | None:
    """A plane about the first place that a report names: its origin, or a detection."""
    places: list[Floats] = [detections.origin[row]]
    placed = detections.kind[rows] != DetectionKind.LINE
    places.extend(detections.position[rows][placed])
    for place in places:
        if not np.isnan(place[0]):
            return Region(float(place[0]), float(place[1]))
    return None
