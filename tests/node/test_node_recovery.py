"""Starts after bad ends, and journals that had to let go of their beginning."""

import time

import pytest

from config import load_site
from ingest.shedding import decided
from journal.codec import pack_output
from journal.log import SegmentedLog
from journal.snapshot import SnapshotStore
from model.detections import Detections
from model.errors import ConfigError, Reason
from model.ports import OutputBatch
from model.records import Kind
from model.tracks import TrackUpdates
from tests.node.logs import assert_same, assert_whole, outputs, records, undisturbed
from tests.node.site import REPORTS, publisher, report, start, until, write_site
from tests.node.test_node_intake import Slow, run
from vedette import retention
from vedette.core import Core
from vedette.retention import StoredMarks, let_go

pytestmark = [pytest.mark.node, pytest.mark.broker]

MOSQUITTO = pytest.mark.parametrize("broker", [{"prefer": "mosquitto"}], indirect=True)


@MOSQUITTO
def test_a_core_killed_inside_a_decoder_without_end_comes_up_again(tmp_path, broker) -> None:
    path = write_site(tmp_path, broker)
    text = path.read_text().replace("[limits]", "[limits]\ndecode_timeout_s = 0.1")
    path.write_text(text)
    site = load_site(path)
    with SegmentedLog(site.data_dir / "journal") as journal:
        now = time.time_ns()
        rows = [(Kind.CONFIG, now, "", site.engine_payload(), 0)]
        for number in range(9):
            payload = b'{"slow": 1}' if number == 4 else report(number)
            rows.append((Kind.MESSAGE, now + number, REPORTS, payload, 0))
        journal.append(rows)
        journal.sync()
    core = Core(site)
    core.adapters["report"] = Slow()
    run(core, lambda: until(lambda: core.intake is not None))
    found = outputs(site.data_dir / "outputs")
    assert_whole(found)
    assert sum(batch.detections.n_reports for batch in found) == 8
    assert [(q.offset, q.reason) for b in found for q in b.quarantined] == [
        (5, Reason.DECODER_TIMEOUT)
    ]
    (shed,) = [r for r in records(site.data_dir / "journal") if r.kind == Kind.SHED]
    assert decided(shed.payload, shed.offset) == [(5, Reason.DECODER_TIMEOUT)]
    assert_same(found, undisturbed(site.data_dir / "journal"))


@MOSQUITTO
def test_a_journal_that_let_go_of_its_beginning_goes_on(tmp_path, broker) -> None:
    site = load_site(write_site(tmp_path, broker, snapshot_every_s=0.2))
    core = Core(site)
    core.journal.close()
    core.journal = SegmentedLog(site.data_dir / "journal", segment_bytes=8192)
    core._budget_bytes = 40_000
    marks = StoredMarks(site.data_dir)
    source = publisher(broker)

    def script() -> None:
        until(lambda: core.intake is not None and core.intake.subscriber.wait_subscribed(1.0))
        sent = 0
        while core.journal.start == 0:
            assert source.publish_all([(REPORTS, report(sent))]).stored == 1
            sent += 1
            marks.save(max(core.processed - 20, 0), 0)  # storage lags a little behind
            assert sent < 5000

    run(core, script)
    start = records(site.data_dir / "journal")[0].offset
    stored = marks.inputs.load()
    assert stored is not None
    assert 0 < start <= stored
    again = Core(site)
    run(again, lambda: until(lambda: again.intake is not None))
    assert source.stop()
    assert_whole(outputs(site.data_dir / "outputs"))


