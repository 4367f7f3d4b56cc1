"""COCO instance segmentation: one or more JSON files with images, categories and annotations."""

import posixpath
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np

from flawsmith.data.formats.base import FORMATS, Certainty, Format, Match, Source, SourceImage
from flawsmith.data.formats.canvas import BoolArray, Canvas, require_near
from flawsmith.data.formats.folder import OutsideSourceError, SourceFolder
from flawsmith.errors import FlawsmithError


@dataclass
class _Entry:
    """One image with the annotations of all files that list it."""

    height: int | None
    width: int | None
    annotations: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


@FORMATS.register("coco")
class Coco(Format):
    """Polygons and RLE; later annotations cover earlier ones, crowd regions are ignored.

    An annotation with a box only marks its box as ignored and labels the image. Listed images
    without annotations are good. Categories that no annotation uses are dropped.
    """

    summary: ClassVar[str] = "COCO JSON files (polygons or RLE) and their images"

    def detect(self, folder: SourceFolder) -> Match | None:
        """Recognise JSON files with images, annotations and categories."""
        for name in folder.jsons:
            if folder.mentions(name, "images", "annotations", "categories"):
                return Match(Certainty.CONTENT, f"{name} has COCO annotations")
        return None

    def read(self, folder: SourceFolder) -> Source:
        """Read all JSON files; masks are decoded when their image is imported."""
        import pycocotools.mask  # noqa: F401 - fails early where the package is missing

        source = Source([])
        entries: dict[str, _Entry] = {}
        for file in folder.jsons:
            try:
                _read_file(folder, file, entries, source)
            except FlawsmithError as error:
                source.find("unreadable labels", file, str(error))
        source.classes = sorted({name for e in entries.values() for name, _ in e.annotations})
        for image in folder.images:
            if image in entries:
                source.images.append(SourceImage(image, partial(_paint, entries[image])))
            else:
                source.unlabelled(image, "no COCO file lists it")
        bare = sum(not entry.annotations for entry in entries.values())
        if bare:
            source.notes.append(f"{bare} listed images have no annotation: they count as good.")
        return source


def _read_file(folder: SourceFolder, file: str, entries: dict[str, _Entry], source: Source) -> None:
    content = folder.read_json(file)
    tables = [content.get(key) if isinstance(content, dict) else None for key in _TABLES]
    if not all(isinstance(table, list) for table in tables):
        source.find("no label file", file, f"this JSON file has no {', '.join(_TABLES)}; skipped")
        return
    images, annotations, categories = (
        [row for row in table or [] if isinstance(row, dict)] for table in tables
    )
    names = {str(row.get("id")): str(row.get("name", row.get("id"))) for row in categories}
    by_image: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for annotation in annotations:
        by_image[str(annotation.get("image_id"))].append(annotation)
    for row in images:
        own = by_image.pop(str(row.get("id")), [])
        image = _image_file(folder, file, str(row.get("file_name", "")), source)
        if image is None:
            continue
        if image in entries:
            source.find("listed twice", image, f"listed again in {file}; annotations are joined")
        entry = entries.setdefault(image, _Entry(row.get("height"), row.get("width")))
        for annotation in own:
            name = names.get(str(annotation.get("category_id")))
            if name is None:
                kind = f"category {annotation.get('category_id')} is not defined"
                source.find("unknown class", image, f"{kind} in {file}; named unknown")
            entry.annotations.append((name or "unknown", annotation))
    for image_id, lost in by_image.items():
        source.find("orphaned labels", file, f"{len(lost)} annotations of no image {image_id}")


_TABLES = ("images", "annotations", "categories")


def _image_file(folder: SourceFolder, file: str, name: str, source: Source) -> str | None:
    """Return the image that ``file`` calls ``name``: beside it, in images/, or unique by name."""
    try:
        for candidate in (name, f"images/{name}"):
            found = folder.locate(file, candidate)
            if found in folder.image_names:
                return found
    except OutsideSourceError as error:
        source.find("path outside the folder", file, str(error))
        return None
    home = f"{posixpath.dirname(file)}/" if "/" in file else ""
    same = folder.by_basename.get(posixpath.basename(name), []) if name else []
    near = [path for path in same if path.startswith(home)] or same
    if len(near) == 1:
        return near[0]
    reason = f"{len(near)} images are called so" if near else "there is no such image"
    source.find("missing image", file, f"lists '{name}': {reason}; not imported")
    return None


