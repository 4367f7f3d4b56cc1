"""Precision, recall, density and coverage from nearest neighbours.

Kynkäänniemi et al., NeurIPS 2019 (precision, recall); Naeem et al., ICML 2020 (density, coverage).
The ball round a real sample reaches to its k-th nearest other real sample, or of another part: the
views of one part lie so near each other that balls between them hold nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flawsmith.errors import FlawsmithError
from flawsmith.metrics.generation.arrays import FloatArray, as_pair, distance_chunks


@dataclass(frozen=True)
class NeighbourFigures:
    """Four figures of one comparison.

    Attributes:
        precision: share of synthetic samples inside any real ball.
        recall: share of real samples inside any synthetic ball.
        density: real balls a synthetic sample lies in, over k: about 1 for the real distribution,
            above 1 where synthetic samples crowd at the most usual real ones.
        coverage: share of real balls that hold a synthetic sample.
        neighbours: k that was used.
    """

    precision: float
    recall: float
    density: float
    coverage: float
    neighbours: int


def neighbour_figures(
    real: ArrayLike,
    fake: ArrayLike,
    *,
    neighbours: int = 5,
    groups: Sequence[object] | None = None,
) -> NeighbourFigures:
    """Return the figures of M x D synthetic features against N x D real ones.

    Args:
        real: at least two samples.
        fake: at least two samples.
        neighbours: k; small sets use at most their size less one.
        groups: of the real samples, such as their parts: only real neighbours of another group
            count for a real ball. By default every sample is a group of its own, as published.

    Raises:
        FlawsmithError: if all real samples are of one group.
    """
    true, made = as_pair(real, fake)
    names = [str(name) for name in (range(len(true)) if groups is None else groups)]
    real_groups = np.unique(np.array(names), return_inverse=True)[1]
    others = len(true) - int(np.bincount(real_groups).max())
    if others < 1:
        raise FlawsmithError("all real samples are of one part; there is no other to compare with")
    k = min(neighbours, others, len(made) - 1)
    real_radii, fake_radii = _radii(true, k, real_groups), _radii(made, k, np.arange(len(made)))
    balls = np.zeros(len(made))
    covered = np.zeros(len(true), bool)
    recalled = np.zeros(len(true), bool)
    for rows, distances in distance_chunks(true, made):
        inside = distances < real_radii[rows, None]
        balls += inside.sum(axis=0)
        covered[rows] = inside.any(axis=1)
        recalled[rows] = (distances < fake_radii[None, :]).any(axis=1)
    return NeighbourFigures(
        precision=float((balls > 0).mean()),
        recall=float(recalled.mean()),
        density=float(balls.mean() / k),
        coverage=float(covered.mean()),
        neighbours=k,
    )


def _radii(features: FloatArray, k: int, groups: NDArray[np.intp]) -> FloatArray:
    """Return the distance of each sample to its k-th nearest one of another group."""
    radii = np.empty(len(features))
    for rows, distances in distance_chunks(features, features):
        distances[groups[rows, None] == groups[None, :]] = np.inf
        radii[rows] = np.partition(distances, k - 1, axis=1)[:, k - 1]
    return radii
