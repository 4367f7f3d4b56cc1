"""Kernel distance (KID): squared maximum mean discrepancy with a cubic polynomial kernel.

Binkowski et al., "Demystifying MMD GANs", ICLR 2018: k(a, b) = (a.b / D + 1) ** 3. The unbiased
estimate can be a little below 0. Unlike the Fréchet distance its mean does not depend on the number
of samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from flawsmith.metrics.generation.arrays import CHUNK, FloatArray, as_pair

RESAMPLE_CHUNK = 256


def polynomial_kernel(x: FloatArray, y: FloatArray) -> FloatArray:
    """Return N x M values (x.y / D + 1) ** 3."""
    return cast(FloatArray, (x @ y.T / x.shape[1] + 1.0) ** 3)


def kernel_distance(x: ArrayLike, y: ArrayLike) -> float:
    """Return the unbiased estimate from all pairs; 0 on average for the same distribution."""
    sums = KernelSums.of(x, y)
    return float(sums.distance()[0])


def kernel_distance_of_subsets(
    x: ArrayLike, y: ArrayLike, *, subsets: int = 100, size: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Return mean and standard deviation over random subsets, as papers report it.

    Args:
        x: N x D.
        y: M x D.
        subsets: how many.
        size: samples of each side in a subset; fewer where a side has fewer.
        seed: of the draws.
    """
    first, second = as_pair(x, y)
    size = min(size, len(first), len(second))
    rng = np.random.default_rng(seed)
    values = [
        kernel_distance(
            first[rng.choice(len(first), size, replace=False)],
            second[rng.choice(len(second), size, replace=False)],
        )
        for _ in range(subsets)
    ]
    return float(np.mean(values)), float(np.std(values))


@dataclass(frozen=True)
class KernelSums:
    """Sums of the kernel over pairs of groups: all that estimate and bootstrap need.

    A group is what is drawn as one, such as all views of a part. Pairs within a group are left out
    of the estimate: views of one part are alike for a reason that says nothing of the
    distribution. With every sample a group of its own this is the usual unbiased estimate.

    Attributes:
        xx: G x G sums over the pairs of two groups of x.
        yy: the same of y.
        xy: G x H sums over the pairs of a group of x and one of y.
        sizes_x: G numbers of samples.
        sizes_y: H numbers of samples.
    """

    xx: FloatArray
    yy: FloatArray
    xy: FloatArray
    sizes_x: FloatArray
    sizes_y: FloatArray

    @classmethod
    def of(
        cls,
        x: ArrayLike,
        y: ArrayLike,
        groups_x: Sequence[object] | None = None,
        groups_y: Sequence[object] | None = None,
    ) -> Self:
        """Return the sums for N x D and M x D features; no group given: each sample its own."""
        first, second = as_pair(x, y, fewest=1)
        member_x, member_y = _membership(len(first), groups_x), _membership(len(second), groups_y)
        return cls(
            xx=_block_sums(first, first, member_x, member_x),
            yy=_block_sums(second, second, member_y, member_y),
            xy=_block_sums(first, second, member_x, member_y),
            sizes_x=np.asarray(member_x.sum(axis=0)).ravel(),
            sizes_y=np.asarray(member_y.sum(axis=0)).ravel(),
        )

    def distance(
        self, weights_x: FloatArray | None = None, weights_y: FloatArray | None = None
    ) -> FloatArray:
        """Return R estimates for R x G and R x H weights of the groups; by default one, all 1.

        An estimate is NaN where a side has fewer than two groups with a weight.
        """
        w_x = np.ones((1, len(self.sizes_x))) if weights_x is None else weights_x
        w_y = np.ones((1, len(self.sizes_y))) if weights_y is None else weights_y
        cross = ((w_x @ self.xy) * w_y).sum(axis=1) / ((w_x @ self.sizes_x) * (w_y @ self.sizes_y))
        within = _within(self.xx, self.sizes_x, w_x) + _within(self.yy, self.sizes_y, w_y)
        return cast(FloatArray, within - 2.0 * cross)

    def bootstrap(self, resamples: int = 1000, seed: int = 0) -> FloatArray:
        """Return estimates with the groups of both sides drawn with replacement; some are NaN."""
        rng = np.random.default_rng(seed)
        found = []
        for start in range(0, resamples, RESAMPLE_CHUNK):
            count = min(RESAMPLE_CHUNK, resamples - start)
            found.append(
                self.distance(
                    _draws(len(self.sizes_x), count, rng), _draws(len(self.sizes_y), count, rng)
                )
            )
        return np.concatenate(found)


def _membership(count: int, groups: Sequence[object] | None) -> sparse.csr_matrix:
    """Return samples x groups with a 1 where the sample is in the group."""
    if groups is None:
        return sparse.identity(count, format="csr")
    places: dict[object, int] = {}
    columns = [places.setdefault(group, len(places)) for group in groups]
    ones = np.ones(count)
    return sparse.csr_matrix((ones, (np.arange(count), columns)), shape=(count, len(places)))


def _block_sums(
    x: FloatArray, y: FloatArray, member_x: sparse.csr_matrix, member_y: sparse.csr_matrix
) -> FloatArray:
    sums = np.zeros((member_x.shape[1], member_y.shape[1]))
    for start in range(0, len(x), CHUNK):
        rows = slice(start, start + CHUNK)
        by_group = (member_y.T @ polynomial_kernel(x[rows], y).T).T
        sums += member_x[rows].T @ by_group
    return sums


def _within(sums: FloatArray, sizes: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the weighted mean kernel over pairs of different groups, for each row of weights."""
    squared = weights**2
    total = ((weights @ sums) * weights).sum(axis=1) - squared @ np.diag(sums)
    pairs = (weights @ sizes) ** 2 - squared @ sizes**2
    defined = (weights > 0).sum(axis=1) >= 2
    mean = np.full(len(weights), np.nan)
    np.divide(total, pairs, out=mean, where=defined)
    return mean


def _draws(groups: int, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    return rng.multinomial(groups, np.full(groups, 1 / groups), size=count).astype(np.float64)
