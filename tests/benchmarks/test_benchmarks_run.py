"""Each benchmark runs at a small size and returns the keys that others quote. Nothing is timed."""

import json
import math
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from benchmarks import adapters, ingest, storage
from benchmarks.load import MOVERS, SENSORS, SINGLES, Load, movers, sensor_id

pytestmark = pytest.mark.slow

FORMS = {"json 1", "json 10", "msgpack 1", "msgpack 10", "arrays 50", "ais", "mavlink 4 frames"}


def figures(value: Any) -> Iterator[float]:
    """Every number in a result."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from figures(inner)
    elif isinstance(value, int | float):
        yield value


def checked(result: dict[str, Any]) -> dict[str, Any]:
    """The result as a reader of the JSON line gets it; every number is one."""
    read: dict[str, Any] = json.loads(json.dumps(result, allow_nan=False))
    assert read == result
    assert all(math.isfinite(number) for number in figures(result))
    return result


def test_adapters_measures_every_form_beside_a_plain_decoder():
    result = checked(adapters.run(detections=200, messages=60, rounds=1))
    assert set(result["forms"]) == FORMS
    for name, row in result["forms"].items():
        assert min(row[key] for key in ("us_per_report", "plain_us", "ratio")) > 0, name
        assert row["detections_per_cpu_s"] > 0
        assert row["plain"]
        assert ("json_loads_ratio" in row) == (name not in {"ais", "mavlink 4 frames"})


@pytest.mark.database
def test_storage_writes_the_same_rows_both_ways():
    result = checked(storage.run(sizes={50: 2, 200: 2}))
    assert set(result["batch"]) == {"50", "200"}
    for row in result["batch"].values():
        assert row["rows_per_s"] > 0
        assert row["plain_rows_per_s"] > 0
        assert row["client_us_per_row"] > 0


@pytest.mark.node
@pytest.mark.broker
@pytest.mark.database
def test_ingest_loses_and_doubles_nothing():
    border_hz, border_s = 60.0, 8.0
    result = checked(
        ingest.run(
            flood=300, paces_hz=(40.0,), seconds=4.0, borders=((border_hz, border_s),), spells=2
        )
    )
    assert set(result["phases"]) == {"pace-40", "flood"}
    assert (result["lost"], result["duplicated"]) == (0, 0)
    for phase in result["phases"].values():
        assert phase["sent"] == phase["acknowledged"]
        assert phase["quarantined"] == 0
        assert phase["tracks_confirmed"] == movers()
    for key in ("reports_per_s", "detections_per_s", "p99_latency_ms", "commit_p99_ms"):
        assert result[key] > 0
    assert result["plain"]["stored_per_s"] > 0
    refused = result["neighbour"]["refused"]
    shed = sum(count for reason, count in refused.items() if reason.startswith("shed_"))
    assert result["neighbour"]["missing"] <= shed  # none on a machine that has time
    assert refused["rate"] > 0
    (border,) = result["borders"]
    assert border["sent"] == border["acknowledged"] == border_hz * border_s
    assert (border["lost"], border["duplicated"]) == (0, 0)
    assert sum(border["refused"].values()) == border["shed"]
    assert not border["pages_failed"]
    assert len(border["partner_rows"]) == 5
    assert min(border["page_messages"]) > 0


@pytest.mark.parametrize("count", [1, 19, 20, 47])
def test_the_load_is_what_it_says(count):
    load = Load("north", count, rate_hz=100.0)
    messages = load.encoded(1_772_366_400_000_000_000)
    assert len(messages) == count == sum(load.per_sensor)
    for number, (topic, payload) in enumerate(messages):
        sensor, seq = number % SENSORS, number // SENSORS
        decode = json.loads if seq % 2 == 0 else msgspec.msgpack.decode
        report = decode(payload)
        assert topic == f"vedette/north/sensors/{report['sensor']}/reports"
        assert (report["sensor"], report["seq"]) == (sensor_id(sensor), seq)
        assert len(report["detections"]) == (1 if sensor < SINGLES else MOVERS)
    assert load.detections == sum(
        1 if number % SENSORS < SINGLES else MOVERS for number in range(count)
    )
