"""The whole node under load: broker, `vedette run`, PostgreSQL; beside it a plain subscriber.

Every phase has a node of its own (name, folder, processes) on one broker and one server, so nothing
of an earlier phase is in its figures:

* paced: reports at a steady rate for a while. Latency is read from the node's own status
  (``core.latency_ms``: arrival of a message to its outputs written; upper bounds of bins 12 %
  wide). Beside it stands the time from when a report was due at its sender to its outputs written,
  which holds the broker and the sender's own delays.
* flood: a number of reports as fast as the broker takes them. Reports per second count from the
  first publish to the last output written, stored reports to the last commit.

Commit latency is from arrival to the commit in PostgreSQL, of each report, by the server's own
commit timestamps (``track_commit_timestamp``); the database lag that the node shows
(``serve.database_lag_s``) is sampled beside it and its maximum told. Lost and duplicated are
counted by comparing what was sent (sensor, boot, seq) with the table of reports.
"""

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import neighbour, whole
from benchmarks.load import BOOT, SENSORS, Load, movers, sensor_id, site_sensors
from benchmarks.node import Node, Servers
from journal.codec import unpack_output
from journal.reader import LogReader
from model.arrays import Floats, Int64s
from model.records import Kind
from vedette.local.process import Child

FLOOD = 3_000
PACES_HZ = (200.0, 500.0)
SECONDS = 12.0
SPELLS, SPELLS_FULL = 2, 6
BORDERS = ((250.0, 30.0),)
BORDERS_FULL = ((250.0, 60.0), (500.0, 60.0), (1_000.0, 60.0), (2_000.0, 600.0))
"""Reports per second of a border, and for how long, s."""

POLL_S = 0.25
"""Pause between two looks at the node's status, s."""

WAIT_S = 0.1
"""Pause between two looks whether something has come about, s."""

PATIENCE_S = 30.0
"""How long a start or an end may take, s."""

STALL_S = 10.0
"""After so long without a further report stored, those that are missing are lost, s."""

KEPT_S = 1.0
"""A pace was kept if the last output was written at most so long after the last report was due."""

READ_RECORDS = 1_024

HEAD = """\
            reports detections  latency ms  due-output   commit ms   lag CPU us/report
phase            /s         /s   p50   p99   p50   p99   p50   p99 max s   core  serve lost twice"""


@dataclass(frozen=True, slots=True)
class Stored:
    """What the table of reports holds of a node: a row each."""

    sensor: Int64s
    seq: Int64s
    received_ns: Int64s
    committed_ns: Int64s


