"""Where the commands print: one Rich console, plain text when the output is no terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

console = Console(highlight=False, soft_wrap=True)


class Advance(Protocol):
    """Called with a number of finished items and what to show beside the bar."""

    def __call__(self, count: int = 1, *, note: str = "") -> None:
        """Move the bar on."""


@contextmanager
def progress(
    title: str, total: int | None, *, unit: str = "images", on: Console = console
) -> Iterator[Advance]:
    """Show a bar with count, note, elapsed and remaining time; quiet when not on a terminal."""
    bar = Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=on,
        disable=not on.is_terminal,
    )
    with bar:
        task = bar.add_task(title, total=total, note="")

        def advance(count: int = 1, *, note: str = "") -> None:
            bar.update(task, advance=count, note=note)

        yield advance
