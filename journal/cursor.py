"""`Cursor`: how far a reader of a log has come, durably."""

from pathlib import Path

import google_crc32c

from journal.disk import failure, make_directory, write_atomic
from model.errors import JournalError

_WORD = "vedette-cursor-1"


class Cursor:
    """One offset in a file of one line: ``vedette-cursor-1 <offset> <CRC32C of both, hex>``.

    After a crash the file holds the old offset or the new one. One writer at a time.

    Parameters
    ----------
    path
        The file; its folder is made if missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> int | None:
        """Offset saved last; None: never saved.

        Raises
        ------
        JournalError
            The file is damaged, or the system refuses; names the file.
        """
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise failure(self.path, "read the cursor", error) from error
        body, _, checksum = data.removesuffix(b"\n").rpartition(b" ")
        word, _, digits = body.partition(b" ")
        if (
            checksum != b"%08x" % google_crc32c.value(body)
            or word != _WORD.encode()
            or not digits.isdigit()
        ):
            raise JournalError(
                f"{self.path}: the cursor is damaged ({data[:60]!r}); "
                "delete the file to read the log from its start"
            )
        return int(digits)

    def save(self, offset: int) -> None:
        """Put an offset in place, durably.

        Raises
        ------
        JournalFull
            No room on the disk; the old offset stands.
        JournalError
            The system refuses.
        """
        if offset < 0:
            raise JournalError(f"{self.path}: offset {offset} is below 0")
        body = f"{_WORD} {offset}".encode()
        make_directory(self.path.parent)
        write_atomic(self.path, body + b" %08x\n" % google_crc32c.value(body))
