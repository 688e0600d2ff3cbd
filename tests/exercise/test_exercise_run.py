"""The stream of an exercise, decoded with the real adapters and compared with the truth."""

import itertools
import tomllib
from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from adapters.registry import load_all
from exercise.events import crossings
from exercise.pictures import Picture
from exercise.run import MODELS, Exercise
from exercise.scenario import load_scenario, packaged, read_scenario
from exercise.scoring import score
from exercise.truth import read_truth, surface_ecef
from model.coverage import pd
from model.detections import DetectionKind, IdentityKind, Mode
from model.frames import ecef_from_geodetic, enu_rotation, geodetic_from_ecef
from model.ports import Messages

START = 1_772_366_400_000_000_000
S = 1_000_000_000


class State(dict[str, Any]):
    """What a decoder remembers."""

    def put(self, key, value):
        self[key] = value

    def drop(self, key):
        self.pop(key, None)


def decode(exercise, emissions):
    """Detections and refusals by sensor id."""
    grouped = defaultdict(list)
    for emission in emissions:
        grouped[emission.topic].append(emission)
    adapters = load_all()
    decoded = {}
    for topic, rows in grouped.items():
        sensor, leaf = topic.split("/")[3:]
        index = exercise.sensors.index(sensor)
        name = "report" if leaf == "reports" else exercise.sensors[index].adapter
        messages = Messages(
            offset=np.arange(len(rows)),
            received=np.array([row.send_ns for row in rows]),
            sensor=np.full(len(rows), index, dtype=np.int32),
            payload=[row.payload for row in rows],
            boot=np.zeros(len(rows), dtype="S24"),
            seq=np.full(len(rows), -1),
        )
        decoded[sensor] = adapters[name].decode(messages, exercise.sensors, State())
    return decoded


@pytest.fixture(scope="module")
def border():
    return load_scenario(packaged("border"))


def started(scenario, seed=3, start=START, **more):
    return Exercise(scenario, seed, start_ns=start, node="demo", **more)


@pytest.fixture(scope="module")
def minutes(border):
    exercise = started(border)
    emissions = list(exercise.emissions(300))
    return exercise, emissions, decode(exercise, emissions)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(border, minutes):
    _, first, _ = minutes
    again = list(started(border).emissions(30))
    assert again == list(itertools.takewhile(lambda e: e.send_ns < START + 30 * S, first))
    assert again != list(started(border, seed=4).emissions(30))


def test_each_node_plays_its_part_of_the_same_exercise(border, minutes):
    _, whole, _ = minutes
    whole = [e for e in whole if e.send_ns < START + 30 * S]
    parts = [list(started(border.of_node(name)).emissions(30)) for name in border.nodes]
    assert all(parts)
    assert sorted(e for part in parts for e in part) == sorted(whole)
    topics = [{e.topic for e in part} for part in parts]
    assert topics[0] & topics[1] == set()


def test_the_start_shifts_everything_exactly(border, minutes):
    exercise, first, _ = minutes
    later = started(border, start=START + 3600 * S)
    shifted = list(later.emissions(20))
    assert [e.send_ns - 3600 * S for e in shifted] == [e.send_ns for e in first[: len(shifted)]]
    one = decode(exercise, first[: len(shifted)])
    two = decode(later, shifted)
    for sensor in one:
        a, b = one[sensor].detections, two[sensor].detections
        assert np.array_equal(a.time + 3600 * S, b.time), sensor
        assert np.array_equal(a.polar, b.polar, equal_nan=True)


def test_sent_in_order_on_the_topics_of_an_exercise(minutes):
    exercise, emissions, _ = minutes
    times = [e.send_ns for e in emissions]
    assert times == sorted(times)
    names = {e.topic.split("/")[3] for e in emissions}
    assert names == set(exercise.sensors.ids)
    assert all(e.topic.startswith("vedette-exercise/demo/sensors/") for e in emissions)
    leaves = {e.topic.split("/")[3]: e.topic.split("/")[4] for e in emissions}
    assert {name for name, leaf in leaves.items() if leaf == "raw"} == {
        *("ais-bay", "ais-harbour", "uav-station"),
    }


def test_the_adapters_understand_every_byte(minutes):
    exercise, _, all_decoded = minutes
    for sensor, decoded in all_decoded.items():
        assert decoded.refused == (), sensor
        detections = decoded.detections.check()
        assert detections.n_reports > 0
        if exercise.sensors[exercise.sensors.index(sensor)].adapter == "report":
            assert (detections.mode == Mode.EXERCISE).all()
            assert np.array_equal(detections.seq, np.arange(len(detections.seq)))
            assert (detections.boot == exercise.boot.encode()).all()


