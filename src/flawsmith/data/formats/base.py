"""What a format is: it recognises a folder and says which images it holds and how to label them.

A new format is one small file: a class with `detect` and `read`, registered under its name.
Reading, copying, class ids, parts, checks and the report are shared (see `importing`).
"""

import posixpath
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial
from typing import ClassVar

from pydantic import field_validator

from flawsmith.config import StrictModel
from flawsmith.data.formats.canvas import Canvas
from flawsmith.data.formats.folder import OutsideSourceError, SourceFolder
from flawsmith.data.formats.text import printable
from flawsmith.errors import FlawsmithError
from flawsmith.registry import Registry


class Certainty(IntEnum):
    """How telling a sign is; the most telling one decides between formats."""

    FOLDERS = 1  # any folder of images could look like this
    NAMES = 2  # folders or files have the customary names
    CONTENT = 3  # only this format looks like this
    DATA_SET = 4  # a published data set that uses another format or a layout of its own


@dataclass(frozen=True)
class Match:
    """Why a folder looks like a format."""

    certainty: Certainty
    reason: str


LONGEST_TEXT = 1000  # of a finding, which may quote what a label file says


class Finding(StrictModel):
    """Something odd in the imported folder.

    Attributes:
        kind: short and the same for all like it, such as ``orphaned mask``.
        file: path relative to the imported folder.
        message: what is wrong and what was done about it.
    """

    kind: str
    file: str
    message: str

    @field_validator("file", "message", mode="before")
    @classmethod
    def _in_one_line(cls, text: str) -> str:
        short = text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]} ..."
        return printable(short)


def _nothing(_: Canvas) -> None:
    return None


@dataclass(frozen=True)
class SourceImage:
    """One image of a format, not read yet.

    Attributes:
        file: path relative to the imported folder; for an embedded image that of its label file.
        paint: labels a canvas of the image's size; called once, when the image is imported.
        embedded: returns the image file's bytes where a label file carries them.
        part: the physical piece, where the format knows it.
        excluded: why the image is neither trained on nor tested.
    """

    file: str
    paint: Callable[[Canvas], None] = _nothing
    embedded: Callable[[], bytes] | None = None
    part: str | None = None
    view: str = ""
    fold: int | None = None
    excluded: str | None = None


@dataclass
class Source:
    """Everything that a format found in a folder, with label maps still to be painted.

    Attributes:
        classes: all class names that `SourceImage.paint` uses, in the order of their ids.
        images: in a fixed order.
        findings: what is odd about the folder as a whole (orphaned masks, missing images).
        notes: sentences for the user about how the folder was understood.
    """

    classes: Sequence[str]
    images: list[SourceImage] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def find(self, kind: str, file: str, message: str) -> None:
        """Add a finding."""
        self.findings.append(Finding(kind=kind, file=file, message=message))

    def unlabelled(self, file: str, reason: str, *, classes: Sequence[str] = ()) -> None:
        """Add an image without labels: excluded, for it is not known to be good."""
        self.images.append(SourceImage(file, partial(_leave_unlabelled, reason, tuple(classes))))


def _leave_unlabelled(reason: str, classes: tuple[str, ...], canvas: Canvas) -> None:
    canvas.unlabelled(reason, classes)


def named_image(folder: SourceFolder, file: str, name: str, source: Source) -> str | None:
    """Return the image that ``file`` calls ``name``: beside it, in images/, or unique by name.

    None, and a finding, if there is no such image, or several.
    """
    try:
        for candidate in (name, f"images/{name}"):
            found = folder.locate(file, candidate)
            if found in folder.image_names:
                return found
    except OutsideSourceError as error:
        source.find("path outside the folder", file, str(error))
        return None
    home = f"{posixpath.dirname(file)}/" if "/" in file else ""
    same = folder.by_basename.get(posixpath.basename(name.replace("\\", "/")), [])
    near = [path for path in same if path.startswith(home)] or same
    if len(near) == 1:
        return near[0]
    reason = f"{len(near)} images are called so" if near else "there is no such image"
    source.find("missing image", file, f"lists '{name}': {reason}; not imported")
    return None


class Format(ABC):
    """Reads one way of storing labelled images.

    Attributes:
        summary: one line for the list of formats.
    """

    summary: ClassVar[str]

    @abstractmethod
    def detect(self, folder: SourceFolder) -> Match | None:
        """Return why the folder looks like this format, or None; must be quick."""

    @abstractmethod
    def read(self, folder: SourceFolder) -> Source:
        """Return the images and classes of the folder, reading label files but no pixels."""


FORMATS: Registry[type[Format]] = Registry("format")


def choose_format(folder: SourceFolder) -> tuple[str, str]:
    """Return name and reason of the one format that the folder looks like.

    Raises:
        FlawsmithError: if no format or several equally likely ones recognise it.
    """
    matches = [(name, FORMATS.get(name)().detect(folder)) for name in FORMATS.names()]
    found = [(name, match) for name, match in matches if match]
    if not found:
        raise FlawsmithError(
            f"{folder.root} looks like no known format; it has {folder.describe()}. "
            f"Choose one with --format: {', '.join(FORMATS.names())}"
        )
    best = max(match.certainty for _, match in found)
    likely = [(name, match) for name, match in found if match.certainty == best]
    if len(likely) > 1:
        seen = "; ".join(f"{name} ({match.reason})" for name, match in likely)
        raise FlawsmithError(
            f"{folder.root} could be {len(likely)} formats: {seen}. "
            f"Choose one with --format, such as --format {likely[0][0]}"
        )
    return likely[0][0], likely[0][1].reason
