"""One bare connection to the broker with a momentary certificate: is it taken, and by MQTT too?

Over TLS 1.2: there the server judges our certificate within the handshake, so that a refusal is
seen as what it is. (TLS 1.3 has ended its handshake before, on our side; RFC 8446, 4.4.)
"""

import contextlib
import socket
import ssl
import tempfile
from enum import Enum
from pathlib import Path

from vedette.pki.authority import Momentary
from vedette.pki.folder import SECRET_MODE, write_whole
from vedette.pki.names import PkiError

TIMEOUT_S = 5.0
"""Longest wait for each answer of the broker, s."""

CONNACK_ACCEPTED = b"\x20\x02"
"""First bytes of a CONNACK (MQTT 3.1.1, 3.2)."""

DISCONNECT = b"\xe0\x00"
"""MQTT 3.1.1, 3.14."""


class Outcome(Enum):
    """What the broker made of us."""

    TAKEN = "taken"
    REVOKED = "revoked"


def connect_packet(client_id: str, *, clean: bool) -> bytes:
    """A CONNECT of MQTT 3.1.1 without will, name and password (3.1).

    Parameters
    ----------
    client_id
        At most 100 letters, ASCII.
    clean
        Whether the session of that id is forgotten; if not, it stays as it is.
    """
    name = client_id.encode("ascii")
    rest = b"\x00\x04MQTT\x04" + (b"\x02" if clean else b"\x00") + b"\x00\x0a"
    rest += len(name).to_bytes(2, "big") + name
    return b"\x10" + bytes([len(rest)]) + rest  # under 128 bytes: one byte says so


def connect(host: str, port: int, trust: Path, who: Momentary, *, clean: bool = True) -> Outcome:
    """Connect as somebody, and disconnect.

    Parameters
    ----------
    host, port
        Of the broker.
    trust
        Authorities that it is believed by.
    who
        The certificate.
    clean
        Whether the session of that identity is forgotten.

    Raises
    ------
    PkiError
        If the broker is not reached, or refuses for another reason than a revocation list.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(trust)
    # `ssl` takes certificates from files alone; these are gone when the handshake begins.
    with tempfile.TemporaryDirectory(prefix="vedette-") as folder:
        pair = Path(folder) / "certificate.pem", Path(folder) / "key.pem"
        write_whole(pair[0], who.certificate)
        write_whole(pair[1], who.key, SECRET_MODE)
        context.load_cert_chain(*pair)
    where = f"broker {host}:{port}"
    try:
        with (
            socket.create_connection((host, port), timeout=TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as secure,
        ):
            secure.sendall(connect_packet(str(who.identity), clean=clean))
            answer = secure.recv(4)
            if answer[:2] != CONNACK_ACCEPTED or answer[3:4] != b"\0":
                raise PkiError(f"{where}: does not take {who.identity}: {answer.hex() or 'closed'}")
            with contextlib.suppress(OSError):
                secure.sendall(DISCONNECT)
                while secure.recv(4096):  # what was queued is not ours: never acknowledged
                    pass
            return Outcome.TAKEN
    except ssl.SSLError as error:
        if "REVOKED" in (error.reason or ""):
            return Outcome.REVOKED
        raise PkiError(f"{where}: {error.reason or error}") from error
    except OSError as error:
        raise PkiError(f"{where}: {error.strerror or error}") from error
