"""Heat maps of images that come in bands of rows, in constant memory; a line scan never ends.

The result is that of `PatchCore.heat_map` and `PatchCore.excess` on the whole image, whatever the
bands are: the same mirrored margin, the same grid of tiles, the same blending. Rows come out as
soon as nothing that may follow can change them, about a tile's height late.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import cast

import cv2
import numpy as np

from flawsmith.data.images import ImageArray
from flawsmith.errors import FlawsmithError
from flawsmith.inspection.patchcore import MARGIN, Floats, border_cells
from flawsmith.inspection.tiling import falling_weights, predict_tiled

TileHeat = Callable[[ImageArray], Floats]
"""N tiles x tile x tile x C pixels to N x 1 x tile x tile distances."""

TILES_AT_ONCE = 32
"""Of a strip; whatever computes them spreads these over its threads."""


class HeatStream:
    """Turns rows of an image into rows of its heat map.

    Args:
        tile_heat: computes the distances of tiles.
        tile: side of a tile in pixels.
        overlap: pixels that neighbouring tiles share at least.
        smoothing: standard deviation in pixels of the blur over the distances.
        expected: 2 x BANDS**2: mean and deviation of good images by cell.
    """

    def __init__(
        self, tile_heat: TileHeat, *, tile: int, overlap: int, smoothing: float, expected: Floats
    ) -> None:
        self._tile_heat, self._tile, self._overlap = tile_heat, tile, overlap
        self._margins, self._strips = _Margins(), _Strips(tile, overlap)
        self._blend = _Blend(tile, overlap)
        self._excess = _Excess(smoothing, expected)
        self._height = self._width = 0

    def add(self, rows: ImageArray) -> Floats:
        """Take n x W x C more rows; return the m x W rows of the heat map that are final by now."""
        if not rows.size or (self._width and rows.shape[1] != self._width):
            raise FlawsmithError(
                f"rows of the shape {rows.shape} follow rows of {self._width} pixels; expected "
                "n x width x channels of one width, and at least one pixel"
            )
        self._height, self._width = self._height + len(rows), rows.shape[1]
        strips = self._strips.add(self._margins.add(rows))
        found = [self._excess.add(rows) for rows in self._distances(strips)]
        return np.concatenate([np.empty((0, self._width), np.float32), *found])

    def finish(self) -> Floats:
        """Return the rows that were held back.

        Raises:
            FlawsmithError: if there was no row at all.
        """
        if not self._height:
            raise FlawsmithError("an image without a row cannot be inspected")
        strips = self._strips.add(self._margins.finish())
        for rows in self._distances(itertools.chain(strips, self._strips.last())):
            self._excess.hold(rows)
        self._excess.hold(self._blend.finish())
        return self._excess.finish(self._height)

    def _distances(self, strips: Iterator[tuple[int, ImageArray]]) -> Iterator[Floats]:
        for start, strip in strips:
            heat = predict_tiled(strip, self._tile_heat, self._tile, self._overlap, TILES_AT_ONCE)
            yield self._blend.add(start, heat[0][:, MARGIN : MARGIN + self._width])


class _Margins:
    """Mirrors `MARGIN` pixels around all rows, as `with_margin` does."""

    def __init__(self) -> None:
        self._held: list[ImageArray] = []
        self._begun = False

    def add(self, rows: ImageArray) -> ImageArray:
        """Return what is ready: rows that the margin below mirrors are held back."""
        beside = np.pad(rows, [(0, 0), (MARGIN, MARGIN), (0, 0)], mode="reflect")
        held = np.concatenate([*self._held, beside])
        ready = max(len(held) - MARGIN - 1, 0)
        above = held[MARGIN:0:-1] if ready and not self._begun else held[:0]
        self._begun = self._begun or ready > 0
        self._held = [cast(ImageArray, held[ready:])]
        return cast(ImageArray, np.concatenate([above, held[:ready]]))

    def finish(self) -> ImageArray:
        """Return the rows that were held back, and the margin below."""
        held = self._held[0]
        padding = (0 if self._begun else MARGIN, MARGIN)
        return cast(ImageArray, np.pad(held, [padding, (0, 0), (0, 0)], mode="reflect"))


class _Strips:
    """Cuts rows into the strips, one tile high, that `tile_grid` places on the whole image."""

    def __init__(self, tile: int, overlap: int) -> None:
        self._tile, self._step = tile, tile - overlap
        self._start = 0
        self._held: list[ImageArray] = []
        self._first = self._end = 0  # of the rows that are held

    def add(self, rows: ImageArray) -> Iterator[tuple[int, ImageArray]]:
        """Yield (start, strip) of those that are surely not the last, which is shifted inside."""
        self._held.append(rows)
        self._end += len(rows)
        while self._start + self._tile < self._end:
            # The last strip may begin right after this one, so that its rows are kept.
            held = np.concatenate(self._held)[self._start - self._first :]
            self._held, self._first = [cast(ImageArray, held)], self._start
            yield self._start, cast(ImageArray, held[: self._tile])
            self._start += self._step

    def last(self) -> Iterator[tuple[int, ImageArray]]:
        """Yield the last one; an image smaller than a tile is padded by reflection."""
        held = np.concatenate(self._held)
        missing = max(self._tile - len(held), 0)
        padded = np.pad(held, [(0, missing), (0, 0), (0, 0)], mode="reflect")
        start = self._first + len(padded) - self._tile
        yield start, cast(ImageArray, padded[-self._tile :])


class _Blend:
    """Averages strips where they overlap, with weights that fall to a strip's border."""

    def __init__(self, tile: int, overlap: int) -> None:
        self._weights = falling_weights(tile, overlap)
        self._first = 0
        self._sums = np.empty((0, 0), np.float32)
        self._totals = np.empty(0)

    def add(self, start: int, strip: Floats) -> Floats:
        """Take the strip at a row; return the rows above it, which no later strip reaches."""
        self._sums = self._sums.reshape(-1, strip.shape[1])
        final = self._take(start - self._first)
        self._first = start
        missing = len(strip) - len(self._sums)
        self._sums = np.pad(self._sums, [(0, missing), (0, 0)])
        self._totals = np.pad(self._totals, (0, missing))
        self._sums += strip * self._weights[:, None].astype(np.float32)
        self._totals += self._weights
        return final

    def finish(self) -> Floats:
        """Return the rows of the last strip."""
        return self._take(len(self._sums))

    def _take(self, count: int) -> Floats:
        totals = self._totals[:count, None].astype(np.float32)
        final = self._sums[:count] / totals
        self._sums, self._totals = self._sums[count:], self._totals[count:]
        return final


