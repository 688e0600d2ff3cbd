"""Progress on the terminal."""

from pathlib import Path
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.chaos.campaign import Campaign
from benchmarks.chaos.round import Outcome

ZERO = ("missing", "invented", "twice", "changed")
"""Counts that are 0 in a sound node."""


class Shown:
    """Shows how far a campaign is, and a line for each round.

    Parameters
    ----------
    campaign
        Which.
    """

    def __init__(self, campaign: Campaign) -> None:
        self._campaign = campaign
        self._before = sum(len(one["faults"]) for one in campaign.ended())
        self._console = Console()
        self._progress = Progress(
            TextColumn("faults"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=self._console,
        )
        self._task = self._progress.add_task(
            "", total=campaign.settings.faults, completed=self._before
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def say(self, what: str, faults: int, reports: int) -> None:
        """Show where a round is."""
        self._progress.update(
            self._task,
            completed=self._before + faults,
            description=f"{what}, {reports:,} reports sent",
        )

    def ended(self, outcome: Outcome) -> None:
        """Show what came of a round."""
        self._before += len(outcome.plan.faults)
        counts = outcome.verdict.counts
        zeros = ", ".join(f"{counts.get(name, '?')} {name}" for name in ZERO)
        self._console.print(
            f"round {outcome.plan.number}: {counts.get('sent', 0):,} reports, {zeros}, "
            f"{counts.get('tracks', 0)} tracks, {outcome.seconds:.0f} s: "
            + ("[green]sound" if outcome.verdict.sound else "[red]NOT SOUND")
        )
        for problem in outcome.verdict.problems:
            self._console.print(f"  {problem}", markup=False)
        if not outcome.verdict.sound:
            self._console.print(f"  kept: {self._campaign.kept(outcome.plan.number)}")

    def total(self, counts: dict[str, int], page: Path) -> None:
        """Show what came of all."""
        self._console.print(
            f"{counts.get('faults', 0)} faults in {counts.get('rounds', 0)} rounds, "
            f"{counts.get('sent', 0):,} reports: "
            + ", ".join(f"{counts.get(name, 0)} {name}" for name in ZERO)
            + f"; {counts.get('unsound', 0)} rounds not sound\n{page}"
        )
