"""``flawsmith select``: keep the synthetic images that a model of real ones recognises."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flawsmith.cli.console import console, progress
from flawsmith.errors import FlawsmithError

if TYPE_CHECKING:
    from flawsmith.experiment.selection.facts import Selection


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command()(select)


def select(
    synthetic: Annotated[Path, typer.Argument(help="Synthetic set.")],
    model: Annotated[
        Path | None, typer.Option(help="Inspection model of the same fold, real images only.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Defect data set. [where the model was trained]")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for both sets and the page. [SYNTHETIC-selected]")
    ] = None,
    quantile: Annotated[
        float, typer.Option(help="Rejected is what is worse than all but this share of real ones.")
    ] = 0.05,
    copies: Annotated[bool, typer.Option(help="Look for copies of training defects.")] = True,
) -> None:
    """Split a synthetic set into images that a real-only model recognises, and the rest."""
    from flawsmith.experiment.selection import prepare, write_selection
    from flawsmith.experiment.selection import select as judge
    from flawsmith.storage import require_free

    if model is None:
        raise FlawsmithError(
            "flawsmith select needs --model, the run of: flawsmith model train (real images only)"
        )
    folder = out or synthetic.resolve().with_name(f"{synthetic.resolve().name}-selected")
    require_free(folder, what="selection")
    request = prepare(synthetic, model, data)
    looked_at = request.images + (request.images + len(request.training) if copies else 0)
    with progress("judging", looked_at) as advance:
        result = judge(request, quantile=quantile, copies=copies, advance=advance)
    page = write_selection(request, result, folder)
    _print(result)
    console.print(f"page: {page}\nnumbers: {page.with_suffix('.json')}", markup=False)
    console.print(f"next: flawsmith model train --synthetic {folder / 'accepted'}", markup=False)


def _print(result: Selection) -> None:
    from rich.table import Table

    from flawsmith.experiment.selection import words

    for columns in (slice(0, 6), slice(6, 10)):
        table = Table("class", *(heading.lower() for heading in words.HEADINGS[columns]))
        for item in result.classes:
            table.add_row(item.name, *words.row(item, result)[columns])
        console.print(table, markup=False)
    console.print(words.headline(result), style="bold", markup=False)
    for text in (*result.warnings, words.HARD_EXAMPLES):
        console.print(f"note: {text}", markup=False)
