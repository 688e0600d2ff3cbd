"""The load of a whole border: sixty radars, ten thousand movers, two thousand reports a second.

Every radar looks at a sector at a time, round and round. 30 % of the radars see one mover in each
look, the others fourteen, so a report holds ten on average. Every second round of reports is JSON,
the others MessagePack, and a fifth of the reports comes late. Movers go in small circles, so they
stay where their radar looks for them, however long the load lasts.
"""

import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from benchmarks.load import connected, paced, sender_arguments, settings_of, tell
from benchmarks.reports import REGION
from link.settings import ClientSettings
from model.arrays import Floats, Int64s
from model.time import NS_PER_S
from vedette.local.process import watch_parent

SENSORS = 60
SINGLES = 18
"""The first so many radars see one mover a look: 30 %."""

MOVERS = 168
"""Of each radar: 10,080 in all."""

EACH = 14
"""Movers in a look of the other radars: twelve sectors of 30 degrees."""

SECTORS = MOVERS // EACH
RINGS_M = np.arange(1_200.0, 4_000.0, 400.0)
"""Ranges at which movers circle, m: neighbours are never nearer than 300 m."""

REACH_M = 4_000.0
SPACING_M, COLUMNS = 9_000.0, 10
SIGMA_M = 5.0
CIRCLE_M = 50.0
SPEED_MPS = 5.0
LATE = 0.2
LATE_S = (0.1, 0.5)
"""So large a part of the reports comes so much after its time, at random."""

BOOT = "bench"
CHUNK = 200
"""Reports encoded at a time: a tenth of a second of the full rate."""


@dataclass(frozen=True, slots=True)
class Border:
    """What is sent.

    Parameters
    ----------
    node
        Whose topics.
    count
        Reports.
    rate_hz
        Reports per second of all sensors together.
    """

    node: str
    count: int
    rate_hz: float

    @property
    def detections(self) -> int:
        """Detections in all of them."""
        numbers = np.arange(self.count) % SENSORS
        return int(np.where(numbers < SINGLES, 1, EACH).sum())

    def due_ns(self) -> Int64s:
        """(count,) when each report is due after the start, ns."""
        due: Int64s = np.rint(np.arange(self.count) * (NS_PER_S / self.rate_hz)).astype(np.int64)
        return due

    def messages(self, start_ns: int) -> Iterator[tuple[int, str, bytes]]:
        """When each report is due, UTC ns, topic and payload; made as they are asked for."""
        rng = np.random.default_rng(3)
        late = (
            np.where(rng.random(self.count) < LATE, rng.uniform(*LATE_S, self.count), 0.0)
            * NS_PER_S
        )
        json_encode, pack = msgspec.json.Encoder().encode, msgspec.msgpack.Encoder().encode
        topics = [f"vedette/{self.node}/sensors/{sensor_id(n)}/reports" for n in range(SENSORS)]
        due = self.due_ns()
        for first in range(0, self.count, CHUNK):
            numbers = np.arange(first, min(first + CHUNK, self.count))
            borne = due[numbers] - late[numbers].astype(np.int64)
            for number, time_ns, (look, places) in zip(
                numbers.tolist(),
                borne.tolist(),
                _looks(numbers, borne / NS_PER_S, rng),
                strict=True,
            ):
                sensor, seq = number % SENSORS, number // SENSORS
                report = {
                    "sensor": sensor_id(sensor),
                    "time_ns": start_ns + time_ns,
                    "boot": BOOT,
                    "seq": seq,
                    "looked": look,
                    "detections": [
                        {"kind": "position", "lat": lat, "lon": lon, "sigma_m": SIGMA_M}
                        for lat, lon in places
                    ],
                }
                payload = pack(report) if seq % 2 else json_encode(report)
                yield start_ns + int(due[number]), topics[sensor], payload


