"""The report of a benefit test: ``benefit.json`` and a self-contained ``benefit.html``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from flawsmith import __version__
from flawsmith.data.templates import render as fill
from flawsmith.data.whole_images import kind_of_labels
from flawsmith.experiment.benefit import verdict as rule
from flawsmith.experiment.benefit.facts import (
    PAGE_FILE,
    BenefitFacts,
    Change,
    Choice,
    Comparison,
    CurvePoint,
    Spent,
)
from flawsmith.experiment.benefit.runs import BenefitTest
from flawsmith.experiment.benefit.settings import REAL
from flawsmith.experiment.benefit.statistics import (
    CLASS_PARTS,
    GAIN,
    arm_figures,
    compare_arms,
    learning_curve,
)
from flawsmith.experiment.report.figures import Axis, Line, Mark, chart, dot_chart
from flawsmith.storage import write_text

REAL_COLOUR = "#3566a8"
ARM_COLOURS = ("#c2541b", "#3c8d7a", "#8a5aa8", "#a88b2c", "#b34d7c", "#5b6472")
FOREST_MARGIN = 0.02


@dataclass(frozen=True)
class Forest:
    """The differences of all arms with one network, as a chart."""

    model: str
    chart: Markup


def gather(test: BenefitTest) -> BenefitFacts:
    """Return everything that the finished runs of a test say."""
    results, settings = test.results(), test.settings
    names = test.dataset.schema.defect_names
    comparisons = {m: compare_arms(results, names, m) for m in settings.models}
    planned = sum(step.kind == "model" for step in test.steps)
    first = settings.models[0]
    arms = [f for m in settings.models for f in arm_figures(results, names, m)]
    made = {f.arm: f.synthetic for f in arms if f.model == first}
    return BenefitFacts(
        version=__version__,
        data=str(test.dataset.root),
        data_fingerprint=test.identity.fingerprint,
        simulated=test.dataset.schema.simulated,
        settings=settings,
        planned=planned,
        finished=len(results),
        verdict=rule.judge(comparisons[first], made, missing=planned - len(results)),
        arms=arms,
        comparisons=[c for found in comparisons.values() for c in found],
        choices=_choices(test),
        curve=learning_curve(results, names, first),
        spent=_spent(test),
        level=test.level,
        masks=kind_of_labels(test.dataset.root) == "pixel",
    )


def write_report(test: BenefitTest) -> tuple[BenefitFacts, Path]:
    """Write ``benefit.json`` and ``benefit.html`` into the test's folder; return what they say."""
    facts = gather(test)
    test.out.mkdir(parents=True, exist_ok=True)
    facts.save(test.out)
    page = test.out / PAGE_FILE
    write_text(page, render(facts))
    return facts, page


def render(facts: BenefitFacts) -> str:
    """Return the page."""
    return fill(
        "flawsmith.experiment.report",
        "benefit.html.j2",
        page=facts,
        colours=colours(facts),
        forests=_forests(facts),
        curve=_curve_chart(facts),
        words=rule,
        few=CLASS_PARTS,
        gain=GAIN,
    )


def colours(facts: BenefitFacts) -> dict[str, str]:
    """Return the colour of each arm, the same all over the page."""
    arms = dict.fromkeys(f.arm for f in facts.arms if f.arm != REAL)
    return {REAL: REAL_COLOUR} | {
        arm: ARM_COLOURS[i % len(ARM_COLOURS)] for i, arm in enumerate(arms)
    }


def _forests(facts: BenefitFacts) -> list[Forest]:
    colour = colours(facts)
    forests = []
    for model in facts.settings.models:
        own = [c for c in facts.comparisons if c.model == model]
        if own:
            forests.append(Forest(model, _forest(own, colour)))
    return forests


def _forest(comparisons: Sequence[Comparison], colour: dict[str, str]) -> Markup:
    """Return a row for the mean of classes and one a class, a mark an arm, around 0."""
    macro = [_mark(c.change, colour[c.arm]) for c in comparisons]
    rows = [("mean of classes", macro)]
    for i, item in enumerate(comparisons[0].classes):
        marks = [_mark(c.classes[i].change, colour[c.arm]) for c in comparisons]
        if any(mark.value is not None for mark in marks):
            rows.append((f"{item.name} (n = {item.parts})", marks))
    values = [
        v for _, marks in rows for m in marks for v in (m.value, m.low, m.high) if v is not None
    ]
    reach = max(map(abs, values), default=0.1) + FOREST_MARGIN
    figure = comparisons[0].figure
    title = f"{figure} of the arm minus {figure} of real, with its 95 % interval"
    return dot_chart(rows, title, axis=Axis(-reach, reach, title))


def _mark(change: Change | None, colour: str) -> Mark:
    if change is None:
        return Mark(None, None, None, colour)
    return Mark(change.value, change.low, change.high, colour)


def _curve_chart(facts: BenefitFacts) -> Markup | None:
    """Return the macro figure over the number of real parts, a line an arm."""
    if not facts.curve:
        return None
    points: dict[str, list[CurvePoint]] = {}
    for point in facts.curve:
        points.setdefault(point.arm, []).append(point)
    colour = colours(facts)
    lines = [
        Line(arm, colour.get(arm, REAL_COLOUR), [p.real_parts for p in own],
             [sum(p.values) / len(p.values) for p in own])
        for arm, own in points.items()
    ]  # fmt: skip
    top = max(v for line in lines for v in line.y)
    widest = max(v for line in lines for v in line.x)
    axes = (
        Axis(0.0, widest * 1.05, "defective real parts that may be seen"),
        Axis(0.0, max(0.05, top * 1.1), f"macro {facts.figure}"),
    )
    return chart(lines, *axes, "Learning curve", size=(560, 300))


def _choices(test: BenefitTest) -> list[Choice]:
    choices = []
    for arm in test.arms:
        mix = test.mix(arm.name)
        if mix is None:
            continue
        tried = (test.screened(arm.name) or []) if test.settings.chooses else []
        choices.append(
            Choice(
                arm=arm.name,
                mix=mix,
                fold=test.choosing_fold(arm.name) if tried else None,
                tried=tried,
            )
        )
    return choices


def _spent(test: BenefitTest) -> list[Spent]:
    """Return the seconds of finished work by kind."""
    kinds = {
        "synthesizer": "training of synthesizers",
        "synthesis": "making synthetic images",
        "selection": "choosing among them",
        "screen": "short runs that chose amount and schedule",
        "model": "training and test of inspection models",
    }
    spent = []
    for kind, what in kinds.items():
        own = [s for s in test.steps if s.kind == kind and not test.is_empty(s)]
        seconds = [test.finished_seconds(s) for s in own]
        done = [value for value in seconds if value is not None]
        if done:
            spent.append(Spent(what=what, steps=len(done), seconds=round(sum(done), 1)))
    return spent
