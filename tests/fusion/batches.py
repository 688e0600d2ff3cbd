"""Batches of every kind of detection, whole and with gaps, for tests of measurements."""

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

from model.detections import DetectionKind, Detections, DetectionsBuilder, IdentityKind
from model.frames import Region
from model.sensors import Coverage, DetectionProbability, Sensor, Sensors, Sigmas
from tests.fusion.world import NAN, SECOND, START_NS

PLACES = {
    "baltic": (math.radians(59.4), math.radians(24.0)),
    "pole": (math.radians(90.0), 0.0),
    "near pole": (math.radians(-89.99), math.radians(120.0)),
    "date line": (math.radians(52.0), math.pi),
    "equator": (0.0, 0.0),
}

Place = tuple[float, float, float]

METRES = st.floats(-60_000.0, 60_000.0)
ANGLE = st.floats(-7.0, 7.0)
SPEED = st.floats(-300.0, 300.0)
SIGMA_M = st.sampled_from([NAN, 1e-3, 3.0, 50.0, 1e5])
SIGMA_RAD = st.sampled_from([NAN, 1e-6, 0.003, 0.3, math.pi])


def spot(region: Region, east: float, north: float, height: float) -> Place:
    """Geodetic place of a point in a region's plane."""
    row = region.geodetic_from_plane(np.array([east]), np.array([north]), np.array([height]))[0]
    return float(row[0]), float(row[1]), float(row[2])


def corners(region: Region, *points: tuple[float, float]) -> list[tuple[float, float]]:
    """Latitude and longitude of points in a region's plane."""
    return [spot(region, east, north, 0.0)[:2] for east, north in points]


def some(draw: Any, strategy: st.SearchStrategy[Any], otherwise: Any) -> Any:
    """A value, or what stands for none."""
    return draw(strategy) if draw(st.booleans()) else otherwise


@st.composite
def regions(draw) -> Region:
    return Region(*PLACES[draw(st.sampled_from(sorted(PLACES)))], 50_000.0)


@st.composite
def stands(draw, region: Region) -> Place:
    height = draw(st.sampled_from([0.0, -100.0, 35.0, 4000.0]))
    return spot(region, draw(METRES) / 2.0, draw(METRES) / 2.0, height)


@st.composite
def one_sensor(draw, region: Region, number: int) -> Sensor:
    ranges = sorted(draw(st.sets(st.floats(0.0, 30_000.0), min_size=1, max_size=4)))
    triangle = corners(region, (-9e3, 0.0), (2e4, 1e4), (0.0, -3e4))
    return Sensor(
        f"s{number}",
        position=some(draw, stands(region), None),
        heading_rad=draw(ANGLE),
        sensing=draw(st.sampled_from(["scan", "scan", "event"])),
        cooperative=draw(st.sampled_from([False, False, True])),
        detection_probability=DetectionProbability(
            tuple(ranges), tuple(draw(st.floats(0.0, 1.0)) for _ in ranges)
        ),
        coverage=Coverage(
            (draw(st.sampled_from([0.0, 500.0])), draw(st.sampled_from([20_000.0, math.inf]))),
            some(draw, st.tuples(ANGLE, ANGLE), None),
            draw(st.sampled_from([None, None, np.array(triangle)])),
        ),
        latency_s=draw(st.sampled_from([0.0, 0.25])),
        assumed_height_m=draw(st.sampled_from([None, 0.0, 120.0])),
        sigmas=Sigmas(horizontal_m=draw(st.sampled_from([0.1, 25.0]))),
        classes=draw(st.sampled_from([None, (0.5, 0.0, 0.5, 0, 0, 0, 0, 0)])),
    )


@st.composite
def several_sensors(draw, region: Region) -> Sensors:
    return Sensors([draw(one_sensor(region, number)) for number in range(draw(st.integers(1, 4)))])


