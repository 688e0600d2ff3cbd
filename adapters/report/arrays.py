"""The struct-of-arrays form of the report: MessagePack around little-endian arrays.

Every column is checked for its length before any is read; then columns of many messages are
joined as bytes and read at once.
"""

from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from adapters.common import MODE_NOT_SAID, refusal
from adapters.report.columns import Rows
from adapters.report.objects import BOOT_BYTES, REQUIRED, Refused, explain, fits
from adapters.report.schema import KINDS, MODES, Arrays
from model.arrays import Array, Int32s, Int64s
from model.detections import IDENTITY_BYTES
from model.errors import Quarantined, Reason
from model.taxonomy import N_CLASSES

VERSION = 1
"""Value of the key ``arrays`` that this decoder reads."""

_DECODER = msgspec.msgpack.Decoder(Arrays)

_NAN = float("nan")

REPORT_COLUMNS: dict[str, tuple[str, int, Any]] = {
    "time_ns": ("<i8", 1, 0),
    "seq": ("<i8", 1, -1),
    "count": ("<u4", 1, 0),
    "origin": ("<f8", 3, _NAN),
    "heading_deg": ("<f8", 1, _NAN),
    "origin_velocity_mps": ("<f8", 3, _NAN),
    "looked_range_m": ("<f8", 2, _NAN),
    "looked_azimuth_deg": ("<f8", 2, _NAN),
    "looked_points": ("<u4", 1, 0),
}
"""Name: dtype, values a report, what an absent column means."""

DETECTION_COLUMNS: dict[str, tuple[str, int, Any]] = {
    "kind": ("<u1", 1, 0),
    "time_ns": ("<i8", 1, -1),
    "lat": ("<f8", 1, _NAN),
    "lon": ("<f8", 1, _NAN),
    "alt_m": ("<f8", 1, _NAN),
    "sigma_m": ("<f8", 1, _NAN),
    "sigma_alt_m": ("<f8", 1, _NAN),
    "covariance_m2": ("<f8", 6, _NAN),
    "range_m": ("<f8", 1, _NAN),
    "azimuth_deg": ("<f8", 1, _NAN),
    "elevation_deg": ("<f8", 1, _NAN),
    "range_rate_mps": ("<f8", 1, _NAN),
    "sigma_range_m": ("<f8", 1, _NAN),
    "sigma_azimuth_deg": ("<f8", 1, _NAN),
    "sigma_elevation_deg": ("<f8", 1, _NAN),
    "sigma_range_rate_mps": ("<f8", 1, _NAN),
    "radius_m": ("<f8", 1, _NAN),
    "points": ("<u4", 1, 0),
    "direction": ("<i1", 1, 0),
    "velocity_mps": ("<f8", 3, _NAN),
    "sigma_velocity_mps": ("<f8", 1, _NAN),
    "snr_db": ("<f8", 1, _NAN),
    "identity_kind": ("<u1", 1, 0),
    "identity": (f"S{IDENTITY_BYTES}", 1, b""),
    "class": ("<f4", N_CLASSES, 0.0),
}
"""Name: dtype, values a detection, what an absent column means."""

_SIZES = {
    axis: {name: np.dtype(dtype).itemsize * width for name, (dtype, width, _) in columns.items()}
    for axis, columns in (("reports", REPORT_COLUMNS), ("detections", DETECTION_COLUMNS))
}
_VERTEX_BYTES = 16


@dataclass(slots=True)
class Blocks:
    """Messages read so far, waiting to become columns."""

    messages: list[int] = field(default_factory=list)
    parts: list[Arrays] = field(default_factory=list)
    reports: list[int] = field(default_factory=list)
    detections: list[int] = field(default_factory=list)


def read_arrays(
    payload: bytes, row: int, offset: int, sensor: str, into: Blocks, refused: list[Quarantined]
) -> int:
    """Read one message of arrays; returns how many reports were understood."""
    try:
        part = _DECODER.decode(payload)
        reports, detections = _check(part, sensor)
    except msgspec.ValidationError as error:
        why = explain(error)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        why = Refused(Reason.NOT_MSGPACK, str(error))
    except RecursionError:
        why = Refused(Reason.NOT_MSGPACK, "nested too deeply")
    except Refused as error:
        why = error
    else:
        into.messages.append(row)
        into.parts.append(part)
        into.reports.append(reports)
        into.detections.append(detections)
        return reports
    refused.append(refusal(offset, -1, sensor, why.reason, why.detail))
    return 0


