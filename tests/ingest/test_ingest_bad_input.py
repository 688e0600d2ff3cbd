"""Bad input: refused with its reason and offset, counted, and nobody else is harmed."""

import math

import msgspec
import pytest

from adapters.ais.encode import position_report
from adapters.mavlink import encode as mavlink
from ingest.pipeline import Ingest
from ingest.routes import wrap
from model.detections import Mode
from model.errors import ConfigError, Reason
from model.records import Kind
from model.sensors import Sensor, Sensors
from tests.ingest.samples import (
    ADAPTERS,
    NOW_NS,
    POSITION,
    SENSORS,
    node,
    reasons,
    record,
    said,
    topic,
)

S = 1_000_000_000
FIX = mavlink.global_position_int(1_000, 59.0, 28.0, 100.0)
SENTENCE = position_report(276123450, 59.0, 28.0)


def polar(**fields):
    return {"kind": "polar", "range_m": 100.0, "azimuth_deg": 10.0, **fields}


def packed(**detection):
    """MessagePack can write what JSON cannot."""
    body = {"sensor": "radar-1", "time_ns": NOW_NS, "detections": [{**POSITION, **detection}]}
    return msgspec.msgpack.encode(body)


WHOLE = [
    (topic("radar-1"), b"not json", "not_json"),
    (topic("radar-1"), b"\xff\x00", "not_msgpack"),
    (topic("radar-1"), said("camera-1"), "sensor_mismatch"),
    (topic("radar-9"), said("radar-9"), "unknown_sensor"),
    (topic("radar-1", "report"), said(), "unknown_topic"),
    ("vedette/south/sensors/radar-1/reports", said(), "unknown_topic"),
    ("vedette-exercise/north/sensors/radar-1/reports", said(), "wrong_mode"),
    ("something/else", b"", "unknown_topic"),
    (topic("radar-1"), said(time_ns=0), "time_past"),
    (topic("radar-1"), said(time_ns=NOW_NS - 61 * S), "time_past"),
    (topic("radar-1"), said(time_ns=NOW_NS + 3 * S), "time_future"),
    (topic("radar-1"), said(time_ns=NOW_NS + 86_400 * S), "time_future"),
    (topic("radar-1"), said(mode="exercise"), "wrong_mode"),
    (topic("radar-1"), said(origin={"lat": 91.0, "lon": 0.0}), "out_of_range"),
    (topic("radar-1"), said(origin={"lat": 1.0, "lon": 1.0, "alt_m": 1e6}), "out_of_range"),
    (topic("radar-1"), said(looked={"range_m": [5, 1]}), "out_of_range"),
    (topic("radar-1"), said(looked={"azimuth_deg": [0, 1e6]}), "out_of_range"),
    (topic("radar-1"), said(looked={"polygon": [[0, 0], [0, 1], [95, 1]]}), "out_of_range"),
    (topic("radar-1", "framed"), b"no frame", "bad_frame"),
    (topic("radar-1", "framed"), wrap("b", 1, NOW_NS + 3 * S, said()), "time_future"),
    (topic("radar-1", "framed"), wrap("b", 1, NOW_NS - 8 * 86_400 * S, said()), "time_past"),
    (topic("radar-1", "framed"), wrap("b", 1, NOW_NS, b"junk"), "not_json"),
]


