"""What the server can do beyond plain tables.

The migrations make plain tables, which every PostgreSQL has. This step, run at every start and
fit to be run again, makes more of them where it can:

==========================  ===================================================================
TimescaleDB, community      hypertables, columnstore, retention
TimescaleDB, Apache         hypertables
PostgreSQL                  BRIN indexes on time; `storage.retention.expire` deletes
==========================  ===================================================================

The extension counts as there only if the server has it *and* preloads it: otherwise
``CREATE EXTENSION`` fails. What is lacking is said in short sentences, for the status.
"""

from dataclasses import dataclass
from datetime import timedelta

import psycopg
from psycopg import sql

from storage.connection import Connection, connect, storage_errors
from storage.migrate import migration_lock
from storage.retention import Policy
from storage.roles import owns_tables

EXTENSION = "timescaledb"

COMMUNITY = "timescale"
"""Value of ``timescaledb.license`` with columnstore and retention policies."""


@dataclass(frozen=True, slots=True)
class Series:
    """A table that grows with time.

    Parameters
    ----------
    table, time
        Its name and its column of time.
    segment_by, order_by
        Of the columnstore. Together they hold every column of the primary key: TimescaleDB then
        finds what a late or repeated row could collide with in one segment.
    """

    table: str
    time: str
    segment_by: str
    order_by: str


