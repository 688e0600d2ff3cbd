"""The parts of fusion against plain references."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from fusion import gate, marginals, pairs, update, weigh
from fusion.existence import log_odds, probability
from fusion.heads import spoken_number
from fusion.motion import carry, leave_of, mix_and_predict, moments_at, packed, unpacked
from fusion.records import MEASURED, MODES, PAIR, PREDICTED, TRACK
from fusion.settings import Settings

F = np.block([[np.zeros((2, 2)), np.eye(2)], [np.zeros((2, 4))]])
SURE = np.array([1.0, 0.0])
HALF = np.array([0.5, 0.5])


def predictions(x, P, mu) -> Any:
    """Records of tracks (n, K, 4), (n, K, 4, 4) and (n, K)."""
    records = np.zeros(len(x), PREDICTED)
    records["x"], records["P"], records["mu"] = x, packed(P), mu
    return records


def measurements(z, R, lag: float = 0.0) -> Any:
    """Records of positions (m, 2) with (m, 2, 2)."""
    records = np.zeros(len(z), MEASURED)
    for name in ("height", "velocity", "range_rate", "azimuth"):
        records[name] = np.nan
    records["z"], records["R"], records["delta"] = z, R, lag
    return records


def both(array) -> Any:
    """The same for each mode."""
    return np.repeat(np.asarray(array)[:, None], MODES, axis=1)


def random_covariances(rng, count, size) -> Any:
    A = rng.normal(size=(count, size, size))
    return A @ A.transpose(0, 2, 1) + np.eye(size)


def predicted(x, P, mu, step, density, sojourn_s=20.0, share=HALF) -> Any:
    """One track, its modes' covariances as matrices."""
    out = np.empty((MODES, 4)), np.empty((MODES, 10)), np.empty(MODES)
    leave = leave_of(step, sojourn_s)
    mix_and_predict(
        x, packed(P), mu, step, leave, np.asarray(density), np.zeros(MODES), share, *out
    )
    return out[0], unpacked(out[1]), out[2]


def of_one(x, P, mu, step, density) -> Any:
    """Prediction of a track whose modes are alike and never change."""
    got_x, got_P, _ = predicted(both(x)[0], both(P)[0], mu, step, [density] * MODES, 1e300)
    return got_x[:1], got_P[:1]


@given(st.integers(0, 999), st.floats(0.0, 30.0))
def test_prediction_is_the_matrix_exponential(seed, step):
    rng = np.random.default_rng(seed)
    x, P = rng.normal(size=(1, 4)), random_covariances(rng, 1, 4)
    got_x, got_P = of_one(x, P, SURE, step, 0.0)
    transition = expm(F * step)
    assert np.allclose(got_x, x @ transition.T)
    assert np.allclose(got_P, transition @ P @ transition.T)


@given(st.integers(0, 999), st.floats(0.1, 20.0), st.floats(0.1, 20.0))
def test_predicting_twice_is_predicting_once(seed, first, second):
    rng = np.random.default_rng(seed)
    x, P = rng.normal(size=(1, 4)), random_covariances(rng, 1, 4)
    once = of_one(x, P, SURE, first + second, 0.7)
    then = of_one(x, P, SURE, first, 0.7)
    twice = of_one(then[0], then[1], SURE, second, 0.7)
    assert np.allclose(once[0], twice[0])
    assert np.allclose(once[1], twice[1])


@given(st.integers(0, 999), st.floats(-5.0, 5.0))
def test_carrying_back_and_forth_changes_nothing(seed, step):
    rng = np.random.default_rng(seed)
    x, P = rng.normal(size=4), packed(random_covariances(rng, 1, 4))[0]
    there = x.copy(), P.copy()
    carry(*there, step)
    transition = expm(F * step)
    assert np.allclose(there[0], transition @ x)
    assert np.allclose(
        unpacked(there[1][None])[0], transition @ unpacked(P[None])[0] @ transition.T
    )
    carry(*there, -step)
    assert np.allclose(there[0], x)
    assert np.allclose(there[1], P)


