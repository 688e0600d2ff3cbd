"""One round: a fresh node, its faults in the order of the plan, and the oracle at the end."""

import json
import shutil
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.chaos.book import read_book
from benchmarks.chaos.evidence import Series, recoveries, series
from benchmarks.chaos.oracle import Evidence, Verdict, judge
from benchmarks.chaos.partner import AGREEMENT, PARTIES, PARTNER
from benchmarks.chaos.plan import Fault, Plan
from benchmarks.chaos.stage import Stage
from benchmarks.chaos.traffic import NODE
from benchmarks.equivalence import records
from model.errors import StorageError, VedetteError
from model.records import Kind
from sharing.ledger import verify

LOOK_S = 0.02
"""Pause between two looks at the progress, s."""

PATIENCE_S = 180.0
"""Without any progress for so long a round has failed, s: a busy machine is slow, not wrong."""

Say = Callable[[str, int, int], None]
"""Told what goes on: in words, faults done, reports sent."""


@dataclass(slots=True)
class Done:
    """A fault as it was done.

    Parameters
    ----------
    fault
        The plan's.
    time_ns
        When, UTC ns; 0: never, its target did not run any more.
    reports
        Reports written down by then.
    what
        In words.
    """

    fault: Fault
    time_ns: int = 0
    reports: int = 0
    what: str = ""


@dataclass(slots=True)
class Outcome:
    """What came of a round.

    Parameters
    ----------
    plan
        Its plan.
    done
        Faults as they were done.
    verdict
        The oracle's.
    series
        What happened when; None: the round did not come so far.
    recovery
        As `evidence.recoveries` gives them.
    seconds
        How long it took.
    servers
        Names and versions.
    """

    plan: Plan
    done: list[Done] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)
    series: Series | None = None
    recovery: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    servers: str = ""

    def document(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "seed": self.plan.seed,
            "round": self.plan.number,
            "reports": self.plan.reports,
            "shedding": self.plan.shedding,
            "faults": [
                {
                    **one.fault.document(),
                    "time_ns": one.time_ns,
                    "reports": one.reports,
                    "what": one.what,
                }
                for one in self.done
            ],
            "counts": self.verdict.counts,
            "problems": self.verdict.problems,
            "series": None if self.series is None else self.series.document(),
            "recovery": self.recovery,
            "seconds": round(self.seconds, 1),
            "servers": self.servers,
        }


def run_round(plan: Plan, keep: Path | None = None, say: Say = lambda *_: None) -> Outcome:
    """Run a round.

    Parameters
    ----------
    plan
        Of the round.
    keep
        Where the node's folder, books and logs go if something is wrong; None: nowhere.
    say
        Told how far it is.
    """
    outcome = Outcome(plan, [Done(fault) for fault in plan.faults])
    began = time.monotonic()
    with Stage(plan) as stage:
        outcome.servers = stage.text
        try:
            say("starting", 0, 0)
            _wait(lambda: _connected(stage), stage, "the node did not start")
            stage.start_sources()
            _strike(stage, outcome, say)
            _drain(stage, outcome, say)
            _judge(stage, outcome, say)
        except VedetteError as error:
            outcome.verdict.problems.append(str(error))
        except Exception:  # noqa: BLE001 - evidence that cannot even be read is a finding too
            outcome.verdict.problems.append(traceback.format_exc())
        finally:
            outcome.seconds = time.monotonic() - began
            if keep is not None and not outcome.verdict.sound:
                _keep(stage, keep)
    return outcome


def _wait(condition: Callable[[], Any], stage: Stage, what: str) -> None:
    """Wait until something holds, and tend the stage meanwhile.

    Raises
    ------
    VedetteError
        It does not come about.
    """
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise VedetteError(f"{what} within {PATIENCE_S:.0f} s")
        stage.tend()
        time.sleep(5 * LOOK_S)


def _connected(stage: Stage) -> bool:
    """Whether core and storage have begun."""
    path = stage.folder / "node.log"
    text = path.read_text() if path.exists() else ""
    return " core started pid=" in text and "storing cursor=" in text


