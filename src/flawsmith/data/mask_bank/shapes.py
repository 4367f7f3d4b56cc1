"""Shapes of defects: single instances out of a mask, and geometric variants of one."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

SATELLITE_GAP = 4
"""Pieces of one class at most this many pixels apart are one defect: a broken crack, a splash."""

SCALES = (0.7, 1.4)
LARGEST_SHEAR = 0.15
AREA_CHANGE = (0.85, 1.2)
"""Factor on the area after scaling: a mild erosion or dilation."""
ELASTIC_SHARE = 0.04
"""Standard deviation of the elastic displacement, of the mask's size."""
LARGEST_ELASTIC = 3.0
"""Its limit, in pixels."""
UPRIGHT_ANGLE = 15.0
"""Largest turn, in degrees, of a class that has its own direction."""
GRAIN_ANGLE = 4.0
"""The same of a picture whose texture has the direction of the surface around it."""


@dataclass(frozen=True)
class Piece:
    """A defect cut out of a mask: its pixels and where their box begins.

    Attributes:
        above: rows that were cut off above the box.
        before: columns that were cut off left of it.
    """

    mask: Mask
    top: int
    left: int
    above: int = 0
    before: int = 0


def split_instances(mask: Mask) -> Iterator[Piece]:
    """Yield the single defects of a mask: 8-connected regions, close satellites joined."""
    marked = mask.astype(np.uint8)
    # Two pixels grow together when the gap between them is at most twice the reach.
    reach = SATELLITE_GAP // 2
    grown = cv2.dilate(marked, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(grown, connectivity=8)
    for index, (left, top, width, height, _) in enumerate(stats[1:].tolist(), start=1):
        box = (slice(top, top + height), slice(left, left + width))
        piece = mask[box] & (labels[box] == index)
        trimmed = trim(piece)
        yield Piece(trimmed.mask.copy(), top + trimmed.top, left + trimmed.left)


def trim(mask: Mask) -> Piece:
    """Return the smallest box of a mask that holds all its pixels; the mask must have some."""
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    return Piece(mask[top : rows[-1] + 1, left : columns[-1] + 1], top, left)


def heart(mask: Mask) -> tuple[int, int]:
    """Return the (y, x) of the pixel of the mask that is nearest to its centroid."""
    ys, xs = np.nonzero(mask)
    nearest = int(np.argmin((ys - ys.mean()) ** 2 + (xs - xs.mean()) ** 2))
    return int(ys[nearest]), int(xs[nearest])


def direction(mask: Mask) -> complex:
    """Return elongation * exp(2i angle): 0 for a round shape, modulus 1 for a straight line."""
    ys, xs = np.nonzero(mask)
    x, y = xs - xs.mean(), ys - ys.mean()
    spread = float((x * x + y * y).sum())
    if spread == 0.0:
        return 0j
    return complex(float((x * x - y * y).sum()), 2.0 * float((x * y).sum())) / spread


@dataclass(frozen=True)
class Variant:
    """A varied mask and where it comes from.

    Attributes:
        mask: h x w, trimmed.
        source: (h + 2 m) x (w + 2 m) x 2 float32, for a margin of m pixels: the point (x, y) of
            the given mask that each pixel shows, also outside of it; None without a margin.
    """

    mask: Mask
    source: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Variation:
    """How `vary` may change a mask.

    Attributes:
        upright: keep the direction: turn by at most 15 degrees (and 180), never mirror.
        seated: keep which side is up: turn by at most 4 degrees, never mirror.
        keeps_grain: keep that of a texture: turn by at most 4 degrees (and 180).
        scale: factor on lengths; by default random.
        largest_elastic: limit of the standard deviation of the bend, in pixels.
        elastic_share: the same, of the mask's size.
        margin: pixels around the result whose source is wanted too; the area then follows the
            scale alone, so that the mask stays that of the picture under it.
    """

    upright: bool = False
    seated: bool = False
    keeps_grain: bool = False
    scale: float | None = None
    largest_elastic: float = LARGEST_ELASTIC
    elastic_share: float = ELASTIC_SHARE
    margin: int | None = None


def vary(
    mask: Mask, rng: np.random.Generator, variation: Variation, *, height: int, width: int
) -> Variant:
    """Return a turned, mirrored, scaled, sheared and bent copy, at most height x width pixels.

    The area follows the scale: the brightest pixels of the interpolated mask are kept, as many as
    the area asks for, so lines of one pixel neither vanish nor break. What is larger than the
    limit is cropped around a random pixel of the mask and then fills the limit along that axis:
    the cut lies on the edge of the tile and nowhere else.

    Args:
        mask: a box around the defect, with at least one pixel set.
        rng: everything random is drawn from it.
        variation: what may change.
        height: largest height of the result.
        width: largest width of the result.
    """
    pixel = _random_pixel(mask, rng)
    linear = _linear_map(rng, variation)
    ends = np.array([[0, 0, 1, 1], [0, 1, 0, 1]]) * [[mask.shape[1]], [mask.shape[0]]]
    reached = linear @ (ends - [[pixel[1]], [pixel[0]]])
    low = np.maximum(np.floor(reached.min(axis=1)) - 3, (-width, -height))
    high = np.minimum(np.ceil(reached.max(axis=1)) + 3, (width, height))
    # What the smallest scale can bring into view.
    smallest = min(SCALES[0], variation.scale or 1.0)
    reach = int(np.hypot(high - low, 4).max() * np.sqrt(2) / smallest)
    near, here = _around(mask, pixel, reach)
    margin = variation.margin or 0
    deviation = min(variation.largest_elastic, variation.elastic_share * max(near.shape))
    maps = _source_maps(here, linear, (low, high), deviation, margin, rng)
    values = _sample(near, maps, margin, (int(-low[1]), int(-low[0])))
    change = float(rng.uniform(*AREA_CHANGE))
    area = round(float(values.sum()) * (change if variation.margin is None else 1.0))
    area = min(max(1, area), values.size)
    threshold = np.partition(values.ravel(), -area)[-area]
    varied = trim((values >= threshold) & (values > 0))
    middle = (int(-low[1]) - varied.top, int(-low[0]) - varied.left)
    cropped = _crop(varied.mask, middle, height, width)
    if variation.margin is None:
        return Variant(cropped.mask)
    top, left = varied.top + cropped.top, varied.left + cropped.left
    rows, columns = cropped.mask.shape
    shown = maps[top : top + rows + 2 * margin, left : left + columns + 2 * margin]
    begin = np.array([pixel[1] - here[1], pixel[0] - here[0]], np.float32)
    return Variant(cropped.mask, shown + begin)


def _crop(mask: Mask, middle: tuple[int, int], height: int, width: int) -> Piece:
    """Return at most height x width of the mask, around its pixel nearest to ``middle``."""
    rows, columns = mask.shape
    if rows <= height and columns <= width:
        return Piece(mask, 0, 0)
    ys, xs = np.nonzero(mask)
    nearest = int(np.argmin((ys - middle[0]) ** 2 + (xs - middle[1]) ** 2))
    top = int(np.clip(ys[nearest] - height // 2, 0, max(0, rows - height)))
    left = int(np.clip(xs[nearest] - width // 2, 0, max(0, columns - width)))
    cropped = mask[top : top + height, left : left + width]
    box = trim(cropped)
    # An axis that was cut keeps its whole length; see `vary`.
    above, tall = (0, len(cropped)) if rows > height else (box.top, len(box.mask))
    before, wide = (0, cropped.shape[1]) if columns > width else (box.left, box.mask.shape[1])
    kept = cropped[above : above + tall, before : before + wide]
    return Piece(kept, top + above, left + before)


def _around(mask: Mask, pixel: tuple[int, int], reach: int) -> tuple[Mask, tuple[int, int]]:
    """Return the mask at most ``reach`` away from a pixel, and where the pixel is in it."""
    top, left = max(0, pixel[0] - reach), max(0, pixel[1] - reach)
    near = mask[top : pixel[0] + reach + 1, left : pixel[1] + reach + 1]
    return near, (pixel[0] - top, pixel[1] - left)


def _random_pixel(mask: Mask, rng: np.random.Generator) -> tuple[int, int]:
    ys, xs = (rng.integers(0, size, 64) for size in mask.shape)
    hits = np.flatnonzero(mask[ys, xs])  # spares a list of all pixels of a large mask
    if len(hits):
        return int(ys[hits[0]]), int(xs[hits[0]])
    inside = np.flatnonzero(mask)
    y, x = divmod(int(inside[rng.integers(len(inside))]), mask.shape[1])
    return y, x


def _linear_map(rng: np.random.Generator, variation: Variation) -> NDArray[np.float64]:
    low, high = np.log(SCALES)
    upright = variation.upright
    scale = variation.scale or float(np.exp(rng.uniform(low, high)))
    degrees = rng.uniform(-180, 180)
    if upright or variation.keeps_grain:
        most = GRAIN_ANGLE if variation.keeps_grain else UPRIGHT_ANGLE
        degrees = rng.uniform(-most, most) + 180 * rng.integers(2)
    if variation.seated:
        upright, degrees = True, rng.uniform(-GRAIN_ANGLE, GRAIN_ANGLE)
    angle = np.deg2rad(degrees)
    mirror = -1.0 if not upright and rng.random() < 0.5 else 1.0
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    shear = np.array([[mirror, rng.uniform(-LARGEST_SHEAR, LARGEST_SHEAR)], [0.0, 1.0]])
    result: NDArray[np.float64] = scale * turn @ shear
    return result


def _source_maps(
    pixel: tuple[int, int],
    linear: NDArray[np.float64],
    ends: tuple[NDArray[np.float64], NDArray[np.float64]],
    deviation: float,
    margin: int,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Return H x W x 2: the point (x, y) of a mask that each pixel of its warped copy shows.

    Args:
        pixel: (y, x) of the point of the mask that stays where it is.
        linear: from mask to result, in (x, y).
        ends: (x, y) of the first and the last pixel, relative to the image of ``pixel``.
        deviation: standard deviation of a smooth random displacement.
        margin: pixels to add around, under the same map.
        rng: draws the displacement.
    """
    low, high = ends
    x = np.arange(low[0] - margin, high[0] + 1 + margin, dtype=np.float32)
    y = np.arange(low[1] - margin, high[1] + 1 + margin, dtype=np.float32)[:, None]
    inverse = np.linalg.inv(linear).astype(np.float32)
    grid = rng.normal(0.0, deviation, (4, 4, 2)).astype(np.float32)
    inner = (x.size - 2 * margin, y.size - 2 * margin)
    bend = cv2.resize(grid, inner, interpolation=cv2.INTER_CUBIC)
    if margin:
        bend = np.pad(bend, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    return np.stack(
        [
            inverse[0, 0] * x + inverse[0, 1] * y + np.float32(pixel[1]) + bend[..., 0],
            inverse[1, 0] * x + inverse[1, 1] * y + np.float32(pixel[0]) + bend[..., 1],
        ],
        axis=-1,
    )


def _sample(
    mask: Mask, maps: NDArray[np.float32], margin: int, centre: tuple[int, int]
) -> NDArray[np.float32]:
    """Return the mask, warped and a little blurred, without the margin of the maps."""
    rows, columns = (length - margin for length in maps.shape[:2])
    inner = np.ascontiguousarray(maps[margin:rows, margin:columns])
    warped = cv2.remap(
        mask.astype(np.float32),
        inner[..., 0],
        inner[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    if not warped.any():  # a dot of one pixel can fall between the samples of a smaller copy
        warped[centre] = 1.0
    blurred: NDArray[np.float32] = cv2.GaussianBlur(warped, (3, 3), 0.6)
    return blurred
