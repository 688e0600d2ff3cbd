"""From a stream of bytes to the pieces that a gateway sends; nothing is dropped."""

from typing import Protocol

MAX_PIECE = 512 << 10
"""Longest piece, bytes: half of what a node takes by default (`limits.max_payload_bytes`), so that
a frame around it fits."""


class Splitter(Protocol):
    """Cuts a stream."""

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces that are whole by now."""

    def rest(self) -> bytes:
        """What has come and belongs to no whole piece; forgotten with that."""


class Lines:
    """One piece a line, without its end (LF or CR LF); empty lines are none.

    A line over the limit comes in pieces: the node keeps and quarantines them, and nobody has to
    hold a line without end in memory.

    Parameters
    ----------
    max_piece
        Longest piece, bytes.
    """

    def __init__(self, max_piece: int = MAX_PIECE) -> None:
        self._max = max_piece
        self._begun = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are whole by now."""
        lines = (self._begun + data).split(b"\n")
        self._begun = lines.pop()
        found = []
        for line in lines:
            text = line.removesuffix(b"\r")
            found += self._pieces(text)
        if len(self._begun) > self._max:
            whole = len(self._begun) // self._max * self._max
            found += self._pieces(self._begun[:whole])
            self._begun = self._begun[whole:]
        return found

    def rest(self) -> bytes:
        """The line that has begun."""
        begun, self._begun = self._begun, b""
        return begun

    @property
    def pending(self) -> int:
        """Length of the line that has begun, bytes."""
        return len(self._begun)

    def _pieces(self, text: bytes) -> list[bytes]:
        return [text[at : at + self._max] for at in range(0, len(text), self._max)]


class Chunks:
    """Pieces as they come, for streams without lines; what is too long is cut.

    Parameters
    ----------
    max_piece
        Longest piece, bytes.
    """

    def __init__(self, max_piece: int = MAX_PIECE) -> None:
        self._max = max_piece

    def feed(self, data: bytes) -> list[bytes]:
        """The data, cut where they are too long."""
        return [data[at : at + self._max] for at in range(0, len(data), self._max)]

    def rest(self) -> bytes:
        """Nothing."""
        return b""
