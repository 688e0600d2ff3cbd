"""`AckMark`: what a process writes down about its acks, so that the next one can know.

Eighty bytes in one file, rewritten in place *before* the acks that it speaks of are handed
to the network. It is not synced: it need only outlive the process (``kill -9`` leaves the page
cache alone). So that nobody trusts it after the machine itself went down, it carries the kernel's
boot id; with another boot id, another session or a broken checksum it says *nothing is known*,
and redelivered messages are journaled again (at least once).
"""

import os
import struct
import threading
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from link.settings import ClientSettings
from model.errors import LinkError

FORMAT = struct.Struct("<8s16s16sqqq")
"""Magic, boot id, session, floor, first, stop; its SHA-256, cut, follows."""

DIGEST_BYTES = 8
"""Bytes of the SHA-256 that are kept."""

MAGIC = b"vdtack\x00\x01"

NEVER = 2**63 - 1
"""Floor that leaves nothing known."""

FIRST_EPOCH = 1
"""Epoch of a process's first connection."""

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""Changes at every start of the machine; proc(5)."""


@dataclass(frozen=True, slots=True)
class Acked:
    """What is known of the acks of a session.

    Parameters
    ----------
    floor
        Journal offset: no PUBACK was handed to the network for a message at or above it.
    first, stop
        Journal offsets [first, stop) of messages that all came on one connection, the last one on
        which any came; first -1: not known, stop -1: up to the journal's end.
    """

    floor: int = NEVER
    first: int = -1
    stop: int = -1


NOTHING = Acked()
"""Nothing is known."""


class AckMark:
    """Keeps an `Acked` in a file.

    Parameters
    ----------
    path
        The file; made if missing.
    settings
        Whose session: host, port and client id go into the mark.
    boot_id
        Of the running machine; None: the kernel's.

    Raises
    ------
    LinkError
        If the file cannot be made.
    """

    def __init__(self, path: Path, settings: ClientSettings, boot_id: str | None = None) -> None:
        session = f"{settings.host}\0{settings.port}\0{settings.client_id}"
        self._session = sha256(session.encode()).digest()[:16]
        if boot_id is None and BOOT_ID.exists():
            boot_id = BOOT_ID.read_text().strip()
        self._boot = sha256(boot_id.encode()).digest()[:16] if boot_id else None
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if os.fstat(self._file).st_size < FORMAT.size + DIGEST_BYTES:
                # From here on a full disk cannot keep a mark from being written.
                os.pwrite(self._file, bytes(FORMAT.size + DIGEST_BYTES), 0)
        except OSError as error:
            raise LinkError(f"{path}: cannot keep the mark of acks: {error.strerror}") from error
        self._epoch = 0
        self._begun = 0
        self._now = self._load()

    @property
    def now(self) -> Acked:
        """What is known now."""
        return self._now

    def close(self) -> None:
        """Close the file; what is in it stays. May be called twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def connected(self, epoch: int, end: int, *, session_present: bool) -> None:
        """Connection `epoch` stands: records that the journal gets from `end` on may be from it."""
        with self._lock:
            self._epoch = epoch
            if not session_present and epoch == FIRST_EPOCH:
                self._begun = (
                    epoch  # nothing of an earlier connection can be journaled from here on
                )
                self._write(Acked(end, end, -1))
            elif not session_present:
                self._write(NOTHING)
            elif self._now.first >= 0 and self._now.stop < 0:
                self._write(Acked(self._now.floor, self._now.first, end))

    def durable(self, epoch: int, first: int, floor: int) -> None:
        """Records of connection `epoch`, from `first` on, are durable.

        Parameters
        ----------
        epoch
            Connection on which they came.
        first
            Offset of the first of them.
        floor
            Acks of records below this offset are about to be sent.
        """
        with self._lock:
            now = self._now
            if epoch == self._epoch != self._begun:
                self._begun = epoch
                # After a lost session this is the first record that can be known again.
                now = Acked(first if now.floor == NEVER else now.floor, first, -1)
            self._write(Acked(max(now.floor, floor), now.first, now.stop))

    def _write(self, acked: Acked) -> None:
        if acked == self._now or self._boot is None:
            return
        body = FORMAT.pack(MAGIC, self._boot, self._session, acked.floor, acked.first, acked.stop)
        os.pwrite(self._file, body + sha256(body).digest()[:DIGEST_BYTES], 0)
        self._now = acked

    def _load(self) -> Acked:
        raw = os.pread(self._file, FORMAT.size + DIGEST_BYTES, 0)
        body = raw[: FORMAT.size]
        if (
            len(raw) != FORMAT.size + DIGEST_BYTES
            or sha256(body).digest()[:DIGEST_BYTES] != raw[FORMAT.size :]
        ):
            return NOTHING
        magic, boot, session, floor, first, stop = FORMAT.unpack(body)
        if (magic, boot, session) != (MAGIC, self._boot, self._session):
            return NOTHING
        return Acked(floor, first, stop)