def _looks(
    numbers: Int64s, seconds: Floats, rng: np.random.Generator
) -> Iterator[tuple[dict[str, Any], list[list[float]]]]:
    """What each report has looked at, and latitude and longitude (degrees) of what it saw."""
    sensor, turn = numbers % SENSORS, numbers // SENSORS
    single = sensor < SINGLES
    base, phase = centres(), 2.0 * np.pi * np.arange(MOVERS) / MOVERS
    which = np.where(
        single[:, None],
        (turn % MOVERS)[:, None],
        (turn % SECTORS)[:, None] * EACH + np.arange(EACH),
    )
    azimuth, distance = _places(single)
    rows = np.arange(len(numbers))[:, None]
    azimuth, distance = azimuth[rows, which], distance[rows, which]
    angle = phase[which] + SPEED_MPS / CIRCLE_M * seconds[:, None]
    east = base[sensor, 0][:, None] + distance * np.sin(azimuth) + CIRCLE_M * np.cos(angle)
    north = base[sensor, 1][:, None] + distance * np.cos(azimuth) + CIRCLE_M * np.sin(angle)
    east += rng.normal(0.0, SIGMA_M, east.shape)
    north += rng.normal(0.0, SIGMA_M, north.shape)
    degrees = np.degrees(
        REGION.geodetic_from_plane(east.ravel(), north.ravel(), np.zeros(east.size))[:, :2]
    ).reshape(*east.shape, 2)
    for row, alone in enumerate(single.tolist()):
        if alone:
            middle, far = math.degrees(azimuth[row, 0]), float(distance[row, 0])
            look = {
                "range_m": [far - 150.0, far + 150.0],
                "azimuth_deg": [(middle - 5.0) % 360.0, (middle + 5.0) % 360.0],
            }
            yield look, degrees[row, :1].tolist()
        else:
            left = 30.0 * float(turn[row] % SECTORS)
            look = {"range_m": [0.0, REACH_M], "azimuth_deg": [left, (left + 30.0) % 360.0]}
            yield look, degrees[row].tolist()


def _places(single: Any) -> tuple[Floats, Floats]:
    """(N, MOVERS) azimuth rad and range m of the movers of each report's radar."""
    number = np.arange(MOVERS)
    # Seven rings on two rays of each sector; or one mover a ray, on one ring after the other.
    pairs = 30.0 * (number // EACH) + np.where(number % 2, 7.5, 22.5)
    rays = number * (360.0 / MOVERS)
    azimuth: Floats = np.radians(np.where(single[:, None], rays, pairs))
    ring = np.where(single[:, None], number % len(RINGS_M), number % EACH // 2)
    return azimuth, RINGS_M[ring]


def sensor_id(sensor: int) -> str:
    """Name of a radar."""
    return f"radar-{sensor:02d}"


def centres() -> Floats:
    """(SENSORS, 2) east, north m of the radars."""
    number = np.arange(SENSORS)
    column, row = number % COLUMNS, number // COLUMNS
    middle = 0.5 * (COLUMNS - 1), 0.5 * (SENSORS // COLUMNS - 1)
    return SPACING_M * np.stack([column - middle[0], row - middle[1]], axis=1)


def site_sensors(rate_hz: float) -> list[dict[str, Any]]:
    """The ``[[sensor]]`` tables; a period is the time from one look at a place to the next."""
    plane = centres()
    geodetic = REGION.geodetic_from_plane(plane[:, 0], plane[:, 1], np.zeros(SENSORS))
    each_s = SENSORS / rate_hz
    return [
        {
            "id": sensor_id(number),
            "position": {"lat": lat, "lon": lon, "alt_m": 0.0},
            "coverage": {"range_m": [0.0, REACH_M]},
            "period_s": each_s * (MOVERS if number < SINGLES else SECTORS),
            "sigma_m": SIGMA_M,
            "detection_probability": 0.95,
            "clutter_per_scan": 0.01,
            "class": {"land_vehicle": 1.0},
        }
        for number, (lat, lon) in enumerate(np.degrees(geodetic[:, :2]).tolist())
    ]


LEAD_S = 1.0
"""The first report is due so much after the sender is connected."""


def send(border: Border, settings: ClientSettings) -> dict[str, Any]:
    """Send a load at its pace; returns when it began and ended, and what became of the messages."""
    with connected(settings) as publisher:
        began_ns = time.time_ns() + round(LEAD_S * NS_PER_S)
        return paced(publisher, began_ns, border.messages(began_ns))


def main() -> int:
    """Send a load and write what became of it."""
    parser = sender_arguments("border")
    parser.add_argument("--count", type=int, required=True)
    args = parser.parse_args()
    watch_parent()
    border = Border(args.node, args.count, args.rate_hz)
    tell(args.out, send(border, settings_of(args, "border")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
