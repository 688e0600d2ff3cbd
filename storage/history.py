"""Questions to the database: the tracks now, a track's past, and everything back bit by bit."""

import threading
from collections.abc import Sequence
from typing import Any

from psycopg import sql

from model.detections import Detections
from model.foreign import ForeignUpdates
from model.tracks import Status, TrackUpdates, UpdateReason
from storage.connection import Connection, connect, storage_errors
from storage.foreign_tables import FOREIGN_COLUMNS, decode_foreign
from storage.tables import (
    DETECTION_COLUMNS,
    REPORT_COLUMNS,
    TRACK_COLUMNS,
    decode_detections,
    decode_tracks,
)

TABLES = (
    "reports",
    "detections",
    "tracks",
    "track_current",
    "quarantine",
    "foreign_updates",
    "foreign_current",
)


class History:
    """Reads what a `storage.writer.Writer` stored.

    Every question takes a connection of its own, so it may be asked from any thread.

    Parameters
    ----------
    dsn
        Connection string; reading is enough.
    node
        Whose rows.
    sensor_ids
        Names whose places are the sensor indices in the answers. Names that turn up beyond them
        (of sensors that the node no longer has) are put behind: see `sensor_ids`.

    Raises
    ------
    StorageError
        By every method, if the database cannot be used.
    """

    def __init__(self, dsn: str, node: str, sensor_ids: Sequence[str] = ()) -> None:
        self.node = node
        self._dsn = dsn
        self._places = {name: place for place, name in enumerate(sensor_ids)}
        self._lock = threading.Lock()

    @property
    def sensor_ids(self) -> tuple[str, ...]:
        """Names behind the sensor indices of all answers so far; it only grows."""
        with self._lock:
            return tuple(self._places)

    def current_tracks(self, *, at_ns: int | None = None) -> TrackUpdates:
        """Newest update of each track that has not ended, by track id.

        Parameters
        ----------
        at_ns
            Leave out those that are stale at this time, UTC ns; None: leave out none.
        """
        where = sql.SQL("status <> {} AND stale_ns >= %s ORDER BY track_id").format(
            int(Status.DELETED)
        )
        return self._tracks("track_current", where, (-(2**63) if at_ns is None else at_ns,))

    def track_history(self, track_id: int, *, as_shown_at: int | None = None) -> TrackUpdates:
        """Past of one track.

        Parameters
        ----------
        track_id
            Which track.
        as_shown_at
            UTC ns: every update that was published by then, in the order in which it was, as the
            screens showed it; what became known later is not in it. None: as known now: of each
            time the newest revision alone, in the order of time, and nothing at all of a track
            that was retracted.
        """
        if as_shown_at is not None:
            where = "track_id = %s AND known_ns <= %s ORDER BY known_offset, n"
            return self._tracks("tracks", sql.SQL(where), (track_id, as_shown_at))
        newest = sql.SQL(
            "track_id = %s AND NOT EXISTS ("
            " SELECT FROM vedette.track_current AS head WHERE head.node = rows.node"
            " AND head.track_id = rows.track_id AND head.reason = {})"
            " AND NOT EXISTS ("
            " SELECT FROM vedette.tracks AS later WHERE later.node = rows.node"
            " AND later.track_id = rows.track_id AND later.valid = rows.valid"
            " AND later.valid_ns = rows.valid_ns"
            " AND (later.authority_epoch, later.revision) > (rows.authority_epoch, rows.revision))"
            " ORDER BY valid_ns"
        ).format(int(UpdateReason.RETRACTED))
        return self._tracks("tracks", newest, (track_id,))

    def updates(self, *, since_ns: int | None = None, until_ns: int | None = None) -> TrackUpdates:
        """Track updates bit by bit as they were written, in the order in which they became known.

        Parameters
        ----------
        since_ns, until_ns
            Only those whose `valid` lies in [since_ns, until_ns), UTC ns.
        """
        where = _between("valid") + sql.SQL(" ORDER BY known_offset, n")
        return self._tracks("tracks", where, {"since": since_ns, "until": until_ns})

    def detections(self, first: int = 0, through: int | None = None) -> Detections:
        """Reports and detections bit by bit as they were written.

        Parameters
        ----------
        first, through
            Journal offsets of the first and the last input wanted.
        """
        with connect(self._dsn) as connection, storage_errors(self._dsn):
            found = [
                self._rows(
                    connection,
                    table,
                    columns,
                    sql.SQL("known_offset BETWEEN %s AND %s ORDER BY {}").format(sql.SQL(order)),
                    (first, 2**63 - 1 if through is None else through),
                )
                for table, columns, order in (
                    ("reports", REPORT_COLUMNS, "known_offset, report"),
                    ("detections", DETECTION_COLUMNS, "known_offset, report, n"),
                )
            ]
        with self._lock:
            return decode_detections(found[0], found[1], self._places)

    def foreign(
        self, giver: str | None = None, *, since_ns: int | None = None, until_ns: int | None = None
    ) -> ForeignUpdates:
        """What partners gave, bit by bit as it was written, in the order in which it arrived.

        Parameters
        ----------
        giver
            Of this partner alone; None: of all.
        since_ns, until_ns
            Only rows whose `received` lies in [since_ns, until_ns), UTC ns.

        Returns
        -------
        ForeignUpdates
            Names stand in the order in which they turn up, so indices may differ from those that
            were written.
        """
        where = _between("received") + sql.SQL(
            " AND (%(giver)s::text IS NULL OR giver = %(giver)s) ORDER BY known_offset, n"
        )
        values = {"since": since_ns, "until": until_ns, "giver": giver}
        return self._foreign("foreign_updates", where, values)

    def foreign_current(self, *, at_ns: int | None = None) -> ForeignUpdates:
        """Head of each partner's track that has not ended, by giver and track id.

        Parameters
        ----------
        at_ns
            Leave out those that are stale at this time, UTC ns; None: leave out none.
        """
        where = sql.SQL("status <> {} AND stale_ns >= %s ORDER BY giver, track_id").format(
            int(Status.DELETED)
        )
        return self._foreign("foreign_current", where, (-(2**63) if at_ns is None else at_ns,))

    def foreign_history(
        self, giver: str, track_id: int, *, as_shown_at: int | None = None
    ) -> ForeignUpdates:
        """Past of one track of a partner.

        Parameters
        ----------
        giver, track_id
            Which track.
        as_shown_at
            UTC ns: the heads that had arrived by then, in that order, as the screens showed them.
            None: as known now: of each time the newest revision alone, in the order of time, with
            what came late and without withdrawals, which say nothing about the mover; and nothing
            at all of a track that its giver retracted.
        """
        if as_shown_at is not None:
            shown = "giver = %s AND track_id = %s AND head AND received_ns <= %s"
            where = sql.SQL(shown + " ORDER BY known_offset, n")
            return self._foreign("foreign_updates", where, (giver, track_id, as_shown_at))
        newest = sql.SQL(
            "giver = %s AND track_id = %s AND reason <> {withdrawn} AND NOT EXISTS ("
            " SELECT FROM vedette.foreign_updates AS gone WHERE gone.node = rows.node"
            " AND gone.giver = rows.giver AND gone.track_id = rows.track_id"
            " AND gone.reason = {retracted})"
            " AND NOT EXISTS ("
            " SELECT FROM vedette.foreign_updates AS later WHERE later.node = rows.node"
            " AND later.giver = rows.giver AND later.track_id = rows.track_id"
            " AND later.valid = rows.valid AND later.valid_ns = rows.valid_ns"
            " AND later.reason <> {withdrawn}"
            " AND (later.authority_epoch, later.revision, later.known_offset, later.n)"
            " > (rows.authority_epoch, rows.revision, rows.known_offset, rows.n))"
            " ORDER BY valid_ns"
        ).format(
            withdrawn=int(UpdateReason.WITHDRAWN),
            retracted=int(UpdateReason.RETRACTED),
        )
        return self._foreign("foreign_updates", newest, (giver, track_id))

    def foreign_tracks(self) -> int:
        """Number of distinct tracks of partners, ended ones too; counted row by row."""
        with connect(self._dsn) as connection, storage_errors(self._dsn):
            row = connection.execute(
                "SELECT count(*) FROM (SELECT DISTINCT giver, track_id"
                " FROM vedette.foreign_updates WHERE node = %s) AS named",
                (self.node,),
            ).fetchone()
        return int(row[0]) if row else 0

    def counts(self) -> dict[str, int]:
        """Rows of the node by table; counted one by one, so not for a status line."""
        counts = {}
        with connect(self._dsn) as connection, storage_errors(self._dsn):
            for table in TABLES:
                statement = sql.SQL("SELECT count(*) FROM {} WHERE node = %s")
                row = connection.execute(
                    statement.format(sql.Identifier("vedette", table)), (self.node,)
                ).fetchone()
                counts[table] = int(row[0]) if row else 0
        return counts

    def _tracks(self, table: str, where: sql.Composable, values: Any) -> TrackUpdates:
        with connect(self._dsn) as connection, storage_errors(self._dsn):
            rows = self._rows(connection, table, TRACK_COLUMNS, where, values)
        with self._lock:
            return decode_tracks(rows, self._places)

    def _foreign(self, table: str, where: sql.Composable, values: Any) -> ForeignUpdates:
        with connect(self._dsn) as connection, storage_errors(self._dsn):
            return decode_foreign(self._rows(connection, table, FOREIGN_COLUMNS, where, values))

    def _rows(
        self,
        connection: Connection,
        table: str,
        columns: Sequence[str],
        where: sql.Composable,
        values: Any,
    ) -> list[tuple[Any, ...]]:
        statement = sql.SQL("SELECT {} FROM {} AS rows WHERE node = {} AND {}").format(
            sql.SQL(", ").join(sql.Identifier("rows", column) for column in columns),
            sql.Identifier("vedette", table),
            sql.Literal(self.node),
            where,
        )
        with connection.cursor(binary=True) as cursor:
            return cursor.execute(statement, values).fetchall()


def _between(time: str) -> sql.Composed:
    """Condition that a time lies in [since, until), of which either may be NULL."""
    # The same bounds in microseconds, outwards, let a hypertable leave out chunks.
    return sql.SQL(
        "(%(since)s::bigint IS NULL OR {ns} >= %(since)s AND {time} >="
        " to_timestamp(%(since)s / 1000000000) - interval '1 second')"
        " AND (%(until)s::bigint IS NULL OR {ns} < %(until)s AND {time} <="
        " to_timestamp(%(until)s / 1000000000) + interval '1 second')"
    ).format(ns=sql.Identifier(f"{time}_ns"), time=sql.Identifier(time))
