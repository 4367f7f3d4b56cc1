"""Whole images through a network of fixed input size: overlapping tiles, blended."""

from collections.abc import Callable
from typing import cast

import numpy as np
from numpy.typing import NDArray

from flawsmith.data.images import ImageArray
from flawsmith.errors import FlawsmithError

PredictBatch = Callable[[ImageArray], NDArray[np.float32]]
"""N x tile x tile (x 3) pixels to N x K x tile x tile scores."""


def tile_grid(height: int, width: int, tile: int, overlap: int) -> list[tuple[int, int]]:
    """Return the (y, x) of tiles that cover the whole image, row by row.

    Neighbours share ``overlap`` pixels; the last tile of a row or column is shifted inside and
    shares more. An image smaller than a tile has one, at 0.

    Raises:
        FlawsmithError: unless 0 <= overlap < tile.
    """
    rows, columns = _starts(height, tile, overlap), _starts(width, tile, overlap)
    return [(y, x) for y in rows for x in columns]


def _starts(length: int, tile: int, overlap: int) -> list[int]:
    if not 0 <= overlap < tile:
        raise FlawsmithError(
            f"an overlap of {overlap} px with tiles of {tile} px; expected 0 <= overlap < tile"
        )
    last = max(length - tile, 0)
    return [*range(0, last, tile - overlap), last]


def predict_tiled(
    image: ImageArray,
    predict_batch: PredictBatch,
    tile: int,
    overlap: int,
    batch_size: int,
) -> NDArray[np.float32]:
    """Return K x H x W scores of an image of any size, from tiles that overlap.

    Where tiles overlap, their scores are averaged with weights that fall linearly to the tile's
    border, so that no seam remains. An image smaller than a tile is padded by reflection.

    Args:
        image: H x W or H x W x 3.
        predict_batch: scores of at most ``batch_size`` tiles; the last batch may be smaller.
        tile: side of a tile in pixels.
        overlap: pixels that neighbours share at least.
        batch_size: tiles scored at once.

    Raises:
        FlawsmithError: for an impossible overlap or batch size, or an image without pixels.
        ValueError: if ``predict_batch`` returns another shape than N x K x tile x tile.
    """
    if batch_size < 1:
        raise FlawsmithError(f"a batch of {batch_size} tiles; expected at least 1")
    height, width = image.shape[:2]
    if not height or not width:
        raise FlawsmithError(f"an image of {width} x {height} pixels cannot be inspected")
    padding = [(0, max(tile - height, 0)), (0, max(tile - width, 0))]
    padded = np.pad(image, padding + [(0, 0)] * (image.ndim - 2), mode="reflect")
    rows, columns = padded.shape[:2]
    weights_y, weights_x = _weights(rows, tile, overlap), _weights(columns, tile, overlap)
    grid = tile_grid(rows, columns, tile, overlap)
    scores = np.empty((0, 0, 0), np.float32)  # K is known after the first batch
    for start in range(0, len(grid), batch_size):
        places = grid[start : start + batch_size]
        tiles = np.stack([padded[y : y + tile, x : x + tile] for y, x in places])
        batch = predict_batch(cast(ImageArray, tiles))
        if batch.ndim != 4 or batch.shape[0] != len(places) or batch.shape[2:] != (tile, tile):
            raise ValueError(f"scores of {tiles.shape} tiles have the shape {batch.shape}")
        if not scores.size:
            scores = np.zeros((batch.shape[1], rows, columns), np.float32)
        for (y, x), found in zip(places, batch, strict=True):
            weight = weights_y[y][:, None] * weights_x[x]
            scores[:, y : y + tile, x : x + tile] += found * weight
    return scores[:, :height, :width]


def falling_weights(tile: int, overlap: int) -> NDArray[np.float64]:
    """Return the weight of each row of a tile: 1 inside, falling over the overlap to its border."""
    ramp = np.minimum(np.arange(tile), np.arange(tile)[::-1]) + 0.5
    return cast(NDArray[np.float64], np.minimum(ramp / max(overlap, 1), 1.0))


def _weights(length: int, tile: int, overlap: int) -> dict[int, NDArray[np.float32]]:
    """Return the weights along one axis of the tile at each start.

    The weights of all tiles over one pixel sum to 1, in each axis and hence in their product, so
    that no second accumulator is needed and a pixel under one tile keeps its score exactly.
    """
    falling = falling_weights(tile, overlap)
    starts = _starts(length, tile, overlap)
    total = np.zeros(max(length, tile))
    for start in starts:
        total[start : start + tile] += falling
    return {s: (falling / total[s : s + tile]).astype(np.float32) for s in starts}
