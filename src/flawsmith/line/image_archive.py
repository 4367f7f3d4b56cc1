"""Images that come without a file, kept in a folder: reviews show them, replays read them."""

import hashlib
import io
import re
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import sqlalchemy as sa
from PIL import Image

from flawsmith.data.images import encode_png
from flawsmith.errors import FlawsmithError
from flawsmith.line.part_images import PartImage, printable
from flawsmith.line.store import Store
from flawsmith.line.store.tables import ImageRow
from flawsmith.storage import write_bytes

SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "TIFF": ".tif", "BMP": ".bmp"}
DAMAGED = ".image"
"""Of what is no image that can be told from its first bytes."""

FRESH_SECONDS = 3600.0
"""An image so young may belong to a part that is not stored yet."""

_KEPT_NAME = re.compile(r".+_[0-9a-f]{32}\.(png|jpg|tif|bmp|image)")
_BATCH = 500


@dataclass(frozen=True)
class Removed:
    """Images that no result names any more: how many there were, and their bytes."""

    images: int
    bytes: int


class ImageArchive:
    """A folder of images under names that part, view and content make.

    Args:
        folder: made if it is not there.

    Raises:
        FlawsmithError: if it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        _make_folder(self.folder)

    @classmethod
    def existing(cls, folder: Path) -> Self:
        """Return the archive in a folder that is there.

        Raises:
            FlawsmithError: if it is not.
        """
        if not folder.is_dir():
            raise FlawsmithError(f"{folder} is no folder; give that of --keep-images")
        return cls(folder)

    def keep(self, image: PartImage) -> PartImage:
        """Write an image and return it under the path that it has now; the same one comes once.

        Bare pixels become a PNG, whose hash is then that of the image. One of which nothing came
        is returned as it is.

        Raises:
            FlawsmithError: if it cannot be written; it must not be inspected then.
        """
        data = image.data
        if not data and image.pixels is not None:
            data = encode_png(image.pixels)
            image = replace(image, sha256=hashlib.sha256(data).hexdigest())
        if not data:
            return image
        path = self._path(image, data)
        if not path.is_file():
            _make_folder(path.parent)
            write_bytes(path, data)
        return replace(image, name=printable(path))

    def remove_unnamed(self, store: Store, *, dry_run: bool = False) -> Removed:
        """Remove the images that no result of a store names, but none of the last hour.

        Raises:
            FlawsmithError: if the store names none of them at all: it is that of another line.
        """
        unnamed: list[Path] = []
        named = 0
        for batch in self._batches():
            paths = {printable(path): path for path in batch}
            query = sa.select(ImageRow.path).where(ImageRow.path.in_(paths))
            with store.reading() as session:
                kept = set(session.scalars(query))
            named += len(kept)
            unnamed += [paths[name] for name in paths.keys() - kept]
        if unnamed and not named:
            raise FlawsmithError(
                f"{store.name} names none of the {len(unnamed):,} images in {self.folder}; none is "
                "removed: give the --store of the service that kept them"
            )
        size = sum(path.stat().st_size for path in unnamed)
        if not dry_run:
            for path in unnamed:
                path.unlink(missing_ok=True)
        return Removed(len(unnamed), size)

    def _batches(self) -> Iterator[list[Path]]:
        """Yield old files that this class has named, some at a time; no other file is touched."""
        batch: list[Path] = []
        old = time.time() - FRESH_SECONDS
        for path in self.folder.glob("??/*"):
            if _KEPT_NAME.fullmatch(path.name) and path.stat().st_mtime < old:
                batch.append(path)
            if len(batch) == _BATCH:
                yield batch
                batch = []
        yield batch

    def _path(self, image: PartImage, data: bytes) -> Path:
        """Return where an image is kept; whatever part and view are called, it is in the folder."""
        parts = (image.part, image.view, image.sha256)
        key = hashlib.sha256("\0".join(parts).encode("utf-8", "backslashreplace")).hexdigest()[:32]
        words = "_".join(filter(None, (image.part, image.view)))
        readable = re.sub(r"[^A-Za-z0-9-]+", "-", words).strip("-")[:80] or "part"
        return self.folder / key[:2] / f"{readable}_{key}{_suffix(data)}"


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FlawsmithError(
            f"cannot keep images in {folder}: {error.strerror or error}; give another folder, or "
            "make room"
        ) from None


def _suffix(data: bytes) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return SUFFIXES.get(Image.open(io.BytesIO(data)).format or "", DAMAGED)
    except Exception:  # Pillow raises nearly every type on damaged files
        return DAMAGED
