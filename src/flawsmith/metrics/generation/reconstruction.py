"""How near a reconstruction is to its original, pixel by pixel: PSNR and SSIM."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from flawsmith.errors import FlawsmithError

SIGMA = 1.5
RADIUS = 5
"""Gaussian window of 11 x 11 pixels, as Wang et al. use it."""


def psnr(original: ArrayLike, reconstruction: ArrayLike, *, span: float = 1.0) -> float:
    """Return 10 log10(span^2 / mean squared error) in dB; infinite for equal images.

    Raises:
        FlawsmithError: if the shapes differ.
    """
    x, y = _pair(original, reconstruction)
    error = float(((x - y) ** 2).mean())
    return math.inf if error == 0.0 else 10.0 * math.log10(span**2 / error)


def ssim(original: ArrayLike, reconstruction: ArrayLike, *, span: float = 1.0) -> float:
    """Return the structural similarity of two H x W or H x W x C images, 1 for equal ones.

    Wang et al., IEEE TIP 13(4), 2004, Eq. 13: Gaussian window (sigma 1.5, 11 x 11), K1 = 0.01 and
    K2 = 0.03, mean over the places where the window is inside the image, and over channels.

    Raises:
        FlawsmithError: as `ssim_map`.
    """
    return float(ssim_map(original, reconstruction, span=span).mean())


def ssim_map(
    original: ArrayLike, reconstruction: ArrayLike, *, span: float = 1.0
) -> NDArray[np.float64]:
    """Return the similarity at each place with the window inside: (H - 10) x (W - 10), or x C.

    Raises:
        FlawsmithError: if the shapes differ or a side is below 11 pixels.
    """
    x, y = _pair(original, reconstruction)
    if min(x.shape[:2]) < 2 * RADIUS + 1:
        raise FlawsmithError(f"images of {x.shape[1]} x {x.shape[0]} pixels; SSIM needs 11 x 11")

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        window = (SIGMA, SIGMA) + (0.0,) * (values.ndim - 2)
        smooth = ndimage.gaussian_filter(values, window, truncate=RADIUS / SIGMA)
        return np.asarray(smooth[RADIUS:-RADIUS, RADIUS:-RADIUS])

    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    mean_x, mean_y = mean(x), mean(y)
    variance_x, variance_y = mean(x * x) - mean_x**2, mean(y * y) - mean_y**2
    covariance = mean(x * y) - mean_x * mean_y
    similar = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
    )
    return np.asarray(similar)


def _pair(
    original: ArrayLike, reconstruction: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.asarray(original, np.float64), np.asarray(reconstruction, np.float64)
    if x.shape != y.shape or x.ndim not in (2, 3) or not x.size:
        raise FlawsmithError(
            f"images have the shapes {x.shape} and {y.shape}; expected two equal ones, H x W or "
            "H x W x C"
        )
    return x, y
