"""Intake in this process: a full journal, decisions that are journaled first, backlog on disk."""

import json
import threading
import time
from typing import Any

import pytest

from adapters.registry import load_all
from config import load_site
from ingest.shedding import decided
from journal.log import SegmentedLog
from link.messages import Incoming, Token
from model.errors import Reason
from model.records import Kind
from tests.node.logs import assert_same, assert_whole, outputs, records, undisturbed
from tests.node.site import REPORTS, publisher, report, until, write_site
from vedette import intake as intake_module
from vedette.core import Core
from vedette.intake import Intake, row_of

pytestmark = [pytest.mark.node, pytest.mark.broker]

MOSQUITTO = pytest.mark.parametrize("broker", [{"prefer": "mosquitto"}], indirect=True)


@MOSQUITTO
def test_a_full_journal_stops_the_acks_and_heals(tmp_path, broker) -> None:
    site = load_site(write_site(tmp_path, broker))
    with SegmentedLog(tmp_path / "journal", budget_bytes=100_000) as journal:
        intake = Intake(site, journal)
        intake.start(0)
        assert intake.subscriber.wait_subscribed(20.0)
        source = publisher(broker)
        payloads = [report(n) for n in range(400)]
        assert source.publish_all((REPORTS, p) for p in payloads).stored == 400
        until(lambda: intake.journal_status()["stalled"])
        assert "budget" in intake.journal_status()["stalled"]
        until(lambda: intake.counts.received >= 400)
        journaled = sum(r.kind == Kind.MESSAGE for r in journal.read(0))
        assert intake.counts.acked <= journaled < 400
        journal.budget_bytes = 10_000_000  # somebody made room
        until(lambda: intake.counts.acked == 400, what=lambda: intake.counts)
        assert not intake.journal_status()["stalled"]
        assert [r.payload for r in journal.read(0) if r.kind == Kind.MESSAGE] == payloads
        assert intake.counts.stale_acks == 0
        assert intake.stop_taking(3.0) == 0
        intake.close(2.0)
        assert source.stop()


class Slow:
    """The report adapter, but some payloads take for ever to decode."""

    def __init__(self) -> None:
        self._report = load_all()["report"]
        self.name = "report"
        self.version = self._report.version

    def check_options(self, options) -> Any:
        return self._report.check_options(options)

    def decode(self, messages, sensors, state) -> Any:
        while any(b"slow" in payload for payload in messages.payload):
            pass
        return self._report.decode(messages, sensors, state)


def run(core, script) -> Any:
    """Run a core here (decoders are timed in the main thread only) and a script beside it."""
    failed = []

    def beside() -> Any:
        try:
            script()
        except BaseException as error:  # noqa: BLE001 - raised again below
            failed.append(error)
        finally:
            core.stopping.set()

    thread = threading.Thread(target=beside)
    thread.start()
    core.run()
    thread.join()
    if failed:
        raise failed[0]


@MOSQUITTO
def test_a_decoder_without_end_is_shed_and_stays_shed_on_replay(tmp_path, broker) -> None:
    site_path = write_site(tmp_path, broker)
    text = site_path.read_text().replace("[limits]", "[limits]\ndecode_timeout_s = 0.1")
    site_path.write_text(text)
    site = load_site(site_path)
    core = Core(site)
    core.adapters["report"] = Slow()
    source = publisher(broker)

    def script() -> Any:
        for n in range(20):
            payload = report(n) if n != 10 else b'{"slow": 1}'
            while source.publish_all([(REPORTS, payload)]).stored == 0:
                time.sleep(0.01)
        until(lambda: core.metrics.shed._value.get() == 1)
        until(lambda: core.journal.end - core.processed <= 1)

    run(core, script)
    assert source.stop()
    journal = site.data_dir / "journal"
    (shed,) = [r for r in records(journal) if r.kind == Kind.SHED]
    ((culprit, reason),) = decided(shed.payload, shed.offset)
    assert reason == Reason.DECODER_TIMEOUT
    found = outputs(site.data_dir / "outputs")
    assert [(q.offset, q.reason) for b in found for q in b.quarantined] == [
        (culprit, Reason.DECODER_TIMEOUT)
    ]
    assert sum(b.detections.n_reports for b in found) == 19
    # A replay with the mended decoder does not change history.
    assert_same(found, undisturbed(journal))
    # From the start again, with the bad decoder and no limit: it is not even asked.
    for snapshot in (site.data_dir / "snapshots").glob("*.snap"):
        snapshot.unlink()
    again = Core(site)
    again.adapters["report"] = Slow()
    run(again, lambda: None)
    assert_same(outputs(site.data_dir / "outputs"), undisturbed(journal))


