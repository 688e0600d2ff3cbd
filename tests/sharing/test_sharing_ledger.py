"""The ledger: written before it is sent, and the same after any end."""

import random
import time

import numpy as np
import pytest

from journal.codec import pack, unpack
from journal.log import SegmentedLog
from journal.reader import LogReader
from model.errors import JournalError
from model.records import Kind
from sharing import ledger as module
from sharing.closing import OpenTracks, decide
from sharing.entry import Entry
from sharing.ledger import Ledger, verify
from sharing.release import Parties, refusals, transform
from sharing.rows import genesis
from tests.sharing.ledger_writer import inputs
from tests.sharing.samples import NOW_NS, PARTIES, agreement, same, updates
from vedette.local.process import Child

KILLS = 6


def append(ledger: Ledger, count, through, **columns) -> Entry:
    rows = transform(updates(count, **columns), agreement())
    zero = np.zeros(count, dtype=np.uint8)
    return ledger.append(
        rows, zero, np.full(count, through), np.arange(count, dtype=np.int32), through, NOW_NS
    )


def whole(ledger) -> list[Entry]:
    return list(ledger.read(1, ledger.last))


def test_rows_are_numbered_without_gaps_and_found_again(tmp_path) -> None:
    with Ledger(tmp_path, PARTIES, "a-1") as ledger:
        assert (ledger.last, ledger.through) == (0, -1)
        entries = [append(ledger, count, 10 * n) for n, count in enumerate([3, 1, 0, 5, 2])]
        assert [entry.first for entry in entries] == [1, 4, 5, 5, 10]
        assert (ledger.last, ledger.through) == (11, 40)
        for first in range(1, 12):
            for last in range(first, 14):
                found = list(ledger.read(first, last))
                told = [seq for one in found for seq in range(one.first, one.last + 1)]
                assert told == list(range(first, min(last, 11) + 1))
                for one in found:
                    assert one.before == ledger.head_at(one.first - 1)
                    assert one.heads[-1] == ledger.head_at(one.last)
        assert not list(ledger.read(12, 20))
        assert ledger.head_at(0) == genesis("north", "south", "a-1")


def test_heads_are_the_same_from_memory_and_from_the_disk(tmp_path, monkeypatch) -> None:
    """A few rows' heads are in memory; those before them, and after an opening all, are read."""
    monkeypatch.setattr(module, "RECENT_ROWS", 4)
    with Ledger(tmp_path, PARTIES, "a-1") as ledger:
        entries = [append(ledger, count, 10 * n) for n, count in enumerate([3, 1, 5, 2, 1])]
        heads = [head for entry in entries for head in entry.heads]
        assert [ledger.head_at(1 + row) for row in range(12)] == heads
        assert ledger._recent_rows == sum(len(found) for _, found in ledger._recent) == 3
        monkeypatch.setattr(ledger, "read", lambda *_: iter(()))
        assert [ledger.head_at(seq) for seq in (10, 11, 12)] == heads[9:]
        with pytest.raises(JournalError, match="the row 9 is not there"):
            ledger.head_at(9)
    with Ledger(tmp_path, PARTIES, "a-1") as ledger:
        assert [ledger.head_at(1 + row) for row in range(12)] == heads


def test_an_opening_goes_on_where_it_ended(tmp_path) -> None:
    with Ledger(tmp_path, PARTIES, "a-1") as ledger:
        append(ledger, 3, 5)
        ledger.note_terms("text", NOW_NS)
        before = whole(ledger)
        head = ledger.head
    with Ledger(tmp_path, PARTIES, "a-1") as again:
        assert (again.last, again.head, again.through, again.terms) == (3, head, 5, "text")
        assert same(again.held.rows, before[0].rows)
        found = whole(again)
        assert found[0].known_offset.tolist() == [5, 5, 5]
        assert found[0].n.tolist() == [0, 1, 2]
        assert same(found[0].rows, before[0].rows)
        append(again, 1, 6)
        assert again.last == 4


def test_a_checkpoint_shortens_the_opening_and_changes_nothing(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module, "CHECKPOINT_RECORDS", 10)
    with Ledger(tmp_path, PARTIES, "a-1") as ledger:
        for n in range(35):
            append(ledger, 1, n, track_id=1 + n % 7, revision=n)
        head, held = ledger.head, ledger.held.rows
    with LogReader(tmp_path) as reader:
        kinds = [record.kind for record in reader.read(0)]
    assert kinds.count(Kind.STATUS) == 3
    with Ledger(tmp_path, PARTIES, "a-1") as again:
        assert (again.last, again.head) == (35, head)
        assert same(again.held.rows, held)
        assert [one.first for one in again.read(9, 13)] == [9, 10, 11, 12, 13]
        assert again.verify().rows == 35


