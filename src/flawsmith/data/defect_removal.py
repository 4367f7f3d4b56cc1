"""What the surface would look like without its defects: the background of a real defect.

A defect is covered by a piece of the same image that shows none: the one whose rim agrees best
with what surrounds the defect, lifted by the smooth interpolation of the difference along the rim
(a membrane; Perez et al. 2003, Farbman et al. 2009). Grain and pattern stay real, which an
inpainting by smooth continuation would wipe out and so teach a generator to add them.
"""

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.images import BoolArray, LabelArray

Floats = NDArray[np.float32]
Value = TypeVar("Value", bound=np.generic)

MARGIN = 4
"""Pixels by which a label grows before its surroundings count as free of the defect."""

RIM = 5
"""Width in pixels of the rim around it that must agree."""

CANDIDATES = 6
"""One of so many best donors is taken, so that a tile does not always get the same one."""


@dataclass(frozen=True)
class _Box:
    top: int
    left: int
    bottom: int
    right: int

    def of(self, array: NDArray[Value]) -> NDArray[Value]:
        return array[self.top : self.bottom, self.left : self.right]


def remove_defects(
    image: Floats,
    defects: LabelArray,
    rng: np.random.Generator,
    *,
    donor: Floats | None = None,
) -> Floats:
    """Return the image with every labelled (or ignored) region covered by defect-free surface.

    Args:
        image: H x W x C in [0, 1].
        defects: H x W, 0 = none.
        rng: chooses among the best donors.
        donor: another image without defects, same channels, for regions that leave no room for a
            donor in their own image; without one these are filled by smooth continuation.
    """
    clean = image.copy()
    labelled = (defects > 0).astype(np.uint8)
    if not labelled.any():
        return clean
    size = 2 * MARGIN + 1
    grown = cv2.dilate(labelled, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    count, regions, stats, _ = cv2.connectedComponentsWithStats(grown, connectivity=8)
    for index in range(1, count):
        left, top, width, height = stats[index, :4].tolist()
        box = _Box(
            max(0, top - RIM),
            max(0, left - RIM),
            min(image.shape[0], top + height + RIM),
            min(image.shape[1], left + width + RIM),
        )
        region = box.of(regions) == index
        rim = box.of(grown) == 0
        patch = _donor_patch(image, grown, box, rim, rng)
        if patch is None and donor is not None:
            patch = _any_patch(donor, region.shape, rng)
        view = box.of(clean)
        view[:] = _cover(view, region, rim, patch)
    return clean


def _donor_patch(
    image: Floats, grown: LabelArray, box: _Box, rim: BoolArray, rng: np.random.Generator
) -> Floats | None:
    """Return the piece of the same image, free of defects, whose rim agrees best; None if none."""
    height, width = rim.shape
    if height > image.shape[0] or width > image.shape[1]:
        return None
    taken = cv2.matchTemplate(
        (grown > 0).astype(np.float32), np.ones((height, width), np.float32), cv2.TM_CCORR
    )
    free = taken < 0.5
    if not free.any():
        return None
    # A donor close to the defect shares its light; the rim decides among those that are free.
    grey, seen = image.mean(axis=2), rim.astype(np.float32)
    template = np.ascontiguousarray(box.of(grey))
    if rim.any():
        misfit = cv2.matchTemplate(grey, template, cv2.TM_SQDIFF, mask=seen)
    else:
        misfit = rng.random(free.shape).astype(np.float32)
    misfit = np.where(free & np.isfinite(misfit), misfit, np.inf)
    few = min(CANDIDATES, int(free.sum()))
    best = np.argpartition(misfit.ravel(), few - 1)[:few]
    top, left = np.unravel_index(int(best[rng.integers(few)]), misfit.shape)
    return image[top : top + height, left : left + width]


def _any_patch(donor: Floats, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Return a random piece of another image, continued by reflection where that is smaller."""
    missing = [max(0, need - have) for need, have in zip(shape, donor.shape, strict=False)]
    if any(missing):
        donor = np.pad(donor, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="symmetric")
    top, left = (
        int(rng.integers(have - need + 1)) for need, have in zip(shape, donor.shape, strict=False)
    )
    return donor[top : top + shape[0], left : left + shape[1]]


def _cover(view: Floats, region: BoolArray, rim: BoolArray, patch: Floats | None) -> Floats:
    """Return the box with ``patch`` over the region, lifted to the tone of the rim."""
    if patch is None:
        return np.where(region[..., None], membrane(view, rim), view)
    lifted = patch + membrane(view - patch, rim) if rim.any() else patch
    alpha = cv2.GaussianBlur(region.astype(np.float32), (0, 0), 1.5)
    alpha = np.where(rim, np.minimum(alpha, 0.5), np.where(region, np.maximum(alpha, 0.5), alpha))
    mixed = view + alpha[..., None] * (np.clip(lifted, 0.0, 1.0) - view)
    return np.asarray(mixed, np.float32)


def membrane(values: Floats, known: BoolArray) -> Floats:
    """Return values of H x W x C that continue the known ones smoothly (pull and push pyramid).

    Known pixels are smoothed a little too: what is continued is their tone, not their grain.
    """
    weight = cv2.GaussianBlur(known.astype(np.float32), (0, 0), 2.0)[..., None]
    channels = values * known[..., None]
    blurred = cv2.GaussianBlur(channels, (0, 0), 2.0).reshape(values.shape)
    levels = [(blurred, weight)]
    while min(levels[-1][1].shape[:2]) > 2 and float(levels[-1][1].min()) < 0.5:
        above, certain = levels[-1]
        levels.append(
            (cv2.pyrDown(above).reshape(*_half(above), -1), cv2.pyrDown(certain)[..., None])
        )
    total, certain = levels[-1]
    filled = total / np.maximum(certain, 1e-6)
    if float(levels[-1][1].min()) < 1e-3:
        mean = total.sum(axis=(0, 1)) / max(float(certain.sum()), 1e-6)
        filled = np.where(certain > 1e-3, filled, mean)
    for total, certain in reversed(levels[:-1]):
        height, width = certain.shape[:2]
        below = cv2.pyrUp(filled.astype(np.float32), dstsize=(width, height))
        share = np.clip(certain / 0.5, 0.0, 1.0)
        own = total / np.maximum(certain, 1e-6)
        filled = share * own + (1.0 - share) * below.reshape(total.shape)
    return np.asarray(filled, np.float32)


def _half(array: Floats) -> tuple[int, int]:
    return (array.shape[0] + 1) // 2, (array.shape[1] + 1) // 2
