"""`Ingest`: journaled records in, gated detections and quarantine out.

::

    record ─▶ topic ─▶ frame ─▶ seen? ─▶ rate ─▶ shed? ─▶ decode ─▶ seen? ─▶ gate ─▶ detections
                │        │                 │       │        │                  │
                └────────┴─────────────────┴───────┴────────┴──────────────────┴──▶ quarantine

The outcome is a function of the records and of the snapshot before them. How records are cut into
batches changes nothing; only refusals of things that waited (parts of a message that never became
whole) name an offset of an earlier batch.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from adapters.common import refusal
from adapters.state import BoundedState
from ingest import guard
from ingest.counts import Ingested, SensorCount
from ingest.dedup import Seen
from ingest.gate import gate
from ingest.limits import Limits
from ingest.rate import RateLimit
from ingest.routes import NoRoute, Route, Routes, unwrap
from model.arrays import Array
from model.detections import Detections, Mode
from model.errors import Quarantined, Reason, SnapshotError
from model.ports import Adapter, Decoded, Messages
from model.records import Kind, Record
from model.sensors import Sensors, Source
from model.time import NS_PER_S

__all__ = ["Ingest", "Ingested", "Limits", "SensorCount"]

SNAPSHOT_VERSION = 1
"""Layout of what `Ingest.snapshot` gives."""


@dataclass(slots=True)
class _Inbox:
    """Messages for one adapter, column by column."""

    offset: list[int] = field(default_factory=list)
    received: list[int] = field(default_factory=list)
    sensor: list[int] = field(default_factory=list)
    payload: list[bytes] = field(default_factory=list)
    boot: list[bytes] = field(default_factory=list)
    seq: list[int] = field(default_factory=list)

    def messages(self) -> Messages:
        return Messages(
            np.array(self.offset, dtype=np.int64),
            np.array(self.received, dtype=np.int64),
            np.array(self.sensor, dtype=np.int32),
            self.payload,
            np.array(self.boot, dtype="S24"),
            np.array(self.seq, dtype=np.int64),
        )


class Ingest:
    """Ingest of one node.

    Parameters
    ----------
    node, mode
        Name and mode of the node.
    sensors
        Its sensors.
    adapters
        By name; ``report`` must be among them.
    limits
        Bounds of time and memory.
    sources
        Who speaks for sensors, and how often.

    Raises
    ------
    ConfigError
        If a sensor names an adapter that is not there, or two sensors are bound to one topic.

    Notes
    -----
    The time limit of decoders works in the main thread only (`ingest.watchdog`). On replay pass
    ``timed=False``: what ran out of time then is known, and nothing else may now.
    """

    def __init__(
        self,
        node: str,
        mode: Mode,
        sensors: Sensors,
        adapters: Mapping[str, Adapter],
        limits: Limits | None = None,
        sources: Sequence[Source] = (),
    ) -> None:
        self._node, self._mode = node, mode
        self._adapters = dict(adapters)
        self._limits = limits or Limits()
        self._sensors = sensors
        self._routes = Routes(node, mode, sensors, self._adapters)
        self._states = {
            name: BoundedState(self._limits.max_sensor_states) for name in self._adapters
        }
        self._frames = Seen(self._limits.max_boots, self._limits.max_intervals)
        self._reports = Seen(self._limits.max_boots, self._limits.max_intervals)
        self._rates = RateLimit()
        self._sources = _by_sensor(sources)
        self._shed: dict[int, Reason] = {}
        self._counts: dict[str, SensorCount] = {}

    @property
    def sensors(self) -> Sensors:
        """The sensors in force."""
        return self._sensors

    @property
    def evicted(self) -> dict[str, int]:
        """Decoder states forgotten for want of room, by adapter; above 0 the bound is too low."""
        return {name: state.evicted for name, state in self._states.items()}

    def counters(self) -> dict[str, dict[str, Any]]:
        """Counts by sensor id since the journal began, as plain data; part of the snapshot."""
        return {sensor: count.plain() for sensor, count in sorted(self._counts.items())}

    def sensor_of(self, topic: str) -> int:
        """Index of the sensor whose bytes come on a topic; -1: nobody's, or no bytes."""
        route = self._routes.find(topic)
        return route.sensor if isinstance(route, Route) and route.adapter else -1

    def reconfigure(
        self, sensors: Sensors, limits: Limits | None = None, sources: Sequence[Source] = ()
    ) -> None:
        """Use another sensors table from the next record on; what is remembered stays.

        Parameters
        ----------
        sensors
            The old ones at their indices, new ones behind; one that was taken out has the adapter
            ``""`` and is deaf.
        limits
            Time bounds from now on; those of memory stay. None: all as they are.
        sources
            Who speaks for sensors from now on.

        Raises
        ------
        ConfigError
            As the constructor does; then the old table stays in force.
        ValueError
            If a sensor has another index than before.
        """
        for index, sensor_id in enumerate(self._sensors.ids):
            if index >= len(sensors) or sensors[index].id != sensor_id:
                raise ValueError(f"sensor {sensor_id!r} has lost its index {index}")
        self._routes = Routes(self._node, self._mode, sensors, self._adapters)
        self._sensors = sensors
        self._limits = limits or self._limits
        self._sources = _by_sensor(sources)

    def shed(self, offset: int, reason: str = Reason.DECODER_TIMEOUT) -> None:
        """Do not decode the message at an offset to come: a journaled decision says so.

        Raises
        ------
        ValueError
            If `reason` is no `Reason`.
        """
        self._shed[offset] = Reason(reason)

    def process(self, records: Sequence[Record], *, timed: bool = True) -> Ingested:
        """Take in records in the order of the journal; kinds other than bytes are passed over.

        Parameters
        ----------
        records
            Any number, offsets rising.
        timed
            Whether decoders are held to their time.
        """
        counts: defaultdict[str, SensorCount] = defaultdict(SensorCount)
        refused: list[Quarantined] = []
        inboxes: defaultdict[str, _Inbox] = defaultdict(_Inbox)
        for record in records:
            if record.kind == Kind.MESSAGE:
                self._sort(record, inboxes, counts, refused)
            elif record.kind == Kind.OVERSIZE:
                refused.append(self._oversize(record, counts))
            if self._shed:  # also of one that was refused before anybody asked
                self._shed.pop(record.offset, None)
        tables: list[Detections] = []
        timed_out: list[int] = []
        decoded = 0
        timeout_s = self._limits.decode_timeout_s if timed else 0.0
        for name, inbox in inboxes.items():
            messages = inbox.messages()
            state, adapter = self._states[name], self._adapters[name]
            outcome = guard.decode(adapter, messages, self._sensors, state, timeout_s)
            tables.append(outcome.decoded.detections)
            refused += outcome.decoded.refused
            timed_out += outcome.timed_out
            decoded += outcome.decoded.decoded
            self._count_decoded(outcome.decoded, messages, counts)
        found = Detections.concat(tables)
        if len(tables) > 1:
            found = found.take_reports(np.argsort(found.offset, kind="stable"))
        gated = gate(self._unseen(found, counts), self._sensors, self._mode, self._limits)
        refused += gated.quarantined
        self._count_passed(gated.detections, gated.humans, counts)
        for entry in refused:
            reasons = counts[entry.sensor].refused
            reasons[entry.reason] = reasons.get(entry.reason, 0) + 1
        for sensor, count in counts.items():
            self._counts.setdefault(sensor, SensorCount()).add(count)
        return Ingested(
            gated.detections,
            tuple(sorted(refused, key=lambda entry: (entry.offset, entry.item))),
            decoded,
            dict(counts),
            tuple(sorted(timed_out)),
        )

    def _sort(
        self,
        record: Record,
        inboxes: Mapping[str, _Inbox],
        counts: Mapping[str, SensorCount],
        refused: list[Quarantined],
    ) -> None:
        """Put one message into the inbox of its adapter, or refuse it."""
        route = self._routes.find(record.topic)
        offset = record.offset
        if isinstance(route, NoRoute):
            counts[route.sensor].messages += 1
            refused.append(refusal(offset, -1, route.sensor, route.reason, route.detail))
            return
        if not route.adapter:
            return
        sensor = self._sensors[route.sensor]
        count = counts[sensor.id]
        count.messages += 1
        payload, received, boot, seq = record.payload, record.received_ns, b"", -1
        if route.framed:
            frame = unwrap(payload)
            problem = frame if isinstance(frame, str) else ""
            reason = Reason.BAD_FRAME
            if not isinstance(frame, str):
                reason, problem = self._judge_reception(frame.received_ns, record.received_ns)
                payload, received = frame.payload, frame.received_ns
                boot, seq = frame.boot.encode(), frame.seq
            if problem:
                refused.append(refusal(offset, -1, sensor.id, reason, problem))
                return
            if not self._frames.is_new(sensor.id, boot, seq):
                count.duplicates += 1
                return
        if not self._rates.allows(sensor.id, sensor.max_rate_hz, received):
            detail = f"more than {sensor.max_rate_hz:g} messages a second"
            refused.append(refusal(offset, -1, sensor.id, Reason.RATE, detail))
            return
        source = self._sources.get(sensor.id)
        if source and not self._rates.allows(f"source:{source.id}", source.max_rate_hz, received):
            detail = f"more than {source.max_rate_hz:g} messages a second of source {source.id}"
            refused.append(refusal(offset, -1, sensor.id, Reason.RATE, detail))
            return
        if self._shed and (why := self._shed.get(offset)) is not None:
            refused.append(guard.shed_refusal(offset, sensor.id, why))
            return
        inbox = inboxes[route.adapter]
        inbox.offset.append(offset)
        inbox.received.append(received)
        inbox.sensor.append(route.sensor)
        inbox.payload.append(payload)
        inbox.boot.append(boot)
        inbox.seq.append(seq)

    def _judge_reception(self, told_ns: int, received_ns: int) -> tuple[Reason, str]:
        """What is wrong with the time at which a gateway says it took a message in."""
        ahead_s = (told_ns - received_ns) / NS_PER_S
        if ahead_s > self._limits.max_future_s:
            return Reason.TIME_FUTURE, f"frame: taken in {ahead_s:.3f} s after it arrived here"
        if -ahead_s > self._limits.max_backlog_s:
            return Reason.TIME_PAST, f"frame: taken in {-ahead_s:.0f} s before it arrived here"
        return Reason.BAD_FRAME, ""

    def _oversize(self, record: Record, counts: Mapping[str, SensorCount]) -> Quarantined:
        route = self._routes.find(record.topic)
        sensor = self._sensors.ids[route.sensor] if isinstance(route, Route) else route.sensor
        counts[sensor].messages += 1
        detail = "over the size limit"
        try:
            told = msgspec.json.decode(record.payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            told = None
        if isinstance(told, dict) and isinstance(told.get("length"), int):
            why = told.get("why")
            detail = f"{told['length']} bytes: {why if isinstance(why, str) else detail}"
        return refusal(record.offset, -1, sensor, Reason.OVERSIZE, detail)

    def _unseen(self, found: Detections, counts: Mapping[str, SensorCount]) -> Detections:
        """Without the reports that have been seen before."""
        rows = np.flatnonzero(found.seq >= 0)
        if not len(rows):
            return found
        ids = self._sensors.ids
        sensors, boots = found.sensor[rows].tolist(), found.boot[rows].tolist()
        keep = np.ones(found.n_reports, dtype=np.bool_)
        is_new = self._reports.is_new
        for row, sensor, boot, seq in zip(
            rows.tolist(), sensors, boots, found.seq[rows].tolist(), strict=True
        ):
            if not is_new(ids[sensor], boot, seq):
                keep[row] = False
                counts[ids[sensor]].duplicates += 1
        return found if keep.all() else found.take_reports(keep)

    def _count_decoded(
        self, decoded: Decoded, messages: Messages, counts: Mapping[str, SensorCount]
    ) -> None:
        ids = self._sensors.ids
        if decoded.decoded_each is not None:
            each = np.bincount(messages.sensor, decoded.decoded_each, len(ids))
            for index in np.flatnonzero(each).tolist():
                counts[ids[index]].decoded += int(each[index])
        elif len(present := np.unique(messages.sensor)) == 1:
            counts[ids[present[0]]].decoded += decoded.decoded
        else:  # an adapter that does not tell: its messages that nothing was refused of
            bad = {entry.offset for entry in decoded.refused}
            for offset, index in zip(messages.offset, messages.sensor, strict=True):
                counts[ids[index]].decoded += int(offset) not in bad

    def _count_passed(
        self, passed: Detections, humans: Array, counts: Mapping[str, SensorCount]
    ) -> None:
        ids = self._sensors.ids
        for index, number in enumerate(np.bincount(passed.sensor, minlength=0).tolist()):
            if number:
                counts[ids[index]].reports += number
        by_sensor = np.bincount(passed.sensor[passed.report])
        for index in np.flatnonzero(by_sensor).tolist():
            counts[ids[index]].detections += int(by_sensor[index])
        for index in humans.tolist():
            reasons = counts[ids[index]].refused
            reasons[Reason.HUMAN_IDENTITY] = reasons.get(Reason.HUMAN_IDENTITY, 0) + 1

    def snapshot(self) -> dict[str, Any]:
        """Plain data (for MessagePack) from which `restore` goes on; only between batches."""
        return {
            "version": SNAPSHOT_VERSION,
            "adapters": {
                name: {"version": self._adapters[name].version, "state": state.export()}
                for name, state in self._states.items()
            },
            "frames": self._frames.export(),
            "reports": self._reports.export(),
            "rates": self._rates.export(),
            "counts": self.counters(),
        }

    def restore(self, data: Mapping[str, Any]) -> tuple[str, ...]:
        """Take over what `snapshot` gave.

        Returns
        -------
        tuple of str
            A line for each adapter whose memory was left behind, because the adapter is gone or
            now of another version; for the log.

        Raises
        ------
        SnapshotError
            If the data are of another layout.
        """
        if data.get("version") != SNAPSHOT_VERSION:
            raise SnapshotError(f"ingest: snapshot version {data.get('version')!r}")
        notes = []
        try:
            for name, entry in data["adapters"].items():
                mine = self._adapters.get(name)
                if mine is None or mine.version != entry["version"]:
                    now = "gone" if mine is None else f"version {mine.version}"
                    notes.append(
                        f"adapter {name}: version {entry['version']} remembered something; it is "
                        f"now {now}, which starts afresh"
                    )
                else:
                    self._states[name].restore(entry["state"])
            self._frames.restore(data["frames"])
            self._reports.restore(data["reports"])
            self._rates.restore(data["rates"])
            self._counts = {
                sensor: SensorCount.of_plain(count) for sensor, count in data["counts"].items()
            }
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise SnapshotError(f"ingest: snapshot is not as it was made: {error!r}") from error
        return tuple(notes)


def _by_sensor(sources: Sequence[Source]) -> dict[str, Source]:
    """Sources that have a limit, by their sensors."""
    limited = [source for source in sources if source.max_rate_hz > 0.0]
    return {sensor: source for source in reversed(limited) for sensor in source.sensors}
