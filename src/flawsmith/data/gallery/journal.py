"""Which thumbnails exist: one line a sheet, written after it, so that a kill loses little."""

import hashlib
import json
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from flawsmith.data.gallery.tiles import GalleryImage, Sheet, Tile
from flawsmith.errors import FlawsmithError
from flawsmith.storage import write_bytes, write_text

JOURNAL_FILE = "tiles.jsonl"
LEAST_USED = 0.5
"""A sheet of which a smaller share is still shown is made anew the next time."""


class Journal:
    """Finished sheets of a gallery's folder, and where each image's thumbnail is in them."""

    def __init__(self, out: Path, sheets: dict[str, list[Tile]]) -> None:
        self.out = out
        self.sheets = sheets
        self._places: dict[str, GalleryImage] = {}
        for name, tiles in sheets.items():
            self._place(name, tiles)
        self._stream = (out / JOURNAL_FILE).open("a", encoding="utf-8")

    @classmethod
    def open(cls, out: Path) -> Self:
        """Open a folder's journal; lines that are torn or whose sheet is gone are left out.

        Raises:
            FlawsmithError: if it cannot be read or written.
        """
        path = out / JOURNAL_FILE
        try:
            lines = path.read_text("utf-8", errors="replace").splitlines() if path.exists() else []
            sheets: dict[str, list[Tile]] = {}
            for line in lines:
                name, tiles = _read_line(line)
                if tiles and (out / "sheets" / name).is_file() and _pictures_exist(out, tiles):
                    sheets[name] = tiles
            write_text(path, "".join(_line(name, tiles) for name, tiles in sheets.items()))
            return cls(out, sheets)
        except OSError as error:
            raise FlawsmithError(f"cannot write {path}: {error.strerror or error}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def image(self, key: str) -> GalleryImage:
        """Return where a thumbnail is and what is known of its image."""
        return self._places[key]

    def add(self, sheet: Sheet) -> None:
        """Write a sheet, then its line."""
        if not sheet.tiles:
            return
        name = _name(sheet.tiles)
        write_bytes(self.out / "sheets" / name, sheet.jpeg)
        self._stream.write(_line(name, sheet.tiles))
        self._stream.flush()
        self.sheets[name] = sheet.tiles
        self._place(name, sheet.tiles)

    def drop_unused(self, keys: set[str]) -> None:
        """Remove sheets that no image of the data set uses, and forget those that few use."""
        kept = {}
        for name, tiles in self.sheets.items():
            used = sum(tile.key in keys for tile in tiles)
            if used:
                # A forgotten sheet stays for this build's page; the next build removes it.
                kept[name] = tiles if used >= LEAST_USED * len(tiles) else []
        self._stream.close()
        write_text(
            self.out / JOURNAL_FILE, "".join(_line(name, tiles) for name, tiles in kept.items())
        )
        shown = {tile.key for tiles in self.sheets.values() for tile in tiles if tile.key in keys}
        _remove_others(self.out / "sheets", set(kept))
        _remove_others(self.out / "previews", {f"{key}.jpg" for key in shown})
        _remove_others(self.out / "masks", {f"{key}.png" for key in shown})

    def _place(self, name: str, tiles: list[Tile]) -> None:
        for cell, tile in enumerate(tiles):
            self._places[tile.key] = GalleryImage(sheet=name, cell=cell, tile=tile)


def _name(tiles: list[Tile]) -> str:
    joined = "".join(tile.key for tile in tiles)
    return hashlib.sha256(joined.encode()).hexdigest()[:16] + ".jpg"


def _line(name: str, tiles: list[Tile]) -> str:
    values = [tile.model_dump(exclude_defaults=True) for tile in tiles]
    return json.dumps({"sheet": name, "tiles": values}) + "\n"


def _read_line(line: str) -> tuple[str, list[Tile]]:
    try:
        values: dict[str, Any] = json.loads(line)
        tiles = [Tile.model_validate(tile) for tile in values["tiles"]]
    except (ValueError, KeyError, TypeError, ValidationError):
        return "", []
    # The name follows from the tiles, so a damaged line cannot point elsewhere.
    return _name(tiles), tiles


def _pictures_exist(out: Path, tiles: list[Tile]) -> bool:
    return all(
        (not tile.has_preview or (out / "previews" / f"{tile.key}.jpg").is_file())
        and (not tile.has_mask or (out / "masks" / f"{tile.key}.png").is_file())
        for tile in tiles
    )


def _remove_others(folder: Path, kept: set[str]) -> None:
    for path in folder.iterdir():
        if path.name not in kept:
            path.unlink(missing_ok=True)
