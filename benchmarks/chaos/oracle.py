"""The oracle: what was sent against journal and database, outputs against an undisturbed engine.

Four counts, each 0 in a sound node:

========  ==========================================================================
missing   sent, known to be stored, and not in the journal; or in the journal, and in the
          database neither as a report nor as let go (SHED, with the reason)
invented  in the journal or in the database, and never sent
twice     rows of the database beyond the first of a report
changed   payload in the journal, or behind a row of the database, of another SHA-256
========  ==========================================================================

What is let go is counted apart: a core that is behind says so, journals it, and keeps the bytes.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psycopg

from benchmarks.chaos.book import Line
from benchmarks.chaos.partner import AGREEMENT, PARTIES, PARTNER
from benchmarks.chaos.traffic import NODE, Key
from benchmarks.chaos.wire import key_of
from benchmarks.equivalence import (
    columns,
    differences,
    gaps,
    outputs,
    records,
    undisturbed,
    up_to,
)
from model.detections import Detections
from model.errors import VedetteError
from model.foreign import ForeignUpdates
from model.ports import OutputBatch
from model.records import Kind
from model.tracks import TrackUpdates, UpdateReason
from sharing.agreement import Agreement
from sharing.lane import Lane
from sharing.ledger import Ledger, verify
from sharing.rows import WIRE
from storage.history import History

LET_GO = frozenset({"shed_superseded", "shed_stale", "shed_priority", "decoder_timeout"})
"""Reasons in quarantine that say: journaled, and by a journaled decision not decoded. The last is
what a freeze in the middle of a decoder looks like."""

SHOWN = 5
"""Examples told of each kind of fault."""


@dataclass(slots=True)
class Verdict:
    """What the oracle found in a round.

    Parameters
    ----------
    counts
        ``sent, journaled, repeated, stored, let_go, missing, invented, twice, changed, tracks,
        updates, given, taken``.
    problems
        A line each, with offsets; empty: all is well.
    """

    counts: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def fault(self, kind: str, items: Sequence[object]) -> None:
        """Count faults of a kind, and name the first of them."""
        self.counts[kind] = self.counts.get(kind, 0) + len(items)
        if items:
            shown = "; ".join(map(str, items[:SHOWN]))
            self.problems.append(f"{kind} {len(items)}: {shown}")


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where the oracle looks.

    Parameters
    ----------
    books
        What sources wrote down.
    data
        The node's data folder; the node has ended.
    dsn
        The database.
    agreement
        Under which the partner is given tracks.
    taken
        What the partner got.
    """

    books: Iterable[Line]
    data: Path
    dsn: str
    agreement: Agreement
    taken: ForeignUpdates


def judge(evidence: Evidence, say: Callable[[str], None] = lambda _: None) -> Verdict:
    """Judge a round.

    Parameters
    ----------
    evidence
        Where to look.
    say
        Told what is looked at now.
    """
    verdict = Verdict()
    say("books, journal, database")
    offsets = _reports(evidence, verdict)
    say("outputs and an undisturbed engine")
    found = outputs(evidence.data / "outputs")
    expected = undisturbed(evidence.data / "journal")
    verdict.problems += gaps(found)
    through = found[-1].through if found else -1
    verdict.problems += differences(found, up_to(expected, through))
    updates = TrackUpdates.concat([batch.updates for batch in found])
    verdict.counts["updates"] = len(updates)
    verdict.counts["tracks"] = len(np.unique(updates.track_id))
    if offsets and through < max(offsets):
        verdict.problems.append(f"outputs end at {through}, the last report is {max(offsets)}")
    say("history in the database")
    _history(evidence, found, max(offsets, default=-1), verdict)
    say("the partner's books")
    _shared(evidence, expected, verdict)
    return verdict


def _reports(evidence: Evidence, verdict: Verdict) -> dict[int, Key]:
    """Compare what was sent with journal and database; returns the journaled reports by offset."""
    sent: dict[Key, str] = {}
    for line in evidence.books:
        if line.key in sent:
            verdict.problems.append(f"the harness itself sent {line.key} twice")
        sent[line.key] = line.digest
    offsets: dict[int, Key] = {}
    unknown, changed = [], []
    for record in records(evidence.data / "journal"):
        if record.kind == Kind.OVERSIZE:
            unknown.append(f"offset {record.offset}: cut")
        elif record.kind == Kind.MESSAGE:
            try:
                key = key_of(record.topic, record.payload)
            except ValueError as error:
                changed.append(f"offset {record.offset}: {error}")
                continue
            if key not in sent:
                unknown.append(f"offset {record.offset}: {key}")
            elif sha256(record.payload).hexdigest() != sent[key]:
                changed.append(f"offset {record.offset}: {key}")
            else:
                offsets[record.offset] = key
    stored, let_go = _rows(evidence.dsn, offsets, unknown, changed, verdict)
    journaled = set(offsets.values())
    verdict.counts |= {
        "sent": len(sent),
        "journaled": len(journaled),
        "repeated": len(offsets) - len(journaled),
        "stored": len(stored),
        "let_go": len(let_go - stored.keys()),
    }
    missing = [f"{key} not in the journal" for key in sent if key not in journaled]
    missing += [
        f"{key} not in the database"
        for key in sent
        if key in journaled and key not in stored and key not in let_go
    ]
    verdict.fault("missing", missing)
    verdict.fault("invented", unknown)
    verdict.fault("twice", [f"{key} {n} times" for key, n in stored.items() for _ in range(n - 1)])
    verdict.fault("changed", changed)
    return offsets


