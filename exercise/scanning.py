"""Sensors that look again and again: radars, cameras, acoustic arrays, cooperative networks."""

import numpy as np
from scipy.sparse.csgraph import connected_components

from exercise.reports import Reports, class_rows
from exercise.sensors import TWO_PI, SensorModel, Sight
from model.arrays import Array, Bools, Floats, Int64s
from model.detections import DetectionKind, IdentityKind
from model.frames import geodetic_from_ecef

NAN = float("nan")


class ScanningModel(SensorModel):
    """A radar (polar detections) or a camera or acoustic array (bearings)."""

    def run(self, first_ns: int, stop_ns: int) -> Reports | None:
        """What it says of the world in [first, stop) ns since the start."""
        times = self.scans(first_ns, stop_ns)
        if len(times) == 0:
            return None
        sight = self.sight(self.movers.at(times))
        scan, mover = np.nonzero(self.detected(sight))
        polar = self._polar(sight, scan, mover)
        scan, mover, polar = self._merge(scan, mover, polar)
        range_bias, azimuth_bias = self.bias(times)
        polar[:, 0] += range_bias[scan]
        polar[:, 1] += azimuth_bias[scan]
        sigma = self._sigma()
        # Only what is measured is NaN-free; noise on NaN stays NaN.
        polar += self.rng.standard_normal(polar.shape) * np.nan_to_num(sigma)
        clutter_scan, clutter = self._clutter(len(times))
        scan = np.concatenate([scan, clutter_scan])
        mover = np.concatenate([mover, np.full(len(clutter_scan), -1)])
        polar = np.concatenate([polar, clutter])
        polar[:, 0] = np.maximum(polar[:, 0], 1.0)
        polar[:, 1] %= TWO_PI
        # By azimuth, as an antenna sweeps: the order must not tell who is who.
        order = np.lexsort((polar[:, 1], scan))
        scan, mover, polar = scan[order], mover[order], polar[order]
        ranging = self.simulation.kind in {"radar", "ground_radar"}
        kind = DetectionKind.POLAR if ranging else DetectionKind.BEARING
        columns: dict[str, Array] = {
            "kind": np.full(len(scan), int(kind)),
            "polar": polar,
            "polar_sigma": np.broadcast_to(sigma, polar.shape),
        }
        if self.simulation.classify > 0.0:
            columns["classes"] = class_rows(self.labels, mover, self.simulation.classify)
        stamps = self.stamps(times)
        return Reports(stamps, self.sends(stamps), scan, columns, self._looked())

    def _polar(self, sight: Sight, scan: Int64s, mover: Int64s) -> Floats:
        """True (K, 4) range, azimuth, elevation, range rate; NaN where it does not measure."""
        polar = np.full((len(scan), 4), NAN)
        if self.simulation.kind in {"radar", "ground_radar"}:
            polar[:, 0] = sight.range_m[scan, mover]
        polar[:, 1] = sight.azimuth[scan, mover]
        if self.simulation.elevation:
            polar[:, 2] = sight.elevation[scan, mover]
        if self.simulation.kind == "ground_radar":
            polar[:, 3] = sight.range_rate[scan, mover]
        return polar

    def _sigma(self) -> Floats:
        """(4,) standard deviations; NaN where it does not measure."""
        sigmas, kind = self.sensor.sigmas, self.simulation.kind
        return np.array(
            [
                sigmas.range_m if kind in {"radar", "ground_radar"} else NAN,
                sigmas.azimuth_rad,
                sigmas.elevation_rad if self.simulation.elevation else NAN,
                sigmas.range_rate_mps if kind == "ground_radar" else NAN,
            ]
        )

    def _looked(self) -> Floats | None:
        """The sector searched, of sensors that say so."""
        if self.simulation.kind != "radar":
            return None
        sector = self.sensor.coverage.azimuth_rad or (NAN, NAN)
        return np.array([*self.sensor.coverage.range_m, *sector])

    def _merge(self, scan: Int64s, mover: Int64s, polar: Floats) -> tuple[Int64s, Int64s, Floats]:
        """One detection, in the middle, for movers of a scan closer than the resolution."""
        limit = self.simulation.resolution_rad
        if limit <= 0.0 or len(scan) < 2:
            return scan, mover, polar
        apart = polar[:, None, 1] - polar[None, :, 1]
        apart = (apart + np.pi) % TWO_PI - np.pi
        close: Bools = (np.abs(apart) < limit) & (scan[:, None] == scan[None, :])
        if self.simulation.kind in {"radar", "ground_radar"}:
            close &= np.abs(polar[:, None, 0] - polar[None, :, 0]) < self.simulation.resolution_m
        if close.sum() == len(scan):
            return scan, mover, polar
        groups, group = connected_components(close, directed=False)
        first = np.array([np.argmax(group == label) for label in range(groups)])
        # Azimuths as differences from the first of the group, so that north is no border.
        relative = polar - polar[first[group]]
        relative[:, 1] = (relative[:, 1] + np.pi) % TWO_PI - np.pi
        total = np.zeros((groups, 4))
        np.add.at(total, group, relative)
        size = np.bincount(group, minlength=groups)[:, None]
        order = np.argsort(first)
        first, merged = first[order], (polar[first] + total / size)[order]
        return scan[first], mover[first], merged

    def _clutter(self, scans: int) -> tuple[Int64s, Floats]:
        """False detections: Poisson in number, uniform over the area (or angle) of coverage."""
        coverage = self.sensor.coverage
        low, high = coverage.range_m
        first, last = coverage.azimuth_rad or (0.0, TWO_PI)
        width = (last - first) % TWO_PI or TWO_PI
        mean = self.sensor.clutter_per_scan
        if self.sensor.clutter_density_m2 is not None:
            mean = self.sensor.clutter_density_m2 * width * (high**2 - low**2) / 2.0
        counts = self.rng.poisson(mean, scans)
        scan = np.repeat(np.arange(scans), counts)
        uniform = self.rng.random((len(scan), 4))
        polar = np.full((len(scan), 4), NAN)
        polar[:, 1] = (first + width * uniform[:, 1]) % TWO_PI
        if self.simulation.kind in {"radar", "ground_radar"}:
            polar[:, 0] = np.sqrt(low**2 + uniform[:, 0] * (high**2 - low**2))
        if self.simulation.elevation:
            polar[:, 2] = (uniform[:, 2] - 0.2) * 0.2
        if self.simulation.kind == "ground_radar":
            # Moving foliage and water: slow, toward or away, but over the threshold.
            least = self.simulation.min_speed_mps
            polar[:, 3] = np.sign(uniform[:, 3] - 0.5) * (least + 2.0 * uniform[:, 2])
        if np.isnan(polar[:, 0]).any():
            return scan, polar
        kept = self.covered(polar[:, 0], polar[:, 1])
        return scan[kept], polar[kept]


