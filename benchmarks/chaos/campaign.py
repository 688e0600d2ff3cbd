"""A campaign: many rounds under one seed, each saved as it ends, so that it can be gone on with.

A round begins with a fresh node, so memory and disk stay bounded, and seed and number alone repeat
it. What went wrong is kept: the node's folder, the books and the logs.
"""

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.chaos.machine import facts
from benchmarks.chaos.plan import Plan, plan
from benchmarks.chaos.round import Outcome, Say, run_round

ROUND_FAULTS = 50
"""Faults of a round: about two minutes."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a campaign is made of.

    Parameters
    ----------
    seed
        Gives every round.
    faults
        In all.
    per_round
        In one round.
    """

    seed: int
    faults: int
    per_round: int = ROUND_FAULTS

    @property
    def rounds(self) -> list[Plan]:
        """Plans of all rounds."""
        sizes = [
            min(self.per_round, self.faults - first)
            for first in range(0, self.faults, self.per_round)
        ]
        return [plan(self.seed, number, size) for number, size in enumerate(sizes)]


class Campaign:
    """A campaign and what is known of it, in a folder.

    Parameters
    ----------
    folder
        Made if it is missing.
    settings
        Of a new campaign; None: go on with the one in the folder.

    Raises
    ------
    FileExistsError
        There is a campaign already, and another was to be begun.
    FileNotFoundError
        There is none to go on with.
    """

    def __init__(self, folder: Path, settings: Settings | None) -> None:
        self.folder = folder
        path = folder / "campaign.json"
        if settings is None:
            document = json.loads(path.read_text())
            self.settings = Settings(**document["settings"])
            self.facts = document["facts"]
        else:
            if path.exists():
                raise FileExistsError(path)
            self.settings, self.facts = settings, facts()
            (folder / "rounds").mkdir(parents=True, exist_ok=True)
            _save(path, {"settings": asdict(settings), "facts": self.facts})
        self.rounds = self.settings.rounds

    def path(self, number: int) -> Path:
        """File of a round that has ended."""
        return self.folder / "rounds" / f"{number:03}.json"

    def kept(self, number: int) -> Path:
        """Folder of what went wrong in a round."""
        return self.folder / "rounds" / f"{number:03}-kept"

    def left(self) -> list[Plan]:
        """Rounds that have not ended yet."""
        return [one for one in self.rounds if not self.path(one.number).exists()]

    def ended(self) -> list[dict[str, Any]]:
        """What is known of rounds that have ended, in order."""
        paths = [self.path(one.number) for one in self.rounds]
        return [json.loads(path.read_text()) for path in paths if path.exists()]

    def run(self, one: Plan, say: Say) -> Outcome:
        """Run a round and save what came of it."""
        outcome = run_round(one, self.kept(one.number), say)
        _save(self.path(one.number), outcome.document())
        return outcome


def totals(rounds: list[dict[str, Any]]) -> dict[str, int]:
    """Counts of the oracle, and faults, over all rounds."""
    counts: Counter[str] = Counter()
    for one in rounds:
        counts.update(one["counts"])
        counts["faults"] += sum(fault["time_ns"] > 0 for fault in one["faults"])
        counts["not_done"] += sum(not fault["time_ns"] for fault in one["faults"])
        counts["rounds"] += 1
        counts["unsound"] += bool(one["problems"])
    return dict(counts)


def by_kind(rounds: list[dict[str, Any]]) -> dict[str, int]:
    """Faults done, by target and action."""
    return dict(
        Counter(
            f"{fault['target']} {fault['action']}"
            for one in rounds
            for fault in one["faults"]
            if fault["time_ns"]
        ).most_common()
    )


def _save(path: Path, document: dict[str, Any]) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(document))
    fresh.replace(path)
