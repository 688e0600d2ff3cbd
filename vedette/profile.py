"""Where time goes: laps by name, and a table of them."""

import time
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table


@dataclass(slots=True)
class Profile:
    """CPU time by step, ns, since it was made.

    Parameters
    ----------
    spent, laps
        By step: ns, and how often it ended.
    """

    spent: dict[str, int] = field(default_factory=dict)
    laps: dict[str, int] = field(default_factory=dict)
    _since: int = field(default_factory=time.process_time_ns)

    def lap(self, step: str) -> None:
        """All time since the last lap was spent on a step."""
        now = time.process_time_ns()
        self.spent[step] = self.spent.get(step, 0) + now - self._since
        self.laps[step] = self.laps.get(step, 0) + 1
        self._since = now

    def show(self, console: Console, reports: int) -> None:
        """Print the steps, the dearest first, per report."""
        table = Table(title=f"CPU by step, {reports} reports")
        table.add_column("step")
        for name in ("ms", "share", "µs a report", "times"):
            table.add_column(name, justify="right")
        whole = max(sum(self.spent.values()), 1)
        for step, spent in sorted(self.spent.items(), key=lambda row: -row[1]):
            table.add_row(
                step,
                f"{spent / 1e6:.1f}",
                f"{spent / whole:.1%}",
                f"{spent / 1e3 / max(reports, 1):.1f}",
                str(self.laps[step]),
            )
        console.print(table)
