"""`Prober`: publishes and listens, and knows when nothing more will come.

A SUBACK says nothing about what is delivered (Mosquitto grants subscriptions to topics that it
delivers nothing of). What a prober has received counts, up to a fence: a SUBACK comes behind
everything that was sent to this client before (one TCP connection, in order), at QoS 0, which
nothing holds back.
"""

import queue
import threading
from collections import deque
from collections.abc import Sequence
from typing import TypeVar

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from link.connection import Connector
from link.settings import ClientSettings
from model.errors import LinkError

PATIENCE_S = 10.0
"""Longest wait for an answer of the broker, s."""

Answer = TypeVar("Answer")

FENCE = "fence"
"""A filter that nobody publishes on."""


class Prober(Connector):
    """A client for proofs; its session ends with its connection.

    Parameters
    ----------
    settings
        Where and how.
    """

    def __init__(self, settings: ClientSettings) -> None:
        super().__init__(settings, persistent=False)
        self.inbox: deque[tuple[str, bytes]] = deque()
        """What came: topic and payload, in order."""
        self._subacks: queue.SimpleQueue[list[int]] = queue.SimpleQueue()
        self._pubacks: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()
        self._ended = threading.Event()

    def connect(self, patience_s: float = PATIENCE_S) -> None:
        """Start, and wait for the connection.

        Raises
        ------
        LinkError
            If there is none in time; says why.
        """
        self.start()
        if not self.wait_connected(patience_s):
            raise LinkError(f"broker {self.settings.name}: {self.status.reason or 'silent'}")

    def subscribe(self, filters: Sequence[str]) -> list[int]:
        """Subscribe at QoS 0; returns the reason codes of the SUBACK, which prove nothing.

        Raises
        ------
        LinkError
            If no answer comes.
        """
        self._there().subscribe([(one, 0) for one in filters])
        return self._answer(self._subacks)

    def fence(self) -> None:
        """Return when everything that was sent to us before has come.

        Raises
        ------
        LinkError
            If no answer comes.
        """
        self.subscribe([FENCE])

    def publish(self, topic: str, payload: bytes) -> int:
        """Publish at QoS 1 and wait; returns the reason code of the PUBACK.

        Raises
        ------
        LinkError
            If no answer comes.
        """
        mid = self._there().publish(topic, payload, qos=1).mid
        while (answer := self._answer(self._pubacks))[0] != mid:
            pass
        return answer[1]

    def wait_ended(self, timeout_s: float) -> bool:
        """Wait until a connection has ended; returns whether one has."""
        return self._ended.wait(timeout_s)

    def _there(self) -> Client:
        with self._lock:
            client = self._client if self._status.connected else None
        if client is None:
            raise LinkError(f"broker {self.settings.name}: {self.status.reason or 'away'}")
        return client

    def _answer(self, answers: "queue.SimpleQueue[Answer]") -> Answer:
        try:
            return answers.get(timeout=PATIENCE_S)
        except queue.Empty:
            why = self.status.reason or "silent"
            raise LinkError(f"broker {self.settings.name}: no answer ({why})") from None

    def _connected(self, client: Client, properties: Properties | None) -> None:
        """Nothing is subscribed by itself."""

    def _disconnected(self) -> None:
        self._ended.set()

    def _message(self, message: MQTTMessage) -> None:
        self.inbox.append((message.topic, bytes(message.payload)))

    def _published(self, mid: int, reason: ReasonCode) -> None:
        self._pubacks.put((mid, reason.value))

    def _subscribed(self, reasons: list[ReasonCode]) -> None:
        self._subacks.put([reason.value for reason in reasons])
