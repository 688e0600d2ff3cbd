"""Thirty kills and freezes of every part of a node; the long form is ``make chaos``."""

import pytest

from benchmarks.chaos.plan import plan
from benchmarks.chaos.round import run_round
from vedette.local.broker import find_mosquitto

pytestmark = [pytest.mark.node, pytest.mark.broker, pytest.mark.database, pytest.mark.slow]


@pytest.mark.timeout(900)
def test_thirty_faults_lose_repeat_invent_and_change_nothing(tmp_path) -> None:
    if find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    outcome = run_round(plan(seed=30, number=0, faults=30), tmp_path / "kept")
    assert outcome.verdict.problems == []
    counts = outcome.verdict.counts
    assert counts["sent"] >= outcome.plan.reports
    assert counts["sent"] == counts["journaled"] == counts["stored"] + counts["let_go"]
    assert counts["tracks"] > 20
    assert counts["given"] == counts["taken"] > 1_000
    assert sum(one.time_ns > 0 for one in outcome.done) >= 27
