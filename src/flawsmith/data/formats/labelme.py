"""Labelme: one JSON file an image, with polygons, rectangles, circles, lines and masks.

Shapes are drawn as Labelme's own converter does (labelme/utils/shape.py, ``shape_to_mask``), lines
10 pixels wide included.
"""

import base64
import binascii
import io
import math
import posixpath
from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from flawsmith.data.formats import shapes
from flawsmith.data.formats.base import FORMATS, Certainty, Format, Match, Source, SourceImage
from flawsmith.data.formats.canvas import Canvas, is_class
from flawsmith.data.formats.folder import OutsideSourceError, SourceFolder
from flawsmith.data.images import BoolArray
from flawsmith.errors import FlawsmithError

LINE_WIDTH = 10  # Labelme's default
LOOKED_AT = 5  # JSON files read to recognise the format

FEWEST_POINTS = {"polygon": 3, "rectangle": 2, "circle": 2, "line": 2, "linestrip": 2, "mask": 2}


@FORMATS.register("labelme")
class Labelme(Format):
    """Later shapes cover earlier ones; shapes called ignore or uncertain become ignored regions.

    A point, or a polygon with fewer than three corners, has no area: it labels the whole image. A
    file without shapes is a good image, an image without a file is unlabelled and excluded.
    """

    summary: ClassVar[str] = "a Labelme JSON file per image"

    def detect(self, folder: SourceFolder) -> Match | None:
        """Recognise JSON files with shapes and an image path."""
        for name in folder.jsons[:LOOKED_AT]:
            if folder.mentions(name, "shapes", "imagePath"):
                return Match(Certainty.CONTENT, f"{name} has Labelme shapes")
        return None

    def read(self, folder: SourceFolder) -> Source:
        """Read every JSON file once for its class names; shapes are read again when painted."""
        names: set[str] = set()
        source = Source([])
        used: set[str] = set()
        for file in folder.jsons:
            try:
                content = _content(folder, file)
            except FlawsmithError as error:
                source.find("unreadable labels", file, str(error))
                continue
            if content is None:
                source.find("no label file", file, "this JSON file has no Labelme shapes; skipped")
                continue
            image = _image_file(folder, file, content, source)
            paint = partial(_paint, folder, file)
            if image:
                if image in used:
                    source.find("labelled twice", file, f"{image} has another label file; skipped")
                    continue
                used.add(image)
                source.images.append(SourceImage(image, paint))
            elif content.get("imageData"):
                embedded = partial(_embedded, folder, file)
                source.images.append(SourceImage(file, paint, embedded))
            else:
                source.find("missing image", file, "its image is not there and not embedded")
                continue
            names |= {str(shape.get("label", "")) for shape in _shapes(content)}
        for image in folder.images:
            if image not in used:
                source.unlabelled(image, "it has no label file")
        source.classes = sorted(name for name in names if is_class(name))
        return source


def _content(folder: SourceFolder, file: str) -> dict[str, Any] | None:
    content = folder.read_json(file)
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        return None
    return content


def _shapes(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (shape for shape in content["shapes"] if isinstance(shape, dict))


def _image_file(
    folder: SourceFolder, file: str, content: dict[str, Any], source: Source
) -> str | None:
    named = str(content.get("imagePath") or "")
    try:
        found = folder.locate(file, named) if named else None
    except OutsideSourceError as error:
        source.find("path outside the folder", file, str(error))
        found = None
    if found in folder.image_names:
        return found
    beside = [f"{posixpath.splitext(file)[0]}{suffix}" for suffix in (".png", ".jpg", ".bmp")]
    same = [name for name in folder.by_basename.get(posixpath.basename(named), []) if named]
    same = [name for name in same if posixpath.dirname(name) == posixpath.dirname(file)]
    return next((name for name in [*beside, *same] if name in folder.names), None)


def _embedded(folder: SourceFolder, file: str) -> bytes:
    try:
        return base64.b64decode(folder.read_json(file)["imageData"], validate=False)
    except (TypeError, ValueError, binascii.Error) as error:
        raise FlawsmithError(f"{file}: its embedded image is damaged: {error}") from None


def _paint(folder: SourceFolder, file: str, canvas: Canvas) -> None:
    content = _content(folder, file)
    if content is None:
        raise FlawsmithError(f"{file} changed while it was imported")
    if not canvas.made_for(content.get("imageWidth"), content.get("imageHeight")):
        return
    for shape in _shapes(content):
        name = str(shape.get("label", ""))
        where = _draw(shape, canvas)
        if where is None:
            canvas.label(name)
        elif shape.get("shape_type") == "rectangle":  # Labelme's converter fills it: a region
            canvas.box(name, _corners(where), region=True)
        else:
            canvas.paint(name, where)


def _corners(where: BoolArray) -> tuple[int, int, int, int]:
    """Return x0, y0, x1, y1 around the set pixels, of which there are some."""
    rows, columns = np.flatnonzero(where.any(axis=1)), np.flatnonzero(where.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _draw(shape: dict[str, Any], canvas: Canvas) -> BoolArray | None:
    """Return the pixels of a shape, H x W, or None with a note on the canvas."""
    kind = str(shape.get("shape_type") or "polygon")
    size = (canvas.height, canvas.width)
    name = shape.get("label", "")
    try:
        points = [(float(x), float(y)) for x, y in shape["points"]]
        shapes.require_near(points, size)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        canvas.note("unreadable labels", f"'{name}' has a damaged shape ({error}): image label")
        return None
    if len(points) < FEWEST_POINTS.get(kind, 1 << 30):
        reason = f"a {kind} with {len(points)} point(s)"
        canvas.note("shape without area", f"'{name}' is {reason}; it labels the image")
        return None
    if kind == "mask":
        return _pasted(shape, points[0], canvas)
    try:
        where = _where(kind, points, float(shape.get("line_width") or LINE_WIDTH), size)
    except (TypeError, ValueError, OverflowError) as error:
        canvas.note("unreadable labels", f"'{name}' has a damaged shape ({error}): image label")
        return None
    if not where.any():
        canvas.note("shape without area", f"'{name}' lies outside the image; it labels the image")
        return None
    return where


def _where(kind: str, points: list[shapes.Point], width: float, size: shapes.Size) -> BoolArray:
    if kind == "polygon":
        return shapes.polygon(points, size)
    if kind == "rectangle":
        return shapes.rectangle(points, size)
    if kind == "circle":
        (x, y), (edge_x, edge_y) = points[:2]
        radius = math.hypot(x - edge_x, y - edge_y)
        return shapes.ellipse((x, y), (radius, radius), size)
    return shapes.line(points, width, size)


def _pasted(shape: dict[str, Any], corner: tuple[float, float], canvas: Canvas) -> BoolArray | None:
    """Return a ``mask`` shape: a small PNG whose upper left corner is its first point."""
    try:
        data = base64.b64decode(str(shape["mask"]))
        with Image.open(io.BytesIO(data)) as picture:
            if picture.width > canvas.width + 1 or picture.height > canvas.height + 1:
                raise ValueError("larger than the image")
            small = np.asarray(picture.convert("L")) > 0
    except Exception as error:  # Pillow raises nearly every type on damaged files
        canvas.note("shape without area", f"'{shape.get('label')}' has a damaged mask: {error}")
        return None
    where = np.zeros((canvas.height, canvas.width), np.bool_)
    x, y = max(0, int(corner[0])), max(0, int(corner[1]))
    target = where[y : y + small.shape[0], x : x + small.shape[1]]
    target[:] = small[: target.shape[0], : target.shape[1]]
    return where
