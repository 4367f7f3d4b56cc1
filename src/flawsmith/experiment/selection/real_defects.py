"""Tiles round real validation defects, cut to the size of the synthetic images."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.images import ImageArray, LabelArray
from flawsmith.data.mask_bank.shapes import Piece, heart, split_instances
from flawsmith.data.schema import IGNORE
from flawsmith.data.whole_images import kind_of_labels
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.report.pictures import Window, square_window


def require_masks(synthetic: Path) -> None:
    """Refuse a set without any mask.

    Raises:
        FlawsmithError: if its labels are for whole images.
    """
    if kind_of_labels(synthetic) == "image":
        raise FlawsmithError(
            f"{synthetic} has labels for whole images only, and a selection looks at each defect "
            "inside its mask; compare its images with real ones by flawsmith score, and try what "
            "they are good for by flawsmith benefit"
        )


@dataclass(frozen=True)
class RealTile:
    """A tile round one real defect.

    Attributes:
        defects: label map of the tile; other defects may be in it.
        class_id: the class that it is cut for.
    """

    record: ImageRecord
    window: Window
    image: ImageArray
    defects: LabelArray
    class_id: int


def cut_tiles(dataset: DefectDataset, record: ImageRecord, tile: int) -> Iterator[RealTile]:
    """Yield a tile round each defect of an image; one that is in an earlier tile has none.

    Larger defects come first. A class whose place is not known pixel by pixel is left out.

    Raises:
        FlawsmithError: if image or mask cannot be read.
    """
    defects = dataset.label_map(record).defects
    weak = {dataset.schema.defect(name).id for name in record.weak_labels}
    present = [c for c in np.unique(defects).tolist() if c not in (0, IGNORE) and c not in weak]
    if not present:
        return
    image = dataset.image(record)
    for class_id in present:
        left = defects == class_id
        for piece in sorted(split_instances(left), key=lambda p: -int(p.mask.sum())):
            height, width = piece.mask.shape
            box = (slice(piece.top, piece.top + height), slice(piece.left, piece.left + width))
            if not (piece.mask & left[box]).any():
                continue
            window = square_window(_centre(piece, tile), tile, defects.shape)
            rows = slice(window.top, window.top + window.height)
            columns = slice(window.left, window.left + window.width)
            left[rows, columns] = False
            yield RealTile(record, window, image[rows, columns], defects[rows, columns], class_id)


def _centre(piece: Piece, tile: int) -> tuple[float, float]:
    """Return (row, column) of the box's middle; of a defect larger than a tile a pixel of it."""
    height, width = piece.mask.shape
    if max(height, width) > tile:
        row, column = heart(piece.mask)
        return piece.top + row + 0.5, piece.left + column + 0.5
    return piece.top + height / 2, piece.left + width / 2
