"""A node's authority, site file and broker with certificates, for tests."""

import time
from datetime import timedelta
from pathlib import Path

from config import load_site
from link.prober import Prober
from link.settings import ClientSettings, Tls
from vedette.broker.files import write_files
from vedette.broker.folder import BrokerFolder
from vedette.local.broker import find_mosquitto
from vedette.local.places import LOOPBACK, free_port, server_user
from vedette.local.process import Child
from vedette.pki.authority import Authority, utc_now
from vedette.pki.names import Identity, Role

WAIT_S = 60.0
"""What has not come by then never comes."""

SITE = """
[node]
name = "north"
mode = "{mode}"
data_dir = "data"
[region]
lat = 59.4
lon = 28.2
[broker]
host = "127.0.0.1"
port = {port}
protocol = "5"
log_file = "broker/data/mosquitto.log"
tls = {core}
[database]
dsn = "{dsn}"
[limits]
linger_ms = 5
journal_budget_mb = 64
max_age_s = 3600
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
[[source]]
id = "gateway-a"
sensors = ["radar-1"]
[[source]]
id = "gateway-b"
sensors = ["ais-1"]
[[partner]]
id = "south"
agreement = "to-south.toml"
tls = {publisher}
[[partner]]
id = "west"
agreement = "to-west.toml"
tls = {west}
"""


def tls_table(who: str) -> str:
    current = f"pki/issued/{who}/current"
    files = f'certificate = "{current}/certificate.pem", key = "{current}/key.pem"'
    return f'{{ ca = "pki/trust.pem", {files} }}'


PEOPLE = (
    Identity(Role.NODE, "north"),
    Identity(Role.CONSOLE, "north"),
    Identity(Role.SOURCE, "gateway-a"),
    Identity(Role.SOURCE, "gateway-b"),
    Identity(Role.PUBLISHER, "south"),
    Identity(Role.PUBLISHER, "west"),
    Identity(Role.PARTNER, "south"),
    Identity(Role.PARTNER, "west"),
    Identity(Role.VIEWER, "south"),
    Identity(Role.OPERATOR, "anna"),
    Identity(Role.RECORDER, "north"),
    Identity(Role.PLAYER, "north"),
)

GONE = Identity(Role.SOURCE, "gone")
"""Its certificate has ended."""


class Secured:
    """An authority, a site file, and the broker that was configured from both."""

    def __init__(self, folder: Path, *, mode="live", dsn="host=/nowhere", more="") -> None:
        self.folder = folder
        self.port = free_port()
        self.site_path = folder / "site.toml"
        values = {"core": tls_table("node/north"), "publisher": tls_table("publisher/south")}
        values["west"] = tls_table("publisher/west")
        text = SITE.format(port=self.port, mode=mode, dsn=dsn.replace('"', '\\"'), **values)
        self.site_path.write_text(text + more)
        long_ago = utc_now() - timedelta(days=1000)
        past = Authority.create(folder / "pki", "north", clock=lambda: long_ago)
        past.issue(GONE, days=730)
        self.authority = Authority.open(folder / "pki")
        self.broker_identity = Identity(Role.BROKER, "north")
        self.authority.issue(self.broker_identity, hosts=[LOOPBACK, "localhost"])
        for who in PEOPLE:
            self.authority.issue(who)
        self.site = load_site(self.site_path)
        self.broker = BrokerFolder(folder / "broker")
        self.child: Child | None = None

    @property
    def log(self) -> Path:
        return self.broker.log

    def configure(self) -> None:
        user = server_user()
        name = "nobody" if user is not None else ""
        write_files(
            self.broker,
            self.site,
            self.folder / "pki",
            self.broker_identity,
            listen=LOOPBACK,
            user=name,
        )

    def start(self) -> None:
        program = find_mosquitto()
        assert program is not None
        self.log.unlink(missing_ok=True)
        command = [str(program), "-c", str(self.broker.configuration)]
        output = self.folder / "mosquitto.out"
        self.child = Child.program("mosquitto", command, log=output, user=server_user())
        deadline = time.monotonic() + WAIT_S
        while not (self.log.exists() and "running" in self.log.read_text()):
            assert self.child.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.01)

    def said(self) -> str:
        output = self.folder / "mosquitto.out"
        return "\n".join(path.read_text() for path in (output, self.log) if path.exists())

    def stop(self) -> None:
        child, self.child = self.child, None
        if child is not None:
            child.terminate()

    def restart(self) -> None:
        self.stop()
        self.start()

    def tls(self, who: Identity) -> Tls:
        current = self.authority.folder.current(who)
        return Tls(self.authority.folder.trust, current / "certificate.pem", current / "key.pem")

    def settings(self, who: Identity, tls=None, **more) -> ClientSettings:
        tls = self.tls(who) if tls is None else tls
        values = {"protocol": "5", "client_id": "chosen-by-itself", **more}
        return ClientSettings(LOOPBACK, self.port, tls=tls, **values)

    def options(self, who: Identity) -> list[str]:
        """How a command is told to go as somebody."""
        tls = self.tls(who)
        names = {"--ca": tls.ca, "--certificate": tls.certificate, "--key": tls.key}
        return [str(part) for pair in names.items() for part in pair]

    def prober(self, who: Identity, tls=None) -> Prober:
        made = Prober(self.settings(who, tls))
        made.connect(WAIT_S)
        return made
