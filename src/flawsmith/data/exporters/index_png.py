"""Images with index masks: ``images/a.jpg``, ``masks/a.png`` and ``classes.txt``."""

from pathlib import Path
from typing import ClassVar

import numpy as np

from flawsmith.data.dataset import DefectDataset
from flawsmith.data.exporters.base import (
    EXPORTERS,
    Exporter,
    Progress,
    common_losses,
    copy_image,
    each_image,
    weak_losses,
)
from flawsmith.data.formats.index_png import MAX_CLASSES
from flawsmith.data.images import encode_index_mask
from flawsmith.data.schema import IGNORE
from flawsmith.errors import FlawsmithError
from flawsmith.storage import write_text


@EXPORTERS.register("index_png")
class IndexPng(Exporter):
    """Every image has a mask, for an image without one would be unlabelled, not good."""

    summary: ClassVar[str] = "images/, masks/ with class numbers (255: ignore) and classes.txt"

    def write(self, dataset: DefectDataset, root: Path, progress: Progress | None) -> None:
        """Write images, masks in the data set's colours, and the names of the numbers.

        Raises:
            FlawsmithError: if the masks hold 0 and 255 only: read as defect, not as ignore.
        """
        (root / "masks").mkdir()
        found: set[int] = set()
        for record, name, defects in each_image(dataset, progress):
            copy_image(dataset, record, root / "images", name)
            data = encode_index_mask(defects, dataset.schema.palette())
            (root / "masks" / f"{name}.png").write_bytes(data)
            found |= set(np.unique(defects).tolist())
        if found <= {0, IGNORE} and IGNORE in found:
            raise FlawsmithError(
                f"{dataset.root} has regions to ignore, but no pixel with a class; its masks would "
                "be read as black and white ones, where 255 is a defect. Export it as coco instead"
            )
        # Numbers before the names, so that a name that begins with a number or says "good" stays.
        lines = ["0: background", *(f"{d.id}: {d.name}" for d in dataset.schema.defects)]
        write_text(root / "classes.txt", "\n".join(lines) + "\n")

    def cannot_hold(self, dataset: DefectDataset) -> list[str]:
        """Return what gets lost: names of weak labels, and whatever no format holds."""
        losses = [*common_losses(dataset), *weak_losses(dataset)]
        if dataset.schema.num_defects > MAX_CLASSES - 2:
            losses.append(
                f"Classes: with more than {MAX_CLASSES - 2} of them, the masks may be taken for "
                "grey images when they are imported again."
            )
        return losses
