"""Scenario files: every mistake at once, and the packaged scenario."""

import tomllib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.schema import SensorsFile
from exercise.scenario import load_scenario, packaged, read_scenario, site_tables
from model.errors import ConfigError

GOOD = """
[scenario]
name = "x"
[region]
lat = 10.0
lon = 20.0
[[mover]]
class = "human"
route = [[10.0, 20.0], [10.01, 20.0]]
[[sensor]]
id = "radar-1"
position = {lat = 10.0, lon = 20.0}
coverage = {range_m = [10.0, 5000.0]}
[sensor.simulate]
kind = "radar"
"""


def problems_of(text):
    with pytest.raises(ConfigError) as caught:
        read_scenario(tomllib.loads(text), "f.toml")
    return caught.value.problems


def test_a_small_scenario_is_read():
    scenario = read_scenario(tomllib.loads(GOOD), "f.toml")
    mover = scenario.movers[0]
    assert (mover.id, mover.label, mover.speed_mps, mover.end) == (1, "human", 1.3, "loop")
    assert np.degrees(mover.route[1]).tolist() == pytest.approx([10.01, 20.0, 0.0])
    assert scenario.sensors[0].simulation.kind == "radar"
    assert "simulate" not in site_tables(scenario)[0]


def test_every_mistake_is_told_at_once_with_file_and_key():
    text = """
colour = 1
[scenario]
nam = "x"
[region]
lat = 100.0
lon = 20.0
[[mover]]
class = "human"
speed_mps = 40.0
mmsi = 265000001
route = [[10.0, 20.0], [10.0]]
[[mover]]
class = "tank"
behaviour = "orbit"
[[sensor]]
id = "a b"
adapter = "ais"
heading_deg = 3.0
[sensor.simulate]
kind = "radar"
jitter_s = -1.0
[[sensor]]
id = "z"
sensing = "event"
[sensor.simulate]
kind = "zone"
"""
    expected = [
        "f.toml: colour: unknown key",
        "f.toml: scenario.name: is missing",
        "f.toml: scenario.nam: unknown key",
        "f.toml: region.lat: 100.0 is not a number from -90 to 90",
        "f.toml: mover[0].speed_mps: 40.0",
        "f.toml: mover[0].mmsi: only a sea_vessel has one",
        "f.toml: mover[0].route[1]: must be [lat, lon]",
        "f.toml: mover[1].class: 'tank' is none of",
        "f.toml: mover[1].centre: is missing",
        "f.toml: sensor[0].id: 'a b' is no name",
        "f.toml: sensor[0] (a b).simulate.jitter_s: -1.0",
        "f.toml: sensor[0] (a b).adapter: kind 'radar' speaks 'report'",
        "f.toml: sensor[0] (a b).position: is missing",
        "f.toml: sensor[0] (a b).heading_deg: simulated sensors",
        "f.toml: sensor[0] (a b).coverage: kind 'radar' needs",
        "f.toml: sensor[1] (z).simulate.nodes: is missing",
    ]
    found = problems_of(text)
    for start in expected:
        assert any(line.startswith(start) for line in found), start
    assert len(found) == len(expected), found


def test_ids_and_identities_are_unique():
    vessel = '[[mover]]\nid = 7\nclass = "sea_vessel"\nmmsi = 265000001\nbehaviour = "hover"\n'
    vessel += "centre = [10.0, 20.0]\n"
    head, sensor = GOOD.split("[[sensor]]")
    found = problems_of(f"{head}{vessel * 2}[[sensor]]{sensor}[[sensor]]{sensor}")
    assert found == [
        "f.toml: mover.id: 7 is given twice",
        "f.toml: mover.mmsi: 265000001 is given twice",
        "f.toml: sensor.id: radar-1 is given twice",
    ]


def test_files_that_cannot_be_read(tmp_path):
    for name, data in (("a", None), ("b", b"\xff"), ("c", b"= 1")):
        path = tmp_path / name
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(ConfigError) as caught:
            load_scenario(path)
        assert caught.value.problems[0].startswith(str(path))
    with pytest.raises(ConfigError, match="border"):
        packaged("no-such")


plain = st.recursive(
    st.one_of(st.booleans(), st.integers(-5, 5), st.floats(), st.text(max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["mover", "sensor", "region", "scenario", "simulate", "kind", "id", "class",
                 "route", "position", "coverage", "lat", "lon", "shadows", "behaviour"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["mover", "sensor", "region", "scenario"]), plain))
@settings(max_examples=300, deadline=None)
def test_any_document_gives_a_scenario_or_a_list_of_mistakes(document):
    problems = ["f.toml: none"]
    try:
        read_scenario(document, "f.toml")
    except ConfigError as error:
        problems = error.problems
    assert problems
    assert all(line.startswith("f.toml: ") for line in problems)


def test_the_packaged_scenario_is_what_it_says():
    scenario = load_scenario(packaged("border"))
    assert len(scenario.sensors) == 14
    assert len(scenario.movers) == 46
    assert sorted(scenario.nodes) == ["north", "south"]
    assert "two nodes, fourteen sensors, 46 movers" in scenario.description
    assert len({item.simulation.kind for item in scenario.sensors}) >= 5
    assert {item.simulation.format for item in scenario.sensors} == {"json", "msgpack", "arrays"}
    assert {spec.label for spec in scenario.movers} == {
        "human", "animal", "land_vehicle", "sea_vessel", "uav", "air_vehicle",
    }  # fmt: skip


def test_site_tables_are_what_the_site_file_takes():
    scenario = load_scenario(packaged("border"))
    read = SensorsFile.model_validate({"sensor": site_tables(scenario)})
    assert [table.id for table in read.sensor] == [item.sensor.id for item in scenario.sensors]


def test_nodes_have_disjoint_sensors_and_the_same_movers():
    scenario = load_scenario(packaged("border"))
    north, south = (scenario.of_node(name) for name in scenario.nodes)
    ids = [{item.sensor.id for item in one.sensors} for one in (north, south, scenario)]
    assert ids[0] & ids[1] == set()
    assert ids[0] | ids[1] == ids[2]
    assert min(len(ids[0]), len(ids[1])) >= 5
    assert north.movers is south.movers is scenario.movers
    assert all("node" not in table for table in site_tables(scenario))


def test_a_sensor_without_a_node_is_everybodys():
    more = GOOD.replace("radar-1", "radar-2").split("[[sensor]]")[1]
    text = f'{GOOD}[[sensor]]\nnode = "east"\n{more}'
    scenario = read_scenario(tomllib.loads(text), "f.toml")
    assert scenario.nodes == ("east",)
    assert [len(scenario.of_node(name).sensors) for name in ("east", "west")] == [2, 1]


def test_a_node_without_sensors_is_told_which_nodes_there_are():
    with pytest.raises(ConfigError, match=r"no sensor of node 'west' \(of south, north\)"):
        load_scenario(packaged("border")).of_node("west")
    found = problems_of(GOOD.replace('id = "radar-1"', 'id = "radar-1"\nnode = "a/b"'))
    assert found == [
        "f.toml: sensor[0] (radar-1).node: 'a/b' is no name (letters, digits, . _ -, at most 64)"
    ]
