"""`Book`: what a source has sent, written down durably before anything of it is published.

It stands outside the node: it knows nothing of journal, broker and database, so it can say what
any of them lost, invented, repeated or changed. One line a report::

    <made, UTC ns> <sensor> <boot> <seq> <SHA-256 of the payload>
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks.chaos.traffic import Key, Message


@dataclass(frozen=True, slots=True)
class Line:
    """One report that was sent.

    Parameters
    ----------
    made_ns
        When it was written down, UTC ns.
    key
        Which.
    digest
        SHA-256 of its payload, hexadecimal.
    """

    made_ns: int
    key: Key
    digest: str


class Book:
    """Appends to a book; a last line that a kill cut short is taken away first.

    Parameters
    ----------
    path
        The file; made if it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab+")
        self._file.seek(0)
        whole = self._file.read()
        self._file.truncate(whole.rfind(b"\n") + 1)
        self._file.seek(0, os.SEEK_END)
        self.lines = whole.count(b"\n")
        """Reports in it."""

    def note(self, messages: Sequence[Message], made_ns: int) -> None:
        """Write messages down and wait until that is on the disk."""
        self._file.write(
            b"".join(
                f"{made_ns} {one.key.sensor} {one.key.boot} {one.key.seq} {one.digest}\n".encode()
                for one in messages
            )
        )
        self._file.flush()
        os.fdatasync(self._file.fileno())
        self.lines += len(messages)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_book(path: Path) -> Iterator[Line]:
    """Whole lines of a book, in order; its source may be writing."""
    if not path.exists():
        return
    with path.open(encoding="ascii") as file:
        for text in file:
            if text.endswith("\n"):
                made_ns, sensor, boot, seq, digest = text.split()
                yield Line(int(made_ns), Key(sensor, boot, int(seq)), digest)


class Progress:
    """How many reports books hold, found by what was added since the last look.

    Parameters
    ----------
    paths
        The books.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._read = [0] * len(paths)
        self._lines = [0] * len(paths)

    def look(self) -> int:
        """Reports written down so far."""
        for place, path in enumerate(self._paths):
            if path.exists() and path.stat().st_size > self._read[place]:
                with path.open("rb") as file:
                    file.seek(self._read[place])
                    more = file.read()
                whole = more.rfind(b"\n") + 1
                self._read[place] += whole
                self._lines[place] += more.count(b"\n")
        return sum(self._lines)
