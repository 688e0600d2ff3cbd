"""How long things are kept, and deleting them where the server does not do it by itself."""

from dataclasses import dataclass
from datetime import timedelta

from psycopg import sql

from model.time import iso_from_ns
from storage.connection import connect, storage_errors

DELETE_ROWS = 10_000
"""Rows a transaction, so that deleting never keeps the writer waiting for long."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How the database is laid out and how long it keeps what.

    Parameters
    ----------
    chunk
        Time that one chunk of a hypertable covers. The indexes of the chunks being written should
        fit in a quarter of the server's memory; many small chunks make planning slow.
    columnstore_after
        Age at which chunks are compressed, where the server can.
    keep_detections, keep_tracks, keep_quarantine, keep_foreign
        None: for ever. `keep_foreign` is for what partners gave, and counts from its arrival.
    """

    chunk: timedelta = timedelta(hours=6)
    columnstore_after: timedelta = timedelta(days=1)
    keep_detections: timedelta | None = timedelta(days=30)
    keep_tracks: timedelta | None = timedelta(days=365)
    keep_quarantine: timedelta | None = timedelta(days=30)
    keep_foreign: timedelta | None = timedelta(days=365)


def expire(dsn: str, node: str, policy: Policy, now_ns: int) -> dict[str, int]:
    """Delete the rows of a node that are older than the policy says.

    For plain tables; a hypertable with a retention policy has none left to delete. Ended tracks
    leave the current picture with their history.

    Parameters
    ----------
    dsn, node
        Where and whose.
    policy
        How long things are kept.
    now_ns
        The present, UTC ns.

    Returns
    -------
    dict
        Rows deleted by table.

    Raises
    ------
    StorageError
        If the database cannot be used.
    """
    rules = (
        ("detections", "time", policy.keep_detections),
        ("reports", "time", policy.keep_detections),
        ("tracks", "valid", policy.keep_tracks),
        ("track_current", "valid", policy.keep_tracks),
        ("quarantine", "published", policy.keep_quarantine),
        ("foreign_updates", "received", policy.keep_foreign),
        ("foreign_current", "received", policy.keep_foreign),
    )
    deleted = {}
    with connect(dsn, autocommit=True) as connection, storage_errors(dsn):
        for table, time, keep in rules:
            if keep is None:
                continue
            before = iso_from_ns(max(0, now_ns - round(keep.total_seconds()) * 1_000_000_000))
            statement = sql.SQL(
                "DELETE FROM {table} WHERE (tableoid, ctid) IN ("
                " SELECT tableoid, ctid FROM {table}"
                " WHERE node = %s AND {time} < %s::timestamptz LIMIT %s)"
            ).format(table=sql.Identifier("vedette", table), time=sql.Identifier(time))
            deleted[table] = 0
            while True:
                count = connection.execute(statement, (node, before, DELETE_ROWS)).rowcount
                deleted[table] += count
                if count < DELETE_ROWS:
                    break
    return deleted
