"""`Desk`: the steps of an authority; each is written down before its effect can be seen.

A certificate stands in the index before it is in a file that somebody could take, a revocation
before the list that says so.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from vedette.audit import AuditLog
from vedette.pki.folder import (
    SECRET_MODE,
    Folder,
    certificate_pem,
    key_pem,
    read_certificate,
    serial_text,
    write_whole,
)
from vedette.pki.index import Index
from vedette.pki.names import Identity
from vedette.pki.profile import (
    CRL_DAYS,
    PublicKey,
    Revoked,
    ca_certificate,
    certificate,
    new_key,
    revocation_list,
)

REASONS = {
    "unspecified": x509.ReasonFlags.unspecified,
    "key-compromise": x509.ReasonFlags.key_compromise,
    "superseded": x509.ReasonFlags.superseded,
    "cessation": x509.ReasonFlags.cessation_of_operation,
    "privilege-withdrawn": x509.ReasonFlags.privilege_withdrawn,
}
"""Why a certificate is revoked, as people write it; RFC 5280, 5.3.1."""


class Desk:
    """What it takes to sign. Whoever calls a step is alone in the folder (`with desk.alone()`).

    Parameters
    ----------
    root
        Folder of the authority.
    passphrase
        Of its keys; None: they have none.
    clock
        UTC.
    """

    def __init__(self, root: Path, passphrase: bytes | None, clock: Callable[[], datetime]) -> None:
        self.folder = Folder(root)
        self.audit = AuditLog(self.folder.audit)
        self.index = Index(self.folder.index)
        self._passphrase = passphrase
        self._clock = clock

    @property
    def now(self) -> datetime:
        """The time, UTC."""
        return self._clock()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder's lock, with the index as the last holder left it."""
        with self.folder.locked():
            self.index = Index(self.folder.index)
            yield

    def sign(
        self,
        identity: Identity,
        hosts: Sequence[str],
        holds: timedelta,
        public: PublicKey,
        *,
        own_key: bool = True,
        momentary: bool = False,
        generation: int | None = None,
    ) -> x509.Certificate:
        """Sign a certificate, which stands in the index when this returns.

        Parameters
        ----------
        identity, hosts, holds, public
            As of `vedette.pki.profile.certificate`.
        own_key, momentary
            As of `Issued`.
        generation
            Of the authority that signs; None: the newest.
        """
        generation = generation or self.index.newest.generation
        ca = read_certificate(self.folder.ca(generation, "crt"))
        key = self.folder.ca_key(generation, self._passphrase)
        signed = certificate(identity, self.index.node, public, hosts, ca, key, self.now, holds)
        self.index.add(
            event="issued",
            identity=str(identity),
            serial=serial_text(signed.serial_number),
            generation=generation,
            not_before=signed.not_valid_before_utc.isoformat(),
            not_after=signed.not_valid_after_utc.isoformat(),
            hosts=list(hosts),
            own_key=own_key,
            momentary=momentary,
        )
        return signed

    def note_revoked(self, serial: int, reason: str) -> None:
        """Write down that a certificate is revoked; the lists are to follow."""
        self.index.add(
            event="revoked",
            serial=serial_text(serial),
            time=self.now.isoformat(),
            reason=reason,
        )

    def new_authority(self, node: str, generation: int) -> None:
        """Make an authority and believe it."""
        key = new_key()
        made = ca_certificate(node, generation, key, self.now)
        write_whole(self.folder.ca(generation, "key"), key_pem(key, self._passphrase), SECRET_MODE)
        write_whole(self.folder.ca(generation, "crt"), certificate_pem(made))
        self.index.add(
            event="authority",
            node=node,
            generation=generation,
            not_after=made.not_valid_after_utc.isoformat(),
            sha256=made.fingerprint(hashes.SHA256()).hex(),
        )
        self.write_trust()
        self.write_lists()
        self.audit.add("pki.authority", node=node, generation=generation)

    def write_trust(self) -> None:
        """Put the authorities that are believed together."""
        parts = [self.folder.ca(ca.generation, "crt").read_bytes() for ca in self.index.believed()]
        write_whole(self.folder.trust, b"".join(parts))

    def write_lists(self) -> None:
        """Sign a list of each authority that is believed, and put them together."""
        now, parts = self.now, []
        for ca in self.index.believed():
            path = self.folder.ca(ca.generation, "crl")
            before = x509.load_pem_x509_crl(path.read_bytes()) if path.exists() else None
            signed = revocation_list(
                self._revoked(ca.generation, now),
                read_certificate(self.folder.ca(ca.generation, "crt")),
                self.folder.ca_key(ca.generation, self._passphrase),
                now,
                before,
            )
            content = signed.public_bytes(serialization.Encoding.PEM)
            write_whole(path, content)
            parts.append(content)
        write_whole(self.folder.crl, b"".join(parts))

    def _revoked(self, generation: int, now: datetime) -> list[Revoked]:
        """What a list says: everything revoked, until one list after its end (RFC 5280, 3.3)."""
        return [
            Revoked(one.serial, one.revoked, REASONS[one.reason])
            for one in self.index.certificates.values()
            if one.generation == generation
            and one.revoked is not None
            and (now < one.not_after or not one.momentary)
            and now < one.not_after + timedelta(days=CRL_DAYS)
        ]
