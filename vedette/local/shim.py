"""Start a foreign program so that it does not outlive the process that asked for it.

Run as a file, with the standard library only (``python -I -S shim.py OPTIONS -- PROGRAM ...``):
it drops privileges, arranges the end, and becomes PROGRAM with ``exec``, so the process id that
the parent knows is the program's own.

How the end is arranged: on Linux by ``prctl(PR_SET_PDEATHSIG)`` (prctl(2)). That signal comes
when the *thread* that started us ends, so it serves only where that is the parent's main thread.
Elsewhere by a watcher, a child of the program, which holds the reading end of a pipe: at its end
of file the parent is gone. Both live through ``kill -9`` of the parent.
"""

import argparse
import contextlib
import ctypes
import os
import select
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
"""Option number of prctl(2), linux/prctl.h."""

KILL_AFTER_S = 10.0
"""Seconds that the watcher gives the program before SIGKILL."""

POLL_S = 0.5
"""Seconds between the watcher's looks at whether the program still runs."""

CANNOT_START = 126
"""Exit status when the program could not be started, as shells use it."""


def drop_privileges(uid: int, gid: int) -> None:
    """Become another user for good, with no further groups."""
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def die_with_parent(number: int, parent: int) -> None:
    """Ask the kernel for a signal when the parent ends (Linux).

    Must come after the change of user, which clears the request.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(number), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        sys.exit(0)  # it ended before we asked


def watch(pipe: int, program: int, number: int) -> None:
    """Wait until the program ends, or end it when the parent has."""
    while os.getppid() == program:
        readable, _, _ = select.select([pipe], [], [], POLL_S)
        if readable:
            break
    deadline = time.monotonic() + KILL_AFTER_S
    while os.getppid() == program:
        late = time.monotonic() > deadline
        with contextlib.suppress(ProcessLookupError):
            os.kill(program, signal.SIGKILL if late else number)
        wait_until = time.monotonic() + (POLL_S if late else KILL_AFTER_S)
        while os.getppid() == program and time.monotonic() < wait_until:
            time.sleep(0.02)


def main(arguments: list[str]) -> int:
    """Read the options, arrange the end, become the program."""
    parser = argparse.ArgumentParser(prog="shim")
    parser.add_argument("--signal", type=int, required=True)
    parser.add_argument("--parent", type=int, help="pid to be bound to by the kernel")
    parser.add_argument("--pipe", type=int, help="descriptor to be watched for its end")
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("program", nargs="+")
    options = parser.parse_args(arguments)
    try:
        if options.uid is not None:
            drop_privileges(options.uid, options.gid)
        if options.parent is not None:
            die_with_parent(options.signal, options.parent)
        if options.pipe is not None:
            program = os.getpid()
            if os.fork() == 0:
                watch(options.pipe, program, options.signal)
                os._exit(0)
            os.close(options.pipe)
        # A shell's job in the background ignores it, and hands that down.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.execv(options.program[0], options.program)  # noqa: S606 - becoming it is the purpose
    except OSError as error:
        sys.stderr.write(f"cannot start {options.program[0]}: {error}\n")
    return CANNOT_START


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
