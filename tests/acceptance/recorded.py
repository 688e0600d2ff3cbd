"""A node in exercise mode, fed by ``vedette replay`` over a real broker."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from storage.history import History
from tests.node.site import until
from tests.node.test_node_run import NodeUnderTest
from vedette.lines import update_lines
from vedette.local.process import Child
from vedette.sitefile import write_site

NODE = "field"


class RecordedNode(NodeUnderTest):
    """``vedette run`` with sensors of one's own, in exercise mode, patient with old times."""

    def __init__(self, folder: Path, broker: Any, dsn: str, sensors: list[dict[str, Any]]) -> None:
        self.folder, self.dsn = folder, dsn
        self.site = folder / "site.toml"
        self.log = folder / "node.log"
        write_site(
            self.site,
            {
                "node": {"name": NODE, "mode": "exercise", "data_dir": "data"},
                "broker": {
                    "host": broker.host,
                    "port": broker.port,
                    "protocol": broker.protocol,
                },
                "database": {"dsn": dsn},
                # A recording that is played faster runs ahead of the clock.
                "limits": {"max_future_s": 3600.0, "max_age_s": 3600.0, "snapshot_every_s": 1.0},
                "serve": {"port": 0},
                "sensor": sensors,
            },
        )
        self.child = Child.python("node", "vedette", ["run", str(self.site)], log=self.log)

    def replay(self, path: Path, *options: str) -> Child:
        """Start ``vedette replay`` of a file into the node."""
        return Child.program(
            "replay",
            [
                *(sys.executable, "-m", "vedette", "replay", str(path)),
                *("--site", str(self.site), *options),
            ],
            log=self.folder / "replay.log",
        )

    def metrics(self) -> str:
        """What the node tells Prometheus."""
        url = next(line for line in reversed(self.lines().splitlines()) if " url=http" in line)
        address = url.rsplit("url=", 1)[1] + "/metrics"
        with urllib.request.urlopen(address, timeout=5.0) as answer:  # noqa: S310 - our own page
            return str(answer.read().decode())

    def is_back(self, process: str, old_pid: int) -> bool:
        """Whether a process that was killed runs again, and the core is the one that reports."""
        core = self.status().get("core", {})
        return bool(
            self.pid(process) != old_pid and core.get("pid") == self.pid("core") and self.up()
        )

    def settle(self, messages: int) -> dict[str, Any]:
        """Wait until so many messages are fused and stored; returns ingest's counters."""

        def done() -> Any:
            status = self.status()
            ingest = status.get("core", {}).get("counters", {}).get("ingest", {})
            known = sum(count["messages"] for count in ingest.values())
            stored = status.get("serve", {}).get("database_lag_records", 99) <= 1
            return ingest if known >= messages and stored else None

        return dict(until(done, 90.0, self.lines))

    def stored_updates(self) -> list[dict[str, Any]]:
        """Every track update that the database holds, as plain objects, in order."""
        history = History(self.dsn, NODE)
        lines = list(update_lines(history.updates(), NODE, history.sensor_ids))
        lines.sort(key=lambda line: (line["known_offset"], line["n"]))
        return [dict(json.loads(json.dumps(line))) for line in lines]

    def journal_updates(self) -> list[dict[str, Any]]:
        """What ``vedette track`` makes of the node's journal."""
        out = self.folder / "updates.jsonl"
        subprocess.run(
            [
                *(sys.executable, "-m", "vedette", "track"),
                *("--journal", str(self.folder / "data" / "journal")),
                *("--no-pictures", "--updates", str(out)),
            ],
            check=True,
            capture_output=True,
        )
        return [json.loads(line) for line in out.read_text().splitlines()]
