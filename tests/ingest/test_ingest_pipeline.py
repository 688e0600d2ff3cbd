"""`Ingest` as a whole: order, counters, rate, frames, snapshots, any cut the same."""

import json

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.ais.encode import position_report
from adapters.mavlink import encode as mavlink
from ingest.counts import SensorCount, total
from ingest.pipeline import Ingest
from ingest.routes import matches, unwrap, wrap
from model.detections import Mode
from model.errors import Reason, SnapshotError
from model.sensors import Source
from tests.adapters.samples import STATIC
from tests.ingest.samples import (
    ADAPTERS,
    NOW_NS,
    POSITION,
    SENSORS,
    BadAdapter,
    node,
    outcome,
    reasons,
    record,
    run,
    said,
    topic,
)

S = 1_000_000_000
FIX = mavlink.global_position_int(1_000, 59.0, 28.0, 100.0)
FLIGHT = mavlink.system_time(NOW_NS, 1_000) + mavlink.gps_raw_int(
    59.0, 28.0, 30.0, height_hae_m=47.0, h_acc_m=2.0
)
SENTENCE = position_report(276123450, 59.0, 28.0, sog_mps=4.0, cog_deg=10.0)

MESSAGES = [
    (topic("radar-1"), said()),
    (topic("radar-1"), said(boot="b", seq=1)),
    (topic("radar-1"), said(boot="b", seq=2)),
    (topic("radar-1"), said(boot="c", seq=1)),
    (topic("radar-1"), said("radar-1", POSITION, {"kind": "polar", "range_m": 9.0,
                                                  "azimuth_deg": -5.0})),
    (topic("radar-1"), said("radar-1", POSITION, {**POSITION, "lat": 99.0})),
    (topic("radar-1"), said("radar-1", {**POSITION, "lat": 99.0})),
    (topic("radar-1"), said() + b"\n{oops\n" + said(boot="b", seq=3)),
    (topic("radar-1"), b"junk"),
    (topic("camera-1"), said("camera-1", {"kind": "bearing", "azimuth_deg": 4.0})),
    (topic("slow-1"), said("slow-1")),
    (topic("ais-1", "raw"), SENTENCE),
    (topic("ais-1", "raw"), STATIC[0]),
    (topic("ais-1", "raw"), STATIC[1]),
    ("port/ais", SENTENCE + b"\njunk"),
    (topic("uav-1", "raw"), FLIGHT + FIX[:9]),
    (topic("uav-1", "raw"), FIX[9:]),
    (topic("uav-1", "raw"), b"??" + FIX),
    (topic("uav-1", "framed"), wrap("b", 7, NOW_NS - S, FIX)),
    (topic("radar-1", "framed"), wrap("b", 1, NOW_NS, said())),
    (topic("bad-1", "raw"), b"ok"),
    (topic("bad-1", "raw"), b"raise"),
    ("nowhere", b""),
]  # fmt: skip

mixtures = st.lists(st.tuples(st.sampled_from(MESSAGES), st.integers(-S, 3 * S)), max_size=25).map(
    lambda rows: [
        record(at, where, payload, NOW_NS + shift)
        for at, ((where, payload), shift) in enumerate(rows)
    ]
)


@settings(max_examples=150, deadline=None)
@given(mixtures, st.lists(st.integers(1, 6), max_size=12))
def test_cut_into_batches_changes_nothing(records, sizes):
    one, two = node(), node()
    assert outcome(run(two, records, sizes)) == outcome(run(one, records))
    assert two.snapshot() == one.snapshot()
    assert two.counters() == one.counters()


@settings(max_examples=60, deadline=None)
@given(mixtures, st.integers(0, 25))
def test_a_snapshot_in_between_changes_nothing(records, at):
    whole = node()
    expected = outcome(run(whole, records, (at,) if at else ()))
    first, second = node(), node()
    parts = [first.process(records[:at])]
    packed = msgspec.msgpack.encode(first.snapshot())
    assert second.restore(msgspec.msgpack.decode(packed)) == ()
    parts.append(second.process(records[at:]))
    assert outcome(parts) == expected
    assert second.snapshot() == whole.snapshot()


def test_order_is_that_of_the_journal_across_adapters():
    inputs = [
        record(10, topic("uav-1", "raw"), FIX),
        record(11, topic("radar-1"), said()),
        record(12, topic("ais-1", "raw"), SENTENCE),
        record(13, topic("radar-1"), said()),
        record(14, topic("uav-1", "raw"), FIX),
    ]
    found = node().process(inputs).detections
    assert found.offset.tolist() == [10, 11, 12, 13, 14]
    assert found.sensor.tolist() == [2, 0, 1, 0, 2]
    found.check()


def test_azimuths_are_turned_into_a_full_circle():
    payload = said("radar-1", {"kind": "polar", "range_m": 9.0, "azimuth_deg": -90.0})
    found = node().process([record(0, topic("radar-1"), payload)]).detections
    assert found.polar[0, 1] == pytest.approx(1.5 * np.pi)


