"""How the links to partners stand: what the core says of them, and each publisher in its file.

A publisher puts ``<data_dir>/partners/<partner>.status.json`` in place about once a second. Nothing
that stands there, or does not, breaks anything here: what makes no sense is *not known*.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Gauge

from model.time import MAX_TIME_NS, NS_PER_S

READ_S = 1.0
"""Pause between two readings of the files, s: they are not written more often."""

SILENT_S = 5.0
"""Age of a file, or of the core's status, from which its writer is called silent, s. So long after
the start nobody is: publishers may start later than we do."""

MOST_BYTES = 1 << 20
"""Longest file that is read: 700 bytes an agreement are usual."""

MOST_LETTERS = 500
"""Longest text that is passed on."""

MOST_COUNT = 2**53
"""Greatest count, and greatest number of seconds, that is passed on: up to here JavaScript counts
exactly."""

STATES = {
    "valid": "active",
    "not_yet_valid": "not valid yet",
    "expired": "expired",
    "none": "ended",
}
"""What `sharing.lane.Lane.status` calls an agreement, and what the page does."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a publisher said last.

    Parameters
    ----------
    written_ns
        When its file was written; 0: there is none.
    document
        What stands in it.
    fault
        Why that cannot be used; empty: it can.
    """

    written_ns: int = 0
    document: Mapping[str, Any] = field(default_factory=dict)
    fault: str = ""


class PartnerStatus:
    """Links to partners; `look` is called by one thread, `rows` by any.

    Parameters
    ----------
    data_dir
        Of the node.
    partners
        Names of the partners, and whether we give to each.
    now_ns
        The clock at the start.
    """

    def __init__(self, data_dir: Path, partners: Mapping[str, bool], now_ns: int) -> None:
        self._folder = data_dir / "partners"
        self._partners = dict(partners)
        self._began_ns = now_ns
        self._looked_ns: int | None = None
        self._said = dict.fromkeys(self._partners, Said())
        self._lives: dict[str, tuple[int | None, int]] = {}

    def look(self, now_ns: int) -> bool:
        """Read the publishers' files, unless that was done within the last second.

        Returns
        -------
        bool
            Whether they were read.
        """
        if self._looked_ns is not None and abs(now_ns - self._looked_ns) < READ_S * NS_PER_S:
            return False
        self._looked_ns = now_ns
        for partner, gives in self._partners.items():
            if not gives:
                continue
            said = _read(self._folder / f"{partner}.status.json")
            pid = _count(said.document.get("pid"))
            if partner not in self._lives or self._lives[partner][0] != pid:
                self._lives[partner] = pid, now_ns
            self._said[partner] = said  # last, for `rows` may be asked at any moment
        return True

    def rows(self, core: Mapping[str, Any], now_ns: int) -> list[dict[str, Any]]:
        """``partners`` of a status, as `console.source` describes it.

        Parameters
        ----------
        core
            The core's status.
        now_ns
            The clock.
        """
        told = {_text(one.get("node")): one for one in _dicts(core.get("partners"))}
        told.pop("", None)
        written_ns = _count(core.get("time_ns"), MAX_TIME_NS) or 0
        current = _age_s(written_ns, now_ns) <= SILENT_S
        return [
            {
                "node": node,
                **_link(told.get(node, {}), current=current),
                "out": self._out(node, now_ns) if self._partners.get(node) else [],
                "in": [_in(row, now_ns) for row in _dicts(told.get(node, {}).get("in"))],
            }
            for node in dict.fromkeys([*self._partners, *told])
        ]

    def _out(self, partner: str, now_ns: int) -> list[dict[str, Any]]:
        """What we give a partner, a row an agreement: the one in force first."""
        said = self._said[partner]
        started = _age_s(self._began_ns, now_ns) > SILENT_S
        if not said.written_ns:
            return [_unknown("its publisher has not said anything yet" if started else "")]
        if said.fault:
            return [_unknown(f"its publisher's status cannot be used: {said.fault}")]
        document = said.document
        age_s = _age_s(said.written_ns, now_ns)
        silent = age_s > SILENT_S
        if silent and not started:
            return [_unknown("")]
        why = f"its publisher has been silent for {age_s:.0f} s" if silent else _halted(document)
        name = _text(document.get("agreement"))
        lanes = document.get("agreements")
        lanes = {_text(key): lane for key, lane in lanes.items()} if isinstance(lanes, dict) else {}
        rows = [
            _lane(key, lane, why, current=key == name, age_s=age_s)
            for key, lane in sorted(lanes.items(), key=lambda item: item[0] != name)
            if isinstance(lane, dict)
        ]
        for row in rows:
            if row["acked"] is None:
                row["no_ack_s"] = _age_s(self._lives[partner][1], now_ns)
        if not name:
            problems = document.get("problems")
            texts = [_text(one) for one in problems] if isinstance(problems, list) else []
            why = why if silent else "; ".join(texts) or "no agreement is known"
            rows.insert(0, _row("", "none", why))
        damaged = document.get("damaged")
        for key, problem in damaged.items() if isinstance(damaged, dict) else ():
            rows.append(_row(_text(key), "damaged", _text(problem)))
        return rows or [_row(name, "not known", why)]


def _read(path: Path) -> Said:
    try:
        with path.open("rb") as file:
            written_ns = os.fstat(file.fileno()).st_mtime_ns
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return Said()
    except OSError as error:
        return Said(1, fault=error.strerror or str(error))
    if len(data) > MOST_BYTES:
        return Said(written_ns, fault="the file is too long")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return Said(written_ns, fault="the file is not JSON")
    if not isinstance(document, dict):
        return Said(written_ns, fault="the file holds no object")
    return Said(written_ns, document)


def _link(told: Mapping[str, Any], *, current: bool) -> dict[str, Any]:
    """Whether we reach the partner's broker; of a core that is silent that is not known."""
    connected = told.get("connected")
    return {
        "connected": connected if current and isinstance(connected, bool) else None,
        "reason": _text(told.get("reason")) if current else "",
    }


