"""Acceptance rules with a threshold per class, chosen on scored parts, and what they show."""

import math
from dataclasses import dataclass, field

import numpy as np
import tomli_w
from numpy.typing import NDArray

from flawsmith.data.schema import Schema
from flawsmith.errors import FlawsmithError, listed
from flawsmith.inspection.thresholds import Thresholds
from flawsmith.line.rules.rule_file import PartSettings, Rule, RuleFile
from flawsmith.metrics.class_thresholds import Choice, Scores, choose_class_thresholds, parts_needed
from flawsmith.metrics.evaluation import Rate
from flawsmith.metrics.intervals import rate

GROUPS = 20
"""The parts are dealt to so many groups, each judged by thresholds chosen on the others."""


@dataclass
class ScoredParts:
    """What a model finds in parts.

    Attributes:
        scores: parts x classes, highest score of a region, 0 without one.
        views: of each part, sorted.
    """

    names: list[str] = field(default_factory=list)
    scores: list[list[float]] = field(default_factory=list)
    defective: list[bool] = field(default_factory=list)
    views: list[list[str]] = field(default_factory=list)

    def arrays(self) -> tuple[Scores, NDArray[np.bool_]]:
        """Return scores and which parts are defective."""
        return np.array(self.scores, np.float64), np.array(self.defective, np.bool_)


@dataclass(frozen=True)
class Verdicts:
    """Escape and overkill, counting parts; None without a denominator."""

    escape: Rate | None
    overkill: Rate | None


@dataclass(frozen=True)
class Tuning:
    """Rules with what they do to the parts they were tuned on.

    Attributes:
        content: the rules.
        lowest: class -> pixel threshold of the model: no region scores less.
        missed: defective parts that pass.
        failed: good parts that fail.
        tuned: on the parts that the thresholds were chosen on, so it flatters.
        left_out: every part judged by thresholds that were chosen without it.
        before: by the model's own region threshold.
        statements: what was shown, what was not, and how many parts that takes.
    """

    content: RuleFile
    lowest: dict[str, float]
    missed: list[str]
    failed: list[str]
    tuned: Verdicts
    left_out: Verdicts
    before: Verdicts
    statements: list[str]


def tune_parts(
    parts: ScoredParts,
    schema: Schema,
    thresholds: Thresholds,
    *,
    max_escape: float,
    max_overkill: float | None,
    name: str,
) -> Tuning:
    """Return the rules that suit these parts best; see `choose_class_thresholds`.

    Args:
        parts: scored by a model with these ``thresholds``.
        schema: of the model.
        thresholds: of the model.
        max_escape: share of the defective parts that may pass.
        max_overkill: share of the good ones that may fail; None: as few as can be.
        name: of the rules.

    Raises:
        FlawsmithError: if no part is defective, or no thresholds keep to the limits.
    """
    scores, defective = parts.arrays()
    if not defective.any():
        raise FlawsmithError(
            f"none of {len(defective)} validation parts is defective; thresholds cannot be tuned"
        )
    lowest = np.array(thresholds.pixel, np.float64)
    choice = _choose(parts, lowest, max_escape, max_overkill)
    values = dict(zip(schema.defect_names, choice.thresholds.tolist(), strict=True))
    content = RuleFile(
        name=name,
        classes=schema.defect_names,
        part=PartSettings(views=_common_views(parts)),
        thresholds=values,
        rules=[Rule(name="any defect", verdict="FAIL")],
    )
    tuned = _verdicts(defective, _fails(scores, choice.thresholds))
    return Tuning(
        content=content,
        lowest=dict(zip(schema.defect_names, thresholds.pixel, strict=True)),
        missed=[parts.names[n] for n in choice.missed],
        failed=[parts.names[n] for n in choice.failed],
        tuned=tuned,
        left_out=_verdicts(defective, _judge_left_out(scores, defective, lowest, max_escape)),
        before=_verdicts(defective, _fails(scores, np.full(len(lowest), thresholds.region))),
        statements=_statements(parts, content, tuned, max_escape, max_overkill),
    )


def _choose(
    parts: ScoredParts, lowest: Scores, max_escape: float, max_overkill: float | None
) -> Choice:
    """Return the best thresholds, or raise with the limits that could be kept."""
    scores, defective = parts.arrays()
    num_bad, num_good = int(defective.sum()), int((~defective).sum())
    most_missed = _most(max_escape, num_bad)
    most_failed = None if max_overkill is None else _most(max_overkill, num_good)
    choice = choose_class_thresholds(
        scores, defective, lowest, most_missed=most_missed, most_failed=most_failed
    )
    if choice is not None:
        return choice
    unseen = [parts.names[n] for n in np.flatnonzero(defective & ~(scores > 0).any(axis=1))]
    if len(unseen) > most_missed:
        raise FlawsmithError(
            f"the model finds no region at all in {len(unseen)} of {num_bad} defective validation "
            f"parts ({listed(unseen)}), so that no threshold brings escape below "
            f"{_percent(len(unseen) / num_bad)}; train on, or "
            f"give --max-escape {math.ceil(len(unseen) / num_bad * 1000) / 1000:g}"
        )
    least = choose_class_thresholds(scores, defective, lowest, most_missed=most_missed)
    other = choose_class_thresholds(scores, defective, lowest, most_failed=most_failed)
    assert least is not None
    text = (
        f"no thresholds keep escape within {_percent(max_escape)} and overkill within "
        f"{_percent(max_overkill or 0)} on {num_bad} defective and {num_good} good validation "
        f"parts: with that escape at least {len(least.failed)} good parts fail "
        f"({_percent(len(least.failed) / num_good)})"
    )
    if other is not None:
        text += (
            f", with that overkill at least {len(other.missed)} defective ones pass "
            f"({_percent(len(other.missed) / num_bad)})"
        )
    raise FlawsmithError(f"{text}; allow one of the two, or train a better model")


