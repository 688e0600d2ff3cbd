"""The demo: everything a node needs on this machine, simulated sensors, and a proof at the end.

Each node has a broker and a PostgreSQL of its own in a temporary folder; nothing is installed and
nothing is left. What is counted at the end is read back from the database.
"""

import json
import math
import shutil
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from exercise.scenario import Scenario, load_scenario, packaged, site_tables
from model.errors import VedetteError
from storage.history import History
from vedette.local.broker import LocalBroker
from vedette.local.places import LOOPBACK, free_port, private_folder, server_user
from vedette.local.postgres import EmbeddedPostgres, server_version
from vedette.local.process import Child
from vedette.sitefile import write_site

PAGE_PORT = 8080
"""Where the page is, if nobody else is there."""

DATABASE_SETTINGS = {"shared_buffers": "64MB", "max_wal_size": "256MB"}
"""A demo shares the machine with everything else."""


@dataclass
class DemoNode:
    """One node of the demo: broker, database, the node itself, and what plays its sensors.

    Parameters
    ----------
    name
        Node name.
    scenario
        Name of the packaged scenario.
    seed
        Of the scenario.
    port
        Port of its page.
    """

    name: str
    scenario: str
    seed: int
    port: int
    broker: LocalBroker = field(init=False)
    database: EmbeddedPostgres = field(init=False)
    _stack: ExitStack = field(init=False, default_factory=ExitStack)
    _node: Child | None = field(init=False, default=None)
    _players: list[Child] = field(init=False, default_factory=list)
    _folder: Path = field(init=False)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            user = server_user()
            self._folder = private_folder("vedette-")
            stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
            base = private_folder("vedette-pg-", user)
            stack.callback(shutil.rmtree, base, ignore_errors=True)
            self.database = EmbeddedPostgres(base / "data", settings=DATABASE_SETTINGS)
            stack.enter_context(self.database)
            servers = private_folder("vedette-mqtt-", user)
            stack.callback(shutil.rmtree, servers, ignore_errors=True)
            self.broker = LocalBroker(servers / "broker")
            stack.enter_context(self.broker)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop_sensors()
            self.stop_node()
        finally:
            self._stack.close()

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def logs(self) -> Path:
        """What the node's processes had to say."""
        return self._folder / "node.log"

    def start(self) -> None:
        """Write the site file, start the node, then the sensors."""
        site = self._folder / "site.toml"
        write_site(site, self._site(load_scenario(packaged(self.scenario))))
        self._node = Child.python(f"node {self.name}", "vedette", ["run", str(site)], log=self.logs)
        self._players.append(
            Child.python(
                f"sensors of {self.name}",
                "vedette.exercising",
                [str(site), "--scenario", self.scenario, "--seed", str(self.seed)],
                log=self._folder / "sensors.log",
            )
        )

    def failed(self) -> str | None:
        """Why the node cannot go on, or None."""
        for child in [self._node, *self._players]:
            if child is not None and child.poll() is not None:
                return f"{child.name} ended with status {child.poll()}:\n{child.log_tail()}"
        return None

    def stop_sensors(self) -> None:
        """No more reports from here on."""
        while self._players:
            self._players.pop().terminate(1.0)

    def stop_node(self) -> None:
        """Let the node drain, store and end."""
        node, self._node = self._node, None
        if node is not None:
            node.terminate(6.0)

    def status(self) -> dict[str, Any]:
        """The node's own status, empty while it cannot be had."""
        try:
            with urllib.request.urlopen(f"{self.url}/api/status", timeout=1.0) as answer:  # noqa: S310 - our own page on loopback
                status: dict[str, Any] = json.load(answer)["status"]
                return status
        except (urllib.error.URLError, OSError, ValueError, KeyError):
            return {}

    def counts(self) -> dict[str, int]:
        """Rows by table, read back from the database."""
        return History(self.database.dsn, self.name).counts()

    def confirmed(self) -> int:
        """Distinct tracks whose updates were read back from the database."""
        updates = History(self.database.dsn, self.name).updates()
        return len(set(updates.track_id.tolist()))

    def _site(self, scenario: Scenario) -> dict[str, Any]:
        region = scenario.region
        return {
            "node": {"name": self.name, "mode": "exercise", "data_dir": str(self._folder / "data")},
            "region": {
                "lat": math.degrees(region.latitude),
                "lon": math.degrees(region.longitude),
                "radius_km": region.radius_m / 1000.0,
            },
            "broker": {
                "host": self.broker.host,
                "port": self.broker.port,
                "protocol": self.broker.protocol,
            },
            "database": {"dsn": self.database.dsn},
            "limits": {"journal_budget_mb": 1024},
            "serve": {"host": LOOPBACK, "port": self.port},
            "sensor": [dict(table) for table in site_tables(scenario)],
        }


def page_port() -> int:
    """8080, or a free port if somebody else has it."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, PAGE_PORT))
        except OSError:
            return free_port()
    return PAGE_PORT


def summary(
    nodes: Mapping[str, DemoNode], statuses: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    """What the demo did, of each node, read back from its database.

    Parameters
    ----------
    nodes
        By name; their databases still run.
    statuses
        The last status of each.

    Raises
    ------
    VedetteError
        If a database cannot be read.
    """
    rows = {}
    for name, node in nodes.items():
        counts = node.counts()
        core = statuses.get(name, {}).get("core", {})
        latency = core.get("latency_ms") or {}
        rows[name] = {
            "reports": counts.get("reports", 0),
            "quarantined": counts.get("quarantine", 0),
            "tracks_confirmed": node.confirmed(),
            "rows_stored": sum(
                counts.get(table, 0) for table in ("reports", "detections", "tracks", "quarantine")
            ),
            "p50_latency_ms": latency.get("p50"),
            "p99_latency_ms": latency.get("p99"),
        }
    first = next(iter(nodes.values()))
    return {
        "nodes": rows,
        "broker": f"{first.broker.name} {first.broker.version}",
        "database": f"PostgreSQL {server_version()}, without TimescaleDB",
    }


def proven(result: Mapping[str, Any]) -> bool:
    """Whether every node formed tracks, stored them, and gave them back."""
    return all(
        row["tracks_confirmed"] > 0 and row["rows_stored"] > 0 and row["reports"] > 0
        for row in result["nodes"].values()
    )


def wait_until_up(
    node: DemoNode, deadline: float, now: Callable[[], float], pause: Callable[[float], object]
) -> None:
    """Wait until the page answers.

    Raises
    ------
    VedetteError
        If a process of the node ended, or the deadline passed.
    """
    while not node.status():
        problem = node.failed()
        if problem is not None:
            raise VedetteError(problem)
        if now() > deadline:
            raise VedetteError(f"node {node.name} did not come up: {node.logs}")
        pause(0.1)
