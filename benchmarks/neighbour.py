"""One source that floods: does it cost the others anything?

Twenty radars send ten reports a second each, for a minute. In every second ten seconds one of them
sends a hundred times as much besides. Each source may send four times its rate (`max_rate_hz`), so
the rest is refused before it is decoded. Held against each other are the times from when the other
radars' reports were due to their outputs written, in calm and in flooded spells of one run.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.load import (
    BOOT,
    GRAIN_NS,
    SENSORS,
    Load,
    connected,
    sender_arguments,
    sensor_id,
    settings_of,
    site_sensors,
    tell,
)
from benchmarks.node import Node, Servers
from journal.codec import unpack_output
from journal.reader import LogReader
from link.settings import ClientSettings
from model.arrays import Floats
from model.records import Kind
from model.time import NS_PER_S
from vedette.local.process import Child, watch_parent

RATE_HZ = 200.0
TIMES = 100
"""So many times its rate the flooding source sends."""

ALLOWED = 4.0
"""Times its rate that a source may send."""

SPELL_S = 10.0
NOISY = SENSORS - 1
LEFT_OUT_S = 1.0
"""So much of the beginning of each spell is left out: what was queued before is of the last one."""

POLL_S, PATIENCE_S = 0.2, 60.0
READ_RECORDS = 1_024


def run(servers: Servers, spells: int) -> dict[str, Any]:
    """Measure; returns latencies of the others in calm and flooded spells, and their ratio.

    Parameters
    ----------
    servers
        Broker and database.
    spells
        Of `SPELL_S` each, calm and flooded in turn.
    """
    load = Load("neighbour", round(RATE_HZ * SPELL_S * spells), RATE_HZ)
    each_hz = RATE_HZ / SENSORS
    sources = [
        {
            "id": f"mast-{number:02d}",
            "sensors": [sensor_id(number)],
            "max_rate_hz": ALLOWED * each_hz,
        }
        for number in range(SENSORS)
    ]
    broker = servers.broker
    with Node(servers, load.node, site_sensors(load), {"source": sources}) as node:
        _until(node.up, node)
        folder = node.folder
        out, flooded = folder / "sent.json", folder / "flooded.json"
        common = ["--host", broker.host, "--port", str(broker.port), "--protocol", broker.protocol]
        regular = [str(out), *common, "--node", load.node, "--count", str(load.count)]
        regular += ["--rate-hz", str(RATE_HZ)]
        noisy = [str(flooded), *common, "--node", load.node, "--rate-hz", str(each_hz * TIMES)]
        noisy += ["--spells", str(spells)]
        log = folder / "sender.log"
        with (
            Child.python("sender", "benchmarks.load", regular, log=log),
            Child.python("flooder", "benchmarks.neighbour", noisy, log=log),
        ):
            _until(lambda: out.exists() and flooded.exists(), node, SPELL_S * spells + PATIENCE_S)
        done_ns = time.time_ns()
        _until(lambda: node.status().get("core", {}).get("time_ns", 0) > done_ns, node)
        _until(lambda: node.status()["core"]["journal_lag_records"] <= 1, node)
        quarantine = node.status()["core"]["quarantine"]
    sent, told = json.loads(out.read_text()), json.loads(flooded.read_text())
    return _figures(load, sent["began_ns"], told, node.outputs) | {"refused": quarantine}


def line(figures: dict[str, Any]) -> str:
    """A row for people."""
    return (
        f"one source at {TIMES} times its rate: the others' p50 {figures['calm_p50_ms']:.0f} -> "
        f"{figures['flooded_p50_ms']:.0f} ms, p99 {figures['calm_p99_ms']:.0f} -> "
        f"{figures['flooded_p99_ms']:.0f} ms ({figures['ratio']:.2f} x); "
        f"{figures['flood_sent']} messages of the flood"
    )


def _figures(load: Load, began_ns: int, flood: dict[str, Any], outputs: Path) -> dict[str, Any]:
    due_ns = began_ns + np.array(load.due_ns(), dtype=np.int64)
    waited = np.full(load.count, np.nan)
    with LogReader(outputs) as reader:
        cursor = 0
        while records := reader.read(cursor, READ_RECORDS):
            cursor = records[-1].offset + 1
            for record in records:
                if record.kind != Kind.OUTPUT:
                    continue
                batch = unpack_output(record.payload)
                found = batch.detections
                rows = np.flatnonzero((found.boot == BOOT.encode()) & (found.sensor != NOISY))
                number = found.seq[rows] * SENSORS + found.sensor[rows]
                waited[number] = (batch.published_ns - due_ns[number]) / 1e6
    inside = np.zeros(load.count, dtype=np.bool_)
    counted = np.zeros(load.count, dtype=np.bool_)
    spells = [(low, high, True) for low, high in flood["spells"]]
    spells += [(low, high, False) for low, high in flood["calm"]]
    for low, high, noisy in spells:
        within = (due_ns >= low + round(LEFT_OUT_S * NS_PER_S)) & (due_ns < high)
        counted |= within
        inside |= within & noisy
    others = np.arange(load.count) % SENSORS != NOISY
    calm = _quantiles(waited[counted & ~inside & others])
    flooded = _quantiles(waited[inside & others])
    return {
        "calm_p50_ms": calm[0],
        "calm_p99_ms": calm[1],
        "flooded_p50_ms": flooded[0],
        "flooded_p99_ms": flooded[1],
        "ratio": round(flooded[1] / calm[1], 3),
        "flood_sent": flood["sent"],
        "missing": int(np.isnan(waited[others]).sum()),
    }


def _quantiles(values: Floats) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    p50, p99 = np.quantile(known, (0.5, 0.99)) if len(known) else (0.0, 0.0)
    return round(float(p50), 1), round(float(p99), 1)


def _until(condition: Any, node: Node, patience_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        node.check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"neighbour:\n{node.log.read_text()[-2_000:]}")
        time.sleep(POLL_S)


def flood(settings: ClientSettings, node: str, rate_hz: float, spells: int) -> dict[str, Any]:
    """Send nothing and a flood in turn; returns when each spell was, UTC ns."""
    told: dict[str, Any] = {"spells": [], "calm": [], "sent": 0}
    topic = f"vedette/{node}/sensors/{sensor_id(NOISY)}/reports"
    encode = msgspec.json.Encoder().encode
    with connected(settings) as publisher:
        for spell in range(spells):
            began_ns = time.time_ns()
            end_ns = began_ns + round(SPELL_S * NS_PER_S)
            if spell % 2 == 0:
                time.sleep(SPELL_S)
                told["calm"].append((began_ns, end_ns))
                continue
            number = 0
            while (now_ns := time.time_ns()) < end_ns:
                due_ns = began_ns + round(number * NS_PER_S / rate_hz)
                if due_ns > now_ns + GRAIN_NS:
                    publisher.push()
                    time.sleep((due_ns - now_ns) / NS_PER_S)
                report = {
                    "sensor": sensor_id(NOISY),
                    "time_ns": time.time_ns(),
                    "boot": f"flood-{spell}",
                    "seq": number,
                    "detections": [],
                }
                publisher.publish(topic, encode(report))
                number += 1
            publisher.push()
            told["spells"].append((began_ns, end_ns))
            told["sent"] += number
        publisher.flush()
    return told


def main() -> int:
    """Flood, and write when."""
    parser = sender_arguments("neighbour")
    parser.add_argument("--spells", type=int, required=True)
    args = parser.parse_args()
    watch_parent()
    tell(args.out, flood(settings_of(args, "flood"), args.node, args.rate_hz, args.spells))
    return 0


if __name__ == "__main__":
    sys.exit(main())