def _check(part: Arrays, sensor: str) -> tuple[int, int]:
    """Numbers of reports and detections of a message all of whose columns fit together."""
    if part.arrays != VERSION:
        raise Refused(Reason.UNSUPPORTED, f"arrays: version {part.arrays}, not {VERSION}")
    if part.sensor != sensor:
        raise Refused(
            Reason.SENSOR_MISMATCH, f"sensor: {part.sensor!r}, but the topic says {sensor!r}"
        )
    if "time_ns" not in part.reports:
        raise Refused(Reason.MISSING_FIELD, "reports.time_ns: missing")
    if part.detections and "kind" not in part.detections:
        raise Refused(Reason.MISSING_FIELD, "detections.kind: missing")
    if "seq" in part.reports and not part.boot:
        raise Refused(Reason.MISSING_FIELD, "boot: missing (seq needs it)")
    if part.boot is not None and not fits(part.boot, BOOT_BYTES):
        raise Refused(Reason.BAD_FIELD, f"boot: over {BOOT_BYTES} bytes, or with a NUL")
    reports = len(part.reports["time_ns"]) // 8
    detections = len(part.detections.get("kind", b""))
    for axis, columns, rows in (
        ("reports", part.reports, reports),
        ("detections", part.detections, detections),
    ):
        sizes = _SIZES[axis]
        for name, data in columns.items():
            size = sizes.get(name)
            if size is None:
                raise Refused(Reason.BAD_FIELD, f"{axis}.{name}: no such column")
            if len(data) != size * rows:
                raise Refused(
                    Reason.BAD_SHAPE, f"{axis}.{name}: {len(data)} bytes, not {rows} × {size}"
                )
    if "count" in part.reports:
        told = int(np.frombuffer(part.reports["count"], "<u4").sum(dtype=np.int64))
    else:
        told = detections if reports == 1 else 0
    if told != detections:
        raise Refused(
            Reason.BAD_SHAPE,
            f"reports.count: they sum to {told}, there are {detections} detections",
        )
    _check_kinds(part)
    _check_vertices(part)
    return reports, detections


def _check_kinds(part: Arrays) -> None:
    kinds = set(part.detections.get("kind", b""))
    if kinds and max(kinds) >= len(KINDS):
        raise Refused(Reason.BAD_FIELD, f"detections.kind: {max(kinds)} is none")
    for name, number in KINDS.items():
        if number in kinds:
            for column in REQUIRED[name]:
                if column not in part.detections:
                    raise Refused(
                        Reason.MISSING_FIELD, f"detections.{column}: missing ({name} needs it)"
                    )
    if ("identity" in part.detections) != ("identity_kind" in part.detections):
        raise Refused(Reason.MISSING_FIELD, "detections.identity: needs identity_kind, and it that")
    if (direction := part.detections.get("direction")) is not None and set(direction) - {0, 1, 255}:
        raise Refused(Reason.BAD_FIELD, "detections.direction: not -1, 0 or 1")
    if (seq := part.reports.get("seq")) is not None and (np.frombuffer(seq, "<i8") < -1).any():
        raise Refused(Reason.BAD_FIELD, "reports.seq: below 0 (-1: none)")


def _check_vertices(part: Arrays) -> None:
    looked, lines = part.reports.get("looked_points"), part.detections.get("points")
    if looked is None and lines is None:
        told = 0
    else:
        polygons = np.frombuffer(looked or b"", "<u4")
        points = np.frombuffer(lines or b"", "<u4")
        kind = np.frombuffer(part.detections.get("kind", b""), "<u1")
        if ((polygons > 0) & (polygons < 3)).any():
            raise Refused(Reason.BAD_FIELD, "reports.looked_points: a polygon has three or more")
        if (
            lines is not None
            and ((points < 2) if KINDS["line"] in kind else (points > 0))[
                kind == KINDS["line"]
            ].any()
        ):
            raise Refused(Reason.BAD_FIELD, "detections.points: a line has two or more")
        if points[kind[: len(points)] != KINDS["line"]].any():
            raise Refused(Reason.BAD_FIELD, "detections.points: of what is no line")
        told = int(polygons.sum(dtype=np.int64)) + int(points.sum(dtype=np.int64))
    if len(part.vertices) != told * _VERTEX_BYTES:
        raise Refused(
            Reason.BAD_SHAPE, f"vertices: {len(part.vertices)} bytes, not {told} × {_VERTEX_BYTES}"
        )


