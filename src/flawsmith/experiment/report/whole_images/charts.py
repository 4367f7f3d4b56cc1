"""The charts of a report on whole images, drawn from its facts."""

from collections.abc import Sequence

from markupsafe import Markup

from flawsmith.experiment.report.charts import SMALL, loss_charts, rate_bar
from flawsmith.experiment.report.figures import Axis, Line, Mark, chart, dot_chart, images_axis
from flawsmith.experiment.report.whole_images.facts import ImageArm, ImageReportFacts
from flawsmith.metrics.evaluation import Interval

__all__ = ["confusion_colour", "f1_chart", "loss_charts", "precision_recall_charts", "rate_bar",
           "validation_chart"]  # fmt: skip

RIGHT, WRONG = "53, 102, 168", "194, 84, 27"


def f1_chart(page: ImageReportFacts) -> Markup:
    """Return F1 with its interval, a row a class and the mean, a dot an arm."""
    rows = [
        (
            f"{row.name} (n = {row.parts})",
            [
                _mark(cell.f1, cell.f1_interval, arm)
                for cell, arm in zip(row.cells, page.arms, strict=True)
            ],
        )
        for row in page.classes
    ]
    rows.append(("mean of classes", [_mark(a.macro_f1, a.macro_f1_interval, a) for a in page.arms]))
    return dot_chart(rows, "F1, with its 95 % interval over parts")


def _mark(value: float | None, interval: Interval | None, arm: ImageArm) -> Mark:
    low, high = (interval.low, interval.high) if interval else (None, None)
    return Mark(value, low, high, arm.colour)


def precision_recall_charts(page: ImageReportFacts) -> list[Markup]:
    """Return one small chart a class that has a curve."""
    charts = []
    unit = (Axis(0.0, 1.0, "recall (images)"), Axis(0.0, 1.0, "precision"))
    for row in page.classes:
        lines = [
            Line(arm.label, arm.colour, cell.recall_curve, cell.precision_curve)
            for arm, cell in zip(page.arms, row.cells, strict=True)
        ]
        if any(line.x for line in lines):
            charts.append(chart(lines, *unit, f"{row.name} (n = {row.images})", size=SMALL))
    return charts


def validation_chart(page: ImageReportFacts) -> Markup | None:
    """Return the mean average precision on inner validation parts over the training."""
    lines = [
        Line(log.label, log.colour, log.validation.images, log.validation.values)
        for log in page.training
        if log.validation is not None
    ]
    if not lines:
        return None
    axis = Axis(0.0, 1.0, "mean average precision")
    return chart(lines, images_axis(lines), axis, "Validation parts", size=(480, 240))


def confusion_colour(counts: Sequence[int], column: int, *, right: bool) -> str:
    """Return the background of a cell: blue where right, vermilion where not, by its share."""
    share = counts[column] / max(sum(counts), 1)
    return f"rgba({RIGHT if right else WRONG}, {0.75 * share:.2f})"
