"""The statements of `storage.writer`: columns, temporary tables, how rows get into ours."""

from collections.abc import Iterable, Sequence

from psycopg import sql

from storage.connection import Connection
from storage.foreign_tables import FOREIGN_COLUMNS
from storage.rows import STRAIGHT
from storage.tables import (
    DETECTION_COLUMNS,
    QUARANTINE_COLUMNS,
    REPORT_COLUMNS,
    TRACK_COLUMNS,
)

COLUMNS = {
    "reports": REPORT_COLUMNS,
    "detections": DETECTION_COLUMNS,
    "tracks": TRACK_COLUMNS,
    "quarantine": QUARANTINE_COLUMNS,
    "foreign_updates": FOREIGN_COLUMNS,
    "track_current": TRACK_COLUMNS,
}
"""Without `node`, of every table that rows are staged for."""


def stage_table(connection: Connection, table: str) -> sql.Composed:
    """Statement that makes a temporary table like one of ours, without `node`.

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
        for column in COLUMNS[table]
    ]
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
        )
        for table in tables
    }


PUT = _statements("COPY {table} (node, {names}) FROM STDIN (FORMAT BINARY)", STRAIGHT)
STAGE = _statements("COPY {stage} ({names}) FROM STDIN (FORMAT BINARY)", COLUMNS)
INSERT = _statements(
    "INSERT INTO {table} (node, {names}) SELECT %s, {names} FROM {stage}", ("foreign_updates",)
)
"""For the table whose heads are taken from what is staged."""
ADD = _statements(
    "INSERT INTO {table} (node, {names}) SELECT %s, {names} FROM {stage} ON CONFLICT DO NOTHING",
    COLUMNS,
)


def _upsert(statement: str, columns: Sequence[str]) -> sql.Composed:
    new = sql.SQL(", ").join(sql.Identifier("excluded", name) for name in columns)
    return sql.SQL(statement).format(names=_names(columns), new=new)


TRACK_HEADS = _upsert(
    "INSERT INTO vedette.track_current AS old (node, {names})"
    " SELECT %s, {names} FROM stage_track_current"
    " ON CONFLICT (node, track_id) DO UPDATE SET ({names}) = ROW ({new})"
    " WHERE (old.authority_epoch, old.revision)"
    " < (excluded.authority_epoch, excluded.revision)",
    TRACK_COLUMNS,
)
"""Of staged rows, one a track, those that are newer than what is there."""

FOREIGN_HEADS = _upsert(
    "INSERT INTO vedette.foreign_current AS old (node, {names})"
    " SELECT DISTINCT ON (giver, track_id) %s, {names} FROM stage_foreign_updates"
    " WHERE head ORDER BY giver, track_id, known_offset DESC, n DESC"
    " ON CONFLICT (node, giver, track_id) DO UPDATE SET ({names}) = ROW ({new})"
    " WHERE (old.known_offset, old.n) < (excluded.known_offset, excluded.n)",
    FOREIGN_COLUMNS,
)
"""From staged rows to the table of heads beside them.

The receiver has said which rows were newest when they came, so the last of these is it. Revisions
would not do: a withdrawal repeats that of the row before it, and a new agreement begins with old
ones.
"""

MOVE_CURSOR = """
INSERT INTO vedette.writer_cursor AS old (node, next_offset, through, updated)
VALUES (%s, %s, %s, now())
ON CONFLICT (node) DO UPDATE SET
    next_offset = excluded.next_offset,
    through = greatest(old.through, excluded.through),
    updated = excluded.updated
"""
