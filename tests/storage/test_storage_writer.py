"""`Writer`: everything comes back bit by bit, once, whatever happens in between."""

import dataclasses
import threading
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings

from model.detections import DetectionKind, DetectionsBuilder
from model.errors import Quarantined, Reason, StorageError
from model.tracks import TrackUpdates
from storage.connection import StorageUnreachable
from storage.history import History
from storage.writer import Position, Writer
from tests.local.support import python
from tests.storage import batches as b

pytestmark = pytest.mark.database

TABLES = (
    "reports",
    "detections",
    "tracks",
    "track_current",
    "quarantine",
    "foreign_updates",
    "foreign_current",
)


@pytest.fixture
def writer(migrated_database):
    with Writer(migrated_database, "north") as opened:
        yield opened


@pytest.fixture
def sql(migrated_database):
    with psycopg.connect(migrated_database, autocommit=True) as connection:
        yield connection


def wipe(connection) -> None:
    connection.execute("TRUNCATE " + ", ".join(f"vedette.{table}" for table in TABLES))


@given(batch=b.batches)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_a_batch_comes_back_bit_by_bit_and_is_stored_once(migrated_database, writer, sql, batch):
    wipe(sql)
    written = writer.write([batch], 1)
    assert written.repeated == 0
    history = History(migrated_database, "north", b.SENSORS)

    order = np.lexsort((batch.updates.n, batch.updates.known_offset))
    b.assert_same(history.updates(), batch.updates.take(order))

    found = history.detections()
    spans = ("looked_vertices", "line_vertices")
    b.assert_same(found, batch.detections, skip=("vertices", *spans))
    for name in spans:
        assert b.polygons(getattr(found, name), found.vertices) == b.polygons(
            getattr(batch.detections, name), batch.detections.vertices
        )

    order = np.lexsort((batch.foreign.updates.n, batch.foreign.updates.known_offset))
    b.assert_same_foreign(history.foreign(), batch.foreign.take(order))
    assert written.foreign == len(batch.foreign)

    before = rows(sql)
    again = writer.write([batch], 1)
    assert again.rows == 0
    assert again.repeated == written.rows
    assert rows(sql) == before


def rows(connection) -> dict[str, Any]:
    statement = "SELECT t::text FROM vedette.{} AS t ORDER BY 1"
    return {table: connection.execute(statement.format(table)).fetchall() for table in TABLES}


def test_the_times_that_people_read_are_those_of_the_nanoseconds(writer, sql):
    writer.write([b.batch_of(b.updates_of(1, valid=1_772_366_400_250_000_999))], 1)
    query = "SELECT valid::text, valid_ns FROM vedette.tracks"
    assert sql.execute(query).fetchone() == (
        "2026-03-01 12:00:00.25+00",
        1_772_366_400_250_000_999,
    )


def test_the_views_show_degrees_and_names(writer, sql):
    state = (np.radians(59.5), np.radians(28.25), 120.0, 1.0, 2.0, np.nan)
    updates = b.updates_of(1, state=[state], status=1, identity=b"4ca1f2")
    updates.sensors[0, :2] = (1, 0)
    builder = DetectionsBuilder()
    builder.report(sensor=0, time=b.NOW_NS, offset=0)
    builder.detection(kind=DetectionKind.POLAR, polar=(1500.0, np.pi / 2, np.nan, np.nan))
    writer.write([b.batch_of(updates, detections=builder.build())], 1)
    row = sql.execute(
        "SELECT number, status, round(lat_deg::numeric, 9), round(lon_deg::numeric, 9), up_mps,"
        " sensors, identity FROM vedette.track_picture"
    ).fetchone()
    assert row is not None
    assert row[:2] == ("A0001", "confirmed")
    assert (float(row[2]), float(row[3])) == (59.5, 28.25)
    assert row[4:] == (None, ["ground 2", "radar-1"], "4ca1f2")
    assert sql.execute("SELECT reason FROM vedette.track_history").fetchall() == [("detected",)]
    found = sql.execute(
        "SELECT sensor, kind, azimuth_deg, elevation_deg FROM vedette.detection_history"
    )
    assert found.fetchall() == [("radar-1", "polar", 90.0, None)]


def test_an_empty_report_is_kept(writer, sql):
    builder = DetectionsBuilder()
    builder.report(sensor=0, time=b.NOW_NS, offset=3, looked_polygon=[(1.0, 0.5), (1.1, 0.6)])
    batch = b.batch_of(TrackUpdates.empty(), detections=builder.build())
    assert writer.write([batch], 1).reports == 1
    query = "SELECT sensor, looked_polygon FROM vedette.reports"
    assert sql.execute(query).fetchall() == [("radar-1", [1.0, 0.5, 1.1, 0.6])]


