"""A spare core: everything loaded, waiting to be needed. ``python -m vedette.spare SITE``.

Most of what a core's start costs is loading Python's modules and compiled kernels: three seconds of
CPU, and many more on a busy machine. So the supervisor keeps a process that has done this, and that
has opened nothing: no log, no connection. When the core dies it is told to go, and becomes a core
like any other. It reads the site file only then. One that is needed before it has loaded everything
begins anew.

Loading takes time from nobody: it happens in a thread that runs when nobody else wants to, in a
session that does. The main thread, which the core will run in, keeps its rank, for an ordinary user
cannot win it back; that of a session can be.
"""

import importlib
import os
import sys
import threading

from vedette.local.process import PARENT_FD
from vedette.rank import rank_session
from vedette.supervisor import GO

NICE = 19
"""The lowest rank, sched(7)."""


def load() -> None:
    """Load what a core needs."""
    if sys.platform == "linux":  # elsewhere a thread has no rank of its own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
    importlib.import_module("vedette.core")
    importlib.import_module("fusion.warm").warm_up()
    try:
        importlib.import_module("adapters.registry").load_all()
    except importlib.import_module("model.errors").ConfigError:
        return  # the core will tell


def main() -> int:
    """Wait, then be the core; 0 without having been one if the supervisor is gone."""
    pipe = os.environ.get(PARENT_FD)
    if pipe is None:
        sys.stderr.write("vedette.spare is started by the supervisor of `vedette run`\n")
        return 2
    behind = rank_session(NICE)
    loading = threading.Thread(target=load, name="loading", daemon=True)
    loading.start()
    if os.read(int(pipe), len(GO)) != GO:
        return 0
    if behind and not rank_session(0):
        sys.stderr.write("vedette.spare: this core comes behind all others\n")
    if loading.is_alive():  # what it holds it may not give back for long
        anew = [sys.executable, "-m", "vedette.core", *sys.argv[1:]]
        os.execv(sys.executable, anew)  # noqa: S606 - ourselves, and no shell
    return int(importlib.import_module("vedette.core").main())


if __name__ == "__main__":
    sys.exit(main())
