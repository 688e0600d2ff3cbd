"""What a core says when it can say nothing more: why it is stalled, on a full disk too.

How the core is doing stands in the output log, and a full disk takes no more of that: serve would
only know that the core is silent. So one line has its place on the disk beforehand, and is written
over in place.
"""

import os
from pathlib import Path

from model.errors import JournalError

FILE = "stalled"
"""In the node's data folder."""

BYTES = 512
"""Length of the file, bytes: one sector, and more than a sentence."""


class LastWord:
    """The line, on the side of the core.

    Parameters
    ----------
    data_dir
        The node's data folder.

    Raises
    ------
    JournalError
        The system refuses the file.
    """

    def __init__(self, data_dir: Path) -> None:
        path = data_dir / FILE
        self._said = ""
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise JournalError(f"{path}: cannot open: {error.strerror}") from error
        self._write("")

    def say(self, text: str) -> None:
        """Why the core is stalled; empty: it is not."""
        if text != self._said:
            self._write(text)

    def _write(self, text: str) -> None:
        line = text.encode("utf-8", "replace")[: BYTES - 1]
        try:
            os.pwrite(self._fd, line.ljust(BYTES - 1) + b"\n", 0)
        except OSError:
            return  # it is a courtesy; a disk that was full before the start has no place for it
        self._said = text

    def close(self) -> None:
        """Close the file; what is in it stays. May be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def last_word(data_dir: Path) -> str:
    """What the core said last, on the side of serve; empty: it is not stalled."""
    try:
        return (data_dir / FILE).read_bytes()[:BYTES].decode("utf-8", "replace").strip()
    except OSError:
        return ""
