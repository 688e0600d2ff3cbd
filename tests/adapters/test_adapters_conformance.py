"""The kit: our adapters conform, and broken ones are found out."""

from typing import Any

import numpy as np
import pytest

from adapters import ais, mavlink, report
from adapters.report.encode import encode_arrays, encode_msgpack
from tests.adapters.samples import AIS_LINES, FLIGHT, POSITION, SENSORS, decode, line
from vedette import kit
from vedette.kit import Decoded, Detections, DetectionsBuilder, refusal, verify


def report_samples():
    found = decode(report.ADAPTER, [line(seq=seq) for seq in range(3)]).detections
    return [
        line(),
        line() + b"\n" + line(detections=[]),
        *encode_msgpack(found, SENSORS),
        *encode_arrays(found, SENSORS, reports_per_message=2),
    ]


TABLE: dict[str, Any] = {
    "report": (report.ADAPTER, report_samples, 0),
    "ais": (ais.ADAPTER, lambda: [*AIS_LINES, b"\n".join(AIS_LINES)], 1),
    "mavlink": (
        mavlink.ADAPTER,
        lambda: [FLIGHT + POSITION, POSITION[:9], POSITION[9:], b"xx" + POSITION[:20], POSITION],
        2,
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_adapter_conforms(name):
    adapter, samples, sensor = TABLE[name]
    found = verify(adapter, samples(), SENSORS[sensor])
    assert found.passed, str(found)
    assert len(found.passed_checks) == 7


class Toy:
    """Reads one byte: a bearing in degrees; 255 is refused."""

    name = "toy"
    version = "1"

    def check_options(self, options):
        return [f"options.{name}: unknown" for name in options]

    def bearing(self, payload, _state):
        return payload[0] if payload else 255

    def decode(self, messages, sensors, state):
        builder = DetectionsBuilder()
        refused = []
        for row, payload in enumerate(messages.payload):
            degrees = self.bearing(payload, state)
            offset = int(messages.offset[row])
            if degrees == 255:
                refused.append(
                    refusal(offset, 0, sensors[int(messages.sensor[row])].id,
                            kit.Reason.BAD_SHAPE, "no bearing")
                )  # fmt: skip
                continue
            received = int(messages.received[row])
            builder.report(
                sensor=messages.sensor[row], offset=offset, received=received, time=received
            )
            builder.detection(
                kind=kit.DetectionKind.BEARING, polar=(np.nan, np.deg2rad(degrees), np.nan, np.nan)
            )
        return Decoded(builder.build(), tuple(refused), builder.n_reports)


SAMPLES = [bytes([degrees]) for degrees in (10, 20, 255, 30, 40, 50, 60)]


def test_toy_conforms():
    found = verify(Toy(), SAMPLES)
    assert found.passed, str(found)
    assert "conforms" in str(found)


class Raises(Toy):
    def bearing(self, payload, _state):
        return payload[0]


class CountsBatches(Toy):
    calls = 0

    def decode(self, messages, sensors, state):
        self.calls += 1
        decoded = super().decode(messages, sensors, state)
        shift = decoded.detections.polar + 0.001 * len(messages)
        return Decoded(decoded.detections.replace(polar=shift), decoded.refused, decoded.decoded)


class Grows(Toy):
    def bearing(self, payload, state):
        kept = state.get("all") or []
        state.put("all", [*kept, payload * 64])
        return super().bearing(payload, state)


class ManyKeys(Toy):
    def bearing(self, payload, state):
        count = state.get("count") or 0
        state.put("count", count + 1)
        state.put(f"message {count}", 1)
        return super().bearing(payload, state)


class InPlace(Toy):
    def bearing(self, payload, state):
        kept = state.get("last") or {}
        state.put("last", kept)
        kept["payload"] = payload
        return super().bearing(payload, state)


class NotPlain(Toy):
    def bearing(self, payload, state):
        state.put("last", np.float64(1.0))
        state.put("other", {1, 2})
        return super().bearing(payload, state)


class OwnMemory(Toy):
    """Remembers outside its state, so a batch taken back leaves something behind."""

    def __init__(self):
        self.seen = 0

    def bearing(self, payload, state):
        self.seen += 1
        return (super().bearing(payload, state) + self.seen) % 250


class WrongOffset(Toy):
    def decode(self, messages, sensors, state):
        decoded = super().decode(messages, sensors, state)
        return Decoded(decoded.detections.replace(offset=decoded.detections.offset + 1000))


class WrongDtype(Toy):
    def decode(self, messages, sensors, state):
        decoded = super().decode(messages, sensors, state)
        return Decoded(decoded.detections.replace(polar=decoded.detections.polar.astype("f4")))


class Silent(Toy):
    def decode(self, _messages, _sensors, _state):
        return Decoded(Detections.empty())


class AnyOption(Toy):
    def check_options(self, _options):
        return []


@pytest.mark.parametrize(
    ("adapter", "check", "says"),
    [
        (Raises(), "damage", "IndexError"),
        (CountsBatches(), "batches", "polar"),
        (Grows(), "memory", "remembered"),
        (ManyKeys(), "memory", "keys"),
        (InPlace(), "samples", "in place"),
        (NotPlain(), "samples", "plain data"),
        (OwnMemory(), "batches", "polar"),
        (WrongOffset(), "samples", "offset"),
        (WrongDtype(), "samples", "Detections.polar"),
        (Silent(), "samples", "no sample"),
        (AnyOption(), "options", "unknown option"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Toy) else "",
)
def test_broken_adapter_is_found_out(adapter, check, says):
    found = verify(adapter, SAMPLES)
    assert not found.passed
    told = [failure for failure in found.failures if failure.startswith(check)]
    assert told, str(found)
    assert says in told[0]
    assert "DOES NOT CONFORM" in str(found)


def test_no_adapter_at_all():
    nothing: Any = object()
    found = verify(nothing, SAMPLES)
    assert any("decode" in failure for failure in found.failures)


def test_kit_is_whole():
    assert kit.KIT_VERSION.count(".") == 2
    assert all(hasattr(kit, name) for name in kit.__all__)
