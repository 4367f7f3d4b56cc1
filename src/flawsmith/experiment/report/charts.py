"""The charts of the report, drawn from its facts."""

from collections.abc import Sequence

from markupsafe import Markup

from flawsmith.experiment.plant import share
from flawsmith.experiment.report.facts import ReportFacts
from flawsmith.experiment.report.figures import (
    Axis,
    Line,
    Mark,
    chart,
    dot_chart,
    images_axis,
    interval_bar,
    nice_step,
    value_axis,
)
from flawsmith.experiment.report.runs import TrainingLog
from flawsmith.metrics.evaluation import Interval, Rate

SMALL = (312, 214)
LOSS_COLOURS = ("#3566a8", "#c2541b", "#3c8d7a", "#8a5aa8", "#a88b2c", "#b34d7c", "#5b6472")


def rate_bar(rate: Rate, rates: Sequence[Rate | None], colour: str) -> Markup:
    """Return the interval of a rate on the track that it shares with the other arms."""
    estimate = share(rate)
    highest = max((r.high for r in rates if r is not None), default=1.0)
    full = min(1.0, nice_step(highest)) if highest > 0 else 1.0
    return interval_bar(estimate.value, estimate.low, estimate.high, full=full, colour=colour)


def iou_chart(page: ReportFacts) -> Markup:
    """Return IoU with its interval, a row a class and the mean, a dot an arm."""
    rows = [
        (
            f"{row.name} (n = {row.parts})",
            [
                mark(cell.iou, cell.iou_interval, arm.colour)
                for cell, arm in zip(row.cells, page.arms, strict=True)
            ],
        )
        for row in page.classes
    ]
    rows.append(
        ("mean of classes", [mark(a.macro_iou, a.macro_iou_interval, a.colour) for a in page.arms])
    )
    return dot_chart(rows, "IoU, with its 95 % interval over parts")


def mark(value: float | None, interval: Interval | None, colour: str) -> Mark:
    """Return the dot of a figure with its interval."""
    low, high = (interval.low, interval.high) if interval else (None, None)
    return Mark(value, low, high, colour)


def precision_recall_charts(page: ReportFacts) -> list[Markup]:
    """Return one small chart a class that has a curve."""
    found = [
        recall_chart(
            f"{row.name} (n = {row.parts})",
            "recall (pixels)",
            [
                Line(arm.label, arm.colour, cell.recall_curve, cell.precision_curve)
                for arm, cell in zip(page.arms, row.cells, strict=True)
            ],
        )
        for row in page.classes
    ]
    return [drawn for drawn in found if drawn is not None]


def recall_chart(title: str, recall: str, lines: Sequence[Line]) -> Markup | None:
    """Return the small chart of a class, precision over recall; None if no line has a point."""
    if not any(line.x for line in lines):
        return None
    unit = (Axis(0.0, 1.0, recall), Axis(0.0, 1.0, "precision"))
    return chart(lines, *unit, title, size=SMALL)


def validation_chart(page: ReportFacts) -> Markup | None:
    """Return the macro IoU on inner validation parts over the training of every run."""
    return chart_of_validation(page.training, "macro IoU")


def chart_of_validation(training: Sequence[TrainingLog], figure: str) -> Markup | None:
    """Return a figure from 0 to 1 on inner validation parts over the training of every run."""
    lines = [
        Line(log.label, log.colour, log.validation.images, log.validation.values)
        for log in training
        if log.validation is not None
    ]
    if not lines:
        return None
    axis = Axis(0.0, 1.0, figure)
    return chart(lines, images_axis(lines), axis, "Validation parts", size=(480, 240))


def loss_charts(log: TrainingLog) -> list[tuple[Markup, list[Line]]]:
    """Return one chart with its key for each network of a run: names before the slash."""
    groups: dict[str, list[Line]] = {}
    for series in log.losses:
        group, _, term = series.name.rpartition("/")
        lines = groups.setdefault(group, [])
        colour = LOSS_COLOURS[len(lines) % len(LOSS_COLOURS)]
        lines.append(Line(term, colour, series.images, series.values))
    charts = []
    for group, lines in groups.items():
        axes = images_axis(lines), value_axis(lines, "loss")
        charts.append((chart(lines, *axes, group or "loss", size=SMALL), lines))
    return charts
