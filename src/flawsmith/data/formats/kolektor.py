"""KolektorSDD and KolektorSDD2: surface images with one mask file each.

Tabernik et al., "Segmentation-based deep-learning approach for surface-defect detection", Journal
of Intelligent Manufacturing 31, 2020; Bozic et al., "Mixed supervision for surface-defect
detection", Computers in Industry 129, 2021.
"""

import posixpath
import re
from functools import partial
from pathlib import Path
from typing import ClassVar

from flawsmith.data.formats.base import FORMATS, Certainty, Format, Match, Source, SourceImage
from flawsmith.data.formats.canvas import Canvas, read_index_values
from flawsmith.data.formats.folder import SourceFolder

CLASS = "defect"
FIRST = re.compile(r"(?:.*/)?kos\d+/Part\d+(_label)?\.\w+", re.IGNORECASE)
SECOND = re.compile(r"(?:.*/)?(?:train|test)/\d+(_GT)?\.\w+", re.IGNORECASE)
MASK = re.compile(r"(.+?)_(?:label|GT)", re.IGNORECASE)
STRAY_MASK = re.compile(r"\d+_GT\b.*|Part\d+_label\b.*", re.IGNORECASE)


@FORMATS.register("kolektor")
class Kolektor(Format):
    """Mask values above 0 are a defect, an empty mask says good.

    A part is the folder ``kosNN`` of KolektorSDD: eight images go around one commutator.
    """

    summary: ClassVar[str] = "KolektorSDD (kosNN/PartN.jpg, _label.bmp) and SDD2 (N.png, N_GT.png)"

    def detect(self, folder: SourceFolder) -> Match | None:
        """Recognise the names of images and their masks side by side."""
        masks = _masks(folder)
        pairs = sum(_pattern(name) is not None and _key(name) in masks for name in folder.images)
        if not pairs or pairs < 0.5 * (len(folder.images) - len(masks)):
            return None
        return Match(Certainty.DATA_SET, f"{pairs} images have a mask *_label or *_GT beside them")

    def read(self, folder: SourceFolder) -> Source:
        """Pair images and masks by folder and name."""
        masks = _masks(folder)
        taken = set(masks.values())
        source = Source([CLASS])
        for image in folder.images:
            if image in taken:
                continue
            if STRAY_MASK.fullmatch(posixpath.splitext(posixpath.basename(image))[0]):
                source.find("orphaned mask", image, "there is no image for it; not imported")
                continue
            mask = masks.pop(_key(image), None)
            if mask is None:
                source.unlabelled(image, "it has no mask *_label or *_GT beside it")
                continue
            part = posixpath.basename(posixpath.dirname(image)) if FIRST.fullmatch(image) else None
            paint = partial(_paint, folder.path(mask))
            source.images.append(SourceImage(image, paint, part=part))
        for mask in masks.values():
            source.find("orphaned mask", mask, "there is no image for it; not imported")
        return source


def _pattern(file: str) -> re.Match[str] | None:
    return FIRST.fullmatch(file) or SECOND.fullmatch(file)


def _masks(folder: SourceFolder) -> dict[str, str]:
    """Return the mask files by the path of their image without suffix, in lower case."""
    found = {}
    for name in folder.images:
        match = _pattern(name)
        if match and match[1]:
            bare = MASK.fullmatch(posixpath.splitext(name)[0])
            if bare:
                found[bare[1].casefold()] = name
    return found


def _key(image: str) -> str:
    return posixpath.splitext(image)[0].casefold()


def _paint(mask: Path, canvas: Canvas) -> None:
    canvas.paint(CLASS, read_index_values(mask) > 0)
