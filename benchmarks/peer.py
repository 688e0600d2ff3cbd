"""Stone Soup on the same scans, scored causally.

Stone Soup is a benchmark dependency only (`uv sync --group bench`), imported when it is asked for.
Its tracker has the life cycle that it offers: a track is confirmed at a number of hits, and dropped
after a number of scans without one.

Its own metric managers count every state of a `Track`, also those from before it was confirmed and
predictions of tracks that were deleted later. What is scored here is what `tracker.tracks` held
after each scan, at that scan's time, and nothing that became known later.
"""

import math
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import metadata
from typing import Any

import numpy as np

from model.arrays import Floats

VERSION = "1.9.1"
"""The version that figures are quoted of."""

GATE = 4.0
"""Greatest Mahalanobis distance of a pair."""

GATE_PROBABILITY = 0.99966
"""Probability of a true pair within it (chi-square, 2 degrees of freedom)."""

EPOCH = datetime(2026, 3, 1, tzinfo=UTC)


def missing() -> str | None:
    """Why there is no figure of Stone Soup, or None."""
    try:
        found = metadata.version("stonesoup")
    except metadata.PackageNotFoundError:
        return "stonesoup is not installed"
    return None if found == VERSION else f"stonesoup is {found}, not {VERSION}"


@dataclass(frozen=True, slots=True)
class Plan:
    """How a peer is set up.

    Parameters
    ----------
    association
        ``gnn`` (2D assignment), ``kdtree`` (the same behind a KD-tree) or ``jpda``.
    density
        Of white acceleration, m²/s³.
    speed_mps
        Standard deviation per axis of the velocity of a new track.
    sigma_m
        Of the detections, per axis; sets how far the KD-tree looks.
    pd, clutter_m2
        Detection probability, and false detections per m²; for ``jpda``.
    hits
        Detections at which a track is confirmed.
    misses, tentative_misses
        Scans without a detection after which a confirmed, a tentative track is dropped.
    """

    association: str
    density: float
    speed_mps: float
    sigma_m: float
    pd: float = 0.9
    clutter_m2: float = 1e-6
    hits: int = 3
    misses: int = 4
    tentative_misses: int = 2


@dataclass(frozen=True, slots=True, eq=False)
class PeerTracks:
    """What a peer shows after a scan.

    Parameters
    ----------
    position
        (T, 2) east, north m of its confirmed tracks.
    ids
        T names of theirs.
    cpu_s
        CPU seconds that the scan took.
    """

    position: Floats
    ids: tuple[str, ...]
    cpu_s: float


class Peer:
    """One of Stone Soup's multi-target trackers, fed scan by scan.

    Parameters
    ----------
    plan
        How it is set up.
    """

    def __init__(self, plan: Plan) -> None:
        self._stonesoup = _Parts(plan)
        self._queue: list[tuple[datetime, set[Any]]] = []
        self._tracker = self._stonesoup.tracker(self._scans())
        self._steps = iter(self._tracker)

    def _scans(self) -> Iterator[tuple[datetime, set[Any]]]:
        while True:
            yield self._queue.pop()

    def step(self, points: Floats, seconds: float, sigma_m: float) -> PeerTracks:
        """Take one scan.

        Parameters
        ----------
        points
            (n, 2) east, north m.
        seconds
            Its time.
        sigma_m
            Standard deviation of the points per axis.
        """
        when = EPOCH + timedelta(seconds=seconds)
        self._queue.append((when, self._stonesoup.detections(points, when, sigma_m)))
        start = time.process_time()
        _, tracks = next(self._steps)
        spent = time.process_time() - start
        places = [[float(t.state.mean[0, 0]), float(t.state.mean[2, 0])] for t in tracks]
        ids = tuple(str(t.id) for t in tracks)
        return PeerTracks(np.array(places).reshape(-1, 2), ids, spent)


class _Parts:
    """Stone Soup's components, put together."""

    def __init__(self, plan: Plan) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it says about its optional parts
            from stonesoup import measures
            from stonesoup.dataassociator import neighbour, probability, tree
            from stonesoup.deleter.time import UpdateTimeStepsDeleter
            from stonesoup.hypothesiser.distance import DistanceHypothesiser
            from stonesoup.hypothesiser.probability import PDAHypothesiser
            from stonesoup.initiator.simple import MultiMeasurementInitiator
            from stonesoup.models.measurement.linear import LinearGaussian
            from stonesoup.models.transition import linear
            from stonesoup.predictor.kalman import KalmanPredictor
            from stonesoup.tracker import simple
            from stonesoup.types.detection import Detection
            from stonesoup.types.state import GaussianState
            from stonesoup.updater.kalman import KalmanUpdater
        self._detection, self._simple = Detection, simple
        self._linear_gaussian = LinearGaussian
        self._models: dict[float, Any] = {}
        motion = linear.CombinedLinearGaussianTransitionModel(
            [linear.ConstantVelocity(plan.density)] * 2
        )
        self._mixture = plan.association == "jpda"
        self._deleter = UpdateTimeStepsDeleter(plan.misses)
        predictor, self._updater = KalmanPredictor(motion), KalmanUpdater(None)
        distance = DistanceHypothesiser(
            predictor, self._updater, measures.Mahalanobis(), missed_distance=GATE
        )
        nearest: Any = neighbour.GNNWith2DAssignment(distance)
        if plan.association == "kdtree":
            # The widest gate is that of a new track: two detections and a second of its speed.
            reach = GATE * math.hypot(math.sqrt(2.0) * plan.sigma_m, plan.speed_mps)
            nearest = tree.DetectionKDTreeGNN2D(
                distance, predictor=predictor, updater=self._updater, max_distance=reach
            )
        self._associator = nearest
        if self._mixture:
            chances = PDAHypothesiser(
                predictor,
                self._updater,
                clutter_spatial_density=plan.clutter_m2,
                prob_detect=plan.pd,
                prob_gate=GATE_PROBABILITY,
            )
            self._associator = probability.JPDAwithEHM2(chances)
        self._initiator = MultiMeasurementInitiator(
            prior_state=GaussianState(
                np.zeros((4, 1)), np.diag([0.0, plan.speed_mps**2, 0.0, plan.speed_mps**2])
            ),
            deleter=UpdateTimeStepsDeleter(plan.tentative_misses),
            data_associator=nearest,
            updater=self._updater,
            min_points=plan.hits,
        )

    def tracker(self, detector: Iterator[tuple[datetime, set[Any]]]) -> Any:
        kind = (
            self._simple.MultiTargetMixtureTracker
            if self._mixture
            else self._simple.MultiTargetTracker
        )
        return kind(
            initiator=self._initiator,
            deleter=self._deleter,
            detector=detector,
            data_associator=self._associator,
            updater=self._updater,
        )

    def detections(self, points: Floats, when: datetime, sigma_m: float) -> set[Any]:
        model = self._models.setdefault(
            sigma_m, self._linear_gaussian(4, (0, 2), np.diag([sigma_m**2, sigma_m**2]))
        )
        return {
            self._detection(point[:, None], timestamp=when, measurement_model=model)
            for point in points
        }
