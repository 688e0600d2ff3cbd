"""`BrokerFolder`: where Mosquitto's files are, and the two that change while it runs.

It needs no site file, and little time to be imported: a revocation waits for it.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from vedette.pki.folder import write_whole
from vedette.pki.names import Identity, PkiError


@dataclass(frozen=True, slots=True)
class Facts:
    """What a command needs to know of a broker to reach it.

    Parameters
    ----------
    node
        Whose broker.
    host, port
        Where it listens, as its certificate names it.
    pid_file
        Where it writes its process id.
    """

    node: str
    host: str
    port: int
    pid_file: str


class BrokerFolder:
    """The folder that ``vedette broker config`` fills.

    Parameters
    ----------
    root
        The folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.configuration = self.root / "mosquitto.conf"
        self.acl = self.root / "acl"
        self.trust = self.root / "tls" / "trust.pem"
        self.crl = self.root / "tls" / "crl.pem"
        self.certificate = self.root / "tls" / "certificate.pem"
        self.key = self.root / "tls" / "key.pem"
        self.data = self.root / "data"
        self.pid_file = self.data / "mosquitto.pid"
        self.log = self.data / "mosquitto.log"
        self.place = self.root / "broker.json"

    def facts(self) -> Facts:
        """Where the broker is.

        Raises
        ------
        PkiError
            If this is no such folder.
        """
        try:
            return Facts(**json.loads(self.place.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise PkiError(f"{self.root}: not written by vedette broker config") from error

    def take_from_acl(self, identity: Identity) -> bool:
        """Take an identity out of the access list; returns whether it was there."""
        text = self.acl.read_text(encoding="utf-8")
        blocks = text.split("\n\n")
        kept = [block for block in blocks if f"user {identity}" not in block.splitlines()]
        if len(kept) == len(blocks):
            return False
        self.keep_owner(self.acl, "\n\n".join(kept).encode())
        return True

    def put_crl(self, crl: bytes) -> None:
        """Put other revocation lists in place."""
        self.keep_owner(self.crl, crl)

    def keep_owner(self, path: Path, content: bytes) -> None:
        """Put a file in place that belongs to whom the one before belonged."""
        before = path.stat() if path.exists() else None
        write_whole(path, content)
        if before is not None and os.geteuid() == 0:
            os.chown(path, before.st_uid, before.st_gid)
