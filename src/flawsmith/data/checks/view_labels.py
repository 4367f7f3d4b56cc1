"""Labels that differ between the views of one part: label noise, or a defect one light hides."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.check_report import Box, Finding
from flawsmith.data.dataset import ImageRecord
from flawsmith.data.images import BoolArray, ImageArray, LabelArray
from flawsmith.data.schema import Schema

Floats = NDArray[np.float32]

MOST_VIEWS = 16
"""Labelled views of a part that are compared; it bounds the memory."""

_SIDE = 256
_LEAST_SIDE = 32
# benchmarks/check_findings.py, magnetic tiles: 99 % of the pairs of one tile are above 0.5, 99 %
# of those of two tiles below 0.26.
_REGISTERED = 0.3
_LEAST_OVERLAP = 0.5
_TOLERANCE = 2
_COVERED, _AREA_RATIO, _LEAST_AREA = 0.4, 3.0, 8


@dataclass(frozen=True)
class _View:
    record: ImageRecord
    texture: Floats
    mask: LabelArray
    areas: dict[int, int]
    boxes: dict[int, Box]


@dataclass(frozen=True)
class _Difference:
    """How one class differs between two views.

    Attributes:
        badness: share of one view's regions that the other leaves out.
        defect: index of the class.
        overlap: intersection over union.
        shift: (x, y) in pixels of the small copies.
    """

    badness: float
    defect: int
    other: _View
    overlap: float
    shift: tuple[int, int]


@dataclass
class PartViews:
    """The labelled views of one part, small.

    Attributes:
        reduction: pixels of an image per pixel of its small copy, the same for all views.
    """

    reduction: int
    views: list[_View] = field(default_factory=list)

    @classmethod
    def of(cls, records: Sequence[ImageRecord]) -> "PartViews | None":
        """Prepare for the records of a part; None if fewer than two views could be compared."""
        labelled = [r for r in records if is_comparable(r)]
        if len(labelled) < 2:
            return None
        side = max(max(r.height, r.width) for r in labelled)
        return cls(reduction=-(-side // _SIDE))

    def add(self, record: ImageRecord, pixels: ImageArray, mask: LabelArray, classes: int) -> None:
        """Keep a small copy of a view."""
        size = (record.width // self.reduction, record.height // self.reduction)
        if len(self.views) >= MOST_VIEWS or min(size) < _LEAST_SIDE:
            return
        small = np.zeros((size[1], size[0]), np.uint8)
        areas: dict[int, int] = {}
        boxes: dict[int, Box] = {}
        for defect in range(1, classes + 1):
            inside = (mask == defect).astype(np.uint8)
            x, y, width, height = cv2.boundingRect(inside)
            if width:
                areas[defect] = cv2.countNonZero(inside)
                boxes[defect] = (x, y, x + width, y + height)
                small[_touched(inside, self.reduction, size)] = defect
        self.views.append(
            _View(
                record=record,
                texture=texture_of(pixels, size),
                mask=small,
                areas=areas,
                boxes=boxes,
            )
        )

    def compare(self, schema: Schema) -> Finding | None:
        """Return the view whose labels differ most from those of the typical one."""
        if len(self.views) < 2:
            return None
        ordered = sorted(self.views, key=lambda view: sum(view.areas.values()))
        typical = ordered[len(ordered) // 2]
        differing = []
        for other in self.views:
            if other is not typical:
                found = _difference(typical, other)
                if found is not None:
                    differing.append(found)
        if not differing:
            return None
        worst = max(differing, key=lambda difference: difference.badness)
        others = [d.other for d in sorted(differing, key=lambda d: -d.badness)]
        # Where most views differ from it, the odd one is the one thought typical.
        if len(differing) > 1 and 2 * len(differing) > len(self.views) - 1:
            return self._finding(typical, others, worst, schema, 1)
        rest = [typical, *(other for other in others if other is not worst.other)]
        return self._finding(worst.other, rest, worst, schema, len(differing))

    def _finding(
        self, odd: _View, others: Sequence[_View], worst: _Difference, schema: Schema, count: int
    ) -> Finding:
        """Return the finding about a view, compared with the first of the others."""
        name, other = schema.defect_names[worst.defect - 1], others[0]
        x, y = (step * self.reduction for step in worst.shift)
        moved = f", moved by x={x}, y={y} px" if x or y else ""
        further = f"; {count} of {len(self.views)} views differ" if len(self.views) > 2 else ""
        return Finding(
            kind="view_labels_differ",
            file=odd.record.file_name,
            message=f"part {odd.record.part}: {name} is {odd.areas.get(worst.defect, 0):,} px here"
            f" and {other.areas.get(worst.defect, 0):,} px in {other.record.file_name}; "
            f"they share {100 * worst.overlap:.0f} % of their area{moved}{further}",
            others=[view.record.file_name for view in others],
            box=odd.boxes.get(worst.defect) or other.boxes.get(worst.defect),
        )


def is_comparable(record: ImageRecord) -> bool:
    """Tell whether a record is a labelled view of a piece, with a mask."""
    return record.excluded is None and record.source == "real" and record.mask_file_name is not None


def texture_of(pixels: ImageArray, size: tuple[int, int]) -> Floats:
    """Return gradients over their local mean, of mean 0 and spread 1: alike under other light."""
    grey = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    small = cv2.GaussianBlur(small, (0, 0), 1.0)
    steps = cv2.magnitude(cv2.Sobel(small, cv2.CV_32F, 1, 0), cv2.Sobel(small, cv2.CV_32F, 0, 1))
    steps /= cv2.blur(steps, (21, 21)) + np.float32(0.25 * steps.mean() + 1e-3)
    texture: Floats = np.minimum(steps, 3) - np.minimum(steps, 3).mean()
    return texture / np.float32(texture.std() + 1e-6)


def _touched(inside: LabelArray, reduction: int, size: tuple[int, int]) -> BoolArray:
    """Return where a pixel of the small copy has one of a region."""
    width, height = size
    cut = inside[: height * reduction, : width * reduction].astype(np.float32)
    touched: BoolArray = cv2.resize(cut, size, interpolation=cv2.INTER_AREA) > 0
    return touched


def register(first: Floats, second: Floats) -> tuple[float, tuple[int, int]]:
    """Return the correlation of two textures and the (x, y) that moves the first onto the second.

    As they lie if they have one size, and as phase correlation says; whichever fits better.
    """
    height = cv2.getOptimalDFTSize(max(first.shape[0], second.shape[0]))
    width = cv2.getOptimalDFTSize(max(first.shape[1], second.shape[1]))
    canvas = np.zeros((2, height, width), np.float32)
    for place, texture in zip(canvas, (first, second), strict=True):
        place[: texture.shape[0], : texture.shape[1]] = texture
    (x, y), _ = cv2.phaseCorrelate(canvas[0], canvas[1])
    proposed = [(0, 0), (round(x), round(y))]
    return max((_correlation(first, second, shift), shift) for shift in proposed)


def _overlap(
    first: tuple[int, ...], second: tuple[int, ...], shift: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return the windows of two images that show the same place."""
    ends = []
    for axis, step in ((0, shift[1]), (1, shift[0])):
        start, stop = max(0, -step), min(first[axis], second[axis] - step)
        stop = max(start, stop)
        ends.append((slice(start, stop), slice(start + step, stop + step)))
    return (ends[0][0], ends[1][0]), (ends[0][1], ends[1][1])


