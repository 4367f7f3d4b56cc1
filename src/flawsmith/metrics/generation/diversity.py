"""How different the samples of a set are from each other."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from flawsmith.metrics.generation.arrays import as_features, distance_chunks


def mean_pairwise_distance(
    features: ArrayLike, groups: Sequence[object] | None = None
) -> float | None:
    """Return the mean Euclidean distance over pairs of different groups; None without a pair.

    Args:
        features: N x D.
        groups: of each sample, such as its part: views of one piece are alike and say nothing of
            the variety. By default every sample is a group of its own.
    """
    given = as_features(features, fewest=1)
    names = list(range(len(given))) if groups is None else list(groups)
    _, numbers = np.unique(np.array([str(name) for name in names]), return_inverse=True)
    total, pairs = 0.0, 0
    for rows, distances in distance_chunks(given, given):
        apart = numbers[rows, None] != numbers[None, :]
        total += float(distances[apart].sum())
        pairs += int(apart.sum())
    return total / pairs if pairs else None