@pytest.mark.parametrize(("where", "payload", "reason"), WHOLE)
def test_whole_message_refused(where, payload, reason):
    good = [record(4, topic("radar-1"), said()), record(6, topic("camera-1"), said("camera-1"))]
    found = node().process([good[0], record(5, where, payload), good[1]])
    assert reasons(found) == [(5, -1, reason)]
    assert found.detections.offset.tolist() == [4, 6]
    named = found.quarantined[0].sensor
    assert named == (where.split("/")[3] if "/sensors/" in where else "")
    assert found.counts[named].refused == {Reason(reason): 1}


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (said("radar-1", {**POSITION, "lat": 91.0}), "out_of_range"),
        (said("radar-1", {**POSITION, "lat": -90.1}), "out_of_range"),
        (said("radar-1", {**POSITION, "lon": 180.1}), "out_of_range"),
        (said("radar-1", {**POSITION, "lat": 0.0, "lon": 0.0}), "out_of_range"),
        (said("radar-1", {**POSITION, "alt_m": -501.0}), "out_of_range"),
        (said("radar-1", {**POSITION, "alt_m": 100_001.0}), "out_of_range"),
        (said("radar-1", {**POSITION, "sigma_m": 0.0}), "out_of_range"),
        (said("radar-1", {**POSITION, "sigma_m": -5.0}), "out_of_range"),
        (said("radar-1", {**POSITION, "sigma_m": 1e300}), "not_finite"),
        (said("radar-1", {**POSITION, "covariance_m2": [100, 200, 100]}), "out_of_range"),
        (said("radar-1", {**POSITION, "covariance_m2": [-1, 0, 1]}), "out_of_range"),
        (said("radar-1", {**POSITION, "alt_m": 1.0, "covariance_m2": [9, 0, 9, 9, 9, 9]}),
         "out_of_range"),
        (said("radar-1", {**POSITION, "velocity": {"east_mps": 3001, "north_mps": 0}}),
         "out_of_range"),
        (said("radar-1", {**POSITION, "velocity": {"east_mps": 1, "north_mps": 0,
                                                   "sigma_mps": 0}}), "out_of_range"),
        (said("radar-1", {**POSITION, "class": {"uav": 1.5}}), "out_of_range"),
        (said("radar-1", {**POSITION, "class": {"uav": -0.5}}), "out_of_range"),
        (said("radar-1", {**POSITION, "class": {"uav": 0.9, "animal": 0.9}}), "out_of_range"),
        (said("radar-1", {**POSITION, "snr_db": 1e3}), "out_of_range"),
        (said("radar-1", {**POSITION, "time_ns": NOW_NS - 61 * S}), "time_past"),
        (said("radar-1", {**POSITION, "time_ns": NOW_NS + 3 * S}), "time_future"),
        (said("radar-1", polar(range_m=0.0)), "out_of_range"),
        (said("radar-1", polar(range_m=-5.0)), "out_of_range"),
        (said("radar-1", polar(range_m=1e7)), "out_of_range"),
        (said("radar-1", polar(azimuth_deg=361.0)), "out_of_range"),
        (said("radar-1", polar(elevation_deg=91.0)), "out_of_range"),
        (said("radar-1", polar(range_rate_mps=4e3)), "out_of_range"),
        (said("radar-1", polar(sigma_range_m=0.0)), "out_of_range"),
        (said("radar-1", polar(sigma_azimuth_deg=-1.0)), "out_of_range"),
        (said("radar-1", {"kind": "zone", "lat": 1.0, "lon": 1.0, "radius_m": 0.0}),
         "out_of_range"),
        (said("radar-1", {"kind": "line", "points": [[0, 0], [0, 181]]}), "out_of_range"),
        (packed(lat=math.nan), "not_finite"),
        (packed(lon=math.inf), "not_finite"),
        (packed(alt_m=-math.inf), "not_finite"),
    ],
)  # fmt: skip
def test_detection_refused(payload, reason):
    found = node().process(
        [record(4, topic("radar-1"), said()), record(5, topic("radar-1"), payload)]
    )
    assert reasons(found) == [(5, 0, reason)]
    # the report has lost all it saw: it is not "looked and saw nothing"
    assert found.detections.offset.tolist() == [4]


def test_good_detections_beside_a_bad_one_stay():
    bad = {**POSITION, "lat": 91.0}
    found = node().process([record(5, topic("radar-1"), said("radar-1", POSITION, bad, POSITION))])
    assert reasons(found) == [(5, 1, "out_of_range")]
    assert "latitude 91" in found.quarantined[0].detail
    assert found.detections.item.tolist() == [0, 2]


def test_empty_report_stays():
    payload = said().replace(msgspec.json.encode([POSITION]), b"[]")
    empty = msgspec.json.encode({"sensor": "radar-1", "time_ns": NOW_NS, "detections": []})
    found = node().process([record(0, topic("radar-1"), empty)])
    assert (found.detections.n_reports, found.quarantined) == (1, ())
    assert payload != empty


@pytest.mark.parametrize("detection", [polar(), {"kind": "bearing", "azimuth_deg": 5.0}])
def test_no_origin(detection):
    found = node().process([record(0, topic("camera-1"), said("camera-1", detection))])
    assert reasons(found) == [(0, 0, "no_origin")]
    moving = said("camera-1", detection, origin={"lat": 59.0, "lon": 28.0})
    assert node().process([record(0, topic("camera-1"), moving)]).quarantined == ()


@pytest.mark.parametrize(
    ("mode", "said_mode", "passes"),
    [
        (Mode.LIVE, None, True),
        (Mode.LIVE, "live", True),
        (Mode.LIVE, "exercise", False),
        (Mode.EXERCISE, None, True),
        (Mode.EXERCISE, "exercise", True),
        (Mode.EXERCISE, "live", False),
    ],
)
def test_mode(mode, said_mode, passes):
    root = {Mode.LIVE: "vedette", Mode.EXERCISE: "vedette-exercise"}[mode]
    payload = said(**({} if said_mode is None else {"mode": said_mode}))
    found = node(mode).process([record(0, f"{root}/north/sensors/radar-1/reports", payload)])
    assert found.detections.mode.tolist() == ([int(mode)] if passes else [])
    assert reasons(found) == ([] if passes else [(0, -1, "wrong_mode")])


