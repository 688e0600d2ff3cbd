"""Memory of a process: what it keeps, what it gives back, and what is not looked through again.

glibc maps large blocks apart, and learns from each that is freed to keep blocks of that size
(mallopt(3), "M_MMAP_THRESHOLD"): a process whose tables come and go grows in steps, to the largest
of everything that it ever held at once. And what was given back has to be had anew, page by page:
a core's snapshot took twice as long for it. Here a process keeps all from the beginning; serve
gives back what is free now and then, a core never. Where the C library is another one, nothing is
changed.
"""

import ctypes
import gc
import time

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of `mallopt`, from glibc's ``malloc.h``; setting one also ends the learning."""

KEPT = 32 << 20
"""Blocks below this size are not mapped apart, bytes: the highest that glibc takes (mallopt(3))."""

EVERY_S = 10.0
"""Pause between two returns of freed memory, s; one takes a few milliseconds."""

YOUNG = 10_000
"""Objects made, and not gone, before Python looks for circles among them (700 by default): a batch
of inputs makes and drops some thousands. They may hold a few megabytes until then."""


def settle(young: int | None = None) -> None:
    """Look for circles now, and never again in what is here: call it when all is set up.

    Compiled kernels alone are 50,000 objects, and to look through them takes 20 ms, in which every
    report waits.

    Parameters
    ----------
    young
        New objects before circles are looked for among them; None: as it is.
    """
    gc.collect()
    gc.freeze()
    if young is not None:
        gc.set_threshold(young)


class Heap:
    """The C library's memory of this process."""

    def __init__(self) -> None:
        library = ctypes.CDLL(None)
        self._trim = getattr(library, "malloc_trim", None)
        self._due_s = 0.0
        if self._trim is not None:
            library.mallopt(M_MMAP_THRESHOLD, KEPT)
            library.mallopt(M_TRIM_THRESHOLD, 2 * KEPT)

    def give_back(self) -> bool:
        """Return freed memory to the system where it is time to; returns whether it was."""
        now_s = time.monotonic()
        if self._trim is None or now_s < self._due_s:
            return False
        self._due_s = now_s + EVERY_S
        self._trim(ctypes.c_size_t(0))
        return True