@given(st.integers(0, 999), st.floats(0.0, 60.0))
def test_modes_mix_as_in_the_textbook(seed, step):
    rng = np.random.default_rng(seed)
    x, P = rng.normal(size=(2, 4)), random_covariances(rng, 2, 4)
    mu = rng.dirichlet([1.0, 1.0])
    leave, share = 1.0 - np.exp(-step / 20.0), rng.dirichlet([1.0, 1.0])
    switch = (1.0 - leave) * np.eye(2) + leave * share
    got = predicted(x, P, mu, step, [0.1, 2.0], share=share)
    assert np.allclose(got[2], mu @ switch)
    transition = expm(F * step)
    for j in range(2):
        w = switch[:, j] * mu / got[2][j]
        mean = w @ x
        spread = sum(w[i] * (P[i] + np.outer(x[i] - mean, x[i] - mean)) for i in range(2))
        _, quiet = of_one(mean[None], spread[None], SURE, step, (0.1, 2.0)[j])
        assert np.allclose(got[0][j], transition @ mean)
        assert np.allclose(got[1][j], quiet[0])


@given(st.integers(0, 999))
def test_all_modes_together_keep_mean_and_spread(seed):
    rng = np.random.default_rng(seed)
    x, P = rng.normal(size=(3, 2, 4)), random_covariances(rng, 6, 4).reshape(3, 2, 4, 4)
    mu = rng.dirichlet([1.0, 1.0], 3)
    mean, spread = moments_at(predictions(x, P, mu), np.zeros(3), Settings().record)
    for n in range(3):
        expected = mu[n] @ x[n]
        assert np.allclose(mean[n], expected)
        own = sum(
            mu[n, k] * (P[n, k] + np.outer(x[n, k] - expected, x[n, k] - expected))
            for k in range(2)
        )
        assert np.allclose(unpacked(spread)[n], own)


@given(st.integers(0, 999), st.floats(-3.0, 3.0))
def test_a_certain_detection_is_the_textbook_update(seed, lag):
    rng = np.random.default_rng(seed)
    x, P = rng.normal(size=(1, 1, 4)), random_covariances(rng, 1, 4)
    z, R = rng.normal(size=(1, 2)), random_covariances(rng, 1, 2)
    H = np.hstack([np.eye(2), lag * np.eye(2)])
    got = predictions(x.repeat(MODES, axis=1), both(P), [[0.3, 0.7]])
    pair = np.zeros(1, PAIR)
    pair["share"] = pair["both"] = 1.0
    pair["likelihood"] = 1.0
    got["count"] = 1
    weigh.absorb(got[0], pair, measurements(z, R, lag), 0.0, 1.0, np.empty((5, 10)))
    got_x, got_P = got["x"], got["P"]
    # A detection of another time is carried by the velocity, whose uncertainty counts as noise.
    noise = R[0] + lag * lag * P[0][2:, 2:]
    S = P[0][:2, :2] + noise
    K = P[0][:, :2] @ np.linalg.inv(S)
    assert np.allclose(got_x[0, 0], x[0, 0] + K @ (z[0] - H @ x[0, 0]))
    assert np.allclose(unpacked(got_P[:, 1])[0], (np.eye(4) - K @ np.eye(2, 4)) @ P[0])
    assert np.linalg.eigvalsh(unpacked(got_P[:, 0])[0]).min() > 0


@given(st.integers(0, 9999))
def test_shares_give_the_moments_of_the_mixture(seed):
    rng = np.random.default_rng(seed)
    x, P = rng.normal(size=(1, 2, 4)), random_covariances(rng, 2, 4)[None]
    mu = rng.dirichlet([1.0, 1.0])[None]
    z, R = 2.0 * rng.normal(size=(3, 2)), random_covariances(rng, 3, 2)
    share = rng.dirichlet([1.0] * 4)
    got, made = predictions(x, P, mu), measurements(z, R)
    pair = np.zeros(3, PAIR)
    for j in range(3):
        pair["item"][j], pair["share"][j] = j, share[1 + j]
        assert pairs.weigh(got[0], made[j], 1e9, pair[j])
    likelihood = pair["likelihood"]
    got["count"] = 3
    weigh.absorb(got[0], pair, made, share[0], 1.0, np.empty((5, 10)))
    H = np.eye(2, 4)
    means, spreads, weights = [], [], []
    for k in range(2):
        for j in range(-1, 3):
            if j < 0:
                means.append(x[0, k])
                spreads.append(P[0, k])
                weights.append(mu[0, k] * share[0])
                continue
            S = H @ P[0, k] @ H.T + R[j]
            K = P[0, k] @ H.T @ np.linalg.inv(S)
            means.append(x[0, k] + K @ (z[j] - H @ x[0, k]))
            spreads.append((np.eye(4) - K @ H) @ P[0, k])
            every = mu[0] @ likelihood[j]
            weights.append(mu[0, k] * share[1 + j] * likelihood[j, k] / every)
    w, m = np.array(weights), np.array(means)
    assert w.sum() == pytest.approx(1.0)
    mean = w @ m
    spread = sum(
        a * (c + np.outer(b - mean, b - mean)) for a, b, c in zip(w, m, spreads, strict=True)
    )
    whole, matrix = moments_at(got, np.zeros(1), Settings().record)
    assert np.allclose(whole[0], mean)
    assert np.allclose(unpacked(matrix)[0], spread)


