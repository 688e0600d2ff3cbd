"""A gateway's outbox and its sending, through random lives of gateway, broker and node."""

import sqlite3
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.dedup import Seen
from ingest.gateway import BOOTS, WINDOW, Sender
from ingest.identities import Form, of_frame
from ingest.limits import Limits
from ingest.outbox import ROW_BYTES, Outbox, Place, Row
from ingest.receipts import (
    MAX_BOOTS,
    MAX_INTERVALS,
    Entry,
    Receipt,
    Round,
    decode_receipt,
    encode_receipt,
    fold,
)
from ingest.routes import unwrap, wrap
from ingest.splitting import Chunks, Lines
from model.errors import VedetteError

# -- the outbox


def test_rows_come_back_after_a_start_under_their_old_names(tmp_path) -> None:
    path = tmp_path / "one.outbox"
    with Outbox(path, "radar-1", "first") as outbox:
        outbox.put([(10, b"a"), (11, b"b")])
        outbox.put([(12, b"c")], ("in", Place("1:2", 99)))
        assert (outbox.count, outbox.bytes) == (3, 3 + 3 * ROW_BYTES)
    with Outbox(path, "radar-1", "second") as outbox:
        assert outbox.place("in") == Place("1:2", 99)
        assert outbox.place("other") is None
        outbox.put([(13, b"d")])
        rows = outbox.after(0, 10)
        assert [(row.boot, row.seq, row.payload) for row in rows] == [
            ("first", 0, b"a"),
            ("first", 1, b"b"),
            ("first", 2, b"c"),
            ("second", 0, b"d"),
        ]
        outbox.clear(rows[:2])
        outbox.set_aside(rows[2:3])
        assert outbox.after(0, 10) == rows[3:]
        assert outbox.oldest_ns() == 13
    with Outbox(path, "radar-1", "third") as outbox:
        assert (outbox.count, outbox.cut, outbox.bytes) == (1, 1, 2 + 2 * ROW_BYTES)


def test_row_numbers_are_never_given_twice(tmp_path) -> None:
    path = tmp_path / "one.outbox"
    seen: set[int] = set()
    for boot in "abcd":
        with Outbox(path, "radar-1", boot) as outbox:
            rows = outbox.put([(1, b"x"), (2, b"y")])
            assert seen.isdisjoint(row.id for row in rows)
            seen |= {row.id for row in rows}
            outbox.clear(rows)


