"""From the broker to the engine: journal first, acknowledge then, hand over last.

Threads meet here. The links' threads (our broker's, and one for each partner's) submit batches,
the journal's thread makes them durable and sends the acks, the core's main thread takes the records
out with `Intake.take`. One more does nothing but tick.
"""

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from config import Site
from journal.commit import ROW_BYTES, GroupCommitter
from journal.log import SegmentedLog
from link.ackmark import AckMark
from link.acks import Acks
from link.client import Subscriber, SubscriberCounts
from link.connection import LinkStatus
from link.messages import NOTHING, Carried, Incoming, Received, Token
from link.recover import read_back
from link.redelivery import Redelivery
from link.settings import ClientSettings
from model.errors import JournalError, VedetteError
from model.records import Kind, Record
from vedette.partners import PartnerLink, Partners
from vedette.receipting import Receipts

log = logging.getLogger("vedette.core")

TICK_S = 0.2
"""Pause between two ticks, s: how late silence becomes known."""

HEAD_BYTES = 64
"""First bytes of an oversize message that are kept."""

CUT_FROM = 512
"""A partner's message from which on cutting makes it shorter, bytes; a cut one takes about 250."""

BACKLOG = 65_536
"""Records waiting in memory at most; what is over is read from the journal again."""

PARTNER_BYTES = 1 << 20
"""A partner's message may be so long, bytes, whatever sensors may send: the 500 rows of a batch
take 0.17 MB, and no batch may have more than `sharing.wire.MAX_ROWS`."""

PARTNER_SPARE_BYTES = 32 << 20
"""Room in the journal's queue that partners leave to our own broker, bytes: half of it."""

OVER_LIMIT = "over the size limit"
OVER_BUDGET = "over what a partner may send in a time; it comes again"
"""Why only the length and the digest of a message are journaled."""

WAIT_S = 0.5
"""How long one try to submit waits for room in the journal's queue, s."""


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be done once a record is durable.

    Parameters
    ----------
    carried
        Acks at our own broker.
    partners
        Acks at partners' brokers.
    durable
        Set then; None: nobody waits.
    """

    carried: Carried = NOTHING
    partners: tuple[tuple[PartnerLink, tuple[Token, ...]], ...] = ()
    durable: threading.Event | None = None


def filters_of(site: Site) -> list[str]:
    """Topic filters of a node: its sensors' own topics, and those of existing hardware."""
    root = f"{site.topic_root}/sensors/+"
    bound = [topic for sensor in site.engine.sensors for topic in sensor.topics]
    return [f"{root}/reports", f"{root}/raw", f"{root}/framed", *dict.fromkeys(bound)]


def settings_of(site: Site) -> ClientSettings:
    """How the core of a node speaks to its broker; the client id names its session."""
    return ClientSettings(
        host=site.broker.host,
        port=site.broker.port,
        client_id=site.topic_root.replace("/", "-"),
        username=site.broker.username,
        password=site.password,
        tls=site.tls(site.broker.tls),
        protocol=site.broker.protocol,
    )


def row_of(
    message: Incoming, limit: int, kind: Kind = Kind.MESSAGE, why: str = OVER_LIMIT
) -> tuple[Kind, bytes]:
    """Kind and payload under which a message is journaled.

    Parameters
    ----------
    message
        As it came.
    limit
        Longest payload that is kept, bytes. Of a longer one only length, SHA-256 and first bytes
        are, so that nobody can fill the disk with a few messages.
    kind
        Of what is kept whole.
    why
        Said of what is not.
    """
    if len(message.payload) <= limit:
        return kind, message.payload
    text = {
        "why": why,
        "length": len(message.payload),
        "sha256": sha256(message.payload).hexdigest(),
        "head": message.payload[:HEAD_BYTES].hex(),
    }
    return Kind.OVERSIZE, json.dumps(text).encode()


