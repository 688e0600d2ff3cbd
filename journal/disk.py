"""What the operating system promises about files, and how to ask for it."""

import errno
import fcntl
import os
from pathlib import Path

from model.errors import JournalError, JournalFull

FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Errors that mean *no room*: they pass when room is made (`write(2)`, POSIX.1-2024)."""

_F_FULLFSYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)
"""macOS: `fsync` there does not empty the drive's cache, this does (`fcntl(2)`)."""


def sync_file(fd: int) -> None:
    """Have the device hold the file's bytes and length.

    Raises
    ------
    OSError
        The device refused. The kernel may have dropped the dirty pages: a second call that
        succeeds proves nothing (`fsync(2)`, Linux, NOTES).
    """
    if _F_FULLFSYNC is not None:
        fcntl.fcntl(fd, _F_FULLFSYNC)
    else:
        getattr(os, "fdatasync", os.fsync)(fd)


def sync_directory(path: Path) -> None:
    """Have the device hold the names in a directory."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_directory(path: Path) -> None:
    """Make a directory and its parents where missing, and have the device hold their names.

    Raises
    ------
    JournalError
        The system refuses.
    """
    missing = [one for one in (path, *path.parents) if not one.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        for one in reversed(missing):
            sync_directory(one.parent)
    except OSError as error:
        raise failure(path, "make the directory", error) from error


def write_all(fd: int, data: bytes) -> None:
    """Write everything: one `write(2)`, and more only where the system took less than it was given.

    Raises
    ------
    OSError
        A part may have been written.
    """
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def write_atomic(path: Path, *parts: bytes) -> None:
    """Put a whole file in place, durably: after a crash it is the old one or the new one.

    Parameters
    ----------
    path
        The file; ``<name>.tmp`` beside it is used on the way.
    *parts
        All of its bytes, in order.

    Raises
    ------
    JournalFull
        No room on the disk; the old file stands.
    JournalError
        Anything else that the system refuses; the old file stands, or the new one.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
        try:
            for part in parts:
                write_all(fd, part)
            sync_file(fd)
        finally:
            os.close(fd)
        temporary.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise failure(path, "write", error) from error


def failure(path: Path, deed: str, error: OSError) -> JournalError:
    """Error of this program for one of the system's."""
    kind = JournalFull if error.errno in FULL_ERRNOS else JournalError
    return kind(f"{path}: cannot {deed}: {error.strerror or error}")


class DirectoryLock:
    """One writer to a directory, for as long as the process lives.

    `flock(2)`: the system frees it however the process ends. Its file holds the process id of the
    holder, for the message only.

    Raises
    ------
    JournalError
        Another writer (in this process too) holds it.
    """

    def __init__(self, directory: Path) -> None:
        path = directory / "lock"
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)
        except OSError as error:
            raise failure(path, "open", error) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(fd)
            if not isinstance(error, BlockingIOError):
                raise failure(path, "lock", error) from error
            raise JournalError(
                f"{directory}: another process (pid {holder}) is writing to it"
            ) from error
        try:
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:  # the pid is a courtesy; a full disk must not keep a node down
            if error.errno not in FULL_ERRNOS:
                os.close(fd)
                raise failure(path, "write", error) from error
        self._fd: int | None = fd

    def close(self) -> None:
        """Free the directory."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
