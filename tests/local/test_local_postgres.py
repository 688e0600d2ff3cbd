"""PostgreSQL of our own: starts, stops, recovers, and leaves nothing behind."""

import os
import shutil
import signal
from pathlib import Path

import psycopg
import pytest

from model.errors import StorageError
from tests.local.support import alive, python, wait_until
from vedette.local import postgres
from vedette.local.places import private_folder, server_user
from vedette.local.postgres import EmbeddedPostgres, server_version, wheel_package

pytestmark = pytest.mark.database

QUICK = {"fsync": "off"}


@pytest.fixture
def server(server_folder):
    with EmbeddedPostgres(server_folder / "pg", settings=QUICK) as started:
        yield started


def ask(dsn: str, statement: str):
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchone() if cursor.description else None


def test_it_is_what_was_asked_for(server):
    assert ask(server.dsn, "SHOW server_version") == (server_version(),)
    assert ask(server.dsn, "SHOW server_encoding") == ("UTF8",)
    assert ask(server.dsn, "SHOW fsync") == ("off",)
    assert ask(server.dsn, "SHOW listen_addresses") == ("",)
    assert ask(server.dsn, "SHOW timezone") == ("UTC",)
    assert ask(server.dsn, "SELECT datcollate FROM pg_database WHERE datname = 'postgres'") == (
        "C",
    )


def test_only_we_can_enter(server):
    assert server.data_dir.stat().st_mode & 0o777 == 0o700
    mode = (server.data_dir / ".s.PGSQL.5432").stat().st_mode & 0o777
    assert mode == 0o700


def test_a_stop_and_a_start_keep_the_data_and_the_dsn(server):
    dsn = server.dsn
    ask(dsn, "CREATE TABLE kept AS SELECT 7 AS x")
    server.stop()
    assert server.pid is None
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(dsn)
    server.start()
    assert server.dsn == dsn
    assert ask(dsn, "SELECT x FROM kept") == (7,)


def test_a_killed_server_recovers_while_its_backends_still_hold_on(server):
    ask(server.dsn, "CREATE TABLE kept AS SELECT 7 AS x")
    held = psycopg.connect(server.dsn)
    server.kill()
    server.start()
    assert ask(server.dsn, "SELECT x FROM kept") == (7,)
    held.close()


def test_nothing_is_left_behind(server_folder):
    server = EmbeddedPostgres(server_folder / "pg", settings=QUICK)
    server.start()
    pid = server.pid
    assert pid
    segments = Path("/proc/sysvipc/shm")
    mine = f"{pid:>6}".strip()
    if segments.exists():
        assert mine in segments.read_text().split()
    with psycopg.connect(server.dsn):
        server.stop()  # with a client still there
    assert not alive(pid)
    if segments.exists():
        assert mine not in segments.read_text().split()
    names = sorted(path.name for path in (server_folder / "pg").iterdir())
    assert names == ["cluster", "postgres.log"]
    assert not (server_folder / "pg" / "cluster" / "postmaster.pid").exists()


def test_a_path_too_long_for_a_socket_gets_a_short_one(server_folder):
    deep = server_folder / ("d" * 60) / ("e" * 60)
    (server_folder / ("d" * 60)).mkdir(mode=0o755)
    with EmbeddedPostgres(deep, settings=QUICK) as server:
        folder = Path(server.dsn.split()[0].removeprefix("host="))
        assert folder != deep
        assert ask(server.dsn, "SELECT 1") == (1,)
    assert not folder.exists()


def test_a_start_that_was_killed_half_way_is_begun_again(server_folder):
    with EmbeddedPostgres(server_folder / "pg", settings=QUICK):
        pass
    pg = server_folder / "pg"
    (pg / "cluster").rename(pg / "cluster.new")
    (pg / "cluster.new" / "global" / "pg_control").unlink()
    with EmbeddedPostgres(pg, settings=QUICK) as server:
        assert ask(server.dsn, "SELECT 1") == (1,)
    assert not (pg / "cluster.new").exists()


def test_two_servers_over_one_directory_are_refused(server):
    second = EmbeddedPostgres(server.data_dir, settings=QUICK)
    with pytest.raises(StorageError, match="lock file"):
        second.start()
    assert ask(server.dsn, "SELECT 1") == (1,)


def test_a_wrong_setting_is_named_with_the_log(server_folder):
    server = EmbeddedPostgres(server_folder / "pg", settings={"fsync": "off", "no_such": "1"})
    with pytest.raises(StorageError, match=r"(?s)did not start.*no_such"):
        server.start()
    assert server.pid is None


def test_another_major_version_is_refused(server_folder):
    with EmbeddedPostgres(server_folder / "pg", settings=QUICK):
        pass
    (server_folder / "pg" / "cluster" / "PG_VERSION").write_text("15\n")
    with pytest.raises(StorageError, match="made by PostgreSQL 15, the one here is 18"):
        EmbeddedPostgres(server_folder / "pg").start()


PARENT = """
import sys, time
from pathlib import Path
from vedette.local.postgres import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]), settings={"fsync": "off"})
server.start()
print(server.pid, flush=True)
time.sleep(600)
"""


def test_it_shuts_down_in_good_order_when_we_are_killed(server_folder):
    with python(PARENT, str(server_folder / "pg")) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(parent.pid, signal.SIGKILL)
    wait_until(lambda: not alive(pid))
    assert "database system is shut down" in (server_folder / "pg" / "postgres.log").read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="as an ordinary user nothing has to be entered")
def test_root_is_told_which_folder_is_closed(server_folder):
    closed = server_folder / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(StorageError, match=f"cannot enter {closed}"):
        EmbeddedPostgres(closed / "pg").start()
    assert closed.stat().st_mode & 0o777 == 0o700
    assert not list(closed.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="as an ordinary user the binaries are our own")
def test_root_copies_binaries_that_nobody_cannot_reach(server_folder, monkeypatch):
    # As in a home folder of mode 0700.
    home = private_folder("vt-home-")
    wheel = wheel_package()
    hidden = home / wheel.name
    shutil.copytree(wheel / "pginstall18", hidden / "pginstall18", symlinks=True)
    for libraries in wheel.parent.glob(f"{wheel.name}.libs"):
        shutil.copytree(libraries, home / libraries.name)
    monkeypatch.setattr(postgres, "wheel_package", lambda: hidden)
    server = EmbeddedPostgres(server_folder / "pg", settings=QUICK)
    with server:
        assert server.pid
        program = Path(f"/proc/{server.pid}/exe").readlink()
        assert home not in program.parents
        assert ask(server.dsn, "SELECT 1") == (1,)
        owner = Path(f"/proc/{server.pid}").stat().st_uid
        user = server_user()
        assert user
        assert owner == user.uid
    assert not program.exists()
    assert home.stat().st_mode & 0o777 == 0o700
    shutil.rmtree(home)
