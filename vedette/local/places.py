"""Whom servers run as, folders that they can enter, and free ports."""

import os
import pwd
import socket
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"
"""Local servers listen here and nowhere else."""


@dataclass(frozen=True, slots=True)
class User:
    """An operating system user to run a server as."""

    uid: int
    gid: int


def server_user() -> User | None:
    """Whom a server runs as: ``nobody`` when we are root, otherwise None for ourselves.

    PostgreSQL refuses to run as root, and no server should. No user is created.
    """
    if os.geteuid() != 0:
        return None
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return User(65534, 65534)  # the kernel's overflow id, which is what nobody has elsewhere
    return User(nobody.pw_uid, nobody.pw_gid)


def closed_parent(path: Path, user: User | None) -> Path | None:
    """First folder on the way to `path` that a user cannot enter; None: the way is open.

    Parameters
    ----------
    path
        Looked at after all symbolic links are followed; it need not exist.
    user
        Whose way it is; None: ours, which is always taken to be open.
    """
    if user is None:
        return None
    for folder in reversed(path.resolve().parents):
        if not folder.exists():
            return None
        facts = folder.stat()
        if facts.st_uid == user.uid:
            needed = stat.S_IXUSR
        elif facts.st_gid == user.gid:
            needed = stat.S_IXGRP
        else:
            needed = stat.S_IXOTH
        if not facts.st_mode & needed:
            return folder
    return None


def private_folder(prefix: str, user: User | None = None) -> Path:
    """New temporary folder of mode 0700 with a short path; whoever asked removes it.

    Parameters
    ----------
    prefix
        Of its name.
    user
        To whom it shall belong; permissions of parent folders are never changed.

    Raises
    ------
    OSError
        If there is no temporary folder that the user can enter.
    """
    bases = (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - mkdtemp
    for base in bases:
        if base.is_dir() and closed_parent(base / "x", user) is None:
            folder = Path(tempfile.mkdtemp(prefix=prefix, dir=base))
            if user is not None:
                os.chown(folder, user.uid, user.gid)
            return folder
    raise OSError(f"no temporary folder that user id {user and user.uid} can enter")


def free_port() -> int:
    """TCP port of the loopback address that was free a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
