"""Rows per second of `storage.writer.Writer`, beside psycopg's ``executemany`` of the same rows.

Both write the same track updates into the same server in turns, each batch in a transaction of its
own. The plain way is given every advantage: its rows stand ready as Python objects before the clock
starts, its table has the same columns and keys but nobody asks it for idempotency, for the newest
update of each track, or for a cursor, all of which the writer's time holds. At the end the two
tables are compared row by row.
"""

import shutil
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
from psycopg import sql

from benchmarks.reports import REGION, START_NS
from model.arrays import Array
from model.detections import Detections
from model.ports import OutputBatch
from model.time import NS_PER_S
from model.tracks import Status, TrackUpdates
from storage.tables import TRACK_COLUMNS, TRACK_SCALARS
from storage.writer import Writer
from vedette.local.places import private_folder, server_user
from vedette.local.postgres import EmbeddedPostgres, server_version

SIZES = {1_000: 12, 10_000: 4}
"""Updates in a batch, and batches; the first of each size is warm-up."""

TRACKS = 1_000
"""Tracks that the updates are about."""

NODE = "bench"
SENSOR_IDS = ("radar-1", "radar-2", "camera-1")
SETTINGS = {"shared_buffers": "128MB", "max_wal_size": "1GB"}
PLAIN = "vedette_plain.tracks"


def run(*, sizes: Mapping[int, int] | None = None) -> dict[str, Any]:
    """Measure; returns ``{"batch": {"1000": {"rows_per_s", "plain_rows_per_s", "ratio", ...}}}``.

    Parameters
    ----------
    sizes
        Updates in a batch, and batches (at least 2); None: `SIZES`.
    """
    rows: dict[str, Any] = {}
    with ExitStack() as stack:
        base = private_folder("vedette-bench-", server_user())
        stack.callback(shutil.rmtree, base, ignore_errors=True)
        database = stack.enter_context(EmbeddedPostgres(base / "data", settings=SETTINGS))
        writer = stack.enter_context(Writer(database.dsn, NODE))
        plain = stack.enter_context(psycopg.connect(database.dsn, autocommit=True))
        plain.execute("CREATE SCHEMA vedette_plain")
        plain.execute(f"CREATE TABLE {PLAIN} (LIKE vedette.tracks INCLUDING ALL)")
        print(f"PostgreSQL {server_version()}; track updates, a transaction a batch")
        print("rows/batch     rows/s  executemany  ratio  client us/row  executemany  ratio")
        first = 0
        for size, count in (sizes or SIZES).items():
            rows[str(size)] = _measure(writer, plain, size, count, first)
            first += size * count
        differing = _differing(plain)
        assert differing == 0, f"{differing} rows differ between the two tables"
    return {"batch": rows, "database": f"PostgreSQL {server_version()}"}


def _measure(
    writer: Writer, plain: psycopg.Connection[Any], size: int, count: int, first: int
) -> dict[str, Any]:
    wall: dict[str, list[float]] = {"own": [], "plain": []}
    cpu: dict[str, list[float]] = {"own": [], "plain": []}
    for number in range(count):
        batch = _batch(first + number * size, size)
        objects = _objects(batch)
        for name in ("own", "plain") if number % 2 else ("plain", "own"):
            began, spent = time.perf_counter(), time.process_time()
            if name == "own":
                written = writer.write([batch], first + (number + 1) * size).updates
            else:
                with plain.transaction(), plain.cursor() as cursor:
                    cursor.executemany(_INSERT, objects)
                    written = cursor.rowcount
            if number:
                cpu[name].append((time.process_time() - spent) / size)
                wall[name].append((time.perf_counter() - began) / size)
            assert written == size, f"{name}: {written} rows of {size}"
    rate = {name: 1.0 / float(np.median(values)) for name, values in wall.items()}
    us = {name: 1e6 * float(np.median(values)) for name, values in cpu.items()}
    print(
        f"{size:10,d} {rate['own']:10,.0f}  {rate['plain']:11,.0f}"
        f"  {rate['own'] / rate['plain']:5.1f}  {us['own']:13.2f}  {us['plain']:11.2f}"
        f"  {us['own'] / us['plain']:5.3f}"
    )
    return {
        "rows_per_s": round(rate["own"]),
        "plain_rows_per_s": round(rate["plain"]),
        "ratio": round(rate["own"] / rate["plain"], 2),
        "client_us_per_row": round(us["own"], 3),
        "plain_client_us_per_row": round(us["plain"], 3),
        "client_ratio": round(us["own"] / us["plain"], 4),
    }


