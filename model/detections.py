"""`Detections`: what sensors said, as struct-of-arrays.

A *report* is what one sensor says at one time: zero or more *detections*. An empty report still
counts: the sensor looked and saw nothing. So the table has two axes, reports (M rows) and
detections (N rows), joined by the column `report`, and a third (V rows) for the vertices of line
detections and of the polygons that were looked at.

Angles are radians, azimuths from true north clockwise, heights are metres above the WGS-84
ellipsoid (HAE), times UTC nanoseconds. NaN means not measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Self

import numpy as np

from model.arrays import Array, Bools, Column, Floats, Int32s, Int64s, check_columns, no_rows
from model.taxonomy import N_CLASSES

NAN = float("nan")


class DetectionKind(IntEnum):
    """How a detection says where."""

    POSITION = 0
    POLAR = 1
    BEARING = 2
    ZONE = 3
    LINE = 4


class Mode(IntEnum):
    """Whether a report is about the world or about an exercise; the two never mix in one node."""

    LIVE = 0
    EXERCISE = 1


class IdentityKind(IntEnum):
    """Whose numbering an identity belongs to; craft only, never persons."""

    NONE = 0
    ICAO24 = 1
    MMSI = 2
    MAVLINK = 3
    REMOTE_ID = 4


IDENTITY_BYTES = 24
"""Longest identity kept, bytes of UTF-8; ANSI/CTA-2063-A serials (Remote ID) have 20."""

SCHEMA: dict[str, Column] = {
    # reports, M rows, in order of arrival
    "sensor": Column("report", "i4", fill=-1),
    "time": Column("report", "i8"),
    "received": Column("report", "i8"),
    "offset": Column("report", "i8", fill=-1),
    "boot": Column("report", "S24", fill=b""),
    "seq": Column("report", "i8", fill=-1),
    "mode": Column("report", "u1", fill=int(Mode.LIVE)),
    "origin": Column("report", "f8", (3,), NAN),
    "heading": Column("report", "f8", fill=NAN),
    "origin_velocity": Column("report", "f8", (3,), NAN),
    "looked": Column("report", "f8", (4,), NAN),
    "looked_vertices": Column("report", "i4", (2,), 0),
    # detections, N rows, grouped by report
    "report": Column("detection", "i4"),
    "item": Column("detection", "i4"),
    "detection_time": Column("detection", "i8"),
    "kind": Column("detection", "u1"),
    "position": Column("detection", "f8", (3,), NAN),
    "covariance": Column("detection", "f8", (6,), NAN),
    "polar": Column("detection", "f8", (4,), NAN),
    "polar_sigma": Column("detection", "f8", (4,), NAN),
    "radius": Column("detection", "f8", fill=NAN),
    "line_vertices": Column("detection", "i4", (2,), 0),
    "direction": Column("detection", "i1"),
    "velocity": Column("detection", "f8", (3,), NAN),
    "velocity_sigma": Column("detection", "f8", fill=NAN),
    "snr_db": Column("detection", "f8", fill=NAN),
    "identity_kind": Column("detection", "u1"),
    "identity": Column("detection", f"S{IDENTITY_BYTES}", fill=b""),
    "classes": Column("detection", "f4", (N_CLASSES,), 0.0),
    # vertices, V rows
    "vertices": Column("vertex", "f8", (2,), NAN),
}


_NO_ROWS = no_rows(SCHEMA)


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Reports and their detections.

    Parameters
    ----------
    sensor
        (M,) int32, index into the node's `Sensors`.
    time
        (M,) int64 ns, when the sensor looked.
    received
        (M,) int64 ns, when the node took the input in.
    offset
        (M,) int64, journal offset of the input that held the report.
    boot, seq
        (M,) bytes24 and int64: (sensor, boot, seq) names a report once for all; seq -1: not given.
    mode
        (M,) uint8, `Mode`.
    origin
        (M, 3) float64: latitude rad, longitude rad, HAE m where a moving sensor stood; NaN: the
        configured place.
    heading
        (M,) float64 rad, where the sensor's zero azimuth pointed, from true north; NaN: as
        configured.
    origin_velocity
        (M, 3) float64 m/s east, north, up of a moving sensor; NaN: at rest.
    looked
        (M, 4) float64: range min m, max m, azimuth from rad, to rad (clockwise), the sector really
        searched; NaN: the sensor's coverage.
    looked_vertices
        (M, 2) int32 [start, stop) into `vertices`: the polygon really searched; equal: none.
    report
        (N,) int32, row of the report a detection belongs to; never falls.
    item
        (N,) int32, ordinal of the detection in its report, from 0.
    detection_time
        (N,) int64 ns, when this detection was made (the report's time unless it has its own).
    kind
        (N,) uint8, `DetectionKind`.
    position
        (N, 3) float64: latitude rad, longitude rad, HAE m; a position, or the centre of a zone.
    covariance
        (N, 6) float64 m², `EE, EN, NN, EU, NU, UU` in ENU at the position; the last three NaN:
        height not measured.
    polar
        (N, 4) float64: slant range m, azimuth rad, elevation rad, range rate m/s.
    polar_sigma
        (N, 4) float64: one standard deviation of each.
    radius
        (N,) float64 m, of a zone.
    line_vertices
        (N, 2) int32 [start, stop) into `vertices`: the points of a line.
    direction
        (N,) int8: a line was crossed towards its left (-1), right (+1), or not known (0), seen
        along the order of its points.
    velocity
        (N, 3) float64 m/s east, north, up.
    velocity_sigma
        (N,) float64 m/s, per axis.
    snr_db
        (N,) float64 dB.
    identity_kind, identity
        (N,) uint8 `IdentityKind` and bytes24.
    classes
        (N, K) float32, probability of each of `model.taxonomy.CLASSES`; all 0: not said.
    vertices
        (V, 2) float64: latitude rad, longitude rad.
    """

    sensor: Int32s
    time: Int64s
    received: Int64s
    offset: Int64s
    boot: Array
    seq: Int64s
    mode: Array
    origin: Floats
    heading: Floats
    origin_velocity: Floats
    looked: Floats
    looked_vertices: Int32s
    report: Int32s
    item: Int32s
    detection_time: Int64s
    kind: Array
    position: Floats
    covariance: Floats
    polar: Floats
    polar_sigma: Floats
    radius: Floats
    line_vertices: Int32s
    direction: Array
    velocity: Floats
    velocity_sigma: Floats
    snr_db: Floats
    identity_kind: Array
    identity: Array
    classes: Array
    vertices: Floats

    @property
    def n_reports(self) -> int:
        """Number of reports, M."""
        return len(self.sensor)

    @property
    def n_detections(self) -> int:
        """Number of detections, N."""
        return len(self.report)

    def columns(self) -> dict[str, Array]:
        """All columns by name."""
        return {name: getattr(self, name) for name in SCHEMA}

    def check(self) -> Self:
        """Return itself, or raise `ValueError` where a column breaks the schema."""
        check_columns("Detections", SCHEMA, self.columns())
        if self.n_detections and (
            self.report[0] < 0
            or self.report[-1] >= self.n_reports
            or bool((np.diff(self.report) < 0).any())
        ):
            raise ValueError("Detections.report: does not rise along the reports")
        return self

    @classmethod
    def empty(cls) -> Self:
        """No reports at all."""
        return cls(**_NO_ROWS)

    def starts(self) -> Int64s:
        """(M+1,) int64: detections of report m are the rows ``starts[m]:starts[m+1]``."""
        return np.searchsorted(self.report, np.arange(self.n_reports + 1)).astype(np.int64)

    def take_reports(self, rows: Bools | Sequence[int] | Array) -> Self:
        """Chosen reports with their detections, in the order given.

        Parameters
        ----------
        rows
            (M,) mask or indices of reports.
        """
        chosen = np.asarray(rows)
        if chosen.dtype == np.bool_:
            chosen = np.flatnonzero(chosen)
        chosen = chosen.astype(np.int64)
        starts = self.starts()
        counts = starts[chosen + 1] - starts[chosen] if len(chosen) else np.zeros(0, np.int64)
        total = int(counts.sum())
        within = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
        detection_rows = np.repeat(starts[chosen], counts) + within
        values: dict[str, Any] = {}
        for name, column in SCHEMA.items():
            array = getattr(self, name)
            if column.axis == "report":
                values[name] = array.take(chosen, axis=0)
            elif column.axis == "detection":
                values[name] = array.take(detection_rows, axis=0)
            else:
                values[name] = array
        values["report"] = np.repeat(np.arange(len(chosen)), counts).astype(np.int32)
        return type(self)(**values)

    def keep_detections(self, mask: Bools) -> Self:
        """All reports, but only the detections where `mask` (N,) is true."""
        kept = np.flatnonzero(mask)
        values = {
            name: getattr(self, name).take(kept, axis=0)
            if column.axis == "detection"
            else getattr(self, name)
            for name, column in SCHEMA.items()
        }
        return type(self)(**values)

    def replace(self, **changed: Array) -> Self:
        """Itself with some columns exchanged."""
        return type(self)(**{**self.columns(), **changed})

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """Several tables one after another."""
        if not parts:
            return cls.empty()
        if len(parts) == 1:
            return parts[0]
        report_base = np.cumsum([0, *(part.n_reports for part in parts)])
        vertex_base = np.cumsum([0, *(len(part.vertices) for part in parts)])
        values: dict[str, Any] = {}
        for name in SCHEMA:
            arrays = [getattr(part, name) for part in parts]
            if name == "report":
                arrays = [a + b for a, b in zip(arrays, report_base[:-1], strict=True)]
            elif name in {"looked_vertices", "line_vertices"} and vertex_base[-1]:
                arrays = [
                    np.where(a[:, 1:] > a[:, :1], a + b, a)
                    for a, b in zip(arrays, vertex_base[:-1], strict=True)
                ]
            values[name] = np.concatenate(arrays).astype(SCHEMA[name].dtype, copy=False)
        return cls(**values)


