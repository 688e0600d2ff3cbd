"""When the core is behind, and what it lets go of (`ingest.shedding` says in which order).

While inputs are processed within `limits.shed_after_s` of their journaling nothing is shed. Beyond,
of all that waits in memory just so much is left as can be processed in half that time, at the pace
of late. What waits in the journal alone, after a start for example, is processed whole.
"""

import time
from collections.abc import Sequence
from typing import Any

from ingest.shedding import Waiting, choose, columns
from model.arrays import Int64s
from model.errors import Reason
from model.records import Kind, Record
from model.time import NS_PER_S
from vedette.engine import Engine

AGAIN_S = 0.2
"""Least pause between two decisions, s: each is journaled and synced."""

STALE_TIMES = 5.0
"""A message is stale when it has waited so many times `limits.shed_after_s`."""

MEMORY = 0.1
"""Weight of the newest batch in the pace."""

LEAST_KEPT = 64
"""So many messages are always left, whatever the pace."""


class Relief:
    """Watches one core's pace.

    Parameters
    ----------
    after_s
        How long the oldest waiting message may have been journaled, s; 0: nothing is ever shed.
    """

    def __init__(self, after_s: float) -> None:
        self._after_ns = round(after_s * NS_PER_S)
        self._s_per_message = 0.0
        self._due = 0.0
        self._counts: dict[str, int] = {}
        self._last_ns = 0

    def processed(self, messages: int, seconds: float) -> None:
        """So many messages were processed in so long."""
        if messages:
            each = seconds / messages
            weight = MEMORY if self._s_per_message else 1.0
            self._s_per_message += weight * (each - self._s_per_message)

    def shed(self, reason: Reason, inputs: int) -> None:
        """So many inputs were shed now."""
        self._counts[reason] = self._counts.get(reason, 0) + inputs
        self._last_ns = time.time_ns()

    def status(self, now_ns: int) -> dict[str, Any]:
        """Inputs shed since the start by reason, and how long ago the last was, s; plain data."""
        last_s = round((now_ns - self._last_ns) / NS_PER_S, 1) if self._last_ns else None
        return {"inputs": dict(self._counts), "last_s": last_s}

    def behind(self, records: Sequence[Record], durable_ns: int) -> bool:
        """Whether it is time to decide: these records, next to be processed, waited too long.

        Counted from when the first of them had become durable, so that what a full disk or a
        broker held back is not taken for a core that is slow.
        """
        if not self._after_ns or time.monotonic() < self._due:
            return False
        if not any(record.kind == Kind.MESSAGE for record in records):
            return False
        return time.time_ns() - durable_ns > self._after_ns

    def decide(
        self, waiting: Sequence[Sequence[Record]], engine: Engine
    ) -> list[tuple[Reason, Int64s]]:
        """What is to be shed of what waits, by reason.

        Parameters
        ----------
        waiting
            Batches of records, oldest first.
        engine
            Which knows the sensors.
        """
        self._due = time.monotonic() + AGAIN_S
        rules = engine.rules
        if rules is None:
            return []
        keep = LEAST_KEPT
        if self._s_per_message > 0.0:
            keep = max(keep, round(0.5 * self._after_ns / NS_PER_S / self._s_per_message))
        stale_ns = round(STALE_TIMES * self._after_ns)
        return choose(_messages(waiting, engine), rules, keep, time.time_ns(), stale_ns)


def _messages(waiting: Sequence[Sequence[Record]], engine: Engine) -> Waiting:
    """Messages that are not shed already."""
    offset, received, sensor = [], [], []
    known: dict[str, int] = {}
    for records in waiting:
        for record in records:
            if record.kind != Kind.MESSAGE or engine.is_shed(record.offset):
                continue
            topic = record.topic
            index = known.get(topic)
            if index is None:
                index = known[topic] = engine.sensor_of(topic)
            offset.append(record.offset)
            received.append(record.received_ns)
            sensor.append(index)
    return columns(offset, received, sensor)