def run(
    *,
    full: bool = False,
    flood: int = FLOOD,
    paces_hz: Sequence[float] = PACES_HZ,
    seconds: float = SECONDS,
    jitter_ms: float = 0.0,
    borders: Sequence[tuple[float, float]] | None = None,
    spells: int = 0,
) -> dict[str, Any]:
    """Measure; returns a table by phase and the figures that stand for all.

    Parameters
    ----------
    full
        The load of a border (`benchmarks.whole`) at rising rates, its whole one for ten minutes.
    flood
        Reports of the flood.
    paces_hz
        Reports per second of the paced phases, rising.
    seconds
        Length of each.
    jitter_ms
        Reports are sent up to so much after the time they bear, so that many are late.
    borders
        Rates of a border in reports per second, and for how long each, s; None: the usual.
    spells
        Of the flooding neighbour, calm and flooded in turn; 0: as many as usual.

    Returns
    -------
    dict
        ``reports_per_s`` and ``detections_per_s`` of the flood; ``p99_latency_ms`` and
        ``commit_p99_ms`` of the fastest pace that was kept (``pace_hz``; if none was,
        ``pace_kept`` is false and it is the slowest); ``lost`` and ``duplicated`` of all phases;
        ``plain``, the same flood into the plain subscriber, and the ratios to it; ``phases``;
        ``neighbour``, of `benchmarks.neighbour`; ``borders``, rows of `benchmarks.whole`.
    """
    load_average = os.getloadavg()[0]
    loads = [Load(f"pace-{hz:g}", round(hz * seconds), hz, jitter_ms) for hz in paces_hz]
    loads.append(Load("flood", flood, jitter_ms=jitter_ms))
    with Servers() as servers:
        print(f"{servers.text}; load average {load_average:.1f} on {os.cpu_count()} CPUs")
        print(HEAD)
        phases = {load.node: _phase(servers, load) for load in loads}
        plain = _plain(servers, Load("plain", flood))
        beside = neighbour.run(servers, spells or (SPELLS_FULL if full else SPELLS))
        print(neighbour.line(beside), flush=True)
        rows = []
        for rate_hz, length_s in borders or (BORDERS_FULL if full else BORDERS):
            rows.append(whole.run(servers, rate_hz, length_s))
            print(whole.line(rows[-1]), flush=True)
    kept = [load for load in loads[:-1] if phases[load.node]["kept"]]
    pace = kept[-1] if kept else loads[0]
    fastest, flooded = phases[pace.node], phases["flood"]
    print(f"fastest pace kept: {f'{pace.rate_hz:g} reports/s' if kept else 'none'}")
    ratio = flooded["stored_per_s"] / plain["stored_per_s"]
    cpu = (flooded["core_us_per_report"] + flooded["serve_us_per_report"]) / plain["us_per_report"]
    print(
        f"plain subscriber: {plain['stored_per_s']:,.0f} reports/s stored, "
        f"{plain['us_per_report']:.0f} us CPU a report; "
        f"node to plain: {ratio:.2f} of its reports/s, {cpu:.1f} times its CPU"
    )
    return {
        "reports_per_s": flooded["reports_per_s"],
        "detections_per_s": flooded["detections_per_s"],
        "stored_per_s": flooded["stored_per_s"],
        "pace_hz": pace.rate_hz,
        "pace_kept": bool(kept),
        "p50_latency_ms": fastest["p50_latency_ms"],
        "p99_latency_ms": fastest["p99_latency_ms"],
        "commit_p99_ms": fastest["commit_p99_ms"],
        "commit_measured": "arrival to commit of each report, track_commit_timestamp of PostgreSQL",
        "lost": sum(phase["lost"] for phase in phases.values()),
        "duplicated": sum(phase["duplicated"] for phase in phases.values()),
        "plain": plain,
        "ratio": round(ratio, 3),
        "cpu_ratio": round(cpu, 2),
        "phases": phases,
        "neighbour": beside,
        "borders": rows,
        "servers": servers.text,
        "load_average": round(load_average, 2),
    }


def _phase(servers: Servers, load: Load) -> dict[str, Any]:
    """One load through a node of its own."""
    with Node(servers, load.node, site_sensors(load)) as node:
        _until(node.up, node.check, f"{load.node}: the node does not come up", node.log)
        before = node.cpu_s()
        out = node.folder / "sent.json"
        lags = []
        with _sender(servers, load, node.folder, out) as sender:
            arrived, moved = 0, time.monotonic()
            while not out.exists() or arrived < load.count:
                node.check()
                if not out.exists() and sender.poll() not in {None, 0}:
                    raise RuntimeError(f"{sender.name} failed:\n{sender.log_tail()}")
                before_this, arrived = arrived, servers.count(_ARRIVED, load.node)
                if arrived > before_this:
                    moved = time.monotonic()
                elif time.monotonic() - moved > STALL_S:
                    break  # what is missing is told as lost
                if status := node.status():
                    lags.append(status["serve"]["database_lag_s"])
                time.sleep(POLL_S)
        if not out.exists():
            raise RuntimeError(f"{load.node}: the sender did not end:\n{sender.log_tail()}")
        cpu_s = {name: value - before[name] for name, value in node.cpu_s().items()}
        done_ns = time.time_ns()
        _until(
            lambda: node.status().get("core", {}).get("time_ns", 0) > done_ns,
            node.check,
            f"{load.node}: the core has fallen silent",
            node.log,
        )
        status = node.status()
        node.stop()
        sent = json.loads(out.read_text())
        figures = _figures(servers, load, node, sent)
    latency = status["core"]["latency_ms"]
    figures |= {
        "p50_latency_ms": latency["p50"],
        "p99_latency_ms": latency["p99"],
        "database_lag_max_s": max(lags, default=0.0),
        "core_us_per_report": round(1e6 * cpu_s["core"] / load.count, 1),
        "serve_us_per_report": round(1e6 * cpu_s["serve"] / load.count, 1),
        "sender_behind_ms": sent["behind_ms"],
    }
    print(_line(load.node, figures), flush=True)
    return figures


