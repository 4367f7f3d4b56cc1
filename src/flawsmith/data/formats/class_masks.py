"""One binary mask per class: ``masks/crack/a.png``, ``masks/a_crack.png`` or ``a_crack.png``."""

import posixpath
from typing import ClassVar

from flawsmith.data.formats.base import FORMATS, Certainty, Format, Match, Source, SourceImage
from flawsmith.data.formats.canvas import Canvas, read_binary_mask
from flawsmith.data.formats.folder import SourceFolder, is_good_name
from flawsmith.data.formats.pairing import (
    MASK_WORDS,
    bare_stem,
    by_place_and_stem,
    mask_root,
    place,
    split_images_and_masks,
    stem,
)

Masks = dict[str, list[tuple[str, str]]]
"""For each image its (class, mask file) pairs."""


@FORMATS.register("class_masks")
class ClassMasks(Format):
    """A binary mask for each class and image; the class is a folder or the end of the file name.

    An image without any mask is taken for unlabelled, unless a folder on its path says good.
    """

    summary: ClassVar[str] = "a binary mask per class: masks/<class>/a.png or a_<class>.png"

    def detect(self, folder: SourceFolder) -> Match | None:
        """Recognise mask folders named after classes, or mask files ending in one."""
        found, _, _ = _assign(folder)
        pairs = sum(len(masks) for masks in found.values())
        if not pairs:
            return None
        classes = sorted({name for masks in found.values() for name, _ in masks})
        return Match(Certainty.NAMES, f"{pairs} masks are named after {', '.join(classes[:6])}")

    def read(self, folder: SourceFolder) -> Source:
        """Collect the masks of each image; they are read when the image is imported."""
        found, images, orphans = _assign(folder)
        source = Source(sorted({name for masks in found.values() for name, _ in masks}))
        for image in images:
            masks = found.get(image, [])
            if masks or any(is_good_name(part) for part in image.split("/")[:-1]):
                source.images.append(SourceImage(image, _Painter(folder, masks)))
            else:
                source.unlabelled(image, "it has no mask of any class")
        for mask in orphans:
            source.find("orphaned mask", mask, "there is no image for it")
        return source


class _Painter:
    def __init__(self, folder: SourceFolder, masks: list[tuple[str, str]]) -> None:
        self.masks = [(name, folder.path(file)) for name, file in masks]

    def __call__(self, canvas: Canvas) -> None:
        for name, path in self.masks:
            canvas.paint(name, read_binary_mask(path))


def _assign(folder: SourceFolder) -> tuple[Masks, list[str], list[str]]:
    """Return the masks of each image, all images, and the masks without an image."""
    images, masks = split_images_and_masks(folder)
    if not masks:
        return _assign_siblings(folder)
    by_name = by_place_and_stem(images)
    if any((place(mask), bare_stem(mask)) in by_name for mask in masks):
        return {}, images, masks  # index masks
    found: Masks = {}
    orphans = []
    for mask in masks:
        image, name = _class_folder(mask, by_name) or _class_suffix(mask, by_name) or ("", "")
        if image:
            found.setdefault(image, []).append((name, mask))
        else:
            orphans.append(mask)
    return found, images, orphans


def _class_folder(mask: str, images: dict[tuple[str, str], str]) -> tuple[str, str] | None:
    parent = posixpath.dirname(mask)
    if parent == mask_root(mask):
        return None
    where, name = posixpath.split(place(mask))
    image = images.get((where, stem(mask))) or images.get((where, bare_stem(mask)))
    return (image, name) if image else None


def _class_suffix(mask: str, images: dict[tuple[str, str], str]) -> tuple[str, str] | None:
    name = bare_stem(mask)
    for at in range(len(name) - 1, 0, -1):
        image = images.get((place(mask), name[:at]))
        if image and name[at] in "_-. " and name[at + 1 :]:
            return image, name[at + 1 :]
    return None


def _assign_siblings(folder: SourceFolder) -> tuple[Masks, list[str], list[str]]:
    """Take ``a_crack.png`` beside ``a.png`` for a mask; ``a_mask.png`` is the class "defect"."""
    by_name = {(posixpath.dirname(name), stem(name)): name for name in folder.images}
    found: Masks = {}
    for mask in folder.images:
        name = stem(mask)
        for at in range(len(name) - 1, 0, -1):
            image = by_name.get((posixpath.dirname(mask), name[:at]))
            suffix = name[at + 1 :]
            if image and name[at] in "_-" and suffix[:1].isalpha() and mask.endswith(".png"):
                label = "defect" if suffix.casefold() in MASK_WORDS else suffix
                found.setdefault(image, []).append((label, mask))
                break
    taken = {file for masks in found.values() for _, file in masks}
    return found, [name for name in folder.images if name not in taken], []
