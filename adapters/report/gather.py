"""From reports read as objects to columns in the units of the wire."""

from collections.abc import Sequence

import numpy as np

from adapters.common import MODE_NOT_SAID
from adapters.report.columns import Rows
from adapters.report.objects import BOOT_BYTES, Objects, identity_of
from adapters.report.schema import DIRECTIONS, KINDS, MODES, Velocity
from model.arrays import Array, Floats, Int64s
from model.detections import IDENTITY_BYTES
from model.taxonomy import N_CLASSES, class_index

_CLASS_CACHE: dict[str, int] = {}
_CLASS_CACHE_LIMIT = 1024


def to_rows(objects: Objects) -> Rows:
    """Columns of the reports read, in the units of the wire."""
    heads, items = objects.heads, objects.items
    count = len(items)
    vertices: list[tuple[float, float]] = []
    looked_start, looked_count = _spans(
        [None if head.looked is None else head.looked.polygon for head in heads], vertices
    )
    line_start, line_count = _spans(
        [item.points if item.kind == "line" else None for item in items], vertices
    )
    origins = [head.origin for head in heads]
    looks = [head.looked for head in heads]
    velocities = [item.velocity for item in items]
    identities = [None if item.identity is None else identity_of(item.identity) for item in items]
    return Rows(
        message=np.array(objects.messages, dtype=np.int64),
        time=np.array(objects.times, dtype=np.int64),
        boot=np.array([(head.boot or "").encode() for head in heads], dtype=f"S{BOOT_BYTES}"),
        seq=np.array([-1 if head.seq is None else head.seq for head in heads], dtype=np.int64),
        mode=np.array(
            [MODE_NOT_SAID if head.mode is None else MODES[head.mode] for head in heads],
            dtype=np.uint8,
        ),
        origin=_wide([None if o is None else (o.lat, o.lon, o.alt_m) for o in origins], 3),
        heading=_column([None if o is None else o.heading_deg for o in origins]),
        origin_velocity=_wide([None if o is None else _enu(o.velocity) for o in origins], 3),
        looked_range=_wide([None if look is None else look.range_m for look in looks], 2),
        looked_azimuth=_wide([None if look is None else look.azimuth_deg for look in looks], 2),
        looked_start=looked_start,
        looked_count=looked_count,
        report=np.repeat(np.arange(len(heads), dtype=np.int32), objects.counts),
        item=np.array(objects.numbers, dtype=np.int32),
        detection_time=np.array(objects.item_times, dtype=np.int64),
        kind=np.array([KINDS[item.kind] for item in items], dtype=np.uint8),
        latitude=_column([item.lat for item in items]),
        longitude=_column([item.lon for item in items]),
        height=_column([item.alt_m for item in items]),
        sigma=_column([item.sigma_m for item in items]),
        sigma_height=_column([item.sigma_alt_m for item in items]),
        covariance=_wide([item.covariance_m2 for item in items], 6),
        polar=np.stack(
            [
                _column([item.range_m for item in items]),
                _column([item.azimuth_deg for item in items]),
                _column([item.elevation_deg for item in items]),
                _column([item.range_rate_mps for item in items]),
            ],
            axis=1,
        ),
        polar_sigma=np.stack(
            [
                _column([item.sigma_range_m for item in items]),
                _column([item.sigma_azimuth_deg for item in items]),
                _column([item.sigma_elevation_deg for item in items]),
                _column([item.sigma_range_rate_mps for item in items]),
            ],
            axis=1,
        ),
        radius=_column([item.radius_m for item in items]),
        line_start=line_start,
        line_count=line_count,
        direction=np.array([DIRECTIONS.get(item.direction or "", 0) for item in items], np.int8),
        velocity=_wide([_enu(v) for v in velocities], 3),
        velocity_sigma=_column([None if v is None else v.sigma_mps for v in velocities]),
        snr=_column([item.snr_db for item in items]),
        identity_kind=np.array([i[0] if i else 0 for i in identities], dtype=np.uint8),
        identity=np.array([i[1] if i else b"" for i in identities], dtype=f"S{IDENTITY_BYTES}"),
        classes=_classes([item.classes for item in items], count),
        vertices=np.array(vertices, dtype=np.float64).reshape(-1, 2),
    )


def _column(values: Sequence[float | None]) -> Floats:
    """(N,) with NaN for None."""
    if values.count(None) == len(values):
        return np.full(len(values), np.nan)
    return np.array(values, dtype=np.float64)


def _wide(values: Sequence[Sequence[float | None] | None], width: int) -> Floats:
    """(N, width) with NaN for what is None or too short."""
    made = np.full((len(values), width), np.nan)
    for row, value in enumerate(values):
        if value is not None:
            made[row, : len(value)] = value
    return made


def _classes(values: Sequence[dict[str, float] | None], count: int) -> Array:
    made = np.zeros((count, N_CLASSES), dtype=np.float32)
    for row, value in enumerate(values):
        if value:
            made[row] = _class_row(value)
    return made


def _spans(
    polygons: Sequence[Sequence[tuple[float, float]] | None], vertices: list[tuple[float, float]]
) -> tuple[Int64s, Int64s]:
    """First vertex and number of vertices of each, adding them to `vertices`."""
    start = np.zeros(len(polygons), dtype=np.int64)
    count = np.zeros(len(polygons), dtype=np.int64)
    for row, polygon in enumerate(polygons):
        if polygon:
            start[row], count[row] = len(vertices), len(polygon)
            vertices.extend(polygon)
    return start, count


def _enu(velocity: Velocity | None) -> tuple[float, float, float | None] | None:
    return None if velocity is None else (velocity.east_mps, velocity.north_mps, velocity.up_mps)


def _class_row(classes: dict[str, float]) -> list[float]:
    row = [0.0] * N_CLASSES
    for label, probability in classes.items():
        index = _CLASS_CACHE.get(label)
        if index is None:
            index = class_index(label)
            if len(_CLASS_CACHE) < _CLASS_CACHE_LIMIT:
                _CLASS_CACHE[label] = index
        row[index] += probability
    return row
