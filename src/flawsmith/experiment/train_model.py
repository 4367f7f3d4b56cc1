"""Training and test of an inspection model, from a configuration to ``evaluation.json``."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from flawsmith.config import apply_overrides, load_preset, validate
from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.images import LabelArray, write_index_mask
from flawsmith.data.whole_images import kind_of_labels
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.anomaly_model import (
    PATCHCORE,
    THRESHOLDS,
    AnyDefect,
    fit_anomaly_model,
    patchcore_settings,
    with_heat_maps,
    without_classes,
)
from flawsmith.experiment.fitting import fit_network
from flawsmith.experiment.inspection_model import (
    MACHINE_VISION_FILE,
    InspectionModel,
    ModelConfig,
    load_config,
    load_predict,
    load_thresholds,
    save_thresholds,
)
from flawsmith.experiment.runs import create_run
from flawsmith.experiment.train_classifier import (
    choose_classifier_thresholds,
    evaluate_classifier,
    fit_classifier,
)
from flawsmith.experiment.training_data import (
    held_out_records,
    spread_over_classes,
    training_datasets,
)
from flawsmith.experiment.unseen import (
    require_same_classes,
    require_unseen,
    require_unseen_by_synthesizers,
    seen_records,
)
from flawsmith.inspection.machine_vision import MachineVision
from flawsmith.metrics.evaluation import Evaluation
from flawsmith.metrics.segmentation import class_counts, confusion, iou, macro_iou
from flawsmith.metrics.testing import SavePrediction, choose_thresholds, evaluate
from flawsmith.models import NETWORKS
from flawsmith.models.classifiers import CLASSIFIERS
from flawsmith.storage import write_text
from flawsmith.systems.classification import ClassificationConfig
from flawsmith.systems.segmentation import InspectionModelConfig, SegmentationTraining
from flawsmith.training.loop import Hooks
from flawsmith.training.processes import is_first_process

MACHINE_VISION = "machine_vision"
COMPOSITION_FILE = "composition.json"
BEST_FIGURE = "val/macro_iou"
USUAL_NETWORK = {"pixel": "efficientnet_lite0", "image": "efficientnet_classifier"}
"""What to start with, by the kind of labels: with few parts pretrained features decide."""
VALIDATION_IMAGES = 60
"""Validation images looked at during training; thresholds are chosen on all of them."""


def configure_model(
    network: str,
    preset: str,
    data: Path,
    *,
    fold: int | None,
    synthetic: list[Path],
    arm: str | None,
    overrides: list[str],
) -> InspectionModelConfig:
    """Return the complete configuration of a run whose model gives scores for pixels.

    Raises:
        FlawsmithError: for wrong settings, or data with labels of whole images only.
    """
    values = load_preset("fc_hardnet70" if network == MACHINE_VISION else network, preset)
    if network not in (MACHINE_VISION, PATCHCORE):
        NETWORKS.get(network)
    values["arm"] = arm or (_arm(synthetic) if network in NETWORKS else network)
    values = _with_data(values, network, preset, data, fold, synthetic)
    values = apply_overrides(values, overrides)
    if network == PATCHCORE:
        values["network"] = patchcore_settings(values.get("network", {})).model_dump()
    config = validate(InspectionModelConfig, values, source=f"{network} {preset}")
    if config.data.labels == "image" and network != PATCHCORE:
        raise FlawsmithError(
            f"{network} learns from masks, and the labels of {data} are taken for whole images; "
            f"choose --network {' or '.join(reversed(CLASSIFIERS.names()))}, patchcore if there "
            "are good images, or draw masks"
        )
    return config


def configure_classifier(
    network: str,
    preset: str,
    data: Path,
    *,
    fold: int | None,
    synthetic: list[Path],
    arm: str | None,
    overrides: list[str],
) -> ClassificationConfig:
    """Return the complete configuration of a classification model's run.

    Good images are drawn as often as any one class, unless ``data.good_share`` is given.

    Raises:
        FlawsmithError: for wrong settings, or data with masks that are not set aside.
    """
    CLASSIFIERS.get(network)
    values = load_preset(network, preset) | {"arm": arm or _arm(synthetic)}
    values = _with_data(values, network, preset, data, fold, synthetic)
    values = apply_overrides(values, overrides)
    if values["data"]["labels"] == "pixel":
        raise FlawsmithError(
            f"{network} learns from labels of whole images, and {data} has masks; to classify its "
            "images by what their masks show: --set data.labels=image; to find the places: "
            "--network efficientnet_lite0"
        )
    usable = DefectDataset.open(data).usable().records
    classes = {label for record in usable for label in record.labels}
    good = any(record.is_good for record in usable)
    values["data"].setdefault("good_share", 1 / (1 + len(classes)) if good and classes else 0.0)
    return validate(ClassificationConfig, values, source=f"{network} {preset}")


def configure_any_model(
    network: str | None,
    preset: str,
    data: Path,
    *,
    fold: int | None,
    synthetic: list[Path],
    arm: str | None,
    overrides: list[str],
) -> ModelConfig:
    """Return the complete configuration of a run of either kind.

    Without a ``network`` the labels decide, see `USUAL_NETWORK`. As `configure_model` and
    `configure_classifier` otherwise.
    """
    if network is None:
        labels = apply_overrides({"data": {"labels": kind_of_labels(data)}}, overrides)
        read = labels["data"]["labels"]  # a wrong value is named with the others, below
        network = USUAL_NETWORK.get(read, USUAL_NETWORK["pixel"])
    configure = configure_classifier if network in CLASSIFIERS else configure_model
    config: ModelConfig = configure(
        network, preset, data, fold=fold, synthetic=synthetic, arm=arm, overrides=overrides
    )
    return config


def _with_data(
    values: dict[str, Any],
    network: str,
    preset: str,
    data: Path,
    fold: int | None,
    synthetic: list[Path],
) -> dict[str, Any]:
    """Return the values of a preset with its name and with what is trained on."""
    given = {"path": str(data.absolute()), "labels": kind_of_labels(data)}
    trained_on = given | values.get("data", {})
    trained_on["synthetic"] = [str(folder.absolute()) for folder in synthetic]
    if fold is not None:
        trained_on["fold"] = fold
    return values | {"system": network, "preset": preset, "data": trained_on}


def _arm(synthetic: list[Path]) -> str:
    """Return the name of the training mix: the systems that made the synthetic images, or real."""
    systems: dict[str, None] = {}
    for folder in synthetic:
        systems |= {r.system or "synthetic": None for r in DefectDataset.open(folder)}
    return "+".join(systems) or "real"


def train_model(config: ModelConfig, run: Path, hooks: Hooks, *, resume: bool) -> None:
    """Train an inspection model into ``run`` (or go on there) and choose its thresholds.

    Raises:
        FlawsmithError: if a synthetic set shows what is kept for test or validation.
    """
    if resume:
        config = load_config(run)
    datasets, validation = training_datasets(config.data)
    if isinstance(config, ClassificationConfig):
        require_unseen_by_synthesizers(config)
    if not resume:
        create_run(run, config, datasets[0].schema)
    if isinstance(config, ClassificationConfig):
        looked_at = spread_over_classes(validation, VALIDATION_IMAGES)
        composition = fit_classifier(config, run, datasets, looked_at, hooks)
    elif config.system == MACHINE_VISION:
        _fit_machine_vision(run, datasets[0], hooks)
        composition = _composition(datasets)
    elif config.system == PATCHCORE:
        fit_anomaly_model(config, run, datasets[0], validation, hooks)
        composition = _composition(datasets[:1], good_only=True)
    else:
        composition = _fit_segmenter(config, run, datasets, validation, hooks)
    if not is_first_process():
        return
    write_text(run / COMPOSITION_FILE, json.dumps(composition, indent=1))
    if config.system == PATCHCORE:
        save_thresholds(run, THRESHOLDS)
        return
    records = validation or datasets[0].records
    if isinstance(config, ClassificationConfig):
        choose_classifier_thresholds(run, datasets[0], records, hooks)
        return
    with hooks.bar("thresholds", len(records)) as advance:
        thresholds = choose_thresholds(datasets[0], records, load_predict(run), progress=advance)
    save_thresholds(run, thresholds)


def _fit_machine_vision(run: Path, dataset: DefectDataset, hooks: Hooks) -> None:
    with hooks.bar("fit rules", MachineVision.FIT_STEPS) as advance:
        MachineVision.fit(dataset, dataset.records, progress=advance).save(
            run / MACHINE_VISION_FILE
        )


def _fit_segmenter(
    config: InspectionModelConfig,
    run: Path,
    datasets: list[DefectDataset],
    validation: list[ImageRecord],
    hooks: Hooks,
) -> dict[str, dict[str, int]]:
    looked_at = spread_over_classes(validation, VALIDATION_IMAGES)

    def validate_now(training: SegmentationTraining) -> dict[str, float]:
        return _validate(training, config, datasets[0], looked_at)

    # Weights of a falling rate are settled last; few validation parts would pick by chance (D86).
    best = BEST_FIGURE if config.training.schedule == "constant" else None
    hooks = dataclasses.replace(hooks, validate=validate_now if looked_at else None, best=best)
    return fit_network(config, run, datasets, hooks)


def _validate(
    training: SegmentationTraining,
    config: InspectionModelConfig,
    dataset: DefectDataset,
    records: list[ImageRecord],
) -> dict[str, float]:
    """Return IoU of the most probable class, per class and macro, on validation images."""
    schema = dataset.schema
    model = InspectionModel(training, schema, config.training.tile_size, config.overlap)
    counts = np.zeros((schema.num_defects, 3), np.int64)
    for record in records:
        found = model.predict(dataset.image(record)).argmax(axis=0).astype(np.uint8)
        truth = dataset.label_map(record).defects
        counts += class_counts(confusion(truth, found, schema.num_defects))
    values = dict(zip(schema.defect_names, iou(counts), strict=True))
    figures = {f"val/iou_{name}": float(v) for name, v in values.items() if not np.isnan(v)}
    macro = float(macro_iou(counts))  # NaN where no image shows a defect: nothing to choose by
    return figures if np.isnan(macro) else figures | {BEST_FIGURE: macro}


def evaluate_run(
    run: Path,
    hooks: Hooks,
    *,
    data: Path | None = None,
    fold: int | None = None,
    out: Path | None = None,
) -> Evaluation:
    """Test an inspection model on the real images of its test fold; write ``evaluation.json``.

    Args:
        run: the model's run folder.
        hooks: progress bar.
        out: folder of the figures and predictions; default: the run's.
        data: another data set with the same classes; default: the one it was trained on.
        fold: another fold; default: the one that its training left out.

    Raises:
        FlawsmithError: if the classes differ, there is no image to test, or training saw some.
    """
    config = load_config(run)
    dataset = DefectDataset.open(data or Path(config.data.path))
    fold = config.data.fold if fold is None else fold
    if fold is None:
        raise FlawsmithError(f"{run} was trained on all parts; name parts to test with --fold")
    if data is None and fold != config.data.fold:
        raise FlawsmithError(
            f"{run} was trained on fold {fold}; only fold {config.data.fold} can test it"
        )
    records = held_out_records(dataset, fold)
    if not records:
        raise FlawsmithError(f"{dataset.root} has no real image in fold {fold} to test on")
    if not (run / COMPOSITION_FILE).is_file():
        raise FlawsmithError(
            f"{run} is not trained to its end; go on with: flawsmith model train --resume {run}"
        )
    if config.system != PATCHCORE:  # which knows no classes
        require_same_classes(run, dataset)
    # Copies of an image that are taken for two parts are for `data check` to find, not for this.
    if fold != config.data.fold or dataset.root.absolute() != Path(config.data.path):
        require_unseen(run, records, seen_records(config))
    composition = json.loads((run / COMPOSITION_FILE).read_text(encoding="utf-8"))
    if isinstance(config, ClassificationConfig):
        return evaluate_classifier(
            run, config, dataset, records, fold=fold, composition=composition, hooks=hooks, out=out
        )
    return _evaluate_pixels(run, config, dataset, records, fold, composition, hooks, out or run)


def _evaluate_pixels(
    run: Path,
    config: InspectionModelConfig,
    dataset: DefectDataset,
    records: list[ImageRecord],
    fold: int,
    composition: dict[str, dict[str, int]],
    hooks: Hooks,
    out: Path,
) -> Evaluation:
    """Test a model that gives scores for pixels; write its predictions and ``evaluation.json``."""
    folder = out / "predictions"
    folder.mkdir(parents=True, exist_ok=True)

    def save_prediction(record: ImageRecord, indices: LabelArray) -> str:
        name = f"{Path(record.file_name).stem}.png"
        write_index_mask(folder / name, indices, dataset.schema.palette())
        return f"predictions/{name}"

    predict, tested = load_predict(run), dataset
    save: SavePrediction = save_prediction
    if config.system == PATCHCORE:
        tested = AnyDefect(dataset)
        predict, save = with_heat_maps(out, predict, save)
    with hooks.bar(f"test {config.arm}", len(records)) as advance:
        evaluation = evaluate(
            tested,
            records,
            predict,
            load_thresholds(run),
            arm=config.arm,
            model=config.system,
            fold=fold,
            composition=composition,
            save_prediction=save,
            progress=advance,
        )
    if config.system == PATCHCORE:
        evaluation = without_classes(evaluation, dataset)
    evaluation.save(out)
    return evaluation


def _composition(
    datasets: list[DefectDataset], *, good_only: bool = False
) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for record in (record for dataset in datasets for record in dataset):
        if good_only and not record.is_good:
            continue
        for label in record.labels or ["good"]:
            of_source = counts.setdefault(record.source, {})
            of_source[label] = of_source.get(label, 0) + 1
    return counts
