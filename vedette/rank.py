"""Who comes first where the machine is short of time.

Linux groups processes by session where nobody else groups them (sched(7), "The autogroup feature"):
then `nice` ranks the processes of one session among themselves alone, and each process of a node is
a session. The session has a rank of its own, which its leader sets here. Where systemd or a
container groups, or on another system, there is no such file or it changes nothing, and `nice` does
it.
"""

import os
import time
from pathlib import Path

AUTOGROUP = Path("/proc/self/autogroup")
"""Rank of our session; a number from 0 to 19 may be written by everybody, upwards and downwards."""

TRIES, PAUSE_S = 40, 0.05
"""Of others than the administrator the kernel takes one such change in 0.1 s, from all together."""


def rank_session(nice: int) -> bool:
    """Give our session a rank, if it is ours alone.

    Parameters
    ----------
    nice
        From 0, as everybody, to 19, behind everybody.

    Returns
    -------
    bool
        Whether it has it now.
    """
    if os.getsid(0) != os.getpid() or not AUTOGROUP.exists():
        return False
    for _ in range(TRIES):
        try:
            AUTOGROUP.write_text(str(nice))
        except BlockingIOError:  # somebody else has just changed one
            time.sleep(PAUSE_S)
        except OSError:
            return False
        else:
            return True
    return False


def lower_rank(steps: int) -> None:
    """Let other processes come before this one.

    Parameters
    ----------
    steps
        By how much; 0: nothing changes.
    """
    if steps:
        os.nice(steps)
        rank_session(min(19, steps))
