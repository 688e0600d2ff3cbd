"""Detections as measurements in the plain way: one report at a time, with arrays.

What `fusion.measure` is held against.

Each kind brings its own covariance: a polar detection is long across the line of sight and short
along it, a zone is a disc, a trip line is a stroke. A bearing stays a bearing.

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

from fusion.settings import LEAST_HEIGHT_SIGMA_M, LINE_SIGMA_M, LOWEST_M, NANO, NEW_TARGET_SPREAD_M
from model.arrays import Array, Bools, Floats
from model.coverage import Look
from model.detections import DetectionKind, Detections
from model.frames import (
    Region,
    ecef_from_geodetic,
    enu_rotation,
    geodetic_from_ecef,
)
from model.sensors import Sensor


@dataclass(frozen=True, slots=True, eq=False)
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
    look
        What the report says of origin and sector.
    item
        (n,) ordinal of each detection among all of its input.
    z, R
        (n, 2) east, north m and (n, 2, 2) m²; NaN for bearings.
    delta
        (n,) s, time of the detection less `time`.
    height, height_variance
        (n,) HAE m and m²; NaN: not measured.
    velocity, velocity_variance
        (n, 3) m/s in the region's axes and (n,) m²/s²; NaN: not measured.
    range_rate, range_rate_variance, sight
        (n,) m/s, already freed of the sensor's own motion, (n,) m²/s², and (n, 2) the horizontal
        part of the unit vector of the line of sight; NaN: not measured.
    azimuth, azimuth_variance
        (n,) rad in the plane of the region, and rad²; NaN unless a bearing.
    origin
        (2,) east, north m of the sensor; NaN: it has no place.
    identity_kind, identity, classes
        As in `Detections`.
    """

    time: int
    reported: int
    received: int
    offset: int
    first: int
    sensor: int
    mode: int
    look: Look
    item: Array
    z: Floats
    R: Floats
    delta: Floats
    height: Floats
    height_variance: Floats
    velocity: Floats
    velocity_variance: Floats
    range_rate: Floats
    range_rate_variance: Floats
    sight: Floats
    azimuth: Floats
    azimuth_variance: Floats
    origin: Floats
    identity_kind: Array
    identity: Array
    classes: Array

    def __len__(self) -> int:
        return len(self.item)

    def take(self, mask: Bools) -> "Scan":
        """The report with some of its measurements only."""
        per_item = {
            name: getattr(self, name)[mask]
            for name in self.__slots__
            if isinstance(getattr(self, name), np.ndarray) and name != "origin"
        }
        return replace(self, **per_item)

    @property
    def planar(self) -> Bools:
        """(n,) which measurements say where in the plane."""
        return ~np.isnan(self.z[:, 0])


