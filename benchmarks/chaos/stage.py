"""The stage of a round: broker, PostgreSQL, a node, sources and a partner, and faults to them."""

import logging
import math
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from benchmarks.chaos.book import Progress
from benchmarks.chaos.partner import PARTNER, Partner, agreement_text
from benchmarks.chaos.plan import Action, Fault, Plan, Target
from benchmarks.chaos.processes import alive, children, command, freeze, signal_all, tree
from benchmarks.chaos.proxy import Proxy
from benchmarks.chaos.source import SourceSettings
from benchmarks.chaos.traffic import NODE, SENSORS, site_sensors
from benchmarks.node import SETTINGS
from benchmarks.reports import REGION
from link.settings import ClientSettings, Protocol
from model.errors import VedetteError
from vedette.local.broker import LocalBroker
from vedette.local.places import LOOPBACK, private_folder, server_user
from vedette.local.postgres import EmbeddedPostgres, server_version
from vedette.local.process import Child
from vedette.sitefile import write_site

log = logging.getLogger("chaos")

SOURCES = 3
RATE_HZ = 30.0
"""Reports a second of each source."""

STARTED = re.compile(r"started process=(\S+) pid=(\d+)")
"""What the supervisor logs."""

SHED_AFTER_S = 1.0
"""Of nodes that may let inputs go, s: the default of a site."""

NODE_STOP_S = 20.0
"""Longest that a node may take to stop, s."""

LIMITS = {
    "linger_ms": 5.0,
    "max_age_s": 3_600.0,
    "journal_budget_mb": 4_096,
    "snapshot_every_s": 2.0,
}
"""Old reports are no mistake here, nothing is let go, and snapshots are met half written."""

_PROCESSES = {Target.CORE: "core", Target.SERVE: "serve", Target.PUBLISHER: f"share-{PARTNER}"}


