"""What sources report: nine radars with overlapping fields, movers on circles, some clutter."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgspec
import numpy as np

from benchmarks.reports import REGION
from ingest.routes import wrap
from model.arrays import Floats
from model.time import NS_PER_S

NODE = "north"
SENSORS = 9
SIDE = 3
SPACING_M = 3_000.0
RANGE_M = 2_600.0
"""Half as far again as half the spacing: most movers are seen by two radars or more."""

MOVERS = 27
CIRCLE_M = 150.0
SPEED_MPS = 12.0
SIGMA_M = 8.0
SEEN = 0.9
CLUTTER = 0.2
"""Mean number of false detections in a report."""

JSON, MSGPACK, FRAMED = range(3)
"""How a sensor's reports come; sensors take turns."""

_to_json = msgspec.json.Encoder().encode
_to_msgpack = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class Key:
    """By what a report is known everywhere."""

    sensor: str
    boot: str
    seq: int


@dataclass(frozen=True, slots=True)
class Message:
    """A report as it is published."""

    key: Key
    topic: str
    payload: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the payload, hexadecimal."""
        return sha256(self.payload).hexdigest()


def sensor_id(sensor: int) -> str:
    """Name of a sensor."""
    return f"radar-{sensor}"


def centres() -> Floats:
    """(SENSORS, 2) east, north m of the sensors."""
    number = np.arange(SENSORS)
    middle = (SIDE - 1) / 2.0
    return SPACING_M * np.stack([number % SIDE - middle, number // SIDE - middle], axis=1)


def site_sensors() -> list[dict[str, Any]]:
    """The ``[[sensor]]`` tables."""
    plane = centres()
    geodetic = REGION.geodetic_from_plane(plane[:, 0], plane[:, 1], np.zeros(SENSORS))
    return [
        {
            "id": sensor_id(number),
            "position": {"lat": lat, "lon": lon, "alt_m": 0.0},
            "coverage": {"range_m": [0.0, RANGE_M]},
            "period_s": 0.1,
            "sigma_m": SIGMA_M,
            "detection_probability": SEEN,
            "clutter_per_scan": CLUTTER,
            "class": {"land_vehicle": 1.0},
        }
        for number, (lat, lon) in enumerate(np.degrees(geodetic[:, :2]).tolist())
    ]


class Traffic:
    """Makes the reports of some sensors.

    Parameters
    ----------
    seed
        Of noise and clutter, and of where movers circle.
    sensors
        Indices of the sensors that are spoken for.
    boot
        New at each start of a source.
    """

    def __init__(self, seed: int, sensors: Sequence[int], boot: str) -> None:
        place = np.random.default_rng(seed)
        half = SPACING_M * SIDE / 2.0
        self._middle = place.uniform(-half, half, (MOVERS, 2))
        self._phase = place.uniform(0.0, 2.0 * np.pi, MOVERS)
        self._rng = np.random.default_rng([seed, *boot.encode()])
        self._centres = centres()
        self._sensors = list(sensors)
        self._boot = boot
        self._made = 0

    def next(self, time_ns: int) -> Message:
        """The next report; sensors take turns.

        Parameters
        ----------
        time_ns
            Its time, UTC ns.
        """
        sensor = self._sensors[self._made % len(self._sensors)]
        key = Key(sensor_id(sensor), self._boot, self._made // len(self._sensors))
        self._made += 1
        report = {
            "sensor": key.sensor,
            "time_ns": time_ns,
            "boot": key.boot,
            "seq": key.seq,
            "detections": [
                {"kind": "position", "lat": lat, "lon": lon, "sigma_m": SIGMA_M}
                for lat, lon in self._places(sensor, time_ns)
            ],
        }
        root = f"vedette/{NODE}/sensors/{key.sensor}"
        form = sensor % 3
        if form == FRAMED:
            payload = wrap(key.boot, key.seq, time_ns, _to_json(report))
            return Message(key, f"{root}/framed", payload)
        payload = _to_json(report) if form == JSON else _to_msgpack(report)
        return Message(key, f"{root}/reports", payload)

    def _places(self, sensor: int, time_ns: int) -> list[list[float]]:
        """Latitude and longitude, degrees, of what a sensor sees at a time."""
        rng = self._rng
        turn = SPEED_MPS / CIRCLE_M * (time_ns % (3_600 * NS_PER_S)) / NS_PER_S
        angle = self._phase + turn
        plane = self._middle + CIRCLE_M * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        near = np.hypot(*(plane - self._centres[sensor]).T) < RANGE_M
        plane = plane[near & (rng.random(MOVERS) < SEEN)]
        plane = plane + rng.normal(0.0, SIGMA_M, plane.shape)
        false = rng.poisson(CLUTTER)
        far, round_about = RANGE_M * np.sqrt(rng.random(false)), 2.0 * math.pi * rng.random(false)
        clutter = np.stack([np.sin(round_about), np.cos(round_about)], axis=1) * far[:, None]
        plane = np.concatenate([plane, self._centres[sensor] + clutter])
        degrees = np.degrees(
            REGION.geodetic_from_plane(plane[:, 0], plane[:, 1], np.zeros(len(plane)))[:, :2]
        )
        places: list[list[float]] = degrees.tolist()
        return places
