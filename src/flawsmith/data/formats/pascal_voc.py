"""Pascal VOC: boxes in ``Annotations/*.xml``, palette masks in ``SegmentationClass/*.png``.

Everingham et al., "The Pascal Visual Object Classes (VOC) Challenge", IJCV 2010. LabelImg, CVAT,
Roboflow and Labelme write the same layout or a part of it.
"""

import posixpath
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar
from xml.etree.ElementTree import Element

import numpy as np

from flawsmith.data.formats import shapes
from flawsmith.data.formats.base import FORMATS, Certainty, Format, Match, Source, SourceImage
from flawsmith.data.formats.canvas import Canvas, is_class, read_index_values
from flawsmith.data.formats.folder import SourceFolder
from flawsmith.data.formats.pairing import place, plain, stem
from flawsmith.data.images import LabelArray, read_image
from flawsmith.data.schema import IGNORE
from flawsmith.errors import FlawsmithError

MASKS = ("segmentationclass", "segmentationclasspng")
NAME_FILES = ("labelmap.txt", "class_names.txt", "classes.txt", "labels.txt")
COLOUR = re.compile(r"[0-9]{1,3}")
LOOKED_AT = 20  # label files read to recognise the format

Colours = dict[tuple[int, int, int], int]
"""The index that a colour in a mask stands for."""


@FORMATS.register("pascal_voc")
class PascalVoc(Format):
    """Masks hold class numbers, 0 for no defect and 255 for ignore, or the colours of labelmap.txt.

    Boxes count where an image has no mask, or an empty one, and are weak labels. An XML file
    without objects or a mask of zeros means a good image.
    """

    summary: ClassVar[str] = "Pascal VOC: Annotations/*.xml boxes, SegmentationClass/*.png masks"

    def detect(self, folder: SourceFolder) -> Match | None:
        """Recognise XML files with VOC's elements, or a folder SegmentationClass."""
        for file in folder.with_suffix(".xml")[:LOOKED_AT]:
            try:
                if _is_voc(folder.read_xml(file)):
                    return Match(Certainty.CONTENT, f"{file} has Pascal VOC objects")
            except FlawsmithError:
                continue
        if any(_segmentation(name) in MASKS for name in folder.images):
            return Match(Certainty.CONTENT, "masks lie in SegmentationClass")
        return None

    def read(self, folder: SourceFolder) -> Source:
        """Read every XML file and mask once for the classes."""
        source = Source([])
        masks = {_key(n): n for n in folder.images if _segmentation(n) in MASKS}
        listed, colours = _class_names(folder, source)
        images = [name for name in folder.images if not _segmentation(name)]
        boxes = _annotations(folder, images, source)
        values: set[int] = set()
        for file in masks.values():
            values |= _values(folder.path(file), colours)
        names = {v: listed.get(v, f"class_{v}") for v in sorted(values - {0, IGNORE})}
        if set(names) - set(listed):
            source.notes.append(
                "The masks have classes without a name: put labelmap.txt beside the folders, with "
                "a line name:red,green,blue:: for each class, background first."
            )
        boxed: set[str] = set()
        for image in images:
            mask = masks.pop(_key(image), None)
            root = boxes.get(image)
            if mask is None and root is None:
                source.unlabelled(image, "it has neither a mask nor an XML file")
                continue
            path = folder.path(mask) if mask else None
            source.images.append(SourceImage(image, partial(_paint, path, names, colours, root)))
            if root is not None:
                boxed |= {_name(item) for item in root.iterfind("object")}
        for file in masks.values():
            source.find("orphaned mask", file, "there is no image of this name")
        source.classes = [*names.values(), *sorted(boxed - set(names.values()))]
        return source


def _key(file: str) -> tuple[str, str]:
    """Return folder and stem; ``SegmentationClassPNG`` counts as a mask folder as well."""
    parts = file.split("/")
    kept = [part for part in parts[:-1] if not plain(part).startswith("segmentation")]
    bare = "/".join([*kept, parts[-1]])
    return place(bare), stem(file)


def _segmentation(file: str) -> str:
    """Return the folder of a mask, such as ``segmentationobject``; "" for a photograph."""
    parts = map(plain, file.split("/")[:-1])
    return next((part for part in parts if part.startswith("segmentation")), "")


def _is_voc(root: Element) -> bool:
    keys = ("object/bndbox", "size/width", "segmented")
    return root.tag == "annotation" and any(root.find(key) is not None for key in keys)


def _name(item: Element) -> str:
    return (item.findtext("name") or "").strip() or "unnamed"


def _annotations(folder: SourceFolder, images: list[str], source: Source) -> dict[str, Element]:
    """Return the XML root of each image, found by the name of the file, or else as it says."""
    by_key = {_key(image): image for image in images}
    found: dict[str, Element] = {}
    for file in folder.with_suffix(".xml"):
        try:
            root = folder.read_xml(file)
        except FlawsmithError as error:
            source.find("unreadable labels", file, f"{error}; its image counts as unlabelled")
            continue
        if not _is_voc(root):
            source.find("no label file", file, "this XML file has no Pascal VOC objects; skipped")
            continue
        named = posixpath.basename((root.findtext("filename") or "").strip().replace("\\", "/"))
        same = [name for name in folder.by_basename.get(named, []) if not _segmentation(name)]
        image = by_key.get(_key(file)) or (same[0] if len(same) == 1 else None)
        if image is None:
            source.find("missing image", file, f"there is no image for it, not '{named}' either")
        elif image in found:
            source.find("labelled twice", file, f"{image} has another XML file; skipped")
        else:
            found[image] = root
    return found


