"""`LeanPublisher`: QoS 1 at the least cost to the machine, for senders of benchmarks.

The sender runs on the cores of the node that it measures, so what it takes is taken from the node.
It speaks just as much MQTT 5.0 as a sender needs: CONNECT, PUBLISH, PUBACK, DISCONNECT. Messages
leave in one write for all that are due, and acks are read as they come.
"""

import socket
import struct
from collections.abc import Iterable

from link.publisher import FAILURE, NO_MATCHING_SUBSCRIBERS, Published
from link.settings import ClientSettings
from model.errors import LinkError

CONNACK, PUBACK, DISCONNECT = 0x20, 0x40, 0xE0
"""First bytes of packets; MQTT 5.0, 2.1.2."""

RECEIVE_MAXIMUM = 0x21
"""Property of a CONNACK: how many messages may be under way; MQTT 5.0, 3.2.2.3.3."""

SIZES = {
    0x11: 4, 0x13: 2, 0x21: 2, 0x22: 2, 0x24: 1, 0x25: 1, 0x27: 4, 0x28: 1, 0x29: 1, 0x2A: 1,
}  # fmt: skip
"""Bytes of the properties of a CONNACK that are numbers; all others are strings."""

FULL_BYTES = 1 << 18
"""So much is written at once in a flood."""

PATIENCE_S = 30.0
"""How long a broker may take to answer, s."""