def scan_of(
    detections: Detections, row: int, rows: slice, first: int, sensor: Sensor, region: Region
) -> Scan:
    """Convert one report.

    Parameters
    ----------
    detections
        The table it stands in.
    row, rows
        The report's row, and the rows of its detections.
    first
        How many detections stand before the report's in its input.
    sensor
        Its description.
    region
        The plane.
    """
    d = detections
    count = rows.stop - rows.start
    look = _look_of(d, row)
    origin = look.origin
    if origin is None and sensor.position is not None:
        origin = np.array(sensor.position)
    time = int(d.time[row]) - sensor.latency_ns
    kind = d.kind[rows]
    z = np.full((count, 2), np.nan)
    R = np.full((count, 2, 2), np.nan)
    height = np.full(count, np.nan)
    height_variance = np.full(count, np.nan)
    azimuth = np.full(count, np.nan)
    azimuth_variance = np.full(count, np.nan)
    range_rate = np.full(count, np.nan)
    range_rate_variance = np.full(count, np.nan)
    sight = np.full((count, 2), np.nan)

    fixed = (kind == DetectionKind.POSITION) | (kind == DetectionKind.ZONE)
    if fixed.any():
        at = d.position[rows][fixed]
        height[fixed] = at[:, 2]
        at = at.copy()
        at[np.isnan(at[:, 2]), 2] = _assumed_height(sensor, origin)
        z[fixed] = _plane(ecef_from_geodetic(at), region)
        covariance = _position_covariance(d, rows, fixed, kind, sensor)
        turn = (region.rotation @ enu_rotation(at[:, 0], at[:, 1]).transpose(0, 2, 1))[:, :2, :2]
        R[fixed] = turn @ covariance[:, :2, :2] @ turn.transpose(0, 2, 1)
        height_variance[fixed] = covariance[:, 2, 2]
    polar = kind == DetectionKind.POLAR
    if polar.any() and origin is not None:
        heading = _heading(look, sensor)
        own = d.origin_velocity[row]
        part = _polar(d, rows, polar, sensor, origin, heading, own, region)
        z[polar], R[polar], height[polar], height_variance[polar], sight[polar], rate = part
        range_rate[polar] = d.polar[rows][polar, 3] + rate
        sigma = d.polar_sigma[rows][polar, 3]
        sigma = np.where(np.isnan(sigma), sensor.sigmas.range_rate_mps, sigma)
        range_rate_variance[polar] = sigma * sigma
    bearing = kind == DetectionKind.BEARING
    if bearing.any() and origin is not None:
        local = d.polar[rows][bearing, 1] + _heading(look, sensor)
        direction = np.stack([np.sin(local), np.cos(local), np.zeros_like(local)], axis=1)
        plane = direction @ enu_rotation(origin[0], origin[1]) @ region.rotation.T
        azimuth[bearing] = np.arctan2(plane[:, 0], plane[:, 1])
        sigma = d.polar_sigma[rows][bearing, 1]
        sigma = np.where(np.isnan(sigma), sensor.sigmas.azimuth_rad, sigma)
        azimuth_variance[bearing] = sigma * sigma
    for index in np.flatnonzero(kind == DetectionKind.LINE):
        start, stop = d.line_vertices[rows][index]
        z[index], R[index] = _stroke(d.vertices[start:stop], sensor, origin, region)

    lacking = np.maximum(NEW_TARGET_SPREAD_M**2 - _least_variance(R), 0.0)
    R[:, [0, 1], [0, 1]] += lacking[:, None]
    where = np.full(2, np.nan)
    if origin is not None:
        where = _plane(ecef_from_geodetic(_no_nan_height(origin))[None], region)[0]
    velocity, velocity_variance = _velocity(d, rows, sensor, origin, region)
    return Scan(
        time=time,
        reported=int(d.time[row]),
        received=int(d.received[row]),
        offset=int(d.offset[row]),
        first=first,
        sensor=int(d.sensor[row]),
        mode=int(d.mode[row]),
        look=look,
        item=np.arange(first, first + count),
        z=z,
        R=R,
        delta=(d.detection_time[rows] - d.time[row]) * NANO,
        height=height,
        height_variance=np.maximum(height_variance, LEAST_HEIGHT_SIGMA_M**2),
        velocity=velocity,
        velocity_variance=velocity_variance,
        range_rate=range_rate,
        range_rate_variance=range_rate_variance,
        sight=sight,
        azimuth=azimuth,
        azimuth_variance=azimuth_variance,
        origin=where,
        identity_kind=d.identity_kind[rows],
        identity=d.identity[rows],
        classes=d.classes[rows],
    )


def _look_of(d: Detections, row: int) -> Look:
    origin = d.origin[row]
    start, stop = d.looked_vertices[row]
    heading = float(d.heading[row])
    return Look(
        origin=None if np.isnan(origin[0]) else _no_nan_height(origin),
        heading_rad=None if np.isnan(heading) else heading,
        sector=None if np.isnan(d.looked[row, 0]) else d.looked[row],
        polygon=d.vertices[start:stop] if stop > start else None,
    )


