"""The publisher of one partner. ``python -m vedette.publishing SITE PARTNER``.

A process of its own, with credentials of its own: it reads the output log, gives what the
partner's agreement releases, writes it into the ledger, and sends it. It holds nobody up: the core
does not know of it, and what the partner's side did not get waits in the ledger.

One thread: look at the agreement's file, read outputs, decide, write the ledger, send, hear the
answers, refill. Whether an agreement is in force is asked again before every sending.
"""

import argparse
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config import Site, load_site
from journal.codec import UpdatesOnly, unpack_updates
from journal.reader import LogReader, OffsetBeyondEnd, OffsetReleased
from link.settings import ClientSettings
from model.detections import Mode
from model.errors import ConfigError, JournalError, JournalFull
from model.records import Kind
from model.tracks import TrackUpdates
from sharing.agreement_file import AgreementFile
from sharing.answers import Control
from sharing.closing import is_withdrawal
from sharing.entry import Entry
from sharing.lane import Lane
from sharing.ledger import Ledger
from sharing.post import Post
from sharing.release import Parties
from vedette.entry import AFTER_STORING, run_process
from vedette.tail import first_after

log = logging.getLogger("vedette.share")

RECORDS = 256
"""Output records taken in one turn at most."""

RUN_ROWS = 2_000
"""Updates from which on a ledger entry is closed, between two outputs."""

POLL_S = 0.05
"""Pause between two turns when nothing is to be done, s."""

REST, LONGEST_REST_S = 25.0, 0.25
"""After a turn that did something the next one waits so many times as long as that took, but no
longer than the second: most of what a turn costs it costs once, so several outputs share it under
load, and the publishers of all partners take little from the core."""

STATUS_S = 1.0
"""Pause between two writings of the status file, s."""

RETRY_S = 0.5
"""Pause after the ledger or the output log could not be used, s."""

GIVE_UP_S = 10.0
"""A fault other than a full disk that lasts so long ends the process: a log whose sync failed is
of no use until it is opened again."""

REFILL_ROWS = 2_000
"""Rows refilled in one turn, so that live rows never wait long behind them."""

DRAIN_S = 1.5
"""Longest that a stop still gives what is in the output log, s."""


@dataclass(frozen=True, slots=True)
class Publication:
    """What the publisher of one partner needs to know.

    Parameters
    ----------
    parties
        Who gives to whom, and the mode of both.
    agreement
        The agreement file; it need not be there.
    data_dir
        Of the node.
    broker
        The node's own broker, with the publisher's own client id and credentials.
    """

    parties: Parties
    agreement: Path
    data_dir: Path
    broker: ClientSettings


def publication_of(site: Site, partner: str) -> Publication:
    """What a site file says about the publisher of one partner.

    Parameters
    ----------
    site
        The site file.
    partner
        Name of the partner's node.

    Raises
    ------
    ConfigError
        The site file does not know the partner, gives it nothing, or names a password that cannot
        be read.
    """
    table = site.partner(partner)
    where = f"partner {partner!r}"
    if table.agreement is None:
        raise ConfigError([f"{site.path}: {where}.agreement: missing, so nothing is given"])
    # Brokers that use the user name as the client id need a user for each publisher.
    own = table.username is not None
    certified = table.tls is not None
    return Publication(
        parties=Parties(site.node, partner, Mode[site.mode.upper()]),
        agreement=site.path.parent / table.agreement,
        data_dir=site.data_dir,
        broker=ClientSettings(
            host=site.broker.host,
            port=site.broker.port,
            client_id=f"{site.topic_root.replace('/', '-')}-to-{partner}",
            username=table.username if own or certified else site.broker.username,
            password=site.secret(table.password_file, f"{where}.password_file")
            if own or certified
            else site.password,
            tls=site.tls(table.tls or site.broker.tls),
            protocol=site.broker.protocol,
        ),
    )


