"""Masks of benchmarks in which every value over 0 is the defect, in one or several files."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from flawsmith.data.formats.base import Source, SourceImage
from flawsmith.data.formats.canvas import Canvas, read_index_values
from flawsmith.data.formats.folder import SourceFolder
from flawsmith.data.images import read_image
from flawsmith.errors import FlawsmithError


def add_masked(
    folder: SourceFolder, source: Source, image: str, name: str, mask: str | None, shows: str
) -> None:
    """Add an image that is known to show the defect ``name``, with its mask if there is one.

    Args:
        folder: that is imported.
        source: the image is added.
        image: its file.
        name: the class.
        mask: its file, or None.
        shows: how the format calls the class, for the message.
    """
    if mask is None:
        source.unlabelled(image, f"it shows {shows}, but has no mask", classes=[name])
    else:
        paint = partial(paint_any_value, name, [folder.path(mask)])
        source.images.append(SourceImage(image, paint))


def paint_any_value(name: str, paths: Sequence[Path], canvas: Canvas) -> None:
    """Paint all masks of an image that is known to show the defect ``name``.

    A damaged mask is noted; the image then has the class somewhere as well.
    """
    found = damaged = False
    for path in paths:
        try:
            where = read_index_values(path) > 0
        except FlawsmithError:
            try:
                pixels = read_image(path)
            except FlawsmithError as error:
                canvas.note("unreadable mask", f"{error}; '{name}' is an image label")
                damaged = True
                continue
            where = np.asarray(pixels > 0, np.bool_)
            where = np.asarray(where.any(axis=2) if where.ndim == 3 else where, np.bool_)
        found |= bool(where.any())
        canvas.paint(name, where)
    if not found and not damaged:
        canvas.note("empty mask", f"the image shows '{name}', but its mask has no pixel")
    if not found or damaged:
        canvas.label(name)
