"""Child processes that never outlive their parent, not even when it is killed with ``kill -9``."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from vedette.local import shim
from vedette.local.places import User

PARENT_FD = "VEDETTE_PARENT_FD"
"""Environment variable: descriptor that reaches its end of file when the parent is gone."""

TERMINATE_S = 10.0
"""Seconds that a child gets to end in good order before SIGKILL."""

ORPHAN_S = 5.0
"""Seconds that a child whose parent is gone gives itself before SIGKILL."""

_ROOT = Path(__file__).resolve().parents[2]


class Child:
    """A running child process in a session of its own.

    Build one with `Child.program` or `Child.python`. As a context manager it ends the child.

    Parameters
    ----------
    name
        For messages.
    process
        The started process.
    pipe
        Writing end whose closing tells the child that we are gone, or None.
    log
        File that holds its output, or None.
    stop_signal
        What asks it to end in good order.
    """

    def __init__(
        self,
        name: str,
        process: "subprocess.Popen[bytes]",
        pipe: int | None,
        log: Path | None,
        stop_signal: signal.Signals,
    ) -> None:
        self.name = name
        self.log = log
        self._process = process
        self._pipe = pipe
        self._stop_signal = stop_signal

    @classmethod
    def program(
        cls,
        name: str,
        command: Sequence[str],
        *,
        log: Path | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: User | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> Self:
        """Start a foreign program, which knows nothing of us, through `vedette.local.shim`.

        Parameters
        ----------
        name
            For messages.
        command
            Absolute path and arguments.
        log
            File to which its output is appended; None: thrown away.
        env
            Its whole environment; None: ours.
        cwd
            Its working folder.
        user
            Whom it runs as; None: ourselves.
        stop_signal
            Sent by `terminate`, and when we are gone.
        """
        options = ["--signal", str(int(stop_signal))]
        if user is not None:
            options += ["--uid", str(user.uid), "--gid", str(user.gid)]
        by_kernel = (
            sys.platform == "linux" and threading.current_thread() is threading.main_thread()
        )
        reader, writer = (None, None) if by_kernel else os.pipe()
        if reader is None:
            options += ["--parent", str(os.getpid())]
        else:
            options += ["--pipe", str(reader)]
        start = [sys.executable, "-I", "-S", str(Path(shim.__file__)), *options, "--", *command]
        return cls._start(name, start, reader, writer, log, env, cwd, stop_signal)

    @classmethod
    def python(
        cls,
        name: str,
        module: str,
        arguments: Sequence[str] = (),
        *,
        log: Path | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Self:
        """Start a module of ours (``python -m module``), which must call `watch_parent`.

        Parameters
        ----------
        name
            For messages.
        module, arguments
            What to run.
        log
            File to which its output is appended; None: it shares ours.
        env
            Added to our environment.
        cwd
            Its working folder.
        """
        reader, writer = os.pipe()
        path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
        whole = {**os.environ, "PYTHONPATH": path, PARENT_FD: str(reader), **(env or {})}
        start = [sys.executable, "-m", module, *arguments]
        return cls._start(
            name, start, reader, writer, log, whole, cwd, signal.SIGTERM, share_output=log is None
        )

    @classmethod
    def _start(
        cls,
        name: str,
        command: Sequence[str],
        reader: int | None,
        writer: int | None,
        log: Path | None,
        env: Mapping[str, str] | None,
        cwd: Path | None,
        stop_signal: signal.Signals,
        *,
        share_output: bool = False,
    ) -> Self:
        with contextlib.ExitStack() as stack:
            if reader is not None:
                stack.callback(os.close, reader)
            output: int | None = subprocess.DEVNULL
            if log is not None:
                output = stack.enter_context(log.open("ab")).fileno()
            elif share_output:
                output = None
            try:
                process = subprocess.Popen(  # noqa: S603 - a list, no shell; callers' own programs
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=None if env is None else dict(env),
                    cwd=cwd,
                    pass_fds=() if reader is None else (reader,),
                    start_new_session=True,
                )
            except BaseException:
                if writer is not None:
                    os.close(writer)
                raise
        return cls(name, process, writer, log, stop_signal)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.terminate()

    @property
    def pid(self) -> int:
        """Process id of the program itself."""
        return self._process.pid

    def poll(self) -> int | None:
        """Exit status (negative: the signal that ended it), or None while it runs."""
        return self._process.poll()

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for its end and return the exit status.

        Raises
        ------
        TimeoutError
            If it still runs after `timeout_s`.
        """
        try:
            status = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{self.name} still runs after {timeout_s} s") from None
        self._close_pipe()
        return status

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        self._process.send_signal(number)

    def tell(self, word: bytes) -> None:
        """Send bytes down the pipe that tells a child of `Child.python` of our end.

        It must read them before it calls `watch_parent`. One that has ended hears nothing.
        """
        if self._pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._pipe, word)

    def kill(self) -> int:
        """End it at once with SIGKILL and return the exit status."""
        self._process.kill()
        return self.wait()

    def ask(self) -> None:
        """Ask it to end in good order; does not wait. To be followed by `end`."""
        self.send(self._stop_signal)

    def end(self, timeout_s: float = TERMINATE_S) -> int:
        """Wait for the end of a child that was asked, insist with SIGKILL; the exit status."""
        with contextlib.suppress(TimeoutError):
            return self.wait(timeout_s)
        return self.kill()

    def terminate(
        self, timeout_s: float = TERMINATE_S, *, signals: Sequence[signal.Signals] = ()
    ) -> int:
        """Ask it to end, insist with SIGKILL, and return the exit status.

        Parameters
        ----------
        timeout_s
            Given after every signal.
        signals
            Sent one after another instead of the child's own stop signal.
        """
        for number in signals or (self._stop_signal,):
            self.send(number)
            with contextlib.suppress(TimeoutError):
                return self.wait(timeout_s)
        return self.kill()

    def log_tail(self, lines: int = 8) -> str:
        """Last lines of its log, for an error message."""
        if self.log is None or not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 8192))
            text = file.read().decode("utf-8", "replace")
        return "\n".join(text.splitlines()[-lines:])

    def _close_pipe(self) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None


def watch_parent(grace_s: float = ORPHAN_S) -> bool:
    """In a child started by `Child.python`: end when the parent is gone.

    A daemon thread waits for the end of file: then SIGTERM to ourselves, and SIGKILL after
    `grace_s`. The descriptor is kept from children of our own.

    Returns
    -------
    bool
        False if there is no parent to watch (started by hand).
    """
    number = os.environ.pop(PARENT_FD, None)
    if number is None:
        return False
    pipe = int(number)
    os.set_inheritable(pipe, False)
    threading.Thread(target=_follow, args=(pipe, grace_s), name="parent", daemon=True).start()
    return True


def _follow(pipe: int, grace_s: float) -> None:
    select.select([pipe], [], [])
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(grace_s)
    os.kill(os.getpid(), signal.SIGKILL)
