"""Tells every source what of it is in the journal.

A thread of its own follows what the journal's thread has made durable. Five times a second at most
it writes down what it is about to say (`receipts/`, a small log of the same make as the journal,
synced), and then says it, retained and at QoS 1, on ``<root>/receipts/<source>``.

Nothing is said early: only durable records are looked at, and no receipt leaves before it stands in
the receipt log, so after a crash it is known how much of the journal others rely on. The journal's
thread hands lists over and does nothing else. A list that there is no room for is read from the
journal later; so is everything behind the last record of the receipt log, at a start.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from adapters.registry import load_all
from config import EngineConfig, Site
from ingest.identities import Form, of_cut_frame, of_frame, of_reports
from ingest.receipts import (
    Round,
    Stored,
    encode_receipt,
    fold,
    pack_round,
    source_sensors,
    unpack_round,
)
from ingest.routes import REPORT_ADAPTER, Route, Routes
from journal.log import SegmentedLog
from journal.reader import LogReader, OffsetReleased
from model.errors import JournalCorrupt, JournalError, JournalFull, VedetteError
from model.records import Kind, Record

log = logging.getLogger("vedette.core")

FOLDER = "receipts"
"""The receipt log, in the node's data folder."""

ROUND_S = 0.2
"""Pause between two rounds of receipts, s: a gateway waits so long at most beside the commit."""

REPORTS_S = 1.0
"""Pause between two rounds while no frame has come, s: a report's sender mostly waits for nothing,
and a receipt for each of many sensors costs more than the reports of a fifth of a second."""

BACKLOG = 65_536
"""Records waiting in memory at most; what is over is read from the journal again."""

CATCH_UP = 8_192
"""Records read from the journal in one round at most: a stop is heeded, others get their turn."""

SEGMENT_BYTES = 256 << 10
"""Length of a segment of the receipt log, bytes."""

LOG_BYTES = 1 << 20
"""Length from which on the receipt log is begun anew with all that is known, bytes."""


class Publishes(Protocol):
    """Who publishes: `link.client.Subscriber`."""

    @property
    def status(self) -> Any:
        """Its `epoch` changes with each connection."""

    @property
    def refused_publications(self) -> int:
        """How many the broker said no to."""

    def publish(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False) -> bool:
        """Returns whether a connection took it."""


class Listens:
    """Notes in a `Stored` what journal records hold.

    Parameters
    ----------
    config
        Whose topics.
    stored
        Where to.
    """

    def __init__(self, config: EngineConfig, stored: Stored) -> None:
        self.stored = stored
        self._ids = config.sensors.ids
        self._routes = Routes(config.node, config.mode, config.sensors, load_all())
        self._forms: dict[str, tuple[str, Form] | None] = {}

    def note(self, records: Iterable[Record]) -> None:
        """Take in records in the order of their offsets.

        A sensor that the site does not know is passed over: nothing uses what is stored of it, and
        without a receipt its gateway keeps it until it is known.
        """
        forms, note = self._forms, self.stored.note
        for record in records:
            kind = record.kind
            if kind is not Kind.MESSAGE and kind is not Kind.OVERSIZE:
                continue
            topic = record.topic
            try:
                whose = forms[topic]
            except KeyError:
                whose = self._find(topic)
            if whose is None:
                continue
            sensor, form = whose
            if kind is Kind.OVERSIZE:
                for boot, seq in _cut(record.payload) if form is Form.FRAMED else ():
                    note(sensor, form, boot, seq, cut=True)
            else:
                read = of_frame if form is Form.FRAMED else of_reports
                for boot, seq in read(record.payload):
                    note(sensor, form, boot, seq)

    def _find(self, topic: str) -> tuple[str, Form] | None:
        route = self._routes.find(topic)
        found = None
        if isinstance(route, Route) and (route.framed or route.adapter == REPORT_ADAPTER):
            found = self._ids[route.sensor], Form.FRAMED if route.framed else Form.REPORTS
        if len(self._forms) >= 4096:  # topics are few; a stranger's are not kept for ever
            self._forms.clear()
        self._forms[topic] = found
        return found


def _cut(payload: bytes) -> list[tuple[str, int]]:
    try:
        return of_cut_frame(bytes.fromhex(msgspec.json.decode(payload)["head"]))
    except (msgspec.MsgspecError, ValueError, TypeError, KeyError):
        return []


def rounds(folder: Path) -> Iterable[Round]:
    """Records of a receipt log, oldest first; its writer may be at work."""
    with LogReader(folder) as reader:
        offset = reader.start()
        while records := reader.read(offset):
            for record in records:
                if record.kind == Kind.RECEIPTS:
                    yield unpack_round(record.payload)
            offset = records[-1].offset + 1


