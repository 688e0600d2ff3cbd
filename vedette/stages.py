"""How long each stage of the way takes, as Prometheus histograms.

report (the time that it bears) -> received (paho's callback) -> journaled (durable) -> fused ->
published (in the output log) -> committed (in the database). Every message counts, not a sample:
bins are filled by the array and handed over whole.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from model.arrays import Floats, Int64s
from model.detections import Detections
from model.records import Kind, Record

BOUNDS_S: Floats = np.array(
    [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0]
)
"""Upper bounds of the bins, s: from one sync of a good disk to the oldest report that is taken."""


class Stages(Collector):
    """Histograms ``<name>{stage=...}``.

    Parameters
    ----------
    name, text
        Of the metric.
    names
        Its stages.
    registry
        Where it is told.
    """

    def __init__(
        self, name: str, text: str, names: Sequence[str], registry: CollectorRegistry
    ) -> None:
        self._name, self._text = name, text
        self._counts = {stage: np.zeros(len(BOUNDS_S) + 1, np.int64) for stage in names}
        self._sums = dict.fromkeys(names, 0.0)
        registry.register(self)

    def add(self, stage: str, nanoseconds: Int64s) -> None:
        """Take in durations (N,) ns; what a clock that was set back made negative counts as 0."""
        if not len(nanoseconds):
            return
        seconds = np.maximum(nanoseconds, 0) * 1e-9
        self._counts[stage] += np.bincount(
            np.searchsorted(BOUNDS_S, seconds), minlength=len(BOUNDS_S) + 1
        )
        self._sums[stage] += float(seconds.sum())

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """What Prometheus asks for."""
        family = HistogramMetricFamily(self._name, self._text, labels=["stage"])
        bounds = [*map(str, BOUNDS_S.tolist()), "+Inf"]
        for stage, counts in self._counts.items():
            heap = np.cumsum(counts).tolist()
            family.add_metric([stage], list(zip(bounds, heap, strict=True)), self._sums[stage])
        yield family


class CoreStages(Stages):
    """The stages that a core goes through."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(
            "vedette_core_stage_seconds",
            "Time that messages spend up to a stage: received counts from the report's own time, "
            "journaled and published from reception, fused from reception",
            ("received", "journaled", "fused", "published"),
            registry,
        )

    def journaled(self, records: Sequence[Record], durable_ns: int) -> None:
        """Records became durable at a time; called by one thread, which calls nothing else here."""
        received = [record.received_ns for record in records if record.kind == Kind.MESSAGE]
        self.add("journaled", durable_ns - np.array(received, dtype=np.int64))

    def fused(
        self, detections: Detections, received: Int64s, fused_ns: int, published_ns: int
    ) -> None:
        """Reports were fused, and what they gave was written.

        Parameters
        ----------
        detections
            That passed the gate.
        received
            (N,) UTC ns of all messages processed.
        fused_ns, published_ns
            UTC ns.
        """
        self.add("received", detections.received - detections.time)
        self.add("fused", fused_ns - received)
        self.add("published", published_ns - received)


class StoreStage(Stages):
    """The last stage, in serve."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(
            "vedette_serve_stage_seconds",
            "Time from the reception of a report to its commit in the database",
            ("committed",),
            registry,
        )

    def committed(self, received: Int64s, now_ns: int) -> None:
        """Reports received at (N,) ns are stored now."""
        self.add("committed", now_ns - received)
