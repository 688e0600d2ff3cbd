"""What a node must tell the console.

`status()` is plain data for JSON. Every key is optional; a missing key or None means *not known*
and is shown as such, never as zero. Further keys are passed through `/api/status` untouched.

==================================  =======================================================
key                                 meaning
==================================  =======================================================
``mode``                            ``"live"`` or ``"exercise"`` (the page then says so)
``region``                          ``{"lat", "lon", "radius_km"}``, degrees: where the map opens
``stale_after_s``                   picture age from which the page calls it stale; 3 if missing
``sensors``                         list of ``{"id", "lat", "lon", "adapter", "last_report_s"}``
``core.time_ns``                    UTC ns at which the core wrote its newest status
``core.reports_per_s``              reports taken in per second
``core.detections_per_s``           detections per second
``core.latency_ms``                 ``{"p50", "p99"}``, from received to published
``core.journal_lag_records``        journaled records that are not fused yet
``core.journal_lag_s``              age of the oldest of them
``core.journal_used_mb``, ``core.journal_budget_mb``  disk that the journal uses and may use
``core.quarantine``                 ``{reason: count}`` since the start
``core.broker``                     ``{"name", "connected", "lacks": [text, ...]}``
``serve.database``                  ``{"name", "connected", "lacks": [text, ...]}``
``serve.database_lag_s``            age of the oldest output that is not stored yet
``serve.database_lag_records``      output records that are not stored yet
==================================  =======================================================
"""

from collections.abc import Sequence
from typing import Any, Protocol

from model.tracks import TrackUpdates


class PictureSource(Protocol):
    """The node as the console sees it.

    All methods are called on the event loop of the web server, up to a few times a second each:
    they return at once (what they give is kept ready by another thread) and raise only when the
    source is broken; the console then answers 503 and keeps the last picture, marked as old.
    """

    def status(self) -> dict[str, Any]:
        """Status of the core and of serve; keys as in `console.source`."""

    def tracks(self) -> TrackUpdates:
        """Head of every track that is not deleted, one row a track; nobody changes it later."""

    def sensor_ids(self) -> Sequence[str]:
        """Names behind the sensor indices in `tracks()`; only ever appended to."""

    def metrics(self) -> str:
        """Metrics in the Prometheus text format, version 0.0.4."""

    def healthy(self) -> tuple[bool, str]:
        """Whether the node does its work, and why (not) in one line."""
