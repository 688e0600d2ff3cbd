"""Heads of many tracks, and the cursor, follow the rows; after a crash nothing shows that."""

import time

import numpy as np
import psycopg
import pytest

from model.ports import OutputBatch
from model.tracks import TrackUpdates
from storage import writer as module
from storage.heads import MAX_ROWS, PendingHeads
from storage.history import History
from storage.writer import FEW, Position, Writer
from tests.storage import batches as b

pytestmark = pytest.mark.database

MANY = FEW + 1


@pytest.fixture
def sql(migrated_database):
    with psycopg.connect(migrated_database, autocommit=True) as connection:
        yield connection


def output(number: int, tracks: int = MANY) -> OutputBatch:
    """The output of one input: an update of each of some tracks, the revision its number."""
    updates = b.updates_of(tracks)
    updates.track_id[:] = 1 + np.arange(tracks)
    updates.revision[:] = updates.known_offset[:] = number
    updates.n[:] = np.arange(tracks)
    return b.batch_of(updates)


def counted(sql: psycopg.Connection) -> tuple[int, int, int]:
    """Rows of updates and of heads, and the highest revision of a head."""
    row = sql.execute(
        "SELECT (SELECT count(*) FROM vedette.tracks), count(*), coalesce(max(revision), 0)"
        " FROM vedette.track_current"
    ).fetchone()
    assert row is not None
    return row


@pytest.fixture
def endless(monkeypatch):
    """Heads wait for as long as a test takes."""
    monkeypatch.setattr(module, "SETTLE_S", 1e9)


def waiting(writer: Writer) -> None:
    """Make a writer believe that it has just settled."""
    writer._settled_s = time.monotonic()


def test_many_heads_wait_and_the_cursor_with_them(migrated_database, sql, endless):
    with Writer(migrated_database, "north") as writer:
        waiting(writer)
        assert writer.write([output(1)], 11).updates == MANY
        assert writer.write([output(2)], 12).updates == MANY
        assert counted(sql) == (2 * MANY, 0, 0)
        assert writer.settled == Position(0, -1)
        assert writer.position() == Position(0, -1)

        writer.settle()
        assert counted(sql) == (2 * MANY, MANY, 2)
        assert writer.settled == writer.position() == Position(12, 2)


def test_few_heads_are_as_new_as_the_rows(migrated_database, sql, endless):
    with Writer(migrated_database, "north") as writer:
        waiting(writer)
        writer.write([output(1, tracks=FEW)], 11)
        assert counted(sql) == (FEW, FEW, 1)
        assert writer.settled == Position(11, 1)


def test_heads_that_have_waited_long_enough_go_with_the_next_rows(
    migrated_database, sql, monkeypatch
):
    monkeypatch.setattr(module, "SETTLE_S", 0.0)
    with Writer(migrated_database, "north") as writer:
        waiting(writer)
        writer.write([output(1)], 11)
        assert counted(sql) == (MANY, MANY, 1)


def test_a_writer_that_died_is_followed_by_one_that_writes_the_same_again(
    migrated_database, sql, endless
):
    with Writer(migrated_database, "north") as writer:
        waiting(writer)
        writer.write([output(1)], 11)
        writer.settle()
        waiting(writer)
        writer.write([output(2)], 12)
        writer.write([output(3)], 13)
        # Its end loses what waits, as a crash would.
    assert counted(sql) == (3 * MANY, MANY, 1)

    with Writer(migrated_database, "north") as writer:
        assert writer.position() == Position(11, 1)
        waiting(writer)
        again = writer.write([output(2), output(3), output(4)], 14)
        assert (again.updates, again.repeated) == (MANY, 2 * MANY)
        writer.settle()
        assert counted(sql) == (4 * MANY, MANY, 4)
        assert writer.position() == Position(14, 4)
    revisions = History(migrated_database, "north", b.SENSORS).current_tracks().revision
    assert set(revisions.tolist()) == {4}


def test_pending_heads_are_the_newest_and_their_number_is_bounded():
    """Sensors keep their names, whatever their index was in the output that brought them."""
    pending = PendingHeads()
    for number in range(1, 2 + MAX_ROWS // MANY):
        updates = output(number).updates
        updates.sensors[:, 0] = number % 2
        pending.take(updates, ("b", "a") if number % 2 else ("a", "b"))
    assert len(pending) <= MAX_ROWS
    newest = pending.newest()
    assert len(newest) == len(pending) == MANY
    assert set(newest.revision.tolist()) == {number}
    assert {pending.names[index] for index in newest.sensors[:, 0].tolist()} == {"a"}
    pending.take(TrackUpdates.empty(), ())
    assert len(pending) == MANY
    pending.clear()
    assert len(pending) == 0
    assert len(pending.newest()) == 0