def test_nothing_is_let_go_that_storage_or_a_snapshot_needs(tmp_path) -> None:
    snapshots = SnapshotStore(tmp_path / "snapshots")
    marks = StoredMarks(tmp_path)
    with (
        SegmentedLog(tmp_path / "journal", segment_bytes=4096) as journal,
        SegmentedLog(tmp_path / "outputs", segment_bytes=4096) as log,
    ):
        for number in range(200):
            journal.append([(Kind.MESSAGE, number, "t", b"x" * 200, 0)])
            log.append([(Kind.OUTPUT, number, "", b"x" * 200, 0)])
        journal.sync()
        assert let_go(journal, log, snapshots, marks, 1000) == 0
        marks.save(150, 30)
        assert let_go(journal, log, snapshots, marks, 10**9) == 0
        snapshots.save(70, {})
        assert let_go(journal, log, snapshots, marks, 1000) > 0
        assert 40 < journal.start <= 70
        assert 0 < log.start <= 30
        snapshots.save(190, {})
        snapshots.save(191, {})
        snapshots.save(192, {})
        let_go(journal, log, snapshots, marks, 1000)
        assert 70 < journal.start <= 150


def test_no_more_is_let_go_than_is_over_nor_much_at_once(tmp_path, monkeypatch) -> None:
    snapshots = SnapshotStore(tmp_path / "snapshots")
    snapshots.save(200, {})
    marks = StoredMarks(tmp_path)
    marks.save(200, 200)
    with (
        SegmentedLog(tmp_path / "journal", segment_bytes=4096) as journal,
        SegmentedLog(tmp_path / "outputs", segment_bytes=4096) as log,
    ):
        for number in range(200):
            journal.append([(Kind.MESSAGE, number, "t", b"x" * 200, 0)])
            log.append([(Kind.OUTPUT, number, "t", b"x" * 200, 0)])
        whole = log.size_bytes
        assert let_go(journal, log, snapshots, marks, whole) > 0
        assert 0.8 * whole - 4096 < log.size_bytes <= 0.8 * whole
        assert journal.size_bytes == log.size_bytes
        assert let_go(journal, log, snapshots, marks, whole) == 0
        monkeypatch.setattr(retention, "STEP_BYTES", 5_000)
        assert 2 * 5_000 <= let_go(journal, log, snapshots, marks, whole // 8) < 4 * 4096 + 1
        while let_go(journal, log, snapshots, marks, whole // 8):
            pass
        assert log.size_bytes <= 0.8 * (whole // 8)


def test_outputs_of_another_version_end_the_node_with_one_clear_line(tmp_path) -> None:
    path = write_site(tmp_path)
    folder = load_site(path).data_dir / "outputs"
    with SegmentedLog(folder, durable=False) as log:
        log.append([(Kind.OUTPUT, time.time_ns(), "", b"\x41 of the version before", 0)])
    child = start("vedette.core", path, tmp_path / "core.log")
    until(lambda: child.poll() is not None)
    assert child.poll() == 2  # so the supervisor does not start it again and again
    lines = (tmp_path / "core.log").read_text().splitlines()
    (line,) = [line for line in lines if "another version" in line]
    assert "data_dir" in line
    assert str(folder) in line
    assert "0x41" in line
    assert "Traceback" not in "".join(lines)


@pytest.mark.parametrize("whole", [True, False])
def test_a_snapshot_of_another_version_is_done_without_or_named(tmp_path, caplog, whole) -> None:
    site = load_site(write_site(tmp_path))
    with SegmentedLog(site.data_dir / "journal", segment_bytes=4096) as journal:
        now = time.time_ns()
        rows = [(Kind.CONFIG, now, "", site.engine_payload(), 0)]
        rows += [(Kind.MESSAGE, now + n, REPORTS, report(n), 0) for n in range(40)]
        for row in rows:
            journal.append([row])
        journal.sync()
        if not whole:
            assert journal.release(30) > 0
    SnapshotStore(site.data_dir / "snapshots").save(35, {"version": 1})
    nothing = OutputBatch(0, 36, (), Detections.empty(), TrackUpdates.empty())
    with SegmentedLog(site.data_dir / "outputs", durable=False) as log:
        log.append([(Kind.OUTPUT, time.time_ns(), "", pack_output(nothing), 0)])
    core = Core(site)
    if whole:
        run(core, lambda: until(lambda: core.intake is not None))
        assert "the whole journal is run again" in caplog.text
        assert core.processed >= 41
    else:
        with pytest.raises(ConfigError, match=r"data_dir.*snapshots.*another version"):
            core.run()
