"""A gateway at work: from an input through the outbox to the broker, cleared by receipts.

::

    input's thread ──▶ hopper ──▶ outbox (synced) ──▶ broker ──▶ node ──▶ journal
                                     │    ▲                                  │
                                     ╰────┴──── cleared ◀──── receipt ◀──────╯

The main thread does all but reading and MQTT: what it decides stands in `ingest.gateway`.
"""

import logging
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from ingest.gateway import Sender
from ingest.outbox import Outbox, OutboxFull, Row
from ingest.receipts import decode_receipt
from ingest.routes import wrap
from link.courier import Answer, Came, Courier, Handle, Lost, Up
from link.settings import ClientSettings
from model.errors import VedetteError
from vedette.gateway_inputs import Hopper, Input, Taken

log = logging.getLogger("vedette.gateway")

BATCH = 1_000
"""Messages put into the outbox with one sync at most."""

EVERYTHING = 1 << 30
"""More than a hopper holds."""

IDLE_S = 0.1
"""Longest wait of the main loop, s."""

SHORT_S = 0.01
"""Wait of the main loop while something is due that the link has no room for, s."""

FULL_S = 0.5
"""Pause between two tries while the disk is full, s."""

GRACE_S = 2.0
"""How long a stop waits for receipts that are on their way, s."""


@dataclass(slots=True)
class Counts:
    """Since the start.

    Parameters
    ----------
    taken
        Messages put into the outbox.
    stored
        Rows that a receipt has named.
    cut
        Rows of which the node could keep the length and digest only.
    receipts
        Receipts that came.
    """

    taken: int = 0
    stored: int = 0
    cut: int = 0
    receipts: int = 0


@dataclass(frozen=True, slots=True)
class Where:
    """To whom a gateway speaks.

    Parameters
    ----------
    settings
        The broker.
    root
        First two levels of the node's topics.
    sensor, source
        For whom it speaks, and under which name receipts come.
    """

    settings: ClientSettings
    root: str
    sensor: str
    source: str

    @property
    def topic(self) -> str:
        """Where frames go."""
        return f"{self.root}/sensors/{self.sensor}/framed"

    @property
    def receipts(self) -> str:
        """Where receipts come."""
        return f"{self.root}/receipts/{self.source}"


@dataclass(frozen=True, slots=True)
class Bounds:
    """When a gateway stops reading.

    Parameters
    ----------
    max_bytes
        Of the outbox; it may go over by what was read already (`HOPPER_BYTES` and a chunk).
    max_age_s
        Of its oldest row, s.
    resend_s
        Wait for a receipt before a row is sent again, s.
    """

    max_bytes: int
    max_age_s: float
    resend_s: float


