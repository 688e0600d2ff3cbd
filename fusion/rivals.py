"""Tracks that stand for the same mover: existence goes to the likelier one.

Two tracks of one place and speed are interchangeable: which of them exists is not to be known, how
many do is. Of all pairs of probabilities with the same sum the one with as many certain tracks as
possible says that best: a sum of 1.4 is one track that exists and one that does so by 0.4. So when
one of two movers that went side by side is gone, one track goes with it, instead of two that are
doubtful.

References
----------
J. Williams, "An efficient, variational approximation of the best fitting multi-Bernoulli filter",
IEEE Trans. Signal Processing 63(1), 2015, doi:10.1109/TSP.2014.2370946: on the same freedom.
"""

from fusion.jit import kernel
from model.arrays import Array, Bools, Floats

SAME = 2.0
"""Squared Mahalanobis distance of position and velocity below which two tracks are alike: four
degrees of freedom, and either is uncertain by itself."""


TOGETHER_MPS = 1.5
"""Difference of speed up to which two tracks may be two ends of one hull, m/s: it turns."""

TOGETHER = 6.0
"""And its square in units of what is known of it (chi-square, 2 degrees of freedom: 0.95)."""


@kernel
def settle(
    mean: Floats, spread: Floats, better: Array, other: Array, there: Floats, most: float,
    resolved: Bools, extent_m: float,
) -> None:  # fmt: skip
    """Move existence between tracks that are alike, in place.

    Parameters
    ----------
    mean, spread
        (n, 4) and (n, 10) of tracks.
    better, other
        (p,) pairs of tracks near each other; to the first existence is given.
    there
        (n,) probability of existence.
    most
        Greatest probability of existence that is given.
    resolved
        (p,) whether two sensors have shown both as two.
    extent_m
        How large one mover may look: two tracks nearer than that which move as one are two ends
        of one hull, unless they are resolved.
    """
    for p in range(len(better)):
        i, j = better[p], other[p]
        if there[i] <= 0.0 or there[j] <= 0.0:
            continue
        de, dn = mean[i, 0] - mean[j, 0], mean[i, 1] - mean[j, 1]
        near = de * de + dn * dn < extent_m * extent_m
        if near and not resolved[p] and _together(mean[i], mean[j], spread[i], spread[j]):
            there[j] = 0.0
            continue
        if there[i] >= most:
            continue
        if _distance(mean[i], mean[j], spread[i], spread[j]) > SAME:
            continue
        part = min(there[j], most - there[i])
        there[i] += part
        there[j] -= part


@kernel
def _distance(x: Floats, y: Floats, P: Floats, Q: Floats) -> float:
    """Squared distance of position and of velocity, each normalised by both covariances."""
    total = 0.0
    for first, second, third, at in ((0, 1, 4, 0), (7, 8, 9, 2)):
        a = P[first] + Q[first]
        b = P[second] + Q[second]
        c = P[third] + Q[third]
        de, dn = x[at] - y[at], x[at + 1] - y[at + 1]
        total += (c * de * de - 2.0 * b * de * dn + a * dn * dn) / (a * c - b * b)
    return total


@kernel
def _together(x: Floats, y: Floats, P: Floats, Q: Floats) -> bool:
    """Whether two tracks move as one: a known difference in speed would part them."""
    de, dn = x[2] - y[2], x[3] - y[3]
    if de * de + dn * dn > TOGETHER_MPS * TOGETHER_MPS:
        return False
    a, b, c = P[7] + Q[7], P[8] + Q[8], P[9] + Q[9]
    same: bool = (c * de * de - 2.0 * b * de * dn + a * dn * dn) / (a * c - b * b) < TOGETHER
    return same
