"""`Subscriber`: a persistent session at QoS 1 whose messages are acknowledged by hand.

Rules that must hold here, each for a measured reason:

* acks go out in order of arrival (MQTT-4.6.0-2), each on the connection its message came on or not
  at all: an identifier of an earlier connection may mean another message by now;
* on paho's thread messages are only put on a list; they are handed over in batches, when nothing
  more is ready to be read;
* a retained copy is never data: it is of unknown age, and the broker repeats it at every
  subscription. MQTT 5 brokers are asked not to send any; others' are acked and counted.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from link.connection import LOOP_S, Connector
from link.messages import Incoming, Received, Token
from link.redelivery import Redelivery
from link.settings import ClientSettings

log = logging.getLogger("vedette.link")

FULL = 64
"""Messages in a batch from which on the next one is looked for at once."""

GATHER_S = 0.005
"""Pause after a smaller batch, s: a turn has a cost of its own, and the journal gathers for longer
than that."""


class SubscriberCounts(NamedTuple):
    """Counters since the start of the process.

    Parameters
    ----------
    received
        Messages that came, of every kind.
    acked
        PUBACKs handed to the network.
    stale_acks
        Acks not sent because their connection had ended; the broker sends those messages again.
    redelivered
        Redelivered messages that were in the journal already.
    retained
        Retained copies, not used.
    undecided
        Redelivered messages that may have been in the journal already; journaled again.
    left
        Messages that came while taking was stopped; the broker keeps them.
    refused_filters
        Subscriptions that the broker refused, at the last connect.
    """

    received: int
    acked: int
    stale_acks: int
    redelivered: int
    retained: int
    undecided: int
    left: int
    refused_filters: int


class Subscriber(Connector):
    """Receives messages of a persistent session and acknowledges them when told.

    Parameters
    ----------
    settings
        Where and how; `client_id` names the session and must not be empty.
    filters
        Topic filters, subscribed at QoS 1 on every connect.
    on_batch
        Takes what came, in order, on the link's thread. As long as it does not return, nothing
        more is read; the broker holds the rest back.
    on_session
        Told (epoch, session present) of each connection before anything comes on it.
    redelivery
        What is known of earlier connections, from a process before this one.
    """

    def __init__(
        self,
        settings: ClientSettings,
        filters: Sequence[str],
        on_batch: Callable[[Received], None],
        *,
        on_session: Callable[[int, bool], None] | None = None,
        redelivery: Redelivery | None = None,
    ) -> None:
        super().__init__(settings, persistent=True)
        self._filters = tuple(filters)
        self._on_batch = on_batch
        self._on_session = on_session
        self._redelivery = redelivery or Redelivery()
        self._pending: list[Incoming] = []
        self._paused = False
        self._drained = threading.Event()
        self._received = 0
        self._acked = 0
        self._stale = 0
        self._left = 0
        self._refused = 0
        self._subscribed_epoch = 0
        self.refused_publications = 0
        """Messages published at QoS 1 that the broker said no to."""
        self.refusal = ""
        """Why it said no to the last of them that it answered on this connection; empty: it did
        not."""
        self._asked = self._answered = 0

    @property
    def counts(self) -> SubscriberCounts:
        """Counters by now."""
        known = self._redelivery
        return SubscriberCounts(
            self._received, self._acked, self._stale, known.redelivered, known.retained,
            known.undecided, self._left, self._refused,
        )  # fmt: skip

    def wait_subscribed(self, timeout_s: float) -> bool:
        """Wait until the broker has answered the subscriptions of the present connection."""
        with self._changed:
            self._changed.wait_for(self._is_subscribed, timeout_s)
            return self._is_subscribed()

    def _is_subscribed(self) -> bool:
        return self._status.connected and self._subscribed_epoch == self._status.epoch

    def ack(self, tokens: Sequence[Token]) -> None:
        """Send PUBACKs, in the order given; those of an earlier connection are dropped and counted.

        Safe from any thread.
        """
        with self._lock:
            client = self._client
            epoch = self._status.epoch if self._status.connected else -1
        live = [token for token in tokens if token.epoch == epoch and token.qos]
        self._stale += sum(1 for token in tokens if token.epoch != epoch and token.qos)
        if client is None or not live:
            self._stale += len(live)
            return
        # A connection that ends from here on takes its queue with it: `client` is its own.
        self._redelivery.acked(live)
        client.acks([token.mid for token in live])
        self._acked += len(live)

    def publish(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False) -> bool:
        """Publish, best effort; returns whether a connection took it.

        Whoever publishes at QoS 1 says it again on the next connection: what was under way when
        one ended is gone with its client.
        """
        with self._lock:
            client = self._client if self._status.connected else None
            if client is None:
                return False
            self._asked += qos > 0
        sent = client.publish(topic, payload, qos=qos, retain=retain)
        return sent.rc == MQTTErrorCode.MQTT_ERR_SUCCESS

    @property
    def unanswered(self) -> int:
        """Messages published at QoS 1 on this connection that the broker has said nothing to."""
        return max(0, self._asked - self._answered)

    def pause(self, timeout_s: float = 1.0) -> bool:
        """Take nothing more; what comes stays un-acked, so the broker keeps it.

        Returns
        -------
        bool
            Whether everything taken so far has been handed over.
        """
        self._paused = True
        return not self._status.connected or self._drained.wait(timeout_s)

    def _connected(self, client: Client, properties: Properties | None) -> None:
        del properties
        status = self._status
        self._pending.clear()
        self.refusal = ""
        with self._lock:
            self._asked = self._answered = 0
        self._redelivery.connected(status.epoch, session_present=status.session_present)
        if self._on_session is not None:
            self._on_session(status.epoch, status.session_present)
        if not self._filters:
            return
        if status.protocol == "5":
            options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
            client.subscribe([(topic_filter, options) for topic_filter in self._filters])
        else:
            client.subscribe([(topic_filter, 1) for topic_filter in self._filters])

    def _subscribed(self, reasons: list[ReasonCode]) -> None:
        refused = [
            f"{topic_filter} ({reason})"
            for topic_filter, reason in zip(self._filters, reasons, strict=False)
            if reason.is_failure
        ]
        self._refused = len(refused)
        with self._changed:
            self._subscribed_epoch = self._status.epoch
            self._changed.notify_all()
        if refused:
            log.error("link=%s refused: %s", self.settings.client_id, ", ".join(refused))

    def _published(self, mid: int, reason: ReasonCode) -> None:
        del mid
        self._answered += 1
        self.refusal = str(reason) if reason.is_failure else ""
        if reason.is_failure:
            if not self.refused_publications:
                log.error("link=%s a publication is refused: %s", self.settings.client_id, reason)
            self.refused_publications += 1

    def _message(self, message: MQTTMessage) -> None:
        if self._paused:
            self._left += 1
            return
        try:
            topic = message.topic
        except UnicodeDecodeError:  # journaled and quarantined like any unknown topic
            topic = "\ufffd"
        self._pending.append(
            Incoming(
                Token(self._status.epoch, message.mid, min(message.qos, 1)),
                topic,
                bytes(message.payload),
                time.time_ns(),
                message.dup,
                message.retain,
            )
        )

    def _turned(self) -> float:
        if self._pending:
            batch, self._pending = self._pending, []
            self._received += len(batch)
            self._hand_over(self._redelivery.receive(batch))
            if len(batch) < FULL:
                time.sleep(GATHER_S)
            return LOOP_S
        self._hand_over(self._redelivery.overdue(time.time_ns()))
        if self._paused:
            self._drained.set()
        return LOOP_S

    def _hand_over(self, batch: Received) -> None:
        if batch.messages or batch.tokens:
            self._on_batch(batch)
