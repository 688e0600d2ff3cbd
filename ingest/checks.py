"""The checks of single values: where things are, how they move, what they are.

Bounds are of what a surveillance sensor can mean, not of what is likely.
"""

from collections.abc import Callable

import numpy as np

from model.arrays import Array, Bools, Floats
from model.detections import DetectionKind, Detections
from model.errors import Reason
from model.sensors import Sensors

HEIGHT_M = (-500.0, 100_000.0)
"""HAE of anything that is watched, m."""

MAX_SPEED_MPS = 3_000.0
"""Speed of anything that is watched, and range rate, m/s."""

MAX_RANGE_M = 1_000_000.0
"""Slant range, m."""

MAX_RADIUS_M = 100_000.0
"""Radius of a zone, m."""

SIGMA_M = (1e-3, 1e5)
"""Standard deviation of a place or range, m: below a millimetre nothing is measured."""

SIGMA_RAD = (1e-6, np.pi)
"""Standard deviation of an angle, rad."""

SIGMA_MPS = (1e-4, MAX_SPEED_MPS)
"""Standard deviation of a speed, m/s."""

SNR_DB = 200.0
"""Magnitude of a signal to noise ratio, dB."""

CLASS_SUM = 1.0 + 1e-3
"""Sum of class probabilities, with room for rounding."""

DEFINITE = 1e-9
"""Least determinant of a covariance, relative to that without correlation."""

TWO_PI = 2.0 * np.pi
ROUNDING = 1e-12
"""Room for rounding of degrees, rad."""


class Checks:
    """The first failure of each of a number of rows."""

    def __init__(self, rows: int) -> None:
        self.failed = np.zeros(rows, dtype=np.bool_)
        self.why: dict[int, tuple[Reason, str]] = {}

    def refuse(
        self, bad: Array | np.bool_, reason: Reason, detail: str | Callable[[int], str]
    ) -> None:
        """Refuse the rows where `bad` is true and that have not failed before."""
        if not bad.any():
            return
        new: Bools = bad & ~self.failed
        for row in np.flatnonzero(new):
            index = int(row)
            self.why[index] = (reason, detail if isinstance(detail, str) else detail(index))
        self.failed |= bad


def check_places(found: Detections, sensors: Sensors, checks: Checks) -> None:
    """Where things are: by position, range and angles, radius or line."""
    kind = found.kind
    position, zone = kind == DetectionKind.POSITION, kind == DetectionKind.ZONE
    geodetic = position | zone
    if geodetic.any():
        _check_geodetic(found, checks, geodetic, position)
    if zone.any():
        radius = found.radius
        checks.refuse(zone & ~np.isfinite(radius), Reason.NOT_FINITE, "radius")
        bad = zone & ~((radius > 0.0) & (radius <= MAX_RADIUS_M))
        checks.refuse(bad, Reason.OUT_OF_RANGE, lambda row: f"radius: {radius[row]:g} m")
    polar = kind == DetectionKind.POLAR
    angular = polar | (kind == DetectionKind.BEARING)
    if angular.any():
        _check_polar(found, checks, polar, angular)
        placed = np.array([sensor.position is not None for sensor in sensors], dtype=np.bool_)
        has = (placed[found.sensor] | ~np.isnan(found.origin[:, 0]))[found.report]
        checks.refuse(
            angular & ~has, Reason.NO_ORIGIN, "neither the report nor the site file says where from"
        )
    line = kind == DetectionKind.LINE
    if line.any():
        short = line & (found.line_vertices[:, 1] - found.line_vertices[:, 0] < 2)
        checks.refuse(short, Reason.MISSING_FIELD, "line: fewer than two points")
        bad = line & bad_spans(found, found.line_vertices, 2)
        checks.refuse(bad, Reason.OUT_OF_RANGE, "line: latitude or longitude of a point")
        checks.refuse(
            line & ((found.direction > 1) | (found.direction < -1)), Reason.BAD_FIELD, "direction"
        )


