"""``flawsmith data import``: make a defect data set of a folder in any known format."""

from pathlib import Path
from typing import Annotated, cast, get_args

import typer
from rich.markup import escape
from rich.table import Table

from flawsmith.cli.console import console, progress
from flawsmith.data.formats import FORMATS, REPORT_FILE, Finding, ImportReport, import_folder
from flawsmith.data.formats.canvas import Boxes
from flawsmith.errors import FlawsmithError, InterruptionError
from flawsmith.storage import partial_path

SHOWN_FILES = 3
"""Files of a kind of finding that the terminal lists; the report has all."""

_FORMATS_HELP = f"auto, or one of: {', '.join(FORMATS.names())}"


def register(data: typer.Typer) -> None:
    """Add the command."""

    @data.command("import")
    def command(
        source: Annotated[Path, typer.Argument(help="folder or zip with images and labels")],
        out: Annotated[Path, typer.Argument(help="defect data set to make")],
        format: Annotated[str, typer.Option(help=_FORMATS_HELP)] = "auto",
        part_pattern: Annotated[
            str | None,
            typer.Option(help="regular expression on the path; its group names the physical part"),
        ] = None,
        view_pattern: Annotated[str | None, typer.Option(help="the same for the view")] = None,
        class_pattern: Annotated[
            str | None, typer.Option(help="the same for the class (good, ok, ...: no defect)")
        ] = None,
        pixel_size_mm: Annotated[
            str | None, typer.Option(help="mm per pixel: 0.5, or x and y: 0.5,0.4")
        ] = None,
        name: Annotated[str | None, typer.Option(help="of the data set")] = None,
        white_level: Annotated[
            int | None, typer.Option(help="pixel value of full scale, such as 4095 for 12 bits")
        ] = None,
        boxes: Annotated[
            str,
            typer.Option(
                help="what a box says: weak (a defect is somewhere in it), fill (all of it is), "
                "or auto (as the format means it)"
            ),
        ] = "auto",
        link: Annotated[
            bool,
            typer.Option("--link", help="link to the images instead of copying them; keep SOURCE"),
        ] = False,
    ) -> None:
        """Make a defect data set; images are copied as they are, nothing is dropped silently."""
        try:
            report = import_folder(
                source,
                out,
                format=format,
                part_pattern=part_pattern,
                view_pattern=view_pattern,
                class_pattern=class_pattern,
                name=name,
                pixel_size_mm=parse_pixel_size(pixel_size_mm) if pixel_size_mm else None,
                white_level=white_level,
                boxes=parse_boxes(boxes),
                link=link,
                progress=progress,
            )
        except KeyboardInterrupt:
            message = f"stopped; the same command goes on, or remove {partial_path(out)}"
            raise InterruptionError(message) from None
        show(report, out)


def parse_boxes(text: str) -> Boxes:
    """Return what a box says."""
    if text not in get_args(Boxes):
        raise FlawsmithError(f"--boxes '{text}': expected one of {', '.join(get_args(Boxes))}")
    return cast(Boxes, text)


def parse_pixel_size(text: str) -> tuple[float, float]:
    """Return mm per pixel in x and y of ``0.5`` or ``0.5,0.4``."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (1, 2) or not all(0 < value < float("inf") for value in values):
        raise FlawsmithError(
            f"--pixel-size-mm '{text}': expected mm per pixel, such as 0.5, "
            "or x and y with a comma, such as 0.5,0.4"
        )
    return values[0], values[-1]


def show(report: ImportReport, out: Path) -> None:
    """Print what was imported, what was odd, and what to do next."""
    console.print(f"Format [bold]{report.format}[/bold]: {escape(report.reason)}")
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_row("Images", str(report.images))
    table.add_row("Good", str(report.good))
    for name, count in report.classes.items():
        table.add_row(escape(name), str(count))
    table.add_row("Excluded", str(report.excluded))
    table.add_row("Parts", str(report.parts))
    console.print(table)
    for note in report.notes:
        console.print(escape(note), style="dim")
    _show_findings(report.findings)
    where = escape(str(out))
    console.print(f"Data set written to {where} (report: {REPORT_FILE})")
    console.print(f"Next: flawsmith data check {where}")


def _show_findings(findings: list[Finding]) -> None:
    grouped: dict[str, list[Finding]] = {}
    for finding in findings:
        grouped.setdefault(finding.kind, []).append(finding)
    if not grouped:
        return
    table = Table(title="Findings", title_justify="left", title_style="bold")
    table.add_column("what")
    table.add_column("count", justify="right")
    table.add_column("first of them", overflow="fold")
    for kind, group in sorted(grouped.items(), key=lambda item: -len(item[1])):
        lines = [f"{finding.file}: {finding.message}" for finding in group[:SHOWN_FILES]]
        more = [f"and {len(group) - SHOWN_FILES} more"] if len(group) > SHOWN_FILES else []
        table.add_row(escape(kind), str(len(group)), escape("\n".join(lines + more)))
    console.print(table)
