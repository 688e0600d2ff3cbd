"""What an examination of a data folder finds, in words and levels."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FINE, LOOK, BROKEN = 0, 1, 2
"""Levels of findings and exit statuses: all is well; worth a look, nothing promised is lost;
something that was stored or promised is not there, or the node cannot start."""

WORDS = {FINE: "fine", LOOK: "look", BROKEN: "broken"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Parameters
    ----------
    level
        `LOOK` or `BROKEN`.
    file
        Where.
    text
        What is wrong.
    advice
        What to do.
    offset, byte
        In the log and in the file; -1: it has none.
    affected
        What rests on it, plain data.
    """

    level: int
    file: str
    text: str
    advice: str
    offset: int = -1
    byte: int = -1
    affected: dict[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        """One line for a person."""
        where = self.file
        if self.byte >= 0:
            where += f" byte {self.byte}"
        if self.offset >= 0:
            where += f" offset {self.offset}"
        return f"{WORDS[self.level]}: {where}: {self.text}; {self.advice}"


@dataclass(slots=True)
class Report:
    """What there is, and what was found.

    Parameters
    ----------
    folder
        The data folder.
    facts
        Plain data: logs, cursors, snapshots, receipts.
    findings
        In the order in which they matter.
    """

    folder: Path
    facts: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def status(self) -> int:
        """Exit status: the highest level."""
        return max((one.level for one in self.findings), default=FINE)
