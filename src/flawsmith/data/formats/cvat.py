"""CVAT for images 1.1 and for video 1.1: one XML file with the shapes of all images.

https://docs.cvat.ai/docs/manual/advanced/xml_format/
"""

import math
from functools import partial
from typing import ClassVar
from xml.etree.ElementTree import Element

import numpy as np

from flawsmith.data.formats import shapes
from flawsmith.data.formats.base import (
    FORMATS,
    Certainty,
    Format,
    Match,
    Source,
    SourceImage,
    named_image,
)
from flawsmith.data.formats.canvas import Canvas, is_class
from flawsmith.data.formats.cvat_video import is_video, read_frames
from flawsmith.data.formats.folder import SourceFolder, is_good_name
from flawsmith.data.images import BoolArray
from flawsmith.errors import FlawsmithError

LINE_WIDTH = 3
"""CVAT's lines have no width; pixels."""


@FORMATS.register("cvat")
class Cvat(Format):
    """Shapes cover those with a smaller ``z_order``, and earlier ones.

    Boxes are weak labels; points, tags and shapes of other kinds label the whole image. A tag such
    as "good" is no defect. Listed images without labels are good. All frames of a video are one
    part.
    """

    summary: ClassVar[str] = "CVAT for images 1.1 or video 1.1: annotations.xml and its images"

    def detect(self, folder: SourceFolder) -> Match | None:
        """Recognise XML files with annotations and the images that they are for."""
        for file in folder.with_suffix(".xml"):
            try:
                head = folder.read_bytes(file)[:1000]
                if b"<annotations" in head and _is_cvat(folder.read_xml(file)):
                    return Match(Certainty.CONTENT, f"{file} has CVAT annotations")
            except FlawsmithError:
                continue
        return None

    def read(self, folder: SourceFolder) -> Source:
        """Read every XML file once; shapes are drawn when their image is imported."""
        source = Source([])
        entries: dict[str, list[Element]] = {}
        parts: dict[str, str] = {}
        for file in folder.with_suffix(".xml"):
            try:
                root = folder.read_xml(file)
            except FlawsmithError as error:
                source.find("unreadable labels", file, str(error))
                continue
            if is_video(root):
                for frame in read_frames(folder, file, root, source):
                    entries.setdefault(frame.image, []).append(frame.entry)
                    parts[frame.image] = frame.part
                continue
            if not _is_cvat(root):
                source.find("no label file", file, "it has no CVAT annotations; skipped")
                continue
            for entry in root.iterfind("image"):
                image = named_image(folder, file, entry.get("name", ""), source)
                if image in entries:
                    source.find("listed twice", image, f"again in {file}; labels are joined")
                if image:
                    entries.setdefault(image, []).append(entry)
        items = [item for found in entries.values() for entry in found for item in entry]
        names = {_name(item) for item in items if not _says_good(item)}
        source.classes = sorted(name for name in names if is_class(name))
        for image in folder.images:
            if image in entries:
                paint = partial(_paint, entries[image])
                source.images.append(SourceImage(image, paint, part=parts.get(image)))
            else:
                source.unlabelled(image, "no CVAT file lists it")
        bare = sum(not any(len(entry) for entry in found) for found in entries.values())
        if bare:
            source.notes.append(f"{bare} listed images have no annotation: they count as good.")
        return source


def _is_cvat(root: Element) -> bool:
    return is_video(root) or (root.tag == "annotations" and root.find("image[@name]") is not None)


def _name(item: Element) -> str:
    return item.get("label", "").strip() or "unnamed"


def _says_good(item: Element) -> bool:
    return item.tag == "tag" and is_good_name(_name(item))


def _paint(entries: list[Element], canvas: Canvas) -> None:
    if not all(canvas.made_for(entry.get("width"), entry.get("height")) for entry in entries):
        return
    items = [item for entry in entries for item in entry if not _says_good(item)]
    for item in sorted(items, key=_depth):
        name = _name(item)
        try:
            _paint_item(name, item, canvas)
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            reason = f"'{name}' has a damaged {item.tag} ({error}): image label"
            canvas.note("unreadable labels", reason)
            canvas.label(name)


