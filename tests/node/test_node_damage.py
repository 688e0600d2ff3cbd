"""A core whose snapshots are damaged gives the outputs of an undisturbed run all the same."""

import time

import pytest

from config import load_site
from journal.log import SegmentedLog
from journal.snapshot import list_snapshots
from model.errors import VedetteError
from model.records import Kind
from tests.node.logs import assert_same, assert_whole, outputs, undisturbed
from tests.node.site import REPORTS, report, until, write_site
from tests.node.test_node_intake import run
from vedette.core import Core
from vedette.doctor_findings import LOOK
from vedette.doctor_journal import examine

pytestmark = pytest.mark.node


def journal_reports(site, first, count) -> None:
    """What a node that is away had journaled and not processed when it was killed."""
    with SegmentedLog(site.data_dir / "journal") as journal:
        rows = []
        if not journal.end:
            rows.append((Kind.CONFIG, time.time_ns(), "", site.engine_payload(), 0))
        for number in range(first, first + count):
            rows.append((Kind.MESSAGE, time.time_ns(), REPORTS, report(number), 0))
        journal.append(rows)
        journal.sync()


def live(site) -> None:
    """A core's life, from its start to its stop, without a broker."""
    core = Core(site)
    run(core, lambda: until(lambda: core.intake is not None))


def flip(path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("how_many", [1, 99])
def test_damaged_snapshots_change_no_output(tmp_path, caplog, how_many) -> None:
    site = load_site(write_site(tmp_path, snapshot_every_s=1000.0))
    for turn in range(3):
        journal_reports(site, 20 * turn, 20)
        live(site)
    snapshots = list_snapshots(site.data_dir / "snapshots")
    assert len(snapshots) == 3
    damaged = snapshots[-how_many:]
    for path in damaged:
        flip(path)
    journal_reports(site, 60, 20)
    examined = examine(site.data_dir)
    assert examined.status == LOOK
    assert len(examined.findings) == len(damaged)
    before = int(snapshots[0].stem) if how_many == 99 else int(snapshots[-2].stem)
    assert examined.facts["starts_from"] == (0 if how_many == 99 else before)
    caplog.clear()
    with caplog.at_level("INFO", "vedette.core"):
        live(site)
    assert f"recovered from={examined.facts['starts_from']} " in caplog.text
    assert caplog.text.count("snapshot skipped") == len(damaged)
    found = outputs(site.data_dir / "outputs")
    assert_whole(found)
    assert sum(batch.detections.n_reports for batch in found) == 80
    assert_same(found, undisturbed(site.data_dir / "journal"))


def test_without_any_snapshot_a_journal_without_its_beginning_is_refused(tmp_path) -> None:
    site = load_site(write_site(tmp_path, snapshot_every_s=1000.0))
    with SegmentedLog(site.data_dir / "journal", segment_bytes=4_000) as journal:
        journal.append([(Kind.CONFIG, time.time_ns(), "", site.engine_payload(), 0)])
        for number in range(40):
            journal.append([(Kind.MESSAGE, time.time_ns(), REPORTS, report(number), 0)])
        journal.sync()
    live(site)
    with SegmentedLog(site.data_dir / "journal") as journal:
        assert journal.release(20) > 0
    for path in list_snapshots(site.data_dir / "snapshots"):
        flip(path)
    with pytest.raises(VedetteError, match=r"no snapshot in .* helps to go on"):
        live(site)
    assert examine(site.data_dir).status == 2
