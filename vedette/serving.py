"""The serve process: stores outputs and shows the picture. ``python -m vedette.serving SITE``.

Everything it knows it reads from the output log, and how giving goes from the publishers' status
files. Three threads: one follows these for the console, one stores into the database, one answers
HTTP. None waits for another.
"""

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from config import Site, load_site
from console.app import create_app
from console.foreign import by_giver
from console.server import ServerThread
from console.source import ForeignTracks
from journal.reader import LogReader
from model.errors import JournalError
from model.tracks import TrackUpdates
from storage.connection import place
from vedette.broker.refusals import Follower, follower_of
from vedette.entry import AFTER_CORE, run_process
from vedette.expiry import ExpiryWatch
from vedette.heap import Heap
from vedette.lastword import last_word
from vedette.page_door import door_of
from vedette.partner_status import PartnerGauges, PartnerStatus
from vedette.storing import Storing, StoringStatus
from vedette.tail import Tail

log = logging.getLogger("vedette.serve")

LOOK_S = 0.1
"""Pause between two looks at the output log, s."""

SILENT_S = 5.0
"""Age of the core's status from which the node is called unhealthy, s."""

LAG_S = 60.0
"""Database lag from which the node is called unhealthy, s."""

BEHIND_S = 2.0
"""Age of the oldest input not processed from which the node is called unhealthy, s."""

SHED_S = 60.0
"""So long after an input was let go the node is called unhealthy, s."""

REST = 2.0
"""After a look that found something the next one waits so many times as long as that took, at most
`LOOK_S`: several outputs then share what a look costs."""

DRAIN_S = 1.5
"""Longest that a stop waits for the database, s; what is left is stored after the next start."""

STALE_AFTER_S = 3.0
"""Age of the picture from which the page calls it stale, s."""


