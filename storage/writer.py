"""`Writer`: output batches in, rows and cursor out, in one transaction."""

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from psycopg import Cursor, sql
from psycopg.errors import UniqueViolation

from model.ports import OutputBatch
from storage.connection import Connection, StorageUnreachable, connect, place, storage_errors
from storage.copy import blocks
from storage.heads import PendingHeads
from storage.migrate import migrate
from storage.retention import Policy
from storage.rows import Rows, rows_of
from storage.statements import (
    ADD,
    COLUMNS,
    FOREIGN_HEADS,
    INSERT,
    MOVE_CURSOR,
    PUT,
    STAGE,
    TRACK_HEADS,
    stage_table,
)
from storage.tables import encode_tracks
from storage.timescale import Capabilities, prepare

SETTLE_S = 2.0
"""Longest that heads of tracks wait for others of the same tracks, s."""

FEW = 1_000
"""So many heads are written at once: they cost little, and then the table of heads is as new as
that of all updates."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a writer has come.

    Parameters
    ----------
    next_offset
        Of the output log: the first record not yet stored.
    through
        Of the journal: the last input that stored batches cover; -1: none.
    """

    next_offset: int
    through: int


@dataclass(frozen=True, slots=True)
class Written:
    """What a `Writer.write` stored.

    Parameters
    ----------
    reports, detections, updates, quarantined, foreign
        New rows; `foreign` are updates that partners gave.
    repeated
        Rows that were there already.
    """

    reports: int = 0
    detections: int = 0
    updates: int = 0
    quarantined: int = 0
    foreign: int = 0
    repeated: int = 0

    @property
    def rows(self) -> int:
        """All new rows."""
        return self.reports + self.detections + self.updates + self.quarantined + self.foreign


