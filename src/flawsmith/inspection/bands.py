"""Windows joined to an image, band by band: where they overlap, their scores are averaged.

The weights fall linearly to a window's border, as in `tiling.predict_tiled`: the joined map is the
one on which a run was tested and its thresholds were chosen. Pixels under one window, nearly all,
keep the class and confidence that the network gives; only the others are averaged here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flawsmith.data.images import LabelArray
from flawsmith.inspection.network import Answer
from flawsmith.inspection.tiling import falling_weights

Floats = NDArray[np.float32]


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
        shared: columns of the image under more than one window.
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
        self.shared = np.flatnonzero(count[:width] > 1)


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

    def scores(self, rows: slice, columns: NDArray[np.intp]) -> Floats:
        """Return D x rows x columns scores, averaged over the windows of this band.

        Args:
            rows: of the band.
            columns: of the image, rising.
        """
        height = len(range(*rows.indices(self.height)))
        blended = np.zeros((len(self._scores[0]), height, len(columns)), np.float32)
        of_windows = zip(self.columns.starts, self.columns.weights, self._scores, strict=True)
        for start, weights, scores in of_windows:
            low, high = np.searchsorted(columns, (start, start + len(weights)))
            if low < high:
                own = columns[low:high] - start
                blended[:, :, low:high] += scores[:, rows][:, :, own] * weights[own]
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
        self._all = np.arange(columns.width)
        # Weighted scores and weights of the rows that the next band begins with.
        self._sums = np.empty((len(limits), 0, columns.width), np.float32)
        self._weights = np.empty(0, np.float32)

    def join(self, band: Band) -> Decided:
        """Take a band with all its answers; return its rows above the one where the next begins."""
        if band.stop is None:
            raise ValueError("the band is not closed")
        final = band.stop - band.start
        taken = self._sums.shape[1]
        self._decide(band, slice(taken, final), self._columns.shared,
                     band.scores(slice(taken, final), self._columns.shared))  # fmt: skip
        shared = slice(0, min(taken, final))
        self._add(band, shared)
        blended = self._sums[:, shared] / self._weights[shared, None]
        self._decide(band, shared, self._all, blended)
        self._keep(band, final)
        return Decided(band.index[:final], band.confidence[:final])

    def _add(self, band: Band, rows: slice) -> None:
        """Add a band's scores to those of the bands above it."""
        weights = self._falling[rows]
        self._sums[:, rows] += band.scores(rows, self._all) * weights[:, None]
        self._weights[rows] += weights

    def _keep(self, band: Band, final: int) -> None:
        """Keep the rows from ``final`` on, to which the next band adds its own."""
        above = self._sums[:, final:], self._weights[final:]
        count = band.height - final
        self._sums = np.zeros((len(self._limits), count, self._columns.width), np.float32)
        self._weights = np.zeros(count, np.float32)
        self._sums[:, : above[0].shape[1]] = above[0]
        self._weights[: len(above[1])] = above[1]
        weights = self._falling[final : band.height]
        self._sums += band.scores(slice(final, band.height), self._all) * weights[:, None]
        self._weights += weights

    def _decide(self, band: Band, rows: slice, columns: NDArray[np.intp], scores: Floats) -> None:
        """Write class and confidence of averaged scores into a band, as the graph does."""
        limits = self._limits
        ratios = scores / limits[:, None, None]
        winner = ratios.argmax(axis=0)
        ratio = np.take_along_axis(ratios, winner[None], axis=0)[0]
        place = (rows, slice(None)) if len(columns) == self._columns.width else (rows, columns)
        band.index[place] = np.where(ratio >= 1.0, winner + 1, 0)
        band.confidence[place] = ratio * limits[winner]
