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

from paho.mqtt.client import Client
from paho.mqtt.enums import MessageType, MQTTErrorCode

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


class BufferedClient(Client):
    """A client of one connection; `loop` takes all packets that one read brought."""

    def _create_socket(self) -> Any:
        return BufferedSocket(super()._create_socket())  # type: ignore[arg-type]

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

    def _ahead(self) -> BufferedSocket | None:
        """The socket of this connection; None: it has ended."""
        return self._sock if isinstance(self._sock, BufferedSocket) else None

    def acks(self, mids: Sequence[int]) -> None:
        """Queue PUBACKs of success, in order, to go out as one piece; safe from any thread."""
        kind = MessageType.PUBACK
        packets = b"".join([struct.pack("!BBH", kind, 2, mid) for mid in mids])
        self._packet_queue(kind, packets, 0, 1)