class NodeSource:
    """The node as the console sees it; fulfils every protocol of `console.source`.

    Parameters
    ----------
    site
        Its site file.
    tail, storing, partners
        Where everything comes from.
    """

    def __init__(self, site: Site, tail: Tail, storing: Storing, partners: PartnerStatus) -> None:
        self._tail = tail
        self._storing = storing
        self._partners = partners
        self._failed = ""
        self._data_dir = site.data_dir
        document = json.loads(site.engine_payload())
        self._fixed = {
            "node": site.node,
            "mode": site.mode,
            "region": document["region"],
            "stale_after_s": STALE_AFTER_S,
            "lines": [line.model_dump(mode="json") for line in site.lines],
        }
        self._sensors = [
            {
                "id": sensor["id"],
                "adapter": sensor.get("adapter", "report"),
                "lat": (sensor.get("position") or {}).get("lat"),
                "lon": (sensor.get("position") or {}).get("lon"),
                "period_s": sensor.get("period_s", 1.0),
                "sensing": sensor.get("sensing", "scan"),
            }
            for sensor in document["sensor"]
        ]
        self._database = place(site.database_dsn)
        self._registry = CollectorRegistry()
        self._gauges = {
            name: Gauge(f"vedette_serve_{name}", text, registry=self._registry)
            for name, text in (
                ("database_connected", "Whether the database answers"),
                ("database_lag_seconds", "Age of the oldest output not stored yet"),
                ("database_lag_records", "Output records not stored yet"),
                ("rows_stored", "Rows stored since the start"),
                ("storing_failures", "Times that storing failed since the start"),
                ("outputs_missing", "Inputs whose outputs were gone before they were stored"),
            )
        }
        self._partner_gauges = PartnerGauges(self._registry)
        self._expiry = ExpiryWatch(site, self._registry)
        self.refusals = follower_of(site)

    def tail_failed(self, reason: str) -> None:
        """Why the output log cannot be read; empty: it can."""
        self._failed = reason

    def status(self) -> dict[str, Any]:
        """Status of core and serve; keys as in `console.source`."""
        now_ns = time.time_ns()
        tail, storing = self._tail, self._storing.status
        received = tail.received
        told = tail.status
        core = {name: told[name] for name in told if name not in ("metrics", "partners")}
        registration = (core.get("counters") or {}).get("registration") or {}
        sensors = [
            {
                **sensor,
                "registration": registration.get(sensor["id"]),
                "last_report_s": round(max(0, now_ns - received[sensor["id"]]) / 1e9, 1)
                if sensor["id"] in received
                else None,
            }
            for sensor in self._sensors
        ]
        return {
            **self._fixed,
            "sensors": sensors,
            "partners": self._partners.rows(told, now_ns),
            "core": core,
            "serve": {
                "time_ns": now_ns,
                "pid": os.getpid(),
                "outputs_end": tail.end,
                "outputs_failed": self._failed,
                "certificates": self._expiry.rows(),
                "refusals": _refusals(self.refusals),
                "picture_resets": tail.resets,
                "database_lag_s": _lag_s(storing, now_ns),
                "database_lag_records": _lag_records(storing, tail.end),
                "database": {
                    "name": storing.server or self._database,
                    "connected": storing.connected,
                    "lacks": list(storing.lacks),
                    "reason": storing.reason,
                    "cursor": storing.cursor,
                    "through": storing.through,
                    "rows": storing.rows,
                    "transactions": storing.transactions,
                    "failures": storing.failures,
                    "missing": storing.missing,
                },
            },
        }

    def tracks(self) -> TrackUpdates:
        """Head of every track that is not deleted, one row a track."""
        return self._tail.tracks

    def foreign(self) -> Sequence[ForeignTracks]:
        """What partners gave, a table a giver, agreement and path."""
        return by_giver(self._tail.foreign(time.time_ns()))

    def contributions(self, track_id: int) -> Mapping[str, int]:
        """UTC ns at which each sensor last contributed to a track."""
        names = self._tail.sensor_ids
        heard = self._tail.contributions.of(track_id)
        return {names[index]: time_ns for index, time_ns in heard.items()}

    def doubted_since(self, track_id: int) -> int | None:
        """UTC ns since when the identity of a track is doubted; None: not known to be."""
        return self._tail.doubts.since(track_id)

    def sensor_ids(self) -> Sequence[str]:
        """Names behind the sensor indices in `tracks()`."""
        return self._tail.sensor_ids

    def metrics(self) -> str:
        """Metrics of core and serve in the Prometheus text format, version 0.0.4."""
        storing = self._storing.status
        for name, value in (
            ("database_connected", float(storing.connected)),
            ("database_lag_seconds", _lag_s(storing, time.time_ns())),
            ("database_lag_records", _lag_records(storing, self._tail.end) or 0),
            ("rows_stored", storing.rows),
            ("storing_failures", storing.failures),
            ("outputs_missing", storing.missing),
        ):
            self._gauges[name].set(value)
        self._expiry.put()
        self._partner_gauges.put(self._partners.rows(self._tail.status, time.time_ns()))
        own = generate_latest(self._registry) + generate_latest(self._storing.registry)
        return str(self._tail.status.get("metrics", "")) + own.decode()

    def healthy(self) -> tuple[bool, str]:
        """Whether the node does its work, and why not in one line.

        Nothing of partners: a node works when every one of them is away.
        """
        now_ns = time.time_ns()
        core, storing = self._tail.status, self._storing.status
        if self._failed:
            return False, self._failed
        if not core:
            return False, "the core has not said anything yet"
        silent_s = (now_ns - int(core.get("time_ns", 0))) / 1e9
        problems = []
        if silent_s > SILENT_S:
            word = last_word(self._data_dir)
            why = f" ({word})" if word else ""
            problems.append(f"the core has been silent for {silent_s:.0f} s{why}")
        broker = core.get("broker", {})
        if not broker.get("connected"):
            problems.append(f"broker {broker.get('name')}: {broker.get('reason') or 'away'}")
        if refused := broker.get("refused_filters"):
            problems.append(f"broker {broker.get('name')}: refuses {refused} subscriptions")
        if (behind_s := float(core.get("journal_lag_s", 0.0))) > BEHIND_S:
            problems.append(f"the picture is {behind_s:.1f} s behind what has arrived")
        shed = core.get("shed") or {}
        if shed.get("last_s") is not None and shed["last_s"] < SHED_S:
            total = ", ".join(f"{n} {reason}" for reason, n in sorted(shed["inputs"].items()))
            problems.append(f"the core cannot keep up and lets inputs go ({total} since its start)")
        if stalled := core.get("journal", {}).get("stalled"):
            problems.append(f"journal: {stalled}")
        if stalled := core.get("outputs_stalled"):
            problems.append(f"outputs: {stalled}")
        if not storing.connected:
            problems.append(storing.reason or f"{self._database}: not connected yet")
        elif _lag_s(storing, now_ns) > LAG_S:
            problems.append(f"{self._database}: {_lag_s(storing, now_ns):.0f} s behind")
        problems += self._expiry.ended()
        if problems:
            return False, "; ".join(problems)
        # What ends soon is said and nothing more: the node works, and must not be restarted.
        return True, "; ".join(self._expiry.problems()) or "all is well"


