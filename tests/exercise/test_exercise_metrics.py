"""GOSPA and OSPA against their definitions; SIAP against cases made by hand."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exercise.metrics import SiapCounts, gospa, ospa, siap, siap_counts


def brute_force(distance, c, p):
    """The minimum over all assignment sets of the definition."""
    targets, estimates = distance.shape
    best = np.inf
    for size in range(min(targets, estimates) + 1):
        for rows in itertools.combinations(range(targets), size):
            for columns in itertools.permutations(range(estimates), size):
                cost = sum(distance[i, j] ** p for i, j in zip(rows, columns, strict=True))
                cost += c**p / 2 * (targets + estimates - 2 * size)
                best = min(best, cost)
    return best ** (1 / p)


def brute_force_ospa(distance, c, p):
    """Equation 3 of the paper: every way to give each point of the smaller set a partner."""
    if distance.shape[0] > distance.shape[1]:
        distance = distance.T
    m, n = distance.shape
    if n == 0:
        return 0.0
    cut = np.minimum(distance, c) ** p
    best = min(
        sum(cut[i, j] for i, j in enumerate(columns))
        for columns in itertools.permutations(range(n), m)
    )
    return ((best + c**p * (n - m)) / n) ** (1 / p)


def points(most):
    coordinate = st.floats(-40, 40, allow_nan=False)
    return st.lists(st.tuples(coordinate, coordinate), max_size=most)


def distances(a, b):
    a = np.array(a, dtype=float).reshape(-1, 2)
    b = np.array(b, dtype=float).reshape(-1, 2)
    return np.linalg.norm(a[:, None] - b[None], axis=2)


@settings(max_examples=150, deadline=None)
@given(points(4), points(4), st.sampled_from([5.0, 20.0]), st.sampled_from([1.0, 2.0]))
def test_gospa_is_the_minimum_of_the_definition(x, y, c, p):
    d = distances(x, y)
    result = gospa(d, c, p)
    assert result.value == pytest.approx(brute_force(d, c, p), abs=1e-9)
    assert gospa(d.T, c, p).value == pytest.approx(result.value, abs=1e-9)
    parts = (result.distance**p).sum() + c**p / 2 * (result.miss + result.false)
    assert result.value**p == pytest.approx(parts)
    assert result.miss == len(x) - len(result.rows)
    assert result.false == len(y) - len(result.rows)


@settings(max_examples=80, deadline=None)
@given(points(4), points(4), points(4))
def test_gospa_is_a_metric(x, y, z):
    def value(a, b):
        return gospa(distances(a, b)).value

    assert value(x, x) == 0.0
    assert value(x, z) <= value(x, y) + value(y, z) + 1e-9


def test_gospa_by_hand():
    # One pair 3 m apart, one target and two estimates left over: 9 + 200 * 3.
    d = distances([(0, 0), (100, 0)], [(3, 0), (60, 60), (-50, 0)])
    assert gospa(d).value == pytest.approx(np.sqrt(9 + 600))


@settings(max_examples=150, deadline=None)
@given(points(4), points(4), st.sampled_from([5.0, 20.0]), st.sampled_from([1.0, 2.0]))
def test_ospa_is_the_minimum_of_the_definition(x, y, c, p):
    d = distances(x, y)
    value = ospa(gospa(d, c, p), c, p)
    assert value == pytest.approx(brute_force_ospa(d, c, p), abs=1e-9)
    assert ospa(gospa(d.T, c, p), c, p) == pytest.approx(value, abs=1e-9)
    assert 0.0 <= value <= c * (1.0 + 1e-12)


@settings(max_examples=80, deadline=None)
@given(points(4), points(4), points(4))
def test_ospa_is_a_metric(x, y, z):
    def value(a, b):
        return ospa(gospa(distances(a, b)))

    assert value(x, x) == 0.0
    assert value(x, z) <= value(x, y) + value(y, z) + 1e-9
    if value(x, y) == 0.0:  # nothing but the same points is at distance zero
        assert len(x) == len(y)
        assert value(x, z) == pytest.approx(value(y, z))


def test_ospa_by_hand():
    d = distances([(0, 0), (100, 0)], [(3, 0), (60, 60), (-50, 0)])
    assert ospa(gospa(d)) == pytest.approx(np.sqrt((9 + 400 * 2) / 3))
    assert ospa(gospa(distances([], [(0, 0)]), 7.0), 7.0) == 7.0
    assert ospa(gospa(distances([], []))) == 0.0


def test_siap_tells_double_tracks_from_false_ones():
    # Two tracks on the first target, none on the second, one far from both.
    d = distances([(0, 0), (100, 0)], [(3, 0), (0, 4), (50, 0)])
    counts = siap_counts(d)
    assert counts == SiapCounts(targets=2, tracked=1, tracks=3, assigned=2, error=7.0)
    result = siap([counts])
    assert result.completeness == 0.5
    assert result.ambiguity == 2.0
    assert result.spuriousness == pytest.approx(1 / 3)
    assert result.position_accuracy == 3.5


def test_siap_divides_sums_not_means():
    perfect = siap_counts(distances([(0, 0)] * 3, [(0, 0)]))
    assert perfect.tracked == 1
    nothing_shown = siap_counts(distances([(0, 0)], []))
    nothing_there = siap_counts(distances([], [(0, 0), (1, 1)]))
    result = siap([perfect, nothing_shown, nothing_there])
    assert result.completeness == 1 / 4
    assert result.ambiguity == 1.0
    assert result.spuriousness == 2 / 3
    assert result.position_accuracy == 0.0
    empty = siap([])
    assert all(
        math.isnan(value)
        for value in (
            empty.completeness,
            empty.ambiguity,
            empty.spuriousness,
            empty.position_accuracy,
        )
    )


@settings(max_examples=80, deadline=None)
@given(points(5), points(5), st.sampled_from([5.0, 20.0]))
def test_siap_counts_agree_with_a_plain_loop(x, y, c):
    d = distances(x, y)
    tracked, assigned, error = set(), 0, 0.0
    for column in range(len(y)):
        if len(x) and d[:, column].min() < c:
            tracked.add(int(d[:, column].argmin()))
            assigned += 1
            error += d[:, column].min()
    counts = siap_counts(d, c)
    assert (counts.targets, counts.tracks) == (len(x), len(y))
    assert (counts.tracked, counts.assigned) == (len(tracked), assigned)
    assert counts.error == pytest.approx(error)
    assert counts.tracked <= min(counts.targets, counts.assigned)
