"""Frames and tiles of simulated pouch cells, their label maps and the schema of those."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from flawsmith.data.dataset import LabelMap
from flawsmith.data.pouch.clutter import PRINT_SIZE
from flawsmith.data.pouch.defects import PAINTERS, Site
from flawsmith.data.pouch.piece import VIEWS, Piece, edge_distances, make_camera, make_piece
from flawsmith.data.pouch.surface import Placed, render
from flawsmith.data.schema import (
    BACKGROUND_COLOURS,
    DEFECT_COLOURS,
    Background,
    Defect,
    PixelSize,
    Schema,
)
from flawsmith.errors import FlawsmithError

FRAME_HEIGHT, FRAME_WIDTH = 2000, 5400
MM_PER_PIXEL = 0.5

_STRIP = 600  # columns of a frame rendered at a time, so that memory stays small


def schema() -> Schema:
    """Return the schema of the simulated cells: two backgrounds, six defects, 0.5 mm a pixel."""
    aliases = [["A"], ["B"], ["C", "protrusion"], ["D"], ["E", "white dot"], ["F", "black dot"]]
    return Schema(
        name="simulated pouch cells",
        simulated=True,
        pixel_size_mm=PixelSize(x=MM_PER_PIXEL, y=MM_PER_PIXEL),
        backgrounds=[
            Background(id=i, name=name, colour=BACKGROUND_COLOURS[1 - i])
            for i, name in enumerate(("body", "outside"))
        ],
        defects=[
            Defect(id=i, name=name, aliases=others, colour=DEFECT_COLOURS[i - 1])
            for i, (name, others) in enumerate(zip(PAINTERS, aliases, strict=True), start=1)
        ],
    )


@lru_cache(maxsize=16)
def _place(seed: int, part: int, index: int, name: str, height: int, width: int) -> Placed:
    """Paint the ``index``-th defect of a cell and choose its place."""
    piece = make_piece(seed, part, height, width)
    label = list(PAINTERS).index(name) + 1
    rng = np.random.default_rng([seed, part, 3, index, label])
    likely = {"folding": 0.6, "leakage": 0.4}
    at_rim = rng.random() < likely.get(name, 0.15)
    left, top, right, bottom = piece.box
    direction = rng.uniform(-np.pi, np.pi)
    x, y = rng.uniform(left + 110, right - 110), rng.uniform(top + 110, bottom - 110)
    if at_rim:
        side = int(rng.choice(4, p=[0.2, 0.3, 0.2, 0.3]))
        direction = [np.pi, -np.pi / 2, 0.0, np.pi / 2][side]
        inside = rng.uniform(14, 60)
        here = (np.array([y], np.float32), np.array([x], np.float32))
        step = float(edge_distances(piece, *here)[side][0, 0]) - inside
        x, y = x + math.cos(direction) * step, y + math.sin(direction) * step
    patch = PAINTERS[name](rng, Site(direction, at_rim))
    return Placed(patch, label, round(x), round(y), spills=name == "leakage")


def tile_window(
    seed: int,
    part: int,
    defect: str | None = None,
    size: int = 128,
    *,
    height: int = FRAME_HEIGHT,
    width: int = FRAME_WIDTH,
) -> tuple[int, int, int, int]:
    """Return top, left, height, width of the tile of a part in its frame.

    With a defect the tile shows it somewhere near the middle; without, about 60 % of the tiles
    show the body, 32 % the edge of the cell and 8 % only the outside.
    """
    if not 0 < size <= min(height, width):
        raise FlawsmithError(f"a tile of {size} pixels does not fit a {width} x {height} frame")
    rng = np.random.default_rng([seed, part, 4, size])
    if defect is None:
        x, y = _good_place(rng, make_piece(seed, part, height, width))
        reach = 0.0
    else:
        placed = _place(seed, part, 0, _known(defect), height, width)
        rows, columns = np.nonzero(placed.patch.mask)
        nearest = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
        x = placed.x + int(columns[nearest]) - placed.patch.half
        y = placed.y + int(rows[nearest]) - placed.patch.half
        extent = max(np.ptp(rows), np.ptp(columns))
        reach = float(np.clip((size - extent) / 2 - 6, 0.08 * size, 0.38 * size))
    x, y = x + rng.uniform(-reach, reach), y + rng.uniform(-reach, reach)
    top = int(np.clip(y - size / 2, 0, height - size))
    left = int(np.clip(x - size / 2, 0, width - size))
    return top, left, size, size


def _good_place(rng: np.random.Generator, piece: Piece) -> tuple[float, float]:
    left, top, right, bottom = piece.box
    height, width = piece.shape
    x, y = rng.uniform(left + 60, right - 60), rng.uniform(top + 60, bottom - 60)
    kind = rng.choice(["body", "print", "rim", "outside"], p=[0.52, 0.08, 0.32, 0.08])
    if kind == "print" and piece.prints:
        mark = piece.prints[int(rng.integers(len(piece.prints)))]
        return mark.x + rng.uniform(0, PRINT_SIZE[1]), mark.y + rng.uniform(0, PRINT_SIZE[0])
    if kind == "rim":
        depth = rng.uniform(-25, 45)
        ends = [(left + depth, y), (x, top + depth), (right - depth, y), (x, bottom - depth)]
        return ends[int(rng.integers(4))]
    if kind == "outside":
        ends = [(0.0, y), (x, 0.0), (float(width), y), (x, float(height))]
        return ends[int(rng.integers(4))]
    return x, y


@lru_cache(maxsize=32)
def _known(name: str) -> str:
    return schema().defect(name).name


def render_tile(
    seed: int, part: int, view: int = 0, defect: str | None = None, size: int = 128
) -> tuple[NDArray[np.uint8], LabelMap]:
    """Return the tile of one view of a part: size x size grey pixels and what they show.

    It equals the crop `tile_window` of ``render_frame(seed, part, view, defects=[defect])``.

    Args:
        seed: of the whole data set.
        part: number of the piece.
        view: number of the view, 0 to 3.
        defect: name or alias, or None for a good part.
        size: side in pixels.
    """
    defects = [] if defect is None else [defect]
    window = tile_window(seed, part, defect, size)
    return _render(seed, part, view, defects, (FRAME_HEIGHT, FRAME_WIDTH), window)


def render_frame(
    seed: int,
    part: int,
    view: int = 0,
    height: int = FRAME_HEIGHT,
    width: int = FRAME_WIDTH,
    defects: Sequence[str] = (),
) -> tuple[NDArray[np.uint8], LabelMap]:
    """Return a whole cell: height x width grey pixels and what they show.

    Args:
        seed: of the whole data set.
        part: number of the piece.
        view: number of the view, 0 to 3.
        height: pixels across the line of the camera, at least 600.
        width: number of lines, at least 600.
        defects: names or aliases, each painted once at a place of its own.
    """
    if min(height, width) < 600:
        raise FlawsmithError(f"a frame of {width} x {height} pixels is too small; 600 is the least")
    image = np.empty((height, width), np.uint8)
    labels, backgrounds = np.empty_like(image), np.empty_like(image)
    for left in range(0, width, _STRIP):
        window = (0, left, height, min(_STRIP, width - left))
        strip = slice(left, left + window[3])
        image[:, strip], found = _render(seed, part, view, defects, (height, width), window)
        labels[:, strip], backgrounds[:, strip] = found.defects, found.backgrounds
    return image, LabelMap(labels, backgrounds)


def _render(
    seed: int,
    part: int,
    view: int,
    defects: Sequence[str],
    shape: tuple[int, int],
    window: tuple[int, int, int, int],
) -> tuple[NDArray[np.uint8], LabelMap]:
    if not 0 <= view < len(VIEWS):
        raise FlawsmithError(f"there is no view {view}; a simulated cell has views 0 to 3")
    piece = make_piece(seed, part, *shape)
    camera = make_camera(seed, part, view, *shape)
    names = [_known(name) for name in defects]
    placed = [_place(seed, part, i, name, *shape) for i, name in enumerate(names)]
    image, labels, backgrounds = render(piece, camera, placed, window)
    return image, LabelMap(labels, backgrounds)