def _check_geodetic(found: Detections, checks: Checks, geodetic: Bools, position: Bools) -> None:
    latitude, longitude, height = found.position.T
    lost = geodetic & ~(np.isfinite(latitude) & np.isfinite(longitude) & ~np.isinf(height))
    checks.refuse(lost, Reason.NOT_FINITE, "latitude, longitude or height")
    outside = geodetic & ~on_earth(latitude, longitude)

    def place(row: int) -> str:
        return (
            f"latitude {np.rad2deg(latitude[row]):.7g}, longitude {np.rad2deg(longitude[row]):.7g}"
        )

    checks.refuse(outside, Reason.OUT_OF_RANGE, place)
    nowhere = geodetic & (latitude == 0.0) & (longitude == 0.0)
    checks.refuse(nowhere, Reason.OUT_OF_RANGE, "latitude 0, longitude 0: a receiver without a fix")
    high = geodetic & ((height < HEIGHT_M[0]) | (height > HEIGHT_M[1]))
    checks.refuse(high, Reason.OUT_OF_RANGE, lambda row: f"height: {height[row]:g} m")
    covariance = found.covariance
    needs = position | (geodetic & ~np.isnan(covariance).all(axis=1))
    deep = ~np.isnan(height)
    lost = needs & ~np.isfinite(covariance[:, :3]).all(axis=1)
    lost |= needs & deep & ~np.isfinite(covariance[:, 3:]).all(axis=1)
    checks.refuse(lost, Reason.NOT_FINITE, "covariance")
    flat, solid = _definite(covariance)
    checks.refuse(needs & ~flat, Reason.OUT_OF_RANGE, _sigma_detail(covariance))
    checks.refuse(needs & deep & ~solid, Reason.OUT_OF_RANGE, _sigma_detail(covariance))


def _sigma_detail(covariance: Floats) -> Callable[[int], str]:
    def detail(row: int) -> str:
        east, _, north, _, _, up = covariance[row]
        return (
            f"covariance: not positive definite between {SIGMA_M[0]:g} and {SIGMA_M[1]:g} m "
            f"(EE {east:g}, NN {north:g}, UU {up:g} m²)"
        )

    return detail


def _definite(covariance: Floats) -> tuple[Bools, Bools]:
    """Whether the horizontal part, and all of it, is positive definite and of a sane size."""
    ee, en, nn, eu, nu, uu = covariance.T
    low, high = SIGMA_M[0] ** 2, SIGMA_M[1] ** 2
    with np.errstate(all="ignore"):  # inf and overflow come out as "not definite"
        flat = within(ee, low, high) & within(nn, low, high)
        plane = ee * nn - en * en
        flat &= plane > DEFINITE * ee * nn
        determinant = uu * plane - ee * nu * nu + 2.0 * en * eu * nu - nn * eu * eu
        solid = flat & within(uu, low, high) & (determinant > DEFINITE * ee * nn * uu)
    return flat, solid


def _check_polar(found: Detections, checks: Checks, polar: Bools, angular: Bools) -> None:
    distance, azimuth, elevation, rate = found.polar.T
    checks.refuse(
        (polar & ~np.isfinite(distance)) | (angular & ~np.isfinite(azimuth)),
        Reason.NOT_FINITE,
        "range or azimuth",
    )
    checks.refuse(
        angular & (np.isinf(elevation) | np.isinf(rate)),
        Reason.NOT_FINITE,
        "elevation or range rate",
    )
    bad = polar & ~((distance > 0.0) & (distance <= MAX_RANGE_M))
    checks.refuse(bad, Reason.OUT_OF_RANGE, lambda row: f"range: {distance[row]:g} m")
    bad = angular & ~(np.abs(azimuth) <= TWO_PI + ROUNDING)
    checks.refuse(
        bad, Reason.OUT_OF_RANGE, lambda row: f"azimuth: {np.rad2deg(azimuth[row]):g} degrees"
    )
    bad = angular & (np.abs(elevation) > np.pi / 2 + ROUNDING)
    checks.refuse(
        bad, Reason.OUT_OF_RANGE, lambda row: f"elevation: {np.rad2deg(elevation[row]):g} degrees"
    )
    bad = polar & (np.abs(rate) > MAX_SPEED_MPS)
    checks.refuse(bad, Reason.OUT_OF_RANGE, lambda row: f"range rate: {rate[row]:g} m/s")
    names = ("range", "azimuth", "elevation", "range rate")
    bounds = (SIGMA_M, SIGMA_RAD, SIGMA_RAD, SIGMA_MPS)
    for column, (name, (low, high)) in enumerate(zip(names, bounds, strict=True)):
        measured = angular & ~np.isnan(found.polar[:, column])
        sigma = found.polar_sigma[:, column]
        bad = measured & ~np.isfinite(sigma)
        checks.refuse(bad, Reason.NOT_FINITE, f"sigma of {name}")
        checks.refuse(measured & ~within(sigma, low, high), Reason.OUT_OF_RANGE, f"sigma of {name}")


