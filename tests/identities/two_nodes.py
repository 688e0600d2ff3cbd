"""Two nodes that share, each with its own authority and its own broker with certificates.

Everything is made by the command line, as `docs/identities.md` says it, so a step that is missing
there is missing here.
"""

import json
import shutil
import signal
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

from link.publisher import Publisher
from link.settings import ClientSettings, Tls
from model.foreign import ForeignUpdates
from model.records import Kind
from model.time import iso_from_ns
from tests.identities.secured import tls_table
from tests.node.logs import outputs, records
from tests.node.site import REPORTS, report, until
from tests.sharing.samples import text
from vedette.audit import AuditLog
from vedette.cli import main
from vedette.local.broker import find_mosquitto
from vedette.local.places import LOOPBACK, free_port, server_user
from vedette.local.process import Child

AGREEMENT = "north-south"
"""Id of what north gives to south."""

SITE = """
[node]
name = "{name}"
data_dir = "data"
[region]
lat = 59.4
lon = 28.2
[broker]
host = "{host}"
port = {port}
log_file = "broker/data/mosquitto.log"
tls = {core}
[database]
dsn = "{dsn}"
[limits]
linger_ms = 5
max_age_s = 3600
[serve]
port = {page}
[[sensor]]
id = "radar-1"
position = {{ lat = 59.4, lon = 28.2, alt_m = 35.0 }}
coverage = {{ range_m = [50, 8000] }}
[[source]]
id = "gateway-1"
sensors = ["radar-1"]
"""

GIVES = """
[[partner]]
id = "{partner}"
agreement = "{partner}.toml"
tls = {publisher}
"""

TAKES = """
[[partner]]
id = "north"
receive_agreement = "north.toml"
broker = {{ host = "{host}", port = {port}, tls = {{ ca = "{files}/trust.pem", \
certificate = "{files}/certificate.pem", key = "{files}/key.pem" }} }}
"""


def agreement() -> str:
    """The file that both sides hold: everything that moves around here, in force for an hour."""
    now_ns = time.time_ns()
    return text(
        id=AGREEMENT,
        since=iso_from_ns(now_ns - 3600 * 10**9),
        until=iso_from_ns(now_ns + 3600 * 10**9),
        classes='["unknown", "sea_vessel", "land_vehicle"]',
    )