def _class_names(folder: SourceFolder, source: Source) -> tuple[dict[int, str], Colours]:
    """Return names by index and indices by colour; CVAT writes ``name:red,green,blue:parts:``."""
    files = [f for f in folder.files if f.rsplit("/", 1)[-1].casefold() in NAME_FILES]
    names: dict[int, str] = {}
    colours: Colours = {}
    for file in sorted(files, key=lambda f: (NAME_FILES.index(f.rsplit("/", 1)[-1].casefold()), f)):
        try:
            lines = [line.strip() for line in folder.read_text(file).splitlines()]
        except FlawsmithError as error:
            source.find("unreadable labels", file, str(error))
            continue
        rows = [line.split(":") for line in lines if line and not line.startswith("#")]
        rows = [row for row in rows if row[0] != "__ignore__"]  # Labelme's index -1
        first = 0 if rows and not is_class(rows[0][0]) else 1
        for index, row in enumerate(rows, start=first):
            names[index] = row[0].strip()
            parts = row[1].split(",") if len(row) > 1 else []
            if len(parts) == 3 and all(COLOUR.fullmatch(part.strip()) for part in parts):
                red, green, blue = (int(part) for part in parts)
                colours[red, green, blue] = index
        if names:
            break
    return names, colours


def _read_mask(path: Path, colours: Colours) -> LabelArray:
    """Return the indices of a palette mask, or of one painted in the colours of labelmap.txt.

    Raises:
        FlawsmithError: if it is damaged or has colours that labelmap.txt does not list.
    """
    try:
        return read_index_values(path)
    except FlawsmithError:
        pixels = read_image(path)
        if pixels.ndim != 3 or pixels.dtype != np.uint8 or not colours:
            raise
    found, places = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True)
    known = {(0, 0, 0): 0, (224, 224, 192): IGNORE, **colours}  # VOC's own border colour
    listed = [(int(red), int(green), int(blue)) for red, green, blue in found]
    strange = [colour for colour in listed if known.get(colour, IGNORE + 1) > IGNORE]
    if strange:
        raise FlawsmithError(
            f"{path} has the colour {strange[0]}, which labelmap.txt does not list"
        )
    indices = np.array([known[colour] for colour in listed], np.uint8)
    return indices[places.ravel()].reshape(pixels.shape[:2])


def _values(path: Path, colours: Colours) -> set[int]:
    try:
        return set(np.unique(_read_mask(path, colours)).tolist())
    except FlawsmithError:  # told when its image is painted
        return set()


def _paint(
    mask: Path | None,
    names: dict[int, str],
    colours: Colours,
    root: Element | None,
    canvas: Canvas,
) -> None:
    items = [] if root is None else list(root.iterfind("object"))
    if mask is not None:
        values = _read_mask(mask, colours)
        for value in np.unique(values).tolist():
            if value == IGNORE:
                canvas.ignore(values == value)
            elif value:
                canvas.paint(names[value], values == value)
        if values.any() or not items:
            return
        canvas.note("empty mask", "its XML file has objects, its mask has no pixel: boxes are read")
    if root is None or not _fits(root, canvas):
        return
    for item in items:
        try:
            _paint_object(item, canvas)
        except (ValueError, TypeError, OverflowError) as error:
            canvas.note("unreadable labels", f"'{_name(item)}': {error}; image label")
            canvas.label(_name(item))


def _fits(root: Element, canvas: Canvas) -> bool:
    """Tell whether the labels are for an image of this size; tools write 0 for not known."""
    width, height = (str(root.findtext(f"size/{key}") or "").strip() for key in ("width", "height"))
    return canvas.made_for(width.lstrip("0"), height.lstrip("0"))


def _paint_object(item: Element, canvas: Canvas) -> None:
    name = _name(item)
    outline = item.find("polygon")
    if outline is not None:  # Roboflow: x1, y1, x2, y2, ...
        where = shapes.polygon(list(_corners(outline)), (canvas.height, canvas.width))
        if where.any():
            canvas.paint(name, where)
            return
    box = item.find("bndbox")
    if box is None:
        raise ValueError("it has no box")
    x0, y0, x1, y1 = (float(box.findtext(k) or "nan") for k in ("xmin", "ymin", "xmax", "ymax"))
    if not (x0 <= x1 and y0 <= y1):
        raise ValueError(f"its box from ({x0}, {y0}) to ({x1}, {y1}) is none")
    # VOC counts pixels from 1, other tools from 0; a weak label may be a pixel wider.
    canvas.box(name, (x0 - 1, y0 - 1, x1, y1))


def _corners(outline: Element) -> Iterator[shapes.Point]:
    number = 1
    while (x := outline.findtext(f"x{number}")) is not None:
        yield float(x), float(outline.findtext(f"y{number}") or "nan")
        number += 1
