"""Training tiles where labels are for whole images: each is an entire image, resized.

A crop of such an image may or may not show what the image is labelled with, so none is cut.
"""

import functools
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.dataset import METADATA_FILE, DefectDataset, ImageRecord, LabelMap
from flawsmith.data.images import to_unit
from flawsmith.data.schema import IGNORE
from flawsmith.data.tiles import Instance, TileSource
from flawsmith.errors import FlawsmithError


def kind_of_labels(data: Path) -> Literal["pixel", "image"]:
    """Return what the labels of a data set say: where a defect is, or only which image shows one.

    One labelled mask is enough for pixels: the images without any are then ignored where they are
    labelled. Boxes and points make no pixels: nobody knows which of theirs are the defect.
    A folder that is no data set is left to whoever reads it.
    """
    path = data / METADATA_FILE
    return _kind_of_labels(data, path.stat().st_mtime_ns) if path.is_file() else "pixel"


@functools.lru_cache(maxsize=8)
def _kind_of_labels(data: Path, _: int) -> Literal["pixel", "image"]:
    """Return the kind for the state of the data set at this time; a benefit test asks often."""
    usable = DefectDataset.open(data).usable().records
    labelled = any(record.labels for record in usable)
    outlined = any(r.mask_file_name and set(r.labels) - set(r.weak_labels) for r in usable)
    return "image" if labelled and not outlined else "pixel"


def fit(image: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return an H x W x C image as size x size x C: averaged where it shrinks, else interpolated.

    The whole image is shown, so one that is not square is stretched, every image in the same way.
    """
    height, width = image.shape[:2]
    shrunk = (min(width, size), min(height, size))
    image = np.asarray(cv2.resize(image, shrunk, interpolation=cv2.INTER_AREA), np.float32)
    stretched = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)
    return np.asarray(stretched, np.float32).reshape(size, size, -1)


class WholeImageSource(TileSource):
    """Draws whole images, every class as often as any other, with the classes that each shows.

    The label map of a defective image is unknown throughout (255), that of a good one is 0.
    """

    def _index(self, index: int, dataset: DefectDataset, record: ImageRecord) -> None:
        if self.clean:
            raise FlawsmithError(
                "labels of whole images do not say where a defect is, so no image can be had "
                "without it; give data.labels = 'pixel' and masks, or another system"
            )
        if not record.labels and record.source == "real":
            self._good.append(index)  # a synthetic one is a defect that did not come out
        for name in record.labels:
            label = dataset.schema.defect(name).id
            whole = Instance(index, (0, 0, record.height, record.width))
            self._instances[label, record.source].append(whole)

    def _draw_place(
        self, label: int, rng: np.random.Generator, *, mixed: bool
    ) -> tuple[int, tuple[float, float]]:
        index, _ = super()._draw_place(label, rng, mixed=mixed)
        middle = (self.tile_size - 1) / 2
        return index, (middle, middle)

    def _read(self, index: int) -> tuple[NDArray[np.float32], LabelMap]:
        dataset, record = self._items[index]
        image = fit(to_unit(dataset.image(record), dataset.schema), self.tile_size)
        shape = image.shape[:2]
        unknown = np.full(shape, IGNORE if record.labels else 0, np.uint8)
        return image, LabelMap(unknown, np.zeros(shape, np.uint8))

    def _present(self, index: int) -> NDArray[np.bool_]:
        dataset, record = self._items[index]
        shown = set(record.labels)
        return np.array([defect.name in shown for defect in dataset.schema.defects])
