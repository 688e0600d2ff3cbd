"""`AgreementFile`: the agreement that a file says, followed while it changes."""

from pathlib import Path

from model.errors import ConfigError
from sharing.agreement import Agreement, load_agreement
from sharing.release import Parties


class AgreementFile:
    """An agreement file that is read again when it changes.

    Parameters
    ----------
    path
        The file.
    parties
        Between whom it must be.
    """

    def __init__(self, path: Path, parties: Parties) -> None:
        self._path = path
        self._parties = parties
        self._seen: tuple[int, ...] | None = (-1,)
        self.agreement: Agreement | None = None
        self.problems: list[str] = []

    def look(self) -> bool:
        """Read the file if it changed; returns whether it did."""
        try:
            stat = self._path.stat()
            seen: tuple[int, ...] | None = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        except OSError:
            seen = None
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            self.agreement = self._checked(load_agreement(self._path))
            self.problems = []
        except ConfigError as error:
            self.agreement = None
            self.problems = error.problems
        return True

    def _checked(self, agreement: Agreement) -> Agreement:
        problems = []
        for key in ("giver", "receiver"):
            told, own = getattr(agreement, key), getattr(self._parties, key)
            if told != own:
                problems.append(f"{self._path}: agreement.{key}: is {told!r}, and not {own!r}")
        if agreement.mode != self._parties.mode:
            problems.append(
                f"{self._path}: agreement.mode: is {agreement.mode.name.lower()!r}, and this node "
                f"is in mode {self._parties.mode.name.lower()!r}"
            )
        if problems:
            raise ConfigError(problems)
        return agreement