class Intake:
    """Link, journal and ticks of a core.

    Parameters
    ----------
    site
        The node's site file.
    journal
        Opened for writing; from `start` to `stop` nobody else may append to it.
    journaled
        Called on the journal's thread with records that have become durable, and when, UTC ns.

    Attributes
    ----------
    taken_ns : int
        When the first of the records taken last had become durable, UTC ns.
    """

    def __init__(
        self,
        site: Site,
        journal: SegmentedLog,
        journaled: Callable[[Sequence[Record], int], None] = lambda *_: None,
    ) -> None:
        self._site = site
        self._journaled = journaled
        self._journal = journal
        settings = settings_of(site)
        self._mark = AckMark(site.data_dir / "acked", settings)
        redelivery = Redelivery()
        redelivery.recover(*read_back(self._mark.now, journal.end, journal.read, journal.start))
        self.subscriber = Subscriber(
            settings,
            filters_of(site),
            self._on_batch,
            on_session=self._on_session,
            redelivery=redelivery,
        )
        self._acks = Acks(self.subscriber, self._mark)
        self.receipts = Receipts(site, journal, self.subscriber)
        self.partners = Partners(site, self._on_partner)
        self._order = threading.Lock()
        self._loose: list[Token] = []
        self._stopping = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="ticks", daemon=True)
        self._waiting: deque[tuple[list[Record], int]] = deque()
        self.taken_ns = 0
        self._waiting_records = 0
        self._ready = threading.Condition()
        self._committer: GroupCommitter | None = None
        self.oversize = 0

    # -- life

    def start(self, not_before_ns: int) -> None:
        """Begin to take messages; `not_before_ns` is the stamp of the journal's last record."""
        self._committer = GroupCommitter(
            self._journal,
            self._on_durable,
            linger_s=self._site.limits.linger_ms / 1000.0,
            not_before_ns=not_before_ns,
        )
        self.receipts.start()
        self.subscriber.start()
        for link in self.partners.links:
            link.subscriber.start()
        self._ticker.start()

    def stop_taking(self, timeout_s: float) -> int:
        """Take nothing more, journal what is on its way and acknowledge it.

        Returns
        -------
        int
            Messages that could not be journaled; the broker keeps them.

        Raises
        ------
        JournalError
            The journal's thread had failed.
        """
        for link in self.partners.links:
            link.subscriber.pause(0.0)
        self.subscriber.pause(timeout_s / 3)
        self._stopping.set()
        if self._ticker.ident is not None:
            self._ticker.join()
        left = 0 if self._committer is None else self._committer.stop(timeout=timeout_s / 3)
        # Everything is durable: tokens that wait for a further record need not.
        last = max(self._journal.end - 1, 0)
        self._acks.durable(last, [Carried(tuple(self._loose))], time.time_ns())
        self._acks.release()
        self.receipts.stop(timeout_s / 3)
        return left

    def close(self, timeout_s: float) -> None:
        """Disconnect, after the last acks, and end every thread; may be called twice."""
        self._stopping.set()
        for link in self.partners.links:
            link.subscriber.stop(timeout_s / (1 + len(self.partners.links)))
        self.subscriber.stop(timeout_s)
        if self._committer is not None:
            try:
                self._committer.stop(drain=False, timeout=timeout_s)
            except JournalError as error:
                log.error("journal: %s", error)  # noqa: TRY400 - one line, at the end
        self.receipts.stop(timeout_s)
        self._mark.close()

    # -- what the main thread uses

    def take(self, timeout_s: float, most: int) -> list[Record] | None:
        """Next durable records in order; None: nothing came in time.

        All that wait come at once, at least one batch and then `most` records: a core that is
        behind spends its time on records and not on calls. Batches that did not fit into memory
        are left out: the caller sees the gap in the offsets and reads the journal.
        """
        with self._ready:
            if not self._waiting:
                self._ready.wait(timeout_s)
            if not self._waiting:
                return None
            batch, self.taken_ns = self._waiting.popleft()
            records = list(batch)
            while (
                self._waiting
                and len(records) + len(self._waiting[0][0]) <= most
                and self._waiting[0][0][0].offset == records[-1].offset + 1
            ):
                records += self._waiting.popleft()[0]
            self._waiting_records -= len(records)
            return records

    def oldest(self) -> Record | None:
        """The first record that `take` will give; None: none waits."""
        with self._ready:
            return self._waiting[0][0][0] if self._waiting else None

    def waiting(self) -> list[list[Record]]:
        """Batches that `take` will give, oldest first; they stay."""
        with self._ready:
            return [records for records, _ in self._waiting]

    def configure(self, payload: bytes) -> bool:
        """Journal a configuration, which comes back by `take`; False: not now, ask again.

        It does not wait: as long as the journal is full the main thread alone can make room.
        """
        committer = self._running()
        return not committer.stalled and committer.submit(Kind.CONFIG, "", payload)

    def decide(self, payloads: Sequence[bytes], meanwhile: Callable[[], bool]) -> bool:
        """Journal SHED records and wait until they are durable.

        Parameters
        ----------
        payloads
            At least one.
        meanwhile
            Called now and then while there is no room: as long as the journal is full its caller
            alone can make some. False: do not wait any longer.

        Returns
        -------
        bool
            False: not waited for; the records may be durable or not.

        Raises
        ------
        VedetteError
            If the journal's thread has ended meanwhile.
        """
        committer = self._running()
        durable = threading.Event()
        for left, payload in zip(range(len(payloads) - 1, -1, -1), payloads, strict=True):
            due = Due(durable=None if left else durable)  # the last tells for all before it
            while not committer.submit(Kind.SHED, "", payload, token=due, wait_s=WAIT_S):
                self.check()
                if not meanwhile():
                    return False
        while not durable.wait(WAIT_S):
            self.check()
            if not meanwhile():
                return False
        return True

    def check(self) -> None:
        """Raise what ended one of the threads.

        Raises
        ------
        VedetteError
            A thread has ended that must not.
        """
        committer = self._running()
        if committer.failed is not None:
            raise VedetteError(f"the journal's thread has ended: {committer.failed}")
        if self.receipts.failed is not None:
            raise VedetteError(f"the thread of receipts has ended: {self.receipts.failed}")
        for link in (self.subscriber, *(one.subscriber for one in self.partners.links)):
            if link.failed is not None:
                name = link.settings.name
                raise VedetteError(f"the thread of the link to {name} has ended: {link.failed}")

    def _running(self) -> GroupCommitter:
        if self._committer is None:
            raise VedetteError("the intake has not been started")
        return self._committer

    @property
    def link(self) -> LinkStatus:
        """State of the connection."""
        return self.subscriber.status

    @property
    def counts(self) -> SubscriberCounts:
        """Counters of the connection."""
        return self.subscriber.counts

    def journal_status(self) -> dict[str, Any]:
        """State of the journal, plain data."""
        stats = self._running().stats
        return {
            "end": self._journal.end,
            "start": self._journal.start,
            "bytes": self._journal.size_bytes,
            "stalled": self._running().stalled,
            "batches": stats.batches,
            "records": stats.records,
            "sync_s": stats.sync_s,
            "pending": stats.pending,
            "clock_back_ns": stats.clock_back_ns,
        }

    # -- the link's thread

    def _on_session(self, epoch: int, session_present: bool) -> None:
        self._mark.connected(epoch, self._journal.end, session_present=session_present)

    def _on_batch(self, received: Received) -> None:
        with self._order:
            for message, carried in received.carry(self._loose):
                kind, payload = row_of(message, self._site.limits.max_payload_bytes)
                self.oversize += kind == Kind.OVERSIZE
                self._submit(kind, message, payload, Due(carried), message.token.mid)

    def _on_partner(self, link: PartnerLink, received: Received) -> None:
        """On the thread of a partner's link; nobody else waits for what it waits for.

        What is over the partner's budget is acknowledged all the same: the receiver sees that its
        rows are missing, and the giver sends them again.
        """
        with link.order:
            for came, carried in received.carry(link.loose):
                message = came._replace(topic=link.topic_of(came.topic))
                size = len(message.payload)
                limit, why = PARTNER_BYTES, OVER_LIMIT
                if size <= limit and not link.bucket.take(size + ROW_BYTES, message.received_ns):
                    limit, why = CUT_FROM, OVER_BUDGET
                kind, payload = row_of(message, limit, Kind.PARTNER, why)
                if why == OVER_BUDGET or kind == Kind.OVERSIZE:
                    link.bucket.owe(len(payload) + ROW_BYTES)
                    link.cut += kind == Kind.OVERSIZE
                    self.oversize += kind == Kind.OVERSIZE
                due = Due(partners=((link, carried.tokens),))
                self._submit(kind, message, payload, due, spare_bytes=PARTNER_SPARE_BYTES)
        # Many small ones cannot be cut to anything smaller: then less is read.
        self._stopping.wait(min(link.bucket.debt_s, WAIT_S))

    def _submit(
        self,
        kind: Kind,
        message: Incoming,
        payload: bytes,
        due: Due,
        mid: int = 0,
        spare_bytes: int = 0,
    ) -> None:
        """Hand over to the journal; `mid` is told of messages of our own broker alone."""
        committer = self._running()
        # As long as there is no room nothing more is read: the broker keeps the rest.
        while not committer.submit(
            kind,
            message.topic,
            payload,
            mid,
            due,
            message.received_ns,
            wait_s=WAIT_S,
            spare_bytes=spare_bytes,
        ):
            if self._stopping.is_set() or committer.failed is not None:
                return

    # -- the ticker's thread

    def _tick(self) -> None:
        committer = self._running()
        next_s = time.monotonic()
        while not self._stopping.is_set():
            next_s = max(next_s + TICK_S, time.monotonic())
            if committer.stalled:
                pass  # ticks of a time in which nothing could be journaled tell nothing
            elif self._order.acquire(timeout=TICK_S):
                try:
                    self._submit_tick(committer)
                finally:
                    self._order.release()
            self._stopping.wait(max(0.0, next_s - time.monotonic()))

    def _submit_tick(self, committer: GroupCommitter) -> None:
        """Journal a tick, with all acks that no message carries; a link that is busy waits."""
        # A partner's thread may stand there until there is room: nobody stands behind it.
        links = [link for link in self.partners.links if link.order.acquire(blocking=False)]
        try:
            loose = tuple((link, tuple(link.loose)) for link in links)
            due = Due(Carried(tuple(self._loose)), loose)
            if committer.submit(Kind.TICK, "", b"", token=due):
                for tokens in (self._loose, *(link.loose for link in links)):
                    tokens.clear()
        finally:
            for link in links:
                link.order.release()

    # -- the journal's thread

    def _on_durable(self, records: Sequence[Record], tokens: Sequence[Any]) -> None:
        now_ns = time.time_ns()
        dues = [token if isinstance(token, Due) else Due() for token in tokens]
        self._acks.durable(records[0].offset, [due.carried for due in dues], now_ns)
        self._acks.tick(now_ns)
        self._journaled(records, now_ns)
        self.receipts.offer(records)
        with self._ready:
            if self._waiting_records + len(records) <= BACKLOG:
                self._waiting.append((list(records), now_ns))
                self._waiting_records += len(records)
            self._ready.notify()
        waiting: dict[PartnerLink, list[Token]] = {}
        for due in dues:
            for link, acks in due.partners:
                waiting.setdefault(link, []).extend(acks)
            if due.durable is not None:
                due.durable.set()
        for link, tokens_due in waiting.items():
            link.subscriber.ack(tokens_due)