def nearest(exercise, index, detections):
    """Residuals of polar detections to the nearest mover that the sensor sees."""
    sensor = exercise.sensors[index]
    times = detections.detection_time - sensor.latency_ns - exercise.start_ns
    origin = np.array(sensor.position)
    enu = exercise.movers.at(times).ecef - ecef_from_geodetic(origin)
    enu = enu @ enu_rotation(origin[0], origin[1]).T
    distance = np.linalg.norm(enu, axis=2)
    azimuth = np.arctan2(enu[..., 0], enu[..., 1])
    error = np.stack([detections.polar[:, :1] - distance, detections.polar[:, 1:2] - azimuth])
    error[1] = (error[1] + np.pi) % (2 * np.pi) - np.pi
    scaled = error / np.array([sensor.sigmas.range_m, sensor.sigmas.azimuth_rad])[:, None, None]
    labels = [spec.label for spec in exercise.movers.specs]
    seen = np.isin(labels, exercise.scenario.sensors[index].simulation.sees)
    cost = np.where(seen, np.nansum(scaled**2, axis=0), np.inf)
    best = cost.argmin(axis=1)
    rows = np.arange(len(best))
    return scaled[:, rows, best], cost[rows, best] < 9.2  # 99 % of a chi-square of 2


def test_noise_is_what_the_tables_say(minutes):
    exercise, _, decoded = minutes
    for sensor in ("radar-harbour", "radar-hill", "gsr-east", "gsr-west", "gsr-fields"):
        index = exercise.sensors.index(sensor)
        scaled, good = nearest(exercise, index, decoded[sensor].detections)
        assert good.mean() > 0.6, sensor  # the rest is clutter and merged pairs
        assert scaled[:, good].std(axis=1) == pytest.approx([1.0, 1.0], abs=0.12), sensor
        assert np.abs(scaled[:, good].mean(axis=1)).max() < 0.1, sensor
    ais = decoded["ais-bay"].detections
    assert (ais.identity_kind == IdentityKind.MMSI).all()
    known = {str(spec.mmsi).encode() for spec in exercise.movers.specs if spec.mmsi}
    assert set(ais.identity.tolist()) == known
    for sensor in ("ais-bay", "uav-station", "adsb-hill"):
        detections = decoded[sensor].detections
        index = exercise.sensors.index(sensor)
        times = detections.detection_time - exercise.sensors[index].latency_ns - START
        position = detections.position.copy()
        position[np.isnan(position[:, 2]), 2] = exercise.scenario.ground_m
        apart = exercise.movers.at(times).ecef - ecef_from_geodetic(position)[:, None]
        error = np.linalg.norm(apart, axis=2).min(axis=1)
        assert error.max() < 80, sensor
        assert np.median(error) < 30, sensor


def test_native_uav_frames_carry_clock_height_and_identity(minutes):
    _, emissions, decoded = minutes
    uavs = decoded["uav-station"].detections
    assert (uavs.identity_kind == IdentityKind.MAVLINK).all()
    received = np.array([e.send_ns for e in emissions if "/uav-station/" in e.topic])
    delay = (received[uavs.report] - uavs.detection_time) / 1e9
    first = uavs.detection_time < START + 2 * S
    assert delay[~first].min() >= 0.05  # from the vehicle's own clock
    assert delay[~first].mean() == pytest.approx(0.1, abs=0.03)
    assert np.isfinite(uavs.position[~first, 2]).all()


def test_detections_and_clutter_are_as_often_as_the_tables_say(minutes):
    exercise, _, decoded = minutes
    index = exercise.sensors.index("radar-hill")
    sensor = exercise.sensors[index]
    detections = decoded["radar-hill"].detections
    states = exercise.movers.at(detections.time - START)
    flies = np.array([spec.label in {"uav", "air_vehicle"} for spec in exercise.movers.specs])
    # An oracle of another hand: what the node itself would charge for a miss.
    expected = sum(
        pd(sensor, states.ecef[:, column], START).sum() for column in np.flatnonzero(flies)
    )
    expected += sensor.clutter_per_scan * detections.n_reports
    assert detections.n_detections == pytest.approx(expected, rel=0.05)


def test_late_reports_and_dead_intervals(minutes):
    exercise, emissions, decoded = minutes
    stamps = []
    for sensor, found in decoded.items():
        if exercise.sensors[exercise.sensors.index(sensor)].adapter == "report":
            times = [e.send_ns for e in emissions if f"/{sensor}/" in e.topic]
            stamps += list(zip(times, found.detections.time.tolist(), strict=True))
    arrived = np.array([stamp for _, stamp in sorted(stamps)])
    late = (arrived < np.maximum.accumulate(arrived)).mean()
    assert 0.05 < late < 0.95
    assert all(send >= stamp for send, stamp in stamps)


