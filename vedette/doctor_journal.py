"""Is everything there that others rely on? A node's data folder, looked at and left as it is.

What was promised is read first (receipts, cursors, snapshots, how far outputs go), the journal
after it: beside a running node the journal can then only be longer than what it is held against.
"""

import os
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from config import engine_config
from ingest.identities import SEQ_MAX
from ingest.receipts import Entry, Spans, Stored, fold
from journal.codec import output_span
from journal.cursor import Cursor
from journal.scan import Flaw, Problem, Scan, payload_of, scan
from journal.segment import Frame
from journal.snapshot import list_snapshots, read_snapshot
from model.errors import JournalError, SnapshotError, VedetteError
from model.records import Kind, Record
from model.time import iso_from_ns
from vedette.lastword import last_word
from vedette.receipting import FOLDER, Listens, rounds

FINE, LOOK, BROKEN = 0, 1, 2
"""Levels of findings and exit statuses: all is well; worth a look, nothing promised is lost;
something that was stored or promised is not there, or the node cannot start."""

WORDS = {FINE: "fine", LOOK: "look", BROKEN: "broken"}

LOCKS = Path("/proc/locks")
"""All file locks of the machine; Linux."""

MANY = 1 << 40
"""Bound of boots and intervals where a whole journal is looked at."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Parameters
    ----------
    level
        `LOOK` or `BROKEN`.
    file
        Where.
    text
        What is wrong.
    advice
        What to do.
    offset, byte
        In the log and in the file; -1: it has none.
    affected
        What rests on it, plain data.
    """

    level: int
    file: str
    text: str
    advice: str
    offset: int = -1
    byte: int = -1
    affected: dict[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        """One line for a person."""
        where = self.file
        if self.byte >= 0:
            where += f" byte {self.byte}"
        if self.offset >= 0:
            where += f" offset {self.offset}"
        return f"{WORDS[self.level]}: {where}: {self.text}; {self.advice}"


@dataclass(slots=True)
class Report:
    """What there is, and what was found.

    Parameters
    ----------
    folder
        The data folder.
    facts
        Plain data: logs, cursors, snapshots, receipts.
    findings
        In the order in which they matter.
    """

    folder: Path
    facts: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def status(self) -> int:
        """Exit status: the highest level."""
        return max((one.level for one in self.findings), default=FINE)


@dataclass(slots=True)
class _Spans:
    """What each OUTPUT record covers."""

    offset: "array[int]" = field(default_factory=lambda: array("q"))
    first: "array[int]" = field(default_factory=lambda: array("q"))
    through: "array[int]" = field(default_factory=lambda: array("q"))
    unreadable: int = 0

    def visit(self, frame: Frame, data: bytes) -> None:
        if frame.kind != Kind.OUTPUT:
            return
        try:
            first, through = output_span(payload_of(frame, data)[1])
        except JournalError:
            self.unreadable += 1
            return
        self.offset.append(frame.offset)
        self.first.append(first)
        self.through.append(through)

    def resting_on(self, first: int, stop: int) -> dict[str, int]:
        """Outputs made from inputs [first, stop)."""
        rows = [
            at
            for at in range(len(self.offset))
            if self.first[at] < stop and self.through[at] >= first
        ]
        if not rows:
            return {"records": 0}
        return {
            "records": len(rows),
            "first": self.offset[rows[0]],
            "last": self.offset[rows[-1]],
        }


def data_folder(folder: Path) -> Path:
    """The data folder that a person means: itself, or the one around its journal.

    Raises
    ------
    VedetteError
        There is no journal.
    """
    for one in (folder, folder.parent):
        if (one / "journal").is_dir() and folder in {one, one / "journal"}:
            return one
    raise VedetteError(f"{folder}: is no data folder of a node (there is no journal in it)")


def examine(folder: Path, progress: Callable[[int], None] | None = None) -> Report:
    """Look at everything in a data folder.

    Parameters
    ----------
    folder
        The data folder.
    progress
        Called with each piece of a log that is done, bytes.

    Raises
    ------
    VedetteError
        The system refuses to read.
    """
    report = Report(folder)
    report.facts["writer_pid"] = _writer(folder / "journal")
    if word := last_word(folder):
        advice = "make room on the disk, or raise limits.journal_budget_mb; it goes on by itself"
        report.findings.append(Finding(LOOK, str(folder), f"stalled: {word}", advice))
    through, receipted = _receipts(report)
    cursors = _cursors(report)
    snapshots = _snapshots(report)
    outputs, spans = _outputs(report, progress)
    journal = scan(folder / "journal", progress=progress)
    report.facts["journal"] = _plain(journal)
    _journal_problems(report, journal, spans)
    promised = {"receipts": through, **cursors}
    if len(spans.through):
        promised["outputs"] = spans.through[-1] + 1
    _cut(report, journal, promised)
    _judge_snapshots(report, journal, spans, snapshots)
    _judge_outputs(report, outputs, spans, journal)
    broken = [one for one in report.findings if one.level == BROKEN]
    if broken and receipted:
        _name_lost(report, journal, receipted, progress)
    report.findings.sort(key=lambda one: -one.level)
    return report


def _writer(journal: Path) -> int:
    """Process that has the journal open for writing; 0: none, or nobody can tell.

    The system lists who holds a lock (`proc_locks(5)`); asking for it oneself would be taking it.
    Elsewhere than on Linux the process named in the lock file counts, if it lives.
    """
    lock = journal / "lock"
    try:
        inode = lock.stat().st_ino
        pid = int(lock.read_text())
        os.kill(pid, 0)
    except PermissionError:
        pass
    except (OSError, ValueError):
        return 0
    if LOCKS.exists():
        held = any(
            fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == str(inode)
            for fields in map(str.split, LOCKS.read_text().splitlines())
            if len(fields) > 5
        )
        return pid if held else 0
    return pid


# -- what was promised


def _receipts(report: Report) -> tuple[int, list[Entry]]:
    folder = report.folder / FOLDER
    if not folder.is_dir():
        return 0, []
    found = scan(folder)
    report.facts["receipts"] = {"records": found.records}
    advice = (
        "stop the node and move the folder away: receipts are derived from the journal again, "
        "but what was promised before is not known then"
    )
    for one in found.problems:
        if one.flaw == Flaw.TORN:
            continue  # it was never said
        report.findings.append(
            Finding(
                LOOK, str(one.path), f"the receipt log is {one.flaw}", advice, one.first, one.byte
            )
        )
    try:
        through, stored = fold(rounds(folder))
    except VedetteError as error:
        if not found.problems:
            report.findings.append(Finding(LOOK, str(folder), str(error), advice))
        return 0, []
    entries = stored.entries()
    report.facts["receipts"] |= {"through": through, "boots": len(entries)}
    return through, entries


def _cursors(report: Report) -> dict[str, int]:
    found = {}
    for path in sorted((report.folder / "cursors").glob("*")):
        if path.suffix == ".tmp":
            continue
        try:
            offset = Cursor(path).load()
        except JournalError as error:
            advice = "delete it while the node is stopped; what it tells is found out again"
            report.findings.append(Finding(BROKEN, str(path), str(error), advice))
            continue
        if offset is not None:
            found[path.name] = offset
    report.facts["cursors"] = dict(found)
    found.pop("storage-outputs", None)  # of the other log
    return {f"cursor {name}": offset for name, offset in found.items()}


def _snapshots(report: Report) -> dict[int, str]:
    """Problem of each snapshot by its offset; empty: it can be read."""
    found = {}
    for path in list_snapshots(report.folder / "snapshots"):
        try:
            read_snapshot(path)
            found[int(path.stem)] = ""
        except SnapshotError as error:
            found[int(path.stem)] = str(error)
    report.facts["snapshots"] = {
        str(offset): problem or "fine" for offset, problem in found.items()
    }
    return found


def _outputs(report: Report, progress: Callable[[int], None] | None) -> tuple[Scan, _Spans]:
    spans = _Spans()
    found = scan(report.folder / "outputs", spans.visit, progress)
    report.facts["outputs"] = _plain(found)
    if len(spans.through):
        report.facts["outputs"]["through"] = spans.through[-1]
    return found, spans


# -- what is there


def _plain(found: Scan) -> dict[str, Any]:
    return {
        "start": found.start,
        "end": found.end,
        "segments": found.segments,
        "bytes": found.bytes,
        "records": found.records,
        "kinds": {_kind(number): count for number, count in sorted(found.kinds.items())},
        "first": iso_from_ns(found.first_ns) if found.records else "",
        "last": iso_from_ns(found.last_ns) if found.records else "",
    }


def _kind(number: int) -> str:
    try:
        return Kind(number).name.lower()
    except ValueError:
        return str(number)


def _span_text(one: Problem) -> str:
    before = f"after {iso_from_ns(one.before_ns)}" if one.before_ns else ""
    behind = f"before {iso_from_ns(one.after_ns)}" if one.after_ns else ""
    return " and ".join(part for part in (before, behind) if part)


def _journal_problems(report: Report, journal: Scan, spans: _Spans) -> None:
    for one in journal.problems:
        where = str(one.path)
        if one.flaw == Flaw.TORN:
            if report.facts["writer_pid"]:
                continue  # it is just being written
            advice = "nothing was acknowledged of it: the next start cuts it away"
            report.findings.append(
                Finding(LOOK, where, f"torn end: {one.text}", advice, one.first, one.byte)
            )
            continue
        outputs = spans.resting_on(one.first, max(one.stop, one.first + 1))
        text = f"{one.flaw}: inputs {one.first} to {one.stop - 1} cannot be read"
        if one.stop <= one.first:
            text = f"{one.flaw}: inputs from {one.first} on cannot be read"
        if span := _span_text(one):
            text += f", received {span}"
        if one.text:
            text += f" ({one.text})"
        if outputs["records"]:
            text += (
                f"; outputs {outputs['first']} to {outputs['last']} of the output log rest on it "
                "and stand"
            )
        advice = (
            "copy the folder, look after the disk; what outputs and database say of that time "
            "cannot be derived again"
        )
        affected = {
            "first": one.first,
            "stop": one.stop,
            "received_after_ns": one.before_ns,
            "received_before_ns": one.after_ns,
            "outputs": outputs,
        }
        report.findings.append(Finding(BROKEN, where, text, advice, one.first, one.byte, affected))


def _cut(report: Report, journal: Scan, promised: dict[str, int]) -> None:
    """What was promised beyond the journal's end: it was cut, or is another one."""
    end = journal.end
    for name, offset in promised.items():
        if offset <= end:
            continue
        text = (
            f"the journal ends at {end}, but {name} stands at {offset}: inputs {end} to "
            f"{offset - 1} were stored and are gone"
        )
        if journal.last_ns:
            text += f", received after {iso_from_ns(journal.last_ns)}"
        advice = (
            "put the missing end back if there is a copy; otherwise move the data folder away and "
            "start with a new one: what was sent with a receipt is not sent again"
        )
        affected = {"first": end, "stop": offset, "received_after_ns": journal.last_ns}
        folder = str(report.folder / "journal")
        report.findings.append(Finding(BROKEN, folder, text, advice, end, -1, affected))


def _judge_snapshots(
    report: Report, journal: Scan, spans: _Spans, snapshots: dict[int, str]
) -> None:
    folder = report.folder / "snapshots"
    through = spans.through[-1] if len(spans.through) else -1
    usable = [
        offset
        for offset, problem in snapshots.items()
        if not problem and journal.start <= offset <= min(journal.end, through + 1)
    ]
    report.facts["starts_from"] = max(usable, default=0 if journal.start == 0 else -1)
    for offset, problem in snapshots.items():
        if problem:
            before = max((one for one in usable if one < offset), default=None)
            so = "the whole journal is run again" if before is None else f"{before} is used instead"
            path = folder / f"{offset:020d}.snap"
            report.findings.append(Finding(LOOK, str(path), problem, f"delete it; {so}", offset))
        elif offset > through + 1:
            path = folder / f"{offset:020d}.snap"
            text = f"is ahead of the outputs, which go up to input {through}"
            report.findings.append(
                Finding(LOOK, str(path), text, "nothing: an older one is used", offset)
            )
    if not usable and journal.start > 0:
        text = f"no snapshot is usable, and the journal begins at {journal.start} only"
        advice = "put a snapshot back, or move the data folder away and start with a new one"
        report.findings.append(Finding(BROKEN, str(folder), text, advice, journal.start))


def _judge_outputs(report: Report, outputs: Scan, spans: _Spans, journal: Scan) -> None:
    folder = str(report.folder / "outputs")
    advice = (
        "stop the node and move `outputs`, `snapshots` and `cursors` away: all of it is derived "
        "from the journal again"
        if journal.start == 0
        else "copy the folder; the journal's beginning was let go, so what is lost here stands in "
        "the database alone"
    )
    for one in outputs.problems:
        if one.flaw == Flaw.TORN:
            if not report.facts["writer_pid"]:
                text = f"torn end: {one.text}"
                what = "nothing: it is derived from the journal again"
                report.findings.append(
                    Finding(LOOK, str(one.path), text, what, one.first, one.byte)
                )
            continue
        text = f"{one.flaw}: outputs from {one.first} on cannot be read"
        if one.stop > one.first:
            text = f"{one.flaw}: outputs {one.first} to {one.stop - 1} cannot be read"
        report.findings.append(Finding(BROKEN, str(one.path), text, advice, one.first, one.byte))
    for at in range(1, len(spans.offset)):
        if spans.first[at] != spans.through[at - 1] + 1 and not outputs.problems:
            text = (
                f"covers inputs from {spans.first[at]} on, the one before ended at "
                f"{spans.through[at - 1]}"
            )
            report.findings.append(Finding(BROKEN, folder, text, advice, spans.offset[at]))
    if spans.unreadable:
        text = f"{spans.unreadable} outputs are of another version of this program"
        report.findings.append(
            Finding(BROKEN, folder, text, "run that version, or name another folder")
        )
    stored = report.facts["cursors"].get("storage-outputs")
    if stored is not None and stored > outputs.end:
        text = f"ends at {outputs.end}, but cursor storage-outputs stands at {stored}"
        what = (
            "nothing: it lost its end in a power cut, and storing finds its place by what records "
            "cover"
        )
        report.findings.append(Finding(LOOK, folder, text, what, outputs.end))


# -- whose numbers are lost


def _name_lost(
    report: Report,
    journal: Scan,
    receipted: Sequence[Entry],
    progress: Callable[[int], None] | None,
) -> None:
    """Name the sequence numbers that were receipted and are not in the journal any more.

    Of a journal whose beginning was let go, numbers below the lowest one found may have been let
    go too: those are not named.
    """
    present = Stored(MANY, MANY)
    listens: list[Listens] = []

    def visit(frame: Frame, data: bytes) -> None:
        topic, payload = payload_of(frame, data)
        if frame.kind == Kind.CONFIG:
            listens[:] = [Listens(engine_config(payload), present)]
        elif listens and frame.kind in (Kind.MESSAGE, Kind.OVERSIZE):
            record = Record(frame.offset, Kind(frame.kind), frame.received_ns, topic, payload)
            listens[0].note((record,))

    if journal.start > 0:
        config = _config_in_snapshots(report.folder)
        if config:
            listens.append(Listens(engine_config(config), present))
    scan(report.folder / "journal", visit, progress)
    there = {(one.sensor, one.form, one.boot): one for one in present.entries()}
    lost = []
    for entry in receipted:
        found = there.get((entry.sensor, entry.form, entry.boot))
        have = [] if found is None else found.seqs + found.cut
        missing = without(entry.seqs, have)
        if journal.start > 0:
            lowest = min((first for first, _ in have), default=SEQ_MAX + 1)
            missing = [(max(first, lowest), last) for first, last in missing if last >= lowest]
        if missing:
            lost.append(
                {
                    "sensor": entry.sensor,
                    "form": entry.form,
                    "boot": entry.boot,
                    "seqs": [list(span) for span in missing],
                }
            )
    report.facts["receipted_and_lost"] = lost
    for one in lost:
        spans = ", ".join(f"{a}" if a == b else f"{a} to {b}" for a, b in one["seqs"][:5])
        more = len(one["seqs"]) - 5
        spans += f" and {more} more intervals" if more > 0 else ""
        text = (
            f"sensor {one['sensor']}, boot {one['boot']} ({one['form']}): receipted and not there: "
            f"{spans}"
        )
        advice = "ask the source whether it has them still, and send them under another boot"
        report.findings.append(
            Finding(BROKEN, str(report.folder / "journal"), text, advice, affected=one)
        )


def _config_in_snapshots(folder: Path) -> bytes:
    """The configuration in force at the oldest usable snapshot; empty: none."""
    for path in list_snapshots(folder / "snapshots"):
        try:
            payload = read_snapshot(path).get("payload")
        except (SnapshotError, AttributeError):
            continue
        if isinstance(payload, bytes):
            return payload
    return b""


def without(spans: Iterable[tuple[int, int]], others: Iterable[tuple[int, int]]) -> Spans:
    """Numbers of closed intervals that are in none of the others."""
    cuts = sorted(others)
    left: Spans = []
    for first, last in sorted(spans):
        at = first
        for low, high in cuts:
            if high < at:
                continue
            if low > last:
                break
            if low > at:
                left.append((at, low - 1))
            at = max(at, high + 1)
        if at <= last:
            left.append((at, last))
    return left
