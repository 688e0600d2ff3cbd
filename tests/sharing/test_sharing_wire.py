"""Topics and messages: literal bytes, and bytes from anybody."""

import json
from dataclasses import replace
from hashlib import sha256

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.detections import Mode
from model.errors import Reason
from model.tracks import TrackUpdates
from sharing.answers import Ack, Control, decode_ack, decode_control, encode_back
from sharing.closing import OpenTracks, close
from sharing.release import transform
from sharing.rows import (
    ROW_BYTES,
    WIRE,
    column_bytes,
    digests_of,
    genesis,
    heads_of,
    row_bytes,
    rows_of,
    rows_of_bytes,
)
from sharing.wire import (
    Batch,
    Refused,
    Shared,
    decode_batch,
    encode_batch,
    encode_json,
    parse_topic,
)
from tests.sharing.samples import NOW_NS, agreement, same, updates

GENESIS = genesis("north", "south", "a-1")


def batch(rows=None, *, first=1, before=GENESIS, void=None) -> Batch:
    rows = transform(updates(3), agreement()) if rows is None else rows
    mask = np.zeros(len(rows), dtype=bool)
    if void is not None:
        mask[void] = True
    return Batch(
        "north", "south", "a-1", Mode.LIVE, ("north",), first, rows, mask, digests_of(rows),
        before, NOW_NS,
    )  # fmt: skip


def opened(payload) -> Batch:
    found = decode_batch(payload)
    assert isinstance(found, Batch), found
    return found


def reason(payload) -> Reason:
    found = decode_batch(payload)
    assert isinstance(found, Refused)
    return found.reason


# -- rows and chain


def test_a_row_has_these_bytes() -> None:
    row = TrackUpdates.empty(1)
    row.track_id[0], row.number[0], row.revision[0] = 0x0102030405060708, b"K0042", 7
    row.state[0, 0] = 1.0
    data = row_bytes(row).tobytes()
    assert len(data) == ROW_BYTES == 330
    assert data[:21] == bytes.fromhex("0807060504030201") + b"K0042" + bytes(4) + b"\7\0\0\0"
    assert data[37:39] == b"\0\0"  # status, reason
    assert data[39:55] == bytes.fromhex("000000000000f03f 000000000000f87f")
    assert list(WIRE)[:4] == ["track_id", "number", "authority_epoch", "revision"]
    assert "sensors" not in WIRE


def test_the_chain_is_as_the_page_says() -> None:
    rows = transform(updates(2), agreement())
    one, two = (sha256(b"vedette-row-1\0" + row.tobytes()).digest() for row in row_bytes(rows))
    assert digests_of(rows) == [one, two]
    start = sha256(b"vedette-chain-1\0north\0south\0a-1").digest()
    assert start == GENESIS
    first = sha256(start + (5).to_bytes(8, "little") + one).digest()
    second = sha256(first + (6).to_bytes(8, "little") + two).digest()
    assert heads_of(start, 5, [one, two]) == [first, second]


def test_rows_come_back_bit_for_bit() -> None:
    rows = transform(updates(4), agreement())
    rows.state[1] = np.frombuffer(b"\x01\0\0\0\0\0\xf4\x7f" * 6)  # a signalling NaN stays one
    assert np.array_equal(row_bytes(rows_of(column_bytes(rows), 4)), row_bytes(rows))
    assert same(rows_of_bytes([row.tobytes() for row in row_bytes(rows)]), rows)
    assert not len(rows_of(column_bytes(TrackUpdates.empty()), 0))


# -- topics


def test_topics_say_whose_they_are() -> None:
    topic = "vedette/north/shared/south/a-1/live"
    said = parse_topic(topic)
    assert said == Shared(Mode.LIVE, "north", "south", "a-1", "live")
    assert said is not None
    assert said.topic == topic
    exercise = parse_topic("vedette-exercise/north/shared/south/a-1/ack")
    assert exercise is not None
    assert exercise.mode == Mode.EXERCISE


