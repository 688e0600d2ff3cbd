"""Models of motion by class: closed form against steps, and which track follows which."""

import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.linalg import expm

from benchmarks.reports import REGION, place, positions, report
from benchmarks.shown import shown
from fusion import Tracker
from fusion.classes import take_motion
from fusion.motion import predict_one, unpacked
from fusion.motions import ANY, BY_CLASS, MODELLED
from fusion.records import MODES, MODES_VARIABLE, TRACK
from fusion.settings import Settings
from model.sensors import Coverage, DetectionProbability, Sensor, Sensors, Sigmas
from model.taxonomy import CLASS_INDEX, N_CLASSES, one_hot

SETTINGS = Settings()
VEHICLE, HUMAN = CLASS_INDEX["land_vehicle"], CLASS_INDEX["human"]


def state(seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    root = rng.normal(0.0, 3.0, (4, 4))
    P = root @ root.T + np.eye(4)
    return rng.normal(0.0, 20.0, 4), P[np.triu_indices(4)].copy()


@example(0, 1.0, 1.0, 1.5, 5e-324)
@given(
    st.integers(0, 1000), st.floats(0.01, 20.0), st.floats(0.01, 20.0), st.floats(0.0, 5.0),
    st.floats(0.0, 5.0),
)  # fmt: skip
def test_two_steps_are_one(seed: int, one: float, two: float, q: float, damping: float) -> None:
    x, P = state(seed)
    once, twice = (x.copy(), P.copy()), (x.copy(), P.copy())
    predict_one(*once, one + two, q, damping)
    predict_one(*twice, one, q, damping)
    predict_one(*twice, two, q, damping)
    assert np.allclose(once[0], twice[0], rtol=1e-9, atol=1e-9)
    scale = np.abs(unpacked(once[1][None])).max()
    assert np.allclose(once[1], twice[1], rtol=1e-4, atol=1e-6 * scale)


@given(st.integers(0, 1000), st.floats(0.01, 3.0), st.floats(0.001, 5.0), st.floats(0.05, 2.0))
def test_as_an_integral_over_small_steps(seed: int, dt: float, q: float, damping: float) -> None:
    x, P = state(seed)
    got = x.copy(), P.copy()
    predict_one(*got, dt, q, damping)
    # Van Loan's way to the same (doi:10.1109/TAC.1978.1101743): one matrix exponential.
    generator = np.zeros((4, 4))
    generator[0, 2] = generator[1, 3] = 1.0
    generator[2, 2] = generator[3, 3] = -damping
    noise = np.diag([0.0, 0.0, q, q])
    block = np.block([[-generator, noise], [np.zeros((4, 4)), generator.T]]) * dt
    whole = expm(block)
    F = whole[4:, 4:].T
    Q = F @ whole[:4, 4:]
    assert np.allclose(got[0], F @ x, rtol=1e-8, atol=1e-8)
    wanted = F @ unpacked(P[None])[0] @ F.T + Q
    assert np.allclose(unpacked(got[1][None])[0], wanted, rtol=1e-4, atol=1e-6 * wanted.max())


def test_who_stands_keeps_the_speed_of_standing() -> None:
    for motion in BY_CLASS.values():
        if motion.damping[0] > 0.0:
            x, P = np.array([0.0, 0.0, 10.0, 0.0]), np.full(10, 0.0)
            predict_one(x, P, 60.0, motion.density[0], motion.damping[0])
            assert abs(x[2]) < 1e-9
            assert np.sqrt(P[7]) == pytest.approx(motion.speed[0], rel=0.01)
        assert len(motion.density) == len(motion.damping) == len(motion.share) == MODES
        assert sum(motion.share) == pytest.approx(1.0)
        assert list(motion.density) == sorted(motion.density)


ONE = """
from fusion import MODES, Settings
from fusion.records import TRACK
record = Settings().record[0]
assert MODES == 1 and TRACK["x"].shape == (1, 4)
print(record["motion_density"].ravel().tolist(), record["motion_share"].ravel().tolist())
"""


def with_modes(modes: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {MODES_VARIABLE: modes}
    return subprocess.run(
        [sys.executable, "-c", ONE], env=environment, capture_output=True, text=True
    )


def test_with_one_model_each_class_keeps_the_livelier() -> None:
    done = with_modes("1")
    assert done.returncode == 0, done.stderr
    density, share = (json.loads(part + "]") for part in done.stdout.strip().split("]")[:2])
    assert density == SETTINGS.record["motion_density"][0, :, -1].tolist()
    assert share == [1.0] * N_CLASSES
    wrong = with_modes("3")
    assert wrong.returncode != 0
    assert "VEDETTE_FUSION_MODES: 1 or 2, not '3'" in wrong.stderr


def choose(classes: list[float], present: int) -> Any:
    track = np.zeros(1, TRACK)
    track["motion"], track["mu"] = present, (0.9, 0.1)
    track["classes"] = classes
    track["x"][0] = [[0, 0, 1, 0], [0, 0, 11, 0]]
    take_motion(track[0], SETTINGS.record[0], np.empty(4), np.empty(10), np.empty(N_CLASSES))
    return track[0]


def test_the_class_decides_and_doubt_goes_back() -> None:
    nothing = [0.0] * N_CLASSES
    assert choose(nothing, ANY)["motion"] == ANY
    sure = [-6.0] * N_CLASSES
    sure[VEHICLE] = 0.0
    changed = choose(sure, ANY)
    assert changed["motion"] == VEHICLE
    assert np.array_equal(changed["mu"], BY_CLASS["land_vehicle"].share)
    assert np.allclose(changed["x"], [[0, 0, 2, 0]] * MODES)  # the mean of both modes, in both
    half = list(sure)
    half[HUMAN] = -0.1
    assert choose(half, ANY)["motion"] == ANY
    assert choose(half, VEHICLE)["motion"] == VEHICLE  # not to and fro on every report
    half[HUMAN] = 0.2
    assert choose(half, VEHICLE)["motion"] == ANY
    other = [-6.0] * N_CLASSES
    other[CLASS_INDEX["other"]] = 0.0
    assert choose(other, ANY)["motion"] == ANY
    assert CLASS_INDEX["other"] not in MODELLED


def stopped(*, said: bool) -> float:
    """How far from the truth a vehicle is shown that stopped, was seen standing, then no more."""
    sensor = Sensor(
        "radar",
        position=place(0.0, 0.0),
        detection_probability=DetectionProbability((0.0,), (0.9,)),
        clutter_density_m2=1e-9,
        coverage=Coverage((0.0, 5_000.0)),
        period_s=1.0,
        sigmas=Sigmas(horizontal_m=5.0),
    )
    tracker = Tracker(Sensors([sensor]), REGION)
    rng = np.random.default_rng(5)
    worst = 0.0
    for second in range(60):
        at = np.array([[0.0, min(15.0 * second, 450.0)]])  # stops at once at 30 s
        if second <= 45:
            detections = positions(at + rng.normal(0.0, 5.0, (1, 2)), 5.0)
            if said:
                detections["classes"] = one_hot("land_vehicle")[None]
            tracker.step(report(0, float(second), detections))
        elif second <= 55:
            (off,) = np.linalg.norm(shown(tracker, float(second)).position - at, axis=1)
            worst = max(worst, float(off))
    return worst


def test_a_vehicle_that_stands_does_not_drift_away_unseen() -> None:
    held, free = stopped(said=True), stopped(said=False)
    assert held < 8.0
    assert held < free
