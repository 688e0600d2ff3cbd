"""Children end when they are told to, and when nobody is left to tell them."""

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from tests.local.support import alive, python, wait_until
from vedette.local.places import closed_parent, private_folder, server_user
from vedette.local.process import Child
from vedette.local.shim import CANNOT_START

SLEEP = "/bin/sleep"

PARENT = """
import sys, threading, time
from pathlib import Path
from vedette.local.process import Child

def start():
    if sys.argv[1] == "program":
        return Child.program("sleep", ["/bin/sleep", "600"])
    return Child.python("child", "tests.local.obedient", log=Path(sys.argv[3]))

if sys.argv[2] == "main":
    child = start()
else:
    made = []
    thread = threading.Thread(target=lambda: made.append(start()))
    thread.start()
    thread.join()
    child = made[0]
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("thread", ["main", "other"])
@pytest.mark.parametrize("kind", ["program", "python"])
def test_no_child_outlives_a_parent_that_is_killed(kind, thread, tmp_path):
    with python(PARENT, kind, thread, str(tmp_path / "log")) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        if kind == "python":
            wait_until(lambda: b"ready" in (tmp_path / "log").read_bytes())
        assert alive(child)
        parent.kill()
    wait_until(lambda: not alive(child))
    if kind == "python":
        assert b"in good order" in (tmp_path / "log").read_bytes()


def test_a_child_that_ignores_the_end_of_its_parent_is_killed(tmp_path):
    script = PARENT.replace("tests.local.obedient", "tests.local.stubborn")
    with python(script, "python", "main", str(tmp_path / "log")) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        wait_until(lambda: b"ready" in (tmp_path / "log").read_bytes())
        parent.kill()
    wait_until(lambda: not alive(child))


def test_a_child_started_in_a_thread_lives_on_when_the_thread_ends():
    made: list[Child] = []
    thread = threading.Thread(target=lambda: made.append(Child.program("sleep", [SLEEP, "600"])))
    thread.start()
    thread.join()
    with made[0] as child, pytest.raises(TimeoutError, match="sleep still runs"):
        child.wait(0.2)
    assert child.poll() == -signal.SIGTERM


def test_terminate_asks_first_and_insists_then(tmp_path):
    log = tmp_path / "log"
    with Child.python("obedient", "tests.local.obedient", log=log) as child:
        wait_until(lambda: "ready" in child.log_tail())
        assert child.terminate(10.0) == 0
    assert "in good order" in log.read_text()
    with Child.python("stubborn", "tests.local.stubborn", log=tmp_path / "log2") as child:
        wait_until(lambda: "ready" in child.log_tail())
        assert child.terminate(0.2) == -signal.SIGKILL


def test_children_are_asked_side_by_side(tmp_path):
    log, log2 = tmp_path / "log", tmp_path / "log2"
    with (
        Child.python("obedient", "tests.local.obedient", log=log) as obedient,
        Child.python("stubborn", "tests.local.stubborn", log=log2) as stubborn,
    ):
        wait_until(lambda: "ready" in obedient.log_tail() and "ready" in stubborn.log_tail())
        for child in (obedient, stubborn):
            child.ask()
        assert obedient.end(10.0) == 0
        assert stubborn.end(0.2) == -signal.SIGKILL


def test_the_stop_signal_is_the_programs_own():
    with Child.program("sleep", [SLEEP, "600"], stop_signal=signal.SIGINT) as child:
        wait_until(lambda: Path(f"/proc/{child.pid}/comm").read_text() == "sleep\n")
        assert child.terminate() == -signal.SIGINT


def test_a_program_that_is_not_there(tmp_path):
    with Child.program("nothing", ["/no/such/program"], log=tmp_path / "log") as child:
        assert child.wait(10) == CANNOT_START
        assert "cannot start /no/such/program" in child.log_tail()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_starts_programs_as_nobody_with_no_groups(tmp_path):
    log = tmp_path / "log"
    with Child.program("id", ["/usr/bin/id"], log=log, user=server_user()) as child:
        assert child.wait(10) == 0
    text = log.read_text()
    assert "uid=0" not in text
    assert "root" not in text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_folders_that_nobody_cannot_enter_are_named(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    assert closed_parent(closed / "x", None) is None
    named = closed_parent(closed / "x", server_user())
    assert named is not None
    assert named in (closed, *closed.parents)
    folder = private_folder("vt-", server_user())
    assert closed_parent(folder / "x" / "y", server_user()) is None
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.rmdir()


def test_a_child_without_a_parent_to_watch_runs_by_hand():
    with python("from vedette.local.process import watch_parent; print(watch_parent())") as child:
        assert child.stdout is not None
        assert child.stdout.read() == "False\n"
    assert child.returncode == 0
    assert sys.executable
