"""The compiled probability of detection against `model.coverage.pd`, which defines it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion import pd_kernel
from fusion.gathered import OTHER, PLAIN, SILENT, gathered
from fusion.measure import Scan, scans_of
from fusion.pd_kernel import pd_plane
from model.arrays import Floats
from model.coverage import pd
from model.detections import DetectionsBuilder
from model.frames import Region
from model.sensors import Coverage, DetectionProbability, Sensor, Sensors
from model.taxonomy import N_CLASSES
from tests.fusion.batches import METRES, batches, regions, several_sensors
from tests.fusion.world import NAN, REGION, START_NS, at

MILLIMETRE = 1e-3
AROUND = np.array([(0, 0, 0), *(sign * row for row in np.eye(3) for sign in (1, -1))]) * MILLIMETRE


def of(scan: Scan, sensors: Sensors, region: Region, place, height, classes=None) -> Floats:
    return pd_plane(
        scan.view, scan.look, sensors, scan.sensor, region, place, height, scan.time, classes
    )


@settings(max_examples=150)
@given(st.data())
def test_it_is_the_models_within_a_millimetre_of_every_edge(data):
    region = data.draw(regions())
    sensors = data.draw(several_sensors(region))
    batch = data.draw(batches(region, sensors))
    count = data.draw(st.integers(1, 12))
    point = st.tuples(METRES, METRES, st.sampled_from([NAN, 0.0, 60.0, 9000.0]))
    points = np.array([data.draw(point) for _ in range(count)])
    classes = np.array(
        [data.draw(st.sampled_from(CLASSES)) for _ in range(count)], dtype=np.float64
    )
    given_classes = data.draw(st.sampled_from([None, classes]))
    for scan in scans_of(batch, sensors, region):
        sensor = sensors[scan.sensor]
        got = of(scan, sensors, region, points[:, :2], points[:, 2], given_classes)
        assumed = sensor.assumed_height_m or 0.0
        heights = np.where(np.isnan(points[:, 2]), assumed, points[:, 2])
        centre = region.ecef_from_plane(points[:, 0], points[:, 1], heights)
        around = np.array(
            [pd(sensor, centre + shift, scan.time, scan.look, given_classes) for shift in AROUND]
        )
        assert (got >= around.min(axis=0) - 1e-9).all()
        assert (got <= around.max(axis=0) + 1e-9).all()


CLASSES = [
    (0.0,) * N_CLASSES,
    (0.25, 0.75) + (0.0,) * (N_CLASSES - 2),
    (0.0, 0.5, 0.1, 0.4) + (0.0,) * (N_CLASSES - 4),
]


def looking(sensor: Sensor, **report: Any) -> tuple[Scan, Sensors]:
    builder = DetectionsBuilder()
    builder.report(sensor=0, time=START_NS, **report)
    sensors = Sensors([sensor])
    return scans_of(builder.build(), sensors, REGION)[0], sensors


def case(sensor: Sensor, **report: Any) -> int:
    return int(looking(sensor, **report)[0].view[0])


def test_which_cases_are_plain():
    here = at(0, 0)
    triangle = [at(0, 0)[:2], at(9000, 0)[:2], at(0, 9000)[:2]]
    fenced = Sensor("s", position=here, coverage=Coverage(polygon=np.array(triangle)))
    steps = DetectionProbability((0.0, 10.0, 10.0), (0.9, 0.9, 0.1))
    assert case(Sensor("s", position=here)) == PLAIN
    assert case(Sensor("s", position=here, sensing="event")) == SILENT
    assert case(Sensor("s", position=here, cooperative=True)) == SILENT
    assert case(Sensor("s")) == SILENT
    assert case(Sensor("s"), origin=here) == PLAIN
    assert case(Sensor("s", position=here), looked_polygon=triangle) == OTHER
    assert case(fenced) == OTHER
    assert case(fenced, looked=(0.0, 900.0, NAN, NAN)) == PLAIN
    assert case(Sensor("s", position=here, detection_probability=steps)) == OTHER


def test_a_sector_and_a_table_by_hand():
    table = DetectionProbability((1000.0, 2000.0, 4000.0), (1.0, 0.5, 0.1))
    sensor = Sensor(
        "s",
        position=at(0, 0),
        heading_rad=0.1,
        detection_probability=table,
        coverage=Coverage((100.0, 5000.0), (-0.1, np.pi / 2 - 0.1)),
    )
    scan, sensors = looking(sensor)
    north = np.array([(1.0, 50), (1, 500), (1, 1500), (1, 3000), (1, 4500), (1, 5500), (-9, 500)])
    got = of(scan, sensors, REGION, north, np.full(len(north), 10.0))
    assert got == pytest.approx([0.0, 1.0, 0.75, 0.3, 0.1, 0.0, 0.0], abs=1e-3)
    east = north[:, ::-1].copy()
    assert of(scan, sensors, REGION, east, np.full(len(north), 10.0)) == pytest.approx(
        got, abs=1e-3
    )


def test_places_may_be_a_window_onto_a_wider_table():
    scan, sensors = looking(Sensor("s", position=at(0, 0)))
    rng = np.random.default_rng(3)
    states = rng.uniform(-9000, 9000, (20, 4))
    height = np.full(20, NAN)
    whole = of(scan, sensors, REGION, states, height)
    assert np.array_equal(of(scan, sensors, REGION, states[:, :2], height), whole)
    assert (whole == 0.9).all()
    assert of(scan, sensors, REGION, states[:0], height[:0]).shape == (0,)


def test_one_track_at_a_time_is_the_same_to_the_bit():
    scan, sensors = looking(
        Sensor("s", position=at(0, 0), detection_probability=DetectionProbability((0, 9e3), (1, 0)))
    )
    states = np.random.default_rng(3).uniform(-9000, 9000, (50, 2))
    whole = of(scan, sensors, REGION, states, np.zeros(50))
    known = gathered(sensors)
    for state, chance in zip(states, whole, strict=True):
        alone = pd_kernel.chance_at(
            scan.view, known.ranges[0], known.chances[0], state[0], state[1], 0.0
        )
        assert alone == chance