def test_rate_limit_is_that_of_journaled_time():
    def at(offset, seconds):
        when = NOW_NS + round(seconds * S)
        return record(offset, topic("slow-1"), said("slow-1", time_ns=when), when)

    # a burst of two, then one a second
    inputs = [at(0, 0.0), at(1, 0.1), at(2, 0.2), at(3, 0.9), at(4, 1.1), at(5, 1.2), at(6, 2.2)]
    found = node().process(inputs)
    assert reasons(found) == [(2, -1, "rate"), (3, -1, "rate"), (5, -1, "rate")]
    assert found.counts["slow-1"].refused == {Reason.RATE: 3}
    assert node().process([at(offset, 0.0) for offset in range(9)]).detections.n_reports == 2


def test_the_sensors_of_a_source_share_its_limit():
    source = Source("mast", ("radar-1", "camera-1"), max_rate_hz=1.0)
    adapters = {**ADAPTERS, "bad": BadAdapter()}
    ingest = Ingest("north", Mode.LIVE, SENSORS, adapters, sources=(source,))
    inputs = [
        record(at, topic(name), said(name), NOW_NS)
        for at, name in enumerate(["radar-1", "camera-1", "radar-1", "uav-1", "slow-1"])
    ]
    found = ingest.process(inputs)
    assert [(q.offset, q.reason) for q in found.quarantined if q.reason == Reason.RATE] == [
        (2, Reason.RATE)
    ]
    ingest.reconfigure(SENSORS, sources=())  # the limit is gone with the source's
    assert not ingest.process([record(9, topic("radar-1"), said("radar-1"), NOW_NS)]).quarantined


def test_a_frame_brings_the_time_of_the_gateway():
    hour_ago = NOW_NS - 3_600 * S
    payload = wrap("b", 0, hour_ago, said(time_ns=hour_ago - S))
    found = node().process([record(0, topic("radar-1", "framed"), payload)])
    assert found.quarantined == ()
    assert found.detections.received.tolist() == [hour_ago]


def test_frame_on_the_wire():
    golden = b"\x94\xa4a1b2\x2a\xcf\x18\x98\xba\x11\xb1\x15\x00\x00\xc4\x02hi"
    assert wrap("a1b2", 42, 0x1898BA11B1150000, b"hi") == golden
    frame = unwrap(golden)
    assert not isinstance(frame, str)
    assert (frame.boot, frame.seq, frame.received_ns, frame.payload) == (
        "a1b2", 42, 0x1898BA11B1150000, b"hi",
    )  # fmt: skip


@pytest.mark.parametrize(
    "parts",
    [["", 1, 1, b""], ["b", -1, 1, b""], ["b", 1, -1, b""], ["b", 1, 1, "text"], ["b", 1, 1],
     ["b", 1, 1, b"", 5], ["x" * 25, 1, 1, b""], ["a\0", 1, 1, b""], [1, 1, 1, b""], {}],
)  # fmt: skip
def test_bad_frames(parts):
    assert isinstance(unwrap(msgspec.msgpack.encode(parts)), str)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_frame_or_not(payload):
    found = node().process([record(0, topic("radar-1", "framed"), payload)])
    assert len(found.quarantined) == 1


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("a/+/c", "a/b/c", True),
        ("a/+/c", "a/b/d", False),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("a/+", "a/b/c", False),
        ("a/b", "a", False),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("+/+", "/x", True),
    ],
)
def test_topic_filters(pattern, name, expected):
    assert matches(pattern.split("/"), name.split("/")) is expected


def test_counts():
    ingest = node()
    parts = run(ingest, [record(at, *message) for at, message in enumerate(MESSAGES)], (5, 5))
    counts = total([part.counts for part in parts])
    assert {sensor: count.plain() for sensor, count in counts.items()} == ingest.counters()
    found = ingest.counters()
    assert found["radar-1"]["messages"] == 10
    # a frame's own number and the report's are different things: nothing was seen twice
    assert found["radar-1"]["duplicates"] == 0
    assert found["uav-1"] == {
        "messages": 4, "decoded": 5, "duplicates": 0, "reports": 3, "detections": 3,
        "refused": {"bad_shape": 1},
    }  # fmt: skip
    assert found[""]["refused"] == {"unknown_topic": 1}
    quarantined = sum(len(part.quarantined) for part in parts)
    assert sum(sum(count["refused"].values()) for count in found.values()) == quarantined
    assert sum(part.detections.n_detections for part in parts) == sum(
        count["detections"] for count in found.values()
    )
    assert SensorCount.of_plain(found["uav-1"]).plain() == found["uav-1"]
    json.dumps(found)


def test_snapshot_of_another_layout():
    with pytest.raises(SnapshotError, match="version"):
        node().restore({"version": 99})
    with pytest.raises(SnapshotError, match="not as it was made"):
        node().restore({**node().snapshot(), "reports": {"radar-1": [[1]]}})


def test_memory_of_another_adapter_version_is_left_behind_and_said():
    data = node().snapshot()
    data["adapters"]["ais"]["version"] = "0"
    data["adapters"]["gone"] = {"version": "1", "state": {}}
    notes = node().restore(data)
    assert len(notes) == 2
    assert "adapter ais" in notes[0]
    assert "gone" in notes[1]


def test_recorded_ais_through_the_whole(test_data):
    lines = (test_data / "ais" / "nmea_data_sample.txt").read_bytes().split(b"\n")
    inputs = [record(at, topic("ais-1", "raw"), line) for at, line in enumerate(lines)]
    found = node().process(inputs)
    assert found.decoded == 778
    assert [entry.reason for entry in found.quarantined] == [Reason.MISSING_FIELD] * 100
    assert found.detections.n_detections == 758
