"""Detections to measurements, one detection at a time, in compiled kernels.

`fusion.measure` says what is made and after which sources; here is how. Each number depends on its
own detection, report and sensor only, so it is the same to the bit however a batch is cut.
"""

import math

import numpy as np

from fusion.gathered import (
    ASSUMED,
    AZIMUTH,
    ELEVATION,
    HEADING,
    HEIGHT,
    HORIZONTAL,
    LATITUDE,
    LONGITUDE,
    RANGE,
    RANGE_RATE,
    VELOCITY,
    VERTICAL,
)
from fusion.geodesy import (
    Four,
    Triple,
    ecef_of,
    ecef_of_local,
    enu_of,
    height_of,
    sines,
    turn_of,
)
from fusion.jit import inlined, kernel
from fusion.names import name_of
from fusion.records import WORDS
from fusion.settings import LEAST_HEIGHT_SIGMA_M, LOWEST_M, NANO, NEW_TARGET_SPREAD_M
from model.arrays import Array, Bools, Floats, Int64s
from model.detections import DetectionKind
from model.taxonomy import N_CLASSES

Pair = tuple[float, float]

(TIME, REPORTED, RECEIVED, OFFSET, FIRST, SENSOR, MODE, BEGIN, STOP, OUTSIDE, SAYS) = range(11)
"""Columns of what is said of each report: those of `fusion.measure.Scan`, the rows of its
detections, how many of them lie outside the region, and a sum of the `SAYS_` below."""

FACTS = 11
SAYS_ORIGIN, SAYS_HEADING, SAYS_SECTOR, SAYS_POLYGON = 1, 2, 4, 8

BROKEN = -2
"""Returned in place of a count where columns do not belong together."""

_EARTH_RADIUS_M = 6_371_000.0
"""Mean radius, m (IUGG), by which the Earth falls away from a horizon."""

_POSITION, _POLAR = int(DetectionKind.POSITION), int(DetectionKind.POLAR)
_BEARING, _ZONE = int(DetectionKind.BEARING), int(DetectionKind.ZONE)
_LINE = int(DetectionKind.LINE)


@kernel
def list_reports(
    sensor: Array,
    time: Int64s,
    received: Int64s,
    offset: Int64s,
    mode: Array,
    origin: Floats,
    heading: Floats,
    looked: Floats,
    looked_vertices: Array,
    report: Array,
    latency: Int64s,
    firsts: Int64s,
    facts: Int64s,
) -> int:
    """Fill `facts` (M, `FACTS`); returns -1, the row of a report of no sensor, or `BROKEN`.

    `firsts` (M,): detections that stand before each report's in its input; empty: counted here.
    """
    stop, first, input_offset = 0, 0, -1
    for m in range(len(sensor)):
        s = sensor[m]
        if s < 0 or s >= len(latency):
            return m
        begin = stop
        while stop < len(report) and report[stop] == m:
            stop += 1
        if offset[m] != input_offset:
            input_offset, first = offset[m], begin
        says = 0
        if not math.isnan(origin[m, 0]):
            says += SAYS_ORIGIN
        if not math.isnan(heading[m]):
            says += SAYS_HEADING
        if not math.isnan(looked[m, 0]):
            says += SAYS_SECTOR
        if looked_vertices[m, 1] > looked_vertices[m, 0]:
            says += SAYS_POLYGON
        facts[m, TIME] = time[m] - latency[s]
        facts[m, REPORTED] = time[m]
        facts[m, RECEIVED] = received[m]
        facts[m, OFFSET] = offset[m]
        facts[m, FIRST] = firsts[m] if len(firsts) else begin - first
        facts[m, SENSOR] = s
        facts[m, MODE] = mode[m]
        facts[m, BEGIN] = begin
        facts[m, STOP] = stop
        facts[m, SAYS] = says
    return -1 if stop == len(report) else BROKEN


