"""Labelme: one JSON file beside each image, with ``mask`` shapes."""

import base64
import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from flawsmith.data.dataset import DefectDataset
from flawsmith.data.exporters.base import (
    EXPORTERS,
    Exporter,
    Progress,
    common_losses,
    copy_image,
    each_image,
    regions,
    weak_losses,
)
from flawsmith.data.images import BoolArray, encode_png

VERSION = "5.2.0"
"""Of Labelme: the first with ``mask`` shapes; later ones read it."""


@EXPORTERS.register("labelme")
class Labelme(Exporter):
    """A connected region of a class is a ``mask`` shape; a good image has a file without shapes.

    Regions to ignore are called "ignore". Weak labels are flags of the image.
    """

    summary: ClassVar[str] = "a Labelme JSON file per image, with mask shapes"

    def write(self, dataset: DefectDataset, root: Path, progress: Progress | None) -> None:
        """Write every image and its JSON file."""
        for record, name, defects in each_image(dataset, progress):
            file = copy_image(dataset, record, root, name)
            content = {
                "version": VERSION,
                "flags": {label: True for label in record.weak_labels},
                "shapes": [_mask(label, where) for label, where in regions(dataset, defects)],
                "imagePath": file,
                "imageData": None,
                "imageHeight": record.height,
                "imageWidth": record.width,
            }
            (root / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")

    def cannot_hold(self, dataset: DefectDataset) -> list[str]:
        """Return what gets lost: the meaning of weak labels, and whatever no format holds."""
        lost = weak_losses(dataset)
        flags = ["The names are kept as flags of the image, which an import does not read."]
        return [*common_losses(dataset), *lost, *(flags if lost else [])]


def _mask(label: str, where: BoolArray) -> dict[str, Any]:
    """Return a shape: two opposite corner pixels and the PNG of what is between them."""
    rows, columns = (np.flatnonzero(where.any(axis=axis)) for axis in (1, 0))
    top, bottom, left, right = (int(v) for v in (rows[0], rows[-1], columns[0], columns[-1]))
    inside = where[top : bottom + 1, left : right + 1].astype(np.uint8) * 255
    return {
        "label": label,
        "points": [[left, top], [right, bottom]],
        "group_id": None,
        "description": "",
        "shape_type": "mask",
        "flags": {},
        "mask": base64.b64encode(encode_png(inside)).decode(),
    }
