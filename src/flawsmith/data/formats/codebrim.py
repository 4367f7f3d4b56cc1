"""CODEBRIM: crops of concrete bridges with several classes an image in XML tables.

Mundt et al., "Meta-learning convolutional neural architectures for multi-target concrete defect
classification with the COncrete DEfect BRidge IMage dataset", CVPR 2019.
"""

import posixpath
import re
from functools import partial
from typing import ClassVar
from xml.etree.ElementTree import Element

from flawsmith.data.formats.base import FORMATS, Certainty, Format, Match, Source, SourceImage
from flawsmith.data.formats.canvas import Canvas
from flawsmith.data.formats.folder import SourceFolder
from flawsmith.errors import FlawsmithError

BACKGROUND = "Background"
CLASSES = ("Crack", "Spallation", "Efflorescence", "ExposedBars", "CorrosionStain")
CROP = re.compile(r"(image_\d+)_crop_\d+\.\w+", re.IGNORECASE)
_ENTRY = re.compile(r"<(Defect|Background)\s[^>]*name\s*=")

Labels = dict[str, bool]


@FORMATS.register("codebrim")
class Codebrim(Format):
    """Image labels, several an image; Background alone is good; crops of one photo are one part."""

    summary: ClassVar[str] = "CODEBRIM: crops with several classes an image in defects.xml"

    def detect(self, folder: SourceFolder) -> Match | None:
        """Recognise a table with the names of its classes."""
        for file in folder.with_suffix(".xml"):
            if posixpath.basename(file).casefold() not in ("defects.xml", "background.xml"):
                continue
            try:
                text = folder.read_text(file)
            except FlawsmithError:
                continue
            if _ENTRY.search(text) and any(f"<{name}>" in text for name in CLASSES):
                return Match(Certainty.DATA_SET, f"{file} lists crops as in CODEBRIM")
        return None

    def read(self, folder: SourceFolder) -> Source:
        """Read all tables; an image is found by its file name."""
        source = Source([])
        tables: dict[str, Labels | None] = {}
        for file in folder.with_suffix(".xml"):
            _read_table(folder, file, tables, source)
        classes = {name for labels in tables.values() for name, on in (labels or {}).items() if on}
        classes.discard(BACKGROUND)
        source.classes = [name for name in CLASSES if name in classes]
        source.classes += sorted(classes - set(CLASSES))
        for image in folder.images:
            name = posixpath.basename(image)
            if name not in tables:
                source.unlabelled(image, "no XML table lists it")
                continue
            crop = CROP.fullmatch(name)
            paint = partial(_paint, tables[name])
            source.images.append(SourceImage(image, paint, part=crop[1] if crop else None))
        for name in sorted(set(tables) - set(folder.by_basename)):
            source.find("missing image", name, "a table lists it, but there is no such image")
        return source


def _read_table(
    folder: SourceFolder, file: str, tables: dict[str, Labels | None], source: Source
) -> None:
    try:
        root = folder.read_xml(file)
    except FlawsmithError as error:
        source.find("unreadable labels", file, str(error))
        return
    for number, item in enumerate(root, start=1):
        name = posixpath.basename((item.get("name") or "").strip().replace("\\", "/"))
        if not name:
            source.find("unreadable labels", file, f"entry {number} names no image; skipped")
            continue
        labels = _labels(item)
        if labels is None:
            reason = f"entry {number} for '{name}' has a value other than 0 and 1"
            source.find("unreadable labels", file, reason)
        if name in tables and tables[name] != labels:
            source.find("contradiction", file, f"'{name}' has other labels elsewhere; excluded")
            labels = None
        tables[name] = labels


def _labels(item: Element) -> Labels | None:
    """Return which classes are set, or None if that cannot be told."""
    values = {str(child.tag): (child.text or "").strip() for child in item}
    if not set(values.values()) <= {"0", "1"}:
        return None
    return {name: value == "1" for name, value in values.items()}


def _paint(labels: Labels | None, canvas: Canvas) -> None:
    names = [name for name, on in (labels or {}).items() if on]
    defects = [name for name in names if name != BACKGROUND]
    for name in defects:
        canvas.label(name)
    if labels is None:
        canvas.exclude("unreadable labels", "its labels are damaged or contradict each other")
    elif not names:
        canvas.unlabelled("its table entry sets no class")
    elif len(defects) < len(names) and defects:
        reason = f"it is labelled as background and as {', '.join(defects)}"
        canvas.exclude("contradiction", reason)
