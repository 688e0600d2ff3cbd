"""`Connector`: keeps one connection to a broker up, with a fresh paho client for each.

paho keeps its queue of outgoing packets across its own reconnects. A PUBACK queued while it
reconnects would go out on the new connection, where its packet identifier may belong to another
message (measured: 100 of 100 new messages acknowledged unread). With one client a connection, a
late PUBACK has nowhere to go.
"""

import logging
import random
import threading
import time
from dataclasses import dataclass
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from link.buffered import BufferedClient
from link.settings import FOREVER_S, ClientContext, ClientSettings
from model.errors import LinkError

log = logging.getLogger("vedette.link")

LOOP_S = 0.1
"""Longest wait for the socket in one turn of the loop, s: how late a stop or a timer is noticed."""

FIRST_DELAY_S = 0.2
"""First pause before a reconnect, s; doubled each time."""

LAST_DELAY_S = 5.0
"""Longest pause before a reconnect, s."""

CONNACK_S = 10.0
"""How long the broker may take to answer CONNECT, s, before the connection is given up."""

PROBE_S = 2.0
"""The same while it is not known yet whether the broker speaks MQTT 5: amqtt never answers that."""

PATIENCE = 3
"""Failures in a row after which a version that once worked is doubted."""


def reconnect_delay_s(attempt: int, fraction: float) -> float:
    """Pause before reconnect number `attempt` (from 0), s: doubled, capped, half of it jitter.

    Parameters
    ----------
    attempt
        Failures in a row so far.
    fraction
        A random number in [0, 1): a site's clients must not all come back at once.
    """
    full = min(LAST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(attempt, 16))
    return full * (0.5 + 0.5 * fraction)


_SPREAD = random.Random()
"""Its own, so that the program's and the tests' sequences are nobody else's business."""


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """How a connection is doing.

    Parameters
    ----------
    connected
        CONNACK was received and the connection stands.
    epoch
        Connections made so far.
    session_present
        The broker still had our session at the last connect.
    protocol
        ``5`` or ``3.1.1`` as last agreed; empty before.
    failures
        Attempts in a row that came to nothing.
    reason
        Why the last connection ended or failed; empty if none has, or one stands. It stays while
        the next one is tried.
    """

    connected: bool = False
    epoch: int = 0
    session_present: bool = False
    protocol: str = ""
    failures: int = 0
    reason: str = ""


