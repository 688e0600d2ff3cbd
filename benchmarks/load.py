"""The load of the ingest benchmark, and the process that sends it.

Twenty radars, 4 km apart, each with movers of its own 400 m apart and no other radar near, so that
association is easy and what is measured is the way through the node. Six of them (30 %) see one
mover, the others ten. Every second round of reports is JSON, the others MessagePack.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np

from benchmarks.lean import LeanPublisher
from benchmarks.reports import REGION
from link.publisher import Published, Publisher
from link.settings import ClientSettings
from model.arrays import Floats
from model.errors import LinkError
from model.time import NS_PER_S
from vedette.local.process import watch_parent

SENSORS = 20
SINGLES = 6
"""The first so many sensors see one mover, the others `MOVERS`."""

MOVERS = 10
SPEED_MPS = 5.0
SIGMA_M = 5.0
SENSOR_SPACING_M = 4_000.0
MOVER_SPACING_M = 400.0
RANGE_M = 1_600.0
"""What a radar covers: its own movers and nobody else's."""

BOOT = "bench"
NOMINAL_HZ = 1_000.0
"""Of the report times of a flood, which all lie in the past."""

MAX_SPAN_S = 20.0
"""Longest span of the report times of a flood: the gate refuses what is older than 60 s."""

IN_FLIGHT = 1_000
"""Messages of the publisher under way at most."""

GRAIN_NS = 2_000_000
"""What is due within so long is sent together, ns: a sender that wakes for each report takes more
from the node that it measures."""