class _Excess:
    """Blurs distances and relates them to what good images have at the same place."""

    def __init__(self, smoothing: float, expected: Floats) -> None:
        self._smoothing, self._expected = smoothing, expected
        # OpenCV cuts the kernel of a float image at four standard deviations.
        self._reach = math.ceil(4 * smoothing) + 1
        self._held: list[Floats] = []
        self._received = -MARGIN  # rows of the image; the margin above comes first
        self._first = -MARGIN  # of the rows that are held
        self._done = 0

    def add(self, rows: Floats) -> Floats:
        """Return the final ones of the image's rows; the lowest might be margin."""
        self.hold(rows)
        ready = self._received - MARGIN - max(self._reach, MARGIN)
        return self._emit(max(ready, self._done), None)

    def finish(self, height: int) -> Floats:
        """Return all that are left of an image of this height."""
        return self._emit(height, height)

    def hold(self, rows: Floats) -> None:
        """Take rows and return none."""
        self._held.append(rows)
        self._received += len(rows)

    def _emit(self, end: int, height: int | None) -> Floats:
        begin = self._done
        if end <= begin:
            return self._held[0][:0]
        above, below = max(begin - self._reach, 0), end + self._reach
        below = below if height is None else min(below, height)
        held = np.concatenate(self._held)
        context = held[above - self._first : below - self._first]
        smooth = cv2.GaussianBlur(context, (0, 0), self._smoothing)[begin - above :][: end - begin]
        # With rows to come, all of these are far from the lower border.
        cells = border_cells(height or end + MARGIN, smooth.shape[1], slice(begin, end))
        mean, deviation = self._expected[:, cells]
        excess: Floats = np.maximum((smooth - mean) / deviation, 0, dtype=np.float32)
        kept = max(end - self._reach, 0)
        self._held, self._first = [held[kept - self._first :]], kept
        self._done = end
        return excess
