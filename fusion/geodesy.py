"""`model.frames` for one point at a time, in compiled kernels: the same formulas, scalar by scalar.

References
----------
NIMA TR8350.2, third edition, table 3.1 (WGS-84). H. Vermeille, "Computing geodetic coordinates
from geocentric coordinates", J. Geodesy 78 (2004), doi:10.1007/s00190-004-0375-4. B. R. Bowring,
"Transformation from spatial to geographical coordinates", Survey Review 23 (1976),
doi:10.1179/sre.1976.23.181.323.
"""

import math

import numpy as np

from fusion.jit import inlined, kernel
from model.arrays import Floats
from model.frames import WGS84_A_M, WGS84_E2

Triple = tuple[float, float, float]
Four = tuple[float, float, float, float]

WGS84_B_M = WGS84_A_M * math.sqrt(1.0 - WGS84_E2)
"""Semi-minor axis, m."""

BOWRING_M = 30_000.0
"""Bowring's formula serves within this of the ellipsoid: there it is off by less than 2e-12 rad
(0.01 mm), and is half as long as Vermeille's."""

_SECOND_B = WGS84_E2 / (1.0 - WGS84_E2) * WGS84_B_M
_FIRST_A = WGS84_E2 * WGS84_A_M
# Of Bowring's formula: second eccentricity squared times b, first times a, m.

SMALL = 0.02
"""Sines of less have their angle by a series: 130 km on the Earth."""


@inlined
def sines(latitude: float, longitude: float) -> Four:
    """Sine and cosine of latitude, sine and cosine of longitude, both rad."""
    return math.sin(latitude), math.cos(latitude), math.sin(longitude), math.cos(longitude)


@inlined
def ecef_of(at: Four, height: float) -> Triple:
    """ECEF x, y, z (m) of `sines` and HAE m."""
    sin_lat, cos_lat, sin_lon, cos_lon = at
    prime_vertical = WGS84_A_M / math.sqrt(1.0 - WGS84_E2 * sin_lat * sin_lat)
    horizontal = (prime_vertical + height) * cos_lat
    return (
        horizontal * cos_lon,
        horizontal * sin_lon,
        (prime_vertical * (1.0 - WGS84_E2) + height) * sin_lat,
    )


@kernel
def ecef_of_local(at: Four, east: float, north: float, up: float) -> Triple:
    """ECEF difference (m) of a difference in the east, north, up (m) of `sines`."""
    sin_lat, cos_lat, sin_lon, cos_lon = at
    outward = cos_lat * up - sin_lat * north  # from the Earth's axis
    return (
        cos_lon * outward - sin_lon * east,
        sin_lon * outward + cos_lon * east,
        cos_lat * north + sin_lat * up,
    )


@inlined
def turn_of(at: Four, rotation: Floats) -> Four:
    """Horizontal part of what takes the east, north of `sines` to those of the region.

    Rows are the region's east and north, columns the local ones; `rotation` is (3, 3), from ECEF
    differences to the region's east, north, up.
    """
    sin_lat, cos_lat, sin_lon, cos_lon = at
    x, y = -sin_lat * cos_lon, -sin_lat * sin_lon
    return (
        rotation[0, 1] * cos_lon - rotation[0, 0] * sin_lon,
        rotation[0, 0] * x + rotation[0, 1] * y + rotation[0, 2] * cos_lat,
        rotation[1, 1] * cos_lon - rotation[1, 0] * sin_lon,
        rotation[1, 0] * x + rotation[1, 1] * y + rotation[1, 2] * cos_lat,
    )


@inlined
def enu_of(place: Triple, origin: Floats, rotation: Floats) -> Triple:
    """East, north, up (m) of ECEF (m), about `origin` (3,) with `rotation` (3, 3)."""
    x, y, z = place[0] - origin[0], place[1] - origin[1], place[2] - origin[2]
    return (
        rotation[0, 0] * x + rotation[0, 1] * y + rotation[0, 2] * z,
        rotation[1, 0] * x + rotation[1, 1] * y + rotation[1, 2] * z,
        rotation[2, 0] * x + rotation[2, 1] * y + rotation[2, 2] * z,
    )


