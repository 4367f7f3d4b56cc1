"""The moving grid of windows on images of any size, also on those without an end."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np

from flawsmith.data.images import ImageArray
from flawsmith.data.schema import Schema
from flawsmith.errors import FlawsmithError


@dataclass(frozen=True)
class Grid:
    """Sizes of the windows.

    Attributes:
        tile: smallest side of a window.
        overlap: pixels that neighbours share at least.
        window: largest rows and columns.
        multiple: sides are multiples of this.
    """

    tile: int
    overlap: int
    window: tuple[int, int]
    multiple: int

    def columns(self, width: int) -> tuple[int, list[int]]:
        """Return the width of the windows and their starts: as few as possible, spread evenly."""
        largest, shared = self.window[1], self.overlap
        count = max(-(-(width - shared) // (largest - shared)), 1)
        even = -(-(width + (count - 1) * shared) // count)
        side = min(self._rounded(even), largest)
        last = max(width - side, 0)
        return side, [*range(0, last, side - shared), last]

    def rows(self, height: int | None) -> int:
        """Return the height of the windows of an image; None: higher than the largest window.

        It depends on nothing that the end of an endless image would tell.
        """
        if height is None or height > self.window[0]:
            return self.window[0]
        return self._rounded(height)

    def _rounded(self, side: int) -> int:
        return max(-(-side // self.multiple) * self.multiple, self.tile)


class RowBuffer:
    """Rows of an image that come in blocks; only those that are still needed are kept."""

    def __init__(self, blocks: Iterator[ImageArray], schema: Schema) -> None:
        self._blocks, self._schema = blocks, schema
        self._held: deque[tuple[int, ImageArray]] = deque()
        self.received = 0
        self.width = 0

    def reach(self, rows: int) -> bool:
        """Take blocks until there are ``rows`` rows or the image ends; tell which.

        Raises:
            FlawsmithError: for a block with the wrong mode, depth or width.
        """
        while self.received < rows:
            block = next(self._blocks, None)
            if block is None:
                return False
            block = as_camera_gives(block, self._schema)
            if self.width not in (0, block.shape[1]):
                raise FlawsmithError(
                    f"rows of {block.shape[1]} pixels follow rows of {self.width}; the rows of an "
                    "image have one width"
                )
            self.width = block.shape[1]
            if len(block):
                self._held.append((self.received, block))
                self.received += len(block)
        return True

    def rows(self, start: int, stop: int) -> ImageArray:
        """Return rows ``start`` to ``stop``, and forget all before ``start``."""
        while self._held[0][0] + len(self._held[0][1]) <= start:
            self._held.popleft()
        pieces = [
            block[max(start - first, 0) : stop - first]
            for first, block in self._held
            if first < stop
        ]
        return pieces[0] if len(pieces) == 1 else cast(ImageArray, np.concatenate(pieces))


def as_camera_gives(block: ImageArray, schema: Schema) -> ImageArray:
    """Return rows as H x W x C, in the mode and depth that the model was exported for.

    Raises:
        FlawsmithError: if they have another mode or depth; nothing is converted silently.
    """
    dtype = np.uint8 if schema.bit_depth == 8 else np.uint16
    wanted = "grey" if schema.channels == 1 else "RGB"
    if block.ndim not in (2, 3) or (block.ndim == 3 and block.shape[2] not in (1, 3)):
        raise FlawsmithError(
            f"pixels of the shape {block.shape}; expected rows x columns, {wanted}"
        )
    channels = 1 if block.ndim == 2 else block.shape[2]
    if block.dtype != dtype or channels != schema.channels:
        given = "grey" if channels == 1 else "RGB"
        raise FlawsmithError(
            f"a {given} image of {block.dtype}; this model takes {wanted} of {dtype.__name__} "
            f"({schema.bit_depth} bits, black {schema.black_level}, white {schema.white_level}): "
            "set the camera to that, or train and export a model for these images"
        )
    highest = 2**schema.bit_depth - 1
    if highest < np.iinfo(dtype).max and (most := int(block.max(initial=0))) > highest:
        raise FlawsmithError(
            f"a pixel of {most}, but images of {schema.bit_depth} bits end at {highest}; a camera "
            "that puts its bits at the upper end has to be set to the lower one"
        )
    return block.reshape(*block.shape[:2], schema.channels)


def row_starts(buffer: RowBuffer, side: int, overlap: int) -> Iterator[int]:
    """Yield the first row of each band of windows, as `tiling.tile_grid` places them.

    The last one is shifted inside; which one that is shows only when the image ends.
    """
    start = 0
    while True:
        yield start
        following = start + side - overlap
        if not buffer.reach(following + side):
            following = buffer.received - side
        if following <= start:
            return
        start = following


def padded(pixels: ImageArray, rows: int, columns: int) -> ImageArray:
    """Return H x W x C pixels, mirrored below and to the right where they are too few."""
    below, right = max(rows - pixels.shape[0], 0), max(columns - pixels.shape[1], 0)
    if not below and not right:
        return pixels
    return cast(ImageArray, np.pad(pixels, [(0, below), (0, right), (0, 0)], mode="reflect"))
