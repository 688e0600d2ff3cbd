"""`Detections` on the wire: the way back, for simulators, replay and tests.

What is decoded again is equal: times bit for bit, everything else within 1e-12 rad or the last
place. What a row does not measure is left out, so the sensor's defaults fill it in on the way in;
rows that were decoded have them already.
"""

import math
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from adapters.report.arrays import DETECTION_COLUMNS, REPORT_COLUMNS, VERSION
from adapters.report.schema import KINDS
from model.arrays import Array, Floats
from model.detections import DetectionKind, Detections, IdentityKind, Mode
from model.sensors import Sensors
from model.taxonomy import CLASSES

_KIND_NAMES = {number: name for name, number in KINDS.items()}
_IDENTITY_NAMES = {
    IdentityKind.ICAO24: "icao24",
    IdentityKind.MMSI: "mmsi",
    IdentityKind.MAVLINK: "mavlink",
    IdentityKind.REMOTE_ID: "remote_id",
}
_MODE_NAMES = {int(Mode.LIVE): "live", int(Mode.EXERCISE): "exercise"}
_DIRECTION_NAMES = {-1: "left", 1: "right"}
_JSON = msgspec.json.Encoder()
_PACK = msgspec.msgpack.Encoder()


def encode_json(detections: Detections, sensors: Sensors) -> list[bytes]:
    """One JSON object a report, in their order; joined by newlines they are JSON Lines."""
    return [_JSON.encode(report) for report in as_objects(detections, sensors)]


def encode_msgpack(detections: Detections, sensors: Sensors) -> list[bytes]:
    """One MessagePack map a report, in their order."""
    return [_PACK.encode(report) for report in as_objects(detections, sensors)]


def encode_arrays(
    detections: Detections, sensors: Sensors, reports_per_message: int = 1
) -> list[bytes]:
    """The fast form: reports in their order, neighbours of one sensor, boot and mode together.

    Parameters
    ----------
    detections
        What to say.
    sensors
        Names behind the sensor indices.
    reports_per_message
        Most reports in one message.
    """
    starts = detections.starts()
    messages = []
    for first, stop in _runs(detections, reports_per_message):
        rows = slice(first, stop)
        items = slice(int(starts[first]), int(starts[stop]))
        head: dict[str, Any] = {"arrays": VERSION, "sensor": sensors.ids[detections.sensor[first]]}
        boot = bytes(detections.boot[first])
        if boot:
            head["boot"] = boot.decode()
        if (mode := _MODE_NAMES.get(int(detections.mode[first]))) is not None:
            head["mode"] = mode
        reports, vertices = _report_columns(detections, rows, np.diff(starts[first : stop + 1]))
        if not boot:
            reports.pop("seq", None)
        head["reports"] = reports
        head["detections"], more = _detection_columns(detections, items)
        if vertices := vertices + more:
            head["vertices"] = b"".join(_little(entry, "<f8") for entry in vertices)
        messages.append(_PACK.encode(head))
    return messages


def as_objects(detections: Detections, sensors: Sensors) -> Iterator[dict[str, Any]]:
    """Each report as plain data in the words of the contract (degrees)."""
    starts = detections.starts()
    for row in range(detections.n_reports):
        report: dict[str, Any] = {
            "sensor": sensors.ids[detections.sensor[row]],
            "time_ns": int(detections.time[row]),
        }
        if boot := bytes(detections.boot[row]):
            report["boot"] = boot.decode()
            if detections.seq[row] >= 0:
                report["seq"] = int(detections.seq[row])
        if (mode := _MODE_NAMES.get(int(detections.mode[row]))) is not None:
            report["mode"] = mode
        if not np.isnan(detections.origin[row, 0]):
            report["origin"] = _origin(detections, row)
        if looked := _looked(detections, row):
            report["looked"] = looked
        report["detections"] = [
            _item(detections, item, int(detections.time[row]))
            for item in range(int(starts[row]), int(starts[row + 1]))
        ]
        yield report


