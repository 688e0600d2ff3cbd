"""Outputs: cut exactly, covered without gaps, followed and found again."""

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.log import SegmentedLog
from journal.reader import LogReader
from model.detections import Detections, DetectionsBuilder
from model.errors import Quarantined, Reason
from model.ports import OutputBatch
from model.records import Kind
from model.tracks import Status, TrackUpdates, UpdateReason
from tests.node.logs import assert_same, assert_whole, outputs
from vedette.after import after
from vedette.heads import FIRST_SLOTS, Heads
from vedette.metrics import Latency, Metrics
from vedette.outputs import OutputLog, last_output
from vedette.tail import Tail, first_after, first_since


def detections(offsets, sizes) -> Any:
    builder = DetectionsBuilder()
    for offset, size in zip(offsets, sizes, strict=True):
        builder.report(sensor=0, offset=offset, received=offset * 10)
        for item in range(size):
            builder.detection(snr_db=float(offset * 100 + item))
    return builder.build()


def updates(offsets, tracks=None, status=Status.CONFIRMED) -> Any:
    table = TrackUpdates.empty(len(offsets))
    table.known_offset[:] = offsets
    table.n[:] = np.arange(len(offsets))
    table.track_id[:] = offsets if tracks is None else tracks
    table.status[:] = status
    return table


def batch(first, through, offsets, late=()) -> Any:
    """Inputs first..through; those in `offsets` gave something, updates in any order."""
    return OutputBatch(
        first=first,
        through=through,
        sensor_ids=("radar",),
        detections=detections(offsets, [o % 3 for o in offsets]),
        updates=updates([*offsets, *late]),
        quarantined=tuple(Quarantined(o, 0, "radar", Reason.RATE, "") for o in offsets if o % 2),
    )


RUNS = st.lists(st.integers(0, 40), unique=True).map(sorted)


@given(RUNS, st.integers(-1, 41), st.lists(st.integers(0, 40), max_size=4))
def test_after_keeps_exactly_what_later_inputs_gave(offsets, through, late) -> None:
    whole = batch(0, 40, offsets, late)
    rest = after(whole, through)
    assert rest.through == 40
    assert rest.detections.check().offset.tolist() == [o for o in offsets if o > through]
    assert rest.updates.check().known_offset.tolist() == [
        o for o in [*offsets, *late] if o > through
    ]
    assert [q.offset for q in rest.quarantined] == [o for o in offsets if o % 2 and o > through]
    kept = whole.detections.offset[whole.detections.report] > through
    assert rest.detections.snr_db.tolist() == whole.detections.snr_db[kept].tolist()
    if through >= 0:
        assert rest.first == through + 1


@given(RUNS, st.integers(-1, 41))
def test_what_was_written_and_what_comes_after_is_the_whole(offsets, cut) -> None:
    whole = batch(0, 40, offsets)
    before = batch(0, cut, [o for o in offsets if o <= cut])
    rest = after(whole, cut)
    assert_same([before, rest], [whole])
    assert_same([after(after(whole, cut - 3), cut)], [rest])


def new_log(folder) -> Any:
    return OutputLog(SegmentedLog(folder), threading.Event())


def test_inputs_that_gave_nothing_are_covered_by_what_comes_next(tmp_path) -> None:
    log = new_log(tmp_path)
    assert log.through == -1
    assert log.write(batch(0, 4, [])) is None
    assert log.write(batch(5, 9, [7])) > 0
    log.status({"a": 1}, 5)
    assert log.write(batch(10, 14, [])) is None
    assert log.through == 9
    log.cover()
    log.cover()
    assert log.through == 14
    log.write(batch(15, 15, [15]))
    log.close()
    found = outputs(tmp_path)
    assert_whole(found)
    assert [(b.first, b.through) for b in found] == [(0, 9), (10, 14), (15, 15)]
    again = new_log(tmp_path)
    assert again.through == 15
    again.close()


def test_the_last_output_is_found_behind_many_statuses(tmp_path) -> None:
    log = new_log(tmp_path)
    log.write(batch(0, 3, [1]))
    for second in range(700):
        log.status({}, second)
    with LogReader(tmp_path) as reader:
        found = last_output(reader)
        assert found is not None
        assert found.offset == 0
        assert last_output(reader, 0) is None
    log.close()


@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_a_reader_finds_its_place_by_what_is_covered(tmp_path, count) -> None:
    log = new_log(tmp_path)
    places = {}
    for index in range(count):
        places[10 * index + 9] = log.end
        log.write(batch(10 * index, 10 * index + 9, [10 * index]))
        for _ in range(index * 40):
            log.status({}, 0)
    with LogReader(tmp_path) as reader:
        assert first_after(reader, -1) == (0 if count else log.end)
        for through, place in places.items():
            assert first_after(reader, through - 1) in range(place + 1)
            found = [r for r in reader.read(first_after(reader, through)) if r.kind == Kind.OUTPUT]
            later = [p for p in places.values() if p > place]
            assert [r.offset for r in found][:1] == later[:1]
    log.close()


def test_heads_keep_the_newest_of_each_track_and_no_deleted_one() -> None:
    heads = Heads()
    heads.take([updates([1, 2, 3], [7, 8, 7]), TrackUpdates.empty()])
    assert newest(heads) == {7: 3, 8: 2}
    heads.take([updates([4], [8], Status.DELETED), updates([5], [9])])
    assert newest(heads) == {7: 3, 9: 5}
    heads.take([updates([6], [8])])
    assert newest(heads) == {7: 3, 8: 6, 9: 5}
    heads.take([updates([7], [9], Status.DELETED), updates([8], [9])])
    assert newest(heads) == {7: 3, 8: 6, 9: 8}
    heads.take([updates([9, 10, 11], [7, 8, 9], Status.DELETED)])
    assert newest(heads) == {}


