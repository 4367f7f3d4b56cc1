"""Figures of a segmentation: pixel counts, IoU, score histograms, matched regions.

Pure functions on H x W index maps: 0 = no defect, k = k-th defect, 255 in the truth = ignore.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flawsmith.data.images import LabelArray
from flawsmith.data.schema import IGNORE
from flawsmith.inspection.regions import label_components

BINS = 1024
CURVE_POINTS = 100
FOUND_IOU = 0.5  # a real defect is found by a region of its class that overlaps this much

Counts = NDArray[np.int64]


def confusion(truth: LabelArray, prediction: LabelArray, num_defects: int) -> Counts:
    """Return (1 + D) x (1 + D) pixel counts, truth in rows, ignored pixels left out."""
    size = num_defects + 1
    counted = truth != IGNORE
    codes = truth[counted].astype(np.int32) * size + prediction[counted]
    return np.bincount(codes, minlength=size * size).reshape(size, size)


def class_counts(matrix: Counts) -> Counts:
    """Return D x 3 pixel counts (true positive, false positive, false negative) of the defects."""
    hits = np.diag(matrix)
    columns = [hits, matrix.sum(axis=0) - hits, matrix.sum(axis=1) - hits]
    return np.stack(columns, axis=1)[1:]


def pixel_accuracy(matrix: Counts) -> float | None:
    """Return the share of pixels with the right class, background included; None without any."""
    total = int(matrix.sum())
    return float(np.trace(matrix) / total) if total else None


def iou(counts: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return tp / (tp + fp + fn) of ... x 3 counts, NaN for a class without any real pixel.

    An absent class is NaN even where it was predicted: its false positives already lower the
    pixel accuracy and count as false regions, and a 0 would hide that there was nothing to find.
    """
    hits, false_positive, misses = (counts[..., i].astype(np.float64) for i in range(3))
    present = hits + misses > 0
    union = np.where(present, hits + false_positive + misses, 1.0)
    return np.where(present, hits / union, np.nan)


