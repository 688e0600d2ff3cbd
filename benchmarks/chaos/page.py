"""The frame of a report page: one file, nothing fetched, light and dark."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

STYLE = """
:root { --ink: #1c2733; --soft: #5a6b7b; --paper: #fff; --line: #dbe2e8; --lane: #eef2f5;
  --good: #17734a; --bad: #b3261e; --s0: #2f5d9b; --s1: #c2711d; --s2: #2e8b6a; --s3: #8a4fa3;
  --freeze: #4a90d9; --recovery: #f0c987; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4eaf0; --soft: #97a6b4; --paper: #151b21;
  --line: #2c3843; --lane: #1d252d; --good: #5cc394; --bad: #ff8a80; --s0: #7fb0ee; --s1: #eda85c;
  --s2: #66c7a1; --s3: #c79ade; --recovery: #6d5730; } }
* { box-sizing: border-box; }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 1160px; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.6rem; margin: 0 0 .2rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
p { margin: .3rem 0; } .soft { color: var(--soft); } .good { color: var(--good); }
.bad { color: var(--bad); } code { font-size: .92em; }
.verdict { font-size: 1.15rem; font-weight: 600; }
.cards { display: flex; flex-wrap: wrap; gap: .6rem; margin: 1rem 0; }
.card { border: 1px solid var(--line); border-radius: 6px; padding: .5rem .9rem; min-width: 7rem; }
.card b { display: block; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
.card span { color: var(--soft); font-size: .85rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .4rem 0; }
th, td { padding: .22rem .8rem .22rem 0; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; } th { color: var(--soft); font-weight: 500; }
details { border-top: 1px solid var(--line); padding: .5rem 0; }
summary { cursor: pointer; } pre { overflow-x: auto; background: var(--lane); padding: .7rem; }
svg { width: 100%; height: auto; display: block; margin: .6rem 0; }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
svg .tick { fill: var(--soft); font-size: 11px; } svg .right { text-anchor: end; }
svg .middle { text-anchor: middle; } svg .title { font-weight: 600; }
svg .grid { stroke: var(--line); } svg .axis { stroke: var(--soft); }
svg .lane { fill: var(--lane); }
svg .line { fill: none; stroke-width: 1.6; stroke-linejoin: round; }
svg .s0 { stroke: var(--s0); } svg .s1 { stroke: var(--s1); } svg .s2 { stroke: var(--s2); }
svg .s3 { stroke: var(--s3); } svg .s1.line { stroke-dasharray: 5 3; }
svg .kill { stroke: var(--bad); stroke-width: 2; fill: none; } svg .freeze { fill: var(--freeze); }
svg .recovery { fill: var(--recovery); }
.key span { display: inline-block; width: .9rem; height: .7rem; margin: 0 .35rem 0 1rem; }
"""


def page(title: str, parts: Sequence[str]) -> str:
    """The whole document."""
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style>\n<h1>{escape(title)}</h1>\n"
        + "\n".join(parts)
        + "\n</html>\n"
    )


def cards(values: Sequence[tuple[str, str, str]]) -> str:
    """Figures side by side: a figure, what it is, class (``good``, ``bad`` or none)."""
    return (
        '<div class="cards">'
        + "".join(
            f'<div class="card"><b class="{kind}">{escape(value)}</b>'
            f"<span>{escape(name)}</span></div>"
            for value, name, kind in values
        )
        + "</div>"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of texts."""
    lines = ["<tr>" + "".join(f"<th>{escape(one)}</th>" for one in head) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{escape(one)}</td>" for one in row) + "</tr>" for row in rows]
    return "<table>" + "".join(lines) + "</table>"


def write(path: Path, text: str) -> Path:
    """Put a page in place at once; returns its path."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
    return path
