"""The verdict, by a rule that is fixed before anything is trained.

An arm is recommended if, with the first network,

1. the 95 % interval of its macro IoU difference to ``real`` (of whole images: F1) lies above 0,
2. its p-value, adjusted by Holm for the number of arms, is at most 0.05,
3. there are three folds or three seeds at least, as luck in training is unknown otherwise, and
4. no class with ten test parts or more has an interval that lies below -0.02 entirely.

Of several such arms the one with the highest lower end is taken. In all other cases the advice is
to add nothing.
"""

from collections.abc import Mapping, Sequence

from flawsmith.experiment.benefit.facts import Change, Comparison, Verdict
from flawsmith.experiment.benefit.statistics import CLASS_PARTS, GAIN

HARM = -0.02
ALPHA = 0.05


def harmed(comparison: Comparison) -> list[str]:
    """Return the classes that an arm makes worse for certain."""
    return [
        item.name
        for item in comparison.classes
        if item.claimed and item.change is not None
        and item.change.high is not None and item.change.high < HARM
    ]  # fmt: skip


def seems_to_gain(comparison: Comparison) -> bool:
    """Whether the macro gain of an arm is beyond what chance does with other parts."""
    change = comparison.change
    return (
        change is not None
        and change.low is not None
        and change.low > 0
        and comparison.holm is not None
        and comparison.holm <= ALPHA
    )


def shows_gain(comparison: Comparison) -> bool:
    """Whether the macro gain of an arm is beyond chance in parts and in training."""
    return seems_to_gain(comparison) and comparison.luck_p is not None


def judge(
    comparisons: Sequence[Comparison],
    made: Mapping[str, tuple[int, int] | None],
    *,
    missing: int = 0,
) -> Verdict:
    """Return the verdict on the arms of the network that decides.

    Args:
        comparisons: of every arm against ``real``.
        made: arm -> fewest and most synthetic images of a class in a fold.
        missing: trainings that the test still lacks: until none is, nothing is recommended, as
            who looks after each of them finds a lucky moment more often than the rule allows.
    """
    if missing:
        return _so_far(judge(comparisons, made), missing)
    if not comparisons:
        headline = "no verdict yet: no pair of real and another arm is finished"
        return Verdict(add=None, tone="open", headline=headline, sentences=[])
    good = [c for c in comparisons if shows_gain(c) and not harmed(c)]
    if good:
        best = max(good, key=lambda c: (c.change.low or 0.0) if c.change else 0.0)
        return Verdict(
            add=best.arm,
            tone="better",
            headline=f"add {_amount_words(made[best.arm])}synthetic images {_of_classes(best)} "
            f"from {best.arm}: macro {best.figure} {change_words(best.change)}",
            sentences=[
                _mix_words(best),
                *_class_words(best),
                *_rarest_words(best),
                _tested_words(best),
            ],
        )
    best = max(comparisons, key=lambda c: c.change.value if c.change else -1.0)
    why, tone = _why_not(comparisons, best)
    sentences = [_arm_words(c) for c in comparisons]
    return Verdict(
        add=None,
        tone=tone,
        headline=f"do not add synthetic images: {why}",
        sentences=[
            *sentences,
            *_class_words(best),
            *_rarest_words(best),
            _tested_words(best),
        ],
    )


def _so_far(verdict: Verdict, missing: int) -> Verdict:
    """Return what can be said before all trainings are done."""
    rest = f"{missing} trainings of this test are missing; the same command goes on."
    changes = {"add": None, "tone": "open", "sentences": [*verdict.sentences, rest]}
    if verdict.headline.startswith("no verdict yet"):
        return verdict.model_copy(update=changes)
    so_far = verdict.headline.removeprefix("do not add synthetic images: ")
    if verdict.add is not None:
        so_far = f"{verdict.add} gains{so_far.partition(':')[2]}"
    return verdict.model_copy(update={**changes, "headline": f"no verdict yet; so far {so_far}"})


def _amount_words(made: tuple[int, int] | None) -> str:
    low, high = made or (0, 0)
    return "" if not high else f"{high} " if low == high else f"{low} to {high} "


def change_words(change: Change | None) -> str:
    """Return a difference with its interval: +0.08 [+0.04, +0.12]."""
    if change is None:
        return "-"
    if change.low is None or change.high is None:
        return f"{change.value:+.3f}"
    return f"{change.value:+.3f} [{change.low:+.3f}, {change.high:+.3f}]"