def _lag_s(storing: StoringStatus, now_ns: int) -> float:
    since = [one for one in (storing.behind_ns, storing.away_ns) if one]
    return round(max(0, now_ns - min(since)) / 1e9, 3) if since else 0.0


def _refusals(follower: Follower | None) -> dict[str, Any] | None:
    """How the broker's refusals are followed; None: they are not."""
    return None if follower is None else {"count": follower.refused, "problem": follower.problem}


def _lag_records(storing: StoringStatus, end: int) -> int | None:
    return None if storing.cursor < 0 else max(0, end - storing.cursor)


class Serve:
    """Storage and console of one node.

    Parameters
    ----------
    site
        Its site file.
    """

    def __init__(self, site: Site) -> None:
        outputs = site.data_dir / "outputs"
        self.site = site
        self.stopping = threading.Event()
        self._heap = Heap()
        self._reader = LogReader(outputs)
        self.tail = Tail(self._reader)
        self.storing = Storing(outputs, site.database_dsn, site.node)
        gives = {partner.id: partner.agreement is not None for partner in site.partners}
        self.partners = PartnerStatus(site.data_dir, gives, time.time_ns())
        self.source = NodeSource(site, self.tail, self.storing, self.partners)
        app = create_app(self.source, node=site.node, hosts=site.serve.hosts)
        self.server = ServerThread(app, site.serve.host, site.serve.port, door_of(site))

    def run(self) -> None:
        """Serve until `stopping` is set, then store the rest and end.

        Raises
        ------
        OSError
            If the address of the console cannot be had.
        """
        self.server.start()
        refusals = self.source.refusals
        try:
            if refusals is not None:
                refusals.start()
            self.storing.start()
            log.info("started pid=%d url=%s", os.getpid(), self.server.url)
            while not self.stopping.is_set():
                began = time.perf_counter()
                found = self._look()
                rest_s = REST * (time.perf_counter() - began)
                self._heap.give_back()
                self.stopping.wait(min(LOOK_S, rest_s) if found else LOOK_S)
            whole = self.storing.stop(DRAIN_S)
            log.info("stopped stored_all=%s cursor=%d", whole, self.storing.status.cursor)
        finally:
            self.server.stop()
            if refusals is not None:
                refusals.stop()
            self._reader.close()

    def _look(self) -> int:
        """Follow the log and the publishers; an error is shown, and tried again."""
        now_ns = time.time_ns()
        self.partners.look(now_ns)
        try:
            count = self.tail.look(now_ns)
        except JournalError as error:
            self.source.tail_failed(str(error))
            return 0
        self.source.tail_failed("")
        return count


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve a site until SIGTERM or SIGINT; a second signal ends it at once."""
    return run_process("serve", lambda site: Serve(load_site(site)), arguments, nice=AFTER_CORE)


if __name__ == "__main__":
    sys.exit(main())
