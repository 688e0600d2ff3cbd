"""The soak: a node under steady load for an hour, and what of it grows.

Measured every few seconds, of each process: memory (RSS, and PSS, which shares out what several
processes have in common), open files, threads; of the node: size of journal and outputs, latency.
Growth is a robust slope behind a warm-up (`benchmarks.chaos.slope`). The soak fails if the memory
of a process grows by more than `LIMIT` a hour, beyond what the slope's uncertainty explains.
"""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.chaos.growth import LIMIT, Measured, soak_page
from benchmarks.chaos.page import write
from benchmarks.load import Load, site_sensors
from benchmarks.node import DIED, Node, Servers
from vedette.local.process import Child

RATE_HZ = 200.0
"""Reports a second; two busy cores are half idle then."""

EVERY_S = 5.0
"""Pause between two measurements, s."""

STARTED_S = 60.0

Say = Callable[[str], None]


def run(minutes: float, out: Path, say: Say, rate_hz: float = RATE_HZ) -> dict[str, Any]:
    """Soak a node and write ``soak.html`` and ``soak.json``.

    Parameters
    ----------
    minutes
        How long.
    out
        Folder for the page; made if it is missing.
    say
        Told how far it is.
    rate_hz
        Reports a second.

    Returns
    -------
    dict
        ``slopes`` by name, ``failed``: lines that say what grew, ``page``.
    """
    out.mkdir(parents=True, exist_ok=True)
    measured = Measured()
    load = Load("soak", round(rate_hz * 60.0), rate_hz)
    with Servers() as servers, Node(servers, load.node, site_sensors(load)) as node:
        _up(node)
        say(f"{servers.text}; {rate_hz:g} reports/s for {minutes:g} min")
        began = time.monotonic()
        with Sender(servers, node, rate_hz, minutes):
            while (now := time.monotonic() - began) < 60.0 * minutes:
                measured.add(now, _measure(servers, node))
                _show(say, now, minutes, measured)
                _tell(out, measured, minutes, rate_hz, servers.text)
                time.sleep(max(0.0, EVERY_S - (time.monotonic() - began - now)))
        died = node.log.read_text().count(DIED)
    result = _tell(out, measured, minutes, rate_hz, servers.text)
    if died:
        result["failed"].append(f"{died} processes ended")
    return result


class Sender:
    """A process that sends reports at a steady pace for as long as the soak lasts."""

    def __init__(self, servers: Servers, node: Node, rate_hz: float, minutes: float) -> None:
        broker = servers.broker
        arguments = ["--host", broker.host, "--port", str(broker.port)]
        arguments += ["--protocol", broker.protocol, "--rate-hz", str(rate_hz)]
        arguments += ["--count", str(round(rate_hz * 60.0 * (minutes + 1.0)))]
        log = node.folder / "sender.log"
        self._child = Child.python("sender", "benchmarks.chaos.steady", arguments, log=log)

    def __enter__(self) -> "Sender":
        return self

    def __exit__(self, *_: object) -> None:
        self._child.terminate()


def _up(node: Node) -> None:
    deadline = time.monotonic() + STARTED_S
    while not node.up():
        if time.monotonic() > deadline:
            raise RuntimeError("the node does not come up")
        time.sleep(0.2)


def _measure(servers: Servers, node: Node) -> dict[str, float]:
    """One measurement of everything."""
    status = node.status()
    pids: dict[str, list[int]] = {"broker": [servers.broker.pid or 0]}
    for name in ("core", "serve"):
        with suppress(KeyError):
            pids[name] = [int(status[name]["pid"])]
    pids["PostgreSQL"] = [servers.database.pid or 0]
    values: dict[str, float] = {}
    for name, group in pids.items():
        for pid in group:
            values |= {f"{name} {what}": value for what, value in of_process(pid).items()}
    core = status.get("core", {})
    for name in ("journal", "outputs"):
        folder = node.folder / "data" / name
        values[f"{name} MiB"] = sum(one.stat().st_size for one in folder.iterdir()) / 2**20
    for name in ("p50", "p99"):
        if (latency := core.get("latency_ms", {}).get(name)) is not None:
            values[f"{name} ms"] = latency
    if "reports_per_s" in core:
        values["reports/s"] = core["reports_per_s"]
        values["tracks"] = float(sum(core["tracks"].values()))
    return values


def of_process(pid: int) -> dict[str, float]:
    """Memory (MiB), open files and threads of a process (proc(5)); empty: it is gone."""
    place = Path(f"/proc/{pid}")
    with suppress(OSError):
        values = {"files": float(len(list((place / "fd").iterdir())))}
        for line in (place / "status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "Threads":
                values["threads"] = float(value)
        for line in (place / "smaps_rollup").read_text().splitlines():
            name, _, value = line.partition(":")
            if name in ("Rss", "Pss"):
                values[f"{name.lower()} MiB"] = int(value.split()[0]) / 1024.0
        return values
    return {}


def _show(say: Say, now: float, minutes: float, measured: Measured) -> None:
    if len(measured.seconds) % 12 == 1:
        last = {name: column[-1] for name, column in measured.columns.items()}
        say(
            f"{now / 60.0:5.1f} of {minutes:g} min: core {last.get('core rss MiB', 0):.1f} MiB, "
            f"serve {last.get('serve rss MiB', 0):.1f} MiB, p99 {last.get('p99 ms', 0):.0f} ms"
        )


def _tell(
    out: Path, measured: Measured, minutes: float, rate_hz: float, servers: str
) -> dict[str, Any]:
    """Write page and figures; returns the figures."""
    names = [name for name in measured.columns if len(measured.seconds) > 2]
    slopes = {name: measured.slope(name) for name in names}
    failed = [
        f"{name} grows by {one.percent_per_hour:.1f} % a hour "
        f"(at least {one.sure_percent_per_hour:.1f} %)"
        for name, one in slopes.items()
        if name.endswith("rss MiB") and one.sure_percent_per_hour > LIMIT
    ]
    text = soak_page(measured, slopes, failed, (minutes, rate_hz, servers))
    span = measured.seconds[-1] / 60.0
    result = {
        "minutes": round(span, 1),
        "slopes": {
            name: [round(v, 3) for v in (one.level, one.per_hour, one.low, one.high)]
            for name, one in slopes.items()
        },
        "failed": failed,
        "page": str(write(out / "soak.html", text)),
    }
    (out / "soak.json").write_text(
        json.dumps({**result, "seconds": measured.seconds, "columns": measured.columns})
    )
    return result