def _batch(first: int, size: int) -> OutputBatch:
    """Updates in which every column says something, as confirmed tracks' do."""
    rng = np.random.default_rng(first)
    updates = TrackUpdates.empty(size)
    offsets = first + np.arange(size)
    tracks = offsets % TRACKS
    updates.known_offset[:] = offsets
    updates.track_id[:] = tracks + 1
    updates.number[:] = [f"A{track:04d}".encode() for track in tracks]
    updates.revision[:] = offsets // TRACKS + 1
    updates.valid[:] = START_NS + offsets * NS_PER_S // 1000
    updates.known[:] = updates.valid + 12_000_000
    updates.stale[:] = updates.valid + 5 * NS_PER_S
    updates.status[:] = Status.CONFIRMED
    east, north = rng.uniform(-50_000, 50_000, (2, size))
    updates.state[:, :3] = REGION.geodetic_from_plane(east, north, rng.uniform(0, 500, size))
    updates.state[:, 3:] = rng.normal(0, 10, (size, 3))
    updates.covariance[:] = rng.uniform(1, 100, (size, 21))
    updates.existence[:] = rng.uniform(0.9, 1.0, size)
    updates.classes[:] = rng.dirichlet(np.ones(updates.classes.shape[1]), size)
    updates.sensors[:, 0] = rng.integers(0, len(SENSOR_IDS), size)
    return OutputBatch(
        first, first + size - 1, SENSOR_IDS, Detections.empty(), updates, (), START_NS
    )


def _objects(batch: OutputBatch) -> list[tuple[Any, ...]]:
    """The rows as Python objects, in the order of `TRACK_COLUMNS`, behind the node."""
    updates = batch.updates
    columns: dict[str, list[Any]] = {}
    for scalar in TRACK_SCALARS:
        values: Array = getattr(updates, scalar.source)
        columns[scalar.column] = (
            values if scalar.part is None else values[:, scalar.part]
        ).tolist()
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    columns["valid"] = [epoch + timedelta(microseconds=ns // 1000) for ns in updates.valid.tolist()]
    columns["number"] = [number.decode() for number in updates.number.tolist()]
    columns["identity"] = [identity or None for identity in updates.identity.tolist()]
    columns["covariance"] = updates.covariance.tolist()
    columns["classes"] = updates.classes.tolist()
    columns["sensors"] = [
        [SENSOR_IDS[index] for index in row if index >= 0] for row in updates.sensors.tolist()
    ]
    return list(
        zip(*([NODE] * len(updates), *(columns[name] for name in TRACK_COLUMNS)), strict=True)
    )


def _differing(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute(
        "SELECT count(*) FROM ((TABLE vedette.tracks EXCEPT TABLE vedette_plain.tracks) UNION ALL"
        " (TABLE vedette_plain.tracks EXCEPT TABLE vedette.tracks)) AS differing"
    ).fetchone()
    assert row is not None
    return int(row[0])


_INSERT = sql.SQL("INSERT INTO vedette_plain.tracks (node, {}) VALUES ({})").format(
    sql.SQL(", ").join(map(sql.Identifier, TRACK_COLUMNS)),
    sql.SQL(", ").join(sql.Placeholder() * (len(TRACK_COLUMNS) + 1)),
)
