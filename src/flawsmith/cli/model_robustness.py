"""``flawsmith model robustness``: a model's figures when images change."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flawsmith.cli.console import console

if TYPE_CHECKING:
    from flawsmith.experiment.robustness.facts import Robustness, Row


def register(model: typer.Typer) -> None:
    """Add the verb to ``flawsmith model``."""
    model.command("robustness")(robustness)


def robustness(
    run: Annotated[Path, typer.Argument(help="Run folder of an inspection model.")],
    data: Annotated[
        Path | None, typer.Option(help="Another data set with the same classes.")
    ] = None,
    fold: Annotated[int | None, typer.Option(help="Fold of that data set to test on.")] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A disturbance, or view; may be repeated. [all]"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of table and page. [RUN/robustness]")
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what there is to do and how long; test nothing.")
    ] = False,
) -> None:
    """Test under rotation, scaling, other light, blur, noise ...; a stopped one goes on."""
    from flawsmith.cli.train import duration, training_hooks
    from flawsmith.experiment.robustness import (
        estimate_seconds,
        prepare,
        run_tests,
        write_robustness,
    )

    request = prepare(run, data=data, fold=fold, only=only or (), out=out)
    if plan:
        for disturbance in request.disturbances:
            texts = [disturbance.strength_text(s) for s in disturbance.strengths]
            console.print(f"{disturbance.name}: {', '.join(texts)}", markup=False)
        if request.views:
            console.print(f"view: {', '.join(request.views)}", markup=False)
        waiting, total, seconds = estimate_seconds(request)
        console.print(
            f"{waiting} of {total} tests to make on {len(request.tested)} images (a view has only "
            f"its own), about {duration(seconds)} on this machine"
        )
        return
    result, page = write_robustness(request, run_tests(request, training_hooks()))
    _print(result)
    console.print(f"page: {page}\nnumbers: {page.with_suffix('.json')}", markup=False)


def _print(result: Robustness) -> None:
    from rich.table import Table

    from flawsmith.experiment.robustness import words

    table = Table("disturbance", "macro IoU", "change", "missed", "rejected", "AUROC")
    for row in (result.undisturbed, *result.views, *result.rows):
        table.add_row(words.label(row), *_cells(row))
    console.print(table)
    console.print(words.headline(result), markup=False)
    if words.worst(result):
        console.print(words.worst(result), markup=False)


def _cells(row: Row) -> list[str]:
    from flawsmith.experiment.robustness import words

    rates = [f"{r.count} of {r.total}" if r else "-" for r in (row.escape, row.overkill)]
    return [
        words.score(row.macro_iou), words.change(row.macro_change), *rates,
        words.score(row.part_auroc),
    ]  # fmt: skip
