"""Cooperative sensors that pass on native bytes: AIS sentences, MAVLink frames.

The AIS adapter takes the time of arrival for that of a report, so there the site's `latency_s` is
the way to the broker; MAVLink brings the vehicle's own clock. So nothing is added here for it.
"""

import heapq

import numpy as np

from adapters.ais.encode import position_report
from adapters.mavlink.encode import global_position_int, gps_raw_int, heartbeat, system_time
from exercise.movers import MoverStates
from exercise.reports import Natives
from exercise.sensors import TWO_PI, SensorModel
from model.arrays import Floats, Int64s
from model.frames import geodetic_from_ecef
from model.time import NS_PER_S

EARTH_M = 6_371_000.0
"""Mean radius, m: turns metres of noise into radians, 0.5 % off."""

CLASS_A_INTERVALS = ((14.0, 10.0), (23.0, 6.0), (float("inf"), 2.0))
"""Up to knots: seconds between class A reports under way (ITU-R M.1371-5, annex 1, table 1)."""

KNOT_MPS = 1852.0 / 3600.0

GEOID_M = 34.0
"""Height of the geoid above the ellipsoid that the simulated GNSS receivers believe in, m."""

MS = 1_000_000
"""Nanoseconds of a millisecond, in which MAVLink counts the time since boot."""


class CraftModel(SensorModel):
    """What both have in common: craft that fix themselves and are heard, or not."""

    def fixes(self, states: MoverStates, scan: Int64s, mover: Int64s) -> Floats:
        """(K, 3) rad, rad, HAE m of movers as their own receivers put them."""
        position = geodetic_from_ecef(states.ecef[scan, mover])
        noise = self.rng.standard_normal(position.shape)
        horizontal = self.sensor.sigmas.horizontal_m / EARTH_M
        position[:, 0] += noise[:, 0] * horizontal
        position[:, 1] += noise[:, 1] * horizontal / np.cos(position[:, 0])
        position[:, 2] += noise[:, 2] * self.sensor.sigmas.vertical_m
        return position


class AisModel(CraftModel):
    """A receiver of AIS: class A position reports at the intervals of the standard."""

    _next: list[tuple[int, int]] | None = None

    def run(self, first_ns: int, stop_ns: int) -> Natives | None:
        """What it passes on of the world in [first, stop) ns since the start."""
        del first_ns  # the list of what comes next knows
        if self._next is None:
            vessels = [row for row, spec in enumerate(self.movers.specs) if spec.mmsi]
            starts = self.rng.integers(0, 10 * NS_PER_S, len(vessels))
            self._next = sorted(zip(starts.tolist(), vessels, strict=True))
        times: list[int] = []
        payloads: list[bytes] = []
        while self._next and self._next[0][0] < stop_ns:
            time_ns, vessel = heapq.heappop(self._next)
            sentence, speed_mps = self._transmit(time_ns, vessel)
            if sentence:
                times.append(time_ns)
                payloads.append(sentence)
            # Slots are chosen at random within a fifth of the interval (annex 2, 3.3.4.1).
            interval = next(s for knots, s in CLASS_A_INTERVALS if speed_mps / KNOT_MPS <= knots)
            wait = interval * (0.9 + 0.2 * self.rng.random())
            heapq.heappush(self._next, (time_ns + round(wait * NS_PER_S), vessel))
        if not times:
            return None
        return Natives(self.sends(np.array(times, dtype=np.int64)), payloads)

    def _transmit(self, time_ns: int, vessel: int) -> tuple[bytes, float]:
        """The sentence of one vessel, empty if it is not heard, and the vessel's speed."""
        states = self.movers.at(np.array([time_ns]))
        east, north, _ = states.velocity[0, vessel]
        speed = float(np.hypot(east, north))
        heard = self.detected(self.sight(states))[0, vessel] and self.alive(np.array([time_ns]))[0]
        position = self.fixes(states, np.array([0]), np.array([vessel]))[0]
        if not heard:
            return b"", speed
        sentence = position_report(
            self.movers.specs[vessel].mmsi,
            float(np.degrees(position[0])),
            float(np.degrees(position[1])),
            sog_mps=speed,
            cog_deg=float(np.degrees(np.arctan2(east, north) % TWO_PI)),
            second=(self.start_ns + time_ns) // NS_PER_S % 60,
            channel="AB"[int(self.rng.integers(2))],
        )
        return sentence, speed


class MavlinkModel(CraftModel):
    """A ground station: MAVLink 2 from every UAV with a system id, a message for each fix."""

    _sequence = 0

    def run(self, first_ns: int, stop_ns: int) -> Natives | None:
        """What it passes on of the world in [first, stop) ns since the start."""
        times = self.scans(first_ns, stop_ns)
        # Boot clocks count milliseconds: fix positions on them, so that the time told is exact.
        times = times // MS * MS
        states = self.movers.at(times)
        ours = np.array([spec.system_id > 0 for spec in self.movers.specs])
        scan, mover = np.nonzero(self.detected(self.sight(states)) & ours)
        if len(scan) == 0:
            return None
        position = self.fixes(states, scan, mover)
        velocity = states.velocity[scan, mover]
        velocity = velocity + self.rng.standard_normal(velocity.shape) * 0.1
        first_of_second = np.diff(times // NS_PER_S, prepend=-1) != 0
        payloads = [
            self._frames(int(times[row]), vehicle, place, speed, full=bool(first_of_second[row]))
            for row, vehicle, place, speed in zip(
                scan.tolist(), mover.tolist(), position, velocity, strict=True
            )
        ]
        return Natives(self.sends(times[scan]), payloads)

    def _frames(
        self, time_ns: int, mover: int, position: Floats, velocity: Floats, *, full: bool
    ) -> bytes:
        """Frames of one vehicle at one time; once a second also its clock and accuracy."""
        system = self.movers.specs[mover].system_id
        boot_ms = time_ns // MS + 60_000 * system  # switched on some minutes before the start
        lat, lon = np.degrees(position[:2]).tolist()
        height = float(position[2])
        frames = b""
        if full:
            sigmas = self.sensor.sigmas
            frames += heartbeat(system=system, sequence=self._count())
            frames += system_time(
                self.start_ns + time_ns, boot_ms, system=system, sequence=self._count()
            )
            frames += gps_raw_int(
                lat,
                lon,
                height - GEOID_M,
                height_hae_m=height,
                h_acc_m=sigmas.horizontal_m,
                v_acc_m=sigmas.vertical_m,
                vel_acc_mps=0.1,
                time_us=(self.start_ns + time_ns) // 1000,
                system=system,
                sequence=self._count(),
            )
        east, north, up = velocity.tolist()
        return frames + global_position_int(
            boot_ms,
            lat,
            lon,
            height - GEOID_M,
            velocity_enu_mps=(east, north, up),
            system=system,
            sequence=self._count(),
        )

    def _count(self) -> int:
        """Next frame sequence number, 0 to 255."""
        number = self._sequence
        self._sequence = (number + 1) % 256
        return number
