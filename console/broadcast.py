"""One poll of the source for all sockets, and a loop for each socket: latest wins.

One message is under way to a reader until it is acknowledged. Socket buffers alone would not do:
the kernel takes in megabytes for a reader that has stopped reading, and would give it minutes of
old pictures before the newest.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect

from console.feed import ACK, SERVER_AT, encode
from console.picture import Picture
from console.source import PictureSource, foreign_of
from model.time import MAX_TIME_NS

log = logging.getLogger(__name__)

PERIOD_S = 0.2
"""Seconds between two pictures; the page moves tracks smoothly in between."""

ACK_TIMEOUT_S = 20.0
"""Seconds after which a reader that acknowledges nothing is let go (it may come back)."""

POLICY = 1008
"""WebSocket close code of RFC 6455 §7.4.1: the reader broke the rules of the feed."""


class _Reader:
    """Where one socket stands."""

    def __init__(self) -> None:
        self.wake = asyncio.Event()
        self.sent: int | None = None
        self.under_way = False
        self.sent_at = 0.0


class Broadcast:
    """Feeds the picture to any number of sockets.

    Parameters
    ----------
    source
        Where the picture comes from; asked only while somebody looks.
    node
        Name of the node.
    clock
        UTC nanoseconds.
    period_s
        Seconds between two pictures.
    ack_timeout_s
        Seconds that a reader may take for one message.
    """

    def __init__(
        self,
        source: PictureSource,
        node: str,
        *,
        clock: Callable[[], int] = time.time_ns,
        period_s: float = PERIOD_S,
        ack_timeout_s: float = ACK_TIMEOUT_S,
    ) -> None:
        self._source = source
        self._clock = clock
        self._period_s = period_s
        self._ack_timeout_s = ack_timeout_s
        self._picture = Picture(node)
        self._core_ns = 0
        self._readers: set[_Reader] = set()
        self._wanted = asyncio.Event()
        self._encoded: dict[int | None, bytes] = {}
        self._failing = False
        self.messages = 0
        self.bytes = 0
        self.failures = 0

    @property
    def readers(self) -> int:
        """Sockets that are open."""
        return len(self._readers)

    async def run(self) -> None:
        """Ask the source once a period while anybody reads, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            if not self._readers:
                self._wanted.clear()
                await self._wanted.wait()
            due = loop.time() + self._period_s
            self._poll()
            for reader in self._readers:
                reader.wake.set()
            await asyncio.sleep(max(0.0, due - loop.time()))

    def _poll(self) -> None:
        self._encoded.clear()
        try:
            tracks, sensor_ids = self._source.tracks(), self._source.sensor_ids()
            self._core_ns = core_time(self._source.status())
            self._picture.update(tracks, sensor_ids, foreign_of(self._source))
        except Exception:
            # The feed outlives a broken source: the page sees the times stand still and says so.
            self.failures += 1
            if not self._failing:
                log.exception("console: the picture source failed; the last picture stays")
            self._failing = True
            self._picture.keep()
        else:
            self._failing = False

    async def attend(self, socket: WebSocket) -> None:
        """Feed one socket until either side closes it."""
        await socket.accept()
        reader = _Reader()
        self._readers.add(reader)
        self._wanted.set()
        hearing = asyncio.create_task(self._hear(socket, reader), name="console.feed.hear")
        try:
            await self._tell(socket, reader, hearing)
        except WebSocketDisconnect:
            pass
        finally:
            self._readers.discard(reader)
            hearing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await hearing

    async def _tell(
        self, socket: WebSocket, reader: _Reader, hearing: asyncio.Task[str | None]
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await reader.wake.wait()
            reader.wake.clear()
            if hearing.done():
                if fault := hearing.result():
                    await socket.close(POLICY, fault)
                return
            if reader.under_way:
                if loop.time() - reader.sent_at > self._ack_timeout_s:
                    await socket.close(POLICY, f"no answer for {self._ack_timeout_s:g} s")
                    return
                continue
            if reader.sent == self._picture.sequence:
                continue
            data = self._message(reader.sent)
            reader.sent = self._picture.sequence
            reader.under_way = True
            reader.sent_at = loop.time()
            self.messages += 1
            self.bytes += len(data)
            await socket.send_bytes(data)

    def _message(self, since: int | None) -> bytes:
        """Message for a reader that holds `since`, encoded once for all such readers."""
        data = self._encoded.get(since)
        if data is None:
            data = encode(self._picture.message(since, 0, self._core_ns))
            self._encoded[since] = data
        server = self._clock().to_bytes(8, "little", signed=True)
        return data[:SERVER_AT] + server + data[SERVER_AT + 8 :]

    async def _hear(self, socket: WebSocket, reader: _Reader) -> str | None:
        """Take in acknowledgements; returns what the reader did wrong, None: it left."""
        try:
            while True:
                event = await socket.receive()
                if event["type"] == "websocket.disconnect":
                    return None
                data = event.get("bytes")
                if data is None or len(data) != ACK.itemsize:
                    return "an answer is 4 bytes, the sequence of the message"
                sequence = int(np.frombuffer(data, ACK)[0])
                if not reader.under_way or sequence != reader.sent:
                    return f"sequence {sequence} is not under way"
                reader.under_way = False
                reader.wake.set()
        finally:
            reader.wake.set()


def core_time(status: dict[str, Any]) -> int:
    """The core's last sign of life in a status, UTC ns; 0: it gives none."""
    core = status.get("core")
    value = core.get("time_ns") if isinstance(core, dict) else None
    sane = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TIME_NS
    return value if sane and value is not None else 0
