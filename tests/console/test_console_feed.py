"""The feed's bytes, literally, and what its reader refuses."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.feed import (
    ALIGN,
    DELETED,
    HEAD,
    HEADER,
    LABEL,
    NO_POSITION,
    FeedMessage,
    Kind,
    decode,
    deleted_rows,
    encode,
    head_rows,
    label_rows,
    text_of,
)
from console.source import Giver
from model.detections import IdentityKind
from model.taxonomy import CLASS_INDEX
from model.tracks import Status, TrackUpdates, UpdateReason
from tests.console.moving import MovingSource

NOW = 1_772_366_400_250_000_000
VALID = np.array([1_772_366_400_000_000_000])


def one_track() -> TrackUpdates:
    updates = TrackUpdates.empty(1)
    updates.track_id[:] = 0x0102030405060708
    updates.number[:] = b"K4711"
    updates.revision[:] = 9
    updates.valid[:] = 1_772_366_400_000_000_000
    updates.status[:] = Status.COASTING
    updates.reason[:] = UpdateReason.MISSED
    updates.state[:] = [np.radians(59.4), np.radians(-28.2), 35.0, 1.0, -2.0, np.nan]
    updates.covariance[:] = np.arange(21)
    updates.existence[:] = 0.5
    updates.classes[0, CLASS_INDEX["uav"]] = 0.75
    updates.affiliation[:] = 2
    updates.identity_kind[:] = IdentityKind.REMOTE_ID
    updates.identity[:] = b"1581F4"
    updates.sensors[0, :3] = [7, 2, 300]
    updates.mode[:] = 1
    updates.stale[:] = 1_772_366_404_000_000_000
    return updates.check()


GOLDEN = bytes.fromhex(
    # header: magic, version 2, kind 2, sequence 66051, 1 head, 1 label, 2 deleted, 5 tentative, 13
    "56445446 0200 0200 03020100 01000000 01000000 02000000 05000000 0d000000"
    # server, newest, core; reserved
    "8032bdc2d9b59818 0080d6b3d9b59818 0000000000000000 0000000000000000"
    # track_id, valid 1772366400000.0 ms
    "0807060504030201 0000a05094ca7942"
    # lat 594000000, lon -282000000; each padded to 8
    "80b8672300000000 800531ef00000000"
    # height 35.0; velocity 1, -2, NaN
    "00000c4200000000 0000803f000000c00000c07f00000000"
    # covariance 0 1 3 4 6 8 9 15 16 18
    "000000000000803f 0000404000008040 0000c04000000041 0000104100007041 0000804100009041"
    # existence 0.5, life 4.0, received 0.75, sent 0.5
    "0000003f00000000 0000804000000000 0000403f00000000 0000003f00000000"
    # revision 9, giver 258, status 2, reason 1
    "0900000000000000 0201000000000000 0200000000000000 0100000000000000"
    # label: track_id, number, identity
    "0807060504030201 4b34373131000000 313538314634 0000000000000000000000000000 00000000"
    # sensors 2 7 300, rising; giver 0
    "02000700 2c01ffffffffffffffffffff 0000000000000000"
    # class 4, 75 percent, affiliation 2, identity kind 4, mode 1
    "0400000000000000 4b00000000000000 0200000000000000 0400000000000000 0100000000000000"
    # deleted 3, -1, both of giver 258; text
    "0300000000000000 ffffffffffffffff 0201020100000000 7b226e6f6465223a226e227d0a"
)


def golden_message() -> FeedMessage:
    return FeedMessage(
        kind=Kind.DELTA,
        sequence=66051,
        tentative=5,
        server=NOW,
        newest=1_772_366_400_000_000_000,
        core=0,
        heads=head_rows(one_track(), 258, VALID + 750_000_000, VALID + 500_000_000),
        labels=label_rows(one_track()),
        deleted=deleted_rows(np.array([3, -1]), 258),
        text=b'{"node":"n"}\n',
    )


def test_the_bytes_are_those_of_the_layout():
    assert encode(golden_message()).hex(" ", 8) == GOLDEN.hex(" ", 8)


def test_decode_reads_the_literal_bytes():
    message = decode(GOLDEN)
    wanted = golden_message()
    assert message.kind is Kind.DELTA
    assert (message.sequence, message.tentative, message.core) == (66051, 5, 0)
    assert (message.server, message.newest) == (wanted.server, wanted.newest)
    assert message.heads.tobytes() == wanted.heads.tobytes()
    assert message.labels.tobytes() == wanted.labels.tobytes()
    assert message.deleted.tolist() == [(3, 258), (-1, 258)]
    assert message.text == b'{"node":"n"}\n'


def test_the_tables_of_the_docstring_are_the_tables_of_the_code():
    import console.feed

    text = console.feed.__doc__ or ""
    for name in (
        (HEADER.names or ()) + (HEAD.names or ()) + (LABEL.names or ()) + (DELETED.names or ())
    ):
        assert name in text, name
    assert HEADER.itemsize == 64


@pytest.mark.parametrize("rows", [0, 1, 3, 8, 40])
def test_every_column_starts_at_a_multiple_of_eight(rows):
    source = MovingSource(rows, clock=lambda: NOW)
    heads, labels = head_rows(source.tracks()), label_rows(source.tracks())
    text = text_of("n", (), ())
    gone = deleted_rows(heads["track_id"], 7)
    message = FeedMessage(Kind.SNAPSHOT, 1, 0, NOW, NOW, NOW, heads, labels, gone, text)
    data = encode(message)
    place = HEADER.itemsize
    for table in (heads, labels, gone):
        for name in table.dtype.names or ():
            assert place % ALIGN == 0
            column = table[name].tobytes()
            assert data[place : place + len(column)] == column
            place += -(-len(column) // ALIGN) * ALIGN
    assert data[place:] == text


def test_head_rows_are_in_the_units_of_the_layout():
    head = head_rows(one_track())[0]
    assert (head["lat"], head["lon"]) == (594_000_000, -282_000_000)
    assert head["valid"] == 1_772_366_400_000.0
    assert head["life"] == 4.0
    assert head["velocity"][1] == -2.0
    # (E, N, vE, vN) of 0..20 laid out as the upper triangle of (E, N, U, vE, vN, vU)
    assert head["covariance"].tolist() == [0, 1, 3, 4, 6, 8, 9, 15, 16, 18]


@pytest.mark.parametrize(
    ("lat", "lon", "wanted"),
    [
        (np.nan, 0.1, (NO_POSITION, NO_POSITION)),
        (0.1, np.inf, (NO_POSITION, NO_POSITION)),
        (2.0, 0.1, (NO_POSITION, NO_POSITION)),
        (0.0, np.radians(190.0), (0, -1_700_000_000)),
        (np.pi / 2, np.radians(-179.9), (900_000_000, -1_799_000_000)),
    ],
)
def test_places_that_are_none_and_the_date_line(lat, lon, wanted):
    updates = one_track()
    updates.state[0, :2] = lat, lon
    head = head_rows(updates)[0]
    assert (head["lat"], head["lon"]) == wanted


def test_without_a_stale_time_life_is_not_given():
    updates = one_track()
    updates.stale[:] = 0
    assert np.isnan(head_rows(updates)[0]["life"])


def test_times_that_are_not_known_are_not_given():
    head = head_rows(one_track())[0]  # its `known` is 0, and nobody sent it
    assert np.isnan(head["received"])
    assert np.isnan(head["sent"])
    updates = one_track()
    updates.known[:] = VALID + 250_000_000
    assert head_rows(updates)[0]["received"] == 0.25
    assert np.isnan(head_rows(updates, 3, VALID, np.array([0]))[0]["sent"])


def test_a_foreign_track_names_no_sensors():
    label = label_rows(one_track(), 5)[0]
    assert label["giver"] == 5
    assert label["sensors"].tolist() == [-1] * 8


def test_the_text_names_the_givers_behind_this_node():
    givers = (Giver("south", "n-s/1", ("south", "relay")),)
    assert json.loads(text_of("north", ("r",), ("human",), givers)) == {
        "node": "north",
        "sensors": ["r"],
        "classes": ["human"],
        "nodes": [
            {"node": "north", "agreement": "", "path": []},
            {"node": "south", "agreement": "n-s/1", "path": ["south", "relay"]},
        ],
    }


def test_a_track_without_any_class_is_unknown():
    updates = one_track()
    updates.classes[:] = 0.0
    label = label_rows(updates)[0]
    assert label["classification"] == CLASS_INDEX["unknown"]
    assert label["class_probability"] == 0


def test_the_order_in_which_sensors_were_heard_does_not_change_a_label():
    first, second = one_track(), one_track()
    second.sensors[0, :3] = [2, 300, 7]
    assert label_rows(first).tobytes() == label_rows(second).tobytes()


@pytest.mark.parametrize("length", [0, 3, 63, 64, 100, len(GOLDEN) - 1])
def test_cut_short_is_refused(length):
    with pytest.raises(ValueError, match="feed: "):
        decode(GOLDEN[:length])


def test_more_than_announced_is_refused():
    with pytest.raises(ValueError, match="announces"):
        decode(GOLDEN + b" ")


@pytest.mark.parametrize(("place", "value"), [(0, b"X"), (4, b"\x01"), (6, b"\x03")])
def test_another_magic_version_or_kind_is_refused(place, value):
    with pytest.raises(ValueError, match="feed: "):
        decode(GOLDEN[:place] + value + GOLDEN[place + 1 :])


@given(st.binary(max_size=300), st.integers(0, 60))
def test_no_bytes_break_the_reader(data, cut):
    for candidate in (data, GOLDEN[:64] + data, GOLDEN[: 6 + cut] + data):
        try:
            message = decode(candidate)
        except ValueError:  # the only error there may be
            continue
        again = decode(encode(message))  # gaps and the reserved bytes may hold anything
        assert again.heads.tobytes() == message.heads.tobytes()
        assert again.labels.tobytes() == message.labels.tobytes()
        assert (again.sequence, again.text) == (message.sequence, message.text)
