"""Movers: deterministic, plausible, where they should be."""

import tomllib

import numpy as np
import pytest

from exercise.movers import Movers
from exercise.scenario import KINEMATICS, load_scenario, packaged, read_scenario

S = 1_000_000_000

HEAD = """
[scenario]
name = "x"
[region]
lat = 10.0
lon = 20.0
[[sensor]]
id = "radar-1"
position = {lat = 10.0, lon = 20.0}
coverage = {range_m = [10.0, 5000.0]}
[sensor.simulate]
kind = "radar"
"""


def scenario_of(movers):
    return read_scenario(tomllib.loads(HEAD + movers), "f.toml")


def tracks(scenario, seconds, seed=0, step=0.5):
    """Times (T,) s and plane positions (T, N, 3) m."""
    times = np.arange(0.0, seconds, step)
    states = Movers(scenario, seed).at((times * S).astype(np.int64))
    return times, scenario.region.enu_from_ecef(states.ecef), states


def test_a_time_gives_the_same_whenever_and_in_whatever_order_it_is_asked_for():
    scenario = load_scenario(packaged("border"))
    times = np.array([0, 63_999_999_999, 64 * S, 1234567890123, 40 * 60 * S])
    together = Movers(scenario, 5).at(times)
    backwards = Movers(scenario, 5)
    for row in reversed(range(len(times))):
        alone = backwards.at(times[row : row + 1])
        assert np.array_equal(alone.ecef[0], together.ecef[row])
        assert np.array_equal(alone.velocity[0], together.velocity[row])
    other = Movers(scenario, 6).at(times)
    assert not np.array_equal(other.ecef[3], together.ecef[3])


def test_nobody_is_faster_or_turns_harder_than_its_class():
    scenario = load_scenario(packaged("border"))
    _, enu, _ = tracks(scenario, 900)
    velocity = np.diff(enu[..., :2], axis=0) / 0.5
    speed = np.linalg.norm(velocity, axis=2)
    for column, spec in enumerate(scenario.movers):
        assert speed[:, column].max() <= spec.speed_mps * 1.001, spec.name
        change = np.abs(np.diff(speed[:, column])) / 0.5
        bound = KINEMATICS[spec.label].acceleration_mps2
        # Turning within a step shortens the chord: allow for it.
        assert change.max() <= bound + spec.turn_rps * spec.speed_mps, spec.name
    area = np.linalg.norm(enu[..., :2], axis=2)
    assert area.max() < 15_000


def test_a_route_passes_its_waypoints_and_returns():
    scenario = scenario_of(
        '[[mover]]\nclass = "land_vehicle"\nspeed_mps = 10\nend = "return"\n'
        "route = [[10.0, 20.0], [10.01, 20.0], [10.01, 20.01]]\n"
        '[[mover]]\nclass = "land_vehicle"\nspeed_mps = 10\nend = "stop"\n'
        "route = [[10.0, 20.0], [10.01, 20.0]]\n"
    )
    _, enu, _ = tracks(scenario, 600)
    marks = scenario.region.enu_from_geodetic(scenario.movers[0].route)
    apart = np.linalg.norm(enu[:, 0, None, :2] - marks[None, :, :2], axis=2)
    assert (apart.min(axis=0) < 45).all()  # a turning circle of 23 m
    assert (apart[200:].min(axis=0) < 45).all()  # and back again
    assert np.linalg.norm(enu[-1, 1, :2] - marks[1, :2]) < 60
    assert np.allclose(enu[-1, 1], enu[-20, 1])


def test_an_orbit_keeps_its_radius_and_sense():
    text = '[[mover]]\nclass = "uav"\nbehaviour = "orbit"\ncentre = [10.0, 20.0]\nradius_m = 400\n'
    scenario = scenario_of(text + "alt_m = 200\n" + text + "alt_m = 200\nclockwise = false\n")
    _, enu, states = tracks(scenario, 600)
    radius = np.linalg.norm(enu[..., :2], axis=2)
    assert np.abs(radius - 400).max() < 30
    cross = enu[..., 0] * states.velocity[..., 1] - enu[..., 1] * states.velocity[..., 0]
    assert (cross[:, 0] < 0).all()
    assert (cross[:, 1] > 0).all()


def test_stop_and_go_stops_and_goes_and_walks_stay_home():
    scenario = scenario_of(
        '[[mover]]\nclass = "land_vehicle"\nbehaviour = "stop_and_go"\ngo_s = 40\nstop_s = 20\n'
        "route = [[10.0, 20.0], [10.05, 20.0]]\n"
        '[[mover]]\nclass = "animal"\nbehaviour = "random_walk"\ncentre = [10.0, 20.0]\n'
        "radius_m = 100\n"
        '[[mover]]\nclass = "uav"\nbehaviour = "hover"\ncentre = [10.0, 20.0]\nalt_m = 80\n'
    )
    _, enu, states = tracks(scenario, 1200)
    speed = np.linalg.norm(states.velocity, axis=2)
    standing = (speed[:, 0] < 0.01).mean()
    assert 0.15 < standing < 0.35  # 20 of 60 s, less the time to brake and start
    assert speed[:, 0].max() == pytest.approx(12.0, rel=0.01)
    assert np.linalg.norm(enu[:, 1, :2], axis=1).max() < 110
    assert speed[:, 1].max() > 0.3
    assert np.linalg.norm(enu[:, 2, :2], axis=1).max() < 6


def test_presence_and_height():
    scenario = scenario_of(
        '[[mover]]\nclass = "uav"\nfrom_s = 10\nuntil_s = 20\n'
        "route = [[10.0, 20.0, 100.0], [10.02, 20.0, 200.0]]\nspeed_mps = 20\n"
    )
    movers = Movers(scenario, 0)
    states = movers.at(np.array([9.9, 10.0, 20.0, 20.1]) * S)
    assert states.there[:, 0].tolist() == [False, True, True, False]
    _, enu, states = tracks(scenario, 100)
    assert states.velocity[:, 0, 2].max() <= KINEMATICS["uav"].climb_mps + 1e-9
    assert enu[-1, 0, 2] > 150
