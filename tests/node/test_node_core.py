"""The core process with a real broker, killed and stopped in every way."""

import json
import random
import threading
import time
from collections import Counter
from hashlib import sha256
from typing import Any

import pytest

from link.client import Subscriber
from link.settings import ClientSettings
from model.errors import Reason
from model.records import Kind
from tests.node.logs import assert_same, assert_whole, outputs, payloads, records, undisturbed
from tests.node.site import REPORTS, WAIT_S, publisher, report, start, until, write_site

pytestmark = [pytest.mark.node, pytest.mark.broker]

KILLS = 6
"""How often the core is killed while messages flow."""

MOSQUITTO = pytest.mark.parametrize("broker", [{"prefer": "mosquitto"}], indirect=True)


class CoreUnderTest:
    """A core process on the files in a folder."""

    def __init__(self, folder, broker, **more) -> None:
        self.site = write_site(folder, broker, **more)
        self.journal = folder / "data" / "journal"
        self.outputs = folder / "data" / "outputs"
        self.log = folder / "core.log"
        self.child = start("vedette.core", self.site, self.log)

    def start(self) -> Any:
        self.child = start("vedette.core", self.site, self.log)
        return self

    def log_lines(self) -> Any:
        return self.log.read_text() if self.log.exists() else ""

    def wait_up(self, times=1) -> Any:
        until(lambda: self.log_lines().count(" up protocol=") >= times, what=self.log_lines)

    def status(self) -> Any:
        found = [json.loads(r.payload) for r in records(self.outputs) if r.kind == Kind.STATUS]
        return found[-1] if found else {}

    def idle(self) -> Any:
        status = self.status()
        return status.get("pid") == self.child.pid and status["journal_lag_records"] <= 2

    def stop(self) -> Any:
        assert self.child.terminate(WAIT_S) == 0, self.log_lines()


@pytest.fixture
def core(tmp_path, broker) -> Any:
    made = CoreUnderTest(tmp_path, broker)
    made.wait_up()
    yield made
    if made.child.poll() is None:
        made.child.kill()


def stored(source, messages) -> Any:
    """Publish until the broker stores them: the first ones may come before the subscription."""
    for topic, payload in messages:
        while source.publish_all([(topic, payload)]).stored == 0:
            time.sleep(0.01)


@MOSQUITTO
@pytest.mark.timeout(600)
def test_killed_again_and_again_the_core_loses_and_repeats_nothing(core, broker) -> None:
    source = publisher(broker)
    sent = [report(0)]
    stored(source, [(REPORTS, sent[0])])
    enough = threading.Event()

    def stream() -> Any:
        while not enough.wait(0.006):
            sent.append(report(len(sent)))
            source.publish(REPORTS, sent[-1])
        source.flush()

    thread = threading.Thread(target=stream)
    thread.start()
    choice = random.Random(5)
    for kill in range(KILLS):
        if kill % 3:  # else: at any moment of its start and its recovery
            ups = core.log_lines().count(" up protocol=")
            until(lambda: core.log_lines().count(" up protocol=") > ups, what=core.log_lines)  # noqa: B023 - called at once
        time.sleep(choice.uniform(0.1, 0.8))
        core.child.kill()
        core.start()
    enough.set()
    thread.join()
    assert source.counts.stored == len(sent)
    until(lambda: len(payloads(core.journal)) == len(sent), what=core.log_lines)
    until(core.idle, what=core.status)
    core.stop()
    counted = payloads(core.journal)
    assert counted == Counter(sent)
    found = outputs(core.outputs)
    assert_whole(found)
    assert_same(found, undisturbed(core.journal))
    assert sum(batch.detections.n_reports for batch in found) == len(sent)
    assert sum(len(batch.updates) for batch in found) > 1000
    assert source.stop()


@MOSQUITTO
def test_a_staged_stop_leaves_nothing_unfinished(core, broker) -> None:
    """What the core took is journaled, fused and acknowledged; the broker has the rest, no more."""
    source = publisher(broker)
    sent = [report(n) for n in range(50)]
    stored(source, [(REPORTS, payload) for payload in sent])
    until(lambda: payloads(core.journal), what=core.log_lines)
    core.stop()
    kept = payloads(core.journal)
    assert outputs(core.outputs)[-1].through + 1 >= records(core.journal)[-1].offset
    settings = ClientSettings(broker.host, broker.port, "vedette-north", protocol="5")
    came: list[Any] = []
    probe = Subscriber(settings, [], lambda batch: came.extend(batch.messages))
    probe.start()  # in the core's own session, and acknowledging nothing
    assert probe.wait_connected(10.0)
    assert probe.status.session_present
    until(lambda: len(kept) + len(came) >= len(sent), what=core.log_lines)
    assert probe.stop()
    assert Counter(message.payload for message in came) + kept == Counter(sent)
    core.start()
    core.wait_up(2)
    until(lambda: len(payloads(core.journal)) == len(sent), what=core.log_lines)
    core.stop()
    assert payloads(core.journal) == Counter(sent)
    assert "from=" in core.log_lines()
    assert_same(outputs(core.outputs), undisturbed(core.journal))
    assert source.stop()


