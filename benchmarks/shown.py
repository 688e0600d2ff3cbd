"""What a tracker shows at a time, in the plane in which the scenarios are made."""

from dataclasses import dataclass

import numpy as np

from benchmarks.reports import REGION, time_ns
from exercise.metrics import gospa
from fusion import Tracker
from model.arrays import Array, Floats, Int64s
from model.frames import enu_rotation

E_N = (0, 1, 3, 4)
"""East, north and their rates among (E, N, U, vE, vN, vU)."""


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """T tracks.

    Parameters
    ----------
    track_id
        (T,) int64.
    state
        (T, 4) east, north m, their rates m/s, in the plane.
    covariance
        (T, 4, 4) of these.
    """

    track_id: Int64s
    state: Floats
    covariance: Floats

    @property
    def position(self) -> Floats:
        """(T, 2) m."""
        return self.state[:, :2]

    def take(self, rows: Array) -> "Shown":
        """Some of the tracks."""
        return Shown(self.track_id[rows], self.state[rows], self.covariance[rows])


def shown(tracker: Tracker, seconds: float) -> Shown:
    """The tracker's picture at a time in seconds since the start of the scenario."""
    picture = tracker.picture(time_ns(seconds))
    at = np.column_stack([picture.state[:, :2], np.zeros(len(picture))])
    # From east and north at the track to those of the plane.
    turn = (REGION.rotation @ enu_rotation(at[:, 0], at[:, 1]).transpose(0, 2, 1))[:, :2, :2]
    both = np.zeros((len(picture), 4, 4))
    both[:, :2, :2] = both[:, 2:, 2:] = turn
    covariance = both @ _unpacked(picture.covariance) @ both.transpose(0, 2, 1)
    velocity = (turn @ picture.state[:, 3:5, None])[:, :, 0]
    plane = REGION.enu_from_geodetic(at)[:, :2]
    return Shown(picture.track_id, np.hstack([plane, velocity]), covariance)


def scored(tracker: Tracker, seconds: float, truth: Floats, c: float) -> float:
    """GOSPA (p = 2, alpha = 2) of the picture at a time against the truth (n, 2)."""
    return distance_gospa(truth, shown(tracker, seconds).position, c)


def distance_gospa(truth: Floats, estimates: Floats, c: float) -> float:
    """GOSPA (p = 2, alpha = 2) between points (n, 2) and (m, 2)."""
    return gospa(np.linalg.norm(truth[:, None] - estimates[None], axis=2), c).value


def nearest(truth: Floats, tracks: Shown, within_m: float) -> Int64s:
    """(n,) row of the track nearest to each of the points (n, 2); -1: none within that distance."""
    if not len(tracks.track_id):
        return np.full(len(truth), -1)
    distance = np.linalg.norm(truth[:, None] - tracks.position[None], axis=2)
    rows = distance.argmin(axis=1)
    return np.where(distance[np.arange(len(truth)), rows] <= within_m, rows, -1)


def _unpacked(packed: Floats) -> Floats:
    """(T, 4, 4) of the upper triangles (T, 21) of 6 x 6 covariances."""
    whole = np.zeros((len(packed), 6, 6))
    upper = np.triu_indices(6)
    whole[:, upper[0], upper[1]] = packed
    whole[:, upper[1], upper[0]] = packed
    return whole[:, E_N][:, :, E_N]
