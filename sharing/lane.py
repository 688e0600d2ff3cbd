"""`Lane`: one agreement's way out, from updates to batches; knows no broker and reads no clock.

Updates go in, a ledger entry comes out, and of an entry the batches that may be sent at that
moment. What was not delivered is not remembered: the receiver's acks say what it misses, and that
is read from the ledger again. Before anything is sent it is held against the agreement once more:

* the agreement is in force and covers the row: it is sent;
* it is in force and does not cover the row (it was changed): its digest is sent in its place;
* it is not in force: nothing is sent but rows that close tracks.
"""

from collections import deque
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from model.arrays import Array
from model.time import iso_from_ns
from model.tracks import TrackUpdates
from sharing.agreement import Agreement
from sharing.answers import Ack, Range
from sharing.closing import Given, close, decide, is_withdrawal
from sharing.entry import Entry
from sharing.ledger import Ledger
from sharing.release import Parties, Refusal, count, recheck, refusals
from sharing.wire import Batch

BATCH_ROWS = 500
"""Rows in a batch at most: 165 kB, far below any payload limit."""

REFILL_AFTER_S = 2.0
"""A row that the receiver misses is sent again when its ledger entry, or the last refill, is this
old, s: until then it may be on its way."""

REFILL_ROWS = 20_000
"""Rows queued for one refill; further ones wait for the next ack."""

_SEND, _VOID, _HOLD = 0, 1, 2


