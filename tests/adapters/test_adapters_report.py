"""Reports: every field, every form, every mistake by its name."""

import json
import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.report import ADAPTER
from adapters.report.arrays import VERSION
from adapters.report.encode import encode_arrays, encode_json, encode_msgpack
from model.sensors import Coverage, Sensor, Sensors, Sigmas
from model.taxonomy import CLASS_INDEX
from tests.adapters.samples import NOW_NS, REPORT, SENSORS, decode, line, one, reasons, same
from vedette.kit import MODE_NOT_SAID, BoundedState, Detections, Mode, messages_of

DEG = math.pi / 180.0


@pytest.fixture(scope="module")
def found():
    decoded = decode(ADAPTER, [line()])
    assert decoded.refused == ()
    assert decoded.decoded == 1
    return decoded.detections


def test_report_columns(found):
    assert found.time.tolist() == [1_772_366_400_250_000_000]
    assert found.received.tolist() == [NOW_NS]
    assert (found.boot.tolist(), found.seq.tolist()) == ([b"a1b2"], [42])
    assert found.mode.tolist() == [int(Mode.LIVE)]
    np.testing.assert_allclose(found.origin, [[59.4 * DEG, 28.2 * DEG, 35.0]], rtol=1e-15)
    np.testing.assert_allclose(found.heading, [10.0 * DEG])
    np.testing.assert_allclose(found.looked, [[50.0, 8000.0, 200.0 * DEG, 290.0 * DEG]])


def test_detection_columns(found):
    assert found.kind.tolist() == [0, 1, 2, 3, 4, 0, 0]
    assert found.item.tolist() == list(range(7))
    np.testing.assert_allclose(found.position[0], [59.41 * DEG, 28.21 * DEG, 120.0])
    np.testing.assert_allclose(found.covariance[0], [100, 0, 100, 0, 0, 400])
    np.testing.assert_allclose(found.polar[1], [1523.0, 231.2 * DEG, 1.1 * DEG, -12.3])
    # elevation and range rate have the sigma of the sensor's entry
    default = Sigmas()
    np.testing.assert_allclose(
        found.polar_sigma[1], [10.0, 0.2 * DEG, default.elevation_rad, default.range_rate_mps]
    )
    assert np.isnan(found.polar[2, [0, 3]]).all()
    assert np.isnan(found.polar_sigma[2, [0, 3]]).all()
    assert found.radius[3] == 40.0
    assert np.isnan(found.covariance[3]).all()
    start, stop = found.line_vertices[4]
    np.testing.assert_allclose(
        found.vertices[start:stop], np.deg2rad([[59.4, 28.2], [59.401, 28.2]])
    )
    assert found.direction.tolist() == [0, 0, 0, 0, -1, 0, 0]
    assert found.detection_time[4] == 1_772_366_400_200_000_001
    np.testing.assert_allclose(found.covariance[5], [100, 5, 50, np.nan, np.nan, np.nan])
    np.testing.assert_allclose(found.covariance[6], [100, 5, 50, 1, 2, 400])
    np.testing.assert_allclose(found.velocity[0], [3.0, -4.0, np.nan])
    assert found.velocity_sigma[0] == 0.5
    assert found.identity[0] == b"4b1803"
    assert found.classes[0, CLASS_INDEX["uav"]] == 0.75
    assert found.classes[0, CLASS_INDEX["human"]] == 0.25
    assert found.snr_db[0] == 12.5


