"""ELPV: solar cells in electroluminescence images with a probability of being defective.

Buerhop-Lutz et al., "A benchmark for visual identification of defective solar cells in
electroluminescence imagery", EU PVSEC 2018.
"""

import math
import posixpath
import re
from functools import partial
from typing import ClassVar

from flawsmith.data.formats.base import FORMATS, Certainty, Format, Match, Source, SourceImage
from flawsmith.data.formats.canvas import Canvas
from flawsmith.data.formats.folder import OutsideSourceError, SourceFolder
from flawsmith.errors import FlawsmithError

TABLE = "labels.csv"
DEFECT = "defective"
LONGEST_LINE = 1000
"""Characters; on much longer lines the search below would take minutes."""

LINE = re.compile(r"(?P<file>\S.*?\.\w+)[\s,;]+(?P<value>\S+?)[\s,;]+(?P<kind>mono|poly)\S*")


@FORMATS.register("elpv")
class Elpv(Format):
    """Probability 0 is good and 1 an image label; anything between is excluded as uncertain."""

    summary: ClassVar[str] = "ELPV: labels.csv with image, probability and mono or poly"

    def detect(self, folder: SourceFolder) -> Match | None:
        """Recognise the first line of the table."""
        for file in _tables(folder):
            try:
                lines = folder.read_text(file).splitlines()[:20]
            except FlawsmithError:
                continue
            if any(LINE.fullmatch(line.strip()) for line in lines):
                return Match(Certainty.DATA_SET, f"{file} lists cells as in ELPV")
        return None

    def read(self, folder: SourceFolder) -> Source:
        """Read the tables; images that none lists are excluded."""
        source = Source([DEFECT])
        values: dict[str, float] = {}
        for file in _tables(folder):
            _read_table(folder, file, values, source)
        for image in folder.images:
            value = values.get(image)
            if value is None:
                source.unlabelled(image, f"{TABLE} has no readable line for it")
            elif value == 0:
                source.images.append(SourceImage(image))
            elif value == 1:
                source.images.append(SourceImage(image, _paint))
            else:
                source.images.append(SourceImage(image, partial(_doubt, value)))
        return source


def _tables(folder: SourceFolder) -> list[str]:
    return [f for f in folder.with_suffix(".csv") if posixpath.basename(f).casefold() == TABLE]


def _read_table(folder: SourceFolder, file: str, values: dict[str, float], source: Source) -> None:
    try:
        lines = folder.read_text(file).splitlines()
    except FlawsmithError as error:
        source.find("unreadable labels", file, str(error))
        return
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        match = LINE.fullmatch(line.strip()) if len(line) <= LONGEST_LINE else None
        value = _probability(match["value"]) if match else None
        if match is None or value is None:
            source.find(
                "unreadable labels",
                file,
                f"line {number} is '{line.strip()[:60]}'; expected an image, a probability from "
                "0 to 1 and mono or poly; skipped",
            )
            continue
        try:
            image = folder.locate(file, match["file"])
        except OutsideSourceError as error:
            source.find("path outside the folder", file, f"line {number} {error}")
            continue
        if image not in folder.image_names or image is None:
            reason = f"line {number} names '{match['file']}', which is not there"
            source.find("missing image", file, reason)
        elif values.setdefault(image, value) != value:
            values[image] = 0.5
            reason = f"line {number} gives it another probability; excluded as uncertain"
            source.find("contradiction", image, reason)


def _probability(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 <= value <= 1 else None


def _paint(canvas: Canvas) -> None:
    canvas.label(DEFECT)


def _doubt(value: float, canvas: Canvas) -> None:
    canvas.exclude("uncertain label", f"it is defective with probability {value:.2f}")
