"""The timeline of a round: who was killed and frozen when, and what the reports did meanwhile."""

from typing import Any

from benchmarks.chaos.plan import Action, Target
from benchmarks.chaos.svg import LEFT, RIGHT, WIDTH, Line, Panel, at, element, picture, time_axis
from model.time import NS_PER_S

LANES = {
    Target.SUPERVISOR: "supervisor",
    Target.CORE: "core",
    Target.SERVE: "serve",
    Target.PUBLISHER: "publisher",
    Target.BROKER: "broker",
    Target.LINK: "connections",
    Target.POSTGRES: "PostgreSQL",
    Target.BACKEND: "PostgreSQL",
    Target.SOURCE: "sources",
}
"""Lane of each target, in the order in which they are drawn."""

LANE_PX = 20.0
TOP_PX = 10.0


def timeline(document: dict[str, Any]) -> str:
    """The picture of a round as SVG.

    Parameters
    ----------
    document
        Of the round, as `Outcome.document` gives it, with its ``series``.
    """
    series = document["series"]
    start, width = series["start_ns"], series["bin_s"]
    edges = [width * (number + 1) for number in range(len(series["sent"]))]
    span = (0.0, edges[-1] if edges else 1.0)
    lanes = list(dict.fromkeys(LANES.values()))
    parts = []
    for number, lane in enumerate(lanes):
        y = TOP_PX + LANE_PX * number
        parts.append(
            element(
                "rect",
                x=LEFT,
                y=y + 2,
                width=WIDTH - LEFT - RIGHT,
                height=LANE_PX - 4,
                class_="lane",
            )
        )
        parts.append(element("text", lane, x=LEFT - 8, y=y + 14, class_="tick right"))
    recovered = {one["number"]: one for one in document["recovery"]}
    for fault in document["faults"]:
        if fault["time_ns"]:
            y = TOP_PX + LANE_PX * lanes.index(LANES[Target(fault["target"])])
            parts += _mark(fault, recovered.get(fault["number"]), start, span, y)
    top = TOP_PX + LANE_PX * len(lanes) + 32.0
    panels = (
        Panel(
            "reports",
            [Line(name, f"s{n}", edges, series[name]) for n, name in enumerate(_COUNTED)],
            140,
        ),
        Panel(
            "from arrival to output, ms (of reports published then)",
            [
                Line(name, f"s{n}", edges, series[f"{name}_ms"])
                for n, name in enumerate(("p50", "p99"))
            ],
            90,
            logarithmic=True,
        ),
    )
    for panel in panels:
        parts.append(panel.draw(top, span))
        top += panel.height + 34.0
    parts.append(time_axis(top - 24.0, span, "s"))
    return picture(top, parts, f"timeline of round {document['round']}")


_COUNTED = ("sent", "journaled", "stored")


def _mark(
    fault: dict[str, Any],
    recovery: dict[str, Any] | None,
    start: int,
    span: tuple[float, float],
    y: float,
) -> list[str]:
    """A fault and, paler, how long its target took to work again."""
    began = (fault["time_ns"] - start) / NS_PER_S
    frozen = fault["action"] == Action.FREEZE
    lasted = fault["seconds"] if frozen else 0.0
    took = None if recovery is None else recovery["seconds"]
    title = f"{fault['number']}: {fault['target']}, {fault['what']}"
    if took is not None:
        title += f"; works again after {took:.2f} s"
    x, parts = at(began, span), []
    if took is not None:
        x_from = at(began + lasted, span)
        x_to = at(min(began + lasted + took, span[1]), span)
        parts.append(
            element(
                "rect",
                x=x_from,
                y=y + 4,
                width=max(x_to - x_from, 0.0),
                height=LANE_PX - 8,
                class_="recovery",
                title=title,
            )
        )
    if frozen:
        x_to = at(min(began + lasted, span[1]), span)
        parts.append(
            element(
                "rect",
                x=x,
                y=y + 4,
                width=max(x_to - x, 2.0),
                height=LANE_PX - 8,
                class_="freeze",
                title=title,
            )
        )
    else:
        parts.append(
            element(
                "path",
                d=f"M{x - 4:.1f} {y + 5:.1f}l8 10m0 -10l-8 10",
                class_="kill",
                title=title,
            )
        )
    return parts
