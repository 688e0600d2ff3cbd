"""Sites, reports and processes for the tests of whole nodes."""

import json
import time
from pathlib import Path
from typing import Any

from link.publisher import Publisher
from link.settings import ClientSettings
from vedette.local.process import Child

WAIT_S = 90.0
"""What has not come by then never comes: a busy machine takes half a minute to start a process."""
REPORTS = "vedette/north/sensors/radar-1/reports"

SITE = """
[node]
name = "north"
data_dir = "data"
[region]
lat = 59.4
lon = 28.2
[broker]
host = "{host}"
port = {port}
protocol = "5"
{login}
[database]
dsn = "{dsn}"
[limits]
linger_ms = {linger_ms}
max_payload_bytes = 4096
journal_budget_mb = 64
max_age_s = 3600
snapshot_every_s = {snapshot_every_s}
[serve]
port = 0
[[sensor]]
id = "radar-1"
position = {{ lat = 59.4, lon = 28.2, alt_m = 35.0 }}
coverage = {{ range_m = [50, 8000] }}
[[sensor]]
id = "ais-1"
adapter = "ais"
cooperative = true
topics = ["harbour/ais"]
"""


def write_site(folder: Path, broker=None, dsn="host=127.0.0.1 port=1 dbname=none", **more) -> Path:
    values = {"linger_ms": 5, "snapshot_every_s": 0.5, "login": "", **more}
    host, port = ("127.0.0.1", 1) if broker is None else (broker.host, broker.port)
    path = folder / "site.toml"
    path.write_text(SITE.format(host=host, port=port, dsn=dsn.replace('"', '\\"'), **values))
    return path


def report(number: int, boot: str = "b1") -> bytes:
    """A report of two movers on straight lines and a piece of clutter; no two are the same."""
    east = 0.00002 * number
    places = [(59.41, 28.21 + east), (59.42 + east, 28.19), (59.40 + number % 7 * 0.003, 28.25)]
    return json.dumps(
        {
            "sensor": "radar-1",
            "time_ns": time.time_ns(),
            "boot": boot,
            "seq": number,
            "detections": [
                {"kind": "position", "lat": lat, "lon": lon, "sigma_m": 10.0} for lat, lon in places
            ],
        }
    ).encode()


def publisher(broker, name="radar") -> Publisher:
    made = Publisher(ClientSettings(broker.host, broker.port, name, protocol="5"))
    made.start()
    return made


def start(module: str, site: Path, log: Path) -> Child:
    return Child.python(module, module, [str(site)], log=log)


def until(condition, wait_s=WAIT_S, what="") -> Any:
    """Wait until a condition holds; returns what it gave."""
    deadline = time.monotonic() + wait_s
    while not (value := condition()):
        assert time.monotonic() < deadline, what() if callable(what) else what
        time.sleep(0.01)
    return value
