"""`model.frames` for one point at a time, in compiled kernels: the same formulas, scalar by scalar.

References
----------
NIMA TR8350.2, third edition, table 3.1 (WGS-84). H. Vermeille, "Computing geodetic coordinates
from geocentric coordinates", J. Geodesy 78 (2004), doi:10.1007/s00190-004-0375-4.
"""

import math

import numpy as np

from fusion.jit import kernel
from model.arrays import Floats
from model.frames import WGS84_A_M, WGS84_E2

Triple = tuple[float, float, float]
Four = tuple[float, float, float, float]


@kernel
def sines(latitude: float, longitude: float) -> Four:
    """Sine and cosine of latitude, sine and cosine of longitude, both rad."""
    return math.sin(latitude), math.cos(latitude), math.sin(longitude), math.cos(longitude)


@kernel
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


@kernel
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


@kernel
def enu_of(place: Triple, origin: Floats, rotation: Floats) -> Triple:
    """East, north, up (m) of ECEF (m), about `origin` (3,) with `rotation` (3, 3)."""
    x, y, z = place[0] - origin[0], place[1] - origin[1], place[2] - origin[2]
    return (
        rotation[0, 0] * x + rotation[0, 1] * y + rotation[0, 2] * z,
        rotation[1, 0] * x + rotation[1, 1] * y + rotation[1, 2] * z,
        rotation[2, 0] * x + rotation[2, 1] * y + rotation[2, 2] * z,
    )


@kernel
def ecef_of_plane(east: float, north: float, up: float, origin: Floats, rotation: Floats) -> Triple:
    """ECEF x, y, z (m) of a region's east, north, up (m): the inverse of `enu_of`."""
    return (
        origin[0] + rotation[0, 0] * east + rotation[1, 0] * north + rotation[2, 0] * up,
        origin[1] + rotation[0, 1] * east + rotation[1, 1] * north + rotation[2, 1] * up,
        origin[2] + rotation[0, 2] * east + rotation[1, 2] * north + rotation[2, 2] * up,
    )


@kernel
def angles_of(place: Triple) -> tuple[float, float, Four]:
    """Latitude, longitude (rad) and `sines` of ECEF (m), by Vermeille as `height_of`."""
    x, y, z = place
    _, d = _vermeille(x, y, z)
    hypotenuse = math.sqrt(d * d + z * z)
    rho = math.sqrt(x * x + y * y)
    at = (z / hypotenuse, d / hypotenuse, 0.0, 1.0)
    if rho > 0.0:
        at = (z / hypotenuse, d / hypotenuse, y / rho, x / rho)
    return 2.0 * math.atan2(z, d + hypotenuse), math.atan2(y, x), at


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
