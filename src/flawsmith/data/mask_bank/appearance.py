"""What a real defect looks like: its pixels with a margin, under the map that varied its mask."""

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.images import BoolArray, ImageArray, LabelArray, to_unit
from flawsmith.data.mask_bank.shapes import Mask, Piece, Variant
from flawsmith.data.schema import Schema

MARGIN_SHARE = 0.25
MARGIN_PIXELS = (12, 32)
"""Least and most pixels that are kept around the box of a mask; the share is of its longer side."""

DRAWN_MARGIN = 24
"""Pixels around a drawn mask that its exemplar shows, as far as they were kept."""

NEIGHBOUR_GAP = 2
"""Other defects and ignored pixels are unknown, and so are this many pixels around them."""


TONE_TOLERANCE = 0.1
ROUGHNESS_TOLERANCE = 0.5
"""Differences of tone, and of the logarithm of roughness, that a defect is moved over easily."""

LEAST_ROUGHNESS = 0.01


@dataclass(frozen=True)
class Appearance:
    """The picture of one defect.

    Attributes:
        pixels: as stored: H x W or H x W x 3, uint8 or uint16.
        known: H x W, false on other defects.
        above: rows of it above the box of the mask.
        before: columns of it left of the box of the mask.
    """

    pixels: ImageArray
    known: BoolArray
    above: int
    before: int

    @classmethod
    def of(cls, image: ImageArray, defects: LabelArray, piece: Piece) -> Self:
        """Cut a defect with its margin out of an image.

        Args:
            image: H x W or H x W x 3.
            defects: H x W.
            piece: the mask of the defect and where it is.
        """
        rows, columns = piece.mask.shape
        margin = int(np.clip(round(MARGIN_SHARE * max(rows, columns)), *MARGIN_PIXELS))
        top, left = max(0, piece.top - margin), max(0, piece.left - margin)
        box = (slice(top, piece.top + rows + margin), slice(left, piece.left + columns + margin))
        above, before = piece.top - top, piece.left - left
        others = (defects[box] > 0).astype(np.uint8)
        others[above : above + rows, before : before + columns][piece.mask] = 0
        size = 2 * NEIGHBOUR_GAP + 1
        known = cv2.dilate(others, np.ones((size, size), np.uint8)) == 0
        known[above : above + rows, before : before + columns] |= piece.mask
        return cls(image[box].copy(), known, above, before)

    @property
    def size_bytes(self) -> int:
        """Memory it takes, about."""
        return self.pixels.nbytes + self.known.nbytes + 256

    def warped(
        self, source: NDArray[np.float32], schema: Schema
    ) -> tuple[NDArray[np.float32], BoolArray]:
        """Return the H x W x C picture in [0, 1] under a map, and where it is known.

        Args:
            source: H x W x 2, the point (x, y) of the mask that each pixel shows.
            schema: says what a pixel value means.
        """
        points = source + np.array([self.before, self.above], np.float32)
        # Cubic sampling reaches two pixels; the part that is seen spares converting all of it.
        low = np.clip(np.floor(points.min(axis=(0, 1))).astype(int) - 3, 0, None)
        high = np.ceil(points.max(axis=(0, 1))).astype(int) + 4
        low = np.minimum(low, np.array(self.known.shape[::-1]) - 1)
        box = (slice(low[1], max(high[1], low[1] + 1)), slice(low[0], max(high[0], low[0] + 1)))
        maps = points - low.astype(np.float32)
        unit = to_unit(self.pixels[box], schema)
        picture = cv2.remap(
            unit, maps[..., 0], maps[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        known = cv2.remap(
            self.known[box].astype(np.float32),
            maps[..., 0],
            maps[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=0,
        )
        return np.clip(picture, 0.0, 1.0).reshape(*known.shape, -1), known > 0.999


@dataclass(frozen=True)
class Surface:
    """Tone and roughness of a surface, of the full scale."""

    tone: float
    roughness: float

    @classmethod
    def of(cls, unit: NDArray[np.float32], seen: BoolArray | None = None) -> Self:
        """Measure a H x W x C picture in [0, 1], where it is seen."""
        values = unit.mean(axis=2)
        chosen = values if seen is None or not seen.any() else values[seen]
        return cls(float(chosen.mean()), float(chosen.std()))

    def likeness(self, other: "Surface") -> float:
        """Return the logarithm of how much another surface is like this one, 0 for the same."""
        tone = (self.tone - other.tone) / TONE_TOLERANCE
        ratio = np.log((self.roughness + LEAST_ROUGHNESS) / (other.roughness + LEAST_ROUGHNESS))
        return -0.5 * float(tone**2 + (ratio / ROUGHNESS_TOLERANCE) ** 2)


def surface_around(appearance: Appearance, mask: Mask, schema: Schema) -> Surface:
    """Return what the surface around a defect is like."""
    defect = np.zeros(appearance.known.shape, np.uint8)
    rows, columns = mask.shape
    above, before = appearance.above, appearance.before
    defect[above : above + rows, before : before + columns] = mask
    off = appearance.known & (cv2.dilate(defect, np.ones((5, 5), np.uint8)) == 0)
    return Surface.of(to_unit(appearance.pixels, schema), off)


def grain(appearance: Appearance, mask: Mask) -> complex:
    """Return how much the surface around a defect has a direction: coherence * exp(2i angle).

    From the structure tensor: 0 for isotropic grain, modulus 1 for straight parallel lines, whose
    angle it is.
    """
    grey = appearance.pixels.astype(np.float32)
    grey = grey.mean(axis=2) if grey.ndim == 3 else grey
    if min(grey.shape) < 3:
        return 0j
    defect = np.zeros(grey.shape, np.uint8)
    rows, columns = mask.shape
    above, before = appearance.above, appearance.before
    defect[above : above + rows, before : before + columns] = mask
    off = appearance.known & (cv2.dilate(defect, np.ones((9, 9), np.uint8)) == 0)
    y, x = (side[off] for side in np.gradient(cv2.GaussianBlur(grey, (0, 0), 1.0)))
    power = float((x * x + y * y).sum())
    if power == 0.0:
        return 0j
    # Lines run across the gradient: a turn by 90 degrees is a sign in the doubled angle.
    return -complex(float((x * x - y * y).sum()), 2.0 * float((x * y).sum())) / power


@dataclass(frozen=True)
class Exemplar:
    """The real defects of a drawn label map, each in its place.

    Attributes:
        image: H x W x C float32 in [0, 1], 0 where nothing is known.
        known: H x W, the masks and their margins.
    """

    image: NDArray[np.float32]
    known: BoolArray

    @classmethod
    def empty(cls, height: int, width: int, channels: int) -> Self:
        """Return one that knows nothing yet."""
        return cls(
            np.zeros((height, width, channels), np.float32), np.zeros((height, width), np.bool_)
        )

    def paste(
        self,
        appearance: Appearance,
        variant: Variant,
        piece: Piece,
        schema: Schema,
        others: BoolArray,
    ) -> None:
        """Put a varied defect where its mask was placed.

        The margin of each defect ends where another one is nearer, and a pixel there is unknown:
        what is connected was seen on one surface, so that its tone can be matched by itself.

        Args:
            appearance: of the defect.
            variant: its varied mask, with the source of each pixel.
            piece: where the mask was placed, possibly cut.
            schema: says what a pixel value means.
            others: H x W, the defects that are there already.
        """
        assert variant.source is not None  # asked for with `Variation.margin`
        margin = (len(variant.source) - len(variant.mask)) // 2
        picture, known = appearance.warped(variant.source, schema)
        own = np.pad(variant.mask, margin)
        top, left = piece.top - piece.above - margin, piece.left - piece.before - margin
        height, width = self.known.shape
        there = (
            slice(max(0, top), max(0, min(height, top + known.shape[0]))),
            slice(max(0, left), max(0, min(width, left + known.shape[1]))),
        )
        here = tuple(
            slice(s.start - o, s.stop - o) for s, o in zip(there, (top, left), strict=True)
        )
        take = own[here] | (known[here] & _nearer(piece, others)[there])
        self.image[there][take] = picture[here][take]
        self.known[there][take] = True
        taken = np.zeros(self.known.shape, np.bool_)
        taken[there] = take
        beside = cv2.dilate(taken.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        between = beside & ~taken & ~others
        self.image[between] = 0
        self.known[between] = False


def _nearer(piece: Piece, others: BoolArray) -> BoolArray:
    """Return H x W, what is nearer to a mask in its place than to the other defects, if any."""
    if not others.any():
        return np.ones(others.shape, np.bool_)
    mine = np.zeros(others.shape, np.bool_)
    rows, columns = piece.mask.shape
    mine[piece.top : piece.top + rows, piece.left : piece.left + columns] = piece.mask
    own, other = (
        cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        for mask in (mine, others)
    )
    nearer: BoolArray = own < other
    return nearer
