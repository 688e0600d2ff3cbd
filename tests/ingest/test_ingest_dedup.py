"""(sensor, boot, seq) seen once, however late; new reports are never swallowed."""

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from adapters.mavlink import encode
from ingest.dedup import Intervals, Seen
from ingest.routes import wrap
from tests.ingest.samples import node, record, said, topic


@given(st.lists(st.integers(0, 60)))
def test_intervals_are_a_set(numbers):
    intervals, seen = Intervals(1000), set()
    for number in numbers:
        assert intervals.add(number) == (number not in seen)
        seen.add(number)
    covered = {n for first, last in intervals.export() for n in range(first, last + 1)}
    assert covered == seen
    edges = intervals.export()
    assert all(a[1] + 1 < b[0] for a, b in pairwise(edges))


@given(st.lists(st.integers(0, 200)), st.integers(1, 5))
def test_bound_forgets_but_never_swallows(numbers, limit):
    intervals, seen = Intervals(limit), set()
    for number in numbers:
        if intervals.add(number):
            seen.add(number)
        else:
            assert number in seen
        assert len(intervals) <= limit


@given(st.lists(st.tuples(st.sampled_from("ab"), st.binary(max_size=2), st.integers(0, 9))))
def test_restored_goes_on_the_same(names):
    whole, cut = Seen(2, 4), Seen(2, 4)
    for name in names:
        other = Seen(2, 4)
        other.restore(cut.export())
        cut = other
        assert whole.is_new(*name) == cut.is_new(*name)


def test_a_jump_swallows_nothing():
    seen = Seen(8, 1024)
    assert seen.is_new("s", b"b", 2**62)
    assert all(seen.is_new("s", b"b", number) for number in range(100))
    assert not seen.is_new("s", b"b", 50)


def test_a_third_late_and_every_one_twice():
    order = list(range(600))
    rng = random.Random(3)
    for at in range(0, len(order) - 3, 3):
        order.insert(min(len(order), at + rng.randrange(1, 40)), order.pop(at))
    twice = [number for number in order for _ in range(2)]
    inputs = [
        record(at, topic("radar-1"), said(boot="b", seq=number)) for at, number in enumerate(twice)
    ]
    ingest = node()
    found = ingest.process(inputs)
    assert sorted(found.detections.seq.tolist()) == list(range(600))
    assert found.counts["radar-1"].duplicates == 600
    assert found.quarantined == ()
    # all came in the end: the memory is one interval
    assert ingest.snapshot()["reports"]["radar-1"] == [[b"b", [[0, 599]]]]


def test_a_reboot_swallows_nothing():
    inputs = [
        record(at, topic("radar-1"), said(boot=boot, seq=seq))
        for at, (boot, seq) in enumerate([("a", 1), ("a", 2), ("b", 1), ("b", 2), ("a", 3)])
    ]
    assert node().process(inputs).detections.n_reports == 5


def test_without_a_number_delivery_is_at_least_once():
    inputs = [record(at, topic("radar-1"), said()) for at in range(2)]
    assert node().process(inputs).detections.n_reports == 2


def test_a_duplicate_is_not_refused_twice():
    bad = said("radar-1", {"kind": "position", "lat": 91.0, "lon": 0.0}, boot="b", seq=1)
    found = node().process([record(at, topic("radar-1"), bad) for at in range(2)])
    assert len(found.quarantined) == 1
    assert found.counts["radar-1"].duplicates == 1


def test_frames_count_once_before_they_are_decoded():

    frame = encode.global_position_int(1_000, 59.0, 28.0, 100.0)
    half, rest = frame[:20], frame[20:]
    now = 1_772_366_400_000_000_000
    framed = [wrap("b", 1, now, half), wrap("b", 1, now, half), wrap("b", 2, now, rest)]
    inputs = [record(at, topic("uav-1", "framed"), data) for at, data in enumerate(framed)]
    found = node().process(inputs)
    assert found.detections.offset.tolist() == [2]
    assert found.counts["uav-1"].duplicates == 1
