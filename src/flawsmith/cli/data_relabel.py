"""``flawsmith data relabel``: rename, merge and drop defect classes."""

from pathlib import Path
from typing import Annotated, cast, get_args

import typer
from rich.markup import escape

from flawsmith.cli.console import console, progress
from flawsmith.data.dataset import DefectDataset
from flawsmith.data.relabelling import DroppedAs, Relabelling, relabel
from flawsmith.errors import FlawsmithError


def register(data: typer.Typer) -> None:
    """Add the command."""

    @data.command("relabel")
    def command(
        folder: Annotated[Path, typer.Argument(metavar="DATA", help="the defect data set")],
        rename: Annotated[
            list[str] | None, typer.Option("--rename", metavar="OLD=NEW", help="repeatable")
        ] = None,
        merge: Annotated[
            list[str] | None,
            typer.Option("--merge", metavar="A,B=C", help="make one class of several; repeatable"),
        ] = None,
        drop: Annotated[
            list[str] | None,
            typer.Option("--drop", metavar="NAME", help="give a class up; repeatable"),
        ] = None,
        dropped_as: Annotated[
            str,
            typer.Option(
                "--as",
                metavar="ignore|good",
                help="what pixels of dropped classes become: ignored, or no defect",
            ),
        ] = "ignore",
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="say what would be done; change nothing")
        ] = False,
    ) -> None:
        """Rename, merge and drop classes, in masks too; 'data undo' takes it back."""
        what = parse_relabelling(rename or [], merge or [], drop or [], dropped_as)
        with progress("Relabelling", len(DefectDataset.open(folder))) as advance:
            lines = relabel(folder, what, dry_run=dry_run, progress=advance)
        for line in lines:
            console.print(escape(line))
        if dry_run:
            console.print("Nothing was changed (--dry-run).")
        else:
            console.print(f"To take it back: flawsmith data undo {escape(str(folder))}")


def parse_relabelling(
    renames: list[str], merges: list[str], drops: list[str], dropped_as: str
) -> Relabelling:
    """Return what the options say.

    Raises:
        FlawsmithError: if one cannot be understood.
    """
    if dropped_as not in get_args(DroppedAs):
        raise FlawsmithError(f"--as '{dropped_as}': expected {' or '.join(get_args(DroppedAs))}")
    pairs = [_parted("--rename", "OLD=NEW", text) for text in renames]
    if len({old for old, _ in pairs}) < len(pairs):
        raise FlawsmithError("--rename names a class twice; name it once")
    joined = []
    for text in merges:
        old, new = _parted("--merge", "A,B=C", text)
        names = tuple(name.strip() for name in old.split(",") if name.strip())
        joined.append((names, new))
    return Relabelling(dict(pairs), joined, drops, cast(DroppedAs, dropped_as))


def _parted(option: str, expected: str, text: str) -> tuple[str, str]:
    old, separator, new = text.partition("=")
    if not separator or not old.strip() or not new.strip():
        raise FlawsmithError(f"{option} '{text}': expected {expected}")
    return old.strip(), new.strip()
