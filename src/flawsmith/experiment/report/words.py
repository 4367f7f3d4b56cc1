"""The sentences of the report: counts with intervals, and a verdict that does not overclaim."""

from typing import Literal

from flawsmith.config import StrictModel
from flawsmith.experiment.plant import Estimate, best_provable_share, parts_to_show
from flawsmith.metrics.evaluation import Interval, Rate
from flawsmith.metrics.paired import mcnemar

Direction = Literal["better", "worse", "same", "unknown"]


def percent(share: float) -> str:
    """Return a share of 1 in per cent, to about two digits, never rounded to 0 or 100."""
    value = 100.0 * share
    if value <= 0.0:
        return "0 %"
    if value < 0.05:
        return f"{value:.1g} %"
    if value < 9.95:
        return f"{value:.1f}".removesuffix(".0") + " %"
    if value < 99.5 or value >= 100.0:
        return f"{value:.0f} %"
    return "99.9 %" if value >= 99.95 else f"{value:.1f} %"


def number(value: float) -> str:
    """Return a figure for reading: two digits below a hundred, thousands separated."""
    if value == 0:
        return "0"
    if abs(value) < 9.95:
        return f"{value:.2g}" if abs(value) < 0.995 else f"{value:.1f}".removesuffix(".0")
    if abs(value) < 100:
        return f"{value:.0f}"
    digits = len(f"{abs(value):.0f}") - 2
    return f"{round(value, -digits):,.0f}"


def estimate_words(estimate: Estimate) -> str:
    """Return ``400 (49 to 1,300)``."""
    return f"{number(estimate.value)} ({number(estimate.low)} to {number(estimate.high)})"


def range_words(rate: Rate) -> str:
    """Return ``8 %, between 1 % and 26 %``."""
    share = percent(rate.count / rate.total)
    return f"{share}, between {percent(rate.low)} and {percent(rate.high)}"


def short_range(rate: Rate) -> str:
    """Return ``8 %, 1 to 26 %`` for tables."""
    share, low, high = (percent(v) for v in (rate.count / rate.total, rate.low, rate.high))
    return f"{share}, {low.removesuffix(' %')} to {high}"


def rate_words(rate: Rate, what: str, done: str) -> str:
    """Return ``2 of 25 defective parts missed (8 %, between 1 % and 26 %)``."""
    parts = what if rate.total != 1 else what.removesuffix("s")
    return f"{rate.count} of {rate.total} {parts} {done} ({range_words(rate)})"


