"""Label Studio: JSON exports, a list of tasks with annotations, and the images they name."""

import posixpath
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from flawsmith.data.formats import shapes
from flawsmith.data.formats.base import FORMATS, Certainty, Format, Match, Source, SourceImage
from flawsmith.data.formats.brush_rle import decode_brush
from flawsmith.data.formats.canvas import Canvas, is_class
from flawsmith.data.formats.folder import SourceFolder, is_good_name
from flawsmith.data.images import BoolArray, is_image_file
from flawsmith.errors import FlawsmithError

LOOKED_AT = 5  # JSON files read to recognise the format
UPLOADED = re.compile(r"[0-9a-f]{8}-(.+)")  # uploads get a random prefix
CORNERS = 72  # of the polygon for a rotated ellipse
DAMAGED = (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError)

Result = dict[str, Any]


@FORMATS.register("label_studio")
class LabelStudio(Format):
    """Later regions cover earlier ones; boxes are weak labels, key points and choices image labels.

    An annotation without regions says good; a task without annotation is unlabelled. Cancelled
    annotations and predictions are not used. Of several annotations all regions are taken, unless
    one is marked as ground truth.
    """

    summary: ClassVar[str] = "Label Studio JSON export (brush, polygons, boxes) and its images"

    def detect(self, folder: SourceFolder) -> Match | None:
        """Recognise JSON files with tasks: data, annotations and results."""
        for name in folder.jsons[:LOOKED_AT]:
            if folder.mentions(name, "annotations", "data", "result"):
                return Match(Certainty.CONTENT, f"{name} has Label Studio tasks")
        return None

    def read(self, folder: SourceFolder) -> Source:
        """Read all JSON files; regions are drawn when their image is imported."""
        source = Source([])
        found: dict[str, list[Result] | None] = {}
        for file in folder.jsons:
            try:
                content = folder.read_json(file)
            except FlawsmithError as error:
                source.find("unreadable labels", file, str(error))
                continue
            for task in _tasks(file, content, source):
                _read_task(folder, file, task, found, source)
        names: set[str] = set()
        for image in folder.images:
            results = found.get(image)
            if results is None:
                reason = "its task has no annotation" if image in found else "no task names it"
                source.unlabelled(image, reason)
                continue
            names |= {name for result in results for name in _names(result)}
            source.images.append(SourceImage(image, partial(_paint, results)))
        source.classes = sorted(name for name in names if is_class(name))
        return source


def _tasks(file: str, content: Any, source: Source) -> Iterator[dict[str, Any]]:  # noqa: ANN401
    """Yield the tasks of a file: a list of them, or a single one."""
    rows = content if isinstance(content, list) else [content]
    tasks = [
        row
        for row in rows
        if isinstance(row, dict)
        and isinstance(row.get("data"), dict)
        and isinstance(row.get("annotations"), list)
    ]
    if len(tasks) < len(rows):
        lost = len(rows) - len(tasks)
        source.find("no label file", file, f"{lost} entries are no Label Studio tasks; skipped")
    yield from tasks


def _read_task(
    folder: SourceFolder,
    file: str,
    task: dict[str, Any],
    found: dict[str, list[Result] | None],
    source: Source,
) -> None:
    address = _address(task["data"])
    candidates = _candidates(folder, address)
    if len(candidates) != 1:
        count = f"{len(candidates)} images are" if candidates else "no image is"
        source.find("missing image", file, f"task {task.get('id')}: {count} called '{address}'")
        return
    image = candidates[0]
    done = [
        row
        for row in task["annotations"]
        if isinstance(row, dict)
        and isinstance(row.get("result"), list)
        and not row.get("was_cancelled")
    ]
    done = [row for row in done if row.get("ground_truth")] or done
    if len(done) > 1:
        source.find("several annotations", image, f"{len(done)} in {file}; all regions are taken")
    if found.get(image) is not None and done:
        source.find("listed twice", image, f"listed again in {file}; regions are joined")
    regions = [item for row in done for item in row["result"]]
    known = found.get(image)
    found[image] = [*(known or []), *_labelled(regions)] if done else known


def _labelled(regions: list[Any]) -> list[Result]:
    """Return the regions that carry classes; a nameless twin repeats the shape of another."""
    rows = [row if isinstance(row, dict) else {} for row in regions]
    named = {str(row.get("id")) for row in rows if _names(row)}
    return [row for row in rows if _names(row) or not _adds_nothing(row, named)]


def _adds_nothing(row: Result, named: set[str]) -> bool:
    return row.get("type") in ("text", "textarea", "rating", "number", "taxonomy", "relation") or (
        "id" in row and str(row["id"]) in named
    )


