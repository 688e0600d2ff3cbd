"""Plain data, arrays and output batches as bytes and back, bit for bit."""

import contextlib
import math
import struct
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from journal.codec import pack, pack_output, unpack, unpack_output, unpack_updates
from model.arrays import Array
from model.detections import DetectionKind, Detections, DetectionsBuilder
from model.errors import JournalError, Quarantined, Reason
from model.foreign import ForeignUpdates
from model.ports import OutputBatch
from model.tracks import TrackUpdates

DTYPES = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(),
    hnp.unsigned_integer_dtypes(),
    hnp.floating_dtypes(sizes=(16, 32, 64)),
    hnp.complex_number_dtypes(sizes=(64, 128)),
    hnp.byte_string_dtypes(min_len=1, max_len=30),
    hnp.unicode_string_dtypes(min_len=1, max_len=8),
    st.sampled_from(["<M8[ns]", ">M8[s]", "<m8[us]", "<M8[D]"]).map(np.dtype),
)
ARRAYS = hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5))
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
    | st.binary(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("abc", max_size=5) | st.integers(-9, 9), inner, max_size=4)
    ),
    max_leaves=20,
)


def same(a: Array, b: Array) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def test_golden_bytes() -> None:
    array = np.array([[1.0, -2.0]], dtype="<f8")
    expected = bytes.fromhex(
        "01"  # version
        "82"  # map of two
        "a1 6e 07"  # "n": 7
        "a1 78 c7 25 01"  # "x": extension 1 of 37 bytes
        "03 3c6638 02 0100000000000000 0200000000000000"  # "<f8", two axes: 1, 2
        "000000000000f03f 00000000000000c0"
    )
    assert pack({"n": 7, "x": array}) == expected
    back = unpack(expected)
    assert back["n"] == 7
    assert same(back["x"], array)


@given(ARRAYS, st.sampled_from([slice(None), slice(None, None, 2), slice(None, None, -1)]))
def test_large_arrays_are_packed_as_small_ones_however_they_lie(array: Array, part: slice) -> None:
    lies = array[part] if array.ndim else array
    for one in (lies, lies.T, np.asfortranarray(lies), np.broadcast_to(lies, (3, *lies.shape))):
        small = pack(one)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("journal.codec.LARGE", 0)
            assert pack(one) == small
        assert same(unpack(small), one)


@given(PLAIN)
def test_plain_data_comes_back(value: Any) -> None:
    back = unpack(pack(value))
    assert back == value
    assert repr(back) == repr(value)  # 1, 1.0 and True are equal, but not the same


@settings(deadline=None)
@given(ARRAYS, st.integers(0, 8))
def test_arrays_come_back_read_only(array: Array, shift: int) -> None:
    back = unpack(pack({"pad": b"x" * shift, "array": array}))["array"]
    assert same(back, array)
    assert back.flags.aligned
    assert back.flags.c_contiguous
    assert not back.flags.writeable


@given(ARRAYS)
def test_scalars_come_back(array: Array) -> None:
    if array.size:
        scalar = array.reshape(-1)[0]
        back = unpack(pack([scalar]))[0]
        assert type(back) is type(scalar)
        assert np.asarray(back).tobytes() == np.asarray(scalar).tobytes()


def test_layouts_and_odd_values() -> None:
    grid = np.arange(12, dtype="i4").reshape(3, 4)
    for array in (grid.T, grid[::2, ::-1], np.broadcast_to(grid[0], (2, 4)), grid.astype(">i4")):
        assert same(unpack(pack(array)), np.ascontiguousarray(array))
    payload_nan = struct.unpack("<d", bytes.fromhex("efbeaddeadbef87f"))[0]
    assert struct.pack("<d", unpack(pack(payload_nan))).hex() == "efbeaddeadbef87f"
    assert math.copysign(1.0, unpack(pack(-0.0))) == -1.0
    assert unpack(pack((1, (2,)))) == [1, [2]]


def test_views_keep_the_message_and_need_no_copy() -> None:
    data = pack(np.zeros(1000, dtype="u1"))
    array = unpack(data)
    assert np.shares_memory(array, np.frombuffer(data, "u1"))


