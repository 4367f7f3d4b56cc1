"""``flawsmith start``: the first hour with a folder of one's own."""

from pathlib import Path
from typing import Annotated

import typer

from flawsmith.cli.console import console


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command()(start)


def start(
    folder: Annotated[Path, typer.Argument(help="Your images and labels, as they are.")],
    out: Annotated[Path | None, typer.Option(help="Folder for everything that it makes.")] = None,
    format: Annotated[str, typer.Option(help="auto, or a name of flawsmith info.")] = "auto",
    part_pattern: Annotated[
        str | None, typer.Option(help="Regular expression; its group is the part.")
    ] = None,
    view_pattern: Annotated[
        str | None, typer.Option(help="Regular expression; its group is the view.")
    ] = None,
    class_pattern: Annotated[
        str | None, typer.Option(help="Regular expression; its group is the class.")
    ] = None,
    folds: Annotated[int | None, typer.Option(help="Number of folds by part.")] = None,
    fold: Annotated[int, typer.Option(help="The fold to test on.")] = 0,
    preset: Annotated[str, typer.Option(help="tiny, small, stable or paper.")] = "small",
    network: Annotated[
        str | None, typer.Option(help="Of the inspection models; by default the labels decide.")
    ] = None,
    images: Annotated[
        int | None, typer.Option(help="Training tiles of each model; by default the preset's.")
    ] = None,
    copy_paste: Annotated[
        bool, typer.Option(help="Also train with real defects pasted onto good ones, by masks.")
    ] = True,
    volume: Annotated[int, typer.Option(help="Parts a year on your line.")] = 1_000_000,
    defect_ppm: Annotated[float, typer.Option(help="Defective parts in a million.")] = 5000.0,
    review_seconds: Annotated[float, typer.Option(help="A person's second look.")] = 20.0,
) -> None:
    """Import, check, split by part, train and test two models, report.

    With masks: without and with pasted defects. With labels of whole images: two classifiers.
    """
    from flawsmith.cli.demo import step
    from flawsmith.cli.train import duration, training_hooks
    from flawsmith.experiment.plant import PlantAssumptions
    from flawsmith.experiment.start import StartChoices
    from flawsmith.experiment.start import start as run_start

    choices = StartChoices(
        format=format,
        part_pattern=part_pattern,
        view_pattern=view_pattern,
        class_pattern=class_pattern,
        folds=folds,
        fold=fold,
        preset=preset,
        network=network,
        images=images,
        copy_paste=copy_paste,
    )
    plant = PlantAssumptions(volume=volume, defect_ppm=defect_ppm, review_seconds=review_seconds)
    out = out or Path(f"start-{folder.resolve().name}")
    report, seconds = run_start(folder, out, choices, plant, training_hooks(), step)
    console.print(f"done in {duration(seconds)}\nreport: {report}")
