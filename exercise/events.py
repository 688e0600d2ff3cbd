"""Sensors that speak only when something happens: seismic and infrared zones, trip wires."""

from itertools import pairwise

import numpy as np

from exercise.reports import Reports, class_rows
from exercise.sensors import SensorModel
from model.arrays import Array, Floats, Int64s
from model.detections import DetectionKind
from model.frames import ecef_from_geodetic, geodetic_from_ecef
from model.time import NS_PER_S

NS_PER_H = 3_600 * NS_PER_S


class EventModel(SensorModel):
    """What both have in common: events in order of time, and false alarms among them."""

    def false_alarms(self, first_ns: int, stop_ns: int) -> Int64s:
        """(K,) int64 ns: when something goes off by itself."""
        rate = self.simulation.false_alarms_per_h * (stop_ns - first_ns) / NS_PER_H
        return np.sort(self.rng.integers(first_ns, stop_ns, self.rng.poisson(rate)))

    def events(self, times: Int64s, mover: Int64s, columns: dict[str, Array]) -> Reports | None:
        """A report of one detection for each event (K,)."""
        alive = self.alive(times)
        if not alive.any():
            return None
        order = np.flatnonzero(alive)[np.argsort(times[alive], kind="stable")]
        columns = {name: column[order] for name, column in columns.items()}
        if self.simulation.classify > 0.0:
            columns["classes"] = class_rows(self.labels, mover[order], self.simulation.classify)
        stamps = self.stamps(times[order])
        lines: list[Floats] = []
        if "line_vertices" in columns:
            del columns["line_vertices"]
            lines = [self.simulation.points[:, :2]] * len(order)
        of = np.arange(len(order), dtype=np.int64)
        return Reports(stamps, self.sends(stamps), of, columns, lines=lines)


class ZoneModel(EventModel):
    """Seismic or passive infrared nodes: somebody moves within a radius of one of them."""

    _ready_ns: Int64s | None = None

    def run(self, first_ns: int, stop_ns: int) -> Reports | None:
        """What it says of the world in [first, stop) ns since the start."""
        nodes = self.simulation.points
        if self._ready_ns is None:
            self._ready_ns = np.zeros(len(nodes), dtype=np.int64)
        samples = self.scans(first_ns, stop_ns)
        states = self.movers.at(samples)
        apart = states.ecef[:, None] - ecef_from_geodetic(nodes)[None, :, None]
        distance = np.sqrt((apart * apart).sum(axis=3))  # (S, nodes, N)
        speed = np.sqrt((states.velocity**2).sum(axis=2))[:, None]
        there = (states.there & self.seen_classes)[:, None]
        moving = there & (speed >= self.simulation.min_speed_mps)
        probability = self.sensor.detection_probability.at(distance)
        drawn = self.rng.random(distance.shape) < probability
        heard = moving & (distance <= self.simulation.radius_m) & drawn
        hold_ns = round(self.simulation.hold_s * NS_PER_S)
        times, node, mover = [], [], []
        for sample, place in np.argwhere(heard.any(axis=2)):
            if samples[sample] < self._ready_ns[place]:
                continue
            self._ready_ns[place] = samples[sample] + hold_ns
            times.append(samples[sample])
            node.append(place)
            mover.append(int(np.argmax(heard[sample, place])))
        for moment in self.false_alarms(first_ns, stop_ns):
            times.append(moment)
            node.append(self.rng.integers(len(nodes)))
            mover.append(-1)
        if not times:
            return None
        places = nodes[np.array(node)].copy()
        places[:, 2] = np.nan  # a zone is on the ground: it measures no height
        columns: dict[str, Array] = {
            "kind": np.full(len(times), int(DetectionKind.ZONE)),
            "position": places,
            "radius": np.full(len(times), self.simulation.radius_m),
        }
        return self.events(np.array(times, dtype=np.int64), np.array(mover), columns)


class LineModel(EventModel):
    """A trip wire: somebody crosses it, to its left or to its right."""

    _before: tuple[Int64s, Floats] | None = None

    def run(self, first_ns: int, stop_ns: int) -> Reports | None:
        """What it says of the world in [first, stop) ns since the start."""
        samples = self.scans(first_ns, stop_ns)
        wire = self._flat(ecef_from_geodetic(self.simulation.points))
        places = self._flat(self.movers.at(samples).ecef)
        if self._before is not None:
            samples = np.concatenate([self._before[0], samples])
            places = np.concatenate([self._before[1], places])
        if len(samples):
            self._before = (samples[-1:], places[-1:])
        there = self.movers.at(samples).there & self.seen_classes
        times: list[int] = []
        side: list[int] = []
        mover: list[int] = []
        for start, end in pairwise(wire):
            weight, turn = crossings(places[:-1], places[1:], start, end)
            hit = ~np.isnan(weight) & there[1:] & there[:-1]
            for step, who in np.argwhere(hit):
                if self.rng.random() < self.sensor.detection_probability.value[0]:
                    gap = int(samples[step + 1] - samples[step])
                    times.append(int(samples[step]) + round(weight[step, who] * gap))
                    side.append(int(turn[step, who]))
                    mover.append(int(who))
        for moment in self.false_alarms(first_ns, stop_ns):
            times.append(int(moment))
            side.append(0)
            mover.append(-1)
        if not times:
            return None
        columns: dict[str, Array] = {
            "kind": np.full(len(times), int(DetectionKind.LINE)),
            "direction": np.array(side, dtype=np.int8),
            "line_vertices": np.zeros(len(times)),
        }
        return self.events(np.array(times, dtype=np.int64), np.array(mover), columns)

    def _flat(self, ecef: Floats) -> Floats:
        """East, north m (..., 2) in the region's plane."""
        geodetic = geodetic_from_ecef(ecef)
        geodetic[..., 2] = 0.0
        return self._region.enu_from_geodetic(geodetic)[..., :2]


def crossings(before: Floats, after: Floats, start: Floats, end: Floats) -> tuple[Floats, Floats]:
    """Where ways cross a piece of wire, all in one plane.

    Parameters
    ----------
    before, after
        (..., 2) ends of the ways, east and north m.
    start, end
        (2,) ends of the wire.

    Returns
    -------
    weight
        (...,) share of the way before the crossing, NaN where there is none.
    side
        (...,) -1 toward the left of the wire, +1 toward its right, seen from start to end.
    """
    along = end - start

    def left_of(points: Floats) -> Floats:
        from_start = points - start
        cross: Floats = along[0] * from_start[..., 1] - along[1] * from_start[..., 0]
        return cross

    first, second = left_of(before), left_of(after)
    change = first - second
    parts = (first >= 0.0) != (second >= 0.0)
    weight = np.where(parts, first / np.where(parts, change, 1.0), np.nan)
    at = before + np.nan_to_num(weight)[..., None] * (after - before)
    share = ((at - start) * along).sum(axis=-1) / (along @ along)
    weight = np.where((share >= 0.0) & (share <= 1.0), weight, np.nan)
    return weight, np.where(second > first, -1.0, 1.0)
