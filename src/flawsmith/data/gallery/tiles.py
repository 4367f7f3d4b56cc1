"""Thumbnails in sheets, and what was measured on the way: one pass over an image's pixels."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.config import StrictModel
from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.images import LabelArray, encode_index_mask, open_image
from flawsmith.data.schema import IGNORE, Schema
from flawsmith.data.thumbnails import (
    Pixels,
    displayed,
    fitted,
    outlined,
    read_defects,
    to_jpeg,
)
from flawsmith.errors import FlawsmithError
from flawsmith.storage import write_bytes

TILE = 160
"""Side of a thumbnail in pixels."""

SHEET_COLUMNS = 5
SHEET_TILES = SHEET_COLUMNS**2
"""Few, since in a random order each visible tile makes the browser decode a sheet of its own."""

PREVIEW = 1280
"""Longer side of the picture shown for files that browsers cannot show."""

SHOWN_REGIONS = 24
VERSION = 1
"""Part of every key; another one makes all sheets anew."""

BROWSER_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp"})


class Tile(StrictModel):
    """What the page needs of one image's pixels; kept from one build to the next.

    Attributes:
        key: changes when the picture would.
        width: of the thumbnail, in pixels; so is the height.
        regions: class id, area, x and y of the centre in pixels, for the largest regions, largest
            first, and at least one of each class.
        region_count: of all regions.
        mask_problem: why the labels are not drawn.
        has_preview: there is a picture for browsers, since they cannot show the file.
        has_mask: there is a mask in the schema's colours, since the data set's has others.
    """

    key: str
    width: int
    height: int
    regions: list[tuple[int, int, int, int]] = []
    region_count: int = 0
    mask_problem: str | None = None
    has_preview: bool = False
    has_mask: bool = False


@dataclass(frozen=True)
class Sheet:
    """A picture of `SHEET_TILES` thumbnails and their facts; None for an image that cannot be read.

    Attributes:
        problems: why, by place in the group.
    """

    jpeg: bytes
    tiles: list[Tile]
    problems: dict[int, str]


@dataclass(frozen=True)
class GalleryImage:
    """Where an image's thumbnail is; or why there is none."""

    sheet: str = ""
    cell: int = 0
    tile: Tile | None = None
    problem: str | None = None


def tile_key(dataset: DefectDataset, record: ImageRecord, look: str) -> str | None:
    """Return what tells whether a thumbnail is up to date, or None if the image is not there.

    Files count as changed with their time or size: reading 50,000 files costs minutes.
    """
    stamps = []
    try:
        for name in (record.file_name, record.mask_file_name):
            state = dataset.path(name).stat() if name else None
            stamps.append((name, state.st_size, state.st_mtime_ns) if state else None)
    except (OSError, ValueError, FlawsmithError):
        if not stamps:
            return None
        stamps.append(("gone", 0, 0))
    text = json.dumps([VERSION, look, record.sha256, stamps])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def look_of(schema: Schema) -> str:
    """Return what of a schema changes the thumbnails."""
    fields = {"defects", "bit_depth", "black_level", "white_level", "channels"}
    return schema.model_dump_json(include=fields)


def render_sheet(
    dataset: DefectDataset, group: Sequence[tuple[str, ImageRecord]], out: Path
) -> Sheet:
    """Make the thumbnails of up to `SHEET_TILES` images, given with their keys.

    Previews and recoloured masks are written into ``out`` at once. An image that cannot be read
    takes no place in the sheet.
    """
    rows = -(-len(group) // SHEET_COLUMNS)
    canvas = np.zeros((rows * TILE, min(len(group), SHEET_COLUMNS) * TILE, 3), np.uint8)
    tiles: list[Tile] = []
    problems: dict[int, str] = {}
    for place, (key, record) in enumerate(group):
        try:
            thumbnail, tile = _make(dataset, record, key, out)
        except (FlawsmithError, OSError, ValueError, cv2.error, MemoryError) as error:
            problems[place] = short(str(error) or type(error).__name__, dataset.root)
            continue
        row, column = divmod(len(tiles), SHEET_COLUMNS)
        top, left = row * TILE, column * TILE
        canvas[top : top + tile.height, left : left + tile.width] = thumbnail
        tiles.append(tile)
    used = -(-len(tiles) // SHEET_COLUMNS) * TILE
    return Sheet(to_jpeg(canvas[:used]) if tiles else b"", tiles, problems)


def short(message: str, root: Path) -> str:
    """Return a message without the data set's folder."""
    return message.replace(f"{root}/", "")


def _make(dataset: DefectDataset, record: ImageRecord, key: str, out: Path) -> tuple[Pixels, Tile]:
    schema = dataset.schema
    pixels = dataset.image(record)
    defects, problem = None, None
    try:
        defects = read_defects(dataset, record, pixels.shape)
    except FlawsmithError as error:
        problem = short(str(error), dataset.root)
    thumbnail = displayed(fitted(pixels, TILE), schema)
    regions: list[tuple[int, int, int, int]] = []
    if defects is not None:
        thumbnail = outlined(thumbnail, defects, schema)
        regions = find_regions(defects, schema.num_defects)
    suffix = Path(record.file_name).suffix.lower()
    needs_preview = pixels.dtype != np.uint8 or suffix not in BROWSER_SUFFIXES
    if needs_preview:
        preview = displayed(fitted(pixels, min(PREVIEW, max(pixels.shape[:2]))), schema)
        write_bytes(out / "previews" / f"{key}.jpg", to_jpeg(preview))
    tile = Tile(
        key=key,
        width=thumbnail.shape[1],
        height=thumbnail.shape[0],
        regions=_shown(regions),
        region_count=len(regions),
        mask_problem=problem,
        has_preview=needs_preview,
        has_mask=defects is not None and _recolour(dataset, record, defects, key, out),
    )
    return thumbnail, tile


def find_regions(defects: LabelArray, num_defects: int) -> list[tuple[int, int, int, int]]:
    """Return class id, area and centre (x, y) in pixels of each region, largest first.

    Regions are 8-connected components of one class, as `flawsmith.data.checks` counts them.
    """
    regions = []
    for value in range(1, num_defects + 1):
        inside = (defects == value).astype(np.uint8)
        if not inside.any():
            continue
        _, _, stats, centres = cv2.connectedComponentsWithStats(inside, connectivity=8)
        areas: NDArray[np.int32] = stats[1:, cv2.CC_STAT_AREA]
        for area, (x, y) in zip(areas.tolist(), centres[1:].tolist(), strict=True):
            regions.append((value, int(area), int(x), int(y)))
    return sorted(regions, key=lambda region: -region[1])


def _shown(regions: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    largest = {region[0]: place for place, region in reversed(list(enumerate(regions)))}
    places = sorted({*range(min(len(regions), SHOWN_REGIONS)), *largest.values()})
    return [regions[place] for place in places]


def _recolour(
    dataset: DefectDataset, record: ImageRecord, defects: LabelArray, key: str, out: Path
) -> bool:
    """Write a mask that has the schema's colours, if the data set's own has others."""
    palette = dataset.schema.palette()
    with open_image(dataset.path(record.mask_file_name or "")) as mask:
        given = mask.getpalette() or []
    used = 3 * (dataset.schema.num_defects + 1)
    if given[:used] == palette[:used] and (
        not (defects == IGNORE).any() or given[765:] == [255] * 3
    ):
        return False
    write_bytes(out / "masks" / f"{key}.png", encode_index_mask(defects, palette))
    return True
