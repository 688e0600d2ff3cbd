"""The core process: journal, decode, gate, fuse, write outputs. ``python -m vedette.core SITE``.

The main thread runs the engine (a decoder's time limit needs signals, which Python delivers to
the main thread only); link, journal and ticks have threads of their own (`vedette.intake`).
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from adapters.registry import load_all
from config import Site, engine_config, load_site
from fusion.warm import warm_up
from ingest.shedding import decisions
from journal.log import SegmentedLog
from journal.snapshot import SnapshotStore
from model.errors import (
    ConfigError,
    JournalError,
    JournalFull,
    OtherVersion,
    Reason,
    SnapshotError,
)
from model.records import Kind, Record
from vedette.account import Account
from vedette.engine import Engine
from vedette.entry import run_process
from vedette.heap import YOUNG, Heap, settle
from vedette.intake import Intake
from vedette.lastword import LastWord
from vedette.outputs import OutputLog
from vedette.recovery import CHUNK, chunks, recover
from vedette.relief import Relief
from vedette.retention import StoredMarks
from vedette.saving import Saver

log = logging.getLogger("vedette.core")

TAKE_S = 0.05
"""Longest wait for inputs, s: how late a signal or a timer is noticed."""

REST_S = 0.003
"""After work the core rests as long as that took, at most this, s: inputs gather, and one call has
several of them. Most of what a call costs it costs once (a millisecond, and 0.1 a report). A longer
rest gathers little more, as the journal hands over some fifty batches a second, and everything
waits for it: at 2,000 reports/s with one of 20 ms half of them waited 53 ms and not 33, for 3 % of
the machine."""

HURRIED_S = 0.02
"""After a spell of work of this length the core does not rest, s: it has enough to do."""

STATUS_S = 1.0
"""Pause between two STATUS records, s."""

ANSWER_S = 0.5
"""Pause between two answers to partners, and two looks at their agreements, s."""

STOP_S = 4.0
"""Within this a staged stop is over, s."""

FULL_S = 0.5
"""Pause between two tries while the journal is full, s."""


class _Undecided(Exception):  # noqa: N818 - not an error: the stop came first
    """The core was asked to stop before it could journal a decision."""


class Core:
    """One node's core.

    Parameters
    ----------
    site
        Its site file.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        self.stopping = threading.Event()
        budget = site.limits.journal_budget_mb << 20
        self.journal = SegmentedLog(site.data_dir / "journal", budget_bytes=budget)
        try:
            outputs = SegmentedLog(site.data_dir / "outputs", budget_bytes=budget)
        except BaseException:
            self.journal.close()
            raise
        try:
            self.outputs = OutputLog(outputs, self.stopping, self._wait_for_room)
        except BaseException as error:
            outputs.close()
            self.journal.close()
            if isinstance(error, OtherVersion):
                raise self._foreign_folder(outputs.directory, error) from error
            raise
        self._budget_bytes = budget
        self._marks = StoredMarks(site.data_dir)
        self._word = LastWord(site.data_dir)
        self.snapshots = SnapshotStore(site.data_dir / "snapshots")
        self.adapters = load_all()
        self.engine = Engine(engine_config, self.adapters)
        self.relief = Relief(site.limits.shed_after_s)
        self.account = Account(site, self.journal, self.outputs, self.relief)
        self.metrics = self.account.metrics
        self.saver = Saver(self.outputs, self.snapshots, self.metrics.snapshots.inc)
        self.intake: Intake | None = None
        Heap()  # what is freed stays here: each snapshot wants it again
        self._next = 0
        self._snapshot_due = 0.0
        self._status_due = 0.0
        self._partners_due = 0.0
        self._changed = False

    @property
    def processed(self) -> int:
        """Offset of the next input; safe from any thread, as nothing else here is."""
        return self._next

    # -- life

    def run(self) -> None:
        """Recover, then process until `stopping` is set, then stop in stages.

        Raises
        ------
        VedetteError
            Something without which the core cannot work has failed; it may be started again.
        """
        try:
            warm_up()
            try:
                self.engine = recover(
                    self.adapters, self.journal, self.outputs, self.snapshots, self.stopping
                )
            except SnapshotError as error:
                raise self._foreign_folder(self.snapshots.directory, error) from error
            self._next = self.engine.next_offset
            self._catch_up()
            if not self.stopping.is_set():
                self._configure()
            if not self.stopping.is_set():
                self._next = self.journal.end
                self._live()
        except _Undecided:
            # No output was written, and no later state saved: the next start decides anew.
            log.warning("stopped before it could journal that inputs were not decoded")
        finally:
            self._close()

    def _catch_up(self) -> None:
        """Process inputs that were journaled and never processed, held to their time."""
        for records in chunks(self.journal.read(self._next)):
            if self.stopping.is_set():
                return
            self._process(records)
            self._timers()  # killed again meanwhile, the next start goes on from the snapshot

    def _configure(self) -> None:
        """Put the site file in force, if the journal does not say the same already."""
        payload = self.site.engine_payload()
        if self.engine.payload == payload:
            return
        first = self.journal.end
        if not self._append([(Kind.CONFIG, payload)]):
            return
        self._process(list(self.journal.read(first)))
        log.info("configured offset=%d sensors=%d", first, len(self.site.engine.sensors))

    def _live(self) -> None:
        intake = Intake(self.site, self.journal, self.account.stages.journaled)
        self.intake = self.account.intake = intake
        last = list(self.journal.read(max(self.journal.end - 1, self.journal.start)))
        intake.start(last[-1].received_ns if last else 0)
        settle(YOUNG)
        self._snapshot_due = time.monotonic() + self.site.limits.snapshot_every_s
        log.info("started pid=%d offset=%d", os.getpid(), self._next)
        while not self.stopping.is_set():
            spent_s = self._take(intake, TAKE_S)
            self._timers()
            intake.check()
            if 0.0 < spent_s < HURRIED_S:
                self.stopping.wait(min(spent_s, REST_S))
        began = time.monotonic()
        left = intake.stop_taking(STOP_S / 2)
        while time.monotonic() - began < STOP_S / 2 and self._take(intake, 0.0) > 0.0:
            pass
        intake.partners.answer(self.engine.receiver)
        log.info("stopped next=%d end=%d left=%d", self._next, self.journal.end, left)
        self._status()
        intake.close(STOP_S / 4)
        self.saver.finish()
        self._snapshot()
        self.saver.finish()

    def _close(self) -> None:
        for close in (
            self.intake.close if self.intake is not None else lambda _: None,
            lambda _: self.saver.close(),
            lambda _: self.outputs.close(),
            lambda _: self.journal.close(),
            lambda _: self._word.close(),
        ):
            try:
                close(STOP_S / 4)
            except (OSError, JournalError) as error:
                log.error("close: %s", error)  # noqa: TRY400 - one line; the next is to be closed too

    def _foreign_folder(self, folder: Path, error: Exception) -> ConfigError:
        """Trying again does not help here, so it is a mistake of the site file."""
        text = (
            f"{self.site.path}: node.data_dir: {folder} was written by another version of this "
            f"program ({error}); name another folder, or run that version"
        )
        return ConfigError([text])

    # -- processing

    def _take(self, intake: Intake, timeout_s: float) -> float:
        """Process what is there; returns how long that took, s: 0, there was nothing."""
        records = intake.take(timeout_s, CHUNK)
        if records is None:
            return 0.0
        began = time.perf_counter()
        if records[0].offset > self._next:  # memory was full; the journal has them all
            for chunk in chunks(self.journal.read(self._next)):
                self._process([r for r in chunk if r.offset < records[0].offset])
                if self.stopping.is_set() or chunk[-1].offset + 1 >= records[0].offset:
                    break
                self._timers()
        if records[0].offset == self._next:
            # A core that waited for a full disk was not slow, and has time for what gathered.
            if self.relief.behind(records, max(intake.taken_ns, self.outputs.healed_ns)):
                self._relieve(intake, records)
            for start in range(0, len(records), CHUNK):
                self._process(records[start : start + CHUNK])
        return time.perf_counter() - began

    def _relieve(self, intake: Intake, records: Sequence[Record]) -> None:
        """Decide, and journal, what of all that waits is not decoded, as the core is behind."""
        for reason, offsets in self.relief.decide([records, *intake.waiting()], self.engine):
            if not intake.decide(decisions(reason, offsets), self._waits):
                raise _Undecided
            for offset in offsets.tolist():
                self.engine.shed(offset, reason)
            self.relief.shed(reason, len(offsets))
            self.metrics.relieved.labels(reason).inc(len(offsets))
            log.warning("shed inputs=%d reason=%s", len(offsets), reason)

    def _process(self, records: Sequence[Record]) -> None:
        if not records:
            return
        began = time.perf_counter()
        batch = self.engine.process(records)
        fused_ns = time.time_ns()
        if self.engine.timed_out and not self._shed(self.engine.timed_out):
            raise _Undecided
        published_ns = self.outputs.write(batch)
        self._next = records[-1].offset + 1
        self.account.count(records, batch, fused_ns, published_ns or time.time_ns())
        self.relief.processed(len(records), time.perf_counter() - began)

    def _shed(self, offsets: Sequence[int]) -> bool:
        """Journal that inputs were not decoded, before anybody sees outputs made without them.

        Returns
        -------
        bool
            False: the journal is full, and the core was asked to stop.
        """
        reason = Reason.DECODER_TIMEOUT
        payloads = decisions(reason, np.array(offsets, dtype=np.int64))
        if self.intake is None:  # nobody else writes the journal yet
            done = self._append([(Kind.SHED, payload) for payload in payloads])
        else:
            done = self.intake.decide(payloads, self._waits)
        if done:
            self.metrics.shed.inc(len(offsets))
            log.error("shed offsets=%s reason=%s", ",".join(map(str, offsets[:10])), reason)
        return done

    def _append(self, rows: Sequence[tuple[Kind, bytes]]) -> bool:
        """Journal while nobody else does; a full journal is waited for, until the stop."""
        while True:
            now = time.time_ns()
            try:
                self.journal.append([(kind, now, "", payload, 0) for kind, payload in rows])
            except JournalFull as error:
                log.error("journal: %s", error)  # noqa: TRY400 - one line; it is tried again
                if not self._waits():
                    return False
                self.stopping.wait(FULL_S)
            else:
                self.journal.sync()
                return True

    def _waits(self) -> bool:
        """What goes on while the main thread waits for room; whether it is to wait on."""
        self._timers()
        return not self.stopping.is_set()

    # -- timers

    def _timers(self) -> None:
        now = time.monotonic()
        if now >= self._status_due:
            self._status_due = now + STATUS_S
            self._status()
        if self.intake is not None and now >= self._partners_due:
            self._partners_due = now + ANSWER_S
            self._tend(self.intake)
        if now >= self._snapshot_due:
            self._snapshot_due = now + self.site.limits.snapshot_every_s
            self._snapshot()

    def _tend(self, intake: Intake) -> None:
        """Tell partners what has arrived; put changed agreements in force, by the journal."""
        intake.partners.answer(self.engine.receiver)
        self._changed |= intake.partners.agreements.look()
        if self._changed and intake.configure(self.site.engine_payload()):
            self._changed = False
            log.info("agreements of partners have changed, configured anew")

    def _snapshot(self) -> None:
        if self.engine.next_offset:
            self.saver.save(self.engine)
        self._let_go()

    def _let_go(self) -> None:
        """Make room: also while no snapshot can be saved, for storage may have got on."""
        self.outputs.let_go(self.journal, self.snapshots, self._marks, self._budget_bytes)

    def _wait_for_room(self) -> None:
        """Between two tries to write an output: no status can be written either."""
        self._word.say(self.outputs.stalled)
        self._let_go()

    def _status(self) -> None:
        now_ns = time.time_ns()
        self.account.second()
        status = self.account.status(self.engine, self._next, now_ns)
        self.outputs.status(status, now_ns)
        self.saver.sync()
        self._word.say(status.get("journal", {}).get("stalled") or self.outputs.stalled)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the core of a site until SIGTERM or SIGINT; a second signal ends it at once."""
    return run_process("core", lambda site: Core(load_site(site, load_all())), arguments)


if __name__ == "__main__":
    sys.exit(main())
