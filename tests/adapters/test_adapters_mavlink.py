"""MAVLink: frames in a stream, golden bytes, the recorded flight."""

import math
import struct
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymavlink.dialects.v20 import all as dialect

from adapters.mavlink import ADAPTER, encode
from adapters.mavlink.frames import MAX_FRAME_BYTES, TLOG_BYTES, split
from model.taxonomy import CLASS_INDEX
from tests.adapters.samples import FLIGHT, NOW_NS, POSITION, SENSORS, decode, reasons, same
from vedette.kit import BoundedState, Detections, IdentityKind, messages_of

UAV, LOG = 2, 3
GOLDEN = bytes.fromhex("fe0900ff0000000000000608000003a1df")
"""HEARTBEAT of a ground station, MAVLink 1, off a telemetry log (dronekit, Apache-2.0)."""

FRAME = struct.unpack("<IiiiihhhH", bytes.fromhex(
    "75af00000000000000000000de030000de030000f0ffffff0000786b"
))  # fmt: skip


def run(payloads, sizes=(), sensor=UAV):
    """Outcome of payloads, cut into batches of these sizes (the rest in one)."""
    state = BoundedState()
    parts, at = [], 0
    for size in [*sizes, len(payloads)]:
        if payloads[at : at + size]:
            parts.append(decode(ADAPTER, payloads[at : at + size], sensor, state, first_offset=at))
            state.commit()
        at += size
    return (
        Detections.concat([part.detections for part in parts]),
        [entry for part in parts for entry in part.refused],
        sum(part.decoded for part in parts),
    )


def test_golden_frame():
    decoded = decode(ADAPTER, [GOLDEN], UAV)
    assert (decoded.decoded, decoded.refused, decoded.detections.n_reports) == (1, (), 0)


def test_position_with_height_above_the_ellipsoid():
    found = decode(ADAPTER, [FLIGHT + POSITION], UAV).detections
    assert found.n_detections == 1
    assert found.item.tolist() == [3]
    assert found.time.tolist() == [NOW_NS + 250_000_000]
    np.testing.assert_allclose(np.rad2deg(found.position[0, :2]), [59.1, 28.1], atol=1e-9)
    assert found.position[0, 2] == pytest.approx(217.5)
    np.testing.assert_allclose(found.velocity[0], [1.0, 2.0, 3.0])
    np.testing.assert_allclose(found.covariance[0], [2.25, 0, 2.25, 0, 0, 9])
    assert found.identity.tolist() == [b"ee-1"]
    assert found.identity_kind.tolist() == [int(IdentityKind.MAVLINK)]
    assert found.classes[0, CLASS_INDEX["uav"]] == 1.0


def test_mean_sea_level_is_never_taken_for_the_ellipsoid():
    old = encode.gps_raw_int(59.0, 28.0, 100.0, hdop=1.2, version=1)
    position = encode.global_position_int(5_250, 59.1, 28.1, 200.0, version=1)
    found = decode(ADAPTER, [old + position], UAV).detections
    assert np.isnan(found.position[0, 2])
    assert np.isnan(found.covariance[0, 3:]).all()
    assert math.sqrt(found.covariance[0, 0]) == pytest.approx(1.2 * 5.0)
    assert found.time.tolist() == [NOW_NS]  # no SYSTEM_TIME, no log: as received


@pytest.mark.parametrize("height_hae_m", [100.0 + 91.0, 100.0 - 111.0])
def test_a_geoid_that_cannot_be_is_not_believed(height_hae_m):
    gps = encode.gps_raw_int(59.0, 28.0, 100.0, height_hae_m=height_hae_m)
    assert np.isnan(decode(ADAPTER, [gps + POSITION], UAV).detections.position[0, 2])


def test_without_gps_the_sigma_is_that_of_the_sensor():
    found = decode(ADAPTER, [POSITION], UAV).detections
    assert math.sqrt(found.covariance[0, 0]) == SENSORS[UAV].sigmas.horizontal_m


def test_accuracy_grows_old():
    state = BoundedState()
    decode(ADAPTER, [FLIGHT], UAV, state)
    late = messages_of([POSITION], sensor=UAV, first_offset=1, received_ns=NOW_NS + 11 * 10**9)
    found = ADAPTER.decode(late, SENSORS, state).detections
    assert math.sqrt(found.covariance[0, 0]) == SENSORS[UAV].sigmas.horizontal_m
    assert found.position[0, 2] == pytest.approx(217.5)  # the geoid does not


