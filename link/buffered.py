"""`BufferedClient`: paho's client, with a socket that is read and written in large pieces.

paho asks its socket for one byte, one byte and the rest, looks with `select` whether another packet
is there, and writes each PUBACK by itself after a byte down a pipe of its own: some seven calls of
the system for a message, and at each of them a thread lets go of Python's lock and has to win it
back from the threads that compute. With `BufferedSocket` between the two, all that has arrived is
fetched at once, and `BufferedClient.acks` queues PUBACKs as one piece.
"""

import socket
import ssl
import struct
from collections.abc import Sequence
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import MessageType, MQTTErrorCode, MQTTProtocolVersion

READ_BYTES = 1 << 16
"""Fetched at once, bytes: at least a hundred messages of the usual length."""


class BufferedSocket:
    """A connected socket, reading ahead. What is not said here is the socket's own.

    It has the methods that paho uses of an `ssl.SSLSocket`: `pending` tells paho that bytes are
    there although the descriptor is not ready.

    Parameters
    ----------
    inner
        In the clear or under TLS.
    """

    def __init__(self, inner: socket.socket) -> None:
        self._inner = inner
        self._ahead = b""
        self._at = 0
        self.fetched = 0
        """How often the socket itself has been read."""
        self._deeper = inner.pending if isinstance(inner, ssl.SSLSocket) else None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def recv(self, count: int) -> bytes:
        """At most `count` bytes; empty: the other side has ended.

        Raises
        ------
        OSError
            As the socket itself does; of a socket that does not wait, that nothing is there.
        """
        at = self._at
        if at == len(self._ahead):
            self._ahead = self._inner.recv(max(READ_BYTES, count))
            self.fetched += 1
            at = 0
        found = self._ahead[at : at + count]
        self._at = at + len(found)
        return found

    def pending(self) -> int:
        """Bytes that can be had without waiting and that the descriptor says nothing of."""
        return len(self._ahead) - self._at + (0 if self._deeper is None else self._deeper())


class _Publication(MQTTMessage):
    """A message that came; it has what `Connector` hands on, and nothing for sending it.

    Parameters
    ----------
    header
        First byte of the packet.
    packet
        What stands behind its length.
    end, body
        Where in it the topic ends, and where its properties, of which there are none, begin.
    """

    __slots__ = ()

    def __init__(self, header: int, packet: bytearray, end: int, body: int) -> None:
        self._topic = bytes(packet[2:end])
        self.mid = int.from_bytes(packet[end:body], "big")
        self.payload = bytes(packet[body + 1 :])
        self.dup = bool(header & 8)
        self.qos = header >> 1 & 3
        self.retain = bool(header & 1)


class BufferedClient(Client):
    """A client of one connection; `loop` takes all packets that one read brought."""

    def _create_socket(self) -> Any:
        inner: Any = super()._create_socket()  # paho knows it by a protocol of its own
        return BufferedSocket(inner)

    def loop(self, timeout: float = 1.0) -> MQTTErrorCode:
        """As paho's, and then what has been read already; returns paho's outcome.

        It ends when more has to be fetched, however much there is: what is to be sent has its turn.
        """
        outcome = super().loop(timeout)
        ahead = self._ahead()
        fetched = 0 if ahead is None else ahead.fetched
        while (
            outcome == MQTTErrorCode.MQTT_ERR_SUCCESS
            and (ahead := self._ahead()) is not None
            and ahead.fetched == fetched
            and ahead.pending()
        ):
            outcome = self.loop_read()
        return outcome

    def _handle_publish(self) -> MQTTErrorCode:
        """A publication without properties, which nearly all are, is read here.

        paho makes a table of properties and a lock for each, half of what a message costs.
        """
        header, packet = self._in_packet["command"], self._in_packet["packet"]
        qos, end = header >> 1 & 3, 2 + int.from_bytes(packet[:2], "big")
        body = end + 2 * qos
        hook = self.on_message
        if self._protocol != MQTTProtocolVersion.MQTTv5 or qos > 1 or hook is None:
            return super()._handle_publish()
        if body >= len(packet) or packet[body]:  # cut short, or with properties
            return super()._handle_publish()
        hook(self, self._userdata, _Publication(header, packet, end, body))
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _ahead(self) -> BufferedSocket | None:
        """The socket of this connection; None: it has ended."""
        return self._sock if isinstance(self._sock, BufferedSocket) else None

    def acks(self, mids: Sequence[int]) -> None:
        """Queue PUBACKs of success, in order, to go out as one piece; safe from any thread."""
        kind = MessageType.PUBACK
        packets = b"".join([struct.pack("!BBH", kind, 2, mid) for mid in mids])
        self._packet_queue(kind, packets, 0, 1)
