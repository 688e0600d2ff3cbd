"""What a core has done, counted and told: metrics, notices to owners of sensors, its status."""

import json
import os
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from config import Site
from journal.log import SegmentedLog
from model.errors import Quarantined
from model.ports import OutputBatch
from model.records import Kind, Record
from vedette.engine import Engine
from vedette.intake import Intake
from vedette.metrics import Metrics
from vedette.outputs import OutputLog
from vedette.relief import Relief
from vedette.stages import CoreStages

SECOND_S = 1.0
"""Shortest span over which a rate is told, s."""

NOTICES_PER_S = 50
"""Quarantine notices published a second at most; the records themselves hold all."""

RATE_S = 5
"""Seconds over which rates are averaged."""


class Account:
    """Of one core.

    Parameters
    ----------
    site
        Its site file.
    journal, outputs, relief
        Of the core; asked when the status is told.

    Attributes
    ----------
    intake
        None as long as there is none.
    """

    def __init__(
        self, site: Site, journal: SegmentedLog, outputs: OutputLog, relief: Relief
    ) -> None:
        self._site = site
        self._journal = journal
        self._outputs = outputs
        self._relief = relief
        self.metrics = Metrics()
        self.stages = CoreStages(self.metrics.registry)
        self.intake: Intake | None = None
        self._began = time.monotonic()
        self._passed = (0, 0)
        self._rates: deque[tuple[float, int, int]] = deque(maxlen=RATE_S + 1)
        self._quarantine: dict[str, int] = {}
        self._notices = 0
        self._processed_ns = 0

    def count(
        self, records: Sequence[Record], batch: OutputBatch, fused_ns: int, published_ns: int
    ) -> None:
        """Count records that were processed, and what they gave.

        Parameters
        ----------
        records, batch
            At least one record, and their outputs.
        fused_ns, published_ns
            When these were there, and when they were written, UTC ns.
        """
        metrics = self.metrics
        self._processed_ns = records[-1].received_ns
        reports, detections = batch.detections.n_reports, batch.detections.n_detections
        self._passed = (self._passed[0] + reports, self._passed[1] + detections)
        metrics.inputs.inc(len(records))
        metrics.reports.inc(reports)
        metrics.detections.inc(detections)
        metrics.updates.inc(len(batch.updates))
        metrics.foreign_updates.inc(len(batch.foreign))
        messages = (Kind.MESSAGE, Kind.OVERSIZE, Kind.PARTNER)
        received = np.array(
            [record.received_ns for record in records if record.kind in messages], dtype=np.int64
        )
        metrics.published(received, published_ns)
        self.stages.fused(batch.detections, received, fused_ns, published_ns)
        if batch.quarantined:
            self._refused(batch.quarantined)

    def _refused(self, quarantined: Sequence[Quarantined]) -> None:
        for item in quarantined:
            self.metrics.quarantined.labels(item.reason).inc()
            self._quarantine[item.reason] = self._quarantine.get(item.reason, 0) + 1
            self.metrics.notices.labels(self._notice(item)).inc()

    def _notice(self, item: Quarantined) -> str:
        """Tell a sensor's owner what was refused, best effort; returns what became of it."""
        if self.intake is None or self._notices >= NOTICES_PER_S:
            return "left_out"
        self._notices += 1
        sensor = item.sensor
        if not sensor or any(sign in sensor for sign in "/+#\0"):
            sensor = "_"
        document = {
            "offset": item.offset,
            "item": item.item,
            "sensor": item.sensor,
            "reason": item.reason,
            "detail": item.detail,
        }
        topic = f"{self._site.topic_root}/quarantine/{sensor}"
        sent = self.intake.subscriber.publish(topic, json.dumps(document).encode())
        return "sent" if sent else "failed"

    @property
    def reports(self) -> int:
        """Reports counted since the start."""
        return self._passed[0]

    def second(self) -> None:
        """Another second has passed."""
        self._notices = 0
        self.metrics.latency.second()

    def status(self, engine: Engine, next_offset: int, now_ns: int) -> dict[str, Any]:
        """How the core is doing, plain data.

        Parameters
        ----------
        engine
            As it is now.
        next_offset
            Of the next input.
        now_ns
            The time, UTC ns.
        """
        intake = self.intake
        if intake is None:
            return {
                "time_ns": now_ns,
                "pid": os.getpid(),
                "recovering": True,
                "journal_end": self._journal.end,
                "processed": next_offset,
                "journal_lag_records": self._journal.end - next_offset,
            }
        journal = intake.journal_status()
        reports_per_s, detections_per_s = self._rate()
        lag = journal["end"] - next_offset
        link, counts = intake.link, intake.counts
        counters = engine.counters()
        document: dict[str, Any] = {
            "time_ns": now_ns,
            "pid": os.getpid(),
            "uptime_s": round(time.monotonic() - self._began, 1),
            "reports_per_s": reports_per_s,
            "detections_per_s": detections_per_s,
            "latency_ms": self.metrics.latency.quantiles_ms(window=True),
            "latency_since_start_ms": self.metrics.latency.quantiles_ms(window=False),
            "journal_end": journal["end"],
            "processed": next_offset,
            "journal_lag_records": lag,
            "journal_lag_s": self._lag_s(intake, lag, next_offset, now_ns),
            "journal_used_mb": round(journal["bytes"] / 2**20, 1),
            "journal_budget_mb": self._site.limits.journal_budget_mb,
            "journal": journal,
            "shed": self._relief.status(now_ns),
            "receipts": intake.receipts.status,
            "outputs_stalled": self._outputs.stalled,
            "tracks": counters.get("tracks", {}),
            "counters": counters,
            "quarantine": dict(self._quarantine),
            "oversize": intake.oversize,
            "broker": {
                "name": intake.subscriber.settings.name,
                "connected": link.connected,
                "protocol": link.protocol,
                "epoch": link.epoch,
                "session_present": link.session_present,
                "reason": link.reason,
                "lacks": _lacks(link.protocol),
                **counts._asdict(),
            },
            "partners": intake.partners.status(engine.receiver),
        }
        for name in ("journal_lag_records", "journal_used_mb", "uptime_s"):
            self.metrics.gauge(name, document[name])
        self.metrics.gauge("broker_connected", link.connected)
        self.metrics.gauge("messages_received", counts.received)
        self.metrics.gauge("acks_stale", counts.stale_acks)
        self.metrics.gauge("redelivered", counts.redelivered)
        for name, value in document["tracks"].items():
            self.metrics.gauge(f"tracks_{name}", value)
        document["metrics"] = self.metrics.text()
        return document

    def _rate(self) -> tuple[float, float]:
        """Reports and detections per second over the last `RATE_S` seconds."""
        now = (time.monotonic(), *self._passed)
        self._rates.append(now)
        then = self._rates[0]
        seconds = max(now[0] - then[0], SECOND_S)
        return round((now[1] - then[1]) / seconds, 1), round((now[2] - then[2]) / seconds, 1)

    def _lag_s(self, intake: Intake, lag: int, next_offset: int, now_ns: int) -> float:
        """Age of the oldest journaled record that is not processed yet, s.

        The journal is not asked: finding a record in it takes a tenth of a second, and all reports
        would wait for that. Where memory was full, the last that was processed is taken for it.
        """
        oldest = intake.oldest() if lag > 0 else None
        if oldest is None:
            return 0.0
        since = oldest.received_ns
        if oldest.offset > next_offset and self._processed_ns:
            since = self._processed_ns
        return round(max(0, now_ns - since) / 1e9, 3)


def _lacks(protocol: str) -> list[str]:
    if protocol == "3.1.1":
        return ["MQTT 3.1.1: the broker cannot be told how many messages may be under way"]
    return []