def test_clock_of_an_earlier_boot_is_forgotten():
    late = encode.global_position_int(500_000, 59.0, 28.0, 1.0)
    rebooted = encode.global_position_int(1_000, 59.0, 28.0, 1.0)
    found = decode(ADAPTER, [FLIGHT + late + rebooted], UAV).detections
    assert found.time.tolist() == [NOW_NS + 495 * 10**9, NOW_NS]


def test_vehicles_do_not_mix():
    other = encode.global_position_int(5_250, 59.0, 28.0, 200.0, system=2)
    found = decode(ADAPTER, [FLIGHT + other], UAV).detections
    assert found.identity.tolist() == [b"ee-2"]
    assert np.isnan(found.position[0, 2])
    assert found.time.tolist() == [NOW_NS]


def test_telemetry_log_gives_the_time():
    data = encode.tlog(1_500_000_000_000_001, POSITION) + encode.tlog(5, GOLDEN)
    decoded = decode(ADAPTER, [data], LOG)
    assert decoded.detections.time.tolist() == [1_500_000_000_000_001_000]
    assert (decoded.decoded, decoded.refused) == (2, ())
    assert decoded.detections.identity.tolist() == [b"1"]


@pytest.mark.parametrize("version", [1, 2])
def test_frames_are_those_of_pymavlink(version):
    theirs = dialect.MAVLink(None, srcSystem=1, srcComponent=1)
    message = dialect.MAVLink_global_position_int_message(
        5_250, 591_000_000, 281_000_000, 200_000, 0, 200, 100, -300, 0xFFFF
    )
    theirs.seq = 7
    expected = message.pack(theirs, force_mavlink1=version == 1)
    ours = encode.global_position_int(
        5_250, 59.1, 28.1, 200.0, velocity_enu_mps=(1.0, 2.0, 3.0), sequence=7, version=version
    )
    assert ours == bytes(expected)


def signed(frame):
    """The frame with the signature flag, its checksum made anew, and 13 bytes behind."""
    theirs = dialect.MAVLink(None, srcSystem=1, srcComponent=1)
    theirs.signing.sign_outgoing = True
    theirs.signing.secret_key = b"\x01" * 32
    theirs.signing.link_id = 1
    theirs.signing.timestamp = 1
    message = dialect.MAVLink_global_position_int_message(*frame)
    return bytes(message.pack(theirs))


def test_signature_is_carried_past():
    data = signed(FRAME)
    assert data[2] == 1
    decoded = decode(ADAPTER, [data + POSITION], UAV)
    assert (decoded.decoded, decoded.refused) == (2, ())


def test_cut_across_messages():
    for at in range(1, len(POSITION)):
        found, refused, decoded = run([FLIGHT, POSITION[:at], POSITION[at:]], (1, 1))
        assert (found.offset.tolist(), refused, decoded) == ([2], [], 4), at


def test_cut_off_for_good():
    decoded = decode(ADAPTER, [POSITION[:20], POSITION, POSITION], UAV)
    assert reasons(decoded) == [(0, 0, "truncated")]
    assert decoded.decoded_each.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"", [(0, -1, "bad_shape")]),
        (b"garbage" + POSITION, [(0, 0, "bad_shape")]),
        (POSITION + b"garbage" + POSITION, [(0, 1, "bad_shape")]),
        (POSITION[:-1] + b"\x00" + POSITION, [(0, 0, "bad_checksum")]),
        (POSITION[:15] + b"\xff" + POSITION[16:], [(0, 0, "bad_checksum")]),
        (POSITION[:20] + POSITION + GOLDEN, [(0, 0, "truncated")]),
        (encode.heartbeat()[:7] + b"\x00\x50\x00" + encode.heartbeat()[10:] + POSITION,
         [(0, 0, "unsupported")]),
        (b"\xfd\x09\x02" + encode.heartbeat()[3:] + POSITION, [(0, 0, "bad_checksum")]),
    ],
)  # fmt: skip
def test_bad_bytes_beside_good_frames(payload, expected):
    decoded = decode(ADAPTER, [payload, FLIGHT], UAV)
    assert reasons(decoded) == expected
    assert decoded.decoded == 3 + payload.count(POSITION) + payload.count(GOLDEN)


