"""Masks that lie beside what they mark: image edges that support a shifted contour better.

Along the contour of the labelled regions the gradient across it is averaged with its sign. On the
rim of a defect it is large, for the inside is darker (or brighter) all along; beside it, edges of
the texture cancel. Gradients are divided by their local mean, so a weak defect counts like a
strong one and no bright edge far away attracts a mask.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.check_report import Box, Finding
from flawsmith.data.dataset import ImageRecord
from flawsmith.data.images import ImageArray, LabelArray
from flawsmith.data.schema import IGNORE, Schema

Complexes = NDArray[np.complex64]
Floats = NDArray[np.float32]

REACH = 24
"""Pixels up to which a shift is looked for."""

LEAST_SHIFT = 4.0
"""Pixels; less is within the width of a soft edge and of an annotator's line."""

_SMOOTHED = 1.5
_NEIGHBOURHOOD = 31
_STRONGEST = 3.0  # times the local mean; one glint must not outweigh a rim
_POINTS, _LEAST_POINTS = 200, 20
_INSIDE = 0.7  # share of the contour that a shift must leave in the image
_LARGEST = 1 << 24
# Calibrated with benchmarks/check_findings.py, like the three below.
_SUPPORT = 0.8
_RATIO = 0.6
_FEW, _FEW_SUPPORT, _FEW_RATIO = 5, 1.2, 0.5
_CONSISTENT_IMAGES, _CONSISTENT_SUPPORT, _CONSISTENT_RATIO = 10, 0.4, 0.75


def _shifts() -> NDArray[np.int64]:
    angles = np.arange(16) * np.pi / 8
    circle = np.stack([np.cos(angles), np.sin(angles)], 1)
    rings = [np.rint(radius * circle) for radius in range(0, REACH + 1, 2)]
    return np.unique(np.concatenate(rings).astype(np.int64), axis=0)


SHIFTS = _shifts()
"""N x 2: (dx, dy) in pixels, to the right and down."""

_RADII = np.hypot(SHIFTS[:, 0], SHIFTS[:, 1])
_NEAR = _RADII < LEAST_SHIFT
_FAR = ~_NEAR


@dataclass(frozen=True)
class Support:
    """How well an image supports the contour of one class under each of `SHIFTS`.

    Attributes:
        values: from 0 (by chance) to about 3; -1 where the contour leaves the image.
        box: around the regions of the class.
    """

    record: ImageRecord
    defect: str
    box: Box
    values: NDArray[np.float16]

    @property
    def here(self) -> float:
        """Support where the mask is, give or take what is no shift yet."""
        return float(self.values[_NEAR].max())

    @property
    def best(self) -> tuple[float, NDArray[np.int64]]:
        """The largest support of a shifted contour, and the shift."""
        index = int(np.where(_FAR, self.values, -2).argmax())
        return float(self.values[index]), SHIFTS[index]

    def is_elsewhere(self, least: float, ratio: float) -> bool:
        """Tell whether a shifted contour is clearly better supported."""
        best = self.best[0]
        return best >= least and self.here < ratio * best


def measure(
    record: ImageRecord, pixels: ImageArray, mask: LabelArray, schema: Schema
) -> list[Support]:
    """Return the support of each class of an image whose place is known pixel by pixel."""
    found = []
    for defect in schema.defects:
        if defect.name in record.weak_labels:
            continue
        inside = (mask == defect.id).astype(np.uint8)
        x, y, width, height = cv2.boundingRect(inside)
        if not width:
            continue
        margin = REACH + _NEIGHBOURHOOD // 2
        window = (
            slice(max(0, y - margin), y + height + margin),
            slice(max(0, x - margin), x + width + margin),
        )
        if inside[window].size > _LARGEST:
            continue
        values = profile(pixels[window], inside[window], mask[window] == IGNORE)
        if values is not None:
            box = (x, y, x + width, y + height)
            found.append(Support(record, defect.name, box, values.astype(np.float16)))
    return found


def profile(
    pixels: ImageArray, inside: LabelArray, ignored: NDArray[np.bool_] | None = None
) -> Floats | None:
    """Return the support of a region's contour for each of `SHIFTS`; None if it is too short.

    Args:
        pixels: H x W or H x W x 3.
        inside: H x W of 0 and 1.
        ignored: where the contour does not count.
    """
    steps = _gradients(pixels)
    x, y, normals = _contour(inside, ignored)
    if len(x) < _LEAST_POINTS:
        return None
    height, width = inside.shape
    # With a rim of zeros every shift is one offset of the flat index.
    padded = np.pad(steps, REACH)
    places = (y + REACH) * padded.shape[1] + x + REACH
    offsets = SHIFTS[:, 1] * padded.shape[1] + SHIFTS[:, 0]
    sums = np.abs((padded.ravel()[offsets[:, None] + places] @ normals.conj()).real)
    columns, rows = x + SHIFTS[:, :1], y + SHIFTS[:, 1:]
    counts = ((columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)).sum(1)
    means = sums / np.maximum(counts, 1)
    values: Floats = np.where(counts >= _INSIDE * len(x), means, -1.0).astype(np.float32)
    return values