class Writer:
    """Stores the output batches of one node.

    After an error the connection is closed; `connect` opens another, and `position` then says from
    where to go on. Waiting between tries is the caller's.

    Rows are in the database when `write` returns. The cursor, and the heads of tracks, follow: at
    once where they are few, else within `SETTLE_S`. What lies behind the cursor may so be there
    already, and is left as it is when it is written again.

    Parameters
    ----------
    dsn
        Connection string; its user may create a schema, or owns ours, or has the role
        ``vedette_writer`` where the owner has made everything (`storage.roles`).
    node
        Whose batches they are.
    policy
        Sizes and ages, for `storage.timescale.prepare`.
    """

    def __init__(self, dsn: str, node: str, policy: Policy | None = None) -> None:
        self.node = node
        self._dsn = dsn
        self._policy = policy
        self._connection: Connection | None = None
        self._heads = PendingHeads()
        self._settled = Position(0, -1)
        self._settled_s = 0.0
        self._next, self._through = 0, -1

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def connect(self) -> Capabilities:
        """Bring the tables up to date and open the connection.

        Raises
        ------
        StorageUnreachable
            If the server is away; try again later.
        StorageError
            If a migration was altered, or the server refuses.
        """
        self.close()
        migrate(self._dsn)
        capabilities = prepare(self._dsn, self._policy)
        connection = connect(self._dsn)
        try:
            with storage_errors(self._dsn), connection.transaction():
                for table in COLUMNS:
                    connection.execute(stage_table(connection, table))
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return capabilities

    def close(self) -> None:
        """Close the connection; a transaction under way is lost."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._heads.clear()  # they are written again with what lies behind the cursor
        self._next, self._through = 0, -1

    def cursor(self) -> int:
        """Offset of the first record of the output log that is to be written next."""
        return self.position().next_offset

    def position(self) -> Position:
        """How far it has come for good, in the output log and in the journal.

        An output log that was made anew has other offsets: then `Position.through` tells which of
        its batches are stored.
        """
        with self._transaction() as connection:
            row = connection.execute(
                "SELECT next_offset, through FROM vedette.writer_cursor WHERE node = %s",
                (self.node,),
            ).fetchone()
        self._settled = Position(*row) if row else Position(0, -1)
        return self._settled

    @property
    def settled(self) -> Position:
        """The newest position read or written: what lies before it is asked for no more."""
        return self._settled

    def write(self, batches: Sequence[OutputBatch], next_cursor: int) -> Written:
        """Store batches, all or nothing.

        What is there already is left as it is, so batches may be written again.

        Parameters
        ----------
        batches
            In the order of the output log; may be empty, to move the cursor alone.
        next_cursor
            Offset of the first record of the output log behind them.

        Raises
        ------
        StorageUnreachable
            If the connection broke off; whether the rows are stored is then open.
        StorageError
            If the database refused the rows; none is stored.
        """
        return self.write_rows(rows_of(batches, self.node), next_cursor)

    def write_rows(self, rows: Rows, next_cursor: int) -> Written:
        """As `write`, of rows that were made beforehand, for this node."""
        self._next = next_cursor
        self._through = max(self._through, rows.through)
        with self._transaction() as connection:
            try:
                with connection.transaction():
                    counts = self._put(connection, rows, INSERT)
            except UniqueViolation:  # some are there already
                counts = self._put(connection, rows, ADD)
            self._heads.take(rows.updates, rows.names)
            few = len(self._heads) <= FEW
            settled = few or time.monotonic() - self._settled_s >= SETTLE_S
            if settled:
                self._settle(connection)
        if settled:
            self._has_settled()
        repeated = sum(one.count - counts[table] for table, one in rows.tables.items())
        return Written(
            reports=counts.get("reports", 0),
            detections=counts.get("detections", 0),
            updates=counts.get("tracks", 0),
            quarantined=counts.get("quarantine", 0),
            foreign=counts.get("foreign_updates", 0),
            repeated=repeated,
        )

    def settle(self) -> None:
        """Write what waits: heads of tracks, and the cursor.

        Raises
        ------
        StorageUnreachable, StorageError
            As of `write`.
        """
        if not len(self._heads):
            return
        with self._transaction() as connection:
            self._settle(connection)
        self._has_settled()

    def _settle(self, connection: Connection) -> None:
        if len(self._heads):
            newest = self._heads.newest()
            with connection.cursor() as cursor:
                encoded = encode_tracks(newest, self._heads.names)
                _copy(cursor, STAGE["track_current"], blocks(encoded, len(newest)))
                cursor.execute(TRACK_HEADS, (self.node,))
        connection.execute(MOVE_CURSOR, (self.node, self._next, self._through))

    def _has_settled(self) -> None:
        self._heads.clear()
        self._settled = Position(self._next, max(self._settled.through, self._through))
        self._settled_s = time.monotonic()

    def _put(
        self, connection: Connection, rows: Rows, insert: Mapping[str, sql.Composed]
    ) -> dict[str, int]:
        """Rows into their tables; how many of each.

        Straight, where `insert` knows no statement for a table, else by way of a temporary one.

        Raises
        ------
        UniqueViolation
            One of them is there already, and `insert` does not pass over it.
        """
        counts = {}
        for table, one in rows.tables.items():
            with connection.cursor() as cursor:
                if table not in insert:
                    _copy(cursor, PUT[table], one.stream)
                    counts[table] = one.count
                    continue
                _copy(cursor, STAGE[table], one.staged())
                counts[table] = cursor.execute(insert[table], (self.node,)).rowcount
                if table == "foreign_updates":
                    cursor.execute(FOREIGN_HEADS, (self.node,))
        return counts

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Connection]:
        connection = self._connection
        if connection is None:
            raise StorageUnreachable(f"{place(self._dsn)}: not connected")
        try:
            with storage_errors(self._dsn), connection.transaction():
                yield connection
        except BaseException:
            self.close()
            raise


def _copy(cursor: Cursor[Any], statement: sql.Composed, stream: Iterable[bytes]) -> None:
    with cursor.copy(statement) as copy:
        for piece in stream:
            copy.write(piece)