def _depth(item: Element) -> float:
    try:
        depth = float(item.get("z_order", 0))
    except ValueError:
        return 0
    return depth if math.isfinite(depth) else 0


def _paint_item(name: str, item: Element, canvas: Canvas) -> None:
    if item.tag in ("tag", "points"):
        canvas.label(name)
        return
    size = (canvas.height, canvas.width)
    if item.tag == "box":
        corners = _box_corners(item)
        shapes.require_near(corners, size)
        (x0, y0), (x1, y1) = np.min(corners, axis=0), np.max(corners, axis=0)
        canvas.box(name, (float(x0), float(y0), float(x1), float(y1)))
        return
    draw = {"polygon": _polygon, "polyline": _polyline, "ellipse": _ellipse, "mask": _mask}
    if item.tag not in draw:
        canvas.note("unknown shape", f"'{name}' is a {item.tag}, which is not read: image label")
        canvas.label(name)
        return
    where = draw[item.tag](item, size)
    canvas.paint_shape(name, where)


def _number(item: Element, key: str) -> float:
    text = item.get(key)
    if text is None:
        raise ValueError(f"it has no {key}")
    return float(text)


def _points(item: Element) -> list[shapes.Point]:
    """Return ``x,y;x,y;...``."""
    pairs = [pair.split(",") for pair in item.get("points", "").split(";") if pair.strip()]
    return [(float(x), float(y)) for x, y in pairs]


def _box_corners(item: Element) -> list[shapes.Point]:
    """Return the corners turned clockwise on the screen by the ``rotation`` in degrees."""
    x0, y0, x1, y1 = (_number(item, key) for key in ("xtl", "ytl", "xbr", "ybr"))
    angle = math.radians(float(item.get("rotation", 0)))
    cos, sin = round(math.cos(angle), 9), round(math.sin(angle), 9)  # exact at right angles
    x, y, a, b = (x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2, (y1 - y0) / 2
    corners = [(-a, -b), (a, -b), (a, b), (-a, b)]
    return [(x + u * cos - v * sin, y + u * sin + v * cos) for u, v in corners]


def _polygon(item: Element, size: shapes.Size) -> BoolArray:
    return shapes.polygon(_points(item), size)


def _polyline(item: Element, size: shapes.Size) -> BoolArray:
    return shapes.line(_points(item), LINE_WIDTH, size)


def _ellipse(item: Element, size: shapes.Size) -> BoolArray:
    x, y, a, b = (_number(item, key) for key in ("cx", "cy", "rx", "ry"))
    if float(item.get("rotation", 0)) == 0:
        return shapes.ellipse((x, y), (a, b), size)
    turn = math.radians(float(item.get("rotation", 0)))
    shapes.require_near([x, y, a, b, turn], size)
    rows, columns = np.indices(size)
    along = (columns - x) * math.cos(turn) + (rows - y) * math.sin(turn)
    across = (rows - y) * math.cos(turn) - (columns - x) * math.sin(turn)
    # Outline included, half a pixel to either side, as in the other shapes.
    reach = np.square(along / (abs(a) + 0.5)) + np.square(across / (abs(b) + 0.5))
    return np.asarray(reach <= 1)


def _mask(item: Element, size: shapes.Size) -> BoolArray:
    """Return a mask: run lengths row by row in a window of the image, unset pixels first."""
    left, top, width, height = (
        int(_number(item, key)) for key in ("left", "top", "width", "height")
    )
    shapes.require_near([left, top, width, height], size)
    runs = np.array([int(run) for run in item.get("rle", "").split(",")], np.int64)
    fills = min(width, height) > 0 and runs.min() >= 0 and int(runs.sum()) == width * height
    if not fills or runs.max() > width * height:
        raise ValueError(f"its run lengths do not fill {width} x {height} pixels")
    window = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    where = np.zeros(size, np.bool_)
    y, x = max(0, top), max(0, left)
    seen = window[y - top : max(0, size[0] - top), x - left : max(0, size[1] - left)]
    where[y : y + seen.shape[0], x : x + seen.shape[1]] = seen
    return where
