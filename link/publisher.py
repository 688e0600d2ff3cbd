"""`Publisher`: QoS 1 with bounded in-flight messages, and what became of each.

A PUBACK means that the broker took the message over, not that anybody will get it: MQTT 5 brokers
say *no matching subscribers* (reason 16) when nobody listens, and then it is gone. That is counted
apart and never as stored. MQTT 3.1.1 cannot say so.
"""

import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from paho.mqtt.client import Client
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from link.connection import Connector
from link.settings import ClientSettings
from model.errors import LinkError

NO_MATCHING_SUBSCRIBERS = 16
"""PUBACK reason: taken over, but nobody has subscribed; MQTT 5.0, 3.4.2.1."""

FAILURE = 0x80
"""Reason codes from here on are failures; MQTT 5.0, 2.4."""

PATIENCE_S = 30.0
"""How long to wait for a broker that is away or does not answer, s."""


class Published(NamedTuple):
    """What became of messages.

    Parameters
    ----------
    sent
        Messages given to the network once or more.
    stored
        PUBACK said success.
    unmatched
        PUBACK said that nobody has subscribed: not stored.
    refused
        PUBACK said no (not authorised, quota exceeded...): not stored.
    resent
        Sendings repeated because a connection ended before the PUBACK.
    """

    sent: int = 0
    stored: int = 0
    unmatched: int = 0
    refused: int = 0
    resent: int = 0

    def __sub__(self, earlier: "Published") -> "Published":
        return Published(*(a - b for a, b in zip(self, earlier, strict=True)))


class Publisher(Connector):
    """Publishes at QoS 1 from one thread; a message counts when its PUBACK has come.

    Parameters
    ----------
    settings
        Where and how.
    in_flight
        Messages under way at most; a broker that announces a smaller Receive Maximum wins.
    patience_s
        How long a call waits for a broker that is away or silent.
    """

    def __init__(
        self, settings: ClientSettings, *, in_flight: int = 200, patience_s: float = PATIENCE_S
    ) -> None:
        super().__init__(settings, persistent=False)
        self._limit = in_flight
        self._window = in_flight
        self._patience_s = patience_s
        # paho calls `_published` under its own lock: only a lock-free deque and an event there.
        self._answers: deque[tuple[int, int, int]] = deque()
        self._answered = threading.Event()
        self._under_way: dict[int, tuple[str, bytes]] = {}
        self._backlog: deque[tuple[str, bytes]] = deque()
        self._epoch = 0
        self._counts = Published()

    @property
    def counts(self) -> Published:
        """What became of everything so far."""
        return self._counts

    def publish(self, topic: str, payload: bytes) -> None:
        """Send one message; waits only while the window is full or the broker is away.

        Raises
        ------
        LinkError
            If the broker stays away or silent.
        """
        self._counts = self._counts._replace(sent=self._counts.sent + 1)
        self._backlog.append((topic, payload))
        self._pump()

    def flush(self) -> Published:
        """Wait until every message has been answered; returns the counts.

        Raises
        ------
        LinkError
            If the broker stays away or silent.
        """
        while self._backlog or self._under_way:
            self._pump()
            if self._under_way:
                self._wait()
        return self._counts

    def publish_all(self, messages: Iterable[tuple[str, bytes]]) -> Published:
        """Send (topic, payload) pairs and wait for all answers; returns what became of them.

        Raises
        ------
        LinkError
            If the broker stays away or silent.
        """
        before = self._counts
        for topic, payload in messages:
            self.publish(topic, payload)
        return self.flush() - before

    def _pump(self) -> None:
        """Give the backlog to the network, as far as the window lets it."""
        self._settle()
        while self._backlog:
            with self._lock:
                client = self._client if self._status.connected else None
            if (
                client is None
                or self._status.epoch != self._epoch
                or len(self._under_way) >= self._window
            ):
                self._wait()
                continue
            topic, payload = self._backlog.popleft()
            # Should the connection end here, it is sent again on the next one with all others.
            info = client.publish(topic, payload, qos=1)
            self._under_way[info.mid] = (topic, payload)

    def _wait(self) -> None:
        """Wait for an answer or a new connection."""
        deadline = time.monotonic() + self._patience_s
        while True:
            self._answered.clear()
            if self._settle():
                return
            if self._failed is not None or time.monotonic() > deadline:
                raise LinkError(
                    f"broker {self.settings.name}: "
                    f"{len(self._under_way) + len(self._backlog)} messages unanswered "
                    f"({self._status.reason or 'silent'})"
                )
            self._answered.wait(0.1)

    def _settle(self) -> bool:
        """Take in answers, and put all back on a new connection; returns whether any came."""
        happened = False
        while self._answers:
            epoch, mid, reason = self._answers.popleft()
            if epoch != self._epoch or self._under_way.pop(mid, None) is None:
                continue
            happened = True
            name = "stored"
            if reason == NO_MATCHING_SUBSCRIBERS:
                name = "unmatched"
            elif reason >= FAILURE:
                name = "refused"
            self._counts = self._counts._replace(**{name: getattr(self._counts, name) + 1})
        status = self._status
        if status.connected and status.epoch != self._epoch:
            self._epoch = status.epoch
            again = list(self._under_way.values())
            self._backlog.extendleft(reversed(again))
            self._under_way.clear()
            self._counts = self._counts._replace(resent=self._counts.resent + len(again))
            happened = True
        return happened

    def _connected(self, client: Client, properties: Properties | None) -> None:
        del client
        announced = getattr(properties, "ReceiveMaximum", None)
        self._window = min(self._limit, announced) if announced else self._limit
        self._answered.set()

    def _published(self, mid: int, reason: ReasonCode) -> None:
        self._answers.append((self._status.epoch, mid, reason.value))
        self._answered.set()
