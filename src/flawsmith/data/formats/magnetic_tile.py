"""Magnetic-tile surfaces: ``MT_<class>/Imgs/*.jpg`` with a mask ``*.png`` of the same name.

Huang, Qiu, Yuan: "Surface defect saliency of magnetic tile", The Visual Computer 2020.
"""

import csv
import io
import re
from functools import partial
from pathlib import Path
from typing import ClassVar

from flawsmith.data.formats.base import FORMATS, Certainty, Format, Match, Source, SourceImage
from flawsmith.data.formats.canvas import Canvas, paint_defect_mask, read_binary_mask
from flawsmith.data.formats.folder import SourceFolder
from flawsmith.data.formats.pairing import stem
from flawsmith.errors import FlawsmithError

CLASSES = ("blowhole", "break", "crack", "fray", "uneven")
FOLDER = re.compile(r"(?:^|/)MT_(Blowhole|Break|Crack|Fray|Free|Uneven)/", re.IGNORECASE)
NAME = re.compile(r"exp(?P<exposure>\d+)_num_\d+")
FOLD = re.compile(r"[0-9]{1,3}")
TABLE = "tiles.csv"


@FORMATS.register("magnetic_tile")
class MagneticTile(Format):
    """The folder is the class; ``tiles.csv`` beside the folders gives part, view and fold.

    Its columns are image, class, view, part, fold and note; a note excludes the image. Without it
    the view is the exposure in the file name and the parts are found by comparing images.
    """

    summary: ClassVar[str] = "magnetic-tile surfaces: MT_<class>/Imgs/*.jpg with *.png masks"

    def detect(self, folder: SourceFolder) -> Match | None:
        """Recognise the folder names."""
        found = {match[1] for name in folder.images if (match := FOLDER.search(name))}
        if not found:
            return None
        return Match(Certainty.CONTENT, f"folders MT_{', MT_'.join(sorted(found))}")

    def read(self, folder: SourceFolder) -> Source:
        """Pair .jpg images and .png masks; take parts from the table or the file names."""
        source = Source(list(CLASSES))
        masks = {name[:-4]: name for name in folder.images if name.lower().endswith(".png")}
        images = [name for name in folder.images if not name.lower().endswith(".png")]
        table = _read_table(folder, source)
        for image in images:
            match = FOLDER.search(image)
            mask = masks.pop(image.rsplit(".", 1)[0], None)
            if match is None:
                source.unlabelled(image, "it lies in no MT_ folder")
                continue
            name = match[1].casefold()
            name = "" if name == "free" else name
            exposure = NAME.search(stem(image))
            row = table.get(image, {})
            if table and not row:
                source.find("no part", image, f"{TABLE} does not list it; it is its own part")
            source.images.append(
                SourceImage(
                    image,
                    partial(_paint, name, folder.path(mask) if mask else None),
                    part=row.get("part") or None,
                    view=row.get("view") or (f"exp{exposure['exposure']}" if exposure else ""),
                    fold=int(row["fold"]) if FOLD.fullmatch(row.get("fold", "")) else None,
                    excluded=row.get("note") or None,
                )
            )
        for mask in masks.values():
            source.find("orphaned mask", mask, "there is no image of this name")
        return source


def _read_table(folder: SourceFolder, source: Source) -> dict[str, dict[str, str]]:
    file = next((name for name in folder.files if name.rsplit("/", 1)[-1] == TABLE), None)
    if file is None:
        return {}
    prefix = file[: -len(TABLE)]
    try:
        stream = io.StringIO(folder.read_text(file), newline="")
        table = csv.DictReader(stream, restval="")  # a short row has empty cells at its end
        rows = {prefix + row.get("image", ""): row for row in table}
    except csv.Error as error:
        raise FlawsmithError(f"{file} is no CSV table: {error}; repair or remove it") from None
    for image in rows:
        if image not in folder.names:
            source.find("missing image", file, f"lists '{image}', which is not there")
    return rows


def _paint(name: str, mask: Path | None, canvas: Canvas) -> None:
    if mask is None:
        canvas.unlabelled("it has no mask", [name] if name else [])
        return
    if name:
        paint_defect_mask(name, mask, canvas)
    elif read_binary_mask(mask).any():
        canvas.exclude("contradiction", "it is called free of defects, but its mask has pixels")
