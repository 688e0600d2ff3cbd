"""What happened when in a round, read from what is on disk: no clock of ours watched it.

Sent: books. Journaled: stamps of the journal. Published: stamps of the output log. Stored: the
server's commit timestamps. Given: stamps of the ledger.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from benchmarks.chaos.book import Line
from benchmarks.chaos.partner import AGREEMENT, PARTNER
from benchmarks.chaos.plan import Action, Fault, Target
from benchmarks.chaos.traffic import NODE, Key
from benchmarks.chaos.wire import key_of
from benchmarks.equivalence import records
from journal.codec import unpack_output
from model.arrays import Floats, Int64s
from model.records import Kind
from model.time import NS_PER_S

BIN_S = 0.5
"""Width of the bins of a timeline, s."""


@dataclass(slots=True)
class Series:
    """Moments, UTC ns, each rising.

    Parameters
    ----------
    sent, journaled, messages, published, stored, given
        A moment for each report written down, report journaled for the first time, message
        journaled, output published, row of the table of reports committed, ledger entry written.
    covered, latency_ms
        For each published report: when it was published, and how long after it was received.
    """

    sent: Int64s
    journaled: Int64s
    messages: Int64s
    published: Int64s
    stored: Int64s
    given: Int64s
    covered: Int64s = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    latency_ms: Floats = field(default_factory=lambda: np.zeros(0))

    def document(self) -> dict[str, Any]:
        """Counts up to the end of each bin, and quantiles of the latency in it."""
        start = int(self.sent[0]) if len(self.sent) else 0
        last = max((int(one[-1]) for one in (self.sent, self.stored) if len(one)), default=start)
        edges = np.arange(start, last + 2 * int(BIN_S * NS_PER_S), int(BIN_S * NS_PER_S))
        place = np.digitize(self.covered, edges)
        latencies = [self.latency_ms[place == one] for one in range(1, len(edges))]
        return {
            "start_ns": start,
            "bin_s": BIN_S,
            **{
                name: np.searchsorted(getattr(self, name), edges[1:]).tolist()
                for name in ("sent", "journaled", "stored")
            },
            "p50_ms": [_quantile(one, 0.5) for one in latencies],
            "p99_ms": [_quantile(one, 0.99) for one in latencies],
        }


def series(data: Path, dsn: str, books: Sequence[Line]) -> Series:
    """Read what happened when.

    Parameters
    ----------
    data
        The node's data folder.
    dsn
        The database, which keeps commit timestamps.
    books
        What was sent.
    """
    messages: list[int] = []
    first: dict[Key, int] = {}
    for record in records(data / "journal"):
        if record.kind == Kind.MESSAGE:
            messages.append(record.received_ns)
            first.setdefault(key_of(record.topic, record.payload), record.received_ns)
    published, covered, latency = [], [], []
    for record in records(data / "outputs"):
        if record.kind == Kind.OUTPUT:
            batch = unpack_output(record.payload)
            published.append(record.received_ns)
            received = batch.detections.received
            covered += [record.received_ns] * len(received)
            latency.append((record.received_ns - received) / 1e6)
    with psycopg.connect(dsn) as connection:
        stored = connection.execute(
            "SELECT (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1e9)::bigint"
            " FROM vedette.reports WHERE node = %s",
            (NODE,),
        ).fetchall()
    ledger = data / "partners" / PARTNER / AGREEMENT
    return Series(
        sent=_sorted([line.made_ns for line in books]),
        journaled=_sorted(list(first.values())),
        messages=_sorted(messages),
        published=_sorted(published),
        stored=_sorted([row[0] for row in stored if row[0] is not None]),
        given=_sorted([r.received_ns for r in records(ledger) if r.kind == Kind.OUTPUT]),
        covered=np.array(covered, dtype=np.int64),
        latency_ms=np.concatenate(latency) if latency else np.zeros(0),
    )


WORKS_AGAIN = {
    Target.CORE: "published",
    Target.SUPERVISOR: "published",
    Target.BROKER: "messages",
    Target.LINK: "messages",
    Target.SERVE: "stored",
    Target.POSTGRES: "stored",
    Target.BACKEND: "stored",
    Target.PUBLISHER: "given",
    Target.SOURCE: "sent",
}
"""By what it is seen that a target works again after a fault."""


def recoveries(faults: Sequence[tuple[Fault, int]], found: Series) -> list[dict[str, Any]]:
    """How long each target took to work again.

    Parameters
    ----------
    faults
        As done, with their moments, UTC ns.
    found
        Of the round.

    Returns
    -------
    list of dict
        ``number, target, action, seconds``: from the kill, or the end of the freeze, to the first
        thing that the target did after it; None: it had nothing to do any more. ``alone``: nothing
        was done to it or to what it `NEEDS` from `BEFORE_S` before the fault until then.
        ``away``: how long we kept it away, or frozen, s; a kill's seconds hold that.
    """
    rows = []
    for fault, time_ns in faults:
        moments = getattr(found, WORKS_AGAIN[fault.target])
        needs = (fault.target, *NEEDS[fault.target])
        frozen = fault.action == Action.FREEZE
        begin = time_ns + (round(fault.seconds * NS_PER_S) if frozen else 0)
        if fault.target == Target.SUPERVISOR and not frozen:
            end = _after_pause(moments, begin)
        else:
            place = int(np.searchsorted(moments, begin, side="right"))
            end = int(moments[place]) if place < len(moments) else None
        quiet = (time_ns - round(BEFORE_S * NS_PER_S), begin if end is None else end)
        rows.append(
            {
                "number": fault.number,
                "target": str(fault.target),
                "action": str(fault.action),
                "seconds": None if end is None else round((end - begin) / NS_PER_S, 3),
                "away": 0.0 if fault.target in _SUPERVISED and not frozen else fault.seconds,
                "alone": not any(
                    quiet[0] <= other_ns + _lasts_ns(other) and other_ns <= quiet[1]
                    for other, other_ns in faults
                    if other.number != fault.number and other.target in needs
                ),
            }
        )
    return rows


_CORE = (Target.CORE, Target.SUPERVISOR)
_STORES = (Target.SERVE, Target.POSTGRES, Target.BACKEND, *_CORE)
NEEDS = {
    Target.CORE: _CORE,
    Target.SUPERVISOR: _CORE,
    Target.BROKER: _CORE,
    Target.LINK: (Target.BROKER, *_CORE),
    Target.SERVE: _STORES,
    Target.POSTGRES: _STORES,
    Target.BACKEND: _STORES,
    Target.PUBLISHER: _CORE,
    Target.SOURCE: (),
}
"""What must work for it to be seen that a target does."""

BEFORE_S = 3.0
"""A recovery is of one fault alone if the one before was over so long before it, s."""

_SUPERVISED = (Target.CORE, Target.SERVE, Target.PUBLISHER, Target.BACKEND, Target.LINK)


ORPHANED_S = 6.0
"""A core whose supervisor was killed ends in good order within so long, s, and works meanwhile."""


def _after_pause(moments: Int64s, begin: int) -> int | None:
    """End of the longest pause that began soon after a moment."""
    first = int(np.searchsorted(moments, begin))
    last = int(np.searchsorted(moments, begin + round(ORPHANED_S * NS_PER_S)))
    near = np.array([begin, *moments[first : last + 1].tolist()])
    return int(near[1 + np.diff(near).argmax()]) if len(near) > 1 else None


def _lasts_ns(fault: Fault) -> int:
    return 0 if fault.target in _SUPERVISED else round(fault.seconds * NS_PER_S)


def _sorted(moments: Sequence[int]) -> Int64s:
    return np.sort(np.array(moments, dtype=np.int64))


def _quantile(values: Floats, part: float) -> float | None:
    return round(float(np.quantile(values, part)), 1) if len(values) else None
