"""Small pictures of a data set's images with their labels outlined, 8-bit RGB."""

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.images import ImageArray, LabelArray, read_index_mask, to_unit
from flawsmith.data.schema import IGNORE, Schema, rgb
from flawsmith.errors import FlawsmithError

Pixels = NDArray[np.uint8]
"""H x W x 3, RGB."""

JPEG_QUALITY = 82
SMALL_MARK_PX = 6
"""Regions whose box is shorter on both sides, in pixels of the picture, get a ring."""

RING_RADIUS = 6
DASH = 4


def picture(
    dataset: DefectDataset,
    record: ImageRecord,
    size: int,
    *,
    region: tuple[int, int, int, int] | None = None,
) -> Pixels:
    """Return an image of the data set as RGB of at most size x size, its labels outlined.

    A mask that cannot be used (missing, damaged, of another size) is not drawn. Small images are
    enlarged by a whole number without smoothing, so that pixels stay what they are.

    Args:
        dataset: where the files are and what pixels and classes mean.
        record: the image.
        size: of the longer side of the result, in pixels, at most.
        region: x0, y0, x1, y1 in pixels of the image: shows only this part, cut to the image.

    Raises:
        FlawsmithError: if the image cannot be read, or the region is outside it.
    """
    pixels = dataset.image(record)
    try:
        defects = read_defects(dataset, record, pixels.shape)
    except FlawsmithError:
        defects = None
    if region is not None:
        rows, columns = _window(region, pixels.shape, record.file_name)
        pixels = pixels[rows, columns]
        defects = None if defects is None else defects[rows, columns]
    shown = displayed(fitted(pixels, size), dataset.schema)
    return shown if defects is None else outlined(shown, defects, dataset.schema)


def read_defects(
    dataset: DefectDataset, record: ImageRecord, shape: tuple[int, ...]
) -> LabelArray | None:
    """Return the H x W indices of an image's mask, or None if it has none.

    Args:
        dataset: where the mask is.
        record: the image.
        shape: of the image's pixels; the mask must have the same height and width.

    Raises:
        FlawsmithError: if the mask is missing, damaged, of another size or beyond the schema.
    """
    if record.mask_file_name is None:
        return None
    defects = read_index_mask(dataset.path(record.mask_file_name))
    if defects.shape != shape[:2]:
        raise FlawsmithError(
            f"{record.mask_file_name} is {defects.shape[1]} x {defects.shape[0]} pixels, "
            f"its image is {shape[1]} x {shape[0]}"
        )
    highest = int((defects + np.uint8(1)).max()) - 1  # 255 (ignore) wraps round to 0
    if highest > dataset.schema.num_defects:
        raise FlawsmithError(
            f"{record.mask_file_name} has value {highest}; expected 0 to "
            f"{dataset.schema.num_defects} or {IGNORE} (ignore)"
        )
    return defects


def fitted(pixels: ImageArray, size: int) -> ImageArray:
    """Return the pixels shrunk by averaging, or enlarged a whole number of times, to fit a square.

    The type stays; both sides of the result are from 1 to ``size``.
    """
    height, width = pixels.shape[:2]
    scale = size / max(height, width)
    if scale >= 1.0:
        times = int(scale)
        return pixels.repeat(times, axis=0).repeat(times, axis=1)
    smaller = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cast(ImageArray, cv2.resize(pixels, smaller, interpolation=cv2.INTER_AREA))


def displayed(pixels: ImageArray, schema: Schema) -> Pixels:
    """Return an image as 8-bit RGB: black level to 0, white level to 255; colours are kept.

    Pixels of another depth than the schema's are shown over the full range of their own type.
    """
    bits = 8 * pixels.itemsize
    levels = {"channels": 1 if pixels.ndim == 2 else 3}
    if (bits == 8) != (schema.bit_depth == 8):
        levels |= {"black_level": 0, "white_level": (1 << bits) - 1}
    unit = to_unit(pixels, schema.model_copy(update=levels))
    values = np.rint(unit * 255.0).astype(np.uint8)
    return values if values.shape[2] == 3 else np.repeat(values, 3, axis=2)


def outlined(shown: Pixels, defects: LabelArray, schema: Schema) -> Pixels:
    """Return a picture with a line round each region, outside it, in the colour of its class.

    Regions that would hardly be seen get a ring round them; ignored regions get a dashed line.

    Args:
        shown: h x w x 3.
        defects: H x W label map of the same view; every labelled pixel counts, however much
            smaller the picture is.
        schema: has the colours.
    """
    result = shown.copy()
    width = max(1, round(max(shown.shape[:2]) / 200))
    for value in (*range(1, schema.num_defects + 1), IGNORE):
        labelled = defects == value
        if not labelled.any():
            continue
        inside = _covered(labelled, shown.shape[:2])
        if value == IGNORE:
            _draw_dashed(result, inside, width)
            continue
        inside = _with_rings(inside)
        line = _grown(inside, width) & ~inside
        shade = _grown(inside, width + 1) & ~(line | inside)
        result[shade] //= 2  # keeps a bright line apart from a bright surface
        result[line] = rgb(schema.defects[value - 1].colour)
    return result


def to_jpeg(shown: Pixels, *, quality: int = JPEG_QUALITY) -> bytes:
    """Return a picture as JPEG with colours at full resolution, so that thin lines keep theirs."""
    full = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    bgr = cv2.cvtColor(shown, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality, *full])
    return bytes(data)


def _window(
    region: tuple[int, int, int, int], shape: tuple[int, ...], name: str
) -> tuple[slice, slice]:
    x0, y0, x1, y1 = region
    left, right = max(x0, 0), min(x1, shape[1])
    top, bottom = max(y0, 0), min(y1, shape[0])
    if left >= right or top >= bottom:
        raise FlawsmithError(
            f"region {region} (x0, y0, x1, y1) has no pixel of {name}, "
            f"which is {shape[1]} x {shape[0]} pixels"
        )
    return slice(top, bottom), slice(left, right)


def _covered(inside: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return which pixels of a picture of this shape hold any set pixel."""
    for axis, length in enumerate(shape[:2]):
        given = inside.shape[axis]
        starts = np.arange(length) * given // length
        if length < given:
            inside = np.logical_or.reduceat(inside, starts, axis=axis)
        else:
            inside = np.take(inside, starts, axis=axis)
    return inside


def _with_rings(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the regions with a disc instead of each one that is too small to be seen."""
    _, marks, stats, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8), connectivity=8)
    sides = stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(axis=1)
    small = sides < SMALL_MARK_PX
    small[0] = False
    if not small.any():
        return inside
    return inside | _grown(small[marks], RING_RADIUS)


def _grown(inside: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return cast(NDArray[np.bool_], cv2.dilate(inside.astype(np.uint8), kernel).astype(bool))


def _draw_dashed(shown: Pixels, inside: NDArray[np.bool_], width: int) -> None:
    """Draw the inner edge of a region white and black in turns; the frame of the picture too."""
    outside = np.pad(~inside, width, constant_values=True)
    line = inside & _grown(outside, width)[width:-width, width:-width]
    diagonal = np.add.outer(np.arange(inside.shape[0]), np.arange(inside.shape[1]))
    white = diagonal // DASH % 2 == 0
    shown[line & white] = 255
    shown[line & ~white] = 40
