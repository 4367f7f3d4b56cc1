"""Whether synthetic samples are copies: nearest training sample against that of held-out real ones.

A real sample that the generator never saw is at some distance from the nearest training sample. A
synthetic one that is closer than nearly all of those was not made, it was remembered.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from flawsmith.errors import FlawsmithError
from flawsmith.metrics.generation.arrays import CHUNK, FloatArray, as_pair, distance_chunks

SIGNATURE = 32
"""Side in pixels at which crops are correlated."""

SYMMETRIES = 8


@dataclass(frozen=True)
class CopyThreshold:
    """At or below which distance a sample counts as a copy.

    Attributes:
        value: the k-th smallest of the held-out distances; the threshold itself counts (closed).
        expected_share: k / (n + 1): of fresh real samples so many would be flagged.
        median: of the held-out distances, the usual one.
    """

    value: float
    expected_share: float
    median: float

    def flags(self, distances: FloatArray) -> NDArray[np.bool_]:
        """Return which distances count as copies."""
        return distances <= self.value


def copy_threshold(held_out: ArrayLike, share: float = 0.05) -> CopyThreshold:
    """Return the threshold that flags at most about ``share`` of fresh real samples.

    With fewer than 1 / share - 1 held-out distances it is the smallest of them, and the expected
    share is larger. For similarities give their negatives.

    Raises:
        FlawsmithError: without a held-out distance.
    """
    distances = np.sort(np.asarray(held_out, dtype=np.float64).ravel())
    if not distances.size:
        raise FlawsmithError("no held-out real sample to compare with; no copy can be told")
    # The small addition keeps 0.05 * 20 at 1 whatever the rounding.
    k = max(1, math.floor(share * (distances.size + 1) + 1e-9))
    return CopyThreshold(
        value=float(distances[k - 1]),
        expected_share=k / (distances.size + 1),
        median=float(np.median(distances)),
    )


@dataclass(frozen=True)
class Looks:
    """How N defects look: N x D features inside the mask, and N x 32 x 32 `signatures`."""

    features: NDArray[np.float32]
    signatures: NDArray[np.float32]


@dataclass(frozen=True)
class Copies:
    """How near synthetic defects are to training ones, in features and in pixels.

    Attributes:
        distances: in features, to the nearest training defect.
        nearest: which one that is.
        limit: of the distances, from held-out defects.
        correlation: highest with any training defect.
        pixel_limit: of its negative.
    """

    distances: FloatArray
    nearest: NDArray[np.intp]
    limit: CopyThreshold
    correlation: FloatArray
    pixel_limit: CopyThreshold

    @property
    def ratios(self) -> FloatArray:
        """Return the distances as multiples of the usual one of held-out defects."""
        return self.distances / self.usual

    @property
    def usual(self) -> float:
        """The usual distance of a held-out defect; 1 if that is 0."""
        return self.limit.median or 1.0

    @property
    def near_in_features(self) -> NDArray[np.bool_]:
        """Which are nearer than nearly all held-out defects."""
        return self.limit.flags(self.distances)

    @property
    def near_in_pixels(self) -> NDArray[np.bool_]:
        """The same by correlation."""
        return self.pixel_limit.flags(-self.correlation)


def find_copies(made: Looks, known: Looks, unseen: Looks) -> Copies:
    """Compare synthetic defects with those of the training, by the measure of held-out ones.

    Raises:
        FlawsmithError: if one of the three has no defect.
    """
    distances, nearest = nearest_distance(made.features, known.features)
    correlation, _ = best_correlation(made.signatures, known.signatures)
    return Copies(
        distances=distances,
        nearest=nearest,
        limit=copy_threshold(nearest_distance(unseen.features, known.features)[0]),
        correlation=correlation,
        pixel_limit=copy_threshold(-best_correlation(unseen.signatures, known.signatures)[0]),
    )


def excess_probability(flagged: int, total: int, expected_share: float, parts: int) -> float:
    """Return how likely so many flags, or more, are for samples that are no copies.

    The share that a threshold flags is itself uncertain: it follows a beta distribution of as many
    observations as there are held-out parts (views of one part are no new observation), so the
    number of flags is beta-binomial.
    """
    sure = parts + 1
    chance = stats.betabinom.sf(
        flagged - 1, total, expected_share * sure, (1.0 - expected_share) * sure
    )
    return float(chance)


def nearest_distance(x: ArrayLike, y: ArrayLike) -> tuple[FloatArray, NDArray[np.intp]]:
    """Return distance and index of the nearest of M x D samples for each of N x D ones."""
    first, second = as_pair(x, y, fewest=1)
    distances, indices = np.empty(len(first)), np.empty(len(first), np.intp)
    for rows, chunk in distance_chunks(first, second):
        indices[rows] = chunk.argmin(axis=1)
        distances[rows] = chunk.min(axis=1)
    return distances, indices


def signatures(crops: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return N x 32 x 32 grey values with mean 0 and norm 1 of N x H x W; a flat crop is all 0."""
    small = np.stack(
        [cv2.resize(c, (SIGNATURE, SIGNATURE), interpolation=cv2.INTER_AREA) for c in crops]
    )
    centred = small - small.mean(axis=(1, 2), keepdims=True)
    norms = np.linalg.norm(centred, axis=(1, 2), keepdims=True)
    scaled: NDArray[np.float32] = np.zeros_like(centred)
    np.divide(centred, norms, out=scaled, where=norms > 1e-4)
    return scaled


def best_correlation(
    x: NDArray[np.float32], y: NDArray[np.float32]
) -> tuple[FloatArray, NDArray[np.intp]]:
    """Return the highest normalised cross-correlation with any of y, and which one it is.

    Every sample is tried in all eight turns and mirrorings, because masks are varied in this way.

    Args:
        x: N x 32 x 32 signatures.
        y: M x 32 x 32 signatures.
    """
    others = y.reshape(len(y), -1)
    best = np.full(len(x), -np.inf)
    which = np.zeros(len(x), np.intp)
    for symmetry in range(SYMMETRIES):
        mirrored = x[:, :, ::-1] if symmetry >= 4 else x
        turned = np.rot90(mirrored, symmetry % 4, axes=(1, 2)).reshape(len(x), -1)
        for start in range(0, len(x), CHUNK):
            rows = slice(start, start + CHUNK)
            values = turned[rows] @ others.T
            places = values.argmax(axis=1)
            highest = values[np.arange(len(values)), places]
            better = highest > best[rows]
            which[rows] = np.where(better, places, which[rows])
            best[rows] = np.where(better, highest, best[rows])
    return best, which
