"""What a sensor has learned of its surroundings: one array of numbers for each sensor.

Rows of a memory (`ROWS`, 4), all float64:

- `HEADER`: side of a block m; looks, less those forgotten; twice nothing.
- `BLOCKS` rows about the sensor: block east, block north (whole numbers), false detections, and
  square metres looked at times looks. A block lies fixed in the region's plane; its row is its
  place modulo `ACROSS`, so what a moving sensor leaves behind makes room for what it comes to.
- `RINGS` rows of range: detections of tracks known to be there, and how many were expected.

A memory is never changed in place but replaced by a changed copy at every report, so copies of the
table share it, and it is rolled back with the table: it depends on nothing but the reports before.
"""

import numpy as np

from fusion.jit import inlined, kernel
from model.arrays import Floats

ACROSS = 20
"""Blocks on a side of the window: twice `PER_RANGE`, one more for both edges, and room to move."""

PER_RANGE = 8
"""Blocks from the sensor to its greatest range."""

RINGS = 8
"""Rings of equal width from the sensor to its greatest range."""

HEADER = 0
BLOCK = 1
RING = BLOCK + ACROSS * ACROSS
ROWS = RING + RINGS

SIDE, LOOKS = 0, 1
"""Columns of the header."""

EAST, NORTH, FALSE, LOOKED = range(4)
"""Columns of a block."""

SEEN, EXPECTED = 0, 1
"""Columns of a ring."""

NOWHERE = -(2.0**40)
"""In place of the block that a row is about: none yet."""

MIDDLES = (0.25, 0.75)
"""A block is looked at by quarters: where their middles are, in sides of it."""


def blank(range_m: float) -> Floats:
    """The memory (`ROWS`, 4) of a sensor that has not looked yet.

    Parameters
    ----------
    range_m
        How far it looks.
    """
    memory = np.zeros((ROWS, 4))
    memory[HEADER, SIDE] = range_m / PER_RANGE
    memory[BLOCK:RING, :FALSE] = NOWHERE
    return memory


def range_of(memory: Floats) -> float:
    """How far the sensor looked that a memory is of, m."""
    return float(memory[HEADER, SIDE] * PER_RANGE)


@inlined
def within(
    east: float, north: float, low: float, high: float, middle_east: float, middle_north: float,
    opening: float,
) -> bool:  # fmt: skip
    """Whether a place, m from the sensor, lies in its sector.

    Parameters
    ----------
    east, north
        m from the sensor.
    low, high
        Ranges, m.
    middle_east, middle_north, opening
        Middle of the sector as a direction, and the cosine of half its width; below -1: all round.
    """
    distance = np.sqrt(east * east + north * north)
    if not low <= distance <= high:
        return False
    inside: bool = east * middle_east + north * middle_north >= opening * distance
    return inside


@kernel
def look_round(memory: Floats, east: float, north: float, sector: Floats, kept: float) -> None:
    """Count one look, in place: every block within the sector was looked at.

    Parameters
    ----------
    memory
        (`ROWS`, 4).
    east, north
        Where the sensor stands, m in the region's plane.
    sector
        (5,) as `within` takes it: ranges from, to, m; direction of its middle; opening.
    kept
        Part of what was learned that is still believed after this look.
    """
    side = memory[HEADER, SIDE]
    quarter = 0.25 * side * side
    memory[HEADER, LOOKS] = kept * memory[HEADER, LOOKS] + 1.0
    # Beyond the window nothing is learned: a report may claim to look farther than its sensor can.
    reach = min(sector[1], 0.5 * (ACROSS - 1) * side)
    first_east = np.floor((east - reach) / side)
    first_north = np.floor((north - reach) / side)
    across = int(np.ceil(2.0 * reach / side)) + 1
    for i in range(across):
        block_east = first_east + i
        for j in range(across):
            block_north = first_north + j
            looked = 0.0
            for a in MIDDLES:
                for b in MIDDLES:
                    if within(
                        (block_east + a) * side - east, (block_north + b) * side - north,
                        sector[0], reach, sector[2], sector[3], sector[4],
                    ):  # fmt: skip
                        looked += quarter
            if looked > 0.0:
                row = row_of(block_east, block_north)
                claim_block(memory, row, block_east, block_north)
                memory[row, FALSE] *= kept
                memory[row, LOOKED] = kept * memory[row, LOOKED] + looked
    for row in range(RING, ROWS):
        memory[row, SEEN] *= kept
        memory[row, EXPECTED] *= kept


@inlined
def row_of(block_east: float, block_north: float) -> int:
    """The row of a memory in which a block stands."""
    return BLOCK + int(block_east) % ACROSS * ACROSS + int(block_north) % ACROSS


@kernel
def claim_block(memory: Floats, row: int, block_east: float, block_north: float) -> None:
    """Make a row be about a block; if it was about another, that one is forgotten."""
    if memory[row, EAST] != block_east or memory[row, NORTH] != block_north:
        memory[row, EAST], memory[row, NORTH] = block_east, block_north
        memory[row, FALSE] = memory[row, LOOKED] = 0.0
