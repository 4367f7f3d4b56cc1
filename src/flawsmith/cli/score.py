"""``flawsmith score``: how near synthetic defects are to real ones, and whether they are copies."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flawsmith.cli import options
from flawsmith.cli.console import console, progress
from flawsmith.errors import FlawsmithError

if TYPE_CHECKING:
    from flawsmith.experiment.score.facts import Score


class Against(StrEnum):
    """Which unseen real parts a set is compared with."""

    test = "test"
    validation = "validation"


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command()(score)


def score(
    synthetic: Annotated[Path, typer.Argument(help="Synthetic set.")],
    data: options.Data = None,
    fold: Annotated[
        int | None, typer.Option(help="Test fold, where the set does not say which it left out.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where score.json and score.html go. [SYNTHETIC/score]")
    ] = None,
    features: Annotated[
        str, typer.Option(help="Feature network; its name is part of every figure's.")
    ] = "efficientnet_lite0",
    inception: Annotated[
        Path | None,
        typer.Option(help="File of Inception weights of the FID literature: adds its figures."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(help="Run that made the set, to rebuild real tiles. [looked for]"),
    ] = None,
    against: Annotated[
        Against, typer.Option(help="test to report; validation to choose between generators.")
    ] = Against.test,
    limit: Annotated[
        int, typer.Option(help="Most defects of a class and origin, drawn at random.", min=2)
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Of every draw.", min=0)] = 0,
) -> None:
    """Compare synthetic defects with real ones that their generator has not seen."""
    from flawsmith.experiment.score import prepare, write_score
    from flawsmith.experiment.score import score as compute

    if data is None:
        raise FlawsmithError("flawsmith score needs --data, from which the set was made")
    request = prepare(synthetic, data, fold=fold, validation=against is Against.validation)
    images = request.images if inception is None else 2 * request.images
    with progress("reading defects", images) as advance:
        scored = compute(
            request, features=features, inception=inception, run=run, limit=limit, seed=seed,
            advance=advance,
        )  # fmt: skip
    page = write_score(request, scored, out or synthetic / "score")
    _print(scored.score)
    _print_inception(scored.score)
    _print_rebuilt(scored.score)
    console.print(f"page: {page}\nnumbers: {page.with_suffix('.json')}")


def _print_inception(result: Score) -> None:
    from rich.table import Table

    from flawsmith.experiment.score import words
    from flawsmith.experiment.score.scoring import variants_of

    if result.inception is None:
        return
    for variant in variants_of(result.level, masks=False):
        table = Table("class", *words.HEADINGS[3:8], title=f"{result.inception.name}/{variant}")
        for item in (*result.classes, result.overall):
            cells = words.row(item, item.variant(variant, result.inception.name))
            table.add_row(item.name, *cells[3:8])
        console.print(table)
    table = Table("class", "synthetic", "real", title="Inception score of whole tiles")
    for item in (*result.classes, result.overall):
        table.add_row(item.name, *map(words.inception, (item.inception, item.inception_real)))
    console.print(table)
    console.print(words.INCEPTION_SENTENCE)


def _print_rebuilt(result: Score) -> None:
    from rich.table import Table

    from flawsmith.experiment.score import words

    if result.reconstruction is not None:
        # A terminal is narrow: the neighbourhood of the defect, and the tile.
        rows = [*result.reconstruction.classes, result.reconstruction.overall]
        for columns in (slice(0, 5), slice(5, 9)):
            table = Table("class", *words.REBUILT_HEADINGS[columns], title="rebuilt real tiles")
            for item in rows:
                table.add_row(item.name, *words.rebuilt_row(item)[columns])
            console.print(table)
    console.print(words.rebuilt_sentence(result))


def _print(result: Score) -> None:
    from rich.table import Table

    from flawsmith.experiment.score import words

    rows = [
        (i.name, words.row(i, i.variant(result.main))) for i in (*result.classes, result.overall)
    ]
    title = f"{result.features}/{result.main}"
    if result.level == "image":
        console.print("labels are for whole images, so whole images are compared")
    for columns, what in ((slice(0, 5), "KID in thousandths"), (slice(5, 12), "real in brackets")):
        table = Table("class", *words.HEADINGS[columns], title=f"{title}, {what}")
        for name, cells in rows:
            table.add_row(name, *cells[columns], end_section=name == rows[-2][0])
        console.print(table)
    for item in result.classes:
        if item.note:
            console.print(f"note: {item.name}: {item.note}")
    verdict = words.verdict(result)
    console.print(f"[bold]{verdict.headline}[/]")
    for sentence in verdict.sentences:
        console.print(sentence)