def test_current_tracks_hold_the_highest_revision_whatever_the_order(writer, migrated_database):
    history = History(migrated_database, "north", b.SENSORS)
    writer.write([b.batch_of(b.updates_of(3, revision=4, offset=10))], 1)
    writer.write([b.batch_of(b.updates_of(3, revision=1, offset=0))], 2)
    assert history.current_tracks().revision.tolist() == [6]
    writer.write([b.batch_of(b.updates_of(1, revision=1, offset=20, authority_epoch=1))], 3)
    assert history.current_tracks().authority_epoch.tolist() == [1]
    writer.write(
        [b.batch_of(b.updates_of(1, revision=2, offset=21, authority_epoch=1, status=3))], 4
    )
    assert len(history.current_tracks()) == 0
    assert history.counts()["tracks"] == 8


def test_of_what_is_partly_there_the_rest_is_stored(writer, migrated_database, sql):
    builder = DetectionsBuilder()
    for offset in range(4):
        builder.report(sensor=0, time=b.NOW_NS, offset=offset)
        builder.detection(kind=DetectionKind.POLAR, polar=(1500.0, 1.0, np.nan, np.nan))
    whole = b.batch_of(b.updates_of(4), detections=builder.build())
    half = b.batch_of(
        whole.updates.take(whole.updates.known_offset < 2),
        detections=whole.detections.take_reports(np.flatnonzero(whole.detections.offset < 2)),
    )
    assert writer.write([half], 1).rows == 2 + 2 + 2
    written = writer.write([whole], 2)
    assert (written.reports, written.detections, written.updates) == (2, 2, 2)
    assert written.repeated == 2 + 2 + 2
    before = rows(sql)
    assert writer.write([half], 3).rows == 0
    assert rows(sql) == before
    assert History(migrated_database, "north").counts()["tracks"] == 4


def test_two_nodes_share_a_database_without_meeting(migrated_database):
    with Writer(migrated_database, "north") as north, Writer(migrated_database, "south") as south:
        north.write([b.batch_of(b.updates_of(2))], 5)
        south.write([b.batch_of(b.updates_of(3))], 7)
        assert (north.cursor(), south.cursor()) == (5, 7)
    assert History(migrated_database, "north").counts()["tracks"] == 2
    assert History(migrated_database, "south").counts()["tracks"] == 3


def test_batches_with_other_sensor_lists_keep_their_names(writer, migrated_database):
    first, second = b.updates_of(1), b.updates_of(1, offset=1, revision=2)
    first.sensors[0, :2] = (0, 1)
    second.sensors[0, :2] = (0, 1)
    builder = DetectionsBuilder()
    builder.report(sensor=0, time=b.NOW_NS, offset=1)
    writer.write(
        [
            b.batch_of(first, sensor_ids=("a", "b")),
            b.batch_of(second, sensor_ids=("b", "c"), detections=builder.build()),
        ],
        2,
    )
    history = History(migrated_database, "north", ("c",))
    got = history.updates().sensors[:, :3].tolist()
    names = history.sensor_ids
    assert [[names[i] for i in row if i >= 0] for row in got] == [["a", "b"], ["b", "c"]]
    assert names[0] == "c"
    assert [names[i] for i in history.detections().sensor] == ["b"]


def test_a_sensor_index_beyond_the_list_is_refused_and_nothing_is_stored(writer, sql):
    updates = b.updates_of(1)
    updates.sensors[0, 0] = 9
    with pytest.raises(StorageError, match="names a sensor that is not in its list"):
        writer.write([b.batch_of(updates)], 1)
    assert writer.cursor() == 0
    assert not any(rows(sql).values())


def test_the_cursor_moves_with_the_rows(writer):
    assert writer.position() == Position(0, -1)
    writer.write([b.batch_of(b.updates_of(3))], 4)
    assert writer.position() == Position(4, 2)
    writer.write([], 6)
    assert writer.position() == Position(6, 2)


