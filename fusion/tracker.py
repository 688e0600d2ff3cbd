"""`Tracker`: detections in, track updates out; the same inputs give the same bits.

Order of inputs is all that matters, never how they were cut into batches: reports are fused one by
one, each with arrays over its own detections and the tracks that it can say something about.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fusion.heads import Heads, describe
from fusion.history import History, Item, reports_of
from fusion.measure import Scan, scans_of
from fusion.outcome import Outcome, remove
from fusion.scan import fuse
from fusion.settings import Settings
from fusion.silence import lost_at, status_at
from fusion.table import TrackTable, carry_over
from model.arrays import Floats
from model.detections import DetectionKind, Detections
from model.frames import Region
from model.sensors import Sensors
from model.time import NS_PER_S
from model.tracks import Status, TrackUpdates, UpdateReason

NOT_TOUCHED = 255
"""In place of an `UpdateReason`."""


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
        How far behind the newest report a late one is still fused, besides the latency of sensors.
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
        self._late_window_s = late_window_s
        self._history = History(_window_ns(late_window_s, sensors), self.settings)
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
        parts: list[TrackUpdates] = []
        begin = self._first_placed(detections)
        if self.region is None:
            return TrackUpdates.empty()
        scans = scans_of(detections, self.sensors, self.region)
        offset, n = -1, 0
        for row in range(begin, len(scans)):
            scan = scans[row]
            if scan.offset != offset:
                offset, n = scan.offset, 0
            part = self._report(scan, detections, row)
            if len(part):
                part.known_offset[:] = offset
                part.known[:] = scan.received
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
        updates = self._say({}, [], max(time_ns, self._history.newest_ns), now_ns=time_ns)
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
        lost = lost_at(self._table, time_ns, self.sensors, self.settings)
        shown = self._table.take((self._table.status != Status.TENTATIVE) & ~lost)
        status = status_at(shown, time_ns, self.sensors, self.settings)
        return describe(shown, status, time_ns, self.region, self.sensors, self.settings)

    def census(self) -> dict[str, int]:
        """Number of tracks by status."""
        here = ~lost_at(self._table, self.now_ns, self.sensors, self.settings)
        status = status_at(self._table, self.now_ns, self.sensors, self.settings)[here]
        return {kind.name.lower(): int((status == kind).sum()) for kind in Status if kind < 3}

    def reconfigure(
        self,
        sensors: Sensors,
        region: Region | None = None,
        *,
        late_window_s: float | None = None,
    ) -> None:
        """Take over a changed sensors table; indices already given keep their meaning.

        Late reports from before the change are not fused over it.

        Parameters
        ----------
        sensors
            The old ones at their indices, new ones behind.
        region
            Where to fuse from now on: tracks are carried over into its plane, those outside it
            are closed with the next input. None: as before.
        late_window_s
            As in the constructor; None: as before.
        """
        # What silence has closed stays closed, whatever periods the sensors have now.
        remove(
            self._table,
            lost_at(self._table, self.now_ns, self.sensors, self.settings),
            Outcome(),
        )
        if region is not None and region != self.region:
            if self.region is not None:
                carry_over(self._table, self.region, region)
            self.region = self._heads.region = region
        self.sensors = sensors
        if late_window_s is not None:
            self._late_window_s = late_window_s
        self._history.window_ns = _window_ns(self._late_window_s, sensors)
        self._history.start(self._table)

    def _first_placed(self, detections: Detections) -> int:
        """The first report that is fused: none is before one of them says where the region is."""
        if self.region is not None:
            return 0
        starts = detections.starts()
        for row in range(detections.n_reports):
            rows = slice(int(starts[row]), int(starts[row + 1]))
            self.region = _first_region(detections, row, rows, self.sensors)
            if self.region is not None:
                self._heads.region = self.region
                return row
            self.counters.refused += rows.stop - rows.start
        return detections.n_reports

    def _report(self, scan: Scan, detections: Detections, row: int) -> TrackUpdates:
        self.counters.refused += scan.refused
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

    def _publish(self, outcomes: list[Outcome], scan: Scan, *, rolled_back: bool) -> TrackUpdates:
        touched: dict[int, int] = {}
        deleted: list[int] = []
        for outcome in outcomes:
            touched.update(outcome.touched)
            deleted.extend(outcome.deleted)
        if rolled_back:
            # What was fused before may be undone of tracks that nothing touches now: compare all.
            touched = dict.fromkeys(self._table.track_id.tolist(), int(UpdateReason.CORRECTED))
        return self._say(touched, deleted, self._history.newest_ns, now_ns=scan.reported)

    def _say(
        self, touched: dict[int, int], deleted: list[int], valid_ns: int, *, now_ns: int
    ) -> TrackUpdates:
        """Publish what differs from what was said last; then that is what is shown."""
        self.now_ns = max(self.now_ns, now_ns)
        table, heads = self._table, self._heads
        lost = lost_at(table, self.now_ns, self.sensors, self.settings)
        shown = (table.status != Status.TENTATIVE) & ~lost
        status = status_at(table, self.now_ns, self.sensors, self.settings)
        for track in table.track_id[shown & (status == Status.COASTING)].tolist():
            touched.setdefault(track, int(UpdateReason.COASTED))
        why = np.array([touched.get(t, NOT_TOUCHED) for t in table.track_id.tolist()], np.uint8)
        rows = np.flatnonzero(shown & (why != NOT_TOUCHED))
        parts = []
        if len(rows):
            parts.append(
                heads.publish(table.take(rows), status[rows], why[rows], valid_ns, self.sensors)
            )
        alive = heads.alive()
        if len(alive) != int(shown.sum()):
            gone = alive[~np.isin(alive, table.track_id[shown])]
            silent = np.isin(gone, table.track_id[lost])
            silent |= np.isin(gone, np.array(deleted, dtype=np.int64))
            reasons = np.where(silent, UpdateReason.LOST, UpdateReason.RETRACTED)
            parts.append(heads.close(gone, reasons, self._history.newest_ns))
        heads.forget(self._history.floor[0], table.track_id)
        return TrackUpdates.concat(parts)

    def snapshot(self) -> dict[str, Any]:
        """Everything that decides later outputs, as plain data and arrays."""
        history = self._history
        items = history.items
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
                "arrivals": history.arrivals,
                "newest": history.newest_ns,
                "floor": list(history.floor),
                "late": history.late,
                "keys": np.array([item.key for item in items], dtype=np.int64).reshape(-1, 2),
                "firsts": np.array([item.scan.first for item in items], dtype=np.int64),
                "reports": reports_of(items).columns(),
                "checkpoints": [[list(key), table.export()] for key, table in history.few()],
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
        history = History(_window_ns(self._late_window_s, self.sensors), self.settings)
        history.arrivals = saved["arrivals"]
        history.newest_ns = saved["newest"]
        history.floor = (saved["floor"][0], saved["floor"][1])
        history.late = saved["late"]
        history.checkpoints = [
            ((key[0], key[1]), TrackTable.restore(columns)) for key, columns in saved["checkpoints"]
        ]
        reports = Detections(**saved["reports"])
        if reports.n_reports:
            assert self.region is not None  # noqa: S101 - reports were fused, so it was known
            scans = scans_of(reports, self.sensors, self.region, saved["firsts"])
            keys = saved["keys"].tolist()
            history.items = [
                Item((time, arrival), scan, reports, row)
                for row, ((time, arrival), scan) in enumerate(zip(keys, scans, strict=True))
            ]
        self._history = history


def _window_ns(late_window_s: float, sensors: Sensors) -> int:
    """How old a report may be that is on time but for its sensor's latency, ns."""
    lags = [0, *(sensor.latency_ns for sensor in sensors)]
    return round(late_window_s * NS_PER_S) + max(lags) - min(lags)


def _first_region(detections: Detections, row: int, rows: slice, sensors: Sensors) -> Region | None:
    """A plane about the first place known: the report's origin, its sensor's, or a detection."""
    stand = sensors[int(detections.sensor[row])].position
    places: list[Floats] = [detections.origin[row], np.array(stand or [np.nan])]
    places.extend(detections.position[rows])
    places.extend(
        detections.vertices[start]
        for start, _ in detections.line_vertices[rows][detections.kind[rows] == DetectionKind.LINE]
    )
    for place in places:
        if not np.isnan(place[0]):
            return Region(float(place[0]), float(place[1]))
    return None
