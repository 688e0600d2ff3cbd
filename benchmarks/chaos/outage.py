"""PostgreSQL away for a while under load: what the live picture notices, and how fast it drains.

Latency is from the arrival of a message to its output written, by the stamps of the output log;
storing is seen by the server's own commit timestamps.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from benchmarks.chaos.soak import Sender
from benchmarks.equivalence import records
from benchmarks.load import Load, site_sensors
from benchmarks.node import Node, Servers
from journal.codec import unpack_output
from model.arrays import Floats, Int64s
from model.errors import VedetteError
from model.records import Kind
from model.time import NS_PER_S

BEFORE_S = 20.0
"""Length of the time before the outage with which it is compared, s; tracks exist by then."""

WARM_UP_S = 10.0
LAG_S = 2.0
"""Drained: what is not stored yet is younger than that, s."""

PATIENCE_S = 600.0

Say = Callable[[str], None]


def run(away_s: float, rate_hz: float, say: Say) -> dict[str, Any]:
    """Measure.

    Parameters
    ----------
    away_s
        How long PostgreSQL is away.
    rate_hz
        Reports a second.
    say
        Told what goes on.

    Returns
    -------
    dict
        ``before``, ``during``, ``after``: ``p50_ms`` and ``p99_ms`` of the live latency;
        ``drained_s`` after its start, ``drain_hz`` reports a second stored meanwhile,
        ``drain_ratio`` to the rate at which they came; ``missing``: reports not stored.
    """
    load = Load("soak", round(rate_hz * 60.0), rate_hz)
    minutes = (WARM_UP_S + BEFORE_S + 3.0 * away_s + 60.0) / 60.0
    with Servers() as servers, Node(servers, load.node, site_sensors(load)) as node:
        _until(node.up, "the node does not come up")
        say(f"{servers.text}; {rate_hz:g} reports/s")
        with Sender(servers, node, rate_hz, minutes):
            time.sleep(WARM_UP_S + BEFORE_S)
            servers.database.stop()
            stopped_ns = time.time_ns()
            say(f"PostgreSQL is away for {away_s:g} s")
            time.sleep(away_s)
            servers.database.start()
            started_ns = time.time_ns()
            say("PostgreSQL is back")
            _until(lambda: _lag_s(node) < LAG_S, "it does not drain")
            say(f"drained after {(time.time_ns() - started_ns) / NS_PER_S:.1f} s")
            time.sleep(LAG_S)
        _until(lambda: _lag_s(node) == 0.0, "the rest is not stored")
        node.stop()
        published, latency = _published(node.outputs)
        with psycopg.connect(servers.database.dsn) as connection:
            rows = connection.execute(
                "SELECT (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1e9)::bigint"
                " FROM vedette.reports WHERE node = %s",
                (load.node,),
            ).fetchall()
        stored = np.sort(np.array([row[0] for row in rows if row[0] is not None], dtype=np.int64))
        parts = {
            "before": (stopped_ns - round(BEFORE_S * NS_PER_S), stopped_ns),
            "during": (stopped_ns, started_ns),
            "after": (started_ns, int(published[-1])),
        }
        return {
            "rate_hz": rate_hz,
            "away_s": away_s,
            **{name: _quantiles(published, latency, part) for name, part in parts.items()},
            **_drain(published, stored, started_ns, rate_hz),
            "missing": len(published) - len(rows),
        }


def _until(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise VedetteError(what)
        time.sleep(0.25)


def _lag_s(node: Node) -> float:
    """Age of the oldest output that is not stored yet, s; infinite: the database is away."""
    serve = node.status().get("serve", {})
    if not serve.get("database", {}).get("connected"):
        return math.inf
    return float(serve.get("database_lag_s", math.inf))


def _published(folder: Path) -> tuple[Int64s, Floats]:
    """When each report was published, UTC ns, and how long after its arrival, ms."""
    moments, latency = [], []
    for record in records(folder):
        if record.kind == Kind.OUTPUT:
            received = unpack_output(record.payload).detections.received
            moments.append(np.full(len(received), record.received_ns, dtype=np.int64))
            latency.append((record.received_ns - received) / 1e6)
    return np.concatenate(moments), np.concatenate(latency)


def _quantiles(published: Int64s, latency: Floats, part: tuple[int, int]) -> dict[str, float]:
    among = latency[(published >= part[0]) & (published < part[1])]
    if not len(among):
        return {"p50_ms": math.nan, "p99_ms": math.nan}
    return {
        name: round(float(np.quantile(among, share)), 1)
        for name, share in (("p50_ms", 0.5), ("p99_ms", 0.99))
    }


def _drain(published: Int64s, stored: Int64s, started_ns: int, rate_hz: float) -> dict[str, float]:
    """How fast what had gathered was stored."""
    first = int(stored[np.searchsorted(stored, started_ns)])
    for moment in np.unique(stored[stored > first]).tolist():
        done = int(np.searchsorted(stored, moment, side="right"))
        if int(np.searchsorted(published, moment)) - done <= LAG_S * rate_hz:
            break
    else:
        return {"drained_s": math.inf, "drain_hz": 0.0, "drain_ratio": 0.0}
    rows = done - int(np.searchsorted(stored, started_ns))
    # The first transaction began about when the connection was made.
    seconds = max((moment - first) / NS_PER_S, 1e-3)
    return {
        "first_commit_s": round((first - started_ns) / NS_PER_S, 1),
        "drained_s": round((moment - started_ns) / NS_PER_S, 1),
        "drain_hz": round(rows / seconds, 1),
        "drain_ratio": round(rows / seconds / rate_hz, 2),
    }
