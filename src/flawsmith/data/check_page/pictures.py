"""The pictures of the page: an image with its labels, the place of a finding, a closer look."""

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np

from flawsmith.data.check_report import Box, Finding
from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.images import ImageArray, LabelArray, read_image, read_index_mask
from flawsmith.data.schema import Schema
from flawsmith.data.thumbnails import (
    Pixels,
    displayed,
    fitted,
    outlined,
    read_defects,
    to_jpeg,
)
from flawsmith.errors import FlawsmithError

PICTURE = 240
"""Longer side of a picture in pixels, at most."""

PICTURES_A_CARD = 4
SMALL_BOX_PX = 60
"""A box that is shorter on both sides, in pixels of the picture, is shown closer as well."""

ZOOM_MARGIN = 3.0
SMALLEST_WINDOW_PX = 48
FRAME_GAP = 9
"""Pixels of the picture between a box and its frame, so that a ring round it is seen."""

UNKNOWN_VALUE = (255, 64, 200)
"""Colour of mask values that no class has."""

MASK_FOLDERS = ("masks/", "backgrounds/")
_READ_ERRORS = (FlawsmithError, OSError, ValueError, cv2.error, MemoryError)


@dataclass(frozen=True)
class Picture:
    """An embedded picture, or the reason why there is none."""

    name: str
    caption: str
    uri: str = ""
    width: int = 0
    height: int = 0
    problem: str = ""


@dataclass(frozen=True)
class Card:
    """A finding with its pictures; `href` leads to the file if it exists."""

    file: str
    href: str | None
    message: str
    pictures: list[Picture]
    more_others: int = 0

    @property
    def size(self) -> int:
        """Bytes that the pictures take in the page."""
        return sum(len(picture.uri) for picture in self.pictures)


class PictureSource:
    """Draws the pictures of a data set's files for a page in some folder."""

    def __init__(self, dataset: DefectDataset, page_folder: Path) -> None:
        self.dataset = dataset
        self._page_folder = page_folder
        self._images = {record.file_name: record for record in dataset}
        self._masks = {
            name: record
            for record in dataset
            for name in (record.mask_file_name, record.background_file_name)
            if name
        }

    def card(self, finding: Finding) -> Card:
        """Return a finding with the image it is about, a closer look and the other files."""
        pictures = self._main(finding.file, finding.box)
        others = finding.others[: PICTURES_A_CARD - len(pictures)]
        for other in others:
            is_mask = other.startswith(MASK_FOLDERS)
            pictures += [self._mask(other)] if is_mask else self._main(other, None)[:1]
        return Card(
            file=finding.file,
            href=self.link(finding.file),
            message=finding.message,
            pictures=pictures,
            more_others=len(finding.others) - len(others),
        )

    def link(self, name: str) -> str | None:
        """Return where a file is, seen from the page; None if there is none in the data set."""
        try:
            path = self.dataset.path(name)
            if not path.is_file():
                return None
            relative = os.path.relpath(path.absolute(), self._page_folder.absolute())
            return "./" + quote(Path(relative).as_posix())
        except _READ_ERRORS:
            return None

    def example(self, record: ImageRecord, class_id: int | None) -> Card:
        """Return an image with its labels, or the surroundings of its largest region of a class."""
        name, caption = record.file_name, ""
        try:
            pixels = self.dataset.image(record)
            defects = self._defects(record, pixels)
            box = None if defects is None or class_id is None else largest_box(defects, class_id)
            window = None if box is None else example_window(box, pixels.shape)
            shown = self._drawn(pixels, defects, window)
            if window is not None:
                caption = f"part of {pixels.shape[1]} x {pixels.shape[0]} px"
            picture = _embedded(shown, name, caption)
        except _READ_ERRORS as error:
            picture = self._placeholder(name, caption, error)
        return Card(file=name, href=self.link(name), message="", pictures=[picture])

    def _main(self, name: str, box: Box | None) -> list[Picture]:
        if name in self._masks:
            record = self._masks[name]
            return [*self._image(record.file_name, record, box), self._mask(name)]
        if name.startswith(MASK_FOLDERS):
            return [self._mask(name)]
        return self._image(name, self._images.get(name), box)

    def _image(self, name: str, record: ImageRecord | None, box: Box | None) -> list[Picture]:
        try:
            pixels = read_image(self.dataset.path(name))
            defects = self._defects(record, pixels) if record else None
            whole = self._drawn(pixels, defects, None, box)
            pictures = [_embedded(whole, name, "")]
            window = None if box is None else closer_window(box, pixels.shape, whole.shape)
            if window is not None:
                closer = self._drawn(pixels, defects, window, box)
                times = closer.shape[1] / (window[2] - window[0])
                pictures.append(_embedded(closer, name, f"closer, {times:.3g}x"))
            return pictures
        except _READ_ERRORS as error:
            return [self._placeholder(name, "", error)]

    def _mask(self, name: str) -> Picture:
        try:
            mask = read_index_mask(self.dataset.path(name))
            colours = painted(mask, self.dataset.schema)
            shrunk = fitted(colours, PICTURE).astype(np.uint8)
            return _embedded(shrunk, name, f"mask, {mask.shape[1]} x {mask.shape[0]} px")
        except _READ_ERRORS as error:
            return self._placeholder(name, "mask", error)

    def _defects(self, record: ImageRecord, pixels: ImageArray) -> LabelArray | None:
        try:
            return read_defects(self.dataset, record, pixels.shape)
        except _READ_ERRORS:
            return None

    def _drawn(
        self,
        pixels: ImageArray,
        defects: LabelArray | None,
        window: Box | None,
        box: Box | None = None,
    ) -> Pixels:
        height, width = pixels.shape[:2]
        x0, y0, x1, y1 = window or (0, 0, width, height)
        shown = displayed(fitted(pixels[y0:y1, x0:x1], PICTURE), self.dataset.schema)
        if defects is not None:
            shown = outlined(shown, defects[y0:y1, x0:x1], self.dataset.schema)
        if box is not None:
            moved = (box[0] - x0, box[1] - y0, box[2] - x0, box[3] - y0)
            shown = framed(shown, moved, shown.shape[1] / (x1 - x0))
        return shown

    def _placeholder(self, name: str, caption: str, error: Exception) -> Picture:
        reason = str(error).replace(f"{self.dataset.root}/", "") or type(error).__name__
        return Picture(name, caption, problem=reason)


