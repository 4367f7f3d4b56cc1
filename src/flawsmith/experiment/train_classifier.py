"""Training and test of a classification model, on labels of whole images."""

import dataclasses
from pathlib import Path

import numpy as np

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.experiment.activation import save_activations
from flawsmith.experiment.classification_model import ClassificationModel
from flawsmith.experiment.fitting import fit_network
from flawsmith.experiment.inspection_model import load_thresholds, save_thresholds
from flawsmith.metrics import classification
from flawsmith.metrics.evaluation import Evaluation
from flawsmith.metrics.image_testing import (
    choose_image_thresholds,
    evaluate_images,
    score_images,
)
from flawsmith.systems.classification import ClassificationConfig, ClassificationTraining
from flawsmith.training.loop import Hooks

BEST_FIGURE = "val/macro_average_precision"
"""Free of thresholds, which are chosen after training."""


def fit_classifier(
    config: ClassificationConfig,
    run: Path,
    datasets: list[DefectDataset],
    validation: list[ImageRecord],
    hooks: Hooks,
) -> dict[str, dict[str, int]]:
    """Train into ``run``, keep the weights that do best on ``validation``; return what was seen.

    Where ``validation`` lacks images with a class and without it, the last weights are kept.

    Returns:
        source -> class -> number of images.
    """
    shown = {frozenset(record.labels) for dataset in datasets for record in dataset}
    if len(shown) == 1:
        hooks.report(
            f"note: every training image shows {' and '.join(sorted(*shown))} and "
            "nothing else, so there is nothing to tell apart and scores will mean nothing; add "
            "good images, or images of other defects"
        )

    def validate_now(training: ClassificationTraining) -> dict[str, float]:
        return _validate(training, config, datasets[0], validation)

    hooks = dataclasses.replace(
        hooks, validate=validate_now if validation else None, best=BEST_FIGURE
    )
    return fit_network(config, run, datasets, hooks)


def _validate(
    training: ClassificationTraining,
    config: ClassificationConfig,
    dataset: DefectDataset,
    records: list[ImageRecord],
) -> dict[str, float]:
    """Return average precision and F1 at 0.5 on validation images, per class and macro."""
    model = ClassificationModel(training, dataset.schema, config.training.tile_size)
    scored = score_images(dataset, records, model.predict)
    names = dataset.schema.defect_names
    values = [
        classification.average_precision(scored.truth[:, k], scored.scores[:, k])
        for k in range(len(names))
    ]
    counts = classification.image_counts(scored.truth, scored.scores >= 0.5)
    figures = {"val/macro_f1": float(np.nan_to_num(classification.macro_f1(counts)))}
    for name, value, f1 in zip(names, values, classification.f1(counts), strict=True):
        if value is not None:
            figures |= {f"val/average_precision_{name}": value, f"val/f1_{name}": float(f1)}
    # Images that all show a class, or all do not, cannot tell weights apart: of equal figures the
    # first would win, and with it the weights after the fewest images.
    told = scored.truth.any(axis=0) & ~scored.truth.all(axis=0)
    macro = float(classification.macro(np.where(told, np.array(values, np.float64), np.nan)))
    return figures if np.isnan(macro) else figures | {BEST_FIGURE: macro}


def choose_classifier_thresholds(
    run: Path, dataset: DefectDataset, records: list[ImageRecord], hooks: Hooks
) -> None:
    """Choose a run's thresholds on (inner) validation records and write them into it."""
    with hooks.bar("thresholds", len(records)) as advance:
        scored = score_images(dataset, records, ClassificationModel.load(run).predict, advance)
    save_thresholds(run, choose_image_thresholds(scored))


def evaluate_classifier(
    run: Path,
    config: ClassificationConfig,
    dataset: DefectDataset,
    records: list[ImageRecord],
    *,
    fold: int,
    composition: dict[str, dict[str, int]],
    hooks: Hooks,
    out: Path | None = None,
) -> Evaluation:
    """Test on real images; write ``evaluation.json`` and ``activation/`` in ``out``, or the run."""
    out = out or run
    model, thresholds = ClassificationModel.load(run), load_thresholds(run)
    with hooks.bar(f"test {config.arm}", len(records)) as advance:
        scored = score_images(dataset, records, model.predict, advance)
    evaluation = evaluate_images(
        dataset, scored, thresholds,
        arm=config.arm, model=config.system, fold=fold, composition=composition,
    )  # fmt: skip
    activations = save_activations(out, dataset, scored, thresholds, model.activation)
    evaluation = evaluation.model_copy(update={"activations": activations})
    evaluation.save(out)
    return evaluation
