"""A sensor that is wrong is found out and corrected; one that nobody can judge is left alone."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion import Settings, Tracker
from fusion.measure import scans_of
from fusion.records import PARTS
from fusion.registration import Correction
from fusion.registration_filter import solve
from fusion.registration_kernels import unbiased
from model.detections import DetectionKind, Detections, DetectionsBuilder, IdentityKind
from model.sensors import Coverage, DetectionProbability, Sensor, Sensors, Sigmas
from tests.fusion.world import NAN, REGION, SECOND, START_NS, Movers, at, polar_of

STANDS = ((-6000.0, -3000.0), (6000.0, -4000.0))
SIGMA_RANGE_M, SIGMA_AZIMUTH = 8.0, 0.003
BIAS = (40.0, 0.012, 0.4)
"""Of the second radar: m, rad, s."""


def table(*, network: bool = True) -> Sensors:
    radars = [
        Sensor(
            name,
            position=at(*stand),
            detection_probability=DetectionProbability((0.0,), (0.95,)),
            coverage=Coverage((0.0, 20_000.0)),
            clutter_per_scan=0.1,
            sigmas=Sigmas(range_m=SIGMA_RANGE_M, azimuth_rad=SIGMA_AZIMUTH),
        )
        for name, stand in zip(("right", "wrong"), STANDS, strict=True)
    ]
    own = Sensor("network", cooperative=True, sensing="event", period_s=2.0)
    return Sensors([*radars, own] if network else radars)


def movers(rng: np.random.Generator) -> Movers:
    """Six who fly through, each its own way."""
    course = np.arange(6) * 1.1
    velocity = 50.0 * np.stack([np.sin(course), np.cos(course)], axis=1)
    places = np.stack(np.meshgrid([-2000.0, 0.0, 2000.0], [-1500.0, 1500.0]), axis=-1)
    return Movers(places.reshape(-1, 2) + rng.normal(0.0, 100.0, (6, 2)), velocity)


def told(
    seconds: float, *, bias: tuple[float, float, float] = BIAS, network: bool = True, seed: int = 0
) -> Detections:
    """Both radars each second, the second wrong by `bias`; and half of the movers themselves."""
    rng = np.random.default_rng(seed)
    world = movers(rng)
    sensors = table()
    plan = [(t + 0.31 * sensor, sensor) for t in np.arange(0.0, seconds) for sensor in (0, 1)]
    if network:
        plan.extend((t + 0.7, 2) for t in np.arange(0.0, seconds, 2.0))
    builder = DetectionsBuilder()
    for offset, (now, sensor) in enumerate(sorted(plan)):
        wrong = bias if sensor == 1 else (0.0, 0.0, 0.0)
        time = START_NS + round((now + wrong[2]) * SECOND)
        received = START_NS + round((now + 1.0) * SECOND)
        builder.report(sensor=sensor, time=time, received=received, offset=offset)
        for index, place in enumerate(world.at(now)):
            if sensor == 2 and index < 3:
                where = at(*(place + rng.normal(0.0, 5.0, 2)))
                builder.detection(
                    kind=DetectionKind.POSITION,
                    position=(*where[:2], NAN),
                    covariance=(25.0, 0.0, 25.0, NAN, NAN, NAN),
                    identity_kind=IdentityKind.MMSI,
                    identity=b"%09d" % (230_000_000 + index),
                )
            elif sensor < 2:
                r, azimuth = polar_of(sensors[sensor], place)
                builder.detection(
                    kind=DetectionKind.POLAR,
                    polar=(
                        r + wrong[0] + rng.normal(0.0, SIGMA_RANGE_M),
                        azimuth + wrong[1] + rng.normal(0.0, SIGMA_AZIMUTH),
                        NAN,
                        NAN,
                    ),
                    polar_sigma=(SIGMA_RANGE_M, SIGMA_AZIMUTH, NAN, NAN),
                )
    return builder.build().check()


def single_reports(reports: Detections) -> list[Detections]:
    """Each report in a batch of its own."""
    return [reports.take_reports([row]) for row in range(reports.n_reports)]


def test_the_bias_of_one_radar_is_found_and_taken_off():
    subject = Tracker(table(), REGION)
    subject.step(told(50.0))
    wrong, right = (subject.registration()[name] for name in ("wrong", "right"))
    for name, value in zip(("range_m", "azimuth_rad", "time_s"), BIAS, strict=True):
        assert wrong[name] == pytest.approx(value, rel=0.2 if name == "time_s" else 0.12)
        assert abs(wrong[name] - value) < 4.0 * wrong[f"sigma_{name}"]
        assert abs(right[name]) < 4.0 * right[f"sigma_{name}"]
    assert wrong["applied"]
    assert not right["applied"]
    # What was there twice before the bias was found may stay so: both are seen, by different ones.
    assert len(subject.picture(START_NS + 50 * SECOND)) == 6


def test_who_is_right_is_left_alone_to_the_bit():
    deaf = Settings(bias_apply=math.inf)
    one, two = Tracker(table(), REGION), Tracker(table(), REGION, settings=deaf)
    reports = told(30.0, bias=(0.0, 0.0, 0.0))
    one.step(reports)
    two.step(reports)
    assert not any(said["applied"] for said in one.registration().values())
    same(one, two)


def test_a_lag_that_cannot_be_laid_at_one_sensors_door_is_not_corrected():
    """Two radars that differ by 0.4 s, and nobody who knows which is wrong."""
    subject = Tracker(table(network=False), REGION)
    subject.step(told(60.0, bias=(0.0, 0.0, 0.4), network=False))
    said = subject.registration()
    between = said["wrong"]["time_s"] - said["right"]["time_s"]
    assert between == pytest.approx(0.4, abs=0.12)
    assert said["wrong"]["sigma_time_s"] > 0.6
    assert not any(one["applied"] for one in said.values())


def test_the_estimate_of_a_constant_bias_settles():
    """From one quarter minute to the next it moves by what was uncertain, and never to and fro."""
    subject, said = Tracker(table(), REGION), []
    for row, part in enumerate(single_reports(told(75.0))):
        subject.step(part)
        if row % 40 == 39:
            said.append(subject.registration()["wrong"])
    assert all(one["applied"] for one in said[1:])
    for before, after in pairwise(said[1:]):
        for name in ("range_m", "azimuth_rad", "time_s"):
            assert abs(after[name] - before[name]) < 3.0 * before[f"sigma_{name}"]
            assert after[f"sigma_{name}"] < 1.05 * before[f"sigma_{name}"]


def test_a_bias_that_changes_is_followed():
    subject = Tracker(table(), REGION)
    subject.step(told(30.0))
    later = told(120.0, bias=(-40.0, -0.012, 0.0))
    subject.step(later.take_reports(np.flatnonzero(later.time > START_NS + 30 * SECOND)))
    said = subject.registration()["wrong"]
    assert said["range_m"] == pytest.approx(-40.0, abs=15.0)
    assert said["azimuth_rad"] == pytest.approx(-0.012, abs=0.003)


def test_what_a_sensor_was_wrong_by_is_forgotten_when_it_is_moved():
    subject = Tracker(table(), REGION)
    subject.step(told(25.0))
    assert subject.registration()["wrong"]["applied"]
    moved = [
        Sensor(s.id, position=at(0, 0), sigmas=s.sigmas) if s.id == "wrong" else s for s in table()
    ]
    subject.reconfigure(Sensors(moved))
    said = subject.registration()["wrong"]
    assert (said["range_m"], said["detections"], said["applied"]) == (0.0, 0, False)
    assert said["sigma_range_m"] == Settings().bias_sigmas[0]


def same(one: Tracker, two: Tracker) -> None:
    """The same tracks, to the bit."""
    first, second = (subject.snapshot()["table"] for subject in (one, two))
    for name, column in first.items():
        np.testing.assert_array_equal(column, second[name], err_msg=name)


def test_batches_and_snapshots_change_nothing():
    reports = told(24.0)
    whole, cut = Tracker(table(), REGION), Tracker(table(), REGION)
    whole.step(reports)
    for row, part in enumerate(single_reports(reports)):
        cut.step(part)
        if row % 17 == 16:
            state = cut.snapshot()
            cut = Tracker(table(), REGION)
            cut.restore(state)
    assert whole.registration()["wrong"]["applied"]
    assert whole.registration() == cut.registration()
    same(whole, cut)


@settings(max_examples=6, deadline=None)
@given(late=st.floats(0.0, 6.0), seed=st.integers(0, 1000))
def test_late_reports_keep_every_number_sound(late: float, seed: int):
    """Reports of a wrong radar in any order: no NaN, variances positive, a restored one agrees."""
    reports = told(14.0, seed=seed)
    rng = np.random.default_rng(seed)
    arrival = reports.time + rng.uniform(0.0, late, reports.n_reports) * SECOND
    parts = single_reports(reports.take_reports(np.argsort(arrival, kind="stable")))
    subject, other = Tracker(table(), REGION), Tracker(table(), REGION)
    for row, part in enumerate(parts):
        subject.step(part)
        if row == len(parts) // 2:
            other.restore(subject.snapshot())
        elif row > len(parts) // 2:
            other.step(part)
    for said in subject.registration().values():
        assert all(math.isfinite(value) for value in said.values())
        assert all(said[name] > 0.0 for name in said if name.startswith("sigma_"))
    assert subject.registration() == other.registration()
    same(subject, other)


@given(
    ground=st.floats(100.0, 40_000.0),
    azimuth=st.floats(-math.pi, math.pi),
    range_m=st.floats(-40.0, 40.0),
    turn=st.floats(-0.05, 0.05),
)
def test_a_bias_is_taken_off_as_it_was_put_on(
    ground: float, azimuth: float, range_m: float, turn: float
):
    stand = np.array([100.0, -200.0, 1.0])
    truth = stand[:2] + ground * np.array([math.sin(azimuth), math.cos(azimuth)])
    far, way = ground + range_m, azimuth + turn
    z = stand[:2] + far * np.array([math.sin(way), math.cos(way)])
    bias = np.array([range_m, turn, 0.0, 0.0, 0.0])
    out, D = np.empty(2), np.empty((2, PARTS))
    unbiased(z, stand, bias, out, D)
    assert out == pytest.approx(truth, abs=1e-6)
    step = np.array([1e-3, 1e-6, 0.0, 1e-3, 1e-3])
    for part in (0, 1, 3, 4):
        other = np.empty(2)
        change = np.zeros(PARTS)
        change[part] = step[part]
        unbiased(z, stand, bias + change, other, np.empty((2, PARTS)))
        assert (out - other) / step[part] == pytest.approx(D[:, part], abs=1e-5 * ground)


@given(st.lists(st.floats(-1e3, 1e3), min_size=20, max_size=20))
def test_elimination_solves(values: list[float]):
    A, b = np.array(values[:16]).reshape(4, 4), np.array(values[16:]).reshape(4, 1)
    A += np.diag(np.where(np.diag(A) < 0, -5e3, 5e3))
    x = b.copy()
    assert solve(A.copy(), x)
    assert A @ x == pytest.approx(b, abs=1e-6)
    assert not solve(np.zeros((4, 4)), b.copy())


def test_a_correction_moves_all_that_was_measured_and_widens_it():
    scan = scans_of(told(1.0), table(), REGION)[1]
    assert scan.sensor == 1
    P = np.diag([4.0, 1e-6, 0.01, 1.0, 1.0])
    some = Correction(np.array([40.0, 0.012, 0.4, 0.0, 0.0]), P, 2500.0)
    before: dict[str, Any] = {name: getattr(scan, name).copy() for name in ("z", "R", "sight")}
    taken = some.take_off(scan)
    for name, value in before.items():
        np.testing.assert_array_equal(getattr(scan, name), value)
    assert scan.time - taken.time == round(0.4 * SECOND)
    assert taken.reported == scan.reported
    truth = movers(np.random.default_rng(0)).at(0.31)
    assert np.abs(taken.z - truth).max() < 6.0 * 0.003 * 9000.0
    assert np.linalg.norm(scan.z - truth, axis=1).min() > np.linalg.norm(taken.z - truth) / 6.0
    wider = np.trace(taken.R, axis1=1, axis2=2) - np.trace(scan.R, axis1=1, axis2=2)
    assert (wider > 2.0 + 0.01 * 2500.0).all()
    again = Correction.of(some.packed())
    assert again is not None
    np.testing.assert_array_equal(again.packed(), some.packed())
    assert Correction.of(np.full(31, np.nan)) is None