@pytest.mark.parametrize(
    "topic",
    ["", "vedette/north/sensors/south/a-1/live", "x/north/shared/south/a-1/live",
     "vedette/north/shared/south/live", "vedette//shared/south/a-1/live",
     "vedette/north/shared/../a-1/live", "vedette/north/shared/south/a-1/live/x"],
)  # fmt: skip
def test_other_topics_are_not_ours(topic) -> None:
    assert parse_topic(topic) is None


# -- batches


def test_a_batch_is_a_map_that_others_can_read() -> None:
    sent = batch(first=41)
    document = msgspec.msgpack.decode(encode_batch(sent))
    assert list(document) == [
        "version", "giver", "receiver", "agreement", "mode", "path", "first", "count", "columns",
        "void", "digests", "before", "after", "sent_ns",
    ]  # fmt: skip
    assert document["version"] == 1
    assert (document["giver"], document["receiver"]) == ("north", "south")
    assert (document["first"], document["count"]) == (41, 3)
    assert np.frombuffer(document["columns"]["track_id"], "<i8").tolist() == [1, 2, 3]
    assert np.frombuffer(document["columns"]["state"], "<f8").reshape(3, 6).shape == (3, 6)
    assert document["after"] == sent.heads[-1]
    assert "sensors" not in document["columns"]


def test_a_batch_comes_back() -> None:
    sent = batch(first=41)
    found = opened(encode_batch(sent))
    assert same(found.rows, sent.rows)
    assert (found.first, found.last, found.before) == (41, 43, GENESIS)
    assert found.heads == sent.heads
    assert (found.path, found.sent_ns) == (("north",), NOW_NS)


def test_a_void_row_leaves_nothing_but_its_digest() -> None:
    rows = transform(updates(3), agreement())
    rows.number[1] = b"Z9999"
    sent = batch(rows, void=[1])
    payload = encode_batch(sent)
    assert b"Z9999" not in payload
    assert rows.number[1] == b"Z9999"
    found = opened(payload)
    assert found.void.tolist() == [False, True, False]
    assert np.isnan(found.rows.state[1]).all()
    assert found.heads == sent.heads
    assert b"Z9999" not in encode_json(sent)


def test_json_is_for_people() -> None:
    rows = transform(updates(2), agreement())
    held = OpenTracks()
    held.take(rows.take(np.array([1])))
    closing = close(held, np.array([True]), np.array([10], dtype=np.uint8)).rows
    sent = batch(TrackUpdates.concat([rows.take(np.array([0])), closing]), first=8)
    document = json.loads(encode_json(sent))
    assert document["sent"] == "2026-06-01T12:00:00.000000Z"
    assert (document["first"], document["last"]) == (8, 9)
    shown, closed = document["tracks"]
    assert (shown["seq"], shown["id"], shown["number"]) == (8, "1", "A0001")
    assert (shown["lat"], shown["lon"]) == pytest.approx((59.2, 28.0))
    assert shown["alt_m"] is None
    assert shown["covariance_m2"] == [100.0, 0.0, 100.0, None, None, None]
    assert shown["class"] == {"sea_vessel": 1.0}
    assert closed == {
        "seq": 9, "id": "2", "number": "A0001", "revision": 1, "status": "deleted",
        "reason": "withdrawn", "time": "2026-06-01T11:59:59.000000Z",
    }  # fmt: skip
    assert b"\n" not in encode_json(sent)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"version": 2}, Reason.UNSUPPORTED),
        ({"mode": "war"}, Reason.BAD_FIELD),
        ({"count": 0}, Reason.OUT_OF_RANGE),
        ({"count": 2}, Reason.BAD_SHAPE),
        ({"count": 10**9}, Reason.OUT_OF_RANGE),
        ({"first": 0}, Reason.OUT_OF_RANGE),
        ({"first": 2**62}, Reason.OUT_OF_RANGE),
        ({"first": 2}, Reason.BAD_CHAIN),
        ({"sent_ns": -1}, Reason.OUT_OF_RANGE),
        ({"path": []}, Reason.BAD_FIELD),
        ({"path": ["a/b"]}, Reason.BAD_FIELD),
        ({"path": "north"}, Reason.BAD_SHAPE),
        ({"before": b""}, Reason.BAD_FIELD),
        ({"after": bytes(32)}, Reason.BAD_CHAIN),
        ({"void": b"\1"}, Reason.BAD_FIELD),
        ({"void": b"\2\0\0"}, Reason.BAD_FIELD),
        ({"void": b"\1\0\0"}, Reason.BAD_FIELD),
        ({"columns": {}}, Reason.BAD_SHAPE),
        ({"surprise": 1}, Reason.BAD_SHAPE),
        ({"first": "1"}, Reason.BAD_SHAPE),
    ],
)
def test_a_wrong_batch_is_refused_with_a_reason(changes, expected) -> None:
    document = msgspec.msgpack.decode(encode_batch(batch()))
    assert reason(msgspec.msgpack.encode({**document, **changes})) == expected


