"""``flawsmith data merge``: join several data sets to a new one."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from flawsmith.cli.console import console, progress
from flawsmith.data.dataset import DefectDataset
from flawsmith.data.merging import MergeReport, merge


def register(data: typer.Typer) -> None:
    """Add the command."""

    @data.command("merge")
    def command(
        folders: Annotated[
            list[Path], typer.Argument(metavar="DATA DATA ...", help="two or more data sets")
        ],
        out: Annotated[Path, typer.Option("--out", metavar="NEW", help="data set to make")],
        name: Annotated[str | None, typer.Option(help="of the new data set")] = None,
        same_parts: Annotated[
            bool,
            typer.Option(
                "--same-parts", help="parts of the same name are the same piece in all of them"
            ),
        ] = False,
    ) -> None:
        """Join data sets to a new one; classes are matched by name and alias."""
        total = sum(len(DefectDataset.open(folder)) for folder in folders)
        with progress("Merging", total) as advance:
            report = merge(folders, out, name=name, same_parts=same_parts, progress=advance)
        show(report, out)


def show(report: MergeReport, out: Path) -> None:
    """Print which classes are the same, and what was decided."""
    table = Table(title="Classes", title_justify="left", title_style="bold")
    table.add_column("new")
    for label in report.labels:
        table.add_column(escape(label))
    for name, called in report.classes:
        table.add_row(escape(name), *(escape(own or "") for own in called))
    console.print(table)
    for note in report.notes:
        console.print(escape(note))
    where = escape(str(out))
    console.print(f"{sum(report.images)} images of {report.parts} parts written to {where}")
    console.print(f"Next: flawsmith data check {where}")