def test_a_backend_killed_in_mid_transaction_leaves_nothing(writer, migrated_database, sql):
    # Another session holds the row that the cursor's move needs, so the writer stands with all
    # its rows inserted and nothing committed. Then its backend is ended.
    writer.write([], 1)
    failures = []

    def write():
        try:
            writer.write([b.batch_of(b.updates_of(100))], 2)
        except StorageUnreachable as error:
            failures.append(error)

    with psycopg.connect(migrated_database) as holder:
        holder.execute("SELECT 1 FROM vedette.writer_cursor FOR UPDATE")
        thread = threading.Thread(target=write)
        thread.start()
        waiting = (
            "SELECT pid FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        pid = None
        while pid is None:
            row = sql.execute(waiting).fetchone()
            pid = row and row[0]
        sql.execute("SELECT pg_terminate_backend(%s)", (pid,))
        thread.join()
    assert len(failures) == 1
    with pytest.raises(StorageUnreachable, match="not connected"):
        writer.cursor()
    writer.connect()
    assert writer.cursor() == 1
    assert not sql.execute("SELECT 1 FROM vedette.tracks").fetchall()
    assert writer.write([b.batch_of(b.updates_of(100))], 2).updates == 100
    assert writer.cursor() == 2


KILLED = """
import sys
from storage.writer import Writer
from tests.storage.batches import batch_of, updates_of

with Writer(sys.argv[1], "north") as writer:
    for cursor in range(writer.cursor(), 300):
        updates = updates_of(20, offset=cursor * 20, revision=cursor * 20 + 1)
        writer.write([batch_of(updates)], cursor + 1)
        print(cursor, flush=True)
"""


def test_a_writer_killed_again_and_again_neither_loses_nor_doubles(migrated_database):
    kills = 0
    while True:
        with python(KILLED, migrated_database) as process:
            assert process.stdout is not None
            for _ in range(70):
                if not process.stdout.readline():
                    break
            else:
                process.kill()
                kills += 1
                continue
        assert process.returncode == 0
        break
    assert kills >= 1
    wanted = b.updates_of(6_000)
    for name in ("valid", "known", "stale"):  # each batch of 20 begins its seconds anew
        getattr(wanted, name)[:] -= np.arange(6_000) // 20 * 20 * 10**9
    history = History(migrated_database, "north", b.SENSORS)
    b.assert_same(history.updates(), wanted)
    assert history.current_tracks().revision.tolist() == [6_000]
    with Writer(migrated_database, "north") as writer:
        assert writer.cursor() == 300


def test_what_postgresql_cannot_hold_is_replaced_not_refused(writer, sql):
    refused = [
        Quarantined(0, 0, "s\0x", Reason.NOT_JSON, "bad \ud800 byte"),
        Quarantined(0, -1, "", Reason.OVERSIZE, ""),
    ]
    updates = b.updates_of(1)
    updates.number[0] = b"A\xff\x0012"
    assert writer.write([b.batch_of(updates, quarantined=refused)], 1).quarantined == 2
    query = "SELECT n, item, sensor, reason, detail FROM vedette.quarantine ORDER BY n"
    assert sql.execute(query).fetchall() == [
        (0, 0, "s\ufffdx", "not_json", "bad ? byte"),
        (1, -1, "", "oversize", ""),
    ]
    assert sql.execute("SELECT number FROM vedette.tracks").fetchone() == ("A??12",)


def test_a_server_that_is_away_and_a_dsn_that_is_none_are_told_apart(server_folder):
    with pytest.raises(StorageUnreachable, match="database d at /"):
        Writer(f"host={server_folder} dbname=d password=secret", "north").connect()
    with pytest.raises(StorageError, match=r"database\.dsn") as caught:
        Writer("no dsn", "north").connect()
    assert not isinstance(caught.value, StorageUnreachable)


def test_large_batches_of_mixed_length_cross_block_borders(writer, migrated_database):
    rng = np.random.default_rng(7)
    updates = b.updates_of(5_000)
    updates.state[:] = rng.normal(size=(5_000, 6))
    updates.covariance[::3] = rng.normal(size=(1_667, 21))
    updates.sensors[:, 0] = rng.integers(-1, 4, 5_000)
    updates.identity[::2] = b"123456789"
    writer.write([b.batch_of(updates)], 1)
    b.assert_same(History(migrated_database, "north", b.SENSORS).updates(), updates)


def test_one_long_polygon_among_many_reports(writer, migrated_database):
    builder = DetectionsBuilder()
    for index in range(3_000):
        points = [(0.1 * i, 0.2) for i in range(5_000)] if index == 1_500 else []
        builder.report(sensor=0, time=b.NOW_NS, offset=index, looked_polygon=points)
    batch = b.batch_of(TrackUpdates.empty(), detections=builder.build())
    assert writer.write([batch], 1).reports == 3_000
    found = History(migrated_database, "north", b.SENSORS).detections(1_500, 1_500)
    assert found.looked_vertices.tolist() == [[0, 5_000]]
    b.assert_same(
        dataclasses.replace(found),
        batch.detections.take_reports([1_500]),
        skip=("looked_vertices",),
    )
