"""Reading ahead changes how often a socket is asked, and nothing else."""

import select
import socket
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from link.buffered import READ_BYTES, BufferedClient, BufferedSocket


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, BufferedSocket]]:
    theirs, ours = socket.socketpair()
    ours.setblocking(False)
    with theirs, ours:
        yield theirs, BufferedSocket(ours)


@given(
    pieces=st.lists(st.binary(min_size=1, max_size=300), max_size=20),
    counts=st.lists(st.integers(1, 200), min_size=1, max_size=50),
)
def test_the_bytes_are_those_of_the_socket_in_their_order(pieces, counts) -> None:
    theirs, ours = socket.socketpair()
    with theirs, ours:
        ahead = BufferedSocket(ours)
        for piece in pieces:
            theirs.sendall(piece)
        theirs.shutdown(socket.SHUT_WR)
        found = b""
        turn = 0
        while piece := ahead.recv(counts[turn % len(counts)]):
            assert len(piece) <= counts[turn % len(counts)]
            found += piece
            turn += 1
        assert found == b"".join(pieces)
        assert ahead.recv(1) == b""  # the end stays the end


def test_what_was_read_ahead_is_pending_though_the_descriptor_is_quiet(pair) -> None:
    theirs, ahead = pair
    assert ahead.pending() == 0
    theirs.sendall(b"abcdef")
    assert select.select([ahead], [], [], 5.0)[0] == [ahead]
    assert ahead.recv(1) == b"a"
    assert ahead.pending() == 5
    assert select.select([ahead], [], [], 0.0)[0] == []
    assert ahead.recv(100) == b"bcdef"
    assert ahead.pending() == 0
    with pytest.raises(BlockingIOError):
        ahead.recv(1)


def test_a_long_read_is_asked_for_as_it_is(pair) -> None:
    theirs, ahead = pair
    theirs.settimeout(10.0)
    body = bytes(range(256)) * (READ_BYTES // 256)
    sent = theirs.send(body)
    found = ahead.recv(2 * READ_BYTES)
    assert found == body[: len(found)]
    assert 0 < len(found) <= sent


class _Broker:
    """The broker's end of a connection, spoken byte by byte."""

    def __init__(self) -> None:
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = self._door.getsockname()[1]

    def accept(self) -> socket.socket:
        line, _ = self._door.accept()
        line.settimeout(10.0)
        assert line.recv(1000)[0] == 0x10  # CONNECT
        line.sendall(b"\x20\x03\x00\x00\x00")
        return line

    def close(self) -> None:
        self._door.close()


def _publication(mid: int, size: int) -> bytes:
    body = b"\x00\x01t" + struct.pack(">H", mid) + b"\x00" + b"x" * size
    return b"\x32" + bytes([len(body) & 127 | 128, len(body) >> 7]) + body


@pytest.fixture
def spoken() -> Iterator[tuple[BufferedClient, socket.socket, list[int]]]:
    broker = _Broker()
    came: list[int] = []
    client = BufferedClient(
        CallbackAPIVersion.VERSION2,
        "c",
        protocol=MQTTProtocolVersion.MQTTv5,
        manual_ack=True,
        reconnect_on_failure=False,
    )
    client.on_message = lambda _client, _data, message: came.append(message.mid)
    client.on_socket_register_write = lambda *_: None
    client.connect("127.0.0.1", broker.port)
    client.loop(1.0)  # sends CONNECT
    line = broker.accept()
    while not client.is_connected():
        client.loop(1.0)
    yield client, line, came
    client.disconnect()
    client.loop(1.0)
    line.close()
    broker.close()


def test_one_turn_takes_what_has_arrived_and_its_acks_leave_in_one_piece(spoken) -> None:
    client, line, came = spoken
    line.sendall(b"".join(_publication(mid, 400) for mid in range(1, 41)))
    while len(came) < 40:
        assert client.loop(1.0) == MQTTErrorCode.MQTT_ERR_SUCCESS
    assert came == list(range(1, 41))
    client.acks(came)
    client.loop(1.0)
    assert line.recv(1000) == b"".join(b"\x40\x02" + struct.pack(">H", mid) for mid in came)


def test_a_flood_leaves_acks_their_turn(spoken) -> None:
    """More than one read brings is there: a turn ends behind the first."""
    client, line, came = spoken
    line.sendall(b"".join(_publication(mid, 400) for mid in range(1, 301)))
    client.loop(1.0)
    first = len(came)
    assert first < 300
    while len(came) < 300:
        client.loop(1.0)
    assert came == list(range(1, 301))


@pytest.mark.parametrize(
    "properties", [b"", b"\x01\x01", b"\x26\x00\x01k\x00\x01v"], ids=["none", "format", "user"]
)
def test_a_message_is_the_same_whether_it_has_properties_or_not(spoken, properties) -> None:
    client, line, _ = spoken
    seen: list[tuple[str, int, int, bytes, bool, bool]] = []
    client.on_message = lambda _client, _data, m: seen.append(
        (m.topic, m.mid, m.qos, bytes(m.payload), m.dup, m.retain)
    )
    for header, mid in ((0x3B, b"\x01\x02"), (0x32, b"\xff\xff"), (0x30, b"")):
        body = b"\x00\x02\xc3\xa9" + mid + bytes([len(properties)]) + properties + b"\x00x"
        line.sendall(bytes([header, len(body)]) + body)
    while len(seen) < 3:
        client.loop(1.0)
    assert seen == [
        ("\u00e9", 0x102, 1, b"\x00x", True, True),
        ("\u00e9", 0xFFFF, 1, b"\x00x", False, False),
        ("\u00e9", 0, 0, b"\x00x", False, False),
    ]


@pytest.mark.parametrize(
    "body", [b"", b"\x00", b"\x00\x09abc", b"\x00\x01t\x00", b"\x00\x01t\x00\x01"]
)
def test_a_packet_that_is_cut_short_ends_the_connection(spoken, body) -> None:
    client, line, came = spoken
    line.sendall(bytes([0x32, len(body)]) + body)
    outcome = MQTTErrorCode.MQTT_ERR_SUCCESS
    while outcome == MQTTErrorCode.MQTT_ERR_SUCCESS:
        outcome = client.loop(1.0)
    assert came == []


def test_half_a_packet_waits_for_the_rest(spoken) -> None:
    client, line, came = spoken
    packets = _publication(1, 400) + _publication(2, 400)
    line.sendall(packets[:500])
    while not came:
        client.loop(1.0)
    client.loop(0.0)
    assert came == [1]
    line.sendall(packets[500:])
    while len(came) < 2:
        client.loop(1.0)
    assert came == [1, 2]
