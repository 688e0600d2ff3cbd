"""Detections of any kind as measurements in the region's plane.

Each kind brings its own covariance: a polar detection is long across the line of sight and short
along it, a zone is a disc, a trip line is a stroke, with the way it was crossed if that is known. A
bearing stays a bearing.

A batch is converted at once, in compiled kernels (`fusion.measure_kernels`), and each report is a
window onto it.

References
----------
Polar conversion: L. Mo, X. Song, Y. Zhou, Z. K. Sun, Y. Bar-Shalom, "Unbiased converted
measurements for tracking", IEEE Trans. AES 34(3), 1998, doi:10.1109/7.705921, as amended by
Z. Duan, C. Han, X. R. Li, "Comments on 'Unbiased converted measurements for tracking'", IEEE
Trans. AES 40(4), 2004: the moments of the place given the measurement. With an azimuth that says
nothing they end in a disc about the sensor, where the unamended mean runs off to infinity.
"""

from dataclasses import dataclass, replace

import numpy as np

from fusion.gathered import ASSUMED, HEIGHT, Gathered, gathered
from fusion.jit import plain
from fusion.measure_kernels import (
    BROKEN,
    FACTS,
    OUTSIDE,
    SAYS,
    SAYS_HEADING,
    SAYS_ORIGIN,
    SAYS_POLYGON,
    SAYS_SECTOR,
    SENSOR,
    list_reports,
    measure,
)
from fusion.names import words_of
from fusion.pd_kernel import VIEW, views
from fusion.records import MEASURED
from fusion.settings import LINE_SIGMA_M, LOWEST_M
from fusion.table import identities
from model.arrays import Array, Bools, Floats, Int64s
from model.coverage import CONFIGURED, Look
from model.detections import DetectionKind, Detections
from model.frames import Region, ecef_from_geodetic
from model.sensors import Sensors


@dataclass(slots=True, eq=False)
class Scan:
    """One report, ready to be fused: n measurements in the plane of the region.

    Parameters
    ----------
    time
        ns, when the sensor looked, its latency taken off.
    reported, received
        ns, as reported, and when it arrived.
    offset, first
        Journal offset of the input, and how many detections stood before the report's in it.
    sensor
        Index of the sensor.
    mode
        `model.detections.Mode`.
    refused
        How many detections of the report are not among the n: they lie outside the region or say
        nothing of place.
    look
        What the report says of origin and sector.
    view
        (`fusion.pd_kernel.VIEW`,) where the sensor looked, for `fusion.pd_kernel.pd_plane`.
    origin
        (2,) east, north m of the sensor; NaN: it has no place.
    item
        (n,) int64 ordinal of each detection among all of its input.
    name
        (n,) int64 `fusion.names`: what stands for kind and bytes of its identity; 0: none.
    z, R
        (n, 2) east, north m and (n, 2, 2) m²; NaN for bearings.
    delta
        (n,) s, time of the detection less `reported`.
    height, height_variance
        (n,) HAE m and m²; NaN: not measured.
    velocity, velocity_variance
        (n, 3) m/s in the region's axes and (n,) m²/s²; NaN: not measured.
    range_rate, range_rate_variance, sight
        (n,) m/s, already freed of the sensor's own motion, (n,) m²/s², and (n, 2) the horizontal
        part of the unit vector of the line of sight; NaN: not measured.
    azimuth, azimuth_variance
        (n,) rad in the plane of the region, and rad²; NaN unless a bearing.
    across
        (n, 2) unit vector east, north across a line, in the direction in which it was crossed; 0,
        0: not known.
    identity_kind, identity, classes
        As in `Detections`.
    rows
        (n,) `fusion.records.MEASURED`, in which all that has n rows stands.
    """

    time: int
    reported: int
    received: int
    offset: int
    first: int
    sensor: int
    mode: int
    refused: int
    look: Look
    view: Floats
    origin: Floats
    rows: Array

    def __len__(self) -> int:
        return len(self.rows)

    def __getattr__(self, name: str) -> Array:
        if name in PER_DETECTION:
            column: Array = self.rows[name]
            return column
        raise AttributeError(name)

    def take(self, mask: Bools) -> "Scan":
        """The report with some of its measurements only."""
        return replace(self, rows=self.rows[mask])

    @property
    def identity(self) -> Array:
        """(n,) bytes24."""
        return identities(self.rows)

    @property
    def planar(self) -> Bools:
        """(n,) which measurements say where in the plane."""
        planar: Bools = ~np.isnan(self.rows["z"][:, 0])
        return planar


