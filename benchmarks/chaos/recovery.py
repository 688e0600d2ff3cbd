"""Recovery with ten thousand tracks: the core is killed under load, again and again.

The load is that of a border (`benchmarks.border`). Measured is the time from the kill to the first
output after it, by the stamps of the output log; beside it, over a copy of the folder as the kill
left it, what the start of a core spends its time on. At the end an undisturbed engine runs over the
journal: equal outputs mean that every track kept its id.
"""

import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.border import Border, site_sensors
from benchmarks.chaos.processes import signal_all
from benchmarks.equivalence import differences, gaps, outputs, undisturbed, up_to
from benchmarks.node import Node, Servers
from journal.reader import LogReader
from model.errors import VedetteError
from model.records import Kind
from model.time import NS_PER_S
from vedette.local.process import Child

RATE_HZ = 400.0
"""Reports a second: what two busy cores keep up with; each place is looked at every 1.8 s."""

GROW_S = 40.0
"""By then there are over ten thousand tracks, s: seven thousand confirmed ones, and those of radars
that see one mover at a time, every 25 s, which stay tentative."""

PAUSE_S = 12.0
"""Between two kills, s: the core has caught up, and saved a snapshot."""

PATIENCE_S = 240.0

Say = Callable[[str], None]


def run(kills: int, say: Say, rate_hz: float = RATE_HZ) -> dict[str, Any]:
    """Measure.

    Parameters
    ----------
    kills
        How often the core is killed.
    say
        Told what goes on.
    rate_hz
        Reports a second.

    Returns
    -------
    dict
        ``tracks`` at the first kill, and how many of them were ``confirmed``; ``recovery_s`` of
        each kill; ``stages_s`` of a start without a spare; ``kept``: whether the outputs are those
        of an undisturbed engine.
    """
    seconds = GROW_S + kills * PAUSE_S + 30.0
    border = Border("recovery", round(rate_hz * seconds), rate_hz)
    more = {"limits": {"max_age_s": 3_600.0, "shed_after_s": 0.0}}
    with Servers() as servers, Node(servers, border.node, site_sensors(rate_hz), more) as node:
        say(servers.text)
        _until(node.up, "the node does not come up")
        broker = servers.broker
        sender = [str(node.folder / "sent.json"), "--host", broker.host, "--port", str(broker.port)]
        sender += ["--protocol", broker.protocol, "--node", border.node]
        sender += ["--count", str(border.count), "--rate-hz", str(rate_hz)]
        log = node.folder / "sender.log"
        with Child.python("sender", "benchmarks.border", sender, log=log):
            time.sleep(GROW_S)
            moments: list[int] = []
            took: list[float] = []
            alive: dict[str, int] = {}
            copy = node.folder / "copy"
            for number in range(kills):
                pid = int(node.status()["core"]["pid"])
                tracks = node.status()["core"]["tracks"]
                alive = alive or tracks
                signal_all([pid], signal.SIGKILL)
                moments.append(time.time_ns())
                if number == 0:
                    shutil.copytree(node.folder / "data", copy)
                say(f"kill {number + 1}, tracks {tracks}")
                took.append((_next_output(node.outputs) - moments[-1]) / NS_PER_S)
                say(f"  works again after {took[-1]:.2f} s")
                time.sleep(PAUSE_S)
        node.stop()
        say("an undisturbed engine over the journal")
        found = outputs(node.outputs)
        again = undisturbed(node.folder / "data" / "journal", step=64)
        problems = gaps(found) + differences(found, up_to(again, found[-1].through))
        say("what a start spends its time on")
        return {
            "tracks": sum(alive.values()),
            "confirmed": alive["confirmed"] + alive["coasting"],
            "recovery_s": [round(one, 2) for one in took],
            "p50_s": round(float(np.median(took)), 2),
            "max_s": round(max(took), 2),
            "kept": not problems,
            "problems": problems,
            "stages_s": _stages(copy, node.folder / "site.toml"),
        }


def _until(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise VedetteError(what)
        time.sleep(0.05)


def _next_output(folder: Path) -> int:
    """When the next output is written, UTC ns."""
    with LogReader(folder) as reader:
        place = reader.end()
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for record in reader.read(place):
                place = record.offset + 1
                if record.kind == Kind.OUTPUT:
                    return record.received_ns
            time.sleep(0.01)
    raise VedetteError("no output after a kill")


STAGES = """
import logging, sys, threading, time
begin = float(sys.argv[3])
def lap(name):
    global begin
    now = time.time()
    print(name, round(now - begin, 3))
    begin = now
lap("interpreter")
import numba
lap("NumPy, numba")
from pathlib import Path
from vedette.core import Core
lap("our modules")
from config import load_site
from dataclasses import replace
site = replace(load_site(Path(sys.argv[1])), data_dir=Path(sys.argv[2]))
core = Core(site)
lap("site, logs opened")
from fusion.warm import warm_up
warm_up()
lap("kernels loaded")
from vedette.recovery import recover
core.engine = recover(core.adapters, core.journal, core.outputs, core.snapshots, threading.Event())
lap("snapshot and replay")
core._next = core.engine.next_offset
core._catch_up()
lap("catching up")
core._close()
"""
"""A start of a core, step by step; it reaches into the core, which has no other use for laps."""


def _stages(data: Path, site: Path) -> dict[str, float]:
    """What a start over a copy of the folder takes, s, by step."""
    log = data.parent / "stages.log"
    program = data.parent / "stages.py"
    program.write_text(STAGES)
    child = Child.program(
        "stages",
        [sys.executable, str(program), str(site), str(data), str(time.time())],
        log=log,
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "PATH": "/usr/bin:/bin"},
    )
    if child.wait(PATIENCE_S):
        raise VedetteError(child.log_tail(20))
    pairs = [line.rsplit(" ", 1) for line in log.read_text().splitlines() if line[:1].isalpha()]
    return {name: float(took) for name, took in pairs if _is_number(took)}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
