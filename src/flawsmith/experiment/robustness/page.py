"""The table of a robustness test: ``robustness.json`` and the page ``robustness.html``."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from flawsmith import __version__
from flawsmith.data.templates import render as fill
from flawsmith.experiment.report.facts import Picture
from flawsmith.experiment.report.figures import Axis, Line, chart
from flawsmith.experiment.robustness import words
from flawsmith.experiment.robustness.changes import (
    auroc_change,
    macro_change,
    pairs_of,
    verdict_change,
)
from flawsmith.experiment.robustness.disturbances import DISTURBANCES, GROUPS, Disturbance
from flawsmith.experiment.robustness.examples import draw_example, window_side
from flawsmith.experiment.robustness.facts import PAGE_FILE, VIEW, Cell, Robustness, Row
from flawsmith.experiment.robustness.request import FOLDER, RobustnessRequest
from flawsmith.experiment.robustness.testing import Job, RobustnessTest
from flawsmith.metrics.evaluation import Rate
from flawsmith.storage import write_text

CHART = (290, 190)
COLOURS = {
    "macro IoU": "#3566a8",
    "area under ROC curve": "#3c8d7a",
    "missed defective parts": "#b3362b",
    "rejected good parts": "#c98a1b",
}


@dataclass(frozen=True)
class ExampleRow:
    """The same image under several disturbances."""

    title: str
    pictures: list[Picture]


@dataclass(frozen=True)
class ExampleGroup:
    """Disturbances of one kind, a column each after the undisturbed image."""

    title: str
    columns: list[str]
    rows: list[ExampleRow]


def write_robustness(request: RobustnessRequest, cells: Sequence[Cell]) -> tuple[Robustness, Path]:
    """Write ``robustness.json`` and the self-contained page; return the numbers and the page.

    Args:
        request: see `prepare`.
        cells: of all tests, as `run_tests` returns them.

    Raises:
        FlawsmithError: if a file cannot be written, or an image is gone.
    """
    result = facts(request, cells)
    page = request.out / PAGE_FILE
    text = fill(
        "flawsmith.experiment.report",
        "robustness.html.j2",
        page=result,
        groups=_example_groups(RobustnessTest(request)),
        charts=_charts(result),
        colours=COLOURS,
        classes=request.tested.schema.defects,
        names=list(dict.fromkeys(row.disturbance for row in result.rows)),
        words=words,
        command=_command(request),
    )
    write_text(page, text)
    result.save(request.out)
    return result, page


def facts(request: RobustnessRequest, cells: Sequence[Cell]) -> Robustness:
    """Return all numbers; the first cell is that of the undisturbed images."""
    reference = cells[0]
    rows = [_row(request, cell, reference) for cell in cells[1:]]
    return Robustness(
        run=str(request.run),
        arm=request.config.arm,
        model=request.config.system,
        model_hash=request.model_hash,
        data=str(request.tested.root),
        data_fingerprint=request.tested.fingerprint(),
        fold=request.fold,
        simulated=request.tested.schema.simulated,
        defective_parts=sum(part.defective for part in reference.parts),
        good_parts=sum(not part.defective for part in reference.parts),
        undisturbed=_row(request, reference, None),
        rows=[row for row in rows if row.disturbance != VIEW],
        views=[row for row in rows if row.disturbance == VIEW],
        only=request.only,
        seconds=round(sum(cell.seconds for cell in cells), 1),
        version=__version__,
    )


def _row(request: RobustnessRequest, cell: Cell, reference: Cell | None) -> Row:
    kept = cell.model_dump(include=set(Row.model_fields) & set(Cell.model_fields))
    if cell.disturbance == VIEW:
        known = request.training_views
        kept["seen_in_training"] = None if known is None else cell.view in known
    text = cell.view
    if cell.disturbance in DISTURBANCES and cell.strength is not None:
        text = DISTURBANCES.get(cell.disturbance).strength_text(cell.strength)
    if reference is None:
        return Row(text=text, **kept)
    pairs = pairs_of(reference, cell)
    row = Row(text=text, macro_change=macro_change(pairs), **kept)
    if cell.disturbance == VIEW:  # a verdict on one image is none on a part with all its views
        return row
    return row.model_copy(
        update={
            "escape_change": verdict_change(pairs, defective=True),
            "overkill_change": verdict_change(pairs, defective=False),
            "auroc_change": auroc_change(pairs),
        }
    )


def _example_groups(test: RobustnessTest) -> list[ExampleGroup]:
    """Return the pictures by group, each disturbance at its strongest."""
    tested = test.request.tested
    sides = [window_side(tested, record) for record in test.examples]
    plain = _pictures(test, Job(), sides)
    groups = []
    for group, title in GROUPS.items():
        own = [d for d in test.request.disturbances if d.group == group]
        if not own:
            continue
        columns = [plain, *(_pictures(test, Job(d, d.strongest), sides) for d in own)]
        names = ["undisturbed", *(_name(d, d.strongest) for d in own)]
        rows = [
            ExampleRow(
                f"{', '.join(record.labels) or 'good'}, {record.file_name}",
                [pictures[i] for pictures in columns],
            )
            for i, record in enumerate(test.examples)
        ]
        groups.append(ExampleGroup(title, names, rows))
    return groups


def _pictures(test: RobustnessTest, job: Job, sides: list[int | None]) -> list[Picture]:
    dataset = job.dataset(test.request.tested)
    records = {record.file_name: record for record in dataset.records}
    paths = test.prediction_files(job)
    return [
        draw_example(dataset, records[record.file_name], side, path)
        for record, side, path in zip(test.examples, sides, paths, strict=True)
    ]


def _name(disturbance: Disturbance, strength: float) -> str:
    return f"{disturbance.name.replace('_', ' ')} {disturbance.strength_text(strength)}"


def _charts(result: Robustness) -> list[Markup]:
    """Return a small chart for each disturbance whose strengths are points of one scale."""
    charts = []
    for name in dict.fromkeys(row.disturbance for row in result.rows):
        disturbance = DISTURBANCES.get(name)
        if name == "flip":
            continue
        rows = [(row.strength or 0.0, row) for row in result.rows if row.disturbance == name]
        points = sorted([*rows, (disturbance.neutral, result.undisturbed)], key=lambda p: p[0])
        strengths = [strength for strength, _ in points]
        lines = []
        for figure, colour in COLOURS.items():
            values = [(s, v) for s, row in points if (v := _figure(figure, row)) is not None]
            x, y = [s for s, _ in values], [v for _, v in values]
            lines.append(Line(figure, colour, x, y))
        x_axis = Axis(min(strengths), max(strengths), disturbance.scale)
        title = name.replace("_", " ")
        charts.append(chart(lines, x_axis, Axis(0.0, 1.0, ""), title, size=CHART))
    return charts


def _figure(figure: str, row: Row) -> float | None:
    return {
        "macro IoU": row.macro_iou,
        "area under ROC curve": row.part_auroc,
        "missed defective parts": _share(row.escape),
        "rejected good parts": _share(row.overkill),
    }[figure]


def _share(rate: Rate | None) -> float | None:
    return None if rate is None else rate.count / rate.total


def _command(request: RobustnessRequest) -> str:
    words_ = ["flawsmith", "model", "robustness", str(request.run)]
    if str(request.tested.root) != request.config.data.path:
        words_ += ["--data", str(request.tested.root)]
    if request.fold != request.config.data.fold:
        words_ += ["--fold", str(request.fold)]
    words_ += [text for name in request.only for text in ("--only", name)]
    if request.out != request.run / FOLDER:
        words_ += ["--out", str(request.out)]
    return shlex.join(words_)
