"""`Authority`: signs, renews and revokes the certificates of a node."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from vedette.pki.folder import (
    SECRET_MODE,
    certificate_pem,
    key_pem,
    serial_text,
    write_whole,
)
from vedette.pki.index import Index, Issued
from vedette.pki.names import LIFETIME_DAYS, NAME, Identity, PkiError, Role
from vedette.pki.profile import PublicKey, new_key
from vedette.pki.signing import Desk

Clock = Callable[[], datetime]

MOMENT = timedelta(minutes=5)
"""A momentary certificate is used within a second; so long it may take on a stopped machine."""


@dataclass(frozen=True, slots=True)
class Momentary:
    """A certificate for a moment, and its key, which is in no file.

    Parameters
    ----------
    identity, serial
        Whose, and which.
    certificate, key
        PEM.
    """

    identity: Identity
    serial: int
    certificate: bytes
    key: bytes


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)


class Authority:
    """The authority of one node; build it with `create` or `open`.

    Parameters
    ----------
    desk
        Where it signs.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.folder = desk.folder
        self.audit = desk.audit

    @property
    def index(self) -> Index:
        """What was signed and revoked."""
        return self._desk.index

    @classmethod
    def create(
        cls, root: Path, node: str, *, passphrase: bytes | None = None, clock: Clock = utc_now
    ) -> Self:
        """Make the authority of a node in a folder that has none.

        Raises
        ------
        PkiError
            If there is one, or the node's name is none.
        """
        if not NAME.fullmatch(node):
            raise PkiError(f"node {node!r}: letters, digits, '_', '.' and '-' only")
        if (root / "index.jsonl").exists() or (root / "ca").exists():
            raise PkiError(f"{root}: there is an authority already; it is never overwritten")
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        desk = Desk(root, passphrase, clock)
        with desk.alone():
            desk.new_authority(node, 1)
        return cls(desk)

    @classmethod
    def open(cls, root: Path, *, passphrase: bytes | None = None, clock: Clock = utc_now) -> Self:
        """The authority in a folder.

        Raises
        ------
        PkiError
            If there is none, or its index is damaged.
        """
        if not (root / "index.jsonl").exists():
            raise PkiError(f"{root}: no authority (vedette pki init makes one)")
        opened = cls(Desk(root, passphrase, clock))
        if not opened.index.authorities:
            raise PkiError(f"{root}: the index names no authority")
        return opened

    @property
    def node(self) -> str:
        """Name of the node."""
        return self.index.node

    @property
    def now(self) -> datetime:
        """The time, UTC."""
        return self._desk.now

    # -- what people ask for

    def issue(
        self,
        identity: Identity,
        *,
        hosts: Sequence[str] = (),
        days: int | None = None,
        request: bytes | None = None,
    ) -> Issued:
        """Sign a first certificate for an identity.

        Parameters
        ----------
        identity
            Whose.
        hosts
            By which a server is reached; clients have none.
        days
            How long it holds; None: as long as its role may.
        request
            A certification request (PKCS #10, PEM) of a holder who keeps the key; of what it says
            only the public key is used. None: the key is made here.

        Raises
        ------
        PkiError
            If it has one that holds, or what was asked for cannot be signed.
        """
        with self._desk.alone():
            if any(one.holds(self.now) for one in self.index.of(identity)):
                raise PkiError(f"{identity}: has a certificate; vedette pki renew gives it another")
            return self._issue(identity, hosts, days, request, "pki.issue")

    def renew(
        self, identity: Identity, *, days: int | None = None, request: bytes | None = None
    ) -> Issued:
        """Sign another certificate with a new key; those before hold until they end.

        Raises
        ------
        PkiError
            If it never had one, or what was asked for cannot be signed.
        """
        with self._desk.alone():
            before = self.index.of(identity)
            if not before:
                raise PkiError(f"{identity}: has no certificate; vedette pki issue gives it one")
            if request is None and not before[-1].own_key:
                raise PkiError(
                    f"{identity}: its holder keeps the key; a new request is needed (--csr)"
                )
            return self._issue(identity, before[-1].hosts, days, request, "pki.renew")

    def revoke(
        self,
        identity: Identity,
        *,
        reason: str = "unspecified",
        serial: int | None = None,
        but_newest: bool = False,
        also: Momentary | None = None,
    ) -> list[Issued]:
        """Revoke certificates of an identity and sign new lists.

        Parameters
        ----------
        identity
            Whose.
        reason
            A key of `REASONS`.
        serial
            That one alone; None: all that still hold.
        but_newest
            Leave the newest, to which its holder has changed over.
        also
            A momentary one that goes along, so that it can be seen when the lists are in force.

        Raises
        ------
        PkiError
            If there is none that holds.
        """
        with self._desk.alone():
            holding = [one for one in self.index.of(identity) if one.holds(self.now)]
            if serial is not None:
                holding = [one for one in holding if one.serial == serial]
            elif but_newest:
                holding = holding[:-1]
            if not holding:
                raise PkiError(f"{identity}: there is no such certificate that still holds")
            for one in holding:
                self._desk.note_revoked(one.serial, reason)
            if also is not None:
                self._desk.note_revoked(also.serial, "superseded")
            self._desk.write_lists()
            for one in holding:
                self.audit.add(
                    "pki.revoke",
                    identity=str(identity),
                    serial=serial_text(one.serial),
                    reason=reason,
                )
            return [self.index.certificates[one.serial] for one in holding]

    def momentary(self, identity: Identity, generation: int | None = None) -> Momentary:
        """A certificate for a moment, whose key is in no file.

        Parameters
        ----------
        identity
            Whose.
        generation
            Of the authority that signs; None: the newest, which a broker may not know yet.
        """
        with self._desk.alone():
            key = new_key()
            made = self._desk.sign(
                identity, (), MOMENT, key.public_key(), momentary=True, generation=generation
            )
            return Momentary(identity, made.serial_number, certificate_pem(made), key_pem(key))

    def rotate(self) -> int:
        """Make a new authority beside those there are, and sign with it from now on.

        Returns
        -------
        int
            Its generation.
        """
        with self._desk.alone():
            generation = self.index.newest.generation + 1
            self._desk.new_authority(self.node, generation)
            return generation

    def retire(self, generation: int) -> None:
        """Believe an authority no more.

        Raises
        ------
        PkiError
            If it is the one that signs, or there is none of that generation.
        """
        with self._desk.alone():
            ca = self.index.authorities.get(generation)
            if ca is None or ca.retired:
                raise PkiError(f"authority {generation}: there is none that is believed")
            if generation == self.index.newest.generation:
                raise PkiError(f"authority {generation}: it signs; vedette pki rotate-ca first")
            self.index.add(event="retired", generation=generation, time=self.now.isoformat())
            self._desk.write_trust()
            self._desk.write_lists()
            self.audit.add("pki.retire", generation=generation)

    def renew_lists(self) -> None:
        """Sign the revocation lists anew, for another `CRL_DAYS`."""
        with self._desk.alone():
            self._desk.write_lists()
            self.audit.add("pki.crl")

    # -- steps; the caller holds the lock

    def _issue(
        self,
        identity: Identity,
        hosts: Sequence[str],
        days: int | None,
        request: bytes | None,
        action: str,
    ) -> Issued:
        most = LIFETIME_DAYS[identity.role]
        if days is not None and not 1 <= days <= most:
            raise PkiError(f"--days {days}: a {identity.role}'s certificate holds 1 to {most} days")
        server = identity.role in {Role.BROKER, Role.PAGE}
        if server and not hosts:
            raise PkiError(f"{identity}: --san HOST is missing: clients check the name")
        if hosts and not server:
            raise PkiError(f"{identity}: --san is for a broker or page; others are never called")
        key = None if request is not None else new_key()
        public = key.public_key() if key is not None else _requested(request or b"")
        signed = self._desk.sign(
            identity, hosts, timedelta(days=days or most), public, own_key=key is not None
        )
        folder = self.folder.issued(identity) / serial_text(signed.serial_number)
        if key is not None:
            write_whole(folder / "key.pem", key_pem(key), SECRET_MODE)
        write_whole(folder / "certificate.pem", certificate_pem(signed))
        write_whole(folder / "trust.pem", self.folder.trust.read_bytes())
        self.folder.make_current(identity, signed.serial_number)
        self._desk.write_lists()
        issued = self.index.certificates[signed.serial_number]
        self.audit.add(
            action,
            identity=str(identity),
            serial=serial_text(issued.serial),
            not_after=issued.not_after.isoformat(),
            sha256=signed.fingerprint(hashes.SHA256()).hex(),
        )
        return issued


def _requested(request: bytes) -> PublicKey:
    try:
        csr = x509.load_pem_x509_csr(request)
    except ValueError as error:
        raise PkiError("--csr: no certification request (PKCS #10, PEM)") from error
    public = csr.public_key()
    if not csr.is_signature_valid:
        raise PkiError("--csr: its signature is wrong, so its sender may not have the key")
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(
        public.curve, ec.SECP256R1
    ):
        raise PkiError("--csr: its key is not P-256")
    return public
