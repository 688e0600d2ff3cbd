"""`Exercise`: a scenario as a stream of messages, with the truth beside it.

Nothing here sleeps or reads a clock: the caller decides how fast. All is a function of scenario,
seed, start and names: the same ones give the same bytes.
"""

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from adapters.report.encode import encode_arrays, encode_json, encode_msgpack
from exercise.events import LineModel, ZoneModel
from exercise.movers import Movers
from exercise.native import AisModel, MavlinkModel
from exercise.reports import Natives, Reports, detections_of
from exercise.scanning import CooperativeModel, ScanningModel
from exercise.scenario import Scenario
from exercise.sensors import SensorModel
from exercise.truth import Truth, TruthTarget, truth_of
from model.arrays import Int64s
from model.detections import Detections, Mode
from model.frames import geodetic_from_ecef
from model.sensors import Sensors
from model.time import NS_PER_S

SLICE_NS = NS_PER_S
"""Sensors are simulated in slices of this length. Part of what a seed means: never change it."""

MODELS: dict[str, type[SensorModel]] = {
    "radar": ScanningModel,
    "ground_radar": ScanningModel,
    "camera": ScanningModel,
    "acoustic": ScanningModel,
    "zone": ZoneModel,
    "line": LineModel,
    "cooperative": CooperativeModel,
    "ais": AisModel,
    "mavlink": MavlinkModel,
}

Encoder = Callable[[Detections, Sensors], list[bytes]]
ENCODERS: dict[str, Encoder] = {
    "json": encode_json,
    "msgpack": encode_msgpack,
    "arrays": encode_arrays,
}

MODES = {"live": Mode.LIVE, "exercise": Mode.EXERCISE}
ROOTS = {"live": "vedette", "exercise": "vedette-exercise"}
"""First level of a node's topics, by its mode."""


class Emission(NamedTuple):
    """One MQTT message.

    Parameters
    ----------
    send_ns
        When it is due, UTC ns.
    topic, payload
        What to publish.
    """

    send_ns: int
    topic: str
    payload: bytes


class Exercise:
    """A scenario that runs.

    Parameters
    ----------
    scenario
        What happens.
    seed
        Of everything random, not negative.
    start_ns
        UTC ns at which it begins; everything shifts with it.
    node
        Name of the node whose topics are used.
    mode
        ``exercise``, or ``live`` for a rehearsal of a live node's own topics.

    Raises
    ------
    ValueError
        If seed, node or mode cannot be used.
    """

    def __init__(
        self,
        scenario: Scenario,
        seed: int = 0,
        *,
        start_ns: int,
        node: str,
        mode: str = "exercise",
    ) -> None:
        if seed < 0 or not node or mode not in MODES:
            raise ValueError("Exercise: seed must not be negative, node not empty, mode known")
        self.scenario = scenario
        self.seed = seed
        self.start_ns = start_ns
        self.root = f"{ROOTS[mode]}/{node}"
        self.movers = Movers(scenario, seed)
        self.sensors = Sensors([item.sensor for item in scenario.sensors])
        # A sender that starts again has a new boot: so has an exercise that starts again.
        self.boot = f"{start_ns // 1_000_000:x}-{seed & 0xFFFF_FFFF:x}"
        self._mode = MODES[mode]

    def emissions(self, duration_s: float = math.inf) -> Iterator[Emission]:
        """Every message in the order of sending, without end unless `duration_s` says so.

        Messages about the last moments that would arrive after `duration_s` are left out.
        """
        models = [
            MODELS[item.simulation.kind](
                item, self.movers, self.scenario.region, self.seed, self.start_ns
            )
            for item in self.scenario.sensors
        ]
        sequence = [0] * len(models)
        heap: list[tuple[int, int, str, bytes]] = []
        number = 0
        first_ns = 0
        end_ns = duration_s * NS_PER_S
        while first_ns < end_ns:
            stop_ns = first_ns + SLICE_NS
            for index, model in enumerate(models):
                said = model.run(first_ns, stop_ns)
                if said is None:
                    continue
                topic, payloads = self._payloads(index, said, sequence)
                # What is learned about a moment before this slice cannot be sent before it.
                for send_ns, payload in zip(
                    np.maximum(said.send_ns, first_ns).tolist(), payloads, strict=True
                ):
                    heapq.heappush(heap, (send_ns, number, topic, payload))
                    number += 1
            while heap and heap[0][0] < min(stop_ns, end_ns):
                send_ns, _, topic, payload = heapq.heappop(heap)
                yield Emission(self.start_ns + send_ns, topic, payload)
            first_ns = stop_ns

    def __iter__(self) -> Iterator[Emission]:
        return self.emissions()

    def _payloads(
        self, index: int, said: Reports | Natives, sequence: list[int]
    ) -> tuple[str, Sequence[bytes]]:
        """Topic and bytes of what a sensor says."""
        base = f"{self.root}/sensors/{self.sensors[index].id}"
        if isinstance(said, Natives):
            return f"{base}/raw", said.payloads
        detections = detections_of(
            index,
            said,
            start_ns=self.start_ns,
            boot=self.boot.encode(),
            first_seq=sequence[index],
            mode=self._mode,
        )
        sequence[index] += len(said.stamp_ns)
        form = self.scenario.sensors[index].simulation.format
        return f"{base}/reports", ENCODERS[form](detections, self.sensors)

    def truth(self, time_ns: int) -> list[TruthTarget]:
        """Every mover that is there at a UTC time in ns."""
        return self._targets(np.array([time_ns]))[0]

    def truth_table(self, first_ns: int, stop_ns: int, period_s: float = 1.0) -> Truth:
        """Truth in [first, stop) UTC ns, ready for scoring."""
        times = np.arange(first_ns, stop_ns, round(period_s * NS_PER_S))
        return truth_of(list(zip(times.tolist(), self._targets(times), strict=True)))

    def truth_line(self, time_ns: int) -> bytes:
        """One line of a truth file (without its end), with `time_ns` exact."""
        targets = [
            {
                "id": target.id,
                "lat": round(target.lat, 8),
                "lon": round(target.lon, 8),
                "class": self._label(target.id),
            }
            for target in self.truth(time_ns)
        ]
        line = {"time": time_ns / NS_PER_S, "time_ns": time_ns, "targets": targets}
        return msgspec.json.encode(line)

    def write_truth(self, path: Path, first_ns: int, stop_ns: int, period_s: float = 1.0) -> int:
        """Write a truth file about [first, stop) UTC ns; returns its number of lines."""
        period_ns = round(period_s * NS_PER_S)
        count = 0
        with path.open("wb") as file:
            for time_ns in range(first_ns, stop_ns, period_ns):
                file.write(self.truth_line(time_ns) + b"\n")
                count += 1
        return count

    def _label(self, target: int | str) -> str:
        return next(spec.label for spec in self.scenario.movers if spec.id == target)

    def _targets(self, times_ns: Int64s) -> list[list[TruthTarget]]:
        states = self.movers.at(times_ns - self.start_ns)
        degrees = np.degrees(geodetic_from_ecef(states.ecef)[..., :2])
        there = states.there & (times_ns >= self.start_ns)[:, None]
        return [
            [
                TruthTarget(spec.id, *place)
                for spec, place, present in zip(
                    self.scenario.movers, places.tolist(), row, strict=True
                )
                if present
            ]
            for places, row in zip(degrees, there, strict=True)
        ]
