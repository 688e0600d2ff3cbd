"""The very scans that a peer took, through our tracker: CPU and GOSPA.

Kernels are compiled for a number of motion models, so the row with another number is measured in a
process of its own (`in_a_process`).
"""

import json
import os
import subprocess
import sys
import time

import numpy as np

from benchmarks.reports import REGION
from benchmarks.shown import scored
from benchmarks.standard import Scan, scans, sensor
from fusion import Tracker
from fusion.records import MODES_VARIABLE

REPEATS = 5
"""Fresh trackers over the few scans that a peer takes; the median of all counts."""

C_M = 100.0
SEED = 20_241_122


def cpu_s(tracker: Tracker, scan: Scan) -> float:
    """CPU seconds of one scan."""
    start = time.process_time()
    tracker.step(scan.report)
    return time.process_time() - start


def same(targets: int, count: int, warm_up: int) -> tuple[float, float]:
    """Mean GOSPA (c = 100 m), and median CPU ms of a scan.

    Parameters
    ----------
    targets
        N of the standard scenario.
    count, warm_up
        Scans, and those of them before measuring.
    """
    values, spent = [], []
    taken = list(scans(targets, count, SEED))
    for repeat in range(REPEATS):
        tracker = Tracker(sensor(targets), REGION)
        for step, scan in enumerate(taken):
            cpu = cpu_s(tracker, scan)
            if step >= warm_up:
                spent.append(cpu)
                if repeat == 0:
                    values.append(scored(tracker, float(step), scan.truth, C_M))
    return float(np.mean(values)), 1e3 * float(np.median(spent))


def in_a_process(modes: int, targets: int, count: int, warm_up: int) -> tuple[float, float]:
    """`same` with another number of motion models; kernels are compiled the first time."""
    command = [sys.executable, "-m", "benchmarks.same", str(targets), str(count), str(warm_up)]
    environment = os.environ | {MODES_VARIABLE: str(modes)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    gospa, ms = json.loads(done.stdout)
    return gospa, ms


if __name__ == "__main__":
    print(json.dumps(same(*(int(word) for word in sys.argv[1:4]))))
