"""Convex hull, smallest rectangle and outline of the pixels of a region."""

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.int64]
Number = TypeVar("Number", np.int64, np.float64)

OUTLINE_TOLERANCE = 0.5
"""Pixels by which a simplified outline may leave out what it stands for."""

HALF_STEPS = np.array([(-1, -1), (-1, 1), (1, -1), (1, 1)])
TIE = 1 + 1e-9  # areas nearer to each other differ by rounding alone


@dataclass(frozen=True)
class Rectangle:
    """A rectangle at any angle.

    Attributes:
        centre: x, y.
        length: the longer side.
        width: the shorter side.
        direction: x, y of a unit vector along the length, with y > 0, or y = 0 and x > 0.
    """

    centre: tuple[float, float]
    length: float
    width: float
    direction: tuple[float, float]


def convex_hull(points: Points) -> Points:
    """Return the corners of the convex hull: never three on a line, in one order.

    Points on one line have two corners, equal points one.

    Args:
        points: N x 2 (x, y), N >= 1, each below 2^30.
    """
    hull: Points = cv2.convexHull(points.astype(np.int32)).reshape(-1, 2).astype(np.int64)
    if len(hull) > 2:
        into, out = hull - _turned(hull, -1), _turned(hull, 1) - hull
        corner = into[:, 0] * out[:, 1] != into[:, 1] * out[:, 0]
        if corner.any():
            hull = hull[corner]
            return _turned(hull, int(np.lexsort((hull[:, 0], hull[:, 1]))[0]))
    order = np.lexsort((hull[:, 0], hull[:, 1]))
    ends = hull[order[[0, -1]]]
    return ends[:1] if (ends[0] == ends[1]).all() else ends


def _turned(values: NDArray[Number], first: int) -> NDArray[Number]:
    """Return a closed row of values from another first one on (`numpy.roll` is slow on few)."""
    return np.concatenate([values[first:], values[:first]])


def pixel_corners(hull: Points) -> NDArray[np.float64]:
    """Return the hull around pixels taken as unit squares, from the hull of their middles."""
    corners = convex_hull((2 * hull[:, None] + HALF_STEPS).reshape(-1, 2))
    return corners / 2.0


def smallest_rectangle(corners: NDArray[np.float64]) -> Rectangle:
    """Return the rectangle of the least area around a convex polygon; of equal ones the longest.

    One side of it lies on a side of the polygon (Freeman and Shapira, 1975), so that all sides
    are tried.

    Args:
        corners: N x 2 (x, y) in order, N >= 3, no three of them on one line.
    """
    sides = _turned(corners, 1) - corners
    along = sides / np.hypot(sides[:, 0], sides[:, 1])[:, None]
    across = along[:, ::-1] * (-1.0, 1.0)
    first, second = corners @ along.T, corners @ across.T
    one = first.max(axis=0) - first.min(axis=0)
    other = second.max(axis=0) - second.min(axis=0)
    area, longer = one * other, np.maximum(one, other)
    # Opposite sides give the same rectangle, so "longest" needs a margin as well.
    best = np.flatnonzero(area <= area.min() * TIE)
    i = int(best[longer[best] >= longer[best].max() / TIE][0])
    middle = (first[:, i].min() + first[:, i].max()) / 2 * along[i]
    middle = middle + (second[:, i].min() + second[:, i].max()) / 2 * across[i]
    x, y = along[i] if one[i] >= other[i] else across[i]
    if y < 0 or (y == 0 and x < 0):
        x, y = -x, -y
    return Rectangle(
        centre=(float(middle[0]), float(middle[1])),
        length=float(longer[i]),
        width=float(min(one[i], other[i])),
        direction=(float(x), float(y)),
    )


def outline(runs: Points, width: int, height: int) -> Points:
    """Return the outer outline of an 8-connected region through the middles of its outer pixels.

    Every pixel that is left out lies within `OUTLINE_TOLERANCE` of the polygon. A line that is
    one pixel thick goes there and back; a single pixel is one point.

    Args:
        runs: N x 3 (y, start, end) with the upper left corner of the region's box at 0.
        width: of the box.
        height: of the box.
    """
    mask = np.zeros((height, width), np.uint8)
    for y, start, end in runs.tolist():
        mask[y, start:end] = 1
    # Points within a straight line are left out already: they are no farther than its ends.
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return simplified(contours[0].reshape(-1, 2).astype(np.int64), OUTLINE_TOLERANCE)


def simplified(points: Points, tolerance: float) -> Points:
    """Return some of the corners of a closed polygon; the others lie within ``tolerance`` of it.

    The method of Ramer (1972), Douglas and Peucker (1973). That of OpenCV clears up afterwards
    and then leaves out more than its tolerance.

    Args:
        points: N x 2 (x, y) in order.
        tolerance: in pixels.
    """
    if len(points) < 3:
        return points
    away = points - points[0]
    farthest = int((away * away).sum(axis=1).argmax())
    closed = np.concatenate([points, points[:1]])
    kept, waiting = {0, farthest}, [(0, farthest), (farthest, len(points))]
    while waiting:
        begin, end = waiting.pop()
        if end - begin < 2:
            continue
        side, away = closed[end] - closed[begin], closed[begin + 1 : end] - closed[begin]
        square = int(side @ side)
        along = (away @ side / square).clip(0.0, 1.0) if square else np.zeros(len(away))
        apart = away - along[:, None] * side
        distances = (apart * apart).sum(axis=1)
        worst = int(distances.argmax())
        if distances[worst] > tolerance * tolerance:
            middle = begin + 1 + worst
            kept.add(middle)
            waiting += [(begin, middle), (middle, end)]
    return points[sorted(kept)]
