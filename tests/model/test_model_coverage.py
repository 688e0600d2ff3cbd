"""A miss counts only where the sensor looked and could see."""

import math
from dataclasses import replace

import numpy as np
import pytest

from model.coverage import Look, inside_polygon, pd
from model.frames import ecef_from_geodetic, enu_rotation
from model.sensors import Coverage, DetectionProbability, Sensor

ORIGIN = (math.radians(59.4), math.radians(28.2), 30.0)


def place(distance_m: float, azimuth_deg: float) -> np.ndarray:
    """ECEF of a point at a distance and azimuth from the origin, level with it."""
    azimuth = math.radians(azimuth_deg)
    enu = np.array([[distance_m * math.sin(azimuth), distance_m * math.cos(azimuth), 0.0]])
    origin = np.array(ORIGIN)
    return enu @ enu_rotation(origin[0], origin[1]) + ecef_from_geodetic(origin)


def radar(**changes) -> Sensor:
    whole = Sensor(
        "r",
        position=ORIGIN,
        detection_probability=DetectionProbability((0.0, 1000.0), (1.0, 0.5)),
        coverage=Coverage((50.0, 8000.0), (math.radians(300), math.radians(60))),
    )
    return replace(whole, **changes)


@pytest.mark.parametrize(
    ("distance", "azimuth", "expected"),
    [
        (500.0, 0.0, 0.75),
        (5000.0, 59.0, 0.5),
        (5000.0, 61.0, 0.0),
        (5000.0, 299.0, 0.0),
        (5000.0, 301.0, 0.5),
        (40.0, 0.0, 0.0),
        (8001.0, 0.0, 0.0),
    ],
)
def test_sector_over_north(distance, azimuth, expected):
    assert pd(radar(), place(distance, azimuth), 0)[0] == pytest.approx(expected, abs=1e-6)


def test_heading_turns_the_sector():
    turned = radar(heading_rad=math.radians(180))
    assert pd(turned, place(500.0, 0.0), 0)[0] == 0.0
    assert pd(turned, place(500.0, 180.0), 0)[0] > 0.7


@pytest.mark.parametrize("changes", [{"sensing": "event"}, {"cooperative": True}])
def test_sensors_whose_silence_says_nothing_are_never_charged(changes):
    assert pd(radar(**changes), place(500.0, 0.0), 0)[0] == 0.0


def test_what_a_report_says_it_looked_at_wins():
    look = Look(sector=np.array([0.0, 2000.0, math.radians(170), math.radians(190)]))
    assert pd(radar(), place(500.0, 0.0), 0, look)[0] == 0.0
    assert pd(radar(), place(500.0, 180.0), 0, look)[0] == pytest.approx(0.75)


def test_a_moving_sensor_looks_from_where_it_stood():
    moved = Look(origin=np.array([ORIGIN[0] + 0.1, ORIGIN[1], 30.0]))
    assert pd(radar(), place(500.0, 0.0), 0, moved)[0] == 0.0


def test_a_sensor_without_a_place_is_silent_about_everything():
    assert pd(Sensor(id="ais"), place(500.0, 0.0), 0)[0] == 0.0


def test_polygon_over_the_date_line():
    polygon = np.radians([[10.0, 179.0], [10.0, -179.0], [12.0, -179.0], [12.0, 179.0]])
    points = np.radians([[11.0, 180.0], [11.0, -179.5], [11.0, 178.0], [13.0, 180.0]])
    assert inside_polygon(points, polygon).tolist() == [True, True, False, False]
