"""Where a gateway's bytes come from: a thread each that reads, splits and hands over.

Hands over means: into a `Hopper` of bounded size. While that is full a reader reads nothing, so a
pipe, a TCP peer, a file and a serial line with flow control wait. A UDP sender does not: what the
kernel had no room for is counted (Linux tells) and shown.
"""

import logging
import os
import select
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ingest.outbox import Place
from ingest.splitting import Chunks, Lines, Splitter
from link.connection import reconnect_delay_s

log = logging.getLogger("vedette.gateway")

READ_BYTES = 64 << 10
"""Bytes read at a time."""

HOPPER_BYTES = 1 << 20
"""Payload that may wait for the outbox, bytes."""

ITEM_BYTES = 64
"""What a waiting item takes beside its payload, bytes."""

LOOK_S = 0.1
"""How late a stop, or the growth of a followed file, is noticed, s."""

_SO_RXQ_OVFL = 40
"""Linux, asm-generic/socket.h: datagrams dropped for want of room come beside each datagram."""


class Taken(NamedTuple):
    """One message from the hardware.

    Parameters
    ----------
    received_ns
        When it was read, UTC ns.
    payload
        Its bytes.
    place
        How far a followed file was read with it; None: its input cannot be read again.
    """

    received_ns: int
    payload: bytes
    place: Place | None = None


class Hopper:
    """What was read and is not in the outbox yet.

    Parameters
    ----------
    wake
        Called when something was put in.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._groups: deque[list[Taken]] = deque()
        self._bytes = 0
        self._room = threading.Condition()
        self._closed = False
        self.ended = False
        """The input has come to its end, and everything of it was put in."""
        self.problem = ""
        """Why nothing can be read at present; empty: all is well."""
        self.dropped = 0
        """Datagrams that the system had no room for."""

    def put(self, items: Sequence[Taken]) -> None:
        """Put items in, after waiting for room; what was read is taken even at the end.

        They stay together: the place that the last one tells is true for all or for none.
        """
        with self._room:
            self._room.wait_for(lambda: self._closed or self._bytes < HOPPER_BYTES)
            self._groups.append(list(items))
            self._bytes += sum(len(item.payload) + ITEM_BYTES for item in items)
        self._wake()

    def take(self, least: int) -> list[Taken]:
        """Take the oldest groups out, until there are so many items."""
        found: list[Taken] = []
        with self._room:
            while self._groups and len(found) < least:
                found += self._groups.popleft()
            self._bytes -= sum(len(item.payload) + ITEM_BYTES for item in found)
            if found:
                self._room.notify_all()
        return found

    def close(self) -> None:
        """Let a reader that waits go on to its end."""
        with self._room:
            self._closed = True
            self._room.notify_all()

    def __len__(self) -> int:
        return len(self._groups)


class Input:
    """A thread that reads until its input ends or it is told to stop.

    Parameters
    ----------
    name
        For messages, and for the place of a followed file.
    hopper
        Where to.
    read
        The work: yields whether anything was read, at least every `LOOK_S`.
    """

    def __init__(self, name: str, hopper: Hopper, read: Callable[["Input"], None]) -> None:
        self.name = name
        self.hopper = hopper
        self.stopping = threading.Event()
        self._read = read
        self._thread = threading.Thread(target=self._run, name="input", daemon=True)
        self.failed: BaseException | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Read nothing more; what was read is in the hopper."""
        self.stopping.set()
        self.hopper.close()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            self._read(self)
        except BaseException as error:  # noqa: BLE001 - raised by the main thread
            self.failed = error
        finally:
            self.hopper.ended = True

    def put(self, pieces: Sequence[bytes], place: Place | None = None) -> None:
        """Hand pieces over; the place belongs to the last."""
        if not pieces:
            return
        now_ns = time.time_ns()
        items = [Taken(now_ns, piece) for piece in pieces]
        items[-1] = items[-1]._replace(place=place)
        self.hopper.put(items)

    def again(self, attempt: int, why: str) -> None:
        """Wait before another try, and say why."""
        if why != self.hopper.problem:
            log.warning("input=%s %s", self.name, why)
        self.hopper.problem = why
        self.stopping.wait(reconnect_delay_s(attempt, 1.0))


def _chunks(one: Input, fd: int) -> Iterator[bytes]:
    """What comes on a descriptor, until its end or a stop."""
    while not one.stopping.is_set():
        if select.select([fd], [], [], LOOK_S)[0]:
            data = os.read(fd, READ_BYTES)
            if not data:
                return
            yield data


def _pour(one: Input, chunks: Iterator[bytes], splitter: Splitter) -> None:
    for data in chunks:
        one.hopper.problem = ""
        one.put(splitter.feed(data))
    if rest := splitter.rest():
        one.put([rest])


def _splitter(split: str) -> Splitter:
    return Lines() if split == "lines" else Chunks()


def standard_input(hopper: Hopper, split: str) -> Input:
    """What is piped in, to its end."""
    return Input(
        "stdin",
        hopper,
        lambda one: _pour(one, _chunks(one, sys.stdin.fileno()), _splitter(split)),
    )


