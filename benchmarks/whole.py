"""The whole node under the load of a border (`benchmarks.border`), with partners and pages.

One node on one broker and one server, as in `benchmarks.ingest`; five partners are given every
track in their fifth of the border, five pages are watched. Latency counts from the arrival of a
message to its outputs written (the node's own status, last minute: the worst of what it said after
the first), commits by the server's own commit timestamps. Lost is what was sent and is in no row of
the database, neither as a report nor in quarantine; what the node let go because it could not keep
up is told apart.
"""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.border import COLUMNS, REACH_M, SPACING_M, Border, site_sensors
from benchmarks.node import Node, Servers
from benchmarks.reports import REGION
from model.time import NS_PER_S, iso_from_ns
from vedette.local.process import Child

PARTNERS = 5
PAGES = 5
WARM_UP_S = 20.0
"""Latency is read from so long after the first report: until then all tracks are new."""

POLL_S = 1.0
PATIENCE_S = 60.0
DRAIN_S = 120.0
"""So long after the last report what is not stored counts as lost, s."""

AGREEMENT = """\
[agreement]
id = "{giver}-{receiver}"
giver = "{giver}"
receiver = "{receiver}"
purpose = "benchmark"
valid_from = {since}
valid_until = {until}
classes = ["land_vehicle", "unknown"]
mode = "live"
[[area]]
polygon = {polygon}
"""


def run(servers: Servers, rate_hz: float, seconds: float) -> dict[str, Any]:
    """Measure; returns a row of figures.

    Parameters
    ----------
    servers
        Broker and database.
    rate_hz
        Reports per second.
    seconds
        Length.
    """
    border = Border(f"border-{rate_hz:g}", round(rate_hz * seconds), rate_hz)
    folder = servers.folder / border.node
    folder.mkdir()
    agreements = _agreements(folder, border.node)
    more = {
        "partner": [{"id": path.stem, "agreement": str(path)} for path in agreements],
        "limits": {"max_age_s": 3_600.0},
    }
    with Node(servers, border.node, site_sensors(rate_hz), more) as node:
        _until(node.up, node, "the node does not come up")
        out, heard = folder / "sent.json", folder / "heard.json"
        broker = servers.broker
        common = ["--host", broker.host, "--port", str(broker.port), "--protocol", broker.protocol]
        audience = [str(heard), *common, "--page", node.page, "--pages", str(PAGES)]
        sender = [str(out), *common, "--node", border.node, "--count", str(border.count)]
        sender += ["--rate-hz", str(rate_hz)]
        audience += [word for path in agreements for word in ("--agreement", str(path))]
        log = folder / "audience.log"
        with Child.python("audience", "benchmarks.audience", audience, log=log):
            _until(heard.exists, node, "the audience does not come up")
            before, busy = node.cpu_s(), _busy()
            with Child.python("sender", "benchmarks.border", sender, log=folder / "sender.log"):
                seen = _watch(node, out, seconds)
            cpu, busy = node.cpu_s(), _busy(busy)
            drained_s = _drain(servers, node, border)
            told = json.loads(heard.read_text())
        status = node.status()
    return _figures(servers, border, json.loads(out.read_text()), seen, status) | {
        "drained_s": drained_s,
        "core_us_per_report": round(1e6 * (cpu["core"] - before["core"]) / border.count, 1),
        "serve_us_per_report": round(1e6 * (cpu["serve"] - before["serve"]) / border.count, 1),
        "machine_busy": busy,
        "partner_rows": told["rows"],
        "partner_refused": told["refused"],
        "page_messages": told["messages"],
        "page_megabytes": told["megabytes"],
        "pages_failed": told["failed"],
    }


def line(figures: dict[str, Any]) -> str:
    """A row for people."""
    return (
        f"border {figures['pace_hz']:,.0f} reports/s for {figures['seconds']:.0f} s, "
        f"{figures['tracks']:,} tracks, {PARTNERS} partners, {PAGES} pages:\n"
        f"  fused {figures['reports_per_s']:,.0f} reports/s, {figures['detections_per_s']:,.0f} "
        f"detections/s; let go {figures['shed']}, lost {figures['lost']}, "
        f"twice {figures['duplicated']}\n"
        f"  latency p50 {figures['p50_latency_ms']:.0f}, p99 {figures['p99_latency_ms']:.0f} ms in "
        f"the worst minute, p99 of all {figures['p99_all_latency_ms']:.0f} ms; "
        f"commit p50 {figures['commit_p50_ms']:.0f}, p99 {figures['commit_p99_ms']:.0f} ms; "
        f"drained {figures['drained_s']:.1f} s after the end\n"
        f"  CPU core {figures['core_us_per_report']:.0f}, serve "
        f"{figures['serve_us_per_report']:.0f} us/report; "
        f"machine {figures['machine_busy']:.0%} busy"
    )


def _agreements(folder: Path, giver: str) -> list[Path]:
    now_ns = time.time_ns()
    since, until = (iso_from_ns(now_ns + sign * 86_400 * NS_PER_S) for sign in (-1, 1))
    paths = []
    for number in range(PARTNERS):
        path = folder / f"partner-{number}.toml"
        path.write_text(
            AGREEMENT.format(
                giver=giver, receiver=path.stem, since=since, until=until, polygon=_stripe(number)
            )
        )
        paths.append(path)
    return paths


