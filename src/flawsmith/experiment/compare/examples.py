"""The pictures of Figure 12: every system is asked with the same label maps, drawn at random."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.images import (
    LabelArray,
    encode_png,
    read_image,
    read_index_mask,
    write_index_mask,
)
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.drawing import Banks, make_request
from flawsmith.experiment.report.pictures import Pixels, displayed
from flawsmith.experiment.synthesis import to_pixels
from flawsmith.storage import write_bytes
from flawsmith.systems.load import load_synthesizer

PER_CLASS = 2
EXAMPLE_SEED = 1 << 42
"""First number of the example pictures; nothing that is trained or scored reaches it."""

ALL_NEEDS = frozenset({"background_images", "exemplars"})
"""Drawn for every system, so that all are asked the same, whatever each of them takes."""


@dataclass(frozen=True)
class Example:
    """One image of a system.

    Attributes:
        class_id: that was asked for.
        asked: the label map that the system was given.
        made: the label map that it gave back; 255 where nobody knows.
    """

    class_id: int
    image: Pixels
    asked: LabelArray
    made: LabelArray


def collect_banks(dataset: DefectDataset, records: Sequence[ImageRecord]) -> Banks:
    """Return where label maps, surfaces and exemplars come from; without surfaces if none is free.

    Args:
        dataset: where the images are.
        records: the real training images.
    """
    try:
        return Banks.from_dataset(dataset, records, ALL_NEEDS)
    except FlawsmithError:
        return Banks.from_dataset(dataset, records, ALL_NEEDS - {"background_images"})


def draw_examples(run: Path, banks: Banks, out: Path) -> None:
    """Write ``PER_CLASS`` images of each class with the maps that were asked for and made."""
    synthesizer = load_synthesizer(run)
    schema = synthesizer.schema
    classes = [class_id for class_id in banks.masks.classes for _ in range(PER_CLASS)]
    seeds = [EXAMPLE_SEED + number for number in range(len(classes))]
    drawn = [
        banks.draw(seed, class_id, synthesizer.tile_size)
        for seed, class_id in zip(seeds, classes, strict=True)
    ]
    samples = synthesizer.sample(make_request(drawn), torch.tensor(seeds))
    out.mkdir(parents=True, exist_ok=True)
    for i, class_id in enumerate(classes):
        name = f"{class_id}-{i % PER_CLASS}"
        write_bytes(out / f"{name}.png", encode_png(to_pixels(samples, i, schema)))
        made = samples.defects[i].numpy().astype(np.uint8)
        write_index_mask(out / f"{name}-made.png", made, schema.palette())
        write_index_mask(out / f"{name}-asked.png", drawn[i].label_map.defects, schema.palette())


def read_examples(folder: Path, dataset: DefectDataset) -> list[Example]:
    """Return what `draw_examples` wrote, by class; nothing where there is no such folder."""
    found = []
    for defect in dataset.schema.defects:
        for number in range(PER_CLASS):
            path = folder / f"{defect.id}-{number}.png"
            if path.is_file():
                masks = [
                    read_index_mask(path.with_name(f"{path.stem}-{what}.png"))
                    for what in ("asked", "made")
                ]
                image = displayed(read_image(path), dataset.schema)
                found.append(Example(defect.id, image, *masks))
    return found
