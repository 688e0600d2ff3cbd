"""`Writer`: output batches in, rows and cursor out, in one transaction."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from psycopg import Cursor, sql
from psycopg.errors import UniqueViolation

from model.detections import Detections
from model.errors import StorageError
from model.foreign import ForeignUpdates
from model.ports import OutputBatch
from model.tracks import TrackUpdates
from storage.connection import Connection, StorageUnreachable, connect, place, storage_errors
from storage.copy import Encoded, blocks, repeated_text
from storage.foreign_tables import FOREIGN_COLUMNS, encode_foreign
from storage.migrate import migrate
from storage.retention import Policy
from storage.tables import (
    DETECTION_COLUMNS,
    QUARANTINE_COLUMNS,
    REPORT_COLUMNS,
    TRACK_COLUMNS,
    encode_detections,
    encode_quarantined,
    encode_reports,
    encode_tracks,
)
from storage.timescale import Capabilities, prepare

HEAD = "head"
"""Further column of the staged track updates: the newest of its track in this transaction."""

COLUMNS = {
    "reports": REPORT_COLUMNS,
    "detections": DETECTION_COLUMNS,
    "tracks": TRACK_COLUMNS,
    "quarantine": QUARANTINE_COLUMNS,
    "foreign_updates": FOREIGN_COLUMNS,
}


Staged = dict[str, tuple[list[Encoded], int]]
"""Encoded columns, without `node`, and number of rows for each table."""


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

    After an error the connection is closed; `connect` opens another, and `cursor` then says what
    was stored. Waiting between tries is the caller's.

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
                for table, columns in COLUMNS.items():
                    connection.execute(_stage(connection, table, columns))
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

    def cursor(self) -> int:
        """Offset of the first record of the output log that is not stored yet."""
        return self.position().next_offset

    def position(self) -> Position:
        """How far it has come, in the output log and in the journal.

        An output log that was made anew has other offsets: then `Position.through` tells which of
        its batches are stored.
        """
        with self._transaction() as connection:
            row = connection.execute(
                "SELECT next_offset, through FROM vedette.writer_cursor WHERE node = %s",
                (self.node,),
            ).fetchone()
        return Position(*row) if row else Position(0, -1)

    def write(self, batches: Sequence[OutputBatch], next_cursor: int) -> Written:
        """Store batches and the cursor behind them, all or nothing.

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
        staged = _stage_columns(batches)
        through = max((batch.through for batch in batches), default=-1)
        with self._transaction() as connection:
            try:
                with connection.transaction():
                    counts = self._put(connection, staged, _INSERT)
            except UniqueViolation:  # some are there already
                counts = self._put(connection, staged, _ADD)
            connection.execute(_MOVE_CURSOR, (self.node, next_cursor, through))
        repeated = sum(rows - counts.get(table, 0) for table, (_, rows) in staged.items())
        return Written(
            reports=counts.get("reports", 0),
            detections=counts.get("detections", 0),
            updates=counts.get("tracks", 0),
            quarantined=counts.get("quarantine", 0),
            foreign=counts.get("foreign_updates", 0),
            repeated=repeated,
        )

    def _put(
        self, connection: Connection, staged: Staged, insert: Mapping[str, sql.Composed]
    ) -> dict[str, int]:
        """Rows into their tables; how many of each.

        Straight, where `insert` knows no statement for a table, else by way of a temporary one:
        heads are taken from that.

        Raises
        ------
        UniqueViolation
            One of them is there already, and `insert` does not pass over it.
        """
        counts = {}
        for table, (encoded, rows) in staged.items():
            if rows == 0:
                continue
            with connection.cursor() as cursor:
                if table not in insert:
                    node = repeated_text(self.node, rows)
                    counts[table] = _copy(cursor, _PUT[table], [node, *encoded], rows)
                    continue
                _copy(cursor, _STAGE[table], encoded, rows)
                counts[table] = cursor.execute(insert[table], (self.node,)).rowcount
                if table in _UPSERT:
                    cursor.execute(_UPSERT[table], (self.node,))
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


def _copy(
    cursor: Cursor[Any], statement: sql.Composed, encoded: Sequence[Encoded], rows: int
) -> int:
    with cursor.copy(statement) as copy:
        for block in blocks(encoded, rows):
            copy.write(block)
    return rows


def _merge(batches: Sequence[OutputBatch]) -> tuple[list[str], Detections, TrackUpdates]:
    """Arrays of several batches as one, their sensor indices over one list of names."""
    names: dict[str, int] = {}
    detections, updates = [], []
    for batch in batches:
        places = [names.setdefault(name, len(names)) for name in batch.sensor_ids]
        found, tracks = batch.detections, batch.updates
        if places != list(range(len(places))):
            # Index -1, no sensor, stays what it is: it finds the -1 at the end.
            lookup = np.array([*places, -1], dtype=np.int32)
            found = found.replace(sensor=lookup[found.sensor])
            tracks = replace(tracks, sensors=lookup[tracks.sensors])
        detections.append(found)
        updates.append(tracks)
    return list(names), Detections.concat(detections), TrackUpdates.concat(updates)