def _runs(detections: Detections, longest: int) -> Iterator[tuple[int, int]]:
    """[first, stop) of reports that fit in one message."""
    first = 0
    for row in range(1, detections.n_reports + 1):
        if row < detections.n_reports and row - first < longest:
            same = all(
                getattr(detections, name)[row] == getattr(detections, name)[first]
                for name in ("sensor", "boot", "mode")
            )
            if same:
                continue
        yield first, row
        first = row


def _given(**values: Any) -> dict[str, Any]:
    """Without what was not measured."""
    return {name: float(value) for name, value in values.items() if not math.isnan(value)}


def _origin(detections: Detections, row: int) -> dict[str, Any]:
    latitude, longitude, height = detections.origin[row]
    origin = _given(
        lat=np.rad2deg(latitude),
        lon=np.rad2deg(longitude),
        alt_m=height,
        heading_deg=np.rad2deg(detections.heading[row]),
    )
    if velocity := _velocity(detections.origin_velocity[row]):
        origin["velocity"] = velocity
    return origin


def _velocity(velocity: Floats, sigma: float = math.nan) -> dict[str, Any]:
    east, north, up = velocity
    if math.isnan(east):
        return {}
    return _given(east_mps=east, north_mps=north, up_mps=up, sigma_mps=sigma)


def _points(detections: Detections, span: Array) -> list[list[float]]:
    points: list[list[float]] = np.rad2deg(detections.vertices[span[0] : span[1]]).tolist()
    return points


def _looked(detections: Detections, row: int) -> dict[str, Any]:
    looked: dict[str, Any] = {}
    sector = detections.looked[row]
    # JSON has no infinity: a sector that reaches as far as the coverage says so by its absence
    if np.isfinite(sector[:2]).all():
        looked["range_m"] = sector[:2].tolist()
    if not np.isnan(sector[2]):
        looked["azimuth_deg"] = np.rad2deg(sector[2:]).tolist()
    if polygon := _points(detections, detections.looked_vertices[row]):
        looked["polygon"] = polygon
    return looked


def _item(detections: Detections, row: int, time_ns: int) -> dict[str, Any]:
    kind = int(detections.kind[row])
    item: dict[str, Any] = {"kind": _KIND_NAMES[kind]}
    if detections.detection_time[row] != time_ns:
        item["time_ns"] = int(detections.detection_time[row])
    latitude, longitude, height = detections.position[row]
    polar, sigma = detections.polar[row], detections.polar_sigma[row]
    item |= _given(
        lat=np.rad2deg(latitude),
        lon=np.rad2deg(longitude),
        alt_m=height,
        range_m=polar[0],
        azimuth_deg=np.rad2deg(polar[1]),
        elevation_deg=np.rad2deg(polar[2]),
        range_rate_mps=polar[3],
        sigma_range_m=sigma[0],
        sigma_azimuth_deg=np.rad2deg(sigma[1]),
        sigma_elevation_deg=np.rad2deg(sigma[2]),
        sigma_range_rate_mps=sigma[3],
        radius_m=detections.radius[row],
        snr_db=detections.snr_db[row],
    )
    covariance = detections.covariance[row]
    if not np.isnan(covariance[0]):
        item["covariance_m2"] = covariance[: 3 if np.isnan(covariance[5]) else 6].tolist()
    if kind == DetectionKind.LINE:
        item["points"] = _points(detections, detections.line_vertices[row])
    if (direction := _DIRECTION_NAMES.get(int(detections.direction[row]))) is not None:
        item["direction"] = direction
    if velocity := _velocity(detections.velocity[row], float(detections.velocity_sigma[row])):
        item["velocity"] = velocity
    if detections.identity_kind[row]:
        name = _IDENTITY_NAMES[IdentityKind(int(detections.identity_kind[row]))]
        item["identity"] = {name: bytes(detections.identity[row]).decode()}
    classes = detections.classes[row]
    if classes.any():
        item["class"] = {CLASSES[index]: float(classes[index]) for index in np.flatnonzero(classes)}
    return item