class CooperativeModel(SensorModel):
    """A network that aircraft report themselves to: positions with velocity and identity."""

    def run(self, first_ns: int, stop_ns: int) -> Reports | None:
        """What it says of the world in [first, stop) ns since the start."""
        times = self.scans(first_ns, stop_ns)
        if len(times) == 0:
            return None
        codes = np.array([spec.icao24.encode() for spec in self.movers.specs], dtype="S24")
        states = self.movers.at(times)
        scan, mover = np.nonzero(self.detected(self.sight(states)) & (codes != b""))
        sigmas = self.sensor.sigmas
        position = geodetic_from_ecef(states.ecef[scan, mover])
        noise = self.rng.standard_normal((len(scan), 6))
        # Metres to radians on a sphere of one radius: 0.5 % off, of noise.
        earth_m = 6_371_000.0
        position[:, 0] += noise[:, 0] * sigmas.horizontal_m / earth_m
        position[:, 1] += noise[:, 1] * sigmas.horizontal_m / earth_m / np.cos(position[:, 0])
        position[:, 2] += noise[:, 2] * sigmas.vertical_m
        horizontal, vertical = sigmas.horizontal_m**2, sigmas.vertical_m**2
        velocity = states.velocity[scan, mover] + noise[:, 3:] * sigmas.velocity_mps
        columns: dict[str, Array] = {
            "kind": np.full(len(scan), int(DetectionKind.POSITION)),
            "position": position,
            "covariance": np.tile(
                [horizontal, 0.0, horizontal, 0.0, 0.0, vertical], (len(scan), 1)
            ),
            "velocity": velocity,
            "velocity_sigma": np.full(len(scan), sigmas.velocity_mps),
            "identity_kind": np.full(len(scan), int(IdentityKind.ICAO24)),
            "identity": codes[mover],
            "classes": class_rows(self.labels, mover, 1.0),
        }
        stamps = self.stamps(times)
        return Reports(stamps, self.sends(stamps), scan, columns)
