"""Two inspection models on the same test parts: differences of a pooled figure, paired by part.

Counts are P x D x C of P parts and D classes: pixels (true positive, false positive, false
negative; C = 3) or images (true negative too; C = 4). The rows of two arms are the same parts in
the same order. Several seeds are averaged within each part before, so counts may be fractions.

A figure such as IoU is pooled: the counts are added over all parts first. A difference is arm
minus reference.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from flawsmith.errors import FlawsmithError
from flawsmith.metrics.intervals import CHUNK
from flawsmith.metrics.pooled import IOU, PooledFigure

PartCounts = NDArray[np.float64]
EXACT_PARTS = 13
"""Up to so many parts that differ all 2 ** n swaps are tried, which is about the random number."""
MIN_PARTS = 2
MIN_REPEATS = 3
"""Folds or seeds below which nothing is known of luck in training."""


@dataclass(frozen=True)
class Difference:
    """Arm minus reference; intervals and errors are None where parts are too few.

    Attributes:
        value: of the figures pooled over all parts.
        standard_error: of parts and training together.
        parts_error: from the bootstrap over parts.
        luck_error: with three folds or more from leaving out one at a time, which has the parts
            in it; else with three seeds or more from the spread of the seeds alone; else None.
    """

    value: float
    low: float | None
    high: float | None
    standard_error: float | None
    parts_error: float | None = None
    luck_error: float | None = None


@dataclass(frozen=True)
class Paired:
    """Macro and per-class differences, from the same resamples.

    Attributes:
        macro: mean over the classes that are present.
        classes: one for each class; None where no part shows it.
        swap_p: two-sided p-value of the macro difference over parts, see `swap_test`.
        luck_p: the same by a t test with what folds or seeds tell of luck in training; None
            where they are too few.
    """

    macro: Difference
    classes: list[Difference | None]
    swap_p: float | None
    luck_p: float | None

    @property
    def p(self) -> float | None:
        """The larger of the two p-values: luck with parts and luck in training must both go."""
        if self.swap_p is None:
            return None
        return self.swap_p if self.luck_p is None else max(self.swap_p, self.luck_p)


def compare(
    reference: PartCounts,
    arm: PartCounts,
    folds: NDArray[np.int64],
    *,
    figure: PooledFigure = IOU,
    seeds: Sequence[tuple[PartCounts, PartCounts]] = (),
    level: float = 0.95,
    resamples: int = 4000,
    seed: int = 0,
) -> Paired:
    """Return the paired differences with their intervals.

    The interval of a figure is the percentile interval of a bootstrap over parts: both arms are
    pooled over the same resample. Parts of one fold were judged by the same two models, so luck in
    training moves them together, which a bootstrap over parts cannot see. With three folds or more
    the interval is therefore at least value +- t(folds - 1) times the delete-one-fold jackknife
    error (Efron and Stein, 1981). With fewer folds and three seeds or more, the error of the mean
    over seeds, times t(seeds - 1), is added in squares to the error over parts. With neither the
    interval speaks of other parts, not of another training.

    Args:
        reference: P x D x C counts.
        arm: the same parts in the same order.
        folds: the fold that tested each part.
        figure: what is compared.
        seeds: (reference, arm) of every seed that tested all parts; used with fewer than three
            folds.
        level: of the two-sided intervals.
        resamples: of the bootstrap.
        seed: of everything random.

    Raises:
        FlawsmithError: if the two do not have the same parts and classes.
    """
    _require_paired(reference, arm, folds)
    value = _differences(figure, reference.sum(axis=0), arm.sum(axis=0))
    drawn = _bootstrap(figure, reference, arm, resamples, seed)
    luck = _Luck.of_folds(figure, reference, arm, folds) or _Luck.of_seeds(figure, seeds)
    shown = (reference[..., 0] + reference[..., 2] > 0).sum(axis=0)
    enough = [bool(shown.sum() >= MIN_PARTS), *(shown >= MIN_PARTS)]
    made = [
        _difference(float(value[i]), drawn[:, i], luck, i, level)
        if enough[i]
        else Difference(float(value[i]), None, None, None)
        for i in range(len(value))
    ]
    classes = [None if math.isnan(d.value) else d for d in made[1:]]
    p = swap_test(reference, arm, figure=figure, seed=seed) if enough[0] else None
    return Paired(made[0], classes, p, _luck_p(made[0], luck))


def swap_test(
    reference: PartCounts,
    arm: PartCounts,
    *,
    figure: PooledFigure = IOU,
    resamples: int = 9999,
    seed: int = 0,
) -> float:
    """Return the two-sided p-value of "it does not matter which arm a part was judged by".

    The sign-flip test for a pooled figure: in a part the arms are exchanged, which flips the sign
    of what the part adds to the difference of the pooled counts; the macro difference is computed
    anew from the pooled counts. Exact with up to 13 parts that differ between the arms, otherwise
    from ``resamples`` random exchanges with the observed one added (Phipson and Smyth, 2010).
    """
    gap = arm - reference
    gap = gap[np.abs(gap).reshape(len(gap), -1).sum(axis=1) > 0]
    parts = len(gap)
    if parts == 0:
        return 1.0
    first, second = reference.sum(axis=0), arm.sum(axis=0)
    observed = abs(_differences(figure, first, second)[0])
    exact = parts <= EXACT_PARTS
    generator = np.random.default_rng(seed)
    total = 2**parts if exact else resamples
    extreme = 0
    for start in range(0, total, CHUNK):
        size = min(CHUNK, total - start)
        if exact:
            numbers = np.arange(start, start + size)[:, None]
            swapped = (numbers >> np.arange(parts)) & 1
        else:
            swapped = generator.integers(0, 2, (size, parts))
        moved = (swapped.astype(np.float64) @ gap.reshape(parts, -1)).reshape(size, *first.shape)
        found = np.abs(_differences(figure, first + moved, second - moved)[:, 0])
        # Exchanging back and forth rounds; equal figures must count as equal.
        extreme += int((found >= observed - 1e-12).sum())
    return extreme / total if exact else (extreme + 1) / (total + 1)


def holm(p_values: list[float]) -> list[float]:
    """Return the p-values adjusted for their number (Holm, 1979), in the given order."""
    order = np.argsort(p_values, kind="stable")
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p-value of McNemar's test from the discordant counts."""
    total = only_first + only_second
    return 1.0 if total == 0 else float(stats.binomtest(only_first, total, 0.5).pvalue)


