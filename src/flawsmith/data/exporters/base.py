"""What an exporter is: it writes a data set in another program's format and says what gets lost.

A new exporter is one small file: a class with `write` and `cannot_hold`, registered under its name.
Which images are written, their names, whole or not at all, and the report are shared (`exporting`).
"""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.images import BoolArray, LabelArray
from flawsmith.data.schema import IGNORE
from flawsmith.errors import FlawsmithError
from flawsmith.registry import Registry

Progress = Callable[[str, int], AbstractContextManager[Callable[..., None]]]
"""Called with a title and the number of images; yields what is called after each image."""

IGNORE_CLASS = "ignore"
"""Name of ignored regions in formats that have classes only; every importer knows it."""


class Exporter(ABC):
    """Writes one way of storing labelled images.

    Attributes:
        summary: one line for the list of formats.
        holds_weak_labels: whether an image may be labelled without every pixel being known; where
            not, such images are left out, for they would claim that the rest is good.
    """

    summary: ClassVar[str]
    holds_weak_labels: ClassVar[bool] = True

    @abstractmethod
    def write(self, dataset: DefectDataset, root: Path, progress: Progress | None) -> None:
        """Write all records of ``dataset`` into the empty folder ``root``."""

    @abstractmethod
    def cannot_hold(self, dataset: DefectDataset) -> list[str]:
        """Return a sentence for everything in this data set that the format loses."""


EXPORTERS: Registry[type[Exporter]] = Registry("export format")


def each_image(
    dataset: DefectDataset, progress: Progress | None
) -> Iterator[tuple[ImageRecord, str, LabelArray]]:
    """Yield each record with a name that no other has, and its defects, H x W uint8."""
    taken: set[str] = set()
    with progress("Exporting", len(dataset)) if progress else nullcontext(_silent) as advance:
        for record in dataset:
            stem = name = Path(record.file_name).stem
            number = 1
            while name.casefold() in taken:  # two images that differ in suffix or case only
                number += 1
                name = f"{stem}_{number}"
            taken.add(name.casefold())
            yield record, name, dataset.label_map(record).defects
            advance()


def _silent(*_: object) -> None:
    return None


def copy_image(dataset: DefectDataset, record: ImageRecord, folder: Path, name: str) -> str:
    """Copy an image byte for byte into ``folder``; return its file name.

    Raises:
        FlawsmithError: if the image cannot be read.
    """
    source = dataset.path(record.file_name)
    if not source.is_file():
        raise FlawsmithError(
            f"there is no image {source}, though the data set lists it; check it with: "
            f"flawsmith data check {dataset.root}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    file = f"{name}{source.suffix}"
    shutil.copyfile(source, folder / file)
    return file


def regions(dataset: DefectDataset, defects: LabelArray) -> Iterator[tuple[str, BoolArray]]:
    """Yield class name and pixels, H x W, of every connected region (8 neighbours) of a class.

    Classes come in the order of their ids, the regions to ignore come last.
    """
    names = {defect.id: defect.name for defect in dataset.schema.defects} | {IGNORE: IGNORE_CLASS}
    for value in np.unique(defects).tolist():
        if value:
            count, marked = cv2.connectedComponents((defects == value).astype(np.uint8))
            for number in range(1, count):
                yield names[value], marked == number


def common_losses(dataset: DefectDataset) -> list[str]:
    """Return sentences on what no other format holds: parts, folds, pixel size, and so on."""
    schema, records = dataset.schema, dataset.records
    losses = []
    parts = len(dataset.parts())
    if parts < len(records):
        losses.append(
            f"Parts: which of the {len(records)} images show the same of {parts} parts is lost; "
            "file names stay, so import with --part-pattern."
        )
    if any(record.fold is not None for record in records):
        losses.append("Folds: the frozen folds are lost.")
    if any(record.background_file_name for record in records):
        losses.append("Backgrounds: their label maps are lost.")
    if schema.pixel_size_mm:
        losses.append("Pixel size: millimetres per pixel are lost.")
    if schema.bit_depth > 8 or schema.black_level or schema.white_level != 255:
        losses.append(
            f"{schema.bit_depth}-bit images are copied as they are, but black level "
            f"{schema.black_level} and white level {schema.white_level} are lost."
        )
    synthetic = sum(record.source == "synthetic" for record in records)
    if synthetic:
        losses.append(f"Origin: nothing will tell that {synthetic} images are synthetic.")
    if schema.simulated:
        losses.append("Origin: nothing will tell that the images are simulated.")
    return losses


def count_ignored(dataset: DefectDataset) -> int:
    """Return how many images have pixels to ignore."""
    return sum(bool((dataset.label_map(r).defects == IGNORE).any()) for r in dataset)


def count_mixed(dataset: DefectDataset) -> int:
    """Return how many images show several classes."""
    return sum(len(record.labels) > 1 for record in dataset)


def weak_losses(dataset: DefectDataset) -> list[str]:
    """Return a sentence on images with weak labels, whose pixels are ignored but not named."""
    weak = sum(bool(record.weak_labels) for record in dataset)
    if not weak:
        return []
    return [
        f"Weak labels: {weak} images show classes of unknown place (a box, or the whole image); "
        "the pixels stay ignored, but the names of these classes are lost."
    ]
