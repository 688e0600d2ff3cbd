"""What a sensor is, where it stands and what it can see.

Angles are radians, distances metres, times seconds, azimuths from true north clockwise.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from model.arrays import Floats


@dataclass(frozen=True, slots=True)
class Coverage:
    """Where a sensor looks: a sector about its origin, or a polygon on the ground.

    Parameters
    ----------
    range_m
        Least and greatest slant range.
    azimuth_rad
        From, to, clockwise; None: all round.
    polygon
        (V, 2) float64 latitude, longitude in radians; None: the sector alone decides.
    """

    range_m: tuple[float, float] = (0.0, float("inf"))
    azimuth_rad: tuple[float, float] | None = None
    polygon: Floats | None = None


@dataclass(frozen=True, slots=True)
class DetectionProbability:
    """Probability of detection inside the coverage, linear between given ranges.

    Parameters
    ----------
    range_m
        Rising slant ranges; one value means the same everywhere.
    value
        Probability at each.
    """

    range_m: tuple[float, ...] = (0.0,)
    value: tuple[float, ...] = (0.9,)

    def at(self, range_m: Floats) -> Floats:
        """Probability (N,) at slant ranges (N,), flat beyond the ends."""
        return np.interp(range_m, self.range_m, self.value)


@dataclass(frozen=True, slots=True)
class Sigmas:
    """Standard deviations that a detection has when it gives none.

    All in SI and radians; `extent_m` is how far apart returns of one target may lie.
    """

    horizontal_m: float = 10.0
    vertical_m: float = 20.0
    range_m: float = 10.0
    azimuth_rad: float = 0.0035
    elevation_rad: float = 0.0087
    range_rate_mps: float = 1.0
    velocity_mps: float = 1.0


@dataclass(frozen=True, slots=True)
class Sensor:
    """One sensor as the site file describes it.

    Parameters
    ----------
    id
        Name, as in the topic.
    adapter
        Name of the decoder of its bytes.
    position
        Latitude rad, longitude rad, HAE m; None: every report brings its origin, or the sensor
        reports positions and needs none.
    heading_rad
        Where azimuth zero of the sensor points, from true north.
    sensing
        ``scan``: it looks, and silence is a miss; ``event``: silence says nothing.
    cooperative
        Movers report themselves: there is no clutter.
    tracks
        What it reports are tracks of a tracker of its own: their errors hang together from report
        to report, and with those of what that tracker heard.
    detection_probability
        Inside its coverage.
    clutter_per_scan
        False detections expected in a report.
    clutter_density_m2
        The same per square metre; wins over `clutter_per_scan`.
    coverage
        Where it looks.
    period_s
        Time between its reports.
    latency_s
        Constant lag of its time stamps behind the world, subtracted before fusion.
    extent_m
        Distance within which further returns are taken to come from the same target.
    assumed_height_m
        HAE assumed of targets whose elevation the sensor does not measure; None: its own.
    sigmas
        Defaults for what a detection does not give.
    max_rate_hz
        Reports per second above which reports are quarantined; 0: no limit.
    priority
        0 to 9; of a node that cannot keep up the lowest are shed first.
    classes
        Prior class probabilities (K,) of what it sees, or None.
    options
        What the adapter itself takes.
    topics
        Topics of existing hardware bound to this sensor, besides its own.
    """

    id: str
    adapter: str = "report"
    position: tuple[float, float, float] | None = None
    heading_rad: float = 0.0
    sensing: str = "scan"
    cooperative: bool = False
    tracks: bool = False
    detection_probability: DetectionProbability = field(default_factory=DetectionProbability)
    clutter_per_scan: float = 1.0
    clutter_density_m2: float | None = None
    coverage: Coverage = field(default_factory=Coverage)
    period_s: float = 1.0
    latency_s: float = 0.0
    extent_m: float = 0.0
    assumed_height_m: float | None = None
    sigmas: Sigmas = field(default_factory=Sigmas)
    max_rate_hz: float = 0.0
    priority: int = 5
    classes: tuple[float, ...] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    topics: tuple[str, ...] = ()

    @property
    def latency_ns(self) -> int:
        """`latency_s` in whole nanoseconds."""
        return round(self.latency_s * 1e9)


@dataclass(frozen=True, slots=True)
class Source:
    """Who speaks for sensors.

    Parameters
    ----------
    id
        Its name.
    sensors
        Ids of its sensors; a sensor that two speak for counts as the first one's.
    max_rate_hz
        Messages a second of all its sensors together above which messages are quarantined; 0: no
        limit.
    """

    id: str
    sensors: tuple[str, ...]
    max_rate_hz: float = 0.0


class Sensors:
    """The sensors of a node in a fixed order: an index once given is never given again.

    Parameters
    ----------
    sensors
        In the order of their indices.

    Raises
    ------
    ValueError
        If two have the same id.
    """

    def __init__(self, sensors: Iterable[Sensor] = ()) -> None:
        self._sensors = tuple(sensors)
        self._index = {sensor.id: index for index, sensor in enumerate(self._sensors)}
        if len(self._index) != len(self._sensors):
            raise ValueError("two sensors have the same id")

    def __len__(self) -> int:
        return len(self._sensors)

    def __iter__(self) -> Iterator[Sensor]:
        return iter(self._sensors)

    def __getitem__(self, index: int) -> Sensor:
        return self._sensors[index]

    def index(self, sensor_id: str) -> int | None:
        """Index of a sensor id, or None."""
        return self._index.get(sensor_id)

    @property
    def ids(self) -> tuple[str, ...]:
        """All ids in order."""
        return tuple(sensor.id for sensor in self._sensors)
