"""PatchCore: how far is each patch from all patches of good images (Roth et al. 2022)?

Needs no defect to learn from. Differences from the paper (arXiv 2106.08265): channels are
standardised, since the maps of a linear bottleneck differ in scale; the memory bank has a fixed
size instead of a share of the data, so that memory and time are bounded; the score is the highest
smoothed distance, without re-weighting by the neighbourhood in the bank, and is measured against
what good images have at the same distance from the border (benchmarks/anomaly.py). Features come
from a function, hence whatever computes them need not be installed here.
"""

import io
import math
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.images import ImageArray
from flawsmith.errors import FlawsmithError
from flawsmith.inspection.tiling import predict_tiled
from flawsmith.storage import write_bytes

Floats = NDArray[np.float32]
Features = Callable[[ImageArray], Sequence[Floats]]
"""N tiles x H x W x C to feature maps N x h x w x c, the finest first."""

PROJECTED = 64
"""Dimensions in which the bank is chosen; distances survive a random projection (section 3.2)."""
BLOCK_ROWS = 4096
MARGIN = 32
"""Pixels mirrored around an image: a network's zero padding at its border is no anomaly."""
BAND = 8
"""Pixels: the border changes what to expect in bands of this width, `MARGIN` deep."""
BANDS = MARGIN // BAND + 1
PRIOR = 1000
"""Pixels of the whole image that count in each cell, for when few images fill the corners."""
ARRAYS = ("bank", "mean", "deviation", "expected")


def parts_needed(overkill: float) -> int:
    """Return how many good parts a threshold needs before it can promise a share of overkill."""
    return math.ceil(1 / overkill - 1e-9) - 1


def with_margin(image: ImageArray) -> ImageArray:
    """Return an H x W x C image with `MARGIN` mirrored pixels on all sides."""
    return cast(ImageArray, np.pad(image, [(MARGIN, MARGIN)] * 2 + [(0, 0)], mode="reflect"))


def patch_features(maps: Sequence[Floats], window: int) -> Floats:
    """Return N x h x w x C patches on the grid of the finest map (section 3.1).

    Every map is averaged over ``window`` x ``window`` neighbours, border values repeated, and
    enlarged bilinearly.
    """
    height, width = maps[0].shape[1:3]
    aligned = []
    for values in maps:
        mean = _neighbourhood_mean(values, window)
        if mean.shape[1:3] != (height, width):
            planes = np.moveaxis(mean, 3, 1).reshape(-1, *mean.shape[1:3])
            large = np.stack([cv2.resize(plane, (width, height)) for plane in planes])
            mean = np.moveaxis(large.reshape(len(mean), -1, height, width), 1, 3)
        aligned.append(mean)
    return np.concatenate(aligned, axis=3)


def _neighbourhood_mean(values: Floats, window: int) -> Floats:
    reach = window // 2
    padded = np.pad(values, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="edge")
    height, width = values.shape[1:3]
    total = np.zeros_like(values)
    for y in range(window):
        for x in range(window):
            total += padded[:, y : y + height, x : x + width]
    return cast(Floats, total / np.float32(window**2))


def k_center(points: Floats, count: int, *, seed: int = 0) -> NDArray[np.intp]:
    """Return the indices of ``count`` points that cover all N x C points, greedily.

    The first is the one nearest to the mean, each further one the point that is farthest from all
    chosen ones (Sener and Savarese 2018); more than `PROJECTED` channels are projected at random.
    """
    if count >= len(points):
        return np.arange(len(points))
    if points.shape[1] > PROJECTED:
        rng = np.random.default_rng(seed)
        matrix = rng.standard_normal((points.shape[1], PROJECTED)).astype(np.float32)
        points = points @ (matrix / np.float32(math.sqrt(PROJECTED)))
    norms = (points**2).sum(axis=1)
    mean = points.mean(axis=0)
    newest = int((norms - 2 * points @ mean).argmin())
    nearest = np.full(len(points), np.inf, np.float32)
    chosen = []
    for _ in range(count):
        chosen.append(newest)
        distance = norms - 2 * (points @ points[newest]) + norms[newest]
        np.minimum(nearest, distance, out=nearest)
        nearest[newest] = -1.0  # rounding must not choose a point twice
        newest = int(nearest.argmax())
    return np.array(chosen, np.intp)


