"""Which process listens on a port, so that nobody takes another's broker for ours."""

import shutil
import subprocess
from pathlib import Path

_LISTEN = "0A"
"""State TCP_LISTEN in /proc/net/tcp (include/net/tcp_states.h)."""


def listens(pid: int, port: int) -> bool | None:
    """Whether a process listens on a TCP port of this machine.

    Parameters
    ----------
    pid
        The process.
    port
        The port.

    Returns
    -------
    bool or None
        None: this system does not say (the process belongs to somebody else, or neither /proc
        nor ``lsof`` is there).
    """
    if Path("/proc/net").is_dir():
        return _listens_linux(pid, port)
    lsof = shutil.which("lsof")
    if lsof is None:
        return None
    found = subprocess.run(  # noqa: S603 - absolute path, numbers only, no shell
        [lsof, "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-t"],
        capture_output=True,
        text=True,
        check=False,
    )
    return str(pid) in found.stdout.split()


def _listens_linux(pid: int, port: int) -> bool | None:
    inodes = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = Path("/proc/net", table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTEN and int(fields[1].rsplit(":", 1)[1], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    try:
        descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return None
    for descriptor in descriptors:
        try:
            if str(descriptor.readlink()) in inodes:
                return True
        except FileNotFoundError:
            continue  # closed meanwhile
        except OSError:
            return None
    return False
