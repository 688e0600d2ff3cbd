"""What was measured in a soak, and the page that shows it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.chaos.machine import facts
from benchmarks.chaos.page import cards, page, table
from benchmarks.chaos.slope import Slope, slope
from benchmarks.chaos.svg import Line, Panel, stacked

WARM_UP = 0.25
"""Part of the soak that is left out of slopes: caches fill, tracks come to be."""

LONGEST_WARM_UP_S = 900.0
"""The warm-up is never longer, s."""

LIMIT = 2.0
"""Growth of memory that fails the soak, % a hour."""

PANELS = (
    ("memory, RSS, MiB", ("core rss MiB", "serve rss MiB", "broker rss MiB"), 150, False, True),
    ("of the core alone, MiB", ("core rss MiB", "core pss MiB"), 110, False, False),
    ("of serve alone, MiB", ("serve rss MiB", "serve pss MiB"), 110, False, False),
    ("latency over the last minute, ms", ("p50 ms", "p99 ms"), 90, True, False),
    ("open files", ("core files", "serve files"), 70, False, True),
    ("threads", ("core threads", "serve threads"), 70, False, True),
    ("on the disk, MiB", ("journal MiB", "outputs MiB"), 90, False, True),
)
"""Title, columns, height px, logarithmic or not, from zero or not."""


@dataclass(slots=True)
class Measured:
    """What was measured.

    Parameters
    ----------
    seconds
        Since the beginning, of each measurement.
    columns
        By name, such as ``core rss MiB``; NaN: not had.
    """

    seconds: list[float] = field(default_factory=list)
    columns: dict[str, list[float]] = field(default_factory=dict)

    def add(self, seconds: float, values: Mapping[str, float]) -> None:
        """Take one measurement in."""
        for name in values:
            self.columns.setdefault(name, [math.nan] * len(self.seconds))
        self.seconds.append(seconds)
        for name, column in self.columns.items():
            column.append(values.get(name, math.nan))

    def slope(self, name: str) -> Slope:
        """Growth of a column behind the warm-up."""
        seconds, values = np.array(self.seconds), np.array(self.columns[name])
        warm = min(WARM_UP * seconds[-1], LONGEST_WARM_UP_S)
        keep = (seconds >= warm) & ~np.isnan(values)
        return slope(seconds[keep], values[keep])


def soak_page(
    measured: Measured,
    slopes: Mapping[str, Slope],
    failed: Sequence[str],
    about: tuple[float, float, str],
) -> str:
    """The page of a soak.

    Parameters
    ----------
    measured
        So far.
    slopes
        Of its columns.
    failed
        What grows too fast.
    about
        Minutes wanted, reports a second, servers.
    """
    minutes, rate_hz, servers = about
    minute = [one / 60.0 for one in measured.seconds]
    span = (0.0, max([*minute, 0.1]))
    panels = [
        Panel(title, _lines(measured, minute, names), height, logarithmic, from_zero)
        for title, names, height, logarithmic, from_zero in PANELS
    ]
    machine = ", ".join(f"{name} {value}" for name, value in facts().items())
    warm_up = (
        f"<p class='soft'>Theil-Sen slopes behind the warm-up ({WARM_UP:.0%}, at most "
        f"{LONGEST_WARM_UP_S / 60.0:.0f} min), with their 95 % intervals.</p>"
    )
    head = (
        f"<p class='soft'>{rate_hz:g} reports/s, {span[1]:.1f} of {minutes:g} min; {servers}; "
        f"{machine}</p>"
    )
    verdict = "; ".join(failed) or f"No memory grows by more than {LIMIT:g} % a hour."
    rows = [
        [
            name,
            f"{one.level:,.1f}",
            f"{one.per_hour:+,.2f}",
            f"{one.low:+,.2f} to {one.high:+,.2f}",
            f"{one.percent_per_hour:+.2f} %",
        ]
        for name, one in slopes.items()
    ]
    parts = [
        head,
        f"<p class='verdict {'bad' if failed else 'good'}'>{verdict}</p>",
        cards(
            [
                (f"{slopes[name].percent_per_hour:+.2f} %", f"{name} a hour", "")
                for name in ("core rss MiB", "serve rss MiB")
                if name in slopes
            ]
        ),
        stacked(panels, span, "min", "soak"),
        "<h2>Growth a hour</h2>",
        warm_up,
        table(["", "median", "a hour", "95 %", "relative"], rows),
    ]
    return page("Vedette: soak", parts)


def _lines(measured: Measured, minute: list[float], names: Sequence[str]) -> list[Line]:
    return [
        Line(
            name.rsplit(" ", 1)[0] if name.endswith((" MiB", " ms")) else name,
            f"s{place}",
            minute,
            [None if math.isnan(one) else one for one in measured.columns[name]],
        )
        for place, name in enumerate(names)
        if name in measured.columns
    ]
