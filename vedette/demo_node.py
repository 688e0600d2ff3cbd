"""`DemoNode`: everything that one node of the demo needs on this machine.

A broker with users and grants, a PostgreSQL, the node itself, and what plays its sensors; all in
temporary folders. Nothing is installed and nothing is left.
"""

import json
import math
import shutil
import urllib.error
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exercise.scenario import load_scenario, packaged, site_tables
from model.time import NS_PER_S
from model.tracks import Status
from storage.history import History
from vedette.audit import AuditLog
from vedette.broker.refusals import Follower, Judge
from vedette.demo_sharing import (
    CORE,
    SENSORS,
    Users,
    agreement_name,
    new_passwords,
    write_secret,
)
from vedette.local.broker import LocalBroker
from vedette.local.places import LOOPBACK, private_folder, server_user
from vedette.local.postgres import EmbeddedPostgres
from vedette.local.process import Child
from vedette.sitefile import write_site

DATABASE_SETTINGS = {"shared_buffers": "64MB", "max_wal_size": "256MB"}
"""A demo shares the machine with everything else."""

SENSORS_STOP_S = 1.0
"""Longest that the sensors may take to stop, s."""

NODE_STOP_S = 9.0
"""Longest that a node may take to stop, s: core, then publishers and serve."""

READ_BACK_S = 600
"""Tracks of so many last seconds are read back at the end: an evening's demo must end soon too."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """What somebody needs to read topics of a broker.

    Parameters
    ----------
    host, port
        Of the broker.
    username
        Who.
    password_file
        Of mode 0600.
    topic
        Topic filter.
    """

    host: str
    port: int
    username: str
    password_file: Path
    topic: str

    @property
    def command(self) -> str:
        """How to do it in a shell, if Mosquitto's clients are installed."""
        return (
            f"mosquitto_sub -h {self.host} -p {self.port} -u {self.username} "
            f"-P \"$(cat {self.password_file})\" -t '{self.topic}'"
        )


