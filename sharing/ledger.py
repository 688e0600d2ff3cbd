"""The ledger of an agreement: every row given, written and synced before it is sent.

A folder with a log of `journal`. Every record carries, as its topic, the sequence number that the
next row had when it was written, so that a row is found by bisection. Kinds:

==========  ==========================================================================
``OUTPUT``  rows given for a run of outputs, and how far the journal is covered by that
``CONFIG``  the text of the agreement that is in force from here on (empty: none)
``STATUS``  a checkpoint: the tracks that the partner holds here
==========  ==========================================================================

Rows and the input up to which the node's outputs were looked at (`through`) stand in one record:
after a crash the publisher goes on behind it, so no row is missing and none is given twice. An
OUTPUT record without rows only says that nothing was to be given; it is not synced.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from journal.codec import pack
from journal.log import SEGMENT_BYTES, SegmentedLog
from journal.reader import LogReader
from model.arrays import Array, Int32s, Int64s
from model.errors import JournalCorrupt, JournalError
from model.records import Kind
from model.tracks import TrackUpdates
from sharing.closing import OpenTracks
from sharing.entry import FORMAT, Entry, document_of, entry_of
from sharing.release import Parties
from sharing.rows import WIRE, digests_of, genesis, heads_of, rows_of

CHECKPOINT_RECORDS = 1_000
"""Records after which a checkpoint is written: what an opening reads at most, nearly."""

PROGRESS_NS = 2_000_000_000
"""Pause between two records that only say how far the outputs were looked at, ns."""

RECENT_ROWS = 5_000
"""Rows written last whose heads are kept in memory, some 0.4 MB: receivers acknowledge these."""

STEP = 256
"""Records looked at in one step when the last checkpoint is searched."""


class Ledger:
    """The ledger of one agreement; one writer.

    Parameters
    ----------
    directory
        Made if missing.
    parties, agreement
        Whose it is, and under which agreement: they begin its chain.
    segment_bytes
        As of `journal.log.SegmentedLog`.

    Attributes
    ----------
    last
        Sequence number of the last row; 0: none yet.
    head
        Head of the chain.
    through
        Last input of the node's journal whose outputs were looked at; -1: none.
    held
        Tracks that the partner holds.
    terms
        Text of the agreement written down last; empty: none.

    Raises
    ------
    JournalError
        Another process writes to it, it is damaged, or it belongs to other parties.
    """

    def __init__(
        self,
        directory: Path,
        parties: Parties,
        agreement: str,
        *,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self.directory = directory
        self.parties = parties
        self.agreement = agreement
        self.last = 0
        self.head = self._genesis = genesis(parties.giver, parties.receiver, agreement)
        self.through = -1
        self.held = OpenTracks()
        self.terms = ""
        self._recent: deque[tuple[int, list[bytes]]] = deque()
        self._recent_rows = 0
        self._log = SegmentedLog(directory, segment_bytes=segment_bytes)
        self._reader = LogReader(directory)
        self._marked = 0
        self._noted_ns = 0
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        """Find the last checkpoint and read what follows it."""
        for record in self._log.read(self._last_checkpoint()):
            self._marked += 1
            document = document_of(self.directory, record)
            if record.kind == Kind.STATUS:
                self._marked = 0
                self.last, self.head = document["last"], document["head"]
                self.through, self.terms = document["through"], document["terms"]
                self.held = OpenTracks(rows_of(document["held"], document["tracks"]))
                if document["genesis"] != self._genesis:
                    raise JournalError(f"{self.directory}: is the ledger of other parties")
            elif record.kind == Kind.CONFIG:
                self.terms = document["text"]
            else:
                entry = entry_of(self.directory, record, document)
                if (entry.first, entry.before) != (self.last + 1, self.head):
                    raise JournalCorrupt(
                        f"{self.directory}: the chain is broken at the row {self.last + 1}; "
                        "nothing more is given under this agreement (see `verify`)"
                    )
                self._took(entry)

    def _last_checkpoint(self) -> int:
        stop, start = self._log.end, self._log.start
        while stop > start:
            begin = max(start, stop - STEP)
            offset, found = begin, None
            while offset < stop:
                records = self._reader.read(offset, stop - offset, committed=stop)
                if not records:
                    raise JournalError(f"{self.directory}: the record {offset} cannot be read")
                for record in records:
                    if record.kind == Kind.STATUS:
                        found = record.offset
                offset = records[-1].offset + 1
            if found is not None:
                return found
            stop = begin
        return start

    def _took(self, entry: Entry) -> None:
        if len(entry):
            self.last, self.head = entry.last, entry.heads[-1]
            self.held.take(entry.rows)
            self._recent.append((entry.first, entry.heads))
            self._recent_rows += len(entry)
            while len(self._recent) > 1 and self._recent_rows > RECENT_ROWS:
                self._recent_rows -= len(self._recent.popleft()[1])
        self.through = entry.through

    # -- writing

    def append(
        self,
        rows: TrackUpdates,
        why: Array,
        known_offset: Int64s,
        n: Int32s,
        through: int,
        now_ns: int,
    ) -> Entry:
        """Write rows down, durably; only then may they be sent.

        Parameters
        ----------
        rows, why, known_offset, n
            As in `Entry`; no rows: only `through` is noted, not durably.
        through
            Last input whose outputs were looked at.
        now_ns
            The clock.

        Raises
        ------
        JournalFull
            No room on the disk; nothing was written, it may be tried again.
        JournalError
            The system refuses.
        """
        digests = digests_of(rows)
        first = self.last + 1
        heads = heads_of(self.head, first, digests)
        entry = Entry(first, rows, why, known_offset, n, through, self.head, digests, heads)
        document = {
            "format": FORMAT,
            "first": first,
            "through": through,
            "why": why,
            "known_offset": known_offset,
            "n": n,
            "columns": {name: getattr(rows, name) for name in WIRE},
            "before": self.head,
            "after": heads[-1] if heads else self.head,
        }
        if len(entry) or not self._noted_ns <= now_ns < self._noted_ns + PROGRESS_NS:
            self._write(Kind.OUTPUT, document, now_ns)
            self._noted_ns = now_ns
        if len(entry):
            self._log.sync()
        self._took(entry)
        if self._marked >= CHECKPOINT_RECORDS:
            self.checkpoint(now_ns)
        return entry

    def note_terms(self, text: str, now_ns: int) -> None:
        """Write down, durably, which agreement is in force from here on; empty: none.

        Raises
        ------
        JournalError
            No room on the disk, or the system refuses.
        """
        if text != self.terms:
            self._write(Kind.CONFIG, {"format": FORMAT, "text": text}, now_ns)
            self._log.sync()
            self.terms = text

    def checkpoint(self, now_ns: int) -> None:
        """Write down which tracks the partner holds, so that an opening is quick.

        Raises
        ------
        JournalError
            No room on the disk, or the system refuses.
        """
        held = self.held.rows
        document = {
            "format": FORMAT,
            "last": self.last,
            "head": self.head,
            "through": self.through,
            "terms": self.terms,
            "genesis": self._genesis,
            "tracks": len(held),
            "held": {name: getattr(held, name).tobytes() for name in WIRE},
        }
        self._write(Kind.STATUS, document, now_ns)
        self._marked = 0

    def _write(self, kind: Kind, document: dict[str, Any], now_ns: int) -> None:
        self._log.append([(kind, now_ns, str(self.last + 1), pack(document), 0)])
        self._marked += 1

    # -- reading

    def read(self, first: int, last: int) -> Iterator[Entry]:
        """Rows from one sequence number to another, both included, record by record.

        Raises
        ------
        JournalError
            The ledger is damaged, or the rows are not held any more.
        """
        first, last = max(first, 1), min(last, self.last)
        if first > last:
            return
        offset = self._find(first)
        while first <= last:
            records = self._reader.read(offset, 64, committed=self._log.end)
            if not records:
                raise JournalError(f"{self.directory}: the row {first} cannot be read")
            for record in records:
                offset = record.offset + 1
                if record.kind != Kind.OUTPUT:
                    continue
                entry = entry_of(self.directory, record, document_of(self.directory, record))
                if not len(entry) or entry.last < first:
                    continue
                if entry.first > first:
                    raise JournalError(f"{self.directory}: the row {first} is not there")
                yield entry.cut(first, last)
                first = entry.last + 1
                if first > last:
                    return

    def head_at(self, seq: int) -> bytes:
        """Head of the chain after a row that the ledger holds; 0: before the first.

        Raises
        ------
        JournalError
            The ledger is damaged, or does not hold the row.
        """
        if seq == 0:
            return self._genesis
        if seq == self.last:
            return self.head
        for first, heads in reversed(self._recent):
            if first <= seq < first + len(heads):
                return heads[seq - first]
        for entry in self.read(seq, seq):
            return entry.heads[-1]
        raise JournalError(f"{self.directory}: the row {seq} is not there")

    def _find(self, seq: int) -> int:
        """Offset of the record that holds a row."""
        low, high = self._log.start, self._log.end
        while high - low > 1:
            middle = (low + high) // 2
            records = self._reader.read(middle, 1, committed=self._log.end)
            if not records:
                raise JournalError(f"{self.directory}: the record {middle} cannot be read")
            if int(records[0].topic) <= seq:
                low = middle
            else:
                high = middle
        return low

    def verify(self) -> "Verified":
        """Walk over it from the first row, and name the first that is broken."""
        return verify(self.directory, self.parties, self.agreement)

    @property
    def size_bytes(self) -> int:
        """Bytes on the disk."""
        return self._log.size_bytes

    def close(self) -> None:
        """Close it; another process may write then."""
        self._reader.close()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Verified:
    """What a walk over a ledger found.

    Parameters
    ----------
    rows
        Rows that are sound, counted from the first.
    head
        Head of the chain behind them, hexadecimal.
    broken
        Sequence number of the first row that is not as it was written; 0: all are.
    problem
        What is wrong with it.
    """

    rows: int
    head: str
    broken: int = 0
    problem: str = ""


def verify(directory: Path, parties: Parties, agreement: str) -> Verified:
    """Walk over a ledger from its first row, and name the first that is broken.

    Parameters
    ----------
    directory
        Of the ledger; its writer may be at work.
    parties, agreement
        Whose it is: they begin its chain.
    """
    rows, head = 0, genesis(parties.giver, parties.receiver, agreement)
    with LogReader(directory) as reader:
        try:
            offset = reader.start()
            while records := reader.read(offset):
                for record in records:
                    if record.kind != Kind.OUTPUT:
                        continue
                    document = document_of(directory, record)
                    entry = entry_of(directory, record, document)
                    if entry.first != rows + 1:
                        problem = f"the next row written is {entry.first}"
                        return Verified(rows, head.hex(), rows + 1, problem)
                    if entry.before != head:
                        problem = "it does not follow from the row before"
                        return Verified(rows, head.hex(), rows + 1, problem)
                    if entry.heads and entry.heads[-1] != document["after"]:
                        problem = f"rows {entry.first} to {entry.last} do not lead to their head"
                        return Verified(rows, head.hex(), rows + 1, problem)
                    if entry.heads:
                        rows, head = entry.last, entry.heads[-1]
                offset = records[-1].offset + 1
        except JournalError as error:
            return Verified(rows, head.hex(), rows + 1, str(error))
    return Verified(rows, head.hex())
