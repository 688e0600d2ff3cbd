"""A core that takes what a partner gives: over the partner's real broker, through its journal."""

import json
import os
import random
import threading
import time
from typing import Any

import numpy as np
import pytest

from link.publisher import Publisher
from link.settings import ClientSettings
from model.foreign import ForeignUpdates
from model.records import Kind
from model.tracks import Status
from tests.node.logs import assert_same, assert_whole, outputs, records, undisturbed
from tests.node.site import start, until
from tests.sharing.partners import SOUTH, USERS, GivingNode, acl
from vedette.local.broker import LocalBroker
from vedette.local.broker_files import Grant
from vedette.partners import BUDGET_BYTES_S, BURST_BYTES

pytestmark = [pytest.mark.node, pytest.mark.broker]

OUTAGE_S = float(os.environ.get("VEDETTE_TEST_OUTAGE_S", "3"))
"""How long the partner's broker is away; 60 for the long form of the test."""

RATE = 200
"""Updates per second while it is away."""

WITH_USERS = pytest.mark.parametrize(
    "broker", [{"prefer": "mosquitto", "users": USERS, "acl": acl()}], indirect=True
)

SITE = """
[node]
name = "south"
data_dir = "data"
[broker]
host = "127.0.0.1"
port = {port}
protocol = "5"
[database]
dsn = "host=127.0.0.1 port=1 dbname=none"
[limits]
linger_ms = 5
journal_budget_mb = 256
snapshot_every_s = 0.5
[[sensor]]
id = "radar-1"
position = {{ lat = 59.4, lon = 28.2 }}
[[partner]]
id = "north"
receive_agreement = "north.toml"
broker = {{ host = "{host}", port = {north}, username = "south", password_file = "password" }}
"""