@kernel
def measure(
    facts: Int64s,
    origin: Floats,
    heading: Floats,
    own_velocity: Floats,
    detection_time: Int64s,
    kind: Array,
    position: Floats,
    covariance: Floats,
    polar: Floats,
    polar_sigma: Floats,
    radius: Floats,
    velocity: Floats,
    velocity_sigma: Floats,
    identity_kind: Array,
    words: Array,
    classes: Array,
    stand: Floats,
    sigmas: Floats,
    region_origin: Floats,
    rotation: Floats,
    region_radius: float,
    where: Floats,
    inside: Bools,
    out: Array,
) -> int:
    """Fill everything from `where` on; returns how many lines there are, which are left NaN.

    `inside` (N,): the detection says where, and that is within the region. The others are counted
    in `facts`. `out` (N,): `fusion.records.MEASURED`.
    """
    lines = 0
    seen_a, shrink, lapse = np.nan, np.nan, np.nan
    floor = -(region_radius + LOWEST_M)
    for m in range(len(facts)):
        s = facts[m, SENSOR]
        begin, stop = facts[m, BEGIN], facts[m, STOP]
        reported = facts[m, REPORTED]
        # Where the sensor stands, and which way it faces.
        latitude, longitude, altitude = stand[s, LATITUDE], stand[s, LONGITUDE], stand[s, HEIGHT]
        if facts[m, SAYS] & SAYS_ORIGIN:
            latitude, longitude, altitude = origin[m, 0], origin[m, 1], origin[m, 2]
            if math.isnan(altitude):
                altitude = 0.0
        placed = not math.isnan(latitude)
        faces = heading[m] if facts[m, SAYS] & SAYS_HEADING else stand[s, HEADING]
        assumed = stand[s, ASSUMED]
        if math.isnan(assumed):
            assumed = altitude if placed else 0.0
        at, turn, centre = (0.0, 1.0, 0.0, 1.0), (1.0, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0)
        where[m, 0] = where[m, 1] = np.nan
        if placed:
            at = sines(latitude, longitude)
            turn = turn_of(at, rotation)
            centre = ecef_of(at, altitude)
            base = ecef_of(at, 0.0) if math.isnan(altitude) else centre
            where[m, 0], where[m, 1] = _plane(base, region_origin, rotation, floor)
        outside = 0
        for i in range(begin, stop):
            k = kind[i]
            o = out[i]
            o.item = facts[m, FIRST] + i - begin
            o.name = name_of(identity_kind[i], words[i, 0], words[i, 1], words[i, 2])
            o.identity_kind = identity_kind[i]
            for w in range(WORDS):
                o.words[w] = words[i, w]
            for c in range(N_CLASSES):
                o.classes[c] = classes[i, c]
            o.delta = (detection_time[i] - reported) * NANO
            east = north = up = up_variance = ee = en = nn = np.nan
            rate = rate_variance = sight_e = sight_n = angle = angle_variance = np.nan
            turn_here = turn
            fixed = k in (_POSITION, _ZONE)
            if not math.isnan(position[i, 0]) and (fixed or not math.isnan(velocity[i, 0])):
                here = sines(position[i, 0], position[i, 1])
                turn_here = turn_of(here, rotation)
                if fixed:
                    up = position[i, 2]
                    place = ecef_of(here, assumed if math.isnan(up) else up)
                    east, north = _plane(place, region_origin, rotation, floor)
            if fixed:
                ee, en, nn, up_variance = _position_covariance(
                    covariance[i], radius[i], k, sigmas[s]
                )
                ee, en, nn = _turned(turn_here, ee, en, nn)
            elif k == _POLAR and placed:
                slant = polar[i, 0]
                sigma_r = _or(polar_sigma[i, 0], sigmas[s, RANGE])
                sigma_a = _or(polar_sigma[i, 1], sigmas[s, AZIMUTH])
                sigma_e = _or(polar_sigma[i, 2], sigmas[s, ELEVATION])
                sigma_v = _or(polar_sigma[i, 3], sigmas[s, RANGE_RATE])
                sin_a, cos_a = math.sin(polar[i, 1] + faces), math.cos(polar[i, 1] + faces)
                rise, ground = _rise(slant, polar[i, 2], assumed - altitude)
                level = ground / slant
                if sigma_a != seen_a:  # mostly the same for all of a sensor's detections
                    # The mean of a place whose azimuth is uncertain lies short of the measured one.
                    shrink = math.exp(-0.5 * sigma_a * sigma_a)
                    lapse = math.expm1(-2.0 * sigma_a * sigma_a)
                    seen_a = sigma_a
                flat = shrink * ground
                offset = ecef_of_local(at, flat * sin_a, flat * cos_a, rise)
                place = (centre[0] + offset[0], centre[1] + offset[1], centre[2] + offset[2])
                east, north = _plane(place, region_origin, rotation, floor)
                sight_e = turn[0] * sin_a + turn[1] * cos_a
                sight_n = turn[2] * sin_a + turn[3] * cos_a
                radial, lateral = _arc(
                    ground, level, rise, polar[i, 2], sigma_r, sigma_e, shrink, lapse
                )
                ee = radial * sight_e * sight_e + lateral * sight_n * sight_n
                en = (radial - lateral) * sight_e * sight_n
                nn = radial * sight_n * sight_n + lateral * sight_e * sight_e
                if not math.isnan(polar[i, 2]):
                    up = height_of(place)
                steep = rise / slant * sigma_r
                up_variance = (ground * sigma_e) * (ground * sigma_e) + steep * steep
                rate = polar[i, 3] + _own_rate(own_velocity[m], sin_a, cos_a, ground, rise)
                rate_variance = sigma_v * sigma_v
                sight_e *= level
                sight_n *= level
            elif k == _BEARING and placed:
                sigma_a = _or(polar_sigma[i, 1], sigmas[s, AZIMUTH])
                sin_a, cos_a = math.sin(polar[i, 1] + faces), math.cos(polar[i, 1] + faces)
                angle = math.atan2(
                    turn[0] * sin_a + turn[1] * cos_a, turn[2] * sin_a + turn[3] * cos_a
                )
                angle_variance = sigma_a * sigma_a
            elif k == _LINE:
                lines += 1
            lacking = _lacking(ee, en, nn)
            o.z[0], o.z[1] = east, north
            o.R[0, 0], o.R[1, 1] = ee + lacking, nn + lacking
            o.R[0, 1] = o.R[1, 0] = en
            o.height = up
            o.height_variance = _at_least(up_variance, LEAST_HEIGHT_SIGMA_M**2)
            o.range_rate, o.range_rate_variance = rate, rate_variance
            o.sight[0], o.sight[1] = sight_e, sight_n
            o.azimuth, o.azimuth_variance = angle, angle_variance
            # East and north turn with the place; up stays, for climb rates are of the height.
            v_e, v_n = velocity[i, 0], velocity[i, 1]
            o.velocity_variance = np.nan
            if not math.isnan(v_e):
                sigma_v = _or(velocity_sigma[i], sigmas[s, VELOCITY])
                o.velocity_variance = sigma_v * sigma_v
                v_e, v_n = (
                    turn_here[0] * v_e + turn_here[1] * v_n,
                    turn_here[2] * v_e + turn_here[3] * v_n,
                )
            o.velocity[0], o.velocity[1] = v_e, v_n
            o.velocity[2] = velocity[i, 2]
            o.across[0] = o.across[1] = 0.0
            near = east * east + north * north <= region_radius * region_radius
            inside[i] = near or not math.isnan(angle)
            if not inside[i]:
                outside += 1
        facts[m, OUTSIDE] = outside
    return lines


