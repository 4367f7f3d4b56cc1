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


@dataclass(frozen=True)
class Piece:
    """A defect cut out of a mask: its pixels and where their box begins."""

    mask: Mask
    top: int
    left: int


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


def vary_mask(
    mask: Mask, rng: np.random.Generator, *, height: int, width: int, upright: bool = False
) -> Mask:
    """Return a turned, mirrored, scaled, sheared and bent copy, at most height x width pixels.

    The area follows the scale: the brightest pixels of the interpolated mask are kept, as many as
    the area asks for, so lines of one pixel neither vanish nor break. What is larger than the
    limit is cropped around a random pixel of the mask and then fills the limit along that axis:
    the cut lies on the edge of the tile and nowhere else.

    Args:
        mask: a box around the defect, with at least one pixel set.
        rng: everything random is drawn from it.
        height: largest height of the result.
        width: largest width of the result.
        upright: keep the direction: turn by at most 15 degrees (and 180), never mirror.
    """
    pixel = _random_pixel(mask, rng)
    linear = _linear_map(rng, upright)
    ends = np.array([[0, 0, 1, 1], [0, 1, 0, 1]]) * [[mask.shape[1]], [mask.shape[0]]]
    reached = linear @ (ends - [[pixel[1]], [pixel[0]]])
    low = np.maximum(np.floor(reached.min(axis=1)) - 3, (-width, -height))
    high = np.minimum(np.ceil(reached.max(axis=1)) + 3, (width, height))
    # What the smallest scale can bring into view.
    reach = int(np.hypot(high - low, 4).max() * np.sqrt(2) / SCALES[0])
    values = _warp(*_around(mask, pixel, reach), linear, low, high, rng)
    area = round(float(values.sum()) * float(rng.uniform(*AREA_CHANGE)))
    area = min(max(1, area), values.size)
    threshold = np.partition(values.ravel(), -area)[-area]
    varied = trim((values >= threshold) & (values > 0))
    middle = (int(-low[1]) - varied.top, int(-low[0]) - varied.left)
    return _crop(varied.mask, middle, height, width)


def _crop(mask: Mask, middle: tuple[int, int], height: int, width: int) -> Mask:
    """Return at most height x width of the mask, around its pixel nearest to ``middle``."""
    rows, columns = mask.shape
    if rows <= height and columns <= width:
        return mask
    ys, xs = np.nonzero(mask)
    nearest = int(np.argmin((ys - middle[0]) ** 2 + (xs - middle[1]) ** 2))
    top = int(np.clip(ys[nearest] - height // 2, 0, max(0, rows - height)))
    left = int(np.clip(xs[nearest] - width // 2, 0, max(0, columns - width)))
    cropped = mask[top : top + height, left : left + width]
    box = trim(cropped)
    # An axis that was cut keeps its whole length; see `vary_mask`.
    keep_rows = slice(None) if rows > height else slice(box.top, box.top + len(box.mask))
    keep_columns = slice(None) if columns > width else slice(box.left, box.left + box.mask.shape[1])
    return cropped[keep_rows, keep_columns]


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


def _linear_map(rng: np.random.Generator, upright: bool) -> NDArray[np.float64]:
    low, high = np.log(SCALES)
    scale = float(np.exp(rng.uniform(low, high)))
    degrees = rng.uniform(-180, 180)
    if upright:
        degrees = rng.uniform(-UPRIGHT_ANGLE, UPRIGHT_ANGLE) + 180 * rng.integers(2)
    angle = np.deg2rad(degrees)
    mirror = -1.0 if not upright and rng.random() < 0.5 else 1.0
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    shear = np.array([[mirror, rng.uniform(-LARGEST_SHEAR, LARGEST_SHEAR)], [0.0, 1.0]])
    result: NDArray[np.float64] = scale * turn @ shear
    return result


def _warp(
    mask: Mask,
    pixel: tuple[int, int],
    linear: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Return the mask under a linear map about a pixel, plus a smooth random displacement.

    Args:
        mask: what is warped.
        pixel: (y, x) of the point of the mask that stays where it is.
        linear: from mask to result, in (x, y).
        low: (x, y) of the first pixel of the result, relative to the image of ``pixel``.
        high: of its last.
        rng: draws the displacement.
    """
    x = np.arange(low[0], high[0] + 1, dtype=np.float32)
    y = np.arange(low[1], high[1] + 1, dtype=np.float32)[:, None]
    inverse = np.linalg.inv(linear).astype(np.float32)
    deviation = min(LARGEST_ELASTIC, ELASTIC_SHARE * max(mask.shape))
    grid = rng.normal(0.0, deviation, (4, 4, 2)).astype(np.float32)
    bend = cv2.resize(grid, (x.size, y.size), interpolation=cv2.INTER_CUBIC)
    warped = cv2.remap(
        mask.astype(np.float32),
        inverse[0, 0] * x + inverse[0, 1] * y + np.float32(pixel[1]) + bend[..., 0],
        inverse[1, 0] * x + inverse[1, 1] * y + np.float32(pixel[0]) + bend[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    if not warped.any():  # a dot of one pixel can fall between the samples of a smaller copy
        warped[int(-low[1]), int(-low[0])] = 1.0
    blurred: NDArray[np.float32] = cv2.GaussianBlur(warped, (3, 3), 0.6)
    return blurred
