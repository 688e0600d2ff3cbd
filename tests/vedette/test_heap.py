"""Freed memory goes back to the system; what was there from the beginning is not looked through."""

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from vedette.heap import Heap

SETTLED = """
import gc
import weakref
from vedette.heap import YOUNG, settle

class Node:
    pass

def circle():
    one = Node()
    one.itself = one
    return one

kept = [circle() for _ in range(50_000)]
gc.disable()
dropped = weakref.ref(circle())
assert dropped() is not None
before = len(gc.get_objects())
usual = gc.get_threshold()[0]
settle()
assert gc.get_threshold()[0] == usual != YOUNG
settle(YOUNG)
gc.enable()
assert dropped() is None
assert gc.get_threshold()[0] == YOUNG
after = len(gc.get_objects())
made = [circle() for _ in range(1_000)]
del made
print(before, after, gc.collect())
"""

PROGRAM = """
import numpy as np
from vedette.heap import Heap

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

own = Heap()
# One small block in many outlives the rest, so that the heap's end never falls by itself.
blocks = [np.full(40_000 // 8, 1.0) for _ in range(2_000)]
held = blocks[::100]
full = resident()
del blocks
kept = resident()
print(own.give_back(), own.give_back(), full, kept, resident(), len(held))
"""


@pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="reads a process's memory from Linux's /proc"
)
def test_what_is_freed_goes_back_though_something_behind_it_is_held() -> None:
    """80 MB in blocks, of which one in a hundred stays: without a return nearly all would stay."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    first, second, full, kept, after, _ = done.stdout.split()
    assert (first, second) == ("True", "False")  # not again before it is time
    assert int(full) - int(after) > 60e6
    assert int(kept) >= int(after)


def test_another_c_library_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `malloc_trim` there is nothing to give back with, and no error."""
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert not Heap().give_back()


def test_what_was_there_when_all_was_set_up_is_not_looked_through_again() -> None:
    """And circles that are made afterwards are still found."""
    done = subprocess.run(
        [sys.executable, "-c", SETTLED], capture_output=True, text=True, check=True
    )
    before, after, found = map(int, done.stdout.split())
    assert before > 50_000
    assert after < 1_000
    assert found >= 1_000
