"""The engine: journal records in, an `OutputBatch` out, and nothing else decides.

The core runs it live, recovery runs it over the tail of the journal, ``vedette track --journal``
runs it over the whole. The same records give the same outputs, however they are cut into calls.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from config import EngineConfig
from fusion import MODES, Tracker
from ingest.pipeline import Ingest, Limits
from ingest.shedding import Rules
from model.detections import Detections
from model.errors import Quarantined, SnapshotError, VedetteError
from model.foreign import ForeignUpdates
from model.ports import Adapter, OutputBatch
from model.records import Kind, Record
from model.sensors import Sensor, Sensors
from model.tracks import TrackUpdates
from sharing.receive import Receiver

SNAPSHOT_VERSION = 6
"""Layout of what `Engine.snapshot` gives; changed with every change of what is in it."""


class Engine:
    """Decoding, gate and fusion of one node, and the taking in of what partners give it.

    Parameters
    ----------
    configure
        Reads the payload of a CONFIG record.
    adapters
        Decoders by name.
    lap
        As in `fusion.Tracker`.

    Attributes
    ----------
    timed_out : tuple of int
        Offsets whose decoding ran out of time in the last call of `process`; the core journals
        them as shed before it lets the outputs out.
    """

    def __init__(
        self,
        configure: Callable[[bytes], EngineConfig],
        adapters: Mapping[str, Adapter],
        lap: Callable[[str], None] | None = None,
    ) -> None:
        self._configure = configure
        self._adapters = adapters
        self._lap = lap
        self._payload = b""
        self._config: EngineConfig | None = None
        self._ingest: Ingest | None = None
        self._tracker: Tracker | None = None
        self._receiver: Receiver | None = None
        self._shed: dict[int, str] = {}
        self._rules: Rules | None = None
        self.timed_out: tuple[int, ...] = ()
        self.next_offset = 0

    @property
    def config(self) -> EngineConfig | None:
        """The configuration in force, None before the first CONFIG record."""
        return self._config

    @property
    def payload(self) -> bytes:
        """Payload of the CONFIG record in force."""
        return self._payload

    @property
    def tracker(self) -> Tracker:
        """The tracker of the configuration in force."""
        return self._parts()[1]

    @property
    def receiver(self) -> Receiver | None:
        """Who takes in what partners give; None before the first CONFIG record."""
        return self._receiver

    def _parts(self) -> tuple[Ingest, Tracker, Receiver]:
        if self._ingest is None or self._tracker is None or self._receiver is None:
            raise VedetteError("no configuration in the journal before its first message")
        return self._ingest, self._tracker, self._receiver

    @property
    def sensor_ids(self) -> tuple[str, ...]:
        """Names behind the sensor indices of the outputs."""
        return () if self._config is None else self._config.sensors.ids

    @property
    def rules(self) -> Rules | None:
        """What may be shed of each sensor; None before the first CONFIG record."""
        return self._rules

    def sensor_of(self, topic: str) -> int:
        """Index of the sensor whose bytes come on a topic; -1: nobody's."""
        return -1 if self._ingest is None else self._ingest.sensor_of(topic)

    def is_shed(self, offset: int) -> bool:
        """Whether it was told that the input at an offset to come is not to be decoded."""
        return offset in self._shed

    def shed(self, offset: int, reason: str) -> None:
        """Tell beforehand that an input was journaled as not to be decoded."""
        self._shed[offset] = reason
        if self._ingest is not None:
            self._ingest.shed(offset, reason)

    def process(self, records: Sequence[Record]) -> OutputBatch:
        """Take inputs in the order of their offsets.

        Parameters
        ----------
        records
            At least one; offsets rise.
        """
        detections: list[Detections] = []
        updates: list[TrackUpdates] = []
        foreign: list[ForeignUpdates] = []
        quarantined: list[Quarantined] = []
        timed_out: list[int] = []
        run: list[Record] = []

        def flush() -> None:
            if not run:
                return
            if self._ingest is None:
                raise VedetteError(
                    f"journal offset {run[0].offset}: a message before any configuration"
                )
            ingested = self._ingest.process(run)
            run.clear()
            detections.append(ingested.detections)
            quarantined.extend(ingested.quarantined)
            timed_out.extend(ingested.timed_out)
            updates.append(self.tracker.step(ingested.detections))

        for record in records:
            if record.kind in (Kind.MESSAGE, Kind.OVERSIZE):
                run.append(record)
                if record.kind == Kind.OVERSIZE and self._receiver is not None:
                    self._receiver.cut(record.topic)
            elif record.kind == Kind.TICK:
                flush()
                if self._tracker is not None:
                    updates.append(self._tracker.tick(record.received_ns, record.offset))
                if self._receiver is not None:
                    foreign.append(self._receiver.expire(record.received_ns, record.offset))
            elif record.kind == Kind.PARTNER:
                flush()
                rows, refused = self._take(record)
                foreign.append(rows)
                quarantined.extend(refused)
            elif record.kind == Kind.CONFIG:
                flush()
                self._apply(record.payload)
        flush()
        self.timed_out = tuple(timed_out)
        self.next_offset = records[-1].offset + 1
        if self._shed:
            for record in records:
                self._shed.pop(record.offset, None)
        return OutputBatch(
            first=records[0].offset,
            through=records[-1].offset,
            sensor_ids=self.sensor_ids,
            detections=Detections.concat(detections),
            updates=TrackUpdates.concat(updates),
            quarantined=tuple(quarantined),
            foreign=ForeignUpdates.concat([rows for rows in foreign if len(rows)]),
        )

    def _take(self, record: Record) -> tuple[ForeignUpdates, tuple[Quarantined, ...]]:
        if self._receiver is None:
            raise VedetteError(
                f"journal offset {record.offset}: a message before any configuration"
            )
        found = self._receiver.take(record.payload, record.topic, record.received_ns, record.offset)
        return found.rows, found.refused

    def counters(self) -> dict[str, Any]:
        """Counts since the journal began: of ingest per sensor, of fusion, tracks by status.

        Beside them what each sensor is wrong by (`fusion.Tracker.registration`).
        """
        if self._ingest is None or self._tracker is None:
            return {}
        return {
            "ingest": self._ingest.counters(),
            "fusion": asdict(self._tracker.counters),
            "tracks": self._tracker.census(),
            "registration": self._tracker.registration(),
            "partners": {} if self._receiver is None else self._receiver.counters(),
        }

    def snapshot(self) -> dict[str, Any]:
        """Everything that decides later outputs, as plain data and arrays."""
        return {
            "version": SNAPSHOT_VERSION,
            "modes": MODES,
            "payload": self._payload,
            "next_offset": self.next_offset,
            "sensors": list(self.sensor_ids),
            "ingest": None if self._ingest is None else self._ingest.snapshot(),
            "tracker": None if self._tracker is None else self._tracker.snapshot(),
            "receiver": None if self._receiver is None else self._receiver.snapshot(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `snapshot` gave.

        Raises
        ------
        SnapshotError
            Another version of the program saved it, or one with other motion models.
        """
        if state.get("version") != SNAPSHOT_VERSION:
            raise SnapshotError(
                f"snapshot of version {state.get('version')}, not {SNAPSHOT_VERSION}"
            )
        if state.get("modes", MODES) != MODES:
            raise SnapshotError(f"snapshot of {state['modes']} motion models a track, not {MODES}")
        self._config, self._payload = None, b""
        self._ingest = self._tracker = self._receiver = None
        if state["payload"]:
            self._apply(state["payload"], order=state["sensors"])
            ingest, tracker, receiver = self._parts()
            ingest.restore(state["ingest"])
            tracker.restore(state["tracker"])
            receiver.restore(state["receiver"])
        self.next_offset = state["next_offset"]

    def _apply(self, payload: bytes, order: Sequence[str] = ()) -> None:
        """Put a configuration in force; sensors keep the indices they have."""
        config = self._configure(payload)
        limits = Limits(
            max_age_s=config.max_age_s,
            max_future_s=config.max_future_s,
            decode_timeout_s=config.decode_timeout_s,
        )
        known: list[Sensor] = []
        if self._config is not None:
            known = list(self._config.sensors)
        elif order:
            by_id = {sensor.id: sensor for sensor in config.sensors}
            # A sensor taken out of the site keeps its index, and is deaf from then on.
            known = [by_id.get(name, Sensor(id=name, adapter="")) for name in order]
        sensors = _merged(known, config.sensors)
        before = self._config
        if before is None or (before.node, before.mode) != (config.node, config.mode):
            # Other topics; what was seen before stays seen.
            ingest = Ingest(
                config.node, config.mode, sensors, self._adapters, limits, config.sources
            )
            if self._ingest is not None:
                ingest.restore(self._ingest.snapshot())
            for offset, reason in self._shed.items():
                ingest.shed(offset, reason)
            self._ingest = ingest
            # What partners gave to a node of another name is not ours.
            self._receiver = Receiver(config.agreements, config.node, config.mode)
        else:
            self._parts()[0].reconfigure(sensors, limits, config.sources)
            self._parts()[2].reconfigure(config.agreements)
        if self._tracker is None:
            self._tracker = Tracker(
                sensors, config.region, late_window_s=config.late_window_s, lap=self._lap
            )
        else:
            self._tracker.reconfigure(sensors, config.region, late_window_s=config.late_window_s)
        self._rules = Rules.of(
            sensors,
            {sensor: source.id for source in reversed(config.sources) for sensor in source.sensors},
        )
        self._payload, self._config = payload, replace(config, sensors=sensors)


def _merged(known: Sequence[Sensor], wanted: Sensors) -> Sensors:
    """The wanted sensors, those already known at their old indices, removed ones left deaf."""
    merged = []
    for sensor in known:
        index = wanted.index(sensor.id)
        merged.append(Sensor(id=sensor.id, adapter="") if index is None else wanted[index])
    ids = {sensor.id for sensor in merged}
    merged.extend(sensor for sensor in wanted if sensor.id not in ids)
    return Sensors(merged)
