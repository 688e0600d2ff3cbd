"""`Sender`: what a gateway sends when, and what may leave its outbox. No I/O, no clock.

A row is sent when it comes, and again when no receipt has named it in time, or when the connection
on which it was sent ended before the broker took it over. Only a receipt settles it: a PUBACK says
that the broker has it in memory, and reason 16 that nobody has it.

Order and bounds matter to the node, which tells a repetition by (sensor, boot, seq). Rows are
taken up in order, at most `WINDOW` of them and of at most `BOOTS` boots at a time: fewer than the
gaps and boots that the node remembers. So while a row waits for its receipt the node cannot have
forgotten it, and a repetition is absorbed exactly.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ingest.identities import Form
from ingest.outbox import Row
from ingest.receipts import Receipt

WINDOW = 1_000
"""Rows that wait for a receipt at a time at most; 1 s of a lively radar's reports."""

BOOTS = 4
"""Boots among them at most; a node remembers 8 of a sensor (`ingest.limits.Limits.max_boots`)."""

RESEND_S = 5.0
"""Wait for a receipt before a row is sent again, s: ten times what a busy node takes."""

RESEND_MOST_S = 60.0
"""The wait doubles up to this, s: a node that is away for hours finds few copies at its broker."""

REFUSED_S = 1.0
"""Wait before a row is sent again that the broker did not take or had nobody to give to, s."""


@dataclass(slots=True)
class _Waiting:
    row: Row
    due_s: float = 0.0
    tries: int = 0
    on_the_way: bool = False


@dataclass(frozen=True, slots=True)
class Settled:
    """What a receipt has settled.

    Parameters
    ----------
    stored
        In the journal: they leave the outbox.
    cut
        Too long for the node, which has kept their length and digest only.
    """

    stored: Sequence[Row] = ()
    cut: Sequence[Row] = ()


class Sender:
    """Rows under way.

    Parameters
    ----------
    sensor
        Whose receipts count.
    window
        Rows that wait for a receipt at a time at most.
    resend_s
        Wait for a receipt before a row is sent again, s.
    """

    def __init__(self, sensor: str, *, window: int = WINDOW, resend_s: float = RESEND_S) -> None:
        self._sensor = sensor
        self._window = window
        self._resend_s = resend_s
        self._waiting: dict[int, _Waiting] = {}
        """By row id, rising."""
        self._by_name: dict[tuple[str, int], int] = {}
        self._boots: dict[str, int] = {}
        self._due: deque[int] = deque()
        self._next_due_s = float("inf")
        self.last_id = 0
        """Rows up to this have been taken up."""
        self.resent = 0
        self.unmatched = 0
        self.refused = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def room(self) -> int:
        """Rows that may be taken up now."""
        return self._window - len(self._waiting)

    def take_up(self, rows: Iterable[Row]) -> int:
        """Take up rows in the order of the outbox; returns how many found room."""
        taken = 0
        for row in rows:
            if self.room <= 0 or (row.boot not in self._boots and len(self._boots) >= BOOTS):
                break
            self._waiting[row.id] = _Waiting(row)
            self._by_name[row.boot, row.seq] = row.id
            self._boots[row.boot] = self._boots.get(row.boot, 0) + 1
            self._due.append(row.id)
            self.last_id = row.id
            taken += 1
        return taken

    def next(self, now_s: float) -> Row | None:
        """The row to send now, if any; say `sent` when the network has taken it."""
        if now_s >= self._next_due_s:
            self._collect(now_s)
        while self._due:
            found = self._waiting.get(self._due[0])
            if found is not None and not found.on_the_way and found.due_s <= now_s:
                return found.row
            self._due.popleft()
        return None

    def sent(self, row: Row, now_s: float) -> None:
        """The network has taken the row that `next` gave."""
        found = self._waiting[row.id]
        if self._due and self._due[0] == row.id:
            self._due.popleft()
        self.resent += found.tries > 0
        wait = min(RESEND_MOST_S, self._resend_s * 2.0 ** min(found.tries, 16))
        found.tries += 1
        found.on_the_way = True
        self._set_due(found, now_s + max(wait, self._resend_s))

    def answered(self, row: Row, now_s: float, *, taken: bool, matched: bool = True) -> None:
        """The broker has answered.

        Parameters
        ----------
        row
            What was sent.
        now_s
            The clock, s.
        taken
            PUBACK says that the broker took it over; it still may lose it.
        matched
            False: it had nobody to give it to (reason 16), so it is gone.
        """
        found = self._waiting.get(row.id)
        self.unmatched += taken and not matched
        self.refused += not taken
        if found is None:
            return
        found.on_the_way = False
        if taken and matched:
            self._set_due(found, found.due_s)
        else:
            wait = min(RESEND_MOST_S, REFUSED_S * 2.0 ** min(max(found.tries - 1, 0), 16))
            self._set_due(found, now_s + wait)

    def lost(self, rows: Iterable[Row], now_s: float) -> None:
        """The connection ended before the broker answered: send these again on the next one."""
        for row in rows:
            found = self._waiting.get(row.id)
            if found is not None:
                found.on_the_way = False
                self._set_due(found, now_s)

    def receive(self, receipt: Receipt) -> Settled:
        """Take in a receipt; what it settles is forgotten here."""
        stored: list[Row] = []
        cut: list[Row] = []
        for entry in receipt.stored:
            if entry.sensor != self._sensor or entry.form != Form.FRAMED:
                continue
            if entry.boot not in self._boots:
                continue
            for spans, into in ((entry.seqs, stored), (entry.cut, cut)):
                for first, last in spans:
                    into += self._settle(entry.boot, first, last)
        return Settled(stored, cut)

    def _settle(self, boot: str, first: int, last: int) -> list[Row]:
        if last - first < 2 * len(self._waiting):
            ids = [
                self._by_name[boot, seq]
                for seq in range(first, last + 1)
                if (boot, seq) in self._by_name
            ]
        else:
            ids = [
                row_id
                for (its, seq), row_id in self._by_name.items()
                if its == boot and first <= seq <= last
            ]
        rows = []
        for row_id in ids:
            row = self._waiting.pop(row_id).row
            del self._by_name[row.boot, row.seq]
            self._boots[row.boot] -= 1
            if not self._boots[row.boot]:
                del self._boots[row.boot]
            rows.append(row)
        return rows

    def wait_s(self, now_s: float) -> float:
        """How long nothing will be due, s."""
        return 0.0 if self._due else max(0.0, self._next_due_s - now_s)

    def _set_due(self, found: _Waiting, due_s: float) -> None:
        found.due_s = due_s
        self._next_due_s = min(self._next_due_s, due_s)

    def _collect(self, now_s: float) -> None:
        """Put what is due in line, oldest first."""
        queued = set(self._due)
        waiting = [one for one in self._waiting.values() if one.row.id not in queued]
        due = sorted(one.row.id for one in waiting if one.due_s <= now_s and not one.on_the_way)
        # No receipt in time although the broker never answered: the connection will tell.
        self._due.extendleft(reversed(due))
        later = [one.due_s for one in waiting if one.due_s > now_s]
        self._next_due_s = min(later, default=float("inf"))