def _rows(
    dsn: str,
    offsets: dict[int, Key],
    unknown: list[str],
    changed: list[str],
    verdict: Verdict,
) -> tuple[Counter[Key], set[Key]]:
    """Reports in the database, each as often as it stands there, and those that were let go."""
    stored: Counter[Key] = Counter()
    let_go: set[Key] = set()
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT known_offset, sensor, boot, seq FROM vedette.reports WHERE node = %s", (NODE,)
        ).fetchall()
        for offset, sensor, boot, seq in rows:
            key = Key(sensor, (boot or b"").decode(), -1 if seq is None else seq)
            stored[key] += 1
            if offset not in offsets:
                unknown.append(f"row of the database at offset {offset}: {key}")
            elif offsets[offset] != key:
                changed.append(f"row of the database at offset {offset}: {key}")
        refused = connection.execute(
            "SELECT known_offset, reason FROM vedette.quarantine WHERE node = %s"
            " ORDER BY known_offset",
            (NODE,),
        ).fetchall()
    let_go |= {offsets[at] for at, reason in refused if reason in LET_GO and at in offsets}
    others = [f"offset {at}: {reason}" for at, reason in refused if reason not in LET_GO]
    verdict.fault("refused", others)
    return stored, let_go


def _history(evidence: Evidence, found: Sequence[OutputBatch], last: int, verdict: Verdict) -> None:
    """Compare the database with the output log, row for row and bit for bit."""
    with psycopg.connect(evidence.dsn) as connection:
        row = connection.execute(
            "SELECT through FROM vedette.writer_cursor WHERE node = %s", (NODE,)
        ).fetchone()
    through = -1 if row is None else int(row[0])
    if through < last:
        verdict.problems.append(f"the database ends at input {through}, the last report is {last}")
    kept = up_to(found, through)
    names = found[-1].sensor_ids if found else ()
    history = History(evidence.dsn, NODE, names)
    try:
        found_updates, found_detections = history.updates(), history.detections()
    except (VedetteError, LookupError, ValueError) as error:  # rows that do not belong together
        verdict.problems.append(f"the database cannot be read back: {error!r}")
        return
    updates = TrackUpdates.concat([batch.updates for batch in kept])
    verdict.problems += columns(
        "database updates", updates.columns(), found_updates.columns(), updates.known_offset
    )
    detections = Detections.concat([batch.detections for batch in kept])
    verdict.problems += columns(
        "database detections", detections.columns(), found_detections.columns(), detections.offset
    )


def _shared(evidence: Evidence, expected: Sequence[OutputBatch], verdict: Verdict) -> None:
    """Compare the ledger with what the agreement releases, and the partner's rows with it."""
    folder = evidence.data / "partners" / PARTNER / AGREEMENT
    checked = verify(folder, PARTIES, AGREEMENT)
    if checked.broken:
        verdict.problems.append(f"ledger row {checked.broken}: {checked.problem}")
        return
    with Ledger(folder, PARTIES, AGREEMENT) as ledger, TemporaryDirectory() as place:
        given = [entry.rows for entry in ledger.read(1, ledger.last)]
        with Ledger(Path(place) / "again", PARTIES, AGREEMENT) as again:
            lane = Lane(again, PARTIES)
            lane.put(evidence.agreement)
            now_ns = evidence.agreement.valid_from_ns + 1
            updates = TrackUpdates.concat(
                [batch.updates for batch in up_to(expected, ledger.through)]
            )
            if len(updates):
                now_ns = int(updates.known[-1])
                lane.review(now_ns)
                lane.take(updates, ledger.through, now_ns)
            if (again.last, again.head) != (ledger.last, ledger.head):
                verdict.problems.append(
                    f"ledger: {ledger.last} rows, head {ledger.head.hex()[:16]}; the agreement "
                    f"releases {again.last}, head {again.head.hex()[:16]}"
                )
    rows = TrackUpdates.concat(given)
    taken = evidence.taken
    verdict.counts |= {"given": len(rows), "taken": len(taken)}
    order = np.argsort(taken.seq, kind="stable")
    numbers = taken.seq[order]
    if not np.array_equal(numbers, np.arange(1, len(rows) + 1)):
        verdict.problems.append(f"the partner took {len(taken)} rows of {len(rows)} given")
        return
    # The receiver fills the last state known to it into a row that withdraws a track.
    open_rows = np.flatnonzero(rows.reason != UpdateReason.WITHDRAWN)
    one, two = rows.take(open_rows).columns(), taken.updates.take(order[open_rows]).columns()
    leave_out = [name for name in one if name not in WIRE]
    verdict.problems += columns("partner", one, two, (), leave_out)