@MOSQUITTO
@pytest.mark.parametrize("heals", [True, False])
def test_a_decision_that_waits_for_a_full_journal_holds_nothing_up(tmp_path, broker, heals) -> None:
    """The main thread alone can make room: it goes on with its timers, and heeds a stop."""
    site_path = write_site(tmp_path, broker)
    text = site_path.read_text().replace("[limits]", "[limits]\ndecode_timeout_s = 0.1")
    site_path.write_text(text)
    core = Core(load_site(site_path))
    core.adapters["report"] = Slow()
    source = publisher(broker)
    room = core.journal.budget_bytes
    decoding = threading.Event()
    stopped: list[float] = []

    def script() -> Any:
        until(lambda: core.intake is not None and core.intake.subscriber.wait_subscribed(1.0))
        intake = core.intake
        assert intake is not None
        decide = intake.decide

        def told(payloads, meanwhile) -> bool:
            core.journal.budget_bytes = 1  # the last moment in which there was room
            decoding.set()
            return decide(payloads, meanwhile)

        intake.decide = told  # type: ignore[method-assign] # to choose the moment
        assert source.publish_all([(REPORTS, report(1)), (REPORTS, b'{"slow": 1}')]).stored == 2
        assert decoding.wait(20.0)
        until(lambda: intake.journal_status()["stalled"])
        due = core._status_due, core._snapshot_due
        until(lambda: core._status_due > due[0] + 1.0 and core._snapshot_due > due[1] + 0.5)
        if heals:
            core.journal.budget_bytes = room
            until(lambda: core.metrics.shed._value.get() == 1)
        stopped.append(time.monotonic())

    run(core, script)
    assert time.monotonic() - stopped[0] < 8.0
    assert source.stop()
    folder = core.site.data_dir
    before = outputs(folder / "outputs")
    assert len([q for b in before for q in b.quarantined]) == int(heals)
    again = Core(core.site)  # with room again; what was not decided is decided now
    again.adapters["report"] = Slow()
    run(again, lambda: until(lambda: again.processed > 0 and again.intake is not None))
    found = outputs(folder / "outputs")
    assert [q.reason for b in found for q in b.quarantined] == [Reason.DECODER_TIMEOUT]
    assert_whole(found)
    assert_same(found, undisturbed(folder / "journal"))


@MOSQUITTO
def test_what_memory_does_not_hold_is_read_from_the_journal(tmp_path, broker, monkeypatch) -> None:
    monkeypatch.setattr(intake_module, "BACKLOG", 3)
    site = load_site(write_site(tmp_path, broker))
    core = Core(site)
    source = publisher(broker)

    def script() -> Any:
        until(lambda: core.intake is not None and core.intake.subscriber.wait_subscribed(1.0))
        assert source.publish_all((REPORTS, report(n)) for n in range(300)).stored == 300
        until(lambda: core.journal.end - core.processed <= 1 and core.account.reports == 300)

    run(core, script)
    assert source.stop()
    assert_same(outputs(site.data_dir / "outputs"), undisturbed(site.data_dir / "journal"))


def test_only_what_is_over_the_limit_is_cut() -> None:
    message = Incoming(Token(1, 1, 1), REPORTS, b"x" * 100, 0)
    assert row_of(message, 100) == (Kind.MESSAGE, b"x" * 100)
    kind, payload = row_of(message, 99)
    assert kind == Kind.OVERSIZE
    assert json.loads(payload)["length"] == 100
