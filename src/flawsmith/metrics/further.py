"""What another test of two inspection models would need to see a gain.

The variance of a paired difference has three parts, as in a generalizability study (Brennan,
Generalizability Theory, 2001): of the parts, which falls with their number; of luck in training,
which falls with the number of trainings alone; and of what luck does to single parts, which falls
with both.
"""

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy import optimize, stats

from flawsmith.metrics.paired import MIN_REPEATS, Difference, PartCounts, parts_variance
from flawsmith.metrics.pooled import IOU, PooledFigure

POWER = 0.8
LUCK_LEVEL = 0.8
"""Of the upper limit that luck in training is taken at.

With it four tests of five or more have the power that they were planned for, with the estimate
itself about half of them (Browne, "On the use of a pilot sample for sample size determination",
Statistics in Medicine 14, 1995).
"""


@dataclass(frozen=True)
class Size:
    """How large a test is.

    Attributes:
        parts: that show a defect.
        folds: each tested by models of its own.
        seeds: trainings of each arm in each fold.
    """

    parts: int
    folds: int
    seeds: int

    @property
    def freedom(self) -> int | None:
        """Degrees of freedom of the t test of `flawsmith.metrics.paired.compare`."""
        repeats = self.folds if self.folds >= MIN_REPEATS else self.seeds
        return repeats - 1 if repeats >= MIN_REPEATS else None


def further(
    found: Difference,
    tested: Size,
    gain: float,
    *,
    noise: float = 0.0,
    tests: int = 1,
    level: float = 0.95,
    power: float = POWER,
) -> Size | None:
    """Return the size of a test that shows a gain with the given power; None if it is not known.

    The variance may be v = (gain / `errors_needed`) ** 2. With n parts and S seeds tested, those of
    another test are n' and S':

        parts (n / n') + luck (S / S') <= v,  luck <= `luck_limit`

    Where luck alone takes more than half of v, seeds are added until it takes half, or fewer seeds
    if the parts leave it more; then parts until the rest is enough. The folds stay: further folds
    instead of further seeds are enough as well, as the t quantile falls with them. Seeds are
    supposed to average all luck; that of a synthesizer, trained once in each fold, they do not.

    Args:
        found: the difference of the test that was made.
        tested: its size.
        gain: to be seen, above 0.
        noise: of the variance of the parts what further seeds average out, see `noise_variance`;
            0 where it is not known, which asks for more parts than it may take.
        tests: how many arms are tested; Holm's first step divides 1 - level by it.
        level: of the two-sided tests.
        power: share of the tests that would see the gain, were luck at its limit.
    """
    if found.parts_error is None or found.luck_error is None or tested.freedom is None:
        return None
    parts, luck = found.parts_error**2, luck_limit(found, tested)
    noise = min(noise, parts)

    def allowed(seeds: int) -> float:
        freedom = replace(tested, seeds=seeds).freedom
        return (gain / errors_needed(freedom or 1, 1 - (1 - level) / tests, power)) ** 2

    def of_parts(seeds: int) -> float:
        return parts - noise + noise * tested.seeds / seeds

    def of_luck(seeds: int) -> float:
        return luck * tested.seeds / seeds

    def for_luck(seeds: int) -> float:
        return max(allowed(seeds) / 2, allowed(seeds) - of_parts(seeds))

    # What luck may take never falls with the seeds, so what is enough today is an upper end.
    enough = max(tested.seeds, math.ceil(of_luck(1) / for_luck(tested.seeds)))
    choices = range(tested.seeds, enough + 1)
    fits = bisect.bisect_left(choices, True, key=lambda seeds: of_luck(seeds) <= for_luck(seeds))
    seeds = choices[min(fits, len(choices) - 1)]
    ratio = of_parts(seeds) / (allowed(seeds) - of_luck(seeds))
    return Size(max(tested.parts, math.ceil(tested.parts * ratio)), tested.folds, seeds)


@cache
def errors_needed(freedom: int, level: float = 0.95, power: float = POWER) -> float:
    """Return how many standard errors a gain must be for a two-sided t test to show it.

    The noncentrality at which a noncentral t exceeds the quantile with this power (Johnson and
    Welch, "Applications of the non-central t-distribution", Biometrika 31, 1940): 3.76 with five
    folds, 5.65 with three, and z(0.975) + z(0.8) = 2.80 with very many.
    """
    quantile = float(stats.t.ppf((1 + level) / 2, freedom))
    return float(
        optimize.brentq(lambda d: stats.nct.sf(quantile, freedom, d) - power, 0, 5 + 2 * quantile)
    )


def luck_limit(found: Difference, tested: Size) -> float:
    """Return the upper limit of the variance that luck in training has in a difference.

    From s² with f degrees of freedom: s² f / chi²(f), at its quantile 1 - `LUCK_LEVEL`. The error
    from folds has the parts in it, so their variance, known much better, is taken off (Searle,
    Casella and McCulloch, Variance Components, 1992); it is 0 at least.

    Raises:
        ValueError: if the test tells nothing of luck in training.
    """
    freedom = tested.freedom
    if found.luck_error is None or found.parts_error is None or freedom is None:
        raise ValueError("luck in training is unknown with fewer than three folds or seeds")
    limit = found.luck_error**2 * freedom / float(stats.chi2.ppf(1 - LUCK_LEVEL, freedom))
    has_parts = tested.folds >= MIN_REPEATS
    return max(0.0, limit - found.parts_error**2) if has_parts else limit


def noise_variance(
    seeds: Sequence[tuple[PartCounts, PartCounts]], parts: float, figure: PooledFigure = IOU
) -> float:
    """Return what luck in training with single parts has of the variance over parts.

    With S seeds averaged within each part the variance over parts is a + c / S, that of one seed
    a + c. So c / S = (mean of one - that of all) / (S - 1), from 0 to that of all.

    Args:
        seeds: (reference, arm) counts of every seed that tested all parts; with fewer than two
            nothing is known and 0 is returned.
        parts: variance over parts of the averaged counts.
        figure: what is compared.
    """
    if len(seeds) < 2:
        return 0.0
    resamples = max(200, 4000 // len(seeds))  # the mean over seeds is as exact as one of 4,000
    single = np.mean([parts_variance(*t, figure=figure, resamples=resamples) for t in seeds])
    return min(parts, max(0.0, (float(single) - parts) / (len(seeds) - 1)))
