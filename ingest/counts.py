"""What `ingest.pipeline.Ingest` gives for a batch, and what it counts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from model.detections import Detections
from model.errors import Quarantined, Reason


@dataclass(slots=True)
class SensorCount:
    """What came of one sensor's messages in a batch.

    Parameters
    ----------
    messages
        Messages on its topics, status left out.
    decoded
        Items that its adapter understood.
    duplicates
        Frames and reports that had been seen before.
    reports, detections
        What passed the gate.
    refused
        Items by reason; `Reason.HUMAN_IDENTITY` counts detections that stayed without identity.
    """

    messages: int = 0
    decoded: int = 0
    duplicates: int = 0
    reports: int = 0
    detections: int = 0
    refused: dict[Reason, int] = field(default_factory=dict)

    def add(self, other: "SensorCount") -> None:
        """Count what another batch counted."""
        self.messages += other.messages
        self.decoded += other.decoded
        self.duplicates += other.duplicates
        self.reports += other.reports
        self.detections += other.detections
        for reason, count in other.refused.items():
            self.refused[reason] = self.refused.get(reason, 0) + count

    def plain(self) -> dict[str, Any]:
        """The same as plain data, for the status and the snapshot."""
        return {
            "messages": self.messages,
            "decoded": self.decoded,
            "duplicates": self.duplicates,
            "reports": self.reports,
            "detections": self.detections,
            "refused": {str(reason): count for reason, count in sorted(self.refused.items())},
        }

    @classmethod
    def of_plain(cls, data: Mapping[str, Any]) -> Self:
        """What `plain` was made of."""
        values = dict(data)
        refused = {Reason(reason): int(n) for reason, n in values.pop("refused").items()}
        return cls(refused=refused, **values)


@dataclass(frozen=True, slots=True, eq=False)
class Ingested:
    """What a batch of records gave.

    Parameters
    ----------
    detections
        What passed the gate, in the order of offsets.
    quarantined
        What was refused, by offset and item.
    decoded
        Items that adapters understood.
    counts
        By sensor id (``""``: topics that name none); a batch's worth.
    timed_out
        Offsets whose decoding ran out of time here and now, rising: journal them as SHED and, on
        replay, tell `Ingest.shed` before the records come.
    """

    detections: Detections
    quarantined: tuple[Quarantined, ...]
    decoded: int
    counts: Mapping[str, SensorCount]
    timed_out: tuple[int, ...] = ()


def total(counts: Iterable[Mapping[str, SensorCount]]) -> dict[str, SensorCount]:
    """The counts of several batches together, by sensor id."""
    summed: dict[str, SensorCount] = {}
    for batch in counts:
        for sensor, count in batch.items():
            summed.setdefault(sensor, SensorCount()).add(count)
    return summed