def test_an_outbox_is_of_one_sensor_one_process_and_one_version(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("ingest.outbox.BUSY_S", 0.0)
    path = tmp_path / "one.outbox"
    with (
        Outbox(path, "radar-1", "a"),
        pytest.raises(VedetteError, match="another gateway is using it"),
    ):
        Outbox(path, "radar-1", "b")
    with pytest.raises(VedetteError, match="is the outbox of sensor 'radar-1', not 'radar-2'"):
        Outbox(path, "radar-2", "b")
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version=7")
    db.close()
    with pytest.raises(VedetteError, match="version 7 of an outbox"):
        Outbox(path, "radar-1", "b")
    path.write_bytes(b"no database at all, but long enough to be looked at" * 99)
    with pytest.raises(VedetteError, match="cannot be used as an outbox"):
        Outbox(path, "radar-1", "b")


# -- splitting


@given(st.binary(max_size=300), st.lists(st.integers(1, 40)), st.integers(1, 20))
def test_lines_are_the_same_however_they_come(data, cuts, max_piece) -> None:
    data = data.replace(b"\r", b"\n")
    lines, found, at = Lines(max_piece), [], 0
    for cut in [*cuts, len(data)]:
        found += lines.feed(data[at : at + cut])
        at += cut
        assert lines.pending <= max_piece
    found += [rest] if (rest := lines.rest()) else []
    assert b"".join(found) == data.replace(b"\n", b"")
    assert all(0 < len(piece) <= max_piece for piece in found)
    if all(len(line) <= max_piece for line in data.split(b"\n")):
        assert found == [line for line in data.split(b"\n") if line]


def test_crlf_and_chunks() -> None:
    lines = Lines()
    assert lines.feed(b"a\r\nb\r") == [b"a"]
    assert lines.feed(b"\nc") == [b"b"]
    assert lines.rest() == b"c"
    assert lines.rest() == b""
    assert Chunks(3).feed(b"abcdefgh") == [b"abc", b"def", b"gh"]
    assert Chunks(3).rest() == b""


# -- sending


def row(number: int, boot: str = "b") -> Row:
    return Row(number + 1, boot, number, 0, b"%d" % number)


def receipt(boot: str, *spans: tuple[int, int], form: str = "framed", cut: Any = ()) -> Receipt:
    return Receipt(1, "g", 1, (Entry("s", form, boot, list(spans), list(cut)),))


def drain(sender: Sender, now_s: float) -> list[int]:
    """Send all that is due; the broker answers each well."""
    sent = []
    while (one := sender.next(now_s)) is not None:
        sender.sent(one, now_s)
        sender.answered(one, now_s, taken=True)
        sent.append(one.seq)
    return sent


def test_without_a_receipt_it_is_sent_again_and_again_ever_more_seldom() -> None:
    sender = Sender("s", resend_s=5.0)
    sender.take_up([row(0)])
    times = []
    for now in range(200):
        times += [now] * len(drain(sender, float(now)))
    assert times == [0, 5, 15, 35, 75, 135, 195]
    assert sender.resent == 6


def test_a_puback_of_no_subscribers_is_not_stored_and_comes_again_soon() -> None:
    sender = Sender("s")
    sender.take_up([row(0)])
    one = sender.next(0.0)
    assert one is not None
    sender.sent(one, 0.0)
    sender.answered(one, 0.1, taken=True, matched=False)
    assert sender.unmatched == 1
    assert len(sender) == 1
    assert sender.next(1.0) is None
    assert sender.next(1.2) == one
    sender.sent(one, 1.2)
    sender.answered(one, 1.3, taken=False)
    assert sender.refused == 1
    assert sender.next(3.0) is None
    assert sender.next(3.4) == one


def test_only_a_receipt_for_this_sensor_form_and_boot_settles() -> None:
    sender = Sender("s")
    sender.take_up([row(n) for n in range(5)])
    drain(sender, 0.0)
    assert sender.receive(receipt("other", (0, 4))).stored == []
    assert sender.receive(receipt("b", (0, 4), form="reports")).stored == []
    settled = sender.receive(receipt("b", (0, 1), (4, 4), cut=[(3, 3)]))
    assert [one.seq for one in settled.stored] == [0, 1, 4]
    assert [one.seq for one in settled.cut] == [3]
    assert len(sender) == 1
    assert sender.receive(receipt("b", (0, 4))).stored == [row(2)]
    assert sender.receive(receipt("b", (0, 2**40))).stored == []


def test_window_and_boots_are_bounded_and_order_is_kept() -> None:
    sender = Sender("s", window=3)
    assert sender.take_up([row(n) for n in range(5)]) == 3
    assert drain(sender, 0.0) == [0, 1, 2]
    assert sender.take_up([row(3)]) == 0
    sender.receive(receipt("b", (1, 1)))
    assert sender.take_up([row(3)]) == 1
    assert drain(sender, 0.0) == [3]
    many = Sender("s")
    assert many.take_up([Row(n, f"b{n}", 0, 0, b"") for n in range(1, 9)]) == BOOTS


def test_a_gateway_stays_within_what_the_node_remembers() -> None:
    """Every second number lost makes most gaps: one for two rows under way, and the rest below."""
    limits = Limits()
    assert limits.max_boots == MAX_BOOTS >= 2 * BOOTS
    assert WINDOW // 2 + 1 <= MAX_INTERVALS <= limits.max_intervals


def test_what_was_on_the_way_when_a_connection_ended_is_sent_first_on_the_next() -> None:
    sender = Sender("s")
    rows = [row(n) for n in range(4)]
    sender.take_up(rows)
    for one in rows[:3]:
        assert sender.next(0.0) == one
        sender.sent(one, 0.0)
    sender.answered(rows[0], 0.1, taken=True)
    sender.lost(rows[1:3], 0.2)
    assert drain(sender, 0.3) == [1, 2, 3]


# -- random lives

ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(
            ["put", "put", "step", "step", "step", "deliver", "deliver", "commit", "commit",
             "round", "round", "hear", "hear", "gateway dies", "broker dies", "node dies",
             "link ends", "time"]
        ),
        st.integers(0, 7),
    ),
    max_size=120,
)  # fmt: skip


