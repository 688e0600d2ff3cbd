"""Compile the kernels before the first report needs them: ``python -m fusion.warm``.

Compiled kernels are kept beside the source, so this takes a minute or two once and a moment then.
"""

import math

import numpy as np

from fusion.measure import scans_of
from fusion.records import PARTS
from fusion.registration import Correction
from fusion.tracker import Tracker
from model.detections import DetectionKind, Detections, DetectionsBuilder
from model.frames import Region
from model.sensors import Sensor, Sensors
from model.time import NS_PER_S

NAN = math.nan


def warm_up() -> int:
    """Track two movers of a world of its own by detections of every kind.

    Returns
    -------
    int
        How many tracks there are in the end.
    """
    place = (0.9, 0.4, 10.0)
    sensors = Sensors(
        [
            Sensor("radar", position=place, extent_m=5.0),
            Sensor("camera", position=place, sensing="event"),
            Sensor("self", cooperative=True, sensing="event"),
        ]
    )
    tracker = Tracker(sensors, Region(place[0], place[1]))
    shown = 0
    for second in range(6):
        tracker.step(_reports(second))
        tracker.tick((second + 1) * NS_PER_S, second)
        shown = len(tracker.picture((second + 1) * NS_PER_S))
    tracker.registration()
    certain = Correction(np.zeros(PARTS), np.eye(PARTS), 1.0)
    certain.take_off(scans_of(_reports(0), sensors, Region(place[0], place[1]))[0])
    return shown


def _reports(second: int) -> Detections:
    """What the three sensors say in one second; the camera's report is late from the third on."""
    builder = DetectionsBuilder()
    time = (second + 1) * NS_PER_S
    builder.report(sensor=0, time=time, received=time, offset=4 * second)
    builder.detection(
        kind=DetectionKind.POLAR,
        polar=(1000.0 + 10.0 * second, 0.3, 0.01, 10.0),
        polar_sigma=(5.0, 0.005, 0.005, 0.5),
    )
    for step in (0.0, 4e-6):  # near each other, so there is something to share out
        builder.detection(
            kind=DetectionKind.POSITION,
            position=(0.9002 + step, 0.4 + 1e-6 * second, 20.0),
            covariance=(400.0, 0.0, 400.0, 0.0, 0.0, 25.0),
            velocity=(5.0, 0.0, 0.0),
            classes=np.eye(8, dtype=np.float32)[5],
        )
    builder.report(sensor=1, time=time - (second > 2) * NS_PER_S, received=time, offset=4 * second)
    builder.detection(
        kind=DetectionKind.BEARING,
        polar=(NAN, 0.3, NAN, NAN),
        polar_sigma=(NAN, 0.01, NAN, NAN),
    )
    builder.report(sensor=2, time=time, received=time, offset=4 * second + 1)
    builder.detection(
        kind=DetectionKind.ZONE, position=(0.8999, 0.4, NAN), radius=30.0, identity=b"265000001",
        identity_kind=2,
    )  # fmt: skip
    return builder.build()


if __name__ == "__main__":
    print(f"fusion: kernels are ready ({warm_up()} tracks)")
