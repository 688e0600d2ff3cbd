"""The columns of each table: written and read by the same lists.

A table's columns come from two places: `Scalar` lists, in which one column of a table of the
database is one number of a struct-of-arrays table, and the few that need more (texts, arrays,
times), which are spelled out in the functions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.arrays import Array, Bools, Int32s, Int64s
from model.detections import SCHEMA as DETECTIONS
from model.detections import Detections
from model.errors import Quarantined
from model.tracks import TrackUpdates
from storage.copy import (
    OID_FLOAT4,
    OID_FLOAT8,
    Encoded,
    Fixed,
    ascii_texts,
    byte_strings,
    coded,
    float_array_bytes,
    float_arrays,
    measured,
    numbers,
    text_array_bytes,
    text_bytes,
    timestamps,
)


@dataclass(frozen=True, slots=True)
class Scalar:
    """One number of a row.

    Parameters
    ----------
    column
        In the database.
    source
        Column of the struct-of-arrays table.
    form
        ``i2``, ``i4``, ``i8``: a number as it is. ``f8``: NaN becomes NULL.
    part
        Place in the trailing axis, or None.
    """

    column: str
    source: str
    form: str
    part: int | None = None

    def encode(self, values: Array) -> Encoded:
        """Encoded column of the values of `source`."""
        if self.part is not None:
            values = values[:, self.part]
        return measured(values) if self.form == "f8" else numbers(values, self.form)


def scalars(form: str, *names: str, **renamed: str) -> tuple[Scalar, ...]:
    """Columns of one form, named as in the struct-of-arrays table or ``column=source``."""
    return tuple(
        Scalar(column, source, form)
        for column, source in [*((name, name) for name in names), *renamed.items()]
    )


def _parts(source: str, *columns: str) -> tuple[Scalar, ...]:
    return tuple(Scalar(column, source, "f8", part) for part, column in enumerate(columns))


TRACK_SCALARS = (
    *scalars("i8", "known_offset", "track_id"),
    *scalars("i8", valid_ns="valid", known_ns="known", stale_ns="stale"),
    *scalars("i4", "n", "authority_epoch", "revision"),
    *scalars("i2", "status", "reason", "affiliation", "mode", "identity_kind"),
    *_parts("state", "lat_rad", "lon_rad", "alt_m", "east_mps", "north_mps", "up_mps"),
    *scalars("f8", "existence"),
)
STATE_OTHERS = ("valid", "number", "identity", "covariance", "classes")
STATE_COLUMNS = (*(scalar.column for scalar in TRACK_SCALARS), *STATE_OTHERS)
"""Of every track update, ours or a partner's."""
TRACK_COLUMNS = (*STATE_COLUMNS, "sensors")

REPORT_SCALARS = (
    *scalars("i8", time_ns="time", received_ns="received", known_offset="offset"),
    *scalars("i2", "mode"),
    *_parts("origin", "origin_lat_rad", "origin_lon_rad", "origin_alt_m"),
    *scalars("f8", heading_rad="heading"),
    *_parts("origin_velocity", "origin_east_mps", "origin_north_mps", "origin_up_mps"),
    *_parts(
        "looked",
        "looked_range_min_m",
        "looked_range_max_m",
        "looked_azimuth_from_rad",
        "looked_azimuth_to_rad",
    ),
)
REPORT_OTHERS = ("report", "time", "sensor", "boot", "seq", "looked_polygon")
REPORT_COLUMNS = (*(scalar.column for scalar in REPORT_SCALARS), *REPORT_OTHERS)

DETECTION_SCALARS = (
    *scalars("i8", time_ns="detection_time"),
    *scalars("i4", "item"),
    *scalars("i2", "kind", "direction", "identity_kind"),
    *_parts("position", "lat_rad", "lon_rad", "alt_m"),
    *_parts("polar", "range_m", "azimuth_rad", "elevation_rad", "range_rate_mps"),
    *_parts(
        "polar_sigma",
        "sigma_range_m",
        "sigma_azimuth_rad",
        "sigma_elevation_rad",
        "sigma_range_rate_mps",
    ),
    *scalars("f8", "snr_db", radius_m="radius", sigma_velocity_mps="velocity_sigma"),
    *_parts("velocity", "east_mps", "north_mps", "up_mps"),
)
DETECTION_OTHERS = (
    "known_offset",
    "report",
    "n",
    "time",
    "sensor",
    "identity",
    "covariance_m2",
    "line",
    "classes",
)
DETECTION_COLUMNS = (*(scalar.column for scalar in DETECTION_SCALARS), *DETECTION_OTHERS)

QUARANTINE_COLUMNS = ("known_offset", "n", "item", "published", "sensor", "reason", "detail")


def encode_tracks(updates: TrackUpdates, sensor_ids: Sequence[str]) -> list[Encoded]:
    """Columns of `TRACK_COLUMNS`."""
    return [*encode_states(updates), name_arrays(updates.sensors, sensor_ids)]


