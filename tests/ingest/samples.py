"""A small node and its records."""

import json
from contextlib import suppress
from itertools import pairwise

import numpy as np

from adapters import ais, mavlink, report
from ingest.limits import Limits
from ingest.pipeline import Ingest
from model.detections import Detections, DetectionsBuilder, Mode
from model.ports import Adapter, Decoded
from model.records import Kind, Record
from model.sensors import Sensor, Sensors

NOW_NS = 1_772_366_400_000_000_000
"""2026-03-01T12:00:00Z."""

SENSORS = Sensors(
    [
        Sensor("radar-1", position=(1.0, 0.5, 10.0)),
        Sensor("ais-1", adapter="ais", topics=("port/ais", "port/+/nmea")),
        Sensor("uav-1", adapter="mavlink"),
        Sensor("camera-1"),
        Sensor("slow-1", max_rate_hz=1.0),
        Sensor("bad-1", adapter="bad"),
    ]
)
ADAPTERS: dict[str, Adapter] = {
    "report": report.ADAPTER,
    "ais": ais.ADAPTER,
    "mavlink": mavlink.ADAPTER,
}


class BadAdapter:
    """Does as its bytes say: raises, loops, remembers, or breaks the contract."""

    name = "bad"
    version = "1"

    def check_options(self, _options):
        return []

    def decode(self, messages, _sensors, state):
        builder = DetectionsBuilder()
        for row, payload in enumerate(messages.payload):
            seen = (state.get("seen") or 0) + 1
            state.put("seen", seen)
            if payload == b"raise":
                raise ZeroDivisionError(f"object at 0x7f{row:012x}")
            while payload == b"loop":
                pass
            while payload == b"stubborn":
                with suppress(Exception):  # what bad decoders do
                    sum(range(1000))
            builder.report(
                sensor=messages.sensor[row],
                offset=messages.offset[row] + (1000 if payload == b"shift" else 0),
                received=messages.received[row],
                time=messages.received[row],
                seq=seen,
                boot=b"b",
            )
        return Decoded(builder.build(), (), builder.n_reports)


def node(mode=Mode.LIVE, sensors=SENSORS, **limits):
    """Ingest of the node."""
    return Ingest("north", mode, sensors, {**ADAPTERS, "bad": BadAdapter()}, Limits(**limits))


def topic(sensor, leaf="reports"):
    return f"vedette/north/sensors/{sensor}/{leaf}"


def record(offset, where, payload, received_ns=NOW_NS, kind=Kind.MESSAGE):
    return Record(offset, kind, received_ns, where, payload)


POSITION = {"kind": "position", "lat": 59.41, "lon": 28.21}


def said(sensor="radar-1", *detections, **fields):
    """A report as JSON; with no detection given it has one position."""
    body = {
        "sensor": sensor,
        "time_ns": NOW_NS,
        "detections": list(detections) or [POSITION],
        **fields,
    }
    return json.dumps(body).encode()


def reasons(ingested):
    """(offset, item, reason) of what was refused."""
    return [(entry.offset, entry.item, entry.reason.value) for entry in ingested.quarantined]


def run(ingest, records, sizes=(), **given):
    """Records cut into batches of these sizes, the rest in one."""
    edges = [0, *np.cumsum(sizes).tolist(), len(records)] if sizes else [0, len(records)]
    edges = sorted({min(edge, len(records)) for edge in edges})
    return [ingest.process(records[a:b], **given) for a, b in pairwise(edges)]


def outcome(parts):
    """All that batches gave, in a form that compares."""
    found = Detections.concat([part.detections for part in parts])
    columns = {
        name: column.tobytes() for name, column in found.columns().items() if name != "vertices"
    }
    refused = sorted(
        (entry for part in parts for entry in part.quarantined),
        key=lambda entry: (entry.offset, entry.item, entry.detail),
    )
    return columns, refused, sum(part.decoded for part in parts)