def test_defaults_come_from_the_sensor():
    prior = tuple(float(label == "uav") for label in CLASS_INDEX)
    sensors = Sensors(
        [
            Sensor(
                "radar-1",
                position=(1.0, 0.5, 77.0),
                sigmas=Sigmas(horizontal_m=3.0, vertical_m=4.0, velocity_mps=0.7),
                coverage=Coverage(range_m=(5.0, 600.0)),
                classes=prior,
            )
        ]
    )
    payload = line(
        origin={"lat": 59.0, "lon": 28.0},
        looked={"azimuth_deg": [0, 90]},
        detections=[
            {"kind": "position", "lat": 1.0, "lon": 2.0, "alt_m": 3.0,
             "velocity": {"east_mps": 1.0, "north_mps": 1.0}},
        ],
    )  # fmt: skip
    batch = messages_of([payload], received_ns=NOW_NS)
    found = ADAPTER.decode(batch, sensors, BoundedState()).detections
    np.testing.assert_allclose(found.covariance[0], [9, 0, 9, 0, 0, 16])
    assert found.velocity_sigma[0] == 0.7
    assert found.origin[0, 2] == 77.0
    assert found.looked[0, :2].tolist() == [5.0, 600.0]
    assert found.classes[0, CLASS_INDEX["uav"]] == 1.0


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"time_ns": 1_772_366_400_123_456_789}, 1_772_366_400_123_456_789),
        ({"time": 1772366400}, 1_772_366_400_000_000_000),
        ({"time": 1620114891.8494244}, 1_620_114_891_849_424_000),
        ({"time": "2026-03-01T12:00:00.250Z"}, 1_772_366_400_250_000_000),
        ({"time": "2026-03-01T14:00:00+02:00"}, 1_772_366_400_000_000_000),
        ({"time": 5.0, "time_ns": 7}, 7),
    ],
)
def test_time(given, expected):
    found = decode(ADAPTER, [line(**{"time": None, **given})]).detections
    assert found.time.tolist() == [expected]


def test_empty_report_stays():
    found = decode(ADAPTER, [line(detections=[])]).detections
    assert (found.n_reports, found.n_detections) == (1, 0)


def test_mode_not_said():
    assert decode(ADAPTER, [line(mode=None)]).detections.mode.tolist() == [MODE_NOT_SAID]


def test_polygon_looked_at():
    polygon = [[59.0, 28.0], [59.0, 28.1], [59.1, 28.1]]
    found = decode(ADAPTER, [line(looked={"polygon": polygon})]).detections
    start, stop = found.looked_vertices[0]
    np.testing.assert_allclose(found.vertices[start:stop], np.deg2rad(polygon))
    assert np.isnan(found.looked).all()


POSITION = {"kind": "position", "lat": 1.0, "lon": 2.0}


@pytest.mark.parametrize(
    ("payload", "reason", "says"),
    [
        (b"", "not_json", "empty"),
        (b"hello", "not_json", "0x68"),
        (b"\xff\xfe", "not_msgpack", "0xff"),
        (b'{"sensor":', "not_json", "truncated"),
        (line() + b" trailing", "not_json", "trailing"),
        (b'{"a":' * 100_000, "not_json", "deep"),
        (b"[1]", "bad_shape", "array"),
        (b"\x81", "not_msgpack", "truncated"),
        (b"\x81\xa1a" * 100_000, "not_msgpack", ""),
        (line(time=None), "missing_field", "time"),
        (line(sensor=None), "missing_field", "sensor"),
        (line(detections=None), "missing_field", "detections"),
        (line(boot=None), "missing_field", "boot"),
        (line(sensor="radar-2"), "sensor_mismatch", "radar-2"),
        (line(seq=-1), "bad_field", "seq"),
        (line(seq=1.5), "bad_field", "seq"),
        (line(boot="x" * 25), "bad_field", "boot"),
        (line(mode="test"), "bad_field", "mode"),
        (line(time="yesterday"), "bad_field", "time"),
        (line(time="2026-03-01T12:00:00"), "bad_field", "offset from UTC"),
        (line(time=-5.0), "bad_field", "time"),
        (line(origin={"lat": 1.0}), "missing_field", "origin.lon"),
        (line(origin={"lat": "1", "lon": 2.0}), "bad_field", "origin.lat"),
        (line(looked={"range_m": [1]}), "bad_field", "looked.range_m"),
        (line(looked={"polygon": [[1, 2], [3, 4]]}), "bad_field", "looked.polygon"),
        (line(detections={}), "bad_field", "detections"),
        (line().replace(b"1772366400.25", b"NaN"), "not_json", ""),
        (line().replace(b"1772366400.25", b"1e999"), "bad_field", "time"),
    ],
)
def test_whole_report_refused(payload, reason, says):
    decoded = decode(ADAPTER, [payload])
    assert reasons(decoded) == [(0, -1, reason)]
    assert says in decoded.refused[0].detail
    assert decoded.detections.n_reports == 0
    assert decoded.decoded == 0


