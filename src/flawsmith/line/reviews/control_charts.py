"""Control charts: limits from a reference, and which later values lie outside.

After Montgomery, Introduction to Statistical Quality Control, 7th edition: the control chart for
the fraction nonconforming (7.2), for individuals (6.4) and the exponentially weighted moving
average (9.2). Every limit of the first two leaves out 0.135 % on each side where nothing has
changed, as three standard deviations of a normal distribution do. A reference of m values knows its
own centre and spread only so well, so that with few values the limits are wider than the book's:
sqrt(1 + 1/m) for the centre, and Student's t instead of 3 for sigma, whose moving range has about
0.62 (m - 1) degrees of freedom (Wheeler, Advanced Topics in Statistical Process Control, 1995).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

TAIL = stats.norm.sf(3.0)
D2 = 1.128
"""Mean range of two values of a normal distribution over its standard deviation."""

WEIGHT = 0.2
WIDTH = 2.962
"""Of the EWMA: on average 500 values to a false alarm (Lucas and Saccucci, 1990)."""


@dataclass(frozen=True)
class Limits:
    """What one value is compared with: the value itself or a smoothed one, and its limits."""

    value: float
    low: float
    high: float

    @property
    def outside(self) -> bool:
        """Whether it lies outside; rounding alone does not count."""
        slack = 1e-9 * max(abs(self.low), abs(self.high), abs(self.value))
        return not self.low - slack <= self.value <= self.high + slack


def share_chart(reference: Sequence[int], watched: Sequence[int], size: int) -> list[Limits]:
    """Return the p-chart of counts out of ``size`` parts each, as shares.

    The limits are quantiles of the beta-binomial distribution that predicts a count from k of n
    reference parts (Jeffreys' prior, Beta(k + 1/2, n - k + 1/2)): unlike three standard deviations
    they hold for rare events, for k = 0, and for a short reference.
    """
    count, parts = sum(reference), size * len(reference)
    expected = stats.betabinom(size, count + 0.5, parts - count + 0.5)
    low, high = float(expected.ppf(TAIL)), float(expected.isf(TAIL))
    return [Limits(found / size, low / size, high / size) for found in watched]


def individuals_chart(reference: Sequence[float], watched: Sequence[float]) -> list[Limits]:
    """Return each value with centre +/- t sigma sqrt(1 + 1/m); t is 3 for a long reference."""
    centre, sigma = centre_and_sigma(reference)
    reach = student(len(reference)) * sigma * (1 + 1 / len(reference)) ** 0.5
    return [Limits(value, centre - reach, centre + reach) for value in watched]


def ewma_chart(reference: Sequence[float], watched: Sequence[float]) -> list[Limits]:
    """Return the smoothed values z_i = w x_i + (1 - w) z_(i-1), z_0 the centre, with their limits.

    centre +/- L t/3 sigma sqrt(w / (2 - w) (1 - (1 - w)^(2 i)) + 1/m): small shifts that last are
    found, which a chart of single values misses.
    """
    centre, sigma = centre_and_sigma(reference)
    width = WIDTH * student(len(reference)) / 3
    found: list[Limits] = []
    smoothed = centre
    for number, value in enumerate(watched, start=1):
        smoothed = WEIGHT * value + (1 - WEIGHT) * smoothed
        share = WEIGHT / (2 - WEIGHT) * (1 - (1 - WEIGHT) ** (2 * number))
        reach = width * sigma * (share + 1 / len(reference)) ** 0.5
        found.append(Limits(smoothed, centre - reach, centre + reach))
    return found


def student(count: int) -> float:
    """Return the t that leaves out `TAIL`, for a sigma from the moving range of so many values."""
    return float(stats.t.isf(TAIL, 0.62 * (count - 1)))


def centre_and_sigma(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and the mean moving range over `D2`."""
    given = np.asarray(values, np.float64)
    return float(given.mean()), float(np.abs(np.diff(given)).mean()) / D2