def _stage_columns(batches: Sequence[OutputBatch]) -> Staged:
    """Encoded columns and number of rows for each table."""
    try:
        names, detections, updates = _merge(batches)
        refused = [entry for batch in batches for entry in batch.quarantined]
        published = np.repeat(
            np.array([batch.published_ns for batch in batches], dtype=np.int64),
            [len(batch.quarantined) for batch in batches],
        )
        staged = {
            "reports": (encode_reports(detections, names), detections.n_reports),
            "detections": (encode_detections(detections, names), detections.n_detections),
            "tracks": (encode_tracks(updates, names), len(updates)),
            "quarantine": (encode_quarantined(refused, published), len(refused)),
        }
    except IndexError as error:
        raise StorageError(
            f"{_covered(batches)} names a sensor that is not in its list: {error}"
        ) from error
    foreign = _merge_foreign(batches)
    if len(foreign):  # most nodes have no partners
        staged["foreign_updates"] = (encode_foreign(foreign), len(foreign))
    return staged


def _merge_foreign(batches: Sequence[OutputBatch]) -> ForeignUpdates:
    """What partners gave in several batches as one table, its names over one list."""
    try:
        return ForeignUpdates.concat(
            [batch.foreign.check() for batch in batches if len(batch.foreign)]
        )
    except ValueError as error:
        raise StorageError(f"{_covered(batches)}: {error}") from error


def _covered(batches: Sequence[OutputBatch]) -> str:
    return f"output of the inputs {batches[0].first}-{batches[-1].through}"


def _stage(connection: Connection, table: str, columns: Sequence[str]) -> sql.Composed:
    """Statement that makes a temporary table like one of ours.

    Types come from the catalogue: making it of the table would ask for the right to read that.
    """
    rows = connection.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attnum > 0",
        (f"vedette.{table}",),
    ).fetchall()
    types: dict[str, str] = {str(name): str(kind) for name, kind in rows}
    fields = [
        sql.SQL("{} {}").format(sql.Identifier(column), sql.SQL(types[column]))
        for column in columns
    ]
    if table == "tracks":
        fields.append(sql.SQL("{} boolean").format(sql.Identifier(HEAD)))
    return sql.SQL("CREATE TEMP TABLE {} ({}) ON COMMIT DELETE ROWS").format(
        sql.Identifier(f"stage_{table}"), sql.SQL(", ").join(fields)
    )


def _names(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _statements(text: str, tables: Iterable[str]) -> dict[str, sql.Composed]:
    return {
        table: sql.SQL(text).format(
            table=sql.Identifier("vedette", table),
            stage=sql.Identifier(f"stage_{table}"),
            names=_names(COLUMNS[table]),
            staged=_names((*COLUMNS[table], HEAD) if table == "tracks" else COLUMNS[table]),
        )
        for table in tables
    }


_PUT = _statements("COPY {table} (node, {names}) FROM STDIN (FORMAT BINARY)", COLUMNS)
_STAGE = _statements("COPY {stage} ({staged}) FROM STDIN (FORMAT BINARY)", COLUMNS)
_INSERT = _statements(
    "INSERT INTO {table} (node, {names}) SELECT %s, {names} FROM {stage}",
    ("tracks", "foreign_updates"),
)
"""For the tables beside which there are heads. Others are copied to straight, without a temporary
table."""
_ADD = _statements(
    "INSERT INTO {table} (node, {names}) SELECT %s, {names} FROM {stage} ON CONFLICT DO NOTHING",
    COLUMNS,
)


def _upsert(statement: str, columns: Sequence[str]) -> sql.Composed:
    new = sql.SQL(", ").join(sql.Identifier("excluded", name) for name in columns)
    return sql.SQL(statement).format(names=_names(columns), new=new)


_UPSERT = {
    "tracks": _upsert(
        "INSERT INTO vedette.track_current AS old (node, {names})"
        " SELECT %s, {names} FROM stage_tracks WHERE head"
        " ON CONFLICT (node, track_id) DO UPDATE SET ({names}) = ROW ({new})"
        " WHERE (old.authority_epoch, old.revision)"
        " < (excluded.authority_epoch, excluded.revision)",
        TRACK_COLUMNS,
    ),
    # The receiver has said which rows were newest when they came, so the last of these is it.
    # Revisions would not do: a withdrawal repeats that of the row before it, and a new agreement
    # begins with old ones.
    "foreign_updates": _upsert(
        "INSERT INTO vedette.foreign_current AS old (node, {names})"
        " SELECT DISTINCT ON (giver, track_id) %s, {names} FROM stage_foreign_updates"
        " WHERE head ORDER BY giver, track_id, known_offset DESC, n DESC"
        " ON CONFLICT (node, giver, track_id) DO UPDATE SET ({names}) = ROW ({new})"
        " WHERE (old.known_offset, old.n) < (excluded.known_offset, excluded.n)",
        FOREIGN_COLUMNS,
    ),
}
"""From staged rows to the table of heads beside a table."""

_MOVE_CURSOR = """
INSERT INTO vedette.writer_cursor AS old (node, next_offset, through, updated)
VALUES (%s, %s, %s, now())
ON CONFLICT (node) DO UPDATE SET
    next_offset = excluded.next_offset,
    through = greatest(old.through, excluded.through),
    updated = excluded.updated
"""
