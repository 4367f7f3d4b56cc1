"""``flawsmith replay``: the same image through the same model and rules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flawsmith.cli.console import console
from flawsmith.cli.inspect import LayoutFile
from flawsmith.cli.stored import StoreUrl, open_store


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("replay")(replay)


def replay(
    number: Annotated[int, typer.Argument(metavar="ID", help="Sequence number of the result.")],
    model: Annotated[Path, typer.Option(help="Exported model that it was inspected with.")],
    rules: Annotated[
        Path | None, typer.Option(help="Acceptance rules that decided it; default as in inspect.")
    ] = None,
    store: StoreUrl = "results.db",
    part_layout: LayoutFile = None,
    device: Annotated[str, typer.Option(help="CPU, GPU, ... as the backend calls it.")] = "CPU",
) -> None:
    """Inspect a stored part again; status 1 and the differences if the answer is another."""
    from flawsmith.cli.inspect import open_inspector
    from flawsmith.line.replay import replay as inspect_again

    with open_store(store) as opened:
        record = opened.get(number)
        inspector, _ = open_inspector(opened, model, rules, device=device, layout=part_layout)
        found = inspect_again(record, inspector)
    stored = record.verdict
    for line in found.differences:
        console.print(f"- {line}", markup=False)
    if not found.same:
        console.print(
            f"result {number} ({stored.part}): {stored.verdict} then, {found.verdict.verdict} now; "
            "not the same answer",
            markup=False,
        )
        raise typer.Exit(1)
    regions = sum(len(image.regions) for image in record.images)
    console.print(
        f"result {number} ({stored.part}): the same answer, {stored.verdict} with {regions} "
        f"regions in {len(record.images)} images",
        markup=False,
    )
