"""A core that cannot keep up: what it lets go is journaled, and every replay decides alike."""

import json
import threading
import time
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from adapters.registry import load_all
from config import engine_config, load_site
from model.errors import Reason
from model.records import Kind, Record
from tests.node.logs import assert_same, assert_whole, outputs, records, undisturbed
from tests.node.site import WAIT_S, publisher, report, until, write_site
from tests.node.test_node_intake import run
from vedette.core import Core
from vedette.engine import Engine
from vedette.relief import LEAST_KEPT, Relief
from vedette.stages import Stages

MOSQUITTO = pytest.mark.parametrize("broker", [{"prefer": "mosquitto"}], indirect=True)


def messages(received_ns: int, count: int, first: int = 1) -> list[Record]:
    topic = "vedette/north/sensors/radar-1/reports"
    return [Record(first + n, Kind.MESSAGE, received_ns, topic, report(n), 0) for n in range(count)]


def test_behind_only_when_messages_wait_too_long():
    now = time.time_ns()
    relief, waiting = Relief(1.0), messages(now, 3)
    assert not relief.behind(waiting, now)
    assert relief.behind(waiting, now - 2_000_000_000)
    assert not relief.behind([Record(1, Kind.TICK, now, "", b"", 0)], now - 9_000_000_000)
    assert not Relief(0.0).behind(waiting, now - 2_000_000_000)


def test_as_much_is_left_as_can_be_processed_in_time(tmp_path, broker):
    site = load_site(write_site(tmp_path, broker))
    engine = Engine(engine_config, load_all())
    now = time.time_ns()
    engine.process([Record(0, Kind.CONFIG, now, "", site.engine_payload(), 0)])
    relief = Relief(1.0)
    relief.processed(100, 0.5)  # 200 a second: 100 in half of the second
    now = time.time_ns()
    waiting = messages(now - 1_200_000_000, 400)
    ((reason, offsets),) = relief.decide([waiting[:250], waiting[250:]], engine)
    assert reason is Reason.SHED_SUPERSEDED
    assert offsets.tolist() == list(range(1, 301))
    assert not relief.behind(waiting, 0)  # not again at once
    for offset in offsets.tolist():
        engine.shed(offset, reason)
    found = engine.process(waiting)
    assert found.detections.n_reports == 100
    assert [q.reason for q in found.quarantined] == [Reason.SHED_SUPERSEDED] * 300
    assert not any(engine.is_shed(offset) for offset in range(500))
    assert relief.status(now)["last_s"] is None


@pytest.mark.node
@pytest.mark.broker
@MOSQUITTO
def test_what_is_let_go_is_journaled_and_stays_let_go(tmp_path, broker) -> None:
    path = write_site(tmp_path, broker)
    path.write_text(path.read_text().replace("[limits]", "[limits]\nshed_after_s = 0.2"))
    site = load_site(path)
    core = Core(site)
    source = publisher(broker)
    sent = 400 + LEAST_KEPT

    begun, go = threading.Event(), threading.Event()

    def script() -> Any:
        until(lambda: core.intake is not None and core.intake.subscriber.wait_subscribed(1.0))
        intake, process = core.intake, core.engine.process
        assert intake is not None

        def held(batch: Any) -> Any:
            if any(record.kind == Kind.MESSAGE for record in batch):
                begun.set()
                assert go.wait(WAIT_S)
            return process(batch)

        core.engine.process = held  # type: ignore[assignment,method-assign]
        topic = "vedette/north/sensors/radar-1/reports"
        assert source.publish_all([(topic, report(0))]).stored == 1
        assert begun.wait(WAIT_S)  # the core is busy with the first one, and all others wait
        assert source.publish_all((topic, report(n)) for n in range(1, sent)).stored == sent - 1
        until(lambda: sum(map(len, intake.waiting())) >= sent - 1)
        since = time.monotonic()
        until(lambda: time.monotonic() - since > 0.5)  # for longer than `shed_after_s`
        go.set()
        until(lambda: core.relief.status(0)["inputs"])
        until(lambda: core.journal.end - core.processed <= 1)
        document = core.account.status(core.engine, core.processed, time.time_ns())
        assert document["shed"]["last_s"] is not None
        assert "vedette_core_relieved_total" in core.metrics.text()

    run(core, script)
    assert source.stop()
    journal = site.data_dir / "journal"
    decided = [json.loads(r.payload) for r in records(journal) if r.kind == Kind.SHED]
    assert decided
    found = outputs(site.data_dir / "outputs")
    assert_whole(found)
    gone = [q for b in found for q in b.quarantined if q.reason.startswith("shed_")]
    shown = sum(b.detections.n_reports for b in found)
    assert gone
    assert len(gone) + shown == sent  # nothing is lost without a word
    stored = [r for r in records(journal) if r.kind == Kind.MESSAGE]
    assert len(stored) == sent  # and nothing is shed from the store
    assert_same(found, undisturbed(journal))
    for snapshot in (site.data_dir / "snapshots").glob("*.snap"):
        snapshot.unlink()
    again = Core(site)
    run(again, lambda: None)
    assert_same(outputs(site.data_dir / "outputs"), undisturbed(journal))


def test_stages_count_every_message():
    registry = CollectorRegistry()
    stages = Stages("vedette_test_seconds", "Of a test", ("one", "two"), registry)
    stages.add("one", np.array([-5, 0, 1_500_000, 3_000_000_000, 10**12]))
    stages.add("two", np.zeros(0, dtype=np.int64))
    text = generate_latest(registry).decode()
    assert 'vedette_test_seconds_bucket{le="0.001",stage="one"} 2.0' in text
    assert 'vedette_test_seconds_bucket{le="0.002",stage="one"} 3.0' in text
    assert 'vedette_test_seconds_bucket{le="5.0",stage="one"} 4.0' in text
    assert 'vedette_test_seconds_count{stage="one"} 5.0' in text
    assert 'vedette_test_seconds_count{stage="two"} 0.0' in text
    assert 'vedette_test_seconds_sum{stage="one"} 1003.0015' in text
