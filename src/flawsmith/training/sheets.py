"""Sample sheets: label, X_d, X_b, synthetic and real image side by side, as a PNG."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.images import LabelArray, write_image
from flawsmith.data.schema import IGNORE, Schema, rgb

Picture = NDArray[np.uint8]
GAP, BAR = 4, 22

UNICODE_FONT, UNICODE_SIZE = "uni", 13
"""OpenCV's own font with other letters than ASCII; as large as the other."""


def to_picture(image: NDArray[np.float32]) -> Picture:
    """Return C x H x W values in [-1, 1] as H x W x 3."""
    values = np.rint(np.clip(image.transpose(1, 2, 0) * 0.5 + 0.5, 0, 1) * 255).astype(np.uint8)
    return np.repeat(values, 3, axis=2) if values.shape[2] == 1 else values


def label_picture(defects: LabelArray, backgrounds: LabelArray, schema: Schema) -> Picture:
    """Return the label map in the schema's colours, ignored pixels in white."""
    picture = np.zeros((*defects.shape, 3), np.uint8)
    for background in schema.backgrounds:
        picture[backgrounds == background.id] = rgb(background.colour)
    for defect in schema.defects:
        picture[defects == defect.id] = rgb(defect.colour)
    picture[defects == IGNORE] = 255
    return picture


def write_sheet(
    path: Path, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[Picture]]]
) -> None:
    """Write a table of pictures with a title above each column and beside each row.

    Args:
        path: the PNG.
        columns: titles.
        rows: a title and as many pictures of one size as there are columns.
    """
    height, width = rows[0][1][0].shape[:2]
    zoom = max(1, 160 // max(height, width))
    height, width = height * zoom, width * zoom
    margin = 8 + max(_width(title) for title, _ in rows)
    sheet = np.full(
        (BAR + len(rows) * (height + GAP), margin + len(columns) * (width + GAP), 3), 255, np.uint8
    )
    for column, title in enumerate(columns):
        _text(sheet, title, margin + column * (width + GAP), BAR - 7)
    for row, (title, pictures) in enumerate(rows):
        top = BAR + row * (height + GAP)
        _text(sheet, title, 4, top + height // 2)
        for column, picture in enumerate(pictures):
            left = margin + column * (width + GAP)
            sheet[top : top + height, left : left + width] = picture.repeat(zoom, 0).repeat(zoom, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, sheet)


def _width(text: str) -> int:
    """Return the width of a title in pixels."""
    if _has_all_letters(text):
        box = cv2.getTextSize((0, 0), text, (0, 0), cv2.FontFace(UNICODE_FONT), UNICODE_SIZE)
        return int(box[0] + box[2])
    return int(cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)[0][0])


def _text(sheet: Picture, text: str, x: int, y: int) -> None:
    if _has_all_letters(text):
        cv2.putText(sheet, text, (x, y), (40, 40, 40), cv2.FontFace(UNICODE_FONT), UNICODE_SIZE)
        return
    ascii_text = text.encode("ascii", "replace").decode()
    cv2.putText(sheet, ascii_text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (40, 40, 40), 1,
                cv2.LINE_AA)  # fmt: skip


def _has_all_letters(text: str) -> bool:
    """Return whether OpenCV's large font is needed for a text, and there (before 5 it is not)."""
    return not text.isascii() and hasattr(cv2, "FontFace")