def test_progress_without_rows_is_noted_now_and_then(tmp_path) -> None:
    with Ledger(tmp_path, PARTIES, "a-1") as ledger:
        for n in range(50):
            append(ledger, 0, n)
        assert ledger.through == 49
        assert sum(1 for _ in LogReader(tmp_path).read(0)) == 1
        ledger.checkpoint(NOW_NS)
    with Ledger(tmp_path, PARTIES, "a-1") as again:
        assert again.through == 49


def test_a_ledger_of_other_parties_is_not_taken(tmp_path) -> None:
    with Ledger(tmp_path, PARTIES, "a-1") as ledger:
        append(ledger, 2, 1)
    for parties, name in ((Parties("north", "west"), "a-1"), (PARTIES, "a-2")):
        with pytest.raises(JournalError):
            Ledger(tmp_path, parties, name)
        assert verify(tmp_path, parties, name).broken == 1


def test_one_writer_only(tmp_path) -> None:
    with Ledger(tmp_path, PARTIES, "a-1"), pytest.raises(JournalError, match="is writing"):
        Ledger(tmp_path, PARTIES, "a-1")


def rewritten(source, target, change) -> None:
    """A ledger whose records somebody changed, each with a sound checksum."""
    with LogReader(source) as reader, SegmentedLog(target) as log:
        for record in reader.read(0):
            document = change(unpack(record.payload))
            if document is not None:
                log.append([(record.kind, record.received_ns, record.topic, pack(document), 0)])


def moved(document, row):
    columns = dict(document["columns"])
    columns["state"] = columns["state"].copy()
    columns["state"][row, 0] += 1e-9
    return {**document, "columns": columns}


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        (lambda d: d, 0),
        (lambda d: moved(d, 0) if d["first"] == 4 else d, 4),
        (lambda d: {**moved(d, 1), "after": bytes(32)} if d["first"] == 4 else d, 4),
        (lambda d: None if d["first"] == 4 else d, 4),
        (lambda d: {**d, "first": 9} if d["first"] == 7 else d, 7),
        (lambda d: {**d, "before": bytes(32)} if d["first"] == 7 else d, 7),
        (lambda d: {**d, "columns": {}} if d["first"] == 7 else d, 7),
    ],
)
def test_verify_names_the_first_broken_row(tmp_path, change, broken) -> None:
    with Ledger(tmp_path / "a", PARTIES, "a-1") as ledger:
        for n in range(3):
            append(ledger, 3, n)
        head = ledger.head
    rewritten(tmp_path / "a", tmp_path / "b", change)
    found = verify(tmp_path / "b", PARTIES, "a-1")
    assert found.broken == broken
    assert bool(found.problem) == bool(broken)
    assert found.rows == (broken - 1 if broken else 9)
    if broken:
        with pytest.raises(JournalError):
            Ledger(tmp_path / "b", PARTIES, "a-1")
    else:
        assert found.head == head.hex()


def test_a_killed_writer_leaves_nothing_out_and_nothing_twice(tmp_path) -> None:
    folder, sent = tmp_path / "ledger", tmp_path / "sent"
    generator = random.Random(5)
    size = 0
    for _ in range(KILLS):
        child = Child.python(
            "writer", "tests.sharing.ledger_writer", [str(folder), str(sent)], log=tmp_path / "log"
        )
        deadline = time.monotonic() + 30.0
        while not sent.exists() or sent.stat().st_size <= size:
            assert child.poll() is None, child.log_tail()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(generator.uniform(0.0, 0.2))
        child.kill()
        size = sent.stat().st_size
    with Ledger(folder, PARTIES, "a-1") as ledger:
        entries = whole(ledger)
        through = ledger.through
        assert ledger.verify().broken == 0
        # what was sent stands in the ledger as it was sent
        for line in sent.read_text().splitlines():
            _, last, head = line.split()
            assert ledger.head_at(int(last)).hex() == head
    # and the ledger is what an undisturbed publisher would have written
    held, found = OpenTracks(), []
    for offset in range(through + 1):
        rows = inputs(offset)
        made = decide(rows, refusals(rows, agreement(), NOW_NS, PARTIES), agreement(), held)
        held.take(made.rows)
        found += [
            (int(rows.known_offset[source]), int(rows.n[source]), int(why))
            for source, why in zip(made.source, made.why, strict=True)
        ]
    assert [
        (int(o), int(n), int(w))
        for e in entries
        for o, n, w in zip(e.known_offset, e.n, e.why, strict=True)
    ] == found
    assert len(found) > 100
