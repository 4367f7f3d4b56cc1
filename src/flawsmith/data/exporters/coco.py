"""COCO instance segmentation: ``images/`` and one ``annotations.json`` with run lengths."""

import json
from pathlib import Path
from typing import Any, ClassVar

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.exporters.base import (
    EXPORTERS,
    IGNORE_CLASS,
    Exporter,
    Progress,
    common_losses,
    copy_image,
    each_image,
    regions,
)
from flawsmith.data.formats import run_lengths
from flawsmith.data.images import LabelArray
from flawsmith.storage import write_text


@EXPORTERS.register("coco")
class Coco(Exporter):
    """An instance is a connected region of a class; a good image has no annotation.

    Regions to ignore are crowds of a category "ignore". A weak label with a box is an annotation
    with a box and no shape.
    """

    summary: ClassVar[str] = "images/ and annotations.json (RLE; ignored regions are crowds)"

    def write(self, dataset: DefectDataset, root: Path, progress: Progress | None) -> None:
        """Write images and the one JSON file; its ids count from 1."""
        ids = {defect.name: defect.id for defect in dataset.schema.defects}
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for number, (record, name, defects) in enumerate(each_image(dataset, progress), start=1):
            file = copy_image(dataset, record, root / "images", name)
            size = {"height": record.height, "width": record.width}
            images.append({"id": number, "file_name": file, **size})
            for label, content in [*_shapes(dataset, defects), *_boxes(record)]:
                category = ids.setdefault(label, len(ids) + 1)
                own = {"id": len(annotations) + 1, "image_id": number, "category_id": category}
                annotations.append({**own, **content})
        categories = [{"id": value, "name": name} for name, value in ids.items()]
        content = {"images": images, "annotations": annotations, "categories": categories}
        write_text(root / "annotations.json", json.dumps(content))

    def cannot_hold(self, dataset: DefectDataset) -> list[str]:
        """Return what gets lost: whole-image labels, instances that touch, what no format holds."""
        losses = common_losses(dataset)
        unplaced = sum(bool(set(r.weak_labels) - {n for n, _ in _boxes(r)}) for r in dataset)
        if unplaced:
            losses.append(
                f"Image-level labels: {unplaced} images show classes that no box or pixel places; "
                "their pixels stay ignored, but the names of these classes are lost."
            )
        if any(not i.get("weak") and not i.get("iscrowd") for r in dataset for i in r.instances):
            losses.append(
                "Instances: they are the connected regions of the label map; instances that touch "
                "or cover each other become one."
            )
        return losses


def _shapes(dataset: DefectDataset, defects: LabelArray) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for name, where in regions(dataset, defects):
        instance = run_lengths.instance(name, run_lengths.encode(where))
        content = {
            "segmentation": instance["rle"],
            "bbox": instance["bbox"],
            "area": instance["area"],
            "iscrowd": int(name == IGNORE_CLASS),
        }
        found.append((name, content))
    return found


def _boxes(record: ImageRecord) -> list[tuple[str, dict[str, Any]]]:
    """Return the weak labels of an image that have a box."""
    return [
        (
            str(instance["label"]),
            {
                "segmentation": [],
                "bbox": instance["bbox"],
                "area": instance["bbox"][2] * instance["bbox"][3],
                "iscrowd": 0,
            },
        )
        for instance in record.instances
        if instance.get("weak") and instance.get("label") in record.weak_labels
    ]
