"""A partner's broker that sends what it has no business with, and a journal that is full."""

import threading
import time
from typing import Any

import numpy as np
import pytest

from adapters.registry import load_all
from config import engine_config, load_site
from journal.commit import GroupCommitter
from journal.log import SegmentedLog
from link.messages import Incoming, Received, Token
from model.errors import Reason
from model.records import Kind, Record
from sharing.release import transform
from tests.node.site import until
from tests.sharing.giver import Giver
from tests.sharing.samples import INSIDE, NOW_NS, agreement, text, updates
from vedette.core import Core
from vedette.engine import Engine
from vedette.intake import PARTNER_BYTES, Intake

pytestmark = pytest.mark.node

SITE = """
[node]
name = "south"
data_dir = "data"
[broker]
host = "127.0.0.1"
port = 1
[database]
dsn = "host=127.0.0.1 port=1 dbname=none"
[limits]
snapshot_every_s = 0.2
[[sensor]]
id = "radar-1"
position = { lat = 59.4, lon = 28.2 }
[[partner]]
id = "north"
receive_agreement = "north.toml"
broker = { host = "127.0.0.1", port = 1 }
[[partner]]
id = "west"
receive_agreement = "west.toml"
broker = { host = "127.0.0.1", port = 1 }
"""


@pytest.fixture
def site(tmp_path) -> Any:
    for giver in ("north", "west"):
        (tmp_path / f"{giver}.toml").write_text(text().replace("north", giver))
    (tmp_path / "site.toml").write_text(SITE)
    return load_site(tmp_path / "site.toml", load_all())


def taken(site, giver: str, topic: str, payload: bytes) -> tuple[Engine, Any]:
    """What the engine makes of a message that came from a partner's broker."""
    token = Token(1, 1, 1)
    with SegmentedLog(site.data_dir / "journal") as journal:
        intake = Intake(site, journal)
        intake._committer = GroupCommitter(journal, intake._on_durable, linger_s=0.001)
        (link,) = [one for one in intake.partners.links if one.giver == giver]
        intake._on_partner(link, Received([Incoming(token, topic, payload, NOW_NS)], [token]))
        intake._committer.stop()
        (record,) = journal.read(0)
    engine = Engine(engine_config, load_all())
    engine.process([Record(0, Kind.CONFIG, NOW_NS, "", site.engine_payload())])
    return engine, engine.process(
        [Record(1, record.kind, record.received_ns, record.topic, record.payload)]
    )


def rows_of(giver: str) -> bytes:
    rows = updates(3, revision=1)
    rows.state[:, :2] = np.radians(INSIDE)
    made = Giver(giver=giver)
    return made.message(transform(rows, agreement()))


@pytest.mark.parametrize(("link", "count"), [("west", 3), ("north", 0)])
def test_no_partner_speaks_for_another(site, link, count) -> None:
    topic = "vedette/west/shared/south/a-1/live"
    engine, batch = taken(site, link, topic, rows_of("west"))
    assert len(batch.foreign) == count
    assert engine.receiver is not None
    assert engine.receiver.ack("west")["highest"] == count
    assert [item.reason for item in batch.quarantined] == ([] if count else [Reason.UNKNOWN_TOPIC])


def test_no_partner_speaks_for_a_sensor_of_ours(site) -> None:
    topic = "vedette/south/sensors/radar-1/reports"
    engine, batch = taken(site, "north", topic, b"x" * (PARTNER_BYTES + 1))
    assert [item.sensor for item in batch.quarantined] == [""]
    assert "radar-1" not in engine.counters()["ingest"]


def test_an_agreement_changed_while_the_journal_is_full_holds_nothing_up(site) -> None:
    core = Core(site)
    thread = threading.Thread(target=core.run, daemon=True)
    thread.start()
    until(lambda: core.intake is not None and core.processed > 3)
    room, core.journal.budget_bytes = core.journal.budget_bytes, 1
    intake = core.intake
    assert intake is not None
    until(lambda: intake.journal_status()["stalled"])
    (site.path.parent / "north.toml").unlink()
    time.sleep(1.0)  # two looks at the files
    passed = core._status_due
    until(lambda: core._status_due > passed + 1.0, wait_s=10.0, what="the core stands still")
    core.journal.budget_bytes = room  # somebody made room
    until(lambda: core.engine.receiver is not None and core.engine.receiver.givers == ("west",))
    core.stopping.set()
    began = time.monotonic()
    thread.join(20.0)
    assert not thread.is_alive(), time.monotonic() - began