def _little(array: Array, dtype: str) -> bytes:
    return np.ascontiguousarray(array, dtype=dtype).tobytes()


def _report_columns(
    detections: Detections, rows: slice, counts: Array
) -> tuple[dict[str, bytes], list[Floats]]:
    """Columns that say something, and the vertices of polygons (degrees)."""
    spans = detections.looked_vertices[rows]
    origin = detections.origin[rows].copy()
    origin[:, :2] = np.rad2deg(origin[:, :2])
    columns: dict[str, Array] = {
        "time_ns": detections.time[rows],
        "seq": detections.seq[rows],
        "count": counts,
        "origin": origin,
        "heading_deg": np.rad2deg(detections.heading[rows]),
        "origin_velocity_mps": detections.origin_velocity[rows],
        "looked_range_m": detections.looked[rows, :2],
        "looked_azimuth_deg": np.rad2deg(detections.looked[rows, 2:]),
        "looked_points": spans[:, 1] - spans[:, 0],
    }
    keep = {"time_ns", "count"}
    return _pack(columns, REPORT_COLUMNS, keep), _vertices(detections, spans)


def _detection_columns(
    detections: Detections, items: slice
) -> tuple[dict[str, bytes], list[Floats]]:
    position = detections.position[items]
    polar, sigma = detections.polar[items], detections.polar_sigma[items]
    spans = detections.line_vertices[items]
    columns: dict[str, Array] = {
        "kind": detections.kind[items],
        "time_ns": detections.detection_time[items],
        "lat": np.rad2deg(position[:, 0]),
        "lon": np.rad2deg(position[:, 1]),
        "alt_m": position[:, 2],
        "covariance_m2": detections.covariance[items],
        "range_m": polar[:, 0],
        "azimuth_deg": np.rad2deg(polar[:, 1]),
        "elevation_deg": np.rad2deg(polar[:, 2]),
        "range_rate_mps": polar[:, 3],
        "sigma_range_m": sigma[:, 0],
        "sigma_azimuth_deg": np.rad2deg(sigma[:, 1]),
        "sigma_elevation_deg": np.rad2deg(sigma[:, 2]),
        "sigma_range_rate_mps": sigma[:, 3],
        "radius_m": detections.radius[items],
        "points": spans[:, 1] - spans[:, 0],
        "direction": detections.direction[items],
        "velocity_mps": detections.velocity[items],
        "sigma_velocity_mps": detections.velocity_sigma[items],
        "snr_db": detections.snr_db[items],
        "identity_kind": detections.identity_kind[items],
        "identity": detections.identity[items],
        "class": detections.classes[items],
    }
    kinds = set(detections.kind[items].tolist())
    keep = {"kind"}
    if kinds & {DetectionKind.POSITION, DetectionKind.ZONE}:
        keep |= {"lat", "lon"}
    if DetectionKind.ZONE in kinds:
        keep.add("radius_m")
    if kinds & {DetectionKind.POLAR, DetectionKind.BEARING}:
        keep.add("azimuth_deg")
    if DetectionKind.POLAR in kinds:
        keep.add("range_m")
    if detections.identity_kind[items].any():
        keep |= {"identity", "identity_kind"}
    times = detections.time[detections.report[items]]
    if (detections.detection_time[items] == times).all():
        del columns["time_ns"]
    return _pack(columns, DETECTION_COLUMNS, keep), _vertices(detections, spans)


def _pack(
    columns: dict[str, Array], table: dict[str, tuple[str, int, Any]], keep: set[str]
) -> dict[str, bytes]:
    """Bytes of the columns that must be there or hold more than their fill."""
    packed = {}
    for name, array in columns.items():
        dtype, _, fill = table[name]
        blank = np.isnan(array).all() if fill != fill else (array == fill).all()
        if name in keep or not blank:
            packed[name] = _little(array, dtype)
    return packed


def _vertices(detections: Detections, spans: Array) -> list[Floats]:
    return [np.rad2deg(detections.vertices[a:b]) for a, b in spans if b > a]
