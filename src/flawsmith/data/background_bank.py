"""The background bank: regions without defect of real images, at native scale.

It holds no pixels but a bounded cache: only which images are usable, and what they show.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.images import BoolArray, ImageArray, LabelArray, to_unit
from flawsmith.data.mask_bank.layouts import fill_ignored
from flawsmith.errors import FlawsmithError

MAX_BYTES = 256 << 20
"""Default limit of the memory for decoded images."""

CLEARANCE = 8
"""A region keeps so many pixels from any label: the rim of a defect is no background."""

FEWEST_GOOD = 8
"""With fewer good images that fit, regions beside defects are drawn as well, for variety."""

NEEDED_SHARE = 0.2
"""A region shows a background if at least this share of its pixels does: room for a defect."""

WINDOW_ATTEMPTS = 32
MANY_WINDOW_ATTEMPTS = 1024
LARGEST_SEARCH = 1 << 24
"""Pixels of an image up to which every window of it is tried before it is given up."""


@dataclass(frozen=True)
class DrawnBackground:
    """A region of a real image that shows no defect.

    Attributes:
        image: H x W x C float32 in [0, 1].
        backgrounds: H x W uint8, without ignore.
        file_name: the image that it was cut from.
        part: the piece that this image shows.
        is_continued: whether the image was smaller, and was continued by reflection.
        anchor: (y, x) in the region of the place that was asked for by its edges.
    """

    image: NDArray[np.float32]
    backgrounds: LabelArray
    file_name: str
    part: str
    is_continued: bool
    anchor: tuple[int, int] | None = None


Edges = tuple[int, int, int, int]
"""Pixels from a place in an image to its top, left, bottom and right edge."""


@dataclass(frozen=True)
class _Source:
    """A usable image and the backgrounds that it shows."""

    record: ImageRecord
    present: frozenset[int]


@dataclass(frozen=True)
class _Decoded:
    """An image in memory; ``blocked`` is where labels are near, None for a good image."""

    pixels: ImageArray
    backgrounds: LabelArray
    blocked: BoolArray | None

    @property
    def size_bytes(self) -> int:
        blocked = 0 if self.blocked is None else self.blocked.nbytes
        return self.pixels.nbytes + self.backgrounds.nbytes + blocked


class BackgroundBank:
    """Draws defect-free regions: of good images, and beside the defects where those are too few."""

    def __init__(
        self, dataset: DefectDataset, sources: Sequence[_Source], *, max_bytes: int, seed: int
    ) -> None:
        self.dataset = dataset
        self.max_bytes = max_bytes
        order = np.random.default_rng(seed).permutation(len(sources))
        self._sources = [sources[i] for i in order]
        self._cache: OrderedDict[int, _Decoded] = OrderedDict()
        self._cached_bytes = 0
        self._fitting: dict[frozenset[int], tuple[list[int], list[int]]] = {}
        self._unfit: set[tuple[int, int, int, frozenset[int]]] = set()

    @classmethod
    def from_dataset(
        cls,
        dataset: DefectDataset,
        records: Iterable[ImageRecord],
        *,
        max_bytes: int = MAX_BYTES,
        seed: int = 0,
    ) -> Self:
        """Find the usable images; none is decoded yet.

        Args:
            dataset: where the images are.
            records: of the training images only. Excluded, synthetic and weakly labelled ones are
                passed over: nobody knows where the defects of the latter are.
            max_bytes: limit for decoded images; at least one is kept.
            seed: orders the images.
        """
        sources = []
        for record in records:
            unplaced = bool(record.weak_labels) or (record.labels and not record.mask_file_name)
            if record.excluded is not None or record.source != "real" or unplaced:
                continue
            present = frozenset({0})
            if record.background_file_name is not None:
                shown = fill_ignored(dataset.label_map(record).backgrounds)
                present = frozenset(np.unique(shown).tolist())
            sources.append(_Source(record, present))
        return cls(dataset, sources, max_bytes=max_bytes, seed=seed)

    def draw(
        self,
        rng: np.random.Generator,
        height: int,
        width: int,
        *,
        needed: frozenset[int] | None = None,
        edges: Edges | None = None,
    ) -> DrawnBackground:
        """Return a region of height x width pixels, the same for the same state of ``rng``.

        Args:
            rng: everything random is drawn from it.
            height: of the region.
            width: of the region.
            needed: backgrounds that it must show.
            edges: of a place that it must show: as far from the edges of this image as it was from
                those of its own, where it was near them.

        Raises:
            FlawsmithError: if no image has such a region.
        """
        wanted = needed or frozenset()
        # What was found to be unfit is passed over, so no image may take from the same stream.
        seed = int(rng.integers(1 << 62))
        for pool in self._pools(wanted):
            for index in rng.permutation(pool).tolist():
                if edges is None and (index, height, width, wanted) in self._unfit:
                    continue
                own = np.random.default_rng((seed, index))
                drawn = self._cut(index, own, height, width, wanted, edges)
                if drawn is not None:
                    return drawn
        raise self._nothing_found(height, width, wanted)

    def _pools(self, wanted: frozenset[int]) -> tuple[list[int], list[int]]:
        """Return the images to draw from first, and the others that show what is wanted."""
        if wanted not in self._fitting:
            fitting = [i for i, source in enumerate(self._sources) if wanted <= source.present]
            good = [i for i in fitting if self._sources[i].record.is_good]
            others = [i for i in fitting if not self._sources[i].record.is_good]
            self._fitting[wanted] = (
                (good, others) if len(good) >= FEWEST_GOOD else (good + others, [])
            )
        return self._fitting[wanted]

    def _nothing_found(self, height: int, width: int, wanted: frozenset[int]) -> FlawsmithError:
        names = [b.name for b in self.dataset.schema.backgrounds if b.id in wanted]
        showing = f" that shows {' and '.join(names)}" if names else ""
        good = sum(source.record.is_good for source in self._sources)
        return FlawsmithError(
            f"{self.dataset.root}: no region of {width} x {height} pixels without defect{showing} "
            f"in {len(self._sources)} images ({good} of them good); add good images, or take a "
            "smaller training.tile_size"
        )

    def _cut(
        self,
        index: int,
        rng: np.random.Generator,
        height: int,
        width: int,
        wanted: frozenset[int],
        edges: Edges | None,
    ) -> DrawnBackground | None:
        entry, record = self._load(index), self._sources[index].record
        target = edges and _same_place(edges, (record.height, record.width), (height, width), rng)
        below = max(0, height - record.height)
        right = max(0, width - record.width)
        if below or right:
            entry = _continued(entry, below, right)
        place = _find_window(entry, rng, height, width, wanted, target)
        if place is None:
            if target is None:
                self._unfit.add((index, height, width, wanted))
            return None
        box = (slice(place[0], place[0] + height), slice(place[1], place[1] + width))
        return DrawnBackground(
            image=to_unit(entry.pixels[box], self.dataset.schema),
            backgrounds=np.ascontiguousarray(entry.backgrounds[box]),
            file_name=record.file_name,
            part=record.part,
            is_continued=bool(below or right),
            anchor=None if target is None else (target[0] - place[0], target[1] - place[1]),
        )

    def _load(self, index: int) -> _Decoded:
        if index in self._cache:
            self._cache.move_to_end(index)
            return self._cache[index]
        record = self._sources[index].record
        label_map, blocked = self.dataset.label_map(record), None
        if label_map.defects.any():
            size = 2 * CLEARANCE + 1
            kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
            blocked = cv2.dilate((label_map.defects > 0).astype(np.uint8), kernel) > 0
        entry = _Decoded(self.dataset.image(record), fill_ignored(label_map.backgrounds), blocked)
        self._cache[index] = entry
        self._cached_bytes += entry.size_bytes
        while self._cached_bytes > self.max_bytes and len(self._cache) > 1:
            self._cached_bytes -= self._cache.popitem(last=False)[1].size_bytes
        return entry


def _continued(entry: _Decoded, below: int, right: int) -> _Decoded:
    """Return the image mirrored at its lower and right edge."""
    edges = ((0, below), (0, right))
    pixels = np.pad(entry.pixels, (*edges, *((0, 0),) * (entry.pixels.ndim - 2)), mode="reflect")
    backgrounds = np.pad(entry.backgrounds, edges, mode="reflect")
    blocked = None if entry.blocked is None else np.pad(entry.blocked, edges, mode="reflect")
    return _Decoded(cast(ImageArray, pixels), backgrounds, blocked)


def _same_place(
    edges: Edges, shape: tuple[int, int], window: tuple[int, int], rng: np.random.Generator
) -> tuple[int, int]:
    """Return (y, x) as far from the edges of an image as told; anywhere along the far axes."""
    place = []
    for before, after, size, reach in zip(edges[:2], edges[2:], shape, window, strict=True):
        if min(before, after) >= reach / 2:
            place.append(int(rng.integers(size)))
        else:
            near = before if before <= after else size - 1 - after
            place.append(int(np.clip(near, 0, size - 1)))
    return place[0], place[1]


def _find_window(
    entry: _Decoded,
    rng: np.random.Generator,
    height: int,
    width: int,
    wanted: frozenset[int],
    target: tuple[int, int] | None = None,
) -> tuple[int, int] | None:
    """Return (top, left) of a random window that is free and shows what is wanted, or None.

    With a target it is in the middle three quarters of the window, or the window at the edge.
    """
    rows, columns = entry.backgrounds.shape
    attempts = WINDOW_ATTEMPTS if rows * columns <= LARGEST_SEARCH else MANY_WINDOW_ATTEMPTS
    if target is None:
        tops = rng.integers(0, rows - height + 1, attempts)
        lefts = rng.integers(0, columns - width + 1, attempts)
    else:
        inner = rng.uniform(0.125, 0.875, (2, attempts)) * [[height], [width]]
        tops = np.clip(target[0] - inner[0].astype(int), 0, rows - height)
        lefts = np.clip(target[1] - inner[1].astype(int), 0, columns - width)
    fewest = max(1, round(NEEDED_SHARE * height * width))
    for top, left in zip(tops.tolist(), lefts.tolist(), strict=True):
        box = (slice(top, top + height), slice(left, left + width))
        if entry.blocked is not None and entry.blocked[box].any():
            continue
        shown = np.bincount(entry.backgrounds[box].ravel(), minlength=256) if wanted else None
        if shown is None or all(shown[background] >= fewest for background in wanted):
            return top, left
    if attempts == MANY_WINDOW_ATTEMPTS or target is not None:
        return None
    return _search_window(entry, rng, height, width, wanted, fewest)


def _search_window(
    entry: _Decoded,
    rng: np.random.Generator,
    height: int,
    width: int,
    wanted: frozenset[int],
    fewest: int,
) -> tuple[int, int] | None:
    """Return a random one of all windows that fit, or None."""
    rows, columns = entry.backgrounds.shape
    fits = np.ones((rows - height + 1, columns - width + 1), np.bool_)
    if entry.blocked is not None:
        fits &= _window_sums(entry.blocked, height, width) == 0
    for background in wanted:
        fits &= _window_sums(entry.backgrounds == background, height, width) >= fewest
    places = np.flatnonzero(fits)
    if not len(places):
        return None
    top, left = divmod(int(places[rng.integers(len(places))]), fits.shape[1])
    return top, left


def _window_sums(marked: BoolArray, height: int, width: int) -> NDArray[np.int32]:
    """Return how many pixels are marked in the window that begins at each pixel."""
    total = cv2.integral(marked.astype(np.uint8))
    sums: NDArray[np.int32] = (
        total[height:, width:] - total[:-height, width:]
        - total[height:, :-width] + total[:-height, :-width]
    )  # fmt: skip
    return sums
