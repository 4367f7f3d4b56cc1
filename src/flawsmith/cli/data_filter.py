"""``flawsmith data filter``: keep the images that match."""

from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.markup import escape

from flawsmith.cli.console import console, progress
from flawsmith.data.dataset import DefectDataset
from flawsmith.data.filtering import Filter, FilterReport, filter_in_place, filter_to, select
from flawsmith.errors import FlawsmithError

SHOWN_IMAGES = 10
"""Images that a dry run lists."""

STATES = ("good", "defective", "excluded")


def register(data: typer.Typer) -> None:
    """Add the command."""

    @data.command("filter")
    def command(
        folder: Annotated[Path, typer.Argument(metavar="DATA", help="the defect data set")],
        classes: Annotated[
            list[str] | None, typer.Option("--class", metavar="NAME", help="a defect it shows")
        ] = None,
        part: Annotated[list[str] | None, typer.Option(help="* and ? are wildcards")] = None,
        view: Annotated[list[str] | None, typer.Option(help="* and ? are wildcards")] = None,
        fold: Annotated[list[int] | None, typer.Option(help="a fold of data split")] = None,
        source: Annotated[
            str | None, typer.Option(metavar="real|synthetic", help="where it came from")
        ] = None,
        good: Annotated[bool, typer.Option("--good", help="shows no defect")] = False,
        defective: Annotated[bool, typer.Option("--defective", help="shows a defect")] = False,
        excluded: Annotated[bool, typer.Option("--excluded", help="is not used")] = False,
        finding: Annotated[
            list[str] | None,
            typer.Option(metavar="KIND", help="as data check lists it"),
        ] = None,
        invert: Annotated[bool, typer.Option("--invert", help="keep the others")] = False,
        out: Annotated[
            Path | None, typer.Option("--out", metavar="NEW", help="copy to a new data set instead")
        ] = None,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="say what would go; change nothing")
        ] = False,
    ) -> None:
        """Keep the images that match every option given; an option repeated means either value."""
        states = [n for n, on in zip(STATES, (good, defective, excluded), strict=True) if on]
        what = Filter(
            classes=classes or (),
            parts=part or (),
            views=view or (),
            folds=fold or (),
            source=_source(source),
            state=_state(states),
            findings=finding or (),
            invert=invert,
        )
        if dry_run:
            _show_removed(select(DefectDataset.open(folder), what))
        elif out is None:
            _show(filter_in_place(folder, what))
            console.print(f"To take it back: flawsmith data undo {escape(str(folder))}")
        else:
            with progress("Copying", len(select(DefectDataset.open(folder), what).kept)) as advance:
                report = filter_to(folder, out, what, progress=advance)
            _show(report)
            console.print(f"Written to {escape(str(out))}")


def _source(text: str | None) -> Any:  # noqa: ANN401 - one of the literals of Filter.source
    if text not in (None, "real", "synthetic"):
        raise FlawsmithError(f"--source '{text}': expected real or synthetic")
    return text


def _state(states: list[str]) -> Any:  # noqa: ANN401 - one of the literals of Filter.state
    if len(states) > 1:
        options = " and ".join(f"--{state}" for state in states)
        raise FlawsmithError(f"{options} exclude each other; give one of them")
    return cast(Any, states[0]) if states else None


def _show(report: FilterReport) -> None:
    for line in report.sentences():
        console.print(escape(line))


def _show_removed(report: FilterReport) -> None:
    _show(report)
    for record in report.removed[:SHOWN_IMAGES]:
        console.print(escape(f"  goes: {record.file_name} (part {record.part})"))
    if len(report.removed) > SHOWN_IMAGES:
        console.print(f"  ... and {len(report.removed) - SHOWN_IMAGES} more")
    console.print("Nothing was changed (--dry-run).")
