"""CPU of decoding and gating, beside a plain decoder on the same bytes in the same run.

What is measured is `ingest.pipeline.Ingest` as the core calls it: topics sorted to adapters, bytes
decoded into arrays, sequence numbers looked up, every value checked. The plain decoder beside it
only makes Python objects of the bytes, message by message, and checks nothing; of the fast form it
makes NumPy arrays. The ratio says what arrays and checks cost or save. A second column has
`json.loads` of the same reports, whatever their form: what they cost most programs. All times are
CPU of this process, the least of the rounds, in which they take turns.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyais
from pymavlink.dialects.v20 import common

from adapters.ais.encode import position_report
from adapters.mavlink.encode import global_position_int, gps_raw_int, heartbeat, system_time
from adapters.registry import load_all
from adapters.report.arrays import DETECTION_COLUMNS, REPORT_COLUMNS
from adapters.report.encode import encode_arrays, encode_json, encode_msgpack
from benchmarks.reports import REGION, START_NS
from benchmarks.standard import SIGMA_M
from ingest.pipeline import Ingest
from model.detections import NAN, SCHEMA, DetectionKind, Detections, Mode
from model.ports import Adapter
from model.records import Kind, Record
from model.sensors import Sensor, Sensors
from model.time import NS_PER_S

BATCH = 512
"""Messages in a call, as the link hands them over when many come."""

ROUNDS = 5
"""Each decodes everything, plain and ours in turns; the least counts."""

DETECTIONS = 20_000
"""Detections of the reports of one form in a round."""

MESSAGES = 4_000
"""Sentences, or groups of four frames, in a round; also the most reports of one form."""

PACE_NS = NS_PER_S // 1000
"""Time between two messages."""

NODE = "bench"
SENSORS = Sensors(
    [
        Sensor("radar", position=(REGION.latitude, REGION.longitude, 0.0)),
        Sensor("shore", adapter="ais", cooperative=True),
        Sensor("uav", adapter="mavlink", cooperative=True),
    ]
)


@dataclass(frozen=True, slots=True)
class Case:
    """One form of the same load.

    Parameters
    ----------
    name
        For the table.
    topic
        Where the messages come.
    payloads
        The messages.
    plain
        Decodes all of them in the plain way and returns the number of what it found.
    plain_name
        What it is.
    found
        What `plain` must return.
    reports, detections
        What must pass the gate.
    as_json
        The same reports as JSON, if they are reports.
    """

    name: str
    topic: str
    payloads: Sequence[bytes]
    plain: Callable[[Sequence[bytes]], int]
    plain_name: str
    found: int
    reports: int
    detections: int
    as_json: Sequence[bytes] = ()


def run(
    *, detections: int = DETECTIONS, messages: int = MESSAGES, rounds: int = ROUNDS
) -> dict[str, Any]:
    """Measure; returns ``{"forms": {"json 10": {"us_per_report", "plain_us", "ratio", ...}}}``.

    Of report forms there is also ``json_loads_us`` and ``json_loads_ratio``.

    Parameters
    ----------
    detections, messages, rounds
        As the constants of these names.
    """
    adapters = load_all()
    rows: dict[str, Any] = {}
    print("CPU us per report  ours   plain  ratio  json.loads  ratio  detections/CPU-s  plain is")
    for case in _cases(detections, messages):
        own, plain, loads = (1e6 * cpu / case.reports for cpu in _measure(case, adapters, rounds))
        rate = 1e6 * case.detections / case.reports / own
        beside = f"{loads:10.2f}  {own / loads:5.2f}" if loads else f"{'-':>10s}  {'-':>5s}"
        print(
            f"{case.name:16s} {own:6.2f}  {plain:6.2f}  {own / plain:5.2f}  {beside}"
            f"  {rate:16,.0f}  {case.plain_name}"
        )
        rows[case.name] = {
            "us_per_report": round(own, 3),
            "plain_us": round(plain, 3),
            "plain": case.plain_name,
            "ratio": round(own / plain, 3),
            "detections_per_cpu_s": round(rate),
        }
        if loads:
            rows[case.name]["json_loads_us"] = round(loads, 3)
            rows[case.name]["json_loads_ratio"] = round(own / loads, 3)
    return {"forms": rows}


def _cases(detections: int, messages: int) -> list[Case]:
    cases = []
    for each in (1, 10):
        table = _reports(min(detections // each, messages), each)
        cases += [
            _report_case(f"json {each}", encode_json(table, SENSORS), _json, "json.loads", table),
            _report_case(
                f"msgpack {each}", encode_msgpack(table, SENSORS), _pack, "msgspec to dicts", table
            ),
        ]
    table = _reports(min(detections // 50, messages), 50)
    packed = encode_arrays(table, SENSORS)
    cases.append(_report_case("arrays 50", packed, _arrays, "msgspec and frombuffer", table))
    return [*cases, _ais(messages), _mavlink(messages)]


def _measure(
    case: Case, adapters: Mapping[str, Adapter], rounds: int
) -> tuple[float, float, float]:
    """Least CPU seconds of a round: ours, plain, and `json.loads` of the same (0: no reports)."""
    records = [
        Record(offset, Kind.MESSAGE, START_NS + offset * PACE_NS, case.topic, payload)
        for offset, payload in enumerate(case.payloads)
    ]
    own, plain, loads = [], [], []
    for _ in range(rounds):
        ingest = Ingest(NODE, Mode.LIVE, SENSORS, adapters)
        start = time.process_time()
        tables = [
            ingest.process(records[first : first + BATCH]).detections
            for first in range(0, len(records), BATCH)
        ]
        own.append(time.process_time() - start)
        passed = (sum(t.n_reports for t in tables), sum(t.n_detections for t in tables))
        assert passed == (case.reports, case.detections), f"{case.name}: {passed} passed"
        start = time.process_time()
        found = case.plain(case.payloads)
        plain.append(time.process_time() - start)
        assert found == case.found, f"{case.name}: the plain decoder found {found}"
        start = time.process_time()
        _json(case.as_json)
        loads.append(time.process_time() - start if case.as_json else 0.0)
    return min(own), min(plain), min(loads)


def _reports(count: int, each: int) -> Detections:
    """`count` reports of `each` positions."""
    rng = np.random.default_rng(20_241_122)
    rows = count * each
    lengths = {"report": count, "detection": rows, "vertex": 0}
    table = {name: column.empty(lengths[column.axis]) for name, column in SCHEMA.items()}
    east, north = rng.uniform(-20_000, 20_000, (2, rows))
    table["sensor"][:] = 0
    table["time"][:] = START_NS + np.arange(count) * PACE_NS
    table["boot"][:] = b"b1"
    table["seq"][:] = np.arange(count)
    table["report"][:] = np.repeat(np.arange(count), each)
    table["item"][:] = np.tile(np.arange(each), count)
    table["detection_time"][:] = np.repeat(table["time"], each)
    table["kind"][:] = DetectionKind.POSITION
    table["position"][:] = REGION.geodetic_from_plane(east, north, np.zeros(rows))
    table["position"][:, 2] = NAN
    table["covariance"][:, :3] = SIGMA_M**2, 0.0, SIGMA_M**2
    table["snr_db"][:] = rng.uniform(10, 20, rows).round(1)
    return Detections(**table).check()


def _report_case(
    name: str,
    payloads: list[bytes],
    plain: Callable[[Sequence[bytes]], int],
    plain_name: str,
    table: Detections,
) -> Case:
    topic = f"vedette/{NODE}/sensors/radar/reports"
    count = table.n_detections
    as_json = encode_json(table, SENSORS)
    return Case(name, topic, payloads, plain, plain_name, count, table.n_reports, count, as_json)


def _json(payloads: Sequence[bytes]) -> int:
    return sum(len(json.loads(payload)["detections"]) for payload in payloads)


def _pack(payloads: Sequence[bytes]) -> int:
    decode = msgspec.msgpack.Decoder().decode
    return sum(len(decode(payload)["detections"]) for payload in payloads)


def _arrays(payloads: Sequence[bytes]) -> int:
    decode = msgspec.msgpack.Decoder().decode
    found = 0
    for payload in payloads:
        message = decode(payload)
        for part, columns in (("reports", REPORT_COLUMNS), ("detections", DETECTION_COLUMNS)):
            arrays = {
                name: np.frombuffer(data, dtype=columns[name][0])
                for name, data in message[part].items()
            }
        found += len(arrays["kind"])
    return found


def _ais(messages: int) -> Case:
    """One sentence a message, of ships of two classes."""
    payloads = [
        position_report(
            230_000_000 + row % 997,
            59.4 + row % 997 * 1e-4,
            24.7 + row % 991 * 1e-4,
            sog_mps=5.0,
            cog_deg=row % 360,
            class_b=row % 4 == 0,
        )
        for row in range(messages)
    ]

    def plain(lines: Sequence[bytes]) -> int:
        return sum(pyais.decode(line).mmsi > 0 for line in lines)

    topic = f"vedette/{NODE}/sensors/shore/raw"
    return Case("ais", topic, payloads, plain, "pyais.decode", messages, messages, messages)


def _mavlink(messages: int) -> Case:
    """Four frames a message: heartbeat, clock, receiver, position; one report of them."""
    payloads = []
    for row in range(messages):
        place = (59.4 + row * 1e-6, 28.2 + row * 1e-6, 120.0)
        boot_ms = 1_000 + row
        frames = (
            heartbeat(sequence=4 * row),
            system_time(START_NS + row * PACE_NS, boot_ms, sequence=4 * row + 1),
            gps_raw_int(*place, height_hae_m=137.0, h_acc_m=1.5, sequence=4 * row + 2),
            global_position_int(
                boot_ms, *place, velocity_enu_mps=(3.0, 4.0, 0.0), sequence=4 * row + 3
            ),
        )
        payloads.append(b"".join(frames))

    def plain(stretches: Sequence[bytes]) -> int:
        link = common.MAVLink(None)
        return sum(len(link.parse_buffer(stretch) or ()) for stretch in stretches)

    topic = f"vedette/{NODE}/sensors/uav/raw"
    found = 4 * messages
    return Case(
        "mavlink 4 frames", topic, payloads, plain, "parse_buffer", found, messages, messages
    )
