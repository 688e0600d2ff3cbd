"""Polygons of an agreement: what is wrong with one, and which positions lie inside.

All in radians. Edges are straight in latitude and longitude, so an edge along a parallel is that
parallel. A polygon may cross the date line; it may not contain a pole nor span half the globe.
What lies on a border is denied: outside of a released area, inside of an excluded one.
"""

import numpy as np

from model.arrays import Bools, Floats
from model.coverage import inside_polygon

BORDER_RAD = 1e-9
"""A position this near to an edge lies on the border, rad: 6 mm on the ground, far above the
rounding of float64 degrees and far below any sensor's accuracy."""

TWO_PI = 2.0 * np.pi


def released_area(points: Floats, polygon: Floats) -> Bools:
    """Which points (N, 2) lie inside a polygon (V, 2), not on its border; latitude, longitude."""
    inside = inside_polygon(points, polygon)
    within = np.flatnonzero(inside)
    inside[within] = ~on_border(points[within], polygon)
    return inside


def excluded_area(points: Floats, polygon: Floats) -> Bools:
    """Which points (N, 2) lie inside a polygon (V, 2) or on its border; latitude, longitude."""
    return inside_polygon(points, polygon) | on_border(points, polygon)


def on_border(points: Floats, polygon: Floats) -> Bools:
    """Which points (N, 2) lie within `BORDER_RAD` of an edge of a polygon (V, 2)."""
    base = polygon[0, 1]
    x = _wrapped(points[:, 1] - base)
    y = points[:, 0]
    xs, ys = _wrapped(polygon[:, 1] - base), polygon[:, 0]
    near = np.zeros(len(points), dtype=np.bool_)
    for i in range(len(polygon)):
        dx, dy = xs[i] - xs[i - 1], ys[i] - ys[i - 1]
        px, py = x - xs[i - 1], y - ys[i - 1]
        length2 = dx * dx + dy * dy
        along = np.clip((px * dx + py * dy) / length2, 0.0, 1.0) if length2 > 0.0 else 0.0
        near |= np.hypot(px - along * dx, py - along * dy) <= BORDER_RAD
    return near


def polygon_mistakes(polygon: Floats) -> list[str]:
    """What keeps a polygon (V, 2), latitude and longitude rad, from being used; empty: nothing."""
    if len(polygon) < 3:
        return [f"has {len(polygon)} points; at least 3"]
    steps = _wrapped(np.diff(polygon[:, 1], append=polygon[0, 1]))
    east = np.concatenate([[0.0], np.cumsum(steps)])
    if abs(east[-1]) > np.pi:
        return ["contains a pole"]
    if east.max() - east.min() >= np.pi:
        return ["spans 180 degrees of longitude or more"]
    x, y = east[:-1], polygon[:, 0]
    if abs(float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))) / 2.0 <= BORDER_RAD**2:
        return ["encloses nothing"]
    if (crossing := _crossing(x, y)) is not None:
        return [f"its edges {crossing[0]} and {crossing[1]} cross"]
    if (touching := _touching(polygon)) is not None:
        return [f"its point {touching} lies on one of its other edges"]
    return []


def _touching(polygon: Floats) -> int | None:
    """First point (from 1) that lies on an edge that does not end in it, or None."""
    count = len(polygon)
    for i in range(count):
        others = np.array([j for j in range(count) if j not in (i, (i - 1) % count)])
        # The edge from point i - 1 to point i as a polygon of two edges, there and back.
        found = np.flatnonzero(on_border(polygon[others], polygon[[i - 1, i]]))
        if len(found):
            return int(others[found[0]]) + 1
    return None


def _crossing(x: Floats, y: Floats) -> tuple[int, int] | None:
    """First pair of edges (from 1) that cross each other properly, or None."""
    x1, y1 = np.roll(x, -1), np.roll(y, -1)
    for i in range(len(x) - 2):
        j = np.arange(i + 2, len(x))
        of_j = _side(x[i], y[i], x1[i], y1[i], x[j], y[j]) * _side(
            x[i], y[i], x1[i], y1[i], x1[j], y1[j]
        )
        of_i = _side(x[j], y[j], x1[j], y1[j], x[i], y[i]) * _side(
            x[j], y[j], x1[j], y1[j], x1[i], y1[i]
        )
        found = np.flatnonzero((of_j < 0) & (of_i < 0))
        if len(found):
            return i + 1, int(j[found[0]]) + 1
    return None


def _side(x0: Floats, y0: Floats, x1: Floats, y1: Floats, x: Floats, y: Floats) -> Floats:
    """Sign of the side of the line 0-1 on which a point lies."""
    return np.sign((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0))


def _wrapped(longitude: Floats) -> Floats:
    """Longitude differences in [-pi, pi)."""
    wrapped: Floats = (longitude + np.pi) % TWO_PI - np.pi
    return wrapped
