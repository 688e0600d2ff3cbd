"""What a core counts: metrics for Prometheus, and latency over the last minute."""

from collections import deque

import numpy as np
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from model.arrays import Floats, Int64s

EDGES_S: Floats = np.geomspace(1e-4, 1e3, 141)
"""Bounds of the latency bins, s: 20 a decade, so a quantile is known to 12 %."""

BUCKETS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0)
"""Bounds of the exported histogram, s."""

WINDOW_S = 60
"""Length of the sliding window, s."""


class Latency:
    """Latencies in bins, over the last minute and since the start."""

    def __init__(self) -> None:
        self._now = np.zeros(len(EDGES_S) + 1, np.int64)
        self._past: deque[Int64s] = deque(maxlen=WINDOW_S)
        self._all = np.zeros(len(EDGES_S) + 1, np.int64)

    def add(self, seconds: Floats) -> None:
        """Take in latencies (N,) s."""
        counts = np.bincount(np.searchsorted(EDGES_S, seconds), minlength=len(EDGES_S) + 1)
        self._now += counts
        self._all += counts

    def second(self) -> None:
        """A second has gone by."""
        self._past.append(self._now)
        self._now = np.zeros(len(EDGES_S) + 1, np.int64)

    def quantiles_ms(self, *, window: bool) -> dict[str, float | None]:
        """``p50`` and ``p99`` in ms, upper bounds of their bins; None: nothing was measured."""
        counts = self._now + sum(self._past) if window else self._all
        total = int(counts.sum())
        if not total:
            return {"p50": None, "p99": None}
        heap = np.cumsum(counts)
        result: dict[str, float | None] = {}
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            place = min(int(np.searchsorted(heap, share * total)), len(EDGES_S) - 1)
            result[name] = round(float(EDGES_S[place]) * 1e3, 3)
        return result


class Metrics:
    """Counters of a core, in a registry of its own."""

    def __init__(self) -> None:
        # Times of creation double the text and tell nothing.
        disable_created_metrics()  # type: ignore[no-untyped-call] # it has no annotations
        self.registry = CollectorRegistry()
        self.latency = Latency()
        self.inputs = self._counter("inputs", "Journal records processed")
        self.reports = self._counter("reports", "Reports that passed the gate")
        self.detections = self._counter("detections", "Detections that passed the gate")
        self.updates = self._counter("track_updates", "Track updates issued")
        self.foreign_updates = self._counter("foreign_updates", "Track updates that partners gave")
        self.snapshots = self._counter("snapshots", "Snapshots saved")
        self.shed = self._counter("shed", "Inputs shed because their decoding ran out of time")
        self.relieved = Counter(
            "vedette_core_relieved",
            "Inputs not decoded because the core could not keep up, by reason",
            ["reason"],
            registry=self.registry,
        )
        self.notices = Counter(
            "vedette_core_quarantine_notices",
            "Quarantine notices published by outcome",
            ["outcome"],
            registry=self.registry,
        )
        self.quarantined = Counter(
            "vedette_core_quarantined",
            "Reports and detections refused by reason",
            ["reason"],
            registry=self.registry,
        )
        self.histogram = Histogram(
            "vedette_core_latency_seconds",
            "From the arrival of a message to its outputs",
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self._gauges: dict[str, Gauge] = {}

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(f"vedette_core_{name}", text, registry=self.registry)

    def gauge(self, name: str, value: float) -> None:
        """Set a gauge ``vedette_core_<name>``."""
        gauge = self._gauges.get(name)
        if gauge is None:
            text = name.replace("_", " ")
            gauge = Gauge(f"vedette_core_{name}", text, registry=self.registry)
            self._gauges[name] = gauge
        gauge.set(value)

    def published(self, received_ns: Int64s, published_ns: int) -> None:
        """Outputs of messages received at (N,) ns were written at `published_ns`."""
        if not len(received_ns):
            return
        seconds = np.maximum(published_ns - received_ns, 0) / 1e9
        self.latency.add(seconds)
        for value in seconds[:: max(1, len(seconds) // 32)]:  # a sample; the bins above hold all
            self.histogram.observe(float(value))

    def text(self) -> str:
        """Everything in the Prometheus text format, version 0.0.4."""
        return generate_latest(self.registry).decode()