PER_DETECTION = tuple(name for name in MEASURED.names or () if name != "words")
"""What `Scan` has a row of for each detection, besides `identity`."""

LEAST_STRAIGHT = 0.97
"""Least part of a line's length that its ends lie apart, for its direction to count: then a line of
two pieces has normals within 14 degrees of that of its chord, which stands for both."""

_COUNTED = np.zeros(0, dtype=np.int64)
"""In place of given firsts: count them."""


def scans_of(
    detections: Detections,
    sensors: Sensors,
    region: Region,
    firsts: Int64s | None = None,
    room: Array | None = None,
) -> list[Scan]:
    """Convert all reports of a batch.

    Every number depends on its own detection, report and sensor only, so the same reports give the
    same bits however they are cut into batches. Memory of a batch is held as long as any of its
    scans.

    Parameters
    ----------
    detections
        Gated.
    sensors
        Those that the detections' indices are about.
    region
        The plane. Detections outside it, or that say nothing of place, are left out.
    firsts
        (M,) how many detections stand before each report's in its input; None: all reports of an
        input are in this batch, and together.
    room
        (all detections or more,) `fusion.records.MEASURED`, to lie in; None: in their own.

    Returns
    -------
    list of Scan
        One for each report, in order.

    Raises
    ------
    IndexError
        If a report is of no known sensor.
    ValueError
        If columns break the schema of `Detections`.
    """
    d = detections
    count, rows = len(d.sensor), len(d.report)
    known = gathered(sensors)
    facts = np.empty((count, FACTS), dtype=np.int64)
    sensor, origin, heading = plain(d.sensor), plain(d.origin), plain(d.heading)
    looked, polygons = plain(d.looked), plain(d.looked_vertices)
    _check_lengths(d)
    bad = list_reports(
        sensor,
        plain(d.time),
        plain(d.received),
        plain(d.offset),
        plain(d.mode),
        origin,
        heading,
        looked,
        polygons,
        plain(d.report),
        known.latency,
        _COUNTED if firsts is None else plain(firsts),
        facts,
    )
    if bad == BROKEN:
        raise ValueError("Detections.report: does not rise along the reports")
    if bad >= 0:
        raise IndexError(f"report {bad} is of sensor {d.sensor[bad]}, of {len(sensors)}")
    where = np.empty((count, 2))
    inside = np.empty(rows, dtype=np.bool_)
    out = np.empty(rows, MEASURED) if room is None else room[:rows]
    lines = measure(
        facts,
        origin,
        heading,
        plain(d.origin_velocity),
        plain(d.detection_time),
        plain(d.kind),
        plain(d.position),
        plain(d.covariance),
        plain(d.polar),
        plain(d.polar_sigma),
        plain(d.radius),
        plain(d.velocity),
        plain(d.velocity_sigma),
        plain(d.identity_kind),
        plain(words_of(d.identity)),
        plain(d.classes),
        known.stand,
        known.sigmas,
        region.origin,
        region.rotation,
        region.radius_m,
        where,
        inside,
        out,
    )
    if lines:
        _add_lines(d, facts, known, region, out, inside)
    view = np.empty((count, VIEW))
    views(
        facts,
        origin,
        heading,
        looked,
        known.stand,
        known.case,
        known.odd,
        known.sector,
        region.origin,
        region.rotation,
        region.curvature[0],
        region.curvature[1],
        view,
    )
    scans = []
    for row, said in enumerate(facts.tolist()):
        time, reported, received, offset, first, of, mode, begin, stop, outside, says = said
        scan = Scan(
            time,
            reported,
            received,
            offset,
            first,
            of,
            mode,
            outside,
            _look_of(d, row, says) if says else CONFIGURED,
            view[row],
            where[row],
            out[begin:stop],
        )
        scans.append(scan.take(inside[begin:stop]) if outside else scan)
    return scans


