"""Output batches for the tests of storage: drawn by hypothesis, or written out."""

from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from model.arrays import Array, Column
from model.detections import SCHEMA as DETECTIONS
from model.detections import Detections
from model.errors import Quarantined, Reason
from model.foreign import SCHEMA as FOREIGN
from model.foreign import ForeignUpdates
from model.ports import OutputBatch
from model.tracks import SCHEMA as UPDATES
from model.tracks import TrackUpdates

SENSORS = ("radar-1", "ground 2", "кордон-3", "x" * 60)
PARTNERS = ("south", "east-1", "P" + 63 * "_")
"""Names of nodes and agreements are ASCII, and at most so long."""
AGREEMENTS = ("north-south.2026", "a", "A" + 63 * ".")
NOW_NS = 1_772_366_400_250_000_123

floats = st.floats(width=64, allow_nan=True) | st.sampled_from(
    [np.nan, -0.0, 0.0, 5e-324, np.inf, -np.inf, 1.0 / 3.0]
)
probabilities = st.floats(width=32, allow_nan=False) | st.sampled_from([0.0, -0.0])
times = st.integers(0, 4_102_444_800 * 10**9) | st.just(NOW_NS)
texts = st.text(max_size=40) | st.sampled_from(["\0", "a\0b", "\ud800", "é🙂", ""])


