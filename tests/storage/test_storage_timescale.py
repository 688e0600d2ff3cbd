"""The capability step: plain tables here, hypertables where `VEDETTE_TEST_TIMESCALE_DSN` leads."""

import time
from datetime import timedelta

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from model.foreign import ForeignUpdates
from storage.connection import connect
from storage.history import History
from storage.migrate import migrate
from storage.retention import Policy, expire
from storage.timescale import SERIES, _preloaded, prepare
from storage.writer import Writer
from tests.storage import batches as b

pytestmark = pytest.mark.database


def test_a_plain_server_gets_brin_indexes_and_says_what_it_lacks(migrated_database):
    first, second = prepare(migrated_database), prepare(migrated_database)
    assert first == second
    assert first.timescale is None
    assert (first.hypertables, first.columnstore, first.retention) == (False, False, False)
    assert first.lacks[0] == "the server has no TimescaleDB"
    assert first.postgres.startswith("18.")
    with psycopg.connect(migrated_database) as connection:
        found = connection.execute(
            "SELECT tablename FROM pg_indexes WHERE schemaname = 'vedette'"
            " AND indexdef LIKE '%USING brin%' ORDER BY 1"
        ).fetchall()
    assert found == [("detections",), ("foreign_updates",), ("reports",), ("tracks",)]


def test_columnstore_columns_hold_the_whole_primary_key(migrated_database):
    with psycopg.connect(migrated_database) as connection:
        for series in SERIES:
            rows = connection.execute(
                "SELECT attname FROM pg_index JOIN pg_attribute"
                " ON attrelid = indrelid AND attnum = ANY (indkey)"
                " WHERE indrelid = %s::regclass AND indisprimary",
                (f"vedette.{series.table}",),
            ).fetchall()
            layout = f"{series.segment_by}, {series.order_by}".replace(" DESC", "").split(", ")
            assert {row[0] for row in rows} <= set(layout)
            assert series.time in {row[0] for row in rows}


def test_a_user_without_rights_still_gets_an_answer(migrated_database):
    # Such a user may not read shared_preload_libraries, nor make schemas.
    with psycopg.connect(migrated_database, autocommit=True) as connection:
        connection.execute("CREATE ROLE plain LOGIN")
        connection.execute("GRANT USAGE ON SCHEMA vedette TO plain")
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA vedette TO plain")
        try:
            dsn = make_conninfo(migrated_database, user="plain")
            assert migrate(dsn) == 0
            # What it does not own it takes as it is.
            assert "TimescaleDB is not created in this database" in prepare(dsn).lacks
            with connect(dsn, autocommit=True) as plain:
                assert _preloaded(plain) is False
        finally:
            connection.execute("DROP OWNED BY plain")
            connection.execute("DROP ROLE plain")


@pytest.fixture
def opened(timescale_database):
    with Writer(timescale_database, "north") as writer:
        yield writer


def test_timescale_makes_hypertables_of_tables_that_hold_rows(timescale_database):
    migrate(timescale_database)
    with psycopg.connect(timescale_database) as connection:
        connection.execute(
            "INSERT INTO vedette.reports (node, known_offset, report, time, time_ns, received_ns,"
            " sensor, mode) VALUES ('north', 0, 0, now(), %(ns)s, %(ns)s, 'r', 0)",
            {"ns": time.time_ns()},  # an old one would fall to the policy of retention at once
        )
    capabilities = prepare(timescale_database)
    assert capabilities.timescale
    assert capabilities.hypertables
    assert prepare(timescale_database) == capabilities
    with psycopg.connect(timescale_database) as connection:
        found = connection.execute(
            "SELECT hypertable_name FROM timescaledb_information.hypertables"
            " WHERE hypertable_schema = 'vedette' ORDER BY 1"
        ).fetchall()
        telemetry = connection.execute(
            "SELECT current_setting('timescaledb.telemetry_level')"
        ).fetchone()
    assert found == [("detections",), ("foreign_updates",), ("reports",), ("tracks",)]
    assert History(timescale_database, "north").counts()["reports"] == 1
    said = any("reports to its maker" in line for line in capabilities.lacks)
    assert said or telemetry == ("off",)