def _correlation(first: Floats, second: Floats, shift: tuple[int, int]) -> float:
    mine, theirs = _overlap(first.shape, second.shape, shift)
    a, b = first[mine], second[theirs]
    if a.size < _LEAST_OVERLAP * min(first.size, second.size):
        return -1.0
    return float(np.mean(a * b))


def _difference(first: _View, second: _View) -> _Difference | None:
    """Return the class that differs most; None if views do not lie on each other or agree."""
    likeness, shift = register(first.texture, second.texture)
    if likeness < _REGISTERED:
        return None
    mine, theirs = _overlap(first.mask.shape, second.mask.shape, shift)
    a, b = first.mask[mine], second.mask[theirs]
    found = []
    for defect in sorted(set(first.areas) | set(second.areas)):
        inside = (a == defect, b == defect)
        sizes = [int(part.sum()) for part in inside]
        # Else it lies outside of what both show, or is a crumb.
        if max(sizes) < _LEAST_AREA:
            continue
        covered = min(_covered(*inside), _covered(*inside[::-1]))
        if covered < _COVERED or max(sizes) > _AREA_RATIO * min(sizes):
            union = int((inside[0] | inside[1]).sum())
            shared = int((inside[0] & inside[1]).sum()) / union
            found.append(_Difference(1 - covered, defect, second, shared, shift))
    return max(found, key=lambda difference: difference.badness, default=None)


def _covered(region: BoolArray, other: BoolArray) -> float:
    """Return the share of a region on the other or within the tolerance of it."""
    if not region.any():
        return 0.0
    side = 2 * _TOLERANCE + 1
    wide = cv2.dilate(other.astype(np.uint8), np.ones((side, side), np.uint8)).astype(bool)
    return float(wide[region].mean())
