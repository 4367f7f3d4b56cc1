"""Figures of a classification of whole images. Pure functions.

Every class is a yes or no of its own. Counts are ... x 4: true positive, false positive, false
negative and true negative images of a class; figures are functions of their sums over parts.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

Counts = NDArray[np.int64]
Sums = NDArray[np.int64] | NDArray[np.float64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def image_counts(truth: Bools, found: Bools) -> Counts:
    """Return K x 4 counts of N x K images and classes."""
    columns = (truth & found, ~truth & found, truth & ~found, ~truth & ~found)
    return np.stack([column.sum(axis=0) for column in columns], axis=-1).astype(np.int64)


def recall(counts: Sums) -> Floats:
    """Return tp / (tp + fn) of ... x 4 counts, NaN for a class that no image shows."""
    return _share(counts[..., 0], counts[..., 0] + counts[..., 2])


def precision(counts: Sums) -> Floats:
    """Return tp / (tp + fp), 0 where nothing is found, NaN for a class that no image shows."""
    hits, alarms = counts[..., 0], counts[..., 0] + counts[..., 1]
    value = _share(hits, np.maximum(alarms, 1e-9))
    return np.where(hits + counts[..., 2] > 0, value, np.nan)


def f1(counts: Sums) -> Floats:
    """Return 2 tp / (2 tp + fp + fn), NaN for a class that no image shows."""
    hits, misses = counts[..., 0], counts[..., 2]
    value = _share(2 * hits, 2 * hits + counts[..., 1] + misses)
    return np.where(hits + misses > 0, value, np.nan)


def balanced_accuracy(counts: Sums) -> Floats:
    """Return (tp / (tp + fn) + tn / (tn + fp)) / 2, NaN where all images or none show the class."""
    return (recall(counts) + _share(counts[..., 3], counts[..., 3] + counts[..., 1])) / 2


def macro_f1(counts: Sums) -> Floats:
    """Return the mean F1 over the classes that occur, of ... x K x 4 counts; NaN for none."""
    return macro(f1(counts))


def macro_balanced_accuracy(counts: Sums) -> Floats:
    """Return the mean balanced accuracy over the classes that have one; NaN for none."""
    return macro(balanced_accuracy(counts))


def macro(values: Floats) -> Floats:
    """Return the mean over the last axis of what is not NaN, NaN where nothing is left."""
    known = ~np.isnan(values)
    return _share(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1))


def auroc(truth: Bools, scores: Floats) -> float | None:
    """Return the area under the ROC curve of N scores; None unless both kinds occur."""
    if truth.all() or not truth.any():
        return None
    return float(roc_auc_score(truth, scores))


def average_precision(truth: Bools, scores: Floats) -> float | None:
    """Return scikit-learn's average precision of N scores; None for a class nothing shows."""
    return float(average_precision_score(truth, scores)) if truth.any() else None


def curve(truth: Bools, scores: Floats) -> tuple[Floats, Floats]:
    """Return (recall, precision), thresholds falling; empty for a class that nothing shows."""
    if not truth.any():
        return np.empty(0), np.empty(0)
    precisions, recalls, _ = precision_recall_curve(truth, scores)
    # The last point, precision 1 at recall 0, is a convention and no threshold has it.
    return recalls[:-1][::-1], precisions[:-1][::-1]


def best_threshold(truth: Bools, scores: Floats) -> float | None:
    """Return the threshold in (0, 1] with the highest F1 of N scores; None without a positive.

    It lies halfway between two scores, the lowest one at the lowest score. Of equal ones the
    lowest is taken, which misses the fewest.
    """
    if not truth.any():
        return None
    levels = np.unique(scores)
    candidates = np.concatenate([levels[:1], (levels[:-1] + levels[1:]) / 2])
    candidates = np.clip(candidates, np.finfo(np.float32).tiny, 1.0)
    found = len(scores) - np.searchsorted(np.sort(scores), candidates)
    hits = truth.sum() - np.searchsorted(np.sort(scores[truth]), candidates)
    # 2 tp / (2 tp + fp + fn), as fp + tp is what is found and fn + tp what is there.
    values = 2 * hits / (found + truth.sum())
    return float(candidates[values.argmax()])


def verdict_scale(scores: Floats, thresholds: Floats) -> Floats:
    """Return scores in [0, 1] stretched so that each class's threshold is at 0.5.

    Linear from 0 to the threshold and from there to 1: the order within a class stays, and
    classes can be compared. 0.5 is reached just where the threshold is.
    """
    below = 0.5 * scores / thresholds
    above = 0.5 + 0.5 * (scores - thresholds) / np.maximum(1.0 - thresholds, 1e-12)
    return np.where(scores < thresholds, below, np.minimum(above, 1.0))


def _share(part: Sums, whole: Sums) -> Floats:
    whole = np.asarray(whole, np.float64)
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), np.nan)