def _plane(ecef: Floats, region: Region) -> Floats:
    """East, north (n, 2) m of ECEF (n, 3); NaN on the other side of the Earth.

    The plane has a point for each side. On the region's own the Earth falls away from the plane
    by less than the distance from its origin.
    """
    enu = region.enu_from_ecef(ecef)
    beyond = enu[:, 2] < -(region.radius_m + LOWEST_M)
    return np.where(beyond[:, None], np.nan, enu[:, :2])


def _least_variance(R: Floats) -> Floats:
    """Smaller eigenvalue (n,) of symmetric 2 x 2 matrices."""
    half = 0.5 * (R[:, 0, 0] + R[:, 1, 1])
    return half - np.hypot(0.5 * (R[:, 0, 0] - R[:, 1, 1]), R[:, 0, 1])


def _no_nan_height(origin: Floats) -> Floats:
    return np.array([origin[0], origin[1], 0.0 if np.isnan(origin[2]) else origin[2]])


def _heading(look: Look, sensor: Sensor) -> float:
    return sensor.heading_rad if look.heading_rad is None else look.heading_rad


def _assumed_height(sensor: Sensor, origin: Floats | None) -> float:
    if sensor.assumed_height_m is not None:
        return sensor.assumed_height_m
    return 0.0 if origin is None else float(origin[2])


def _position_covariance(
    d: Detections, rows: slice, chosen: Bools, kind: Array, sensor: Sensor
) -> Floats:
    """(n, 3, 3) m² in ENU at the position; a disc of radius r has a variance of r²/4 per axis."""
    packed = d.covariance[rows][chosen]
    out = np.zeros((len(packed), 3, 3))
    default = sensor.sigmas.horizontal_m**2
    zone = kind[chosen] == DetectionKind.ZONE
    radius = d.radius[rows][chosen]
    plain = np.where(zone & ~np.isnan(radius), radius * radius / 4.0, default)
    missing = np.isnan(packed[:, 0])
    out[:, 0, 0] = np.where(missing, plain, packed[:, 0])
    out[:, 1, 1] = np.where(missing, plain, packed[:, 2])
    out[:, 0, 1] = out[:, 1, 0] = np.where(missing, 0.0, packed[:, 1])
    vertical = packed[:, 5]
    out[:, 2, 2] = np.where(np.isnan(vertical), sensor.sigmas.vertical_m**2, vertical)
    return out


