"""Lines crossed in a known direction: so the mover's velocity across the line has that sign.

Let v be the component of the velocity along the line's normal in the direction of the crossing. In
one mode of motion, given where the line was crossed, it is normal with a mean m and a variance s²;
with a = m/s, the crossing says v > 0, which had the probability Φ(a). What is left is a normal
truncated at 0, with

    mean m + s λ,  variance s² (1 - λ (λ + a)),  λ = φ(a) / Φ(a).

All else of the state follows v by regression, so each mode becomes the Gaussian of the same mean
and covariance, in closed form.

References
----------
D. R. Barr, E. T. Sherrill, "Mean and variance of truncated normal distributions", The American
Statistician 53(4), 1999, doi:10.1080/00031305.1999.10474490: the moments.
D. Simon, D. L. Simon, "Constrained Kalman filtering via density function truncation for turbofan
engine health estimation", Int. J. Systems Science 41(2), 2010, doi:10.1080/00207720903042970: the
same for a state.
"""

import math

from fusion.jit import kernel
from fusion.records import Record
from model.arrays import Floats

WRONG_WAY = 7e-4
"""Where going that way has less than this part of the probability that chance gives it, the pair is
beyond the gate: as rare as what `Settings.gate_probability` leaves out (twice 3.4e-4)."""

FAR = -30.0
"""Below it λ is taken from its asymptotic series; Φ(-37) is the last that float64 holds."""

LEAST_VARIANCE = 1e-12
"""Least variance of a speed, (m/s)²: rounding must not leave nothing."""


@kernel
def has_direction(d: Record) -> bool:
    """Whether a detection (`fusion.records.MEASURED`) says which way a line was crossed."""
    known: bool = d.across[0] != 0.0 or d.across[1] != 0.0
    return known


@kernel
def hazard(a: float) -> float:
    """φ(a) / Φ(a), the inverse Mills ratio of -a."""
    if a < FAR:
        b = -1.0 / a
        return -a + b - 2.0 * b * b * b
    return math.sqrt(2.0 / math.pi) * math.exp(-0.5 * a * a) / math.erfc(-a * math.sqrt(0.5))


@kernel
def way(
    x: Floats, P: Floats, d: Record, de: float, dn: float, a: float, b: float, c: float
) -> float:  # fmt: skip
    """Probability that one mode goes the way that was seen, given the place, over 1/2.

    A half is what chance gives it: a false crossing, or a mover not known yet, may go either way.

    Parameters
    ----------
    x, P
        (4,) and (10,), the mode as predicted.
    d
        `fusion.records.MEASURED`, with a direction.
    de, dn
        Innovation of the place, m.
    a, b, c
        Its covariance, EE, EN, NN, m².
    """
    e, n = d.across[0], d.across[1]
    # Covariance of the component with the place, as the update has it (`fusion.weigh`).
    ce, cn = e * P[2] + n * P[3], e * P[5] + n * P[6]
    determinant = a * c - b * b
    ge, gn = (c * ce - b * cn) / determinant, (a * cn - b * ce) / determinant
    mean = e * x[2] + n * x[3] + ge * de + gn * dn
    variance = e * e * P[7] + 2.0 * e * n * P[8] + n * n * P[9] - ge * ce - gn * cn
    return math.erfc(-mean / math.sqrt(2.0 * max(variance, LEAST_VARIANCE)))


@kernel
def go_across(east: float, north: float, P: Floats, step: Floats, d: Record) -> None:
    """Truncate one mode to velocities that cross the line as seen, in place.

    Parameters
    ----------
    east, north
        Velocity of the mode, `step` apart, m/s.
    P
        (10,) its covariance.
    step
        (4,) what is added to its state: m, m, m/s, m/s.
    d
        As in `way`.
    """
    e, n = d.across[0], d.across[1]
    v0, v1 = e * P[2] + n * P[3], e * P[5] + n * P[6]
    v2, v3 = e * P[7] + n * P[8], e * P[8] + n * P[9]
    variance = max(e * v2 + n * v3, LEAST_VARIANCE)
    sigma = math.sqrt(variance)
    at = (e * (east + step[2]) + n * (north + step[3])) / sigma
    ratio = hazard(at)
    shift = ratio / sigma
    step[0] += v0 * shift
    step[1] += v1 * shift
    step[2] += v2 * shift
    step[3] += v3 * shift
    less = ratio * (ratio + at) / variance
    P[0] -= less * v0 * v0
    P[1] -= less * v0 * v1
    P[2] -= less * v0 * v2
    P[3] -= less * v0 * v3
    P[4] -= less * v1 * v1
    P[5] -= less * v1 * v2
    P[6] -= less * v1 * v3
    P[7] -= less * v2 * v2
    P[8] -= less * v2 * v3
    P[9] -= less * v3 * v3