def encode_states(updates: TrackUpdates) -> list[Encoded]:
    """Columns of `STATE_COLUMNS`."""
    return [
        *(scalar.encode(getattr(updates, scalar.source)) for scalar in TRACK_SCALARS),
        timestamps(updates.valid),
        ascii_texts(updates.number),
        byte_strings(updates.identity),
        float_arrays(updates.covariance, OID_FLOAT8, _unmeasured(updates.covariance)),
        float_arrays(updates.classes, OID_FLOAT4, _unsaid(updates.classes)),
    ]


def encode_reports(detections: Detections, sensor_ids: Sequence[str]) -> list[Encoded]:
    """Columns of `REPORT_COLUMNS`."""
    seq_null = detections.seq == -1
    return [
        *(scalar.encode(getattr(detections, scalar.source)) for scalar in REPORT_SCALARS),
        numbers(ordinals(detections.offset), "i4"),
        timestamps(detections.time),
        _sensor_texts(detections.sensor, sensor_ids),
        byte_strings(detections.boot),
        Fixed(numbers(detections.seq, "i8").data, seq_null),
        _vertex_arrays(detections.looked_vertices, detections.vertices),
    ]


def encode_detections(detections: Detections, sensor_ids: Sequence[str]) -> list[Encoded]:
    """Columns of `DETECTION_COLUMNS`."""
    report = detections.report
    within = np.arange(len(report)) - detections.starts()[report]
    return [
        *(scalar.encode(getattr(detections, scalar.source)) for scalar in DETECTION_SCALARS),
        numbers(detections.offset[report], "i8"),
        numbers(ordinals(detections.offset)[report], "i4"),
        numbers(within, "i4"),
        timestamps(detections.detection_time),
        _sensor_texts(detections.sensor[report], sensor_ids),
        byte_strings(detections.identity),
        float_arrays(detections.covariance, OID_FLOAT8, _unmeasured(detections.covariance)),
        _vertex_arrays(detections.line_vertices, detections.vertices),
        float_arrays(detections.classes, OID_FLOAT4, _unsaid(detections.classes)),
    ]


def encode_quarantined(quarantined: Sequence[Quarantined], published_ns: Int64s) -> list[Encoded]:
    """Columns of `QUARANTINE_COLUMNS`.

    Parameters
    ----------
    quarantined
        Q refusals.
    published_ns
        (Q,) int64 ns, when the node said so.
    """
    offsets = np.array([entry.offset for entry in quarantined], dtype=np.int64)
    rows = np.arange(len(quarantined))
    return [
        numbers(offsets, "i8"),
        numbers(ordinals(offsets), "i4"),
        numbers(np.array([entry.item for entry in quarantined], dtype=np.int64), "i4"),
        timestamps(published_ns),
        coded(rows, [text_bytes(entry.sensor) for entry in quarantined]),
        coded(rows, [text_bytes(entry.reason) for entry in quarantined]),
        coded(rows, [text_bytes(entry.detail) for entry in quarantined]),
    ]


def ordinals(keys: Int64s) -> Int64s:
    """(N,) int64: how many rows before it have a row's key."""
    order = np.argsort(keys, kind="stable")
    ranked = keys[order]
    fresh = np.ones(len(keys), dtype=np.bool_)
    fresh[1:] = ranked[1:] != ranked[:-1]
    positions = np.arange(len(keys))
    out = np.empty(len(keys), dtype=np.int64)
    out[order] = positions - np.maximum.accumulate(np.where(fresh, positions, 0))
    return out


def heads(updates: TrackUpdates) -> Bools:
    """(U,) bool: the newest update of each track: highest epoch, then highest revision."""
    rows = np.arange(len(updates))
    order = np.lexsort((rows, updates.revision, updates.authority_epoch, updates.track_id))
    ids = updates.track_id[order]
    last = np.ones(len(ids), dtype=np.bool_)
    last[:-1] = ids[1:] != ids[:-1]
    out = np.zeros(len(ids), dtype=np.bool_)
    out[order[last]] = True
    return out


def _unmeasured(values: Array) -> Bools:
    """Which rows hold nothing but NaN."""
    return np.asarray(np.isnan(values).all(axis=1), dtype=np.bool_)


def _unsaid(classes: Array) -> Bools:
    """Which rows say nothing of classes: all zero, sign bit included."""
    bits = np.ascontiguousarray(classes).view(np.uint32)
    return np.asarray((bits == 0).all(axis=1), dtype=np.bool_)


def _sensor_texts(sensor: Int32s, sensor_ids: Sequence[str]) -> Encoded:
    # Index -1, no sensor, finds the empty text at the end.
    return coded(sensor, [*map(text_bytes, sensor_ids), b""])


def name_arrays(indices: Int32s, names: Sequence[str]) -> Encoded:
    """(U, k) indices as text[], without the unused end; an unused place before it is NULL."""
    rows = np.ascontiguousarray(indices)
    whole = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1])))[:, 0]
    combinations, codes = np.unique(whole, return_inverse=True)
    table = []
    for row in combinations.view(rows.dtype).reshape(-1, rows.shape[1]).tolist():
        while row and row[-1] == -1:
            row.pop()
        table.append(text_array_bytes([None if i == -1 else names[i] for i in row]))
    return coded(codes, table)


