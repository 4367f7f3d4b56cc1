"""``flawsmith demo``: the main job on simulated pouch cells, from images to report."""

from pathlib import Path
from typing import Annotated

import typer

from flawsmith.cli.console import console


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command()(demo)


def demo(
    out: Annotated[Path, typer.Argument(help="Folder for everything that it makes.")] = Path(
        "demo"
    ),
) -> None:
    """Make simulated pouch cells, a synthesizer, two inspection models and a report."""
    from flawsmith.cli.train import duration, training_hooks
    from flawsmith.experiment.demo import run_demo

    result = run_demo(out, training_hooks(), say=step)
    console.print(f"done in {duration(result.seconds)}")
    console.print(f"report: {result.report}")


def step(title: str) -> None:
    """Print the title of a step."""
    console.print(f"[bold]>[/] {title}")
