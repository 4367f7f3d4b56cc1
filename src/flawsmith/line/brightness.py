"""Brightness of an image, to notice that light, lens or camera change."""

import cv2
import numpy as np

from flawsmith.data.images import ImageArray


def brightness(pixels: ImageArray) -> tuple[float, float]:
    """Return mean and standard deviation of all pixels, as shares of the type's largest value."""
    full = float(np.iinfo(pixels.dtype).max)
    means, deviations = cv2.meanStdDev(pixels)
    # Over the channels: the variance of all values is the mean of E[x^2] less the square of E[x].
    mean = float(means.mean())
    square = float((deviations**2 + means**2).mean())
    return min(mean / full, 1.0), max(square - mean**2, 0.0) ** 0.5 / full