def _line(name: str, figures: dict[str, Any]) -> str:
    """A row under `HEAD`."""
    due = figures["p50_due_to_output_ms"], figures["p99_due_to_output_ms"]
    waits = " ".join(f"{'-' if value is None else round(value):>5}" for value in due)
    return (
        f"{name:9s} {figures['reports_per_s']:9,.0f} {figures['detections_per_s']:10,.0f}"
        f" {figures['p50_latency_ms']:5.0f} {figures['p99_latency_ms']:5.0f} {waits}"
        f" {figures['commit_p50_ms']:5.0f} {figures['commit_p99_ms']:5.0f}"
        f" {figures['database_lag_max_s']:5.2f}"
        f" {figures['core_us_per_report']:6.0f} {figures['serve_us_per_report']:6.0f}"
        f" {figures['lost']:4d} {figures['duplicated']:5d}"
    )


def _figures(servers: Servers, load: Load, node: Node, sent: dict[str, Any]) -> dict[str, Any]:
    """What the output log and the database say of a phase."""
    due_ns = sent["began_ns"] + np.array(load.due_ns(), dtype=np.int64)
    published_ns, waited_ms = _outputs(node.outputs, due_ns)
    stored = _stored(servers, load.node)
    numbers = stored.seq * SENSORS + stored.sensor
    lost = load.count - len(np.intersect1d(numbers, np.arange(load.count)))
    commit_ms = (stored.committed_ns - stored.received_ns) / 1e6
    seconds = (published_ns - sent["began_ns"]) / 1e9
    due = _quantiles(waited_ms) if load.rate_hz else (None, None)
    p50, p99 = _quantiles(commit_ms)
    return {
        "sent": sent["sent"],
        "acknowledged": sent["stored"],
        "seconds": round(seconds, 3),
        "kept": bool(seconds - (due_ns[-1] - sent["began_ns"]) / 1e9 < KEPT_S),
        "reports_per_s": round(len(numbers) / seconds, 1),
        "detections_per_s": round(servers.count(_DETECTIONS, load.node) / seconds, 1),
        "stored_per_s": round(
            len(numbers) / ((stored.committed_ns.max() - sent["began_ns"]) / 1e9), 1
        ),
        "p50_due_to_output_ms": due[0],
        "p99_due_to_output_ms": due[1],
        "commit_p50_ms": p50,
        "commit_p99_ms": p99,
        "lost": lost,
        "duplicated": len(numbers) - len(np.unique(numbers)),
        "quarantined": servers.count(_QUARANTINE, load.node),
        "tracks_confirmed": servers.count(_CONFIRMED, load.node),
        "movers": movers(),
        "updates": servers.count(_UPDATES, load.node),
    }


def _outputs(folder: Path, due_ns: Int64s) -> tuple[int, Floats]:
    """When the last reports' output was written, and ms from due time to output of each report."""
    waited: list[Floats] = []
    last_ns, cursor = 0, 0
    with LogReader(folder) as reader:
        while records := reader.read(cursor, READ_RECORDS):
            cursor = records[-1].offset + 1
            for record in records:
                if record.kind != Kind.OUTPUT:
                    continue
                batch = unpack_output(record.payload)
                found = batch.detections
                if found.n_reports:
                    last_ns = max(last_ns, batch.published_ns)
                    due = due_ns[found.seq * SENSORS + found.sensor]
                    waited.append((batch.published_ns - due) / 1e6)
    return last_ns, np.concatenate(waited) if waited else np.zeros(0)


