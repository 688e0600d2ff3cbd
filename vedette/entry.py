"""How a process of a node begins and ends: arguments, log, signals, exit status."""

import argparse
import logging
import os
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from model.errors import ConfigError, VedetteError
from vedette.heap import settle
from vedette.local.process import watch_parent
from vedette.logs import set_up
from vedette.rank import lower_rank

AFTER_CORE, AFTER_STORING = 5, 10
"""`nice(2)` of what follows the core: where time is short the picture comes first, what is stored a
little later, and last what is given. Each step is worth a quarter (sched(7))."""


class Process(Protocol):
    """What runs in a process of its own."""

    @property
    def stopping(self) -> threading.Event:
        """Set to ask it to end in good order."""

    def run(self) -> None:
        """Work until `stopping` is set, then end in stages."""


def run_process(
    name: str,
    build: Callable[[Path], Process],
    arguments: Sequence[str] | None = None,
    nice: int = 0,
) -> int:
    """Run one process of a site until SIGTERM or SIGINT; a second signal ends it at once.

    Parameters
    ----------
    name
        Of the process, in its log lines.
    build
        Makes it from the site file; signals are heeded already while it does.
    arguments
        The command line; None: that of the program.
    nice
        By how much its rank is lowered.

    Returns
    -------
    int
        0: ended as asked; 1: something it needs has failed, it may be started again; 2: the site
        file is wrong.
    """
    parser = argparse.ArgumentParser(prog=f"python -m vedette ({name})")
    parser.add_argument("site", type=Path)
    args = parser.parse_args(arguments)
    set_up(name)
    log = logging.getLogger(f"vedette.{name}")
    built: list[Process] = []

    def stop(number: int, _frame: object) -> None:
        if not built:
            raise SystemExit(0)
        if built[0].stopping.is_set():
            os._exit(128 + number)
        built[0].stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    watch_parent()
    lower_rank(nice)
    try:
        built.append(build(args.site))
        settle()
        built[0].run()
    except ConfigError as error:
        for problem in error.problems:
            log.error("%s", problem)  # noqa: TRY400 - each message says it all
        return 2
    except (OSError, VedetteError) as error:
        log.error("ended: %s", error)  # noqa: TRY400 - the message says it all
        return 1
    return 0