def device(hopper: Hopper, path: Path, split: str) -> Input:
    """A serial line or another device, opened as a file; opened again when it goes away."""

    def read(one: Input) -> None:
        attempt = 0
        while not one.stopping.is_set():
            try:
                fd = os.open(path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
                try:
                    _pour(one, _chunks(one, fd), _splitter(split))
                finally:
                    os.close(fd)
                why = "came to its end"
                attempt = 0
            except OSError as error:
                why = error.strerror or str(error)
                attempt += 1
            if not one.stopping.is_set():
                one.again(attempt, why)

    return Input(str(path), hopper, read)


def tcp_client(hopper: Hopper, where: tuple[str, int], split: str) -> Input:
    """Hardware that listens on a TCP port; connected again when it goes away."""

    def read(one: Input) -> None:
        attempt = 0
        while not one.stopping.is_set():
            try:
                with socket.create_connection(where, timeout=5.0) as peer:
                    peer.setblocking(False)
                    attempt = 0
                    one.hopper.problem = ""
                    _pour(one, _chunks(one, peer.fileno()), _splitter(split))
                why = "closed the connection"
            except OSError as error:
                why = error.strerror or str(error)
                attempt += 1
            if not one.stopping.is_set():
                one.again(attempt, why)

    return Input(f"tcp {where[0]}:{where[1]}", hopper, read)


def tcp_server(hopper: Hopper, listener: socket.socket, split: str) -> Input:
    """Hardware that connects to us, one after another or several at a time.

    Parameters
    ----------
    hopper
        Where to.
    listener
        Bound and listening.
    split
        ``lines`` or ``none``.
    """

    def read(one: Input) -> None:
        listener.setblocking(False)
        peers: dict[socket.socket, Splitter] = {}
        with listener:
            while not one.stopping.is_set():
                ready, _, _ = select.select([listener, *peers], [], [], LOOK_S)
                for sock in ready:
                    if sock is listener:
                        peer, _ = listener.accept()
                        peer.setblocking(False)
                        peers[peer] = _splitter(split)
                    else:
                        _serve(one, sock, peers)
            for peer, splitter in peers.items():
                peer.close()
                one.put([rest] if (rest := splitter.rest()) else [])

    return Input("tcp server", hopper, read)


def _serve(one: Input, peer: socket.socket, peers: dict[socket.socket, Splitter]) -> None:
    try:
        data = peer.recv(READ_BYTES)
    except OSError:
        data = b""
    if data:
        one.put(peers[peer].feed(data))
        return
    rest = peers.pop(peer).rest()
    peer.close()
    one.put([rest] if rest else [])


def udp(hopper: Hopper, sock: socket.socket) -> Input:
    """Datagrams, one piece each; `sock` is bound."""

    def read(one: Input) -> None:
        counts = sys.platform == "linux"
        if counts:
            sock.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
        with sock:
            while not one.stopping.is_set():
                if not select.select([sock], [], [], LOOK_S)[0]:
                    continue
                data, beside, _, _ = sock.recvmsg(READ_BYTES, socket.CMSG_SPACE(4))
                for level, kind, value in beside:
                    if counts and level == socket.SOL_SOCKET and kind == _SO_RXQ_OVFL:
                        hopper.dropped = int.from_bytes(value[:4], sys.byteorder)
                if data:
                    one.put([data])

    return Input("udp", hopper, read)


def followed(hopper: Hopper, path: Path, place: Place | None) -> Input:
    """A file that somebody appends lines to, from where an earlier gateway was.

    A file that was exchanged (rotation) is read to its end, then the new one from its beginning; a
    file that was cut begins anew. A line without its end waits for it.

    Parameters
    ----------
    hopper
        Where to.
    path
        The file; it need not exist yet.
    place
        Of the outbox; None: from its beginning.
    """

    def read(one: Input) -> None:
        at = place
        while not one.stopping.is_set():
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                one.hopper.problem = error.strerror or str(error)
                one.stopping.wait(LOOK_S)
                continue
            one.hopper.problem = ""
            try:
                _follow(one, fd, path, at)
            finally:
                os.close(fd)
            at = None

    return Input(str(path), hopper, read)


def _identity(stat: os.stat_result) -> str:
    return f"{stat.st_dev}:{stat.st_ino}"


def _follow(one: Input, fd: int, path: Path, place: Place | None) -> None:
    """Read one file until it was exchanged, or a stop."""
    file = _identity(os.fstat(fd))
    start = place.position if place is not None and place.file == file else 0
    splitter = Lines()
    at = start
    while not one.stopping.is_set():
        if os.fstat(fd).st_size < at:
            log.warning("input=%s was cut below byte %d; read from its beginning", path, at)
            splitter, at = Lines(), 0
        data = os.pread(fd, READ_BYTES, at)
        if data:
            at += len(data)
            one.put(splitter.feed(data), Place(file, at - splitter.pending))
            continue
        try:
            exchanged = _identity(path.stat()) != file
        except FileNotFoundError:
            exchanged = False  # the next one may come any time; this one may grow still
        if exchanged and not os.pread(fd, 1, at):
            if rest := splitter.rest():
                one.put([rest], Place(file, at))
            return
        one.stopping.wait(LOOK_S)
