"""Receipts say what is in the journal: never more, never early, after any crash."""

import json
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config import load_site
from ingest.receipts import Receipt, decode_receipt
from ingest.routes import wrap
from journal.log import SegmentedLog
from link.connection import LinkStatus
from model.errors import JournalFull, VedetteError
from model.records import Kind
from tests.node.folder import FRAMED, START_NS, FakePublisher, frame_rows
from tests.node.site import REPORTS, report, write_site
from vedette import receipting
from vedette.receipting import FOLDER, Receipts, rounds


class Node:
    """Journal and receipts of a core; threads are left out, rounds are called."""

    def __init__(self, path, **journal: Any) -> None:
        self.site = load_site(path if path.suffix else write_site(path))
        self.journal = SegmentedLog(self.site.data_dir / "journal", **journal)
        self.publisher = FakePublisher()
        try:
            self.receipts = Receipts(self.site, self.journal, self.publisher)
        except BaseException:
            self.journal.close()
            raise

    def take(self, rows, *, offer=True, sync=True) -> None:
        first = self.journal.append(rows)
        if sync:
            self.journal.sync()
        if offer:
            self.receipts.offer(list(self.journal.read(first)))

    def round(self) -> list[Receipt]:
        """What a round publishes."""
        before = len(self.publisher.published)
        self.receipts.round()
        found = []
        for topic, payload in self.publisher.published[before:]:
            receipt = decode_receipt(payload)
            assert isinstance(receipt, Receipt)
            assert topic == f"vedette/north/receipts/{receipt.source}"
            found.append(receipt)
        return found

    def killed(self) -> None:
        """As after kill -9: files as they are, nothing told on the way out."""
        self.receipts._reader.close()
        self.receipts._log.close()
        self.journal.close()


@pytest.fixture
def node(tmp_path) -> Any:
    made = Node(tmp_path)
    yield made
    made.killed()


def spans(receipts) -> Any:
    return {(e.sensor, e.form, e.boot): e.seqs for r in receipts for e in r.stored}


def test_frames_and_reports_are_told_apart_and_ticks_are_nothing(node) -> None:
    node.take([(Kind.TICK, START_NS, "", b"", 0), *frame_rows(0, 3), *frame_rows(5, 1)])
    node.take([(Kind.MESSAGE, START_NS, REPORTS, report(n), 1) for n in (7, 8)])
    (told,) = node.round()
    assert (told.source, told.through) == ("radar-1", 7)
    assert spans([told]) == {
        ("radar-1", "framed", "b1"): [(0, 2), (5, 5)],
        ("radar-1", "reports", "b1"): [(7, 8)],
    }
    assert node.round() == []
    node.take(frame_rows(2, 1))  # again: its sender does not know
    assert spans(node.round())[("radar-1", "framed", "b1")] == [(0, 2), (5, 5)]


def test_reports_alone_are_told_of_less_often(node, monkeypatch) -> None:
    clock = [10.0]
    monkeypatch.setattr("vedette.receipting.time.monotonic", lambda: clock[0])
    whose = ("radar-1", "reports", "b1")
    told = []
    for number in range(12):
        node.take([(Kind.MESSAGE, START_NS, REPORTS, report(number), 1)])
        told.append(spans(node.round()).get(whose))
        clock[0] += 0.25
    assert told == [[(0, n)] if n % 4 == 0 else None for n in range(12)]
    node.receipts.round(last=True)
    assert node.publisher.published[-1][1].count(b"[[0,11]]") == 1


def test_what_is_appended_and_not_durable_is_not_told(node) -> None:
    node.take(frame_rows(0, 3), offer=False)
    assert node.round() == []
    node.take(frame_rows(3, 1))  # durable now: all before it is, too
    assert spans(node.round()) == {("radar-1", "framed", "b1"): [(0, 3)]}


