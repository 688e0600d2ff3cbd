"""HTTPS with certificates on both sides: who may open a connection to the page, and until when.

Every browser shows a certificate of the node's authority whose common name is ``operator:NAME``.
The handshake checks authority, dates and revocation lists; the role is looked at once it is over.
The lists are read again when their file changes: connections whose certificate is revoked are cut
then, feeds too, and no others. TLS 1.3 alone and without tickets, so nobody resumes a session that
began before.

References
----------
RFC 8446, section 4.6.1 (tickets); RFC 5280, sections 4.2.1.12 and 5.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from uvicorn.protocols.http.h11_impl import H11Protocol

log = logging.getLogger("vedette.console")

LOOK_S = 0.25
"""Pause between two looks at the revocation lists, s: a revoked session is gone within a second."""

ROLE = "operator:"
"""How the common name of who may enter begins."""

LIST_END = b"-----END X509 CRL-----"


@dataclass(frozen=True, slots=True)
class Keys:
    """Files of the page's own identity, and of whom it believes; all PEM.

    Parameters
    ----------
    certificate, key
        Of the page.
    ca
        Authorities that operators' certificates come from.
    crl
        Revocation lists, one of each authority; None: none are looked at.
    """

    certificate: Path
    key: Path
    ca: Path
    crl: Path | None = None


class Door:
    """Lets operators in, and revoked ones out.

    Parameters
    ----------
    keys
        Files.
    refused
        Called with who and why when a connection is refused or cut.

    Raises
    ------
    OSError
        A file cannot be used; the message names it.
    """

    def __init__(
        self, keys: Keys, refused: Callable[[str, str], None] = lambda _who, _why: None
    ) -> None:
        self._keys = keys
        self.refused = refused
        self._seen: tuple[int, int] | None = None
        self._revoked: frozenset[int] = frozenset()
        self.context = self._context()

    def _context(self) -> ssl.SSLContext:
        keys = self._keys
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.num_tickets = 0
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_cert_chain(keys.certificate, keys.key)
        except (OSError, ssl.SSLError) as error:
            raise OSError(f"{keys.certificate}, {keys.key}: {error}") from error
        try:
            context.load_verify_locations(keys.ca)
        except (OSError, ssl.SSLError) as error:
            raise OSError(f"{keys.ca}: {error}") from error
        if keys.crl is not None:
            context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
            self._load(context, keys.crl)
        return context

    def _load(self, context: ssl.SSLContext, path: Path) -> None:
        try:
            status = path.stat()
            text = path.read_bytes()
            context.load_verify_locations(path)
            revoked = frozenset(_serials(text))
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise OSError(f"{path}: no revocation lists: {error}") from error
        self._seen, self._revoked = (status.st_mtime_ns, status.st_size), revoked

    def look(self) -> bool:
        """Read the revocation lists again if their file has changed; returns whether it had."""
        path = self._keys.crl
        if path is None:
            return False
        try:
            status = path.stat()
            if (status.st_mtime_ns, status.st_size) == self._seen:
                return False
            self._load(self.context, path)
        except OSError as error:  # being written: the next look finds it
            log.warning("page: %s", error)
            return False
        return True

    def stranger(self, transport: asyncio.BaseTransport) -> tuple[str, str] | None:
        """Who is at the other end and why he may not be; None: he may."""
        certificate: dict[str, Any] = transport.get_extra_info("peercert") or {}
        who = _name(certificate)
        if not who.startswith(ROLE):
            return who, "not an operator's certificate"
        if int(certificate.get("serialNumber", "0"), 16) in self._revoked:
            return who, "certificate revoked"
        return None

    def protocol(self) -> type[H11Protocol]:
        """Protocol of uvicorn that takes connections of operators alone."""
        door = self

        class Guarded(H11Protocol):
            """Cuts whoever may not be here before the first byte is read."""

            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn says the same
                super().connection_made(transport)
                if found := door.stranger(transport):
                    door.refused(*found)
                    transport.abort()

        return Guarded

    async def watch(self, connections: Callable[[], Iterable[Any]]) -> None:
        """Cut connections whose certificates are revoked meanwhile, until cancelled.

        Parameters
        ----------
        connections
            Gives the open ones: each has a ``transport``.
        """
        while True:
            await asyncio.sleep(LOOK_S)
            if not self.look():
                continue
            for connection in list(connections()):
                transport = connection.transport
                if transport is not None and (found := self.stranger(transport)):
                    self.refused(*found)
                    transport.abort()


def _name(certificate: dict[str, Any]) -> str:
    for part in certificate.get("subject", ()):
        for key, value in part:
            if key == "commonName":
                return str(value)
    return ""


def _serials(text: bytes) -> Iterable[int]:
    """Serial numbers in some revocation lists.

    Raises
    ------
    ValueError
        There is none, or one cannot be read.
    """
    lists = [part + LIST_END for part in text.split(LIST_END)[:-1]]
    if not lists:
        raise ValueError("no list in it")
    for part in lists:
        for entry in x509.load_pem_x509_crl(part):
            yield entry.serial_number
