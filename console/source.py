"""What a node must tell the console, and what it may tell besides.

`PictureSource` must be there; `GivesForeign`, `GivesContributions` and `GivesDoubts` may be: a
source that lacks them shows no foreign tracks, no times beside the contributing sensors, and not
since when an identity is doubted.

`status()` is plain data for JSON. Every key is optional; a missing key or None means *not known*
and is shown as such, never as zero. Further keys are passed through `/api/status` untouched.

==================================  =======================================================
key                                 meaning
==================================  =======================================================
``mode``                            ``"live"`` or ``"exercise"`` (the page then says so)
``region``                          ``{"lat", "lon", "radius_km"}``, degrees: where the map opens
``stale_after_s``                   picture age from which the page calls it stale; 3 if missing
``places``                          list of ``{"name", "lat", "lon"}``: the site's own place names
``lines``                           list of ``{"name", "points": [[lat, lon], ...]}``: the site's
                                    own lines, for example the frontier that it watches
``sensors``                         list of sensors, below
``partners``                        list of partners, below
``core.time_ns``                    UTC ns at which the core wrote its newest status
``core.reports_per_s``              reports taken in per second
``core.detections_per_s``           detections per second
``core.latency_ms``                 ``{"p50", "p99"}``, from received to published
``core.journal_lag_records``        journaled records that are not fused yet
``core.journal_lag_s``              age of the oldest of them
``core.journal_used_mb``, ``core.journal_budget_mb``  disk that the journal uses and may use
``core.quarantine``                 ``{reason: count}`` since the start
``core.counters.ingest``            by sensor id: ``{"messages", "decoded", "reports",
                                    "detections", "refused": {reason: count}}`` since the journal
                                    began; the page makes rates of two such counts
``core.counters.registration``      by sensor id, as in ``sensors`` below
``core.broker``                     ``{"name", "connected", "lacks": [text, ...]}``
``serve.database``                  ``{"name", "connected", "lacks": [text, ...]}``
``serve.database_lag_s``            age of the oldest output that is not stored yet
``serve.database_lag_records``      output records that are not stored yet
==================================  =======================================================

One of ``sensors``
------------------
``id, adapter, lat, lon``           as in the site file; a sensor that moves has no place
``last_report_s``                   age of its newest report, s; None: none came yet
``period_s``                        time between two of its reports, s; with it the page flags a
                                    silent sensor: no report for three periods, and for 3 s
``registration``                    what it is wrong by, as estimated: ``range_m, azimuth_rad,
                                    time_s, east_m, north_m``, ``sigma_`` of each, ``detections``
                                    that counted, and whether it is ``applied``; None: not known
``sensing``                         ``"scan"`` or ``"event"``; the silence of an event sensor (a
                                    trip wire) says nothing and is never flagged

One of ``partners``
-------------------
``node``                            name of the partner's node
``connected``                       whether the link to its broker stands; None: not known, or we
                                    take nothing there
``reason``                          why not, in words
``out``                             what this node gives, a row an agreement: ``agreement``;
                                    ``state`` (``"active"``, ``"expired"``, ``"not known"``, ...);
                                    ``sent`` and ``acked``, highest sequence sent and
                                    acknowledged; ``last_ack_s``, age of the last
                                    acknowledgement; ``no_ack_s``, where none has come: for how
                                    long that has been seen; ``head_agrees``, whether the
                                    partner's chain is ours; ``why_silent``, in words where
                                    nothing is sent, else empty
``in``                              what this node gets, a row an agreement: ``agreement``;
                                    ``received``, updates taken in; ``gaps``, sequences missing
                                    now; ``last_s``, age of the last batch; ``refused``,
                                    ``{reason: count}`` since the journal began; ``held``, tracks
                                    that the partner has not closed; ``why_silent``, as above
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

from model.arrays import Array, Int64s
from model.tracks import TrackUpdates


@dataclass(frozen=True, slots=True)
class Giver:
    """Where foreign tracks come from.

    Parameters
    ----------
    node
        Node that emits the tracks.
    agreement
        Under which it gives them.
    path
        Nodes that they passed, first to last, with `node` first; empty: not told.
    """

    node: str
    agreement: str = ""
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class ForeignTracks:
    """What one giver gave: heads of the tracks that it holds now and that are still within life.

    Parameters
    ----------
    giver
        Who, under what, by which way.
    updates
        U rows, one a track; `track_id` and `number` are the giver's, sensor indices mean nothing.
    received
        (U,) int64 UTC ns, when each head came in here; 0: not known.
    sent
        (U,) int64 UTC ns, when the giver sent it, by the giver's clock, 0: not known; None: all
        are not known.
    """

    giver: Giver
    updates: TrackUpdates
    received: Int64s
    sent: Int64s | None = None

    def take(self, rows: Array) -> Self:
        """Chosen rows (mask or indices)."""
        sent = None if self.sent is None else self.sent[rows]
        return type(self)(self.giver, self.updates.take(rows), self.received[rows], sent)


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


@runtime_checkable
class GivesForeign(Protocol):
    """A source that also holds what partners gave; under the same terms as `PictureSource`."""

    def foreign(self) -> Sequence[ForeignTracks]:
        """One table a giver; a giver of which nothing is left may be missing."""


@runtime_checkable
class GivesContributions(Protocol):
    """A source that remembers when each sensor last contributed to an own track."""

    def contributions(self, track_id: int) -> Mapping[str, int]:
        """UTC ns of the last contribution by sensor id; empty: not known."""


@runtime_checkable
class GivesDoubts(Protocol):
    """A source that remembers since when the identity of an own track is doubted."""

    def doubted_since(self, track_id: int) -> int | None:
        """UTC ns; None: it is not doubted, or not known to be."""


def foreign_of(source: PictureSource) -> Sequence[ForeignTracks]:
    """What partners gave; nothing where the source does not tell."""
    return source.foreign() if isinstance(source, GivesForeign) else ()


def contributions_of(source: PictureSource, track_id: int) -> Mapping[str, int]:
    """When each sensor last contributed; nothing where the source does not tell."""
    return source.contributions(track_id) if isinstance(source, GivesContributions) else {}


def doubted_since(source: PictureSource, track_id: int) -> int | None:
    """Since when an identity is doubted; None where it is not, or the source does not tell."""
    return source.doubted_since(track_id) if isinstance(source, GivesDoubts) else None
