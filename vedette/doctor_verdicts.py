"""What is wrong with the logs of a data folder, and what rests on what is wrong."""

from array import array
from dataclasses import dataclass, field

from journal.codec import output_span
from journal.scan import Flaw, Problem, Scan, payload_of
from journal.segment import Frame
from model.errors import JournalError
from model.records import Kind
from model.time import iso_from_ns
from vedette.doctor_findings import BROKEN, LOOK, Finding, Report


@dataclass(slots=True)
class OutputSpans:
    """What each OUTPUT record covers."""

    offset: "array[int]" = field(default_factory=lambda: array("q"))
    first: "array[int]" = field(default_factory=lambda: array("q"))
    through: "array[int]" = field(default_factory=lambda: array("q"))
    unreadable: int = 0

    def visit(self, frame: Frame, data: bytes) -> None:
        """Take in a record of the output log."""
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


def _span_text(one: Problem) -> str:
    before = f"after {iso_from_ns(one.before_ns)}" if one.before_ns else ""
    behind = f"before {iso_from_ns(one.after_ns)}" if one.after_ns else ""
    return " and ".join(part for part in (before, behind) if part)


def judge_journal(report: Report, journal: Scan, spans: OutputSpans) -> None:
    """What of the journal cannot be read, and what rests on it."""
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


def judge_end(report: Report, journal: Scan, promised: dict[str, int]) -> None:
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


def judge_snapshots(
    report: Report, journal: Scan, spans: OutputSpans, snapshots: dict[int, str]
) -> None:
    """Which snapshots a start can use."""
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


def judge_outputs(report: Report, outputs: Scan, spans: OutputSpans, journal: Scan) -> None:
    """What of the output log cannot be read, and where it has gaps."""
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
