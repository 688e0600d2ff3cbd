"""A whole node under its supervisor: broker, core, serve, database."""

import json
import os
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from storage.history import History
from tests.node.logs import assert_same, outputs, payloads, undisturbed
from tests.node.site import REPORTS, publisher, report, until, write_site
from vedette.local.process import Child

pytestmark = [pytest.mark.node, pytest.mark.broker, pytest.mark.database]

MOSQUITTO = pytest.mark.parametrize("broker", [{"prefer": "mosquitto"}], indirect=True)


class NodeUnderTest:
    """``vedette run`` on the files in a folder."""

    def __init__(self, folder, broker, dsn, more="") -> None:
        self.folder = folder
        self.dsn = dsn
        self.site = write_site(folder, broker, dsn)
        self.site.write_text(self.site.read_text() + more)
        self.log = folder / "node.log"
        self.child = Child.python("node", "vedette", ["run", str(self.site)], log=self.log)

    def lines(self) -> Any:
        return self.log.read_text()

    def pid(self, process) -> Any:
        """Process id of the newest start of a process."""
        found = [line for line in self.lines().splitlines() if f"started process={process}" in line]
        return int(found[-1].rsplit("pid=", 1)[1]) if found else 0

    def spare(self) -> Any:
        """Process id of the newest spare of the core; 0: there was none yet."""
        found = [line for line in self.lines().splitlines() if "standing by process=core" in line]
        return int(found[-1].rsplit("pid=", 1)[1]) if found else 0

    def get(self, path) -> Any:
        ports = [line for line in self.lines().splitlines() if " url=http" in line]
        if not ports:
            return None
        try:
            url = ports[-1].rsplit("url=", 1)[1] + path
            with urllib.request.urlopen(url, timeout=2.0) as answer:  # noqa: S310 - our own page
                return json.load(answer)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return None

    def status(self) -> Any:
        return (self.get("/api/status") or {}).get("status", {})

    def up(self) -> Any:
        status = self.status()
        broker = status.get("core", {}).get("broker", {})
        return broker.get("connected") and status["serve"]["database"]["connected"]

    def wait_up(self) -> Any:
        until(self.up, what=self.lines)


def alive(pid) -> Any:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


@pytest.fixture
def node(tmp_path, broker, database) -> Any:
    made = NodeUnderTest(tmp_path, broker, database)
    yield made
    if made.child.poll() is None:
        made.child.terminate(10.0)


def send(source, count, boot="b1") -> Any:
    for number in range(count):
        while source.publish_all([(REPORTS, report(number, boot))]).stored == 0:
            time.sleep(0.01)


@MOSQUITTO
def test_reports_become_rows_and_a_picture_and_the_stop_stores_the_rest(node, broker) -> None:
    node.wait_up()
    source = publisher(broker)
    send(source, 60)
    until(lambda: len((node.get("/api/tracks") or {})["tracks"]) >= 2, what=node.status)
    until(lambda: node.status()["serve"]["database_lag_records"] <= 1, what=node.status)
    status = node.status()
    assert status["mode"] == "live"
    assert status["region"]["lat"] == 59.4
    assert {s["id"]: s["last_report_s"] is not None for s in status["sensors"]} == {
        "radar-1": True,
        "ais-1": False,
    }
    send(source, 60, "b2")
    # What the broker has and the node has not is the broker's still; what is journaled is stored.
    journal = node.folder / "data" / "journal"
    until(lambda: len(payloads(journal)) == 120, what=node.status)
    assert node.child.terminate(10.0) == 0, node.lines()
    assert source.stop()
    found = outputs(node.folder / "data" / "outputs")
    history = History(node.dsn, "north")
    assert history.counts()["reports"] == sum(b.detections.n_reports for b in found) == 120
    assert history.counts()["tracks"] == sum(len(b.updates) for b in found) > 100
    assert not alive(node.pid("core"))
    assert not alive(node.pid("serve"))


