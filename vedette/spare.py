"""A spare core: everything loaded, waiting to be needed. ``python -m vedette.spare SITE``.

Most of what a core's start costs is loading Python's modules and compiled kernels: three seconds of
CPU, and many more on a busy machine. So the supervisor keeps a process that has done this, and that
has opened nothing: no log, no connection. When the core dies it is told to go, and becomes a core
like any other. It reads the site file only then.
"""

import contextlib
import os
import sys

from adapters.registry import load_all
from fusion.warm import warm_up
from model.errors import ConfigError
from vedette import core
from vedette.local.process import PARENT_FD
from vedette.supervisor import GO


def main() -> int:
    """Wait, then be the core; 0 without having been one if the supervisor is gone."""
    pipe = os.environ.get(PARENT_FD)
    if pipe is None:
        sys.stderr.write("vedette.spare is started by the supervisor of `vedette run`\n")
        return 2
    warm_up()
    with contextlib.suppress(ConfigError):  # the core will tell
        load_all()
    if os.read(int(pipe), len(GO)) != GO:
        return 0
    return core.main()


if __name__ == "__main__":
    sys.exit(main())
