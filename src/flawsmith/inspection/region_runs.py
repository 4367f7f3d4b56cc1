"""From an index map to the pieces of its regions: runs of pixels in rows, joined and added up.

Everything here is whole numbers and maxima, so a region adds up to the same in any order and from
any cut into bands of rows.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from flawsmith.data.images import LabelArray
from flawsmith.data.schema import IGNORE
from flawsmith.errors import FlawsmithError
from flawsmith.inspection.region_geometry import convex_hull

MAX_RUNS = 16_384
"""A region of more runs keeps no pixels: a defect as long as a strip must not fill the memory."""

ROUNDING = 1e-3
"""By which a confidence may leave 0 to 1: a softmax and blended tiles can give 1.0000001."""

HULL_POINTS = 1_024  # pending points before they are reduced to their hull

Numbers = NDArray[np.int64]
Scores = NDArray[np.float32] | NDArray[np.float16]


@dataclass(frozen=True)
class Runs:
    """Maximal horizontal runs of one class, row by row and from left to right; N of each.

    Attributes:
        rows: y of the pixels.
        starts: x of the first pixel.
        ends: x behind the last pixel.
        classes: from 1.
        scores: highest score of the class in the run.
    """

    rows: Numbers
    starts: Numbers
    ends: Numbers
    classes: Numbers
    scores: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def none(cls) -> Self:
        """Return no runs."""
        empty = np.zeros(0, np.int64)
        return cls(empty, empty, empty, empty, np.zeros(0, np.float32))

    def after(self, earlier: Self) -> "Runs":
        """Return these runs behind those of rows above."""
        return Runs(
            np.concatenate([earlier.rows, self.rows]),
            np.concatenate([earlier.starts, self.starts]),
            np.concatenate([earlier.ends, self.ends]),
            np.concatenate([earlier.classes, self.classes]),
            np.concatenate([earlier.scores, self.scores]),
        )

    def chosen(self, which: NDArray[np.bool_] | Numbers) -> "Runs":
        """Return some of the runs."""
        return Runs(
            self.rows[which],
            self.starts[which],
            self.ends[which],
            self.classes[which],
            self.scores[which],
        )


def find_runs(
    indices: LabelArray, confidences: Scores, num_defects: int, first_row: int = 0
) -> Runs:
    """Return all runs of the defects in some rows of an index map.

    Args:
        indices: H x W: 0 = no defect, k = k-th defect; 255 is no defect.
        confidences: H x W in [0, 1]: score of the class in ``indices``.
        num_defects: classes that there are.
        first_row: y of the first row.

    Raises:
        FlawsmithError: for a class that there is not, or a defect's score that is no number in
            [0, 1]: it would compare with no threshold, and the defect would pass.
    """
    used = np.flatnonzero(indices.any(axis=1))
    if not len(used):
        return Runs.none()
    inside = np.zeros((len(used), indices.shape[1] + 2), np.uint8)  # no run touches the border
    inside[:, 1:-1] = indices[used]
    inside[inside == IGNORE] = 0
    rows, places = np.nonzero(inside[:, 1:] != inside[:, :-1])
    classes = inside[rows, places + 1].astype(np.int64)
    begins = np.flatnonzero(classes)
    if not len(begins):
        return Runs.none()
    classes = classes[begins]
    if classes.max() > num_defects:
        raise FlawsmithError(
            f"the index map holds class {classes.max()}, the schema has {num_defects} defects: "
            "use the model with the data set it was trained on"
        )
    # The next change of the row ends the run: a row ends outside of all defects.
    starts, ends = places[begins], places[begins + 1]
    values = confidences[used][inside[:, 1:-1] > 0].astype(np.float32)
    if not (values.min() >= -ROUNDING and values.max() <= 1.0 + ROUNDING):
        raise FlawsmithError(
            "a defect's confidence is no number from 0 to 1: the model's arithmetic has failed; "
            "export the model again or use another precision"
        )
    offsets = np.concatenate([[0], np.cumsum(ends - starts)[:-1]])
    scores = np.maximum.reduceat(values, offsets).clip(0.0, 1.0)
    return Runs(used[rows[begins]] + first_row, starts, ends, classes, scores)


def touching(runs: Runs) -> tuple[Numbers, Numbers]:
    """Return the pairs of runs of one class in adjacent rows that touch, corners included."""
    stride = int(runs.ends.max(initial=0)) + 2
    start_keys, end_keys = runs.rows * stride + runs.starts, runs.rows * stride + runs.ends
    low = np.searchsorted(end_keys, start_keys - stride, side="left")
    high = np.searchsorted(start_keys, end_keys - stride, side="right")
    counts = np.maximum(high - low, 0)
    lower = np.repeat(np.arange(len(runs)), counts)
    before = np.concatenate([[0], np.cumsum(counts)[:-1]]) if len(counts) else counts
    upper = np.arange(len(lower)) - np.repeat(before - low, counts)
    same = runs.classes[lower] == runs.classes[upper]
    return lower[same], upper[same]


def connected(count: int, first: Numbers, second: Numbers) -> Numbers:
    """Return for each of ``count`` nodes the number of its component, in order of appearance.

    Args:
        count: nodes.
        first: one end of each edge.
        second: the other end.
    """
    roots = np.arange(count)
    while True:
        # Every root takes the least root that an edge leads to; then all point at their root.
        one, other = roots[first], roots[second]
        least = np.minimum(one, other)
        if np.array_equal(one, other):
            break
        np.minimum.at(roots, one, least)
        np.minimum.at(roots, other, least)
        while not np.array_equal(further := roots[roots], roots):
            roots = further
    numbers: Numbers = np.unique(roots, return_inverse=True)[1]
    return numbers


@dataclass
class Piece:
    """What is known of one region, or of the part of it that was seen so far.

    Attributes:
        area: pixels.
        twice_x: sum of 2 x over the pixels.
        sum_y: sum of y.
        box: left, top, right, bottom; the last two behind the last pixel.
        first: y, x of the first pixel in reading order.
        points: arrays of N x 2 (x, y) that hold all corners of the convex hull of the pixels.
        runs: arrays of N x 3 (y, start, end), or None where there were too many.
    """

    class_id: int
    area: int
    twice_x: int
    sum_y: int
    box: tuple[int, int, int, int]
    score: float
    first: tuple[int, int]
    points: list[Numbers]
    runs: list[NDArray[np.int32]] | None
    num_runs: int

    def join(self, other: "Piece") -> None:
        """Add another piece of the same region."""
        self.area += other.area
        self.twice_x += other.twice_x
        self.sum_y += other.sum_y
        left, top, right, bottom = zip(self.box, other.box, strict=True)
        self.box = (min(left), min(top), max(right), max(bottom))
        self.score = max(self.score, other.score)
        self.first = min(self.first, other.first)
        self.points += other.points
        if sum(len(points) for points in self.points) > HULL_POINTS:
            self.points = [convex_hull(np.concatenate(self.points))]
        self.num_runs += other.num_runs
        if self.runs is None or other.runs is None or self.num_runs > MAX_RUNS:
            self.runs = None
        else:
            self.runs += other.runs
            _merge_small(self.runs)


def _merge_small(arrays: list[NDArray[np.int32]]) -> None:
    """Keep few arrays, each at least twice the next: each run is copied a few times at most."""
    arrays.sort(key=len, reverse=True)
    while len(arrays) > 1 and len(arrays[-2]) < 2 * len(arrays[-1]):
        last = arrays.pop()
        arrays[-1] = np.concatenate([arrays[-1], last])


def collect(runs: Runs, numbers: Numbers) -> dict[int, Piece]:
    """Return the piece of each component.

    Args:
        runs: of some rows.
        numbers: of the component of each run.
    """
    if not len(runs):
        return {}
    order = np.argsort(numbers, kind="stable")
    keys, begins = np.unique(numbers[order], return_index=True)
    runs = runs.chosen(order)
    lengths = runs.ends - runs.starts
    sums = np.add.reduceat(
        np.stack([lengths, (runs.starts + runs.ends - 1) * lengths, runs.rows * lengths], axis=1),
        begins,
    ).tolist()
    left = np.minimum.reduceat(runs.starts, begins).tolist()
    right = np.maximum.reduceat(runs.ends, begins).tolist()
    scores = np.maximum.reduceat(runs.scores, begins).tolist()
    table = np.stack([runs.rows, runs.starts, runs.ends], axis=1)
    pieces = {}
    limits = [*begins.tolist(), len(runs)]
    for i, key in enumerate(keys.tolist()):
        own = table[limits[i] : limits[i + 1]]
        points = np.concatenate([own[:, 1::-1], own[:, 2::-2] - (1, 0)])
        area, twice_x, sum_y = sums[i]
        pieces[key] = Piece(
            class_id=int(runs.classes[limits[i]]),
            area=area,
            twice_x=twice_x,
            sum_y=sum_y,
            box=(left[i], int(own[0, 0]), right[i], int(own[-1, 0]) + 1),
            score=scores[i],
            first=(int(own[0, 0]), int(own[0, 1])),
            points=[convex_hull(points) if len(points) > HULL_POINTS else points],
            runs=None if len(own) > MAX_RUNS else [own.astype(np.int32)],
            num_runs=len(own),
        )
    return pieces
