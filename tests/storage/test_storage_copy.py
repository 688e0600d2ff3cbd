"""Binary COPY blocks, byte by byte as the manual has them."""

import numpy as np
import pytest

from storage import copy

HEADER = b"PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"


def stream(*columns: copy.Encoded) -> bytes:
    rows = [len(c.data) if isinstance(c, copy.Fixed) else len(c.length) for c in columns]
    return b"".join(copy.blocks(columns, rows[0]))


def test_numbers_of_every_width():
    got = stream(
        copy.numbers(np.array([-2]), "i2"),
        copy.numbers(np.array([1], "u1"), "i4"),
        copy.numbers(np.array([2**40]), "i8"),
        copy.numbers(np.array([-0.5]), "f8"),
        copy.booleans(np.array([True])),
    )
    assert got == (
        HEADER + b"\x00\x05"
        b"\x00\x00\x00\x02\xff\xfe"
        b"\x00\x00\x00\x04\x00\x00\x00\x01"
        b"\x00\x00\x00\x08\x00\x00\x01\x00\x00\x00\x00\x00"
        b"\x00\x00\x00\x08\xbf\xe0\x00\x00\x00\x00\x00\x00"
        b"\x00\x00\x00\x01\x01"
        b"\xff\xff"
    )


def test_what_was_not_measured_is_null():
    assert stream(copy.measured(np.array([np.nan, 0.0]))) == (
        HEADER + b"\x00\x01\xff\xff\xff\xff"
        b"\x00\x01\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00"
        b"\xff\xff"
    )


@pytest.mark.parametrize(
    ("time_ns", "field"),
    [
        (946_684_800_000_001_999, b"\x00\x00\x00\x00\x00\x00\x00\x01"),
        (946_684_800_000_000_000, b"\x00\x00\x00\x00\x00\x00\x00\x00"),
        (946_684_799_999_999_999, b"\xff\xff\xff\xff\xff\xff\xff\xff"),
    ],
)
def test_times_are_cut_to_the_microsecond_before(time_ns, field):
    assert stream(copy.timestamps(np.array([time_ns])))[21:-2] == b"\x00\x00\x00\x08" + field


def test_texts_and_bytes_of_any_length():
    got = stream(
        copy.byte_strings(np.array([b"ab", b"", b"a\0b"], "S4")),
        copy.coded(np.array([1, 0, 2]), [b"", None, b"xyz"]),
    )
    assert got == (
        HEADER + b"\x00\x02\x00\x00\x00\x02ab\xff\xff\xff\xff"
        b"\x00\x02\xff\xff\xff\xff\x00\x00\x00\x00"
        b"\x00\x02\x00\x00\x00\x03a\x00b\x00\x00\x00\x03xyz"
        b"\xff\xff"
    )


def test_arrays():
    got = stream(
        copy.float_arrays(np.array([[1.0, np.nan]]), copy.OID_FLOAT8, np.array([False])),
        copy.coded(np.array([0]), [copy.text_array_bytes(["a", None])]),
        copy.coded(np.array([0]), [copy.text_array_bytes([])]),
    )
    assert got[21:-2] == (
        b"\x00\x00\x00\x2c"
        b"\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x02\xbd\x00\x00\x00\x02\x00\x00\x00\x01"
        b"\x00\x00\x00\x08\x3f\xf0\x00\x00\x00\x00\x00\x00"
        b"\x00\x00\x00\x08\x7f\xf8\x00\x00\x00\x00\x00\x00"
        b"\x00\x00\x00\x1d"
        b"\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x19\x00\x00\x00\x02\x00\x00\x00\x01"
        b"\x00\x00\x00\x01a\xff\xff\xff\xff"
        b"\x00\x00\x00\x0c"
        b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x19"
    )


def test_no_rows_make_an_empty_stream():
    columns: list[copy.Encoded] = [
        copy.numbers(np.zeros(0), "i8"),
        copy.byte_strings(np.zeros(0, "S4")),
    ]
    assert stream(*columns) == HEADER + b"\xff\xff"


def test_blocks_do_not_change_the_stream(monkeypatch):
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 5, 1_000)
    columns: list[copy.Encoded] = [
        copy.measured(np.where(codes == 1, np.nan, codes.astype("f8"))),
        copy.coded(codes, [b"a" * n for n in (0, 1, 50, 3, 700)]),
    ]
    whole = stream(*columns)
    monkeypatch.setattr(copy, "BLOCK_ROWS", 7)
    assert stream(*columns) == whole
    monkeypatch.setattr(copy, "BLOCK_BYTES", 100)
    assert stream(*columns) == whole