@MOSQUITTO
def test_processes_that_die_come_back_and_nothing_is_missing(node, broker) -> None:
    node.wait_up()
    source = publisher(broker)
    send(source, 30)
    for process in ("core", "serve", "core"):
        before = node.pid(process)
        os.kill(before, signal.SIGKILL)
        send(source, 20, f"{process}-{before}")
        until(lambda: node.pid(process) not in {0, before} and node.up(), what=node.lines)  # noqa: B023 - called at once
    until(
        lambda: History(node.dsn, "north").counts()["reports"] == 90,
        what=lambda: (node.lines(), node.status()),
    )
    assert node.lines().count("died process=") == 3
    assert "signal=SIGKILL restarts=0 again_in_s=0.2" in node.lines()
    assert node.child.terminate(10.0) == 0, node.lines()
    assert len(payloads(node.folder / "data" / "journal")) == 90
    assert source.stop()


@MOSQUITTO
def test_a_spare_takes_the_place_of_a_core_that_dies(node, broker) -> None:
    node.wait_up()
    source = publisher(broker)
    send(source, 20)
    spare = until(node.spare, what=node.lines)
    os.kill(node.pid("core"), signal.SIGKILL)
    until(lambda: node.pid("core") == spare and node.up(), what=node.lines)
    send(source, 20, "b2")
    until(lambda: History(node.dsn, "north").counts()["reports"] == 40, what=node.status)
    assert node.lines().count("core started pid=") == 2
    following = until(lambda: node.spare() not in {0, spare} and node.spare(), what=node.lines)
    os.kill(following, signal.SIGKILL)  # one that dies while it waits is replaced
    until(lambda: node.spare() != following, what=node.lines)
    assert node.lines().count("died process=") == 1
    assert node.child.terminate(10.0) == 0, node.lines()
    assert not alive(node.spare())
    assert not alive(spare)
    assert_same(
        outputs(node.folder / "data" / "outputs"), undisturbed(node.folder / "data" / "journal")
    )
    assert source.stop()


@MOSQUITTO
def test_nothing_outlives_a_supervisor_that_is_killed(node, broker) -> None:
    node.wait_up()
    pids = [node.pid("core"), node.pid("serve"), until(node.spare, what=node.lines)]
    node.child.kill()
    until(lambda: not any(alive(pid) for pid in pids), what=node.lines)


@MOSQUITTO
def test_a_second_signal_ends_everything_at_once(node, broker) -> None:
    node.wait_up()
    pids = [node.pid("core"), node.pid("serve")]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)  # neither can stop by itself
    node.child.send(signal.SIGTERM)
    until(lambda: "signal name=SIGTERM" in node.lines())
    node.child.send(signal.SIGTERM)
    assert node.child.wait(10.0) == 1
    assert "killed processes=core,serve" in node.lines()
    assert not any(alive(pid) for pid in pids)


@MOSQUITTO
def test_a_wrong_site_file_ends_the_command_with_status_2(tmp_path, broker) -> None:
    site = write_site(tmp_path, broker)
    site.write_text(site.read_text().replace('adapter = "ais"', 'adapter = "radar9"'))
    child = Child.python("node", "vedette", ["run", str(site)], log=tmp_path / "log")
    assert child.wait(20.0) == 2
    assert f"{site}: sensor[1]" in child.log_tail()


@MOSQUITTO
def test_a_publisher_that_cannot_start_is_tried_again_and_the_node_works(
    tmp_path, broker, database
) -> None:
    partner = '[[partner]]\nid = "south"\nagreement = "south.toml"\n'
    partner += 'username = "to-south"\npassword_file = "password"\n'
    node = NodeUnderTest(tmp_path, broker, database, partner)
    try:
        node.wait_up()
        until(lambda: node.lines().count("died process=share-south status=2") >= 2, what=node.lines)
        assert "partner 'south'.password_file" in node.lines()
        (tmp_path / "password").write_text("x")
        status = tmp_path / "data" / "partners" / "south.status.json"
        until(status.exists, what=node.lines)
        assert json.loads(status.read_text())["problems"]  # there is no agreement
        assert node.up()
    finally:
        assert node.child.terminate(10.0) == 0, node.lines()
    assert not alive(node.pid("share-south"))
