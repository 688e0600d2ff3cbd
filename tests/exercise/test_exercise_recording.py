"""The recording format: golden bytes, torn tails, damage."""

import io

import google_crc32c
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exercise.recording import (
    MAGIC,
    Captured,
    Header,
    RecordingReader,
    RecordingWriter,
    is_recording,
    read_recording,
)
from model.errors import InputFileError

MESSAGES = [
    Captured(1_000, "vedette/n/sensors/r/reports", b"{}"),
    Captured(2_000, "vedette/n/sensors/a/raw", b"\x00\xff"),
    Captured(2_000, "farm/x", b""),
]


def written(path, messages=MESSAGES):
    with RecordingWriter(path, Header(7, "n", ("a/#",))) as writer:
        writer.write(messages)
    return path.read_bytes()


def test_golden_bytes(tmp_path):
    data = written(tmp_path / "x.vrec", [Captured(1, "t", b"p")])
    header = bytes.fromhex(
        "84"  # map of 4
        "aa637265617465645f6e7307"  # created_ns 7
        "a46e6f6465a16e"  # node "n"
        "a6746f7069637391a3612f23"  # topics ["a/#"]
        "a770726f6772616da776656465747465"  # program "vedette"
    )
    body = bytes.fromhex("9301a174c40170")
    expected = b"VEDETTE-RECORDING 1\n"
    for part in (header, body):
        expected += len(part).to_bytes(4, "little")
        expected += google_crc32c.value(part).to_bytes(4, "little") + part
    assert data == expected
    assert google_crc32c.value(b"123456789") == 0xE3069283  # RFC 3720: Castagnoli's check value


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "x.vrec"
    written(path)
    assert is_recording(path)
    header, messages, torn = read_recording(path)
    assert (header.created_ns, header.node, header.topics) == (7, "n", ("a/#",))
    assert list(messages) == MESSAGES
    assert torn == 0
    with pytest.raises(InputFileError, match="exists"):
        RecordingWriter(path, Header(7))


def test_it_can_be_read_while_it_grows(tmp_path):
    path = tmp_path / "x.vrec"
    with RecordingWriter(path, Header(7)) as writer:
        writer.write(MESSAGES[:1])
        assert list(read_recording(path)[1]) == MESSAGES[:1]
        writer.write(MESSAGES[1:])
        assert list(read_recording(path)[1]) == MESSAGES


def test_every_cut_gives_the_whole_messages_before_it(tmp_path):
    data = written(tmp_path / "x.vrec")
    ends = []
    at = len(MAGIC)
    while at < len(data):
        at += 8 + int.from_bytes(data[at : at + 4], "little")
        ends.append(at)
    for cut in range(ends[0], len(data) + 1):
        reader = RecordingReader(io.BytesIO(data[:cut]), "x")
        whole = sum(end <= cut for end in ends) - 1
        assert list(reader) == MESSAGES[:whole]
        assert reader.torn == cut - ends[whole]
    for cut in range(ends[0]):
        with pytest.raises(InputFileError):
            RecordingReader(io.BytesIO(data[:cut]), "x")


def test_no_flipped_bit_passes_silently(tmp_path):
    data = written(tmp_path / "x.vrec")
    for position in range(len(data)):
        for bit in (0, 3, 7):
            broken = bytearray(data)
            broken[position] ^= 1 << bit
            try:
                reader = RecordingReader(io.BytesIO(bytes(broken)), "x")
                found = list(reader)
            except InputFileError:
                continue
            assert reader.torn > 0
            assert found == MESSAGES[: len(found)]
            assert len(found) < len(MESSAGES)


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_bytes_raise_only_input_errors(data):
    for prefix in (b"", MAGIC, MAGIC + framed(msgspec.msgpack.encode(Header(1)))):
        message = "x: whole, or torn"
        try:
            list(RecordingReader(io.BytesIO(prefix + data), "x"))
        except InputFileError as error:
            message = str(error)
        assert message.startswith("x:")


def framed(body):
    return len(body).to_bytes(4, "little") + google_crc32c.value(body).to_bytes(4, "little") + body


def test_a_body_that_is_no_message_is_named():
    data = MAGIC + framed(msgspec.msgpack.encode(Header(1))) + framed(b"\xc0") + framed(b"\xc0")
    with pytest.raises(InputFileError, match=r"x: byte \d+: "):
        list(RecordingReader(io.BytesIO(data), "x"))
