"""``flawsmith synthesize``: balance a data set with synthetic images, or make a drawn defect."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flawsmith.cli.console import console, progress
from flawsmith.errors import FlawsmithError, InterruptionError

if TYPE_CHECKING:
    from flawsmith.data.schema import Schema
    from flawsmith.experiment.balance import Balance


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command()(synthesize)


def synthesize(
    run: Annotated[Path, typer.Argument(help="Run folder of a trained synthesizer.")],
    balance: Annotated[
        bool, typer.Option("--balance", help="Fill every class to the same number of images.")
    ] = False,
    mask: Annotated[
        Path | None, typer.Option(help="A drawn label map (PNG) to make images of instead.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="The data set of the run, to balance.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to write; with --balance by default RUN/synthetic.")
    ] = None,
    fold: Annotated[
        int | None, typer.Option(help="Test fold to use nothing of; the run's, and no other.")
    ] = None,
    per_class: Annotated[
        int | None, typer.Option(help="Images of each class; by default as the largest class.")
    ] = None,
    max_defects: Annotated[int | None, typer.Option(help="Most defects in one image. [1]")] = None,
    size_px: Annotated[
        str | None, typer.Option(help="Diameters of the defects in pixels, such as 10..40.")
    ] = None,
    size_mm: Annotated[
        str | None, typer.Option(help="The same in millimetres; needs the data's pixel size.")
    ] = None,
    new_shapes: Annotated[float | None, typer.Option(help="Share of new shapes. [0.5]")] = None,
    background: Annotated[
        str | None, typer.Option(help="Background of the drawing, where it names none.")
    ] = None,
    on: Annotated[Path | None, typer.Option(help="A good image to paint the drawing into.")] = None,
    count: Annotated[int | None, typer.Option(help="Images of the drawing. [4]")] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.", min=0)] = 0,
    batch_size: Annotated[
        int | None, typer.Option(help="Images at a time: less needs less memory. [32]")
    ] = None,
) -> None:
    """Make labelled defect images; after a kill the same command goes on."""
    if balance == (mask is not None):
        raise FlawsmithError(
            "flawsmith synthesize needs --balance --data DATA, or --mask DRAWN.png --out FOLDER"
        )
    if mask is not None:
        _refuse(
            "--mask", data=data, fold=fold, per_class=per_class, max_defects=max_defects,
            batch_size=batch_size, size_px=size_px, size_mm=size_mm, new_shapes=new_shapes,
        )  # fmt: skip
        if out is None:
            raise FlawsmithError("--mask needs --out FOLDER for the images")
        _paint(run, mask, out, background, on, 4 if count is None else count, seed)
        return
    _refuse("--balance", background=background, count=count, on=on)
    if data is None:
        raise FlawsmithError("--balance needs --data, the data set that the run was trained on")
    _fill(
        run, data, out or run / "synthetic", fold=fold, per_class=per_class, seed=seed,
        max_defects=1 if max_defects is None else max_defects, new_shapes=new_shapes,
        batch_size=32 if batch_size is None else batch_size, size_px=size_px, size_mm=size_mm,
    )  # fmt: skip


def _refuse(mode: str, **options: object) -> None:
    given = [f"--{name.replace('_', '-')}" for name, value in options.items() if value is not None]
    if given:
        raise FlawsmithError(f"{', '.join(given)} means nothing with {mode}; leave it out")


def _fill(
    run: Path,
    data: Path,
    out: Path,
    *,
    fold: int | None,
    per_class: int | None,
    max_defects: int,
    seed: int,
    batch_size: int,
    size_px: str | None,
    size_mm: str | None,
    new_shapes: float | None,
) -> None:
    from flawsmith.data.dataset import DefectDataset
    from flawsmith.data.mask_bank.sizes import parse_sizes
    from flawsmith.experiment.synthesis import synthesis_records
    from flawsmith.experiment.synthesis import synthesize as make
    from flawsmith.experiment.whole_image_synthesis import plan_for
    from flawsmith.systems.load import load_config

    dataset = DefectDataset.open(data)
    sizes = parse_sizes(size_px, size_mm, dataset.schema)
    records, config = synthesis_records(run, dataset, fold), load_config(run)
    plan = plan_for(config, dataset.schema, records, per_class)
    _print_plan(plan, masks=config.data.labels == "pixel")
    if not plan.total:
        console.print(
            "every class has as many images already: nothing to synthesize; --per-class N fills "
            "them to N"
        )
        return
    try:
        with progress("synthesizing", plan.total) as advance:
            report = make(
                run, dataset, out, plan=plan.added, fold=fold, seed=seed, batch_size=batch_size,
                max_defects=max_defects, sizes=sizes, new_shapes=new_shapes, advance=advance,
            )  # fmt: skip
    except KeyboardInterrupt:
        message = f"stopped; nothing in {out} is lost: the same command goes on"
        raise InterruptionError(message) from None
    speed = f", {report.images_per_second:.1f} images/s" if report.new_images else ""
    console.print(f"{report.images:,} synthetic images, {report.new_images:,} of them now{speed}")
    console.print(f"synthetic set: {out}")
    # Without a fold a model would be tested on fold 0, which other synthesizers have seen.
    other = f" --fold {config.data.fold}" if config.data.fold else ""
    console.print(f"next: flawsmith model train --data {data} --synthetic {out}{other}")


def _print_plan(plan: Balance, *, masks: bool) -> None:
    """Print the composition before and after, as the paper's Table 3."""
    from rich.table import Table

    table = Table("defect", title="images that show the defect, training parts only")
    for column in ("before", "added", "after"):
        table.add_column(column, justify="right")
    for name, before in plan.before.items():
        added = f"+{plan.added[name]:,}" if name in plan.added else "-"
        table.add_row(
            name, _share(before, plan.before), added, _share(plan.after[name], plan.after)
        )
    total_before, total_after = sum(plan.before.values()), sum(plan.after.values())
    table.add_section()
    table.add_row("total", f"{total_before:,}", f"+{plan.total:,}", f"{total_after:,}")
    console.print(table)
    for name in plan.without_masks:
        lacks = f"has a mask of {name}" if masks else f"shows {name}"
        console.print(f"note: no training image {lacks}, so none can be made")
    others = [n for n in plan.before if n not in plan.added and n not in plan.without_masks]
    if others:
        console.print(
            f"note: this run makes {', '.join(plan.added)} alone, not {', '.join(others)}"
        )


