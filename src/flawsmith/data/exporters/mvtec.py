"""MVTec AD: ``train/good``, ``test/<type>``, ``ground_truth/<type>/*_mask.png``."""

import re
from pathlib import Path
from typing import ClassVar

import numpy as np

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.exporters.base import (
    EXPORTERS,
    Exporter,
    Progress,
    common_losses,
    copy_image,
    count_ignored,
    count_mixed,
    each_image,
)
from flawsmith.data.folds import TEST_FOLD
from flawsmith.data.formats.folder import is_good_name
from flawsmith.data.images import encode_png
from flawsmith.data.schema import IGNORE
from flawsmith.errors import FlawsmithError

COMBINED = "combined"
"""What MVTec AD itself calls images with several types of defects."""


@EXPORTERS.register("mvtec")
class Mvtec(Exporter):
    """One type of defect an image, masks of 0 and 255; images of several types are "combined".

    Good images are for training, unless another image of their part is for test, or they are in
    the fold that is tested first.
    """

    summary: ClassVar[str] = "MVTec AD: train/good, test/<type>, ground_truth/<type>/*_mask.png"
    holds_weak_labels: ClassVar[bool] = False

    def write(self, dataset: DefectDataset, root: Path, progress: Progress | None) -> None:
        """Write images into the folder of their type, and a mask for each with a defect.

        Raises:
            FlawsmithError: if no image shows a defect: the layout would have no test images.
        """
        if all(record.is_good for record in dataset):
            raise FlawsmithError(
                f"no image of {dataset.root} has a defect in its label map; the MVTec layout needs "
                "test images with defects. Export it as index_png instead"
            )
        kinds = _folder_names(dataset.schema.defect_names)
        tested = _tested_parts(dataset)
        for record, name, defects in each_image(dataset, progress):
            if record.is_good:
                split = "test" if record.part in tested else "train"
                copy_image(dataset, record, root / split / "good", name)
                continue
            kind = COMBINED if len(record.labels) > 1 else kinds[record.labels[0]]
            copy_image(dataset, record, root / "test" / kind, name)
            masks = root / "ground_truth" / kind
            masks.mkdir(parents=True, exist_ok=True)
            mask = ((defects != 0) & (defects != IGNORE)).astype(np.uint8) * 255
            (masks / f"{name}_mask.png").write_bytes(encode_png(mask))

    def cannot_hold(self, dataset: DefectDataset) -> list[str]:
        """Return what gets lost: ignored regions, several types in an image, and so on."""
        losses = common_losses(dataset)
        ignored, mixed = count_ignored(dataset), count_mixed(dataset)
        if ignored:
            losses.append(f"Ignored regions: in {ignored} images they become 'no defect'.")
        if mixed:
            losses.append(
                f"Several classes: {mixed} images show more than one; they become '{COMBINED}', "
                "the pixels stay, which class they have is lost."
            )
        changed = [f"{a} -> {b}" for a, b in _folder_names(dataset.schema.defect_names).items()
                   if a != b]  # fmt: skip
        if changed:
            losses.append(f"Names: classes are folders and get other names: {', '.join(changed)}.")
        tested = _tested_parts(dataset)
        if not any(record.is_good and record.part in tested for record in dataset):
            losses.append("Good images: all are for training, none for test.")
        return losses


def _tested_parts(dataset: DefectDataset) -> set[str]:
    def is_tested(record: ImageRecord) -> bool:
        return record.fold == TEST_FOLD or not record.is_good

    return {record.part for record in dataset if is_tested(record)}


def _folder_names(names: list[str]) -> dict[str, str]:
    """Return a folder name for each class: portable, unique, and none that says good."""
    folders: dict[str, str] = {}
    taken = {COMBINED}
    for name in names:
        plain = re.sub(r"[^\w.\- ]+", "_", name).strip(". ") or "defect"
        plain = f"defect_{plain}" if is_good_name(plain) else plain
        folder, number = plain, 1
        while folder.casefold() in taken:
            number += 1
            folder = f"{plain}_{number}"
        taken.add(folder.casefold())
        folders[name] = folder
    return folders
