"""A shape between two real ones: their signed distances, aligned and mixed."""

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.mask_bank.shapes import SATELLITE_GAP, Mask, trim

WORK_SIDE = 96
"""Longer side, in pixels, of the frame in which shapes are mixed: what is finer is no shape."""

LARGEST_ZOOM = 3.0
"""Small masks are mixed in a finer frame: the distances of a few pixels are coarse."""

LEAST_KEPT = 0.6
"""Share of the expected area that must be in one piece; else the mixture is no defect."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Form:
    """A mask, reduced to at most the working side, with what aligns it.

    Attributes:
        picture: h x w in [0, 1].
        reduction: side of it over that of the mask, at most 1.
        centre: (x, y) of the centroid in the picture.
        axis: angle of the main axis in radians, from x to y.
        area: of the mask, in pixels.
    """

    picture: Floats
    reduction: float
    centre: tuple[float, float]
    axis: float
    area: int

    @classmethod
    def of(cls, mask: Mask) -> Self:
        """Measure a mask with at least one pixel."""
        picture = mask.astype(np.float32)
        reduction = min(1.0, WORK_SIDE / max(mask.shape))
        if reduction < 1.0:
            size = (max(1, round(s * reduction)) for s in mask.shape[::-1])
            picture = cv2.resize(picture, tuple(size), interpolation=cv2.INTER_AREA)
        # OpenCV takes two columns for a list of points; empty ones beside them change nothing.
        m = cv2.moments(np.pad(picture, ((0, 0), (0, 2))) if picture.shape[1] == 2 else picture)
        axis = 0.5 * float(np.arctan2(2 * m["mu11"], m["mu20"] - m["mu02"]))
        centre = (m["m10"] / m["m00"], m["m01"] / m["m00"])
        return cls(picture, reduction, centre, axis, int(np.count_nonzero(mask)))

    @property
    def diameter(self) -> float:
        """Diameter of a disc of the same area, in pixels of the mask."""
        return float(np.sqrt(4 / np.pi * self.area))

    def map_from(self, diameter: float, turn: float, mirror: bool) -> NDArray[np.float64]:
        """Return the 2 x 2 map from picture to result, both around the centre."""
        scale = diameter / self.diameter / self.reduction
        cosine, sine = scale * np.cos(turn), scale * np.sin(turn)
        linear = np.array([[cosine, -sine], [sine, cosine]])
        if not mirror:
            return linear
        # Across its own axis, so that the axis stays where it is.
        double = 2 * self.axis
        flip = np.array([[np.cos(double), np.sin(double)], [np.sin(double), -np.cos(double)]])
        flipped: NDArray[np.float64] = linear @ flip
        return flipped

    def reach(self, linear: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return 2 x 2: the least and greatest (x, y) of the mapped picture around the centre."""
        height, width = self.picture.shape
        ends = np.array([[0, 0, width, width], [0, height, 0, height]], np.float64)
        mapped = linear @ (ends - np.array(self.centre)[:, None])
        return np.stack([mapped.min(axis=1), mapped.max(axis=1)])

    def signed_distance(
        self, linear: NDArray[np.float64], origin: NDArray[np.float64], size: tuple[int, int]
    ) -> Floats:
        """Return the distance to the outline, positive inside, in pixels of the frame.

        Args:
            linear: from picture to frame.
            origin: (x, y) in the frame to which the centre goes.
            size: width and height of the frame.
        """
        affine = np.column_stack([linear, origin - linear @ np.array(self.centre)])
        inside = (cv2.warpAffine(self.picture, affine, size) > 0.5).astype(np.uint8)
        if not inside.any():
            inside[int(origin[1]), int(origin[0])] = 1
        within = cv2.distanceTransform(inside, cv2.DIST_L2, 3)
        beyond = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 3)
        distance: Floats = within - beyond
        return distance


def interpolate(
    one: Form, two: Form, share: float, rng: np.random.Generator, *, aligned: bool
) -> Mask | None:
    """Return a shape between two masks with the direction of the first, or None if it falls apart.

    The centroids are laid on each other. The area is the geometric mean of both, weighted like
    the shapes.

    Args:
        one: the first mask.
        two: the other.
        share: of the other, 0 to 1.
        rng: draws how the other is turned and mirrored.
        aligned: leave the other as it is, instead of laying its main axis on the first's.
    """
    diameter = float(one.diameter ** (1 - share) * two.diameter**share)
    turn = 0.0 if aligned else one.axis - two.axis + np.pi * rng.integers(2)
    mirror = not aligned and bool(rng.random() < 0.5)
    maps = [one.map_from(diameter, 0.0, False), two.map_from(diameter, turn, mirror)]
    reaches = np.stack([form.reach(m) for form, m in zip((one, two), maps, strict=True)])
    low, high = reaches[:, 0].min(axis=0) - 2, reaches[:, 1].max(axis=0) + 2
    zoom = min(LARGEST_ZOOM, WORK_SIDE / float((high - low).max()))
    width, height = (np.ceil((high - low) * zoom).astype(int)).tolist()
    first, second = (
        form.signed_distance(m * zoom, -low * zoom, (width, height))
        for form, m in zip((one, two), maps, strict=True)
    )
    field = np.float32(1 - share) * first + np.float32(share) * second
    wanted = max(1, round(np.pi / 4 * (diameter * zoom) ** 2))
    if np.count_nonzero(field > 0) < LEAST_KEPT * wanted or wanted >= field.size:
        return None
    level = np.partition(field.ravel(), -wanted)[-wanted]
    field[~main_piece(field >= level, zoom)] = level - 1
    if np.count_nonzero(field >= level) < LEAST_KEPT * wanted:
        return None
    whole = tuple((np.ceil((high - low))).astype(int).tolist())
    mode = cv2.INTER_AREA if zoom > 1 else cv2.INTER_LINEAR
    mixed = cv2.resize(field, whole, interpolation=mode) >= level
    return trim(mixed).mask.copy() if mixed.any() else None


def main_piece(mask: Mask, zoom: float = 1.0) -> Mask:
    """Return the largest piece of a mask with the satellites that belong to it.

    Args:
        mask: with at least one pixel.
        zoom: pixels of the mask for one of the image, in which the gap of satellites is given.
    """
    reach = 2 * round(SATELLITE_GAP / 2 * zoom) + 1
    marked = mask.astype(np.uint8)
    grown = cv2.dilate(marked, np.ones((reach, reach), np.uint8))
    _, labels = cv2.connectedComponents(grown, connectivity=8)
    counts = np.bincount(labels[mask])
    kept: Mask = mask & (labels == int(counts.argmax()))
    return kept