class Stage:
    """Everything that runs in a round; all of it ends with the block.

    Parameters
    ----------
    plan
        Of the round.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.log: list[str] = []
        self._stack = ExitStack()
        self._node: Child | None = None
        self._sources: list[Child | None] = [None] * SOURCES
        self._due: list[tuple[float, Callable[[], None]]] = []
        self._thawing: list[tuple[subprocess.Popen[bytes], list[int]]] = []
        self._starting: list[threading.Thread] = []
        self._log_read = 0
        self._pids: dict[str, int] = {}

    # -- life

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.folder = private_folder("vedette-chaos-")
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            base = private_folder("vedette-chaos-servers-", server_user())
            stack.callback(shutil.rmtree, base, ignore_errors=True)
            self.database = stack.enter_context(EmbeddedPostgres(base / "data", settings=SETTINGS))
            self.broker = stack.enter_context(LocalBroker(base / "broker"))
            self.proxy = stack.enter_context(Proxy(self.broker.port))
            stack.callback(self._end)
            self._write_files()
            self._start_node()
            settings = self._client(f"{PARTNER}-partner")
            self.partner = stack.enter_context(Partner(self.folder / "south.toml", settings))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _client(self, name: str) -> ClientSettings:
        broker = self.broker
        protocol: Protocol = "5" if broker.protocol == "5" else "3.1.1"
        return ClientSettings(broker.host, self.proxy.port, name, protocol=protocol)

    def _write_files(self) -> None:
        (self.folder / "south.toml").write_text(agreement_text(time.time_ns()))
        limits = {**LIMITS, "shed_after_s": SHED_AFTER_S if self.plan.shedding else 0.0}
        client = self._client("unused")
        write_site(
            self.site,
            {
                "node": {"name": NODE, "data_dir": str(self.data)},
                "region": {
                    "lat": math.degrees(REGION.latitude),
                    "lon": math.degrees(REGION.longitude),
                    "radius_km": 100.0,
                },
                "broker": {"host": client.host, "port": client.port, "protocol": client.protocol},
                "database": {"dsn": self.database.dsn},
                "limits": limits,
                "serve": {"host": LOOPBACK, "port": 0},
                "partner": [{"id": PARTNER, "agreement": "south.toml"}],
                "sensor": site_sensors(),
            },
        )
        shares = [
            self.plan.reports // SOURCES + (n < self.plan.reports % SOURCES) for n in range(SOURCES)
        ]
        self.source_settings = [
            SourceSettings(
                name=f"source-{number}",
                folder=str(self.folder),
                journal=str(self.data / "journal"),
                host=client.host,
                port=client.port,
                protocol=client.protocol,
                sensors=tuple(range(number, SENSORS, SOURCES)),
                seed=self.plan.seed * 1_000 + self.plan.number,
                reports=share,
                rate_hz=RATE_HZ,
            )
            for number, share in enumerate(shares)
        ]
        self.progress = Progress([one.book for one in self.source_settings])

    @property
    def site(self) -> Path:
        """The node's site file."""
        return self.folder / "site.toml"

    @property
    def data(self) -> Path:
        """The node's data folder."""
        return self.folder / "data"

    @property
    def text(self) -> str:
        """Names and versions of the servers."""
        return f"{self.broker.name} {self.broker.version}, PostgreSQL {server_version()}"

    def start_sources(self) -> None:
        """Let reports come."""
        for number in range(SOURCES):
            self._start_source(number)

    def _start_node(self) -> None:
        self._node = Child.python(
            "node", "vedette", ["run", str(self.site)], log=self.folder / "node.log"
        )

    def _start_source(self, number: int) -> None:
        settings = self.source_settings[number].save()
        self._sources[number] = Child.python(
            settings.stem,
            "benchmarks.chaos.source",
            [str(settings)],
            log=self.folder / f"{settings.stem}.log",
        )

    # -- while faults come

    def tend(self) -> None:
        """Do what is due: start again what nobody else does, and what ended by itself.

        Raises
        ------
        VedetteError
            A source or the node has ended that was not killed.
        """
        now_s = time.monotonic()
        due, self._due = (
            [one for one in self._due if one[0] <= now_s],
            [one for one in self._due if one[0] > now_s],
        )
        for _, action in due:
            action()
        self._thawing = [one for one in self._thawing if one[0].poll() is None]
        self._starting = [one for one in self._starting if one.is_alive()]
        for child in (self._node, *self._sources):
            if child is not None and (status := child.poll()) not in (None, 0):
                raise VedetteError(f"{child.name} ended with status {status}\n{child.log_tail(20)}")

    @property
    def settled(self) -> bool:
        """Whether nothing is frozen or away any more by our doing."""
        return not (self._due or self._thawing or self._starting)

    @property
    def sources_done(self) -> bool:
        """Whether all sources have ended, with every report known to be stored."""
        return all(child is not None and child.poll() == 0 for child in self._sources)

    def strike(self, fault: Fault) -> str:
        """Do a fault; returns what was done, empty: its target does not run at present."""
        if fault.target == Target.LINK:
            return self._strike_link(fault)
        pids = [pid for pid in self._target(fault) if alive(pid)]
        if not pids:
            return ""
        if fault.action == Action.FREEZE:
            self._thawing.append((freeze(pids, fault.seconds), pids))
            return f"SIGSTOP {len(pids)} for {fault.seconds} s"
        again = self._kill(fault, pids)
        if again is None:
            return f"SIGKILL {len(pids)}"
        self._due.append((time.monotonic() + fault.seconds, again))
        return f"SIGKILL {len(pids)}, away for {fault.seconds} s"

    def _strike_link(self, fault: Fault) -> str:
        if fault.action == Action.KILL:
            count = self.proxy.cut(1 + fault.part % 2)
            return f"reset {count}" if count else ""
        self.proxy.stand_still()
        self._due.append((time.monotonic() + fault.seconds, self.proxy.flow))
        return f"nothing passed on for {fault.seconds} s"

    def _kill(self, fault: Fault, pids: list[int]) -> Callable[[], None] | None:
        """Kill; returns how to start it again, None: somebody else does."""
        if fault.target == Target.BROKER:
            self.broker.kill()
            return lambda: self._aside("broker", self.broker.start)
        if fault.target == Target.POSTGRES:
            signal_all(pids, signal.SIGKILL)
            self.database.kill()
            return lambda: self._aside("PostgreSQL", self.database.start)
        if fault.target == Target.SUPERVISOR and self._node is not None:
            node, self._node = self._node, None
            node.kill()
            return self._start_node
        if fault.target == Target.SOURCE:
            number = fault.part % SOURCES
            child, self._sources[number] = self._sources[number], None
            if child is not None:
                child.kill()
            return lambda: self._start_source(number)
        signal_all(pids, signal.SIGKILL)
        return None

    def _aside(self, name: str, start: Callable[[], None]) -> None:
        """Start a server on a thread of its own, so that other faults do not wait for it."""

        def work() -> None:
            try:
                start()
            except VedetteError as error:
                self.log.append(f"{name}: {error}")

        thread = threading.Thread(target=work, name=name, daemon=True)
        thread.start()
        self._starting.append(thread)

    def _target(self, fault: Fault) -> list[int]:
        """Processes that a fault is for."""
        target = fault.target
        if target in _PROCESSES:
            return [self.pid(_PROCESSES[target])]
        if target == Target.SUPERVISOR:
            return [] if self._node is None else [self._node.pid]
        if target == Target.SOURCE:
            child = self._sources[fault.part % SOURCES]
            return [] if child is None or child.poll() is not None else [child.pid]
        if target == Target.BROKER:
            return [] if self.broker.pid is None else [self.broker.pid]
        server = self.database.pid
        if server is None:
            return []
        if target == Target.POSTGRES:
            return tree(server)
        backends = [pid for pid in children(server) if "[local]" in command(pid)]
        return [backends[fault.part % len(backends)]] if backends else []

    def pid(self, process: str) -> int:
        """Process id of the newest start of one of the node's processes; 0: none yet."""
        path = self.folder / "node.log"
        if path.exists() and path.stat().st_size > self._log_read:
            with path.open("rb") as file:
                file.seek(self._log_read)
                text = file.read()
            whole = text.rfind(b"\n") + 1
            self._log_read += whole
            for name, pid in STARTED.findall(text[:whole].decode("utf-8", "replace")):
                self._pids[name] = int(pid)
        return self._pids.get(process, 0)

    # -- the end

    def stop_node(self) -> int:
        """Stop the node in good order; returns its exit status."""
        node, self._node = self._node, None
        return 0 if node is None else node.terminate(NODE_STOP_S)

    def publish_rest(self) -> Child:
        """The publisher alone, to give what is left; whoever asked ends it."""
        return Child.python(
            "publisher",
            "vedette.publishing",
            [str(self.site), PARTNER],
            log=self.folder / "publisher.log",
        )

    def _end(self) -> None:
        """End what is left, frozen or not; by the ids of processes that we started."""
        for thread in self._starting:
            thread.join()
        frozen = [pid for _, pids in self._thawing for pid in pids]
        signal_all(frozen, signal.SIGCONT)
        for child in (self._node, *self._sources):
            if child is not None and child.poll() is None:
                child.terminate(NODE_STOP_S)
        self._node, self._sources = None, [None] * SOURCES
