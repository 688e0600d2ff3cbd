"""`Courier`: gives messages to a broker and hears what comes back; it decides nothing.

For a gateway: publishes at QoS 1 without waiting, tells what the broker answered to each, and
hands over what comes on one topic, retained copies too. The session is not kept: what it
subscribed to is asked for anew on each connection, and what was under way when one ends is told
as lost.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from link.connection import Connector
from link.publisher import FAILURE, NO_MATCHING_SUBSCRIBERS
from link.settings import ClientSettings

log = logging.getLogger("vedette.link")

Handle = tuple[int, int]
"""Connection and packet identifier."""


class Up(NamedTuple):
    """A connection stands and the topic is subscribed; `refused` says why it is not, if so."""

    refused: str


class Answer(NamedTuple):
    """The broker's answer to a message."""

    handle: Handle
    taken: bool
    matched: bool
    reason: str


class Lost(NamedTuple):
    """A connection ended; these were never answered."""

    handles: tuple[Handle, ...]


class Came(NamedTuple):
    """A message on the subscribed topic."""

    payload: bytes


Event = Up | Answer | Lost | Came


class Courier(Connector):
    """Publishes from one thread, which also takes the events.

    Parameters
    ----------
    settings
        Where and how.
    topic
        Subscribed at QoS 1 on each connection.
    wake
        Called, on the link's thread, when there is an event; it must take no lock that is held
        around `offer`.
    in_flight
        Messages without an answer at most; a broker that announces a smaller Receive Maximum wins.
    """

    def __init__(
        self,
        settings: ClientSettings,
        topic: str,
        wake: Callable[[], None],
        *,
        in_flight: int = 200,
    ) -> None:
        super().__init__(settings, persistent=False)
        self._topic = topic
        self._wake = wake
        self._limit = self._window = in_flight
        # paho calls `_published` under its own lock: only a lock-free deque there.
        self._raw: deque[tuple[str, int, int, object]] = deque()
        self._under_way: set[Handle] = set()
        self._ready_epoch = 0

    @property
    def ready(self) -> bool:
        """The connection stands and its `Up` was taken."""
        status = self._status
        return status.connected and status.epoch == self._ready_epoch

    def offer(self, topic: str, payload: bytes) -> Handle | None:
        """Give a message to the network; None: not now."""
        if not self.ready or len(self._under_way) >= self._window:
            return None
        with self._lock:
            client, epoch = self._client, self._status.epoch
        if client is None or epoch != self._ready_epoch:
            return None
        info = client.publish(topic, payload, qos=1)
        if info.rc not in {MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_NO_CONN}:
            return None
        handle = (epoch, info.mid)
        self._under_way.add(handle)
        return handle

    def events(self) -> list[Event]:
        """What has happened since the last call, in order."""
        found: list[Event] = []
        while self._raw:
            kind, epoch, mid, what = self._raw.popleft()
            if kind == "came" and isinstance(what, bytes):
                found.append(Came(what))
            elif kind == "answer" and isinstance(what, ReasonCode):
                handle = (epoch, mid)
                if handle in self._under_way:
                    self._under_way.discard(handle)
                    reason = what.value
                    taken, matched = reason < FAILURE, reason != NO_MATCHING_SUBSCRIBERS
                    found.append(Answer(handle, taken, matched, str(what)))
            elif kind == "up":
                found += self._lose(epoch)
                self._ready_epoch = epoch
                found.append(Up(str(what)))
            elif kind == "down":
                found += self._lose(epoch + 1)
        return found

    def _lose(self, before: int) -> list[Event]:
        """What was under way on connections before this one."""
        lost = tuple(sorted(handle for handle in self._under_way if handle[0] < before))
        self._under_way.difference_update(lost)
        return [Lost(lost)] if lost else []

    # -- the link's thread

    def _tell(self, kind: str, mid: int = 0, what: object = None) -> None:
        self._raw.append((kind, self._status.epoch, mid, what))
        self._wake()

    def _connected(self, client: Client, properties: Properties | None) -> None:
        announced = getattr(properties, "ReceiveMaximum", None)
        self._window = min(self._limit, announced) if announced else self._limit
        client.subscribe(self._topic, 1)

    def _subscribed(self, reasons: list[ReasonCode]) -> None:
        refused = ", ".join(str(reason) for reason in reasons if reason.is_failure)
        if refused:
            log.error("link=%s %s refused: %s", self.settings.client_id, self._topic, refused)
        self._tell("up", what=refused)

    def _disconnected(self) -> None:
        self._tell("down")

    def _message(self, message: MQTTMessage) -> None:
        self._tell("came", what=bytes(message.payload))
        with self._lock:
            client = self._client
        if client is not None and message.qos:
            client.ack(message.mid, message.qos)

    def _published(self, mid: int, reason: ReasonCode) -> None:
        self._tell("answer", mid, reason)