class LeanPublisher:
    """One connection in the clear; used by one thread.

    Parameters
    ----------
    settings
        The broker; certificates are not spoken.
    in_flight
        Messages under way at most; the broker may allow fewer.
    """

    def __init__(self, settings: ClientSettings, in_flight: int) -> None:
        self._settings = settings
        self._window = in_flight
        self._out = bytearray()
        self._in = bytearray()
        self._mid = 0
        self._under_way = 0
        self._topics: dict[str, bytes] = {}
        self._sent = self._stored = self._unmatched = self._refused = 0

    def start(self) -> None:
        """Connect.

        Raises
        ------
        LinkError
            The broker does not answer, or refuses.
        """
        settings = self._settings
        name = settings.client_id.encode()
        flags, payload = 0x02, struct.pack(">H", len(name)) + name  # clean start
        if settings.username is not None:
            user, password = settings.username.encode(), (settings.password or "").encode()
            flags |= 0xC0
            payload += struct.pack(">H", len(user)) + user
            payload += struct.pack(">H", len(password)) + password
        body = b"\x00\x04MQTT\x05" + bytes([flags]) + b"\x00\x00\x00" + payload
        try:
            self._socket = socket.create_connection((settings.host, settings.port), PATIENCE_S)
        except OSError as error:
            raise LinkError(f"broker {settings.name}: {error}") from error
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.sendall(b"\x10" + _varint(len(body)) + body)
            kind, answer = self._packet()
        except OSError as error:
            self._socket.close()
            raise LinkError(f"broker {settings.name}: {error}") from error
        if kind != CONNACK or len(answer) < 3 or answer[1] >= FAILURE:
            self._socket.close()
            raise LinkError(f"broker {settings.name} refuses: {answer.hex()}")
        self._window = min(self._window, _receive_maximum(answer))

    def stop(self) -> None:
        """Disconnect."""
        try:
            self._socket.sendall(bytes([DISCONNECT, 0]))
        except OSError:
            pass
        finally:
            self._socket.close()

    def publish(self, topic: str, payload: bytes) -> None:
        """Put a message into what goes out next; waits while too many are under way."""
        if self._under_way >= self._window:
            self.push()
        while self._under_way >= self._window:
            self._read(wait=True)
        head = self._topics.get(topic)
        if head is None:
            text = topic.encode()
            head = self._topics[topic] = struct.pack(">H", len(text)) + text
        self._mid = self._mid % 65_535 + 1
        length = len(head) + 3 + len(payload)
        self._out += b"\x32" + _varint(length) + head + struct.pack(">HB", self._mid, 0) + payload
        self._under_way += 1
        self._sent += 1
        if len(self._out) >= FULL_BYTES:
            self.push()

    def push(self) -> None:
        """Write what is put together, and take in the acks that have come."""
        if self._out:
            self._write(self._out)
            self._out = bytearray()
        self._read(wait=False)

    def flush(self) -> Published:
        """Wait for all acks; what became of all messages so far."""
        self.push()
        while self._under_way:
            self._read(wait=True)
        return Published(self._sent, self._stored, self._unmatched, self._refused, 0)

    def publish_all(self, messages: Iterable[tuple[str, bytes]]) -> Published:
        """Publish (topic, payload) in order, and wait for all acks."""
        for topic, payload in messages:
            self.publish(topic, payload)
        return self.flush()

    def _write(self, data: bytearray) -> None:
        # A broker that waits for us to read its acks does not read: so both at once.
        view = memoryview(data)
        while view:
            self._socket.settimeout(0.0)
            try:
                view = view[self._socket.send(view) :]
            except BlockingIOError:
                self._read(wait=True)
            except OSError as error:
                raise LinkError(f"broker {self._settings.name}: {error}") from error

    def _read(self, *, wait: bool) -> None:
        """Take in acks; with `wait` at least some bytes."""
        self._socket.settimeout(PATIENCE_S if wait else 0.0)
        try:
            data = self._socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError as error:
            raise LinkError(f"broker {self._settings.name}: {error}") from error
        if not data:
            raise LinkError(f"broker {self._settings.name}: the connection has ended")
        self._in += data
        for kind, body in self._packets():
            if kind == DISCONNECT:
                raise LinkError(f"broker {self._settings.name} has disconnected: {body.hex()}")
            if kind == PUBACK:
                self._acked(body[2] if len(body) > 2 else 0)

    def _acked(self, reason: int) -> None:
        self._under_way -= 1
        if reason >= FAILURE:
            self._refused += 1
        elif reason == NO_MATCHING_SUBSCRIBERS:
            self._unmatched += 1
        else:
            self._stored += 1

    def _packet(self) -> tuple[int, bytes]:
        """The next packet, waited for."""
        while True:
            for found in self._packets():
                return found
            data = self._socket.recv(1 << 16)
            if not data:
                raise LinkError(f"broker {self._settings.name}: the connection has ended")
            self._in += data

    def _packets(self) -> Iterable[tuple[int, bytes]]:
        """Whole packets that have come: type, and what stands behind the length."""
        data, at = self._in, 0
        while len(data) - at >= 2:
            length, behind = _length(data, at + 1)
            if behind < 0 or len(data) < behind + length:
                break
            kind, body = data[at] & 0xF0, bytes(data[behind : behind + length])
            at = behind + length
            del data[:at]
            at = 0
            yield kind, body


def _varint(number: int) -> bytes:
    """Variable byte integer; MQTT 5.0, 1.5.5."""
    out = bytearray()
    while True:
        number, low = divmod(number, 128)
        out.append(low | (0x80 if number else 0))
        if not number:
            return bytes(out)


def _length(data: bytearray, at: int) -> tuple[int, int]:
    """A variable byte integer and where it ends; -1: it is not all there."""
    number = 0
    for place in range(4):
        if at + place >= len(data):
            return 0, -1
        byte = data[at + place]
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return number, at + place + 1
    raise LinkError("the broker sends what is no MQTT")


def _receive_maximum(connack: bytes) -> int:
    """How many messages may be under way; 65,535 where the broker does not say."""
    end, at = _length(bytearray(connack), 2)
    end += at
    while at < end:
        kind = connack[at]
        at += 1
        if kind == RECEIVE_MAXIMUM:
            return int.from_bytes(connack[at : at + 2], "big")
        if kind in SIZES:
            at += SIZES[kind]
            continue
        for _ in range(2 if kind == 0x26 else 1):  # user properties are pairs
            at += 2 + int.from_bytes(connack[at : at + 2], "big")
    return 65_535
