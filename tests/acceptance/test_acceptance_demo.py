"""The demo, as a user runs it: a summary at the end, Ctrl-C, nothing left behind."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.node.site import until
from vedette.local.broker import find_mosquitto

pytestmark = [pytest.mark.node, pytest.mark.broker, pytest.mark.database, pytest.mark.slow]

DEMO = [sys.executable, "-m", "vedette", "demo", "--headless", "--json"]


def environment(tmp_path, broker):
    """Ours, with a temporary folder that the test can look into afterwards."""
    scratch = Path(tempfile.mkdtemp(prefix="vd-", dir="/tmp"))
    scratch.chmod(0o711)
    return scratch, {**os.environ, "VEDETTE_BROKER": broker, "TMPDIR": str(scratch)}


def leftovers(scratch):
    """Processes whose command line names the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if str(scratch).encode() in words:
            found.append(words)
    return found


def supervisor(demo):
    """Process of one of the demo's own nodes."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if parent == demo and b"run" in words and any(w.endswith(b"site.toml") for w in words):
            return int(entry.name)
    raise AssertionError("no node runs")


@pytest.mark.parametrize("broker", ["mosquitto", "amqtt"])
def test_tracks_are_formed_shared_stored_and_read_back(tmp_path, broker):
    if broker == "mosquitto" and find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    scratch, variables = environment(tmp_path, broker)
    done = subprocess.run(
        [*DEMO, "--seconds", "15"], env=variables, capture_output=True, text=True, timeout=150
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert set(summary["nodes"]) == {"north", "south"}
    for node in summary["nodes"].values():
        assert node["reports"] > 100
        assert 15 <= node["tracks_confirmed"] <= 60
        assert 8 <= node["foreign_tracks_stored"] <= 40
        assert node["rows_stored"] > node["reports"]
        assert node["updates_taken"] > node["foreign_tracks_stored"]
        assert 0 < node["updates_acknowledged"] <= node["updates_given"]
        assert node["p99_latency_ms"] > 0.0
        assert node["quarantined"] == 0
        assert node["updates_missing"] == 0
    assert summary["broker"].startswith(broker)
    assert summary["database"].startswith("PostgreSQL")
    assert list(scratch.iterdir()) == []
    assert leftovers(scratch) == []
    scratch.rmdir()


def test_a_node_that_dies_on_the_way_is_said_and_is_no_success(tmp_path):
    scratch, variables = environment(tmp_path, "auto")
    command = [*DEMO, "--seconds", "90"]
    with subprocess.Popen(
        command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stderr is not None
        began = time.monotonic()
        heard: list[str] = []
        while sum("Ctrl-C ends it" in line for line in heard) < 2:
            heard.append(demo.stderr.readline())
            assert heard[-1], "".join(heard)
        time.sleep(10.0)  # all that must be read back is there
        os.kill(supervisor(demo.pid), signal.SIGKILL)
        _, errors = demo.communicate(timeout=60.0)
    assert time.monotonic() - began < 85.0
    assert demo.returncode == 1
    assert "ended with status" in errors
    assert errors.count("vedette demo: ") == 1
    until(lambda: not leftovers(scratch), 5.0)
    assert list(scratch.iterdir()) == []
    scratch.rmdir()


def test_ctrl_c_while_it_starts_leaves_nothing(tmp_path):
    scratch, variables = environment(tmp_path, "auto")
    with subprocess.Popen(DEMO, env=variables, stderr=subprocess.PIPE, text=True) as demo:
        assert demo.stderr is not None
        assert "Starting" in demo.stderr.readline()
        # Servers are started side by side; any moment of that will do.
        until(lambda: any(scratch.glob("vedette-pg-*/data")), 60.0)
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=30.0)
    assert demo.returncode == 130
    until(lambda: not leftovers(scratch), 5.0)
    assert list(scratch.iterdir()) == []
    scratch.rmdir()


def test_ctrl_c_ends_it_and_leaves_nothing(tmp_path):
    scratch, variables = environment(tmp_path, "auto")
    with subprocess.Popen(
        DEMO, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stderr is not None
        heard: list[str] = []

        def are_up() -> bool:
            assert demo.stderr is not None
            heard.append(demo.stderr.readline())
            return sum("Ctrl-C ends it" in line for line in heard) == 2

        until(are_up, 60.0, lambda: "".join(heard))
        time.sleep(0.5)  # any moment will do
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=30.0)
    until(lambda: not leftovers(scratch), 5.0)
    assert list(scratch.iterdir()) == []
    scratch.rmdir()