def test_nothing_is_said_that_is_not_written_down_first(node, monkeypatch) -> None:
    node.take(frame_rows(0, 3))
    real = node.publisher.publish

    def publish(topic, payload, **more) -> bool:
        written = list(rounds(node.site.data_dir / FOLDER))
        receipt = decode_receipt(payload)
        assert isinstance(receipt, Receipt)
        assert max(one.through for one in written) >= receipt.through
        return bool(real(topic, payload, **more))

    monkeypatch.setattr(node.publisher, "publish", publish)
    assert len(node.round()) == 1
    full = JournalFull("no room")
    with monkeypatch.context() as patch:
        patch.setattr(node.receipts._log, "append", lambda _: (_ for _ in ()).throw(full))
        node.take(frame_rows(3, 1))
        assert node.round() == []
    assert spans(node.round()) == {("radar-1", "framed", "b1"): [(0, 3)]}


def test_a_connection_that_is_away_or_new_is_told_all_that_counts(node) -> None:
    node.publisher.status = LinkStatus(connected=False, epoch=1)
    node.take(frame_rows(0, 3))
    assert node.round() == []
    size = node.receipts._log.size_bytes
    for _ in range(5):
        assert node.round() == []
    assert node.receipts._log.size_bytes == size  # written once, not again for each try
    node.publisher.status = LinkStatus(connected=True, epoch=2)
    assert spans(node.round()) == {("radar-1", "framed", "b1"): [(0, 2)]}
    assert node.round() == []
    node.publisher.status = LinkStatus(connected=True, epoch=3)
    node.receipts._told_s = float("-inf")  # a second later
    assert spans(node.round()) == {("radar-1", "framed", "b1"): [(0, 2)]}


def test_what_memory_had_no_room_for_is_read_from_the_journal(node, monkeypatch) -> None:
    monkeypatch.setattr(receipting, "BACKLOG", 5)
    monkeypatch.setattr(receipting, "CATCH_UP", 4)
    for first in range(0, 30, 3):
        node.take(frame_rows(first, 3))
    told: dict[Any, Any] = {}
    for _ in range(12):
        told |= spans(node.round())
    assert told == {("radar-1", "framed", "b1"): [(0, 29)]}
    assert node.receipts.status["lag_records"] == 0


def test_an_unknown_sensor_and_a_broken_frame_get_none(node) -> None:
    strange = FRAMED.replace("radar-1", "radar-9")
    node.take([(Kind.MESSAGE, START_NS, strange, wrap("b", 0, 1, b""), 1)])
    node.take([(Kind.MESSAGE, START_NS, FRAMED, b"\x94 no frame", 1)])
    node.take([(Kind.MESSAGE, START_NS, "harbour/ais", b"!AIVDM", 1)])
    assert node.round() == []


def test_a_frame_that_was_cut_is_told_as_cut(node) -> None:
    payload = wrap("b1", 4, 1, bytes(9000))
    text = {
        "why": "over the size limit",
        "length": len(payload),
        "sha256": sha256(payload).hexdigest(),
        "head": payload[:64].hex(),
    }
    node.take([(Kind.OVERSIZE, START_NS, FRAMED, json.dumps(text).encode(), 1)])
    node.take([(Kind.OVERSIZE, START_NS, FRAMED, b"{", 1)])
    (told,) = node.round()
    assert [(one.seqs, one.cut) for one in told.stored] == [([], [(4, 4)])]