def _check_lengths(d: Detections) -> None:
    """Compiled kernels look over no column's end: refuse tables whose columns differ in length."""
    rows = {len(d.report), len(d.detection_time), len(d.kind), len(d.position), len(d.covariance)}
    rows |= {len(d.polar), len(d.polar_sigma), len(d.radius), len(d.velocity)}
    rows |= {len(d.velocity_sigma), len(d.identity_kind), len(d.identity), len(d.classes)}
    reports = {len(d.sensor), len(d.time), len(d.received), len(d.offset), len(d.mode)}
    reports |= {len(d.origin), len(d.heading), len(d.origin_velocity), len(d.looked)}
    reports.add(len(d.looked_vertices))
    if len(rows) > 1 or len(reports) > 1:
        d.check()


def _look_of(d: Detections, row: int, says: int) -> Look:
    polygon = None
    if says & SAYS_POLYGON:
        start, stop = d.looked_vertices[row]
        polygon = d.vertices[start:stop]
    return Look(
        origin=_no_nan_height(d.origin[row]) if says & SAYS_ORIGIN else None,
        heading_rad=float(d.heading[row]) if says & SAYS_HEADING else None,
        sector=d.looked[row] if says & SAYS_SECTOR else None,
        polygon=polygon,
    )


def _no_nan_height(origin: Floats) -> Floats:
    return np.array([origin[0], origin[1], 0.0 if np.isnan(origin[2]) else origin[2]])


def _add_lines(
    d: Detections,
    facts: Int64s,
    known: Gathered,
    region: Region,
    out: Array,
    inside: Bools,
) -> None:
    """Fill in what the kernel left open: trip lines are rare, and have any number of points."""
    z, R, across = out["z"], out["R"], out["across"]
    for index in np.flatnonzero(d.kind == DetectionKind.LINE):
        report = facts[d.report[index]]
        height = known.stand[report[SENSOR], ASSUMED]
        if np.isnan(height):
            height = known.stand[report[SENSOR], HEIGHT]
            if report[SAYS] & SAYS_ORIGIN:
                height = d.origin[d.report[index], 2]
            height = 0.0 if np.isnan(height) else height
        start, stop = d.line_vertices[index]
        if stop - start < 2:
            continue  # no line: it says nothing of place
        points = _in_plane(d.vertices[start:stop], height, region)
        z[index], R[index] = _stroke(points)
        across[index] = _across(points, int(d.direction[index]))
        if z[index] @ z[index] <= region.radius_m**2:
            inside[index] = True
            report[OUTSIDE] -= 1


def _in_plane(points: Floats, height: float, region: Region) -> Floats:
    """(V, 2) east, north m of latitudes and longitudes (V, 2); NaN beyond the plane's horizon."""
    heights = np.full((len(points), 1), height)
    enu = region.enu_from_ecef(ecef_from_geodetic(np.hstack([points, heights])))
    beyond = enu[:, 2] < -(region.radius_m + LOWEST_M)
    plane: Floats = np.where(beyond[:, None], np.nan, enu[:, :2])
    return plane


def _stroke(plane: Floats) -> tuple[Floats, Floats]:
    """Mean and covariance of a place anywhere along a line of points (V, 2) east, north."""
    a, b = plane[:-1], plane[1:]
    length = np.hypot(*(b - a).T)
    weight = length / length.sum() if length.sum() > 0 else np.full(len(a), 1.0 / len(a))
    middle = 0.5 * (a + b)
    mean = weight @ middle
    spread = np.einsum("i,ij,ik->jk", weight, middle - mean, middle - mean)
    spread += np.einsum("i,ij,ik->jk", weight / 12.0, b - a, b - a)
    return mean, spread + np.eye(2) * LINE_SIGMA_M**2


def _across(plane: Floats, side: int) -> Floats:
    """(2,) unit vector across a line of points (V, 2), to its right (1) or left (-1).

    Left and right are as one goes from its first point to its last. 0, 0: not known, or the line
    turns too much to have one normal.
    """
    chord = plane[-1] - plane[0]
    apart = float(np.hypot(*chord))
    length = float(np.hypot(*np.diff(plane, axis=0).T).sum())
    if side == 0 or not apart > 0.0 or not apart >= LEAST_STRAIGHT * length:
        return np.zeros(2)
    return side / apart * np.array([chord[1], -chord[0]])
