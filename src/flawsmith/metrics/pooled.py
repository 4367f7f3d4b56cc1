"""Figures of a class from counts that are pooled over parts, and their mean over the classes.

The counts of pixels are ... x 3 (true positive, false positive, false negative), those of images
... x 4 (and true negative).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flawsmith.metrics import classification
from flawsmith.metrics.segmentation import iou

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PooledFigure:
    """What the arms of an experiment are compared by.

    Attributes:
        name: as it is printed, "macro" before it for the mean over the classes.
        of_classes: maps ... x D x C sums to ... x D values, NaN where a class has none.
    """

    name: str
    of_classes: Callable[[Floats], Floats]

    def macro(self, counts: Floats) -> Floats:
        """Return the mean over the classes that have a value, of ... x D x C sums; NaN for none."""
        return classification.macro(self.of_classes(counts))


IOU = PooledFigure("IoU", iou)
F1 = PooledFigure("F1", classification.f1)
RECALL = PooledFigure("recall", classification.recall)
BALANCED_ACCURACY = PooledFigure("balanced accuracy", classification.balanced_accuracy)
