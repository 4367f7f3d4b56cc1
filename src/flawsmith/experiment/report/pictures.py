"""Pictures of the report: crops round a defect, outlines of the truth, predicted regions."""

import base64
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.images import ImageArray, LabelArray, to_unit
from flawsmith.data.schema import IGNORE, Schema, rgb
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.report.facts import Picture

Pixels = NDArray[np.uint8]
"""H x W x 3, RGB."""

JPEG_QUALITY = 86
OUTLINE_GAP = 3
"""Screen pixels between a defect and its outline, so that the line never hides it."""


@dataclass(frozen=True)
class Window:
    """A rectangle of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def of(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return this part of an image or mask."""
        rows = slice(self.top, self.top + self.height)
        return pixels[rows, self.left : self.left + self.width]


def displayed(image: ImageArray, schema: Schema) -> Pixels:
    """Return an image as 8-bit RGB: black level 0, white level 255, nothing stretched."""
    unit = to_unit(image, schema)
    grey = np.rint(unit * 255.0).astype(np.uint8)
    return grey if schema.channels == 3 else np.repeat(grey, 3, axis=2)


def defect_pixels(labels: LabelArray) -> NDArray[np.bool_]:
    """Return where a label map has a defect; ignored pixels are none."""
    return cast(NDArray[np.bool_], (labels != 0) & (labels != IGNORE))


def whole(shape: tuple[int, ...]) -> Window:
    """Return the window that is the whole image."""
    return Window(0, 0, shape[0], shape[1])


def square_window(centre: tuple[float, float], side: int, shape: tuple[int, ...]) -> Window:
    """Return a square round (row, column), moved into the image and cut to its size."""
    height, width = min(side, shape[0]), min(side, shape[1])
    top = round(min(max(centre[0] - height / 2, 0), shape[0] - height))
    left = round(min(max(centre[1] - width / 2, 0), shape[1] - width))
    return Window(top, left, height, width)


def window_around(mask: NDArray[np.bool_], *, margin: float = 1.7, smallest: int = 112) -> Window:
    """Return a square window around everything that is set, or the whole image if nothing is."""
    rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
    if not len(rows):
        return whole(mask.shape)
    extent = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    centre = ((rows[0] + rows[-1] + 1) / 2, (columns[0] + columns[-1] + 1) / 2)
    return square_window(centre, max(smallest, round(float(extent) * margin)), mask.shape)


def largest_region(mask: NDArray[np.bool_]) -> tuple[tuple[float, float], int] | None:
    """Return centre (row, column) and longer side of the largest connected region's box."""
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count < 2:
        return None
    left, top, width, height, _ = stats[1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())]
    return (top + height / 2, left + width / 2), int(max(width, height))


def fit(pixels: Pixels, box: int) -> Pixels:
    """Return the picture with its longer side ``box`` pixels; enlarged pixels stay visible."""
    scale = box / max(pixels.shape[:2])
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cast(Pixels, cv2.resize(pixels, size, interpolation=method))


def draw(
    image: Pixels,
    window: Window,
    schema: Schema,
    *,
    truth: LabelArray | None = None,
    prediction: LabelArray | None = None,
    box: int = 360,
) -> Pixels:
    """Return a window of an image with what is drawn on it.

    The truth is a white outline with a dark edge, an ignored area a thin grey one; predicted
    regions are filled lightly and outlined in the colour of their class.
    """
    canvas = fit(window.of(image), box).copy()
    size = (canvas.shape[1], canvas.shape[0])
    if prediction is not None:
        scaled = _scaled(window.of(prediction), size)
        for defect in schema.defects:
            _fill(canvas, scaled == defect.id, rgb(defect.colour))
    if truth is not None:
        scaled = _scaled(window.of(truth), size)
        _outline(canvas, scaled == IGNORE, (150, 150, 150), 1)
        defects = defect_pixels(scaled)
        _outline(canvas, defects, (20, 20, 20), 4)
        _outline(canvas, defects, (255, 255, 255), 2)
    return canvas


def draw_frame(canvas: Pixels, window: Window, shape: tuple[int, ...]) -> Pixels:
    """Return a picture of a whole image with a window of it framed."""
    scale = canvas.shape[0] / shape[0]
    corner = (round(window.left * scale), round(window.top * scale))
    opposite = (
        min(round((window.left + window.width) * scale), canvas.shape[1]) - 1,
        min(round((window.top + window.height) * scale), canvas.shape[0]) - 1,
    )
    framed = canvas.copy()
    cv2.rectangle(framed, corner, opposite, (20, 20, 20), 4)
    cv2.rectangle(framed, corner, opposite, (255, 255, 255), 2)
    return framed


def _scaled(labels: LabelArray, size: tuple[int, int]) -> LabelArray:
    scaled = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST_EXACT)
    return cast(LabelArray, scaled)


def _contours(mask: NDArray[np.bool_], gap: int) -> list[NDArray[np.int32]]:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * gap + 1, 2 * gap + 1))
    grown = cv2.dilate(mask.astype(np.uint8), kernel)
    contours, _ = cv2.findContours(grown, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return list(contours)


def _outline(
    canvas: Pixels, mask: NDArray[np.bool_], colour: tuple[int, int, int], thickness: int
) -> None:
    if mask.any():
        contours = _contours(mask, OUTLINE_GAP)
        cv2.drawContours(canvas, contours, -1, colour, thickness, cv2.LINE_AA)


def _fill(canvas: Pixels, mask: NDArray[np.bool_], colour: tuple[int, int, int]) -> None:
    if mask.any():
        tinted = 0.68 * canvas[mask] + 0.32 * np.asarray(colour, np.float64)
        canvas[mask] = np.rint(tinted).astype(np.uint8)
        cv2.drawContours(canvas, _contours(mask, 1), -1, colour, 2, cv2.LINE_AA)


def label_picture(labels: LabelArray, schema: Schema) -> Pixels:
    """Return a label map in the colours of its classes on near-black, ignored areas white."""
    table = np.full((256, 3), 24, np.uint8)
    for defect in schema.defects:
        table[defect.id] = rgb(defect.colour)
    table[IGNORE] = 255
    return table[labels]


def row_of(crops: list[Pixels], side: int, places: int, gap: int = 6) -> Pixels:
    """Return square crops beside each other on white, each ``side`` pixels, room for ``places``."""
    canvas = np.full((side, places * (side + gap) - gap, 3), 255, np.uint8)
    for i, crop in enumerate(crops):
        scaled = fit(crop, side)
        left = i * (side + gap)
        canvas[: scaled.shape[0], left : left + scaled.shape[1]] = scaled
    return canvas


def photo(pixels: Pixels) -> Picture:
    """Return a picture for the page as JPEG with full colour resolution."""
    options = [
        cv2.IMWRITE_JPEG_QUALITY,
        JPEG_QUALITY,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]
    return _picture(pixels, ".jpg", "image/jpeg", options)


def diagram(pixels: Pixels) -> Picture:
    """Return a picture of flat colours for the page as PNG."""
    return _picture(pixels, ".png", "image/png", [cv2.IMWRITE_PNG_COMPRESSION, 9])


def _picture(pixels: Pixels, suffix: str, mime: str, options: list[int]) -> Picture:
    done, data = cv2.imencode(suffix, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise FlawsmithError(f"cannot encode a picture of {pixels.shape} as {suffix}")
    text = base64.b64encode(bytes(data)).decode("ascii")
    height, width = pixels.shape[:2]
    return Picture(uri=f"data:{mime};base64,{text}", width=width, height=height)