def _stripe(number: int) -> list[list[float]]:
    """A fifth of the border, from south to north: what one of the partners is given."""
    half = 0.5 * SPACING_M * COLUMNS + REACH_M
    width = 2.0 * half / PARTNERS
    west, east = (number * width - half, (number + 1) * width - half)
    corners = np.array([[west, -half], [west, half], [east, half], [east, -half]])
    places = REGION.geodetic_from_plane(corners[:, 0], corners[:, 1], np.zeros(4))
    return [[round(lat, 6), round(lon, 6)] for lat, lon in np.degrees(places[:, :2]).tolist()]


def _watch(node: Node, out: Path, seconds: float) -> list[dict[str, Any]]:
    """The node's latency and lag, once a second until the sender is done."""
    seen: list[dict[str, Any]] = []
    began = time.monotonic()
    while not out.exists():
        node.check()
        core = node.status().get("core", {})
        if core and time.monotonic() - began > min(WARM_UP_S, seconds / 2):
            seen.append(
                {
                    "latency": core["latency_ms"],
                    "all": core["latency_since_start_ms"],
                    "lag_s": core["journal_lag_s"],
                    "tracks": sum(
                        core["tracks"].get(name, 0) for name in ("confirmed", "coasting")
                    ),
                }
            )
        if time.monotonic() - began > seconds + PATIENCE_S:
            raise TimeoutError("the sender does not end")
        time.sleep(POLL_S)
    return seen


def _drain(servers: Servers, node: Node, border: Border) -> float:
    """Wait until everything is stored; how long that took, s."""
    began = time.monotonic()
    while time.monotonic() - began < DRAIN_S:
        node.check()
        status = node.status()
        core, serve = status.get("core", {}), status.get("serve", {})
        if core and core["journal_lag_records"] <= 1 and serve["database_lag_s"] == 0.0:
            (row,) = servers.rows(_ARRIVED, border.node)
            if sum(row) >= border.count:
                break
        time.sleep(POLL_S)
    return round(time.monotonic() - began, 1)


def _figures(
    servers: Servers,
    border: Border,
    sent: dict[str, Any],
    seen: list[dict[str, Any]],
    status: dict[str, Any],
) -> dict[str, Any]:
    ((stored, distinct),) = servers.rows(_STORED, border.node)
    refused = dict(servers.rows(_REFUSED, border.node))
    shed = {reason: count for reason, count in refused.items() if reason.startswith("shed_")}
    commit = np.array(servers.rows(_COMMIT, border.node), dtype=np.float64).reshape(-1)
    seconds = border.count / border.rate_hz
    p50 = [one["latency"]["p50"] for one in seen if one["latency"]["p50"] is not None]
    p99 = [one["latency"]["p99"] for one in seen if one["latency"]["p99"] is not None]
    return {
        "pace_hz": border.rate_hz,
        "seconds": seconds,
        "sent": sent["sent"],
        "acknowledged": sent["stored"],
        "sender_behind_ms": sent["behind_ms"],
        "reports_per_s": round(distinct / seconds, 1),
        "detections_per_s": round(servers.count(_DETECTIONS, border.node) / seconds, 1),
        "tracks": max((one["tracks"] for one in seen), default=0),
        "p50_latency_ms": max(p50, default=0.0),
        "p99_latency_ms": max(p99, default=0.0),
        "p99_all_latency_ms": seen[-1]["all"]["p99"] if seen else 0.0,
        "journal_lag_max_s": max((one["lag_s"] for one in seen), default=0.0),
        "commit_p50_ms": float(commit[0]),
        "commit_p99_ms": float(commit[1]),
        "shed": sum(shed.values()),
        "shed_reasons": shed,
        "lost": border.count - distinct - sum(refused.values()),
        "duplicated": stored - distinct,
        "refused": refused,
        "quarantine_told": status.get("core", {}).get("quarantine", {}),
    }


def _busy(before: Any = None) -> Any:
    """Idle and all CPU time of the machine (proc(5)); with `before`, the busy part since then."""
    fields = [int(one) for one in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    now = (fields[3] + fields[4], sum(fields))
    if before is None:
        return now
    return round(1.0 - (now[0] - before[0]) / max(1, now[1] - before[1]), 3)


def _until(condition: Any, node: Node, problem: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        node.check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{problem}:\n{node.log.read_text()[-2_000:]}")
        time.sleep(0.1)


_ARRIVED = (
    "SELECT (SELECT count(*) FROM vedette.reports WHERE node = %(node)s),"
    " (SELECT count(*) FROM vedette.quarantine WHERE node = %(node)s)"
)
_STORED = (
    "SELECT count(*), count(DISTINCT (sensor, seq)) FROM vedette.reports WHERE node = %(node)s"
)
_REFUSED = "SELECT reason, count(*) FROM vedette.quarantine WHERE node = %(node)s GROUP BY reason"
_DETECTIONS = "SELECT count(*) FROM vedette.detections WHERE node = %(node)s"
_COMMIT = (
    "SELECT unnest(percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY"
    " extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000 - received_ns / 1e6))"
    " FROM vedette.reports WHERE node = %(node)s"
)
"""Milliseconds from arrival to commit."""