@pytest.mark.parametrize(
    ("detection", "reason", "says"),
    [
        ({"lat": 1.0, "lon": 2.0}, "missing_field", "kind"),
        ({"kind": "blob"}, "bad_field", "kind"),
        ({"kind": "position", "lat": 1.0}, "missing_field", "lon"),
        ({"kind": "polar", "azimuth_deg": 1.0}, "missing_field", "range_m"),
        ({"kind": "bearing"}, "missing_field", "azimuth_deg"),
        ({"kind": "zone", "lat": 1.0, "lon": 1.0}, "missing_field", "radius_m"),
        ({"kind": "line"}, "missing_field", "points"),
        ({"kind": "line", "points": [[1, 2]]}, "bad_field", "points"),
        ({"kind": "line", "points": [[1, 2], [1, 2]], "direction": "up"}, "bad_field", "direction"),
        ({**POSITION, "lat": "1"}, "bad_field", "lat"),
        ({**POSITION, "covariance_m2": [1, 0, 1, 0]}, "bad_field", "covariance_m2"),
        ({**POSITION, "covariance_m2": [1, 0, 1, 0, 0, 1]}, "bad_field", "without alt_m"),
        ({**POSITION, "velocity": {"east_mps": 1}}, "missing_field", "velocity.north_mps"),
        ({**POSITION, "class": {"uav": "high"}}, "bad_field", "class"),
        ({**POSITION, "identity": {"icao24": "xyz"}}, "bad_field", "identity.icao24"),
        ({**POSITION, "identity": {"mmsi": "12345678901"}}, "bad_field", "identity.mmsi"),
        ({**POSITION, "identity": {"mmsi": 1, "icao24": "4b1803"}}, "bad_field", "2 numbers"),
        ({**POSITION, "identity": {}}, "bad_field", "0 numbers"),
        ({**POSITION, "identity": {"remote_id": "x" * 25}}, "bad_field", "remote_id"),
        ({**POSITION, "time": "no"}, "bad_field", "time"),
    ],
)
def test_bad_detection_beside_good_ones(detection, reason, says):
    decoded = decode(ADAPTER, [line(detections=[POSITION, detection, POSITION])])
    assert reasons(decoded) == [(0, 1, reason)]
    assert decoded.refused[0].detail.startswith("detections[1].")
    assert says in decoded.refused[0].detail
    assert decoded.detections.item.tolist() == [0, 2]
    # alone it leaves no report behind that would say "looked and saw nothing"
    assert decode(ADAPTER, [line(detections=[detection])]).detections.n_reports == 0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("field", ["lat", "alt_m", "sigma_m"])
def test_not_finite_in_messagepack(field, value):
    bad = {**POSITION, field: value}
    payload = msgspec.msgpack.encode({**REPORT, "detections": [POSITION, bad]})
    decoded = decode(ADAPTER, [payload])
    assert reasons(decoded) == [(0, 1, "not_finite")]
    assert field in decoded.refused[0].detail


def test_not_finite_in_the_head_of_messagepack():
    payload = msgspec.msgpack.encode({**REPORT, "origin": {"lat": math.nan, "lon": 1.0}})
    assert reasons(decode(ADAPTER, [payload])) == [(0, -1, "not_finite")]


