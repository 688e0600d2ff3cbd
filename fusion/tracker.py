"""`Tracker`: detections in, track updates out; the same inputs give the same bits.

Order of inputs is all that matters, never how they were cut into batches: reports are fused one by
one, each with arrays over its own detections and the tracks that it can say something about.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fusion.counters import Counters
from fusion.gathered import sensor_records
from fusion.handover import pack, unpack
from fusion.heads import Heads, census, picture, plane_record
from fusion.history import History, Item, reports_of
from fusion.measure import Scan, scans_of
from fusion.outbox import Outbox, Spare, updates_of
from fusion.records import MEASURED, NOT_TOUCHED
from fusion.registration import Registration, packed_corrections, taken_off
from fusion.scan import fuse
from fusion.settings import Settings
from fusion.staged import Lap
from fusion.table import TrackTable, carry_over
from model.arrays import Array, Floats, Int64s
from model.detections import DetectionKind, Detections
from model.frames import Region
from model.sensors import Sensors
from model.time import NS_PER_S
from model.tracks import TrackUpdates, UpdateReason

ANYWHERE = Region(0.0, 0.0)
"""A plane for as long as nobody has said where the region is."""

LARGE = 256
"""Reports of so many detections on average are measured into memory that is used again."""


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
    lap
        Called at the end of each step with its name, so that somebody who has a clock can tell
        where time goes; None: nobody asks.
    """

    def __init__(
        self,
        sensors: Sensors,
        region: Region | None = None,
        *,
        late_window_s: float = 10.0,
        settings: Settings | None = None,
        lap: Lap | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self._lap = lap
        self.sensors = sensors
        self.region = region
        self.counters = Counters()
        self.now_ns = -(1 << 62)
        self._absent = False  # tracks may have left the table without a word
        self._records = self._records_of(sensors)
        self._table = TrackTable()
        self._late_window_s = late_window_s
        self._history = History(_window_ns(late_window_s, sensors), self.settings)
        self._history.start(self._table)
        self._heads = Heads(region or ANYWHERE, self.settings)
        self._registration = Registration(sensors, self.settings)
        self._room = np.empty(0, MEASURED)
        self._spare = Spare()

    def _records_of(self, sensors: Sensors) -> Array:
        return sensor_records(sensors, (self.region or ANYWHERE).radius_m)

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
        begin = self._first_placed(detections)
        if self.region is None:
            return TrackUpdates.empty()
        self._pass("decode and gate")
        room = self._room_for(detections)
        scans = scans_of(detections, self.sensors, self.region, room=room)
        self._pass("measure")
        outbox = Outbox(spare=self._spare)
        for row in range(begin, len(scans)):
            scan = scans[row]
            outbox.of(scan.offset, scan.received)
            self._report(scan, detections, row, outbox, lent=room is not None)
        updates = outbox.updates()
        self._pass("publish")
        return updates

    def _pass(self, step: str) -> None:
        if self._lap is not None:
            self._lap(step)

    def tick(self, time_ns: int, offset: int) -> TrackUpdates:
        """Let time go by: tracks that nobody hears coast and are lost.

        Parameters
        ----------
        time_ns
            The node's clock, UTC ns.
        offset
            Journal offset of the tick.
        """
        why = np.full(self._table.count, NOT_TOUCHED, dtype=np.uint8)
        outbox = Outbox()
        outbox.of(offset, time_ns)
        self._say(why, max(time_ns, self._history.newest_ns), outbox, now_ns=time_ns)
        return outbox.updates()

    def picture(self, time_ns: int) -> TrackUpdates:
        """Confirmed and coasting tracks predicted to a time, in order of birth.

        Parameters
        ----------
        time_ns
            UTC ns; rows updated later than that stay at their own time.
        """
        table = self._table
        if self.region is None or not table.count:
            return TrackUpdates.empty()
        return updates_of(
            picture(
                table.rows, table.gone, table.count, time_ns, plane_record(self.region),
                self._records, self.settings.record,
            )
        )  # fmt: skip

    def census(self) -> dict[str, int]:
        """Number of tracks by status."""
        table = self._table
        counts = census(
            table.rows, table.gone, table.count, self.now_ns, self._records, self.settings.record
        )
        return dict(zip(("tentative", "confirmed", "coasting"), counts, strict=True))

    def registration(self) -> dict[str, dict[str, float]]:
        """What is known of each sensor's bias, by sensor id.

        Returns
        -------
        dict
            ``range_m, azimuth_rad, time_s, east_m, north_m``: what it measures less what is (a time
            stamp of 0.3 s past noon of a look at noon: 0.3), and each with ``sigma_`` before it the
            standard deviation; ``detections`` that counted; ``refused``, gatherings that
            contradicted; ``applied``, whether it is taken off. Of a sensor that never was held
            against others nothing is said; cooperative ones are right by definition.
        """
        return self._registration.report()

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
        table = self._table
        # What silence has closed stays closed, whatever periods the sensors have now.
        table.keep(table.alive()[table.gone[table.alive()] >= self.now_ns])
        moved = region is not None and region != self.region
        if region is not None and region != self.region:
            if self.region is not None and table.count:
                inside = carry_over(table.rows[: table.count], self.region, region)
                table.keep(np.flatnonzero(inside))
            self.region = region
            self._heads.move(region)
            table.forget()
        self._registration.reconfigure(sensors, moved=moved)
        self.sensors = sensors
        self._records = self._records_of(sensors)
        table.refresh(self._records, self.settings)
        self._heads.find_all(table)
        self._absent = True
        if late_window_s is not None:
            self._late_window_s = late_window_s
        self._history.window_ns = _window_ns(self._late_window_s, sensors)
        self._history.start(self._table)

    def export(self, track_ids: Sequence[int]) -> dict[str, Any]:
        """Some tracks as plain data, for another tracker to `adopt`; unknown ids are left out.

        Nothing changes here: `release` lets go of tracks once they are adopted.
        """
        table = self._table
        rows = table.alive()
        rows = rows[np.isin(table.rows["track_id"][rows], np.array(track_ids, dtype=np.int64))]
        records = table.rows[rows]
        region = self.region or ANYWHERE
        return pack(
            records, self._heads.last_of(records["track_id"].tolist()), self.sensors.ids
        ) | {"region": [region.latitude, region.longitude, region.radius_m]}

    def adopt(self, state: dict[str, Any]) -> list[int]:
        """Take over tracks that another tracker exported; late reports do not reach back over it.

        Parameters
        ----------
        state
            What `export` gave. The tracks keep their ids, and their spoken numbers unless these
            are in use here; `authority_epoch` rises by one with their next update, which is due
            with the next input.

        Returns
        -------
        list of int
            Ids of the tracks taken over: those within the region of this tracker. One that it has
            already is replaced.
        """
        old = Region(*state["region"])
        if self.region is None:
            self.region = old
            self._heads.move(old)
            self._records = self._records_of(self.sensors)
        records, said = unpack(state, self.sensors)
        if len(records) and old != self.region:
            records = records[carry_over(records, old, self.region)]
        taken: list[int] = records["track_id"].tolist()
        table = self._table
        rows = table.alive()
        table.keep(rows[~np.isin(table.rows["track_id"][rows], records["track_id"])])
        order = np.argsort(records["born"], kind="stable")
        table.append(records[order], -(1 << 62), self._records, self.settings)
        self._heads.adopt(said[np.isin(said["track_id"], records["track_id"])])
        self._heads.find_all(table)
        self._history.start(table)
        return taken

    def release(self, track_ids: Sequence[int]) -> None:
        """Let go of tracks that another tracker has adopted: nothing more is said of them here."""
        table = self._table
        rows = table.alive()
        ids = np.array(track_ids, dtype=np.int64)
        table.keep(rows[~np.isin(table.rows["track_id"][rows], ids)])
        self._heads.let_go(ids.tolist())
        self._history.start(table)

    def _first_placed(self, detections: Detections) -> int:
        """The first report that is fused: none is before one of them says where the region is."""
        if self.region is not None:
            return 0
        starts = detections.starts()
        for row in range(detections.n_reports):
            rows = slice(int(starts[row]), int(starts[row + 1]))
            self.region = _first_region(detections, row, rows, self.sensors)
            if self.region is not None:
                self._heads.move(self.region)
                self._records = self._records_of(self.sensors)
                return row
            self.counters.refused += rows.stop - rows.start
        return detections.n_reports

    def _room_for(self, detections: Detections) -> Array | None:
        """Where reports are measured to that are not kept; None: they are small, and kept."""
        count = detections.n_detections
        if count < LARGE * max(detections.n_reports, 1):
            return None
        if count > len(self._room):
            self._room = np.empty(max(count, 5 * len(self._room) // 4), MEASURED)
        return self._room

    def _again(self, item: Item) -> Scan:
        """A report as it was fused, measured anew."""
        assert self.region is not None  # noqa: S101 - it was fused, so a region was known
        one = item.batch.take_reports([item.row])
        (scan,) = scans_of(one, self.sensors, self.region, np.array([item.first]))
        return scan if item.correction is None else item.correction.take_off(scan)

    def _report(
        self, scan: Scan, detections: Detections, row: int, outbox: Outbox, *, lent: bool
    ) -> None:
        self.counters.refused += scan.refused
        correction = self._registration.take(self._table, scan, self._records)
        if correction is not None:
            scan = correction.take_off(scan)
        history = self._history
        late, stood = history.late, history.stood
        self._table, why, rolled_back = history.insert(
            self._table, scan, detections, row, self._fuse, self._again, correction, lent
        )
        self.counters.late += history.late - late
        self.counters.stood += history.stood - stood
        if why is None and not rolled_back:
            self.counters.too_late += 1
            return
        self.counters.reports += 1
        self.counters.detections += len(scan)
        if why is None:
            # What was fused before may be undone of tracks that nothing touches now: compare all.
            self._heads.find_all(self._table)
            self._absent = True
            why = np.full(self._table.count, int(UpdateReason.CORRECTED), dtype=np.uint8)
        self._pass("history")
        self._say(why, history.newest_ns, outbox, now_ns=scan.reported)
        self._table.close_up()
        self._pass("publish")

    def _fuse(self, table: TrackTable, scan: Scan) -> tuple[Int64s, Array]:
        assert self.region is not None  # noqa: S101 - no report is fused before a region is known
        return fuse(table, scan, self.sensors, self._records, self.region, self.settings, self._lap)

    def _say(self, why: Array, valid_ns: int, outbox: Outbox, *, now_ns: int) -> None:
        """Publish what differs from what was said last; then that is what is shown."""
        self.now_ns = max(self.now_ns, now_ns)
        table, heads, newest = self._table, self._heads, self._history.newest_ns
        heads.publish(table, why, self.now_ns, valid_ns, newest, self._records, outbox)
        if self._absent:
            self._absent = False
            heads.close_absent(table, newest, outbox)
        heads.forget(self._history.floor[0], newest, table)

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
            "absent": self._absent,
            "table": self._table.export(),
            "heads": self._heads.snapshot(),
            "registration": self._registration.snapshot(),
            "counters": {
                name: getattr(self.counters, name) for name in Counters.__dataclass_fields__
            },
            "history": {
                "arrivals": history.arrivals,
                "newest": history.newest_ns,
                "floor": list(history.floor),
                "late": history.late,
                "stood": history.stood,
                "since": history.since,
                "touched": np.array([item.touched for item in items], dtype=np.int64),
                "keys": np.array([item.key for item in items], dtype=np.int64).reshape(-1, 2),
                "firsts": np.array([item.first for item in items], dtype=np.int64),
                **packed_corrections([item.correction for item in items]),
                "reports": reports_of(items).columns(),
                "checkpoints": [[list(key), table.export()] for key, table in history.few()],
            },
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `snapshot` gave, under the same sensors and settings."""
        region = state["region"]
        self.region = None if region is None else Region(*region)
        self.now_ns = state["now"]
        self._absent = state["absent"]
        self._records = self._records_of(self.sensors)
        self._table = self._table_of(state["table"])
        self._heads = Heads(self.region or ANYWHERE, self.settings)
        self._heads.restore(state["heads"])
        self._registration = Registration(self.sensors, self.settings)
        self._registration.restore(state["registration"])
        self.counters = Counters(**state["counters"])
        saved = state["history"]
        history = History(_window_ns(self._late_window_s, self.sensors), self.settings)
        history.arrivals = saved["arrivals"]
        history.newest_ns = saved["newest"]
        history.floor = (saved["floor"][0], saved["floor"][1])
        history.late, history.stood = saved["late"], saved["stood"]
        history.since = saved["since"]
        history.checkpoints = [
            ((key[0], key[1]), self._table_of(columns)) for key, columns in saved["checkpoints"]
        ]
        reports = Detections(**saved["reports"])
        if reports.n_reports:
            assert self.region is not None  # noqa: S101 - reports were fused, so it was known
            scans = scans_of(reports, self.sensors, self.region, saved["firsts"])
            keys, touched = saved["keys"].tolist(), saved["touched"].tolist()
            history.items = [
                Item((key[0], key[1]), taken, reports, row, taken.first, count, correction)
                for row, (key, (taken, correction), count) in enumerate(
                    zip(keys, taken_off(scans, saved), touched, strict=True)
                )
            ]
        self._history = history

    def _table_of(self, columns: dict[str, Array]) -> TrackTable:
        return TrackTable.restore(columns, self._records, self.settings)


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
