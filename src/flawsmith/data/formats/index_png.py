"""Images with index masks in a sibling folder: ``images/a.jpg`` and ``masks/a.png``."""

import re
from typing import ClassVar

import numpy as np

from flawsmith.data.formats.base import FORMATS, Certainty, Format, Match, Source, SourceImage
from flawsmith.data.formats.canvas import Canvas, read_index_values, to_binary
from flawsmith.data.formats.folder import SourceFolder, is_good_name
from flawsmith.data.formats.pairing import by_place_and_stem, place, split_images_and_masks, stem
from flawsmith.data.schema import IGNORE
from flawsmith.errors import FlawsmithError

CLASS_FILES = ("classes.txt", "labels.txt", "labelmap.txt", "class_names.txt")
MAX_CLASSES = 32  # more different values are grey levels, not classes


@FORMATS.register("index_png")
class IndexPng(Format):
    """One mask a image with a class number in each pixel, 0 for no defect and 255 for ignore.

    Masks with 0 and 255 only (or with grey levels between them) are binary: one class, "defect".
    ``classes.txt`` beside the folders names the classes 1, 2, ..., one a line.
    """

    summary: ClassVar[str] = "images/ and masks/ with class numbers (or 0 and 255) in the pixels"

    def detect(self, folder: SourceFolder) -> Match | None:
        """Recognise masks with the names of their images in a folder called masks or the like."""
        images, masks = split_images_and_masks(folder)
        known = by_place_and_stem(masks)
        pairs = sum((place(name), stem(name)) in known for name in images)
        if not pairs:
            return None
        return Match(Certainty.NAMES, f"{pairs} images have a mask of the same name beside them")

    def read(self, folder: SourceFolder) -> Source:
        """Pair images and masks by name; every mask is read once to learn its values."""
        images, masks = split_images_and_masks(folder)
        known = by_place_and_stem(masks)
        counts = _count_values(folder, masks)
        binary = is_binary(counts)
        names = {1: "defect"} if binary else _class_names(folder, counts)
        source = Source([names[value] for value in sorted(names)])
        if binary and masks:
            source.notes.append("The masks have two values: they are read as one class, 'defect'.")
        used = set()
        for image in images:
            mask = known.get((place(image), stem(image)))
            if mask is None and any(is_good_name(part) for part in image.split("/")[:-1]):
                source.images.append(SourceImage(image))
            elif mask is None:
                source.unlabelled(image, "it has no mask")
            else:
                used.add(mask)
                source.images.append(SourceImage(image, _Painter(folder, mask, names, binary)))
        for mask in masks:
            if mask not in used:
                source.find("orphaned mask", mask, "there is no image of this name")
        return source


class _Painter:
    def __init__(
        self, folder: SourceFolder, mask: str, names: dict[int, str], binary: bool
    ) -> None:
        self.path = folder.path(mask)
        self.names = names
        self.binary = binary

    def __call__(self, canvas: Canvas) -> None:
        values = read_index_values(self.path)
        if self.binary:
            canvas.paint(self.names[1], to_binary(values))
            return
        for value in np.unique(values).tolist():
            if value == IGNORE:
                canvas.ignore(values == value)
            elif value:
                canvas.paint(self.names[value], values == value)


def _count_values(
    folder: SourceFolder, masks: list[str]
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    counts = np.zeros(256, np.int64)
    readable = False
    problem: FlawsmithError | None = None
    for mask in masks:
        try:
            counts += np.bincount(read_index_values(folder.path(mask)).ravel(), minlength=256)
            readable = True
        except FlawsmithError as error:  # told again, for its image, when that is imported
            problem = error
    if problem and not readable:
        raise problem
    return counts


def is_binary(counts: np.ndarray[tuple[int], np.dtype[np.int64]]) -> bool:
    """Tell from how often each value occurs whether the masks have one class.

    Raises:
        FlawsmithError: if they are grey images.
    """
    values = np.flatnonzero(counts).tolist()
    if set(values) <= {0, IGNORE}:
        return True
    if len(values) <= MAX_CLASSES:
        return False
    if counts[0] + counts[IGNORE] >= 0.9 * counts.sum():  # soft edges of a binary mask
        return True
    raise FlawsmithError(
        f"the masks have {len(values)} different values, more than {MAX_CLASSES}: they are grey "
        "images, not class numbers; save them as PNG with one number per class"
    )


def _class_names(
    folder: SourceFolder, counts: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> dict[int, str]:
    """Return the name of each value that occurs; those of ``classes.txt`` where there is one."""
    listed = listed_names(folder)
    values = [value for value in np.flatnonzero(counts).tolist() if value not in (0, IGNORE)]
    if not listed and values == [1]:
        return {1: "defect"}
    return {value: listed.get(value, f"class_{value}") for value in values}


def listed_names(folder: SourceFolder) -> dict[int, str]:
    """Return the names in ``classes.txt``, from 1 on, or from 0 if the first means no defect."""
    for file in folder.files:
        if file.rsplit("/", 1)[-1].casefold() in CLASS_FILES:
            lines = folder.path(file).read_text(encoding="utf-8", errors="replace").splitlines()
            names = [re.sub(r"^\s*\d+\s*[:,;\s]\s*", "", line).strip() for line in lines]
            names = [name for name in names if name and not name.startswith("#")]
            first = 0 if names and _is_background(names[0]) else 1
            return dict(enumerate(names, start=first))
    return {}


def _is_background(name: str) -> bool:
    return name.strip("_").casefold() == "background" or is_good_name(name)
