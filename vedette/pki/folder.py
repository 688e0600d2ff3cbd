"""The folder of an authority: who may read what, and files that are whole or not there.

::

    pki/                                   0700
      ca/1.crt, 1.key, 1.crl               authorities by generation; keys 0600
      trust.pem                            authorities that certificates are believed of
      crl.pem                              their revocation lists, one after another
      index.jsonl                          every certificate that was signed or revoked
      audit.jsonl                          who did what (`vedette.audit`)
      issued/<role>/<name>/<serial>/certificate.pem, key.pem (0600), trust.pem
      issued/<role>/<name>/current         link to the newest of these
"""

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from vedette.pki.names import Identity, PkiError
from vedette.pki.profile import Key

SECRET_MODE = 0o600
PUBLIC_MODE = 0o644


def write_whole(path: Path, content: bytes, mode: int = PUBLIC_MODE) -> None:
    """Put a file in place in one step, on disk when this returns."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        os.fchmod(descriptor, mode)  # whatever the umask is
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """A certificate as it stands in files."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key: Key, passphrase: bytes | None = None) -> bytes:
    """A private key as it stands in files (PKCS #8), encrypted if there is a passphrase."""
    protection: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        protection = serialization.BestAvailableEncryption(passphrase)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection
    )


def read_certificate(path: Path) -> x509.Certificate:
    """The first certificate in a file.

    Raises
    ------
    PkiError
        If there is none.
    """
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise PkiError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise PkiError(f"{path}: no certificate in it") from error


def read_passphrase(path: Path) -> bytes:
    """What stands in a passphrase file, without the line's end.

    Raises
    ------
    PkiError
        If it cannot be read, is open to others, or is empty.
    """
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise PkiError(f"{path}: others may read it; chmod 600 {path}")
        passphrase = path.read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise PkiError(f"{path}: {error.strerror or error}") from error
    if not passphrase:
        raise PkiError(f"{path}: is empty")
    return passphrase


class Folder:
    """Paths in the folder of an authority, and its lock.

    Parameters
    ----------
    root
        The folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.trust = root / "trust.pem"
        self.crl = root / "crl.pem"
        self.index = root / "index.jsonl"
        self.audit = root / "audit.jsonl"

    def ca(self, generation: int, kind: str) -> Path:
        """Certificate (``crt``), key (``key``) or list (``crl``) of an authority."""
        return self.root / "ca" / f"{generation}.{kind}"

    def issued(self, identity: Identity) -> Path:
        """Where all certificates of an identity are."""
        return self.root / "issued" / identity.role / identity.name

    def current(self, identity: Identity) -> Path:
        """The newest certificate of an identity, with its key."""
        return self.issued(identity) / "current"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Alone in it: two commands at a time would lose one's entry."""
        with (self.root / ".lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def make_current(self, identity: Identity, serial: int) -> None:
        """Let `current` show another certificate, in one step."""
        folder = self.issued(identity)
        link = folder / f".current.{os.getpid()}"
        link.unlink(missing_ok=True)
        link.symlink_to(serial_text(serial))
        link.replace(folder / "current")
        sync_folder(folder)

    def ca_key(self, generation: int, passphrase: bytes | None) -> Key:
        """Private key of an authority.

        Raises
        ------
        PkiError
            If it is not there, is open to others, or asks for (another) passphrase.
        """
        path = self.ca(generation, "key")
        try:
            content = path.read_bytes()
            if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise PkiError(f"{path}: others may read it; chmod 600 {path}")
            key = serialization.load_pem_private_key(content, passphrase)
        except OSError as error:
            raise PkiError(f"{path}: {error.strerror or error}") from error
        except TypeError as error:
            word = "has no passphrase" if passphrase else "asks for its passphrase"
            raise PkiError(f"{path}: the key {word} (--passphrase-file)") from error
        except ValueError as error:
            raise PkiError(f"{path}: no key, or another passphrase") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise PkiError(f"{path}: is no key of ours (P-256)")
        return key


def serial_text(serial: int) -> str:
    """A serial number as people and files write it."""
    return f"{serial:x}"
