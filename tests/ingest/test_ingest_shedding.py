"""What a node that cannot keep up lets go: the order, fairness, and how it is journaled."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.shedding import MOST_INTERVALS, Rules, choose, columns, decided, decisions
from model.errors import JournalError, Reason
from model.sensors import Sensor, Sensors

NOW, STALE = 1_000_000_000, 500_000_000


def rules(source, superseded, priority) -> Rules:
    return Rules(
        np.array(source, dtype=np.int64),
        np.array(superseded, dtype=np.bool_),
        np.array(priority, dtype=np.int64),
    )


def shed(sensor, rule, keep, received=None) -> dict[str, list[int]]:
    received = [NOW] * len(sensor) if received is None else received
    waiting = columns(range(10, 10 + len(sensor)), received, sensor)
    return {
        str(reason): offsets.tolist() for reason, offsets in choose(waiting, rule, keep, NOW, STALE)
    }


def test_nothing_is_shed_while_there_is_time_for_all():
    assert shed([0, 0, 1], rules([0, 1], [True, True], [5, 5]), keep=3) == {}


def test_older_looks_go_first_and_the_newest_stays():
    rule = rules([0, 1], [True, False], [5, 5])
    assert shed([0, 0, 1, 1, 0], rule, keep=3) == {"shed_superseded": [10, 11]}
    assert shed([0, 0, 1, 1, 0], rule, keep=4) == {"shed_superseded": [10]}


def test_then_what_is_stale_then_the_lowest_priority():
    rule = rules([0, 1, 2], [False] * 3, [5, 2, 9])
    old, new = NOW - STALE - 1, NOW
    found = shed([0, 1, 2, 0, 1, 2], rule, 2, [old, new, new, new, new, new])
    assert found == {"shed_stale": [10], "shed_priority": [11, 13, 14]}
    # Even the highest goes when there is no other way, and never more than was asked for.
    assert shed([2, 2, 2], rule, 1) == {"shed_priority": [10, 11]}


def test_who_floods_pays_for_it():
    sensor = [0] * 100 + [1, 2, 1, 2]
    found = shed(sensor, rules([0, 1, 2], [False] * 3, [5] * 3), keep=10)
    lost = found["shed_priority"]
    assert lost == list(range(10, 10 + 94))  # of the flood alone, the oldest


def test_sensors_of_one_source_share():
    sensor = [0] * 10 + [1] * 10 + [2] * 10
    found = shed(sensor, rules([0, 0, 1], [False] * 3, [5] * 3), keep=18)
    assert len(found["shed_priority"]) == 12
    assert sum(offset < 30 for offset in found["shed_priority"]) >= 11  # of the first source


def test_what_belongs_to_no_sensor_is_never_shed():
    assert shed([-1] * 50, rules([0], [True], [0]), keep=0) == {}


@given(st.data())
def test_enough_and_no_more_each_once_fairly(data):
    count = data.draw(st.integers(1, 5))
    rule = rules(
        data.draw(st.lists(st.integers(0, 2), min_size=count, max_size=count)),
        data.draw(st.lists(st.booleans(), min_size=count, max_size=count)),
        data.draw(st.lists(st.integers(0, 9), min_size=count, max_size=count)),
    )
    sensor = data.draw(st.lists(st.integers(-1, count - 1), max_size=60))
    received = data.draw(st.lists(st.integers(0, NOW), min_size=len(sensor), max_size=len(sensor)))
    keep = data.draw(st.integers(0, 70))
    found = shed(sensor, rule, keep, received)
    gone = [offset for offsets in found.values() for offset in offsets]
    sheddable = sum(one >= 0 for one in sensor)
    assert len(gone) == len(set(gone)) == max(0, sheddable - keep)
    for offset in gone:
        assert sensor[offset - 10] >= 0
    for offset in found.get("shed_superseded", []):
        row = offset - 10
        assert sensor[row] in sensor[row + 1 :]
        assert rule.superseded[sensor[row]]
    if "shed_priority" in found:
        lost = {int(rule.priority[sensor[offset - 10]]) for offset in found["shed_priority"]}
        kept = [
            int(rule.priority[one])
            for row, one in enumerate(sensor)
            if one >= 0 and row + 10 not in gone
        ]
        assert not kept or max(lost) <= min(kept)


@given(st.lists(st.integers(0, 20_000), min_size=1, max_size=300, unique=True))
def test_decisions_read_back(offsets):
    offsets = np.array(sorted(offsets), dtype=np.int64)
    payloads = decisions(Reason.SHED_STALE, offsets)
    found = [one for payload in payloads for one in decided(payload, 30_000)]
    assert found == [(offset, "shed_stale") for offset in offsets.tolist()]


def test_many_gaps_take_several_records():
    offsets = np.arange(0, 3 * MOST_INTERVALS, 2, dtype=np.int64)
    payloads = decisions(Reason.SHED_STALE, offsets)
    assert len(payloads) == 2
    assert len([one for p in payloads for one in decided(p, 10**6)]) == len(offsets)


def test_the_former_form_is_read():
    payload = json.dumps({"offset": 7, "reason": "decoder_timeout"}).encode()
    assert decided(payload, 9) == [(7, "decoder_timeout")]


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"[]", b"{}", b'{"reason":"no_such","offset":1}', b'{"reason":"rate"}',
        b'{"reason":"rate","offsets":[[1]]}', b'{"reason":"rate","offsets":[[5,4]]}',
        b'{"reason":"rate","offsets":[[-1,4]]}', b'{"reason":"rate","offsets":[[1,9]]}',
        b'{"reason":"rate","offsets":3}',
    ],
)  # fmt: skip
def test_what_is_no_decision_names_its_offset(payload):
    with pytest.raises(JournalError, match="journal offset 9"):
        decided(payload, 9)


def test_rules_follow_the_description():
    sensors = Sensors(
        [
            Sensor("radar", priority=7),
            Sensor("ais", cooperative=True),
            Sensor("wire", sensing="event"),
            Sensor("tracker", tracks=True),
            Sensor("lidar"),
        ]
    )
    rule = Rules.of(sensors, {"radar": "mast", "lidar": "mast"})
    assert rule.superseded.tolist() == [True, False, False, False, True]
    assert rule.source[0] == rule.source[4]
    assert len(set(rule.source.tolist())) == 4
    assert rule.priority.tolist() == [7, 5, 5, 5, 5]