@given(st.lists(st.lists(st.tuples(st.integers(1, 9), st.booleans()), max_size=6), max_size=20))
def test_heads_are_what_a_table_of_rows_would_hold(looks: list[list[tuple[int, bool]]]) -> None:
    """Small ids, so that tracks come, go and come again; and slots of one become another's."""
    heads, held, number = Heads(), dict[int, int](), 0
    for look in looks:
        tables = []
        for track, over in look:
            number += 1
            tables.append(updates([number], [track], Status.DELETED if over else Status.CONFIRMED))
            held.pop(track, None)
            if not over:
                held[track] = number
        heads.take(tables)
        assert newest(heads) == held
        assert len(heads) == len(held)


def test_heads_have_room_for_more_than_at_first() -> None:
    heads = Heads()
    many = 3 * FIRST_SLOTS
    heads.take([updates([*range(many)], [*range(1, many + 1)])])
    heads.take([updates([*range(many, many + 7)], [*range(1, 8)])])
    found = newest(heads)
    assert len(found) == many
    assert [found[track] for track in (1, 7, 8, many)] == [many, many + 6, 7, many - 1]
    heads.tracks.check()


def newest(heads: Heads) -> dict[int, int]:
    """Offset of the newest update by track."""
    tracks = heads.tracks
    return dict(zip(tracks.track_id.tolist(), tracks.known_offset.tolist(), strict=True))


def test_the_tail_follows_the_log_and_begins_anew_when_the_log_does(tmp_path) -> None:
    log = new_log(tmp_path / "log")
    reader = LogReader(tmp_path / "log")
    tail = Tail(reader)
    assert tail.look(10**18) == 0
    log.write(batch(0, 5, [3, 4]))
    log.status({"pid": 1}, 5)
    assert tail.look(0) == 2
    assert tail.look(0) == 0
    assert tail.tracks.track_id.tolist() == [3, 4]
    assert tail.status == {"pid": 1}
    assert tail.received == {"radar": 40}
    assert (tail.through, tail.end, tail.sensor_ids) == (5, 2, ("radar",))
    log.close()
    for file in (tmp_path / "log").iterdir():
        file.unlink()
    reader.close()
    log = new_log(tmp_path / "log")
    log.write(batch(0, 2, [1]))
    tail = Tail(LogReader(tmp_path / "log"))
    tail._next = 2  # where the old log had got to
    assert tail.look(0) == 0
    assert tail.resets == 1
    assert tail.look(0) == 1
    assert tail.tracks.track_id.tolist() == [1]
    tail._reader.close()
    log.close()


def test_the_tail_knows_since_when_an_identity_is_doubted(tmp_path) -> None:
    log = new_log(tmp_path)
    begun = batch(0, 5, [3, 4])
    begun.updates.reason[0], begun.updates.valid[0] = UpdateReason.DOUBTED, 77
    log.write(begun)
    with LogReader(tmp_path) as reader:
        tail = Tail(reader)
        tail.look(0)
        track, other = begun.updates.track_id.tolist()
        assert (tail.doubts.since(track), tail.doubts.since(other)) == (77, None)
    log.close()


def test_the_first_record_since_a_time(tmp_path) -> None:
    log = new_log(tmp_path)
    for second in range(20):
        log.status({}, second)
    with LogReader(tmp_path) as reader:
        assert [first_since(reader, t) for t in (-1, 0, 7, 19, 20)] == [0, 0, 7, 19, 20]
    log.close()


def test_latencies_by_window_and_since_the_start() -> None:
    latency = Latency()
    assert latency.quantiles_ms(window=True) == {"p50": None, "p99": None}
    latency.add(np.full(99, 0.010))
    latency.add(np.array([2.0]))
    assert latency.quantiles_ms(window=False) == pytest.approx({"p50": 10.6, "p99": 10.6}, rel=0.06)
    latency.add(np.array([2.0, 5000.0]))
    assert latency.quantiles_ms(window=True)["p99"] == pytest.approx(2120.0, rel=0.06)
    for _ in range(61):
        latency.second()
    assert latency.quantiles_ms(window=True)["p50"] is None
    assert latency.quantiles_ms(window=False)["p50"] is not None


def test_metrics_are_prometheus_text() -> None:
    metrics = Metrics()
    metrics.reports.inc(3)
    metrics.gauge("uptime_s", 4)
    metrics.published(np.array([0, 10**9], dtype=np.int64), 2 * 10**9)
    text = metrics.text()
    assert "vedette_core_reports_total 3.0" in text
    assert "vedette_core_uptime_s 4.0" in text
    assert 'vedette_core_latency_seconds_bucket{le="1.0"} 1.0' in text
    assert Detections.empty().n_reports == 0


def test_while_the_log_is_full_room_is_made_by_who_writes_it(tmp_path) -> None:
    """No other thread may: so an output log that filled up while the database was away heals."""
    with SegmentedLog(tmp_path / "outputs", durable=False, budget_bytes=1) as log:
        asked: list[int] = []

        def make_room() -> None:
            asked.append(1)
            log.budget_bytes = 10_000_000

        subject = OutputLog(log, threading.Event(), make_room)
        assert subject.write(batch(0, 9, [1, 2])) is not None
        assert asked == [1]
        assert subject.stalled == ""
