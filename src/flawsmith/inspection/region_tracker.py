"""Regions of an endless image that arrives band by band, in memory bounded by what is open."""

import numpy as np

from flawsmith.data.images import LabelArray
from flawsmith.data.schema import Schema
from flawsmith.errors import FlawsmithError
from flawsmith.inspection.region_runs import (
    Numbers,
    Piece,
    Runs,
    Scores,
    collect,
    connected,
    find_runs,
    touching,
)
from flawsmith.inspection.regions import Region, measured


class RegionTracker:
    """Finds the regions of an index map that comes in bands of rows, top to bottom.

    However the rows are cut, the regions are those that `find_regions` finds on the whole map,
    figure for figure. A region is open while it reaches the last row that was seen; of it are kept
    its sums, the corners of its hull and, up to `MAX_RUNS` runs, its pixels.
    """

    def __init__(self, schema: Schema, *, relative_uncertainty: float | None = None) -> None:
        """Begin at row 0.

        Args:
            schema: names of the defects and size of a pixel.
            relative_uncertainty: of the size of a pixel, k = 2, as in `uncertainty_mm`.
        """
        self.schema = schema
        self.relative_uncertainty = relative_uncertainty
        self._begin()

    def _begin(self) -> None:
        self._rows = 0
        self._width: int | None = None
        self._open: dict[int, Piece] = {}
        # Runs of the last row, and which open piece each belongs to.
        self._border = Runs.none()
        self._owners: Numbers = np.zeros(0, np.int64)

    @property
    def rows(self) -> int:
        """Rows seen so far."""
        return self._rows

    def add(self, index_rows: LabelArray, confidence_rows: Scores) -> list[Region]:
        """Return the regions that ended before the last of these rows, highest score first.

        Args:
            index_rows: rows x W: 0 = no defect, k = k-th defect; 255 is no defect.
            confidence_rows: rows x W in [0, 1]: score of the class in ``index_rows``.

        Raises:
            FlawsmithError: if the rows do not fit those before, each other or the schema; nothing
                of them is counted then.
        """
        if index_rows.ndim != 2 or index_rows.shape != confidence_rows.shape:
            raise FlawsmithError(
                f"{index_rows.shape} classes with {confidence_rows.shape} confidences; expected "
                "the same rows and columns"
            )
        rows, width = index_rows.shape
        if self._width not in (None, width):
            raise FlawsmithError(
                f"rows of {width} pixels after rows of {self._width}; one image has one width: "
                "begin a new image"
            )
        runs = find_runs(index_rows, confidence_rows, self.schema.num_defects, self._rows)
        self._width = width
        if not rows:
            return []
        self._rows += rows
        return self._join(runs)

    def finish(self) -> list[Region]:
        """Return the regions that are still open, and begin a new image at row 0."""
        pieces = list(self._open.values())
        self._begin()
        return measured(pieces, self.schema, self.relative_uncertainty)

    def _join(self, runs: Runs) -> list[Region]:
        """Join the runs of a band with what is open, and return what is closed by it."""
        known = len(self._border)
        together = runs.after(self._border)
        first, second = touching(together)
        # Runs of one open piece belong together, wherever they met.
        _, leaders, members = np.unique(self._owners, return_index=True, return_inverse=True)
        first = np.concatenate([first, np.arange(known)])
        second = np.concatenate([second, leaders[members]])
        numbers = connected(len(together), first, second)

        pieces = collect(runs, numbers[known:])
        for owner, number in zip(self._owners[leaders], numbers[leaders], strict=True):
            piece = self._open[int(owner)]
            if int(number) in pieces:
                pieces[int(number)].join(piece)
            else:
                pieces[int(number)] = piece

        last = together.rows == self._rows - 1
        self._border, self._owners = together.chosen(last), numbers[last]
        self._open = {number: pieces.pop(number) for number in np.unique(self._owners).tolist()}
        return measured(pieces.values(), self.schema, self.relative_uncertainty)
