"""Frames against pyproj, which is the oracle."""

import numpy as np
import pyproj
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.frames import Region, ecef_from_geodetic, enu_rotation, geodetic_from_ecef

TO_ECEF = pyproj.Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)

angle = st.floats(-1.0, 1.0, allow_nan=False)
points = st.lists(
    st.tuples(
        angle.map(lambda a: a * np.pi / 2 * 0.999999),
        angle.map(lambda a: a * np.pi),
        st.floats(-500.0, 100_000.0),
    ),
    min_size=1,
    max_size=20,
).map(lambda rows: np.array(rows, dtype=np.float64))


@given(points)
def test_ecef_agrees_with_pyproj(geodetic):
    x, y, z = TO_ECEF.transform(
        np.degrees(geodetic[:, 1]), np.degrees(geodetic[:, 0]), geodetic[:, 2]
    )
    assert np.abs(ecef_from_geodetic(geodetic) - np.stack([x, y, z], axis=1)).max() < 1e-6


@given(points)
def test_geodetic_comes_back(geodetic):
    again = geodetic_from_ecef(ecef_from_geodetic(geodetic))
    assert np.abs(again[:, 0] - geodetic[:, 0]).max() < 1e-12
    turn = (again[:, 1] - geodetic[:, 1] + np.pi) % (2 * np.pi) - np.pi
    assert (np.abs(turn) * np.cos(geodetic[:, 0])).max() < 1e-12
    assert np.abs(again[:, 2] - geodetic[:, 2]).max() < 1e-6


@given(angle.map(lambda a: a * 1.4), angle.map(lambda a: a * 3.0), st.floats(0.0, 2 * np.pi))
def test_plane_and_height_come_back_exactly(latitude, longitude, direction):
    region = Region(latitude, longitude)
    distance = np.array([0.0, 1e3, 5e4, 2e5])
    east, north = distance * np.sin(direction), distance * np.cos(direction)
    height = np.array([0.0, -100.0, 5000.0, 12_000.0])
    geodetic = region.geodetic_from_plane(east, north, height)
    enu = region.enu_from_geodetic(geodetic)
    assert np.abs(enu[:, 0] - east).max() < 1e-3
    assert np.abs(enu[:, 1] - north).max() < 1e-3
    assert np.abs(geodetic[:, 2] - height).max() < 1e-3


def test_the_tangent_plane_leaves_the_earth_by_196_m_at_50_km():
    region = Region(0.9, 0.3)
    up = region.up_of_height(np.array([0.0]), np.array([50_000.0]), np.array([0.0]))
    assert up[0] == pytest.approx(-196.0, abs=1.0)


def test_curvature_is_good_enough_to_ask_what_can_be_seen():
    region = Region(1.0, 0.3)
    east, north = np.array([7e4, -7e4, 0.0]), np.array([7e4, 0.0, -1e5])
    height = np.array([10.0, 500.0, 0.0])
    quick = region.ecef_from_plane(east, north, height)
    exact = region.ecef_from_enu(
        np.stack([east, north, region.up_of_height(east, north, height)], axis=1)
    )
    assert np.abs(quick - exact).max() < 0.5


def test_rotation_is_orthonormal_and_right_handed():
    rotation = enu_rotation(np.array([0.3, -1.2]), np.array([2.0, -3.0]))
    assert np.allclose(rotation @ rotation.transpose(0, 2, 1), np.eye(3), atol=1e-15)
    assert np.allclose(np.linalg.det(rotation), 1.0)