def closer_window(box: Box, shape: tuple[int, ...], shown: tuple[int, ...]) -> Box | None:
    """Return the surroundings of a box (x0, y0, x1, y1) that is small in the picture, else None."""
    side = max(box[2] - box[0], box[3] - box[1])
    if side * shown[1] / shape[1] >= SMALL_BOX_PX:
        return None
    wanted = max(SMALLEST_WINDOW_PX, round(ZOOM_MARGIN * side))
    return _square(box, wanted, shape) if wanted < 0.6 * max(shape[:2]) else None


def example_window(box: Box, shape: tuple[int, ...]) -> Box | None:
    """Return the surroundings of a region, or None if they are most of the image."""
    side = max(box[2] - box[0], box[3] - box[1])
    wanted = max(2 * SMALLEST_WINDOW_PX, round(ZOOM_MARGIN * side))
    return _square(box, wanted, shape) if wanted < 0.6 * max(shape[:2]) else None


def largest_box(defects: LabelArray, class_id: int) -> Box | None:
    """Return x0, y0, x1, y1 of the largest region of a class in H x W indices."""
    inside = (defects == class_id).astype(np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
    if count < 2:
        return None
    x, y, width, height, _ = stats[1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())].tolist()
    return x, y, x + width, y + height


def painted(mask: LabelArray, schema: Schema) -> Pixels:
    """Return H x W indices in the colours of their classes; values of no class in pink."""
    colours = np.array(schema.palette(), np.uint8).reshape(256, 3)
    colours[schema.num_defects + 1 : 255] = UNKNOWN_VALUE
    return colours[mask]


def framed(shown: Pixels, box: Box, scale: float) -> Pixels:
    """Return a picture with a white frame round a box given in pixels of the image."""
    result = shown.copy()
    height, width = shown.shape[:2]
    left = max(1, int(box[0] * scale) - FRAME_GAP)
    top = max(1, int(box[1] * scale) - FRAME_GAP)
    right = min(width - 2, int(np.ceil(box[2] * scale)) + FRAME_GAP)
    bottom = min(height - 2, int(np.ceil(box[3] * scale)) + FRAME_GAP)
    for colour, thickness in (((0, 0, 0), 4), ((255, 255, 255), 2)):
        cv2.rectangle(result, (left, top), (right, bottom), colour, thickness)
    return result


def _square(box: Box, side: int, shape: Sequence[int]) -> Box:
    """Return a square round the centre of a box, moved into the image and cut to its size."""
    height, width = shape[:2]
    wide, high = min(side, width), min(side, height)
    left = min(max((box[0] + box[2] - wide) // 2, 0), width - wide)
    top = min(max((box[1] + box[3] - high) // 2, 0), height - high)
    return left, top, left + wide, top + high


def _embedded(shown: Pixels, name: str, caption: str) -> Picture:
    data = base64.b64encode(to_jpeg(shown)).decode("ascii")
    height, width = shown.shape[:2]
    return Picture(name, caption, f"data:image/jpeg;base64,{data}", width, height)
