"""What the terminal shows while the demo runs: a column for each node."""

from collections.abc import Callable, Mapping
from typing import Any

from rich.table import Table

from vedette.demo_node import DemoNode

UNKNOWN = "not known"

Said = Mapping[str, Any]
"""A node's status."""


def status_table(nodes: Mapping[str, DemoNode], statuses: Mapping[str, Said]) -> Table:
    """The status of all nodes as a table.

    Parameters
    ----------
    nodes
        By name.
    statuses
        What each said last; may be empty.
    """
    table = Table(title="Vedette demo: an exercise, nothing here is real", expand=False)
    table.add_column("")
    for name in nodes:
        table.add_column(name, justify="right")
    table.add_row("page", *(node.url for node in nodes.values()))
    for label, cell in ROWS:
        table.add_row(label, *(cell(node, statuses.get(name, {})) for name, node in nodes.items()))
    return table


def value(said: Said, *path: str) -> Any:
    """What stands at the end of a path of keys; None where it breaks off."""
    found: Any = said
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def link(said: Said) -> Said:
    """What a node says of its link to its partner; there is one in the demo."""
    rows: list[Said] = said.get("partners") or [{}]
    return rows[0]


def agreement(said: Said, way: str) -> Said:
    """What a node says of what it gives (``out``) or takes (``in``); there is one of each."""
    rows: list[Said] = link(said).get(way) or [{}]
    return rows[0]


def number(found: Any, unit: str = "", digits: int = 0) -> str:
    """A number with its unit, or words where there is none."""
    return UNKNOWN if found is None else f"{found:,.{digits}f} {unit}".strip()


Cell = Callable[[DemoNode, Said], str]


def _plain(*path: str, unit: str = "", digits: int = 0) -> Cell:
    return lambda _node, said: number(value(said, *path), unit, digits)


def _partner(node: DemoNode, said: Said) -> str:
    row = link(said)
    stands = row.get("connected")
    told = "connected" if stands else row.get("reason") or "away"
    return f"{node.users.partner}: {UNKNOWN if stands is None else told}"


def _given(_node: DemoNode, said: Said) -> str:
    row = agreement(said, "out")
    return f"{number(row.get('sent'))} / {number(row.get('acked'))}"


def _taken(key: str) -> Cell:
    return lambda _node, said: number(agreement(said, "in").get(key))


def _quarantine(_node: DemoNode, said: Said) -> str:
    counts = value(said, "core", "quarantine") or {}
    return "\n".join(f"{reason} {count:,}" for reason, count in sorted(counts.items())) or "0"


def _broker(node: DemoNode, _said: Said) -> str:
    return "\n".join([f"{node.broker.name} {node.broker.version}", *node.broker.lacks])


def _database(_node: DemoNode, said: Said) -> str:
    database = value(said, "serve", "database") or {}
    return "\n".join([database.get("name") or UNKNOWN, *(database.get("lacks") or [])])


ROWS: tuple[tuple[str, Cell], ...] = (
    ("reports per second", _plain("core", "reports_per_s", digits=1)),
    ("tracks confirmed", _plain("core", "tracks", "confirmed")),
    ("tracks coasting", _plain("core", "tracks", "coasting")),
    ("tracks of the partner", _taken("held")),
    ("link to partner", _partner),
    ("updates given / acknowledged", _given),
    ("updates taken", _taken("received")),
    ("updates missing", _taken("gaps")),
    ("received to published, p50", _plain("core", "latency_ms", "p50", unit="ms", digits=1)),
    ("received to published, p99", _plain("core", "latency_ms", "p99", unit="ms", digits=1)),
    ("journal lag", _plain("core", "journal_lag_records", unit="records")),
    ("database lag", _plain("serve", "database_lag_s", unit="s", digits=1)),
    ("quarantine", _quarantine),
    ("broker", _broker),
    ("database", _database),
)
