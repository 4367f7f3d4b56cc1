"""Painting the label map of one image, whatever the format says it with."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from flawsmith.data.dataset import LabelMap
from flawsmith.data.formats import run_lengths
from flawsmith.data.formats.folder import is_good_name
from flawsmith.data.formats.text import printable
from flawsmith.data.images import BoolArray, LabelArray, read_image, read_index_mask
from flawsmith.data.schema import IGNORE, Defect, make_defects
from flawsmith.errors import FlawsmithError

IGNORE_NAMES = frozenset({"ignore", "__ignore__", "uncertain", "unsure", "dontcare", "void"})
Boxes = Literal["auto", "weak", "fill"]
"""What a box says: the defect is somewhere in it (weak), or everywhere (fill); auto: the format's
own convention."""

BACKGROUND_NAMES = frozenset({"background", "_background_", "__background__"})


class ClassTable:
    """The defects in the order of their ids; spellings that differ in case only are one class."""

    def __init__(self, names: Iterable[str]) -> None:
        self._ids: dict[str, int] = {}
        spellings: list[list[str]] = []
        for name in names:
            clean = class_name(name)
            if not is_class(clean):
                continue
            number = self._ids.setdefault(clean.casefold(), len(spellings) + 1)
            if number > len(spellings):
                spellings.append([clean])
            elif clean not in spellings[number - 1]:
                spellings[number - 1].append(clean)
        if len(spellings) > IGNORE - 1:
            raise FlawsmithError(
                f"there are {len(spellings)} classes; an 8-bit mask holds at most {IGNORE - 1}"
            )
        self.defects: list[Defect] = [
            defect.model_copy(update={"aliases": names[1:]})
            for defect, names in zip(
                make_defects([names[0] for names in spellings]), spellings, strict=True
            )
        ]

    def id(self, name: str) -> int:
        """Return the id of a class that the format announced."""
        return self._ids[class_name(name).casefold()]


def class_name(name: str) -> str:
    """Return a label as the schema has it: one printable line of at most 80 characters."""
    return printable(" ".join(name.split()))[:80].strip() or "unnamed"


def is_class(name: str) -> bool:
    """Tell whether a label is a defect class, neither background nor a region to ignore."""
    return name.strip().casefold() not in IGNORE_NAMES | BACKGROUND_NAMES


class Canvas:
    """The label map of one image while a format paints it; later labels cover earlier ones.

    Attributes:
        height: pixels, after EXIF rotation.
        width: pixels, after EXIF rotation.
        excluded: why the image cannot be used, or None.
        findings: (kind, message) of what was odd.
        instances: one dictionary for each instance that the format keeps.
    """

    def __init__(
        self,
        size: tuple[int, int],
        classes: ClassTable,
        *,
        only: str | None = None,
        boxes: Boxes = "auto",
    ) -> None:
        """Start with no defect anywhere.

        Args:
            size: height and width in pixels.
            classes: all classes of the data set.
            only: the one class of this image, as a pattern says, whatever its labels are called.
            boxes: how `box` is painted.
        """
        self.height, self.width = size
        self.excluded: str | None = None
        self.findings: list[tuple[str, str]] = []
        self.instances: list[dict[str, Any]] = []
        self._classes = classes
        self._only = only
        self._defects: LabelArray = np.zeros(size, np.uint8)
        self._boxes = boxes
        self._image_labels: set[int] = set()
        self._boxed: set[int] = set()
        self._covered = 0

    def paint(self, name: str, where: BoolArray) -> None:
        """Label the pixels ``where`` (H x W) with a class, as ignored, or as no defect."""
        if not self._fits(where):
            return
        value = self._value(name)
        if value == 0 and is_class(name) and where.any():
            self.note("contradiction", f"the class pattern says '{self._only}'; labels dropped")
        rows, columns = _extent(where, axis=1), _extent(where, axis=0)
        target, inside = self._defects[rows, columns], where[rows, columns]
        if value not in (0, IGNORE):
            other = (target != 0) & (target != value) & (target != IGNORE)
            self._covered += int(np.count_nonzero(other & inside))
        target[inside] = value

    def made_for(self, width: object, height: object) -> bool:
        """Tell whether labels for an image of this size fit this one; if not, exclude it.

        Args:
            width: as the label file says it, a number or its text; None or "" where it does not.
            height: the same.
        """
        given, here = (width, height), (self.width, self.height)
        if all(_agrees(side, actual) for side, actual in zip(given, here, strict=True)):
            return True
        self.exclude(
            "mis-sized labels",
            f"labels are for {width} x {height} pixels, the image has {self.width} x {self.height}",
        )
        return False

    def paint_shape(self, name: str, where: BoolArray) -> None:
        """Label the pixels of a drawn shape; one without a pixel here labels the whole image."""
        if where.any():
            self.paint(name, where)
        else:
            self.note("shape without area", f"'{name}' has no pixel in the image; image label")
            self.label(name)

    def ignore(self, where: BoolArray) -> None:
        """Mark the pixels ``where`` as neither trained on nor counted."""
        if self._fits(where):
            self._defects[where] = IGNORE

    def label(self, name: str) -> None:
        """Say that the image shows this class somewhere; where is not known."""
        value = self._value(name)
        if value not in (0, IGNORE):
            self._image_labels.add(value)

    def box(
        self, name: str, corners: tuple[float, float, float, float], *, region: bool = False
    ) -> None:
        """Mark a box as a weak label: the defect is somewhere inside.

        Pixels in it without a label are ignored; an instance that says so is kept.

        Args:
            name: the class.
            corners: x0, y0, x1, y1 in pixels.
            region: the format means every pixel of its boxes, unless the user says otherwise.
        """
        where = np.zeros((self.height, self.width), np.bool_)
        edges = np.array(corners, float)
        if np.isfinite(edges).all():
            limits = [self.width, self.height, self.width, self.height]
            x0, y0, x1, y1 = np.clip(edges, 0, limits)
            where[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))] = True
        if not where.any():
            self.note("shape without area", f"'{name}' has a box outside the image: image label")
            self.label(name)
            return
        if self._boxes == "fill" or (self._boxes == "auto" and region):
            self.paint(name, where)
            return
        value = self._value(name)
        self._defects[where & (self._defects == 0)] = IGNORE
        if value not in (0, IGNORE):
            self._boxed.add(value)
            self.instances.append(
                run_lengths.instance(class_name(name), run_lengths.encode(where), weak=True)
            )
            self.note("box only", f"'{name}' has a box but no shape; the box is ignored")

    def unlabelled(self, reason: str, classes: Iterable[str] = ()) -> None:
        """Say that labels are missing: the image is excluded unless a pattern gives its class.

        Args:
            reason: what is missing.
            classes: what the image is known to show, though not where.
        """
        for name in classes:
            self.label(name)
        if self._only is None:
            self.exclude("no labels", reason)

    def note(self, kind: str, message: str) -> None:
        """Record something odd about this image."""
        self.findings.append((kind, message))

    def exclude(self, kind: str, reason: str) -> None:
        """Keep the image out of training and test, and say why."""
        self.excluded = self.excluded or printable(reason)
        self.note(kind, reason)

    def label_map(self) -> LabelMap:
        """Return what was painted, on background 0.

        Where some label has no known place, every pixel without a label could be its place.
        """
        if self._covered:
            self.note("overlapping labels", f"{self._covered} pixels have two classes; later wins")
            self._covered = 0
        if self._image_labels and self._defects.any():
            self._defects[self._defects == 0] = IGNORE
        return LabelMap(self._defects, np.zeros_like(self._defects))

    def labels(self) -> list[str]:
        """Return the names of all classes in the image in the order of their ids."""
        present = self._image_labels | self._boxed
        if self._defects.any():
            present |= set(np.unique(self._defects).tolist())
        if self._only is not None and not is_good_name(self._only):
            present.add(self._classes.id(self._only))
        return [defect.name for defect in self._classes.defects if defect.id in present]

    def weak_labels(self) -> list[str]:
        """Return those of `labels` whose place is not known pixel by pixel, or not all of it."""
        painted = set(np.unique(self._defects).tolist()) if self._defects.any() else set()
        known = {d.name for d in self._classes.defects if d.id in painted}
        weak = {d.name for d in self._classes.defects if d.id in self._image_labels | self._boxed}
        return [name for name in self.labels() if name in weak or name not in known]

    def _value(self, name: str) -> int:
        key = name.strip().casefold()
        if key in IGNORE_NAMES:
            return IGNORE
        if key in BACKGROUND_NAMES:
            return 0
        if self._only is None:
            return self._classes.id(name)
        return 0 if is_good_name(self._only) else self._classes.id(self._only)

    def _fits(self, where: BoolArray) -> bool:
        if where.shape == (self.height, self.width):
            return True
        self.exclude(
            "mis-sized mask",
            f"its mask is {where.shape[1]} x {where.shape[0]} pixels, "
            f"the image {self.width} x {self.height}",
        )
        return False


def _agrees(given: object, actual: int) -> bool:
    if given is None or given == "":
        return True
    try:
        return float(str(given)) == actual
    except ValueError:
        return False


def _extent(where: BoolArray, *, axis: int) -> slice:
    """Return the shortest slice of rows (axis 1) or columns (axis 0) with all set pixels."""
    places = np.flatnonzero(where.any(axis=axis))
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0)


def read_index_values(path: Path) -> LabelArray:
    """Return a mask's values, H x W uint8, from an index, palette or grey file of any bit depth.

    Raises:
        FlawsmithError: if it is damaged, has colours, or values over 255.
    """
    try:
        return read_index_mask(path)
    except FlawsmithError as error:
        pixels = read_image(path)
        if pixels.ndim == 3 and np.all(pixels == pixels[..., :1]):
            pixels = pixels[..., 0]
        if pixels.ndim == 3 or int(pixels.max()) > IGNORE:
            raise error from None
        return pixels.astype(np.uint8)


def read_binary_mask(path: Path) -> BoolArray:
    """Return where a mask is set, H x W: value > 127, or > 0 where it has only 0 and 1."""
    return to_binary(read_index_values(path))


def to_binary(values: LabelArray) -> BoolArray:
    """Return where mask values mean foreground."""
    threshold = 127 if values.size and int(values.max()) > 1 else 0
    return values > threshold


def paint_defect_mask(name: str, path: Path, canvas: Canvas) -> None:
    """Paint the binary mask of an image that is known to show the defect ``name``."""
    where = read_binary_mask(path)
    if not where.any():
        canvas.note("empty mask", f"the image shows '{name}', but its mask has no pixel")
        canvas.label(name)
    canvas.paint(name, where)
