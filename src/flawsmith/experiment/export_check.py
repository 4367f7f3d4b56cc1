"""Does an exported model decide as the run it was made of? Both inspect the validation parts."""

from dataclasses import dataclass, field
from typing import cast

import cv2
import numpy as np

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.images import ImageArray, LabelArray
from flawsmith.data.schema import Schema
from flawsmith.errors import FlawsmithError, listed
from flawsmith.experiment.inspection_model import InspectionModel
from flawsmith.inspection.exported import ExportCheck, ModelCard
from flawsmith.inspection.runtime import Floats, Runtime
from flawsmith.inspection.thresholds import Thresholds, classify
from flawsmith.metrics.segmentation import Counts, class_counts, confusion, macro_iou
from flawsmith.training.loop import Hooks

SHOWN = 10


@dataclass(frozen=True)
class Comparison:
    """What both models said.

    Attributes:
        summary: goes into ``model.json``.
        images: of the flipped parts, those whose own highest score changed sides, in words.
    """

    summary: ExportCheck
    images: list[str]

    @property
    def too_many(self) -> bool:
        """Whether more parts flipped than are allowed."""
        return len(self.summary.flipped) > self.summary.allowed

    def words(self) -> str:
        """Return the outcome in one line."""
        check = self.summary
        return (
            f"{len(check.flipped)} of {check.parts} validation parts have another verdict "
            f"({check.images} images, {check.allowed} parts allowed); {self.iou_words()}"
        )

    def iou_words(self) -> str:
        """Return the macro IoU of both and its change."""
        before, after = self.summary.macro_iou_before, self.summary.macro_iou_after
        if before is None or after is None:
            return "no image shows a labelled defect, so there is no macro IoU"
        return f"macro IoU {before:.4f} before, {after:.4f} after ({after - before:+.4f})"


@dataclass
class RunAnswers:
    """What the trained model says of images; each is asked for once, however many exports follow.

    Attributes:
        model: the trained one.
        dataset: of the images.
        records: the images.
        thresholds: of the run.
    """

    model: InspectionModel
    dataset: DefectDataset
    records: list[ImageRecord]
    thresholds: Thresholds
    _known: dict[str, tuple[Counts | None, float]] = field(default_factory=dict)

    def of(
        self, record: ImageRecord, image: ImageArray, truth: LabelArray | None
    ) -> tuple[Counts | None, float]:
        """Return pixel counts of each class, None without labels, and the worst region's score."""
        if record.file_name not in self._known:
            scores = self.model.predict(image)
            index = classify(scores, self.thresholds)
            counts = None if truth is None else _counts(truth, index, self.dataset.schema)
            self._known[record.file_name] = counts, _highest(index, _winning(scores, index))
        return self._known[record.file_name]


def compare(run: RunAnswers, runtime: Runtime, *, allowed: int, hooks: Hooks) -> Comparison:
    """Inspect images with the exported model and compare with what the run says.

    A part fails if any of its images has a region whose score reaches ``thresholds.region``.
    """
    dataset, records = run.dataset, run.records
    schema, thresholds = runtime.exported.schema, run.thresholds
    counts = np.zeros((2, schema.num_defects, 3), np.int64)
    highest: dict[str, list[tuple[str, float, float]]] = {}
    with hooks.bar("compare", len(records)) as advance:
        for record in records:
            image = dataset.image(record)
            labelled = record.is_good or record.mask_file_name is not None
            truth = dataset.label_map(record).defects if labelled else None
            before, worst = run.of(record, image, truth)
            decided = runtime.maps(as_schema_says(image, schema))
            scores = worst, _highest(decided.index, decided.confidence)
            highest.setdefault(record.part, []).append((record.file_name, *scores))
            if truth is not None and before is not None:
                counts += [before, _counts(truth, decided.index, schema)]
            advance(1)
    flipped = [part for part, views in highest.items() if _flips(views, thresholds)]
    macro = [float(value) for value in macro_iou(counts)]
    summary = ExportCheck(
        images=len(records),
        parts=len(highest),
        flipped=flipped,
        allowed=allowed,
        macro_iou_before=None if np.isnan(macro[0]) else macro[0],
        macro_iou_after=None if np.isnan(macro[1]) else macro[1],
    )
    images = [
        f"{name} (score {one:.4f} before, {two:.4f} after; limit {thresholds.region:.4f})"
        for part in flipped
        for name, one, two in highest[part]
        if (one >= thresholds.region) != (two >= thresholds.region)
    ]
    return Comparison(summary, images)


def require_few_flips(comparison: Comparison, card: ModelCard) -> None:
    """Raise a `FlawsmithError` that lists the differing images if too many verdicts flip."""
    check = comparison.summary
    if not comparison.too_many:
        return
    advice = [f"--max-flips {len(check.flipped)} accepts that"]
    if max(card.window) > card.tile:
        advice.insert(0, f"--window {card.tile} looks at tiles as the training did")
    if card.precision == "int8":
        advice.insert(0, "leave --int8 out")
    elif card.precision == "bf16":
        advice.insert(0, "--fp32 computes as the training did")
    raise FlawsmithError(
        f"not exported: {comparison.words()}. Differing images: "
        f"{listed(comparison.images, SHOWN, separator='; ')}. What to do: {', or '.join(advice)}"
    )


def as_schema_says(image: ImageArray, schema: Schema) -> ImageArray:
    """Return a data set's image in the one mode and depth that the line's camera has.

    Values stay what they are, as in `to_unit`: grey is repeated, RGB averaged by luminance.
    """
    if image.ndim == 3 and schema.channels == 1:
        image = cast(ImageArray, cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
    elif image.ndim == 2 and schema.channels == 3:
        image = cast(ImageArray, np.repeat(image[..., None], 3, axis=2))
    if schema.bit_depth == 8:
        return np.minimum(image, 255).astype(np.uint8)
    return image.astype(np.uint16)


def _winning(scores: Floats, index: LabelArray) -> Floats:
    """Return H x W scores of the class in ``index``."""
    winning: Floats = np.take_along_axis(scores, index[None].astype(np.intp), axis=0)[0]
    return winning


def _highest(index: LabelArray, confidence: Floats) -> float:
    """Return the score of the worst region, 0 without any."""
    return float(confidence[index > 0].max(initial=0.0))


def _flips(views: list[tuple[str, float, float]], thresholds: Thresholds) -> bool:
    before = max(one for _, one, _ in views) >= thresholds.region
    after = max(two for _, _, two in views) >= thresholds.region
    return before != after


def _counts(truth: LabelArray, found: LabelArray, schema: Schema) -> Counts:
    return class_counts(confusion(truth, found, schema.num_defects))
