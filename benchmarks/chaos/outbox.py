"""`Outbox`: reports that are not known to be stored, on disk; `Receipts`: what is known to be.

This is the sender's half of *no report is lost*: a PUBACK means that the broker took a message
over, not that it is on any disk, so a report stays here until the node has it. What stands here is
the smallest thing that does it. A gateway takes its place by giving `Receipts` of its own.
"""

import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.chaos.traffic import Key, Message
from benchmarks.chaos.wire import key_of
from journal.reader import LogReader, OffsetBeyondEnd
from model.records import Kind

FIRST_AGAIN_S = 4.0
"""Pause before a report that no receipt came for is published again, s; doubled each time."""

LAST_AGAIN_S = 16.0
"""Longest such pause, s."""

BATCH = 200
"""Reports published in one go at most."""


class Receipts(Protocol):
    """Says what is stored."""

    def fetch(self) -> Sequence[Key]:
        """Reports found stored since the last call; never waits."""


class JournalReceipts:
    """Receipts by reading the node's journal: what can be read there is stored.

    Parameters
    ----------
    journal
        Folder of the journal; it need not be there yet.
    sensors
        Whose reports are of interest.
    """

    def __init__(self, journal: Path, sensors: Collection[str]) -> None:
        self._reader = LogReader(journal)
        self._sensors = frozenset(sensors)
        self._next = 0

    def fetch(self) -> Sequence[Key]:
        """Reports found in the journal since the last call."""
        keys = []
        try:
            while records := self._reader.read(self._next):
                keys += [
                    key_of(one.topic, one.payload)
                    for one in records
                    if one.kind == Kind.MESSAGE and one.topic.split("/")[3] in self._sensors
                ]
                self._next = records[-1].offset + 1
        except OffsetBeyondEnd:  # the node has not made its journal yet
            pass
        return keys

    def close(self) -> None:
        """Close the journal's files."""
        self._reader.close()


@dataclass(slots=True)
class _Waiting:
    row: int
    message: Message
    due_s: float = 0.0
    again_s: float = FIRST_AGAIN_S


class Outbox:
    """Reports in SQLite (WAL, ``synchronous=FULL``) until `clear` is told that they are stored.

    Parameters
    ----------
    path
        The database file; made if it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS outbox (row INTEGER PRIMARY KEY AUTOINCREMENT,"
            " sensor TEXT, boot TEXT, seq INTEGER, topic TEXT, payload BLOB)"
        )
        self._db.commit()
        self._waiting: OrderedDict[Key, _Waiting] = OrderedDict()
        for row, sensor, boot, seq, topic, payload in self._db.execute(
            "SELECT row, sensor, boot, seq, topic, payload FROM outbox ORDER BY row"
        ):
            key = Key(sensor, boot, seq)
            self._waiting[key] = _Waiting(row, Message(key, topic, payload))
        self._held = set(self._waiting)

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def messages(self) -> list[Message]:
        """All that is here, oldest first."""
        with self._lock:
            return [one.message for one in self._waiting.values()]

    def put(self, messages: Sequence[Message]) -> None:
        """Take messages in, durably; `release` lets them be published."""
        with self._lock, self._db:
            for one in messages:
                cursor = self._db.execute(
                    "INSERT INTO outbox (sensor, boot, seq, topic, payload) VALUES (?,?,?,?,?)",
                    (one.key.sensor, one.key.boot, one.key.seq, one.topic, one.payload),
                )
                self._waiting[one.key] = _Waiting(cursor.lastrowid or 0, one)
                self._held.add(one.key)

    def release(self) -> None:
        """Everything here is written down elsewhere too, and may be published."""
        with self._lock:
            self._held.clear()

    def due(self, now_s: float) -> list[Message]:
        """What is to be published now, oldest first; it will be due again after a pause.

        Parameters
        ----------
        now_s
            Of a clock that never goes back.
        """
        found = []
        with self._lock:
            for key, one in self._waiting.items():
                if one.due_s <= now_s and key not in self._held:
                    one.due_s = now_s + one.again_s
                    one.again_s = min(2.0 * one.again_s, LAST_AGAIN_S)
                    found.append(one.message)
                    if len(found) == BATCH:
                        break
        return found

    def clear(self, keys: Sequence[Key]) -> None:
        """Take out what is stored; what is not here is passed over."""
        with self._lock:
            known = [one for key in keys if (one := self._waiting.pop(key, None)) is not None]
            if known:
                with self._db:
                    self._db.executemany(
                        "DELETE FROM outbox WHERE row = ?", [(one.row,) for one in known]
                    )

    def close(self) -> None:
        """Close the database."""
        self._db.close()