def _gradients(pixels: ImageArray) -> Complexes:
    """Return x + iy of the gradient over its local mean, H x W."""
    grey = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), _SMOOTHED)
    across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    size = cv2.magnitude(across, down)
    local = cv2.blur(size, (_NEIGHBOURHOOD, _NEIGHBOURHOOD))
    # A quarter of the mean: where nothing is, noise must not be blown up.
    local += np.float32(0.25 * size.mean() + 1e-3)
    factor = 1 / np.maximum(local, size / np.float32(_STRONGEST))
    steps: Complexes = np.empty(grey.shape, np.complex64)
    steps.real, steps.imag = across * factor, down * factor
    return steps


def _contour(
    inside: LabelArray, ignored: NDArray[np.bool_] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], Complexes]:
    """Return x, y and the unit normals of points on the contour, the image's rim left out."""
    edge = inside.astype(bool) & ~cv2.erode(inside, np.ones((3, 3), np.uint8)).astype(bool)
    if ignored is not None and ignored.any():
        edge &= ~cv2.dilate(ignored.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    edge[[0, -1]] = False
    edge[:, [0, -1]] = False
    y, x = np.nonzero(edge)
    if len(y) > _POINTS:
        chosen = np.linspace(0, len(y) - 1, _POINTS).astype(np.int64)
        y, x = y[chosen], x[chosen]
    soft = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), _SMOOTHED)
    across, down = (cv2.Sobel(soft, cv2.CV_32F, *order)[y, x] for order in ((1, 0), (0, 1)))
    normals: Complexes = (across + 1j * down).astype(np.complex64)
    normals /= np.maximum(np.abs(normals), 1e-6)
    return x, y, normals


def misaligned(supports: Sequence[Support]) -> list[Finding]:
    """Return masks that lie elsewhere than what they mark: all alike, or one by one.

    Where the masks of a class mostly run along no edge, edges tell nothing about any of them.
    """
    consistent = _consistent(supports)
    if consistent is not None:
        return [consistent]
    here: dict[str, list[float]] = {}
    for support in supports:
        here.setdefault(support.defect, []).append(support.here)
    found: dict[str, Finding] = {}
    for support in supports:
        typical = here[support.defect]
        few = len(typical) < _FEW
        if not few and float(np.median(typical)) < _SUPPORT:
            continue
        limits = (_FEW_SUPPORT, _FEW_RATIO) if few else (_SUPPORT, _RATIO)
        if support.record.file_name not in found and support.is_elsewhere(*limits):
            found[support.record.file_name] = _finding(support)
    return list(found.values())


def _finding(support: Support) -> Finding:
    best, shift = support.best
    mask = support.record.mask_file_name
    return Finding(
        kind="misaligned_mask",
        file=support.record.file_name,
        message=f"{support.defect}: edges of the image fit the mask better when it is moved "
        f"{_direction(shift)} (support {best:.2f}, where it is {support.here:.2f})",
        others=[mask] if mask else [],
        box=support.box,
    )


def _consistent(supports: Iterable[Support]) -> Finding | None:
    """Return a finding for the whole set if the masks together fit better under one shift."""
    known = [s for s in supports if s.values.min() >= 0]
    if len({s.record.file_name for s in known}) < _CONSISTENT_IMAGES:
        return None
    mean = np.mean([s.values.astype(np.float32) for s in known], axis=0)
    index = int(mean.argmax())
    here = float(mean[_RADII < 1].max())
    if _RADII[index] < LEAST_SHIFT or mean[index] < _CONSISTENT_SUPPORT:
        return None
    if here >= _CONSISTENT_RATIO * mean[index]:
        return None
    return Finding(
        kind="misaligned_mask",
        file="",
        message=f"the masks of the set together fit edges of the images better when they are moved "
        f"{_direction(SHIFTS[index])} (support {mean[index]:.2f}, where they are {here:.2f}; "
        f"{len(known)} regions): were they drawn on images of another crop or size?",
    )


def _direction(shift: NDArray[np.int64]) -> str:
    x, y = int(shift[0]), int(shift[1])
    words: list[str] = []
    if x:
        words.append(f"{abs(x)} px {'right' if x > 0 else 'left'}")
    if y:
        words.append(f"{abs(y)} px {'down' if y > 0 else 'up'}")
    return "about " + " and ".join(words)