class Lane:
    """What goes out under one agreement.

    Parameters
    ----------
    ledger
        Opened for writing.
    parties
        Who gives to whom.

    Attributes
    ----------
    agreement
        The one in force as far as files say; None: there is none.
    refused
        Updates refused since the start, by reason.
    released, withdrawn
        Rows written into the ledger since the start.
    missed
        Inputs whose outputs were gone before they were looked at.
    ack
        The receiver's last, or None.
    head_agrees
        Whether the head in it was ours; None: not known.
    """

    def __init__(self, ledger: Ledger, parties: Parties) -> None:
        self.ledger = ledger
        self.parties = parties
        self.agreement: Agreement | None = None
        self.refused: dict[str, int] = {}
        self.released = 0
        self.withdrawn = 0
        self.missed = 0
        self.ack: Ack | None = None
        self.ack_s = 0.0
        self.head_agrees: bool | None = None
        self._in_force = False
        self._due = True
        self._ripe = ledger.last
        self._young: deque[tuple[float, int]] = deque()
        self._queue: deque[Range] = deque()
        self._pass: tuple[Range, ...] = ()
        self._refilled: Range | None = None
        self._refilled_s = -REFILL_AFTER_S
        self._useless: tuple[Range, ...] | None = None

    # -- into the ledger

    def put(self, agreement: Agreement | None) -> None:
        """Put an agreement in force, or none, at once; `review` draws the consequences."""
        self.agreement = agreement
        self._due = True
        self._useless = None

    def review(self, now_ns: int) -> Entry | None:
        """Close tracks that the agreement does not cover now (it ended, or was changed).

        Raises
        ------
        JournalError
            The ledger takes nothing; it may be tried again.
        """
        in_force = self.in_force(now_ns)
        if in_force != self._in_force:
            self._in_force = in_force
            self._due = True
            self._useless = None
        if not self._due:
            return None
        self.ledger.note_terms("" if self.agreement is None else self.agreement.text, now_ns)
        held = self.ledger.held
        codes = recheck(held.rows, self.agreement, now_ns, self.parties)
        entry = None
        if codes.any():
            given = close(held, codes != Refusal.NONE, codes)
            entry = self._write(given, self.ledger.through, now_ns)
        self._due = False
        return entry

    def take(self, updates: TrackUpdates, through: int, now_ns: int) -> Entry | None:
        """Decide about updates and write what is given into the ledger.

        Parameters
        ----------
        updates
            Of inputs behind `ledger.through`, in order.
        through
            Last input that they cover.
        now_ns
            The clock.

        Returns
        -------
        Entry or None
            What is given; None: nothing.

        Raises
        ------
        JournalError
            The ledger takes nothing; the same updates may be given again.
        """
        codes = refusals(updates, self.agreement, now_ns, self.parties)
        given = decide(updates, codes, self.agreement, self.ledger.held)
        entry = self._write(given, through, now_ns, updates)
        for reason, rows in count(codes).items():
            self.refused[reason] = self.refused.get(reason, 0) + rows
        return entry

    def lost(self, first: int, through: int, now_ns: int) -> Entry | None:
        """Outputs of inputs `first` to `through` are gone: the partner's tracks may have ended."""
        self.missed += through - first + 1
        held = self.ledger.held
        codes = np.full(len(held), Refusal.GAP, dtype=np.uint8)
        return self._write(close(held, codes > 0, codes), through, now_ns)

    def _write(
        self, given: Given, through: int, now_ns: int, updates: TrackUpdates | None = None
    ) -> Entry | None:
        known = np.full(len(given.source), -1, dtype=np.int64)
        n = np.full(len(given.source), -1, dtype=np.int32)
        if updates is not None:
            known, n = updates.known_offset[given.source], updates.n[given.source]
        entry = self.ledger.append(given.rows, given.why, known, n, through, now_ns)
        closing = int((given.why != Refusal.NONE).sum())
        self.released += len(entry) - closing
        self.withdrawn += closing
        return entry if len(entry) else None

    # -- out

    def batches(self, entry: Entry, clock: Callable[[], int]) -> Iterator[Batch]:
        """What may be sent of an entry; each batch is decided about when it is asked for.

        Parameters
        ----------
        entry
            Of this ledger.
        clock
            UTC ns; read for each batch, so that nothing waits behind the sending of another.
        """
        for start in range(entry.first, entry.last + 1, BATCH_ROWS):
            chunk = entry.cut(start, start + BATCH_ROWS - 1)
            now_ns = clock()
            verdict = self._verdict(chunk.rows, now_ns)
            edges = np.flatnonzero(np.diff(verdict == _HOLD)) + 1
            for low, high in pairwise([0, *edges.tolist(), len(chunk)]):
                if verdict[low] != _HOLD:
                    part = chunk.cut(chunk.first + low, chunk.first + high - 1)
                    yield self._batch(part, verdict[low:high] == _VOID, now_ns)

    def _batch(self, part: Entry, void: Array, now_ns: int) -> Batch:
        return Batch(
            giver=self.parties.giver,
            receiver=self.parties.receiver,
            agreement=self.ledger.agreement,
            mode=self.parties.mode,
            path=(self.parties.giver,),
            first=part.first,
            rows=part.rows,
            void=void,
            digests=part.digests,
            before=part.before,
            sent_ns=now_ns,
            chain=part.heads,
        )

    def in_force(self, now_ns: int) -> bool:
        """Whether there is an agreement that is valid now."""
        return self.agreement is not None and self.agreement.in_force(now_ns)

    def _verdict(self, rows: TrackUpdates, now_ns: int) -> Array:
        codes = recheck(rows, self.agreement, now_ns, self.parties)
        verdict = np.where(codes == Refusal.NONE, _SEND, _VOID)
        if not self.in_force(now_ns):
            verdict[:] = _HOLD
        verdict[is_withdrawal(rows)] = _SEND
        return verdict

    def sent(self, entry: Entry, now_s: float) -> None:
        """An entry was sent, or could not be: from `REFILL_AFTER_S` on it counts as missing."""
        self._young.append((now_s, entry.last))

    # -- answers

    def hear(self, ack: Ack, now_s: float) -> bool:
        """Take in an ack; returns whether it can be true.

        Parameters
        ----------
        ack
            The receiver's.
        now_s
            A clock that never goes back, s.

        Raises
        ------
        JournalError
            The ledger cannot be read.
        """
        if ack.highest > self.ledger.last:
            return False
        known = self.ack
        self.ack, self.ack_s = ack, now_s
        if known is None or (known.contiguous, known.head) != (ack.contiguous, ack.head):
            self.head_agrees = self.ledger.head_at(ack.contiguous).hex() == ack.head
        while self._young and now_s - self._young[0][0] >= REFILL_AFTER_S:
            self._ripe = self._young.popleft()[1]
        missing = [(low, min(high, self._ripe)) for low, high in ack.gaps if low <= self._ripe]
        if ack.highest < self._ripe:
            missing.append((ack.highest + 1, self._ripe))
        if self._queue or tuple(missing) == self._useless:
            return True
        waiting = self._refilled is not None and any(
            low <= self._refilled[1] and high >= self._refilled[0] for low, high in missing
        )
        if not waiting or now_s - self._refilled_s >= REFILL_AFTER_S:
            self._enqueue(missing)
        return True

    def asked(self, ranges: list[Range], now_s: float) -> bool:
        """The receiver asks for rows once more; returns whether they are queued."""
        if self._queue or now_s - self._refilled_s < REFILL_AFTER_S:
            return False
        self._enqueue([(low, min(high, self.ledger.last)) for low, high in ranges])
        return True

    def _enqueue(self, ranges: list[Range]) -> None:
        # While nothing may be sent but closing rows, all of it is looked through for them.
        room = REFILL_ROWS if self._in_force else self.ledger.last
        for low, high in ranges:
            if low <= high and room > 0:
                self._queue.append((low, min(high, low + room - 1)))
                room -= high - low + 1
        self._pass = tuple(ranges)
        self._refilled = None

    def refill(self, rows: int, clock: Callable[[], int], now_s: float) -> Iterator[Batch]:
        """Next batches of what the receiver misses; to be taken to the end.

        Parameters
        ----------
        rows
            Rows to look at, at most.
        clock
            As of `batches`.
        now_s
            A clock that never goes back, s.

        Raises
        ------
        JournalError
            The ledger cannot be read.
        """
        if not self._queue:
            return
        while self._queue and rows > 0:
            low, high = self._queue.popleft()
            stop = min(high, low + rows - 1)
            rows -= stop - low + 1
            if stop < high:
                self._queue.appendleft((stop + 1, high))
            for entry in self.ledger.read(low, stop):
                for batch in self.batches(entry, clock):
                    first = batch.first if self._refilled is None else self._refilled[0]
                    self._refilled = (first, batch.last)
                    self._refilled_s = now_s
                    yield batch
        if not self._queue and self._refilled is None:
            self._useless = self._pass  # until the agreement or what is missing changes

    def status(self, now_ns: int, now_s: float) -> dict[str, Any]:
        """How it is doing, plain data; sequence numbers count rows from 1."""
        agreement, ack = self.agreement, self.ack
        state = "none"
        if agreement is not None:
            state = "valid"
            if not agreement.in_force(now_ns):
                state = "expired" if now_ns >= agreement.valid_until_ns else "not_yet_valid"
        return {
            "state": state,
            "purpose": None if agreement is None else agreement.purpose,
            "valid_from": None if agreement is None else iso_from_ns(agreement.valid_from_ns),
            "valid_until": None if agreement is None else iso_from_ns(agreement.valid_until_ns),
            "sha256": None if agreement is None else agreement.digest,
            "last_seq": self.ledger.last,
            "acked_seq": None if ack is None else ack.contiguous,
            "gaps": None if ack is None else ack.gaps,
            "last_ack_s": None if ack is None else round(now_s - self.ack_s, 1),
            "head": self.ledger.head.hex(),
            "head_agrees": self.head_agrees,
            "held": len(self.ledger.held),
            "released": self.released,
            "withdrawn": self.withdrawn,
            "refused": dict(self.refused),
            "missed_inputs": self.missed,
            "through": self.ledger.through,
            "ledger_bytes": self.ledger.size_bytes,
        }
