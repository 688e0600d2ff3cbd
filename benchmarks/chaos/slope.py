"""How fast something grows: a robust slope with its uncertainty."""

from dataclasses import dataclass

import numpy as np

from model.arrays import Floats

PAIRS = 20_000
"""Pairs of points looked at, at most; of more points every so many is taken."""

BOOTSTRAPS = 200
"""Resampled series from which the uncertainty is read."""

BLOCKS = 12
"""The residuals are resampled in so many blocks, because neighbours are alike."""


@dataclass(frozen=True, slots=True)
class Slope:
    """Growth.

    Parameters
    ----------
    per_hour
        Theil-Sen slope: the median of the slopes between all pairs of points.
    low, high
        Its 95 % interval.
    level
        Median of the values.
    """

    per_hour: float
    low: float
    high: float
    level: float

    @property
    def percent_per_hour(self) -> float:
        """Growth relative to the level, %."""
        return 100.0 * self.per_hour / self.level if self.level else 0.0

    @property
    def sure_percent_per_hour(self) -> float:
        """What it grows by at least, with 97.5 % confidence, %."""
        return 100.0 * self.low / self.level if self.level else 0.0


def slope(seconds: Floats, values: Floats, seed: int = 0) -> Slope:
    """Fit a line that single outliers do not move.

    Parameters
    ----------
    seconds
        (N,) when, s; rising.
    values
        (N,) what was measured then.
    seed
        Of the resampling.

    References
    ----------
    P. K. Sen, "Estimates of the regression coefficient based on Kendall's tau", Journal of the
    American Statistical Association 63 (1968), doi:10.1080/01621459.1968.10480934.
    """
    step = max(1, int(np.ceil(len(seconds) / np.sqrt(2.0 * PAIRS))))
    hours, taken = np.asarray(seconds)[::step] / 3_600.0, np.asarray(values, float)[::step]
    if len(hours) < 3:
        level = float(np.median(taken)) if len(taken) else 0.0
        return Slope(0.0, -np.inf, np.inf, level)
    best = _theil_sen(hours, taken)
    residual = taken - np.median(taken) - best * (hours - np.median(hours))
    rng = np.random.default_rng(seed)
    length = max(1, len(hours) // BLOCKS)
    found = np.empty(BOOTSTRAPS)
    for number in range(BOOTSTRAPS):
        starts = rng.integers(0, len(hours) - length + 1, len(hours) // length + 1)
        rows = (starts[:, None] + np.arange(length)).ravel()[: len(hours)]
        found[number] = _theil_sen(hours, best * hours + residual[rows])
    low, high = np.quantile(found, (0.025, 0.975))
    return Slope(best, float(low), float(high), float(np.median(taken)))


def _theil_sen(x: Floats, y: Floats) -> float:
    first, second = np.triu_indices(len(x), 1)
    apart = x[second] - x[first]
    keep = apart > 0
    return float(np.median((y[second] - y[first])[keep] / apart[keep]))
