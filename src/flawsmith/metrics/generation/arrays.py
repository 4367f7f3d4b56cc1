"""Feature arrays: what every figure expects, checked in one place; distances in chunks."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flawsmith.errors import FlawsmithError

FloatArray = NDArray[np.float64]

CHUNK = 1024
"""Rows of a matrix of pairs that are held at once."""


def as_features(values: ArrayLike, *, fewest: int = 2) -> FloatArray:
    """Return N x D float64.

    Raises:
        FlawsmithError: if it is no matrix, has fewer than ``fewest`` rows or a value that is not
            finite.
    """
    features = np.asarray(values, dtype=np.float64)
    if features.ndim != 2 or len(features) < fewest or not features.shape[1]:
        raise FlawsmithError(
            f"features have the shape {features.shape}; expected N x D with N of at least {fewest}"
        )
    if not np.isfinite(features).all():
        raise FlawsmithError("features have values that are not finite; check the images")
    return features


def as_pair(x: ArrayLike, y: ArrayLike, *, fewest: int = 2) -> tuple[FloatArray, FloatArray]:
    """Return two feature arrays of the same dimension.

    Raises:
        FlawsmithError: as `as_features`, or if the dimensions differ.
    """
    first, second = as_features(x, fewest=fewest), as_features(y, fewest=fewest)
    if first.shape[1] != second.shape[1]:
        raise FlawsmithError(
            f"features have {first.shape[1]} and {second.shape[1]} dimensions; compare features "
            "of the same network only"
        )
    return first, second


def distance_chunks(x: FloatArray, y: FloatArray) -> Iterator[tuple[slice, FloatArray]]:
    """Yield (rows of x, their Euclidean distances to all of y); equal rows have distance 0."""
    squares = np.einsum("nd,nd->n", y, y)
    for start in range(0, len(x), CHUNK):
        rows = slice(start, min(start + CHUNK, len(x)))
        part = x[rows]
        own = np.einsum("nd,nd->n", part, part)
        squared = own[:, None] + squares[None, :] - 2.0 * (part @ y.T)
        # Cancellation leaves about 1e-16 of the squared length, which the root makes 1e-8.
        squared[squared < 1e-13 * (own[:, None] + squares[None, :])] = 0.0
        yield rows, np.sqrt(squared)
