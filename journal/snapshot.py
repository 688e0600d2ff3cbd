"""`SnapshotStore`: states to start a replay from."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c

from journal.codec import pack, unpack
from journal.disk import failure, make_directory, sync_directory, write_atomic
from model.errors import JournalError, SnapshotError

MAGIC = b"VDTSNP\r\n"
VERSION = 1
HEADER = struct.Struct("<8sHHqQ")
"""Magic, version, 0, offset, length of the packed state; a u32 CRC32C of it all ends the file."""

_CRC = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class DamagedSnapshot:
    """A snapshot that cannot be used, and why."""

    path: Path
    problem: str


class SnapshotStore:
    """Snapshots in a directory, each a file named by its offset (20 digits and ``.snap``).

    Parameters
    ----------
    directory
        Where they are; made if missing.
    keep
        How many of the newest to keep.

    Attributes
    ----------
    damaged
        What `load` came across and skipped.
    """

    def __init__(self, directory: Path, keep: int = 3) -> None:
        if keep < 1:
            raise ValueError(f"keep={keep}: at least one snapshot must be kept")
        self.directory = directory
        self.keep = keep
        self.damaged: list[DamagedSnapshot] = []
        make_directory(directory)
        try:
            for left in directory.glob("*.snap.tmp"):  # of a crash
                left.unlink(missing_ok=True)
        except OSError as error:
            raise failure(directory, "delete what a crash left", error) from error

    def save(self, offset: int, state: Any) -> None:
        """Store a state, durably, and delete those that are not kept any more.

        Parameters
        ----------
        offset
            Of the first input that the state does not contain: where a replay goes on.
        state
            Plain data and NumPy arrays (`journal.codec.pack`).

        Raises
        ------
        JournalFull
            No room on the disk; the older snapshots stand.
        JournalError
            The state is not plain data, or the system refuses.
        """
        self.put(offset, pack(state))

    def put(self, offset: int, packed: bytes) -> None:
        """As `save`, of a state that is packed already."""
        if offset < 0:
            raise JournalError(f"{self.directory}: offset {offset} is below 0")
        head = HEADER.pack(MAGIC, VERSION, 0, offset, len(packed))
        path = self._path(offset)
        crc = google_crc32c.extend(google_crc32c.value(head), packed)
        write_atomic(path, head, packed, _CRC.pack(crc))
        self.damaged = [one for one in self.damaged if one.path != path]
        usable = self._offsets()
        try:
            for old in usable[: -self.keep]:
                self._path(old).unlink(missing_ok=True)
            for one in self.damaged:  # those older than all that is kept tell nothing any more
                if one.path.name < self._path(usable[-self.keep :][0]).name:
                    one.path.unlink(missing_ok=True)
            sync_directory(self.directory)
        except OSError as error:
            raise failure(self.directory, "delete old snapshots", error) from error

    def load(self, at_most: int | None = None) -> tuple[int, Any] | None:
        """Newest usable snapshot; damaged ones are skipped and put on the list `damaged`.

        Parameters
        ----------
        at_most
            Offset that the snapshot may not exceed; None: any.

        Returns
        -------
        tuple or None
            Offset and state (arrays read-only); None if there is no usable one.
        """
        for offset in reversed(self._offsets()):
            if at_most is not None and offset > at_most:
                continue
            try:
                return offset, read_snapshot(self._path(offset))
            except SnapshotError as error:
                self.damaged.append(DamagedSnapshot(self._path(offset), str(error)))
        return None

    @property
    def oldest(self) -> int | None:
        """Offset of the oldest snapshot not known to be damaged: the journal is needed from it."""
        return next(iter(self._offsets()), None)

    def _path(self, offset: int) -> Path:
        return self.directory / f"{offset:020d}.snap"

    def _offsets(self) -> list[int]:
        damaged = {one.path for one in self.damaged}
        return [int(path.stem) for path in list_snapshots(self.directory) if path not in damaged]


def list_snapshots(directory: Path) -> list[Path]:
    """Snapshots in a directory, oldest first, usable or not."""
    return sorted(
        path
        for path in directory.glob("*.snap")
        if len(path.stem) == 20 and path.stem.isascii() and path.stem.isdecimal()
    )


def read_snapshot(path: Path) -> Any:
    """The state in a snapshot's file.

    Raises
    ------
    SnapshotError
        It cannot be used; names the file.
    """
    offset = int(path.stem)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SnapshotError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) < HEADER.size + _CRC.size:
        raise SnapshotError(f"{path}: has only {len(data)} bytes")
    if _CRC.pack(google_crc32c.value(data[: -_CRC.size])) != data[-_CRC.size :]:
        raise SnapshotError(f"{path}: its checksum does not match")
    magic, version, _, its_offset, length = HEADER.unpack_from(data)
    if magic != MAGIC or version != VERSION:
        raise SnapshotError(f"{path}: version {version}; this program knows {VERSION}")
    packed = data[HEADER.size : -_CRC.size]
    if its_offset != offset or length != len(packed):
        raise SnapshotError(f"{path}: its header does not fit its name or its length")
    try:
        return unpack(packed)
    except JournalError as error:
        raise SnapshotError(f"{path}: {error}") from error