class SecuredNode:
    """A node and its broker."""

    def __init__(self, name: str, folder: Path, dsn: str = "host=/nowhere") -> None:
        self.name, self.folder, self.dsn = name, folder, dsn
        self.port, self.page = free_port(), free_port()
        self.site = folder / "site.toml"
        self.pki, self.out = folder / "pki", folder / "broker"
        self.data = folder / "data"
        self.broker: Child | None = None
        self.child: Child | None = None
        self.put_site()

    def put_site(self, partners: str = "") -> None:
        core, dsn = tls_table(f"node/{self.name}"), self.dsn.replace('"', '\\"')
        values = {"name": self.name, "port": self.port, "page": self.page, "core": core}
        self.site.write_text(SITE.format(**values, host=LOOPBACK, dsn=dsn) + partners)

    # -- the steps

    def command(self, *line: str) -> None:
        assert main([*line, "--pki", str(self.pki)]) == 0, line

    def found(self) -> None:
        """From nothing to an authority, a broker's certificate and a core's."""
        self.command("pki", "init", self.name)
        self.command("pki", "issue", "--kind", "broker", self.name, "--san", LOOPBACK)
        self.command("pki", "issue", "--kind", "node", self.name)

    def give_to(self, *partners: str) -> None:
        """Publishers' certificates, and the partners in the site file."""
        tables = []
        for partner in partners:
            self.command("pki", "issue", "--kind", "publisher", partner)
            publisher = tls_table(f"publisher/{partner}")
            tables.append(GIVES.format(partner=partner, publisher=publisher))
        self.put_site("".join(tables))

    def take_from(self, giver: "SecuredNode", files: str) -> None:
        """A folder for what the giver's authority signs, and the giver in the site file."""
        (self.folder / files).mkdir(exist_ok=True)
        self.put_site(TAKES.format(host=LOOPBACK, port=giver.port, files=files))

    def request(self, files: str) -> Path:
        """A new key that stays here, and the request that goes to the giver's authority."""
        folder = self.folder / files
        folder.mkdir(exist_ok=True)
        line = ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        line += ["-nodes", "-subj", "/CN=x", "-keyout", str(folder / "new.key")]
        subprocess.run([*line, "-out", str(folder / "new.csr")], check=True, capture_output=True)
        return folder / "new.csr"

    def install(self, files: str, issued: Path) -> None:
        """Put what came back from the giver's authority beside the key, in place of the old."""
        folder = self.folder / files
        for name in ("trust.pem", "certificate.pem"):
            shutil.copy(issued / name, folder / name)
        (folder / "new.key").replace(folder / "key.pem")

    def sign(self, action: str, partner: str, csr: Path) -> Path:
        """Issue or renew a partner's certificate; returns the folder to send, without a key."""
        self.command("pki", action, "--kind", "partner", partner, "--csr", str(csr))
        issued = (self.pki / "issued" / "partner" / partner / "current").resolve()
        assert not (issued / "key.pem").exists()
        return issued

    def configure_broker(self) -> None:
        owner = [] if server_user() is None else ["--user", "nobody"]
        out = str(self.out)
        self.command("broker", "config", str(self.site), "--out", out, *owner)

    def start_broker(self) -> None:
        command = [str(find_mosquitto()), "-c", str(self.out / "mosquitto.conf")]
        log = self.folder / "mosquitto.out"
        self.broker = Child.program("mosquitto", command, log=log, user=server_user())
        until(lambda: "running" in self.broker_log(), what=self.broker_log)

    def reload_broker(self) -> None:
        assert self.broker is not None
        self.broker.send(signal.SIGHUP)

    def run(self) -> None:
        self.child = self._python("vedette", "run", str(self.site))

    def run_core(self) -> None:
        self.child = self._python("vedette.core", str(self.site))

    def _python(self, module: str, *arguments: str) -> Child:
        return Child.python(self.name, module, arguments, log=self.folder / "node.log")

    def stop(self) -> None:
        child, self.child = self.child, None
        if child is not None:
            assert child.terminate(20.0) == 0, self.log()

    def __enter__(self) -> "SecuredNode":
        return self

    def __exit__(self, *_: object) -> None:
        for child in (self.child, self.broker):
            if child is not None:
                child.terminate(20.0)

    # -- what it says

    def log(self) -> str:
        path = self.folder / "node.log"
        return path.read_text() if path.exists() else ""

    def broker_log(self) -> str:
        path = self.out / "data" / "mosquitto.log"
        return path.read_text() if path.exists() else ""

    def status(self) -> Any:
        """As the page shows it; empty: the page does not answer yet."""
        try:
            url = f"http://{LOOPBACK}:{self.page}/api/status"
            with urllib.request.urlopen(url, timeout=5.0) as answer:
                return json.loads(answer.read())["status"]
        except (OSError, KeyError):
            return {}

    def up(self) -> bool:
        status = self.status()
        broker = status.get("core", {}).get("broker", {})
        return bool(broker.get("connected") and status["serve"]["database"]["connected"])

    def partner(self) -> Any:
        """The link to the only partner, as the page shows it."""
        return until(lambda: self.status().get("partners"), what=self.log)[0]

    def core(self) -> Any:
        """What the core says of itself, by way of the page."""
        return until(lambda: self.status().get("core"), what=self.log)

    def told(self) -> Any:
        """The link to the only partner, as the core's newest status has it."""
        folder = self.data / "outputs"
        found = [r for r in records(folder) if r.kind == Kind.STATUS] if folder.exists() else []
        return (json.loads(found[-1].payload).get("partners") or [{}])[0] if found else {}

    def publisher(self) -> Any:
        """What the publisher for south says of itself."""
        path = self.data / "partners" / "south.status.json"
        return json.loads(path.read_text()) if path.exists() else {"agreements": {}}

    def lane(self) -> Any:
        return self.publisher()["agreements"].get(AGREEMENT, {})

    def settled(self, at_least: int = 1) -> int:
        """Number of the last row given, if the partner has said that it has all; otherwise 0."""
        lane = self.lane()
        last = lane.get("last_seq", 0)
        all_there = lane.get("acked_seq") == last and lane["head_agrees"]
        return last if last >= at_least and all_there else 0

    def taken(self) -> ForeignUpdates:
        """What partners gave, out of the output log."""
        return ForeignUpdates.concat([batch.foreign for batch in outputs(self.data / "outputs")])

    def came(self) -> list[str]:
        """Topics of what the core journaled from partners."""
        return [r.topic for r in records(self.data / "journal") if r.kind == Kind.PARTNER]

    def audited(self, path: Path, action: str, **fields: str) -> bool:
        """Whether an entry of an audit log is of this kind and its fields hold these words."""
        return path.exists() and any(
            entry["action"] == action
            and all(word in str(entry.get(key, "")) for key, word in fields.items())
            for entry in AuditLog(path).entries()
        )


class Source:
    """A radar's gateway with the certificate of its source."""

    def __init__(self, node: SecuredNode) -> None:
        current = node.pki / "issued" / "source" / "gateway-1" / "current"
        tls = Tls(current / "trust.pem", current / "certificate.pem", current / "key.pem")
        self.publisher = Publisher(ClientSettings(LOOPBACK, node.port, "any", tls=tls))
        self.number = 0

    def send(self, count: int) -> None:
        for _ in range(count):
            self.number += 1
            assert self.publisher.publish_all([(REPORTS, report(self.number))]).stored == 1

    def __enter__(self) -> "Source":
        self.publisher.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self.publisher.stop(10.0)
