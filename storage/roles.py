"""Roles of least privilege: who may do what in the database, and nothing more.

======== ===================================================================================
writer   adds rows, and moves the two tables of heads and the cursor on; reads no history,
         changes and deletes none
console  reads what a page shows: tracks, partners' tracks, what was refused
reader   reads the views for people
auditor  reads every table; changes nothing
======== ===================================================================================

They are groups that nobody can log in as; whoever runs the server makes users of them. The owner of
the tables (who migrates, compresses and deletes what is too old) is none of them, and a node's
processes need not know his password. Names hold for the whole server, so that several databases of
one server share them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import psycopg
from psycopg import sql

from model.errors import StorageError
from storage.connection import Connection, connect, storage_errors
from storage.migrate import migration_lock

SCHEMA = "vedette"

APPENDED = ("reports", "detections", "tracks", "quarantine", "foreign_updates")
"""Tables that rows are only added to."""

HEADS = ("track_current", "foreign_current")
CURSOR, VERSIONS = "writer_cursor", "schema_version"
VIEWS = ("track_history", "track_picture", "detection_history", "foreign_history",
         "foreign_picture")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Role:
    """What a role may do with tables and views, by name.

    Parameters
    ----------
    select, insert, update
        Tables and views.
    temporary
        Whether it may make temporary tables.
    """

    select: tuple[str, ...] = ()
    insert: tuple[str, ...] = ()
    update: tuple[str, ...] = ()
    temporary: bool = False


ROLES: dict[str, Role] = {
    # `ON CONFLICT (...) DO UPDATE` reads what it compares with.
    "vedette_writer": Role(
        select=(*HEADS, CURSOR, VERSIONS),
        insert=(*APPENDED, *HEADS, CURSOR),
        update=(*HEADS, CURSOR),
        temporary=True,
    ),
    "vedette_console": Role(
        select=(*HEADS, "tracks", "foreign_updates", "quarantine", CURSOR, VERSIONS, *VIEWS)
    ),
    "vedette_reader": Role(select=VIEWS),
    "vedette_auditor": Role(select=(*APPENDED, *HEADS, CURSOR, VERSIONS, *VIEWS)),
}
"""All roles."""


def grant_roles(dsn: str, members: Iterable[tuple[str, str]] = ()) -> None:
    """Make the roles, and give each what it may do, and no more than that.

    Parameters
    ----------
    dsn
        Connection string of the owner of the tables, who may also make roles.
    members
        Login users that are there already, and the role that each gets.

    Raises
    ------
    StorageError
        If the server cannot be reached, refuses, or does not know a member.
    """
    with (
        storage_errors(dsn, "roles"),
        connect(dsn, autocommit=True) as connection,
        migration_lock(connection, dsn),
        connection.transaction(),
    ):
        for name, role in ROLES.items():
            _make(connection, name)
            _give(connection, name, role)
        for user, name in members:
            if name not in ROLES:
                raise StorageError(f"roles: {name!r} is none of {', '.join(ROLES)}")
            connection.execute(
                sql.SQL("GRANT {} TO {}").format(sql.Identifier(name), sql.Identifier(user))
            )


def _make(connection: Connection, name: str) -> None:
    found = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,)).fetchone()
    if found is None:
        connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(name)))


def _give(connection: Connection, name: str, role: Role) -> None:
    """Take everything in our schema from a role, then give what it is to have."""
    who, schema = sql.Identifier(name), sql.Identifier(SCHEMA)
    database = sql.Identifier(connection.info.dbname)
    # Everybody may make temporary tables and look into the schema `public` by default.
    connection.execute(sql.SQL("REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC").format(database))
    for statement in (
        "REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {who}",
        "REVOKE ALL ON SCHEMA {schema} FROM {who}",
        "REVOKE ALL ON DATABASE {database} FROM {who}",
        "GRANT CONNECT ON DATABASE {database} TO {who}",
        "GRANT USAGE ON SCHEMA {schema} TO {who}",
    ):
        connection.execute(sql.SQL(statement).format(schema=schema, database=database, who=who))
    if role.temporary:
        connection.execute(sql.SQL("GRANT TEMPORARY ON DATABASE {} TO {}").format(database, who))
    for right, tables in (
        ("SELECT", role.select),
        ("INSERT", role.insert),
        ("UPDATE", role.update),
    ):
        for table in tables:
            connection.execute(
                sql.SQL("GRANT {} ON {} TO {}").format(
                    sql.SQL(right), sql.Identifier(SCHEMA, table), who
                )
            )


def owns_tables(connection: Connection) -> bool:
    """Whether the user of a connection owns our tables, or may act as who does."""
    try:
        row = connection.execute(
            "SELECT pg_has_role(current_user, relowner, 'USAGE') FROM pg_class"
            " WHERE oid = 'vedette.tracks'::regclass"
        ).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return False
    return bool(row and row[0])
