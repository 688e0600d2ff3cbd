"""`Supervisor`: keeps the processes of a node running, and ends them in order.

A process that dies is started again after a pause that grows while it keeps dying. At a stop the
core ends first, so that serve can store what the core still wrote.
"""

import logging
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from vedette.local.process import Child

log = logging.getLogger("vedette.run")

FIRST_DELAY_S = 0.2
"""Pause before the first restart, s; doubled each time."""

LAST_DELAY_S = 5.0
"""Longest pause before a restart, s."""

STEADY_S = 30.0
"""After so long without dying a process is given the first pause again, s."""

LOOK_S = 0.05
"""Pause between two looks at the processes, s."""

CORE_STOP_S = 4.5
"""Longest that the core may take to stop, s."""

SERVE_STOP_S = 4.0
"""Longest that serve may take to stop, s."""

WRONG = 2
"""Exit status of a process that says: my site file is wrong. It is not started again."""


@dataclass
class Process:
    """One process under supervision.

    Parameters
    ----------
    name, module
        What it is called, and the module to run.
    stop_s
        Longest that it may take to stop.
    """

    name: str
    module: str
    stop_s: float
    child: Child | None = None
    started: float = 0.0
    due: float = 0.0
    delay: float = FIRST_DELAY_S
    restarts: int = 0
    statuses: list[int] = field(default_factory=list)


class Supervisor:
    """Runs core and serve of a site.

    Parameters
    ----------
    site
        The site file.
    """

    def __init__(self, site: Path) -> None:
        self._site = site
        self.processes = [
            Process("core", "vedette.core", CORE_STOP_S),
            Process("serve", "vedette.serving", SERVE_STOP_S),
        ]
        self.stopping = threading.Event()
        self.at_once = threading.Event()

    def run(self) -> int:
        """Supervise until `stopping` is set; returns the exit status.

        Returns
        -------
        int
            0: stopped in good order; 1: a process had to be killed; 2: a process refused the
            site file.
        """
        status = 0
        try:
            while not self.stopping.is_set():
                if any(self._tend(process) for process in self.processes):
                    status = WRONG
                    break
                self.stopping.wait(LOOK_S)
        finally:
            killed = [process.name for process in self.processes if not self._stop(process)]
        if killed:
            log.error("killed processes=%s", ",".join(killed))
            return status or 1
        return status

    def signalled(self, number: int) -> None:
        """A signal came: stop in stages, and at the second one at once."""
        if self.stopping.is_set():
            self.at_once.set()
        log.info("signal name=%s", signal.Signals(number).name)
        self.stopping.set()

    def _tend(self, process: Process) -> bool:
        """Start a process that does not run; returns whether it refused the site file."""
        now = time.monotonic()
        child = process.child
        if child is not None:
            status = child.poll()
            if status is None:
                return False
            child.wait()
            process.child = None
            process.statuses.append(status)
            if status == WRONG:
                log.error("gave up process=%s status=%d", process.name, status)
                return True
            if now - process.started > STEADY_S:
                process.delay = FIRST_DELAY_S
            process.due = now + process.delay
            log.error(
                "died process=%s %s restarts=%d again_in_s=%.1f",
                process.name,
                _cause(status),
                process.restarts,
                process.delay,
            )
            process.delay = min(2 * process.delay, LAST_DELAY_S)
            process.restarts += 1
        if now >= process.due:
            process.child = Child.python(process.name, process.module, [str(self._site)])
            process.started = now
            log.info("started process=%s pid=%d", process.name, process.child.pid)
        return False

    def _stop(self, process: Process) -> bool:
        """End a process; returns whether it ended by itself."""
        child, process.child = process.child, None
        if child is None:
            return True
        began = time.monotonic()
        if not self.at_once.is_set():
            child.send(signal.SIGTERM)
        while child.poll() is None:
            if self.at_once.is_set() or time.monotonic() - began > process.stop_s:
                child.kill()
                return False
            time.sleep(LOOK_S / 5)
        status = child.wait()
        log.info(
            "ended process=%s %s after_s=%.1f",
            process.name,
            _cause(status),
            time.monotonic() - began,
        )
        return status == 0


def _cause(status: int) -> str:
    if status < 0:
        try:
            return f"signal={signal.Signals(-status).name}"
        except ValueError:
            return f"signal={-status}"
    return f"status={status}"
