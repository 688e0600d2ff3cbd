"""Memory that is let go goes back to the system: after months a process is as large as it must be.

glibc maps large blocks apart, and learns from each that is freed to keep blocks of that size
(mallopt(3), "M_MMAP_THRESHOLD"): a process whose tables come and go grows in steps, to the largest
of everything that it ever held at once. Here it keeps all from the beginning, because mapping
tables anew with each output cost (153 us of CPU a report instead of 127, single runs of
`benchmarks.whole` at 2,000 a second); and what is free goes back now and then.
Where the C library is another one, nothing is changed.
"""

import ctypes
import time

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of `mallopt`, from glibc's ``malloc.h``; setting one also ends the learning."""

KEPT = 32 << 20
"""Blocks below this size are not mapped apart, bytes: the highest that glibc takes (mallopt(3))."""

EVERY_S = 10.0
"""Pause between two returns of freed memory, s; one takes a few milliseconds."""


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
