"""The demo: two nodes on this machine that face each other over a fictional line.

They see one world, each with its own sensors, and share what moves near the line. What is counted
at the end is read back from their databases.
"""

import socket
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Self

from exercise.scenario import load_scenario, packaged
from model.errors import VedetteError
from model.time import NS_PER_S
from vedette.demo_node import DemoNode
from vedette.demo_sharing import agreement_text, band
from vedette.demo_table import agreement
from vedette.local.places import LOOPBACK, free_port
from vedette.local.postgres import server_version

SCENARIO = "border"
NODES = ("north", "south")

PAGE_PORTS = (8080, 8081)
"""Where the pages are, if nobody else is there."""

LEAD_NS = NS_PER_S
"""The exercise begins so long after its processes are started, ns: about when they are ready."""


class Demo:
    """Two nodes that share. As a context manager it starts their servers, and ends everything.

    In this order: enter, `start`, `wait_until_up`, `stop_sensors`, `stop_nodes`, leave.

    Parameters
    ----------
    seed
        Of the exercise.

    Raises
    ------
    VedetteError
        On entering, if a server cannot be started.
    """

    def __init__(self, seed: int = 1) -> None:
        first, second = page_ports()
        north, south = NODES
        self.nodes = {
            north: DemoNode(north, south, SCENARIO, seed, first),
            south: DemoNode(south, north, SCENARIO, seed, second),
        }
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        nodes = list(self.nodes.values())
        with ExitStack() as stack:
            stack.callback(self._each, DemoNode.close)
            with ThreadPoolExecutor(len(nodes)) as pool:
                list(pool.map(DemoNode.open, nodes))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self) -> None:
        """Agree, then start both nodes and their sensors."""
        now_ns = time.time_ns()
        area = band(load_scenario(packaged(SCENARIO)))
        for node in self.nodes.values():
            partner = self.partner(node)
            node.join(
                partner,
                given=agreement_text(node.name, partner.name, area, now_ns),
                taken=agreement_text(partner.name, node.name, area, now_ns),
            )
        for node in self.nodes.values():
            node.start(now_ns + LEAD_NS)

    def partner(self, node: DemoNode) -> DemoNode:
        """The node that another one shares with."""
        return self.nodes[node.users.partner]

    def failed(self) -> str | None:
        """Why the demo cannot go on, or None."""
        return next(filter(None, (node.failed() for node in self.nodes.values())), None)

    def wait_until_up(
        self,
        node: DemoNode,
        deadline: float,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        """Wait until the page of a node answers.

        Parameters
        ----------
        node
            Which.
        deadline
            By `time.monotonic`.
        pause
            Waits for some seconds.

        Raises
        ------
        VedetteError
            If a process ended, or the deadline passed.
        """
        while not node.status():
            problem = self.failed()
            if problem is not None:
                raise VedetteError(problem)
            if time.monotonic() > deadline:
                raise VedetteError(f"node {node.name} did not come up\n{node.log_tail()}")
            pause(0.1)

    def stop_sensors(self) -> None:
        """No more reports from here on."""
        self._each(DemoNode.ask_sensors)
        self._each(DemoNode.end_sensors)

    def stop_nodes(self) -> None:
        """Let both nodes drain, store and end, side by side."""
        self._each(DemoNode.ask_node)
        self._each(DemoNode.end_node)

    def _each(self, do: Callable[[DemoNode], None]) -> None:
        """Do the same to every node, whatever becomes of the others."""
        with ExitStack() as stack:
            for node in self.nodes.values():
                stack.callback(do, node)


def page_ports() -> tuple[int, int]:
    """8080 and 8081, or free ports where somebody else has them."""
    ports: list[int] = []
    for wanted in PAGE_PORTS:
        port = wanted if _is_free(wanted) else free_port()
        while port in ports:
            port = free_port()
        ports.append(port)
    return ports[0], ports[1]


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


UNDER_WAY_S = 10.0
"""What is missing for less is under way, s: it is asked for every 0.5 s, and sent after 2 s."""


class Missing:
    """Updates that partners gave and that have not come, by node: those under way do not count."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[float, float, int]] = {}

    def look(self, statuses: Mapping[str, dict[str, Any]], now_s: float) -> None:
        """Take in what nodes say at a time, s."""
        for name, said in statuses.items():
            gaps = agreement(said, "in").get("gaps")
            if not gaps:
                self._found.pop(name, None)
                continue
            since, _, _ = self._found.get(name, (now_s, now_s, 0))
            self._found[name] = since, now_s, gaps

    def counts(self) -> dict[str, int]:
        """Updates missing at the last look, where some were at every look of `UNDER_WAY_S`."""
        return {
            name: gaps
            for name, (since, seen, gaps) in self._found.items()
            if seen - since >= UNDER_WAY_S
        }


def summary(
    nodes: Mapping[str, DemoNode],
    statuses: Mapping[str, dict[str, Any]],
    missing: Mapping[str, int],
) -> dict[str, Any]:
    """What the demo did, of each node, read back from its database.

    Parameters
    ----------
    nodes
        By name; their databases still run.
    statuses
        The last status of each.
    missing
        Updates that are missing for good, by node; none where there is no number.

    Raises
    ------
    VedetteError
        If a database cannot be read.
    """
    now_ns = time.time_ns()
    rows = {}
    for name, node in nodes.items():
        counts = node.counts()
        said = statuses.get(name, {})
        latency = (said.get("core") or {}).get("latency_ms") or {}
        given, taken = agreement(said, "out"), agreement(said, "in")
        rows[name] = {
            "reports": counts.get("reports", 0),
            "quarantined": counts.get("quarantine", 0),
            "tracks_confirmed": node.confirmed(now_ns),
            "foreign_tracks_stored": node.foreign(),
            "rows_stored": sum(counts.get(table, 0) for table in STORED),
            "updates_given": given.get("sent"),
            "updates_acknowledged": given.get("acked"),
            "updates_taken": taken.get("received"),
            "updates_missing": missing.get(name, 0),
            "p50_latency_ms": latency.get("p50"),
            "p99_latency_ms": latency.get("p99"),
        }
    first = next(iter(nodes.values()))
    return {
        "nodes": rows,
        "broker": f"{first.broker.name} {first.broker.version}",
        "database": f"PostgreSQL {server_version()}, without TimescaleDB",
    }


STORED = ("reports", "detections", "tracks", "foreign_updates", "quarantine")
"""Tables that hold what came in and what came of it, once."""

PROOF = {
    "reports": "no reports",
    "tracks_confirmed": "no tracks of its own",
    "foreign_tracks_stored": "no tracks of its partner",
}
"""What must have been read back from every node's database, and how the lack of it is told."""


def lacking(result: Mapping[str, Any]) -> list[str]:
    """What a summary lacks to prove that all went well, a line for each node and thing."""
    gone = [
        f"node {name}: {row['updates_missing']} updates that its partner gave are missing"
        for name, row in result["nodes"].items()
        if row["updates_missing"]
    ]
    return gone + [
        f"node {name}: {lack} were read back from its database"
        for name, row in result["nodes"].items()
        for key, lack in PROOF.items()
        if row[key] <= 0
    ]
