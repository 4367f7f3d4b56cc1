"""Tuning of acceptance rules on the inner validation parts of a run."""

from pathlib import Path

import numpy as np

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.schema import IGNORE
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.anomaly_model import PATCHCORE
from flawsmith.experiment.inspection_model import (
    Predict,
    load_model_config,
    load_predict,
    load_thresholds,
)
from flawsmith.experiment.training_data import training_datasets
from flawsmith.experiment.tuned_rules import ScoredParts, Tuning, to_text, tune_parts
from flawsmith.inspection.regions import find_regions
from flawsmith.inspection.thresholds import Thresholds, classify
from flawsmith.line.rules import AcceptanceRules
from flawsmith.metrics.testing import testable_records
from flawsmith.storage import require_free, write_text
from flawsmith.training.loop import Hooks


def tune_rules(
    run: Path, out: Path, hooks: Hooks, *, max_escape: float, max_overkill: float | None = None
) -> Tuning:
    """Choose a threshold per class on a run's validation parts and write acceptance rules.

    Args:
        run: of a model that gives scores for pixels.
        out: the rules file to make.
        hooks: progress bar.
        max_escape: share of the defective validation parts that may pass.
        max_overkill: share of the good ones that may fail; None: as few as can be.

    Raises:
        FlawsmithError: if the file exists, there is nothing to tune on, or no thresholds keep to
            the limits; it says which limits can be kept.
    """
    require_free(out, what="acceptance rules")
    config = load_model_config(run)
    if config.system == PATCHCORE:
        raise FlawsmithError(
            f"{run} is patchcore, which knows no classes; there is nothing to tune per class"
        )
    thresholds = load_thresholds(run)
    datasets, validation = training_datasets(config.data)
    if not validation:
        raise FlawsmithError(
            f"{run} kept no parts for inner validation, and figures of the parts that it was "
            "trained on would flatter; train with --fold and data.validation_share above 0"
        )
    dataset = datasets[0]
    records = testable_records(dataset.schema, validation)
    with hooks.bar("validation parts", len(records)) as advance:
        parts = ScoredParts()
        predict = load_predict(run)
        grouped = dataset.with_records(records).parts()
        for name, views in grouped.items():
            parts.names.append(name)
            parts.defective.append(any(not record.is_good for record in views))
            parts.views.append(sorted(record.view for record in views))
            found = [_class_scores(dataset, r, predict, thresholds) for r in views]
            parts.scores.append(np.max(found, axis=0).tolist())
            advance(len(views))
    tuning = tune_parts(
        parts, dataset.schema, thresholds, max_escape=max_escape, max_overkill=max_overkill,
        name=f"tuned on {run.absolute().name}",
    )  # fmt: skip
    write_text(out, to_text(tuning))
    AcceptanceRules.load(out, dataset.schema)
    return tuning


def _class_scores(
    dataset: DefectDataset, record: ImageRecord, predict: Predict, thresholds: Thresholds
) -> list[float]:
    """Return the highest score of a region of each class in one image, 0 without one."""
    scores = predict(dataset.image(record))
    truth = dataset.label_map(record).defects
    index_map = classify(scores, thresholds)
    placed = (truth != IGNORE) & (truth > 0)
    if record.is_good or placed.any():  # else nobody knows where the defect is
        index_map[truth == IGNORE] = 0
    highest = [0.0] * dataset.schema.num_defects
    for region in find_regions(index_map, scores, dataset.schema):
        highest[region.class_id - 1] = max(highest[region.class_id - 1], region.score)
    return highest
