"""`Proxy`: the network between clients and the broker, which can be cut and can stand still.

A cut loses what was under way in both directions: messages that the broker has sent, and PUBACKs
for messages that are journaled. So the broker sends both again, and the node has to know which of
them it has. Killing processes alone hardly ever makes that happen.
"""

import contextlib
import socket
import struct
import threading
from collections.abc import Sequence
from typing import Self

from vedette.local.places import LOOPBACK

CHUNK = 16_384
"""Bytes passed on at a time."""

CONNECT_S = 2.0
"""How long the broker may take to accept, s."""

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, 0 s: closing sends RST and drops what is in the buffers (socket(7))."""


class Proxy:
    """Passes connections on to a server of this machine.

    Parameters
    ----------
    port
        Of the server.
    """

    def __init__(self, port: int) -> None:
        self._server = port
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._flows = threading.Event()
        self._flows.set()
        self._listener = socket.create_server((LOOPBACK, 0))
        self._ended = False
        self._thread = threading.Thread(target=self._accept, name="proxy", daemon=True)

    @property
    def port(self) -> int:
        """Where clients connect."""
        port: int = self._listener.getsockname()[1]
        return port

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._flows.set()
        with contextlib.suppress(OSError):  # wakes the thread that accepts
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        self.cut()

    def cut(self, every: int = 1) -> int:
        """Reset connections; returns how many.

        Parameters
        ----------
        every
            Each so-manieth alone, from the oldest; 1: all.
        """
        with self._lock:
            chosen = self._pairs[::every]
            self._pairs = [pair for pair in self._pairs if pair not in chosen]
        for pair in chosen:
            _reset(pair)
        return len(chosen)

    def stand_still(self) -> None:
        """Pass nothing on until `flow`; connections stay open."""
        self._flows.clear()

    def flow(self) -> None:
        """Pass on again, and first what has gathered."""
        self._flows.set()

    def _accept(self) -> None:
        while not self._ended:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection((LOOPBACK, self._server), CONNECT_S)
            except OSError:  # the broker is away
                client.close()
                continue
            server.settimeout(None)
            pair = client, server
            with self._lock:
                self._pairs.append(pair)
            for one, other in (pair, pair[::-1]):
                threading.Thread(
                    target=self._pass_on, args=(one, other, pair), name="proxy", daemon=True
                ).start()

    def _pass_on(
        self, one: socket.socket, other: socket.socket, pair: tuple[socket.socket, socket.socket]
    ) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(CHUNK):
                self._flows.wait()
                other.sendall(data)
        with self._lock:
            ours = pair in self._pairs
            if ours:
                self._pairs.remove(pair)
        if ours:  # else whoever cut it closes it
            for one in pair:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()


def _reset(pair: Sequence[socket.socket]) -> None:
    """Close without a farewell; threads that wait to read wake up, and nothing is sent by that."""
    for one in pair:
        with contextlib.suppress(OSError):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            one.shutdown(socket.SHUT_RD)
        one.close()