def mean_difference(values: Sequence[float], level: float = 0.95) -> Difference:
    """Return the mean of differences that are independent, with its t interval.

    For a figure of a whole fold, such as an area under the ROC curve, of which no part has a share.
    With fewer than three values there is no interval.

    Raises:
        ValueError: without any value.
    """
    if not values:
        raise ValueError("a mean of no values")
    mean = float(np.mean(values))
    if len(values) < MIN_REPEATS:
        return Difference(mean, None, None, None)
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    reach = float(stats.t.ppf((1 + level) / 2, len(values) - 1)) * error
    return Difference(mean, mean - reach, mean + reach, error, luck_error=error)


def parts_variance(
    reference: PartCounts,
    arm: PartCounts,
    *,
    figure: PooledFigure = IOU,
    resamples: int = 4000,
    seed: int = 0,
) -> float:
    """Return the variance of the macro difference by the bootstrap over parts of `compare`."""
    return float(np.nanvar(_bootstrap(figure, reference, arm, resamples, seed)[:, 0], ddof=1))


def _require_paired(reference: PartCounts, arm: PartCounts, folds: NDArray[np.int64]) -> None:
    if reference.shape != arm.shape or reference.ndim != 3 or len(folds) != len(arm):
        raise FlawsmithError(
            f"counts of the shapes {reference.shape} and {arm.shape} with {len(folds)} folds are "
            "not paired; expected the same parts x classes x counts"
        )
    first, second = (counts[..., 0] + counts[..., 2] for counts in (reference, arm))
    if not np.allclose(first, second):
        raise FlawsmithError(
            "the two arms were tested on different masks or labels; test both on the same data"
        )