def macro_iou(counts: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean IoU over the present defect classes of ... x D x 3 counts, NaN for none."""
    values = iou(counts)
    present = ~np.isnan(values)
    number = present.sum(axis=-1)
    total = np.where(present, values, 0.0).sum(axis=-1)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def winners(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (1 + D) x H x W scores, 0 but for each pixel's most probable defect class."""
    most = 1 + scores[1:].argmax(axis=0)
    return np.where(np.arange(len(scores))[:, None, None] == most, scores, np.float32(0.0))


class ScoreHistogram:
    """Counts the pixel scores of every class in 1,024 equal bins over [0, 1].

    Memory is constant over any number of images. A threshold of b / 1024 is exact: a score
    reaches it just if its bin is b or higher.

    Attributes:
        positive: D x 1024 counts of pixels that really are of the class.
        negative: D x 1024 counts of all other pixels that are not ignored.
    """

    def __init__(self, num_defects: int) -> None:
        self.positive = np.zeros((num_defects, BINS), np.int64)
        self.negative = np.zeros((num_defects, BINS), np.int64)

    def add(self, scores: NDArray[np.float32], truth: LabelArray) -> None:
        """Count one image: (1 + D) x H x W scores and its H x W truth."""
        counted = truth != IGNORE
        labels = truth[counted]
        for index, plane in enumerate(scores[1:]):
            bins = np.clip(plane[counted] * BINS, 0, BINS - 1).astype(np.int32)
            positive = np.bincount(bins[labels == index + 1], minlength=BINS)
            self.positive[index] += positive
            self.negative[index] += np.bincount(bins, minlength=BINS) - positive

    def curve(self, index: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return (recall, precision) of one class, thresholds falling; empty if it is absent."""
        hits = self.positive[index][::-1].cumsum()
        alarms = hits + self.negative[index][::-1].cumsum()
        if not hits[-1]:
            return np.empty(0), np.empty(0)
        # Bins without a score repeat the point before them.
        steps = np.flatnonzero(np.diff(alarms, prepend=0))
        return hits[steps] / hits[-1], hits[steps] / alarms[steps]

    def average_precision(self, index: int) -> float | None:
        """Return sum (R_n - R_n-1) P_n of one class, as scikit-learn does; None if absent."""
        recall, precision = self.curve(index)
        if not recall.size:
            return None
        return float((np.diff(recall, prepend=0.0) * precision).sum())


class WinnerHistogram(ScoreHistogram):
    """The same of each pixel's `winners` alone, as a pixel is of one class."""

    def add(self, scores: NDArray[np.float32], truth: LabelArray) -> None:
        """Count one image: (1 + D) x H x W scores and its H x W truth."""
        super().add(winners(scores), truth)

    def best_threshold(self) -> float | None:
        """Return the threshold in (0, 1), one for all classes, with the highest macro IoU.

        Classes without a labelled pixel do not count; None without any. Where a run of thresholds
        ties, its middle is taken: scores of 0 and 1 alone give 0.5.
        """
        hits = self.positive[:, ::-1].cumsum(axis=1)[:, ::-1]
        alarms = self.negative[:, ::-1].cumsum(axis=1)[:, ::-1]
        present = hits[:, 0] > 0
        if not present.any():
            return None
        union = hits[present, :1] + alarms[present]
        return middle_of_best((hits[present] / union).mean(axis=0))


def middle_of_best(values: NDArray[np.float64]) -> float:
    """Return the threshold with the highest of 1,024 values, the middle of a first run of equals.

    The first value would call every pixel a defect and is left out.
    """
    values = values[1:]
    best = int(values.argmax())
    others = np.flatnonzero(values[best:] < values[best])
    last = best + (int(others[0]) if others.size else len(values) - best) - 1
    return ((best + last) // 2 + 1) / BINS


def thin_curve(
    recall: NDArray[np.float64], precision: NDArray[np.float64], points: int = CURVE_POINTS
) -> tuple[list[float], list[float]]:
    """Return at most ``points`` points of a curve, evenly spread in recall, both ends kept."""
    if recall.size <= points:
        return recall.tolist(), precision.tolist()
    wanted = np.linspace(recall[0], recall[-1], points)
    kept = np.unique(np.searchsorted(recall, wanted))
    return recall[kept].tolist(), precision[kept].tolist()


@dataclass(frozen=True)
class RegionMatch:
    """How real and predicted regions of one image meet.

    Attributes:
        regions: D counts of real regions.
        found: D counts of real regions with a predicted one of the same class and IoU >= 0.5.
        false_regions: predicted regions that overlap no labelled defect pixel of any class.
    """

    regions: Counts
    found: Counts
    false_regions: int


def match_regions(truth: LabelArray, prediction: LabelArray, num_defects: int) -> RegionMatch:
    """Match the 8-connected regions of truth and prediction.

    Ignored pixels count for nobody: they join a region, but add to no area and no overlap, and a
    predicted region that lies in them entirely is neither found nor false.
    """
    real, real_classes = label_components(truth, num_defects)
    guessed, guessed_classes = label_components(prediction, num_defects)
    guessed = np.where(truth == IGNORE, 0, guessed)
    size = len(guessed_classes)
    real_area = np.bincount(real.ravel(), minlength=len(real_classes))
    guessed_area = np.bincount(guessed.ravel(), minlength=size)

    both = (real > 0) & (guessed > 0)
    codes, shared = np.unique(
        real[both].astype(np.int64) * size + guessed[both], return_counts=True
    )
    first, second = codes // size, codes % size
    overlap = shared / (real_area[first] + guessed_area[second] - shared)
    hit = (real_classes[first] == guessed_classes[second]) & (overlap >= FOUND_IOU)

    touched = np.zeros(size, bool)
    touched[second] = True
    counted = guessed_area > 0
    counted[0] = False
    return RegionMatch(
        regions=_per_class(real_classes[1:], num_defects),
        found=_per_class(real_classes[np.unique(first[hit])], num_defects),
        false_regions=int((counted & ~touched).sum()),
    )


def _per_class(classes: NDArray[np.uint8], num_defects: int) -> Counts:
    return np.bincount(classes, minlength=num_defects + 1)[1:]
