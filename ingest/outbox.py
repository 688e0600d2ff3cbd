"""`Outbox`: what a gateway has taken from its hardware and nobody else has stored yet.

A SQLite file in WAL mode with ``synchronous=FULL``: a row is on the device before it is published,
and leaves when a receipt names it. One process at a time holds it; the system lets go of it however
that process ends. Beside the rows stands how far a followed file was read, in the same transaction,
so that a killed gateway neither misses a line of it nor takes one twice.
"""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from model.errors import VedetteError

ROW_BYTES = 64
"""What a row takes beside its payload, bytes (rowid, four integers, index; measured 45 to 60)."""

VERSION = 1
"""Of the tables; `PRAGMA user_version`."""

BUSY_S = 2.0
"""How long to wait for another process that holds the file, s: one that is just being killed."""

_TABLES = """
CREATE TABLE boots (id INTEGER PRIMARY KEY, boot TEXT NOT NULL UNIQUE, next_seq INTEGER NOT NULL);
CREATE TABLE rows (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    boot INTEGER NOT NULL REFERENCES boots,
    seq INTEGER NOT NULL,
    received_ns INTEGER NOT NULL,
    payload BLOB NOT NULL,
    cut INTEGER NOT NULL DEFAULT 0,
    UNIQUE (boot, seq)
);
CREATE TABLE places (name TEXT PRIMARY KEY, file TEXT NOT NULL, position INTEGER NOT NULL);
CREATE TABLE owner (sensor TEXT NOT NULL);
"""


class OutboxFull(VedetteError):  # noqa: N818 - a state, named as one
    """The disk takes no more; nothing was put in."""


class Row(NamedTuple):
    """One message that waits for its receipt.

    Parameters
    ----------
    id
        Rises in the order of taking in.
    boot, seq
        Its name at the node.
    received_ns
        When the gateway took it in, UTC ns.
    payload
        The hardware's bytes.
    """

    id: int
    boot: str
    seq: int
    received_ns: int
    payload: bytes


class Place(NamedTuple):
    """How far a followed file was read: which file, and the byte behind the last whole item."""

    file: str
    position: int