@inlined
def _or(given: float, otherwise: float) -> float:
    return otherwise if math.isnan(given) else given


@inlined
def _at_least(value: float, least: float) -> float:
    """The greater of two; NaN stays NaN."""
    return least if value < least else value  # noqa: FURB136 - max() says nothing of NaN


@inlined
def _plane(place: Triple, region_origin: Floats, rotation: Floats, floor: float) -> Pair:
    """East, north (m) of ECEF (m); NaN on the other side of the Earth.

    The plane has a point for each side. On the region's own the Earth falls away from the plane
    by less than the distance from its origin.
    """
    east, north, up = enu_of(place, region_origin, rotation)
    if up < floor:
        return np.nan, np.nan
    return east, north


@inlined
def _position_covariance(packed: Floats, radius: float, kind: int, sigmas: Floats) -> Four:
    """EE, EN, NN, UU (m²) at the position; a disc of radius r has a variance of r²/4 per axis."""
    vertical = packed[5]
    if math.isnan(vertical):
        vertical = sigmas[VERTICAL] * sigmas[VERTICAL]
    if not math.isnan(packed[0]):
        return packed[0], packed[1], packed[2], vertical
    plain = sigmas[HORIZONTAL] * sigmas[HORIZONTAL]
    if kind == _ZONE and not math.isnan(radius):
        plain = radius * radius / 4.0
    return plain, 0.0, plain, vertical