def test_json_lines_refuse_only_the_culprits():
    payload = b"\n".join(
        [
            line(detections=[]),
            b"{broken",
            b"",
            line(detections=[POSITION, {"kind": "bearing"}]),
            line(detections=[POSITION]),
        ]
    )
    decoded = decode(ADAPTER, [payload])
    assert reasons(decoded) == [(0, 1, "not_json"), (0, 3, "missing_field")]
    assert decoded.refused[0].detail.startswith("line 2: ")
    assert decoded.refused[1].detail.startswith("line 4: detections[1].")
    assert decoded.detections.n_reports == 3
    assert decoded.detections.item.tolist() == [2, 4]  # each place in the input once
    assert decoded.decoded == 3


def test_indented_json_is_one_report():
    decoded = decode(ADAPTER, [json.dumps(REPORT, indent=2).encode()])
    assert (decoded.detections.n_reports, decoded.refused) == (1, ())


def test_byte_order_mark_is_passed_over():
    assert decode(ADAPTER, [b"\xef\xbb\xbf" + line()]).decoded == 1


def test_unknown_fields_are_passed_over():
    decoded = decode(ADAPTER, [line(vendor={"x": [1]})])
    assert (decoded.decoded, decoded.refused) == (1, ())


@pytest.mark.parametrize("encode", [encode_json, encode_msgpack, encode_arrays])
def test_round_trip(found, encode):
    polygon = line(looked={"polygon": [[59.0, 28.0], [59.0, 28.1], [59.1, 28.1]]}, seq=43)
    whole = decode(ADAPTER, [line(), polygon, line(detections=[], seq=44, mode=None)]).detections
    payloads = encode(whole, SENSORS)
    assert len(payloads) == 3
    decoded = decode(ADAPTER, payloads)
    assert decoded.refused == ()
    # the order of vertices is free; what spans point at is compared below
    same(whole, decoded.detections, skip={"vertices", "looked_vertices", "line_vertices", "item"})
    for name in ("looked_vertices", "line_vertices"):
        for ours, theirs in zip(
            getattr(whole, name), getattr(decoded.detections, name), strict=True
        ):
            np.testing.assert_allclose(
                whole.vertices[slice(*ours)], decoded.detections.vertices[slice(*theirs)]
            )


def test_several_reports_in_one_message_of_arrays(found):
    reports = Detections.concat([found.replace(seq=np.array([seq])) for seq in range(5)])
    payloads = encode_arrays(reports, SENSORS, reports_per_message=3)
    assert len(payloads) == 2
    decoded = decode(ADAPTER, payloads)
    assert decoded.refused == ()
    assert decoded.decoded == 5
    assert decoded.detections.offset.tolist() == [0, 0, 0, 1, 1]
    assert decoded.detections.item.tolist() == [*range(21), *range(14)]
    same(reports, decoded.detections, skip={"offset", "item", "vertices", "line_vertices"})
    for ours, theirs in zip(reports.line_vertices, decoded.detections.line_vertices, strict=True):
        np.testing.assert_allclose(
            reports.vertices[slice(*ours)], decoded.detections.vertices[slice(*theirs)]
        )


GOLDEN_ARRAYS = (
    b"\x84\xa6arrays\x01\xa6sensor\xa7radar-1\xa7reports\x81\xa7time_ns\xc4\x08"
    b"\x00\x80\xd6\xb3\xd9\xb5\x98\x18\xaadetections\x83\xa4kind\xc4\x01\x00"
    b"\xa3lat\xc4\x08\x00\x00\x00\x00\x00\x80\x4d\x40\xa3lon\xc4\x08\x00\x00\x00\x00\x00\x00\x3c\x40"
)
"""One report, one position at 59 north, 28 east: byte for byte."""


def test_arrays_on_the_wire():
    found = decode(ADAPTER, [GOLDEN_ARRAYS]).detections
    assert found.time.tolist() == [NOW_NS]
    np.testing.assert_allclose(np.rad2deg(found.position[0, :2]), [59.0, 28.0])


