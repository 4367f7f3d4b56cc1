"""Blobs of an image that differ from their surroundings, and what can be measured of them."""

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

FloatImage = NDArray[np.float32]

FEATURES = ("area", "elongation", "solidity", "contrast", "texture")


@dataclass(frozen=True)
class Blobs:
    """The blobs of one image; blob i of N has row i - 1 in the arrays.

    Attributes:
        components: H x W: number of the blob, 0 for none.
        polarity: N: -1 for darker and 1 for brighter than the surroundings.
        features: N x 5, in the order of `FEATURES`: area in pixels; elongation, the ratio of the
            axes of the ellipse with the same moments, from 1; solidity, area / area of the convex
            hull, to 1; contrast, mean absolute difference from the surroundings as a share of full
            scale; texture, standard deviation of that difference.
    """

    components: NDArray[np.int32]
    polarity: NDArray[np.int8]
    features: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.polarity)


def difference_from_background(unit: FloatImage, window: int, blur: float = 0.0) -> FloatImage:
    """Return how much brighter (> 0) or darker (< 0) each pixel of H x W is than its surroundings.

    Args:
        unit: values in [0, 1].
        window: odd side of the median filter in pixels; 0 takes the median of the whole image,
            which also shows defects that are larger than any window.
        blur: sigma in pixels of the Gaussian filter against noise, of the image but not of its
            background; 0 is off.
    """
    smooth = cast(FloatImage, cv2.GaussianBlur(unit, (0, 0), blur)) if blur else unit
    if window == 0:
        return smooth - np.float32(np.median(unit))
    # OpenCV's large medians take 8 bits; only the smooth background is rounded to them.
    background = cv2.medianBlur(np.rint(unit * 255).astype(np.uint8), window)
    difference: FloatImage = smooth - background.astype(np.float32) / np.float32(255)
    return difference


def find_blobs(
    difference: FloatImage, *, dark: float, bright: float, opening: int, closing: int
) -> Blobs:
    """Return the 8-connected blobs beyond two thresholds.

    Args:
        difference: H x W from `difference_from_background`.
        dark: a pixel is dark if it is at least this much darker.
        bright: a pixel is bright if it is at least this much brighter.
        opening: side of the square of the morphological opening, which removes specks; 1 is off.
        closing: side of the square of the closing after it, which joins pieces; 1 is off.
    """
    dark_mask = _clean(difference <= -dark, opening, closing)
    # A closing may reach over pixels of the other polarity; dark keeps those.
    bright_mask = _clean(difference >= bright, opening, closing) & (1 - dark_mask)
    dark_count, components = cv2.connectedComponents(dark_mask, connectivity=8)
    bright_count, second = cv2.connectedComponents(bright_mask, connectivity=8)
    np.copyto(components, second + (dark_count - 1), where=bright_mask.astype(bool))
    polarity = np.ones(dark_count + bright_count - 2, np.int8)
    polarity[: dark_count - 1] = -1
    return Blobs(components, polarity, _measure(components, difference, len(polarity)))


def _clean(mask: NDArray[np.bool_], opening: int, closing: int) -> NDArray[np.uint8]:
    cleaned = mask.astype(np.uint8)
    for operation, size in ((cv2.MORPH_OPEN, opening), (cv2.MORPH_CLOSE, closing)):
        if size > 1:
            cleaned = cv2.morphologyEx(cleaned, operation, np.ones((size, size), np.uint8))
    return cleaned


def _measure(
    components: NDArray[np.int32], difference: FloatImage, count: int
) -> NDArray[np.float64]:
    rows, columns = np.nonzero(components)
    numbers = components[rows, columns] - 1
    values = np.abs(difference[rows, columns]).astype(np.float64)
    area = np.bincount(numbers, minlength=count)

    def mean(quantity: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(numbers, quantity, count) / area

    y, x = rows.astype(np.float64), columns.astype(np.float64)
    y -= mean(y)[numbers]
    x -= mean(x)[numbers]
    # 1/12 is the variance of a pixel's own square, which keeps thin blobs finite.
    yy, xx, xy = mean(y * y) + 1 / 12, mean(x * x) + 1 / 12, mean(x * y)
    spread = np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    middle = (xx + yy) / 2
    elongation = np.sqrt((middle + spread) / np.maximum(middle - spread, 1e-9))
    contrast = mean(values)
    texture = np.sqrt(np.maximum(mean(values**2) - contrast**2, 0.0))
    solidity = area / _hull_areas(rows, columns, numbers, count)
    return np.stack([area, elongation, solidity, contrast, texture], axis=1)


def _hull_areas(
    rows: NDArray[np.intp], columns: NDArray[np.intp], numbers: NDArray[np.int32], count: int
) -> NDArray[np.float64]:
    """Return the area of each blob's convex hull, its pixels taken as squares.

    The hull K of the pixel centres grown by a unit square has the area |K| + w + h + 1, where w
    and h are the sides of the box around the centres.
    """
    if not count:
        return np.empty(0)
    order = np.argsort(numbers, kind="stable")
    points = np.stack([columns[order], rows[order]], axis=1).astype(np.int32)
    ends = np.cumsum(np.bincount(numbers, minlength=count))
    starts = np.concatenate([[0], ends[:-1]])
    sides = np.maximum.reduceat(points, starts) - np.minimum.reduceat(points, starts)
    areas: NDArray[np.float64] = sides.sum(axis=1) + 1.0
    for number in np.flatnonzero(sides.all(axis=1)):  # a straight row has a hull without area
        areas[number] += cv2.contourArea(cv2.convexHull(points[starts[number] : ends[number]]))
    return areas
