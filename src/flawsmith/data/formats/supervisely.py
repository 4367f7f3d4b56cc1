"""Supervisely projects: ``<data set>/img/a.jpg`` with ``<data set>/ann/a.jpg.json``."""

import base64
import io
import posixpath
import zlib
from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from flawsmith.data.formats import shapes
from flawsmith.data.formats.base import FORMATS, Certainty, Format, Match, Source, SourceImage
from flawsmith.data.formats.canvas import Canvas, is_class
from flawsmith.data.formats.folder import SourceFolder
from flawsmith.data.formats.pairing import stem
from flawsmith.data.images import BoolArray
from flawsmith.errors import FlawsmithError

LINE_WIDTH = 3  # Supervisely's lines have none
LOOKED_AT = 5  # JSON files read to recognise the format
RENDERED = ("masks_human", "masks_instances", "masks_machine", "seg")
DAMAGED = (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, OSError,
           SyntaxError, zlib.error, Image.DecompressionBombError)  # fmt: skip


@FORMATS.register("supervisely")
class Supervisely(Format):
    """Later objects cover earlier ones; rectangles are weak labels, points label the image.

    A file without objects is a good image, an image without a file is unlabelled. Classes have the
    order of meta.json; those that no object uses are dropped.
    """

    summary: ClassVar[str] = "Supervisely: <data set>/img/a.jpg, <data set>/ann/a.jpg.json"

    def detect(self, folder: SourceFolder) -> Match | None:
        """Recognise JSON files with objects and a size in a folder ann/."""
        for name in _label_files(folder)[:LOOKED_AT]:
            if folder.mentions(name, "objects", "size"):
                return Match(Certainty.CONTENT, f"{name} has Supervisely objects")
        return None

    def read(self, folder: SourceFolder) -> Source:
        """Read every label file for its class names; objects are read again when painted."""
        source = Source([])
        used: set[str] = set()
        names: set[str] = set()
        images = {(posixpath.dirname(name), stem(name)): name for name in folder.images}
        for file in _label_files(folder):
            home = posixpath.join(posixpath.dirname(posixpath.dirname(file)), "img")
            named = posixpath.join(home, stem(file))
            image = named if named in folder.image_names else images.get((home, stem(file)))
            if image is None:
                source.find("missing image", file, "there is no image of this name in img/")
                continue
            if image in used:
                source.find("labelled twice", file, f"{image} has another label file; skipped")
                continue
            used.add(image)
            source.images.append(SourceImage(image, partial(_paint, folder, file)))
            try:
                names |= {_name(item) for item in _objects(_content(folder, file))}
            except FlawsmithError:
                continue  # reported when its image is painted
        rendered = [name for name in folder.images if _is_rendered(name)]
        if rendered:
            source.notes.append(f"{len(rendered)} masks that Supervisely rendered were left out.")
        for image in sorted(folder.image_names - used - set(rendered)):
            source.unlabelled(image, "it has no label file in ann/")
        source.classes = _in_order(folder, {name for name in names if is_class(name)}, source)
        return source


def _label_files(folder: SourceFolder) -> list[str]:
    return [name for name in folder.jsons if _parent(name) == "ann"]


def _parent(file: str) -> str:
    return posixpath.basename(posixpath.dirname(file))


def _is_rendered(file: str) -> bool:
    return _parent(file) in RENDERED


def _in_order(folder: SourceFolder, names: set[str], source: Source) -> list[str]:
    """Return the used class names in the order of meta.json, then others."""
    known: list[str] = []
    for file in folder.jsons:
        if posixpath.basename(file) != "meta.json":
            continue
        try:
            known += [str(entry["title"]) for entry in folder.read_json(file)["classes"]]
        except (FlawsmithError, KeyError, TypeError, ValueError) as error:
            source.find("unreadable labels", file, f"its classes cannot be read ({error})")
    ordered = [name for name in dict.fromkeys(known) if name in names]
    others = sorted(names - set(ordered))
    if known:
        for name in others:
            source.find("unknown class", "meta.json", f"objects are '{name}'; it is not listed")
    return ordered + others


def _content(folder: SourceFolder, file: str) -> dict[str, Any]:
    content = folder.read_json(file)
    if not isinstance(content, dict) or not isinstance(content.get("objects"), list):
        raise FlawsmithError(f"{file} has no list of Supervisely objects")
    return content


def _objects(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (item for item in content["objects"] if isinstance(item, dict))


def _name(item: dict[str, Any]) -> str:
    return str(item.get("classTitle", ""))


def _paint(folder: SourceFolder, file: str, canvas: Canvas) -> None:
    content = _content(folder, file)
    size = content.get("size")
    if isinstance(size, dict) and not canvas.made_for(size.get("width"), size.get("height")):
        return
    lost = len(content["objects"]) - sum(1 for _ in _objects(content))
    if lost:
        canvas.exclude("unreadable labels", f"{lost} entries of {file} are no objects")
    for item in _objects(content):
        name = _name(item)
        try:
            _draw(name, item, canvas)
        except DAMAGED as error:
            canvas.note("unreadable labels", f"'{name}' has a damaged shape ({error}): image label")
            canvas.label(name)


def _draw(name: str, item: dict[str, Any], canvas: Canvas) -> None:
    kind = str(item.get("geometryType"))
    size = (canvas.height, canvas.width)
    if kind == "bitmap":
        where = _bitmap(item["bitmap"], size)
    elif kind == "polygon":
        where = shapes.polygon(_points(item["points"]["exterior"]), size)
        for hole in item["points"].get("interior") or []:
            where = where & ~shapes.polygon(_points(hole), size)
    elif kind in ("line", "polyline"):
        where = shapes.line(_points(item["points"]["exterior"]), LINE_WIDTH, size)
    elif kind == "rectangle":
        corners = np.array(_points(item["points"]["exterior"]))
        (x0, y0), (x1, y1) = corners.min(axis=0), corners.max(axis=0)
        canvas.box(name, (x0, y0, x1 + 1, y1 + 1))  # both corners belong to it
        return
    else:
        canvas.note("shape without area", f"'{name}' is a {kind}; it labels the image")
        canvas.label(name)
        return
    canvas.paint_shape(name, where)


def _points(values: Any) -> list[shapes.Point]:  # noqa: ANN401 - from JSON
    return [(float(x), float(y)) for x, y in values]


def _bitmap(bitmap: dict[str, Any], size: shapes.Size) -> BoolArray:
    """Return a PNG, in zlib, in base64, at its origin.

    The SDK (supervisely/geometry/bitmap.py) takes its alpha where it has one, else its values.
    """
    height, width = size
    limit = 8 * height * width + (1 << 16)  # no PNG of the image's size is larger
    data = zlib.decompressobj().decompress(base64.b64decode(bitmap["data"]), limit + 1)
    if len(data) > limit:
        raise ValueError("its bitmap unpacks to more than the image holds")
    with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
        if picture.width > width or picture.height > height:
            raise ValueError("its bitmap is larger than the image")
        alpha = "A" in picture.mode or "transparency" in picture.info
        values = picture.convert("RGBA").getchannel("A") if alpha else picture.convert("L")
        small = np.asarray(values) > 0
    x, y = (int(v) for v in bitmap["origin"])
    if not (-width < x < width and -height < y < height):
        raise ValueError(f"its bitmap lies outside the image, at {x}, {y}")
    where = np.zeros(size, np.bool_)
    target = where[max(y, 0) : y + small.shape[0], max(x, 0) : x + small.shape[1]]
    small = small[max(-y, 0) :, max(-x, 0) :]
    target[:] = small[: target.shape[0], : target.shape[1]]
    return where
