"""``flawsmith review export``: reviewed images as a defect data set."""

from pathlib import Path
from typing import Annotated

import typer

from flawsmith.cli.console import console
from flawsmith.cli.stored import Since, StoreUrl, Until, open_store, period


def register(review: typer.Typer) -> None:
    """Add the verb to ``flawsmith review``."""
    review.command("export")(export)


def export(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Data set to make.")],
    store: StoreUrl = "results.db",
    since: Since = None,
    until: Until = None,
    like: Annotated[
        Path | None,
        typer.Option(help="Data set whose classes, levels and pixel size apply."),
    ] = None,
    show: Annotated[int, typer.Option(help="Images left out to name.", min=0)] = 20,
) -> None:
    """Write reviewed images as a defect data set for the next training."""
    from flawsmith.line.reviews.export import export_reviews

    begin, end = period(since, until)
    with open_store(store) as opened:
        done = export_reviews(opened, out, since=begin, until=end, like=like)
    total = done.good + done.masks + done.weak + done.excluded
    console.print(
        f"{out}: {total:,} images: {done.good:,} good, {done.masks:,} with confirmed outlines, "
        f"{done.weak:,} with a class for the whole image, {done.excluded:,} excluded",
        markup=False,
    )
    if done.superseded:
        console.print(f"{done.superseded:,} images were reviewed again; the last review was taken")
    for line in done.left_out[:show]:
        console.print(f"left out: {line}", markup=False)
    if len(done.left_out) > show:
        console.print(f"left out: {len(done.left_out) - show:,} more")
    levels = "" if like else ", and black and white level in dataset.toml"
    console.print(f"check the outlines{levels}: flawsmith data check {out}", markup=False)
