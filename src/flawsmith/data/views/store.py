"""The features of all images in a few arrays whose size is known beforehand."""

import numpy as np
from numpy.typing import NDArray

from flawsmith.data.views.features import THUMBNAIL_SIDE, Bytes, ImageFeatures, points_per_image
from flawsmith.data.views.verification import View


class FeatureStore:
    """Points and small pictures of images 0, 1, ...; 0.75 GB for 10,000.

    Args:
        capacity: number of images that will be added.
    """

    def __init__(self, capacity: int) -> None:
        self.limit = points_per_image(capacity)
        self.counts = np.zeros(capacity, np.int64)
        self.points = np.zeros((capacity, self.limit, 4), np.float32)
        self.descriptors = np.zeros((capacity, self.limit, 128), np.uint8)
        self.thumbnails = np.zeros((capacity, THUMBNAIL_SIDE**2), np.float32)
        self.shapes: list[tuple[int, int]] = []
        self.zooms: list[float] = []
        self.pictures: list[Bytes] = []

    def __len__(self) -> int:
        return len(self.shapes)

    def add(self, features: ImageFeatures) -> None:
        """Append one image."""
        index, count = len(self), len(features.points)
        self.counts[index] = count
        self.points[index, :count] = features.points
        self.descriptors[index, :count] = features.descriptors
        self.thumbnails[index] = features.thumbnail
        self.shapes.append(features.shape)
        self.zooms.append(features.zoom)
        self.pictures.append(features.picture)

    def view(self, index: int, *, mirrored: bool = False) -> View:
        """Return the points of an image, or of its mirror image, ready to be matched."""
        count = self.counts[index]
        return View.of(
            self.points[index, :count],
            self.descriptors[index, :count],
            self.shapes[index],
            mirrored=mirrored,
        )

    def picture(self, index: int, *, mirrored: bool = False) -> Bytes:
        """Return the small picture of an image, or its mirror image."""
        picture = self.pictures[index]
        return np.ascontiguousarray(picture[:, ::-1]) if mirrored else picture

    def indexed(self, per_image: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return image and row of the first ``per_image`` points of every image."""
        kept = np.minimum(self.counts[: len(self)], per_image)
        images = np.repeat(np.arange(len(self)), kept)
        rows = np.arange(len(images)) - np.repeat(np.cumsum(kept) - kept, kept)
        return images, rows