def test_a_changed_row_breaks_the_chain() -> None:
    document = msgspec.msgpack.decode(encode_batch(batch()))
    data = bytearray(document["columns"]["state"])
    data[3] ^= 1
    document["columns"]["state"] = bytes(data)
    assert reason(msgspec.msgpack.encode(document)) == Reason.BAD_CHAIN


def test_strange_and_missing_columns_are_refused() -> None:
    document = msgspec.msgpack.decode(encode_batch(batch()))
    del document["columns"]["valid"]
    assert reason(msgspec.msgpack.encode(document)) == Reason.BAD_SHAPE
    document["columns"]["valid"] = bytes(24)
    document["columns"]["sensors"] = bytes(96)
    assert reason(msgspec.msgpack.encode(document)) == Reason.BAD_SHAPE


GOOD = encode_batch(batch())


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_and_never_raise(data) -> None:
    for decode in (decode_batch, decode_ack, decode_control):
        assert isinstance(decode(data), Refused)


@given(st.data())
def test_damaged_batches_are_refused_or_whole(data) -> None:
    damaged = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    for payload in (bytes(damaged), bytes(damaged[:cut])):
        found = decode_batch(payload)
        assert isinstance(found, Refused) or len(found) == 3


def test_deep_nesting_is_refused() -> None:
    assert reason(b"\x91" * 100_000) in (Reason.NOT_MSGPACK, Reason.BAD_SHAPE)
    assert isinstance(decode_ack(b"[" * 60_000), Refused)


# -- acks and requests


def test_an_ack_has_these_bytes() -> None:
    ack = Ack("a-1", 80, 95, [(81, 90)], "ab" * 32)
    assert encode_back(ack) == (
        b'{"agreement":"a-1","contiguous":80,"highest":95,"gaps":[[81,90]],"head":"'
        + b"ab" * 32
        + b'"}'
    )
    assert decode_ack(encode_back(ack)) == ack
    control = Control("a-1", [(1, 5), (7, 7)])
    assert encode_back(control) == b'{"agreement":"a-1","backfill":[[1,5],[7,7]]}'
    assert decode_control(encode_back(control)) == control


@pytest.mark.parametrize(
    "ack",
    [
        Ack("a-1", -1, 5, [], "ab" * 32),
        Ack("a-1", 6, 5, [], "ab" * 32),
        Ack("a-1", 1, 2**62, [], "ab" * 32),
        Ack("a-1", 5, 9, [(5, 6)], "ab" * 32),
        Ack("a-1", 5, 9, [(8, 7)], "ab" * 32),
        Ack("a-1", 5, 9, [(8, 10)], "ab" * 32),
        Ack("a-1", 5, 9, [(7, 8), (6, 6)], "ab" * 32),
        Ack("a-1", 5, 9, [], "ab"),
        Ack("a-1", 5, 9, [], "xy" * 32),
        Ack("a-1", 5, 10**6, [(n, n) for n in range(10, 2100, 2)], "ab" * 32),
    ],
)
def test_acks_that_cannot_be_are_refused(ack) -> None:
    assert isinstance(decode_ack(encode_back(ack)), Refused)


def test_a_batch_of_many_rows_comes_back() -> None:
    rows = transform(updates(2_000), agreement())
    sent = replace(batch(rows), first=10**12)
    assert same(opened(encode_batch(sent)).rows, rows)