@inlined
def _turned(turn: Four, ee: float, en: float, nn: float) -> Triple:
    """EE, EN, NN of a covariance in other axes."""
    a, b, c, d = turn
    return (
        a * a * ee + 2.0 * a * b * en + b * b * nn,
        a * c * ee + (a * d + b * c) * en + b * d * nn,
        c * c * ee + 2.0 * c * d * en + d * d * nn,
    )


@kernel
def _rise(slant: float, elevation: float, assumed: float) -> Pair:
    """How far above the sensor (m), and how far along its horizon (m).

    Without an elevation the mover is taken to be `assumed` metres above the sensor, measured at
    the ellipsoid, and the Earth falls away from the sensor's horizon by d²/2R.
    """
    if math.isnan(elevation):
        rise = assumed - slant * slant / (2.0 * _EARTH_RADIUS_M)
        if rise < -slant:
            rise = -slant
        if rise > slant:
            rise = slant
    else:
        rise = slant * math.sin(elevation)
    return rise, math.sqrt(_at_least(slant * slant - rise * rise, 1.0))


@kernel
def _arc(
    ground: float,
    level: float,
    rise: float,
    elevation: float,
    sigma_r: float,
    sigma_e: float,
    shrink: float,
    lapse: float,
) -> Pair:
    """Variances (m²) along and across the line of sight, of a place that lies on an arc."""
    if math.isnan(elevation):
        along = sigma_r / level
        ground_variance = along * along
    else:
        along, above = sigma_r * level, rise * sigma_e
        ground_variance = along * along + above * above
    both = ground * ground + ground_variance
    lateral = -0.5 * both * lapse
    radial = both - lateral - (shrink * ground) * (shrink * ground)
    return _at_least(radial, ground_variance * shrink * shrink), lateral


@kernel
def _own_rate(own: Floats, sin_a: float, cos_a: float, ground: float, rise: float) -> float:
    """What the sensor's own motion takes off range rates, m/s."""
    if math.isnan(own[0]):
        return 0.0
    along = ground * (sin_a * own[0] + cos_a * _or(own[1], 0.0)) + rise * _or(own[2], 0.0)
    return float(along / math.sqrt(ground * ground + rise * rise))


@inlined
def _lacking(ee: float, en: float, nn: float) -> float:
    """What a covariance lacks of the least variance (m²) in any direction."""
    half = 0.5 * (ee - nn)
    least = 0.5 * (ee + nn) - math.sqrt(half * half + en * en)
    return _at_least(NEW_TARGET_SPREAD_M**2 - least, 0.0)