class Outbox:
    """The rows of one sensor's gateway.

    Parameters
    ----------
    path
        The file; made if missing.
    sensor
        Whose it is; numbers of one sensor mean nothing for another.
    boot
        Of this start; it is written down with its first row.

    Attributes
    ----------
    bytes
        Payload and `ROW_BYTES` of all rows.
    count
        Rows that wait.
    cut
        Rows that the node could not take whole; they are kept and not sent again.

    Raises
    ------
    VedetteError
        Another process holds it, it belongs to another sensor or version, or it is damaged.
    """

    def __init__(self, path: Path, sensor: str, boot: str) -> None:
        self.path = path
        self._boot = boot
        self._boot_id: int | None = None
        self._seq = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        # One thread at a time, whichever it is.
        self._db = sqlite3.connect(
            path, isolation_level=None, timeout=BUSY_S, check_same_thread=False
        )
        try:
            self._open(sensor)
        except sqlite3.Error as error:
            self._db.close()
            raise VedetteError(f"{path}: cannot be used as an outbox: {error}") from error
        except BaseException:
            self._db.close()
            raise

    def _open(self, sensor: str) -> None:
        db = self._db
        # Held until the process ends; and without a file of shared memory beside it.
        db.execute("PRAGMA locking_mode=EXCLUSIVE")
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise VedetteError(f"{self.path}: another gateway is using it") from error
            raise
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            for statement in _TABLES.split(";"):
                db.execute(statement)
            db.execute("INSERT INTO owner VALUES (?)", (sensor,))
            db.execute(f"PRAGMA user_version={VERSION}")
        db.execute("COMMIT")
        if version not in {0, VERSION}:
            raise VedetteError(
                f"{self.path}: version {version} of an outbox; this program knows {VERSION}"
            )
        (owner,) = db.execute("SELECT sensor FROM owner").fetchone()
        if owner != sensor:
            raise VedetteError(f"{self.path}: is the outbox of sensor {owner!r}, not {sensor!r}")
        (damage,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if damage != "ok":
            raise VedetteError(f"{self.path}: is damaged: {damage}")
        count, size, self.cut = db.execute(
            "SELECT count(*), coalesce(sum(length(payload)), 0), coalesce(sum(cut), 0) FROM rows"
        ).fetchone()
        self.count, self.bytes = count - self.cut, size + ROW_BYTES * count

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield self._db
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in {
                sqlite3.SQLITE_FULL,
                sqlite3.SQLITE_IOERR,
            }:
                raise OutboxFull(f"{self.path}: {error}") from error
            raise VedetteError(f"{self.path}: {error}") from error

    def put(
        self, items: Sequence[tuple[int, bytes]], place: tuple[str, Place] | None = None
    ) -> list[Row]:
        """Put messages in, durably, all or none.

        Parameters
        ----------
        items
            (received ns, payload) each, in order.
        place
            Name of the input that they came from, and how far it was read with them.

        Raises
        ------
        OutboxFull
            The disk takes no more; nothing was put in.
        """
        with self._transaction() as db:
            boot_id = self._boot_id
            if boot_id is None:
                boot_id = db.execute(
                    "INSERT INTO boots (boot, next_seq) VALUES (?, 0)", (self._boot,)
                ).lastrowid
            (last,) = db.execute("SELECT coalesce(max(id), 0) FROM rows").fetchone()
            kept = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'rows'").fetchone()
            first = max(last, kept[0] if kept else 0) + 1
            rows = [
                Row(first + at, self._boot, self._seq + at, received_ns, payload)
                for at, (received_ns, payload) in enumerate(items)
            ]
            db.executemany(
                "INSERT INTO rows (id, boot, seq, received_ns, payload) VALUES (?, ?, ?, ?, ?)",
                [(row.id, boot_id, row.seq, row.received_ns, row.payload) for row in rows],
            )
            # So that a number is never given twice, whatever else becomes of the rows.
            db.execute(
                "UPDATE boots SET next_seq = ? WHERE id = ?", (self._seq + len(rows), boot_id)
            )
            if place is not None:
                name, where = place
                db.execute("INSERT OR REPLACE INTO places VALUES (?, ?, ?)", (name, *where))
        self._boot_id = boot_id
        self._seq += len(rows)
        self.count += len(rows)
        self.bytes += sum(len(row.payload) + ROW_BYTES for row in rows)
        return rows

    def clear(self, rows: Iterable[Row]) -> None:
        """Let rows go, because a receipt names them."""
        gone = list(rows)
        with self._transaction() as db:
            db.executemany("DELETE FROM rows WHERE id = ?", [(row.id,) for row in gone])
            db.execute(
                "DELETE FROM boots WHERE boot <> ? AND id NOT IN (SELECT boot FROM rows)",
                (self._boot,),
            )
        self.count -= len(gone)
        self.bytes -= sum(len(row.payload) + ROW_BYTES for row in gone)

    def set_aside(self, rows: Iterable[Row]) -> None:
        """Keep rows that the node can never take whole, and send them no more."""
        aside = [(row.id,) for row in rows]
        with self._transaction() as db:
            db.executemany("UPDATE rows SET cut = 1 WHERE id = ?", aside)
        self.count -= len(aside)
        self.cut += len(aside)

    def after(self, row_id: int, limit: int) -> list[Row]:
        """The next rows that wait behind a row, in order."""
        found = self._db.execute(
            "SELECT rows.id, boots.boot, seq, received_ns, payload FROM rows "
            "JOIN boots ON boots.id = rows.boot WHERE rows.id > ? AND cut = 0 "
            "ORDER BY rows.id LIMIT ?",
            (row_id, limit),
        )
        return [Row(*one) for one in found]

    def oldest_ns(self) -> int | None:
        """When the oldest row that waits was taken in, UTC ns; None: none waits."""
        found = self._db.execute(
            "SELECT received_ns FROM rows WHERE cut = 0 ORDER BY id LIMIT 1"
        ).fetchone()
        return None if found is None else int(found[0])

    def place(self, name: str) -> Place | None:
        """How far an input was read; None: it is not known here."""
        found = self._db.execute(
            "SELECT file, position FROM places WHERE name = ?", (name,)
        ).fetchone()
        return None if found is None else Place(*found)

    def close(self) -> None:
        """Let another process in."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