SMALL = """
[scenario]
name = "x"
[region]
lat = 10.0
lon = 20.0
"""


def small(text, seconds, seed=0):
    exercise = started(read_scenario(tomllib.loads(SMALL + text), "f.toml"), seed)
    return exercise, decode(exercise, exercise.emissions(seconds))


STILL = '[[mover]]\nclass = "sea_vessel"\nbehaviour = "hover"\nspeed_mps = 0.05\nradius_m = 1\n'
RADAR = """
[[sensor]]
id = "r"
position = {lat = 10.0, lon = 20.0}
detection_probability = 1.0
coverage = {range_m = [10.0, 9000.0]}
[sensor.simulate]
kind = "radar"
delay_s = 0.0
"""


def test_two_movers_within_the_resolution_are_one_detection():
    near = STILL + "centre = [10.02, 20.0]\n" + STILL + "centre = [10.0202, 20.0]\n"
    far = STILL + "centre = [9.98, 20.0]\n"
    _, apart = small(near + far + RADAR, 60)
    assert apart["r"].detections.n_detections == 3 * 60
    _, merged = small(near + far + RADAR + "resolution_m = 50\nresolution_deg = 1\n", 60)
    detections = merged["r"].detections
    assert detections.n_detections == 2 * 60
    north = np.cos(detections.polar[:, 1]) > 0
    assert detections.polar[north, 0].mean() == pytest.approx(2223, abs=6)  # 2212 and 2234 m


def test_shadow_dead_interval_and_bias():
    text = STILL + "centre = [10.02, 20.0]\n" + STILL + "centre = [9.98, 20.0]\n" + RADAR
    text += "shadows = [{azimuth_deg = [350, 10], beyond_m = 1000}]\ndead_s = [[10, 20]]\n"
    text += "bias = {range_m = 100.0, period_s = 40.0}\n"
    _, decoded = small(text, 40)
    detections = decoded["r"].detections
    assert (np.cos(detections.polar[:, 1]) < 0).all()
    seconds = (detections.time - START) / 1e9
    assert not ((seconds >= 10) & (seconds < 20)).any()
    assert len(seconds) == 30
    excess = detections.polar[:, 0] - 2212 - 100 * np.sin(2 * np.pi * seconds / 40)
    assert np.abs(excess).max() < 45


def test_a_wire_tells_which_way_it_was_crossed():
    text = (
        '[[mover]]\nclass = "human"\nspeed_mps = 1.5\nend = "return"\n'
        "route = [[10.0, 20.0], [10.002, 20.0]]\n"
        '[[sensor]]\nid = "w"\nsensing = "event"\ndetection_probability = 1.0\nperiod_s = 0.5\n'
        '[sensor.simulate]\nkind = "line"\npoints = [[10.001, 19.99], [10.001, 20.01]]\n'
    )
    exercise, decoded = small(text, 400)
    detections = decoded["w"].detections
    # Seen from its west end, north is to the left of the wire.
    assert detections.direction.tolist()[:2] == [-1, 1]
    assert (detections.kind == DetectionKind.LINE).all()
    states = exercise.movers.at(detections.time - START)
    wire = ecef_from_geodetic(np.radians([[10.001, 20.0, 0.0]]))
    assert np.linalg.norm(states.ecef[:, 0] - wire, axis=1).max() < 0.5


def test_crossings_by_hand():
    before = np.array([[0.0, -1.0], [0.0, 3.0], [20.0, -1.0], [0.0, 1.0]])
    after = np.array([[0.0, 3.0], [0.0, -1.0], [20.0, 3.0], [0.0, 2.0]])
    weight, side = crossings(before, after, np.array([-5.0, 0.0]), np.array([5.0, 0.0]))
    assert weight[:2].tolist() == [0.25, 0.75]
    assert np.isnan(weight[2:]).all()  # past the end, and not across
    assert side[:2].tolist() == [-1, 1]


def test_a_zone_hears_who_is_near_and_then_holds():
    text = (
        '[[mover]]\nclass = "human"\nspeed_mps = 1.5\nend = "return"\n'
        "route = [[10.0, 20.0], [10.002, 20.0]]\n"
        '[[sensor]]\nid = "z"\nsensing = "event"\ndetection_probability = 1.0\nperiod_s = 0.5\n'
        '[sensor.simulate]\nkind = "zone"\nnodes = [[10.001, 20.0]]\nradius_m = 30\nhold_s = 4\n'
    )
    exercise, decoded = small(text, 400)
    detections = decoded["z"].detections
    assert 10 < detections.n_detections < 60
    assert np.diff(detections.time).min() >= 4 * S
    assert (detections.radius == 30).all()
    apart = exercise.movers.at(detections.time - START).ecef[:, 0] - ecef_from_geodetic(
        np.radians([[10.001, 20.0, 0.0]])
    )
    assert np.linalg.norm(apart, axis=1).max() < 30


