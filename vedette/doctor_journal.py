"""Is everything there that others rely on? A node's data folder, looked at and left as it is.

What was promised is read first (receipts, cursors, snapshots, how far outputs go), the journal
after it: beside a running node the journal can then only be longer than what it is held against.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from config import engine_config
from ingest.identities import SEQ_MAX
from ingest.receipts import Entry, Spans, Stored, fold
from journal.cursor import Cursor
from journal.scan import Flaw, Scan, payload_of, scan
from journal.segment import Frame
from journal.snapshot import list_snapshots, read_snapshot
from model.errors import JournalError, SnapshotError, VedetteError
from model.records import Kind, Record
from model.time import iso_from_ns
from vedette.doctor_findings import BROKEN, LOOK, Finding, Report
from vedette.doctor_verdicts import (
    OutputSpans,
    judge_end,
    judge_journal,
    judge_outputs,
    judge_snapshots,
)
from vedette.lastword import last_word
from vedette.receipting import FOLDER, Listens, rounds

LOCKS = Path("/proc/locks")
"""All file locks of the machine; Linux."""

MANY = 1 << 40
"""Bound of boots and intervals where a whole journal is looked at."""


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
    judge_journal(report, journal, spans)
    promised = {"receipts": through, **cursors}
    if len(spans.through):
        promised["outputs"] = spans.through[-1] + 1
    judge_end(report, journal, promised)
    judge_snapshots(report, journal, spans, snapshots)
    judge_outputs(report, outputs, spans, journal)
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


def _outputs(report: Report, progress: Callable[[int], None] | None) -> tuple[Scan, OutputSpans]:
    spans = OutputSpans()
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
