"""A threshold for each class that misses few defective parts and fails few good ones.

A part fails if any of its classes reaches its threshold. Which thresholds are best is a small
set-covering problem, which is solved exactly as a mixed-integer programme (HiGHS through SciPy).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from flawsmith.errors import FlawsmithError
from flawsmith.metrics.intervals import clopper_pearson, parts_without_miss

Scores = NDArray[np.float64]
"""Parts x classes: highest score of a region, 0 where the class was not found."""

SECONDS = 120
MOST_PARTS = 1_000_000_000
_OPTIMAL, _INFEASIBLE = 0, 2  # status of scipy.optimize.milp


class Choice(NamedTuple):
    """Thresholds and what they do to the parts that they were chosen on.

    Attributes:
        thresholds: one a class; a part fails where a score reaches it.
        missed: numbers of the defective parts that pass.
        failed: numbers of the good parts that fail.
    """

    thresholds: Scores
    missed: list[int]
    failed: list[int]


def choose_class_thresholds(
    scores: Scores,
    defective: NDArray[np.bool_],
    lowest: Scores,
    *,
    most_missed: int | None = None,
    most_failed: int | None = None,
) -> Choice | None:
    """Return the best thresholds within one or two limits.

    With ``most_missed`` the fewest good parts fail, and of equal choices the fewest defective ones
    pass; with ``most_failed`` alone it is the other way round. Each threshold is then as low as it
    can be without failing another good part, halfway to the next score: what validation parts do
    not show is caught rather than passed.

    Args:
        scores: of the parts.
        defective: which parts are.
        lowest: of each class: no region scores less.
        most_missed: defective parts that may pass; None: any number.
        most_failed: good parts that may fail; None: any number.

    Returns:
        None if no thresholds keep to the limits.

    Raises:
        FlawsmithError: if it cannot be solved in two minutes.
    """
    if not len(scores):
        return Choice(_lowered(scores, defective, lowest), [], [])
    programme = _Programme.of(scores, defective, most_missed, most_failed)
    solution = milp(
        programme.costs(first="failed" if most_missed is not None else "missed"),
        integrality=programme.integer,
        bounds=Bounds(programme.lower, np.ones_like(programme.lower)),
        constraints=programme.constraints,
        options={"mip_rel_gap": 0.0, "time_limit": SECONDS},
    )
    if solution.status == _INFEASIBLE:
        return None
    if solution.status != _OPTIMAL:
        raise FlawsmithError(
            f"no thresholds were found for {len(scores)} parts in {SECONDS} s: {solution.message}"
        )
    failing = _reaches(scores, programme.tightest(solution.x))
    thresholds = _lowered(scores, defective | failing, lowest)
    failing = _reaches(scores, thresholds)
    return Choice(
        thresholds,
        missed=np.flatnonzero(defective & ~failing).tolist(),
        failed=np.flatnonzero(~defective & failing).tolist(),
    )


def _reaches(scores: Scores, thresholds: Scores) -> NDArray[np.bool_]:
    return np.asarray(((scores >= thresholds) & (scores > 0)).any(axis=1), np.bool_)


@dataclass(frozen=True)
class _Programme:
    """Variables in this order: levels, caught defective parts, failed good parts; all 0 or 1.

    A level is a score that some defective part has in a class; it is 1 if the threshold is there
    or below. Only levels need be whole numbers, the others then are at the optimum.
    """

    values: list[Scores]
    num_defective: int
    lower: Scores
    constraints: list[LinearConstraint]

    @classmethod
    def of(
        cls,
        scores: Scores,
        defective: NDArray[np.bool_],
        most_missed: int | None,
        most_failed: int | None,
    ) -> "_Programme":
        bad, good = scores[defective], scores[~defective]
        values = [np.unique(column[column > 0]) for column in bad.T]
        starts = np.cumsum([0, *map(len, values)])
        first_good = starts[-1] + len(bad)
        size = first_good + len(good)
        rows = _Rows()
        for start, level in zip(starts, values, strict=False):
            for place in range(start, start + len(level) - 1):
                rows.add({place: 1, place + 1: -1}, upper=0)  # a lower threshold reaches more
        for number, part in enumerate(bad):
            reached = {
                start + int(np.searchsorted(level, score)): -1
                for start, level, score in zip(starts, values, part, strict=False)
                if score > 0
            }
            rows.add({starts[-1] + number: 1, **reached}, upper=0)
        for number, part in enumerate(good):
            for start, level, score in zip(starts, values, part, strict=False):
                below = int(np.searchsorted(level, score, side="right"))
                if below:
                    rows.add({start + below - 1: 1, first_good + number: -1}, upper=0)
        if most_missed is not None:
            rows.add(dict.fromkeys(range(starts[-1], first_good), -1), most_missed - len(bad))
        if most_failed is not None:
            rows.add(dict.fromkeys(range(first_good, size), 1), most_failed)
        lower = np.zeros(size)
        # A threshold is at most 1, so a score of 1 always reaches it.
        lower[first_good:] = (good >= 1.0).any(axis=1)
        return cls(values, len(bad), lower, list(rows.constraints(size)))

    @property
    def integer(self) -> NDArray[np.int64]:
        """1 for variables that must be whole numbers."""
        levels = sum(map(len, self.values))
        return (np.arange(len(self.lower)) < levels).astype(np.int64)

    def costs(self, first: str) -> Scores:
        """Return what each variable costs: what comes first outweighs all of the second."""
        levels = sum(map(len, self.values))
        num_good = len(self.lower) - levels - self.num_defective
        caught, failed = -np.ones(self.num_defective), np.ones(num_good)
        if first == "failed":
            failed *= self.num_defective + 1
        else:
            caught *= num_good + 1
        return np.concatenate([np.zeros(levels), caught, failed])

    def tightest(self, solution: Scores) -> Scores:
        """Return the highest thresholds that reach what the solution reaches."""
        found, start = [], 0
        for level in self.values:
            chosen = level[solution[start : start + len(level)] > 0.5]
            found.append(chosen.min(initial=1.0))
            start += len(level)
        return np.array(found)


class _Rows:
    """Rows of a sparse system of inequalities."""

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, int]] = []
        self._upper: list[float] = []

    def add(self, weights: dict[int, int], upper: float) -> None:
        self._entries += [(w, len(self._upper), int(column)) for column, w in weights.items()]
        self._upper.append(upper)

    def constraints(self, size: int) -> Iterator[LinearConstraint]:
        if self._entries:
            weights, rows, columns = zip(*self._entries, strict=True)
            matrix = coo_array((weights, (rows, columns)), shape=(len(self._upper), size))
            yield LinearConstraint(matrix.tocsr(), ub=np.array(self._upper))


def _lowered(scores: Scores, lost: NDArray[np.bool_], lowest: Scores) -> Scores:
    """Return the lowest thresholds at which only ``lost`` parts are reached, with some margin."""
    thresholds = []
    for column, least in zip(scores.T, lowest, strict=True):
        passing = float(column[~lost].max(initial=0.0))
        if passing <= 0.0:
            thresholds.append(math.floor(least * 1000) / 1000)
            continue
        above = float(column[column > passing].min(initial=1.0))
        thresholds.append(_between(passing, above))
    return np.array(thresholds)


def _between(low: float, high: float) -> float:
    """Return a short number above ``low`` and at most ``high``, near their middle."""
    middle = (low + high) / 2
    for digits in range(3, 17):
        if low < round(middle, digits) <= high:
            return round(middle, digits)
    return high


def parts_needed(missed: int, total: int, limit: float) -> int | None:
    """Return how many defective parts show an escape of ``limit`` if no further one is missed.

    It is shown where the upper end of the exact two-sided 95 % interval is at most ``limit``.

    Returns:
        ``total`` if it is shown already; None if no number up to a billion shows it.
    """
    if limit >= 1:
        return total
    if limit <= 0:
        return None
    if missed == 0:
        return max(total, parts_without_miss(limit, one_sided=False))

    def shown(parts: int) -> bool:
        return clopper_pearson(missed, parts)[1] <= limit

    low, high = max(missed, total - 1, 1), max(total, 1)
    while not shown(high):
        low, high = high, 2 * high
        if high > MOST_PARTS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if shown(middle) else (middle, high)
    return high
