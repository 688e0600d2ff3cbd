"""The doctor finds what is wrong in a data folder, says what rests on it, and touches nothing."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.cursor import Cursor
from journal.log import SegmentedLog
from model.errors import VedetteError
from tests.node.folder import Folder, frame_rows, output_row
from vedette.cli import main
from vedette.doctor_findings import BROKEN, FINE, LOOK
from vedette.doctor_journal import data_folder, examine, without
from vedette.receipting import Receipts


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def doctor(capsys, *arguments):
    """Exit status and JSON of the command."""
    status = main(["doctor", *map(str, arguments), "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_a_whole_folder_is_fine_and_stays_as_it_is(folder, capsys) -> None:
    before = folder.files()
    status, told = doctor(capsys, "journal", folder.data)
    assert (status, told["findings"]) == (0, [])
    assert told["journal"]["kinds"] == {"message": 200, "config": 1}
    assert told["journal"]["end"] == 201
    assert told["receipts"] == {"records": 1, "through": 201, "boots": 1}
    assert told["cursors"] == {"storage-inputs": 180, "storage-outputs": folder.outputs_end}
    assert told["snapshots"] == {"50": "fine", "100": "fine", "150": "fine"}
    assert told["starts_from"] == 150
    assert folder.files() == before
    assert main(["doctor", "journal", str(folder.data / "journal")]) == 0
    assert "nothing wrong" in capsys.readouterr().out


def test_a_flipped_bit_is_named_with_everything_that_rests_on_it(folder, capsys) -> None:
    path = folder.segments()[1]
    first = int(path.stem)
    folder.flip(path, 500)
    before = folder.files()
    status, told = doctor(capsys, "journal", folder.data)
    assert status == 2
    assert folder.files() == before
    damage, numbers = told["findings"]
    assert damage["file"] == str(path)
    lost = damage["offset"]
    assert first <= lost < first + 10
    assert damage["affected"]["first"] == lost
    assert damage["affected"]["stop"] == lost + 1
    # The frame of number n is the input n + 1, received n seconds after the start.
    assert damage["affected"]["received_after_ns"] == 1_700_000_000_000_000_000 + (lost - 2) * 10**9
    assert damage["affected"]["received_before_ns"] == 1_700_000_000_000_000_000 + lost * 10**9
    assert damage["affected"]["outputs"] == {
        "records": 1,
        "first": lost // 10,
        "last": lost // 10,
    }
    assert "2023-11-14T" in damage["text"]
    assert numbers["affected"] == {
        "sensor": "radar-1",
        "form": "framed",
        "boot": "b1",
        "seqs": [[lost - 1, lost - 1]],
    }
    assert told["receipted_and_lost"] == [numbers["affected"]]


def test_a_cut_below_receipt_and_cursor_is_found(folder, capsys) -> None:
    last = folder.segments()[-1]
    last.unlink()
    end = int(last.stem)
    status, told = doctor(capsys, "journal", folder.data)
    assert status == 2
    cuts = {one["text"].split(" but ")[1].split(" stands")[0]: one for one in told["findings"][:-1]}
    assert set(cuts) == {"receipts", "outputs"} | (
        {"cursor storage-inputs"} if end < 180 else set()
    )
    assert all(one["offset"] == end for one in cuts.values())
    assert cuts["receipts"]["affected"]["stop"] == folder.end
    assert told["findings"][-1]["affected"]["seqs"] == [[end - 1, 199]]


def test_a_cut_is_refused_by_the_core_at_its_start(folder) -> None:
    folder.segments()[-1].unlink()
    with (
        SegmentedLog(folder.data / "journal") as journal,
        pytest.raises(VedetteError, match=r"receipts were given for inputs up to 201.*doctor"),
    ):
        Receipts(folder.site, journal, folder.publisher)


def test_a_torn_end_is_worth_a_look_only(folder, capsys) -> None:
    with folder.segments()[-1].open("ab") as file:
        file.write(b"\x01" * 30)
    status, told = doctor(capsys, "journal", folder.data)
    assert status == 1
    (torn,) = told["findings"]
    assert (torn["level"], torn["offset"]) == (LOOK, 201)
    assert "torn end: 30 bytes" in torn["text"]


def test_beside_a_writer_an_unfinished_end_is_nothing(folder) -> None:
    with SegmentedLog(folder.data / "journal"):
        with folder.segments()[-1].open("ab") as file:
            file.write(b"\x01" * 30)
        report = examine(folder.data)
    assert (report.status, report.findings) == (FINE, [])
    assert report.facts["writer_pid"] == os.getpid()
    assert examine(folder.data).facts["writer_pid"] == 0


def test_beside_a_node_at_work_nothing_is_wrong(folder) -> None:
    """Between any two writes of a node: promises are read before what they are held against."""
    with SegmentedLog(folder.data / "journal", segment_bytes=4_000) as journal:
        for turn in range(20):
            journal.append(frame_rows(200 + 5 * turn, 5))
            assert examine(folder.data).status == FINE


def test_snapshots_that_are_damaged(folder, capsys) -> None:
    snapshots = sorted((folder.data / "snapshots").glob("*.snap"))
    folder.flip(snapshots[-1], 40)
    status, told = doctor(capsys, "journal", folder.data)
    assert (status, told["starts_from"]) == (1, 100)
    assert "its checksum does not match" in told["findings"][0]["text"]
    assert "100 is used instead" in told["findings"][0]["advice"]
    for path in snapshots[:-1]:
        folder.flip(path, 40)
    status, told = doctor(capsys, "journal", folder.data)
    assert (status, told["starts_from"]) == (1, 0)
    assert "the whole journal is run again" in told["findings"][0]["advice"]
    with SegmentedLog(folder.data / "journal") as journal:
        assert journal.release(150)
    status, told = doctor(capsys, "journal", folder.data)
    assert (status, told["starts_from"]) == (2, -1)
    assert any("no snapshot is usable" in one["text"] for one in told["findings"])


def test_of_a_journal_whose_beginning_was_let_go_only_what_is_certain_is_named(folder) -> None:
    with SegmentedLog(folder.data / "journal") as journal:
        assert journal.release(100)
        start = journal.start
    assert examine(folder.data).status == FINE
    folder.flip(folder.segments()[1], 500)
    report = examine(folder.data)
    (damage,) = [one for one in report.findings if "cannot be read" in one.text]
    assert damage.offset > start
    assert report.facts["receipted_and_lost"] == [
        {
            "sensor": "radar-1",
            "form": "framed",
            "boot": "b1",
            "seqs": [[damage.offset - 1, damage.offset - 1]],
        }
    ]


def test_damaged_cursors_outputs_and_receipts(folder) -> None:
    (folder.data / "cursors" / "storage-inputs").write_bytes(b"nonsense")
    Cursor(folder.data / "cursors" / "storage-outputs").save(10_000)
    folder.flip(folder.segments("outputs")[0], 300)
    folder.flip(folder.segments("receipts")[0], 50)
    found = {
        (one.level, one.file.removeprefix(f"{folder.data}/"))
        for one in examine(folder.data).findings
    }
    outputs = folder.segments("outputs")[0].name
    assert (BROKEN, "cursors/storage-inputs") in found
    assert (LOOK, "outputs") in found
    assert (BROKEN, f"outputs/{outputs}") in found


def test_outputs_that_leave_inputs_out(folder) -> None:
    with SegmentedLog(folder.data / "outputs") as outputs:
        outputs.append([output_row(210, 220)])
    report = examine(folder.data)
    assert any("covers inputs from 210 on" in one.text for one in report.findings)
    assert report.status == BROKEN


def test_a_mistake_in_the_command(tmp_path, capsys) -> None:
    assert main(["doctor", "journal", str(tmp_path)]) == 2
    assert "is no data folder of a node" in capsys.readouterr().err
    assert main(["doctor", "journal"]) == 2
    assert "doctor: give nothing" in capsys.readouterr().err
    with pytest.raises(VedetteError):
        data_folder(tmp_path / "snapshots")


def test_a_site_of_which_nothing_is_there(folder, capsys) -> None:
    status, told = doctor(capsys, folder.site.path)
    assert status == 2  # no broker answers at port 1
    assert any("broker: " in one["text"] for one in told["findings"])
    assert any("database: " in one["text"] for one in told["findings"])
    assert told["journal"]["end"] == 201
    folder.site.path.write_text("[node]\nnam = 1\n")
    status, told = doctor(capsys, folder.site.path)
    assert status == 2
    assert "site.toml" in told["findings"][0]["text"]


def test_this_installation(capsys) -> None:
    assert doctor(capsys)[0] == 0


SPANS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5)), max_size=6)


@given(SPANS, SPANS)
def test_intervals_without_others(some, others) -> None:
    one = disjoint(some)
    two = disjoint(others)
    left = without(one, two)
    numbers = [n for first, last in left for n in range(first, last + 1)]
    assert numbers == sorted(covered(one) - covered(two))


def disjoint(spans):
    found: list[tuple[int, int]] = []
    for first, length in sorted(spans):
        if not found or first > found[-1][1] + 1:
            found.append((first, first + length))
    return found


def covered(spans):
    return {n for first, last in spans for n in range(first, last + 1)}