class Life:
    """One gateway, a broker that forgets whatever it likes, and a node with a journal.

    The broker gives a PUBACK when it has a message in memory, and loses all of it when it dies. The
    node takes messages into memory, commits them in order, and gives receipts of what is committed;
    when it dies it comes back with journal and receipt log.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = 0.0
        self.starts = 0
        self.put = 0
        self.queue: list[bytes] = []
        self.memory: list[bytes] = []
        self.journal: list[bytes] = []
        self.log: list[Round] = []
        self.node_starts()
        self.gateway_starts()

    # the node

    def node_starts(self) -> None:
        self.memory = []
        self.at, self.stored = fold(self.log)
        self.follow()

    def follow(self) -> None:
        for frame in self.journal[self.at :]:
            for boot, seq in of_frame(frame):
                self.stored.note("s", Form.FRAMED, boot, seq)
        self.at = len(self.journal)

    def commit(self) -> None:
        self.journal += self.memory
        self.memory = []

    def round(self) -> None:
        self.follow()
        entries = tuple(self.stored.entry(key) for key in self.stored.changed)
        self.log.append(Round(self.at, False, entries))
        told = self.stored.receipts("g", frozenset({"s"}), self.at)
        self.stored.settled()
        if told:
            self.retained = encode_receipt(told[-1])
            self.receipts.append(self.retained)

    # the broker

    def deliver(self, count: int) -> None:
        self.memory += self.queue[:count]
        del self.queue[:count]

    # the gateway

    retained: bytes | None = None
    outbox: Outbox

    def gateway_starts(self) -> None:
        if self.starts:
            self.outbox.close()
        self.starts += 1
        self.outbox = Outbox(self.folder / "s.outbox", "s", f"boot{self.starts}")
        self.sender = Sender("s", window=6)
        self.on_the_way: list[Row] = []
        self.link_starts()

    def link_starts(self) -> None:
        self.sender.lost(self.on_the_way, self.now)
        self.on_the_way = []
        self.receipts = [] if self.retained is None else [self.retained]

    def step(self, answers: int) -> None:
        self.sender.take_up(self.outbox.after(self.sender.last_id, self.sender.room))
        one = self.sender.next(self.now)
        if one is not None:
            self.sender.sent(one, self.now)
            self.on_the_way.append(one)
            self.queue.append(wrap(one.boot, one.seq, one.received_ns, one.payload))
        for _ in range(min(answers, len(self.on_the_way))):
            answered = self.on_the_way.pop(0)
            matched = answers != 7
            if not matched:
                self.queue = [f for f in self.queue if of_frame(f) != [answered[1:3]]]
            self.sender.answered(answered, self.now, taken=True, matched=matched)

    def hear(self) -> None:
        if self.receipts:
            heard = decode_receipt(self.receipts.pop(0))
            assert isinstance(heard, Receipt)
            settled = self.sender.receive(heard)
            journaled = {name for frame in self.journal for name in of_frame(frame)}
            assert {(one.boot, one.seq) for one in settled.stored} <= journaled  # never early
            self.outbox.clear(settled.stored)

    def act(self, action: str, number: int) -> None:
        if action == "put":
            items = [(0, b"%d" % (self.put + at)) for at in range(number % 3 + 1)]
            self.outbox.put(items)
            self.put += len(items)
        elif action == "step":
            self.step(number)
        elif action == "deliver":
            self.deliver(number)
        elif action == "commit":
            self.commit()
        elif action == "round":
            self.round()
        elif action == "hear":
            self.hear()
        elif action == "gateway dies":
            self.gateway_starts()
        elif action == "broker dies":
            self.queue, self.retained = [], None
            self.link_starts()
        elif action == "node dies":
            self.node_starts()
        elif action == "link ends":
            self.link_starts()
        elif action == "time":
            self.now += 3.0

    def settle(self) -> None:
        """Everybody lives on in peace."""
        for _ in range(2000):
            if not self.outbox.count:
                return
            self.now += 1.0
            self.step(6)
            self.deliver(9)
            self.commit()
            self.round()
            self.hear()
        raise AssertionError(f"{self.outbox.count} rows never left the outbox")


@settings(max_examples=300)
@given(ACTIONS)
def test_whatever_dies_when_nothing_is_lost_doubled_or_invented(actions) -> None:
    with TemporaryDirectory() as folder:
        life = Life(Path(folder))
        for action, number in actions:
            life.act(action, number)
        life.settle()
        life.outbox.close()
        seen = Seen(8, 1024)
        counted = []
        for data in life.journal:
            frame = unwrap(data)
            assert not isinstance(frame, str)
            if seen.is_new("s", frame.boot.encode(), frame.seq):
                counted.append(int(frame.payload))
        assert sorted(counted) == list(range(life.put))