def check_motion_and_class(found: Detections, checks: Checks) -> None:
    """How things move, how strong they are, and what they are."""
    velocity = found.velocity
    moving = ~np.isnan(velocity).all(axis=1)
    if moving.any():
        lost = moving & ~(np.isfinite(velocity[:, :2]).all(axis=1) & ~np.isinf(velocity[:, 2]))
        checks.refuse(lost, Reason.NOT_FINITE, "velocity")
        with np.errstate(over="ignore"):
            speed = np.sqrt(np.nansum(velocity * velocity, axis=1))
        fast = moving & (speed > MAX_SPEED_MPS)
        checks.refuse(fast, Reason.OUT_OF_RANGE, lambda row: f"speed: {speed[row]:g} m/s")
        sigma = found.velocity_sigma
        checks.refuse(moving & ~np.isfinite(sigma), Reason.NOT_FINITE, "sigma of velocity")
        bad = moving & ~within(sigma, *SIGMA_MPS)
        checks.refuse(bad, Reason.OUT_OF_RANGE, lambda row: f"sigma of velocity: {sigma[row]:g}")
    checks.refuse(np.isinf(found.snr_db), Reason.NOT_FINITE, "snr")
    checks.refuse(np.abs(found.snr_db) > SNR_DB, Reason.OUT_OF_RANGE, "snr")
    classes = found.classes
    if classes.any():
        checks.refuse(~np.isfinite(classes).all(axis=1), Reason.NOT_FINITE, "class")
        bad = ((classes < 0.0) | (classes > 1.0)).any(axis=1) | (classes.sum(axis=1) > CLASS_SUM)
        checks.refuse(bad, Reason.OUT_OF_RANGE, "class: no probabilities")


def on_earth(latitude: Floats, longitude: Floats) -> Bools:
    """Where latitude and longitude (N,) rad are on the globe."""
    bound = np.pi / 2 + ROUNDING
    inside: Bools = (np.abs(latitude) <= bound) & (np.abs(longitude) <= np.pi + ROUNDING)
    return inside


def within(values: Floats, low: float, high: float) -> Bools:
    """Where values (N,) lie between two bounds; NaN does not."""
    inside: Bools = (values >= low) & (values <= high)
    return inside


def bad_spans(found: Detections, spans: Array, least: int) -> Bools:
    """(…,) spans that reach outside the vertices, are too short, or hold a bad vertex."""
    start, stop = spans[:, 0].astype(np.int64), spans[:, 1].astype(np.int64)
    some: Bools = stop != start
    if not some.any():
        return some
    total = len(found.vertices)
    bad = some & ((start < 0) | (stop > total) | (stop - start < least))
    wrong = ~on_earth(found.vertices[:, 0], found.vertices[:, 1])
    before = np.concatenate([[0], np.cumsum(wrong)])
    inside = before[np.clip(stop, 0, total)] - before[np.clip(start, 0, total)] > 0
    wrong_inside: Bools = bad | (some & inside)
    return wrong_inside


def not_text(values: Array) -> Bools:
    """(N,) where bytes are no printable UTF-8."""
    width = values.dtype.itemsize
    letters = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8).reshape(-1, width)
    odd = (((letters < 0x20) & (letters != 0)) | (letters >= 0x7F)).any(axis=1)
    for row in np.flatnonzero(odd):
        try:
            odd[row] = not bytes(values[row]).decode().isprintable()
        except UnicodeDecodeError:
            odd[row] = True
    inner: Bools = (letters[:, :-1] == 0) & (letters[:, 1:] != 0)
    found: Bools = odd | inner.any(axis=1)
    return found
