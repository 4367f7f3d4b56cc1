"""``flawsmith data check``: what is in a data set and what is wrong with it."""

from collections.abc import Callable, Sequence
from functools import partial
from json import dumps
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from flawsmith.cli.console import console, progress
from flawsmith.data.check_page import PAGE_FILE, build_check_page
from flawsmith.data.check_report import (
    SMALL_REGION_PX,
    CheckReport,
    ClassFigures,
    Finding,
    Spread,
)
from flawsmith.data.checks import check
from flawsmith.data.dataset import DefectDataset
from flawsmith.data.gallery import CHECK_FILE
from flawsmith.data.parts import dataset_views
from flawsmith.data.views import STEPS_AN_IMAGE
from flawsmith.errors import FlawsmithError
from flawsmith.storage import write_text

SHOWN_FINDINGS = 5
"""Findings of a kind that the terminal lists; the JSON report has all."""


def register(data: typer.Typer) -> None:
    """Add the command."""

    @data.command("check")
    def command(
        folder: Annotated[Path, typer.Argument(metavar="DATA", help="the defect data set")],
        json: Annotated[
            Path | None,
            typer.Option("--json", metavar="FILE", help="the report; by default DATA/check.json"),
        ] = None,
        html: Annotated[
            Path | None,
            typer.Option("--html", metavar="FILE", help="the page; by default DATA/check.html"),
        ] = None,
        page: Annotated[
            bool, typer.Option("--page/--no-page", help="make a page with pictures of the findings")
        ] = True,
        compare: Annotated[
            bool,
            typer.Option("--compare", help="find images of one piece in several parts; slower"),
        ] = False,
        strict: Annotated[
            bool, typer.Option("--strict", help="end with status 1 if something needs a repair")
        ] = False,
    ) -> None:
        """Count images, parts and defects, and find missing, damaged and contradicting files."""
        dataset = DefectDataset.open(folder)
        if compare:
            _compare(dataset)
        with progress("Checking", len(dataset)) as advance:
            report = check(dataset, advance)
        report = _printable(report)
        show(report)
        kept = _keep("Report", json, folder / CHECK_FILE, partial(_write_json, report))
        if page and (kept or html):
            _keep("Page", html, folder / PAGE_FILE, partial(_write_page, dataset, report))
        if strict and report.problems:
            raise typer.Exit(1)


def _compare(dataset: DefectDataset) -> None:
    """Compare all images once; the check uses what is kept of it."""
    images = sum(record.source == "real" for record in dataset)
    with progress("Comparing", STEPS_AN_IMAGE * images, unit="steps") as advance:
        dataset_views(dataset, advance)


def _printable(report: CheckReport) -> CheckReport:
    """Return the report with "?" for bytes of file names that are no UTF-8; JSON has none."""
    text = dumps(report.model_dump(), ensure_ascii=False)
    return CheckReport.model_validate_json(text.encode("utf-8", "replace"))


def _keep(what: str, given: Path | None, usual: Path, write: Callable[[Path], object]) -> bool:
    """Write a file and say where; only where the user chose the place is a failure an error."""
    path = given or usual
    try:
        write(path)
    except (FlawsmithError, OSError, ModuleNotFoundError) as error:
        if given is not None:
            raise
        console.print(f"{what} not written: {escape(str(error))}", style="yellow")
        console.print("Choose other places with --json FILE and --html FILE.", style="dim")
        return False
    console.print(f"{what} written to {escape(str(path))}")
    return True


def _write_json(report: CheckReport, path: Path) -> None:
    write_text(path, report.model_dump_json(indent=2) + "\n")


def _write_page(dataset: DefectDataset, report: CheckReport, path: Path) -> None:
    with progress("Drawing", None, unit="pictures") as advance:
        build_check_page(dataset, report, path, advance)


def show(report: CheckReport) -> None:
    """Print the report as tables."""
    simulated = " (simulated images)" if report.simulated else ""
    console.print(f"\n[bold]{escape(report.name)}[/bold]{simulated}")
    console.print(_overview(report))
    if report.classes:
        console.print(_classes(report))
        if not report.image_level:
            console.print(_sizes(report))
        for line in _notes(report):
            console.print(line, style="dim")
    _show_smallest(report.classes)
    _show_findings(report.findings)
    if not report.compared:
        console.print(
            "Not compared: whether images of several parts show one piece. Add --compare.",
            style="dim",
        )


def _overview(report: CheckReport) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column()
    per_part = report.views_per_part
    views = f"{_range(per_part)} images each" if per_part else ""
    named = f"; {report.views} named views" if report.views else ""
    table.add_row("Images", str(report.images), _ranking(report.sizes))
    table.add_row("Parts", str(report.parts), views + named)
    table.add_row("Good", str(report.good_images), f"images of {report.good_parts} good parts")
    defective = f"images of {report.defective_parts} defective parts"
    table.add_row("Defective", str(report.defective_images), defective)
    table.add_row("Excluded", str(report.excluded_images), "neither trained on nor tested")
    if report.synthetic_images:
        table.add_row("Synthetic", str(report.synthetic_images), "images without a physical part")
    return table


