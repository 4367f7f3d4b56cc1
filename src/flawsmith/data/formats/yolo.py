"""YOLO: a text file an image, a line an object, coordinates as shares of the image's size.

``class x1 y1 x2 y2 x3 y3 ...`` is a polygon (Ultralytics "segment" data sets), ``class cx cy w h``
a box ("detect" data sets), the same with a sixth column a detector's box with its confidence.
"""

import re
from collections.abc import Iterator
from functools import partial
from typing import ClassVar

from flawsmith.data.formats import shapes
from flawsmith.data.formats.base import FORMATS, Certainty, Format, Match, Source, SourceImage
from flawsmith.data.formats.canvas import Canvas
from flawsmith.data.formats.folder import SourceFolder
from flawsmith.data.formats.pairing import place, plain, stem
from flawsmith.errors import FlawsmithError

NAME_FILES = ("classes.txt", "obj.names", "class_names.txt")
LOOKED_AT = 20  # label files read to recognise the format
BOX_COLUMNS = (5, 6)
OUTSIDE = 0.5  # shares of the image that a corner may lie outside; beyond, they are pixels


@FORMATS.register("yolo")
class Yolo(Format):
    """Later polygons cover earlier ones; a box is a weak label.

    An empty label file means a good image, a missing one an unlabelled image. Classes come from
    ``names`` in data.yaml, or from classes.txt or obj.names; classes that no line uses are dropped.
    """

    summary: ClassVar[str] = "YOLO: images and labels/*.txt with polygons or boxes, data.yaml"

    def detect(self, folder: SourceFolder) -> Match | None:
        """Recognise text files with the names of images and rows of shares in them."""
        labels = _label_files(folder)
        pairs = [labels[key] for key in map(_key, folder.images) if key in labels]
        for file in pairs[:LOOKED_AT]:
            try:
                rows = [line.split() for _, line in _lines(folder, file)]
                if rows and all(len(_coordinates(row)) >= 4 and _number(row) >= 0 for row in rows):
                    return Match(Certainty.CONTENT, f"{file} has YOLO labels")
            except (FlawsmithError, ValueError):
                continue
        return None

    def read(self, folder: SourceFolder) -> Source:
        """Read every label file once for its classes; shapes are read again when painted."""
        source = Source([])
        labels = _label_files(folder, source)
        names, poses = _class_names(folder, source)
        numbers: set[int] = set()
        used: set[str] = set()
        for image in folder.images:
            file = labels.get(_key(image))
            if file is None:
                source.unlabelled(image, "it has no label file")
                continue
            used.add(file)
            numbers |= _numbers(folder, file)
            source.images.append(SourceImage(image, partial(_paint, folder, file, names, poses)))
        for file in labels.values():
            if file not in used and "labels" in map(plain, file.split("/")[:-1]):
                source.find("orphaned labels", file, "there is no image of this name")
        for number in sorted(numbers - set(names)):
            where = "data.yaml or classes.txt" if not names else "the list of classes"
            source.find("unknown class", ".", f"class {number} is not in {where}: class_{number}")
        source.classes = [_name(names, number) for number in sorted(numbers)]
        return source


def _key(file: str) -> tuple[str, str]:
    return place(file), stem(file)


def _label_files(folder: SourceFolder, source: Source | None = None) -> dict[tuple[str, str], str]:
    """Return the text files by place and stem; one in a folder "labels" comes first."""
    found: dict[tuple[str, str], str] = {}
    texts = folder.with_suffix(".txt")
    for file in sorted(texts, key=lambda name: "labels" not in map(plain, name.split("/"))):
        if file.rsplit("/", 1)[-1].casefold() in NAME_FILES:
            continue
        first = found.setdefault(_key(file), file)
        if first != file and source is not None:
            source.find("labelled twice", file, f"{first} is for the same image; skipped")
    return found