class TakingCore:
    """The core of the node *south*, a process of its own."""

    def __init__(self, folder, own: LocalBroker, north: LocalBroker) -> None:
        folder.mkdir()
        self.folder = folder
        self.site = folder / "site.toml"
        self.site.write_text(SITE.format(port=own.port, host=north.host, north=north.port))
        (folder / "password").write_text(USERS["south"] + "\n")
        self.journal, self.outputs = folder / "data" / "journal", folder / "data" / "outputs"
        self.log = folder / "core.log"
        self.child: Any = None

    def agree(self, content: str) -> None:
        """Put our copy of the agreement in place, or take it away."""
        if not content:
            (self.folder / "north.toml").unlink()
            return
        temporary = self.folder / "north.new"
        temporary.write_text(content)
        temporary.replace(self.folder / "north.toml")

    def start(self) -> None:
        self.child = start("vedette.core", self.site, self.log)

    def log_text(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def partner(self) -> Any:
        """What the newest status says of the partner."""
        found = [json.loads(r.payload) for r in records(self.outputs) if r.kind == Kind.STATUS]
        return (found[-1].get("partners") or [{}])[0] if found else {}

    def taken(self) -> Any:
        return (self.partner().get("in") or [{}])[0]

    def rows(self) -> ForeignUpdates:
        return ForeignUpdates.concat([batch.foreign for batch in outputs(self.outputs)])

    def stop(self) -> None:
        child, self.child = self.child, None
        assert child.terminate(8.0) == 0, self.log_text()

    def __enter__(self) -> "TakingCore":
        return self

    def __exit__(self, *_: object) -> None:
        if self.child is not None:
            self.child.kill()


@pytest.fixture
def own(server_folder) -> Any:
    """The broker of the node *south* itself."""
    with LocalBroker(server_folder / "own", prefer="mosquitto") as started:
        yield started


@pytest.fixture
def south(tmp_path, broker, own) -> Any:
    with TakingCore(tmp_path / "south", own, broker) as node:
        yield node


@pytest.fixture
def north(tmp_path, broker) -> Any:
    folder = tmp_path / "north"
    folder.mkdir()
    with GivingNode(folder, broker) as node:
        yield node


def assert_same_books(north, south, expected) -> None:
    """Both sides' books: every update given once, in order; taken once, bit by bit."""
    ledger = north.ledger()
    assert [(offset, n) for _, offset, n, why in ledger if why == 0] == expected
    assert north.verified().broken == 0
    rows = south.rows()
    assert sorted(rows.seq.tolist()) == list(range(1, len(ledger) + 1))
    order = np.argsort(rows.seq)
    states = rows.updates.state[order]
    written = np.concatenate([one.state for one in north.written])
    assert np.array_equal(states[:, :5], written[:, :5], equal_nan=True)
    found = outputs(south.outputs)
    assert_whole(found)
    again = undisturbed(south.journal)
    assert_same(found, again)
    replayed = ForeignUpdates.concat([batch.foreign for batch in again])
    assert replayed.seq.tolist() == rows.seq.tolist()
    assert not [item for batch in found for item in batch.quarantined]


@pytest.mark.timeout(120 + 4 * OUTAGE_S)
@WITH_USERS
def test_a_partner_broker_that_is_away_costs_nothing(north, south, broker) -> None:
    south.agree(north.agree())
    south.start()
    north.start()
    for _ in range(5):
        north.fuse(10)
    until(lambda: south.taken().get("received") == 50, what=south.log_text)
    broker.kill()
    began, fused = time.monotonic(), 0
    while (age := time.monotonic() - began) < OUTAGE_S:
        if fused < age * RATE / 10:
            north.fuse(10)
            fused += 1
        time.sleep(0.005)
    until(lambda: south.partner()["connected"] is False, what=south.partner)
    assert south.partner()["reason"]
    broker.start()
    for _ in range(5):
        north.fuse(10)
    total = 10 * (fused + 10)
    until(lambda: south.taken()["received"] == total, wait_s=60.0, what=south.partner)
    until(lambda: north.lane().get("acked_seq") == total, what=north.status)
    assert north.lane()["head_agrees"] is True
    north.stop()
    south.stop()
    assert fused >= 0.9 * OUTAGE_S * RATE / 10
    assert_same_books(north, south, north.written_keys())


@WITH_USERS
def test_killed_again_and_again_the_taker_loses_and_repeats_nothing(north, south, broker) -> None:
    south.agree(north.agree())
    north.start()
    choice = random.Random(7)
    for _ in range(5):
        south.start()
        for _ in range(choice.randrange(5, 40)):
            north.fuse(10)
            time.sleep(0.02)  # the pace of a node
        south.child.kill()
    south.start()
    total = sum(map(len, north.written))
    until(lambda: south.taken().get("received") == total, wait_s=60.0, what=south.partner)
    until(lambda: north.lane().get("acked_seq") == total, what=north.status)
    north.stop()
    south.stop()
    assert_same_books(north, south, north.written_keys())


@WITH_USERS
def test_our_copy_of_an_agreement_may_go_and_come_back_while_we_run(north, south, broker) -> None:
    content = north.agree()
    south.start()  # without any
    until(lambda: south.partner().get("connected"), what=south.log_text)
    assert "north.toml" in south.taken()["why_silent"]
    north.start()
    north.fuse(4)
    until(lambda: north.lane().get("last_seq") == 4, what=north.log_text)
    south.agree(content)
    until(lambda: south.taken().get("received") == 4, what=south.partner)
    until(lambda: not south.taken()["why_silent"])
    south.agree("")  # we want nothing any more
    until(lambda: len(south.rows()) == 8, what=south.partner)
    rows = south.rows()
    assert rows.seq.tolist() == [1, 2, 3, 4, 0, 0, 0, 0]
    assert (rows.updates.status[4:] == Status.DELETED).all()
    north.fuse(4)
    until(lambda: any(batch.quarantined for batch in outputs(south.outputs)), what=south.partner)
    south.agree(content)
    until(lambda: len(south.rows()) == 12, what=south.partner)
    north.stop()
    south.stop()
    found = outputs(south.outputs)
    refused = {item.reason for batch in found for item in batch.quarantined}
    assert refused == {"not_agreed"}
    assert_same(found, undisturbed(south.journal))


@pytest.mark.parametrize(
    "broker",
    [
        {
            "prefer": "mosquitto",
            "users": {**USERS, "flood": "f"},
            "acl": {**acl(), "flood": Grant((f"{SOUTH}/#",), ())},
        }
    ],
    indirect=True,
)
@pytest.mark.timeout(600)
def test_rows_cut_in_a_flood_come_again_and_none_is_lost(north, south, broker) -> None:
    south.agree(north.agree())
    south.start()
    north.start()
    north.fuse(10)
    until(lambda: south.taken().get("received") == 10, what=south.log_text)
    garbage = [(f"{SOUTH}/a-1/live", bytes([n]) * 1_000_000) for n in range(40)]
    settings = ClientSettings(broker.host, broker.port, "flood", "flood", "f", protocol="5")
    flood = Publisher(settings)
    flood.start()
    stop = threading.Event()

    def pour() -> None:
        while not stop.is_set():
            flood.publish_all(garbage)

    thread = threading.Thread(target=pour)
    thread.start()

    def cut() -> list[int]:
        """Lengths of messages that were cut and are of an honest size."""
        found = [json.loads(r.payload) for r in records(south.journal) if r.kind == Kind.OVERSIZE]
        return [one["length"] for one in found if one["length"] < 100_000]

    fused = 1
    try:
        while not cut():
            assert fused < 1_000, south.partner()
            north.fuse(10)
            fused += 1
            time.sleep(0.05)
    finally:
        stop.set()
        thread.join()
        flood.stop()
    north.fuse(10)
    total = 10 * (fused + 1)
    until(lambda: south.taken()["received"] == total, wait_s=60.0, what=south.partner)
    until(lambda: north.lane().get("acked_seq") == total, what=north.status)
    assert north.lane()["head_agrees"] is True
    assert south.taken()["gaps"] == 0
    assert south.taken()["refused"]["oversize"] > 0
    north.stop()
    south.stop()
    rows = south.rows()
    assert sorted(rows.seq.tolist()) == list(range(1, total + 1))
    assert_same(outputs(south.outputs), undisturbed(south.journal))
    journaled = records(south.journal)
    taken = sum(len(r.payload) for r in journaled if r.kind == Kind.PARTNER)
    seconds = (journaled[-1].received_ns - journaled[0].received_ns) / 1e9
    assert taken <= BURST_BYTES + BUDGET_BYTES_S * seconds


@WITH_USERS
def test_a_password_that_cannot_be_read_leaves_the_node_working(south, broker) -> None:
    (south.folder / "password").unlink()
    south.start()
    until(lambda: south.partner().get("reason"), what=south.log_text)
    assert "password" in south.partner()["reason"]
    assert south.partner()["connected"] is None
    south.stop()
