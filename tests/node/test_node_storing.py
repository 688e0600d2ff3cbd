"""The storage thread with a real database that goes away and comes back."""

import itertools
import threading
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from journal.log import SegmentedLog
from journal.reader import OffsetBeyondEnd
from storage import writer
from storage.history import History
from tests.node.site import until
from tests.node.test_node_outputs import batch
from vedette import storing as storing_module
from vedette.outputs import OutputLog
from vedette.storing import Storing

pytestmark = [pytest.mark.node, pytest.mark.database]


@pytest.fixture
def log(tmp_path) -> Any:
    made = OutputLog(SegmentedLog(tmp_path / "outputs"), threading.Event())
    yield made
    made.close()


def write(log, first, count) -> Any:
    for index in range(first, first + count):
        log.write(batch(10 * index, 10 * index + 9, [10 * index + 1, 10 * index + 4]))


def stored(dsn) -> Any:
    return History(dsn, "north").counts()["reports"]


def test_outputs_are_stored_and_a_stop_drains(log, tmp_path, database) -> None:
    storing = Storing(tmp_path / "outputs", database, "north")
    write(log, 0, 300)
    storing.start()
    until(lambda: storing.status.cursor == log.end)
    assert stored(database) == 600
    write(log, 300, 20)
    assert storing.stop(5.0)
    assert stored(database) == 640
    assert storing.status.missing == 0
    assert storing.status.through == 3199


def test_a_database_that_refuses_is_waited_for(log, tmp_path, database, postgres_server) -> None:
    """The database cannot be entered for a while, and open connections are cut."""
    name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    storing = Storing(tmp_path / "outputs", database, "north")
    write(log, 0, 5)
    storing.start()
    until(lambda: storing.status.cursor == log.end)
    with psycopg.connect(postgres_server.dsn, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
        )
        write(log, 5, 5)
        until(lambda: storing.status.failures >= 2, what=lambda: storing.status)
        assert not storing.status.connected
        assert storing.status.reason
        assert storing.status.away_ns or storing.status.behind_ns
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    until(lambda: storing.status.cursor == log.end, what=lambda: storing.status)
    assert stored(database) == 20
    assert not storing.status.away_ns
    assert storing.stop(5.0)


def test_what_was_read_ahead_of_a_broken_connection_is_stored_once(
    log, tmp_path, database, postgres_server, monkeypatch
) -> None:
    """Connections are cut in the midst of many small transactions; none is lost or doubled."""
    monkeypatch.setattr(storing_module, "BATCHES", 3)
    monkeypatch.setattr(storing_module, "FIRST_RETRY_S", 0.01)
    name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    storing = Storing(tmp_path / "outputs", database, "north")
    write(log, 0, 1200)
    storing.start()
    with psycopg.connect(postgres_server.dsn, autocommit=True) as admin:
        for times in range(1, 5):
            until(lambda done=40 * times: storing.status.transactions >= done)
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                (name,),
            )
            until(lambda least=times: storing.status.failures >= least)
    until(lambda: storing.status.cursor == log.end, what=lambda: storing.status)
    until(lambda: storing.status.behind_ns == 0)
    assert stored(database) == 2400
    assert storing.status.missing == 0
    assert storing.status.through == 11999
    assert storing.stop(5.0)


def test_a_database_that_was_never_there_does_not_stop_the_process(log, tmp_path) -> None:
    dsn = make_conninfo(host="127.0.0.1", port=1, dbname="none", connect_timeout=1)
    storing = Storing(tmp_path / "outputs", dsn, "north")
    write(log, 0, 1)
    storing.start()
    until(lambda: storing.status.failures >= 1)
    assert storing.status.cursor == -1
    assert not storing.stop(0.2)
    assert not storing.alive


def test_a_log_made_anew_is_taken_up_where_the_database_stands(log, tmp_path, database) -> None:
    """A power cut took the end of the log; the core wrote it again, in other pieces."""
    storing = Storing(tmp_path / "outputs", database, "north")
    write(log, 0, 50)
    storing.start()
    until(lambda: storing.status.cursor == log.end)
    assert storing.stop(5.0)
    again = OutputLog(SegmentedLog(tmp_path / "again"), threading.Event())
    for index in range(0, 60, 5):
        offsets = [10 * i + k for i in range(index, index + 5) for k in (1, 4)]
        again.write(batch(10 * index, 10 * index + 49, offsets))
    storing = Storing(tmp_path / "again", database, "north")
    storing.start()
    until(lambda: storing.status.through == 599, what=lambda: storing.status)
    assert stored(database) == 120
    assert storing.status.missing == 0
    assert storing.stop(5.0)
    again.close()


