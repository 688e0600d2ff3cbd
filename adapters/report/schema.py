"""The words of a report on the wire, as msgspec types.

Degrees and metres, as people write them; `None` (or left out) means not measured. Fields that a
newer sender may add are passed over.
"""

from typing import Annotated, Literal

from msgspec import Meta, Raw, Struct, field

from model.detections import Mode

Kind = Literal["position", "polar", "bearing", "zone", "line"]
"""In the order of `model.detections.DetectionKind`."""

KINDS: dict[str, int] = {"position": 0, "polar": 1, "bearing": 2, "zone": 3, "line": 4}
MODES: dict[str, int] = {"live": int(Mode.LIVE), "exercise": int(Mode.EXERCISE)}
DIRECTIONS: dict[str, int] = {"left": -1, "right": 1}

Seq = Annotated[int, Meta(ge=0, le=2**63 - 1)]
TimeNs = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Point = tuple[float, float]


class Velocity(Struct, frozen=True, gc=False):
    """Velocity in m/s; `sigma_mps` per axis."""

    east_mps: float
    north_mps: float
    up_mps: float | None = None
    sigma_mps: float | None = None


class Origin(Struct, frozen=True, gc=False):
    """Where a moving sensor stood."""

    lat: float
    lon: float
    alt_m: float | None = None
    heading_deg: float | None = None
    velocity: Velocity | None = None


class Looked(Struct, frozen=True):
    """The sector or polygon really searched."""

    range_m: tuple[float, float] | None = None
    azimuth_deg: tuple[float, float] | None = None
    polygon: Annotated[list[Point], Meta(min_length=3)] | None = None


class Identity(Struct, frozen=True, gc=False):
    """Whose number a craft bears; one of them."""

    icao24: str | None = None
    mmsi: str | int | None = None
    mavlink: str | int | None = None
    remote_id: str | None = None


class Item(Struct, frozen=True):
    """One detection."""

    kind: Kind
    lat: float | None = None
    lon: float | None = None
    alt_m: float | None = None
    sigma_m: float | None = None
    sigma_alt_m: float | None = None
    covariance_m2: Annotated[list[float], Meta(min_length=3, max_length=6)] | None = None
    range_m: float | None = None
    azimuth_deg: float | None = None
    elevation_deg: float | None = None
    range_rate_mps: float | None = None
    sigma_range_m: float | None = None
    sigma_azimuth_deg: float | None = None
    sigma_elevation_deg: float | None = None
    sigma_range_rate_mps: float | None = None
    radius_m: float | None = None
    points: Annotated[list[Point], Meta(min_length=2)] | None = None
    direction: Literal["left", "right"] | None = None
    velocity: Velocity | None = None
    snr_db: float | None = None
    classes: dict[str, float] | None = field(name="class", default=None)
    identity: Identity | None = None
    time: float | str | None = None
    time_ns: TimeNs | None = None


class Head(Struct, frozen=True):
    """A report but for its detections."""

    sensor: str
    time: float | str | None = None
    time_ns: TimeNs | None = None
    boot: str | None = None
    seq: Seq | None = None
    mode: Literal["live", "exercise"] | None = None
    origin: Origin | None = None
    looked: Looked | None = None


class Report(Head, frozen=True, kw_only=True):
    """A whole report: the fast path."""

    detections: list[Item]


class RawReport(Head, frozen=True, kw_only=True):
    """A report whose detections are read one by one, after the fast path has failed."""

    detections: list[Raw]


class Arrays(Struct, frozen=True):
    """The struct-of-arrays form; see the README for its columns."""

    arrays: int
    sensor: str
    reports: dict[str, bytes]
    detections: dict[str, bytes] = {}
    vertices: bytes = b""
    boot: str | None = None
    mode: Literal["live", "exercise"] | None = None
