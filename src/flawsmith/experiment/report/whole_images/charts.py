"""The charts of a report on whole images, drawn from its facts."""

from collections.abc import Sequence

from markupsafe import Markup

from flawsmith.experiment.report.charts import (
    chart_of_validation,
    loss_charts,
    mark,
    rate_bar,
    recall_chart,
)
from flawsmith.experiment.report.figures import Line, dot_chart
from flawsmith.experiment.report.whole_images.facts import ImageReportFacts

__all__ = ["confusion_colour", "f1_chart", "loss_charts", "precision_recall_charts", "rate_bar",
           "validation_chart"]  # fmt: skip

RIGHT, WRONG = "53, 102, 168", "194, 84, 27"


def f1_chart(page: ImageReportFacts) -> Markup:
    """Return F1 with its interval, a row a class and the mean, a dot an arm."""
    rows = [
        (
            f"{row.name} (n = {row.parts})",
            [
                mark(cell.f1, cell.f1_interval, arm.colour)
                for cell, arm in zip(row.cells, page.arms, strict=True)
            ],
        )
        for row in page.classes
    ]
    rows.append(
        ("mean of classes", [mark(a.macro_f1, a.macro_f1_interval, a.colour) for a in page.arms])
    )
    return dot_chart(rows, "F1, with its 95 % interval over parts")


def precision_recall_charts(page: ImageReportFacts) -> list[Markup]:
    """Return one small chart a class that has a curve."""
    found = [
        recall_chart(
            f"{row.name} (n = {row.images})",
            "recall (images)",
            [
                Line(arm.label, arm.colour, cell.recall_curve, cell.precision_curve)
                for arm, cell in zip(page.arms, row.cells, strict=True)
            ],
        )
        for row in page.classes
    ]
    return [drawn for drawn in found if drawn is not None]


def validation_chart(page: ImageReportFacts) -> Markup | None:
    """Return the mean average precision on inner validation parts over the training."""
    return chart_of_validation(page.training, "mean average precision")


def confusion_colour(counts: Sequence[int], column: int, *, right: bool) -> str:
    """Return the background of a cell: blue where right, vermilion where not, by its share."""
    share = counts[column] / max(sum(counts), 1)
    return f"rgba({RIGHT if right else WRONG}, {0.75 * share:.2f})"
