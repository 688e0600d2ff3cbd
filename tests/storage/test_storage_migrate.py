"""Migrations: once each, in order, under a lock, and never altered."""

import threading
from typing import Any

import psycopg
import pytest

from model.errors import StorageError
from storage.connection import StorageUnreachable
from storage.migrate import FOLDER, LOCK_KEY, migrate, read_migrations
from storage.writer import Writer
from tests.storage import batches as b

pytestmark = pytest.mark.database


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE vedette.first (x int);\n")
    (tmp_path / "0002_second.sql").write_text(
        "CREATE TABLE vedette.second (x int);\nINSERT INTO vedette.second VALUES (1), (2);\n"
    )
    return tmp_path


def query(dsn: str, statement: str) -> Any:
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else None


def test_files_are_applied_once_and_new_ones_later(database, folder):
    assert migrate(database, folder=folder) == 2
    assert migrate(database, folder=folder) == 0
    (folder / "0003_third.sql").write_text("ALTER TABLE vedette.first ADD COLUMN y int;\n")
    assert migrate(database, folder=folder) == 1
    assert query(database, "SELECT version, name FROM vedette.schema_version ORDER BY 1") == [
        (1, "0001_first.sql"),
        (2, "0002_second.sql"),
        (3, "0003_third.sql"),
    ]


def test_an_altered_file_is_named(database, folder):
    migrate(database, folder=folder)
    path = folder / "0001_first.sql"
    path.write_text(path.read_text() + "-- a comment is enough\n")
    with pytest.raises(StorageError, match=r"0001_first\.sql: altered after it was applied"):
        migrate(database, folder=folder)


def test_a_database_of_a_newer_program_is_refused(database, folder):
    migrate(database, folder=folder)
    (folder / "0002_second.sql").unlink()
    with pytest.raises(StorageError, match=r"0002_second\.sql.* belongs to a newer program"):
        migrate(database, folder=folder)


@pytest.mark.parametrize("name", ["0003_gap.sql", "second.sql", "0002-dash.sql"])
def test_a_file_of_another_name_is_refused(database, tmp_path, name):
    (tmp_path / "0001_first.sql").write_text("SELECT 1;\n")
    (tmp_path / name).write_text("SELECT 1;\n")
    with pytest.raises(StorageError, match=f"{name}: not the name of migration 0002"):
        migrate(database, folder=tmp_path)


def test_a_file_that_fails_leaves_nothing_and_is_named(database, folder):
    (folder / "0003_bad.sql").write_text("CREATE TABLE vedette.third (x int); SELECT nothing;\n")
    with pytest.raises(StorageError, match=r"0003_bad\.sql.*nothing"):
        migrate(database, folder=folder)
    assert query(database, "SELECT max(version) FROM vedette.schema_version") == [(2,)]
    assert query(database, "SELECT to_regclass('vedette.third')") == [(None,)]


def test_a_file_without_a_transaction(database, folder):
    (folder / "0003_index.sql").write_text(
        "-- no-transaction\nCREATE INDEX CONCURRENTLY IF NOT EXISTS i ON vedette.first (x);\n"
    )
    assert migrate(database, folder=folder) == 3
    assert query(database, "SELECT to_regclass('vedette.i')::text") == [("vedette.i",)]


def test_two_writers_that_start_at_once_wait_for_each_other(database):
    # Both are made to wait at the lock, then let go together.
    outcomes = []

    def start(node):
        with Writer(database, node) as writer:
            outcomes.append(writer.write([b.batch_of(b.updates_of(3))], 1).updates)

    threads = [threading.Thread(target=start, args=(node,)) for node in ("north", "south")]
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with psycopg.connect(database, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", (LOCK_KEY,))
        for thread in threads:
            thread.start()
        while query(database, waiting) != [(2,)]:
            pass
        holder.execute("SELECT pg_advisory_unlock(%s)", (LOCK_KEY,))
    for thread in threads:
        thread.join()
    assert outcomes == [3, 3]
    applied = query(database, "SELECT count(*) FROM vedette.schema_version")
    assert applied == [(len(read_migrations(FOLDER)),)]


def test_a_lock_that_is_never_given_is_an_error(database, folder, monkeypatch):
    monkeypatch.setattr("storage.migrate.LOCK_WAIT", "20ms")
    with psycopg.connect(database, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", (LOCK_KEY,))
        with pytest.raises(StorageUnreachable, match="lock timeout"):
            migrate(database, folder=folder)
    assert migrate(database, folder=folder) == 2


def test_what_nobody_asks_by_has_no_statistics(migrated_database):
    """Nor does it draw samples: those are counted by the column that wants most."""
    with psycopg.connect(migrated_database, autocommit=True) as connection:
        for table in ("reports", "detections", "tracks", "foreign_updates"):
            rows = connection.execute(
                "SELECT attname, attstattarget FROM pg_attribute"
                " WHERE attrelid = %s::regclass AND attnum > 0",
                (f"vedette.{table}",),
            ).fetchall()
            targets: dict[str, int] = {str(name): target for name, target in rows}
            assert targets["node"] == targets["known_offset"] == 25
            assert set(targets.values()) == {0, 25}
        rows = connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'vedette.tracks'::regclass"
            " AND attstattarget > 0 ORDER BY attname"
        ).fetchall()
        assert [name for (name,) in rows] == ["known_offset", "node", "track_id", "valid"]
