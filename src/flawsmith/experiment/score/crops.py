"""Defect-centred crops of a data set, cut the same way from synthetic and real images.

A crop is a square round one region (class and piece), 1.5 times as large as the region's box but
from 64 px to the side of the synthetic tiles: a real image may be larger than what a synthesizer
makes, and only what both can show is compared. It is then resized to 128 px: by averaging where it
shrinks, bilinearly where it grows.

Where labels are for whole images the image is the crop: resized to the side of the synthetic ones,
so that a real one shows no more than those can, then as above.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.images import to_unit
from flawsmith.data.mask_bank.shapes import heart, split_instances
from flawsmith.data.schema import IGNORE
from flawsmith.data.whole_images import fit
from flawsmith.experiment.report.pictures import Window, square_window

CROP_SIZE = 128
"""Side in pixels that the feature network sees."""

CONTEXT = 1.5
SMALLEST_SIDE = 64


@dataclass(frozen=True)
class Place:
    """One defect of a data set.

    Attributes:
        centre: (row, column) that windows round it are centred on.
        side: of its crop, in pixels of the image.
    """

    class_id: int
    file_name: str
    part: str
    centre: tuple[float, float]
    side: int


@dataclass(frozen=True)
class Cut:
    """A crop as the feature network gets it.

    Attributes:
        image: 128 x 128 x 3 in [0, 1].
        mask: 128 x 128: share of each pixel that is the defect.
    """

    place: Place
    image: NDArray[np.float32]
    mask: NDArray[np.float32]


def cut_defects(
    dataset: DefectDataset, record: ImageRecord, largest: int
) -> tuple[list[Cut], Cut | None]:
    """Return a crop of each defect of an image, and a whole tile round one of them.

    Args:
        dataset: where the image is.
        record: the image.
        largest: side of the tile, and of the largest crop.

    Raises:
        FlawsmithError: if image or mask cannot be read.
    """
    defects = dataset.label_map(record).defects
    present = np.unique(defects)
    present = present[(present > 0) & (present != IGNORE)]
    if not len(present):
        return [], None
    unit = to_unit(dataset.image(record), dataset.schema)
    image = unit if unit.shape[2] == 3 else np.repeat(unit, 3, axis=2)
    cuts = []
    for class_id in present.tolist():
        mask = defects == class_id
        for place in _places(mask, int(class_id), record, largest):
            cuts.append(_cut(image, mask, place))
    largest_place = max((cut.place for cut in cuts), key=lambda place: place.side)
    tile = Place(
        largest_place.class_id, record.file_name, record.part, largest_place.centre, largest
    )
    return cuts, _cut(image, defects == tile.class_id, tile)


def whole_image(
    dataset: DefectDataset, record: ImageRecord, class_ids: Sequence[int], side: int
) -> list[Cut]:
    """Return an image as the crop of each class that it shows; its mask is all of it.

    Args:
        dataset: where the image is.
        record: the image.
        class_ids: of the classes.
        side: of the synthetic images.

    Raises:
        FlawsmithError: if the image cannot be read.
    """
    unit = fit(to_unit(dataset.image(record), dataset.schema), side)
    image = _resized(unit if unit.shape[2] == 3 else np.repeat(unit, 3, axis=2))
    centre = (record.height / 2, record.width / 2)
    everywhere = np.ones(image.shape[:2], np.float32)
    return [
        Cut(Place(class_id, record.file_name, record.part, centre, side), image, everywhere)
        for class_id in class_ids
    ]


def window_of(place: Place, shape: Sequence[int], side: int | None = None) -> Window:
    """Return the square round a place, moved into the image."""
    return square_window(place.centre, side or place.side, tuple(shape))


def _places(
    mask: NDArray[np.bool_], class_id: int, record: ImageRecord, largest: int
) -> Iterator[Place]:
    for piece in split_instances(mask):
        height, width = piece.mask.shape
        longest = max(height, width)
        side = min(max(SMALLEST_SIDE, round(CONTEXT * longest)), largest)
        if longest > side:  # only a part of it fits: the middle of the box may show nothing of it
            row, column = heart(piece.mask)
        else:
            row, column = height // 2, width // 2
        centre = (piece.top + row + 0.5, piece.left + column + 0.5)
        yield Place(class_id, record.file_name, record.part, centre, side)


def _cut(image: NDArray[np.float32], mask: NDArray[np.bool_], place: Place) -> Cut:
    window = window_of(place, image.shape[:2])
    rows = slice(window.top, window.top + window.height)
    columns = slice(window.left, window.left + window.width)
    return Cut(
        place, _resized(image[rows, columns]), _resized(mask[rows, columns].astype(np.float32))
    )


def _resized(values: NDArray[np.float32]) -> NDArray[np.float32]:
    shrinks = min(values.shape[:2]) > CROP_SIZE
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    contiguous = np.ascontiguousarray(values)
    resized = cv2.resize(contiguous, (CROP_SIZE, CROP_SIZE), interpolation=method)
    return cast(NDArray[np.float32], resized)
