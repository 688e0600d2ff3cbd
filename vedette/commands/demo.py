"""``vedette demo``: a node with simulated sensors on this machine, in one command."""

import argparse
import json
import signal
import sys
import threading
import time
from contextlib import ExitStack
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from vedette import demo
from vedette.demo import DemoNode

START_S = 60.0
"""Longest time that a start may take, s: a first start of PostgreSQL on a busy machine."""

DRAIN_S = 0.8
"""Longest time that the core gets to fuse what was sent before the end, s."""

REFRESH_S = 0.5
"""Between two looks at the status, s."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "demo",
        help="a node with twelve simulated sensors on this machine",
        description=(
            "Starts PostgreSQL, a broker, one node and simulated sensors in a temporary folder. "
            "Ctrl-C ends it; nothing is left behind."
        ),
        epilog="Example: vedette demo --seconds 30 --headless --json",
    )
    parser.add_argument("--seconds", type=float, metavar="S", help="end after so long")
    parser.add_argument("--headless", action="store_true", help="no live status in the terminal")
    parser.add_argument("--json", action="store_true", help="a summary as the last line")
    parser.add_argument("--seed", type=int, default=1, help="of the exercise (default 1)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the demo; 0 only if tracks were formed, stored and read back."""
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())

    def pause(seconds: float) -> None:
        if stopping.wait(seconds):
            raise KeyboardInterrupt

    console = Console(stderr=True)
    began = time.monotonic()
    with ExitStack() as stack:
        console.print("Starting PostgreSQL and the broker ...")
        node = stack.enter_context(DemoNode("north", "border", args.seed, demo.page_port()))
        pause(0.0)
        nodes = {node.name: node}
        for one in nodes.values():
            one.start()
        for one in nodes.values():
            demo.wait_until_up(one, began + START_S, time.monotonic, pause)
            pause(0.0)
            console.print(f"Node {one.name}: [bold]{one.url}[/]  (Ctrl-C ends it)")
        statuses = _watch(nodes, stopping, args, console)
        ended = time.monotonic()
        for one in nodes.values():
            one.stop_sensors()
        statuses |= _drain(nodes)
        for one in nodes.values():
            one.stop_node()
        result = demo.summary(nodes, statuses)
        console.print(f"Stopped the node in {time.monotonic() - ended:.1f} s.")
    if args.json:
        print(json.dumps(result), flush=True)
    else:
        _print_summary(console, result)
    if demo.proven(result):
        return 0
    sys.stderr.write("vedette demo: no tracks were read back from the database\n")
    return 1


def _watch(
    nodes: dict[str, DemoNode],
    stopping: threading.Event,
    args: argparse.Namespace,
    console: Console,
) -> dict[str, dict[str, Any]]:
    """Show the status until the end; returns the last one of each node."""
    statuses: dict[str, dict[str, Any]] = {}
    deadline = None if args.seconds is None else time.monotonic() + args.seconds
    with ExitStack() as stack:
        live = None
        if not args.headless and console.is_terminal:
            live = stack.enter_context(Live(console=console, auto_refresh=False))
        while not stopping.is_set():
            for name, node in nodes.items():
                problem = node.failed()
                if problem is not None:
                    console.print(problem, style="red")
                    return statuses
                statuses[name] = node.status() or statuses.get(name, {})
            if live is not None:
                live.update(_table(nodes, statuses), refresh=True)
            left = REFRESH_S if deadline is None else deadline - time.monotonic()
            if left <= 0.0:
                break
            stopping.wait(min(REFRESH_S, left))
    return statuses


def _drain(nodes: dict[str, DemoNode]) -> dict[str, dict[str, Any]]:
    """Let the nodes take in what is still under way; returns their last status."""
    deadline = time.monotonic() + DRAIN_S
    statuses: dict[str, dict[str, Any]] = {}
    while time.monotonic() < deadline:
        for name, node in nodes.items():
            statuses[name] = node.status() or statuses.get(name, {})
        if all(
            (status.get("core") or {}).get("journal_lag_records") == 0
            for status in statuses.values()
        ):
            break
        time.sleep(0.1)
    return {name: status for name, status in statuses.items() if status}


def _table(nodes: dict[str, DemoNode], statuses: dict[str, dict[str, Any]]) -> Table:
    table = Table(title="Vedette demo: an exercise, nothing here is real", expand=False)
    table.add_column("")
    for name in nodes:
        table.add_column(name, justify="right")

    def row(label: str, *path: str, unit: str = "", digits: int = 0) -> None:
        cells = []
        for name in nodes:
            value: Any = statuses.get(name, {})
            for key in path:
                value = value.get(key) if isinstance(value, dict) else None
            cells.append("not known" if value is None else f"{value:,.{digits}f} {unit}".strip())
        table.add_row(label, *cells)

    table.add_row("page", *(node.url for node in nodes.values()))
    row("reports per second", "core", "reports_per_s", digits=1)
    row("tracks confirmed", "core", "tracks", "confirmed")
    row("tracks coasting", "core", "tracks", "coasting")
    row("received to published, p50", "core", "latency_ms", "p50", unit="ms", digits=1)
    row("received to published, p99", "core", "latency_ms", "p99", unit="ms", digits=1)
    row("journal lag", "core", "journal_lag_records", unit="records")
    row("database lag", "serve", "database_lag_s", unit="s", digits=1)
    for label, pick in (("quarantine", _quarantine), ("broker", _broker), ("database", _database)):
        table.add_row(label, *(pick(node, statuses.get(name, {})) for name, node in nodes.items()))
    return table


def _quarantine(node: DemoNode, status: dict[str, Any]) -> str:
    del node
    counts = (status.get("core") or {}).get("quarantine") or {}
    return "\n".join(f"{reason} {count:,}" for reason, count in sorted(counts.items())) or "0"


def _broker(node: DemoNode, status: dict[str, Any]) -> str:
    del status
    return "\n".join([f"{node.broker.name} {node.broker.version}", *node.broker.lacks])


def _database(node: DemoNode, status: dict[str, Any]) -> str:
    del node
    database = (status.get("serve") or {}).get("database") or {}
    return "\n".join([database.get("name") or "not known", *(database.get("lacks") or [])])


def _print_summary(console: Console, result: dict[str, Any]) -> None:
    for name, row in result["nodes"].items():
        p99 = row["p99_latency_ms"]
        console.print(
            f"{name}: {row['reports']:,} reports, {row['tracks_confirmed']:,} tracks, "
            f"{row['rows_stored']:,} rows read back, {row['quarantined']:,} quarantined, "
            f"p99 {'not known' if p99 is None else f'{p99:.1f} ms'}"
        )