def duration(seconds: float) -> str:
    """Return ``45 s``, ``12 min`` or ``2 h 05 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


class Comparison(StrictModel):
    """Whether a rate or score changed, and whether its intervals are apart."""

    direction: Direction
    proven: bool


def compare_rates(before: Rate | None, after: Rate | None) -> Comparison:
    """Compare two rates of failure: fewer is better."""
    if before is None or after is None:
        return Comparison(direction="unknown", proven=False)
    old, new = before.count / before.total, after.count / after.total
    apart = after.high < before.low or after.low > before.high
    if old == new:
        return Comparison(direction="same", proven=False)
    return Comparison(direction="better" if new < old else "worse", proven=apart)


def compare_scores(
    before: float | None,
    before_interval: Interval | None,
    after: float | None,
    after_interval: Interval | None,
) -> Comparison:
    """Compare two scores, such as IoU: more is better."""
    if before is None or after is None:
        return Comparison(direction="unknown", proven=False)
    if before == after:
        return Comparison(direction="same", proven=False)
    apart = False
    if before_interval and after_interval:
        apart = (
            after_interval.low > before_interval.high or after_interval.high < before_interval.low
        )
    return Comparison(direction="better" if after > before else "worse", proven=apart)


class Verdict(StrictModel):
    """What page one says first.

    Attributes:
        tone: better or worse only if intervals are apart.
    """

    headline: str
    sentences: list[str]
    tone: Literal["better", "worse", "open"]
    escape: Comparison
    overkill: Comparison


MISSED = ("defective parts", "missed")
REJECTED = ("good parts", "rejected")


def judge(
    before: tuple[Rate | None, Rate | None], after: tuple[Rate | None, Rate | None], change: str
) -> Verdict:
    """Return the verdict on a change of the training images.

    Args:
        before: escape and overkill of the model before.
        after: the same after.
        change: what is new after, such as "synthetic images (dbs_gan)".
    """
    escape = compare_rates(before[0], after[0])
    overkill = compare_rates(before[1], after[1])
    headline, tone = _headline(escape, overkill, change)
    return Verdict(
        headline=headline,
        sentences=[
            _sentence(before[0], after[0], escape, *MISSED),
            _sentence(before[1], after[1], overkill, *REJECTED),
        ],
        tone=tone,
        escape=escape,
        overkill=overkill,
    )


def _headline(
    escape: Comparison, overkill: Comparison, change: str
) -> tuple[str, Literal["better", "worse", "open"]]:
    subject = change[:1].upper() + change[1:]
    proven = (
        escape.direction if escape.proven else None,
        overkill.direction if overkill.proven else None,
    )
    missed, rejected = "defective parts are missed than before", "good parts are rejected"
    match proven:
        case ("better", "better"):
            return f"{subject} helped: fewer defects missed, fewer good parts rejected.", "better"
        case ("better", "worse"):
            return f"A trade: with {change} fewer {missed}, but more {rejected}.", "open"
        case ("worse", "better"):
            return f"A trade: with {change} more {missed}, but fewer {rejected}.", "open"
        case ("worse", _):
            return f"{subject} did harm: more {missed}.", "worse"
        case (_, "worse"):
            return f"{subject} did harm: more {rejected} than before.", "worse"
        case ("better", _):
            return f"{subject} helped: fewer {missed}.", "better"
        case (_, "better"):
            return f"{subject} helped: fewer {rejected} than before.", "better"
    directions = {escape.direction, overkill.direction} - {"unknown"}
    if not directions:
        return f"This test cannot say whether {change} helped.", "open"
    if directions == {"same"}:
        return f"{subject} made no difference on these parts.", "open"
    if "better" not in directions:
        worse = "the change is for the worse, and its intervals overlap"
        return f"No sign that {change} helped: {worse}.", "open"
    return f"No proof that {change} helped: the intervals overlap.", "open"


def _sentence(
    before: Rate | None, after: Rate | None, comparison: Comparison, what: str, done: str
) -> str:
    if after is None:
        return f"The test had no {what}, so how many are {done} is not known."
    now = rate_words(after, what, done)
    if before is None:
        return f"{now[:1].upper()}{now[1:]}."
    then = f"{before.count} of {before.total} ({range_words(before)})"
    tail = {
        "same": "The count is the same as before.",
        "better": "The intervals overlap, so this proves nothing.",
        "worse": "It is for the worse; the intervals overlap, so this proves nothing.",
        "unknown": "",
    }[comparison.direction]
    if comparison.proven:
        better = comparison.direction == "better"
        tail = f"The intervals do not overlap: {'fewer' if better else 'more'} than before."
    return f"Now {now}; before, {then}. {tail}"


def describe(
    label: str,
    escape: Rate | None,
    overkill: Rate | None,
    old_way: tuple[Rate | None, Rate | None] | None = None,
) -> Verdict:
    """Return the verdict where there is one learned model: what it does, beside the old way."""
    unknown = Comparison(direction="unknown", proven=False)
    headline = f"{label}: how many defects it misses is not known, no defective part was tested."
    if escape is not None:
        headline = f"{label}: {escape.count} of {escape.total} defective parts missed"
        good = f", {overkill.count} of {overkill.total} good parts rejected" if overkill else ""
        headline += good + "."
    return Verdict(
        headline=headline,
        sentences=[
            _sentence(None, escape, unknown, *MISSED),
            _sentence(None, overkill, unknown, *REJECTED),
            *_beside(old_way, (escape, overkill)),
            "No learned model trained another way was tested to compare with.",
        ],
        tone="open",
        escape=unknown,
        overkill=unknown,
    )


def _beside(
    old: tuple[Rate | None, Rate | None] | None, new: tuple[Rate | None, Rate | None]
) -> list[str]:
    sentences = []
    for before, after, what in zip(old or (), new, (MISSED, REJECTED), strict=False):
        if before is None or after is None:
            continue
        comparison = compare_rates(before, after)
        tail = "the intervals overlap"
        if comparison.direction == "same":
            tail = "no difference"
        elif comparison.proven:
            change = "fewer" if comparison.direction == "better" else "more"
            tail = f"the intervals do not overlap, the model has {change}"
        sentences.append(f"The old way (fixed rules): {rate_words(before, *what)}; {tail}.")
    return sentences


def paired_words(found: int, missed: int, passed: int, rejected: int) -> str:
    """Say how many parts changed, and how likely that is where either model is as good.

    Args:
        found: defective parts that only the model after rejects.
        missed: those that only the model before rejects.
        passed: good parts that only the model before rejects.
        rejected: those that only the model after rejects.
    """
    return (
        f"Part by part: newly found {found}, newly missed {missed} "
        f"(p = {mcnemar(found, missed):.2g}); good parts no longer rejected {passed}, newly "
        f"rejected {rejected} (p = {mcnemar(passed, rejected):.2g}). p is McNemar's exact test of "
        "these two models; another training of each would tell whether it is their luck."
    )


def power_words(defective: int, good: int) -> str:
    """Say what a test of this size can show at best."""
    if defective == 0:
        return "No defective part was tested: this report says nothing about missed defects."
    text = (
        f"With {defective} defective part{'s' if defective != 1 else ''}, even a test without "
        f"one miss can show no better than {100 * best_provable_share(defective):.1f} % missed"
    )
    if good:
        text += (
            f"; with {good} good part{'s' if good != 1 else ''}, no better than "
            f"{100 * best_provable_share(good):.1f} % rejected"
        )
    return text + f". To show 1 % takes {parts_to_show(0.01)} parts without an error."
