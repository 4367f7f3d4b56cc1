"""Uncertainty of the figures: exact intervals of rates, bootstrap and sign flips over parts.

The part is the unit everywhere: views of one part are not independent.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from flawsmith.errors import FlawsmithError
from flawsmith.metrics.evaluation import Interval, Rate

# Resamples weighted at once: memory stays at CHUNK x parts, whatever the number of resamples.
CHUNK = 256

SumStatistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Maps R x ... sums over parts to R values, NaN where the figure is undefined."""


def clopper_pearson(count: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact two-sided interval (low, high) of a rate (Clopper and Pearson, 1934).

    Each side leaves out (1 - level) / 2. Two figures are quoted for a test without a miss; they
    follow different conventions:

    - two-sided, 95 %: 0 of 25 still allows 13.7 %, and 1 % needs 368 parts without a miss;
    - one-sided, 95 % (the upper end of the two-sided 90 % interval): 0 of 25 allows 11.3 %, and
      1 % needs 299 parts (see `parts_without_miss`).

    Raises:
        FlawsmithError: unless 0 <= count <= total and total >= 1.
    """
    if total < 1 or not 0 <= count <= total:
        raise FlawsmithError(f"{count} of {total} is no rate; expected 0 <= count <= total, from 1")
    interval = stats.binomtest(count, total).proportion_ci(confidence_level=level, method="exact")
    return float(interval.low), float(interval.high)


def parts_without_miss(limit: float, level: float = 0.95, *, one_sided: bool = True) -> int:
    """Return how many parts must pass without a miss to bound the miss rate by ``limit``.

    From 0 of n: limit = 1 - alpha ** (1 / n), with alpha = 1 - level (one-sided) or half of it.
    299 parts for 1 % is the one-sided answer; the two-sided one is 368.
    """
    if not (0 < limit < 1 and 0 < level < 1):
        raise FlawsmithError(f"limit {limit} and level {level} must lie between 0 and 1")
    alpha = 1 - level if one_sided else (1 - level) / 2
    return int(np.ceil(np.log(alpha) / np.log1p(-limit)))


def rate(count: int, total: int) -> Rate | None:
    """Return ``count`` of ``total`` with its exact two-sided 95 % interval; None for 0 of 0."""
    if total == 0 and count == 0:
        return None
    low, high = clopper_pearson(count, total)
    return Rate(count=count, total=total, low=low, high=high)


def bootstrap_parts(
    values: ArrayLike,
    statistic: SumStatistic,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval | None:
    """Return the percentile-bootstrap interval of a figure that is made of sums over parts.

    Parts are drawn with replacement. A resample is a row of multinomial weights, so its sums are
    one matrix product; pooled IoU, macro IoU and means are functions of such sums.

    Args:
        values: P x ... numbers, one row for each part (such as P x classes x 3 pixel counts).
        statistic: maps R x ... sums to R values. Resamples with NaN (no class present, say) are
            left out.
        resamples: number of resamples.
        seed: of the resampling; the same seed gives the same interval.
        level: of the two-sided interval.

    Returns:
        None with fewer than two parts, or where no resample has a defined value.
    """
    rows = np.asarray(values, dtype=np.float64)
    parts = len(rows)
    if parts < 2:
        return None
    generator = np.random.default_rng(seed)
    flat = rows.reshape(parts, -1)
    found = []
    for start in range(0, resamples, CHUNK):
        size = min(CHUNK, resamples - start)
        weights = generator.multinomial(parts, np.full(parts, 1 / parts), size=size)
        sums = (weights.astype(np.float64) @ flat).reshape(size, *rows.shape[1:])
        found.append(statistic(sums))
    drawn = np.concatenate(found)
    drawn = drawn[~np.isnan(drawn)]
    if not drawn.size:
        return None
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(low=float(low), high=float(high))


def bootstrap_auroc(
    truth: NDArray[np.bool_],
    scores: NDArray[np.float64],
    parts: NDArray[np.int64],
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval | None:
    """Return the percentile-bootstrap interval over parts of the area under a ROC curve.

    The area of a resample is that of the images weighted by how often their part was drawn: the
    share of pairs of a positive and a negative image in which the positive one has the higher
    score, equal scores counted half (Hanley and McNeil, 1982).

    Args:
        truth: N images, whether each is positive.
        scores: N scores, high for positive.
        parts: N numbers from 0, the part of each image.
        resamples: number of resamples; those without both kinds are left out.
        seed: of the resampling; the same seed gives the same interval.
        level: of the two-sided interval.

    Returns:
        None with fewer than two parts, or where no resample has both kinds.
    """
    count = int(parts.max()) + 1 if len(parts) else 0
    if count < 2:
        return None
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    positive, owner = truth[order].astype(np.float64), parts[order]
    generator = np.random.default_rng(seed)
    found = []
    for start in range(0, resamples, CHUNK):
        size = min(CHUNK, resamples - start)
        drawn = generator.multinomial(count, np.full(count, 1 / count), size=size)[:, owner]
        positives = np.add.reduceat(drawn * positive, starts, axis=1)
        negatives = np.add.reduceat(drawn * (1 - positive), starts, axis=1)
        won = positives * (np.cumsum(negatives, axis=1) - negatives / 2)
        pairs = positives.sum(axis=1) * negatives.sum(axis=1)
        found.append(won.sum(axis=1)[pairs > 0] / pairs[pairs > 0])
    areas = np.concatenate(found)
    if not areas.size:
        return None
    low, high = np.quantile(areas, [(1 - level) / 2, (1 + level) / 2])
    return Interval(low=float(low), high=float(high))
