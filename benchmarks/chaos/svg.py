"""Pictures as SVG text: axes, lines, bars; no library, no script, nothing fetched."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 1_100
LEFT, RIGHT = 92, 16
"""Room for names of lanes and for the last tick, px."""

TICKS = 6
"""Ticks on an axis, about."""


def element(name: str, text: str = "", title: str = "", **attributes: object) -> str:
    """One element; ``class_`` gives the class, other underscores become hyphens."""
    words = " ".join(
        f'{key.rstrip("_").replace("_", "-")}="{escape(_short(value))}"'
        for key, value in attributes.items()
    )
    inner = (f"<title>{escape(title)}</title>" if title else "") + escape(text)
    return f"<{name} {words}>{inner}</{name}>"


def _short(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def steps(low: float, high: float) -> list[float]:
    """Round numbers between two, about `TICKS` of them."""
    if high <= low:
        return [low]
    raw = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * one for one in (1, 2, 5, 10) if power * one >= raw)
    first = math.ceil(low / step)
    return [step * number for number in range(first, math.floor(high / step + 1e-9) + 1)]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a panel.

    Parameters
    ----------
    name
        In the legend.
    style
        Class of the style sheet.
    x, y
        Points; None: a gap.
    """

    name: str
    style: str
    x: Sequence[float]
    y: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Panel:
    """A chart above a common time axis.

    Parameters
    ----------
    title
        What is drawn, with its unit.
    lines
        What is in it.
    height
        px.
    logarithmic
        Of the vertical axis.
    from_zero
        Whether a linear axis begins at 0.
    """

    title: str
    lines: Sequence[Line]
    height: int = 120
    logarithmic: bool = False
    from_zero: bool = True

    def draw(self, top: float, span: tuple[float, float]) -> str:
        """The panel as SVG, its upper edge at `top` px; `span` is that of the time axis."""
        values = [y for line in self.lines for y in line.y if y is not None]
        if self.logarithmic:
            values = [math.log10(max(one, 1e-3)) for one in values]
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        if self.logarithmic:
            low, high = math.floor(low), math.ceil(high + 1e-9)
        elif self.from_zero:
            low = min(low, 0.0)
        pad = 0.0 if self.logarithmic or self.from_zero else 0.1 * (high - low)
        low, high = low - pad, high + pad
        if high <= low:
            low, high = low - 0.5, high + 0.5
        bottom = top + self.height

        def place(value: float) -> float:
            value = math.log10(max(value, 1e-3)) if self.logarithmic else value
            return bottom - (value - low) / (high - low) * self.height

        parts = [element("text", self.title, x=LEFT, y=top - 6, class_="title")]
        ticks = (
            [10.0**one for one in range(int(low), int(high) + 1)]
            if self.logarithmic
            else steps(low, high)
        )
        for tick in ticks:
            y = place(tick)
            parts.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid"))
            parts.append(element("text", f"{tick:,.6g}", x=LEFT - 6, y=y + 4, class_="tick right"))
        x_legend = float(WIDTH - RIGHT)
        for line in reversed(self.lines):
            x_legend -= 7.0 * len(line.name) + 26.0
            parts.append(
                element(
                    "line",
                    x1=x_legend,
                    x2=x_legend + 16.0,
                    y1=top - 10,
                    y2=top - 10,
                    class_=f"line {line.style}",
                )
            )
            parts.append(element("text", line.name, x=x_legend + 20.0, y=top - 6, class_="tick"))
        for line in self.lines:
            for points in _runs(line):
                text = " ".join(f"{at(x, span):.1f},{place(y):.1f}" for x, y in points)
                parts.append(
                    element("polyline", points=text, class_=f"line {line.style}", title=line.name)
                )
        return "".join(parts)


def _runs(line: Line) -> list[list[tuple[float, float]]]:
    """Points between gaps."""
    runs: list[list[tuple[float, float]]] = [[]]
    for x, y in zip(line.x, line.y, strict=True):
        if y is None:
            runs.append([])
        else:
            runs[-1].append((x, y))
    # A point alone is drawn as a short stroke.
    return [run if len(run) > 1 else [run[0], (run[0][0] + 1e-9, run[0][1])] for run in runs if run]


def at(x: float, span: tuple[float, float]) -> float:
    """Place of a time on the axis, px."""
    return LEFT + (x - span[0]) / max(span[1] - span[0], 1e-9) * (WIDTH - LEFT - RIGHT)


def time_axis(top: float, span: tuple[float, float], unit: str) -> str:
    """The axis under everything."""
    parts = [element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=top, y2=top, class_="axis")]
    for tick in steps(*span):
        x = at(tick, span)
        parts.append(element("line", x1=x, x2=x, y1=top, y2=top + 4, class_="axis"))
        parts.append(element("text", f"{tick:g} {unit}", x=x, y=top + 17, class_="tick middle"))
    return "".join(parts)


def picture(height: float, parts: Sequence[str], label: str) -> str:
    """The whole picture."""
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(label)}">'
        + "".join(parts)
        + "</svg>"
    )


def stacked(panels: Sequence[Panel], span: tuple[float, float], unit: str, label: str) -> str:
    """Panels under one another over one time axis."""
    parts, top = [], 24.0
    for panel in panels:
        parts.append(panel.draw(top, span))
        top += panel.height + 34.0
    parts.append(time_axis(top - 24.0, span, unit))
    return picture(top, parts, label)