def _paint(entry: _Entry, canvas: Canvas) -> None:
    size = (canvas.height, canvas.width)
    if None not in (entry.height, entry.width) and (entry.height, entry.width) != size:
        canvas.exclude(
            "mis-sized labels",
            f"labels are for {entry.width} x {entry.height} pixels, "
            f"the image has {canvas.width} x {canvas.height}",
        )
        return
    for name, annotation in sorted(entry.annotations, key=lambda a: not a[1].get("iscrowd")):
        try:
            code = _run_lengths(annotation, size)
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            canvas.note("unreadable labels", f"'{name}' has a damaged shape ({error}): image label")
            canvas.label(name)
            continue
        if code is None:
            _paint_box(name, annotation, canvas)
            continue
        where = _decode(code)
        if annotation.get("iscrowd"):
            canvas.ignore(where)
        else:
            canvas.paint(name, where)
        canvas.instances.append(_instance(name, annotation, code))


def _run_lengths(annotation: dict[str, Any], size: tuple[int, int]) -> dict[str, Any] | None:
    """Return the compressed RLE of an annotation, or None if it has a box only."""
    from pycocotools import mask as rle

    shape = annotation.get("segmentation")
    if not shape:
        return None
    height, width = size
    if isinstance(shape, dict):
        if list(shape["size"]) != [height, width]:
            raise ValueError(f"its RLE is {shape['size']}, the image {[height, width]}")
        counts = shape["counts"]
        return _encode(_expand(parse_counts(counts) if isinstance(counts, str) else counts, size))
    for polygon in shape:
        require_near(polygon, size)
    polygons = [[float(v) for v in polygon] for polygon in shape if len(polygon) >= 6]
    if polygons:
        code: dict[str, Any] = rle.merge(rle.frPyObjects(polygons, height, width))
        if rle.area(code):
            return code
    # Thinner than a pixel: its corners, so that nothing small is lost.
    points = np.array([v for p in shape for v in p[: len(p) // 2 * 2]], float).reshape(-1, 2)
    where = np.zeros(size, np.bool_)
    columns = np.clip(points[:, 0].astype(int), 0, width - 1)
    where[np.clip(points[:, 1].astype(int), 0, height - 1), columns] = True
    return _encode(where)


def parse_counts(text: str) -> list[int]:
    """Return the run lengths of a compressed RLE string (maskApi.c, ``rleFrString``).

    pycocotools decodes runs that do not fill the image into uninitialised memory, so runs are
    checked before anything is decoded.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text.encode("latin-1"):
        bits = character - 48
        if not 0 <= bits < 64 or shift > 30:
            raise ValueError("its RLE has a wrong character")
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            if bits & 0x10:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    return counts


def _expand(counts: list[int], size: tuple[int, int]) -> BoolArray:
    """Return the pixels of run lengths in column order that begin with unset ones."""
    runs = np.array(counts, np.int64)
    if runs.ndim != 1 or (runs < 0).any() or int(runs.sum()) != size[0] * size[1]:
        raise ValueError("its RLE does not fill the image")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(size[::-1]).T


def _decode(code: dict[str, Any]) -> BoolArray:
    from pycocotools import mask as rle

    return np.asarray(rle.decode(code)).view(np.bool_)


def _encode(where: BoolArray) -> dict[str, Any]:
    from pycocotools import mask as rle

    code: dict[str, Any] = rle.encode(np.asfortranarray(where, dtype=np.uint8))
    return code


def _paint_box(name: str, annotation: dict[str, Any], canvas: Canvas) -> None:
    """Ignore the box of an annotation without a shape: the defect is somewhere in it."""
    canvas.label(name)
    try:
        x, y, width, height = (float(v) for v in annotation["bbox"])
    except (KeyError, TypeError, ValueError):
        canvas.note("shape without area", f"'{name}' has neither shape nor box; image label")
        return
    where = np.zeros((canvas.height, canvas.width), np.bool_)
    rows = slice(max(0, int(y)), max(0, int(np.ceil(y + height))))
    where[rows, max(0, int(x)) : max(0, int(np.ceil(x + width)))] = True
    canvas.ignore(where)
    canvas.note("box only", f"'{name}' has a box but no shape; the box is ignored")


def _instance(name: str, annotation: dict[str, Any], code: dict[str, Any]) -> dict[str, Any]:
    """Return an instance with the same keys and types in every line, as Arrow needs them."""
    from pycocotools import mask as rle

    return {
        "label": name,
        "bbox": [float(v) for v in rle.toBbox(code)],
        "area": int(rle.area(code)),
        "iscrowd": bool(annotation.get("iscrowd")),
        "rle": {"size": [int(v) for v in code["size"]], "counts": code["counts"].decode()},
    }