def to_rows(blocks: Blocks) -> Rows:
    """Columns of the messages read, in the units of the wire."""
    reports = np.array(blocks.reports, dtype=np.int64)
    detections = np.array(blocks.detections, dtype=np.int64)
    r = {name: _join(blocks, "reports", name) for name in REPORT_COLUMNS}
    d = {name: _join(blocks, "detections", name) for name in DETECTION_COLUMNS}
    count = r["count"].astype(np.int64)
    told = np.array(["count" in part.reports for part in blocks.parts], dtype=np.bool_)
    start_of = np.cumsum(reports) - reports
    single = ~told & (reports == 1)
    count[start_of[single]] = detections[single]
    report = np.repeat(np.arange(len(count), dtype=np.int32), count)
    time = r["time_ns"].astype(np.int64)
    own = d["time_ns"].astype(np.int64)

    # vertices of a message: first its polygons in the order of reports, then its lines
    polygons, lines = r["looked_points"].astype(np.int64), d["points"].astype(np.int64)
    vertices = np.array([len(part.vertices) // _VERTEX_BYTES for part in blocks.parts], np.int64)
    first_vertex = np.cumsum(vertices) - vertices
    of_report = np.repeat(np.arange(len(reports)), reports)
    of_detection = np.repeat(np.arange(len(detections)), detections)
    looked_start = _within(polygons, of_report, reports) + first_vertex[of_report]
    polygon_sum = np.bincount(of_report, weights=polygons, minlength=len(reports)).astype(np.int64)
    line_start = (
        _within(lines, of_detection, detections) + (first_vertex + polygon_sum)[of_detection]
    )
    joined = b"".join([part.vertices for part in blocks.parts])
    return Rows(
        message=np.array(blocks.messages, dtype=np.int64)[of_report],
        time=time,
        boot=np.array([(part.boot or "").encode() for part in blocks.parts], f"S{BOOT_BYTES}")[
            of_report
        ],
        seq=r["seq"].astype(np.int64),
        mode=np.array(
            [MODE_NOT_SAID if part.mode is None else MODES[part.mode] for part in blocks.parts],
            dtype=np.uint8,
        )[of_report],
        origin=r["origin"],
        heading=r["heading_deg"],
        origin_velocity=r["origin_velocity_mps"],
        looked_range=r["looked_range_m"],
        looked_azimuth=r["looked_azimuth_deg"],
        looked_start=looked_start,
        looked_count=polygons,
        report=report,
        item=_ordinals(detections),
        detection_time=np.where(own < 0, time[report], own),
        kind=d["kind"].astype(np.uint8),
        latitude=d["lat"],
        longitude=d["lon"],
        height=d["alt_m"],
        sigma=d["sigma_m"],
        sigma_height=d["sigma_alt_m"],
        covariance=d["covariance_m2"],
        polar=np.stack(
            [d["range_m"], d["azimuth_deg"], d["elevation_deg"], d["range_rate_mps"]], axis=1
        ),
        polar_sigma=np.stack(
            [
                d["sigma_range_m"],
                d["sigma_azimuth_deg"],
                d["sigma_elevation_deg"],
                d["sigma_range_rate_mps"],
            ],
            axis=1,
        ),
        radius=d["radius_m"],
        line_start=line_start,
        line_count=lines,
        direction=d["direction"].astype(np.int8),
        velocity=d["velocity_mps"],
        velocity_sigma=d["sigma_velocity_mps"],
        snr=d["snr_db"],
        identity_kind=d["identity_kind"].astype(np.uint8),
        identity=d["identity"].astype(f"S{IDENTITY_BYTES}"),
        classes=d["class"].astype(np.float32),
        vertices=np.frombuffer(joined, "<f8").astype(np.float64).reshape(-1, 2),
    )


def _join(blocks: Blocks, axis: str, name: str) -> Array:
    """One column of all messages, native byte order; (rows,) or (rows, width)."""
    dtype, width, fill = (REPORT_COLUMNS if axis == "reports" else DETECTION_COLUMNS)[name]
    counts = blocks.reports if axis == "reports" else blocks.detections
    groups = [getattr(part, axis) for part in blocks.parts]
    present = [name in group for group in groups]
    rows = sum(counts)
    shape = (rows,) if width == 1 else (rows, width)
    if not any(present):
        return np.full(shape, fill, dtype=dtype)
    if all(present):
        data = b"".join([group[name] for group in groups])
    else:
        value = np.full(width, fill, dtype=dtype).tobytes()
        data = b"".join(
            [
                group[name] if here else value * count
                for group, here, count in zip(groups, present, counts, strict=True)
            ]
        )
    column: Array = np.frombuffer(data, dtype).reshape(shape)
    return column


def _ordinals(counts: Int64s) -> Int32s:
    """0, 1, … within each group."""
    first = np.cumsum(counts) - counts
    ordinals: Int64s = np.arange(int(counts.sum())) - np.repeat(first, counts)
    return ordinals.astype(np.int32)


def _within(lengths: Int64s, group: Array, counts: Array) -> Int64s:
    """Sum of the lengths before each row in its own group."""
    before: Int64s = np.cumsum(lengths) - lengths
    if not len(before):
        return before
    first_row = np.cumsum(counts) - counts
    base = before[np.minimum(first_row, len(before) - 1)]
    within: Int64s = before - base[group]
    return within
