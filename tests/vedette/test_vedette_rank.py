"""The rank of a node's processes."""

import subprocess
import sys

import pytest

from vedette.rank import AUTOGROUP

LOWER = (
    "import os; from vedette.rank import AUTOGROUP, lower_rank; lower_rank({steps});"
    " told = AUTOGROUP.read_text().split() if AUTOGROUP.exists() else [];"
    " print(os.nice(0), *(told or ['-'])[-1:])"
)


def ranks(steps: int, *, session: bool) -> list[str]:
    command = [sys.executable, "-c", LOWER.format(steps=steps)]
    done = subprocess.run(
        command, start_new_session=session, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_a_process_of_a_node_comes_behind_others_of_other_sessions() -> None:
    at_first, own = ranks(0, session=True)
    lowered, group = ranks(3, session=True)
    assert int(lowered) == min(19, int(at_first) + 3)
    assert group == own == "-" or (own, group) == ("0", "3")


def test_a_session_gets_its_rank_back() -> None:
    if not AUTOGROUP.exists():
        pytest.skip("no grouping by session here")
    there_and_back = (
        "from vedette.rank import AUTOGROUP, rank_session;"
        " assert rank_session(19); print(AUTOGROUP.read_text().split()[-1]);"
        " assert rank_session(0); print(AUTOGROUP.read_text().split()[-1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", there_and_back],
        start_new_session=True, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["19", "0"]


def test_a_session_that_is_not_its_own_keeps_its_rank() -> None:
    if not AUTOGROUP.exists():
        pytest.skip("no grouping by session here")
    _, before = ranks(0, session=False)
    lowered, after = ranks(3, session=False)
    assert int(lowered) >= 3
    assert after == before