@given(st.integers(0, 9999))
def test_an_intersection_is_between_the_two_and_never_surer_than_the_surer(seed):
    rng = np.random.default_rng(seed)
    P, R = both(random_covariances(rng, 1, 4)), random_covariances(rng, 1, 2)
    x, z = np.zeros((1, MODES, 4)), rng.normal(size=(1, 2))
    got = predictions(x, P, [[0.4, 0.6]])
    made, pair = measurements(z, R), np.zeros(1, PAIR)
    pair["share"] = pair["both"] = pair["likelihood"] = got["count"] = 1
    noise = weigh.intersect(got[0], made[0])
    weigh.absorb(got[0], pair, made, 0.0, noise, np.empty((5, 10)))
    # By the definition, in the plane: a convex combination of the inverses.
    own, other = np.trace(P[0, 0, :2, :2]), np.trace(R[0])
    weight = other / (own + other)
    inverse = weight * np.linalg.inv(P[0, 0, :2, :2]) + (1 - weight) * np.linalg.inv(R[0])
    whole = unpacked(got["P"][:, 1])[0][:2, :2]
    assert np.allclose(whole, np.linalg.inv(inverse))
    expected = np.linalg.inv(inverse) @ ((1 - weight) * np.linalg.inv(R[0]) @ z[0])
    assert np.allclose(got["x"][0, 1, :2], expected)


def test_height_starts_from_its_first_measurement():
    track, made = np.zeros(1, TRACK), measurements(np.zeros((1, 2)), np.eye(2)[None])
    track["h"] = track["Ph"] = np.nan
    made["height"], made["height_variance"] = 50.0, 9.0
    update.take_height(track[0], made[0], 5, Settings(initial_climb_mps=2.0).record[0])
    assert track["h"].tolist() == [[50.0, 0.0]]
    assert track["Ph"].tolist() == [[9.0, 0.0, 4.0]]
    assert track["h_time"][0] == 5


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 9999), st.integers(1, 400), st.integers(1, 400))
def test_grid_finds_the_pairs_that_trying_all_finds(seed, tracks, targets):
    rng = np.random.default_rng(seed)
    points = rng.uniform(-1000, 1000, (tracks, 2))
    wanted = rng.uniform(-1000, 1000, (targets, 2))
    reach = rng.exponential(60.0, tracks)
    distance = np.hypot(*(points[:, None] - wanted[None]).transpose(2, 0, 1))
    expected = np.argwhere(distance <= reach[:, None]).tolist()
    i, j = gate.pairs_within(points, reach, wanted)
    assert np.stack([i, j], axis=1).tolist() == expected


