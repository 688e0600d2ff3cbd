"""Mosquitto's files: configuration, users, access lists. amqtt is given the same two last.

Sources: mosquitto.conf(5) of 2.0.11 and 2.1.2; the format of a password line is that of
``mosquitto_passwd`` (lib/password_mosq.c): ``name:$7$iterations$salt$hash`` with PBKDF2-HMAC-SHA512
(RFC 8018) and base64.
"""

import base64
import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HASH_ITERATIONS = 101
"""As mosquitto_passwd of 2.0 writes them; the file is readable by the broker alone."""

HASH_BYTES = 64
"""Length of a SHA-512 digest."""

SALT_BYTES = 12

MAX_QUEUED_MESSAGES = 1_000_000
"""Per client. Mosquitto's own 1,000 loses acknowledged messages within a second of an outage."""

MAX_QUEUED_BYTES = 1 << 30
"""Per client: the memory that one absent reader may cost."""

MAX_INFLIGHT = 2_000
"""For MQTT 3.1.1 clients; an MQTT 5 client's Receive Maximum replaces it."""

MAX_PACKET_BYTES = 32 << 20
"""Far above the node's own payload limit (1 MiB): what is too long must reach the node, which
counts it and says so; a broker would drop the connection of whoever sent it."""

AUTOSAVE_S = 10
"""Seconds between Mosquitto's saves. No setting makes its PUBACK mean *stored*, and saving at
every change slows it to 390 messages/s. This is for the sessions: with the default of 1,800 s a
killed broker has forgotten who subscribed to what."""

FORBIDDEN_IN_LINES = ("\n", "\r", "\0")


@dataclass(frozen=True, slots=True)
class Grant:
    """What one user may do; topics may hold the wildcards ``+`` and ``#``.

    Parameters
    ----------
    publish
        Topics it may publish to.
    subscribe
        Topics it may read.
    """

    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()


def password_hash(password: str, salt: bytes | None = None) -> str:
    """Hash of a password as Mosquitto 2 keeps it.

    Parameters
    ----------
    password
        In clear.
    salt
        Random if not given.
    """
    salt = os.urandom(SALT_BYTES) if salt is None else salt
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, HASH_ITERATIONS, HASH_BYTES)
    parts = base64.b64encode(salt).decode(), base64.b64encode(digest).decode()
    return f"$7${HASH_ITERATIONS}${parts[0]}${parts[1]}"


def password_matches(password: str, stored: str) -> bool:
    """Whether a password belongs to a hash made by `password_hash`; False for other formats."""
    try:
        empty, kind, iterations, salt, digest = stored.split("$")
        expected = base64.b64decode(digest, validate=True)
        given = hashlib.pbkdf2_hmac(
            "sha512",
            password.encode(),
            base64.b64decode(salt, validate=True),
            int(iterations),
            len(expected),
        )
    except ValueError:
        return False
    return not empty and kind == "7" and hmac.compare_digest(given, expected)


def password_lines(users: Mapping[str, str]) -> str:
    """Text of a password file.

    Parameters
    ----------
    users
        Passwords in clear by user name.

    Raises
    ------
    ValueError
        If a name cannot be written to such a file.
    """
    return "".join(f"{_plain(name, ':')}:{password_hash(word)}\n" for name, word in users.items())


def acl_lines(acl: Mapping[str, Grant]) -> str:
    """Text of an ACL file: a user that is not in it may do nothing.

    Raises
    ------
    ValueError
        If a name or topic cannot be written to such a file.
    """
    lines: list[str] = []
    for name, grant in acl.items():
        lines.append(f"user {_plain(name)}")
        lines += [f"topic write {_plain(topic)}" for topic in grant.publish]
        lines += [f"topic read {_plain(topic)}" for topic in grant.subscribe]
        lines.append("")
    return "\n".join(lines)


def configuration(
    host: str,
    port: int,
    directory: Path,
    *,
    password_file: Path | None,
    acl_file: Path | None,
    as_root: bool,
    log_refusals: bool = False,
) -> str:
    """Text of Mosquitto's configuration.

    Parameters
    ----------
    host, port
        Where it listens.
    directory
        Where it keeps sessions and queues between runs.
    password_file, acl_file
        None: everybody may connect, and do everything.
    as_root
        Stay root rather than become the user ``mosquitto``.
    log_refusals
        Log what `vedette.broker.refusals` looks for, and so every message.
    """
    lines = [
        "# Written anew at every start.",
        "per_listener_settings false",
        f"listener {port} {host}",
        f"allow_anonymous {'true' if password_file is None else 'false'}",
    ]
    if password_file is not None:
        # Otherwise any user could connect with another's client id and wipe its queue.
        lines += ["use_username_as_clientid true", f"password_file {_plain(str(password_file))}"]
    if acl_file is not None:
        lines.append(f"acl_file {_plain(str(acl_file))}")
    if as_root:
        lines.append("user root")
    lines += [
        f"max_queued_messages {MAX_QUEUED_MESSAGES}",
        f"max_queued_bytes {MAX_QUEUED_BYTES}",
        f"max_inflight_messages {MAX_INFLIGHT}",
        f"max_packet_size {MAX_PACKET_BYTES}",
        "set_tcp_nodelay true",
        "persistence true",
        f"persistence_location {_plain(str(directory))}/",
        f"autosave_interval {AUTOSAVE_S}",
        "log_dest stderr",
        "log_timestamp_format %Y-%m-%dT%H:%M:%S",
        "log_type error",
        "log_type warning",
        "log_type notice",
        "connection_messages true",
    ]
    if log_refusals:
        lines += ["log_type subscribe", "log_type debug"]
    return "\n".join(lines) + "\n"


def _plain(text: str, also: str = "") -> str:
    if not text or any(mark in text for mark in (*FORBIDDEN_IN_LINES, *also)):
        raise ValueError(f"{text!r} cannot be written to a broker's file")
    return text