@MOSQUITTO
def test_an_oversize_message_costs_little_and_harms_nobody(core, broker) -> None:
    source = publisher(broker)
    big = bytes(range(256)) * 40
    stored(source, [(REPORTS, report(0)), (REPORTS, big), (REPORTS, report(1))])
    until(lambda: len(payloads(core.journal)) == 2)
    core.stop()
    (kept,) = [r for r in records(core.journal) if r.kind == Kind.OVERSIZE]
    assert json.loads(kept.payload) == {
        "why": "over the size limit",
        "length": len(big),
        "sha256": sha256(big).hexdigest(),
        "head": big[:64].hex(),
    }
    refused = [q for batch in outputs(core.outputs) for q in batch.quarantined]
    assert [(q.reason, q.sensor) for q in refused] == [(Reason.OVERSIZE, "radar-1")]
    assert sum(batch.detections.n_reports for batch in outputs(core.outputs)) == 2
    assert source.stop()


@MOSQUITTO
def test_quarantine_is_told_to_the_sensors_owner(core, broker) -> None:
    settings = ClientSettings(broker.host, broker.port, "owner", protocol="5")
    told: list[Any] = []
    owner = Subscriber(settings, ["vedette/north/quarantine/+"], lambda b: told.extend(b.messages))
    owner.start()
    assert owner.wait_subscribed(10.0)
    source = publisher(broker)
    stored(source, [(REPORTS, b"no report")])
    until(lambda: told, what=core.log_lines)
    assert told[0].topic == "vedette/north/quarantine/radar-1"
    assert json.loads(told[0].payload)["reason"] == Reason.NOT_JSON
    assert owner.stop()
    assert source.stop()
    core.stop()


@MOSQUITTO
def test_the_status_tells_how_it_goes(core, broker) -> None:
    source = publisher(broker)
    stored(source, [(REPORTS, report(n)) for n in range(30)])
    until(lambda: core.status().get("latency_ms", {}).get("p99"))
    status = core.status()
    assert status["broker"]["connected"]
    assert status["journal_budget_mb"] == 64
    assert status["latency_ms"]["p50"] <= status["latency_ms"]["p99"] < 2000
    assert status["pid"] == core.child.pid
    assert status["journal_lag_records"] <= 1
    assert "vedette_core_reports_total 30.0" in status["metrics"]
    broker.stop()
    until(lambda: not core.status()["broker"]["connected"])
    broker.start()
    until(lambda: core.status()["broker"]["connected"])
    assert core.status()["broker"]["session_present"]
    core.stop()
    assert source.stop()


def test_a_wrong_site_file_is_told_in_a_line_each(tmp_path) -> None:
    site = write_site(tmp_path)
    site.write_text(site.read_text().replace("lat = 59.4\n", "lat = 95\n", 1) + "[nonsense]\n")
    child = start("vedette.core", site, tmp_path / "core.log")
    assert child.wait(20.0) == 2
    lines = (tmp_path / "core.log").read_text().splitlines()
    assert len(lines) == 2
    assert all(str(site) in line for line in lines)
    assert "region.lat" in "".join(lines)


def test_a_second_core_on_the_same_files_is_refused(core) -> None:
    other = start("vedette.core", core.site, core.log.with_name("other.log"))
    assert other.wait(20.0) == 1
    assert f"another process (pid {core.child.pid})" in other.log_tail()
    core.stop()


def test_a_node_without_a_broker_waits_for_it(tmp_path) -> None:
    """No broker at all: it recovers, ticks, says so, and stops in good order."""
    core = CoreUnderTest(tmp_path, None)
    until(lambda: core.status().get("broker"), what=core.log_lines)
    assert not core.status()["broker"]["connected"]
    core.stop()
    assert any(r.kind == Kind.TICK for r in records(core.journal))
