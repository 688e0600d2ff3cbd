"""A disk that is really full: acks stop, everybody is told why, and it heals by itself."""

import os
import subprocess
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.node.logs import assert_same, assert_whole, outputs, undisturbed
from tests.node.site import report, until
from tests.node.test_node_delivery import GatewayUnderTest, frames
from tests.node.test_node_run import NodeUnderTest
from vedette.lastword import BYTES, LastWord, last_word

pytestmark = [pytest.mark.node, pytest.mark.broker, pytest.mark.database]

MOSQUITTO = pytest.mark.parametrize("broker", [{"prefer": "mosquitto"}], indirect=True)

REPORTS = 1_500
SPARE = 1 << 19
"""Bytes left free before the reports come; they take some 1.5 MB in the journal alone."""


@pytest.fixture
def small_disk(tmp_path) -> Any:
    """The node's data folder, on a file system of 24 MB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    mount = tmp_path / "data"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(mount)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


def health(node) -> tuple[bool, str]:
    url = next(line for line in node.lines().splitlines() if " url=http" in line)
    try:
        with urllib.request.urlopen(url.rsplit("url=", 1)[1] + "/healthz", timeout=5.0) as answer:  # noqa: S310
            return True, answer.read().decode()
    except urllib.error.HTTPError as error:
        return False, error.read().decode()


@MOSQUITTO
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_full_disk_stops_the_acks_is_said_and_heals(
    tmp_path, small_disk, broker, database
) -> None:
    node = NodeUnderTest(tmp_path, broker, database)
    gateway = GatewayUnderTest(tmp_path, broker)
    try:
        node.wait_up()
        until(lambda: health(node)[0], what=lambda: health(node))
        ballast = small_disk / "ballast"
        free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
        ballast.write_bytes(bytes(free - SPARE))
        gateway.lines.write_bytes(b"".join(report(n, "hw") + b"\n" for n in range(REPORTS)))
        gateway.start()
        until(lambda: "No space left" in health(node)[1], what=lambda: health(node))
        assert not health(node)[0]
        journaled = len({(f.boot, f.seq) for f in frames(small_disk / "journal")})
        assert journaled < REPORTS
        assert gateway.child.poll() is None
        ballast.unlink()
        until(lambda: health(node)[0], what=lambda: health(node))
        until(
            lambda: len({(f.boot, f.seq) for f in frames(small_disk / "journal")}) == REPORTS,
            what=node.lines,
        )
        core_idle = lambda: node.status()["core"]["journal_lag_records"] <= 2  # noqa: E731
        until(core_idle, what=node.status)
        status = gateway.stop()
        assert (gateway.code, status["stored"], status["waiting"]) == (0, REPORTS, 0)
        assert node.child.terminate(20.0) == 0, node.lines()
        found = outputs(small_disk / "outputs")
        assert_whole(found)
        assert sum(batch.detections.n_reports for batch in found) == REPORTS
        assert_same(found, undisturbed(small_disk / "journal"))
    finally:
        for child in (node.child, getattr(gateway, "child", None)):
            if child is not None and child.poll() is None:
                child.terminate(10.0)


def test_the_last_word_has_its_place_beforehand(tmp_path) -> None:
    assert last_word(tmp_path) == ""
    word = LastWord(tmp_path)
    assert (tmp_path / "stalled").stat().st_size == BYTES
    word.say("the disk is full: ü" * 100)
    assert last_word(tmp_path).startswith("the disk is full: ü")
    assert (tmp_path / "stalled").stat().st_size == BYTES
    word.say("")
    assert last_word(tmp_path) == ""
    word.close()
    word.close()
    assert last_word(tmp_path / "none") == ""