def test_a_magic_byte_in_garbage_does_not_hold_up_frames():
    # the last byte may begin a frame; the next message begins with a whole one
    found, refused, _ = run([POSITION + b"\xfd\xff", POSITION, POSITION])
    assert found.offset.tolist() == [0, 1, 2]
    assert [(r.offset, r.item, r.reason.value) for r in refused] == [(0, 1, "truncated")]


def test_short_payload_of_another_dialect():
    short = encode.frame(33, b"\x01" * 27, version=1)
    assert reasons(decode(ADAPTER, [short], UAV)) == [(0, 0, "bad_shape")]


def test_options():
    assert ADAPTER.check_options({"framing": "tlog", "fleet": "ee-"}) == []
    problems = ADAPTER.check_options({"framing": "udp", "fleet": "x" * 22, "baud": 1})
    assert [problem.partition(":")[0] for problem in problems] == [
        "options.baud", "options.framing", "options.fleet",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def flight(test_data):
    return (test_data / "mavlink" / "flight.tlog").read_bytes()


@pytest.mark.parametrize("cut", [10**9, 65_536, 1_399])
def test_recorded_flight_is_the_same_whatever_the_cut(flight, cut):
    payloads = [flight[at : at + cut] for at in range(0, len(flight), cut)]
    found, refused, decoded = run(payloads, (1, 7), LOG)
    assert decoded == 75_477
    assert found.n_detections == 2_833
    assert Counter(entry.reason.value for entry in refused) == {"bad_checksum": 1_314}
    assert set(found.identity.tolist()) == {b"1"}
    assert np.isnan(found.position[:, 2]).all()  # MAVLink 1: heights above mean sea level only
    fixed = found.position[:, 0] != 0.0
    assert 2_600 < fixed.sum() < 2_833
    np.testing.assert_allclose(np.rad2deg(found.position[fixed, 0]), -35.36, atol=0.02)
    assert (np.diff(found.time[fixed]) >= -(10**9)).all()


def test_recorded_flight_agrees_with_pymavlink(flight):
    """Every position that the parser of pymavlink finds in the same bytes is found here."""
    theirs = dialect.MAVLink(None)
    theirs.robust_parsing = True
    head = flight[:600_000]
    expected = []
    for message in theirs.parse_buffer(head) or ():
        if message.get_type() == "GLOBAL_POSITION_INT":
            expected.append((message.lat, message.lon, message.vx, message.vy, message.vz))
    found, _, _ = run([head], (), LOG)
    ours = np.column_stack(
        [np.rad2deg(found.position[:, :2]) * 1e7, found.velocity[:, [1, 0, 2]] * [100, 100, -100]]
    )
    # bytes of time stamps that look like the start of a frame cost pymavlink some frames
    assert len(expected) > 500
    assert set(expected) <= {tuple(row) for row in np.rint(ours).astype(int).tolist()}


PIECES = [FLIGHT, POSITION, GOLDEN, b"\xfe", b"\xfd\x1c", b"xyz", POSITION[:9]]


@settings(max_examples=150)
@given(
    st.lists(st.sampled_from(PIECES), max_size=10),
    st.lists(st.integers(1, 40), max_size=20),
    st.lists(st.integers(1, 3), max_size=5),
)
def test_cut_into_batches_changes_nothing(pieces, cuts, sizes):
    data, payloads = b"".join(pieces), []
    for cut in cuts:
        payloads.append(data[:cut])
        data = data[cut:]
    payloads = [payload for payload in [*payloads, data] if payload]
    one, two = run(payloads), run(payloads, sizes)
    same(one[0], two[0])
    assert one[1:] == two[1:]


@settings(max_examples=200)
@given(st.binary(max_size=400), st.sampled_from([0, TLOG_BYTES]))
def test_any_bytes_are_cut(data, lead):
    stream = split(data, lead)
    assert len(stream.rest) < lead + MAX_FRAME_BYTES
    final = split(data, lead, final=True)
    assert final.rest == b""
    assert not data or stream.items or stream.rest


@settings(max_examples=100)
@given(st.binary(max_size=60), st.binary(max_size=60))
def test_a_good_frame_is_found_in_any_garbage(before, after):
    """At the latest when another whole frame follows."""
    state = BoundedState()
    payloads = [before + POSITION + after, POSITION, POSITION]
    decoded = decode(ADAPTER, payloads, UAV, state)
    assert decoded.decoded >= 3
