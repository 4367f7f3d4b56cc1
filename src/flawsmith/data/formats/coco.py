"""COCO instance segmentation: one or more JSON files with images, categories and annotations."""

from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

from flawsmith.data.formats import run_lengths, shapes
from flawsmith.data.formats.base import (
    FORMATS,
    Certainty,
    Format,
    Match,
    Source,
    SourceImage,
    named_image,
)
from flawsmith.data.formats.canvas import Canvas, class_name
from flawsmith.data.formats.folder import SourceFolder
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

    An annotation with a box only is a weak label: its box is ignored, the image has its class.
    Listed images without annotations are good. Categories that no annotation uses are dropped.
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
    ids: set[str] = set()
    for row in images:
        number = str(row.get("id"))
        own = by_image.pop(number, [])
        image = named_image(folder, file, str(row.get("file_name", "")), source)
        if image is None:
            continue
        if number in ids:
            reason = f"its id {number} in {file} is that of an image before it; not labelled by it"
            source.find("duplicate id", image, reason)
            continue
        ids.add(number)
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


def _paint(entry: _Entry, canvas: Canvas) -> None:
    size = (canvas.height, canvas.width)
    if not canvas.made_for(entry.width, entry.height):
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
        crowd = bool(annotation.get("iscrowd"))
        where = run_lengths.decode(code)
        if crowd:
            canvas.ignore(where)
        else:
            canvas.paint(name, where)
        canvas.instances.append(run_lengths.instance(class_name(name), code, crowd=crowd))


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
        runs = run_lengths.parse_counts(counts) if isinstance(counts, str) else counts
        return run_lengths.encode(run_lengths.expand(runs, size))
    for polygon in shape:
        shapes.require_near(polygon, size)
    polygons = [[float(v) for v in polygon] for polygon in shape if len(polygon) >= 6]
    if polygons:
        code: dict[str, Any] = rle.merge(rle.frPyObjects(polygons, height, width))
        if rle.area(code):
            return code
    # Thinner than a pixel: its corners, so that nothing small is lost.
    corners = [(float(p[i]), float(p[i + 1])) for p in shape for i in range(0, len(p) - 1, 2)]
    if not corners:
        raise ValueError("its polygons have no corner")
    return run_lengths.encode(shapes.pixels(corners, size))


def _paint_box(name: str, annotation: dict[str, Any], canvas: Canvas) -> None:
    """Mark the box of an annotation without a shape: the defect is somewhere in it."""
    try:
        x, y, width, height = (float(v) for v in annotation["bbox"])
    except (KeyError, TypeError, ValueError):
        canvas.label(name)
        canvas.note("shape without area", f"'{name}' has neither shape nor box; image label")
        return
    canvas.box(name, (x, y, x + width, y + height))