def _vertex_arrays(spans: Int32s, vertices: Array) -> Encoded:
    """(N, 2) spans of vertices as double precision[]; an empty span is NULL."""
    table: list[bytes | None] = [None]
    codes = np.zeros(len(spans), dtype=np.int64)
    for row in np.flatnonzero(spans[:, 1] > spans[:, 0]):
        start, stop = spans[row]
        codes[row] = len(table)
        table.append(float_array_bytes(vertices[start:stop]))
    return coded(codes, table)


def decode_tracks(rows: Sequence[tuple[Any, ...]], places: dict[str, int]) -> TrackUpdates:
    """Rows of `TRACK_COLUMNS` back as they were.

    Parameters
    ----------
    rows
        As the driver gives them.
    places
        Index of each sensor name; names that are new get the next index.
    """
    if not rows:
        return TrackUpdates.empty()
    columns = dict(zip(TRACK_COLUMNS, zip(*rows, strict=True), strict=True))
    updates = decode_states(columns, len(rows))
    for row, sensors in enumerate(columns["sensors"]):
        updates.sensors[row, : len(sensors)] = [_place(places, name) for name in sensors]
    return updates


def decode_states(columns: Mapping[str, Any], rows: int) -> TrackUpdates:
    """Values of `STATE_COLUMNS`, by column, back as they were; no sensors."""
    updates = TrackUpdates.empty(rows)
    fill_scalars(updates.columns(), TRACK_SCALARS, columns)
    updates.number[:] = [text.encode() for text in columns["number"]]
    updates.identity[:] = [value or b"" for value in columns["identity"]]
    for row, (covariance, classes) in enumerate(
        zip(columns["covariance"], columns["classes"], strict=True)
    ):
        if covariance is not None:
            updates.covariance[row] = covariance
        if classes is not None:
            updates.classes[row] = classes
    return updates


def decode_detections(
    reports: Sequence[tuple[Any, ...]],
    detections: Sequence[tuple[Any, ...]],
    places: dict[str, int],
) -> Detections:
    """Rows of `REPORT_COLUMNS` and `DETECTION_COLUMNS` back as they were.

    Both in the order of (known_offset, report, n); `places` as in `decode_tracks`. Vertices come
    in the order of the rows: first those of reports, then those of detections.
    """
    if not reports:
        return Detections.empty()
    said = dict(zip(REPORT_COLUMNS, zip(*reports, strict=True), strict=True))
    lengths = {"report": len(reports), "detection": len(detections)}
    values = {
        name: column.empty(lengths.get(column.axis, 0)) for name, column in DETECTIONS.items()
    }
    vertices: list[Array] = []
    fill_scalars(values, REPORT_SCALARS, said)
    values["sensor"][:] = [_place(places, name) for name in said["sensor"]]
    values["boot"][:] = [value or b"" for value in said["boot"]]
    values["seq"][:] = [-1 if value is None else value for value in said["seq"]]
    values["looked_vertices"][:] = _spans(said["looked_polygon"], vertices)
    if detections:
        seen = dict(zip(DETECTION_COLUMNS, zip(*detections, strict=True), strict=True))
        fill_scalars(values, DETECTION_SCALARS, seen)
        named = zip(said["known_offset"], said["report"], strict=True)
        rows = {key: row for row, key in enumerate(named)}
        keys = zip(seen["known_offset"], seen["report"], strict=True)
        values["report"][:] = [rows[key] for key in keys]
        values["identity"][:] = [value or b"" for value in seen["identity"]]
        values["line_vertices"][:] = _spans(seen["line"], vertices)
        for row, (covariance, classes) in enumerate(
            zip(seen["covariance_m2"], seen["classes"], strict=True)
        ):
            if covariance is not None:
                values["covariance"][row] = covariance
            if classes is not None:
                values["classes"][row] = classes
    if vertices:
        values["vertices"] = np.concatenate(vertices)
    return Detections(**values).check()


def _place(places: dict[str, int], name: str | None) -> int:
    """Index of a sensor name; -1: no sensor."""
    return places.setdefault(name, len(places)) if name else -1


def _spans(arrays: Sequence[Sequence[float] | None], vertices: list[Array]) -> list[list[int]]:
    """Spans of polygons or lines, whose vertices are put behind those already there."""
    end = sum(map(len, vertices))
    spans = []
    for flat in arrays:
        start = end
        if flat is not None:
            vertices.append(np.array(flat, dtype=np.float64).reshape(-1, 2))
            end += len(vertices[-1])
        spans.append([start, end] if flat is not None else [0, 0])
    return spans


def fill_scalars(
    table: Mapping[str, Array], wanted: Sequence[Scalar], columns: Mapping[str, Any]
) -> None:
    """Put the database's columns into the arrays that they came from."""
    for scalar in wanted:
        target = table[scalar.source]
        if scalar.part is not None:
            target = target[:, scalar.part]
        # None becomes NaN in an array of floats.
        dtype = np.float64 if scalar.form == "f8" else np.int64
        target[:] = np.array(columns[scalar.column], dtype=dtype)