@pytest.mark.parametrize(
    "value",
    [object(), {"f": len}, 2**64, np.array([object()]), np.zeros(2, dtype="f4,i4"), "\ud800",
     np.zeros(1, dtype="V3"), 1j],
)  # fmt: skip
def test_what_is_not_plain_is_refused(value: Any) -> None:
    with pytest.raises(JournalError, match=r"cannot be packed: \S"):
        pack(value)


def test_depth_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(JournalError, match="recursion"):
        pack(deep)
    with pytest.raises(JournalError, match="recursion"):
        unpack(b"\x01" + b"\x91" * 100_000)
    while deep:  # freed from the outside in: its own clean-up would recurse
        deep = deep[0]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "no bytes at all"),
        (b"\x02\xc0", "version byte 0x02"),
        (b"\x01", "truncated"),
        (b"\x01\xc0\xc0", "trailing"),
        (b"\x01\xdd\xff\xff\xff\xff", "truncated"),
        (b"\x01\xd4\x63\x00", "extension type 99"),
        (b"\x01\xd4\x01\x00", "cut short"),
        (b"\x01\xd5\x01\x03<", "cut short"),
        (b"\x01\xc7\x05\x01\x03|O8\x00", "'|O8' is not plain"),
        (b"\x01\xc7\x0d\x01\x03<f8\x01" + b"\xff" * 8, "does not take"),
        (b"\x01\xc7\x05\x01\x03|S0\x40", "cut short"),
        (b"\x01\xc7\x0d\x01\x03|S0\x01" + b"\xff" * 7 + b"\x7f", "without bytes"),
        (b"\x01\xc7\x15\x01\x03<f8\x02" + b"\xff" * 7 + b"\x7f" + bytes(8), "big"),
        (b"\x01\xc7\x0d\x02\x03|u1\x01" + bytes(8), "scalar with axes"),
        (b"\x01\xc7\x06\x01\x03|b1\x00\x02", "neither 0 nor 1"),
        (b"\x01\xc7\x09\x01\x03<U1\x00\xff\xff\xff\xff", "no Unicode"),
        (b"\x01\x81" + b"\xc7\x06\x01\x03|u1\x00\x02" + b"\xc0", "hash"),
    ],
)
def test_hostile_bytes_are_named(data: bytes, what: str) -> None:
    with pytest.raises(JournalError, match=what.replace("|", r"\|")):
        unpack(data)


@given(st.binary(max_size=200), st.sampled_from([1, 0x41]))
def test_no_bytes_do_more_than_raise(data: bytes, version: int) -> None:
    for decode in (unpack, unpack_output, unpack_updates):
        try:
            decode(bytes((version,)) + data)
        except JournalError:
            continue


def a_batch() -> OutputBatch:
    builder = DetectionsBuilder()
    builder.report(sensor=1, time=10, received=11, offset=5, boot=b"a1b2", seq=42,
                   looked_polygon=[(1.0, 0.5), (1.1, 0.5), (1.1, 0.6)])  # fmt: skip
    builder.detection(kind=DetectionKind.POSITION, position=(1.03, 0.49, 120.0), identity=b"x" * 24)
    builder.detection(kind=DetectionKind.LINE, line=[(1.0, 0.5), (1.1, 0.5)], direction=-1)
    builder.report(sensor=0, time=12)
    updates = TrackUpdates.empty(3)
    updates.number[:] = [b"A0001", b"B2", b""]
    updates.state[1] = [1, 2, np.nan, -0.0, np.inf, 5e-324]
    return OutputBatch(
        first=5,
        through=9,
        sensor_ids=("radar-1", "lidar-ü"),
        detections=builder.build(),
        updates=updates,
        quarantined=(Quarantined(6, -1, "radar-1", Reason.NOT_JSON, "no JSON: 'x'"),),
        published_ns=1_772_366_400_250_000_000,
        foreign=some_foreign(),
    )


def some_foreign() -> ForeignUpdates:
    rows = ForeignUpdates.empty(2, ("south", "east"), ("a-1",))
    rows.updates.state[0] = [1, 2, np.nan, -0.0, np.inf, 5e-324]
    rows.giver[:] = [1, 0]
    rows.agreement[:] = 0
    rows.seq[:] = [7, 2**61]
    rows.path[:, 0] = [1, 0]
    rows.head[:] = [True, False]
    return rows


