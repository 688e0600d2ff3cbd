"""A broker, a PostgreSQL and nodes for the ingest benchmark."""

import json
import math
import os
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import psycopg

from benchmarks.reports import REGION
from vedette.local.broker import LocalBroker
from vedette.local.places import LOOPBACK, private_folder, server_user
from vedette.local.postgres import EmbeddedPostgres, server_version
from vedette.local.process import Child
from vedette.sitefile import write_site

SETTINGS = {"shared_buffers": "128MB", "max_wal_size": "16GB", "track_commit_timestamp": "on"}
"""Of PostgreSQL; the last tells when each row was committed. Everything is synced as usual."""

STOP_S = 10.0
"""Longest that a node may take to stop, s."""

DIED = " died process="
"""What `vedette.supervisor` logs when a process of the node has ended."""

PAGE = re.compile(r" url=(http://\S+)")
"""Where serve logs its page to be: it takes a free port."""

STATUS_S = 2.0
"""Longest that a node's page may take to answer, s."""


class Servers:
    """Broker and database, in a temporary folder that goes with them."""

    folder: Path
    broker: LocalBroker
    database: EmbeddedPostgres

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.folder = private_folder("vedette-bench-")
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            base = private_folder("vedette-bench-servers-", server_user())
            stack.callback(shutil.rmtree, base, ignore_errors=True)
            self.database = EmbeddedPostgres(base / "data", settings=SETTINGS)
            stack.enter_context(self.database)
            self.broker = stack.enter_context(LocalBroker(base / "broker"))
            self._connection = stack.enter_context(
                psycopg.connect(self.database.dsn, autocommit=True)
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def text(self) -> str:
        """Names and versions."""
        return f"{self.broker.name} {self.broker.version}, PostgreSQL {server_version()}"

    def rows(self, question: str, node: str) -> list[tuple[Any, ...]]:
        """Rows of a question with the parameter ``node``."""
        return self._connection.execute(question.encode(), {"node": node}).fetchall()

    def count(self, question: str, node: str) -> int:
        """The one number that a question asks for."""
        return int(self.rows(question, node)[0][0])


class Node:
    """``vedette run`` on a site made for a load; ended at the end of the block at the latest.

    Parameters
    ----------
    servers
        Its broker and its database.
    name
        Of the node.
    sensors
        Its ``[[sensor]]`` tables.
    more
        Further tables of its site file.
    """

    def __init__(
        self,
        servers: Servers,
        name: str,
        sensors: Sequence[Mapping[str, Any]],
        more: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = servers.folder / name
        self.folder.mkdir(exist_ok=True)
        site = self.folder / "site.toml"
        write_site(site, {**self._site(servers, name), **(more or {}), "sensor": sensors})
        self._child: Child | None = Child.python(
            f"node {name}", "vedette", ["run", str(site)], log=self.log
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _site(self, servers: Servers, name: str) -> dict[str, Any]:
        broker = servers.broker
        return {
            "node": {"name": name, "data_dir": str(self.folder / "data")},
            "region": {
                "lat": math.degrees(REGION.latitude),
                "lon": math.degrees(REGION.longitude),
                "radius_km": 100.0,
            },
            "broker": {"host": broker.host, "port": broker.port, "protocol": broker.protocol},
            "database": {"dsn": servers.database.dsn},
            "serve": {"host": LOOPBACK, "port": 0},
        }

    @property
    def log(self) -> Path:
        """What its processes had to say."""
        return self.folder / "node.log"

    @property
    def outputs(self) -> Path:
        """Its output log."""
        return self.folder / "data" / "outputs"

    def stop(self) -> None:
        """Let it drain, store and end."""
        child, self._child = self._child, None
        if child is not None:
            child.terminate(STOP_S)

    def check(self) -> None:
        """Raise `RuntimeError` if it has ended, or one of its processes has."""
        child = self._child
        assert child is not None
        if child.poll() is not None or DIED in self.log.read_text():
            raise RuntimeError(f"{child.name}: a process has ended:\n{child.log_tail(30)}")

    @property
    def page(self) -> str:
        """Address of its page; empty: not known yet."""
        found = PAGE.search(self.log.read_text())
        return found[1] if found else ""

    def status(self) -> dict[str, Any]:
        """Its own status, empty while it cannot be had."""
        page = self.page
        if not page:
            return {}
        try:
            with urllib.request.urlopen(f"{page}/api/status", timeout=STATUS_S) as answer:  # noqa: S310 - our own page on loopback
                status: dict[str, Any] = json.load(answer)["status"]
                return status
        except (urllib.error.URLError, OSError, ValueError, KeyError):
            return {}

    def up(self) -> bool:
        """Whether broker and database are connected."""
        status = self.status()
        broker = status.get("core", {}).get("broker", {})
        return bool(broker.get("connected") and status["serve"]["database"]["connected"])

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds so far of ``core`` and ``serve`` (proc(5); NaN where there is no /proc)."""
        status = self.status()
        return {name: _cpu_s(int(status[name]["pid"])) for name in ("core", "serve")}


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return math.nan
    # utime and stime are fields 14 and 15 of proc(5), counted from the pid; the name is field 2
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