def _most(share: float, total: int) -> int:
    # 0.07 * 100 is 7.000000000000001, but 0.29 * 100 is 28.999999999999996.
    return math.floor(share * total + 1e-9)


def _fails(scores: Scores, thresholds: Scores) -> NDArray[np.bool_]:
    return np.asarray(((scores >= thresholds) & (scores > 0)).any(axis=1), np.bool_)


def _judge_left_out(
    scores: Scores, defective: NDArray[np.bool_], lowest: Scores, max_escape: float
) -> NDArray[np.bool_]:
    """Return which parts fail by thresholds that were chosen without them, in `GROUPS` groups."""
    fails = np.zeros(len(scores), np.bool_)
    group = np.empty(len(scores), np.int64)
    for kind in (defective, ~defective):
        group[kind] = np.arange(kind.sum()) % GROUPS
    for number in np.unique(group):
        rest, chosen = group != number, group == number
        bad = scores[rest & defective]
        # As many may pass as the limit says, or as have no region whatever the thresholds.
        allowed = max(_most(max_escape, len(bad)), int((~(bad > 0).any(axis=1)).sum()))
        choice = choose_class_thresholds(scores[rest], defective[rest], lowest, most_missed=allowed)
        assert choice is not None
        fails[chosen] = _fails(scores[chosen], choice.thresholds)
    return fails


def _verdicts(defective: NDArray[np.bool_], fails: NDArray[np.bool_]) -> Verdicts:
    return Verdicts(
        escape=rate(int((defective & ~fails).sum()), int(defective.sum())),
        overkill=rate(int((~defective & fails).sum()), int((~defective).sum())),
    )


def _common_views(parts: ScoredParts) -> list[str]:
    """Return the views that every part has exactly once; none if parts differ."""
    first = parts.views[0]
    same = all(views == first for views in parts.views)
    return first if same and len(set(first)) == len(first) else []


def _statements(
    parts: ScoredParts,
    content: RuleFile,
    tuned: Verdicts,
    max_escape: float,
    max_overkill: float | None,
) -> list[str]:
    lines = []
    if tuned.escape is not None:
        lines.append(_shown("escape", "missed", "defective", tuned.escape, max_escape))
    if tuned.overkill is None:
        lines.append("No validation part is good: nothing is known of overkill.")
    elif max_overkill is not None:
        lines.append(_shown("overkill", "failed", "good", tuned.overkill, max_overkill))
    if not content.part.views:
        names = sorted({view for views in parts.views for view in views})
        lines.append(
            f"The validation parts have different views (among them {listed(names)}), so no view "
            "is expected and a missing one goes unnoticed: write those of your parts as [part] "
            "views = [...]."
        )
    return lines


def _shown(what: str, verb: str, kind: str, found: Rate, limit: float) -> str:
    """Return whether a limit is shown, and if not, how many parts that would take."""
    allows = f"{found.count} {verb} still allows {_percent(found.high)}"
    target = f"at most {_percent(limit)} of the {kind} parts {verb}"
    if found.high <= limit:
        return (
            f"Shown for {what}: {target}, by {found.total} parts with {found.count} {verb} "
            f"(95 % interval up to {_percent(found.high)})."
        )
    text = f"{what.capitalize()}: {target} cannot be shown with {found.total} parts: {allows}"
    needed = parts_needed(found.count, found.total, limit)
    if needed is None:
        return f"{text}; no number of parts shows that."
    none = "none" if found.count == 0 else "no further one"
    return f"{text}; it takes {needed} parts, {needed - found.total} more, with {none} {verb}."


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def told(verdicts: Verdicts) -> str:
    """Return escape and overkill with their exact 95 % intervals."""
    texts = []
    for name, found in (("escape", verdicts.escape), ("overkill", verdicts.overkill)):
        if found is None:
            texts.append(f"{name} not known")
            continue
        share = _percent(found.count / found.total)
        interval = f"{_percent(found.low)} to {_percent(found.high)}"
        texts.append(f"{name} {found.count} of {found.total} = {share} ({interval})")
    return ", ".join(texts)


def to_text(tuning: Tuning) -> str:
    """Return the rules file, with what is known of it as comments."""
    comments = [
        "Acceptance rules: a part fails if a region reaches the threshold of its class.",
        f"Validation parts: {told(tuning.tuned)}; 95 % intervals.",
        f"The same, each part judged by thresholds chosen without it: {told(tuning.left_out)}.",
        *tuning.statements,
    ]
    values = tuning.content.model_dump(mode="json", exclude_defaults=True)
    rules = values.pop("rules")
    tables = [tomli_w.dumps({"format_version": tuning.content.format_version, **values})]
    tables += [f"[[rules]]\n{tomli_w.dumps(rule)}" for rule in rules]
    return "".join(f"# {' '.join(line.split())}\n" for line in comments) + "\n" + "\n".join(tables)
