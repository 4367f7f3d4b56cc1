"""The work of one step: train a system, make its images, select among them, train and test."""

import shutil
import time
from pathlib import Path
from typing import Any

from flawsmith.data.dataset import DefectDataset
from flawsmith.data.folds import part_defects
from flawsmith.data.tiles import DataConfig
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.balance import balance
from flawsmith.experiment.benefit.finished import finish, trained_seconds
from flawsmith.experiment.benefit.identity import Identity
from flawsmith.experiment.benefit.mix import Mix
from flawsmith.experiment.benefit.plan import Step
from flawsmith.experiment.benefit.settings import Level
from flawsmith.experiment.inspection_model import THRESHOLDS_FILE
from flawsmith.experiment.ledger import ledger_line, part_figures
from flawsmith.experiment.selection import prepare, select, write_selection
from flawsmith.experiment.synthesis import synthesis_records, synthesize
from flawsmith.experiment.train_model import evaluate_run, train_model
from flawsmith.experiment.train_synthesizer import train_synthesizer
from flawsmith.experiment.training_data import training_records
from flawsmith.metrics.evaluation import EVALUATION_FILE, Evaluation
from flawsmith.training import checkpoint as ckpt
from flawsmith.training.config import CONFIG_FILE
from flawsmith.training.logs import read_metrics
from flawsmith.training.loop import Hooks

VALIDATION: dict[Level, str] = {
    "pixel": "validation_macro_iou",
    "image": "validation_macro_average_precision",
}
"""Name in the ledger of what chooses amount and schedule."""
VALIDATION_CLASSES = "validation_classes"
"""Name in the ledger of the same for each class."""
MACRO_FIGURES: dict[Level, str] = {
    "pixel": "val/macro_iou",
    "image": "val/macro_average_precision",
}
"""What it is called in a run's metrics."""
CLASS_FIGURES: dict[Level, str] = {"pixel": "val/iou_", "image": "val/average_precision_"}
"""What the figure of a class is called there."""
Line = dict[str, Any]


def train_system(identity: Identity, step: Step, hooks: Hooks) -> None:
    """Train the synthesizer of an arm, or go on with it."""
    run = identity.synthesizer_folder(step)
    begin, before = time.perf_counter(), trained_seconds(run)
    config = identity.synthesizer_config(step)
    train_synthesizer(config, run, hooks, resume=(run / CONFIG_FILE).is_file())
    finish(run, before + time.perf_counter() - begin)


def make_images(identity: Identity, step: Step, hooks: Hooks) -> None:
    """Make the synthetic set of an arm: as many images of every class that can be made."""
    dataset = identity.dataset
    run, out = identity.synthesizer_folder(step), identity.synthetic_folder(step)
    records = synthesis_records(run, dataset)
    labels = identity.synthesizer_config(step).data.labels
    wanted = balance(records, dataset.schema, None, labels=labels)
    plan = {
        name: identity.settings.per_class
        for name, count in wanted.before.items()
        if count and name not in wanted.without_masks and step.only in ("", name)
    }
    begin = time.perf_counter()
    with hooks.bar("synthesize", sum(plan.values())) as advance:
        synthesize(run, dataset, out, plan=plan, advance=advance)
    finish(out, time.perf_counter() - begin)


def select_images(identity: Identity, step: Step, hooks: Hooks) -> None:
    """Keep of an arm's images those that the model of ``real`` recognises.

    That model is trained again if its figures are in the ledger and its weights not here.
    """
    judge = identity.judge_folder(step)
    if not has_weights(judge):
        config = identity.model_config(identity.judge(step), None)
        train_model(config, judge, hooks, resume=(judge / CONFIG_FILE).is_file())
    begin, out = time.perf_counter(), identity.selection_folder(step)
    if out.exists():  # a kill came between the selection and its mark
        shutil.rmtree(out)
    request = prepare(identity.synthetic_folder(identity.source(step)), judge)
    with hooks.bar("select", request.images) as advance:
        result = select(request, copies=False, advance=advance)
    write_selection(request, result, out)
    finish(out, time.perf_counter() - begin)


def has_weights(run: Path) -> bool:
    """Whether an inspection model is there to be used, and not its figures alone."""
    return (run / THRESHOLDS_FILE).is_file()


def train_and_test(
    identity: Identity, step: Step, mix: Mix | None, level: Level, hooks: Hooks
) -> Line:
    """Train an inspection model and test it (a screening run: validate it); return its line."""
    config, key = identity.model_config(step, mix), identity.model_key(step, mix)
    run = identity.model_folder(step, mix)
    begin, before = time.perf_counter(), trained_seconds(run)
    train_model(config, run, hooks, resume=(run / CONFIG_FILE).is_file())
    line: Line = {
        "kind": step.kind,
        "key": key,
        "seed": step.seed,
        "share": step.share,
        "draw": step.draw,
        "mix": None if mix is None else mix.model_dump(),
    }
    if step.kind == "screen":
        line |= {"arm": step.arm, "model": step.network, "fold": step.fold}
        line |= _validation_figures(run, level)
    else:
        if not (run / EVALUATION_FILE).is_file():
            evaluate_run(run, hooks)
        line |= ledger_line(run)
        line["real_parts"] = real_parts(identity.dataset, config.data)
        line["parts"] = part_figures(Evaluation.load(run))
    line["seconds"] = round(before + time.perf_counter() - begin, 1)
    return line


def real_parts(dataset: DefectDataset, data: DataConfig) -> int:
    """Return the number of defective real parts that a run might see."""
    training, validation = training_records(dataset, data)
    return sum(bool(names) for names in part_defects([*training, *validation]).values())


def _validation_figures(run: Path, level: Level) -> Line:
    """Return the macro figure of the kept weights on inner validation parts, and of each class."""
    saved = ckpt.checkpoints(run)
    if not saved:
        raise FlawsmithError(f"{run} has no checkpoint; remove it and try again")
    lines = [line for line in read_metrics(run) if MACRO_FIGURES[level] in line]
    if not lines:
        return {VALIDATION[level]: None, VALIDATION_CLASSES: {}}
    best = ckpt.read_state(saved[-1])["progress"]["best_images"]
    kept = next((line for line in lines if line["images"] == best), lines[-1])
    prefix = CLASS_FIGURES[level]
    classes = {
        name.removeprefix(prefix): round(figure, 4)
        for name, figure in kept.items()
        if name.startswith(prefix)
    }
    return {VALIDATION[level]: round(kept[MACRO_FIGURES[level]], 4), VALIDATION_CLASSES: classes}
