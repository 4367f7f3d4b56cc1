"""The same few test images under every disturbance at its strongest, with truth and prediction."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.images import LabelArray, read_index_mask
from flawsmith.experiment.report.facts import Picture
from flawsmith.experiment.report.pictures import (
    Window,
    defect_pixels,
    displayed,
    draw,
    photo,
    square_window,
    whole,
    window_around,
)

MOST_CLASSES = 6
BOX = 200
MARGIN = 2.2
"""Sides of a window over those of the defects: turned by 45 degrees they still fit."""


def choose_examples(
    records: Sequence[ImageRecord], class_names: Sequence[str]
) -> list[ImageRecord]:
    """Return an image of each class, at most six, and a good one: by chance, never by results.

    The first by the hash of its name, so that the same images are shown for every model.
    """
    order = sorted(records, key=lambda r: hashlib.sha256(r.file_name.encode()).digest())
    chosen: list[ImageRecord] = []
    for name in class_names[:MOST_CLASSES]:
        taken = {record.part for record in chosen}
        with_mask = [r for r in order if name in r.labels and r.mask_file_name is not None]
        fresh = [r for r in with_mask if r.part not in taken] or with_mask
        chosen += [r for r in fresh if r not in chosen][:1]
    return chosen + [record for record in order if record.is_good][:1]


def window_side(dataset: DefectDataset, record: ImageRecord) -> int | None:
    """Return the side of the window for an undisturbed image; None to show the whole of it."""
    defects = defect_pixels(dataset.label_map(record).defects)
    if not defects.any():
        return None
    window = window_around(defects, margin=MARGIN)
    return max(window.height, window.width)


def draw_example(
    dataset: DefectDataset, record: ImageRecord, side: int | None, prediction: Path
) -> Picture:
    """Return one image with the truth in white and the prediction in the colours of its classes.

    Args:
        dataset: of the image, disturbed or not.
        record: of that data set.
        side: of the window round the defects; None for the whole image.
        prediction: index PNG of what the model found.
    """
    image = displayed(dataset.image(record), dataset.schema)
    truth = dataset.label_map(record).defects
    window = whole(image.shape) if side is None else _window(truth, side)
    found = read_index_mask(prediction)
    return photo(draw(image, window, dataset.schema, truth=truth, prediction=found, box=BOX))


def _window(truth: LabelArray, side: int) -> Window:
    """Return the window of this side round the middle of all defects."""
    rows, columns = np.nonzero(defect_pixels(truth))
    if not len(rows):  # a thin defect can fall between the pixels of a smaller picture
        return whole(truth.shape)
    centre = ((rows.min() + rows.max() + 1) / 2, (columns.min() + columns.max() + 1) / 2)
    return square_window(centre, side, truth.shape)