def _address(data: dict[str, Any]) -> str:
    """Return the path at the end of a task's image: a path, a URL, or a URL with ``?d=path``."""
    texts = [data.get("image"), *data.values()]
    for text in (value for value in texts if isinstance(value, str)):
        try:
            parts = urlsplit(text)
        except ValueError:
            continue
        path = parse_qs(parts.query).get("d", [unquote(parts.path)])[0].replace("\\", "/")
        if is_image_file(Path(path)):
            return path
    return ""


def _candidates(folder: SourceFolder, address: str) -> list[str]:
    """Return the images that may be meant: by file name, then by the longest common path."""
    name = posixpath.basename(address)
    found = folder.by_basename.get(name, [])
    bare = UPLOADED.fullmatch(name)
    if not found and bare:
        found = folder.by_basename.get(bare[1], [])
    wanted = address.split("/")[:-1]
    common = [_common_end(image.split("/")[:-1], wanted) for image in found]
    return [image for image, length in zip(found, common, strict=True) if length == max(common)]


def _common_end(path: list[str], other: list[str]) -> int:
    pairs = zip(reversed(path), reversed(other), strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(path), len(other)))


def _names(result: Result) -> list[str]:
    """Return the classes of a region: ``brushlabels``, ``labels`` and so on, or ``choices``."""
    value = result.get("value")
    if not isinstance(value, dict):
        return []
    lists = [v for key, v in value.items() if key.endswith("labels") or key == "choices"]
    names = [str(name) for v in lists if isinstance(v, list) for name in v]
    return [n for n in names if not ("choices" in value and is_good_name(n))]


def _paint(results: list[Result], canvas: Canvas) -> None:
    for result in results:
        names = _names(result)
        if not _fits(result, canvas):
            return
        try:
            value = result["value"]
            if "choices" in value:
                _label(names, canvas)
            elif not names:
                canvas.exclude("unreadable labels", f"a {result.get('type')} has no class")
            else:
                _draw(names, value, canvas)
        except DAMAGED as error:
            shown = ", ".join(names) or "a region"
            canvas.note("unreadable labels", f"'{shown}' is damaged ({error}): image label")
            _label(names, canvas)
            if not names:
                canvas.exclude("unreadable labels", "a region without class cannot be read")


def _fits(result: Result, canvas: Canvas) -> bool:
    if not canvas.made_for(result.get("original_width"), result.get("original_height")):
        return False
    if result.get("image_rotation"):
        canvas.exclude("rotated labels", "it was turned while it was labelled; not supported")
        return False
    return True


def _label(names: list[str], canvas: Canvas) -> None:
    for name in names:
        canvas.label(name)


def _draw(names: list[str], value: dict[str, Any], canvas: Canvas) -> None:
    """Paint a region with its first class; further ones label the image."""
    name, others = names[0], names[1:]
    if others:
        canvas.note("several classes", f"a region is '{name}' and {others}; these: image labels")
        _label(others, canvas)
    size = (canvas.height, canvas.width)
    if "rle" in value:
        where = decode_brush(value["rle"], size)
    elif "points" in value:
        where = shapes.polygon([_pixels(point, size) for point in value["points"]], size)
    elif "radiusX" in value:
        where = _ellipse(value, size)
    elif "height" in value:
        corners = np.array(_rectangle(value, size)).round(6)
        shapes.require_near(corners, size)
        (x0, y0), (x1, y1) = corners.min(axis=0), corners.max(axis=0)
        canvas.box(name, (x0, y0, x1, y1))
        return
    else:
        canvas.note("shape without area", f"'{name}' is a point; it labels the image")
        canvas.label(name)
        return
    canvas.paint_shape(name, where)


def _pixels(point: tuple[Any, Any], size: shapes.Size) -> shapes.Point:
    """Return a point that is given in per cent of the image."""
    x, y = point
    # Rounded, for a per cent such as 41.666666666666664 would fall short of its pixel.
    return round(float(x) / 100 * size[1], 6), round(float(y) / 100 * size[0], 6)


def _turned(points: np.ndarray, centre: shapes.Point, degrees: float) -> list[shapes.Point]:
    """Return points, N x 2, turned clockwise on the screen."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return [(float(x), float(y)) for x, y in (points - centre) @ turn + centre]


def _rectangle(value: dict[str, Any], size: shapes.Size) -> list[shapes.Point]:
    """Return the corners of a rectangle; it is turned about its upper left one."""
    x, y = _pixels((value["x"], value["y"]), size)
    width, height = _pixels((value["width"], value["height"]), size)
    corners = np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)])
    return _turned(corners, (x, y), float(value.get("rotation") or 0))


def _ellipse(value: dict[str, Any], size: shapes.Size) -> BoolArray:
    centre = _pixels((value["x"], value["y"]), size)
    radii = _pixels((value["radiusX"], value["radiusY"]), size)
    rotation = float(value.get("rotation") or 0)
    if not rotation:
        return shapes.ellipse(centre, radii, size)
    angles = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    outline = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii + centre
    return shapes.polygon(_turned(outline, centre, rotation), size)
