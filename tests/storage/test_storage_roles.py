"""Roles of least privilege, on a real server: every right by trying it."""

import itertools
import json
import os
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from model.errors import StorageError
from storage.history import History
from storage.migrate import migrate
from storage.roles import (
    APPENDED,
    CURSOR,
    HEADS,
    ROLES,
    VERSIONS,
    VIEWS,
    grant_roles,
    owns_tables,
)
from storage.timescale import prepare
from storage.writer import Writer
from tests.storage import batches as b
from vedette.cli import main

pytestmark = pytest.mark.database

_numbers = itertools.count()


@pytest.fixture
def users(migrated_database, postgres_server):
    """Connection string of a login user for each role, and of one that has none."""
    names = {role: f"u{os.getpid()}_{next(_numbers)}_{role}" for role in (*ROLES, "nobody")}
    with psycopg.connect(postgres_server.dsn, autocommit=True) as connection:
        for name in names.values():
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
    grant_roles(migrated_database, [(name, role) for role, name in names.items() if role in ROLES])
    # The embedded server lets our operating-system user in under any name by SET ROLE.
    yield {
        role: make_conninfo(migrated_database, options=f"-c role={name}")
        for role, name in names.items()
    }
    with psycopg.connect(migrated_database, autocommit=True) as connection:
        for name in names.values():
            connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def allowed(dsn: str, statement: sql.Composed | sql.SQL) -> bool:
    with psycopg.connect(dsn) as connection:
        try:
            connection.execute(statement)
        except psycopg.errors.InsufficientPrivilege:
            return False
        finally:
            connection.rollback()
    return True


TABLES = (*APPENDED, *HEADS, CURSOR, VERSIONS)


@pytest.mark.parametrize("role", [*ROLES, "nobody"])
def test_each_role_may_do_what_it_is_for_and_nothing_else(users, role) -> None:
    rights = ROLES.get(role)
    for table in TABLES:
        name = sql.Identifier("vedette", table)
        column = "version" if table == VERSIONS else "node"
        tries = {
            "select": sql.SQL("SELECT * FROM {} LIMIT 0").format(name),
            # With a WITH query: what would be inserted does not matter for the right to.
            "insert": sql.SQL("INSERT INTO {} ({}) SELECT {} WHERE false").format(
                name, sql.Identifier(column), sql.SQL("1" if table == VERSIONS else "'x'")
            ),
            "update": sql.SQL("UPDATE {} SET {} = DEFAULT").format(name, sql.Identifier(column)),
            "delete": sql.SQL("DELETE FROM {}").format(name),
            "truncate": sql.SQL("TRUNCATE {}").format(name),
            "drop": sql.SQL("DROP TABLE {} CASCADE").format(name),
            "alter": sql.SQL("ALTER TABLE {} ADD COLUMN mine integer").format(name),
        }
        for right, statement in tries.items():
            wanted = rights is not None and table in getattr(rights, right, ())
            assert allowed(users[role], statement) == wanted, f"{role} {right} {table}"
    for view in VIEWS:
        statement = sql.SQL("SELECT * FROM {} LIMIT 0").format(sql.Identifier("vedette", view))
        assert allowed(users[role], statement) == (rights is not None and view in rights.select)
    temporary = allowed(users[role], sql.SQL("CREATE TEMP TABLE mine (one integer)"))
    assert temporary == (rights is not None and rights.temporary)
    for text in ("CREATE SCHEMA mine", "CREATE TABLE vedette.mine (one integer)",
                      "CREATE ROLE mine", "COPY (SELECT 1) TO '/tmp/mine'"):  # fmt: skip
        assert not allowed(users[role], sql.SQL(text)), text


def test_a_node_runs_as_its_writer(users, migrated_database) -> None:
    batch = b.batch_of(b.updates_of(5))
    with Writer(users["vedette_writer"], "north") as writer:
        assert writer.write([batch], 7).updates == len(batch.updates)
        again = writer.write([batch], 8)
        assert again.rows == 0
        assert again.repeated > 0
        assert writer.position().next_offset == 8
    stored = History(users["vedette_console"], "north").updates()
    assert len(stored) == len(batch.updates)
    with pytest.raises(StorageError, match="permission denied"):
        History(users["vedette_writer"], "north").updates()
    assert migrate(users["vedette_writer"]) == 0
    capabilities = prepare(users["vedette_writer"])
    assert capabilities.lacks
    with psycopg.connect(migrated_database) as connection:
        assert owns_tables(connection)
    with psycopg.connect(users["vedette_writer"]) as connection:
        assert not owns_tables(connection)


def test_granting_twice_changes_nothing_and_takes_back_what_is_too_much(
    users, migrated_database
) -> None:
    with psycopg.connect(migrated_database, autocommit=True) as connection:
        connection.execute("GRANT DELETE ON vedette.tracks TO vedette_writer")
    grant_roles(migrated_database)
    assert not allowed(users["vedette_writer"], sql.SQL("DELETE FROM vedette.tracks"))
    with pytest.raises(StorageError, match="none of"):
        grant_roles(migrated_database, [("someone", "superuser")])
    with pytest.raises(StorageError, match="nobody_of_that_name"):
        grant_roles(migrated_database, [("nobody_of_that_name", "vedette_reader")])


def test_the_command(database, tmp_path, capsys: Any) -> None:
    site, owner = tmp_path / "site.toml", tmp_path / "owner.dsn"
    owner.write_text(database + "\n")
    site.write_text(
        '[node]\nname = "north"\ndata_dir = "data"\n[database]\ndsn = "host=nowhere"\n'
        '[[sensor]]\nid = "radar-1"\n'
    )
    assert main(["database", str(site), "--owner-dsn-file", str(owner), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["migrations"] > 0
    assert told["roles"] == list(ROLES)
    assert main(["database", str(site), "--owner-dsn-file", str(owner)]) == 0
    assert "0 migrations" in capsys.readouterr().out
    assert main(["database", str(site), "--member", "eve=boss"]) == 2
    assert "--member eve=boss" in capsys.readouterr().err
    missing = str(tmp_path / "none")
    assert main(["database", str(site), "--owner-dsn-file", missing]) == 2
    assert missing in capsys.readouterr().err