CONNECT_S = 10.0
"""How long the broker may take to answer, s."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent.

    Parameters
    ----------
    node
        Whose topics.
    count
        Reports.
    rate_hz
        Reports per second of all sensors together; 0: as fast as they go.
    jitter_ms
        A report is sent up to so much after the time it bears, at random.
    """

    node: str
    count: int
    rate_hz: float = 0.0
    jitter_ms: float = 0.0

    @property
    def times_hz(self) -> float:
        """Reports per second by the times they bear."""
        return self.rate_hz or max(NOMINAL_HZ, self.count / MAX_SPAN_S)

    @property
    def per_sensor(self) -> list[int]:
        """Reports of each sensor; their sequence numbers count from 0."""
        return [(self.count - sensor + SENSORS - 1) // SENSORS for sensor in range(SENSORS)]

    @property
    def detections(self) -> int:
        """Detections in all of them."""
        each = (1 if sensor < SINGLES else MOVERS for sensor in range(SENSORS))
        return sum(n * m for n, m in zip(self.per_sensor, each, strict=True))

    def due_ns(self) -> list[int]:
        """When each report is due after the start, ns; also what its time counts from."""
        return [round(number * NS_PER_S / self.times_hz) for number in range(self.count)]

    def encoded(self, start_ns: int) -> list[tuple[str, bytes]]:
        """Topic and payload of each report, in the order in which they are sent."""
        late = np.random.default_rng(2).uniform(0.0, self.jitter_ms * 1e6, self.count)
        json_encode = msgspec.json.Encoder().encode
        pack = msgspec.msgpack.Encoder().encode
        messages = []
        for number, (after, delay, places) in enumerate(
            zip(self.due_ns(), late.tolist(), self._places(), strict=True)
        ):
            sensor, seq = number % SENSORS, number // SENSORS
            report = {
                "sensor": sensor_id(sensor),
                "time_ns": start_ns + after - int(delay),
                "boot": BOOT,
                "seq": seq,
                "mode": "live",
                "detections": [
                    {"kind": "position", "lat": lat, "lon": lon, "sigma_m": SIGMA_M}
                    for lat, lon in places
                ],
            }
            topic = f"vedette/{self.node}/sensors/{sensor_id(sensor)}/reports"
            messages.append((topic, pack(report) if seq % 2 else json_encode(report)))
        return messages

    def _places(self) -> Iterator[list[list[float]]]:
        """Latitude and longitude (degrees) of what each report sees, at its due time."""
        rng = np.random.default_rng(1)
        base = centres()[:, None, :] + _pattern()[None, :, :]
        course = rng.uniform(0, 2 * np.pi, (SENSORS, MOVERS))
        velocity = SPEED_MPS * np.stack([np.sin(course), np.cos(course)], axis=-1)
        numbers = np.arange(self.count)
        seconds = numbers / self.times_hz
        for rows in np.array_split(numbers, max(1, self.count // 1_000)):
            sensor = rows % SENSORS
            plane = base[sensor] + velocity[sensor] * seconds[rows, None, None]
            plane += rng.normal(0.0, SIGMA_M, plane.shape)
            geodetic = REGION.geodetic_from_plane(
                plane[..., 0], plane[..., 1], np.zeros(plane.shape[:2])
            )
            degrees = np.degrees(geodetic[..., :2]).tolist()
            for row, places in zip(sensor.tolist(), degrees, strict=True):
                yield places[:1] if row < SINGLES else places


def sensor_id(sensor: int) -> str:
    """Name of a sensor."""
    return f"radar-{sensor:02d}"


def movers() -> int:
    """Movers that are seen: confirmed tracks of a node that does its work."""
    return SINGLES + (SENSORS - SINGLES) * MOVERS


def centres() -> Floats:
    """(SENSORS, 2) east, north m of the sensors."""
    number = np.arange(SENSORS)
    return SENSOR_SPACING_M * np.stack([number % 5 - 2.0, number // 5 - 1.5], axis=1)


def _pattern() -> Floats:
    """(MOVERS, 2) east, north m of a sensor's movers from it."""
    number = np.arange(MOVERS)
    return MOVER_SPACING_M * np.stack([number % 5 - 2.0, number // 5 - 0.5], axis=1)


def site_sensors(load: Load) -> list[dict[str, Any]]:
    """The ``[[sensor]]`` tables."""
    plane = centres()
    geodetic = REGION.geodetic_from_plane(plane[:, 0], plane[:, 1], np.zeros(SENSORS))
    return [
        {
            "id": sensor_id(number),
            "position": {"lat": lat, "lon": lon, "alt_m": 0.0},
            "coverage": {"range_m": [0.0, RANGE_M]},
            "period_s": SENSORS / load.times_hz,
            "sigma_m": SIGMA_M,
            "detection_probability": 0.9,
            "clutter_per_scan": 0.1,
        }
        for number, (lat, lon) in enumerate(np.degrees(geodetic[:, :2]).tolist())
    ]


def send(load: Load, settings: ClientSettings) -> dict[str, Any]:
    """Encode everything, then send it.

    Returns
    -------
    dict
        When it began and ended, how far it fell behind its pace, and what became of the messages.
    """
    with connected(settings) as publisher:
        if load.rate_hz:
            began_ns, messages = _in_time(load)
            due = (began_ns + after_ns for after_ns in load.due_ns())
            rows = ((at, *message) for at, message in zip(due, messages, strict=True))
            return paced(publisher, began_ns, rows)
        span_ns = round(load.count / load.times_hz * NS_PER_S)
        messages = load.encoded(time.time_ns() - span_ns)
        began_ns = time.time_ns()
        return _outcome(began_ns, 0, publisher.publish_all(messages))


class Sender(Protocol):
    """What sends."""

    def publish(self, topic: str, payload: bytes) -> None:
        """Send a message now, or with the next `push`."""

    def push(self) -> None:
        """Have everything on its way."""

    def publish_all(self, messages: Iterable[tuple[str, bytes]]) -> Published:
        """Send messages and wait for their acks."""

    def flush(self) -> Published:
        """Wait for all acks; what became of the messages."""


class _OldSender(Publisher):
    """For brokers that do not speak MQTT 5."""

    def push(self) -> None:
        """Every message is on its way already."""


@contextmanager
def connected(settings: ClientSettings) -> Iterator[Sender]:
    """A sender whose broker answers; stopped at the end."""
    if settings.protocol == "5":
        lean = LeanPublisher(settings, IN_FLIGHT)
        lean.start()
        try:
            yield lean
        finally:
            lean.stop()
        return
    publisher = _OldSender(settings, in_flight=IN_FLIGHT)
    publisher.start()
    try:
        if not publisher.wait_connected(CONNECT_S):
            raise LinkError(f"broker {settings.name} does not answer")
        yield publisher
    finally:
        publisher.stop()


def paced(
    publisher: Sender, began_ns: int, messages: Iterable[tuple[int, str, bytes]]
) -> dict[str, Any]:
    """Send each message (UTC ns when it is due, topic, payload) when it is due; as `send`."""
    behind_ns = 0
    for due_ns, topic, payload in messages:
        left_ns = due_ns - time.time_ns()
        if left_ns > GRAIN_NS:
            publisher.push()
            time.sleep(left_ns / NS_PER_S)
        behind_ns = max(behind_ns, -left_ns)
        publisher.publish(topic, payload)
    return _outcome(began_ns, behind_ns, publisher.flush())


def _outcome(began_ns: int, behind_ns: int, published: Published) -> dict[str, Any]:
    return {
        "began_ns": began_ns,
        "ended_ns": time.time_ns(),
        "behind_ms": round(behind_ns / 1e6, 1),
        **published._asdict(),
    }


def _in_time(load: Load) -> tuple[int, list[tuple[str, bytes]]]:
    """A start to come, and messages encoded for it before it comes."""
    margin_ns = NS_PER_S // 2
    while True:
        start_ns = time.time_ns() + margin_ns
        messages = load.encoded(start_ns)
        if time.time_ns() < start_ns:
            return start_ns, messages
        margin_ns *= 2


def main() -> int:
    """Send a load and write what became of it."""
    parser = sender_arguments("load")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--jitter-ms", type=float, default=0.0)
    args = parser.parse_args()
    watch_parent()
    load = Load(args.node, args.count, args.rate_hz, args.jitter_ms)
    tell(args.out, send(load, settings_of(args, "load")))
    return 0


def sender_arguments(module: str) -> argparse.ArgumentParser:
    """What every process that sends is told."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{module}")
    parser.add_argument("out", type=Path, help="file for the outcome, JSON")
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--protocol", required=True)
    parser.add_argument("--node", required=True)
    parser.add_argument("--rate-hz", type=float, default=0.0)
    return parser


def settings_of(args: argparse.Namespace, name: str) -> ClientSettings:
    """How a process that sends speaks to the broker."""
    return ClientSettings(args.host, args.port, f"{name}-{args.node}", protocol=args.protocol)


def tell(out: Path, outcome: dict[str, Any]) -> None:
    """Write an outcome, so that the file is whole as soon as it is there."""
    fresh = out.with_suffix(".new")
    fresh.write_text(json.dumps(outcome))
    fresh.rename(out)


if __name__ == "__main__":
    sys.exit(main())
