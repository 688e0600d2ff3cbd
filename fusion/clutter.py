"""How dense a sensor's clutter is at a place, learned from what no track claims.

Four areas lie within one another about a place: all that the sensor looks at, and squares of a
half, a quarter and an eighth of its range. False detections in each are counted per square metre
looked at; each area's density has a gamma prior about that of the next larger one, and the largest
about the description's, worth a few detections. So a sensor that is described wrongly is believed
for a few looks only, and where little was seen the wider surroundings decide.

References
----------
D. Musicki, M. Morelande, B. La Scala, "Non parametric target tracking in non uniform clutter", 8th
International Conference on Information Fusion, 2005, doi:10.1109/ICIF.2005.1591834: clutter density
by place from counts.
F. E. Nitzberg, "Clutter map CFAR analysis", IEEE Trans. AES 22(4), 1986,
doi:10.1109/TAES.1986.310777: a map with exponential forgetting.
"""

import math

import numpy as np

from fusion.jit import kernel
from fusion.settings import LEAST_CLUTTER_DENSITY_M2
from fusion.surroundings import (
    BLOCK,
    EAST,
    FALSE,
    HEADER,
    LOOKED,
    LOOKS,
    NORTH,
    RING,
    SIDE,
    row_of,
)
from model.arrays import Array, Floats

SCALES = (4, 2, 1)
"""Sides of the squares within one another, in blocks."""

BURST = 2.0
"""Detections that the clutter expected of a report is worth against those that it has: clutter
comes in swarms, so it varies more than chance alone (a gamma prior of this shape)."""


@kernel
def densities(
    memory: Floats, scan: Array, described: float, worth: float, prior_looks: float, least: float,
    known: float, out: Floats,
) -> None:  # fmt: skip
    """Clutter of a report at places, from its sensor's memory.

    Parameters
    ----------
    memory
        (`fusion.surroundings.ROWS`, 4).
    scan
        (m,) `fusion.records.MEASURED`; those that have no place get `described`.
    described
        Density of the description, 1/m² and look.
    worth
        Detections that the density of the next larger area is worth.
    prior_looks
        Looks that the description is worth at most.
    least
        Part of the description that no density falls below.
    known
        Detections of the report that are expected of the tracks there are.
    out
        (m,) filled: 1/m².
    """
    count = area = largest = 0.0
    for row in range(BLOCK, RING):
        count += memory[row, FALSE]
        area += memory[row, LOOKED]
    looks = memory[HEADER, LOOKS]
    if looks > 0.0:
        largest = area / looks  # looked at in one look
    shape = min(worth, max(prior_looks * described * largest, 0.1))
    whole = (shape + count) / (shape / described + area)
    # A sea that rises, a shower: what this very report has too much of counts at once.
    placed = 0
    for j in range(len(scan)):
        placed += not math.isnan(scan[j].z[0])
    burst = max(1.0, (BURST + placed - known) / (BURST + whole * largest))
    side = memory[HEADER, SIDE]
    # Detections of one block have the same density: it is worked out once for each.
    known_east, known_north = np.full(RING, np.nan), np.empty(RING)
    known_density = np.empty(RING)
    for j in range(len(scan)):
        if math.isnan(scan[j].z[0]):
            out[j] = described
            continue
        block_east, block_north = np.floor(scan[j].z[0] / side), np.floor(scan[j].z[1] / side)
        row = row_of(block_east, block_north)
        if known_east[row] == block_east and known_north[row] == block_north:
            out[j] = known_density[row]
            continue
        known_east[row], known_north[row] = block_east, block_north
        density = _density_at(memory, block_east, block_north, worth, whole)
        # Where nobody looks nothing was learned, and no miss will ever be charged.
        if density < 0.0:
            density = max(-density, described)
        out[j] = max(density * burst, least * described, LEAST_CLUTTER_DENSITY_M2)
        known_density[row] = out[j]


@kernel
def _density_at(
    memory: Floats, block_east: float, block_north: float, worth: float, whole: float
) -> float:
    """Density at a block, about that of all; negative where nobody looks."""
    density = whole
    area = 0.0
    for scale in SCALES:
        first_east = np.floor(block_east / scale) * scale
        first_north = np.floor(block_north / scale) * scale
        count = area = 0.0
        for a in range(scale):
            for b in range(scale):
                row = row_of(first_east + a, first_north + b)
                if memory[row, EAST] == first_east + a and memory[row, NORTH] == first_north + b:
                    count += memory[row, FALSE]
                    area += memory[row, LOOKED]
        density = (worth + count) / (worth / density + area)
    return density if area > 0.0 else -density


@kernel
def count_false(memory: Floats, scan: Array, weight: Floats) -> None:
    """Count detections (m,), each clutter with a probability (m,), in place."""
    side = memory[HEADER, SIDE]
    for j in range(len(scan)):
        if math.isnan(scan[j].z[0]) or not weight[j] > 0.0:
            continue
        block_east, block_north = np.floor(scan[j].z[0] / side), np.floor(scan[j].z[1] / side)
        row = row_of(block_east, block_north)
        here = memory[row, EAST] == block_east and memory[row, NORTH] == block_north
        if here and memory[row, LOOKED] > 0.0:
            memory[row, FALSE] += weight[j]
