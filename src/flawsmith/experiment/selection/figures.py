"""Figures of one tile from a model's scores, and the limits that real defects set for them."""

import math
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.images import BoolArray, LabelArray
from flawsmith.data.schema import IGNORE, Schema
from flawsmith.experiment.selection.facts import (
    DefectFigures,
    ImageVerdict,
    Limits,
    RealDefect,
    Reason,
    TileFigures,
)
from flawsmith.inspection.thresholds import Thresholds, classify

MARGIN = 8
"""Pixels round a label that are neither inside nor outside: rims, and what a system may soften."""

FEWEST_DEFECTS = 5
"""With fewer real defects of a class its limits come from all classes."""

LEAST_CONFUSED = 0.05
LEAST_OUTSIDE = 0.01
"""No limit is below these: a few pixels at a rim, or a trace of doubt, are no other defect."""


def tile_figures(
    scores: NDArray[np.float32], defects: LabelArray, thresholds: Thresholds, schema: Schema
) -> TileFigures:
    """Return what a model says inside each class of a label map, and outside of all.

    Args:
        scores: (1 + defects) x H x W in [0, 1].
        defects: H x W label map.
        thresholds: the model's.
        schema: has the names.
    """
    found = classify(scores, thresholds)
    figures = []
    for class_id in np.unique(defects).tolist():
        if class_id in (0, IGNORE):
            continue
        inside = found[defects == class_id]
        figures.append(
            DefectFigures(
                name=schema.defects[class_id - 1].name,
                probability=float(scores[class_id][defects == class_id].mean(dtype=np.float64)),
                found=float((inside == class_id).mean()),
                confused=float(((inside != class_id) & (inside != 0)).mean()),
            )
        )
    away = away_from_labels(defects)
    outside = float(scores[1:].max(axis=0)[away].mean(dtype=np.float64)) if away.any() else None
    return TileFigures(defects=figures, outside=outside)


def away_from_labels(defects: LabelArray) -> BoolArray:
    """Return where no label, ignored ones included, is within the margin."""
    size = 2 * MARGIN + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    away: BoolArray = cv2.dilate((defects > 0).astype(np.uint8), kernel) == 0
    return away


def set_limits(real: Sequence[RealDefect], name: str, quantile: float) -> Limits:
    """Return the limits of a class from real defects of all classes.

    A limit is the k-th worst real value, k = quantile (n + 1) rounded down, at least 1: of fresh
    real defects a share of k / (n + 1) is worse.

    Args:
        real: at least one.
        name: of the class.
        quantile: see above, in (0, 1).
    """
    own = [item for item in real if item.figures.name == name]
    pooled = len(own) < FEWEST_DEFECTS
    used = list(real) if pooled else own
    outside = [item.outside for item in used if item.outside is not None]
    probability, expected = _worst([item.figures.probability for item in used], quantile)
    return Limits(
        probability=probability,
        found=_worst([item.figures.found for item in used], quantile)[0],
        confused=max(-_worst([-i.figures.confused for i in used], quantile)[0], LEAST_CONFUSED),
        outside=max(-_worst([-value for value in outside], quantile)[0], LEAST_OUTSIDE)
        if outside
        else None,
        defects=len(used),
        parts=len({item.part for item in used}),
        pooled=pooled,
        expected_share=expected,
    )


def _worst(values: Sequence[float], quantile: float) -> tuple[float, float]:
    ordered = sorted(values)
    # The small addition keeps 0.05 * 20 at 1 whatever the rounding.
    k = max(1, math.floor(quantile * (len(ordered) + 1) + 1e-9))
    return ordered[min(k, len(ordered)) - 1], k / (len(ordered) + 1)


def reasons_of_class(figures: DefectFigures, limits: Limits) -> Iterator[Reason]:
    """Yield what speaks against one class of a tile; of two figures of one kind the first."""
    name = figures.name
    if figures.probability < limits.probability:
        yield Reason(code="not_recognised", name=name, value=figures.probability,
                     limit=limits.probability)  # fmt: skip
    elif figures.found < limits.found:
        yield Reason(code="not_recognised", name=name, value=figures.found, limit=limits.found)
    if figures.confused > limits.confused:
        yield Reason(code="other_class", name=name, value=figures.confused, limit=limits.confused)


def reasons_outside(outside: float | None, allowed: Sequence[float | None]) -> Iterator[Reason]:
    """Yield an artefact away from the labels; the most generous of the limits counts."""
    known = [limit for limit in allowed if limit is not None]
    if outside is not None and known and outside > max(known):
        yield Reason(code="outside", name="", value=outside, limit=max(known))


def judge(verdict: ImageVerdict, limits: dict[str, Limits], *, reject_copies: bool) -> ImageVerdict:
    """Return the verdict with all reasons against the image.

    Where the surface outside the mask is real, bit for bit, the model is not asked about it.
    """
    reasons: list[Reason] = []
    for figures in verdict.figures.defects:
        reasons += reasons_of_class(figures, limits[figures.name])
    if not verdict.untouched:
        names = [f.name for f in verdict.figures.defects] or list(limits)
        allowed = [limits[name].outside for name in names]
        reasons += reasons_outside(verdict.figures.outside, allowed)
    if reject_copies:
        reasons += [
            Reason(code="copy", name=c.name, value=c.ratio, limit=c.ratio_limit)
            for c in verdict.copies
            if c.copied
        ]
    return verdict.model_copy(update={"reasons": reasons})
