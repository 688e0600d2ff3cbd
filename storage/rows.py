"""`rows_of`: output batches as rows, encoded for COPY, before a transaction begins.

Nothing here asks the database, so the rows of the next transaction are made while the server is
busy with those of the last one (`vedette.storing`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from model.detections import Detections
from model.errors import StorageError
from model.foreign import ForeignUpdates
from model.ports import OutputBatch
from model.tracks import TrackUpdates
from storage.copy import Encoded, blocks, repeated_text
from storage.foreign_tables import encode_foreign
from storage.tables import (
    encode_detections,
    encode_quarantined,
    encode_reports,
    encode_tracks,
)

STRAIGHT = frozenset({"reports", "detections", "tracks", "quarantine"})
"""Tables that rows are copied to straight. What partners gave goes by way of a temporary table, as
the heads are taken from there."""


@dataclass(frozen=True, slots=True, eq=False)
class TableRows:
    """Rows of one table.

    Parameters
    ----------
    encoded
        Columns without `node`.
    count
        Rows.
    stream
        The same with `node` as binary COPY data, in pieces; empty: not made beforehand.
    """

    encoded: Sequence[Encoded]
    count: int
    stream: Sequence[bytes] = ()

    def staged(self) -> Iterable[bytes]:
        """Binary COPY data without `node`."""
        return blocks(self.encoded, self.count)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """What one transaction stores.

    Parameters
    ----------
    tables
        By name; those without rows are left out.
    names
        Of the sensors in `updates`.
    updates
        Track updates, whose heads are wanted.
    through
        Last input that they cover; -1: no batch at all.
    """

    tables: dict[str, TableRows]
    names: Sequence[str]
    updates: TrackUpdates
    through: int


def rows_of(batches: Sequence[OutputBatch], node: str) -> Rows:
    """Rows of several batches.

    Parameters
    ----------
    batches
        In the order of the output log.
    node
        Whose they are.

    Raises
    ------
    StorageError
        A batch names a sensor that is not in its list, or breaks the schema.
    """
    if not batches:  # many times a second where nothing comes
        return Rows({}, (), TrackUpdates.empty(), -1)
    try:
        names, detections, updates = _merge(batches)
        refused = [entry for batch in batches for entry in batch.quarantined]
        published = np.repeat(
            np.array([batch.published_ns for batch in batches], dtype=np.int64),
            [len(batch.quarantined) for batch in batches],
        )
        encoded = {
            "reports": (encode_reports(detections, names), detections.n_reports),
            "detections": (encode_detections(detections, names), detections.n_detections),
            "tracks": (encode_tracks(updates, names), len(updates)),
            "quarantine": (encode_quarantined(refused, published), len(refused)),
        }
    except IndexError as error:
        raise StorageError(
            f"{_covered(batches)} names a sensor that is not in its list: {error}"
        ) from error
    foreign = _merge_foreign(batches)
    if len(foreign):  # most nodes have no partners
        encoded["foreign_updates"] = (encode_foreign(foreign), len(foreign))
    tables = {}
    for table, (columns, count) in encoded.items():
        stream: Sequence[bytes] = ()
        if count and table in STRAIGHT:
            stream = list(blocks([repeated_text(node, count), *columns], count))
        if count:
            tables[table] = TableRows(columns, count, stream)
    through = max(batch.through for batch in batches)
    return Rows(tables, names, updates, through)


def _merge(batches: Sequence[OutputBatch]) -> tuple[list[str], Detections, TrackUpdates]:
    """Arrays of several batches as one, their sensor indices over one list of names."""
    names: dict[str, int] = {}
    detections, updates = [], []
    for batch in batches:
        places = [names.setdefault(name, len(names)) for name in batch.sensor_ids]
        found, tracks = batch.detections, batch.updates
        if places != list(range(len(places))):
            # Index -1, no sensor, stays what it is: it finds the -1 at the end.
            lookup = np.array([*places, -1], dtype=np.int32)
            found = found.replace(sensor=lookup[found.sensor])
            tracks = replace(tracks, sensors=lookup[tracks.sensors])
        detections.append(found)
        updates.append(tracks)
    return list(names), Detections.concat(detections), TrackUpdates.concat(updates)


def _merge_foreign(batches: Sequence[OutputBatch]) -> ForeignUpdates:
    """What partners gave in several batches as one table, its names over one list."""
    try:
        return ForeignUpdates.concat(
            [batch.foreign.check() for batch in batches if len(batch.foreign)]
        )
    except ValueError as error:
        raise StorageError(f"{_covered(batches)}: {error}") from error


def _covered(batches: Sequence[OutputBatch]) -> str:
    return f"output of the inputs {batches[0].first}-{batches[-1].through}"
