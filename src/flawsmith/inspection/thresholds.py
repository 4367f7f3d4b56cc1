"""Operating thresholds of an inspection model, and what they make of its scores."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from flawsmith.config import StrictModel
from flawsmith.data.images import LabelArray


class Thresholds(StrictModel):
    """Where an inspection model says "defect".

    Attributes:
        pixel: one value in (0, 1] for each defect class: a pixel belongs to the class with the
            highest ratio of score to value if that ratio reaches 1.
        region: a region counts for the verdict if its highest score reaches this value.
    """

    pixel: list[float]
    region: float = Field(default=0.5, ge=0.0, le=1.0)


def classify(scores: NDArray[np.float32], thresholds: Thresholds) -> LabelArray:
    """Return H x W class indices from (1 + defects) x H x W scores in [0, 1] (0 = no defect).

    The winner is the defect class with the highest score relative to its threshold: with equal
    thresholds the most probable one; a lower threshold favours its class.
    """
    limits = np.maximum(np.asarray(thresholds.pixel, np.float32), 1e-6)[:, None, None]
    relative = scores[1:] / limits
    winner = relative.argmax(axis=0)
    reached = np.take_along_axis(relative, winner[None], axis=0)[0] >= 1.0
    return np.where(reached, winner + 1, 0).astype(np.uint8)