class DetectionsBuilder:
    """Builds `Detections` row by row, for decoders that read one message at a time.

    Values are given by the names of `SCHEMA`; what is left out is *not measured*.

    Examples
    --------
    >>> builder = DetectionsBuilder()
    >>> builder.report(sensor=0, time=1_772_366_400_250_000_000)
    >>> builder.detection(kind=DetectionKind.POSITION, position=(1.03, 0.49, 120.0))
    >>> builder.build().n_detections
    1
    """

    def __init__(self) -> None:
        self._rows: dict[str, list[dict[str, Any]]] = {"report": [], "detection": []}
        self._vertices: list[tuple[float, float]] = []

    @property
    def n_reports(self) -> int:
        """Reports begun so far."""
        return len(self._rows["report"])

    def report(self, *, looked_polygon: Sequence[tuple[float, float]] = (), **values: Any) -> None:
        """Begin a report; `looked_polygon` has (latitude, longitude) in radians."""
        if looked_polygon:
            values["looked_vertices"] = self._add_vertices(looked_polygon)
        self._rows["report"].append(values)

    def detection(self, *, line: Sequence[tuple[float, float]] = (), **values: Any) -> None:
        """Add a detection to the report begun last; `line` has (latitude, longitude) in radians."""
        report = len(self._rows["report"]) - 1
        if report < 0:
            raise ValueError("a detection needs a report before it")
        if line:
            values["line_vertices"] = self._add_vertices(line)
        values["report"] = report
        rows = self._rows["detection"]
        if "item" not in values:
            same = rows and rows[-1]["report"] == report
            values["item"] = rows[-1]["item"] + 1 if same else 0
        if "detection_time" not in values:
            values["detection_time"] = self._rows["report"][report].get("time", 0)
        rows.append(values)

    def _add_vertices(self, points: Sequence[tuple[float, float]]) -> tuple[int, int]:
        start = len(self._vertices)
        self._vertices.extend(points)
        return start, len(self._vertices)

    def build(self) -> Detections:
        """Everything added so far."""
        values: dict[str, Any] = {}
        for name, column in SCHEMA.items():
            if column.axis == "vertex":
                values[name] = np.array(self._vertices, dtype="f8").reshape(-1, 2)
                continue
            rows = self._rows[column.axis]
            array = column.empty(len(rows))
            for index, row in enumerate(rows):
                if name in row:
                    array[index] = row[name]
            values[name] = array
        return Detections(**values)