def _values(draw: Any, name: str, column: Column, rows: int) -> Array:
    """Random column: floats with NaN, integers of its range, byte strings."""
    kind = np.dtype(column.dtype)
    shape = (rows, *column.trailing)
    if kind.kind == "f":
        source = floats if kind.itemsize == 8 else probabilities
        flat = draw(st.lists(source, min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
        return np.array(flat, dtype=kind).reshape(shape)
    if kind.kind == "S":
        size = kind.itemsize
        raw = st.binary(max_size=size)
        if name == "number":
            raw = st.sampled_from([b"", b"A1234", b"Z0001"])
        return np.array(draw(st.lists(raw, min_size=rows, max_size=rows)), dtype=kind)
    if kind.kind == "b":
        return np.array(draw(st.lists(st.booleans(), min_size=rows, max_size=rows)), dtype=kind)
    info = np.iinfo(kind)
    source = st.integers(info.min, info.max)
    count = int(np.prod(shape))
    flat = draw(st.lists(source, min_size=count, max_size=count))
    return np.array(flat, dtype=kind).reshape(shape)


@st.composite
def update_tables(draw: Any, max_rows: int = 6) -> TrackUpdates:
    rows = draw(st.integers(0, max_rows))
    values = {name: _values(draw, name, column, rows) for name, column in UPDATES.items()}
    offsets = sorted(draw(st.lists(st.integers(0, 5), min_size=rows, max_size=rows)))
    values["known_offset"] = np.array(offsets, dtype="i8")
    values["n"] = np.arange(rows, dtype="i4")
    for name in ("valid", "known", "stale"):
        values[name] = np.array(draw(st.lists(times, min_size=rows, max_size=rows)), dtype="i8")
    values["track_id"] = np.array(
        draw(st.lists(st.sampled_from([1, 2, 2**63 - 1]), min_size=rows, max_size=rows)), "i8"
    )
    used = st.integers(-1, len(SENSORS) - 1)
    sensors = draw(st.lists(st.lists(used, min_size=8, max_size=8), min_size=rows, max_size=rows))
    values["sensors"] = np.array(sensors, dtype="i4").reshape(rows, 8)
    return TrackUpdates(**values).check()


@st.composite
def detection_tables(draw: Any, max_reports: int = 4, max_detections: int = 6) -> Detections:
    reports = draw(st.integers(0, max_reports))
    count = draw(st.integers(0, max_detections)) if reports else 0
    vertices = draw(st.integers(0, 7))
    lengths = {"report": reports, "detection": count, "vertex": vertices}
    values = {
        name: _values(draw, name, column, lengths[column.axis])
        for name, column in DETECTIONS.items()
    }
    offsets = sorted(draw(st.lists(st.integers(0, 5), min_size=reports, max_size=reports)))
    values["offset"] = np.array(offsets, dtype="i8")
    values["report"] = np.sort(
        np.array(
            draw(st.lists(st.integers(0, max(0, reports - 1)), min_size=count, max_size=count)),
            dtype="i4",
        )
    )
    values["sensor"] = np.array(
        draw(st.lists(st.integers(0, len(SENSORS) - 1), min_size=reports, max_size=reports)), "i4"
    )
    for name, rows in (("time", reports), ("received", reports), ("detection_time", count)):
        values[name] = np.array(draw(st.lists(times, min_size=rows, max_size=rows)), dtype="i8")
    for name, rows in (("looked_vertices", reports), ("line_vertices", count)):
        ends = st.tuples(st.integers(0, vertices), st.integers(0, vertices)).map(sorted)
        spans = draw(st.lists(ends, min_size=rows, max_size=rows))
        values[name] = np.array(spans, dtype="i4").reshape(rows, 2)
    return Detections(**values).check()


@st.composite
def foreign_tables(draw: Any) -> ForeignUpdates:
    updates = draw(update_tables())
    updates.sensors[:] = -1
    rows = len(updates)
    values = {name: _values(draw, name, column, rows) for name, column in FOREIGN.items()}
    for name in ("sent", "received"):
        values[name] = np.array(draw(st.lists(times, min_size=rows, max_size=rows)), dtype="i8")
    for name, names in (("giver", PARTNERS), ("agreement", AGREEMENTS)):
        index = st.integers(0, len(names) - 1)
        values[name] = np.array(draw(st.lists(index, min_size=rows, max_size=rows)), dtype="i4")
    passed = st.integers(-1, len(PARTNERS) - 1)
    path = draw(st.lists(passed, min_size=rows, max_size=rows))
    values["path"] = np.array(path, dtype="i4").reshape(rows, 1)
    return ForeignUpdates(updates, **values, nodes=PARTNERS, agreements=AGREEMENTS).check()


refusals = st.builds(
    Quarantined,
    offset=st.integers(0, 5),
    item=st.integers(-1, 9),
    sensor=texts,
    reason=st.sampled_from(list(Reason)),
    detail=texts,
)

batches = st.builds(
    OutputBatch,
    first=st.just(0),
    through=st.just(5),
    sensor_ids=st.just(SENSORS),
    detections=detection_tables(),
    updates=update_tables(),
    quarantined=st.lists(refusals, max_size=4).map(tuple),
    published_ns=times,
    foreign=foreign_tables(),
)


def updates_of(
    rows: int,
    *,
    offset: int = 0,
    track: int = 1,
    revision: int = 1,
    valid: int = NOW_NS,
    **columns: Any,
) -> TrackUpdates:
    """Plain updates: one a journal offset, revisions rising."""
    table = TrackUpdates.empty(rows)
    table.known_offset[:] = offset + np.arange(rows)
    table.track_id[:] = track
    table.revision[:] = revision + np.arange(rows)
    table.number[:] = b"A0001"
    table.valid[:] = valid + np.arange(rows) * 10**9
    table.known[:] = table.valid + 5_000
    table.stale[:] = table.valid + 10**10
    for name, value in columns.items():
        getattr(table, name)[:] = value
    return table


def foreign_of(
    updates: TrackUpdates,
    *,
    giver: str = "south",
    agreement: str = "a",
    seq: int = 1,
    received: int = NOW_NS + 10**9,
    **columns: Any,
) -> ForeignUpdates:
    """Updates as a partner's: numbered one after another, taken in a second apart, all heads."""
    rows = len(updates)
    table = ForeignUpdates.empty(rows, (giver,), (agreement,))
    for name in ("giver", "agreement", "path"):
        getattr(table, name)[:] = 0
    table.seq[:] = seq + np.arange(rows)
    table.received[:] = received + np.arange(rows) * 10**9
    table.sent[:] = table.received - 3_000_001
    table.head[:] = True
    for name, value in columns.items():
        getattr(table, name)[:] = value
    return replace(table, updates=updates).check()


def given_of(*parts: ForeignUpdates) -> OutputBatch:
    """A batch with nothing but what partners gave."""
    foreign = ForeignUpdates.concat(parts)
    offsets = foreign.updates.known_offset
    batch = batch_of(TrackUpdates.empty())
    first, through = (int(offsets.min()), int(offsets.max())) if len(offsets) else (0, 0)
    return replace(batch, first=first, through=through, foreign=foreign)


def batch_of(
    updates: TrackUpdates,
    *,
    detections: Detections | None = None,
    quarantined: Iterable[Quarantined] = (),
    sensor_ids: tuple[str, ...] = SENSORS,
) -> OutputBatch:
    through = int(updates.known_offset.max()) if len(updates) else 0
    first = int(updates.known_offset.min()) if len(updates) else 0
    found = Detections.empty() if detections is None else detections
    return OutputBatch(first, through, sensor_ids, found, updates, tuple(quarantined), NOW_NS)


def assert_same(got: Any, wanted: Any, skip: Iterable[str] = ()) -> None:
    """Every column the same bit by bit; all NaN count as one, because only one is ever written."""
    for name in (field.name for field in fields(wanted)):
        if name in skip:
            continue
        mine, other = getattr(got, name), getattr(wanted, name)
        assert mine.dtype == other.dtype, name
        assert mine.shape == other.shape, name
        if mine.dtype.kind == "f":
            bits = f"u{mine.dtype.itemsize}"
            nan = np.isnan(other)
            assert (np.isnan(mine) == nan).all(), name
            mine, other = mine.view(bits)[~nan], other.view(bits)[~nan]
        np.testing.assert_array_equal(mine, other, err_msg=name)


def assert_same_foreign(got: ForeignUpdates, wanted: ForeignUpdates) -> None:
    """Every column the same bit by bit, and behind the indices the same names."""
    assert_same(got.updates, wanted.updates)
    names = ("giver", "agreement", "path")
    for name, column in wanted.columns().items():
        assert getattr(got, name).dtype == column.dtype, name
        if name not in names:
            np.testing.assert_array_equal(getattr(got, name), column, err_msg=name)
    for name in names:
        assert named(got, name) == named(wanted, name), name


def named(foreign: ForeignUpdates, column: str) -> list[str | None]:
    """Names behind a column of indices, one a row."""
    names = foreign.agreements if column == "agreement" else foreign.nodes
    index = getattr(foreign, column).reshape(len(foreign))
    return [None if place == -1 else names[place] for place in index]


def polygons(spans: Array, vertices: Array) -> list[bytes]:
    return [vertices[a:b].tobytes() if b > a else b"" for a, b in spans]
