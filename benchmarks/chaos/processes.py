"""Looking at processes, and freezing them (Linux: proc(5))."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

FREEZE = 'kill -STOP "$@"; sleep "$0"; kill -CONT "$@"'
"""In a shell of its own, so that what is frozen thaws even when we are killed meanwhile."""


def alive(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rsplit(")", 1)[1].split()[0] not in "ZX"


def children(pid: int) -> list[int]:
    """Processes that a process has started and that are there."""
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def tree(pid: int) -> list[int]:
    """A process and all below it, the deepest last."""
    return [pid, *(one for child in children(pid) for one in tree(child))]


def command(pid: int) -> str:
    """Command line of a process; empty: it is gone."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return b" ".join(words).decode(errors="replace")


def freeze(pids: Sequence[int], seconds: float) -> "subprocess.Popen[bytes]":
    """Stop processes and let them go on after a while; returns the shell that does it."""
    return subprocess.Popen(
        ["/bin/sh", "-c", FREEZE, str(seconds), *map(str, pids)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def signal_all(pids: Sequence[int], number: int) -> None:
    """Send a signal to processes; what is gone is passed over."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
