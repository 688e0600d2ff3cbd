"""Samples that several tests of this folder decode."""

import json
from typing import Any

import numpy as np
from pyais.encode import encode_dict

from adapters.ais.encode import position_report
from adapters.mavlink import encode as mavlink
from model.sensors import Sensor, Sensors
from vedette.kit import BoundedState, Detections, messages_of

NOW_NS = 1_772_366_400_000_000_000
"""2026-03-01T12:00:00Z."""

REPORT: dict[str, Any] = {
    "sensor": "radar-1",
    "time": 1772366400.25,
    "boot": "a1b2",
    "seq": 42,
    "mode": "live",
    "origin": {"lat": 59.4, "lon": 28.2, "alt_m": 35.0, "heading_deg": 10.0},
    "looked": {"range_m": [50, 8000], "azimuth_deg": [200, 290]},
    "detections": [
        {"kind": "position", "lat": 59.41, "lon": 28.21, "alt_m": 120.0, "sigma_m": 10.0,
         "sigma_alt_m": 20.0, "velocity": {"east_mps": 3.0, "north_mps": -4.0, "sigma_mps": 0.5},
         "class": {"UAV": 0.75, "person": 0.25}, "identity": {"icao24": "4B1803"}, "snr_db": 12.5},
        {"kind": "polar", "range_m": 1523.0, "azimuth_deg": 231.2, "elevation_deg": 1.1,
         "range_rate_mps": -12.3, "sigma_range_m": 10.0, "sigma_azimuth_deg": 0.2},
        {"kind": "bearing", "azimuth_deg": 24.1, "elevation_deg": 2.0, "sigma_azimuth_deg": 2.0},
        {"kind": "zone", "lat": 59.4, "lon": 28.2, "radius_m": 40.0},
        {"kind": "line", "points": [[59.4, 28.2], [59.401, 28.2]], "direction": "left",
         "time_ns": 1772366400200000001},
        {"kind": "position", "lat": -10.0, "lon": 179.5,
         "covariance_m2": [100.0, 5.0, 50.0]},
        {"kind": "position", "lat": 10.0, "lon": -179.5, "alt_m": 5.0,
         "covariance_m2": [100.0, 5.0, 50.0, 1.0, 2.0, 400.0]},
    ],
}  # fmt: skip

SENSORS = Sensors(
    [
        Sensor("radar-1", position=(1.0, 0.5, 10.0)),
        Sensor("ais-1", adapter="ais"),
        Sensor("uav-1", adapter="mavlink", options={"fleet": "ee-"}),
        Sensor("log-1", adapter="mavlink", options={"framing": "tlog"}),
    ]
)


def line(**changed):
    """The report with some fields changed, as JSON; None takes a field out."""
    report = {**REPORT, **changed}
    return json.dumps({key: value for key, value in report.items() if value is not None}).encode()


def one(**detection):
    """A report with a single detection."""
    return line(detections=[detection])


def decode(adapter, payloads, sensor=0, state=None, **given):
    """Decode one batch and check the schema."""
    batch = messages_of(payloads, sensor=sensor, received_ns=NOW_NS, **given)
    decoded = adapter.decode(batch, SENSORS, BoundedState() if state is None else state)
    decoded.detections.check()
    return decoded


def reasons(decoded):
    """(offset, item, reason) of what was refused."""
    return [(entry.offset, entry.item, entry.reason.value) for entry in decoded.refused]


def same(one: Detections, two: Detections, skip=()):
    """Assert that two tables are equal: whole numbers and bytes exactly, the rest to rounding."""
    for name, column in one.columns().items():
        if name in skip:
            continue
        other = getattr(two, name)
        if column.dtype.kind == "f":
            np.testing.assert_allclose(other, column, rtol=1e-14, atol=1e-12, err_msg=name)
        else:
            np.testing.assert_array_equal(other, column, err_msg=name)


STATIC = [
    sentence.encode()
    for sentence in encode_dict(
        {"type": 5, "mmsi": 276123450, "shipname": "VIRVE", "destination": "TALLINN"},
        talker_id="AI", sentence_type="VDM", radio_channel="A", seq_id=3,
    )
]  # fmt: skip
"""A message 5 in two parts."""

AIS_LINES = [
    position_report(276123450, 59.4, 28.2, sog_mps=5.0, cog_deg=90.0, high_accuracy=True),
    position_report(276123451, 59.5, 28.3, class_b=True),
    b"!AIVDM,1,1,,A,,0*26",
    *STATIC,
]
"""A class A and a class B position, an empty sentence, and a message in two parts."""

FLIGHT = (
    mavlink.heartbeat()
    + mavlink.system_time(NOW_NS, 5_000)
    + mavlink.gps_raw_int(59.0, 28.0, 100.0, height_hae_m=117.5, h_acc_m=1.5, v_acc_m=3.0)
)
"""What a vehicle says before its positions."""

POSITION = mavlink.global_position_int(
    5_250, 59.1, 28.1, 200.0, velocity_enu_mps=(1.0, 2.0, 3.0), sequence=7
)