@dataclass(slots=True)
class Gateway:
    """The main thread's part.

    Parameters
    ----------
    where
        To whom.
    outbox
        Opened.
    boot
        Of this start.
    bounds
        When it stops reading.
    """

    where: Where
    outbox: Outbox
    boot: str
    bounds: Bounds
    counts: Counts = field(default_factory=Counts)
    stopped_reading: str = ""
    """Why nothing is read at present; empty: it is."""
    refused: str = ""
    """Why no receipts can come; empty: they can."""
    stopping: threading.Event = field(default_factory=threading.Event)

    _wake: threading.Event = field(default_factory=threading.Event)
    _sent: dict[Handle, Row] = field(default_factory=dict)
    _clear: list[Row] = field(default_factory=list)
    _aside: list[Row] = field(default_factory=list)
    _held: list[Taken] = field(default_factory=list)
    _full_until_s: float = 0.0
    hopper: Hopper = field(init=False)
    courier: Courier = field(init=False)
    sender: Sender = field(init=False)

    def __post_init__(self) -> None:
        self.hopper = Hopper(self._wake.set)
        self.courier = Courier(self.where.settings, self.where.receipts, self._wake.set)
        self.sender = Sender(self.where.sensor, resend_s=self.bounds.resend_s)

    def run(self, source: Input, shown: Any = None, wait_s: float | None = None) -> None:
        """Work until the input has ended and everything is stored, or `stopping` is set.

        Parameters
        ----------
        source
            The input; started and stopped here.
        shown
            Called now and then, to show how it goes.
        wait_s
            How long to wait for receipts once the input has ended, s; None: for ever.

        Raises
        ------
        VedetteError
            The input, the link or the outbox failed.
        """
        source.start()
        self.courier.start()
        ended_s = None
        try:
            while not self.stopping.is_set():
                self.step(source.name)
                if shown is not None:
                    shown(self)
                if self.courier.failed is not None:
                    raise VedetteError(f"the link's thread has ended: {self.courier.failed}")
                if self.hopper.ended and not len(self.hopper) and not self._held:
                    if source.failed is not None:
                        raise VedetteError(f"{source.name}: {source.failed}")
                    ended_s = time.monotonic() if ended_s is None else ended_s
                    waited = time.monotonic() - ended_s
                    if not self.outbox.count or (wait_s is not None and waited >= wait_s):
                        return
        finally:
            self._finish(source, shown)

    def _finish(self, source: Input, shown: Any) -> None:
        """Keep what was read, wait a moment for receipts, end every thread."""
        source.stop(GRACE_S)
        self._keep(self._held + self.hopper.take(EVERYTHING), source.name)
        deadline = time.monotonic() + GRACE_S
        while self.outbox.count and self.courier.ready and time.monotonic() < deadline:
            self.step(source.name)
            if shown is not None:
                shown(self)
        self.courier.stop()
        self.stopped_reading = self._why_not()

    def _keep(self, items: list[Taken], name: str) -> None:
        """Put in what was read, even over the bound: nobody else has it."""
        self._held = []
        try:
            self._put(items, name)
        except OutboxFull as error:
            again = [item for item in items if item.place is None]
            if again:
                raise VedetteError(
                    f"{len(again)} messages that were read are lost: {error}"
                ) from error

    def step(self, name: str) -> None:
        """Everything that can be done now, then wait for more."""
        self._wake.clear()
        now_s = time.monotonic()
        self._take_events(now_s)
        self._take_in(name, now_s)
        self._send(now_s)
        self._settle(now_s)
        if self.stopped_reading or not len(self.hopper):
            self._wake.wait(min(IDLE_S, self.sender.wait_s(now_s)) or SHORT_S)

    def status(self) -> dict[str, Any]:
        """How it goes, plain data."""
        oldest = self.outbox.oldest_ns()
        link = self.courier.status
        return {
            "sensor": self.where.sensor,
            "source": self.where.source,
            "boot": self.boot,
            **asdict(self.counts),
            "waiting": self.outbox.count,
            "waiting_bytes": self.outbox.bytes,
            "oldest_s": 0.0 if oldest is None else round((time.time_ns() - oldest) / 1e9, 1),
            "cut_kept": self.outbox.cut,
            "sent_again": self.sender.resent,
            "no_subscriber": self.sender.unmatched,
            "refused": self.sender.refused,
            "dropped_datagrams": self.hopper.dropped,
            "reading_stopped": self.stopped_reading,
            "input": self.hopper.problem,
            "broker": {
                "name": self.where.settings.name,
                "connected": link.connected,
                "reason": link.reason or self.refused,
            },
        }

    # -- steps

    def _take_events(self, now_s: float) -> None:
        for event in self.courier.events():
            if isinstance(event, Came):
                self._receipt(event.payload)
            elif isinstance(event, Answer):
                row = self._sent.pop(event.handle)
                self.sender.answered(row, now_s, taken=event.taken, matched=event.matched)
                if not event.taken:
                    log.error("broker refuses %s: %s", self.where.topic, event.reason)
            elif isinstance(event, Lost):
                self.sender.lost([self._sent.pop(handle) for handle in event.handles], now_s)
            elif isinstance(event, Up):
                self.refused = event.refused

    def _receipt(self, payload: bytes) -> None:
        receipt = decode_receipt(payload)
        if isinstance(receipt, str):
            log.error("a receipt that cannot be read: %s", receipt)
            return
        self.counts.receipts += 1
        settled = self.sender.receive(receipt)
        self._clear += settled.stored
        self._aside += settled.cut
        if settled.cut:
            log.error(
                "the node has kept only length and digest of %d messages, for they are over its "
                "limits.max_payload_bytes; they stay in %s and are not sent again",
                len(settled.cut),
                self.outbox.path,
            )

    def _take_in(self, name: str, now_s: float) -> None:
        """From the hopper into the outbox, as long as there is room."""
        if now_s < self._full_until_s:
            return
        why = self._why_not()
        if why:
            self._stop_reading(why)
            return
        items = self._held or self.hopper.take(BATCH)
        self._held = []
        if items:
            try:
                self._put(items, name)
            except OutboxFull as error:
                self._held = items
                self._full_until_s = now_s + FULL_S
                self._stop_reading(str(error))
                return
        self._stop_reading("")

    def _put(self, items: list[Taken], name: str) -> None:
        if items:
            place = items[-1].place
            rows = [(item.received_ns, item.payload) for item in items]
            self.outbox.put(rows, None if place is None else (name, place))
            self.counts.taken += len(items)

    def _why_not(self) -> str:
        if self.outbox.bytes >= self.bounds.max_bytes:
            return f"the outbox is full ({self.outbox.bytes} bytes of {self.bounds.max_bytes})"
        oldest = self.outbox.oldest_ns() if self.outbox.count else None
        if oldest is not None:
            age_s = (time.time_ns() - oldest) / 1e9
            if age_s > self.bounds.max_age_s:
                return f"the oldest message waits for its receipt for {age_s / 3600:.1f} h"
        return ""

    def _stop_reading(self, why: str) -> None:
        if bool(why) != bool(self.stopped_reading):
            log.warning("%s", f"reading stopped: {why}" if why else "reading goes on")
        self.stopped_reading = why

    def _send(self, now_s: float) -> None:
        if self.sender.room and self.outbox.count > len(self.sender):
            self.sender.take_up(self.outbox.after(self.sender.last_id, self.sender.room))
        while self.courier.ready and (row := self.sender.next(now_s)) is not None:
            frame = wrap(row.boot, row.seq, row.received_ns, row.payload)
            handle = self.courier.offer(self.where.topic, frame)
            if handle is None:
                break
            self._sent[handle] = row
            self.sender.sent(row, now_s)

    def _settle(self, now_s: float) -> None:
        """Let go what receipts have named; on a full disk it is tried again."""
        if not (self._clear or self._aside) or now_s < self._full_until_s:
            return
        try:
            if self._clear:
                self.outbox.clear(self._clear)
                self.counts.stored += len(self._clear)
                self._clear = []
            if self._aside:
                self.outbox.set_aside(self._aside)
                self.counts.cut += len(self._aside)
                self._aside = []
        except OutboxFull as error:
            self._full_until_s = now_s + FULL_S
            log.error("the outbox cannot be cleared: %s", error)  # noqa: TRY400 - one line
