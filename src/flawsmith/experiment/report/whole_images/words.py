"""The sentences of a report on whole images: which of two models is better, and what is unknown."""

from dataclasses import dataclass
from typing import Literal

from flawsmith.experiment.plant import best_provable_share, parts_to_show
from flawsmith.experiment.report.words import (
    MISSED,
    REJECTED,
    Comparison,
    Verdict,
    compare_rates,
    range_words,
    rate_words,
)
from flawsmith.metrics.evaluation import Rate
from flawsmith.metrics.paired import mcnemar

WRONG = ("parts", "classified wrongly")
UNKNOWN = Comparison(direction="unknown", proven=False)
NO_GOOD = (
    "Every tested part is defective. So nothing here says how many good parts would be rejected, "
    "and the share of parts missed is no verdict: a model that rejects everything would miss none. "
    "What counts is whether each part is given its class and no other."
)

ALL_ALIKE = (
    "And every tested part shows the same, so a model that always says so would make no error: "
    "these figures tell nothing about this one. Add good images, or images of other defects."
)


@dataclass(frozen=True)
class Measure:
    """A share of parts that went wrong with two models.

    Attributes:
        what: which parts, and what was done to them: `MISSED`, `REJECTED` or `WRONG`.
    """

    what: tuple[str, str]
    old: Rate | None
    new: Rate | None

    @property
    def comparison(self) -> Comparison:
        """Whether it changed."""
        return compare_rates(self.old, self.new)

    def change(self) -> str:
        """Return ``fewer defective parts missed``."""
        return " ".join(("fewer" if self.comparison.direction == "better" else "more", *self.what))


def compare_models(old: str, new: str, measures: list[Measure]) -> Verdict:
    """Return the verdict on two models that are called ``old`` and ``new`` in a sentence."""
    headline, tone = _headline(old, new, measures)
    by_event = {measure.what: measure.comparison for measure in measures}
    return Verdict(
        headline=headline,
        sentences=[_sentence(old, new, measure) for measure in measures],
        tone=tone,
        escape=by_event.get(MISSED, UNKNOWN),
        overkill=by_event.get(REJECTED, UNKNOWN),
    )


def _headline(
    old: str, new: str, measures: list[Measure]
) -> tuple[str, Literal["better", "worse", "open"]]:
    subject = _capital(new)
    proven = [m for m in measures if m.comparison.proven]
    better = [m.change() for m in proven if m.comparison.direction == "better"]
    worse = [m.change() for m in proven if m.comparison.direction == "worse"]
    if better and worse:
        return f"A trade: with {new} {better[0]}, but {worse[0]} than with {old}.", "open"
    if better:
        return f"{subject} is better than {old}: {', '.join(better)}.", "better"
    if worse:
        return f"{subject} is worse than {old}: {', '.join(worse)}.", "worse"
    directions = {m.comparison.direction for m in measures} - {"unknown"}
    if not directions:
        return f"This test cannot say whether {new} or {old} is better.", "open"
    if directions == {"same"}:
        return f"{subject} and {old} made equally many errors on these parts.", "open"
    return f"Not shown whether {new} or {old} is better: the intervals overlap.", "open"


def _sentence(old: str, new: str, measure: Measure) -> str:
    what, done = measure.what
    if measure.old is None or measure.new is None:
        return f"The test had no {what}, so how many are {done} is not known."
    now = rate_words(measure.new, what, done)
    then = f"{measure.old.count} of {measure.old.total} ({range_words(measure.old)})"
    comparison = measure.comparison
    tail = {
        "same": "The counts are the same.",
        "better": "The intervals overlap, so this proves nothing.",
        "worse": "The intervals overlap, so this proves nothing.",
        "unknown": "",
    }[comparison.direction]
    if comparison.proven:
        tail = "The intervals do not overlap."
    return f"{_capital(new)}: {now}; {old}: {then}. {tail}"


def describe_wrong(label: str, wrong: Rate | None) -> Verdict:
    """Return the verdict on one model where no good part was tested."""
    if wrong is None:
        headline = f"{label}: how many parts it classifies wrongly was not kept; test it again."
        sentences = []
    else:
        headline = f"{label}: {wrong.count} of {wrong.total} parts classified wrongly."
        sentences = [f"{_capital(rate_words(wrong, *WRONG))}."]
    sentences.append("No model trained another way was tested to compare with.")
    return Verdict(
        headline=headline, sentences=sentences, tone="open", escape=UNKNOWN, overkill=UNKNOWN
    )


def paired_models(old: str, new: str, pairs: dict[str, tuple[int, int]]) -> str:
    """Say on how many parts only one of two models is right, and how likely that is by chance.

    Args:
        old: what the one model is called.
        new: what the other is called.
        pairs: what is right, such as "defective parts found" -> (only by new, only by old).
    """
    counts = "; ".join(
        f"{what} only by {new} {ours}, only by {old} {theirs} (p = {mcnemar(ours, theirs):.2g})"
        for what, (ours, theirs) in pairs.items()
    )
    return (
        f"Part by part: {counts}. p is McNemar's exact test of these two models; another training "
        "of each would tell whether it is their luck."
    )


def power_without_good(parts: int) -> str:
    """Say what a test of this size, without good parts, can show at best."""
    return (
        f"With {parts} part{'s' if parts != 1 else ''}, even a test without one error can show no "
        f"better than {100 * best_provable_share(parts):.1f} % classified wrongly. To show 1 % "
        f"takes {parts_to_show(0.01)} parts without an error."
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