def test_sources_of_the_site_file_get_theirs_alone(tmp_path) -> None:
    site = write_site(tmp_path)
    site.write_text(site.read_text() + '[[source]]\nid = "gate"\nsensors = ["radar-1"]\n')
    node = Node(site)
    node.take(frame_rows(0, 1))
    node.take([(Kind.MESSAGE, 1, FRAMED.replace("radar-1", "ais-1"), wrap("x", 0, 1, b""), 1)])
    found = {one.source: [entry.sensor for entry in one.stored] for one in node.round()}
    assert found == {"gate": ["radar-1"], "ais-1": ["ais-1"]}
    node.killed()


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["take", "take", "round", "kill", "lose log"]), st.integers(0, 9)
        ),
        max_size=25,
    )
)
def test_after_any_kill_receipts_are_those_of_the_journal(tmp_path_factory, actions) -> None:
    folder = tmp_path_factory.mktemp("node")
    node = Node(folder)
    site = node.site.path
    taken: list[tuple[str, int]] = []
    boot = 0
    for action, number in [*actions, ("kill", 0), ("take", 1), ("round", 0)]:
        if action == "take":
            node.take(frame_rows(number, 2, f"b{boot}"), offer=number % 3 != 0)
            taken += [(f"b{boot}", number), (f"b{boot}", number + 1)]
        elif action == "round":
            for one in node.round():
                for entry in one.stored:
                    for first, last in entry.seqs:
                        claimed = {(entry.boot, seq) for seq in range(first, last + 1)}
                        assert claimed <= set(taken)
        else:
            node.killed()
            if action == "lose log":
                for path in (node.site.data_dir / FOLDER).glob("*.seg"):
                    path.unlink()
            node = Node(site)
            boot += number == 1
    told = spans(node.publisher and [r for _, p in node.publisher.published
                                     if isinstance(r := decode_receipt(p), Receipt)])  # fmt: skip
    for name, numbers in told.items():
        mine = {seq for its, seq in taken if its == name[2]}
        assert {seq for first, last in numbers for seq in range(first, last + 1)} == mine
    node.killed()


def test_a_damaged_receipt_log_is_put_aside_and_derived_again(tmp_path) -> None:
    node = Node(tmp_path)
    site = node.site.path
    for first in range(3):
        node.take(frame_rows(first, 1))
        node.round()
    node.killed()
    (segment,) = (node.site.data_dir / FOLDER).glob("*.seg")
    data = bytearray(segment.read_bytes())
    data[100] ^= 1
    segment.write_bytes(data)
    node = Node(site)
    assert spans(node.round()) == {("radar-1", "framed", "b1"): [(0, 2)]}
    (aside,) = node.site.data_dir.glob("receipts-damaged-*")
    assert (aside / segment.name).read_bytes() == data
    node.killed()


def test_the_receipt_log_stays_small(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(receipting, "LOG_BYTES", 4_000)
    monkeypatch.setattr(receipting, "SEGMENT_BYTES", 1_000)
    node = Node(tmp_path)
    for number in range(0, 600, 2):  # gaps: the entry grows
        node.take(frame_rows(number, 1, f"b{number // 100}"))
        node.round()
        assert node.receipts._log.size_bytes < 12_000
    node.killed()
    site = node.site.path
    node = Node(site)
    node.take(frame_rows(600, 1, "b6"))
    told = spans(node.round())
    assert told[("radar-1", "framed", "b5")] == [(n, n) for n in range(500, 600, 2)]
    node.killed()


def test_a_journal_that_was_let_go_or_is_damaged_is_passed_over(tmp_path) -> None:
    node = Node(tmp_path, segment_bytes=2_000)
    node.take(frame_rows(0, 30), offer=False)
    for first in range(30, 90, 10):
        node.take(frame_rows(first, 10), offer=False)
    node.journal.release(40)
    start = node.journal.start
    node.killed()
    segments = sorted((node.site.data_dir / "journal").glob("*.seg"))
    data = bytearray(segments[0].read_bytes())
    data[-20] ^= 1  # its last record
    segments[0].write_bytes(data)
    node = Node(node.site.path)
    whose = ("radar-1", "framed", "b1")
    damaged = int(segments[1].stem) - 1
    assert spans(node.round())[whose] == [(start, damaged - 1)]  # and no claim beyond the damage
    node.take(frame_rows(90, 1))
    assert spans(node.round())[whose] == [(start, damaged - 1), (90, 90)]
    node.killed()


def test_a_journal_that_is_shorter_than_what_was_receipted_is_refused(tmp_path) -> None:
    node = Node(tmp_path)
    node.take(frame_rows(0, 3))
    node.round()
    node.killed()
    (segment,) = (node.site.data_dir / "journal").glob("*.seg")
    segment.write_bytes(segment.read_bytes()[:-10])
    with pytest.raises(VedetteError, match="ends at 2, but receipts were given for inputs up to 3"):
        Node(node.site.path)