class Receipts:
    """The receipts of a core.

    Parameters
    ----------
    site
        Its site file.
    journal
        Opened; everything in it is durable.
    publisher
        The link to the node's own broker.

    Raises
    ------
    VedetteError
        Receipts were given for more than the journal holds.
    """

    def __init__(self, site: Site, journal: SegmentedLog, publisher: Publishes) -> None:
        self._journal = journal
        self._publisher = publisher
        self._root = f"{site.topic_root}/receipts"
        self._sources = source_sensors(site.engine.sensors.ids, site.sources)
        self._reader = LogReader(journal.directory)
        self._log = _open(site.data_dir / FOLDER)
        through, stored = fold(rounds(self._log.directory))
        if through > journal.end:
            self._log.close()
            raise VedetteError(
                f"{journal.directory}: ends at {journal.end}, but receipts were given for "
                f"inputs up to {through}: inputs that senders rely on are gone; "
                f"`vedette doctor journal {site.data_dir}` says which"
            )
        self._listens = Listens(site.engine, stored)
        self._at = through
        self._durable = journal.end
        self._written = through
        self._written_noted = 0
        self._mutex = threading.Lock()
        self._handed: deque[Sequence[Record]] = deque()
        self._handed_records = 0
        self._epoch = 0
        self._told_s = float("-inf")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="receipts", daemon=True)
        self.failed: BaseException | None = None
        self.sent = 0
        self._closed = False

    # -- from other threads

    def start(self) -> None:
        """Begin; everything journaled before is caught up with first."""
        self._thread.start()

    def offer(self, records: Sequence[Record]) -> None:
        """These are durable; on the journal's thread, which this must not hold up."""
        with self._mutex:
            if self._handed_records + len(records) <= BACKLOG:
                self._handed.append(records)
                self._handed_records += len(records)
            self._durable = records[-1].offset + 1

    def stop(self, timeout_s: float) -> None:
        """Tell the rest and end; may be called twice."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        if not self._closed and not self._thread.is_alive():
            self._closed = True
            self._reader.close()
            self._log.close()

    @property
    def status(self) -> dict[str, Any]:
        """Plain data for the core's status."""
        return {
            "through": self._written,
            "lag_records": max(0, self._durable - self._at),
            "sent": self.sent,
            "refused": self._publisher.refused_publications,
            "boots": len(self._listens.stored),
            "sources": len(self._sources),
        }

    # -- the thread

    def _run(self) -> None:
        try:
            while not self._stopping.wait(ROUND_S):
                self.round()
            self.round(last=True)
        except Exception as error:
            self.failed = error
            log.exception("the thread of receipts has ended")

    def round(self, *, last: bool = False) -> None:
        """Look at what is durable by now, write it down, say it; the last one waits for nothing."""
        self._follow()
        stored, through = self._listens.stored, self._at
        now_s = time.monotonic()
        urgent = last or any(key.form == Form.FRAMED for key in stored.changed)
        if not urgent and now_s < self._told_s + REPORTS_S:
            return
        self._told_s = now_s
        news = stored.noted != self._written_noted
        if (news or through >= self._written + BACKLOG) and not self._write(through):
            return
        epoch = self._publisher.status.epoch
        anew = epoch != self._epoch
        if not (stored.changed or anew):
            return
        done = True
        for source, sensors in self._sources.items():
            for receipt in stored.receipts(source, sensors, through, all_of=anew):
                topic = f"{self._root}/{source}"
                payload = encode_receipt(receipt)
                done = done and self._publisher.publish(topic, payload, qos=1, retain=True)
                self.sent += done
        if done:
            # What a connection that ends now takes with it is said again on the next one.
            self._epoch = epoch
            stored.settled()

    def _follow(self) -> None:
        with self._mutex:
            handed, self._handed = self._handed, deque()
            self._handed_records = 0
            durable = self._durable
        for records in handed:
            if not self._read_up_to(records[0].offset):
                # Far behind: all of it is in the journal.
                return
            if records[-1].offset >= self._at:
                self._listens.note(records)
                self._at = records[-1].offset + 1
        self._read_up_to(durable)

    def _read_up_to(self, offset: int) -> bool:
        """Read from the journal what was not handed over; False: there is more of it."""
        self._at = max(self._at, min(self._journal.start, offset))
        left = CATCH_UP
        try:
            while self._at < offset and left > 0:
                records = self._reader.read(
                    self._at, min(left, offset - self._at), committed=offset
                )
                if not records:
                    break
                self._listens.note(records)
                self._at = records[-1].offset + 1
                left -= len(records)
        except OffsetReleased as error:
            self._at = max(self._at, min(error.start, offset))
        except JournalCorrupt as error:
            # What cannot be read is not claimed; `vedette doctor journal` says what it was.
            log.error("receipts pass over what is damaged: %s", error)  # noqa: TRY400 - one line
            self._at = offset
        return self._at >= offset

    def _write(self, through: int) -> bool:
        """Put down, durably, what is about to be said; False: there is no room for it now."""
        stored = self._listens.stored
        whole = self._log.end == 0 or self._log.size_bytes > LOG_BYTES
        entries = stored.entries() if whole else [stored.entry(key) for key in stored.changed]
        payload = pack_round(Round(through, whole, tuple(entries)))
        try:
            at = self._log.append([(Kind.RECEIPTS, time.time_ns(), "", payload, 0)])
        except JournalFull as error:
            log.error("receipts wait: %s", error)  # noqa: TRY400 - one line; it is tried again
            return False
        self._log.sync()
        if whole:
            self._log.release(at)
        self._written, self._written_noted = through, stored.noted
        return True


def _open(folder: Path) -> SegmentedLog:
    """The receipt log; a damaged one is put aside, and all is derived from the journal again."""
    opened = _try_open(folder)
    if opened is not None:
        return opened
    aside = folder.with_name(f"{folder.name}-damaged-{time.time_ns()}")
    folder.rename(aside)
    log.error("receipts: %s is damaged; kept as %s, begun anew from the journal", folder, aside)
    return SegmentedLog(folder, segment_bytes=SEGMENT_BYTES)


def _try_open(folder: Path) -> SegmentedLog | None:
    try:
        opened = SegmentedLog(folder, segment_bytes=SEGMENT_BYTES)
    except JournalCorrupt as error:
        log.error("receipts: %s", error)  # noqa: TRY400 - one line
        return None
    try:
        for _ in rounds(folder):
            pass
    except JournalCorrupt as error:
        log.error("receipts: %s", error)  # noqa: TRY400 - one line
        opened.close()
        return None
    except JournalError:
        opened.close()
        raise
    return opened