def test_timescale_keeps_the_writers_promises(timescale_database, opened):
    updates = b.updates_of(500, track=7)
    assert opened.write([b.batch_of(updates)], 1).updates == 500
    assert opened.write([b.batch_of(updates)], 1).repeated == 500
    history = History(timescale_database, "north", b.SENSORS)
    b.assert_same(history.updates(), updates)
    assert len(history.track_history(7)) == 500
    foreign = b.foreign_of(updates)
    assert opened.write([b.given_of(foreign)], 2).foreign == 500
    assert opened.write([b.given_of(foreign)], 2).repeated == 500
    b.assert_same_foreign(history.foreign(), foreign)
    assert len(history.foreign_history("south", 7)) == 500
    assert history.foreign_current().updates.revision.tolist() == [500]


def test_timescale_takes_repeated_and_late_rows_into_compressed_chunks(timescale_database, opened):
    capabilities = prepare(timescale_database)
    if not capabilities.columnstore:
        pytest.skip(f"no columnstore: {capabilities.lacks}")
    updates = b.updates_of(500, track=7)
    foreign = b.foreign_of(updates)
    opened.write([b.batch_of(updates), b.given_of(foreign)], 1)
    with psycopg.connect(timescale_database, autocommit=True) as connection:
        chunks = connection.execute(
            "SELECT show_chunks('vedette.tracks')::text"
            " UNION ALL SELECT show_chunks('vedette.foreign_updates')::text"
        ).fetchall()
        assert len(chunks) >= 2
        for (chunk,) in chunks:
            connection.execute("CALL convert_to_columnstore(%s::regclass)", (chunk,))
    assert opened.write([b.batch_of(updates), b.given_of(foreign)], 1).repeated == 1000
    late = b.updates_of(10, track=7, offset=900, revision=501)
    assert opened.write([b.batch_of(late)], 2).updates == 10
    after = b.foreign_of(late, seq=501)
    assert opened.write([b.given_of(after)], 3).foreign == 10
    history = History(timescale_database, "north")
    assert len(history.updates()) == 510
    b.assert_same_foreign(history.foreign(), ForeignUpdates.concat([foreign, after]))
    assert history.foreign_tracks() == 1


def test_timescale_policies_follow_the_settings(timescale_database, opened):
    capabilities = prepare(timescale_database, Policy(keep_tracks=timedelta(days=3)))
    if not capabilities.retention:
        pytest.skip(f"no retention policies: {capabilities.lacks}")
    changed = Policy(
        keep_tracks=timedelta(days=5), keep_detections=None, keep_foreign=timedelta(days=7)
    )
    prepare(timescale_database, changed)
    with psycopg.connect(timescale_database) as connection:
        found = connection.execute(
            "SELECT hypertable_name, config ->> 'drop_after' FROM timescaledb_information.jobs"
            " WHERE proc_name = 'policy_retention' AND hypertable_schema = 'vedette'"
            " ORDER BY 1"
        ).fetchall()
    assert found == [("foreign_updates", "7 days"), ("tracks", "5 days")]


def test_timescale_deletes_by_hand_too(timescale_database, opened):
    opened.write([b.batch_of(b.updates_of(5))], 1)
    opened.write([b.given_of(b.foreign_of(b.updates_of(5), received=b.NOW_NS))], 2)
    policy = Policy(keep_tracks=timedelta(seconds=1), keep_foreign=timedelta(seconds=2))
    deleted = expire(timescale_database, "north", policy, b.NOW_NS + 3 * 10**9)
    assert (deleted["tracks"], deleted["foreign_updates"]) == (2, 1)
