"""``flawsmith data export``: write a defect data set in another program's format."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from flawsmith.cli.console import console, progress
from flawsmith.data.dataset import DefectDataset
from flawsmith.data.exporters import EXPORTERS, ExportReport, export_dataset

_FORMATS_HELP = "; ".join(f"{name}: {exporter.summary}" for name, exporter in EXPORTERS)


def register(data: typer.Typer) -> None:
    """Add the command."""

    @data.command("export")
    def command(
        folder: Annotated[Path, typer.Argument(metavar="DATA", help="the defect data set")],
        out: Annotated[Path, typer.Argument(help="folder to make")],
        to: Annotated[str, typer.Option("--to", metavar="FORMAT", help=_FORMATS_HELP)],
    ) -> None:
        """Write another format; images are copied as they are, and what gets lost is listed."""
        show(export_dataset(DefectDataset.open(folder), out, to, progress), out)


def show(report: ExportReport, out: Path) -> None:
    """Print what was written, what was left out and what the format cannot hold."""
    console.print(f"{report.images} images written as [bold]{report.format}[/bold]")
    for reason, count in report.left_out.items():
        console.print(f"{count} images left out: {escape(reason)}")
    if report.losses:
        console.print(f"[bold]What {report.format} cannot hold[/bold]")
    for sentence in report.losses:
        console.print(f"  {escape(sentence)}")
    console.print(f"Written to {escape(str(out))}")