def by_enumeration(psi, rest) -> tuple[Any, Any]:
    """Marginals over all joint hypotheses, and over the best of each kind alone (T, M)."""
    tracks, items = psi.shape
    every = np.zeros_like(psi)
    best: dict[Any, Any] = {}
    total = 0.0
    for choice in itertools.product(range(-1, items), repeat=tracks):
        used = [j for j in choice if j >= 0]
        if len(set(used)) < len(used):
            continue
        weight = np.prod([psi[t, j] / rest[j] for t, j in enumerate(choice) if j >= 0])
        total += weight
        for t, j in enumerate(choice):
            if j >= 0:
                every[t, j] += weight
        key = (tuple(j >= 0 for j in choice), frozenset(used))
        if weight > best.get(key, (0.0,))[0]:
            best[key] = (weight, choice)
    star, whole = np.zeros_like(psi), sum(weight for weight, _ in best.values())
    for weight, choice in best.values():
        for t, j in enumerate(choice):
            if j >= 0:
                star[t, j] += weight / whole
    return every / total, star


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 99_999), st.integers(1, 4), st.integers(1, 4), st.booleans())
def test_marginals_are_those_of_an_enumeration(seed, tracks, items, sparse):
    rng = np.random.default_rng(seed)
    psi = rng.exponential(2.0, (tracks, items))
    if sparse:
        psi *= rng.random((tracks, items)) < 0.5
    rest = rng.uniform(0.5, 2.0, items)
    row, column = np.nonzero(psi)
    prob, left = marginals.marginals(row, column, psi[row, column], rest, tracks, items)
    every, star = by_enumeration(psi, rest)
    got = np.zeros_like(psi)
    got[row, column] = prob
    # Where tracks do not compete for the same detections both are the same.
    assert np.allclose(got, star) or np.allclose(got, every)
    assert np.allclose(left, 1.0 - got.sum(axis=0))
    assert (got.sum(axis=1) <= 1.0 + 1e-9).all()


@given(st.integers(0, 9999))
def test_belief_propagation_stays_near_the_truth_in_crowds(seed):
    rng = np.random.default_rng(seed)
    tracks, items = 7, 4  # one more track than is enumerated
    psi, rest = rng.exponential(0.5, (tracks, items)), np.full(items, 1.0)
    row, column = np.nonzero(psi)
    prob, left = marginals.marginals(row, column, psi[row, column], rest, tracks, items)
    every, _ = by_enumeration(psi, rest)
    got = np.zeros_like(psi)
    got[row, column] = prob
    assert np.abs(got - every).max() < 0.1
    assert (left >= 0.0).all()


def test_marginals_do_not_depend_on_the_order_of_detections():
    rng = np.random.default_rng(3)
    psi, rest = rng.exponential(1.0, (5, 5)), np.ones(5)
    row, column = np.nonzero(psi)
    prob, _ = marginals.marginals(row, column, psi[row, column], rest, 5, 5)
    turn = rng.permutation(5)
    other, _ = marginals.marginals(row, turn[column], psi[row, column], rest, 5, 5)
    assert np.allclose(prob, other)


@pytest.mark.parametrize("chance", [0.0, 1e-9, 0.3, 0.5, 0.999, 1.0])
def test_existence_moves_both_ways(chance):
    assert np.isfinite(log_odds(chance))
    assert probability(log_odds(chance)) == pytest.approx(chance, abs=1e-9)


def test_spoken_numbers_differ_for_240_000_tracks():
    numbers = {spoken_number(serial) for serial in range(240_000)}
    assert len(numbers) == 240_000
    assert spoken_number(0) == b"A0000"
    assert spoken_number(239_999) == b"Z9999"
    assert spoken_number(240_000) == b"A0000"


def test_a_sure_height_after_a_vague_one_leaves_a_variance():
    track, made = np.zeros(1, TRACK), measurements(np.zeros((1, 2)), np.eye(2)[None])
    track["Ph"] = [1e10, 0.0, 4.0]
    made["height"], made["height_variance"] = 5.0, 1e-12
    update.take_height(track[0], made[0], 0, Settings().record[0])
    assert 0.0 < track["Ph"][0, 0] <= 1e-12


def test_sensors_are_kept_newest_first_however_late_they_are_heard():
    track = np.zeros(1, TRACK)
    track["sensors"] = -1
    for sensor, now in ((3, 10), (5, 20), (3, 15), (7, 12), (5, 18)):
        update.hear(track[0], sensor, now, False)
    assert track["sensors"][0, :4].tolist() == [5, 3, 7, -1]
    assert track["heard"][0, :3].tolist() == [20, 15, 12]
    for sensor in range(10, 20):
        update.hear(track[0], sensor, 100 + sensor, False)
    update.hear(track[0], 99, 1, False)
    assert track["sensors"][0].tolist() == list(range(19, 11, -1))