class Reservoir:
    """A uniform random sample of at most ``size`` of all rows that were added."""

    def __init__(self, size: int, *, seed: int = 0) -> None:
        self._size = size
        self._rng = np.random.default_rng(seed)
        self._keys = np.empty(0)
        self.rows: Floats = np.empty((0, 0), np.float32)

    def add(self, rows: Floats) -> None:
        """Consider N x C more rows."""
        keys = np.concatenate([self._keys, self._rng.random(len(rows))])
        rows = np.concatenate([self.rows.reshape(-1, rows.shape[1]), rows])
        if len(keys) > self._size:
            kept = np.sort(np.argpartition(keys, self._size)[: self._size])
            keys, rows = keys[kept], rows[kept]
        self._keys, self.rows = keys, rows


def border_cells(height: int, width: int, rows: slice = slice(None)) -> NDArray[np.intp]:
    """Return the cell of each pixel, H x W in [0, BANDS**2): its bands from both borders.

    Of an image of ``height`` x ``width`` pixels, all rows or a range of them.
    """

    def bands(length: int, part: slice) -> NDArray[np.intp]:
        places = np.arange(*part.indices(length))
        near = np.minimum(places, length - 1 - places)
        return cast(NDArray[np.intp], np.minimum(near // BAND, BANDS - 1))

    return bands(height, rows)[:, None] * BANDS + bands(width, slice(None))


@dataclass(frozen=True)
class BorderStatistics:
    """What distances good images have near their borders and corners, and inside; they add up.

    Surfaces end there, each in its own way, and mirrored pixels begin: without this nearly every
    highest distance of a good image is at its border.

    Attributes:
        sums: 3 x BANDS**2: pixels, sum and sum of squares of their distances.
        highest: BANDS**2: the highest distance.
    """

    sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros((3, BANDS**2)))
    highest: NDArray[np.float64] = field(default_factory=lambda: np.full(BANDS**2, -np.inf))

    @classmethod
    def of(cls, heat: Floats) -> Self:
        """Return those of one H x W heat map."""
        cells, values = border_cells(*heat.shape).ravel(), heat.ravel().astype(np.float64)
        powers = (None, values, values**2)
        sums = np.stack([np.bincount(cells, power, BANDS**2) for power in powers], dtype=np.float64)
        highest = np.full(BANDS**2, -np.inf)
        np.maximum.at(highest, cells, values)
        return cls(sums, highest)

    def __add__(self, other: Self) -> Self:
        return type(self)(self.sums + other.sums, np.maximum(self.highest, other.highest))

    def expected(self) -> Floats:
        """Return 2 x BANDS**2: mean and deviation, drawn a little to those of all pixels."""
        overall = self.sums.sum(axis=1, keepdims=True)
        pixels, total, squares = self.sums + PRIOR * overall / overall[0]
        variance = squares / pixels - (total / pixels) ** 2
        deviation = np.sqrt(np.maximum(variance, 1e-12))
        return np.stack([total / pixels, deviation]).astype(np.float32)


@dataclass(frozen=True)
class PatchCore:
    """A memory bank of good patches.

    Attributes:
        bank: M x C standardised patches.
        mean: C, of the channels.
        deviation: C, of the channels.
        window: neighbours that a patch is averaged over.
        smoothing: standard deviation in pixels of the blur over the distances.
        expected: 2 x BANDS**2: mean and deviation of smoothed distances of good images by cell.
        scale: the excess that scores 0.5.
    """

    bank: Floats
    mean: Floats
    deviation: Floats
    window: int
    smoothing: float
    expected: Floats = field(default_factory=lambda: np.array([[0], [1]]).repeat(BANDS**2, 1))
    scale: float = 1.0

    @classmethod
    def fit(
        cls,
        batches: Iterable[Sequence[Floats]],
        *,
        bank_size: int,
        candidates: int,
        window: int,
        smoothing: float,
        seed: int = 0,
    ) -> Self:
        """Fill the bank from feature maps of good images, never holding more than ``candidates``.

        Raises:
            FlawsmithError: if there is no batch.
        """
        reservoir = Reservoir(candidates, seed=seed)
        for maps in batches:
            patches = patch_features(maps, window)
            reservoir.add(patches.reshape(-1, patches.shape[-1]))
        rows = reservoir.rows
        if not len(rows):
            raise FlawsmithError(
                "there is no good training image; patchcore learns from good images alone: "
                "import some, or train a network that learns from defects"
            )
        mean, deviation = rows.mean(axis=0), rows.std(axis=0) + np.float32(1e-6)
        rows = (rows - mean) / deviation
        bank = rows[k_center(rows, bank_size, seed=seed)]
        return cls(bank, mean, deviation, window, smoothing)

    def distances(self, maps: Sequence[Floats]) -> Floats:
        """Return N x h x w distances to the nearest patch of the bank, per square-root channel."""
        patches = patch_features(maps, self.window)
        rows = ((patches - self.mean) / self.deviation).reshape(-1, patches.shape[-1])
        norms = (self.bank**2).sum(axis=1)
        nearest = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), BLOCK_ROWS):
            block = rows[start : start + BLOCK_ROWS]
            least = (norms - 2 * block @ self.bank.T).min(axis=1) + (block**2).sum(axis=1)
            nearest[start : start + BLOCK_ROWS] = np.sqrt(np.maximum(least, 0) / rows.shape[1])
        return nearest.reshape(patches.shape[:3])

    def heat_map(
        self, image: ImageArray, features: Features, *, tile: int, overlap: int, batch_size: int
    ) -> Floats:
        """Return H x W smoothed distances of an H x W x C image of any size, by tiles."""

        def heat(tiles: ImageArray) -> Floats:
            found = self.distances(features(tiles))
            return np.stack([cv2.resize(plane, (tile, tile))[None] for plane in found])

        distance = predict_tiled(with_margin(image), heat, tile, overlap, batch_size)[0]
        distance = distance[MARGIN:-MARGIN, MARGIN:-MARGIN]
        return cast(Floats, cv2.GaussianBlur(distance, (0, 0), self.smoothing))

    def excess(self, heat: Floats) -> Floats:
        """Return H x W standard deviations above what good images have there, at least 0."""
        mean, deviation = self.expected[:, border_cells(*heat.shape)]
        return cast(Floats, np.maximum((heat - mean) / deviation, 0, dtype=np.float32))

    def scores(self, heat: Floats) -> Floats:
        """Return 2 x H x W scores in [0, 1], good and anomalous: 1 - 2^(-excess / scale)."""
        anomalous = 1 - np.exp2(-self.excess(heat) / np.float32(self.scale))
        return np.stack([1 - anomalous, anomalous]).astype(np.float32)

    def calibrated(self, good_parts: Sequence[BorderStatistics], overkill: float) -> Self:
        """Return the same with the scale that fails about a share ``overkill`` of good parts.

        The k-th smallest of the parts' n highest excesses, k = ceil((n + 1) (1 - overkill)): the
        next good part exceeds it with about this probability (split conformal prediction, not
        exact here: what to expect of a part comes from the other parts, for the next one from one
        more). With fewer than `parts_needed` it is the highest.

        Args:
            good_parts: of the heat maps of each good part that was not learned from.
            overkill: share in (0, 1).
        """
        every = sum(good_parts, BorderStatistics())
        excesses = []
        for part in good_parts:
            others = every.sums - part.sums if len(good_parts) > 1 else every.sums
            mean, deviation = BorderStatistics(others).expected()
            excesses.append(float(((part.highest - mean) / deviation).max()))
        place = math.ceil((len(excesses) + 1) * (1 - overkill))
        scale = sorted(excesses)[min(place, len(excesses)) - 1]
        # A little more, so that the one part of a single one passes whatever float32 rounds to.
        return replace(self, expected=every.expected(), scale=max(scale * 1.0001, 1e-6))

    def save(self, path: Path) -> None:
        """Write everything as one NumPy archive."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **vars(self))
        write_bytes(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            FlawsmithError: if the file is damaged or no memory bank.
        """
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in ARRAYS}
                window = int(archive["window"])
                smoothing, scale = float(archive["smoothing"]), float(archive["scale"])
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise FlawsmithError(
                f"{path} is no memory bank of patchcore ({error}); train the model again"
            ) from None
        return cls(**arrays, window=window, smoothing=smoothing, scale=scale)