def _differences(
    figure: PooledFigure, reference: NDArray[np.float64], arm: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return macro, then each class, of ... x D x C sums: ... x (1 + D)."""
    macro = figure.macro(arm) - figure.macro(reference)
    classes = figure.of_classes(arm) - figure.of_classes(reference)
    return np.concatenate([macro[..., None], classes], axis=-1)


def _bootstrap(
    figure: PooledFigure, reference: PartCounts, arm: PartCounts, resamples: int, seed: int
) -> NDArray[np.float64]:
    parts = len(reference)
    generator = np.random.default_rng(seed)
    share = np.full(parts, 1 / parts)
    drawn = []
    for start in range(0, resamples, CHUNK):
        size = min(CHUNK, resamples - start)
        weights = generator.multinomial(parts, share, size=size).astype(np.float64)
        sums = [
            (weights @ counts.reshape(parts, -1)).reshape(size, *counts.shape[1:])
            for counts in (reference, arm)
        ]
        drawn.append(_differences(figure, *sums))
    return np.concatenate(drawn)


@dataclass(frozen=True)
class _Luck:
    """What folds or seeds tell of luck in training.

    Attributes:
        errors: 1 + D standard errors, macro first.
        freedom: degrees of freedom of their t distribution.
        has_parts: whether the parts are in them already.
    """

    errors: NDArray[np.float64]
    freedom: int
    has_parts: bool

    @classmethod
    def of_folds(
        cls,
        figure: PooledFigure,
        reference: PartCounts,
        arm: PartCounts,
        folds: NDArray[np.int64],
    ) -> "_Luck | None":
        """Leave out one fold at a time; a fold without a class still moves its false positives."""
        known = np.unique(folds)
        count = len(known)
        if count < MIN_REPEATS:
            return None
        kept = [folds != fold for fold in known]
        found = np.stack(
            [_differences(figure, reference[k].sum(axis=0), arm[k].sum(axis=0)) for k in kept]
        )
        valid = ~np.isnan(found)
        number = np.maximum(valid.sum(axis=0), 1)
        mean = np.where(valid, found, 0).sum(axis=0) / number
        spread = np.where(valid, (found - mean) ** 2, 0).sum(axis=0)
        return cls(np.sqrt((number - 1) / number * spread), count - 1, has_parts=True)

    @classmethod
    def of_seeds(
        cls, figure: PooledFigure, seeds: Sequence[tuple[PartCounts, PartCounts]]
    ) -> "_Luck | None":
        """Take the error of the mean over seeds that tested the same parts."""
        count = len(seeds)
        if count < MIN_REPEATS:
            return None
        found = np.stack([_differences(figure, a.sum(axis=0), b.sum(axis=0)) for a, b in seeds])
        return cls(found.std(axis=0, ddof=1) / math.sqrt(count), count - 1, has_parts=False)


def _difference(
    value: float, drawn: NDArray[np.float64], luck: _Luck | None, index: int, level: float
) -> Difference:
    drawn = drawn[~np.isnan(drawn)]
    if not drawn.size:  # no resample has the figure: every image shows the class, say
        return Difference(value, None, None, None)
    low, high = (float(v) for v in np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2]))
    parts_error = float(drawn.std(ddof=1))
    if luck is None:
        return Difference(value, low, high, parts_error, parts_error)
    error = float(luck.errors[index])
    reach = float(stats.t.ppf((1 + level) / 2, luck.freedom)) * error
    if luck.has_parts:
        low, high = min(low, value - reach), max(high, value + reach)
        return Difference(value, low, high, max(parts_error, error), parts_error, error)
    low, high = value - math.hypot(value - low, reach), value + math.hypot(high - value, reach)
    return Difference(value, low, high, math.hypot(parts_error, error), parts_error, error)


def _luck_p(macro: Difference, luck: _Luck | None) -> float | None:
    if luck is None or macro.standard_error is None:
        return None
    if macro.standard_error == 0:
        return 1.0
    return float(2 * stats.t.sf(abs(macro.value) / macro.standard_error, luck.freedom))