SERIES = (
    Series("reports", "time", "node, sensor", "time DESC, known_offset, report"),
    Series("detections", "time", "node, sensor", "time DESC, known_offset, report, n"),
    Series("tracks", "valid", "node, track_id", "valid DESC, known_offset, n"),
    Series(
        "foreign_updates", "received", "node, giver, track_id", "received DESC, known_offset, n"
    ),
)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What became of the tables.

    Parameters
    ----------
    postgres
        Version of the server.
    timescale
        Version of the extension; None: not there.
    license
        Its licence, ``timescale`` or ``apache``; empty: not there.
    hypertables, columnstore, retention
        Whether the server has them.
    lacks
        What is lacking, a short sentence each.
    """

    postgres: str
    timescale: str | None = None
    license: str = ""
    hypertables: bool = False
    columnstore: bool = False
    retention: bool = False
    lacks: tuple[str, ...] = ()


def prepare(dsn: str, policy: Policy | None = None) -> Capabilities:
    """Make the most of what the server can do; the tables must be there.

    Parameters
    ----------
    dsn
        Connection string. Where its user does not own the tables, they are taken as they are: the
        owner has prepared them.
    policy
        Sizes and ages.

    Returns
    -------
    Capabilities
        What it came to.

    Raises
    ------
    StorageError
        If the database cannot be used at all. A server that merely refuses something is described
        in `Capabilities.lacks`.
    """
    policy = policy or Policy()
    with (
        storage_errors(dsn),
        connect(dsn, autocommit=True) as connection,
        migration_lock(connection, dsn),
    ):
        version = connection.info.server_version
        postgres = f"{version // 10_000}.{version % 10_000}"
        if not owns_tables(connection):
            return _as_found(connection, postgres)
        missing = _missing(connection) or _create_extension(connection)
        if missing:
            for series in SERIES:
                _brin(connection, series)
            return Capabilities(postgres, lacks=(missing, _PLAIN))
        return _timescale(connection, policy, postgres)


def _as_found(connection: Connection, postgres: str) -> Capabilities:
    """What the owner has made of the tables, as far as another may know."""
    row = connection.execute(
        "SELECT extversion, coalesce(current_setting('timescaledb.license', true), '')"
        " FROM pg_extension WHERE extname = %s",
        (EXTENSION,),
    ).fetchone()
    if row is None:
        return Capabilities(postgres, lacks=("TimescaleDB is not created in this database", _PLAIN))
    community = row[1] == COMMUNITY
    return Capabilities(postgres, row[0], row[1], True, community, community)


_PLAIN = "tables are plain: no compression, and old rows are deleted one by one"


def _missing(connection: Connection) -> str:
    """Why the extension cannot be had, or nothing."""
    row = connection.execute(
        "SELECT count(*) FROM pg_available_extensions WHERE name = %s", (EXTENSION,)
    ).fetchone()
    if row is None or row[0] == 0:
        return "the server has no TimescaleDB"
    if not _preloaded(connection):
        return "the server has TimescaleDB but does not preload it (shared_preload_libraries)"
    return ""


def _preloaded(connection: Connection) -> bool:
    # Without it, CREATE EXTENSION would end the connection.
    try:
        row = connection.execute("SELECT current_setting('shared_preload_libraries')").fetchone()
        libraries = row[0].split(",") if row else []
        return any(library.strip(' "').split("/")[-1] == EXTENSION for library in libraries)
    except psycopg.errors.InsufficientPrivilege:
        # Only superusers may read that; a library that is loaded shows its own settings.
        row = connection.execute(
            "SELECT count(*) FROM pg_settings WHERE name LIKE 'timescaledb.%'"
        ).fetchone()
        return row is not None and row[0] > 0


def _create_extension(connection: Connection) -> str:
    """Why the extension could not be made, or nothing."""
    try:
        connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    except psycopg.errors.InsufficientPrivilege:
        return "TimescaleDB is not created in this database, and we may not create it"
    return ""


def _timescale(connection: Connection, policy: Policy, postgres: str) -> Capabilities:
    row = connection.execute(
        "SELECT extversion, current_setting('timescaledb.license', true)"
        " FROM pg_extension WHERE extname = %s",
        (EXTENSION,),
    ).fetchone()
    version, licence = (row[0], row[1] or "") if row else ("", "")
    lacks = [text for text in (_telemetry_off(connection),) if text]
    for series in SERIES:
        _hypertable(connection, series, policy.chunk)
    community = licence == COMMUNITY
    if community:
        for series in SERIES:
            _columnstore(connection, series, policy.columnstore_after)
        for table, keep in (
            ("reports", policy.keep_detections),
            ("detections", policy.keep_detections),
            ("tracks", policy.keep_tracks),
            ("foreign_updates", policy.keep_foreign),
        ):
            _retention(connection, table, keep)
    else:
        lacks.append(
            f"TimescaleDB's licence is {licence or 'unknown'}: no columnstore, no retention "
            "policies; old rows are deleted one by one"
        )
    return Capabilities(postgres, version, licence, True, community, community, tuple(lacks))


def _telemetry_off(connection: Connection) -> str:
    """Turn off the daily report to the maker; why that failed, or nothing.

    For this database only: the server may serve others.
    """
    try:
        name = connection.info.dbname
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET timescaledb.telemetry_level = 'off'").format(
                sql.Identifier(name)
            )
        )
    except psycopg.errors.InsufficientPrivilege:
        row = connection.execute(
            "SELECT current_setting('timescaledb.telemetry_level', true)"
        ).fetchone()
        if row is None or row[0] != "off":
            return (
                "TimescaleDB reports to its maker every day, and we may not turn it off "
                "(timescaledb.telemetry_level)"
            )
    return ""


def _brin(connection: Connection, series: Series) -> None:
    connection.execute(
        sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} USING brin ({})").format(
            sql.Identifier(f"{series.table}_brin"),
            sql.Identifier("vedette", series.table),
            sql.Identifier(series.time),
        )
    )


def _hypertable(connection: Connection, series: Series, chunk: timedelta) -> None:
    # Rows that a plain table already holds are moved into chunks.
    connection.execute(
        "SELECT create_hypertable(%s::regclass, by_range(%s::name, %s::interval),"
        " create_default_indexes => false, if_not_exists => true, migrate_data => true)",
        (f"vedette.{series.table}", series.time, chunk),
    )
    # Of no effect on the chunks that are there already.
    connection.execute(
        "SELECT set_chunk_time_interval(%s::regclass, %s::interval)",
        (f"vedette.{series.table}", chunk),
    )


def _columnstore(connection: Connection, series: Series, after: timedelta) -> None:
    name = f"vedette.{series.table}"
    row = connection.execute(
        "SELECT compression_enabled FROM timescaledb_information.hypertables"
        " WHERE hypertable_schema = 'vedette' AND hypertable_name = %s",
        (series.table,),
    ).fetchone()
    if row is None or not row[0]:
        connection.execute(
            sql.SQL(
                "ALTER TABLE {} SET (timescaledb.enable_columnstore,"
                " timescaledb.segmentby = {}, timescaledb.orderby = {})"
            ).format(sql.Identifier("vedette", series.table), series.segment_by, series.order_by)
        )
    # Removed and added, because adding alone keeps the age of the policy that is there.
    connection.execute("CALL remove_columnstore_policy(%s::regclass, if_exists => true)", (name,))
    connection.execute(
        "CALL add_columnstore_policy(%s::regclass, after => %s::interval)", (name, after)
    )


def _retention(connection: Connection, table: str, keep: timedelta | None) -> None:
    name = f"vedette.{table}"
    connection.execute("SELECT remove_retention_policy(%s::regclass, if_exists => true)", (name,))
    if keep is not None:
        connection.execute(
            "SELECT add_retention_policy(%s::regclass, drop_after => %s::interval)", (name, keep)
        )
