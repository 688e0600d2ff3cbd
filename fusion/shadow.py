"""Who stands in whose shadow: a mover behind another is not seen by itself.

A sensor on a line of sight gets nothing back from what a hull hides. How large a hull looks its
description says (`extent_m`); one that gives none is taken to see everybody.
"""

import math

import numpy as np

from fusion.jit import kernel
from model.arrays import Array, Bools, Floats
from model.tracks import Status

NEAREST_M = 1.0
"""Least distance from a sensor at which a hull's breadth is an angle, m."""

_TENTATIVE = int(Status.TENTATIVE)


@kernel
def hidden(predicted: Array, rows: Array, origin: Floats, extent_m: float) -> Bools:
    """Which predictions (n,) stand in the shadow of a nearer one that is shown.

    Parameters
    ----------
    predicted, rows
        (n,) `fusion.records.PREDICTED`, and the table's records.
    origin
        (2,) east, north m of the sensor.
    extent_m
        How large a hull looks.
    """
    count = len(predicted)
    azimuth, reach = np.empty(count), np.empty(count)
    for i in range(count):
        east, north = predicted[i].mean[0] - origin[0], predicted[i].mean[1] - origin[1]
        azimuth[i] = math.atan2(east, north)
        reach[i] = math.sqrt(east * east + north * north)
    order = np.argsort(azimuth, kind="mergesort")
    rising = azimuth[order]
    shaded = np.zeros(count, dtype=np.bool_)
    for j in range(count):
        if rows[predicted[j].row].status == _TENTATIVE:
            continue  # only who is surely there casts a shadow
        # It widens with the distance; round the back of the sensor it goes on from the other end.
        width = math.atan2(0.5 * extent_m, max(reach[j], NEAREST_M))
        for turn in (-2.0 * math.pi, 0.0, 2.0 * math.pi):
            first = np.searchsorted(rising, azimuth[j] + turn - width)
            stop = np.searchsorted(rising, azimuth[j] + turn + width)
            for k in range(first, stop):
                if reach[order[k]] * math.cos(rising[k] - azimuth[j]) > max(reach[j], NEAREST_M):
                    shaded[order[k]] = True
    return shaded
