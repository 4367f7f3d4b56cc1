"""YOLO segmentation: ``images/``, ``labels/`` with a polygon a line, ``data.yaml``.

https://docs.ultralytics.com/datasets/segment/ : ``class x1 y1 x2 y2 ...``, from 0 to 1.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.dataset import DefectDataset
from flawsmith.data.exporters.base import (
    EXPORTERS,
    Exporter,
    Progress,
    common_losses,
    copy_image,
    count_ignored,
    each_image,
)
from flawsmith.data.folds import TEST_FOLD
from flawsmith.data.images import LabelArray
from flawsmith.storage import write_text


@EXPORTERS.register("yolo")
class Yolo(Exporter):
    """A connected region of a class is one polygon, through the centres of its outer pixels.

    Fold 0 is ``val``, the others are ``train``; a good image has an empty label file.
    """

    summary: ClassVar[str] = "YOLO segmentation: images/, labels/ (polygons) and data.yaml"
    holds_weak_labels: ClassVar[bool] = False

    def write(self, dataset: DefectDataset, root: Path, progress: Progress | None) -> None:
        """Write images, a label file for each, and ``data.yaml``."""
        splits = set()
        for record, name, defects in each_image(dataset, progress):
            split = "val" if record.fold == TEST_FOLD else "train"
            splits.add(split)
            copy_image(dataset, record, root / "images" / split, name)
            labels = root / "labels" / split
            labels.mkdir(parents=True, exist_ok=True)
            lines = "".join(f"{line}\n" for line in _lines(dataset, defects))
            (labels / f"{name}.txt").write_text(lines, encoding="utf-8")
        one = next(iter(splits))
        train, val = (split if split in splits else one for split in ("train", "val"))
        # A JSON string is a YAML string, whatever characters the name of a class has.
        names = [f"  {d.id - 1}: {json.dumps(d.name)}\n" for d in dataset.schema.defects]
        head = f"train: images/{train}\nval: images/{val}\n"
        table = f"names:\n{''.join(names)}" if names else "names: {}\n"
        write_text(root / "data.yaml", head + table)

    def cannot_hold(self, dataset: DefectDataset) -> list[str]:
        """Return what gets lost: holes, ignored regions, and whatever no format holds."""
        losses = common_losses(dataset)
        ignored, holed = count_ignored(dataset), _count_holed(dataset)
        if ignored:
            losses.append(f"Ignored regions: in {ignored} images they become 'no defect'.")
        if holed:
            losses.append(f"Holes: in {holed} images a defect has a hole; it is filled.")
        if len({record.fold == TEST_FOLD for record in dataset}) == 1:
            losses.append("Validation: there are no folds to take it from; it is the training set.")
        return losses


def _outlines(defects: LabelArray, value: int) -> tuple[list[NDArray[np.int32]], bool]:
    """Return the outer outlines of a class, each N x 1 x 2 (x, y), and whether it has holes."""
    where = (defects == value).astype(np.uint8)
    outlines, tree = cv2.findContours(where, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    parents = [] if tree is None else tree.reshape(-1, 4)[:, 3].tolist()
    outer = [line for line, parent in zip(outlines, parents, strict=True) if parent < 0]
    return outer, len(outer) < len(outlines)


def _lines(dataset: DefectDataset, defects: LabelArray) -> Iterator[str]:
    height, width = defects.shape
    for defect in dataset.schema.defects:
        for outline in _outlines(defects, defect.id)[0]:
            points = outline.reshape(-1, 2)
            if len(points) < 3:  # a pixel or a straight line: there and back, at least 3 corners
                points = np.concatenate([points, points[::-1], points[:1]])[:4]
            centres = (points + 0.5) / (width, height)
            yield " ".join([str(defect.id - 1), *(f"{v:.7f}" for v in centres.ravel())])


def _count_holed(dataset: DefectDataset) -> int:
    found = 0
    for record in dataset:
        defects = dataset.label_map(record).defects
        found += any(_outlines(defects, defect.id)[1] for defect in dataset.schema.defects)
    return found
