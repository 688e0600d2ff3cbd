"""Recordings that nobody here made, through a whole node: broker, journal, fusion, database."""

import json
import os
import random
import signal
import time
import tomllib
from pathlib import Path

import pytest

from exercise.pictures import read_pictures
from exercise.scoring import score
from exercise.truth import read_truth
from storage.history import History
from tests.acceptance.recorded import NODE, RecordedNode
from tests.node.logs import payloads
from tests.node.site import until
from vedette.cli import main as vedette

AUTOFERRY = Path(__file__).parents[2] / "config" / "examples" / "autoferry.toml"

pytestmark = [pytest.mark.node, pytest.mark.broker, pytest.mark.database, pytest.mark.slow]


@pytest.fixture
def start(tmp_path, broker, database):
    """Starts one node with given sensors, and ends it."""
    started = []

    def begin(sensors):
        node = RecordedNode(tmp_path, broker, database, sensors)
        started.append(node)
        node.wait_up()
        return node

    yield begin
    for node in started:
        if node.child.poll() is None:
            node.child.terminate(10.0)


def autoferry_sensors():
    return tomllib.loads(AUTOFERRY.read_text())["sensor"]


def test_ais_sample_gives_778_decoded_and_100_in_quarantine(start, test_data):
    node = start(
        [{"id": "ais", "adapter": "ais", "sensing": "event", "cooperative": True, "period_s": 10.0}]
    )
    replay = node.replay(
        test_data / "ais" / "nmea_data_sample.txt", "--sensor", "ais", "--speed", "0"
    )
    assert replay.wait(60) == 0, replay.log_tail()
    counts = node.settle(897)["ais"]
    assert counts["decoded"] == 778
    assert sum(counts["refused"].values()) == 100
    assert node.child.terminate(10.0) == 0
    assert History(node.dsn, NODE).counts()["quarantine"] == 100


def test_flight_gives_one_uav_and_one_track(start, test_data):
    options = {"framing": "tlog"}
    node = start(
        [
            {
                "id": "uav",
                "adapter": "mavlink",
                "sensing": "event",
                "cooperative": True,
                "options": options,
            }
        ]
    )
    replay = node.replay(test_data / "mavlink" / "flight.tlog", "--sensor", "uav", "--speed", "0")
    assert replay.wait(60) == 0, replay.log_tail()
    counts = node.settle(9000)["uav"]
    # 2,833 positions, of which 149 were sent before the receiver had a fix: exactly 0 N 0 E.
    assert counts["decoded"] == 75_477
    assert counts["reports"] + counts["refused"]["out_of_range"] == 2_833
    assert counts["refused"]["out_of_range"] == 149
    assert node.child.terminate(10.0) == 0
    updates = node.stored_updates()
    assert len({update["track_id"] for update in updates}) == 1
    assert {json.dumps(update["identity"]) for update in updates} == {'{"mavlink": "1"}'}


@pytest.mark.parametrize("kills", [0, 5])
def test_replayed_harbour_gives_the_updates_that_the_journal_gives(start, test_data, kills):
    path = test_data / "autoferry" / "scenario02" / "reports.jsonl"
    lines = len(path.read_text().splitlines())
    node = start(autoferry_sensors())
    replay = node.replay(path, "--speed", "12")
    rng = random.Random(kills)
    for _ in range(kills):
        process = rng.choice(["core", "core", "serve"])
        pid = until(lambda: node.pid(process), what=node.lines)  # noqa: B023 - called at once
        time.sleep(rng.uniform(0.2, 1.2))  # the moment is the random part of the test
        os.kill(pid, signal.SIGKILL)
        until(lambda: node.is_back(process, pid), what=node.lines)  # noqa: B023 - called at once
    assert replay.wait(120) == 0, replay.log_tail()
    until(lambda: payloads(node.folder / "data" / "journal").total() >= lines, 60.0)
    node.settle(lines)
    assert node.child.terminate(10.0) == 0, node.lines()
    assert History(node.dsn, NODE).counts()["reports"] == lines
    stored = node.stored_updates()
    keys = [(update["known_offset"], update["n"]) for update in stored]
    assert len(keys) == len(set(keys)) > 300
    assert stored == node.journal_updates()


def test_tracks_in_the_harbour_are_better_than_the_authors_own(test_data, tmp_path):
    near = []
    for name in ("02", "03", "04", "13", "17"):
        folder = test_data / "autoferry" / f"scenario{name}"
        out = tmp_path / f"{name}.jsonl"
        arguments = ["track", "--sensors", str(AUTOFERRY), str(folder / "reports.jsonl")]
        assert vedette([*arguments, "--out", str(out)]) == 0
        result = score(
            read_truth(folder / "truth.jsonl"), read_pictures(out), at={"radar", "lidar"}
        )
        near.append(result.near_gospa)
    assert sum(near) / len(near) < 13.3