def test_false_alarms_come_at_their_rate():
    text = STILL + "centre = [10.02, 20.0]\n"
    text += '[[sensor]]\nid = "z"\nsensing = "event"\n[sensor.simulate]\nkind = "zone"\n'
    text += "nodes = [[10.5, 20.0], [10.6, 20.0]]\nfalse_alarms_per_h = 360\n"
    _, decoded = small(text, 2000)
    assert decoded["z"].detections.n_detections == pytest.approx(200, abs=50)


def test_truth_file_reads_back_and_scores_itself(border, tmp_path):
    exercise = started(border)
    path = tmp_path / "truth.jsonl"
    assert exercise.write_truth(path, START, START + 30 * S) == 30
    truth = read_truth(path)
    times = START + np.arange(0, 29 * S, S // 2)
    _, ecef, there = truth.at(times)
    exact = [exercise.truth(int(t)) for t in times]
    assert there.all()
    places = np.array([[(t.lat, t.lon) for t in row] for row in exact])
    error = np.linalg.norm(ecef - surface_ecef(places.reshape(-1, 2)).reshape(ecef.shape), axis=2)
    assert error.max() < 0.6  # linear between seconds, at 3 m/s² and turning
    pictures = [
        Picture(int(t), "s", tuple(p.id for p in row), surface_ecef(place))
        for t, row, place in zip(times, exact, places, strict=True)
    ]
    result = score(exercise.truth_table(START, START + 30 * S), pictures)
    assert result.gospa < 2.0
    assert result.miss == result.false == result.id_switches == 0
    assert exercise.truth(START - 1) == []


def covered(scenario, exercise, states):
    """Which movers (T, N) some sensor of a scenario can see that tells where they are."""
    identity = {"ais": "mmsi", "mavlink": "system_id", "cooperative": "icao24"}
    found = np.zeros(states.there.shape, dtype=bool)
    for item in scenario.sensors:
        kind = item.simulation.kind
        if kind in {"zone", "line", "camera", "acoustic"}:
            continue
        model = MODELS[kind](item, exercise.movers, scenario.region, 3, START)
        visible = model.sight(states).visible
        if kind in identity:
            visible &= [bool(getattr(spec, identity[kind])) for spec in scenario.movers]
        found |= visible
    return found


def test_most_movers_are_covered_all_the_time(border):
    exercise = started(border)
    states = exercise.movers.at(np.arange(0, 1800, 15) * S)
    north, south = (covered(border.of_node(name), exercise, states) for name in border.nodes)
    assert (north | south).mean() > 0.9
    assert (north | south).mean(axis=1).min() > 0.75  # at every moment
    # Each side sees what the other does not: there is something to share.
    assert (north & ~south).sum(axis=1).min() >= 5
    assert (south & ~north).sum(axis=1).min() >= 5
    assert (north & south).sum(axis=1).min() >= 10


def test_movers_cross_the_line_before_the_eyes_of_both(border):
    exercise = started(border)
    moments = np.arange(0, 300, 5) * S
    states = exercise.movers.at(moments)
    line = np.column_stack([np.radians(border.line), np.full(len(border.line), border.ground_m)])
    wire = border.region.enu_from_geodetic(line)[:, :2]
    geodetic = geodetic_from_ecef(states.ecef)
    places = border.region.enu_from_geodetic(geodetic)[..., :2]
    across = np.zeros(len(border.movers), dtype=bool)
    for start, end in itertools.pairwise(wire):
        weight, _ = crossings(places[:-1], places[1:], start, end)
        across |= ~np.isnan(weight).all(axis=0)
    north, south = (covered(border.of_node(name), exercise, states) for name in border.nodes)
    seen = across & north.any(axis=0) & south.any(axis=0)
    assert {spec.label for spec, one in zip(border.movers, seen, strict=True) if one} >= {
        *("sea_vessel", "land_vehicle", "uav"),
    }
    assert seen.sum() >= 4


def test_a_minute_brings_each_node_a_thousand_messages(border):
    for node in border.nodes:
        stream = started(border.of_node(node)).emissions()
        minute = itertools.takewhile(lambda emission: emission.send_ns <= START + 60 * S, stream)
        assert 800 < sum(1 for _ in minute) < 1800, node


def test_arguments_that_cannot_be(border):
    with pytest.raises(ValueError, match="seed"):
        Exercise(border, -1, start_ns=START, node="demo")
    with pytest.raises(ValueError, match="mode"):
        Exercise(border, 0, start_ns=START, node="demo", mode="drill")