def p_words(value: float) -> str:
    """Return a p-value with its sign: = 0.031, or < 0.001."""
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def _why_not(comparisons: Sequence[Comparison], best: Comparison) -> tuple[str, str]:
    hurt = [c for c in comparisons if shows_gain(c) and (harmed(c))]
    if hurt:
        return f"{hurt[0].arm} gains on average but {_list(harmed(hurt[0]))} loses", "worse"
    lucky = [c for c in comparisons if seems_to_gain(c) and not shows_gain(c)]
    if lucky:
        what = f"{lucky[0].arm} gains {change_words(lucky[0].change)}"
        return (
            f"{what}, but {lucky[0].pairs} training{'s' * (lucky[0].pairs > 1)} of each arm may "
            "have been lucky; test three folds, or --seeds 3",
            "open",
        )
    changes = [c.change for c in comparisons]
    if all(c is not None and c.high is not None and c.high < 0 for c in changes):
        return "they make the inspection model worse", "worse"
    parts = f"no gain could be shown with {best.defective} defective test parts"
    return f"{parts}{_further_words(best)}", "open"


def _further_words(c: Comparison) -> str:
    """Return what another test needs, after the words that this one showed no gain."""
    if c.p is not None and c.luck_p is None:
        return "; how many are enough cannot be said before three folds or --seeds 3 show luck"
    if c.further_parts is None or c.further_seeds is None:
        return ""
    pairs, seen = c.further_seeds * len(c.folds), f"would be enough to see one of {GAIN:+.2f}"
    trainings = f"{pairs:,} pairs of trainings instead of {c.pairs} (--seeds {c.further_seeds})"
    if pairs > c.pairs and c.further_parts:
        return f"; about {c.further_parts:,} more, and {trainings}, {seen}"
    if pairs > c.pairs:
        return f"; about {trainings}, not more parts, {seen}"
    if c.further_parts:
        return f"; about {c.further_parts:,} more {seen}"
    return f", which are enough to see one of {GAIN:+.2f}"


def _arm_words(c: Comparison) -> str:
    if c.mix.classes() == []:
        return (
            f"{c.arm}: no class was found better on validation parts with synthetic images of it, "
            "so none were used: it is real once more."
        )
    if c.holm is None:
        return f"{c.arm}: macro {c.figure} {change_words(c.change)}; too few parts for a test."
    return f"{c.arm}: macro {c.figure} {change_words(c.change)}, p {p_words(c.holm)}."


def _of_classes(c: Comparison) -> str:
    names = c.mix.classes()
    return "per class" if names is None else f"of {_list(names)}"


def _mix_words(c: Comparison) -> str:
    when = "over the whole training" if c.mix.schedule == "mixed" else "first, real ones last"
    drawn = "images drawn" if c.further else "crops"
    amount = c.mix.words(drawn)
    return (
        f"{amount[:1].upper()}{amount[1:]} are synthetic, {when}; macro "
        f"{c.figure} rises from {c.real:.3f} to {c.macro:.3f}."
    )


def _rarest_words(c: Comparison) -> list[str]:
    """Return what becomes of the recall of the class with the fewest training images."""
    recall = next((f for f in c.further if f.name == "recall"), None)
    item = next((i for i in recall.classes if i.name == c.rarest), None) if recall else None
    if item is None or item.real is None or item.arm is None:
        return []
    return [
        f"Recall of {item.name}, the class with the fewest training images: {item.real:.3f} with "
        f"real images alone, {item.arm:.3f} with {c.arm}, {change_words(item.change)} "
        f"(n = {item.parts})."
    ]


def _tested_words(c: Comparison) -> str:
    seeds = f", {c.seeds} seeds" if c.seeds > 1 else ""
    folds = f"{len(c.folds)} fold{'s' if len(c.folds) > 1 else ''}"
    return (
        f"Tested with {c.model} on {c.parts} real parts, {c.defective} of them defective, that "
        f"neither generator nor model had seen ({folds}{seeds})."
    )


def _class_words(c: Comparison) -> list[str]:
    """Return every class with its number of parts, without a claim: many would show one by chance.

    Classes with few test parts get no interval.
    """
    told = [
        f"{i.name} {change_words(i.change if i.claimed else _without_interval(i.change))} "
        f"(n = {i.parts})"
        for i in c.classes
        if i.change is not None
    ]
    if not told:
        return []
    return [
        f"{c.figure} of each class with {c.arm}, described only: {', '.join(told)}. n is the "
        f"number of test parts; below {CLASS_PARTS} there is no interval."
    ]


def _without_interval(change: Change) -> Change:
    return change.model_copy(update={"low": None, "high": None})


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
