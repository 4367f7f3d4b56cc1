"""Escape and overkill of a period from reviews and the audit sample, with intervals.

Passed parts: N of them; the audit drew each with a known chance pi and gives it the weight 1 / pi
(Horvitz and Thompson, 1952). The share of defective ones among them is the weighted mean

    q = sum(w y) / sum(w),    y = 1 for a part that the review found defective,

and its interval that of Clopper and Pearson (1934) for q n of n parts, with n = sum(w)^2 / sum(w^2)
(Kish, 1965), as Korn and Graubard (Survey Methodology 24, 1998) do:

    low = Beta^-1(0.025; q n, n - q n + 1),    high = Beta^-1(0.975; q n + 1, n - q n).

With one rate in the period all weights are equal and this is the exact interval of y of n.

Defective parts passed: D = N q, never below those that are known and never above N less those
known to be good. With C parts caught (failed or doubtful, and confirmed) and W that still wait,

    escape = D / (D + C),    from low(D) / (low(D) + C + W) to high(D) / (high(D) + C),

so that the interval holds whatever the waiting parts are. Overkill, with F failed parts overturned,
R doubtful parts overturned, and W_F, W_R that wait, is F / (F + R + N - D), from
F / (F + R + W_R + N - low(D)) to (F + W_F) / (F + W_F + R + N - high(D)).
"""

from collections.abc import Mapping

from scipy import stats

from flawsmith.config import StrictModel

LEVEL = 0.95


class Share(StrictModel):
    """A share with its 95 % interval, all in [0, 1]; without a value nothing measured it."""

    value: float | None
    low: float
    high: float


class Amount(StrictModel):
    """A number of parts with its 95 % interval; without a value nothing measured it."""

    value: float | None
    low: float
    high: float


class Drawn(StrictModel):
    """Audited parts of one rate that a person decided on."""

    decided: int
    defective: int


def sampled_share(drawn: Mapping[float, Drawn]) -> Share:
    """Return the share q of defective parts among the passed ones, see the formulas above.

    Args:
        drawn: by the rate at which they were drawn, in (0, 1].
    """
    weights = {rate: 1 / rate for rate, sample in drawn.items() if sample.decided}
    if not weights:
        return Share(value=None, low=0.0, high=1.0)
    total = sum(w * drawn[rate].decided for rate, w in weights.items())
    squares = sum(w * w * drawn[rate].decided for rate, w in weights.items())
    share = sum(w * drawn[rate].defective for rate, w in weights.items()) / total
    size = total * total / squares
    low, high = interval(share * size, size)
    return Share(value=share, low=low, high=high)


def interval(count: float, size: float) -> tuple[float, float]:
    """Return the interval of Clopper and Pearson; neither number has to be whole."""
    alpha = 1 - LEVEL
    few, rest = max(count, 0.0), max(size - count, 0.0)
    low = float(stats.beta.ppf(alpha / 2, few, rest + 1)) if few > 0 else 0.0
    high = float(stats.beta.ppf(1 - alpha / 2, few + 1, rest)) if rest > 0 else 1.0
    return low, high


def missed(passed: int, share: Share, *, known_defective: int, known_good: int) -> Amount:
    """Return the number D of defective parts among the passed ones.

    Args:
        passed: N.
        share: q.
        known_defective: passed parts that a review, audited or not, found defective.
        known_good: passed parts that a review found good.
    """
    most = passed - known_good

    def bounded(value: float) -> float:
        return min(max(value, known_defective), most)

    return Amount(
        value=None if share.value is None else bounded(passed * share.value),
        low=bounded(passed * share.low),
        high=bounded(passed * share.high),
    )


def escape(defective_passed: Amount, *, caught: int, decided: int, waiting: int) -> Share | None:
    """Return defective parts passed / defective parts seen; None if none can have been seen.

    Args:
        defective_passed: D.
        caught: C.
        decided: failed and doubtful parts that a person decided on.
        waiting: W; the value, not the interval, takes them to be like the decided ones.
    """
    d = defective_passed
    if d.high + caught + waiting == 0:
        return None
    seen, value = scaled(caught, decided, waiting), None
    if d.value is not None and seen is not None and d.value + seen:
        value = d.value / (d.value + seen)
    low, high = d.low + caught + waiting, d.high + caught
    return Share(
        value=value,
        low=d.low / low if low else 0.0,
        high=d.high / high if high else 1.0,
    )


def overkill(
    passed: int,
    defective_passed: Amount,
    *,
    overturned: int,
    decided: int,
    waiting: int,
    others: int = 0,
    others_decided: int = 0,
    others_waiting: int = 0,
) -> Share | None:
    """Return good parts failed / good parts seen; None if none can have been seen.

    Args:
        passed: N.
        defective_passed: D.
        overturned: F, failed parts that a person found good.
        decided: failed parts that a person decided on.
        waiting: W_F; the value takes them to be like the decided ones, as in `escape`.
        others: R, good parts among the doubtful ones; the next two as for the failed ones.
        others_decided: doubtful parts that a person decided on.
        others_waiting: W_R.
    """
    d = defective_passed
    good = overturned + others + passed
    if good + waiting + others_waiting - d.low <= 0:
        return None
    value = None
    mine, rest = (
        scaled(overturned, decided, waiting),
        scaled(others, others_decided, others_waiting),
    )
    if d.value is not None and mine is not None and rest is not None:
        seen = mine + rest + passed - d.value
        value = mine / seen if seen > 0 else None
    low, high = good + others_waiting - d.low, good + waiting - d.high
    return Share(
        value=value,
        low=overturned / low if low else 0.0,
        high=(overturned + waiting) / high if high else 1.0,
    )


def scaled(count: int, decided: int, waiting: int) -> float | None:
    """Return a count as it would be were the waiting parts like the decided ones."""
    if not waiting:
        return float(count)
    return count * (1 + waiting / decided) if decided else None