def _polar(
    d: Detections,
    rows: slice,
    chosen: Bools,
    sensor: Sensor,
    origin: Floats,
    heading: float,
    own_velocity: Floats,
    region: Region,
) -> tuple[Floats, Floats, Floats, Floats, Floats, Floats]:
    """Plane position, covariance, height, its variance, horizontal line of sight, own rate.

    The own rate is what the sensor's motion takes off range rates.
    """
    slant, azimuth, elevation = (d.polar[rows][chosen, i] for i in range(3))
    azimuth = azimuth + heading
    given = d.polar_sigma[rows][chosen]
    sigmas = sensor.sigmas
    sigma_r = np.where(np.isnan(given[:, 0]), sigmas.range_m, given[:, 0])
    sigma_a = np.where(np.isnan(given[:, 1]), sigmas.azimuth_rad, given[:, 1])
    sigma_e = np.where(np.isnan(given[:, 2]), sigmas.elevation_rad, given[:, 2])
    lifted = ~np.isnan(elevation)
    # Without an elevation the mover is taken to be at the assumed height above the ellipsoid, and
    # the Earth falls away from the sensor's horizon by d²/2R.
    drop = slant * slant / (2.0 * 6_371_000.0)
    rise = _assumed_height(sensor, origin) - origin[2] - drop
    rise = np.clip(rise, -slant, slant)
    up = np.where(lifted, slant * np.sin(np.where(lifted, elevation, 0.0)), rise)
    ground = np.sqrt(np.maximum(slant * slant - up * up, 1.0))
    # The mean of a position whose azimuth is uncertain lies short of the measured one.
    shrink = np.exp(-0.5 * sigma_a * sigma_a)
    along, across = np.sin(azimuth), np.cos(azimuth)
    local = np.stack([ground * along, ground * across, up], axis=1)
    own_rate = np.zeros(len(slant))
    if not np.isnan(own_velocity[0]):
        own_rate = local @ np.nan_to_num(own_velocity) / np.sqrt((local * local).sum(axis=1))
    local[:, :2] *= shrink[:, None]
    to_local = enu_rotation(origin[0], origin[1])
    ecef = local @ to_local + ecef_from_geodetic(origin)
    z = _plane(ecef, region)
    ground_sigma2 = (sigma_r * slant / ground) ** 2
    ground_sigma2 = np.where(
        lifted, (sigma_r * ground / slant) ** 2 + (up * sigma_e) ** 2, ground_sigma2
    )
    both = ground * ground + ground_sigma2
    lateral = -0.5 * both * np.expm1(-2.0 * sigma_a * sigma_a)
    radial = both - lateral - (shrink * ground) ** 2
    radial = np.maximum(radial, ground_sigma2 * shrink * shrink)
    sight = np.stack([along, across], axis=1)
    turn = (region.rotation @ to_local.T)[:2, :2]
    sight = sight @ turn.T
    side = np.stack([sight[:, 1], -sight[:, 0]], axis=1)
    R = (
        radial[:, None, None] * sight[:, :, None] * sight[:, None, :]
        + lateral[:, None, None] * side[:, :, None] * side[:, None, :]
    )
    height = np.where(lifted, geodetic_from_ecef(ecef)[:, 2], np.nan)
    height_variance = (ground * sigma_e) ** 2 + (up / slant * sigma_r) ** 2
    return z, R, height, height_variance, sight * (ground / slant)[:, None], own_rate


def _velocity(
    d: Detections, rows: slice, sensor: Sensor, origin: Floats | None, region: Region
) -> tuple[Floats, Floats]:
    velocity = d.velocity[rows].copy()
    known = ~np.isnan(velocity[:, 0])
    if known.any():
        at = d.position[rows][known]
        placed = ~np.isnan(at[:, 0])
        # Without a place of its own, the axes are those where the sensor stands.
        else_at = (region.latitude, region.longitude) if origin is None else origin
        latitude = np.where(placed, at[:, 0], else_at[0])
        longitude = np.where(placed, at[:, 1], else_at[1])
        turn = region.rotation @ enu_rotation(latitude, longitude).transpose(0, 2, 1)
        flat = velocity[known]
        climb = flat[:, 2].copy()
        flat[:, 2] = 0.0
        velocity[known] = (turn @ flat[:, :, None])[:, :, 0]
        velocity[known, 2] = climb
    sigma = d.velocity_sigma[rows]
    sigma = np.where(np.isnan(sigma), sensor.sigmas.velocity_mps, sigma)
    return velocity, np.where(known, sigma * sigma, np.nan)


def _stroke(
    points: Floats, sensor: Sensor, origin: Floats | None, region: Region
) -> tuple[Floats, Floats]:
    """Mean and covariance of a place anywhere along a line of points (V, 2) latitude, longitude."""
    heights = np.full((len(points), 1), _assumed_height(sensor, origin))
    plane = _plane(ecef_from_geodetic(np.hstack([points, heights])), region)
    a, b = plane[:-1], plane[1:]
    length = np.hypot(*(b - a).T)
    weight = length / length.sum() if length.sum() > 0 else np.full(len(a), 1.0 / len(a))
    middle = 0.5 * (a + b)
    mean = weight @ middle
    spread = np.einsum("i,ij,ik->jk", weight, middle - mean, middle - mean)
    spread += np.einsum("i,ij,ik->jk", weight / 12.0, b - a, b - a)
    return mean, spread + np.eye(2) * LINE_SIGMA_M**2
