"""The parts of fusion against plain references."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from fusion import gate, kalman
from fusion.associate import assign
from fusion.existence import hit, miss, probability
from fusion.heads import spoken_number

F = np.block([[np.zeros((2, 2)), np.eye(2)], [np.zeros((2, 4))]])


def random_covariances(rng, count, size):
    A = rng.normal(size=(count, size, size))
    return A @ A.transpose(0, 2, 1) + np.eye(size)


@given(st.integers(0, 999), st.floats(0.0, 30.0))
def test_prediction_is_the_matrix_exponential(seed, step):
    rng = np.random.default_rng(seed)
    x, P = rng.normal(size=(3, 4)), random_covariances(rng, 3, 4)
    got_x, got_P = kalman.predict(x, P, np.full(3, step), 0.0)
    transition = expm(F * step)
    assert np.allclose(got_x, x @ transition.T)
    assert np.allclose(got_P, transition @ P @ transition.T)


@given(st.integers(0, 999), st.floats(0.1, 20.0), st.floats(0.1, 20.0))
def test_predicting_twice_is_predicting_once(seed, first, second):
    rng = np.random.default_rng(seed)
    x, P = rng.normal(size=(2, 4)), random_covariances(rng, 2, 4)
    once = kalman.predict(x, P, np.full(2, first + second), 0.7)
    twice = kalman.predict(*kalman.predict(x, P, np.full(2, first), 0.7), np.full(2, second), 0.7)
    assert np.allclose(once[0], twice[0])
    assert np.allclose(once[1], twice[1])


@given(st.integers(0, 999), st.booleans())
def test_update_is_the_textbook_one(seed, rates):
    rng = np.random.default_rng(seed)
    x, P = rng.normal(size=(3, 4)), random_covariances(rng, 3, 4)
    z, R = rng.normal(size=(3, 2)), random_covariances(rng, 3, 2)
    H = np.eye(4)[2:] if rates else np.eye(4)[:2]
    got_x, got_P = kalman.update_pair(x, P, z, R, rates=rates)
    for i in range(3):
        S = H @ P[i] @ H.T + R[i]
        K = P[i] @ H.T @ np.linalg.inv(S)
        assert np.allclose(got_x[i], x[i] + K @ (z[i] - H @ x[i]))
        assert np.allclose(got_P[i], (np.eye(4) - K @ H) @ P[i])
        assert np.linalg.eigvalsh(got_P[i]).min() > 0


def test_height_starts_from_its_first_measurement():
    h, Ph = kalman.update_height(
        np.full((1, 2), np.nan), np.full((1, 3), np.nan), np.array([50.0]), np.array([9.0]), 2.0
    )
    assert h.tolist() == [[50.0, 0.0]]
    assert Ph.tolist() == [[9.0, 0.0, 4.0]]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 9999), st.integers(1, 400), st.integers(1, 400))
def test_grid_finds_the_pairs_that_trying_all_finds(seed, tracks, targets):
    rng = np.random.default_rng(seed)
    points = rng.uniform(-1000, 1000, (tracks, 2))
    wanted = rng.uniform(-1000, 1000, (targets, 2))
    reach = rng.exponential(60.0, tracks)
    distance = np.hypot(*(points[:, None] - wanted[None]).transpose(2, 0, 1))
    expected = np.argwhere(distance <= reach[:, None]).tolist()
    dense, gate.DENSE_PAIRS = gate.DENSE_PAIRS, 10
    try:
        i, j = gate.pairs_within(points, reach, wanted)
    finally:
        gate.DENSE_PAIRS = dense
    assert np.stack([i, j], axis=1).tolist() == expected


def best_by_trying_all(i, j, gain) -> float:
    best = 0.0
    for size in range(1, min(len(set(i)), len(set(j))) + 1):
        for pairs in itertools.combinations(range(len(i)), size):
            rows, columns = [i[p] for p in pairs], [j[p] for p in pairs]
            if len(set(rows)) == size and len(set(columns)) == size:
                best = max(best, sum(gain[p] for p in pairs))
    return best


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(
        st.tuples(st.integers(0, 3), st.integers(0, 3)),
        st.floats(-5.0, 10.0, allow_nan=False),
        max_size=9,
    )
)
def test_assignment_reaches_the_optimum(pairs):
    keys = sorted(pairs)
    i = np.array([key[0] for key in keys], dtype=np.int64)
    j = np.array([key[1] for key in keys], dtype=np.int64)
    gain = np.array([pairs[key] for key in keys])
    chosen = assign(i, j, gain)
    assert len(set(i[chosen].tolist())) == len(chosen)
    assert len(set(j[chosen].tolist())) == len(chosen)
    total = float(gain[chosen].sum())
    assert abs(total - best_by_trying_all(i.tolist(), j.tolist(), gain.tolist())) < 1e-9


def test_existence_moves_the_right_way():
    near = hit(np.array([0.9]), np.array([0.5]), np.array([np.log(200.0**2)]), 1e-7)
    far = hit(np.array([0.9]), np.array([16.0]), np.array([np.log(200.0**2)]), 1e-7)
    assert near[0] > far[0]
    charge = miss(np.array([0.0, 0.5, 0.99]), 0.9997)
    assert charge[0] == 0.0
    assert charge[2] < charge[1] < 0.0
    assert probability(np.array([0.0]))[0] == 0.5


def test_spoken_numbers_differ_for_240_000_tracks():
    numbers = {spoken_number(serial) for serial in range(240_000)}
    assert len(numbers) == 240_000
    assert spoken_number(0) == b"A0000"
    assert spoken_number(239_999) == b"Z9999"
    assert spoken_number(240_000) == b"A0000"


def test_a_sure_height_after_a_vague_one_leaves_a_variance():
    _, Ph = kalman.update_height(
        np.array([[0.0, 0.0]]),
        np.array([[1e10, 0.0, 4.0]]),
        np.array([5.0]),
        np.array([1e-12]),
        2.0,
    )
    assert 0.0 < Ph[0, 0] <= 1e-12