def test_outputs_that_are_gone_are_counted(log, tmp_path, database) -> None:
    log._covered = log.through = 99  # what came before was let go
    write(log, 10, 2)
    storing = Storing(tmp_path / "outputs", database, "north")
    storing.start()
    until(lambda: storing.status.cursor == log.end)
    assert storing.status.missing == 100
    assert storing.stop(5.0)


def test_a_stop_says_that_not_all_was_stored(log, tmp_path, database, monkeypatch) -> None:
    """However short the time was, and whatever was on its way."""
    monkeypatch.setattr(storing_module, "BATCHES", 1)
    storing = Storing(tmp_path / "outputs", database, "north")
    write(log, 0, 2000)
    storing.start()
    until(lambda: storing.status.transactions >= 3)
    assert not storing.stop(0.0)
    until(lambda: not storing.alive)
    assert stored(database) < 4000


def test_a_place_that_is_none_any_more_is_found_again(log, tmp_path, database, monkeypatch) -> None:
    """Also in the midst of a transaction: nothing is missing, and nothing is counted twice."""
    monkeypatch.setattr(storing_module, "READ", 4)
    storing = Storing(tmp_path / "outputs", database, "north")
    read, calls = storing._reader.read, itertools.count()

    def broken(offset: int, *more: Any, **named: Any) -> Any:
        collects = threading.current_thread().name.startswith("collecting")
        if collects and next(calls) % 5 == 3:
            raise OffsetBeyondEnd(tmp_path, offset, offset)
        return read(offset, *more, **named)

    monkeypatch.setattr(storing._reader, "read", broken)
    monkeypatch.setattr(storing_module, "BATCHES", 8)
    write(log, 0, 50)
    storing.start()
    until(lambda: storing.status.cursor == log.end, what=lambda: storing.status)
    assert stored(database) == 100
    assert storing.status.through == 499
    assert storing.status.missing == 0
    assert storing.status.failures == 0
    assert storing.stop(5.0)


def test_outputs_let_go_while_they_are_read_are_counted(
    tmp_path, database, postgres_server, monkeypatch
) -> None:
    """The database was away for so long that the log had to let its beginning go."""
    made = SegmentedLog(tmp_path / "outputs", segment_bytes=4096)
    log = OutputLog(made, threading.Event())
    storing = Storing(tmp_path / "outputs", database, "north")
    write(log, 0, 5)
    storing.start()
    until(lambda: storing.status.cursor == log.end)
    entered, go_on = threading.Event(), threading.Event()
    read = storing._reader.read

    def held(*args: Any, **named: Any) -> Any:
        entered.set()
        go_on.wait(30.0)
        return read(*args, **named)

    monkeypatch.setattr(storing._reader, "read", held)
    assert entered.wait(30.0)
    write(log, 5, 60)
    made.release(made.end - 10)
    assert made.start > 5
    go_on.set()
    until(lambda: storing.status.cursor == log.end, what=lambda: storing.status)
    assert storing.status.missing == 10 * (made.start - 5)
    assert stored(database) == 2 * (5 + made.end - made.start)
    assert storing.stop(5.0)
    log.close()


def test_heads_do_not_wait_for_a_core_that_is_down(log, tmp_path, database, monkeypatch) -> None:
    """However many wait, and however long they might: nothing more comes that could take them."""
    monkeypatch.setattr(writer, "FEW", 0)
    monkeypatch.setattr(writer, "SETTLE_S", 1e9)
    storing = Storing(tmp_path / "outputs", database, "north")
    write(log, 0, 5)
    storing.start()

    def settled() -> bool:
        with psycopg.connect(database) as connection:
            row = connection.execute("SELECT through FROM vedette.writer_cursor").fetchone()
        return row == (49,)

    until(lambda: storing.status.cursor == log.end)
    until(settled)
    assert History(database, "north").counts()["track_current"] > 0
    assert storing.stop(5.0)