def _strike(stage: Stage, outcome: Outcome, say: Say) -> None:
    """Do faults as reports go on, until all are done and all reports are made."""
    waiting = list(outcome.done)
    sent, moved_s = 0, time.monotonic()
    while waiting or sent < outcome.plan.reports:
        now = stage.progress.look()
        if now > sent:
            sent, moved_s = now, time.monotonic()
        if time.monotonic() > moved_s + PATIENCE_S:
            raise VedetteError(f"no report was made for {PATIENCE_S:.0f} s after {sent}")
        if sent >= outcome.plan.reports and stage.settled and time.monotonic() > moved_s + 10.0:
            break  # what is left has a target that does not come back
        for one in waiting:
            if one.fault.at > sent:
                break
            if what := stage.strike(one.fault):
                one.time_ns, one.reports, one.what = time.time_ns(), sent, what
                moved_s = time.monotonic()
        waiting = [one for one in waiting if not one.time_ns]
        stage.tend()
        say("faults", sum(one.time_ns > 0 for one in outcome.done), sent)
        time.sleep(LOOK_S)


def _drain(stage: Stage, outcome: Outcome, say: Say) -> None:
    """Wait until every report is stored everywhere, then end the node in good order."""
    done = sum(one.time_ns > 0 for one in outcome.done)
    sent = stage.progress.look()
    say("draining", done, sent)
    _wait(lambda: stage.settled, stage, "what was frozen or away did not come back")
    _wait(lambda: stage.sources_done, stage, "sources did not learn that all reports are stored")
    last = max(
        (one.offset for one in records(stage.data / "journal") if one.kind == Kind.MESSAGE),
        default=-1,
    )
    _wait(lambda: _stored(stage) >= last, stage, "reports were not stored in the database")
    status = stage.stop_node()
    if status:
        outcome.verdict.problems.append(f"the node ended with status {status}")
    _wait_for_partner(stage, say, done, sent)


def _stored(stage: Stage) -> int:
    """Last input of which everything is in the database."""
    with suppress(psycopg.Error), psycopg.connect(stage.database.dsn) as connection:
        row = connection.execute(
            "SELECT through FROM vedette.writer_cursor WHERE node = %s", (NODE,)
        ).fetchone()
        return -1 if row is None else int(row[0])
    return -1


def _wait_for_partner(stage: Stage, say: Say, done: int, sent: int) -> None:
    """Let a publisher give what the partner has not got yet."""
    folder = stage.data / "partners" / PARTNER / AGREEMENT
    say("the partner", done, sent)
    with stage.publish_rest():
        status = stage.data / "partners" / f"{PARTNER}.status.json"

        def whole() -> bool:
            with suppress(OSError, ValueError, KeyError):
                lane = json.loads(status.read_text())["agreements"][AGREEMENT]
                return bool(lane["last_seq"] == stage.partner.contiguous) and _looked(stage)
            return False

        _wait(whole, stage, "the partner did not get all rows")
    rows = verify(folder, PARTIES, AGREEMENT).rows
    if rows != stage.partner.contiguous:
        raise VedetteError(f"the partner has {stage.partner.contiguous} of {rows} rows")


def _looked(stage: Stage) -> bool:
    """Whether the newest publisher has looked at all outputs."""
    text = (stage.folder / "publisher.log").read_text()
    return "started pid=" in text


def _judge(stage: Stage, outcome: Outcome, say: Say) -> None:
    done = sum(one.time_ns > 0 for one in outcome.done)
    sent = stage.progress.look()
    books = [line for one in stage.source_settings for line in read_book(one.book)]
    evidence = Evidence(
        books, stage.data, stage.database.dsn, stage.partner.agreement, stage.partner.rows
    )
    try:
        verdict = judge(evidence, lambda what: say(f"oracle: {what}", done, sent))
    except StorageError as error:
        raise VedetteError(f"the oracle could not read the database: {error}") from error
    verdict.problems = outcome.verdict.problems + verdict.problems
    verdict.problems += [f"the partner refused: {one}" for one in stage.partner.refused]
    outcome.verdict = verdict
    outcome.series = series(stage.data, stage.database.dsn, books)
    outcome.recovery = recoveries(
        [(one.fault, one.time_ns) for one in outcome.done if one.time_ns], outcome.series
    )


def _keep(stage: Stage, keep: Path) -> None:
    """Copy what is needed to look into what went wrong."""
    shutil.rmtree(keep, ignore_errors=True)
    shutil.copytree(stage.folder, keep, ignore=shutil.ignore_patterns("*.outbox*"))