def _lines(folder: SourceFolder, file: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(folder.read_text(file).splitlines(), start=1):
        if line.strip():
            yield number, line


def _number(row: list[str]) -> int:
    """Return the class of a row; some tools write it as ``0.0``."""
    value = float(row[0])
    if not value.is_integer() or not 0 <= value < 1 << 16:
        raise ValueError(f"'{row[0]}' is no class number")
    return int(value)


def _coordinates(row: list[str]) -> list[float]:
    values = [float(text) for text in row[1:]]
    if not all(-OUTSIDE <= value <= 1 + OUTSIDE for value in values):  # NaN fails too
        raise ValueError("its coordinates are no shares of the image between 0 and 1")
    if len(row) not in BOX_COLUMNS and (len(values) < 6 or len(values) % 2):
        raise ValueError(f"{len(values)} coordinates are neither a box nor a polygon")
    return values


def _numbers(folder: SourceFolder, file: str) -> set[int]:
    """Return the classes in a label file; what is damaged is told when the image is painted."""
    found = set()
    try:
        for _, line in _lines(folder, file):
            try:
                found.add(_number(line.split()))
            except (ValueError, OverflowError):
                continue
    except FlawsmithError:
        pass
    return found


def _name(names: dict[int, str], number: int) -> str:
    return names.get(number) or f"class_{number}"


def _paint(
    folder: SourceFolder, file: str, names: dict[int, str], poses: bool, canvas: Canvas
) -> None:
    for at, line in _lines(folder, file):
        row = line.split()
        try:
            name = _name(names, _number(row))
        except (ValueError, OverflowError) as error:
            canvas.exclude("unreadable labels", f"{file}, line {at}: {error}")
            continue
        try:
            _paint_row(name, row[:5] if poses else row, canvas)
        except (ValueError, OverflowError) as error:
            canvas.note("unreadable labels", f"{file}, line {at}: {error}; image label '{name}'")
            canvas.label(name)


def _paint_row(name: str, row: list[str], canvas: Canvas) -> None:
    values = _coordinates(row)
    height, width = canvas.height, canvas.width
    if len(row) in BOX_COLUMNS:
        x, y, w, h = values[:4]
        if len(values) == 5:
            canvas.note(
                "prediction", f"'{name}' has a confidence: a detector drew it, or a person?"
            )
        corners = (x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width
        canvas.box(name, (*corners, (y + h / 2) * height))
        return
    points = [(x * width, y * height) for x, y in zip(values[::2], values[1::2], strict=True)]
    where = shapes.polygon(points, (height, width))
    canvas.paint_shape(name, where)


def _class_names(folder: SourceFolder, source: Source) -> tuple[dict[int, str], bool]:
    """Return the classes by number, and whether rows have key points behind the box."""
    yamls = folder.with_suffix(".yaml", ".yml")
    lists = [f for f in folder.files if f.rsplit("/", 1)[-1].casefold() in NAME_FILES]
    names: dict[int, str] = {}
    chosen, poses = "", False
    for file in [*sorted(yamls, key=_depth), *sorted(lists, key=_depth)]:
        try:
            text = folder.read_text(file)
        except FlawsmithError as error:
            source.find("unreadable labels", file, str(error))
            continue
        if file in yamls:
            found = yaml_names(text)
            poses = poses or bool(re.search(r"^kpt_shape\s*:", text, re.MULTILINE))
        else:
            found = dict(enumerate(line.strip() for line in text.strip().splitlines()))
        if found and not names:
            names, chosen = found, file
        elif found and found != names:
            source.find("class names differ", file, f"from those in {chosen}, which count")
    if poses:
        source.notes.append("The labels have key points: only their boxes are read.")
    return names, poses


def _depth(file: str) -> tuple[int, str]:
    return file.count("/"), file


def yaml_names(text: str) -> dict[int, str]:
    """Return the entry ``names`` of a YAML file: a list or a dictionary in block or flow style.

    Anything else in the file is passed over; {} if there is no such entry or it is damaged.
    """
    match = re.search(
        r"^names[ \t]*:(.*(?:\n(?:[ \t]+.*|-.*|[\]}].*|[ \t]*(?:#.*)?$))*)", text, re.M
    )
    if match is None:
        return {}
    lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in match[1].splitlines()]
    body = "\n".join(line for line in lines if line)
    if body[:1] in ("[", "{"):
        inside = re.split(r"[\]}]\s*$", body[1:])[0]
        items = re.findall(r"(?:'(?:[^']|'')*'|\"[^\"]*\"|[^,'\"]|(?<=\w)')+", inside)
    else:
        items = [
            line.removeprefix("-") if line[0] == "-" else line for line in body.split("\n") if line
        ]
    found: dict[int, str] = {}
    for at, item in enumerate(part.strip() for part in items if part.strip()):
        keyed = re.fullmatch(r"['\"]?(\d{1,5})['\"]?\s*:\s*(.*)", item, re.DOTALL)
        found[int(keyed[1]) if keyed else at] = _unquoted(keyed[2] if keyed else item)
    return found


def _unquoted(text: str) -> str:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
