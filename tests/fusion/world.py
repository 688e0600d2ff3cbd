"""Small seeded worlds: movers, sensors of every kind, reports in any order of arrival."""

import math
from dataclasses import dataclass

import numpy as np

from model.detections import DetectionKind, Detections, DetectionsBuilder, IdentityKind
from model.frames import Region, enu_rotation, geodetic_from_ecef
from model.sensors import Coverage, DetectionProbability, Sensor, Sensors, Sigmas
from model.taxonomy import one_hot

NAN = float("nan")
START_NS = 1_772_366_400_000_000_000
REGION = Region(math.radians(59.4), math.radians(24.0), 50_000.0)
SECOND = 1_000_000_000


def at(east: float, north: float, height: float = 10.0) -> tuple[float, float, float]:
    """Geodetic place of a point in the region's plane."""
    row = REGION.geodetic_from_plane(np.array([east]), np.array([north]), np.array([height]))[0]
    return float(row[0]), float(row[1]), float(row[2])


def sensors() -> Sensors:
    """Position radar, polar radar, camera, zone sensor and a cooperative network."""
    sure = DetectionProbability((0.0,), (0.9,))
    near = Coverage((0.0, 12_000.0))
    return Sensors(
        [
            Sensor(
                "scan",
                position=at(0, 0),
                detection_probability=sure,
                coverage=near,
                clutter_density_m2=1e-7,
                sigmas=Sigmas(horizontal_m=10.0),
            ),
            Sensor(
                "polar",
                position=at(-3000, 1000, 30.0),
                heading_rad=0.5,
                detection_probability=sure,
                coverage=near,
                clutter_density_m2=1e-7,
            ),
            Sensor("camera", position=at(2000, -2000), sensing="event", period_s=0.2),
            Sensor("zone", position=at(0, 500), sensing="event"),
            Sensor("ais", cooperative=True, sensing="event", period_s=3.0),
        ]
    )


@dataclass
class Movers:
    """Straight movers: plane positions and velocities."""

    start: np.ndarray
    velocity: np.ndarray

    def at(self, seconds: float) -> np.ndarray:
        return self.start + self.velocity * seconds


def movers(rng: np.random.Generator, count: int) -> Movers:
    """Movers within 4 km, 2-20 m/s."""
    speed, course = rng.uniform(2, 20, count), rng.uniform(0, 2 * np.pi, count)
    return Movers(
        rng.uniform(-4000, 4000, (count, 2)),
        np.stack([speed * np.sin(course), speed * np.cos(course)], axis=1),
    )


def add_report(
    builder: DetectionsBuilder,
    rng: np.random.Generator,
    sensor: int,
    seconds: float,
    world: Movers,
    offset: int,
) -> None:
    """One report of one sensor about the world at a time."""
    time = START_NS + round(seconds * SECOND)
    builder.report(sensor=sensor, time=time, received=time, offset=offset)
    description = sensors()[sensor]
    for index, place in enumerate(world.at(seconds)):
        if rng.random() > 0.9:
            continue
        noisy = place + rng.normal(0, 10, 2)
        if sensor == 0:
            builder.detection(
                kind=DetectionKind.POSITION,
                position=(*at(*noisy)[:2], NAN),
                covariance=(100.0, 0.0, 100.0, NAN, NAN, NAN),
            )
        elif sensor in (1, 2):
            r, azimuth = polar_of(description, place)
            if sensor == 1:
                builder.detection(
                    kind=DetectionKind.POLAR,
                    polar=(r + rng.normal(0, 10), azimuth + rng.normal(0, 0.003), NAN, NAN),
                    polar_sigma=(10.0, 0.003, NAN, NAN),
                )
            elif index < 3:
                builder.detection(
                    kind=DetectionKind.BEARING,
                    polar=(NAN, azimuth + rng.normal(0, 0.01), NAN, NAN),
                    polar_sigma=(NAN, 0.01, NAN, NAN),
                )
        elif sensor == 3 and index == 0:
            builder.detection(kind=DetectionKind.ZONE, position=at(*noisy), radius=60.0)
        elif sensor == 4 and index % 3 == 0:
            builder.detection(
                kind=DetectionKind.POSITION,
                position=(*at(*noisy)[:2], NAN),
                covariance=(100.0, 0.0, 100.0, NAN, NAN, NAN),
                identity_kind=IdentityKind.MMSI,
                identity=b"%09d" % (230_000_000 + index),
                classes=one_hot("sea_vessel"),
                velocity=(*world.velocity[index], NAN),
                velocity_sigma=1.0,
            )


def polar_of(sensor: Sensor, place: np.ndarray) -> tuple[float, float]:
    """Slant range and azimuth in the sensor's own frame of a place 10 m high."""
    assert sensor.position is not None
    origin = np.array(sensor.position)
    target = REGION.ecef_from_enu(
        np.array(
            [*place, REGION.up_of_height(place[:1], place[1:], np.array([sensor.position[2]]))[0]]
        )
    )
    own = REGION.ecef_from_enu(REGION.enu_from_geodetic(origin))
    enu = enu_rotation(origin[0], origin[1]) @ (target - own)
    assert geodetic_from_ecef(target)[2] < 1000
    return float(np.linalg.norm(enu)), float(np.arctan2(enu[0], enu[1]) - sensor.heading_rad)


def reports(seed: int, seconds: int = 12, count: int = 6, late_s: float = 0.0) -> Detections:
    """Reports of all sensors in order of arrival; each input one report."""
    rng = np.random.default_rng(seed)
    world = movers(rng, count)
    plan = [
        (second + 0.01 * sensor + step, sensor)
        for second in range(seconds)
        for sensor, steps in ((0, (0.0,)), (1, (0.3,)), (2, (0.1, 0.6)), (3, (0.5,)), (4, (0.7,)))
        for step in steps
    ]
    arrival = sorted(plan, key=lambda entry: entry[0] + rng.uniform(0, late_s))
    builder = DetectionsBuilder()
    for offset, (time, sensor) in enumerate(arrival):
        add_report(builder, rng, sensor, time, world, offset)
    return builder.build().check()