def assert_same_batch(a: OutputBatch, b: OutputBatch) -> None:
    for name in ("first", "through", "sensor_ids", "quarantined", "published_ns"):
        assert getattr(a, name) == getattr(b, name)
        assert type(getattr(a, name)) is type(getattr(b, name))
    for table in ("detections", "updates"):
        ours, theirs = getattr(a, table).columns(), getattr(b, table).columns()
        assert ours.keys() == theirs.keys()
        for key in ours:
            assert same(ours[key], theirs[key]), key
    for mine, yours in (
        (a.foreign.columns(), b.foreign.columns()),
        (a.foreign.updates.columns(), b.foreign.updates.columns()),
    ):
        assert all(same(mine[key], yours[key]) for key in mine)
    assert (a.foreign.nodes, a.foreign.agreements) == (b.foreign.nodes, b.foreign.agreements)


def test_output_batches_come_back() -> None:
    batch = a_batch()
    back = unpack_output(pack_output(batch))
    assert_same_batch(batch, back)
    assert not any(array.flags.writeable for array in back.detections.columns().values())
    assert all(array.flags.aligned for array in back.updates.columns().values())
    first, through, updates = unpack_updates(pack_output(batch))
    assert_same_batch(replace(batch, first=first, through=through, updates=updates), batch)
    empty = OutputBatch(0, 0, (), Detections.empty(), TrackUpdates.empty())
    assert_same_batch(empty, unpack_output(pack_output(empty)))


def test_output_batch_is_a_message_that_others_can_read() -> None:
    data = pack_output(a_batch())
    assert data[0] == 0x42
    plain = msgspec.msgpack.decode(data[1:])
    assert plain[:3] == [5, 9, ["radar-1", "lidar-ü"]]
    assert plain[5] == [[6, -1, "radar-1", "not_json", "no JSON: 'x'"]]
    assert plain[3]["seq"].code == 1
    assert bytes(plain[3]["seq"].data) == b"\x03<i8\x01" + struct.pack("<qqq", 2, 42, -1)


def test_output_batch_that_breaks_the_schema_is_refused() -> None:
    batch = a_batch()
    bad = replace(batch, detections=batch.detections.replace(seq=np.zeros(2, "f8")))
    with pytest.raises(JournalError, match=r"Detections\.seq"):
        pack_output(bad)
    whole = msgspec.msgpack.decode(pack_output(batch)[1:])
    changes: list[tuple[dict[int, Any], str]] = [
        ({3: {**whole[3], "extra": whole[3]["seq"]}}, "unknown columns"),
        ({3: {k: v for k, v in whole[3].items() if k != "seq"}}, "seq"),
        ({3: {**whole[3], "seq": whole[3]["item"]}}, r"Detections\.seq"),
        ({4: {**whole[4], "n": 3}}, "ndarray"),
        ({4: {**whole[4], "n": msgspec.msgpack.Ext(2, b"\x03<i8\x00" + bytes(8))}}, "ndarray"),
        ({0: "5"}, "int"),
        ({5: [[6, -1, "radar-1", "no such reason", ""]]}, "no such reason"),
        ({7: [*whole[7][:2], ["south"], ["a-1"]]}, "no name"),
        ({7: [whole[7][0], {**whole[7][1], "n": whole[7][1]["seq"]}, *whole[7][2:]]}, "unknown"),
        ({7: [whole[7][0], {}, *whole[7][2:]]}, "giver"),
    ]
    for change, what in changes:
        altered = [change.get(i, value) for i, value in enumerate(whole)]
        with pytest.raises(JournalError, match=what):
            unpack_output(b"\x42" + msgspec.msgpack.encode(altered))
    strange = {**whole[4], "extra": whole[4]["n"]}
    with pytest.raises(JournalError, match="unknown columns"):
        unpack_updates(b"\x42" + msgspec.msgpack.encode([*whole[:4], strange, *whole[5:]]))


def test_every_cut_and_flip_of_an_output_batch_is_harmless() -> None:
    data = pack_output(a_batch())
    for at in range(0, len(data), 3):
        with pytest.raises(JournalError):
            unpack_output(data[:at])
        with pytest.raises(JournalError):
            unpack_updates(data[:at])
        flipped = bytearray(data)
        flipped[at] ^= 1 << at % 8
        for decode in (unpack_output, unpack_updates):
            with contextlib.suppress(JournalError):
                decode(bytes(flipped))
