"""Windows joined to an image, band by band: where they overlap, their scores are averaged.

The weights fall linearly to a window's border, as in `tiling.predict_tiled`: where tile and overlap
are those of a run, the joined map is the one on which it was tested and its thresholds were chosen.
Pixels under one window alone keep the class and confidence that the network gives; only the others
are averaged here.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flawsmith.data.images import LabelArray
from flawsmith.inspection.network import Answer
from flawsmith.inspection.tiling import falling_weights

Floats = NDArray[np.float32]

ROWS_AT_ONCE = 8
"""Of a joined image; few enough for the cache, many enough for NumPy."""


@dataclass(frozen=True)
class Decided:
    """Rows of an image on which nothing that follows has an influence.

    Attributes:
        index: rows x width: 0 = no defect, k = k-th defect.
        confidence: rows x width: see `network.Answer`.
    """

    index: LabelArray
    confidence: Floats


class Columns:
    """Where the windows of a band stand, and what each weighs in each of its columns.

    Attributes:
        starts: first column of each window.
        side: width of the windows in pixels; the last may reach over the image's border.
        width: of the image.
        weights: of each window by its columns inside the image; all over one column sum to 1.
        seams: columns of the image under more than one window, from and to.
    """

    def __init__(self, starts: list[int], side: int, width: int, overlap: int) -> None:
        self.starts, self.side, self.width = starts, side, width
        falling = falling_weights(side, overlap)
        total, count = np.zeros(starts[-1] + side), np.zeros(starts[-1] + side, int)
        for start in starts:
            total[start : start + side] += falling
            count[start : start + side] += 1
        self.weights: list[Floats] = [
            (falling / total[start : start + side])[: width - start].astype(np.float32)
            for start in starts
        ]
        shared = np.concatenate([[False], count[:width] > 1, [False]])
        changes = np.flatnonzero(shared[1:] != shared[:-1]).tolist()
        self.seams: list[tuple[int, int]] = list(zip(changes[::2], changes[1::2], strict=True))


class Band:
    """Windows side by side; threads write different ones at once.

    Attributes:
        start: first row in the image.
        waiting: requests whose answers are not there yet.
        stop: row of the image where the next band begins, or the image's height; None: not known.
    """

    def __init__(self, start: int, height: int, columns: Columns, *, waiting: int) -> None:
        self.start, self.height, self.columns = start, height, columns
        self.waiting = waiting
        self.stop: int | None = None
        shape = (height, columns.width)
        self.index: LabelArray = np.empty(shape, np.uint8)
        self.confidence: Floats = np.empty(shape, np.float32)
        self._scores: list[Floats] = [np.empty((0, 0, 0), np.float32)] * len(columns.starts)

    def put(self, window: int, answer: Answer, place: int) -> None:
        """Keep what the network says of one window.

        Args:
            window: from left to right.
            answer: of several windows; may be overwritten afterwards.
            place: of this window in it.
        """
        start, width = self.columns.starts[window], len(self.columns.weights[window])
        inside = np.s_[: self.height, :width]
        # Columns that a neighbour writes too are replaced when the band is joined.
        self.index[:, start : start + width] = answer.index[place][inside]
        self.confidence[:, start : start + width] = answer.confidence[place][inside]
        self._scores[window] = answer.scores[place][:, *inside].copy()

    def blend(self, rows: slice, low: int, high: int) -> Floats:
        """Return D x rows x (high - low) scores, averaged over the windows of this band.

        Args:
            rows: of the band.
            low: first column of the image.
            high: column after the last.
        """
        count = rows.stop - rows.start
        blended = np.zeros((len(self._scores[0]), count, high - low), np.float32)
        of_windows = zip(self.columns.starts, self.columns.weights, self._scores, strict=True)
        for start, weights, scores in of_windows:
            first, last = max(start, low), min(start + len(weights), high)
            if first < last:
                own = slice(first - start, last - start)
                blended[:, :, first - low : last - low] += scores[:, rows, own] * weights[own]
        return blended


class BandJoiner:
    """Takes the bands of an image from top to bottom and gives the rows that are final.

    Args:
        columns: of every band.
        rows: height of the windows.
        overlap: pixels over which weights fall.
        limits: D pixel thresholds.
    """

    def __init__(self, columns: Columns, rows: int, overlap: int, limits: Floats) -> None:
        self._columns, self._limits = columns, limits
        self._falling = falling_weights(rows, overlap).astype(np.float32)
        # Weighted scores and weights of the rows that the next band begins with.
        self._sums = np.empty((len(limits), 0, columns.width), np.float32)
        self._weights = np.empty(0, np.float32)

    def join(self, band: Band) -> Decided:
        """Take a band with all its answers; return its rows above the one where the next begins."""
        if band.stop is None:
            raise ValueError("the band is not closed")
        final = band.stop - band.start
        taken = self._sums.shape[1]
        alone = slice(taken, max(taken, final))
        for low, high in self._columns.seams:
            self._decide(band, alone, slice(low, high), band.blend(alone, low, high))
        for rows in _chunks(0, min(taken, final)):
            weights = self._falling[rows, None]
            sums = self._sums[:, rows] + self._blend(band, rows) * weights
            sums /= self._weights[rows, None] + weights
            self._decide(band, rows, slice(0, self._columns.width), sums)
        self._keep(band, final)
        return Decided(band.index[:final], band.confidence[:final])

    def _blend(self, band: Band, rows: slice) -> Floats:
        return band.blend(rows, 0, self._columns.width)

    def _keep(self, band: Band, final: int) -> None:
        """Keep the rows from ``final`` on, to which the next band adds its own."""
        above, weights_above = self._sums[:, final:], self._weights[final:]
        count = band.height - final
        self._weights = self._falling[final : band.height].copy()
        self._sums = np.empty((len(self._limits), count, self._columns.width), np.float32)
        for rows in _chunks(final, band.height):
            kept = slice(rows.start - final, rows.stop - final)
            self._sums[:, kept] = self._blend(band, rows) * self._falling[rows, None]
        self._sums[:, : above.shape[1]] += above
        self._weights[: len(weights_above)] += weights_above

    def _decide(self, band: Band, rows: slice, columns: slice, scores: Floats) -> None:
        """Write class and confidence of averaged scores into a band, as the graph does."""
        best = scores[0] / self._limits[0]
        winner = np.ones(best.shape, np.uint8)
        for place in range(1, len(scores)):
            ratio = scores[place] / self._limits[place]
            np.copyto(winner, place + 1, where=ratio > best)
            np.maximum(best, ratio, out=best)
        band.confidence[rows, columns] = best * self._limits[winner - 1]
        winner[best < 1.0] = 0
        band.index[rows, columns] = winner


def _chunks(first: int, last: int) -> Iterator[slice]:
    """Yield rows ``first`` to ``last`` in pieces that the processor's cache holds."""
    for start in range(first, last, ROWS_AT_ONCE):
        yield slice(start, min(start + ROWS_AT_ONCE, last))
