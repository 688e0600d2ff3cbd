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
from link.connection import LinkStatus
from link.messages import Incoming, Received, Token
from model.detections import Mode
from model.errors import Reason
from model.records import Kind, Record
from sharing.receive import Receiver
from sharing.release import transform
from tests.node.site import until
from tests.sharing.giver import Giver
from tests.sharing.samples import INSIDE, NOW_NS, agreement, text, updates
from vedette.core import Core
from vedette.engine import Engine
from vedette.intake import PARTNER_BYTES, Intake
from vedette.partners import BUDGET_BYTES_S, BURST_BYTES, UNANSWERED, Bucket, Partners

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


def flooded(site, payloads, *, ns_apart: int = 0) -> tuple[Intake, list[Record]]:
    """What the journal has of messages of one partner, given at once or some time apart."""
    with SegmentedLog(site.data_dir / "journal") as journal:
        intake = Intake(site, journal)
        intake._committer = GroupCommitter(journal, intake._on_durable, linger_s=0.001)
        link = intake.partners.links[0]
        topic = "vedette/north/shared/south/a-1/live"
        for n, payload in enumerate(payloads):
            token = Token(1, n + 1, 1)
            message = Incoming(token, topic, payload, NOW_NS + n * ns_apart)
            intake._on_partner(link, Received([message], [token]))
        intake._committer.stop()
        return intake, list(journal.read(0))


def test_a_message_longer_than_any_honest_one_costs_next_to_nothing(site) -> None:
    intake, (record,) = flooded(site, [b"x" * (8 << 20)])
    assert record.kind == Kind.OVERSIZE
    assert len(record.payload) < 300
    assert intake.oversize == 1


def test_what_is_over_a_partners_budget_is_cut_counted_and_named(site) -> None:
    payloads = [bytes([n]) * 1_000_000 for n in range(40)]
    intake, found = flooded(site, payloads, ns_apart=100_000_000)
    whole = [record for record in found if record.kind == Kind.PARTNER]
    assert sum(len(record.payload) for record in whole) <= BURST_BYTES + 4 * BUDGET_BYTES_S
    assert 20 <= len(whole) <= 24  # the burst, and four seconds
    cut = [record for record in found if record.kind == Kind.OVERSIZE]
    assert len(whole) + len(cut) == len(payloads)
    assert intake.partners.links[0].cut == len(cut) == intake.oversize
    engine = Engine(engine_config, load_all())
    engine.process([Record(0, Kind.CONFIG, NOW_NS, "", site.engine_payload())])
    batch = engine.process(
        [Record(1 + n, one.kind, NOW_NS, one.topic, one.payload) for n, one in enumerate(cut)]
    )
    assert {item.reason for item in batch.quarantined} == {Reason.OVERSIZE}
    assert "1000000 bytes: over what a partner may send" in batch.quarantined[0].detail
    assert engine.counters()["partners"]["north"]["reasons"] == {"oversize": len(cut)}


def test_many_small_messages_are_read_no_faster_than_the_budget(site) -> None:
    intake, found = flooded(site, [b""])
    link = intake.partners.links[0]
    assert found[0].kind == Kind.PARTNER  # what cutting would only make longer
    assert link.bucket.debt_s == 0.0
    link.bucket.owe(int(BURST_BYTES) + BUDGET_BYTES_S // 4)
    assert 0.2 < link.bucket.debt_s < 0.3
    intake._committer = GroupCommitter(intake._journal, intake._on_durable)
    began = time.monotonic()
    intake._on_partner(link, Received([], []))
    assert time.monotonic() - began > 0.2
    intake._committer.stop(drain=False)


def test_a_bucket_fills_with_the_time_of_messages_and_never_over() -> None:
    bucket = Bucket(rate=10.0, burst=100.0)
    second = 1_000_000_000
    assert bucket.take(100, 0)
    assert not bucket.take(1, 0)
    assert bucket.take(10, second)
    assert not bucket.take(1, second)
    assert not bucket.take(1, 0)  # a clock that was set back gives nothing
    assert bucket.take(100, 1_000 * second)
    assert not bucket.take(1, 1_000 * second)


def test_nobody_stands_behind_a_partner_that_waits_for_room(site) -> None:
    """Our own broker's messages and the ticks go on while a partner's thread waits."""
    with SegmentedLog(site.data_dir / "journal") as journal:
        intake = Intake(site, journal)
        intake._committer = committer = GroupCommitter(
            journal, intake._on_durable, linger_s=3.0, max_pending_bytes=33 << 20
        )
        north = intake.partners.links[0]
        topic = "vedette/north/shared/south/a-1/live"
        token = Token(1, 1, 1)
        received = [Incoming(token, topic, b"x" * 900_000, NOW_NS) for _ in range(3)]
        partner = threading.Thread(
            target=intake._on_partner, args=(north, Received(received, [token] * 3)), daemon=True
        )
        partner.start()
        until(lambda: committer.stats.waits > 0)  # for the half that is not the partners'
        assert north.order.locked()
        own = Incoming(token, "vedette/south/sensors/radar-1/reports", b"{}", NOW_NS)
        intake._on_batch(Received([own], [token]))
        with intake._order:
            intake._submit_tick(committer)
        assert partner.is_alive()  # both went past it: its room comes with the end of the linger
        partner.join(20.0)
        committer.stop()
        kinds = [record.kind for record in journal.read(0)]
    assert kinds.count(Kind.PARTNER) == 3
    assert kinds.index(Kind.MESSAGE) < len(kinds) - 1
    assert Kind.TICK in kinds


def test_a_broker_that_answers_no_ack_is_soon_not_asked_any_more(site) -> None:
    """Each ack that waits for an answer is kept, and a partner's broker need never give one."""
    asked: list[int] = []

    class Silent:
        status = LinkStatus(connected=True)

        @property
        def unanswered(self) -> int:
            return sum(asked)

        def publish(self, *_: object, qos: int) -> None:
            asked.append(qos)

    link: Any = Partners(site, lambda *_: None).links[0]
    link.subscriber = Silent()
    receiver = Receiver({"north": agreement()}, "south", Mode.LIVE)
    for _ in range(2 * UNANSWERED):
        link.answer(receiver)
    assert asked == [1] * UNANSWERED + [0] * UNANSWERED
