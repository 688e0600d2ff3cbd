"""`Supervisor`: keeps the processes of a node running, and ends them in order.

A process that dies is started again after a pause that grows while it keeps dying. For the core a
spare stands by that has loaded everything already (`vedette.spare`). At a stop the core ends first,
so that publishers can give and serve can store what it still wrote.
"""

import logging
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vedette.local.process import Child

log = logging.getLogger("vedette.run")

FIRST_DELAY_S = 0.2
"""Pause before the first restart, s; doubled each time."""

LAST_DELAY_S = 5.0
"""Longest pause before a restart, s."""

SPARE_AFTER_S = 5.0
"""A spare is started when what it stands by for has run so long, s: two that load at once only make
each other slow."""

NEXT_SPARE_S = 0.5
"""The same where it was a spare itself, s: then it has loaded everything."""

STEADY_S = 10.0
"""After so long without dying a process is given the first pause again, s: one that has recovered
and worked is not the one that dies at its start."""

LOOK_S = 0.05
"""Pause between two looks at the processes, s."""

CORE_STOP_S = 4.5
"""Longest that the core may take to stop, s."""

SERVE_STOP_S = 4.0
"""Longest that serve may take to stop, s."""

SHARE_STOP_S = 3.5
"""Longest that a publisher may take to stop, s."""

GO = b"g"
"""What a spare is told when it is needed."""

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
    arguments
        Of the command line, behind the site file.
    vital
        Without it there is no node: if it refuses the site file, the node ends. Another is
        started again and again, for what it misses (a password) may come.
    standby
        Module of a process that loads everything and then waits to take its place; empty: none.
    """

    name: str
    module: str
    stop_s: float
    arguments: tuple[str, ...] = ()
    vital: bool = True
    standby: str = ""
    child: Child | None = None
    spare: Child | None = None
    spare_due: float = 0.0
    started: float = 0.0
    due: float = 0.0
    delay: float = FIRST_DELAY_S
    restarts: int = 0
    statuses: list[int] = field(default_factory=list)


class Supervisor:
    """Runs core, serve and publishers of a site.

    Parameters
    ----------
    site
        The site file.
    partners
        Partners that a publisher of their own gives to.
    """

    def __init__(self, site: Path, partners: Sequence[str] = ()) -> None:
        self._site = site
        self.processes = [
            Process("core", "vedette.core", CORE_STOP_S, standby="vedette.spare"),
            *(
                Process(f"share-{name}", "vedette.publishing", SHARE_STOP_S, (name,), vital=False)
                for name in partners
            ),
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
            core, *readers = self.processes
            killed = [
                process.name
                for group in ([core], readers)
                for process, whole in zip(group, self._stop(group), strict=True)
                if not whole
            ]
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
                self._stand_by(process, now)
                return False
            child.wait()
            process.child = None
            process.statuses.append(status)
            if status == WRONG and process.vital:
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
            spare, process.spare = process.spare, None
            if spare is not None and spare.poll() is None:
                spare.tell(GO)
                process.child = spare
                process.spare_due = now + NEXT_SPARE_S
            else:
                process.child = self._start(process, process.module)
                process.spare_due = now + SPARE_AFTER_S
            process.started = now
            log.info("started process=%s pid=%d", process.name, process.child.pid)
        return False

    def _start(self, process: Process, module: str) -> Child:
        return Child.python(process.name, module, [str(self._site), *process.arguments])

    def _stand_by(self, process: Process, now: float) -> None:
        """See that a process that has run for a while has a spare, if it is to have one."""
        if process.spare is not None and process.spare.poll() is not None:
            process.spare.wait()
            process.spare = None
            process.spare_due = now + SPARE_AFTER_S
        elif process.spare is None and process.standby and now >= process.spare_due:
            process.spare = self._start(process, process.standby)
            log.info("standing by process=%s pid=%d", process.name, process.spare.pid)

    def _stop(self, processes: Sequence[Process]) -> list[bool]:
        """End processes, side by side; returns of each whether it ended by itself."""
        began = time.monotonic()
        for process in processes:
            if process.spare is not None:
                process.spare.kill()  # it has begun nothing
                process.spare = None
        running = [process for process in processes if process.child is not None]
        whole = dict.fromkeys((process.name for process in processes), True)
        for process in running:
            if process.child is not None and not self.at_once.is_set():
                process.child.send(signal.SIGTERM)
        while running:
            running = [process for process in running if not self._ended(process, began, whole)]
            if running:
                time.sleep(LOOK_S / 5)
        return [whole[process.name] for process in processes]

    def _ended(self, process: Process, began: float, whole: dict[str, bool]) -> bool:
        """Whether a process that was told to end has; notes whether it did so by itself."""
        child, after_s = process.child, time.monotonic() - began
        if child is None:
            return True
        if child.poll() is None:
            if not self.at_once.is_set() and after_s <= process.stop_s:
                return False
            child.kill()
            whole[process.name] = False
        else:
            status = child.wait()
            whole[process.name] = status == 0
            log.info("ended process=%s %s after_s=%.1f", process.name, _cause(status), after_s)
        process.child = None
        return True


def _cause(status: int) -> str:
    if status < 0:
        try:
            return f"signal={signal.Signals(-status).name}"
        except ValueError:
            return f"signal={-status}"
    return f"status={status}"