def _stored(servers: Servers, node: str) -> Stored:
    """Every row of the table of reports of a node."""
    indices = {sensor_id(number): number for number in range(SENSORS)}
    rows = servers.rows(_REPORTS, node)
    strangers = [row for row in rows if row[0] not in indices or row[1] != BOOT.encode()]
    assert not strangers, f"{node}: reports that were never sent: {strangers[:3]}"
    table = np.array([(indices[row[0]], *row[2:]) for row in rows], dtype=np.int64).reshape(-1, 4)
    return Stored(*table.T)


def _plain(servers: Servers, load: Load) -> dict[str, Any]:
    """The flood into the plain subscriber."""
    folder = servers.folder / load.node
    folder.mkdir()
    ready, done, out = folder / "ready", folder / "stored.json", folder / "sent.json"
    broker = servers.broker
    arguments = [str(ready), str(done), "--dsn", servers.database.dsn]
    arguments += ["--host", broker.host, "--port", str(broker.port), "--protocol", broker.protocol]
    arguments += ["--topic", f"vedette/{load.node}/sensors/+/reports", "--count", str(load.count)]
    with Child.python(
        "plain subscriber", "benchmarks.plain", arguments, log=folder / "plain.log"
    ) as plain:

        def check() -> None:
            if plain.poll() not in {None, 0}:
                raise RuntimeError(f"{plain.name} failed:\n{plain.log_tail()}")

        log = folder / "plain.log"
        _until(ready.exists, check, "the plain subscriber does not come up", log)
        with _sender(servers, load, folder, out):
            _until(out.exists, check, "the sender does not end", folder / "sender.log")
            _until(done.exists, check, "the plain subscriber does not end", log)
    stored, sent = json.loads(done.read_text()), json.loads(out.read_text())
    seconds = (stored["ended_ns"] - sent["began_ns"]) / 1e9
    return {
        "stored_per_s": round(stored["stored"] / seconds, 1),
        "us_per_report": round(1e6 * stored["cpu_s"] / stored["stored"], 1),
    }


def _sender(servers: Servers, load: Load, folder: Path, out: Path) -> Child:
    broker = servers.broker
    arguments = [str(out), "--host", broker.host, "--port", str(broker.port)]
    arguments += ["--protocol", broker.protocol, "--node", load.node, "--count", str(load.count)]
    arguments += ["--rate-hz", str(load.rate_hz), "--jitter-ms", str(load.jitter_ms)]
    log = folder / "sender.log"
    return Child.python(f"sender of {load.node}", "benchmarks.load", arguments, log=log)


def _until(
    condition: Callable[[], object], check: Callable[[], None], problem: str, log: Path
) -> None:
    """Wait until a condition holds; `check` raises if it never will."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{problem}:\n{log.read_text()[-2_000:]}")
        time.sleep(WAIT_S)


def _quantiles(values: Floats) -> tuple[float, float]:
    p50, p99 = np.quantile(values, (0.5, 0.99)) if len(values) else (0.0, 0.0)
    return round(float(p50), 1), round(float(p99), 1)


_REPORTS = (
    "SELECT sensor, boot, seq, received_ns,"
    " (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000000)::bigint * 1000"
    " FROM vedette.reports WHERE node = %(node)s"
)
_ARRIVED = (
    "SELECT (SELECT count(*) FROM vedette.reports WHERE node = %(node)s)"
    " + (SELECT count(*) FROM vedette.quarantine WHERE node = %(node)s)"
)
_DETECTIONS = "SELECT count(*) FROM vedette.detections WHERE node = %(node)s"
_QUARANTINE = "SELECT count(*) FROM vedette.quarantine WHERE node = %(node)s"
_UPDATES = "SELECT count(*) FROM vedette.tracks WHERE node = %(node)s"
_CONFIRMED = (
    "SELECT count(DISTINCT track_id) FROM vedette.tracks"
    " WHERE node = %(node)s AND status = 1"  # model.tracks.Status.CONFIRMED
)