def arrays(reports=None, detections=None, **head):
    reports = {"time_ns": np.array([NOW_NS], "<i8").tobytes(), **(reports or {})}
    detections = {
        "kind": b"\x00",
        "lat": np.array([59.0]).tobytes(),
        "lon": np.array([28.0]).tobytes(),
        **(detections or {}),
    }
    message = {"arrays": VERSION, "sensor": "radar-1", "reports": reports,
               "detections": detections, **head}  # fmt: skip
    return msgspec.msgpack.encode(message)


@pytest.mark.parametrize(
    ("payload", "reason", "says"),
    [
        (arrays(arrays=2), "unsupported", "version 2"),
        (arrays(sensor="x"), "sensor_mismatch", "x"),
        (arrays({"time_ns": b"\x00" * 9}), "bad_shape", "time_ns"),
        (arrays({"speed": b""}), "bad_field", "reports.speed"),
        (arrays({"seq": b"\x00" * 8}), "missing_field", "boot"),
        (arrays({"seq": b"\xfe" + b"\xff" * 7}, boot="b"), "bad_field", "seq"),
        (arrays({"count": b"\x02\x00\x00\x00"}), "bad_shape", "count"),
        (arrays({"looked_points": b"\x02\x00\x00\x00"}), "bad_field", "looked_points"),
        (arrays({"looked_points": b"\x03\x00\x00\x00"}), "bad_shape", "vertices"),
        (arrays(detections={"lat": b"1234"}), "bad_shape", "lat"),
        (arrays(detections={"kind": b"\x09"}), "bad_field", "kind"),
        (arrays(detections={"kind": b"\x01"}), "missing_field", "range_m"),
        (arrays(detections={"identity": b"x" * 24}), "missing_field", "identity"),
        (arrays(detections={"direction": b"\x05"}), "bad_field", "direction"),
        (arrays(detections={"points": b"\x02\x00\x00\x00"}), "bad_field", "no line"),
        (arrays(vertices=b"\x00" * 16), "bad_shape", "vertices"),
        (arrays(reports={"time_ns": 5}), "bad_field", "reports"),
        (arrays()[:-3], "not_msgpack", "truncated"),
    ],
)
def test_arrays_refused(payload, reason, says):
    decoded = decode(ADAPTER, [payload])
    assert reasons(decoded) == [(0, -1, reason)]
    assert says in decoded.refused[0].detail


def test_forms_mixed_in_a_batch_keep_their_order(found):
    payloads = [arrays(), one(**POSITION), *encode_msgpack(found, SENSORS), arrays()]
    decoded = decode(ADAPTER, payloads)
    assert decoded.detections.offset.tolist() == [0, 1, 2, 3]
    assert decoded.decoded_each.tolist() == [1, 1, 1, 1]


def test_huge_numbers_become_infinite_without_a_warning():
    decoded = decode(ADAPTER, [one(**POSITION, sigma_m=1e300, **{"class": {"uav": 1e300}})])
    assert np.isinf(decoded.detections.covariance[0, 0])


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused(payload):
    decoded = decode(ADAPTER, [payload])
    assert decoded.decoded or decoded.refused


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=200)
@given(
    st.dictionaries(st.sampled_from(sorted(REPORT)), json_values),
    st.dictionaries(st.sampled_from(["kind", *REPORT["detections"][0]]), json_values),
)
def test_any_shape_is_decoded_or_refused(head, detection):
    report = {**REPORT, "detections": [{**POSITION, **detection}], **head}
    decoded = decode(ADAPTER, [msgspec.msgpack.encode(_small(report))])
    assert decoded.decoded or decoded.refused


def _small(value):
    """Whole numbers within what MessagePack can write."""
    if isinstance(value, dict):
        return {key: _small(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_small(entry) for entry in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return max(-(2**63), min(value, 2**64 - 1))
    return value