def _classes(report: CheckReport) -> Table:
    table = Table(title="Classes", title_justify="left", title_style="bold")
    table.add_column("class")
    for name in ("images", "parts", "regions", "small regions", "images with only small"):
        table.add_column(name, justify="right")
    for figures in report.classes:
        table.add_row(
            escape(figures.name),
            str(figures.images),
            str(figures.parts),
            "" if figures.regions is None else str(figures.regions),
            _share(figures.small_share),
            _share(figures.small_image_share),
        )
    return table


def _sizes(report: CheckReport) -> Table:
    scaled = any(figures.area_mm2 for figures in report.classes)
    title = "Sizes of the regions: smallest / median / largest"
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("class")
    table.add_column("area, px", justify="right")
    table.add_column("diameter, px", justify="right")
    if scaled:
        table.add_column("area, mm2", justify="right")
        table.add_column("diameter, mm", justify="right")
    for figures in report.classes:
        cells = [figures.area_px, figures.diameter_px]
        cells += [figures.area_mm2, figures.diameter_mm] if scaled else []
        table.add_row(escape(figures.name), *(_spread(cell) for cell in cells))
    return table


def _notes(report: CheckReport) -> list[str]:
    lines = []
    if report.image_level:
        lines.append("Labels without masks: there are no regions to measure.")
    else:
        lines.append(
            f"small: the box around the region is under {SMALL_REGION_PX} px on both sides. "
            "Small defects train and count like all others."
        )
        lines.append("diameter: of the circle of equal area.")
        if not any(figures.area_mm2 for figures in report.classes):
            lines.append("No pixel size in dataset.toml (pixel_size_mm): sizes in pixels only.")
    if report.imbalance_images and len(report.classes) > 1:
        largest, smallest = _ends(report.classes)
        lines.append(
            f"Imbalance: {report.imbalance_images:.1f} images of {escape(largest.name)} for each "
            f"of {escape(smallest.name)}; {report.imbalance_parts or 1:.1f} to 1 counted in parts."
        )
    return lines


def _ends(classes: Sequence[ClassFigures]) -> tuple[ClassFigures, ClassFigures]:
    present = [figures for figures in classes if figures.images]
    return max(present, key=lambda c: c.images), min(present, key=lambda c: c.images)


def _show_smallest(classes: Sequence[ClassFigures]) -> None:
    found = [(figures.name, figures.smallest) for figures in classes if figures.smallest]
    if found:
        console.print(
            "[bold]Smallest region of each class[/bold] (is it a defect or a slip of the brush?)"
        )
    for name, smallest in found:
        place = f"x={smallest.x:.0f}, y={smallest.y:.0f}"
        console.print(escape(f"  {name}: {smallest.area_px} px at {place} in {smallest.file}"))


def _show_findings(findings: Sequence[Finding]) -> None:
    problems = [finding for finding in findings if finding.is_problem]
    console.print(
        "[green]Nothing needs a repair.[/green]"
        if not problems
        else f"[bold red]To repair ({len(problems)}):[/bold red]"
    )
    _list(problems)
    information = [finding for finding in findings if not finding.is_problem]
    if information:
        console.print("[bold]Good to know:[/bold]")
        _list(information)


def _list(findings: Sequence[Finding]) -> None:
    kinds = list(dict.fromkeys(finding.kind for finding in findings))
    for kind in kinds:
        same = [finding for finding in findings if finding.kind == kind]
        console.print(f"  [bold]{kind.replace('_', ' ')}[/bold] ({len(same)})")
        for finding in same[:SHOWN_FINDINGS]:
            where = f"{finding.file}: " if finding.file else ""
            console.print(f"    {escape(where + finding.message)}")
        if len(same) > SHOWN_FINDINGS:
            console.print(f"    ... and {len(same) - SHOWN_FINDINGS} more (all in the report)")


def _share(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"


def _range(spread: Spread) -> str:
    low, high = f"{spread.minimum:.0f}", f"{spread.maximum:.0f}"
    return low if low == high else f"{low} to {high}"


def _ranking(sizes: dict[str, int]) -> str:
    if len(sizes) > 1:
        common, count = next(iter(sizes.items()))
        return f"of {len(sizes)} sizes, most often {common} px ({count})"
    return f"of {next(iter(sizes))} px" if sizes else ""


def _spread(spread: Spread | None) -> str:
    if spread is None:
        return ""
    return " / ".join(_number(v) for v in (spread.minimum, spread.median, spread.maximum))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
