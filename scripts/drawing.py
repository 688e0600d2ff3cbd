# ruff: noqa: INP001 - a script of the checkout, in no package
"""Pictures as SVG: shapes on a sheet, and graphs with axes. Coordinates are rounded to 0.1 px."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from model.arrays import Floats

Point = tuple[float, float]

INK, GREY, PALE, WASH = "#1a1a1a", "#666666", "#dddddd", "#fbe3dd"

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#a3478c", "#b07a00", "#3a9bd0", "#7a4a2b")
"""Told apart also by those who see fewer colours (after Okabe and Ito)."""

CHI_SQUARE_95 = 5.991
"""Squared radius that holds 95 % of a Gaussian of two dimensions."""


class Sheet:
    """A white sheet to draw on; x to the right and y down, px.

    Parameters
    ----------
    width, height
        px.
    title
        Read aloud where the picture cannot be seen.
    """

    def __init__(self, width: float, height: float, title: str) -> None:
        self.width, self.height, self.title = width, height, title
        self.parts: list[str] = []

    def line(
        self, points: Iterable[Point], colour: str = INK, width: float = 1.0, *,
        dash: str = "", fill: str = "none", opacity: float = 1.0, closed: bool = False,
    ) -> None:  # fmt: skip
        """A line through points; a surface, if it is closed or filled."""
        text = "L".join(f"{_n(x)} {_n(y)}" for x, y in points)
        more = f' stroke-dasharray="{dash}"' if dash else ""
        more += f' opacity="{_n(opacity, 2)}"' if opacity < 1.0 else ""
        self.parts.append(
            f'<path d="M{text}{"Z" if closed else ""}" fill="{fill}" stroke="{colour}" '
            f'stroke-width="{_n(width)}"{more}/>'
        )

    def rect(
        self, x: float, y: float, width: float, height: float, fill: str = "none",
        stroke: str = "none", *, round_px: float = 0.0, opacity: float = 1.0,
    ) -> None:  # fmt: skip
        """A rectangle."""
        more = f' rx="{_n(round_px)}"' if round_px else ""
        more += f' opacity="{_n(opacity, 2)}"' if opacity < 1.0 else ""
        self.parts.append(
            f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" '
            f'fill="{fill}" stroke="{stroke}"{more}/>'
        )

    def dot(self, x: float, y: float, r: float, fill: str, stroke: str = "none") -> None:
        """A disc."""
        self.parts.append(
            f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(r)}" fill="{fill}" stroke="{stroke}"/>'
        )

    def cross(self, x: float, y: float, r: float, colour: str, width: float = 1.5) -> None:
        """A cross, for what was measured."""
        self.line([(x - r, y - r), (x + r, y + r)], colour, width)
        self.line([(x - r, y + r), (x + r, y - r)], colour, width)

    def text(
        self, x: float, y: float, text: str, size: float = 12.0, colour: str = INK, *,
        anchor: str = "start", bold: bool = False, turn: float = 0.0, halo: bool = False,
    ) -> None:  # fmt: skip
        """Words; `turn` in degrees, `halo`: readable over lines."""
        more = f' text-anchor="{anchor}"' if anchor != "start" else ""
        more += ' font-weight="bold"' if bold else ""
        more += f' transform="rotate({_n(turn)} {_n(x)} {_n(y)})"' if turn else ""
        if halo:
            more += ' paint-order="stroke" stroke="#fff" stroke-width="3" stroke-linejoin="round"'
        self.parts.append(
            f'<text x="{_n(x)}" y="{_n(y)}" font-size="{_n(size)}" fill="{colour}"{more}>'
            f"{escape(text)}</text>"
        )

    def arrow(self, start: Point, end: Point, colour: str = INK, width: float = 1.5) -> None:
        """A line with a head."""
        self.line([start, end], colour, width)
        away = math.atan2(end[1] - start[1], end[0] - start[0])
        wings = [(end[0] - 8 * math.cos(away + s), end[1] - 8 * math.sin(away + s))
                 for s in (-0.4, 0.4)]  # fmt: skip
        self.line([wings[0], end, wings[1]], colour, 0.5, fill=colour, closed=True)

    def clip(self, box: tuple[float, float, float, float]) -> None:
        """What is drawn from here on is seen within left, top, width, height only."""
        x, y, width, height = (_n(part) for part in box)
        self.parts.append(
            f'<clipPath id="c"><rect x="{x}" y="{y}" width="{width}" height="{height}"/>'
            f'</clipPath><g clip-path="url(#c)">'
        )

    def clip_no_more(self) -> None:
        """The end of what `clip` began."""
        self.parts.append("</g>")

    def save(self, path: Path) -> None:
        """Write the picture."""
        path.parent.mkdir(parents=True, exist_ok=True)
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(self.width)} '
            f'{_n(self.height)}" width="{_n(self.width)}" height="{_n(self.height)}" '
            f'font-family="Helvetica, Arial, sans-serif" stroke-linejoin="round">\n'
            f"<title>{escape(self.title)}</title>\n"
            f'<rect width="100%" height="100%" fill="#ffffff"/>\n'
        )
        path.write_text(head + "\n".join(self.parts) + "\n</svg>\n", encoding="utf-8")
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


class Graph:
    """Axes on a sheet.

    Parameters
    ----------
    sheet
        To draw on.
    box
        Left, top, width and height, px.
    x, y
        Range of each axis, in its unit.
    """

    def __init__(
        self, sheet: Sheet, box: tuple[float, float, float, float], x: Point, y: Point
    ) -> None:
        self.sheet, self.box, self.x, self.y = sheet, box, x, y

    def at(self, x: float, y: float) -> Point:
        """Where a point of the graph is on the sheet."""
        left, top, width, height = self.box
        return (
            left + (x - self.x[0]) / (self.x[1] - self.x[0]) * width,
            top + (self.y[1] - y) / (self.y[1] - self.y[0]) * height,
        )

    def axes(
        self, x_ticks: Sequence[tuple[float, str]], y_ticks: Sequence[tuple[float, str]],
        x_name: str = "", y_name: str = "",
    ) -> None:  # fmt: skip
        """Frame, grid, and what stands beside it."""
        left, top, width, height = self.box
        for value, name in y_ticks:
            _, y = self.at(self.x[0], value)
            self.sheet.line([(left, y), (left + width, y)], PALE, 0.7)
            self.sheet.text(left - 6, y + 4, name, 11, GREY, anchor="end")
        for value, name in x_ticks:
            x, _ = self.at(value, self.y[0])
            self.sheet.line([(x, top + height), (x, top + height + 4)], GREY)
            self.sheet.text(x, top + height + 16, name, 11, GREY, anchor="middle")
        self.sheet.rect(left, top, width, height, stroke=GREY)
        if x_name:
            self.sheet.text(left + width, top + height + 31, x_name, 11, GREY, anchor="end")
        if y_name:
            self.sheet.text(left, top - 7, y_name, 11, GREY)

    def line(self, points: Iterable[Point], colour: str, width: float = 2.0, *,
             dash: str = "", opacity: float = 1.0) -> None:  # fmt: skip
        """A line through points of the graph."""
        self.sheet.line(
            [self.at(x, y) for x, y in points], colour, width, dash=dash, opacity=opacity
        )

    def text(self, x: float, y: float, text: str, colour: str = INK, size: float = 12.0, *,
             anchor: str = "start", bold: bool = False) -> None:  # fmt: skip
        """Words at a point of the graph."""
        self.sheet.text(*self.at(x, y), text, size, colour, anchor=anchor, bold=bold, halo=True)


def ellipse(
    mean: Sequence[float], ee: float, en: float, nn: float, square: float = CHI_SQUARE_95
) -> list[Point]:
    """Points east, north of the ellipse of a covariance about a mean."""
    values, vectors = np.linalg.eigh(np.array([[ee, en], [en, nn]]))
    radii = np.sqrt(square * np.maximum(values, 0.0))
    turn = np.linspace(0.0, 2.0 * np.pi, 37)[:-1]
    ring: Floats = np.stack([radii[0] * np.cos(turn), radii[1] * np.sin(turn)]).T @ vectors.T
    return [(mean[0] + float(e), mean[1] + float(n)) for e, n in ring]


def _n(value: float, digits: int = 1) -> str:
    """A number as short as it can be."""
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
