"""``flawsmith data split``: draw folds by part and freeze them."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from flawsmith.cli.console import console, progress
from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.folds import (
    TEST_FOLD,
    claims,
    composition,
    folds_from_csv,
    split_folds,
    split_holdout,
)
from flawsmith.data.freezing import freeze_folds
from flawsmith.data.parts import VIEWS_FILE, dataset_views, join_parts, leaks, need_comparison
from flawsmith.data.views import STEPS_AN_IMAGE
from flawsmith.errors import FlawsmithError

DEFAULT_FOLDS = 5


def register(data: typer.Typer) -> None:
    """Add the command."""

    @data.command("split")
    def command(
        folder: Annotated[Path, typer.Argument(metavar="DATA", help="the defect data set")],
        folds: Annotated[
            int | None, typer.Option(help=f"cross-validation ({DEFAULT_FOLDS} if nothing is given)")
        ] = None,
        test: Annotated[
            float | None, typer.Option(metavar="SHARE", help="one split: fold 0 tests, 1 trains")
        ] = None,
        csv: Annotated[
            Path | None, typer.Option(metavar="FILE", help="columns image, part, fold, note")
        ] = None,
        seed: Annotated[int, typer.Option(help="draws the parts")] = 0,
        compare: Annotated[
            bool,
            typer.Option(help="find images of one piece first, where the origin did not tell"),
        ] = True,
        again: Annotated[bool, typer.Option("--again", help="replace folds drawn before")] = False,
    ) -> None:
        """Draw folds by part, stratified by class; all views of a part stay together."""
        if sum(option is not None for option in (folds, test, csv)) > 1:
            raise FlawsmithError("--folds, --test and --csv exclude each other; give one of them")
        dataset = DefectDataset.open(folder)
        opened = dataset.fingerprint()
        _refuse_frozen(dataset, again=again)
        draw = _drawing(csv, test, DEFAULT_FOLDS if folds is None else folds, seed)
        if compare and csv is None and need_comparison(dataset):
            dataset = _join_views(dataset, draw)
        split = dataset.with_records(draw(dataset))
        freeze_folds(
            split, opened, _arguments(csv, test, folds, seed, compare=compare, again=again)
        )
        show(split, test_fold=None if test is None else TEST_FOLD)


Draw = Callable[[DefectDataset], list[ImageRecord]]


def _drawing(csv: Path | None, test: float | None, folds: int, seed: int) -> Draw:
    if csv is not None:
        return lambda dataset: folds_from_csv(dataset, csv)
    if test is not None:
        return lambda dataset: split_holdout(dataset, test, seed)
    return lambda dataset: split_folds(dataset, folds, seed)


def _arguments(
    csv: Path | None,
    test: float | None,
    folds: int | None,
    seed: int,
    *,
    compare: bool,
    again: bool,
) -> list[str]:
    given = (("--csv", csv), ("--test", test), ("--folds", folds), ("--seed", seed or None))
    result = [text for option, v in given if v is not None for text in (option, str(v))]
    return result + ["--no-compare"] * (not compare) + ["--again"] * again


def _join_views(dataset: DefectDataset, draw: Draw) -> DefectDataset:
    """Return the data set with images of one piece in one part; say what would have leaked."""
    images = sum(record.source == "real" for record in dataset)
    with progress("Comparing", STEPS_AN_IMAGE * images, unit="steps") as advance:
        views = dataset_views(dataset, advance)
    grouping = join_parts(dataset.records, views.groups())
    if not grouping.groups:
        console.print(f"Compared {images} images: no two show the same piece.")
    else:
        leaked = leaks(draw(dataset), grouping.groups)
        together = sum(len(group) for group in grouping.groups)
        console.print(
            f"Compared {images} images: {together} of them are views of {len(grouping.groups)} "
            f"pieces and stay together now. Image by image, these folds would have tested "
            f"{leaked} images with another view of their piece in training."
        )
        console.print(f"All pairs are in {escape(str(dataset.root / VIEWS_FILE))}.", style="dim")
    for group in grouping.contradictions:
        console.print(
            f"These look like one piece, but their origin says several: {escape(', '.join(group))}",
            style="yellow",
        )
    return dataset.with_records(grouping.records)


def _refuse_frozen(dataset: DefectDataset, *, again: bool) -> None:
    used = {record.fold for record in dataset if record.fold is not None}
    if used and not again:
        raise FlawsmithError(
            f"{dataset.root} has {len(used)} folds already, and they are frozen: results on other "
            "folds cannot be compared with earlier ones; to draw new folds all the same, add "
            "--again"
        )


def show(dataset: DefectDataset, test_fold: int | None = None) -> None:
    """Print parts and images by fold and class, and what their numbers allow to claim."""
    names: list[str | None] = [*dataset.schema.defect_names, None]
    table = Table(title="Parts / images", title_justify="left", title_style="bold")
    table.add_column("fold")
    for name in names:
        table.add_column("good" if name is None else escape(name), justify="right")
    for fold, counts in composition(dataset.records).items():
        role = "" if test_fold is None else " (test)" if fold == test_fold else " (training)"
        cells = [counts.get(name, (0, 0)) for name in names]
        table.add_row(f"{fold}{role}", *(f"{parts} / {images}" for parts, images in cells))
    console.print(table)
    excluded = sum(record.excluded is not None for record in dataset)
    if excluded:
        console.print(f"{excluded} excluded images keep the fold of their part.", style="dim")
    console.print("[bold]What these numbers allow[/bold] (95 % intervals, counted in parts)")
    for line in claims(dataset, test_fold):
        console.print(f"  {escape(line)}")
    console.print("The folds are frozen in metadata.jsonl.")