def _share(count: int, counts: dict[str, int]) -> str:
    return f"{count:,} ({count / max(1, sum(counts.values())):.2%})"


def _paint(
    run: Path,
    mask: Path,
    out: Path,
    background: str | None,
    surface: Path | None,
    count: int,
    seed: int,
) -> None:
    from flawsmith.data.schema import Schema
    from flawsmith.experiment.painting import paint, write_painted
    from flawsmith.storage import require_free
    from flawsmith.systems.load import load_config

    if count < 1:
        raise FlawsmithError(f"--count {count}: expected 1 or more images")
    load_config(run)  # whether it is a run, before its schema is asked for
    place = _background_id(background, Schema.load(run))
    require_free(out, what="painted images")
    seeds = range(seed, seed + count)
    write_painted(paint(run, mask, place, seeds, surface=surface), out)
    console.print(f"{count} images of {mask}: {out / 'images'}")
    console.print(f"next: draw another, or balance with: flawsmith synthesize {run} --balance")


def _background_id(name: str | None, schema: Schema) -> int:
    if name is None:
        return 0
    for background in schema.backgrounds:
        names = {n.casefold() for n in (background.name, *background.aliases)}
        if name.casefold() in names or name == str(background.id):
            return background.id
    known = ", ".join(b.name for b in schema.backgrounds)
    raise FlawsmithError(f"--background {name}: there is no such background (known: {known})")
