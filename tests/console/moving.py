"""A picture source that moves by arithmetic alone: the same time always gives the same picture.

``python -m tests.console.moving [tracks [port]]`` serves it, to look at the page by hand.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from console.app import create_app
from console.server import ServerThread
from console.source import ForeignTracks, Giver
from model.detections import IdentityKind, Mode
from model.taxonomy import CLASS_INDEX, N_CLASSES
from model.time import NS_PER_S
from model.tracks import Affiliation, Status, TrackUpdates, UpdateReason

LAT, LON = 58.64, 13.20
"""The middle of the circles: the south of Lake Vänern, Sweden; everything else is invented."""
METRES_PER_DEGREE = 111_320.0
SENSORS = ("radar-coast", "radar-hill", "ais", "uav-2", "fence-14")
SPEEDS = {
    "sea_vessel": 7.0,
    "land_vehicle": 16.0,
    "human": 1.4,
    "uav": 18.0,
    "air_vehicle": 62.0,
    "animal": 2.1,
    "unknown": 4.0,
    "other": 3.0,
}


FOREIGN_EVERY = 5
"""Foreign tracks for so many own ones."""


class MovingSource:
    """Tracks that drive in circles about a point; a new head each second, as a tracker gives them.

    Parameters
    ----------
    count
        Tracks; every tenth coasts and every ninth is tentative.
    clock
        UTC nanoseconds.
    """

    def __init__(self, count: int = 40, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._count = count
        rng = np.random.default_rng(7)
        self._east = rng.uniform(-9_000, 9_000, count)
        self._north = rng.uniform(-5_500, 5_500, count)
        self._radius = rng.uniform(300, 1_800, count)
        self._phase = rng.uniform(0, 2 * np.pi, count)
        self._sigma = rng.uniform(8, 160, (2, count))
        self._tilt = rng.uniform(-0.6, 0.6, count)
        labels = list(SPEEDS)
        self._labels = [labels[i % len(labels)] for i in range(count)]
        self._speed = np.array([SPEEDS[label] for label in self._labels])
        self.fault: Exception | None = None
        self.well = (True, "all sensors report")
        self.frozen: int | None = None
        self.partners: tuple[str, ...] = ("south", "east")
        self.doubted: dict[int, int] = {}

    def now(self) -> int:
        """The source's time; stands still once frozen."""
        return self._clock() if self.frozen is None else self.frozen

    def tracks(self) -> TrackUpdates:
        """Heads on the last whole second of each track's own beat, up to a second old."""
        if self.fault is not None:
            raise self.fault
        now = self.now()
        rows = np.arange(self._count)
        beat = (rows * 37 % 100) * (NS_PER_S // 100)
        status = np.where(rows % 10 == 3, Status.COASTING, Status.CONFIRMED)
        status = np.where(rows % 9 == 8, Status.TENTATIVE, status)
        heard = np.where(status == Status.COASTING, 6 * NS_PER_S, 0)
        valid = (now - beat) // NS_PER_S * NS_PER_S + beat - heard
        turned = self._speed / self._radius
        angle = self._phase + turned * ((valid % (100_000 * NS_PER_S)) / NS_PER_S)
        east = self._east + self._radius * np.sin(angle)
        north = self._north - self._radius * np.cos(angle)
        updates = TrackUpdates.empty(self._count)
        updates.known_offset[:] = valid // NS_PER_S
        updates.n[:] = rows
        updates.track_id[:] = 4_000_000_000_000_000_000 + rows * 7_919
        updates.number[:] = [f"{'ABCDEFGH'[i % 8]}{1000 + i * 37 % 9000}".encode() for i in rows]
        updates.authority_epoch[:] = 1
        updates.revision[:] = valid // NS_PER_S % 10_000
        updates.valid[:] = valid
        updates.known[:] = valid + NS_PER_S // 10
        updates.status[:] = status
        updates.reason[:] = np.where(heard > 0, UpdateReason.COASTED, UpdateReason.DETECTED)
        updates.state[:, 0] = np.radians(LAT + north / METRES_PER_DEGREE)
        updates.state[:, 1] = np.radians(LON + east / METRES_PER_DEGREE / np.cos(np.radians(LAT)))
        flying = np.isin(self._labels, ["uav", "air_vehicle"])
        updates.state[flying, 2] = 120.0 + 10.0 * rows[flying]
        updates.state[:, 3] = self._speed * np.cos(angle)
        updates.state[:, 4] = self._speed * np.sin(angle)
        grown = np.where(heard > 0, 2.5, 1.0)
        first, second = self._sigma * grown
        updates.covariance[:, 0] = first**2
        updates.covariance[:, 6] = second**2
        updates.covariance[:, 1] = self._tilt * first * second
        updates.covariance[:, [3, 4, 8, 9, 16]] = 0.0
        updates.covariance[:, [15, 18]] = 1.5**2
        updates.existence[:] = np.where(status == Status.COASTING, 0.71, 0.9 + rows % 10 / 100)
        for i, label in enumerate(self._labels):
            updates.classes[i] = 0.2 / (N_CLASSES - 1)
            updates.classes[i, CLASS_INDEX[label]] = 0.8
        updates.affiliation[:] = rows % len(Affiliation)
        vessel = np.array(self._labels) == "sea_vessel"
        updates.identity_kind[vessel] = IdentityKind.MMSI
        updates.identity[vessel] = [f"2760{i:05d}".encode() for i in rows[vessel]]
        updates.sensors[:, 0] = rows % len(SENSORS)
        updates.sensors[rows % 3 == 0, 1] = (rows[rows % 3 == 0] + 1) % len(SENSORS)
        updates.mode[:] = Mode.LIVE
        updates.stale[:] = valid + np.where(heard > 0, 8, 12) * NS_PER_S
        updates.stale[33::100] = valid[33::100] + 5 * NS_PER_S  # heard too long ago
        return updates.check()

    def foreign(self) -> Sequence[ForeignTracks]:
        """Some of the same movers as two partners see them, a little beside and later."""
        if self.fault is not None:
            raise self.fault
        own = self.tracks()
        given = []
        for index, node in enumerate(self.partners):
            rows = np.arange(index, len(own), FOREIGN_EVERY * 2)
            updates = own.take(rows[own.status[rows] == Status.CONFIRMED])
            updates.state[:, 0] += np.radians((120.0 + 900.0 * index) / METRES_PER_DEGREE)
            updates.number[:] = [f"{'XY'[index]}{2000 + i}".encode() for i in range(len(updates))]
            updates.sensors[:] = 77  # the giver's own indices, which mean nothing here
            path = (node, "relay") if index else (node,)
            received = updates.valid + 9 * NS_PER_S // 10
            giver = Giver(node, f"north-{node}/2026-1", path)
            given.append(ForeignTracks(giver, updates, received, received - NS_PER_S // 5))
        return given

    def contributions(self, track_id: int) -> Mapping[str, int]:
        """Each sensor that the head names, a second apart."""
        own = self.tracks()
        rows = np.flatnonzero(own.track_id == track_id)
        if not len(rows):
            return {}
        valid = int(own.valid[rows[0]])
        indices = [i for i in own.sensors[rows[0]].tolist() if i >= 0]
        return {SENSORS[i]: valid - age * NS_PER_S for age, i in enumerate(indices)}

    def doubted_since(self, track_id: int) -> int | None:
        """What a test has set."""
        return self.doubted.get(track_id)

    def sensor_ids(self) -> Sequence[str]:
        """Names."""
        return SENSORS

    def status(self) -> dict[str, Any]:
        """Every key that the page knows."""
        if self.fault is not None:
            raise self.fault
        now = self.now()
        places = ((0.05, -0.12), (-0.05, 0.11), (0.03, 0.16), (-0.01, -0.06), (-0.035, -0.03))
        second = now // NS_PER_S % 100_000
        return {
            "mode": "live",
            "region": {"lat": LAT, "lon": LON, "radius_km": 15.0},
            "sensors": [
                {
                    "id": name,
                    "lat": LAT + north,
                    "lon": LON + east,
                    "adapter": "report",
                    "last_report_s": 47.0 if name == "uav-2" else 0.4,
                    "period_s": 1.0,
                    "sensing": "event" if name == "fence-14" else "scan",
                }
                for name, (north, east) in zip(SENSORS, places, strict=True)
            ],
            "places": [{"name": "Guesthouse", "lat": LAT - 0.04, "lon": LON + 0.02}],
            "lines": [
                {
                    "name": "Line",
                    "points": [[LAT + 0.1, LON - 0.1], [LAT, LON], [LAT - 0.1, LON + 0.05]],
                }
            ],
            "partners": [
                {
                    "node": "south",
                    "connected": True,
                    "reason": "",
                    "out": [
                        {
                            "agreement": "north-south/2026-1",
                            "state": "active",
                            "sent": 48_211,
                            "acked": 48_209,
                            "last_ack_s": 0.8,
                            "why_silent": "",
                        }
                    ],
                    "in": [
                        {
                            "agreement": "north-south/2026-1",
                            "received": 9_120,
                            "gaps": 0,
                            "last_s": 0.6,
                            "refused": {},
                            "why_silent": "",
                        }
                    ],
                },
                {
                    "node": "east",
                    "connected": False,
                    "reason": "certificate expired",
                    "out": [
                        {
                            "agreement": "north-east/2026-1",
                            "state": "suspended",
                            "sent": 120,
                            "acked": 97,
                            "last_ack_s": 512.0,
                            "why_silent": "suspended by duty officer",
                        }
                    ],
                    "in": [
                        {
                            "agreement": "north-east/2026-1",
                            "received": 88,
                            "gaps": 3,
                            "last_s": 498.0,
                            "refused": {"bad_signature": 2},
                            "why_silent": "",
                        }
                    ],
                },
            ],
            "core": {
                "time_ns": now // NS_PER_S * NS_PER_S,
                "reports_per_s": 41.8,
                "detections_per_s": 212.4,
                "latency_ms": {"p50": 18.2, "p99": 74.9},
                "journal_lag_records": 3,
                "journal_lag_s": 0.04,
                "journal_used_mb": 812.0,
                "journal_budget_mb": 20_480.0,
                "counters": {
                    "ingest": {
                        name: {
                            "messages": rate * second,
                            "decoded": rate * second,
                            "duplicates": 0,
                            "reports": rate * second,
                            "detections": 5 * rate * second,
                            "refused": {"time_past": 3, "bad_checksum": 12} if rate == 3 else {},
                        }
                        for rate, name in enumerate(SENSORS, 1)
                    }
                },
                "quarantine": {"bad_checksum": 12, "time_past": 3, "not_json": 1},
                "broker": {
                    "name": "amqtt 0.12.1",
                    "connected": True,
                    "lacks": ["MQTT 5", "bounded queues"],
                },
            },
            "serve": {
                "database": {
                    "name": "PostgreSQL 18.0",
                    "connected": True,
                    "lacks": ["TimescaleDB: no hypertables, no compression"],
                },
                "database_lag_s": 0.3,
                "database_lag_records": 4,
            },
        }

    def metrics(self) -> str:
        """One metric."""
        return (
            "# HELP vedette_reports_total Reports taken in.\n"
            "# TYPE vedette_reports_total counter\nvedette_reports_total 4711\n"
        )

    def healthy(self) -> tuple[bool, str]:
        """As told."""
        if self.fault is not None:
            raise self.fault
        return self.well


def main() -> None:
    """Serve the moving picture until interrupted."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    app = create_app(MovingSource(count), node="north")
    with ServerThread(app, "127.0.0.1", port) as server:
        print(server.url, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