@inlined
def ecef_of_plane(east: float, north: float, up: float, origin: Floats, rotation: Floats) -> Triple:
    """ECEF x, y, z (m) of a region's east, north, up (m): the inverse of `enu_of`."""
    return (
        origin[0] + rotation[0, 0] * east + rotation[1, 0] * north + rotation[2, 0] * up,
        origin[1] + rotation[0, 1] * east + rotation[1, 1] * north + rotation[2, 1] * up,
        origin[2] + rotation[0, 2] * east + rotation[1, 2] * north + rotation[2, 2] * up,
    )


@inlined
def sines_at(place: Triple, height: float) -> Four:
    """`sines` of ECEF (m) whose HAE (m) is about known: by Bowring or, far up, by Vermeille."""
    x, y, z = place
    rho = math.sqrt(x * x + y * y)
    if abs(height) < BOWRING_M and rho > 0.0:
        # The sine and cosine of the reduced latitude of the point below.
        t = z / rho * (WGS84_A_M / WGS84_B_M)
        cos_beta = 1.0 / math.sqrt(1.0 + t * t)
        sin_beta = t * cos_beta
        up = z + _SECOND_B * (sin_beta * sin_beta * sin_beta)
        out = rho - _FIRST_A * (cos_beta * cos_beta * cos_beta)
    else:
        _, out = _vermeille(x, y, z)
        up = z
    share = 1.0 / math.sqrt(out * out + up * up)
    if rho > 0.0:
        part = 1.0 / rho
        return up * share, out * share, y * part, x * part
    return up * share, out * share, 0.0, 1.0


@inlined
def angle_from(sine: float, cosine: float, angle0: float, sine0: float, cosine0: float) -> float:
    """The angle (rad) of a sine and a cosine, the quicker the nearer it is to a known one.

    Of small differences by the series of the arc sine: what it leaves out is less than 1e-20 rad.
    """
    s = sine * cosine0 - cosine * sine0
    if abs(s) > SMALL or cosine * cosine0 + sine * sine0 < 0.0:
        return math.atan2(sine, cosine)
    q = s * s
    series = 105.0 / 3456.0 * q + 15.0 / 336.0
    angle = angle0 + (s + s * q * ((series * q + 3.0 / 40.0) * q + 1.0 / 6.0))
    if angle > math.pi:
        angle -= 2.0 * math.pi
    elif angle <= -math.pi:
        angle += 2.0 * math.pi
    return angle


@kernel
def height_of(place: Triple) -> float:
    """HAE (m) of ECEF (m), by Vermeille's closed form, exact to rounding above -6,314 km."""
    x, y, z = place
    k, d = _vermeille(x, y, z)
    return (k + WGS84_E2 - 1.0) / k * math.sqrt(d * d + z * z)


@kernel
def _vermeille(x: float, y: float, z: float) -> tuple[float, float]:
    """What Vermeille calls k and D."""
    e4 = WGS84_E2 * WGS84_E2
    rho2 = x * x + y * y
    p = rho2 * (1.0 / (WGS84_A_M * WGS84_A_M))
    q = z * z * ((1.0 - WGS84_E2) / (WGS84_A_M * WGS84_A_M))
    r = (p + q - e4) * (1.0 / 6.0)
    s = e4 * p * q / (4.0 * r * r * r)
    if s < 1e-3:  # from -1,000 km on: 1 + t + 1/t is 3 + c, and c (3 + c)² = 2 s; no cube root
        c = s * (2.0 / 9.0)
        for _ in range(2):  # each step takes off a factor of 1e-4
            c = 2.0 * s / ((3.0 + c) * (3.0 + c))
        u = r * (3.0 + c)
    else:
        t = np.cbrt(1.0 + s + math.sqrt(s * (2.0 + s)))
        u = r * (1.0 + t + 1.0 / t)
    v = math.sqrt(u * u + e4 * q)
    w = WGS84_E2 * (u + v - q) / (2.0 * v)
    k = math.sqrt(u + v + w * w) - w
    return k, k * math.sqrt(rho2) / (k + WGS84_E2)
