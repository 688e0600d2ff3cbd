"""Frames and receipts byte for byte, and what a ledger of stored numbers may claim."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.dedup import Seen
from ingest.identities import Form, of_cut_frame, of_frame, of_reports
from ingest.receipts import (
    ENTRIES_IN_RECEIPT,
    ENTRIES_RETAINED,
    VERSION,
    Entry,
    Receipt,
    Round,
    Stored,
    decode_receipt,
    encode_receipt,
    fold,
    pack_round,
    source_sensors,
    unpack_round,
)
from ingest.routes import unwrap, wrap
from model.errors import VedetteError

FRAME = bytes.fromhex("94 a4 61316232 2a cf 18952de8adfb2400 c4 03 010203")
"""Array of 4: "a1b2", 42, 1771372505814737920, binary of 3 bytes."""

RECEIPT = (
    b'{"version":1,"source":"gateway-1","through":41207,"stored":['
    b'{"sensor":"radar-1","form":"framed","boot":"a1b2","seqs":[[0,41],[44,44]],"cut":[[42,42]]}]}'
)


def test_a_frame_byte_for_byte() -> None:
    assert wrap("a1b2", 42, 0x18952DE8ADFB2400, b"\x01\x02\x03") == FRAME
    assert of_frame(FRAME) == [("a1b2", 42)]


def test_a_receipt_byte_for_byte() -> None:
    entry = Entry("radar-1", "framed", "a1b2", [(0, 41), (44, 44)], [(42, 42)])
    receipt = Receipt(VERSION, "gateway-1", 41207, (entry,))
    assert encode_receipt(receipt) == RECEIPT
    assert decode_receipt(RECEIPT) == receipt


def test_a_record_of_the_receipt_log_byte_for_byte() -> None:
    one = Round(7, True, (Entry("r", "framed", "b", [(0, 5)], []),))
    packed = bytes.fromhex(
        "93 07 c3 91 85 a6 73656e736f72 a1 72 a4 666f726d a6 6672616d6564 a4 626f6f74 a1 62"
        "a4 73657173 91 92 00 05 a3 637574 90"
    )
    assert pack_round(one) == packed
    assert unpack_round(packed) == one
    with pytest.raises(VedetteError, match="no record of receipts"):
        unpack_round(packed[:-1])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ((b'"version":1', b'"version":2'), "version 2, not 1"),
        ((b"[[0,41],[44,44]]", b"[[0,41],[42,44]]"), "do not rise"),
        ((b"[[0,41],[44,44]]", b"[[-1,41]]"), "do not rise"),
        ((b"[[0,41],[44,44]]", b"[[5,4]]"), "do not rise"),
        ((b"[[0,41],[44,44]]", b'"all"'), "array"),
        ((b"41207", b"4.5"), "int"),
    ],
)
def test_a_receipt_that_makes_no_sense_is_not_taken(change, told) -> None:
    found = decode_receipt(RECEIPT.replace(*change))
    assert isinstance(found, str)
    assert told in found


@given(st.binary(max_size=200))
def test_any_bytes_are_a_receipt_or_are_not(data) -> None:
    assert isinstance(decode_receipt(data), Receipt | str)
    of_reports(data)
    of_frame(data)
    of_cut_frame(data)


BOOTS = st.text(min_size=1, max_size=8).filter(lambda text: 0 < len(text.encode()) <= 24)
SEQS = st.integers(0, 2**63 - 1)


@given(BOOTS.filter(lambda text: "\0" not in text), SEQS, st.binary(max_size=100))
def test_a_frame_tells_its_name_whole_or_cut(boot, seq, payload) -> None:
    frame = wrap(boot, seq, 2**62, payload)
    assert not isinstance(unwrap(frame), str)
    assert of_frame(frame) == [(boot, seq)]
    assert of_cut_frame(frame[:64]) == [(boot, seq)]
    for length in range(len(frame)):  # never another name than its own
        assert of_cut_frame(frame[: min(length, 64)]) in ([], [(boot, seq)])


def report(boot, seq) -> dict[str, object]:
    return {"sensor": "radar-1", "time": 1.5, "boot": boot, "seq": seq, "detections": []}


def test_reports_tell_theirs_in_every_form() -> None:
    one, two = report("b1", 7), report("b1", 8)
    assert of_reports(json.dumps(one).encode()) == [("b1", 7)]
    assert of_reports(json.dumps(one, indent=2).encode()) == [("b1", 7)]
    assert of_reports(msgspec.msgpack.encode(one)) == [("b1", 7)]
    lines = b"\n".join([json.dumps(one).encode(), b"", b"{broken", json.dumps(two).encode()])
    assert of_reports(lines) == [("b1", 7), ("b1", 8)]
    arrays = {
        "arrays": 1,
        "sensor": "radar-1",
        "boot": "b1",
        "reports": {"time_ns": bytes(16), "seq": (7).to_bytes(8, "little") * 2},
        "detections": {},
    }
    assert of_reports(msgspec.msgpack.encode(arrays)) == [("b1", 7), ("b1", 7)]
    # What is refused later is stored all the same.
    assert of_reports(b'{"boot":"b1","seq":9,"time":"nonsense"}') == [("b1", 9)]
    for nameless in (b'{"seq":9}', b'{"boot":"b1"}', b'{"boot":"","seq":1}', b"[]", b"", b"\xc1"):
        assert of_reports(nameless) == []
    assert of_reports(b'{"boot":"b1","seq":-1}') == []
    assert of_reports(b'{"boot":"b1","seq":1.5}') == []


NOTES = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(0, 12), st.booleans())
)


@given(NOTES, st.integers(1, 3), st.integers(1, 4))
def test_no_number_is_ever_claimed_that_was_not_noted(notes, max_boots, max_intervals) -> None:
    stored = Stored(max_boots, max_intervals)
    noted = set()
    for sensor, boot, seq, cut in notes:
        stored.note(sensor, Form.FRAMED, boot, seq, cut=cut)
        noted.add((sensor, boot, seq, cut))
    claimed = set()
    for entry in stored.entries():
        assert len(entry.seqs) <= max_intervals
        for spans, cut in ((entry.seqs, False), (entry.cut, True)):
            for first, last in spans:
                claimed |= {(entry.sensor, entry.boot, n, cut) for n in range(first, last + 1)}
    assert claimed <= noted
    if max_boots >= 3 and max_intervals >= 13:
        assert claimed == noted
    boots = [entry.sensor for entry in stored.entries()]
    assert all(boots.count(sensor) <= max_boots for sensor in boots)


@given(NOTES, st.sets(st.integers(0, 60)))
def test_a_ledger_comes_back_from_its_log(notes, writes) -> None:
    stored = Stored()
    rounds = []
    for at, (sensor, boot, seq, cut) in enumerate(notes):
        stored.note(sensor, Form.FRAMED, boot, seq, cut=cut)
        if at in writes or at == len(notes) - 1:
            whole = at % 3 == 0
            entries = stored.entries() if whole else [stored.entry(k) for k in stored.changed]
            rounds.append(unpack_round(pack_round(Round(at + 1, whole, tuple(entries)))))
            stored.settled()
    through, again = fold(rounds)
    assert through == len(notes)
    assert {(e.sensor, e.boot): e for e in again.entries()} == {
        (e.sensor, e.boot): e for e in stored.entries()
    }


def test_receipts_tell_what_changed_and_fill_up_with_what_was_heard_last() -> None:
    stored = Stored(max_boots=500)
    mine = frozenset({"s"})
    for number in range(200):
        stored.note("s", Form.FRAMED, f"b{number}", 0)
    stored.note("other", Form.FRAMED, "x", 0)
    told = stored.receipts("g", mine, 201)
    assert [len(receipt.stored) for receipt in told] == [200 % ENTRIES_IN_RECEIPT, 64, 64, 64]
    assert told[-1].stored[0].boot == "b199"
    assert {entry.boot for receipt in told for entry in receipt.stored} == {
        f"b{number}" for number in range(200)
    }
    stored.settled()
    assert stored.receipts("g", mine, 202) == []
    stored.note("s", Form.FRAMED, "b3", 0)  # a repetition: its sender does not know
    (one,) = stored.receipts("g", mine, 203)
    assert len(one.stored) == ENTRIES_RETAINED
    assert one.stored[0] == Entry("s", "framed", "b3", [(0, 0)])


def test_sensors_of_no_source_are_sources_of_their_own_name() -> None:
    class Source:
        def __init__(self, name, *sensors) -> None:
            self.id, self.sensors = name, sensors

    found = source_sensors(["a", "b", "c"], [Source("g", "a"), Source("h", "a", "b")])
    assert found == {
        "g": frozenset({"a"}),
        "h": frozenset({"a", "b"}),
        "c": frozenset({"c"}),
    }


@given(st.permutations(range(40)))
def test_a_receipt_never_names_what_the_node_would_take_again(order) -> None:
    """Whatever is receipted, the window of `Seen` knows: sent again it counts no more."""
    stored, seen = Stored(), Seen(8, 1024)
    for seq in order:
        stored.note("s", Form.FRAMED, "b", seq)
        assert seen.is_new("s", b"b", seq)
    for entry in stored.entries():
        for first, last in entry.seqs:
            assert not any(seen.is_new("s", b"b", n) for n in range(first, last + 1))
