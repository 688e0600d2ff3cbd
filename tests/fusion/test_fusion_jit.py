"""Kernels that were kept are used again, but only while what they are made of is the same."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CONSTANTS = "LENGTH_M = 3.0\nPAIR = (1.0, 2.0)\n"
LOW = """
from constants import LENGTH_M
from fusion.jit import kernel

@kernel
def low(x):
    return x + LENGTH_M
"""
HIGH = """
from constants import PAIR
from fusion.jit import kernel
from low import low

@kernel
def high(x):
    return later(x)

@kernel
def later(x):
    return 10.0 * low(x) + PAIR[0]

print(high(1.0), sum(high.stats.cache_hits.values()))
"""


def run(folder: Path) -> tuple[float, int]:
    """What a program of three files says, and how many kernels it did not have to compile."""
    paths = os.pathsep.join([str(folder), str(ROOT)])
    done = subprocess.run(
        [sys.executable, str(folder / "high.py")],
        env={**os.environ, "PYTHONPATH": paths, "NUMBA_CACHE_DIR": str(folder / "kept")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    value, hits = done.stdout.split()
    return float(value), int(hits)


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        ("low.py", "x + LENGTH_M", "x - LENGTH_M", -19.0),
        ("constants.py", "LENGTH_M = 3.0", "LENGTH_M = 4.0", 51.0),
        ("constants.py", "(1.0, 2.0)", "(7.0, 2.0)", 47.0),
        ("high.py", "10.0 * low(x)", "20.0 * low(x)", 81.0),
    ],
)
def test_a_kernel_is_kept_until_something_it_is_made_of_changes(tmp_path, name, old, new, expected):
    for file, text in (("constants.py", CONSTANTS), ("low.py", LOW), ("high.py", HIGH)):
        (tmp_path / file).write_text(text)
    assert run(tmp_path) == (41.0, 0)
    assert run(tmp_path) == (41.0, 1)
    changed = tmp_path / name
    stamp = changed.stat().st_mtime_ns
    changed.write_text(changed.read_text().replace(old, new))
    os.utime(changed, ns=(stamp + 2_000_000_000, stamp + 2_000_000_000))
    assert run(tmp_path) == (expected, 0)
    assert run(tmp_path) == (expected, 1)
