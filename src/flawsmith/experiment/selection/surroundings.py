"""Whether a synthetic image is a real surface, bit for bit, everywhere but near its defects."""

from collections import OrderedDict
from typing import cast

import numpy as np
from numpy.typing import NDArray

from flawsmith.data.dataset import DefectDataset
from flawsmith.data.images import BoolArray, ImageArray, from_unit, read_image, to_unit

SINGLE_PIXELS = 256
"""Pixels that places are sieved by, one after the other, before whole regions are compared."""

CANDIDATES = 16
CACHE_IMAGES = 64


class Surroundings:
    """Looks for the surface of synthetic images in the real images that they descend from.

    Background regions are cut at native scale without any change, so the right place agrees in
    every bit.
    """

    def __init__(self, dataset: DefectDataset) -> None:
        self.dataset = dataset
        self._parents: OrderedDict[str, ImageArray] = OrderedDict()

    def untouched(self, pixels: ImageArray, away: BoolArray, parents: list[str]) -> bool:
        """Return whether all pixels ``away`` from the defects are a region of one parent.

        Args:
            pixels: of the synthetic image, as stored.
            away: H x W.
            parents: file names in the data set; the background is the last.

        Raises:
            FlawsmithError: if a parent cannot be read.
        """
        if not away.any():
            return True
        height, width = pixels.shape[:2]
        points = _unusual_first(pixels, away)
        for name in reversed(parents):
            parent = self._parent(name, height, width)
            for y, x in _places(parent, pixels, points):
                if np.array_equal(parent[y : y + height, x : x + width][away], pixels[away]):
                    return True
        return False

    def _parent(self, name: str, height: int, width: int) -> ImageArray:
        if name not in self._parents:
            schema = self.dataset.schema
            stored = read_image(self.dataset.path(name))
            self._parents[name] = from_unit(to_unit(stored, schema), schema)
            if len(self._parents) > CACHE_IMAGES:
                self._parents.popitem(last=False)
        self._parents.move_to_end(name)
        parent = self._parents[name]
        missing = [max(0, height - parent.shape[0]), max(0, width - parent.shape[1])]
        edges = [(0, count) for count in missing] + [(0, 0)] * (parent.ndim - 2)
        # As the background bank continues an image that is too small.
        return cast(ImageArray, np.pad(parent, edges, mode="reflect")) if any(missing) else parent


def _unusual_first(pixels: ImageArray, away: BoolArray) -> NDArray[np.intp]:
    """Return the (y, x) of pixels away from defects: the brightest and darkest sieve best."""
    points = np.argwhere(away)
    values = pixels[away].astype(np.float32).reshape(len(points), -1).mean(axis=1)
    order = np.argsort(-np.abs(values - np.median(values)), kind="stable")
    return points[order[:SINGLE_PIXELS]]


def _places(
    parent: ImageArray, pixels: ImageArray, points: NDArray[np.intp]
) -> list[tuple[int, int]]:
    """Return at most a few (y, x) at which the parent agrees with all the points."""
    rows = parent.shape[0] - pixels.shape[0] + 1
    columns = parent.shape[1] - pixels.shape[1] + 1
    y, x = points[0]
    ys, xs = np.nonzero(_same(parent[y : y + rows, x : x + columns], pixels[y, x]))
    for y, x in points[1:]:
        if len(ys) <= 1:
            break
        kept = _same(parent[ys + y, xs + x], pixels[y, x])
        ys, xs = ys[kept], xs[kept]
    return list(zip(ys[:CANDIDATES].tolist(), xs[:CANDIDATES].tolist(), strict=True))


def _same(values: ImageArray, value: NDArray[np.generic]) -> BoolArray:
    equal = values == value
    return equal.all(axis=-1) if np.ndim(value) else cast(BoolArray, equal)
