"""Where the broker is and how to speak to it."""

import re
import ssl
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from model.errors import LinkError

Protocol = Literal["5", "3.1.1", "auto"]
"""MQTT version; ``auto`` asks for 5 and falls back to 3.1.1 when the broker refuses it."""

MAX_RECEIVE = 65_535
"""Largest Receive Maximum; MQTT 5.0, 3.1.2.11.3."""

FOREVER_S = 0xFFFF_FFFF
"""Session expiry that means never; MQTT 5.0, 3.1.2.11.2."""


@dataclass(frozen=True, slots=True)
class Tls:
    """Whom a client believes, and how it says who it is. Nothing switches the checks off.

    Parameters
    ----------
    ca
        PEM file of the authorities that the broker's certificate may come from.
    certificate, key
        PEM files of our own; None: the broker asks for a password instead.
    crl
        PEM file of revocation lists, one of each authority in use; None: none are asked.
    """

    ca: Path
    certificate: Path | None = None
    key: Path | None = None
    crl: Path | None = None

    def context(self) -> "ClientContext":
        """What `ssl` needs; read from the files at each call, so that renewed ones are used.

        TLS 1.2 or newer; the broker's name or address must stand in its certificate.

        Raises
        ------
        LinkError
            A file cannot be used, or others may read the key; the message names it.
        """
        context = ClientContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.sslsocket_class = _Socket
        try:
            context.load_verify_locations(self.ca)
        except (OSError, ssl.SSLError) as error:
            raise LinkError(f"{self.ca}: no authorities: {_why(error)}") from error
        if self.crl is not None:
            try:
                context.load_verify_locations(self.crl)
            except (OSError, ssl.SSLError) as error:
                raise LinkError(f"{self.crl}: no revocation lists: {_why(error)}") from error
            context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
        if self.certificate is None or self.key is None:
            return context
        try:
            if self.key.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise LinkError(f"{self.key}: others may read it; chmod 600 {self.key}")
            # A key that asks for a passphrase would ask the terminal, and hold us up for ever.
            context.load_cert_chain(self.certificate, self.key, password=_no_passphrase)
        except (OSError, ssl.SSLError, ValueError) as error:
            names = f"{self.certificate}, {self.key}"
            raise LinkError(f"{names}: no certificate with its key: {_why(error)}") from error
        return context


class ClientContext(ssl.SSLContext):
    """What `ssl` needs, and what the broker said when it refused us.

    In TLS 1.3 a client has shaken hands before the broker looks at its certificate: the alert comes
    with the first reading, and paho makes "unspecified error" of that.
    """

    alert: str = ""
    """The broker's last alert, in words; empty: there was none."""

    def heard(self, error: ssl.SSLError) -> None:
        """Keep what an error says, if it is an alert."""
        if found := _ALERT.search(error.reason or ""):
            self.alert = found[1].lower().replace("_", " ")


_ALERT = re.compile(r"_ALERT_(\w+)")
"""OpenSSL's names of alerts; ``SSLV3_ALERT_CERTIFICATE_REVOKED``, ``TLSV1_ALERT_UNKNOWN_CA``."""


class _Socket(ssl.SSLSocket):
    """Tells its context of alerts; closes itself when the handshake fails.

    paho leaves the latter to the garbage collector.
    """

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException as error:
            self._tell(error)
            self.close()
            raise

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        try:
            return super().recv(buflen, flags)
        except ssl.SSLError as error:
            self._tell(error)
            raise

    def _tell(self, error: BaseException) -> None:
        if isinstance(error, ssl.SSLError) and isinstance(self.context, ClientContext):
            self.context.heard(error)


def _no_passphrase() -> str:
    raise ValueError("the key asks for a passphrase")


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """One client of one broker.

    Parameters
    ----------
    host, port
        Where the broker listens.
    client_id
        Names the session at the broker; no two clients may have the same.
    username, password
        Credentials; None: none are sent.
    tls
        None: in the clear.
    protocol
        MQTT version.
    keepalive_s
        Seconds of silence after which either side gives the connection up (1.5 times, broker's
        side; MQTT 5.0, 3.1.2.10).
    receive_maximum
        Un-acked messages that the broker may have under way to us. In MQTT 5 it replaces the
        broker's own limit (Mosquitto: 20), and it bounds what group commit can reach:
        throughput <= window / time of a commit. MQTT 3.1.1 cannot say it.
    connect_timeout_s
        Bound on opening the TCP connection.

    Raises
    ------
    LinkError
        If a value cannot be used; the message names it.
    """

    host: str
    port: int = 1883
    client_id: str = ""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: Tls | None = None
    protocol: Protocol = "auto"
    keepalive_s: int = 30
    receive_maximum: int = 2_000
    connect_timeout_s: float = 5.0

    def __post_init__(self) -> None:
        if not self.host:
            raise LinkError("broker: host is empty")
        if not 0 < self.port < 65_536:
            raise LinkError(f"broker: port {self.port} is not a TCP port")
        if self.protocol not in {"5", "3.1.1", "auto"}:
            raise LinkError(f"broker: protocol {self.protocol!r} is not 5, 3.1.1 or auto")
        if not 0 < self.receive_maximum <= MAX_RECEIVE:
            raise LinkError(f"broker: receive_maximum {self.receive_maximum} is not in 1..65535")
        if not 0 < self.keepalive_s < 65_536:
            raise LinkError(f"broker: keepalive {self.keepalive_s} s is not in 1..65535")

    @property
    def name(self) -> str:
        """``host:port``, for logs and status."""
        return f"{self.host}:{self.port}"
