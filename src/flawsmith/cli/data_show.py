"""``flawsmith data show``: a page to look through a data set."""

import time
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from flawsmith.cli.console import Advance, console, progress
from flawsmith.data.dataset import DefectDataset
from flawsmith.data.gallery import CHECK_FILE, GALLERY_FOLDER, build_gallery


def register(data: typer.Typer) -> None:
    """Add the command."""

    @data.command("show")
    def command(
        folder: Annotated[Path, typer.Argument(metavar="DATA", help="the defect data set")],
        out: Annotated[
            Path | None,
            typer.Option(
                "--out",
                metavar="FOLDER",
                help=f"where to write the page; by default DATA/{GALLERY_FOLDER}",
            ),
        ] = None,
        show: Annotated[
            bool, typer.Option("--open/--no-open", help="open the page in a browser")
        ] = False,
    ) -> None:
        """Make a page with all images and their labels, to filter, sort and look at closely."""
        dataset = DefectDataset.open(folder)
        with progress("Drawing", len(dataset)) as advance:
            page = build_gallery(dataset, out, progress=_with_rate(advance))
        console.print(f"{len(dataset):,} images: {escape(str(page))}")
        if not (folder / CHECK_FILE).is_file():
            console.print(
                "To filter by findings, run first: " + escape(f"flawsmith data check {folder}"),
                style="dim",
            )
        if show and not webbrowser.open(page.resolve().as_uri()):
            console.print("No browser could be opened; open the file by hand.")


def _with_rate(advance: Advance) -> Callable[[int], None]:
    """Return a progress callback that shows images/s; the first call is for what was kept."""
    started, drawn = 0.0, 0

    def note(count: int) -> None:
        nonlocal started, drawn
        if not started:
            started = time.perf_counter()
            advance(count)
            return
        drawn += count
        rate = drawn / max(time.perf_counter() - started, 1e-6)
        advance(count, note=f"{rate:.0f} images/s")

    return note