def test_a_human_has_no_identity():
    detection = {**POSITION, "class": {"human": 0.6, "uav": 0.4}, "identity": {"mavlink": "7"}}
    drone = {**POSITION, "class": {"human": 0.4, "uav": 0.6}, "identity": {"mavlink": "7"}}
    found = node().process([record(0, topic("radar-1"), said("radar-1", detection, drone))])
    assert found.detections.identity.tolist() == [b"", b"7"]
    assert found.detections.identity_kind.tolist() == [0, 3]
    assert found.counts["radar-1"].refused == {Reason.HUMAN_IDENTITY: 1}
    assert found.quarantined == ()


def test_native_formats():
    broken = bytearray(FIX)
    broken[-1] ^= 1
    found = node().process(
        [
            record(0, topic("ais-1", "raw"), SENTENCE),
            record(1, topic("ais-1", "raw"), SENTENCE[:20]),
            record(2, topic("uav-1", "raw"), FIX),
            record(3, topic("uav-1", "raw"), bytes(broken)),
            record(4, "port/ais", SENTENCE),
            record(5, "port/7/nmea", SENTENCE),
        ]
    )
    assert reasons(found) == [(1, 0, "truncated"), (3, 0, "bad_checksum")]
    assert found.detections.offset.tolist() == [0, 2, 4, 5]
    assert found.detections.mode.tolist() == [0, 0, 0, 0]
    assert (found.counts["ais-1"].decoded, found.counts["uav-1"].decoded) == (3, 1)
    assert found.decoded == 4


def test_several_lines_of_which_one_report_is_late():
    lines = b"\n".join([said(seq=1, boot="b"), said(seq=2, boot="b", time_ns=0)])
    found = node().process([record(9, topic("radar-1"), lines)])
    assert reasons(found) == [(9, 1, "time_past")]
    assert found.detections.n_reports == 1


@pytest.mark.parametrize(
    ("where", "sensor"), [(topic("radar-1"), "radar-1"), (topic("x"), "x"), ("a/b", "")]
)
def test_oversize(where, sensor):
    payload = b'{"length": 70000, "sha256": "00", "head": ""}'
    found = node().process([record(3, where, payload, kind=Kind.OVERSIZE)])
    assert reasons(found) == [(3, -1, "oversize")]
    assert "70000 bytes" in found.quarantined[0].detail
    assert found.counts[sensor].refused == {Reason.OVERSIZE: 1}
    assert reasons(node().process([record(3, where, b"\xff", kind=Kind.OVERSIZE)])) == [
        (3, -1, "oversize")
    ]


def test_status_and_other_kinds_are_no_business_of_ingest():
    found = node().process(
        [
            record(0, topic("radar-1", "status"), b"online"),
            record(1, "", b"", kind=Kind.TICK),
            record(2, "", b"{}", kind=Kind.CONFIG),
        ]
    )
    assert (found.quarantined, found.detections.n_reports, dict(found.counts)) == ((), 0, {})


def test_unknown_adapter_is_named():
    with pytest.raises(ConfigError, match=r"sensor 'x': adapter: 'asterix'.*ais, mavlink, report"):
        Ingest("n", Mode.LIVE, Sensors([Sensor("x", adapter="asterix")]), ADAPTERS)


def test_topic_bound_twice_is_named():
    two = [Sensor("a", adapter="ais", topics=("t",)), Sensor("b", adapter="ais", topics=("t",))]
    with pytest.raises(ConfigError, match=r"sensor 'b': topics: 't' is taken"):
        Ingest("n", Mode.LIVE, Sensors(two), ADAPTERS)


def test_sensor_taken_out_is_deaf():
    ingest = node()
    rest = [Sensor(s.id, adapter="") if s.id == "radar-1" else s for s in SENSORS]
    ingest.reconfigure(Sensors(rest))
    found = ingest.process([record(0, topic("radar-1"), said())])
    assert reasons(found) == [(0, -1, "unknown_sensor")]


def test_reconfigure_keeps_indices():
    ingest = node()
    with pytest.raises(ValueError, match="radar-1"):
        ingest.reconfigure(Sensors([Sensor("new")]))
    ingest.reconfigure(Sensors([*SENSORS, Sensor("new")]))
    found = ingest.process([record(0, topic("new"), said("new"))])
    assert found.detections.sensor.tolist() == [len(SENSORS)]