@st.composite
def batches(draw, region: Region, sensors: Sensors) -> Detections:
    """Up to eight reports in a few inputs."""
    builder = DetectionsBuilder()
    offset = 0
    for _ in range(draw(st.integers(1, 8))):
        offset += draw(st.integers(0, 1))
        _add_report(draw, builder, region, draw(st.integers(0, len(sensors) - 1)), offset)
        for _ in range(draw(st.integers(0, 4))):
            _add_detection(draw, builder, region)
    return builder.build().check()


def _add_report(
    draw: Any, builder: DetectionsBuilder, region: Region, sensor: int, offset: int
) -> None:
    origin = some(draw, stands(region), (NAN,) * 3)
    if draw(st.booleans()):
        origin = (*origin[:2], NAN)
    sector = (NAN,) * 4
    if draw(st.booleans()):
        ends = some(draw, st.tuples(ANGLE, ANGLE), (NAN, NAN))
        sector = (draw(st.sampled_from([0.0, 300.0])), 15_000.0, *ends)
    triangle = corners(region, (-1e4, 0.0), (2e4, 1e3), (0.0, -2e4))
    builder.report(
        sensor=sensor,
        time=START_NS + draw(st.integers(0, 9)) * SECOND // 7,
        received=START_NS,
        offset=offset,
        mode=draw(st.integers(0, 1)),
        origin=origin,
        heading=some(draw, ANGLE, NAN),
        origin_velocity=some(
            draw, st.tuples(SPEED, st.sampled_from([NAN, 7.0]), st.sampled_from([NAN, -3.0])), NAN
        ),
        looked=sector,
        looked_polygon=draw(st.sampled_from([(), (), triangle])),
    )


def _add_detection(draw: Any, builder: DetectionsBuilder, region: Region) -> None:
    kind = draw(st.sampled_from(list(DetectionKind)))
    values: dict[str, Any] = {"kind": kind}
    place = spot(region, draw(METRES), draw(METRES), draw(st.sampled_from([-50.0, 0.0, 9000.0])))
    if kind in (DetectionKind.POSITION, DetectionKind.ZONE) or draw(st.booleans()):
        values["position"] = draw(
            st.sampled_from(
                [place, (*place[:2], NAN), (-place[0], place[1] - math.pi, 0.0), (NAN,) * 3]
            )
        )
    s, t, u = (draw(st.sampled_from([1e-3, 3.0, 50.0, 1e5])) for _ in range(3))
    rho = draw(st.floats(-0.99, 0.99))
    high = draw(st.sampled_from([(NAN,) * 3, (0.0, 0.0, u * u)]))
    values["covariance"] = draw(
        st.sampled_from([(s * s, rho * s * t, t * t, *high), (NAN, NAN, NAN, *high)])
    )
    values["radius"] = draw(st.sampled_from([NAN, 5.0, 900.0]))
    values["polar"] = (
        draw(st.floats(1.0, 20_000.0)),
        draw(ANGLE),
        draw(st.sampled_from([NAN, 0.0, 0.4, -1.2, math.pi / 2, -math.pi / 2])),
        some(draw, SPEED, NAN),
    )
    values["polar_sigma"] = (
        draw(SIGMA_M),
        draw(SIGMA_RAD),
        draw(SIGMA_RAD),
        draw(st.sampled_from([NAN, 0.1])),
    )
    if kind == DetectionKind.LINE:
        count = draw(st.integers(2, 4))
        values["line"] = [spot(region, draw(METRES), draw(METRES), 0.0)[:2] for _ in range(count)]
    if draw(st.booleans()):
        values["velocity"] = (draw(SPEED), draw(SPEED), draw(st.sampled_from([NAN, 2.0])))
        values["velocity_sigma"] = draw(st.sampled_from([NAN, 0.5]))
    if draw(st.booleans()):
        values["identity_kind"] = draw(st.sampled_from(list(IdentityKind)))
        values["identity"] = draw(st.binary(max_size=24))
    if draw(st.booleans()):
        values["detection_time"] = START_NS + draw(st.integers(-9, 9)) * SECOND // 3
    builder.detection(**values)
