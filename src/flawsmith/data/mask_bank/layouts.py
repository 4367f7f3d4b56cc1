"""Layouts: where an image shows which background, and places in it to put a defect."""

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.images import LabelArray
from flawsmith.data.schema import IGNORE

MOST_PLACES = 1024
CANDIDATES_PER_PLACE = 16


@dataclass(frozen=True)
class Layout:
    """The background map of an image.

    Attributes:
        backgrounds: H x W uint8 without ignore; an even one takes one byte, whatever its size.
        file_name: the image that it comes from, or None if it was given or is even.
        present: the backgrounds that it shows.
        places: N x 2 random pixels (y, x) of a layout with several backgrounds: the first
            ``num_even`` spread evenly, the others the denser the nearer to a boundary.
        distances: N, from each place to the nearest boundary between backgrounds, in pixels.
    """

    backgrounds: LabelArray
    file_name: str | None
    present: frozenset[int]
    places: NDArray[np.int64]
    distances: NDArray[np.float32]
    num_even: int

    @classmethod
    def even(cls, background: int, shape: tuple[int, int]) -> Self:
        """Return a layout that shows one background everywhere."""
        backgrounds = np.broadcast_to(np.uint8(background), shape)
        none = np.empty((0, 2), np.int64)
        return cls(backgrounds, None, frozenset({background}), none, np.empty(0, np.float32), 0)

    @classmethod
    def of(
        cls, backgrounds: LabelArray, rng: np.random.Generator, file_name: str | None = None
    ) -> Self:
        """Return the layout of an H x W background map; ignored pixels become the commonest."""
        backgrounds = fill_ignored(backgrounds)
        present = frozenset(np.unique(backgrounds).tolist())
        height, width = backgrounds.shape
        if len(present) == 1:
            return cls.even(next(iter(present)), (height, width))
        distance = boundary_distance(backgrounds)
        count = int(np.clip(backgrounds.size // 64, 64, MOST_PLACES))
        even = _random_places(rng, backgrounds.shape, count)
        near = _random_places(rng, backgrounds.shape, count * CANDIDATES_PER_PLACE)
        # Weighted drawing without replacement: the smallest keys Exp(1) / weight
        # (Efraimidis and Spirakis 2006), with a weight of 1 / (1 + distance).
        keys = rng.exponential(size=len(near)) * (1 + distance[near[:, 0], near[:, 1]])
        places = np.concatenate([even, near[np.argpartition(keys, count)[:count]]])
        distances = distance[places[:, 0], places[:, 1]]
        return cls(backgrounds, file_name, present, places, distances, count)

    @property
    def is_even(self) -> bool:
        """Whether it shows one background only."""
        return len(self.present) == 1

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.backgrounds.shape
        return height, width

    @property
    def size_bytes(self) -> int:
        """Memory it takes, about."""
        return 256 if self.is_even else self.backgrounds.nbytes + 20 * len(self.places)

    def even_distances(self, backgrounds: set[int]) -> NDArray[np.float32]:
        """Return the distances to a boundary of evenly spread places on these backgrounds."""
        ys, xs = self.places[: self.num_even].T
        home = np.isin(self.backgrounds[ys, xs], list(backgrounds))
        return self.distances[: self.num_even][home]

    def at_least(self, height: int, width: int, rng: np.random.Generator) -> "Layout":
        """Return the layout, its edges continued if it is smaller than height x width."""
        rows, columns = self.shape
        if rows >= height and columns >= width:
            return self
        if self.is_even:
            shape = (max(rows, height), max(columns, width))
            return Layout.even(next(iter(self.present)), shape)
        below, right = max(0, height - rows), max(0, width - columns)
        padded = np.pad(self.backgrounds, ((0, below), (0, right)), mode="edge")
        return Layout.of(padded, rng, self.file_name)


def fill_ignored(backgrounds: LabelArray) -> LabelArray:
    """Return the map with ignored pixels set to the commonest background."""
    ignored = backgrounds == IGNORE
    if not ignored.any():
        return backgrounds
    known = backgrounds[~ignored]
    commonest = np.bincount(known).argmax() if known.size else 0
    return np.where(ignored, np.uint8(commonest), backgrounds)


def boundary_distance(backgrounds: LabelArray) -> NDArray[np.float32]:
    """Return each pixel's distance to the nearest pixel of another background; inf without one."""
    distance = np.full(backgrounds.shape, np.inf, np.float32)
    present = np.unique(backgrounds)
    if len(present) < 2:
        return distance
    for background in present:
        inside = backgrounds == background
        nearest = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 3)
        distance[inside] = nearest[inside]
    return distance


def _random_places(
    rng: np.random.Generator, shape: tuple[int, ...], count: int
) -> NDArray[np.int64]:
    return np.column_stack([rng.integers(0, size, count) for size in shape])
