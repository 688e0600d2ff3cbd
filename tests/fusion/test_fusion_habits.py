"""What is learned of the movers of a scene."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion import habits
from fusion.motions import ANY
from fusion.records import MEASURED, MODES, PAIR, PREDICTED, TRACK
from fusion.settings import Settings
from model.taxonomy import CLASS_INDEX
from model.tracks import Status

DEFAULT = Settings()
SPEED = np.array(DEFAULT.initial_speed_mps)
RECORD = DEFAULT.record[0]


def learned(status, x, P, mu) -> Any:
    rows = np.zeros(len(mu), TRACK)
    rows["status"], rows["x"], rows["P"], rows["mu"] = status, x, P, mu
    rows["motion"] = ANY
    held = habits.none_yet()
    habits.learn_habits(rows, len(rows), len(rows), RECORD, held)
    return held


def shares(held) -> Any:
    return held[habits.SHARE : habits.SHARE + MODES]


def speeds(held) -> Any:
    return held[habits.SPEED : habits.SPEED + MODES]


def test_who_has_models_of_its_class_teaches_nothing():
    rows = np.zeros(50, TRACK)
    rows["status"], rows["mu"], rows["x"] = Status.CONFIRMED, (0.1, 0.9), 30.0
    rows["motion"] = CLASS_INDEX["uav"]
    held = habits.none_yet()
    habits.learn_habits(rows, len(rows), len(rows), RECORD, held)
    assert np.allclose(shares(held), 1.0 / MODES)
    assert np.allclose(speeds(held), SPEED)


def judged(held, error_m, variance_m2, noise_m2, count=50) -> None:
    """Settled tracks of the last mode, each with a detection so far off on both axes."""
    predicted, rows = np.zeros(count, PREDICTED), np.zeros(count, TRACK)
    predicted["row"] = np.arange(count)
    predicted["P"][:, :, [0, 4, 7, 9]] = variance_m2
    predicted["mu"][:, -1] = 1.0
    rows["status"], rows["hits"], rows["motion"] = Status.CONFIRMED, habits.SEEN, ANY
    scan, pairs = np.zeros(count, MEASURED), np.zeros(count, PAIR)
    scan["z"], scan["R"] = error_m, noise_m2 * np.eye(2)
    pairs["row"] = pairs["item"] = np.arange(count)
    pairs["share"], pairs["likelihood"], pairs["both"] = 1.0, 1e-4, 1e-4
    habits.judge(predicted, pairs, rows, scan, RECORD, held)


def test_nothing_shown_leaves_what_the_settings_say():
    held = learned(
        np.zeros(3, np.uint8), np.ones((3, MODES, 4)), np.ones((3, MODES, 10)), np.ones((3, MODES))
    )
    assert np.allclose(shares(held), 1.0 / MODES)
    assert np.allclose(speeds(held), SPEED)
    assert np.array_equal(habits.lively(held, RECORD), np.array(DEFAULT.acceleration_density))


@given(st.integers(0, 999), st.integers(0, 40))
@settings(max_examples=30)
def test_shares_add_up_and_speeds_are_positive(seed, count):
    rng = np.random.default_rng(seed)
    mu = rng.random((count, MODES)) + 1e-9
    mu /= mu.sum(axis=1, keepdims=True)
    held = learned(
        rng.integers(0, 3, count).astype(np.uint8), rng.normal(0, 30, (count, MODES, 4)),
        rng.random((count, MODES, 10)), mu,
    )  # fmt: skip
    assert np.isclose(shares(held).sum(), 1.0)
    assert (shares(held) > 0.0).all()
    assert (speeds(held) > 0.0).all()


def test_a_crowd_that_drives_is_learned():
    count = 200
    x, mu = np.zeros((count, MODES, 4)), np.zeros((count, MODES))
    x[:, :, 2], mu[:, -1] = 30.0, 1.0
    held = learned(np.ones(count, np.uint8), x, np.zeros((count, MODES, 10)), mu)
    assert shares(held)[-1] > 0.95
    assert 20.0 < speeds(held)[-1] < 30.0 / np.sqrt(2.0) + 1.0


def test_noise_follows_the_errors_within_its_bounds():
    calm, wild = habits.none_yet(), habits.none_yet()
    for _ in range(200):
        judged(calm, 0.0, 50.0, 100.0)
        judged(wild, 40.0, 50.0, 100.0)
    density = np.array(DEFAULT.acceleration_density)[-1]
    four = np.exp(habits.WIDEST)
    assert density / four <= habits.lively(calm, RECORD)[-1] < 0.5 * density
    assert 2.0 * density < habits.lively(wild, RECORD)[-1] <= four * density
    assert np.array_equal(
        habits.lively(wild, RECORD)[:-1], np.array(DEFAULT.acceleration_density)[:-1]
    )


def test_errors_as_expected_leave_the_noise():
    held = habits.none_yet()
    for _ in range(50):
        judged(held, np.sqrt(150.0), 50.0, 100.0)
    assert abs(held[habits.NOISE]) < 1e-9


@given(st.floats(0.0, 1e6), st.floats(1e-6, 1e8), st.floats(1e-6, 1e8))
@settings(max_examples=50)
def test_noise_is_finite_whatever_comes(error_m, variance_m2, noise_m2):
    held = habits.none_yet()
    judged(held, error_m, variance_m2, noise_m2, count=3)
    assert np.isfinite(held[: habits.SINCE]).all()
    assert abs(held[habits.NOISE]) <= habits.WIDEST
