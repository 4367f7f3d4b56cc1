"""The first hour of a new user: a folder as it is, an honest inspection model, a report."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flawsmith.data.checks import check
from flawsmith.data.dataset import DefectDataset
from flawsmith.data.folds import claims
from flawsmith.data.formats import REPORT_FILE, import_folder
from flawsmith.data.schema import SCHEMA_FILE
from flawsmith.data.whole_images import kind_of_labels
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.pipeline import Pipeline
from flawsmith.experiment.plant import PlantAssumptions
from flawsmith.experiment.train_model import USUAL_NETWORK
from flawsmith.training.loop import Hooks

FEWEST_PARTS = 10
"""Defective parts below which five folds leave a test fold with one part or none."""

CLASSIFICATION_NETWORKS: tuple[str, ...] = ("cnn_classifier", "efficientnet_classifier")
"""From scratch, and pretrained with a frozen encoder: which is better depends on the data."""


@dataclass(frozen=True)
class StartChoices:
    """What the user may say; None leaves the choice to `start`, which prints it.

    Attributes:
        folds: how many parts of the data; one of them tests.
        network: of the inspection models; by default the usual one, or both
            `CLASSIFICATION_NETWORKS` where labels are for whole images.
        images: training tiles of each; by default those of the preset.
        copy_paste: also train with real defects pasted onto good surfaces; needs masks.
    """

    format: str = "auto"
    part_pattern: str | None = None
    view_pattern: str | None = None
    class_pattern: str | None = None
    folds: int | None = None
    fold: int = 0
    preset: str = "small"
    network: str | None = None
    images: int | None = None
    copy_paste: bool = True


def start(
    folder: Path,
    out: Path,
    choices: StartChoices,
    plant: PlantAssumptions,
    hooks: Hooks,
    say: Callable[[str], None],
) -> tuple[Path, float]:
    """Import, check, split, train and test, report.

    Where masks show the places, a model without and one with pasted defects; where labels are for
    whole images, two classification models.

    Returns:
        The report and the seconds it took. A start that was stopped goes on where it was.

    Raises:
        FlawsmithError: if no image is labelled with a defect, or a choice does not fit.
    """
    begin = time.perf_counter()
    pipeline = Pipeline(out=out, fold=choices.fold, hooks=hooks, say=say, preset=choices.preset)
    if not (pipeline.data / SCHEMA_FILE).is_file():
        _import(folder, pipeline, choices)
    dataset = DefectDataset.open(pipeline.data)
    _require_defects(dataset)
    report = check(dataset)
    say(
        f"checked: {len(report.problems)} problems; all of it: flawsmith data check {pipeline.data}"
    )
    folds = _choose_folds(dataset, choices, say)
    pipeline.split(folds=folds)
    for claim in claims(DefectDataset.open(pipeline.data), choices.fold):
        hooks.report(f"  {claim}")
    models = _models if kind_of_labels(pipeline.data) == "pixel" else _classification_models
    runs, synthesizer = models(pipeline, choices)
    result = pipeline.report(
        runs, synthesizer=synthesizer, plant=plant, title=f"First look: {folder.name}"
    )
    return result.html, time.perf_counter() - begin


def _models(pipeline: Pipeline, choices: StartChoices) -> tuple[list[Path], Path | None]:
    """Train and test the models; return their runs, and that of copy-paste where it was used.

    Copy-paste needs no training, so it is the first synthesis to try and the one to beat.
    """
    overrides = _overrides(choices)
    network = choices.network or USUAL_NETWORK["pixel"]
    runs = [
        pipeline.machine_vision(),
        pipeline.inspection_model("real", network=network, overrides=overrides),
    ]
    if not choices.copy_paste:
        return runs, None
    synthesizer = pipeline.synthesizer("copy_paste")
    synthetic = pipeline.balance(synthesizer)
    runs.append(
        pipeline.inspection_model(
            "real+copy_paste", network=network, synthetic=[synthetic], overrides=overrides
        )
    )
    return runs, synthesizer


def _classification_models(pipeline: Pipeline, choices: StartChoices) -> tuple[list[Path], None]:
    """Train and test classification models of whole images; return their runs, no synthesizer."""
    pipeline.say("no image has an outlined defect: the labels are taken for whole images")
    tell = pipeline.hooks.report
    tell("  so a model says what an image shows, not where; for places draw masks and start again")
    networks = CLASSIFICATION_NETWORKS
    if choices.network is not None:
        networks = (choices.network,)
    else:
        tell(
            "  two networks: a small one from scratch, and one pretrained on photographs of which "
            "only the last layer learns; few images favour the second, unusual ones the first"
        )
    if choices.copy_paste:
        tell("  copy-paste is left out: it cuts defects out by their masks")
    overrides = _overrides(choices)
    runs = [pipeline.inspection_model(n, network=n, overrides=overrides) for n in networks]
    return runs, None


def _overrides(choices: StartChoices) -> list[str]:
    return [] if choices.images is None else [f"training.total_images={choices.images}"]


def _import(folder: Path, pipeline: Pipeline, choices: StartChoices) -> None:
    pipeline.say(f"import {folder} into {pipeline.data}")
    report = import_folder(
        folder,
        pipeline.data,
        format=choices.format,
        part_pattern=choices.part_pattern,
        view_pattern=choices.view_pattern,
        class_pattern=choices.class_pattern,
    )
    counts = ", ".join(f"{name} {count}" for name, count in report.classes.items())
    tell = pipeline.hooks.report
    tell(f"  format {report.format}: {report.reason} (--format changes it)")
    tell(f"  {report.images} images of {report.parts} parts, {report.good} good; {counts}")
    for note in report.notes:
        tell(f"  {note}")
    if report.findings:
        tell(f"  findings: {len(report.findings)}, in {pipeline.data / REPORT_FILE}")


def _require_defects(dataset: DefectDataset) -> None:
    if not any(record.labels for record in dataset.usable()):
        raise FlawsmithError(
            f"{dataset.root}: no image is labelled with a defect; expected masks, or labels such "
            "as folders called after the defects (what was read, and other formats: "
            f"{dataset.root / REPORT_FILE}, flawsmith info)"
        )


def _choose_folds(dataset: DefectDataset, choices: StartChoices, say: Callable[[str], None]) -> int:
    usable = dataset.usable().records
    if all(record.fold is not None for record in usable):
        folds = len({record.fold for record in usable})
        say(f"folds: the {folds} that the data came with; fold {choices.fold} tests")
        return folds
    defective = {record.part for record in usable if record.labels}
    folds = choices.folds or (5 if len(defective) >= FEWEST_PARTS else 2)
    say(f"folds: {folds} by part, fold {choices.fold} tests (--folds, --fold change it)")
    return folds
