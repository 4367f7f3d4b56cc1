"""``flawsmith model``: train and test an inspection model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flawsmith.cli import model_robustness, options
from flawsmith.cli.console import console
from flawsmith.errors import FlawsmithError

if TYPE_CHECKING:
    from flawsmith.experiment.inspection_model import ModelConfig
    from flawsmith.metrics.evaluation import Evaluation, Interval, Rate


def register(app: typer.Typer) -> None:
    """Add the verbs to the command."""
    model = typer.Typer(no_args_is_help=True, help="Train and test an inspection model.")
    model.command("train")(train_command)
    model.command("test")(evaluate_command)
    model_robustness.register(model)
    app.add_typer(model, name="model")


def train_command(
    data: options.Data = None,
    out: options.Out = None,
    network: Annotated[
        str | None,
        typer.Option(
            help="efficientnet_lite0 (default with masks), fc_hardnet70 (from scratch), patchcore, "
            "...; for labels of whole images efficientnet_classifier (default), cnn_classifier."
        ),
    ] = None,
    preset: options.Preset = "small",
    synthetic: Annotated[
        list[Path] | None, typer.Option(help="Synthetic data set to mix in; may be repeated.")
    ] = None,
    arm: Annotated[str | None, typer.Option(help="Name of this training mix in reports.")] = None,
    fold: options.Fold = None,
    settings: options.Settings = None,
    dry_run: options.DryRun = False,
    resume: options.Resume = None,
) -> None:
    """Train an inspection model on real, or real and synthetic, images."""
    from flawsmith.cli.train import training_hooks
    from flawsmith.experiment.inspection_model import load_config
    from flawsmith.experiment.runs import next_run
    from flawsmith.experiment.train_model import configure_any_model, train_model
    from flawsmith.training.processes import is_first_process

    if resume is not None:
        if data or out or settings or synthetic:
            raise FlawsmithError("--resume goes on as configured; give nothing but the run folder")
        config, run = load_config(resume), resume
    elif data is None:
        raise FlawsmithError("flawsmith model train needs --data, or --resume RUN")
    else:
        config = configure_any_model(
            network, preset, data, fold=fold, synthetic=synthetic or [], arm=arm,
            overrides=settings or [],
        )  # fmt: skip
        run = out or next_run(f"model-{config.arm}")
    if dry_run:
        _print_plan(config)
        return
    hooks = training_hooks(f"flawsmith model train --resume {run}")
    train_model(config, run, hooks, resume=resume is not None)
    if is_first_process():
        console.print(f"run folder: {run}\nnext: flawsmith model test {run}")


def evaluate_command(
    run: Annotated[Path, typer.Argument(help="Run folder of an inspection model.")],
    data: Annotated[
        Path | None, typer.Option(help="Another data set with the same classes.")
    ] = None,
    fold: Annotated[int | None, typer.Option(help="Fold of that data set to test on.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the figures. [RUN, or RUN/test-NAME for other data]"),
    ] = None,
) -> None:
    """Test an inspection model on the real images of the fold that it has not seen."""
    from flawsmith.cli.train import training_hooks
    from flawsmith.experiment.train_model import evaluate_run

    if out is None:  # what a run says of its own fold stays
        out = run if data is None else run / f"test-{data.absolute().name}"
    evaluation = evaluate_run(run, training_hooks(), data=data, fold=fold, out=out)
    print_evaluation(evaluation)
    if evaluation.activations:
        console.print(
            f"what it looked at: {len(evaluation.activations)} pictures in {out / 'activation'}"
        )
    console.print(f"figures: {out / 'evaluation.json'}")
    if out == run:
        console.print(f"next: flawsmith report {run}")


def print_evaluation(evaluation: Evaluation) -> None:
    """Print what a plant asks first, then the figures per class."""
    from rich.table import Table

    console.print(f"[bold]{evaluation.arm}[/] ({evaluation.model}), fold {evaluation.fold}")
    console.print(f"defective parts missed: {_rate(evaluation.escape)}")
    console.print(f"good parts rejected:    {_rate(evaluation.overkill)}")
    if evaluation.level == "image":
        _print_image_figures(evaluation)
        return
    table = Table("class", "parts", "IoU", "95 %", "average precision", "defects found")
    for result in evaluation.classes:
        table.add_row(
            result.name,
            str(result.parts),
            _figure(result.iou),
            _interval(result.iou_interval),
            _figure(result.average_precision),
            f"{result.defect_recall.count} of {result.defect_recall.total}"
            if result.defect_recall
            else "-",
        )
    console.print(table)
    console.print(f"macro IoU over defect classes: {_figure(evaluation.macro_iou)}")


def _print_image_figures(evaluation: Evaluation) -> None:
    """Print the figures per class of a classification model, which count images."""
    from rich.table import Table

    table = Table("class", padding=(0, 1, 0, 0))
    for title in ("images", "recall", "precision", "F1", "95 % of F1", "AUROC"):
        table.add_column(title, no_wrap=True)
    table.add_column("balanced accuracy")
    for result in evaluation.classes:
        figures = (result.recall, result.precision, result.f1)
        table.add_row(
            result.name, str(result.images), *map(_figure, figures), _interval(result.f1_interval),
            _figure(result.auroc), _figure(result.balanced_accuracy),
        )  # fmt: skip
    console.print(table)
    for name, value, interval in (
        ("F1", evaluation.macro_f1, evaluation.macro_f1_interval),
        ("balanced accuracy", evaluation.macro_balanced_accuracy,
         evaluation.macro_balanced_accuracy_interval),
    ):  # fmt: skip
        console.print(f"macro {name}: {_figure(value)} (95 % interval {_interval(interval)})")


def _interval(interval: Interval | None) -> str:
    return f"{interval.low:.2f} to {interval.high:.2f}" if interval else "-"


def _rate(rate: Rate | None) -> str:
    if rate is None:
        return "no such part in this fold"
    share = rate.count / rate.total
    return (
        f"{rate.count} of {rate.total} ({share:.0%}, 95 % interval {rate.low:.0%} to "
        f"{rate.high:.0%})"
    )


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _print_plan(config: ModelConfig) -> None:
    from flawsmith.cli.train import print_costs
    from flawsmith.config import to_toml
    from flawsmith.experiment.anomaly_model import PATCHCORE
    from flawsmith.experiment.estimate import estimate
    from flawsmith.experiment.fitting import training_of
    from flawsmith.experiment.train_model import MACHINE_VISION
    from flawsmith.experiment.training_data import tile_source, training_datasets
    from flawsmith.experiment.unseen import require_unseen_by_synthesizers
    from flawsmith.systems.classification import ClassificationConfig

    datasets, _ = training_datasets(config.data)
    if isinstance(config, ClassificationConfig):
        require_unseen_by_synthesizers(config)
    if config.system == MACHINE_VISION:
        console.print(to_toml(config), markup=False)
        console.print("fits fixed rules to a sample of the training images in about a minute")
        return
    if config.system == PATCHCORE:
        console.print(to_toml(config), markup=False)
        console.print("fits a memory bank of good patches, about a minute for 200 images")
        return
    schema = datasets[0].schema
    console.print(to_toml(config), markup=False)
    costs = estimate(lambda: training_of(config, schema), config, schema)
    print_costs(costs, tile_source(datasets, config).composition())