class Connector:
    """One thread that connects, runs paho's loop, and connects again when that ends.

    Subclasses hook into `_connected`, `_message`, `_published` and `_turned`; all run on that
    thread.

    Parameters
    ----------
    settings
        Where and how.
    persistent
        Whether the broker keeps the session while we are away.
    """

    def __init__(self, settings: ClientSettings, *, persistent: bool) -> None:
        self.settings = settings
        self._persistent = persistent
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._client: BufferedClient | None = None
        self._context: ClientContext | None = None
        self._why = ""  # of the connection under way; the status keeps that of the one before
        self._status = LinkStatus()
        self._changed = threading.Condition()
        self._version = (
            MQTTProtocolVersion.MQTTv311
            if settings.protocol == "3.1.1"
            else MQTTProtocolVersion.MQTTv5
        )
        self._failed: BaseException | None = None
        name = f"link-{settings.client_id}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    # -- what others see

    @property
    def status(self) -> LinkStatus:
        """A snapshot of how it is doing."""
        return self._status

    @property
    def failed(self) -> BaseException | None:
        """What a hook raised: the thread has ended and will not come back."""
        return self._failed

    def start(self) -> None:
        """Begin connecting; returns at once."""
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> bool:
        """Send what is queued, disconnect, end the thread; returns whether it ended in time."""
        self._stopping.set()
        with self._lock:
            if self._client is not None:
                self._client.disconnect()
        if not self._thread.is_alive():
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def wait_connected(self, timeout_s: float) -> bool:
        """Wait until a connection stands."""
        with self._changed:
            self._changed.wait_for(lambda: self._status.connected, timeout_s)
            return self._status.connected

    # -- hooks

    def _connected(self, client: Client, properties: Properties | None) -> None:
        """CONNACK was received; `status` is up to date."""

    def _disconnected(self) -> None:
        """The connection has ended; `status` is up to date."""

    def _message(self, message: MQTTMessage) -> None:
        """A PUBLISH came."""

    def _published(self, mid: int, reason: ReasonCode) -> None:
        """A PUBACK came. paho holds its own lock here: take no other."""

    def _subscribed(self, reasons: list[ReasonCode]) -> None:
        """A SUBACK came."""

    def _turned(self) -> float:
        """The loop has turned once; returns how long it may wait for the socket next time, s."""
        return LOOP_S

    # -- the thread

    def _set_status(self, **changes: Any) -> None:
        with self._changed:
            values = {name: getattr(self._status, name) for name in LinkStatus.__slots__}
            self._status = LinkStatus(**{**values, **changes})
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                failures = 0 if self._one_connection() else self._status.failures + 1
                self._set_status(failures=failures)
                self._stopping.wait(reconnect_delay_s(failures, _SPREAD.random()))
        except Exception as error:
            self._failed = error
            self._set_status(connected=False, reason=f"{type(error).__name__}: {error}")
            log.exception("link=%s the link's thread has ended", self.settings.client_id)

    def _one_connection(self) -> bool:
        """Connect and serve until the connection ends; returns whether it ever stood."""
        before = self._status
        self._why = ""
        try:
            client = self._new_client()
        except LinkError as error:  # a file of its TLS; it may come, or be mended
            if str(error) != before.reason:
                log.error("link=%s %s", self.settings.client_id, error)  # noqa: TRY400 - one line
            self._set_status(connected=False, reason=str(error))
            return False
        with self._lock:
            self._client = client
        spoke = False
        try:
            self._open(client)
            spoke = True
            reason = self._serve(client)
        except OSError as error:
            reason = str(error)
        finally:
            with self._lock:
                self._client = None
            # Breaks the cycle client -> callback -> self, so that its sockets close now.
            client.on_connect = client.on_disconnect = client.on_message = None
            client.on_publish = client.on_subscribe = client.on_socket_register_write = None
        stood = self._status.epoch > before.epoch
        self._set_status(connected=False, reason=reason)
        if stood or reason != before.reason:
            name = self.settings.client_id
            log.info("link=%s broker=%s down: %s", name, self.settings.name, reason)
        if stood:
            self._disconnected()
        elif spoke and not self._refused_tls():
            self._fall_back(before)
        return stood

    def _refused_tls(self) -> str:
        """Why the broker refused our certificate, as far as it said so; empty: it did not."""
        return "" if self._context is None else self._context.alert

    def _open(self, client: Client) -> None:
        where = self.settings
        if self._version == MQTTProtocolVersion.MQTTv5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho
            properties.ReceiveMaximum = where.receive_maximum
            if self._persistent:
                properties.SessionExpiryInterval = FOREVER_S
            client.connect(
                where.host,
                where.port,
                where.keepalive_s,
                clean_start=not self._persistent,
                properties=properties,
            )
        else:
            client.connect(where.host, where.port, where.keepalive_s)

    def _serve(self, client: Client) -> str:
        """Run paho's loop until the connection ends; returns why it ended."""
        probing = self.settings.protocol == "auto" and not self._status.protocol
        deadline = time.monotonic() + (PROBE_S if probing else CONNACK_S)
        wait = LOOP_S
        while True:
            outcome = client.loop(wait)
            if outcome != MQTTErrorCode.MQTT_ERR_SUCCESS:
                if alert := self._refused_tls():
                    return f"broker refuses: {alert}"
                return self._why or outcome.name.removeprefix("MQTT_ERR_").lower()
            wait = self._turned()
            if self._status.connected:
                continue
            if self._stopping.is_set():
                return "stopped"
            if time.monotonic() > deadline:
                return "no answer to CONNECT"

    def _fall_back(self, before: LinkStatus) -> None:
        """After an answer that was no CONNACK of success: try the other version, if we may."""
        if self.settings.protocol != "auto" or "uthori" in self._status.reason:
            return
        if before.protocol and before.failures < PATIENCE:
            return
        v5 = self._version == MQTTProtocolVersion.MQTTv5
        self._version = MQTTProtocolVersion.MQTTv311 if v5 else MQTTProtocolVersion.MQTTv5

    def _new_client(self) -> BufferedClient:
        v5 = self._version == MQTTProtocolVersion.MQTTv5
        client = BufferedClient(
            CallbackAPIVersion.VERSION2,
            client_id=self.settings.client_id,
            clean_session=None if v5 else not self._persistent,
            protocol=self._version,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = self.settings.connect_timeout_s
        if self.settings.username is not None:
            client.username_pw_set(self.settings.username, self.settings.password)
        self._context = None if self.settings.tls is None else self.settings.tls.context()
        if self._context is not None:
            client.tls_set_context(self._context)
        client.max_inflight_messages = 0  # `Publisher` bounds it; paho's own queue is O(n) an ack
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        # With this set, paho only queues packets where others call it, and writes on our thread.
        client.on_socket_register_write = _leave_to_loop
        return client

    def _on_connect(
        self,
        client: Client,
        _userdata: object,
        flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._why = f"broker refuses: {reason}"
            return
        protocol = "5" if self._version == MQTTProtocolVersion.MQTTv5 else "3.1.1"
        self._set_status(
            connected=True,
            epoch=self._status.epoch + 1,
            session_present=flags.session_present,
            protocol=protocol,
            reason="",
        )
        log.info(
            "link=%s broker=%s up protocol=%s epoch=%d session_present=%s",
            self.settings.client_id,
            self.settings.name,
            protocol,
            self._status.epoch,
            flags.session_present,
        )
        self._connected(client, properties)

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: object,
        flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if self._status.connected or not self._why:
            by = "broker: " if flags.is_disconnect_packet_from_server else ""
            self._why = f"{by}{reason}"
        if self._status.connected:
            self._set_status(connected=False, reason=self._why)

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        self._message(message)

    def _on_publish(
        self,
        _client: Client,
        _userdata: object,
        mid: int,
        reason: ReasonCode,
        _properties: Properties,
    ) -> None:
        self._published(mid, reason)

    def _on_subscribe(
        self,
        _client: Client,
        _userdata: object,
        _mid: int,
        reasons: list[ReasonCode],
        _properties: Properties,
    ) -> None:
        self._subscribed(reasons)


def _leave_to_loop(_client: Client, _userdata: object, _socket: object) -> None:
    """Nothing: the loop's own wake-up pipe has been written to already."""
