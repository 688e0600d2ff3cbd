"""``vedette demo``: two nodes with simulated sensors on this machine, in one command."""

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

from vedette.demo import Demo, Missing, lacking, summary
from vedette.demo_table import number, status_table

START_S = 60.0
"""Longest time that a start may take, s: a first start of PostgreSQL on a busy machine."""

DRAIN_S = 0.8
"""Longest time that the cores get to fuse what was sent before the end, s."""

REFRESH_S = 0.5
"""Between two looks at the status, s."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "demo",
        help="two nodes that share tracks, with simulated sensors, on this machine",
        description=(
            "Starts two nodes that face each other over a fictional line, each with a broker, a "
            "PostgreSQL and simulated sensors of its own, in temporary folders. Each shares what "
            "moves near the line with the other. Ctrl-C ends it; nothing is left behind."
        ),
        epilog="Example: vedette demo --seconds 60 --headless --json",
    )
    parser.add_argument("--seconds", type=float, metavar="S", help="end after so long")
    parser.add_argument("--headless", action="store_true", help="no live status in the terminal")
    parser.add_argument("--json", action="store_true", help="a summary as the last line")
    parser.add_argument("--seed", type=int, default=1, help="of the exercise (default 1)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the demo; 0 only if own and shared tracks were stored and read back on both sides.

    And only if both nodes lived to the end, and nothing given was missing for long.
    """
    stopping = threading.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda *_: stopping.set())

    def pause(seconds: float) -> None:
        if stopping.wait(seconds):
            raise KeyboardInterrupt

    console = Console(stderr=True)
    began = time.monotonic()
    console.print("Starting two nodes, each with a PostgreSQL and a broker ...")
    with Demo(args.seed) as demo:
        pause(0.0)
        demo.start()
        for node in demo.nodes.values():
            demo.wait_until_up(node, began + START_S, pause)
            pause(0.0)
            console.print(f"Node {node.name}: [bold]{node.url}[/]  (Ctrl-C ends it)")
        if not args.headless:
            _tell_people(demo, console)
        missing = Missing()
        statuses, problem = _watch(demo, stopping, args, console, missing)
        ended = time.monotonic()
        demo.stop_sensors()
        statuses |= _drain(demo)
        missing.look(statuses, time.monotonic())
        demo.stop_nodes()
        result = summary(demo.nodes, statuses, missing.counts())
        console.print(f"Stopped the nodes in {time.monotonic() - ended:.1f} s.")
    if args.json:
        print(json.dumps(result), flush=True)
    else:
        _print_summary(console, result)
    lacks = [*([] if problem is None else [problem]), *lacking(result)]
    for lack in lacks:
        sys.stderr.write(f"vedette demo: {lack}\n")
    return 1 if lacks else 0


def _tell_people(demo: Demo, console: Console) -> None:
    """How to read, as a partner's people do, what a node gives."""
    for node in demo.nodes.values():
        view = node.partners_view(demo.partner(node))
        line = f"What {node.name} gives: {view.command}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _watch(
    demo: Demo,
    stopping: threading.Event,
    args: argparse.Namespace,
    console: Console,
    missing: Missing,
) -> tuple[dict[str, dict[str, Any]], str | None]:
    """Show the status until the end; returns the last one of each node, and what ended it early."""
    problem = None
    statuses: dict[str, dict[str, Any]] = {}
    deadline = None if args.seconds is None else time.monotonic() + args.seconds
    with ExitStack() as stack:
        live = None
        if not args.headless and console.is_terminal:
            live = stack.enter_context(Live(console=console, auto_refresh=False))
        while not stopping.is_set():
            problem = demo.failed()
            if problem is not None:
                break
            statuses |= _statuses(demo)
            missing.look(statuses, time.monotonic())
            if live is not None:
                live.update(status_table(demo.nodes, statuses), refresh=True)
            left = REFRESH_S if deadline is None else deadline - time.monotonic()
            if left <= 0.0:
                break
            stopping.wait(min(REFRESH_S, left))
    if problem is None and not stopping.is_set():
        problem = demo.failed()  # in the last moment
    return statuses, problem


def _statuses(demo: Demo) -> dict[str, dict[str, Any]]:
    """What each node says now; who is silent is left out."""
    found = {name: node.status() for name, node in demo.nodes.items()}
    return {name: status for name, status in found.items() if status}


def _drain(demo: Demo) -> dict[str, dict[str, Any]]:
    """Let the nodes take in what is still under way; returns their last status."""
    deadline = time.monotonic() + DRAIN_S
    statuses: dict[str, dict[str, Any]] = {}
    while time.monotonic() < deadline:
        statuses |= _statuses(demo)
        lags = [
            (statuses.get(name, {}).get("core") or {}).get("journal_lag_records")
            for name in demo.nodes
        ]
        if all(lag == 0 for lag in lags):
            break
        time.sleep(0.1)
    return statuses


def _print_summary(console: Console, result: dict[str, Any]) -> None:
    for name, row in result["nodes"].items():
        console.print(
            f"{name}: {row['reports']:,} reports, {row['tracks_confirmed']:,} tracks of its own, "
            f"{row['foreign_tracks_stored']:,} of its partner, "
            f"{row['rows_stored']:,} rows read back, {row['quarantined']:,} quarantined, "
            f"p99 {number(row['p99_latency_ms'], 'ms', 1)}"
        )
