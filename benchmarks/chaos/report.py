"""`write_report`: the page of a campaign."""

from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.chaos.campaign import Campaign, by_kind, totals
from benchmarks.chaos.page import cards, page, table, write
from benchmarks.chaos.timeline import timeline

ZERO = {
    "missing": "missing",
    "invented": "invented",
    "twice": "twice in the database",
    "changed": "changed",
}
"""Counts that are 0 in a sound node, as they are called on the page."""

KEY = (
    '<p class="soft key">Crosses: SIGKILL.<span style="background:var(--freeze)"></span>frozen '
    '(SIGSTOP).<span style="background:var(--recovery)"></span>until it worked again. '
    "Point at a mark to read it.</p>"
)

RECOVERY = (
    '<p class="soft">From the kill (where we kept it away: from its start; of a freeze: from its '
    "end) to the first thing that it did: core: an output; serve and PostgreSQL: a commit; "
    "publisher: a ledger entry; broker and connections: a journaled message. <i>Alone</i>: "
    "nothing was done near it to what it needs.</p>"
)


def write_report(campaign: Campaign) -> Path:
    """Write ``report.html``; returns its path."""
    rounds = campaign.ended()
    counts = totals(rounds)
    settings = campaign.settings
    sound = not counts.get("unsound")
    done = counts.get("faults", 0)
    servers = {one["servers"] for one in rounds}
    parts = [
        f'<p class="soft">seed {settings.seed}, {counts.get("rounds", 0)} of '
        f"{len(campaign.rounds)} rounds; {escape('; '.join(sorted(servers)))}; "
        + escape(", ".join(f"{name} {value}" for name, value in campaign.facts.items()))
        + "</p>",
        f'<p class="verdict {"good" if sound else "bad"}">'
        + (
            "Sound: nothing lost, and outputs are those of an undisturbed engine."
            if sound
            else f"NOT SOUND: {counts['unsound']} rounds."
        )
        + "</p>",
        cards(
            [
                (f"{done:,}", "faults done", ""),
                (f"{counts.get('sent', 0):,}", "reports sent", ""),
                *(
                    (f"{counts.get(name, 0):,}", text, "bad" if counts.get(name) else "good")
                    for name, text in ZERO.items()
                ),
                (f"{counts.get('let_go', 0):,}", "let go, and journaled so", ""),
                (f"{counts.get('repeated', 0):,}", "came again, taken once", ""),
                (f"{counts.get('updates', 0):,}", "track updates, all equal", ""),
                (f"{counts.get('given', 0):,}", "rows for the partner", ""),
            ]
        ),
        *_problems(campaign, rounds),
        "<h2>Recovery</h2>",
        RECOVERY,
        table(
            ["", "faults", "p50 s", "p99 s", "max s", "alone", "p50 s", "max s"], recovery(rounds)
        ),
        "<h2>Timeline</h2>",
        KEY,
        *(_round(one, opened=n == 0 or bool(one["problems"])) for n, one in enumerate(rounds)),
        "<h2>Faults by kind</h2>",
        table(["", "done"], [[name, f"{n:,}"] for name, n in by_kind(rounds).items()]),
    ]
    return write(campaign.folder / "report.html", page("Vedette: faults on purpose", parts))


def recovery(rounds: list[dict[str, Any]]) -> list[list[str]]:
    """Rows of the table of recovery times: by target and action."""
    found: dict[str, list[tuple[float, bool]]] = {}
    for one in rounds:
        for row in one["recovery"]:
            if row["seconds"] is not None:
                took = row["seconds"]
                if row["action"] == "kill":
                    took = max(took - row["away"], 0.0)
                name = f"{row['target']} {row['action']}"
                found.setdefault(name, []).append((took, row["alone"]))
    rows = []
    for name, pairs in sorted(found.items()):
        took = np.array([seconds for seconds, _ in pairs])
        alone = np.array([seconds for seconds, alone in pairs if alone])
        rows.append(
            [
                name,
                str(len(took)),
                *(f"{one:.2f}" for one in (*np.quantile(took, (0.5, 0.99)), took.max())),
                str(len(alone)),
                *((f"{np.median(alone):.2f}", f"{alone.max():.2f}") if len(alone) else ("", "")),
            ]
        )
    return rows


def _problems(campaign: Campaign, rounds: list[dict[str, Any]]) -> list[str]:
    """What is wrong, and how to see it again."""
    parts = []
    for one in rounds:
        if one["problems"]:
            lines = "\n".join(one["problems"])
            again = (
                f"python -m benchmarks.chaos faults --seed {one['seed']} "
                f"--faults {campaign.settings.faults} --per-round {campaign.settings.per_round} "
                f"--only {one['round']} --out again"
            )
            parts.append(
                f'<h2 class="bad">Round {one["round"]}</h2><pre>{escape(lines)}</pre>'
                f"<p>Kept: <code>rounds/{one['round']:03}-kept</code>. "
                f"Again: <code>{escape(again)}</code></p>"
            )
    return parts


def _round(one: dict[str, Any], *, opened: bool) -> str:
    counts = one["counts"]
    zeros = ", ".join(f"{counts.get(name, '?')} {name}" for name in ZERO)
    done = [fault for fault in one["faults"] if fault["time_ns"]]
    verdict = "<b class='bad'>not sound</b>" if one["problems"] else "sound"
    summary = (
        f"Round {one['round']}: {len(done)} faults, {counts.get('sent', 0):,} reports, {zeros}, "
        f"{counts.get('tracks', 0)} tracks, {counts.get('let_go', 0)} let go, "
        f"{one['seconds']:.0f} s: {verdict}"
    )
    picture = "" if one["series"] is None else timeline(one)
    return f"<details{' open' if opened else ''}><summary>{summary}</summary>{picture}</details>"