def _in(row: Mapping[str, Any], now_ns: int) -> dict[str, Any]:
    last_ns = _count(row.get("last_ns"), MAX_TIME_NS)
    refused = row.get("refused")
    counts = {_text(key): _count(n) for key, n in _items(refused)}
    return {
        "agreement": _text(row.get("agreement")),
        "received": _count(row.get("received")),
        "gaps": _count(row.get("gaps")),
        "last_s": None if last_ns is None else round(max(0, now_ns - last_ns) / NS_PER_S, 1),
        "refused": {reason: n for reason, n in counts.items() if n},
        "held": _count(row.get("held")),
        "why_silent": _text(row.get("why_silent")),
    }


def _lane(
    name: str, lane: Mapping[str, Any], halted: str, *, current: bool, age_s: float
) -> dict[str, Any]:
    told = _text(lane.get("state"))
    state = STATES.get(told, told) if current else "ended"
    why = halted
    if state == "ended":
        why = ""  # nothing is to be given, so nothing is missed
    elif not why and state == "expired":
        why = f"the agreement ended at {_text(lane.get('valid_until'))}"
    elif not why and state == "not valid yet":
        why = f"the agreement begins at {_text(lane.get('valid_from'))}"
    last_ack_s = _seconds(lane.get("last_ack_s"))
    agrees = lane.get("head_agrees")
    return {
        **_row(name, state, why),
        "sent": _count(lane.get("last_seq")),
        "acked": _count(lane.get("acked_seq")),
        "last_ack_s": None if last_ack_s is None else round(last_ack_s + age_s, 1),
        "head_agrees": agrees if isinstance(agrees, bool) else None,
    }


def _row(agreement: str, state: str, why: str) -> dict[str, Any]:
    """One of ``out``, of which nothing more is known."""
    return {
        "agreement": agreement,
        "state": state,
        "sent": None,
        "acked": None,
        "last_ack_s": None,
        "no_ack_s": None,
        "head_agrees": None,
        "why_silent": why,
    }


def _unknown(why: str) -> dict[str, Any]:
    return _row("", "not known", why)


def _halted(document: Mapping[str, Any]) -> str:
    """Why a publisher that is there sends nothing at all; empty: it does."""
    if stalled := _text(document.get("stalled")):
        return f"stalled: {stalled}"
    if document.get("connected") is False:
        reason = _text(document.get("reason")) or "not connected"
        return f"our broker {_text(document.get('broker'))}: {reason}"
    return ""


# -- values as they come, made fit for JSON and for a page


def _age_s(then_ns: int, now_ns: int) -> float:
    """Seconds between two times, either way.

    Who writes every second is never ahead of the clock: what is of the future is old.
    """
    return abs(now_ns - then_ns) / NS_PER_S


def _items(value: Any) -> Sequence[tuple[Any, Any]]:
    return list(value.items()) if isinstance(value, dict) else ()


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    """Text without halves of characters; empty: it is none."""
    if not isinstance(value, str):
        return ""
    return value[:MOST_LETTERS].encode("utf-8", "replace").decode()


def _count(value: Any, most: int = MOST_COUNT) -> int | None:
    """A whole number from 0 on; None: it is none."""
    sane = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most
    return value if sane else None


def _seconds(value: Any) -> float | None:
    """Seconds; None: it is no number, or no finite one."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and 0 <= value <= MOST_COUNT else None


class PartnerGauges:
    """Gauges by partner; what is not known has none.

    Parameters
    ----------
    registry
        Where they stand.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._gauges = {
            name: Gauge(f"vedette_partner_{name}", text, ["partner"], registry=registry)
            for name, text in (
                ("link_up", "Whether the partner's broker is reached"),
                ("updates_sent", "Updates given, highest sequence number, over all agreements"),
                ("updates_acked", "Updates that the partner has without a gap, likewise"),
                ("updates_behind", "Updates given and not acknowledged, of agreements in force"),
                ("updates_received", "Updates taken in since the journal began"),
                ("gaps", "Updates of the partner that are missing now"),
            )
        }

    def put(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Say how links stand.

        Parameters
        ----------
        rows
            As `PartnerStatus.rows` gives them.
        """
        for gauge in self._gauges.values():
            gauge.clear()
        for row in rows:
            given = [one for one in row["out"] if one["sent"] is not None]
            acked = [one["acked"] for one in given]
            behind = [
                one["sent"] - one["acked"]
                for one in given
                if one["state"] == "active" and one["acked"] is not None
            ]
            self._put("link_up", row["node"], [row["connected"]])
            self._put("updates_sent", row["node"], [one["sent"] for one in given])
            self._put("updates_acked", row["node"], acked)
            self._put("updates_behind", row["node"], behind)
            self._put("updates_received", row["node"], [one["received"] for one in row["in"]])
            self._put("gaps", row["node"], [one["gaps"] for one in row["in"]])

    def _put(self, name: str, partner: str, values: Sequence[int | bool | None]) -> None:
        known = [value for value in values if value is not None]
        if known:
            self._gauges[name].labels(partner).set(max(0, sum(known)))
