"""What partners gave: stored once, apart from what is ours, and given back bit by bit."""

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.detections import DetectionsBuilder
from model.errors import Quarantined, Reason, StorageError
from model.foreign import ForeignUpdates
from model.ports import OutputBatch
from model.tracks import Affiliation, Status, TrackUpdates, UpdateReason
from storage.connection import StorageUnreachable
from storage.history import History
from storage.retention import Policy, expire
from storage.writer import Writer
from tests.storage import batches as b
from vedette.after import after

pytestmark = pytest.mark.database

SECOND = 10**9


@pytest.fixture
def writer(migrated_database):
    with Writer(migrated_database, "north") as opened:
        yield opened


@pytest.fixture
def sql(migrated_database):
    with psycopg.connect(migrated_database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def history(migrated_database):
    return History(migrated_database, "north", b.SENSORS)


def withdrawal(offset: int, **columns: Any) -> TrackUpdates:
    """What closes a partner's track when no state of it is known: none is carried."""
    ended = {"status": Status.DELETED, "reason": UpdateReason.WITHDRAWN, "stale": 0, **columns}
    return b.updates_of(1, offset=offset, **ended)


@given(parts=st.lists(b.foreign_tables(), max_size=3), late=st.booleans())
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_rows_of_several_batches_come_back_and_their_last_heads_are_current(
    writer, history, sql, parts, late
):
    sql.execute("TRUNCATE vedette.foreign_updates, vedette.foreign_current")
    for place, part in enumerate(parts):
        part.updates.known_offset[:] += 10 * place
    batches = [b.given_of(part) for part in parts]
    if late:  # in transactions of their own, the newest first: the outcome is the same
        written = sum(writer.write([batch], 1).foreign for batch in reversed(batches))
    else:
        written = writer.write(batches, 1).foreign
    wanted = ForeignUpdates.concat(parts)
    assert written == len(wanted)
    b.assert_same_foreign(history.foreign(), wanted)

    keys = list(zip(b.named(wanted, "giver"), wanted.updates.track_id.tolist(), strict=True))
    assert history.foreign_tracks() == len(set(keys))
    last = {keys[row]: row for row in np.flatnonzero(wanted.head)}
    rows = [last[key] for key in sorted(last)]
    alive = [
        row
        for row in rows
        if wanted.updates.status[row] != Status.DELETED and wanted.updates.stale[row] >= b.NOW_NS
    ]
    current = history.foreign_current(at_ns=b.NOW_NS)
    b.assert_same_foreign(current, wanted.take(np.array(alive, dtype=np.int64)))
    assert history.counts()["foreign_current"] == len(rows)


def test_nothing_measured_comes_back_as_nothing_measured(writer, history, sql):
    plain = b.updates_of(1, existence=0.5)
    plain.state[0] = (1.0, 0.5, np.nan, -0.0, np.inf, np.nan)
    plain.covariance[0, 3] = 2.0
    wanted = ForeignUpdates.concat([b.foreign_of(plain), b.foreign_of(withdrawal(1), seq=2)])
    writer.write([b.given_of(wanted)], 1)
    b.assert_same_foreign(history.foreign(), wanted)
    nulls = sql.execute(
        "SELECT num_nulls(lat_rad, lon_rad, alt_m, east_mps, north_mps, up_mps, existence,"
        " covariance, classes, identity) FROM vedette.foreign_updates ORDER BY n, known_offset"
    )
    assert nulls.fetchall() == [(4,), (10,)]


def test_rows_are_stored_in_one_transaction_with_everything_else(writer, history):
    builder = DetectionsBuilder()
    builder.report(sensor=0, time=b.NOW_NS, offset=0)
    builder.detection(position=(1.0, 0.5, 0.0))
    refused = (Quarantined(1, 0, "", Reason.NOT_AGREED, "south row 4: area"),)
    foreign = b.foreign_of(b.updates_of(4, track=9))
    batch = OutputBatch(
        0, 3, b.SENSORS, builder.build(), b.updates_of(3), refused, b.NOW_NS, foreign
    )
    written = writer.write([batch], 1)
    assert (written.reports, written.detections, written.updates) == (1, 1, 3)
    assert (written.quarantined, written.foreign, written.rows) == (1, 4, 10)
    assert history.counts() == {
        "reports": 1,
        "detections": 1,
        "tracks": 3,
        "track_current": 1,
        "quarantine": 1,
        "foreign_updates": 4,
        "foreign_current": 1,
    }
    assert history.current_tracks().track_id.tolist() == [1]
    assert history.updates().track_id.tolist() == [1, 1, 1]


def test_writing_again_in_other_cuts_stores_no_row_of_a_ledger_twice(writer, history, sql):
    parts = [b.foreign_of(b.updates_of(10)), b.foreign_of(b.updates_of(10, track=2), giver="east")]
    for part in parts:
        part.updates.n[:] = 1 if part is parts[1] else 0
    whole = b.given_of(*parts)
    assert writer.write([whole], 1).foreign == 20
    for cut in ([whole], [after(whole, 6)], [whole, after(whole, 3), whole]):
        again = writer.write(cut, 1)
        assert (again.foreign, again.repeated) == (0, sum(len(batch.foreign) for batch in cut))
    numbered = sql.execute(
        "SELECT count(*), count(DISTINCT (giver, agreement, seq)), max(seq)"
        " FROM vedette.foreign_updates WHERE seq > 0"
    )
    assert numbered.fetchall() == [(20, 20, 10)]
    assert history.foreign_tracks() == 2


def test_batches_that_overlap_give_each_row_once(writer, history):
    rows = b.foreign_of(b.updates_of(9))
    first, second = rows.take(np.arange(6)), rows.take(np.arange(4, 9))
    assert writer.write([b.given_of(first)], 1).foreign == 6
    written = writer.write([b.given_of(second)], 2)
    assert (written.foreign, written.repeated) == (3, 2)
    b.assert_same_foreign(history.foreign(), rows)
    assert history.foreign_current().updates.revision.tolist() == [9]


def test_batches_with_other_lists_of_names_keep_their_names(writer, history):
    south = b.foreign_of(b.updates_of(1), giver="south", agreement="s-n")
    east = b.foreign_of(b.updates_of(1, offset=1), giver="east", agreement="e-n")
    writer.write([b.given_of(south), b.given_of(east)], 1)
    found = history.foreign()
    assert b.named(found, "giver") == b.named(found, "path") == ["south", "east"]
    assert b.named(found, "agreement") == ["s-n", "e-n"]
    assert history.foreign_tracks() == 2
    only = history.foreign("east")
    assert (only.nodes, only.agreements) == (("east",), ("e-n",))
    assert len(history.foreign("nobody")) == 0


def test_two_nodes_share_a_database_without_meeting(migrated_database):
    foreign = b.foreign_of(b.updates_of(2))
    with Writer(migrated_database, "north") as north, Writer(migrated_database, "west") as west:
        north.write([b.given_of(foreign)], 1)
        west.write([b.given_of(foreign.take(np.arange(1)))], 1)
    assert History(migrated_database, "north").counts()["foreign_updates"] == 2
    assert History(migrated_database, "west").foreign_current().updates.revision.tolist() == [1]
    assert History(migrated_database, "south").foreign_tracks() == 0


@pytest.mark.parametrize(("column", "index"), [("giver", -1), ("agreement", 1), ("path", -2)])
def test_an_index_without_a_name_is_refused_and_nothing_is_stored(writer, history, column, index):
    good, bad = b.foreign_of(b.updates_of(1)), b.foreign_of(b.updates_of(1, offset=1))
    getattr(bad, column)[:] = index
    batches = [b.batch_of(b.updates_of(1)), b.given_of(good), replace(b.given_of(), foreign=bad)]
    with pytest.raises(StorageError, match=rf"inputs 0-0: ForeignUpdates\.{column}"):
        writer.write(batches, 1)
    assert not any(history.counts().values())
    assert writer.cursor() == 0


def test_a_backend_killed_before_the_rows_of_partners_leaves_nothing(writer, history, sql):
    writer.write([], 1)
    batches = [b.batch_of(b.updates_of(50)), b.given_of(b.foreign_of(b.updates_of(50)))]
    failures = []

    def write():
        try:
            writer.write(batches, 2)
        except StorageUnreachable as error:
            failures.append(error)

    with sql.transaction():
        # Our own tracks are inserted by now; what partners gave waits for this lock.
        sql.execute("LOCK TABLE vedette.foreign_updates IN SHARE MODE")
        thread = threading.Thread(target=write)
        thread.start()
        waiting = (
            "SELECT pid FROM pg_locks WHERE NOT granted"
            " AND relation = 'vedette.foreign_updates'::regclass"
        )
        pid = None
        while pid is None:
            row = sql.execute(waiting).fetchone()
            pid = row and row[0]
        sql.execute("SELECT pg_terminate_backend(%s)", (pid,))
        thread.join()
    assert len(failures) == 1
    assert not any(history.counts().values())
    writer.connect()
    assert writer.cursor() == 1
    assert writer.write(batches, 2).rows == 100


def test_what_came_late_is_history_and_never_the_picture(writer, history):
    newest = b.foreign_of(b.updates_of(2, revision=3, valid=b.NOW_NS + 2 * SECOND), seq=3)
    late = b.foreign_of(b.updates_of(2, offset=2), received=b.NOW_NS + 9 * SECOND, head=False)
    writer.write([b.given_of(newest, late)], 1)
    assert history.foreign_current().updates.revision.tolist() == [4]
    assert history.foreign().updates.revision.tolist() == [3, 4, 1, 2]
    assert history.foreign_history("south", 1).updates.revision.tolist() == [1, 2, 3, 4]
    shown = history.foreign_history("south", 1, as_shown_at=b.NOW_NS + 20 * SECOND)
    assert shown.updates.revision.tolist() == [3, 4]
    shown = history.foreign_history("south", 1, as_shown_at=b.NOW_NS + 2 * SECOND - 1)
    assert shown.updates.revision.tolist() == [3]
    assert len(history.foreign_history("east", 1)) == len(history.foreign_history("south", 2)) == 0


def test_a_corrected_time_shows_its_newest_revision(writer, history):
    corrected = b.updates_of(
        1, offset=3, revision=4, valid=b.NOW_NS + SECOND, reason=UpdateReason.CORRECTED
    )
    seen = b.foreign_of(TrackUpdates.concat([b.updates_of(3), corrected]))
    writer.write([b.given_of(seen)], 1)
    assert history.foreign_history("south", 1).updates.revision.tolist() == [1, 4, 3]


def test_a_withdrawn_track_leaves_the_picture_and_keeps_its_past(writer, history):
    closed = withdrawal(3, revision=3, valid=b.NOW_NS + 2 * SECOND)
    ended = b.foreign_of(closed, seq=0, received=b.NOW_NS + 9 * SECOND)
    writer.write([b.given_of(b.foreign_of(b.updates_of(3))), b.given_of(ended)], 1)
    assert len(history.foreign_current()) == 0
    assert history.foreign_tracks() == 1
    past = history.foreign_history("south", 1)
    assert past.updates.revision.tolist() == [1, 2, 3]
    assert UpdateReason.WITHDRAWN not in past.updates.reason
    shown = history.foreign_history("south", 1, as_shown_at=b.NOW_NS + 9 * SECOND)
    assert shown.seq.tolist() == [1, 2, 3, 0]
    # Under a new agreement it comes back, and begins with an old revision.
    again = b.foreign_of(b.updates_of(1, offset=9), agreement="b", received=b.NOW_NS + 20 * SECOND)
    writer.write([b.given_of(again)], 2)
    current = history.foreign_current()
    assert (b.named(current, "agreement"), current.updates.revision.tolist()) == (["b"], [1])
    assert history.foreign_history("south", 1).updates.revision.tolist() == [1, 2, 3]


def test_a_track_that_its_giver_retracted_was_shown_and_never_was(writer, history):
    end = b.updates_of(1, offset=2, revision=3, status=3, reason=UpdateReason.RETRACTED)
    given = b.foreign_of(TrackUpdates.concat([b.updates_of(2), end]))
    other = b.foreign_of(b.updates_of(1, offset=5), giver="east")
    writer.write([b.given_of(given), b.given_of(other)], 1)
    assert len(history.foreign_history("south", 1)) == 0
    assert len(history.foreign_history("south", 1, as_shown_at=b.NOW_NS + 9 * SECOND)) == 3
    assert len(history.foreign_history("east", 1)) == 1


def test_rows_between_times_of_arrival_are_exact_to_the_nanosecond(writer, history):
    writer.write([b.given_of(b.foreign_of(b.updates_of(5), received=b.NOW_NS))], 1)
    since, until = b.NOW_NS + SECOND, b.NOW_NS + 3 * SECOND
    assert history.foreign(since_ns=since, until_ns=until).seq.tolist() == [2, 3]
    assert history.foreign("south", since_ns=since + 1).seq.tolist() == [3, 4, 5]
    assert history.foreign(until_ns=until + 1).seq.tolist() == [1, 2, 3, 4]


def test_what_partners_gave_has_an_age_of_its_own(migrated_database, writer, history):
    kept = b.foreign_of(b.updates_of(5), received=b.NOW_NS)
    gone = b.foreign_of(b.updates_of(2, offset=10, track=2), seq=6, received=b.NOW_NS)
    writer.write([b.batch_of(b.updates_of(5)), b.given_of(kept, gone)], 1)
    policy = Policy(keep_tracks=None, keep_foreign=timedelta(seconds=10))
    deleted = expire(migrated_database, "north", policy, b.NOW_NS + 13 * SECOND)
    assert (deleted["foreign_updates"], deleted["foreign_current"]) == (5, 1)
    assert history.foreign().seq.tolist() == [4, 5]
    assert history.foreign_current().updates.track_id.tolist() == [1]
    assert (history.foreign_tracks(), history.counts()["tracks"]) == (1, 5)
    for_ever = Policy(keep_foreign=None)
    assert "foreign_updates" not in expire(migrated_database, "north", for_ever, 2 * b.NOW_NS)


def test_the_picture_shows_degrees_names_and_heads_alone(writer, sql):
    state = (np.radians(59.5), np.radians(28.25), 120.0, 1.0, 2.0, np.nan)
    seen = b.updates_of(
        2, state=[state], status=Status.CONFIRMED, affiliation=Affiliation.NEUTRAL, identity=b"4ca1"
    )
    late = b.foreign_of(b.updates_of(1, offset=3, revision=0), seq=9, head=False)
    closed = b.foreign_of(withdrawal(4, track=2), seq=3)
    writer.write([b.given_of(b.foreign_of(seen), late, closed)], 1)
    rows = sql.execute(
        "SELECT node, giver, track_id, number, revision, status, affiliation,"
        " round(lat_deg::numeric, 9)::float8, round(lon_deg::numeric, 9)::float8, alt_m, up_mps,"
        " identity, agreement, received::text, stale::text FROM vedette.foreign_picture"
    ).fetchall()
    assert rows == [
        (
            *("north", "south", 1, "A0001", 2, "confirmed", "neutral", 59.5, 28.25, 120.0, None),
            *("4ca1", "a", "2026-03-01 12:00:02.25+00", "2026-03-01 12:00:11.25+00"),
        )
    ]


def test_the_history_view_names_what_was_withdrawn(writer, sql):
    closed = b.foreign_of(withdrawal(1), seq=0)
    writer.write([b.given_of(b.foreign_of(b.updates_of(1)), closed)], 1)
    rows = sql.execute(
        "SELECT giver, agreement, seq, path, head, status, reason, lat_deg, received - sent"
        " FROM vedette.foreign_history ORDER BY known_offset, n"
    ).fetchall()
    transit = timedelta(milliseconds=3)
    assert rows == [
        ("south", "a", 1, ["south"], True, "tentative", "detected", None, transit),
        ("south", "a", 0, ["south"], True, "deleted", "withdrawn", None, transit),
    ]


def test_every_value_of_the_enumerations_has_its_name_in_the_views(sql, writer):
    for function, enumeration in (
        ("status_name", Status),
        ("reason_name", UpdateReason),
        ("affiliation_name", Affiliation),
    ):
        names = [
            sql.execute(f"SELECT vedette.{function}(%s::smallint)", (int(value),)).fetchone()
            for value in enumeration
        ]
        assert names == [(value.name.lower(),) for value in enumeration]
    rows = b.updates_of(len(UpdateReason), reason=[int(reason) for reason in UpdateReason])
    writer.write([b.batch_of(rows)], 1)
    shown = sql.execute("SELECT reason FROM vedette.track_history ORDER BY known_offset").fetchall()
    assert shown == [(reason.name.lower(),) for reason in UpdateReason]


def test_a_track_is_found_by_its_index_and_a_row_of_a_ledger_by_its_number(writer, sql):
    parts = [
        b.foreign_of(b.updates_of(500, offset=500 * k, track=k + 1), seq=1 + 500 * k)
        for k in range(20)
    ]
    writer.write([b.given_of(*parts)], 1)
    sql.execute("ANALYZE vedette.foreign_updates")
    found = sql.execute(
        "EXPLAIN SELECT * FROM vedette.foreign_updates"
        " WHERE node = 'north' AND giver = 'south' AND track_id = 7"
    )
    assert "foreign_updates_track" in str(found.fetchall())
    found = sql.execute(
        "EXPLAIN SELECT * FROM vedette.foreign_updates"
        " WHERE node = 'north' AND giver = 'south' AND agreement = 'a' AND seq = 4711"
    )
    assert "foreign_updates_seq" in str(found.fetchall())
