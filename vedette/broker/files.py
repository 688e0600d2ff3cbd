"""Mosquitto's files for a node whose broker asks everybody for a certificate.

::

    DIR/mosquitto.conf, acl, broker.json
    DIR/tls/trust.pem, crl.pem, certificate.pem, key.pem (0600)
    DIR/data/                    sessions and queues

Source: mosquitto.conf(5) of 2.0.11 and 2.1.2; why the bounds are as they are is said in
`vedette.local.broker_files`.
"""

import json
import os
import pwd
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from config import Site
from model.errors import ConfigError
from vedette.broker.folder import BrokerFolder, Facts
from vedette.broker.grants import grants_of
from vedette.local.broker_files import (
    AUTOSAVE_S,
    MAX_INFLIGHT,
    MAX_PACKET_BYTES,
    MAX_QUEUED_BYTES,
    MAX_QUEUED_MESSAGES,
    Grant,
    acl_lines,
)
from vedette.pki.folder import PUBLIC_MODE, SECRET_MODE, write_whole
from vedette.pki.names import Identity, PkiError


def write_files(
    folder: BrokerFolder,
    site: Site,
    pki: Path,
    identity: Identity,
    *,
    listen: str = "",
    user: str = "",
) -> dict[Identity, Grant]:
    """Write everything; returns what was granted.

    Parameters
    ----------
    folder
        Where to.
    site
        The site file.
    pki
        Folder of the authority that signed the broker's certificate.
    identity
        Of the broker.
    listen
        Address of the listener; empty: every address.
    user
        Whom the files belong to, if we are root; empty: ourselves.

    Raises
    ------
    ConfigError
        If the site file cannot be granted.
    PkiError
        If a file of the authority is missing.
    """
    grants = grants_of(site)
    current = pki / "issued" / identity.role / identity.name / "current"
    folder.root.mkdir(mode=0o755, parents=True, exist_ok=True)
    folder.data.mkdir(mode=0o700, exist_ok=True)
    for target, origin, mode in (
        (folder.trust, pki / "trust.pem", PUBLIC_MODE),
        (folder.crl, pki / "crl.pem", PUBLIC_MODE),
        (folder.certificate, current / "certificate.pem", PUBLIC_MODE),
        (folder.key, current / "key.pem", SECRET_MODE),
    ):
        copy(origin, target, mode)
    write_acl(folder, grants)
    log = folder.log if site.broker.log_file is None else site.path.parent / site.broker.log_file
    text = configuration(folder, site.broker.port, listen, log.absolute())
    write_whole(folder.configuration, text.encode())
    facts = Facts(site.node, site.broker.host, site.broker.port, str(folder.pid_file))
    write_whole(folder.place, json.dumps(asdict(facts)).encode())
    if user:
        _give_to(folder, user)
    return grants


def write_acl(folder: BrokerFolder, grants: Mapping[Identity, Grant]) -> None:
    """Write the access list."""
    lines = acl_lines({str(identity): grant for identity, grant in grants.items()})
    folder.keep_owner(folder.acl, ("# Written anew by vedette broker config.\n" + lines).encode())


def _give_to(folder: BrokerFolder, user: str) -> None:
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise ConfigError([f"--user: there is no user {user!r}"]) from None
    if os.geteuid() != 0:
        raise ConfigError(["--user: only root gives files away"])
    for path in (
        folder.root,
        folder.root / "tls",
        *folder.root.glob("*"),
        *folder.root.glob("tls/*"),
    ):
        os.chown(path, entry.pw_uid, entry.pw_gid)


def copy(origin: Path, target: Path, mode: int) -> None:
    """Copy a file in one step.

    Raises
    ------
    PkiError
        If it cannot be read.
    """
    try:
        content = origin.read_bytes()
    except OSError as error:
        raise PkiError(f"{origin}: {error.strerror or error}") from error
    write_whole(target, content, mode)


def configuration(folder: BrokerFolder, port: int, listen: str, log: Path) -> str:
    """Text of mosquitto.conf.

    Parameters
    ----------
    folder
        Where its files are.
    port, listen
        Where it listens; an empty address is every one.
    log
        Where it writes what it does.
    """
    return "\n".join(
        [
            "# Written anew by vedette broker config.",
            "per_listener_settings false",
            "allow_anonymous false",
            f"listener {port} {listen}".rstrip(),
            "# Who somebody is stands in a certificate and nowhere else.",
            f"cafile {_path(folder.trust)}",
            f"certfile {_path(folder.certificate)}",
            f"keyfile {_path(folder.key)}",
            f"crlfile {_path(folder.crl)}",
            "tls_version tlsv1.2",  # the lowest, since Mosquitto 2.0
            "require_certificate true",
            "use_identity_as_username true",
            "# Otherwise anybody could take over another's session, and wipe its queue.",
            "use_username_as_clientid true",
            f"acl_file {_path(folder.acl)}",
            f"max_packet_size {MAX_PACKET_BYTES}",
            f"max_queued_messages {MAX_QUEUED_MESSAGES}",
            f"max_queued_bytes {MAX_QUEUED_BYTES}",
            f"max_inflight_messages {MAX_INFLIGHT}",
            "set_tcp_nodelay true",
            "persistence true",
            f"persistence_location {_path(folder.data)}/",
            f"autosave_interval {AUTOSAVE_S}",
            f"pid_file {_path(folder.pid_file)}",
            f"log_dest file {_path(log)}",
            "log_timestamp_format %Y-%m-%dT%H:%M:%S",
            "log_type error",
            "log_type warning",
            "log_type notice",
            "log_type information",
            "# Refusals: publications are logged as debug, subscriptions as subscribe.",
            "log_type subscribe",
            "log_type debug",
            "connection_messages true",
            "",
        ]
    )


def _path(path: Path) -> str:
    text = str(path)
    if any(mark in text for mark in "\n\r\0"):
        raise ConfigError([f"{text!r} cannot be written to a broker's file"])
    return text
