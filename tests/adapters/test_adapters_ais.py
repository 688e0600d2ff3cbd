"""AIS: golden sentences, sentinels, parts, the recorded sample."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyais.encode import encode_dict

from adapters.ais import ADAPTER
from adapters.ais.decoder import MAX_WAITING, WAIT_S
from adapters.ais.encode import position_report
from adapters.ais.sentence import ARMOUR, checksum
from model.taxonomy import CLASS_INDEX
from tests.adapters.samples import AIS_LINES, NOW_NS, SENSORS, STATIC, decode, reasons
from vedette.kit import MODE_NOT_SAID, BoundedState, Detections, IdentityKind, messages_of

AIS = 1
GOLDEN = b"!AIVDM,1,1,,A,15N1u<PP1FJuvSRHOE6QIwwh0HQ6,0*30"
"""Message 1 off the air (test data of libais, Apache-2.0)."""


def sentence(**fields):
    lines = encode_dict(fields, talker_id="AI", sentence_type="VDM", radio_channel="A", seq_id=1)
    return b"\n".join(text.encode() for text in lines)


def signed(body: bytes) -> bytes:
    return b"!" + body + f"*{checksum(body):02X}".encode()


def test_golden_sentence():
    found = decode(ADAPTER, [GOLDEN], AIS).detections
    assert found.identity.tolist() == [b"367033650"]
    assert found.identity_kind.tolist() == [int(IdentityKind.MMSI)]
    assert found.time.tolist() == found.received.tolist() == [NOW_NS]
    assert found.mode.tolist() == [MODE_NOT_SAID]
    np.testing.assert_allclose(np.rad2deg(found.position[0, :2]), [42.79855, -70.346905], atol=1e-9)
    assert np.isnan(found.position[0, 2])
    assert found.classes[0, CLASS_INDEX["sea_vessel"]] == 1.0


@given(st.binary(max_size=200))
def test_checksum_is_the_exclusive_or(data):
    expected = 0
    for byte in data:
        expected ^= byte
    assert checksum(data) == expected


def test_velocity_and_sigma():
    found = decode(ADAPTER, [AIS_LINES[0]], AIS).detections
    # SOG has steps of 0.1 knot, COG of 0.1 degree
    np.testing.assert_allclose(found.velocity[0, :2], [5.0, 0.0], atol=0.03)
    assert np.isnan(found.velocity[0, 2])
    np.testing.assert_allclose(found.covariance[0, :3], [100.0, 0.0, 100.0])
    assert np.isnan(found.covariance[0, 3:]).all()


POSITION = {"type": 1, "mmsi": 276123450, "lat": 59.0, "lon": 28.0}


@pytest.mark.parametrize(
    ("fields", "east_north"),
    [
        ({"speed": 102.3, "course": 90.0}, None),
        ({"speed": 10.0, "course": 360.0}, None),
        ({"speed": 0.0, "course": 360.0}, (0.0, 0.0)),
        ({"speed": 10.0, "course": 180.0}, (0.0, -5.144)),
    ],
)
def test_speed_that_is_not_available(fields, east_north):
    found = decode(ADAPTER, [sentence(**POSITION, heading=511, **fields)], AIS).detections
    if east_north is None:
        assert np.isnan(found.velocity).all()
        assert np.isnan(found.velocity_sigma).all()
    else:
        np.testing.assert_allclose(found.velocity[0, :2], east_north, atol=1e-3)
        assert found.velocity_sigma[0] == SENSORS[AIS].sigmas.velocity_mps


@pytest.mark.parametrize("place", [{"lat": 91.0}, {"lon": 181.0}])
def test_position_that_is_not_available(place):
    decoded = decode(ADAPTER, [sentence(**{**POSITION, **place})], AIS)
    assert (decoded.decoded, decoded.refused, decoded.detections.n_reports) == (1, (), 0)


@pytest.mark.parametrize(
    ("fields", "label"),
    [
        ({"type": 2}, "sea_vessel"),
        ({"type": 3}, "sea_vessel"),
        ({"type": 18}, "sea_vessel"),
        ({"type": 19}, "sea_vessel"),
        ({"type": 27}, "sea_vessel"),
        ({"type": 9, "alt": 300}, "air_vehicle"),
        ({"type": 1, "mmsi": 972123450}, "other"),
        ({"type": 4}, None),
        ({"type": 21}, None),
        ({"type": 5}, None),
    ],
)
def test_movers_and_others(fields, label):
    decoded = decode(ADAPTER, [sentence(**{**POSITION, **fields})], AIS)
    assert (decoded.decoded, decoded.refused) == (1, ())
    if label is None:
        assert decoded.detections.n_reports == 0
    else:
        assert decoded.detections.classes[0, CLASS_INDEX[label]] == 1.0
        np.testing.assert_allclose(
            np.rad2deg(decoded.detections.position[0, :2]), [59.0, 28.0], atol=1e-3
        )
        assert np.isnan(decoded.detections.position[0, 2])


def test_long_range_message_is_coarse():
    found = decode(
        ADAPTER, [sentence(**{**POSITION, "type": 27, "accuracy": True})], AIS
    ).detections
    assert math.sqrt(found.covariance[0, 0]) == pytest.approx(1852 / 10 / math.sqrt(12))


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "bad_shape"),
        (b"\r\n", "bad_shape"),
        (b"junk", "bad_shape"),
        (b"$GPGGA,1*00", "unsupported"),
        (GOLDEN[:30], "truncated"),
        (GOLDEN[:-2], "truncated"),
        (b"\\s:abc" + GOLDEN, "truncated"),
        (GOLDEN.replace(b"*30", b"*31"), "bad_checksum"),
        (GOLDEN.replace(b"*30", b"*ZZ"), "bad_checksum"),
        (GOLDEN.replace(b"15N1", b"15N2"), "bad_checksum"),
        (GOLDEN + b"junk", "bad_shape"),
        (signed(b"AIVDM,1,1,,A,,0"), "missing_field"),
        (signed(b"AIVDM,1,2,,A,15N1,0"), "bad_field"),
        (signed(b"AIVDM,0,0,,A,15N1,0"), "bad_field"),
        (signed(b"AIVDM,1,1,,A,15N1,9"), "bad_field"),
        (signed(b"AIVDM,1,1,x,A,15N1,0"), "bad_field"),
        (signed(b"AIVDM,1,1,,A!!!,15N1,0"), "bad_field"),
        (signed(b"AIVDM,1,1,,A,15N\x7f,0"), "bad_field"),
        (signed(b"AIVDM,1,1,,A,15N1"), "bad_shape"),
        (signed(b"AIXYZ,1,1,,A,15N1,0"), "unsupported"),
        (signed(b"AIVDM,1,1,,A,15N1u<PP1FJuvSRHOE6QIwwh,0"), "truncated"),
        (signed(b"AIVDM,1,1,,A,w5N1u<PP1FJuvSRHOE6QIwwh0HQ6,0"), "unsupported"),
        (b"!" + b"A" * 2000, "bad_shape"),
    ],
)
def test_refused(payload, reason):
    decoded = decode(ADAPTER, [payload, GOLDEN], AIS)
    assert [entry.reason.value for entry in decoded.refused] == [reason]
    assert decoded.refused[0].offset == 0
    assert decoded.detections.n_detections == 1


def test_lines_are_items_and_decorations_are_passed_over():
    payload = b"\r\n".join(
        [b"\\g:1-2-73874,s:r003669945,c:1325394060*5F\\" + GOLDEN, b"", b"junk", GOLDEN + b",d-080"]
    )
    decoded = decode(ADAPTER, [payload], AIS)
    assert reasons(decoded) == [(0, 1, "bad_shape")]
    assert decoded.detections.item.tolist() == [0, 2]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_parts_in_any_order_across_messages(order):
    state = BoundedState()
    first, second = (STATIC[index] for index in order)
    assert decode(ADAPTER, [first], AIS, state).decoded == 0
    state.commit()
    decoded = decode(ADAPTER, [second], AIS, state, first_offset=1)
    assert (decoded.decoded, decoded.refused) == (1, ())
    state.commit()
    assert len(state) == 0


def test_parts_of_other_sensors_and_channels_do_not_mix():
    other = STATIC[1].replace(b",A,", b",B,")
    other = signed(other[1 : other.index(b"*")])
    assert decode(ADAPTER, [STATIC[0], other], AIS).decoded == 0
    state = BoundedState()
    assert decode(ADAPTER, [STATIC[0]], AIS, state).decoded == 0
    assert decode(ADAPTER, [STATIC[1]], 0, state).decoded == 0


def test_parts_that_never_complete_are_refused_in_time():
    state = BoundedState()
    decode(ADAPTER, [GOLDEN + b"\n" + STATIC[0]], AIS, state)
    still = messages_of([GOLDEN], sensor=AIS, first_offset=1, received_ns=NOW_NS + WAIT_S * 10**9)
    assert ADAPTER.decode(still, SENSORS, state).refused == ()
    late = messages_of(
        [GOLDEN], sensor=AIS, first_offset=2, received_ns=NOW_NS + WAIT_S * 10**9 + 1
    )
    assert reasons(ADAPTER.decode(late, SENSORS, state)) == [(0, 1, "incomplete")]
    assert len(state) == 0


def test_parts_that_wait_are_bounded():
    decoded = decode(ADAPTER, [STATIC[0]] * (MAX_WAITING + 3), AIS)
    assert reasons(decoded) == [(number, 0, "incomplete") for number in range(3)]


@pytest.fixture(scope="module")
def sample(test_data):
    return (test_data / "ais" / "nmea_data_sample.txt").read_bytes()


@pytest.mark.parametrize("lines", [1, 5, 10_000])
@pytest.mark.parametrize("batch", [1, 13, 10_000])
def test_recorded_sample_is_the_same_whatever_the_cut(sample, lines, batch):
    every = sample.split(b"\n")
    payloads = [b"\n".join(every[at : at + lines]) for at in range(0, len(every), lines)]
    state = BoundedState()
    decoded, refused, tables = 0, [], []
    for at in range(0, len(payloads), batch):
        part = decode(ADAPTER, payloads[at : at + batch], AIS, state, first_offset=at)
        state.commit()
        decoded += part.decoded
        refused += part.refused
        tables.append(part.detections)
    assert decoded == 778
    assert Counter(entry.reason.value for entry in refused) == {"missing_field": 100}
    assert Detections.concat(tables).n_detections == 758


def test_every_type_of_the_libais_examples_decodes(test_data):
    lines = (test_data / "ais" / "libais_typeexamples.nmea").read_bytes().split()
    decoded = decode(ADAPTER, [line for line in lines if line.startswith(b"!")], AIS)
    assert decoded.decoded == len([line for line in lines if line.startswith(b"!")])
    assert decoded.refused == ()


@settings(max_examples=100)
@given(st.lists(st.sampled_from(AIS_LINES), max_size=12), st.integers(1, 4))
def test_cut_into_batches_changes_nothing(payloads, size):
    whole = decode(ADAPTER, payloads, AIS) if payloads else None
    if whole is None:
        return
    state = BoundedState()
    parts = [
        decode(ADAPTER, payloads[at : at + size], AIS, state, first_offset=at)
        for at in range(0, len(payloads), size)
    ]
    assert sum(part.decoded for part in parts) == whole.decoded
    assert [r for part in parts for r in reasons(part)] == reasons(whole)


@settings(max_examples=200)
@given(st.binary(max_size=90))
def test_any_bytes_are_decoded_or_refused(payload):
    decoded = decode(ADAPTER, [payload], AIS)
    assert decoded.decoded or decoded.refused


@settings(max_examples=200)
@given(st.lists(st.sampled_from(ARMOUR), min_size=1, max_size=80).map(bytes), st.integers(0, 5))
def test_any_bits_are_decoded_or_refused(armour, fill):
    payload = signed(b"AIVDM,1,1,,A," + armour + b"," + str(fill).encode())
    decoded = decode(ADAPTER, [payload], AIS)
    assert decoded.decoded + len(decoded.refused) == 1


@given(
    st.floats(-90, 90), st.floats(-180, 180), st.floats(0, 50), st.floats(0, 359.9), st.booleans()
)
def test_encoded_positions_come_back(latitude, longitude, speed, course, class_b):
    payload = position_report(
        276123450, latitude, longitude, sog_mps=speed, cog_deg=course, class_b=class_b
    )
    found = decode(ADAPTER, [payload], AIS).detections
    np.testing.assert_allclose(
        np.rad2deg(found.position[0, :2]), [latitude, longitude], atol=2e-6
    )  # steps of 1/10,000 minute
    assert np.hypot(*found.velocity[0, :2]) == pytest.approx(speed, abs=0.06)
