"""``flawsmith data history`` and ``data undo``: what was done to a data set, and taking it back."""

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from flawsmith.cli.console import console
from flawsmith.data.dataset import DefectDataset
from flawsmith.data.history import (
    UNDO,
    Operation,
    kept_bytes,
    prune,
    read_history,
    undo,
    undoable,
)

Data = Annotated[Path, typer.Argument(metavar="DATA", help="the defect data set")]


def register(data: typer.Typer) -> None:
    """Add the commands."""

    @data.command("history")
    def history_command(
        folder: Data,
        prune_files: Annotated[
            bool,
            typer.Option("--prune", help="remove the kept old files; nothing can be undone then"),
        ] = False,
    ) -> None:
        """List what was done to a data set, and what is kept to take it back."""
        DefectDataset.open(folder)  # finishes what a kill interrupted
        if prune_files:
            freed = prune(folder)
            console.print(f"{_megabytes(freed)} removed; what was done so far cannot be undone.")
        show(folder, read_history(folder))

    @data.command("undo")
    def undo_command(
        folder: Data,
        redo: Annotated[bool, typer.Option("--redo", help="take back the last undo")] = False,
    ) -> None:
        """Take back the last change of a data set: its files are what they were."""
        target = undo(folder, redo=redo)
        command = escape(_command(target))
        console.print(f"Took back {target.number}: {command}")
        left = undoable(read_history(folder))
        if left and not redo:
            following = f"{left[-1].number}: {_command(left[-1])}"
            console.print(f"The next undo would take back {escape(following)}", style="dim")


def show(folder: Path, history: list[Operation]) -> None:
    """Print the operations as a table, oldest first."""
    if not history:
        console.print("Nothing was done to this data set since it was made.")
        return
    taken_back = {o.reverts: o.number for o in history if o.reverts is not None}
    table = Table(title="History", title_justify="left", title_style="bold")
    for name in ("", "when (UTC)", "what", "state"):
        table.add_column(name)
    table.add_column("kept", justify="right")
    for operation in history:
        kept = kept_bytes(folder, operation)
        state = "can be undone" if kept else "pruned"
        if operation.number in taken_back:
            state = f"taken back by {taken_back[operation.number]}"
        elif operation.verb == UNDO or not operation.files:
            state = ""
        what = "\n".join([_command(operation), *(f"  {line}" for line in operation.summary)])
        when = operation.time[:16].replace("T", " ")
        cells = [when, escape(what), state, _megabytes(kept) if kept else ""]
        table.add_row(str(operation.number), *cells)
    console.print(table)


def _command(operation: Operation) -> str:
    return shlex.join(["data", operation.verb, *operation.arguments])


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
