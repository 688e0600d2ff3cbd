"""Brings the tables of a database up to date: numbered SQL files, applied once each, in order.

A file that was applied must not change any more: its SHA-256 is kept and compared. Whoever
migrates holds an advisory lock, so that processes that start together wait for one another.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from model.errors import StorageError
from storage.connection import Connection, connect, storage_errors

FOLDER = Path(__file__).parent / "migrations"
"""Our files, ``NNNN_name.sql``."""

NO_TRANSACTION = "-- no-transaction"
"""First line of a file that holds one statement which cannot run in a transaction. It must be
fit to run again, because a kill may come between it and the note that it was applied."""

LOCK_KEY = 0x7665_6465_7474_6500
"""Of the advisory lock: the letters of our name."""

LOCK_WAIT = "5min"
"""How long to wait for another that migrates."""

_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")

_VERSION_TABLE = """
CREATE SCHEMA IF NOT EXISTS vedette;
CREATE TABLE IF NOT EXISTS vedette.schema_version (
    version integer PRIMARY KEY,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied timestamptz NOT NULL DEFAULT now()
)
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file.

    Parameters
    ----------
    version
        From its name.
    name
        Of the file.
    text
        Its SQL.
    """

    version: int
    name: str
    text: str

    @property
    def sha256(self) -> str:
        """Of the text, hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def in_transaction(self) -> bool:
        """Whether it runs in one transaction with the note that it was applied."""
        return not self.text.startswith(NO_TRANSACTION)


def read_migrations(folder: Path) -> tuple[Migration, ...]:
    """Files of a folder in order.

    Raises
    ------
    StorageError
        If a name is not ``NNNN_name.sql``, or the numbers do not run from 1 without a gap.
    """
    found: list[Migration] = []
    for path in sorted(folder.glob("*.sql")):
        match = _NAME.fullmatch(path.name)
        if match is None or int(match[1]) != len(found) + 1:
            raise StorageError(f"{path}: not the name of migration {len(found) + 1:04d}")
        found.append(Migration(int(match[1]), path.name, path.read_text()))
    return tuple(found)


@contextmanager
def migration_lock(connection: Connection, dsn: str) -> Iterator[None]:
    """Hold the advisory lock; `connection` must be in autocommit mode."""
    with storage_errors(dsn):
        connection.execute(f"SET lock_timeout = '{LOCK_WAIT}'")
        connection.execute("SELECT pg_advisory_lock(%s)", (LOCK_KEY,))
        try:
            yield
        finally:
            if not connection.closed:
                connection.execute("SELECT pg_advisory_unlock(%s)", (LOCK_KEY,))


def migrate(dsn: str, *, folder: Path = FOLDER) -> int:
    """Apply the migrations that a database does not have yet.

    Parameters
    ----------
    dsn
        Connection string; its user may create a schema.
    folder
        Of the files.

    Returns
    -------
    int
        Number of migrations applied now.

    Raises
    ------
    StorageError
        If an applied file was altered or is missing, if the database was made by a newer program,
        or if the server cannot be reached or refuses.
    """
    migrations = read_migrations(folder)
    with connect(dsn, autocommit=True) as connection, migration_lock(connection, dsn):
        row = connection.execute("SELECT to_regclass('vedette.schema_version')").fetchone()
        if row is None or row[0] is None:
            # Only then: a user without the right to make schemas may use one that is there.
            connection.execute(_VERSION_TABLE)
        rows = connection.execute(
            "SELECT version, name, sha256 FROM vedette.schema_version ORDER BY version"
        ).fetchall()
        for version, name, sha256 in rows:
            if version > len(migrations):
                raise StorageError(
                    f"{folder / name}: applied to this database, but not here; "
                    "the database belongs to a newer program"
                )
            if migrations[version - 1].sha256 != sha256:
                raise StorageError(
                    f"{folder / migrations[version - 1].name}: altered after it was applied "
                    f"(as {name}); put the change into a new file"
                )
        for migration in migrations[len(rows) :]:
            with storage_errors(dsn, str(folder / migration.name)):
                _apply(connection, migration)
        return len(migrations) - len(rows)


def _apply(connection: Connection, migration: Migration) -> None:
    note = "INSERT INTO vedette.schema_version (version, name, sha256) VALUES (%s, %s, %s)"
    values = (migration.version, migration.name, migration.sha256)
    if migration.in_transaction:
        with connection.transaction():
            connection.execute(migration.text.encode())
            connection.execute(note, values)
    else:
        connection.execute(migration.text.encode())
        connection.execute(note, values)
