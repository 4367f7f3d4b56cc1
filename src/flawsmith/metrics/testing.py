"""Choosing an inspection model's thresholds, and testing it: one image in memory at a time.

Both see real images only. Whatever predicts is a function from a whole image to (1 + D) x H x W
scores in [0, 1], plane 0 for "no defect": a network on tiles and machine vision alike.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.images import ImageArray, LabelArray
from flawsmith.data.schema import IGNORE, Schema
from flawsmith.errors import FlawsmithError
from flawsmith.inspection.regions import Region, find_regions
from flawsmith.inspection.thresholds import Thresholds, classify
from flawsmith.metrics import segmentation
from flawsmith.metrics.evaluation import ClassResult, Evaluation, Interval, PartResult
from flawsmith.metrics.intervals import SumStatistic, bootstrap_parts, rate

Predict = Callable[[ImageArray], NDArray[np.float32]]
SavePrediction = Callable[[ImageRecord, LabelArray], str]
Progress = Callable[[int], None]

FALLBACK = 0.5
"""Threshold where the validation parts cannot choose one."""

MIN_INTERVAL_PARTS = 2  # a bootstrap over one defective part knows nothing of the next


def _quiet(_: int) -> None:
    """Show no progress."""


def choose_thresholds(
    dataset: DefectDataset,
    records: Sequence[ImageRecord],
    predict: Predict,
    progress: Progress = _quiet,
) -> Thresholds:
    """Return the operating thresholds that suit the (inner) validation records best.

    Pixel threshold: one for all classes, with the highest macro IoU (D85); 0.5 where no pixel is
    labelled.

    Region threshold: highest balanced part-level accuracy (Youden's index), halfway between two
    part scores; of equal ones the lowest, which misses the fewest defective parts. Without both
    good and defective validation parts it is 0.5.

    With one limit for all classes the worst region of a part holds its highest score, whatever the
    limit is, so that one look at each image is enough. ``progress(1)`` follows each.

    Raises:
        FlawsmithError: if there is no record, a synthetic one, or the scores do not fit.
    """
    tested = testable_records(dataset.schema, records)
    histogram = segmentation.WinnerHistogram(dataset.schema.num_defects)
    part_scores, defective = [], []
    for views in _parts(tested).values():
        highest = 0.0
        for record in views:
            scores = _scores(dataset, record, predict)
            truth = dataset.label_map(record).defects
            if has_pixel_labels(record):
                histogram.add(scores, truth)
            counted = scores[1:, _counted(record, truth)]
            highest = max(highest, float(counted.max(initial=0.0)))
            progress(1)
        part_scores.append(highest)
        defective.append(any(not record.is_good for record in views))
    limit = histogram.best_threshold() or FALLBACK
    # A region's score reaches the pixel threshold at least: no lower limit changes a verdict.
    region = region_threshold(np.array(part_scores), np.array(defective), limit)
    return Thresholds(pixel=[limit] * dataset.schema.num_defects, region=region)


def region_threshold(
    scores: NDArray[np.float64], defective: NDArray[np.bool_], lowest: float
) -> float:
    """Return the threshold of part scores with the highest Youden's index, ``lowest`` or more."""
    if defective.all() or not defective.any():
        return FALLBACK
    reached = np.unique(scores[scores >= lowest])
    candidates = np.concatenate([[lowest], (reached[:-1] + reached[1:]) / 2])
    fails = scores >= candidates[:, None]
    # For each candidate: share of the defective parts caught minus share of the good ones failed.
    youden = fails[:, defective].mean(axis=1) - fails[:, ~defective].mean(axis=1)
    return float(candidates[youden.argmax()])


@dataclass(frozen=True)
class _View:
    """What one image contributes to the verdict on its part."""

    file_name: str
    score: float
    region: Region | None


def _inspect(
    scores: NDArray[np.float32],
    counted: NDArray[np.bool_],
    thresholds: Thresholds,
    schema: Schema,
) -> tuple[LabelArray, float, Region | None]:
    """Return index map, score and worst region of one view.

    The score is that of the worst region. A view without any gets the highest ratio of a pixel's
    score to its class's threshold (below 1) times the lower of region threshold and least pixel
    threshold: less than any region, less than what fails a part, and still in the order of the
    evidence, which keeps the ROC curve meaningful. Only ``counted`` pixels (H x W) make either.
    """
    index_map = classify(scores, thresholds)
    counting = np.where(counted, index_map, np.uint8(0))
    regions = find_regions(counting, scores, schema, most=1)
    if regions:
        return index_map, regions[0].score, regions[0]
    limits = np.asarray(thresholds.pixel)[:, None]
    ratio = float((scores[1:, counted] / limits).max(initial=0.0))
    # Just below 1, whatever float32 rounds to.
    ratio = min(ratio, 1 - 1e-6)
    return index_map, ratio * min(*thresholds.pixel, thresholds.region), None


def testable_records(schema: Schema, records: Sequence[ImageRecord]) -> list[ImageRecord]:
    """Return the records that may be tested on: none excluded, all real."""
    synthetic = [r.file_name for r in records if r.source == "synthetic"]
    if synthetic:
        raise FlawsmithError(
            f"{len(synthetic)} of {len(records)} test images are synthetic (first: "
            f"{synthetic[0]}); tests are on real images only: leave them out of the test fold"
        )
    tested = [r for r in records if r.excluded is None]
    if not tested or not schema.num_defects:
        raise FlawsmithError(
            f"nothing to test: {len(tested)} of {len(records)} images are not excluded and "
            f"{schema.name} has {schema.num_defects} defect classes; expected at least one each"
        )
    return tested


def has_pixel_labels(record: ImageRecord) -> bool:
    """Whether every pixel is labelled: a mask, or a good image. Labels alone say no place."""
    return record.is_good or record.mask_file_name is not None


def _counted(record: ImageRecord, truth: LabelArray) -> NDArray[np.bool_]:
    """Return the H x W pixels that make the verdict: all but the ignored ones.

    Where an image is defective but its mask shows no place, a region anywhere may be the defect.
    """
    counted: NDArray[np.bool_] = truth != IGNORE
    if not record.is_good and not truth[counted].any():
        return np.ones_like(counted)
    return counted


def _parts(records: Sequence[ImageRecord]) -> dict[str, list[ImageRecord]]:
    grouped: dict[str, list[ImageRecord]] = {}
    for record in records:
        grouped.setdefault(record.part, []).append(record)
    return grouped


def _scores(dataset: DefectDataset, record: ImageRecord, predict: Predict) -> NDArray[np.float32]:
    scores = predict(dataset.image(record))
    expected = (1 + dataset.schema.num_defects, record.height, record.width)
    if scores.shape != expected:
        raise FlawsmithError(
            f"the model gives scores of the shape {scores.shape} for {record.file_name}; expected "
            f"{expected}: it was made for another data set"
        )
    if not np.isfinite(scores).all():
        raise FlawsmithError(
            f"the model's scores for {record.file_name} are not finite; its training has diverged: "
            "train again with a lower learning rate or precision fp32"
        )
    return scores


@dataclass
class _Totals:
    """What a test adds up, by part where figures are resampled."""

    schema: Schema
    histogram: segmentation.ScoreHistogram
    matrix: segmentation.Counts
    regions: segmentation.Counts
    found: segmentation.Counts
    parts: list[PartResult] = field(default_factory=list)
    counts: list[segmentation.Counts] = field(default_factory=list)
    predictions: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @classmethod
    def empty(cls, schema: Schema) -> "_Totals":
        size = schema.num_defects
        return cls(
            schema,
            segmentation.ScoreHistogram(size),
            np.zeros((1 + size, 1 + size), np.int64),
            np.zeros(size, np.int64),
            np.zeros(size, np.int64),
        )


def evaluate(
    dataset: DefectDataset,
    records: Sequence[ImageRecord],
    predict: Predict,
    thresholds: Thresholds,
    *,
    arm: str,
    model: str,
    fold: int,
    composition: dict[str, dict[str, int]],
    save_prediction: SavePrediction,
    progress: Progress = _quiet,
) -> Evaluation:
    """Test an inspection model on real images and return all its figures.

    A part FAILs if any of its views has a region with a score of at least ``thresholds.region``.
    Images that are labelled without a mask count for the verdicts only, excluded ones not at all.
    ``seconds_per_image`` is the time within ``predict``. The thresholds come from other parts than
    these; ``save_prediction`` stores an index map and returns its name for
    `Evaluation.predictions`; ``progress(1)`` follows each image; the rest is as in `Evaluation`.

    Raises:
        FlawsmithError: if there is nothing to test, a synthetic record, or scores do not fit.
    """
    schema = dataset.schema
    tested = testable_records(schema, records)
    if len(thresholds.pixel) != schema.num_defects:
        raise FlawsmithError(
            f"{len(thresholds.pixel)} pixel thresholds for the {schema.num_defects} defect "
            f"classes of {schema.name}; choose them again on this data set"
        )
    totals = _Totals.empty(schema)
    for part, views in _parts(tested).items():
        _test_part(totals, dataset, part, views, predict, thresholds, save_prediction, progress)

    counts = np.stack(totals.counts)
    macro = float(segmentation.macro_iou(counts.sum(axis=0)))
    return Evaluation(
        arm=arm,
        model=model,
        data=str(dataset.root.absolute()),
        data_fingerprint=dataset.fingerprint(),
        simulated=schema.simulated,
        fold=fold,
        composition=composition,
        thresholds=thresholds,
        classes=[_class_result(totals, counts, tested, i) for i in range(schema.num_defects)],
        macro_iou=None if np.isnan(macro) else macro,
        macro_iou_interval=_interval(counts, segmentation.macro_iou),
        pixel_accuracy=segmentation.pixel_accuracy(totals.matrix),
        **part_figures(totals.parts),
        parts=totals.parts,
        predictions=totals.predictions,
        images=len(tested),
        seconds_per_image=totals.seconds / len(tested),
    )


def part_figures(parts: Sequence[PartResult]) -> dict[str, Any]:
    """Return the fields of `Evaluation` that count parts; those without a denominator are None."""
    good = [part for part in parts if not part.labels]
    defective = [part for part in parts if part.labels]
    truth, scores = [bool(part.labels) for part in parts], [part.score for part in parts]
    both = bool(good and defective)
    false_regions = sum(part.false_regions for part in good)
    return {
        "escape": rate(sum(part.verdict == "PASS" for part in defective), len(defective)),
        "overkill": rate(sum(part.verdict == "FAIL" for part in good), len(good)),
        "false_regions_per_good_part": false_regions / len(good) if good else None,
        "part_auroc": float(roc_auc_score(truth, scores)) if both else None,
        "part_average_precision": float(average_precision_score(truth, scores)) if both else None,
    }


def _test_part(
    totals: _Totals,
    dataset: DefectDataset,
    part: str,
    views: list[ImageRecord],
    predict: Predict,
    thresholds: Thresholds,
    save_prediction: SavePrediction,
    progress: Progress,
) -> None:
    """Predict all views of one part and add its figures and its verdict to the totals."""
    schema = totals.schema
    matrix = np.zeros_like(totals.matrix)
    false_regions = 0
    seen: list[_View] = []
    for record, scores, truth in _predicted(totals, dataset, views, predict):
        index_map, score, region = _inspect(scores, _counted(record, truth), thresholds, schema)
        if has_pixel_labels(record):
            totals.histogram.add(scores, truth)
            matrix += segmentation.confusion(truth, index_map, schema.num_defects)
            match = segmentation.match_regions(truth, index_map, schema.num_defects)
            totals.regions += match.regions
            totals.found += match.found
            false_regions += match.false_regions
        totals.predictions[record.file_name] = save_prediction(record, index_map)
        seen.append(_View(record.file_name, score, region))
        progress(1)
    worst = max(seen, key=lambda view: view.score)
    reason = ""
    if worst.region is not None and worst.score >= thresholds.region:
        reason = f"{worst.region.class_name} in {worst.file_name}, score {worst.score:.2f}"
    counts = segmentation.class_counts(matrix)
    totals.matrix += matrix
    totals.counts.append(counts)
    labels = {label for view in views for label in view.labels}
    known = [name for name in schema.defect_names if name in labels]
    totals.parts.append(
        PartResult(
            part=part,
            labels=known + sorted(labels.difference(known)),
            verdict="FAIL" if reason else "PASS",
            score=worst.score,
            reason=reason,
            views=[view.file_name for view in views],
            worst_view=worst.file_name,
            counts=dict(zip(schema.defect_names, counts.tolist(), strict=True)),
            false_regions=false_regions,
        )
    )


def _predicted(
    totals: _Totals, dataset: DefectDataset, views: list[ImageRecord], predict: Predict
) -> Iterator[tuple[ImageRecord, NDArray[np.float32], LabelArray]]:
    def timed(image: ImageArray) -> NDArray[np.float32]:
        start = time.perf_counter()
        scores = predict(image)
        totals.seconds += time.perf_counter() - start
        return scores

    for record in views:
        yield record, _scores(dataset, record, timed), dataset.label_map(record).defects


def _interval(counts: segmentation.Counts, statistic: SumStatistic) -> Interval | None:
    """Return the bootstrap interval over parts; None with fewer than two that show the defect."""
    real = (counts[..., 0] + counts[..., 2]).reshape(len(counts), -1).sum(axis=1)
    if (real > 0).sum() < MIN_INTERVAL_PARTS:
        return None
    return bootstrap_parts(counts, statistic)


def _class_result(
    totals: _Totals, counts: segmentation.Counts, tested: list[ImageRecord], index: int
) -> ClassResult:
    name = totals.schema.defect_names[index]
    pooled = counts.sum(axis=0)[index]
    value = float(segmentation.iou(pooled))
    recall, precision = segmentation.thin_curve(*totals.histogram.curve(index))
    return ClassResult(
        name=name,
        parts=sum(name in part.labels for part in totals.parts),
        images=sum(name in record.labels for record in tested),
        regions=int(totals.regions[index]),
        true_positive=int(pooled[0]),
        false_positive=int(pooled[1]),
        false_negative=int(pooled[2]),
        iou=None if np.isnan(value) else value,
        iou_interval=_interval(counts[:, index], segmentation.iou),
        average_precision=totals.histogram.average_precision(index),
        defect_recall=rate(int(totals.found[index]), int(totals.regions[index])),
        recall_curve=recall,
        precision_curve=precision,
    )
