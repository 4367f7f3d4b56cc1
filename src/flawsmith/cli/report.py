"""``flawsmith report``: tested runs as one page to forward."""

from pathlib import Path
from typing import Annotated

import typer

from flawsmith.cli.console import console


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("report")(report)


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Tested runs, a column each: old way, before, ..., after."),
    ],
    out: Annotated[Path, typer.Option(help="The page; its numbers go beside it as .json.")] = Path(
        "report.html"
    ),
    synthesizer: Annotated[
        Path | None, typer.Option(help="Run of the synthesizer: samples, training curves.")
    ] = None,
    synthetic: Annotated[
        Path | None, typer.Option(help="Synthetic data set: its images beside real ones.")
    ] = None,
    volume: Annotated[int, typer.Option(help="Parts a year.", min=1)] = 1_000_000,
    defect_ppm: Annotated[
        float, typer.Option(help="Defective parts in a million made.", min=0, max=1_000_000)
    ] = 5000,
    review_seconds: Annotated[
        float, typer.Option(help="A person's second look at one rejected part.", min=0)
    ] = 20,
    shifts_per_year: Annotated[float, typer.Option(help="Shifts a year.", min=1)] = 750,
    title: Annotated[str | None, typer.Option(help="Heading of the page.")] = None,
) -> None:
    """Write the report of tested inspection models: one HTML file, and its numbers as JSON."""
    from flawsmith.experiment.plant import PlantAssumptions
    from flawsmith.experiment.report import build_report

    plant = PlantAssumptions(
        volume=volume,
        defect_ppm=defect_ppm,
        review_seconds=review_seconds,
        shifts_per_year=shifts_per_year,
    )
    result = build_report(
        runs, out, synthesizer=synthesizer, synthetic=synthetic, plant=plant, title=title
    )
    console.print(result.verdict.headline, style="bold", markup=False)
    for sentence in result.verdict.sentences:
        console.print(sentence, markup=False)
    size = result.html.stat().st_size / 1e6
    console.print(f"Written: {result.html} ({size:.1f} MB) and {result.json}", markup=False)
