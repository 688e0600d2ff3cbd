"""The site file: what is right loads in SI, what is wrong is said all at once."""

import math
from pathlib import Path

import pytest

from adapters.registry import load_all
from config import engine_config, load_sensors, load_site
from model.detections import Mode
from model.errors import ConfigError
from vedette.sitefile import write_site

EXAMPLES = Path(__file__).parents[2] / "config" / "examples"

GOOD = """
[node]
name = "north"
mode = "exercise"
data_dir = "data"
[region]
lat = 59.0
lon = 24.0
[database]
dsn = "host=/tmp"
[[sensor]]
id = "radar"
position = {lat = 59.1, lon = 24.2, alt_m = 30.0}
heading_deg = 90.0
detection_probability = {range_m = [0, 5000], value = [0.95, 0.5]}
coverage = {range_m = [50, 8000], azimuth_deg = [200, 290]}
latency_s = 0.5
class = {boat = 0.75, "Air Vehicle.UAV Rotary Wing" = 0.25}
[[source]]
id = "gateway"
sensors = ["radar"]
"""


def write(tmp_path, text):
    path = tmp_path / "site.toml"
    path.write_text(text)
    return path


def test_units_become_si_and_radians(tmp_path):
    site = load_site(write(tmp_path, GOOD), load_all())
    sensor = site.engine.sensors[0]
    assert site.topic_root == "vedette-exercise/north"
    assert site.data_dir == tmp_path / "data"
    assert sensor.position == (math.radians(59.1), math.radians(24.2), 30.0)
    assert sensor.heading_rad == math.pi / 2
    assert sensor.coverage.azimuth_rad == (math.radians(200), math.radians(290))
    assert sensor.detection_probability.value == (0.95, 0.5)
    assert sensor.latency_ns == 500_000_000
    assert sensor.classes is not None
    assert sensor.classes[5] == 0.75
    assert sensor.classes[4] == 0.25


def test_the_journaled_part_reads_back_the_same(tmp_path):
    site = load_site(write(tmp_path, GOOD), load_all())
    again = engine_config(site.engine_payload())
    assert again.sensors.ids == site.engine.sensors.ids
    assert again.region == site.engine.region
    assert again.mode == Mode.EXERCISE
    assert again.sensors[0] == site.engine.sensors[0]


def test_every_mistake_at_once_a_line_each(tmp_path):
    text = (
        GOOD.replace('mode = "exercise"', 'mode = "maybe"\ntopik = 3')
        .replace("lat = 59.1", "lat = 91.0")
        .replace("[50, 8000]", "[8000, 50]")
        .replace("latency_s = 0.5", "latency_s = nan")
    )
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_site(path, load_all())
    lines = caught.value.problems
    assert len(lines) == 5
    assert all(line.startswith(f"{path}: ") for line in lines)
    for key in ("node.mode", "node.topik", "position.lat", "coverage", "latency_s"):
        assert any(key in line for line in lines), key
    assert sum("sensor 'radar'" in line for line in lines) == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('id = "radar"', 'id = "radar"\nadapter = "sonar"'), "no adapter 'sonar'"),
        (('sensors = ["radar"]', 'sensors = ["rodar"]'), "rodar"),
        (("[[source]]", '[[sensor]]\nid = "radar"\n[[source]]'), "given twice"),
        (("[node]", "[node"), "not TOML"),
        (("lat = 59.1, lon", 'lat = "north", lon'), "lat"),
    ],
)
def test_one_mistake_is_named(tmp_path, change, words):
    path = write(tmp_path, GOOD.replace(*change))
    with pytest.raises(ConfigError, match=words):
        load_site(path, load_all())


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        load_site(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_examples_load(path):
    assert engine_config(load_sensors(path, adapters=load_all())).sensors.ids


def test_a_written_site_reads_back(tmp_path):
    path = tmp_path / "site.toml"
    write_site(
        path,
        {
            "node": {"name": "a", "mode": "live", "data_dir": 'with "quotes" and \\'},
            "database": {"dsn": "x"},
            "sensor": [{"id": "s", "class": {"Air Vehicle.x": 0.5}, "topics": ["a/b"]}],
        },
    )
    site = load_site(path)
    assert site.data_dir.name == 'with "quotes" and \\'
    assert site.engine.sensors[0].topics == ("a/b",)