class Publishing:
    """The publisher of one partner.

    Parameters
    ----------
    what
        Between whom, under what, from where and to which broker.
    """

    def __init__(self, what: Publication) -> None:
        self.what = what
        self.stopping = threading.Event()
        self._folder = what.data_dir / "partners" / what.parties.receiver
        self._status_path = self._folder.with_name(f"{what.parties.receiver}.status.json")
        self._file = AgreementFile(what.agreement, what.parties)
        self._reader = LogReader(what.data_dir / "outputs")
        self._position: int | None = None
        self._lanes: dict[str, Lane] = {}
        self._damaged: dict[str, str] = {}
        self._agreed = False
        self._post = Post(what.broker, what.parties)
        self._stalled = ""
        self._stalled_s = 0.0
        self._due = 0.0
        for ledger in sorted(self._folder.glob("*/")):
            try:
                self._lane(ledger.name)
            except JournalError as error:  # it keeps nothing of another agreement back
                log.error("ledger: %s", error)  # noqa: TRY400 - one line says it all
                self._damaged[ledger.name] = str(error)

    # -- life

    def run(self) -> None:
        """Give, until `stopping` is set; then give what is in the output log, and end.

        Raises
        ------
        VedetteError
            A ledger is damaged, or cannot be used.
        """
        log.info(
            "started pid=%d partner=%s agreements=%d", os.getpid(), self.partner, len(self._lanes)
        )
        try:
            while not self.stopping.is_set():
                pause, began = POLL_S, time.perf_counter()
                try:
                    if self.turn():
                        pause = min(LONGEST_REST_S, REST * (time.perf_counter() - began))
                    self._stall(None)
                except JournalError as error:
                    self._stall(error)
                    pause = RETRY_S
                if time.monotonic() >= self._due:
                    self._due = time.monotonic() + STATUS_S
                    self.write_status()
                self.stopping.wait(pause)
            deadline = time.monotonic() + DRAIN_S
            while time.monotonic() < deadline and self.turn():
                pass
        finally:
            self.close()
            log.info("stopped partner=%s", self.partner)

    def close(self) -> None:
        """Disconnect and close the ledgers, each with a checkpoint."""
        self._post.close()
        self.write_status()
        for lane in self._lanes.values():
            try:
                try:
                    lane.ledger.checkpoint(time.time_ns())
                finally:
                    lane.ledger.close()
            except JournalError as error:
                log.error("close: %s", error)  # noqa: TRY400 - one line; the rest is closed too
        self._lanes.clear()
        self._reader.close()

    @property
    def partner(self) -> str:
        """Name of the partner."""
        return self.what.parties.receiver

    def turn(self) -> bool:
        """Do what is to be done; returns whether there was anything.

        Raises
        ------
        JournalError
            A ledger or the output log cannot be used at present.
        """
        self._post.connect()
        self._agree()
        moved = False
        for lane in self._lanes.values():
            moved |= self._give(lane, lane.review(time.time_ns()))
        moved |= self._outputs()
        self._hear()
        return self._refill() or moved

    def _stall(self, error: JournalError | None) -> None:
        """Note why nothing moves; what does not pass by itself ends the process at last."""
        if error is None:
            self._stalled = ""
            return
        if not self._stalled:
            log.error("stalled: %s", error)
            self._stalled_s = time.monotonic()
        self._stalled = str(error)
        waits = isinstance(error, JournalFull)  # room may be made
        if not waits and time.monotonic() - self._stalled_s > GIVE_UP_S:
            raise error

    # -- agreement and lanes

    def _lane(self, agreement: str) -> Lane:
        lane = self._lanes.get(agreement)
        if lane is None:
            ledger = Ledger(self._folder / agreement, self.what.parties, agreement)
            lane = self._lanes[agreement] = Lane(ledger, self.what.parties)
        return lane

    def _agree(self) -> None:
        """Follow the agreement file: what it does not say any more ends now."""
        changed = self._file.look()
        if self._agreed and not changed:
            return
        self._agreed = False  # and tried again until every lane knows
        agreement = self._file.agreement
        for problem in self._file.problems:
            log.error("no agreement: %s", problem)
        for name, lane in self._lanes.items():
            if agreement is None or name != agreement.id:
                lane.put(None)
        if agreement is not None:
            new = agreement.id not in self._lanes
            self._lane(agreement.id).put(agreement)
            log.info("agreement id=%s sha256=%s", agreement.id, agreement.digest)
            if new:
                self._position = None
                self._damaged.pop(agreement.id, None)
        self._agreed = True

    # -- outputs

    def _outputs(self) -> bool:
        """Take in what is new in the output log; returns whether there was anything."""
        if not self._lanes:
            return False
        if self._position is None:
            through = min(lane.ledger.through for lane in self._lanes.values())
            self._position = first_after(self._reader, through)
        try:
            records = self._reader.read(self._position, RECORDS)
        except (OffsetBeyondEnd, OffsetReleased):
            self._position = None  # the log was made anew, or old records were let go
            return False
        batches = [unpack_updates(one.payload) for one in records if one.kind == Kind.OUTPUT]
        if batches:
            for lane in self._lanes.values():
                self._take(lane, batches)
        if records:
            self._position = records[-1].offset + 1
        return bool(batches)

    def _take(self, lane: Lane, batches: Sequence[UpdatesOnly]) -> None:
        """Decide about outputs that a lane has not looked at, and send what it gives."""
        now_ns = time.time_ns()
        run: list[TrackUpdates] = []
        through = lane.ledger.through
        for batch in batches:
            if batch.through <= through:
                continue
            if batch.first > through + 1 and (through >= 0 or len(lane.ledger.held)):
                if run:
                    self._give(lane, lane.take(TrackUpdates.concat(run), through, now_ns))
                    run = []
                log.error("outputs missing inputs=%d..%d", through + 1, batch.first - 1)
                self._give(lane, lane.lost(through + 1, batch.first - 1, now_ns))
            known = batch.first <= through
            updates = batch.updates
            run.append(updates.take(updates.known_offset > through) if known else updates)
            through = batch.through
            if sum(map(len, run)) >= RUN_ROWS:
                self._give(lane, lane.take(TrackUpdates.concat(run), through, now_ns))
                run, now_ns = [], time.time_ns()
        if through > lane.ledger.through:
            self._give(lane, lane.take(TrackUpdates.concat(run), through, now_ns))

    # -- sending

    def _give(self, lane: Lane, entry: Entry | None) -> bool:
        """Send an entry of the ledger, as far as it may be sent; returns whether there was one."""
        if entry is None:
            return False
        for batch in lane.batches(entry, time.time_ns):
            self._post.send(batch, "live")
            if lane.in_force(time.time_ns()) or is_withdrawal(batch.rows).all():
                self._post.tell(batch, time.monotonic())
        lane.sent(entry, time.monotonic())
        return True

    def _hear(self) -> None:
        """Take in what the partner's side says that it has, or asks for."""
        for answer in self._post.answers():
            lane = self._lanes.get(answer.agreement)
            now_s = time.monotonic()
            if lane is not None and isinstance(answer, Control):
                lane.asked(answer.backfill, now_s)
            elif lane is None or isinstance(answer, Control) or not lane.hear(answer, now_s):
                self._post.bad_answers += 1

    def _refill(self) -> bool:
        """Send again what receivers miss; returns whether anything was sent."""
        sent = False
        for lane in self._lanes.values() if self._post.connected else ():
            for batch in lane.refill(REFILL_ROWS, time.time_ns, time.monotonic()):
                sent |= self._post.send(batch, "backfill")
        return sent

    # -- status

    def write_status(self) -> None:
        """Put the status file in place; a full disk costs no more than this."""
        temporary = self._status_path.with_suffix(".tmp")
        try:
            self._status_path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(self.status()))
            temporary.replace(self._status_path)
        except OSError as error:
            log.warning("status: %s", error)

    def status(self) -> dict[str, Any]:
        """How the publisher is doing, plain data."""
        now_ns, now_s = time.time_ns(), time.monotonic()
        current = self._file.agreement
        return {
            "partner": self.partner,
            "node": self.what.parties.giver,
            "time_ns": now_ns,
            "pid": os.getpid(),
            **self._post.status(),
            "stalled": self._stalled,
            "agreement": None if current is None else current.id,
            "problems": self._file.problems,
            "damaged": dict(self._damaged),
            "agreements": {name: lane.status(now_ns, now_s) for name, lane in self._lanes.items()},
        }


def main(arguments: Sequence[str] | None = None) -> int:
    """Publish for one partner until SIGTERM or SIGINT; a second signal ends it at once."""
    parser = argparse.ArgumentParser(prog="python -m vedette.publishing")
    parser.add_argument("site", type=Path)
    parser.add_argument("partner")
    args = parser.parse_args(arguments)

    def build(path: Path) -> Publishing:
        return Publishing(publication_of(load_site(path), args.partner))

    return run_process(f"share-{args.partner}", build, [str(args.site)], nice=AFTER_STORING)


if __name__ == "__main__":
    sys.exit(main())
