"""From `vedette pki init` to stored tracks: a node, its broker and a source with certificates."""

import json
import subprocess
import sys
import urllib.request

import pytest

from link.publisher import Publisher
from link.settings import ClientSettings, Tls
from storage.history import History
from tests.identities.secured import tls_table
from tests.node.site import REPORTS, report, until
from vedette.audit import AuditLog
from vedette.broker.folder import BrokerFolder
from vedette.cli import main
from vedette.local.broker import find_mosquitto
from vedette.local.places import LOOPBACK, free_port, server_user
from vedette.local.process import Child

pytestmark = [pytest.mark.node, pytest.mark.broker, pytest.mark.database]

SITE = f"""
[node]
name = "north"
data_dir = "data"
[region]
lat = 59.4
lon = 28.2
[broker]
host = "{LOOPBACK}"
port = %d
log_file = "broker/data/mosquitto.log"
tls = {tls_table("node/north")}
[database]
dsn = "%s"
[limits]
max_age_s = 3600
[serve]
port = %d
[[sensor]]
id = "radar-1"
position = {{ lat = 59.4, lon = 28.2, alt_m = 35.0 }}
coverage = {{ range_m = [50, 8000] }}
[[sensor]]
id = "radar-2"
position = {{ lat = 59.4, lon = 28.3, alt_m = 35.0 }}
[[source]]
id = "gateway-1"
sensors = ["radar-1"]
"""


class Node:
    """Made by the command line alone."""

    def __init__(self, folder, dsn) -> None:
        self.folder, self.port, self.page = folder, free_port(), free_port()
        self.path = folder / "site.toml"
        self.path.write_text(SITE % (self.port, dsn.replace('"', '\\"'), self.page))
        self.pki = str(folder / "pki")
        self.children: list[Child] = []

    def command(self, *line) -> None:
        assert main([*line, "--pki", self.pki]) == 0

    def get(self, path) -> bytes:
        url = f"http://{LOOPBACK}:{self.page}{path}"
        try:
            with urllib.request.urlopen(url, timeout=5.0) as answer:
                return bytes(answer.read())
        except OSError:
            return b""

    def up(self) -> bool:
        status = json.loads(self.get("/api/status") or b"{}").get("status", {})
        broker = status.get("core", {}).get("broker", {})
        return bool(broker.get("connected") and status["serve"]["database"]["connected"])

    def log(self) -> str:
        return str((self.folder / "node.log").read_text())

    def source(self) -> Publisher:
        current = self.folder / "pki" / "issued" / "source" / "gateway-1" / "current"
        tls = Tls(current / "trust.pem", current / "certificate.pem", current / "key.pem")
        made = Publisher(ClientSettings(LOOPBACK, self.port, "any", tls=tls))
        made.start()
        return made


@pytest.fixture
def node(server_folder, database):
    program = find_mosquitto()
    if program is None:
        pytest.skip("mosquitto is not installed")
    made = Node(server_folder, database)
    made.command("pki", "init", "north")
    made.command("pki", "issue", "--kind", "broker", "north", "--san", LOOPBACK)
    made.command("pki", "issue", "--kind", "node", "north")
    made.command("pki", "issue", "--kind", "source", "gateway-1")
    user = server_user()
    owner = [] if user is None else ["--user", "nobody"]
    out = str(server_folder / "broker")
    made.command("broker", "config", str(made.path), "--out", out, *owner)
    command = [str(program), "-c", str(BrokerFolder(server_folder / "broker").configuration)]
    output = server_folder / "mosquitto.out"
    made.children.append(Child.program("mosquitto", command, log=output, user=user))
    yield made
    for child in reversed(made.children):
        child.terminate(15.0)


def test_a_source_with_a_certificate_has_its_tracks_stored(node, database, capsys):
    until((node.folder / "broker" / "data" / "mosquitto.pid").exists)
    node.command("broker", "check", str(node.path))
    assert "0 leaked, 0 missing" in capsys.readouterr().out
    log = node.folder / "node.log"
    node.children.append(Child.python("node", "vedette", ["run", str(node.path)], log=log))
    until(node.up, what=node.log)
    source = node.source()
    for number in range(60):
        while source.publish_all([(REPORTS, report(number))]).stored == 0:
            pass
    until(lambda: History(database, "north").counts()["tracks"] > 100, what=node.log)

    # It speaks for no other sensor: the broker refuses, and the audit log of the node says so.
    refused = source.publish_all([("vedette/north/sensors/radar-2/reports", report(1))])
    assert (refused.refused, refused.stored) == (1, 0)
    audit = AuditLog(node.folder / "data" / "audit.jsonl")

    def audited() -> bool:
        if not audit.path.exists():
            return False
        return any(
            (entry["action"], entry.get("who")) == ("broker.denied_publish", "source:gateway-1")
            and entry.get("topic") == "vedette/north/sensors/radar-2/reports"
            for entry in audit.entries()
        )

    until(audited, what=node.log)
    assert main(["audit", "verify", str(audit.path)]) == 0

    # What stands beside the hardware goes by the same certificate, until the node's receipt.
    assert source.stop()
    current = node.folder / "pki" / "issued" / "source" / "gateway-1" / "current"
    lines = node.folder / "lines.jsonl"
    lines.write_bytes(b"".join(report(1000 + number) + b"\n" for number in range(5)))
    command = [
        "gateway", "--broker", f"{LOOPBACK}:{node.port}", "--node", "north",
        "--sensor", "radar-1", "--source", "gateway-1", "--ca", str(current / "trust.pem"),
        "--certificate", str(current / "certificate.pem"), "--key", str(current / "key.pem"),
        "--outbox", str(node.folder / "radar-1.outbox"), "--wait-s", "90", "--json",
    ]  # fmt: skip
    with lines.open("rb") as stdin:
        done = subprocess.run(
            [sys.executable, "-m", "vedette", *command],
            stdin=stdin,
            capture_output=True,
            timeout=150,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["taken"], told["stored"], told["waiting"]) == (5, 5, 0)
    source = node.source()
    until(lambda: source.status.connected)

    metrics = node.get("/metrics").decode()
    assert 'vedette_certificate_expires_days{use="broker.tls.certificate"} 397.' in metrics
    healthy = json.loads(node.get("/api/status"))["status"]["serve"]
    assert [row["problem"] for row in healthy["certificates"]] == ["", ""]

    # Revoked, it is gone, and the node goes on.
    epoch = source.status.epoch
    out = str(node.folder / "broker")
    node.command("pki", "revoke", "--kind", "source", "gateway-1", "--broker", out)
    until(lambda: not source.status.connected and source.status.failures >= 2)
    assert source.status.epoch == epoch
    assert node.up()
    assert source.stop(10.0)
    child = node.children.pop()
    assert child.terminate(15.0) == 0, node.log()
    assert node.log().count(" up protocol=") == 1  # the core was never disturbed
