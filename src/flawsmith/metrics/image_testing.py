"""Choosing a classification model's thresholds, and testing it, on labels of whole images.

The counterpart of `testing`: whatever predicts is a function from a whole image to K scores in
[0, 1], one for each defect class.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.images import ImageArray
from flawsmith.errors import FlawsmithError
from flawsmith.inspection.thresholds import Thresholds
from flawsmith.metrics import classification
from flawsmith.metrics.classification import image_counts
from flawsmith.metrics.evaluation import (
    ClassResult,
    Evaluation,
    ImageResult,
    Interval,
    PartResult,
)
from flawsmith.metrics.intervals import SumStatistic, bootstrap_parts
from flawsmith.metrics.segmentation import thin_curve
from flawsmith.metrics.testing import (
    FALLBACK,
    MIN_INTERVAL_PARTS,
    Progress,
    part_figures,
    region_threshold,
    testable_records,
)

PredictImage = Callable[[ImageArray], NDArray[np.float32]]
"""A whole image to K scores in [0, 1]."""


@dataclass(frozen=True)
class ScoredImages:
    """What a classification model says of images.

    Attributes:
        records: the images, without excluded ones.
        scores: N x K in [0, 1].
        truth: N x K, whether the image shows the class.
        seconds: within the model.
    """

    records: list[ImageRecord]
    scores: NDArray[np.float64]
    truth: NDArray[np.bool_]
    seconds: float


def score_images(
    dataset: DefectDataset,
    records: Sequence[ImageRecord],
    predict: PredictImage,
    progress: Progress = lambda _: None,
) -> ScoredImages:
    """Return the scores of the records that are not excluded; ``progress(1)`` follows each.

    Raises:
        FlawsmithError: if there is no record, a synthetic one, or the scores do not fit.
    """
    tested = testable_records(dataset.schema, records)
    names = dataset.schema.defect_names
    rows, seconds = [], 0.0
    for record in tested:
        image = dataset.image(record)
        start = time.perf_counter()
        scores = predict(image)
        seconds += time.perf_counter() - start
        _check(scores, record, len(names))
        rows.append(scores.astype(np.float64))
        progress(1)
    truth = np.array([[name in record.labels for name in names] for record in tested])
    return ScoredImages(tested, np.stack(rows), truth, seconds)


def _check(scores: NDArray[np.float32], record: ImageRecord, classes: int) -> None:
    if scores.shape != (classes,):
        raise FlawsmithError(
            f"the model gives scores of the shape {scores.shape} for {record.file_name}; expected "
            f"({classes},), one for each defect class: it was made for another data set"
        )
    if not np.isfinite(scores).all():
        raise FlawsmithError(
            f"the model's scores for {record.file_name} are not finite; its training has diverged: "
            "train again with a lower learning rate or precision fp32"
        )


def choose_image_thresholds(scored: ScoredImages) -> Thresholds:
    """Return the operating thresholds that suit the (inner) validation images best.

    ``Thresholds.pixel`` has one for each class, that with the highest F1 over the images, for
    the score of a whole image here. A class that no validation image shows takes the median of
    the others, and all take 0.5 where none is shown.

    ``Thresholds.region`` is for the score of a part, on whose scale every class's threshold is at
    0.5: highest Youden's index over the parts, as for pixels. Were a part to fail wherever one
    class reaches its own threshold, every further class and view would reject more good parts.
    It is 0.5 without both good and defective parts.
    """
    classes = range(scored.scores.shape[1])
    chosen = [
        classification.best_threshold(scored.truth[:, k], scored.scores[:, k]) for k in classes
    ]
    known = [value for value in chosen if value is not None]
    fallback = float(np.median(known)) if known else FALLBACK
    pixel = np.array([fallback if value is None else value for value in chosen])
    scaled = classification.verdict_scale(scored.scores, pixel).max(axis=1)
    rows = _rows_of_parts(scored.records).values()
    part_scores = np.array([scaled[own].max() for own in rows])
    defective = np.array([bool(scored.truth[own].any()) for own in rows])
    region = region_threshold(part_scores, defective, 0.0)
    return Thresholds(pixel=pixel.tolist(), region=region)


def _rows_of_parts(records: Sequence[ImageRecord]) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for index, record in enumerate(records):
        rows.setdefault(record.part, []).append(index)
    return rows


def evaluate_images(
    dataset: DefectDataset,
    scored: ScoredImages,
    thresholds: Thresholds,
    *,
    arm: str,
    model: str,
    fold: int,
    composition: dict[str, dict[str, int]],
) -> Evaluation:
    """Return all figures of a test of a classification model.

    A part FAILs if the score of any class in any of its views reaches ``thresholds.region`` on
    the scale where the class's own threshold is 0.5. The thresholds come from other parts than
    these; the rest is as in `Evaluation`.

    Raises:
        FlawsmithError: if the thresholds do not fit.
    """
    schema = dataset.schema
    if len(thresholds.pixel) != schema.num_defects:
        raise FlawsmithError(
            f"{len(thresholds.pixel)} thresholds for the {schema.num_defects} defect classes of "
            f"{schema.name}; choose them again on this data set"
        )
    found = scored.scores >= np.array(thresholds.pixel)
    rows = _rows_of_parts(scored.records)
    counts = np.stack([image_counts(scored.truth[i], found[i]) for i in rows.values()])
    parts = [
        _part_result(part, own, scored, counts[i], thresholds, schema.defect_names)
        for i, (part, own) in enumerate(rows.items())
    ]
    figures = part_figures(parts) | {"false_regions_per_good_part": None}
    return Evaluation(
        arm=arm,
        model=model,
        data=str(dataset.root.absolute()),
        data_fingerprint=dataset.fingerprint(),
        simulated=schema.simulated,
        fold=fold,
        composition=composition,
        thresholds=thresholds,
        classes=[
            _class_result(name, k, scored, parts, counts[:, k])
            for k, name in enumerate(schema.defect_names)
        ],
        macro_iou=None,
        macro_iou_interval=None,
        pixel_accuracy=None,
        **figures,
        parts=parts,
        predictions={},
        images=len(scored.records),
        seconds_per_image=scored.seconds / len(scored.records),
        level="image",
        image_results=_image_results(scored),
        **_with_interval("macro_f1", counts, classification.macro_f1),
        **_with_interval("macro_balanced_accuracy", counts, classification.macro_balanced_accuracy),
    )


def _image_results(scored: ScoredImages) -> list[ImageResult]:
    return [
        ImageResult(image=record.file_name, labels=record.labels, scores=scores)
        for record, scores in zip(scored.records, scored.scores.tolist(), strict=True)
    ]


def _part_result(
    part: str,
    rows: list[int],
    scored: ScoredImages,
    counts: classification.Counts,
    thresholds: Thresholds,
    names: list[str],
) -> PartResult:
    scores = scored.scores[rows]
    scaled = classification.verdict_scale(scores, np.array(thresholds.pixel))
    view, worst = np.unravel_index(int(scaled.argmax()), scaled.shape)
    views = [scored.records[row].file_name for row in rows]
    score = float(scaled[view, worst])
    reason = ""
    if score >= thresholds.region:
        reason = f"{names[worst]} in {views[view]}, score {scores[view, worst]:.2f}"
    return PartResult(
        part=part,
        labels=[name for k, name in enumerate(names) if scored.truth[rows, k].any()],
        verdict="FAIL" if reason else "PASS",
        score=score,
        reason=reason,
        views=views,
        worst_view=views[view],
        counts=dict(zip(names, counts[:, :3].tolist(), strict=True)),
        false_regions=0,
    )


def _class_result(
    name: str,
    index: int,
    scored: ScoredImages,
    parts: Sequence[PartResult],
    counts: classification.Counts,
) -> ClassResult:
    truth, scores = scored.truth[:, index], scored.scores[:, index]
    pooled = counts.sum(axis=0)
    recalls, precisions = thin_curve(*classification.curve(truth, scores))
    return ClassResult(
        name=name,
        parts=sum(name in part.labels for part in parts),
        images=int(truth.sum()),
        regions=0,
        true_positive=int(pooled[0]),
        false_positive=int(pooled[1]),
        false_negative=int(pooled[2]),
        iou=None,
        iou_interval=None,
        average_precision=classification.average_precision(truth, scores),
        defect_recall=None,
        recall_curve=recalls,
        precision_curve=precisions,
        auroc=classification.auroc(truth, scores),
        **_with_interval("recall", counts, classification.recall),
        **_with_interval("precision", counts, classification.precision),
        **_with_interval("f1", counts, classification.f1),
        **_with_interval("balanced_accuracy", counts, classification.balanced_accuracy),
    )


def _with_interval(
    name: str, counts: classification.Counts, statistic: SumStatistic
) -> dict[str, Any]:
    """Return a figure of P x ... x 4 counts and its interval over parts, None where undefined."""
    value = float(statistic(counts.sum(axis=0)))
    shown = (counts[..., 0] + counts[..., 2]).reshape(len(counts), -1).sum(axis=1) > 0
    interval: Interval | None = None
    if not np.isnan(value) and shown.sum() >= MIN_INTERVAL_PARTS:
        interval = bootstrap_parts(counts, statistic)
    return {name: None if np.isnan(value) else value, f"{name}_interval": interval}
