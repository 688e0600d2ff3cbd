"""What kind of mover: class likelihoods of detections and tracks."""

import numpy as np

from fusion.settings import CLASS_CONFLICT
from model.arrays import Array, Floats
from model.sensors import Sensor

CLASS_FLOOR = 0.05
"""Least likelihood of a class in one detection: no single report rules a class out."""


CLASS_SPAN = 6.0
"""Greatest log-odds between two classes: e^6 is 400 to 1."""


def class_probability(log_likelihood: Floats) -> Floats:
    """Class probabilities (T, K) of the table's log-likelihoods; zeros where nothing was said."""
    weight = np.exp(log_likelihood)
    said = (log_likelihood != 0.0).any(axis=1)
    probability: Floats = weight / weight.sum(axis=1, keepdims=True) * said[:, None]
    return probability


def class_likelihood(classes: Array, sensor: Sensor) -> Floats:
    """Log-likelihoods (k, K); all 0 where neither detection nor sensor says anything."""
    given = classes.astype(np.float64)
    if sensor.classes is not None:
        silent = given.sum(axis=1) == 0.0
        given[silent] = sensor.classes
    said = given.sum(axis=1) > 0.0
    return np.where(said[:, None], np.log(np.maximum(given, CLASS_FLOOR)), 0.0)


def class_score(tracks: Floats, detections: Array, sensor: Sensor) -> Floats:
    """Log-likelihood (p,) of the detections' classes under the tracks', against any class."""
    likelihood = class_likelihood(detections, sensor)
    weight = np.exp(likelihood - likelihood.max(axis=1, keepdims=True))
    match = (class_probability(tracks) * weight).sum(axis=1)
    unsaid = (tracks == 0.0).all(axis=1) | (likelihood == 0.0).all(axis=1)
    score: Floats = np.log(np.maximum(np.where(unsaid, 1.0, match), CLASS_CONFLICT))
    return score
