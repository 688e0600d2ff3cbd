"""Memory that is let go goes back to the system: after months a process is as large as it must be.

glibc keeps freed memory for what comes next, and learns from each large block that is freed to
keep blocks of that size as well (mallopt(3), "M_MMAP_THRESHOLD"): a process whose tables come and
go grows in steps, to the largest of everything that it ever held at once. Where the C library is
another one, nothing is changed here.
"""

import ctypes
import time

M_MMAP_THRESHOLD = -3
"""Of `mallopt`, from glibc's ``malloc.h``; setting it also ends the learning."""

LARGE = 1 << 20
"""Blocks from this size on are mapped by themselves and go back when they are freed, bytes: well
above the tables of one output, which would otherwise be mapped anew with each."""

EVERY_S = 10.0
"""Pause between two returns of freed memory, s; one takes a few milliseconds."""


class Heap:
    """The C library's memory of this process."""

    def __init__(self) -> None:
        library = ctypes.CDLL(None)
        self._trim = getattr(library, "malloc_trim", None)
        self._due_s = 0.0
        if self._trim is not None:
            library.mallopt(M_MMAP_THRESHOLD, LARGE)

    def give_back(self) -> bool:
        """Return freed memory to the system where it is time to; returns whether it was."""
        now_s = time.monotonic()
        if self._trim is None or now_s < self._due_s:
            return False
        self._due_s = now_s + EVERY_S
        self._trim(ctypes.c_size_t(0))
        return True