class DemoNode:
    """One node of the demo.

    In this order: `open`, `join` on every node, `start`; then `ask_sensors`, `end_sensors`,
    `ask_node`, `end_node`, `close`. `close` also does what was left out of these.

    Parameters
    ----------
    name, partner
        Names of this node and of the one that it shares with.
    scenario
        Name of the packaged scenario.
    seed
        Of the scenario; the same for all nodes.
    port
        Port of its page.
    """

    def __init__(self, name: str, partner: str, scenario: str, seed: int, port: int) -> None:
        self.name = name
        self.users = Users(name, partner)
        self.seed = seed
        self.port = port
        self._scenario = scenario
        self._stack = ExitStack()
        self._node: Child | None = None
        self._player: Child | None = None
        self._grants = self.users.grants()
        self._passwords = new_passwords(self._grants)

    def open(self) -> None:
        """Make the folders, start broker and PostgreSQL."""
        user = server_user()
        self._folder = private_folder("vedette-")
        self._site_path = self._folder / "site.toml"
        self._stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
        for name in (CORE, SENSORS, self.users.publisher):
            write_secret(self.secret(name), self._passwords[name])
        servers = private_folder("vedette-mqtt-", user)
        self._stack.callback(shutil.rmtree, servers, ignore_errors=True)
        self.broker = LocalBroker(
            servers / "broker", users=self._passwords, acl=self._grants, log_refusals=True
        )
        self._stack.enter_context(self.broker)
        audit = AuditLog(self.data_dir / "audit.jsonl")
        refusals = Follower(self.broker.log, audit, Judge(self._grants))
        refusals.start()
        self._stack.callback(refusals.stop)
        base = private_folder("vedette-pg-", user)
        self._stack.callback(shutil.rmtree, base, ignore_errors=True)
        self.database = EmbeddedPostgres(base / "data", settings=DATABASE_SETTINGS)
        self._stack.enter_context(self.database)

    def close(self) -> None:
        """End everything, remove everything; may be called at any time, and twice."""
        try:
            self.ask_sensors()
            self.end_sensors()
            self.ask_node()
            self.end_node()
        finally:
            self._stack.close()

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def data_dir(self) -> Path:
        """What the node keeps."""
        return self._folder / "data"

    @property
    def log(self) -> Path:
        """What the node's processes had to say."""
        return self._folder / "node.log"

    def secret(self, name: str) -> Path:
        """A password file of this node."""
        return self._folder / "secrets" / name

    def agreement(self, giver: str, receiver: str) -> Path:
        """Our copy of an agreement."""
        return self._folder / "agreements" / f"{agreement_name(giver, receiver)}.toml"

    def password(self, user: str) -> str:
        """Password of a user of this node's broker."""
        return self._passwords[user]

    # -- sharing

    def join(self, partner: "DemoNode", given: str, taken: str) -> None:
        """Write the site file, with the partner in it.

        Parameters
        ----------
        partner
            Open, and going to join this one.
        given, taken
            Texts of the agreements, out of here and in.
        """
        out = self.agreement(self.name, partner.name)
        back = self.agreement(partner.name, self.name)
        out.parent.mkdir()
        out.write_text(given, encoding="utf-8")
        back.write_text(taken, encoding="utf-8")
        for name in (self.name, partner.users.people):
            write_secret(self.secret(f"{name}-at-{partner.name}"), partner.password(name))
        sharing = {
            "id": partner.name,
            "agreement": str(out),
            "username": self.users.publisher,
            "password_file": str(self.secret(self.users.publisher)),
            "receive_agreement": str(back),
            "broker": {
                "host": partner.broker.host,
                "port": partner.broker.port,
                "username": self.name,
                "password_file": str(self.secret(f"{self.name}-at-{partner.name}")),
                "protocol": partner.broker.protocol,
            },
        }
        write_site(self._site_path, {**self._site(), "partner": [sharing]})

    def partners_view(self, partner: "DemoNode") -> Subscription:
        """What the people of a partner read, as JSON, of what this node gives to theirs."""
        return Subscription(
            host=self.broker.host,
            port=self.broker.port,
            username=self.users.people,
            password_file=partner.secret(f"{self.users.people}-at-{self.name}"),
            topic=f"{self.users.shared}/+/live.json",
        )

    # -- processes

    def start(self, start_ns: int) -> None:
        """Start the node and its sensors.

        Parameters
        ----------
        start_ns
            When the exercise begins, UTC ns; the same for all nodes.
        """
        self._start_ns = start_ns
        self._node = Child.python(
            f"node {self.name}", "vedette", ["run", str(self._site_path)], log=self.log
        )
        self.start_sensors()

    def start_sensors(self) -> None:
        """Start the sensors, also in the middle of the exercise."""
        self._player = Child.python(
            f"sensors of {self.name}",
            "vedette.exercising",
            [
                *(str(self._site_path), "--scenario", self._scenario, "--seed", str(self.seed)),
                *("--start-ns", str(self._start_ns), "--username", SENSORS),
                *("--password-file", str(self.secret(SENSORS))),
            ],
            log=self._folder / "sensors.log",
        )

    def failed(self) -> str | None:
        """Why the node cannot go on, or None."""
        for child in (self._node, self._player):
            if child is not None and child.poll() is not None:
                return f"{child.name} ended with status {child.poll()}:\n{child.log_tail()}"
        return None

    def ask_sensors(self) -> None:
        """Ask the sensors to end; does not wait."""
        if self._player is not None:
            self._player.ask()

    def end_sensors(self) -> None:
        """Wait for the end of sensors that were asked."""
        player, self._player = self._player, None
        if player is not None:
            player.end(SENSORS_STOP_S)

    def ask_node(self) -> None:
        """Ask the node to drain, store and end; does not wait. A second time it hurries."""
        if self._node is not None:
            self._node.ask()

    def end_node(self) -> None:
        """Wait for the end of a node that was asked."""
        node, self._node = self._node, None
        if node is not None:
            node.end(NODE_STOP_S)

    def log_tail(self) -> str:
        """Last lines of what the node's processes had to say."""
        return "" if self._node is None else self._node.log_tail()

    # -- what it says

    def status(self) -> dict[str, Any]:
        """The node's own status, empty while it cannot be had."""
        try:
            with urllib.request.urlopen(f"{self.url}/api/status", timeout=1.0) as answer:  # noqa: S310 - our own page on loopback
                status: dict[str, Any] = json.load(answer)["status"]
        except (urllib.error.URLError, OSError, ValueError, KeyError):
            return {}
        return status

    def counts(self) -> dict[str, int]:
        """Rows by table, read back from the database."""
        return History(self.database.dsn, self.name).counts()

    def confirmed(self, now_ns: int) -> int:
        """Distinct tracks whose confirmed updates were read back from the database."""
        history = History(self.database.dsn, self.name)
        updates = history.updates(since_ns=now_ns - READ_BACK_S * NS_PER_S)
        return len(set(updates.track_id[updates.status == Status.CONFIRMED].tolist()))

    def foreign(self) -> int:
        """Distinct tracks of the partner, read back from the database."""
        return History(self.database.dsn, self.name).foreign_tracks()

    def _site(self) -> dict[str, Any]:
        scenario = load_scenario(packaged(self._scenario)).of_node(self.name)
        region = scenario.region
        return {
            "node": {"name": self.name, "mode": "exercise", "data_dir": str(self.data_dir)},
            "region": {
                "lat": math.degrees(region.latitude),
                "lon": math.degrees(region.longitude),
                "radius_km": region.radius_m / 1000.0,
            },
            "broker": {
                "host": self.broker.host,
                "port": self.broker.port,
                "username": CORE,
                "password_file": str(self.secret(CORE)),
                "protocol": self.broker.protocol,
            },
            "database": {"dsn": self.database.dsn},
            "limits": {"journal_budget_mb": 1024},
            "serve": {"host": LOOPBACK, "port": self.port},
            "sensor": [dict(table) for table in site_tables(scenario)],
            "line": [{"name": "line", "points": scenario.line.tolist()}],
        }
