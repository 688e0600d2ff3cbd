"""The page over HTTPS: operators come in, nobody else does, and who is revoked is gone."""

import http.client
import ssl
import threading
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from config import load_site
from console.app import create_app
from console.door import Door, Keys, _serials
from console.server import ServerThread
from model.errors import ConfigError
from tests.console.moving import MovingSource
from tests.identities.secured import tls_table
from tests.node.site import until
from vedette.audit import AuditLog
from vedette.page_door import Refusals, door_of
from vedette.pki.authority import Authority
from vedette.pki.names import Identity, Role

ANNA, BEN = Identity(Role.OPERATOR, "anna"), Identity(Role.OPERATOR, "ben")
SOURCE = Identity(Role.SOURCE, "gateway-1")
PAGE = Identity(Role.PAGE, "north")


class House:
    """An authority, its people, and a page."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority.create(folder / "pki", "north")
        self.authority.issue(PAGE, hosts=["127.0.0.1"])
        for who in (ANNA, BEN, SOURCE):
            self.authority.issue(who)
        self.audit = AuditLog(folder / "audit.jsonl")
        current = self.authority.folder.current(PAGE)
        self.keys = Keys(
            current / "certificate.pem",
            current / "key.pem",
            self.authority.folder.trust,
            self.authority.folder.crl,
        )
        door = Door(self.keys, Refusals(self.audit))
        self.server = ServerThread(create_app(MovingSource(), node="north"), door=door)

    def context(self, who: Identity | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.authority.folder.trust))
        if who is not None:
            current = self.authority.folder.current(who)
            context.load_cert_chain(current / "certificate.pem", current / "key.pem")
        return context

    def status(self, context: ssl.SSLContext) -> int | None:
        """Answer to a request; None: the connection came to nothing."""
        one = http.client.HTTPSConnection(
            "127.0.0.1", self.server.port, context=context, timeout=20
        )
        try:
            one.request("GET", "/api/status")
            return one.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            one.close()

    def refusals(self) -> list[tuple[str, str]]:
        if not self.audit.path.exists():
            return []
        return [(entry["who"], entry["why"]) for entry in self.audit.entries()]


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    with made.server:
        yield made


def test_operators_come_in_and_nobody_else(house, tmp_path):
    assert house.status(house.context(ANNA)) == 200
    assert house.status(house.context(None)) is None
    assert house.status(house.context(SOURCE)) is None
    assert house.refusals() == [("source:gateway-1", "not an operator's certificate")]
    other = Authority.create(tmp_path / "other", "north")
    other.issue(ANNA)
    stranger = ssl.create_default_context(cafile=str(house.authority.folder.trust))
    current = other.folder.current(ANNA)
    stranger.load_cert_chain(current / "certificate.pem", current / "key.pem")
    assert house.status(stranger) is None
    old = house.context(ANNA)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    assert house.status(old) is None
    plain = http.client.HTTPConnection("127.0.0.1", house.server.port, timeout=20)
    plain.request("GET", "/api/status")
    with pytest.raises((OSError, http.client.HTTPException)):
        plain.getresponse()
    plain.close()


def feed(house, who):
    address = f"wss://127.0.0.1:{house.server.port}/feed"
    return connect(address, ssl=house.context(who), ping_interval=None, max_size=None)


def test_who_is_revoked_loses_the_feed_that_is_open_and_others_keep_theirs(house):
    with feed(house, ANNA) as anna, feed(house, BEN) as ben:
        first = anna.recv(timeout=60.0)
        ben.recv(timeout=60.0)
        assert first
        gone = threading.Event()

        def wait() -> None:
            try:
                while True:
                    anna.recv()
            except ConnectionClosed:
                gone.set()

        waiting = threading.Thread(target=wait)
        waiting.start()
        house.authority.revoke(ANNA)
        until(gone.is_set)
        waiting.join()
        assert house.refusals() == [("operator:anna", "certificate revoked")]
        assert house.status(house.context(ANNA)) is None
        assert house.status(house.context(BEN)) == 200
        ben.send((1).to_bytes(4, "little"))  # still open
        house.authority.issue(ANNA)  # a new certificate lets her in again
        assert house.status(house.context(ANNA)) == 200


def test_a_list_that_is_being_written_leaves_the_last_one_in_force(house):
    door = Door(house.keys)
    assert not door.look()
    house.authority.folder.crl.write_bytes(b"-----BEGIN X509 CRL-----\nhalf")
    assert not door.look()
    with pytest.raises(ValueError, match="no list"):
        list(_serials(b"nothing"))


def test_files_that_cannot_be_used_are_one_line(tmp_path):
    authority = Authority.create(tmp_path / "pki", "north")
    authority.issue(PAGE, hosts=["127.0.0.1"])
    path = tmp_path / "site.toml"

    def site(text):
        path.write_text(
            '[node]\nname = "north"\ndata_dir = "data"\n[database]\ndsn = "host=/nowhere"\n'
            f'[serve]\nhosts = ["page.north.example"]\n{text}\n[[sensor]]\nid = "radar-1"\n'
        )
        return load_site(path)

    assert door_of(site("")) is None
    assert door_of(site(f"tls = {tls_table('page/north')}")) is not None
    with pytest.raises(ConfigError, match=r"site\.toml: serve\.tls: .*pki/none"):
        door_of(site('tls = { ca = "pki/trust.pem", certificate = "pki/none", key = "pki/none" }'))
    with pytest.raises(ConfigError, match="certificate and key"):
        site('tls = { ca = "pki/trust.pem" }')
