"""`Sequence`: which rows of a ledger have arrived, and whether their chain holds.

Rows come in runs of consecutive numbers, each with the heads of the chain before and after it. A
run that stands alone is kept as two numbers and two heads; runs that meet must agree in the head
where they meet, and become one.
"""

from collections.abc import Sequence as Several
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from model.arrays import Bools

MAX_RUNS = 256
"""Separate runs that are remembered; a run beyond them is not taken, and comes again later."""


class Run(NamedTuple):
    """Rows from `first` to `last`, both included, and the heads before and after them."""

    first: int
    last: int
    before: bytes
    after: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """What became of a run.

    Parameters
    ----------
    new
        (R,) bool: rows that had not arrived before; none where there is a problem.
    broken
        The chain does not hold where this run meets what is known: seq of the row, or 0.
    crowded
        Too many separate runs are remembered already.
    """

    new: Bools
    broken: int = 0
    crowded: bool = False


class Sequence:
    """Rows that have arrived of one ledger.

    Parameters
    ----------
    genesis
        Head of its chain before the first row.
    """

    def __init__(self, genesis: bytes) -> None:
        self._done = Run(0, 0, genesis, genesis)
        self._runs: list[Run] = []

    @property
    def contiguous(self) -> int:
        """Everything up to this number has arrived."""
        return self._done.last

    @property
    def head(self) -> bytes:
        """Head of the chain there."""
        return self._done.after

    @property
    def highest(self) -> int:
        """Highest number that has arrived."""
        return self._runs[-1].last if self._runs else self._done.last

    def gaps(self, limit: int) -> list[tuple[int, int]]:
        """Ranges below `highest` that have not arrived, from the lowest, at most `limit`."""
        found = []
        last = self._done.last
        for run in self._runs[:limit]:
            found.append((last + 1, run.first - 1))
            last = run.last
        return found

    def take(self, first: int, before: bytes, heads: Several[bytes]) -> Taken:
        """Take a run in.

        Parameters
        ----------
        first
            Number of its first row, from 1.
        before
            Head of the chain before it.
        heads
            Head after each of its rows; at least one.
        """
        last = first + len(heads) - 1
        new = np.ones(len(heads), dtype=np.bool_)
        low, high = Run(first, last, before, heads[-1]), Run(first, last, before, heads[-1])
        rest: list[Run] = []
        for run in (self._done, *self._runs):
            if run.last < first - 1 or run.first > last + 1:
                rest.append(run)
                continue
            # Both ends of the known run that lie within this one, or touch it, must agree.
            for seq, head in ((run.first - 1, run.before), (run.last, run.after)):
                if not first - 1 <= seq <= last:
                    continue
                if head != (heads[seq - first] if seq >= first else before):
                    return Taken(np.zeros(len(heads), dtype=np.bool_), broken=max(seq + 1, 1))
            new[max(run.first - first, 0) : max(run.last - first + 1, 0)] = False
            low = min(low, run)
            high = max(high, run, key=lambda one: one.last)
        merged = Run(low.first, high.last, low.before, high.after)
        runs = sorted([*rest, merged])
        if len(runs) - 1 > max(MAX_RUNS, len(self._runs)):
            return Taken(np.zeros(len(heads), dtype=np.bool_), crowded=True)
        self._done, self._runs = runs[0], runs[1:]
        return Taken(new)

    def snapshot(self) -> list[list[Any]]:
        """Plain data."""
        return [list(run) for run in (self._done, *self._runs)]

    @classmethod
    def restore(cls, state: list[list[Any]]) -> "Sequence":
        """What `snapshot` gave."""
        runs = [Run(*one) for one in state]
        made = cls(runs[0].before)
        made._done, made._runs = runs[0], runs[1:]
        return made
