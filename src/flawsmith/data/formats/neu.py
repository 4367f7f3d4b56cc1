"""NEU-DET: hot-rolled steel strip, six classes with boxes, the class in the file name too.

Song and Yan, "A noise robust method based on completed local binary patterns for hot-rolled steel
strip surface defects", Applied Surface Science 285, 2013; boxes as in PASCAL VOC.
"""

import re
from functools import partial
from typing import ClassVar
from xml.etree.ElementTree import Element

from flawsmith.data.formats.base import FORMATS, Certainty, Format, Match, Source, SourceImage
from flawsmith.data.formats.canvas import Canvas
from flawsmith.data.formats.folder import SourceFolder
from flawsmith.data.formats.pairing import stem
from flawsmith.errors import FlawsmithError

CLASSES = ("crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches")
_BY_KEY = {re.sub(r"[-_ ]", "", name): name for name in CLASSES}
NAME = re.compile(r"([a-z][a-z_\- ]*?)[_\- ]\d+", re.IGNORECASE)


@FORMATS.register("neu")
class Neu(Format):
    """Boxes are weak labels; an image without boxes has the class of its name."""

    summary: ClassVar[str] = "NEU-DET: crazing_1.jpg and so on with PASCAL VOC boxes"

    def detect(self, folder: SourceFolder) -> Match | None:
        """Recognise the file names, if most images and some XML file are called so."""
        named = sum(_class_of(name) is not None for name in folder.images)
        boxes = any(_class_of(name) for name in folder.with_suffix(".xml"))
        if not boxes or not named or named < 0.9 * len(folder.images):
            return None
        return Match(Certainty.DATA_SET, f"{named} images are called as in NEU-DET")

    def read(self, folder: SourceFolder) -> Source:
        """Pair images and XML files by file name."""
        source = Source([])
        classes = set()
        labels: dict[str, str] = {}
        for file in folder.with_suffix(".xml"):
            if stem(file) in labels:
                source.find(
                    "listed twice", file, f"{labels[stem(file)]} has this name too; it wins"
                )
            labels.setdefault(stem(file), file)
        unused = set(labels)
        for image in folder.images:
            unused.discard(stem(image))
            own = _class_of(image)
            root = _root(folder, labels.get(stem(image)), source)
            names = (
                {_class_name(item) for item in root.iter("object")} if root is not None else set()
            )
            if own is None and not names:
                source.unlabelled(image, "it has no boxes, and its name starts with no class")
                continue
            classes |= names | ({own} if own else set())
            source.images.append(SourceImage(image, partial(_paint, root, own)))
        for name in sorted(unused):
            source.find("orphaned labels", labels[name], "there is no image of this name")
        source.classes = [name for name in CLASSES if name in classes]
        source.classes += sorted(classes - set(CLASSES))
        return source


def _class_of(file: str) -> str | None:
    match = NAME.fullmatch(stem(file))
    return _BY_KEY.get(_key(match[1])) if match else None


def _key(name: str) -> str:
    return re.sub(r"[-_\s]", "", name.casefold())


def _class_name(item: Element) -> str:
    name = (item.findtext("name") or "").strip() or "unnamed"
    return _BY_KEY.get(_key(name), name)


def _root(folder: SourceFolder, file: str | None, source: Source) -> Element | None:
    if file is None:
        return None
    try:
        return folder.read_xml(file)
    except FlawsmithError as error:
        source.find("unreadable labels", file, str(error))
        return None


def _paint(root: Element | None, own: str | None, canvas: Canvas) -> None:
    items = list(root.iter("object")) if root is not None else []
    if own is not None and not items:
        canvas.note("no boxes", f"it has no readable box; its name says '{own}': image label")
        canvas.label(own)
    if root is not None and not _fits(root, canvas):
        return
    for item in items:
        name = _class_name(item)
        if own is not None and name != own:
            canvas.note(
                "class differs", f"a box says '{name}', the file name '{own}'; the box counts"
            )
        try:
            x0, y0, x1, y1 = (
                float(item.findtext(f"bndbox/{side}") or "")
                for side in ("xmin", "ymin", "xmax", "ymax")
            )
        except ValueError as error:
            canvas.note("unreadable labels", f"'{name}' has a damaged box ({error}): image label")
            canvas.label(name)
            continue
        canvas.box(name, (x0 - 1, y0 - 1, x1, y1))  # VOC counts from 1 and includes both edges


def _fits(root: Element, canvas: Canvas) -> bool:
    """Tell whether the boxes are for an image of this size, as far as the file says it."""
    width, height = (str(root.findtext(f"size/{key}") or "").strip() for key in ("width", "height"))
    return canvas.made_for(width.lstrip("0"), height.lstrip("0"))
