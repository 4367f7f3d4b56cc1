"""Line-like defects such as cracks: how real ones run, and new ones that run like them."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.mask_bank.shapes import SATELLITE_GAP, Mask, trim

SLENDER = 6.0
"""Length over width from which a mask is a line."""

LINE_WIDTH = 20.0
"""Mean width in pixels up to which it is a line: a wider strip is a region with a shape."""

STEP = 2.0
"""Distance of the points along a line, in pixels."""

FEWEST_POINTS = 6
"""A shorter line tells nothing of how its class runs."""

FEWEST_BLOCK = 5
BLOCK_SHARES = (0.2, 0.5)
"""How much of a course is taken from a real line in one go: points, and shares of the course."""

JOINTS = 16
"""Random places in the real lines of which the one that continues the course best is taken."""

LEAST_BRANCH = 0.15
"""Length of a side branch worth the name, of that of the line."""

MOST_BRANCHES = 3
BRANCH_ANGLES = (25.0, 70.0)
"""Degrees between a branch and the line."""

FINER = 4
"""Lines are drawn so many times finer than they are wanted."""

THINNEST = 1.2
"""Width in pixels below which a drawn line may break."""

LEAST_DRAWN = 0.6
"""A line that crosses itself so much that less of its area is seen is no line."""

Floats = NDArray[np.float64]


def slenderness(mask: Mask) -> float:
    """Return length over width of a mask as if it were a long strip; 1.8 for a disc."""
    inside = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    # The mean distance to the outline is w / 4 in a long strip of width w; it is counted from
    # the next pixel outside, half a pixel off.
    width = max(1.0, 4.0 * float(inside[mask].mean()) - 2.0)
    return float(np.count_nonzero(mask)) / width**2


@dataclass(frozen=True)
class Course:
    """How a line runs, at points `STEP` pixels apart.

    Attributes:
        turns: N, the heading off that from end to end, in radians.
        widths: N, in pixels; 0 in a gap.
        heading: from end to end, in radians, from x to y.
        branches: length of the side branches over that of the line.
    """

    turns: Floats
    widths: Floats
    heading: float
    branches: float

    @property
    def width(self) -> float:
        """Mean width, in pixels."""
        return max(1.0, float(self.widths.mean()))

    @property
    def winding(self) -> float:
        """Root of the mean square of the turns, in radians."""
        return max(0.02, float(np.sqrt(np.square(self.turns).mean())))


def trace(mask: Mask) -> Course | None:
    """Return how the longest line through a mask runs, or None if it is too short to tell."""
    marked = np.pad(mask.astype(np.uint8), SATELLITE_GAP)
    square = np.ones((SATELLITE_GAP + 1, SATELLITE_GAP + 1), np.uint8)
    path, others = _longest_path(thin(cv2.morphologyEx(marked, cv2.MORPH_CLOSE, square) > 0))
    if len(path) < 3:
        return None
    padded = np.pad(path.astype(np.float64), ((3, 3), (0, 0)), mode="edge")
    smooth = np.stack([np.convolve(c, np.full(7, 1 / 7), "valid") for c in padded.T], axis=1)
    lengths = np.r_[0.0, np.cumsum(np.hypot(*np.diff(smooth, axis=0).T))]
    count = int(lengths[-1] / STEP) + 1
    if count < FEWEST_POINTS:
        return None
    at = np.linspace(0.0, lengths[-1], count)
    y, x = (np.interp(at, lengths, c) for c in smooth.T)
    ahead = np.arctan2(np.gradient(y), np.gradient(x))
    heading = float(np.arctan2(y[-1] - y[0], x[-1] - x[0]))
    inside = cv2.distanceTransform(marked, cv2.DIST_L2, 3)
    thickest = cv2.dilate(inside, np.ones((3, 3), np.uint8))[path[:, 0], path[:, 1]]
    along = np.interp(at, lengths, thickest.astype(np.float64))
    widths = np.maximum(0.0, 2.0 * along - 1.0)
    # The area settles the mean: the distance to the outline is half a pixel off on even widths.
    strip = STEP * float(widths.sum()) * (1.0 + others / len(path))
    widths *= np.count_nonzero(mask) / strip if strip else 1.0
    turns = np.angle(np.exp(1j * (ahead - heading)))
    return Course(turns, widths, heading, others / len(path))


def grow(
    mould: Course, courses: Sequence[Course], widths: Course, rng: np.random.Generator
) -> Mask | None:
    """Return a new line: a walk whose heading and width follow real ones.

    Args:
        mould: gives the length, the heading from end to end, and how much it branches.
        courses: of the class; the walk is made of pieces of them.
        widths: gives the widths along the line.
        rng: everything random is drawn from it.

    Returns:
        The mask, or None if the walk crossed itself too often to be a line.
    """
    count = len(mould.turns)
    side = -1.0 if rng.random() < 0.5 else 1.0
    line = _walk(side * _turns(courses, count, rng))
    span = line[-1] - line[0]
    line = _turned(line, mould.heading - np.arctan2(span[1], span[0]))
    level = np.sqrt(mould.width / widths.width)
    along = np.interp(
        np.linspace(0, 1, count), np.linspace(0, 1, len(widths.widths)), widths.widths
    )
    if rng.random() < 0.5:
        along = along[::-1]
    strokes = [(line, level * along)]
    left = mould.branches
    while left >= LEAST_BRANCH and len(strokes) <= MOST_BRANCHES:
        length = float(rng.uniform(LEAST_BRANCH, min(left, 0.6)))
        strokes.append(_branch(strokes[0], length, courses, rng))
        left -= length
    mask = _draw(strokes)
    expected = sum(float(np.maximum(w, 1.0)[w > 0.5].sum()) * STEP for _, w in strokes)
    return mask if mask is not None and mask.sum() >= LEAST_DRAWN * expected else None


def _turns(courses: Sequence[Course], count: int, rng: np.random.Generator) -> Floats:
    """Return turns of a walk: blocks of real lines, each begun where it continues the last."""
    found: list[float] = []
    pool = [c.turns if rng.random() < 0.5 else -c.turns[::-1] for c in courses]
    while len(found) < count:
        most = max(FEWEST_BLOCK, round(float(rng.uniform(*BLOCK_SHARES)) * count))
        places = []
        for _ in range(JOINTS):
            turns = pool[int(rng.integers(len(pool)))]
            start = int(rng.integers(max(1, len(turns) - most + 1)))
            places.append(turns[start : start + most])
        before = found[-1] if found else 0.0
        found.extend(min(places, key=lambda block: abs(float(block[0]) - before)).tolist())
    joined = np.pad(np.array(found[:count]), 1, mode="edge")
    eased: Floats = (joined[:-2] + joined[1:-1] + joined[2:]) / 3.0
    return eased


def _walk(headings: Floats) -> Floats:
    steps = STEP * np.stack([np.cos(headings), np.sin(headings)], axis=1)
    walked: Floats = np.cumsum(steps, axis=0)
    return walked


def _turned(line: Floats, angle: float) -> Floats:
    cosine, sine = np.cos(angle), np.sin(angle)
    turned: Floats = line @ np.array([[cosine, sine], [-sine, cosine]])
    return turned


def _branch(
    stem: tuple[Floats, Floats], length: float, courses: Sequence[Course], rng: np.random.Generator
) -> tuple[Floats, Floats]:
    line, widths = stem
    at = int(rng.integers(1, max(2, len(line) - 1)))
    ahead = line[at] - line[at - 1]
    angle = np.deg2rad(rng.uniform(*BRANCH_ANGLES)) * (1 if rng.random() < 0.5 else -1)
    count = max(3, round(length * len(line)))
    walked = _walk(_turns(courses, count, rng))
    grown = line[at] + _turned(walked, float(np.arctan2(ahead[1], ahead[0])) + angle)
    thinner = np.interp(np.linspace(0, 1, count), (0, 1), (0.9, 0.6)) * max(1.0, widths[at])
    return grown, thinner


def _draw(strokes: Sequence[tuple[Floats, Floats]]) -> Mask | None:
    points = np.concatenate([line for line, _ in strokes])
    reach = int(max(w.max() for _, w in strokes)) + 3
    low = points.min(axis=0) - reach
    width, height = (np.ceil(points.max(axis=0) - low).astype(int) + reach).tolist()
    # OpenCV rounds a stroke up to odd widths: drawn finer, that is a fraction of a pixel.
    canvas = np.zeros((height * FINER, width * FINER), np.uint8)
    for line, widths in strokes:
        ends = np.rint((line - low) * FINER + (FINER - 1) / 2).astype(int).tolist()
        for begin, end, thick in zip(ends, ends[1:], widths[1:].tolist(), strict=False):
            if thick > 0.5:
                stroke = max(1, round(FINER * max(THINNEST, thick)) - 2)
                cv2.line(canvas, begin, end, 255, stroke)
    drawn = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA) > 120
    return trim(drawn).mask.copy() if drawn.any() else None


def thin(mask: Mask) -> Mask:
    """Return the skeleton, one pixel wide (Zhang and Suen 1984).

    Args:
        mask: H x W, false along its rim.
    """
    thinned = mask.copy()
    changed = True
    while changed:
        changed = False
        for first in (True, False):
            around = [np.roll(thinned, s, (0, 1)) for s in _CLOCKWISE]
            north, east, south, west = around[0], around[2], around[4], around[6]
            neighbours = np.sum(around, axis=0)
            rises = np.sum(
                [~a & b for a, b in zip(around, around[1:] + around[:1], strict=True)], axis=0
            )
            if first:
                open_sides = ~(north & east & south) & ~(east & south & west)
            else:
                open_sides = ~(north & east & west) & ~(north & south & west)
            gone = thinned & (neighbours >= 2) & (neighbours <= 6) & (rises == 1) & open_sides
            thinned = thinned & ~gone
            changed |= bool(gone.any())
    return thinned


_CLOCKWISE = ((1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1))
"""Shifts that bring the pixel in the north, north-east, east, ... onto each pixel."""


def _longest_path(skeleton: Mask) -> tuple[NDArray[np.int64], int]:
    """Return N x 2 (y, x) along the longest way through it, and how many pixels are off it."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        skeleton.astype(np.uint8), connectivity=8
    )
    if count < 2:
        return np.empty((0, 2), np.int64), 0
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    pixels = {(y, x) for y, x in np.argwhere(labels == largest).tolist()}
    start = _walk_pixels(next(iter(sorted(pixels))), pixels)[0]
    path = _walk_pixels(start, pixels)
    return np.array(path), len(pixels) - len(path)


def _walk_pixels(start: tuple[int, int], pixels: set[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the shortest way to the pixel that is farthest from ``start``, from there back."""
    came: dict[tuple[int, int], tuple[int, int] | None] = {start: None}
    queue = deque([start])
    last = start
    while queue:
        last = y, x = queue.popleft()
        for dy, dx in _CLOCKWISE:
            step = (y + dy, x + dx)
            if step in pixels and step not in came:
                came[step] = last
                queue.append(step)
    way, at = [], last
    found: tuple[int, int] | None = at
    while found is not None:
        way.append(found)
        found = came[found]
    return way
