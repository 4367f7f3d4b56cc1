"""``flawsmith train``: a synthesizer from a defect data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flawsmith.cli import options
from flawsmith.cli.console import console, progress
from flawsmith.errors import FlawsmithError

if TYPE_CHECKING:
    from flawsmith.experiment.estimate import Estimate
    from flawsmith.training.config import RunConfig
    from flawsmith.training.loop import Hooks


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command()(train)


def train(
    system: Annotated[
        str | None, typer.Argument(help="What to train, such as dbs_gan: see flawsmith info.")
    ] = None,
    data: options.Data = None,
    out: options.Out = None,
    preset: options.Preset = "small",
    fold: options.Fold = None,
    settings: options.Settings = None,
    dry_run: options.DryRun = False,
    resume: options.Resume = None,
) -> None:
    """Train a synthesizer; Ctrl-C stops it with a checkpoint, --resume goes on."""
    from flawsmith.experiment.runs import next_run
    from flawsmith.experiment.train_synthesizer import (
        configure,
        note_on_labels,
        train_synthesizer,
    )
    from flawsmith.systems.load import load_config
    from flawsmith.training.processes import is_first_process

    if resume is not None:
        if system or data or out or settings:
            raise FlawsmithError("--resume goes on as configured; give nothing but the run folder")
        config, run = load_config(resume), resume
    else:
        if system is None or data is None:
            raise FlawsmithError(
                "flawsmith train needs a system and --data, such as: "
                "flawsmith train dbs_gan --data DATA, or --resume RUN"
            )
        config = configure(system, preset, data, fold=fold, overrides=settings or [])
        run = out or next_run(f"{system}-{preset}")
    if dry_run:
        _print_plan(config)
        return
    done = train_synthesizer(
        config, run, training_hooks(f"flawsmith train --resume {run}"), resume=resume is not None
    )
    if is_first_process():
        if done.images:
            console.print(f"trained on {done.images:,} images in {done.seconds / 60:.1f} min")
        console.print(f"run folder: {run}   sample sheets: {run / 'samples'}")
        if note_on_labels(config) is None:
            console.print(f"next: flawsmith synthesize {run} --data {config.data.path} --balance")


def training_hooks(go_on: str = "the same command") -> Hooks:
    """Return a progress bar and printed lines for the loop; silent in all processes but one.

    Args:
        go_on: the command that goes on after a stop, for the message.
    """
    from flawsmith.training.loop import Hooks
    from flawsmith.training.processes import is_first_process

    if not is_first_process():
        return Hooks()
    return Hooks(progress=progress, report=console.print, go_on=go_on)


def _print_plan(config: RunConfig) -> None:
    """Print the complete configuration and what the run will cost."""
    from flawsmith.config import to_toml
    from flawsmith.experiment.estimate import estimate
    from flawsmith.experiment.train_synthesizer import (
        build_system,
        note_on_labels,
        synthesizer_tiles,
    )

    source, schema = synthesizer_tiles(config)
    costs = estimate(lambda: build_system(config, schema), config, schema)
    console.print(to_toml(config), markup=False)
    print_costs(costs, source.composition())
    note = note_on_labels(config)
    if note is not None:
        console.print(f"note: {note}")


def print_costs(costs: Estimate, composition: dict[str, dict[str, int]]) -> None:
    """Print parameters, memory and time of a planned run and the images it will see."""
    for origin, counts in composition.items():
        classes = ", ".join(f"{name} {count}" for name, count in counts.items())
        console.print(f"{origin} training images: {classes}")
    for name, count in costs.parameters.items():
        console.print(f"{name}: {count:,} parameters, {count * 4 / 2**20:.1f} MiB")
    console.print(
        f"estimated: {costs.memory_bytes / 2**30:.1f} GiB of memory, "
        f"{duration(costs.seconds)} in plain fp32 on this machine (nothing was trained)"
    )


def duration(seconds: float) -> str:
    """Return seconds, minutes, hours or days, whichever reads best."""
    for unit, length in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} seconds"
