"""Fréchet distance (FID) between two sets of features taken as normal distributions.

Heusel et al., NeurIPS 2017: |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)). It falls with the number
of samples, so two figures compare only at the same N, and with N below D the covariances are
singular: fit for a comparison with papers, not for a judgement of a small set.
"""

import numpy as np
from numpy.typing import ArrayLike

from flawsmith.metrics.generation.arrays import FloatArray, as_pair


def frechet_distance(x: ArrayLike, y: ArrayLike) -> float:
    """Return the distance of N x D and M x D features; never below 0.

    With centred features A and B, the eigenvalues of S1 S2 are the squared singular values of
    A B^T, so no matrix root is taken and singular covariances do no harm.
    """
    first, second = as_pair(x, y)
    shift = first.mean(axis=0) - second.mean(axis=0)
    if min(len(first), len(second)) > first.shape[1]:
        return frechet_from_moments(
            first.mean(axis=0),
            np.cov(first, rowvar=False).reshape(first.shape[1], -1),
            second.mean(axis=0),
            np.cov(second, rowvar=False).reshape(first.shape[1], -1),
        )
    a = (first - first.mean(axis=0)) / np.sqrt(len(first) - 1)
    b = (second - second.mean(axis=0)) / np.sqrt(len(second) - 1)
    root_trace = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return max(0.0, float(shift @ shift + (a**2).sum() + (b**2).sum() - 2.0 * root_trace))


def frechet_from_moments(
    mean_x: FloatArray, covariance_x: FloatArray, mean_y: FloatArray, covariance_y: FloatArray
) -> float:
    """Return the distance of two normal distributions from D means and D x D covariances.

    tr((S1 S2)^(1/2)) is the sum of the roots of the eigenvalues of S1^(1/2) S2 S1^(1/2), which is
    symmetric; eigenvalues that rounding made negative count as 0.
    """
    shift = mean_x - mean_y
    values, vectors = np.linalg.eigh(covariance_x)
    root = (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T
    product = np.linalg.eigvalsh(root @ covariance_y @ root)
    root_trace = np.sqrt(np.clip(product, 0.0, None)).sum()
    traces = np.trace(covariance_x) + np.trace(covariance_y)
    return max(0.0, float(shift @ shift + traces - 2.0 * root_trace))
