"""The time limit of a decoder.

It rests on ``SIGALRM``, so it works in the main thread of a process on POSIX only and is without
effect elsewhere. A decoder that stays inside one call of C code is stopped when that call returns.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

AGAIN_S = 0.1
"""The alarm rings again after this, for a decoder that caught everything, s."""

LEAST_S = 1e-3
"""An earlier timer that should have rung meanwhile rings after this, s."""


class DecodeTimeout(BaseException):
    """A decoder ran longer than it may.

    Not an `Exception`: a decoder that catches those does not catch it.
    """


def available() -> bool:
    """Whether a time limit has an effect in this thread."""
    return hasattr(signal, "setitimer") and (threading.current_thread() is threading.main_thread())


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `DecodeTimeout` inside the block once it has run for `seconds`; 0: never.

    An earlier handler and an earlier timer are put back afterwards, the timer with what is left.
    """
    if seconds <= 0.0 or not available():
        yield
        return
    armed = True

    def ring(_signal: int, _frame: FrameType | None) -> None:
        if armed:
            raise DecodeTimeout

    began = time.monotonic()
    handler = signal.signal(signal.SIGALRM, ring)
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_S)
    try:
        try:
            yield
        finally:
            armed = False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL if handler is None else handler)
        if left > 0.0:
            rest = max(LEAST_S, left - (time.monotonic() - began))
            signal.setitimer(signal.ITIMER_REAL, rest, interval)
