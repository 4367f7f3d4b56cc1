"""Images that come without a file, kept in a folder: reviews show them, replays read them."""

import hashlib
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Self

import sqlalchemy as sa

from flawsmith.data.images import encode_png
from flawsmith.errors import FlawsmithError
from flawsmith.line.part_images import Header, PartImage, printable
from flawsmith.line.store import Store
from flawsmith.line.store.tables import ImageRow, WaitingRow
from flawsmith.storage import PARTIAL, write_bytes, write_text

SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "TIFF": ".tif", "BMP": ".bmp"}
DAMAGED = ".image"
"""Of what is no image that can be told from its first bytes."""

FRESH_SECONDS = 2 * 86_400.0
"""So long an image may belong to a part that waits for its views: twice the longest wait."""

OWNER_FILE = "store.txt"
"""Says whose images these are: another store does not name them, and would remove them."""

_KEPT_NAME = re.compile(r".+_[0-9a-f]{32}\.(png|jpg|tif|bmp|image)")
_BROKEN_OFF = re.compile(rf"\.{_KEPT_NAME.pattern}{re.escape(PARTIAL)}")


@dataclass(frozen=True)
class Removed:
    """Images that no result names any more: how many there were, and their bytes."""

    images: int
    bytes: int


class ImageArchive:
    """The folder of one results store, of images under names that part, view and content make.

    Args:
        folder: made if it is not there.
        store: names the images in its results.

    Raises:
        FlawsmithError: if it cannot be made, or is that of another store.
    """

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder = folder.absolute()
        self._store = store
        if printable(self.folder) != str(self.folder):
            raise FlawsmithError(
                f"images cannot be kept in {printable(self.folder)}: its name has characters that "
                "a results store cannot keep; give another folder"
            )
        _make_folder(self.folder)
        self._require_own()

    @classmethod
    def existing(cls, folder: Path, store: Store) -> Self:
        """Return the archive in a folder that is there.

        Raises:
            FlawsmithError: if it is not, or is that of another store.
        """
        if not (folder / OWNER_FILE).is_file():
            raise FlawsmithError(f"{folder} has no kept images; give the folder of --keep-images")
        return cls(folder, store)

    def _require_own(self) -> None:
        owner = hashlib.sha256(self._store.key("images")).hexdigest()
        path = self.folder / OWNER_FILE
        try:
            known = path.read_text("utf-8").strip() if path.exists() else ""
        except (OSError, ValueError) as error:
            raise FlawsmithError(f"cannot read {path}: {error}") from None
        if not known:
            write_text(path, owner)
        elif known != owner:
            raise FlawsmithError(
                f"{self.folder} has the images of another results store than {self._store.name}; "
                "give each store a folder of its own"
            )

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
        if not _touched(path):
            _make_folder(path.parent)
            write_bytes(path, data)
        return replace(image, name=printable(path))

    def remove_unnamed(self, *, dry_run: bool = False) -> Removed:
        """Remove the images that no result names, but none so young that its part may still wait.

        Raises:
            FlawsmithError: if one cannot be removed.
        """
        old = self._old()
        named = self._named()
        count = size = 0
        for path, before in old.items():
            if path.name in named:
                continue
            try:
                found = path.stat()
                if found.st_mtime > before:  # it came again meanwhile
                    continue
                if not dry_run:
                    path.unlink()
            except FileNotFoundError:
                continue
            except OSError as error:
                text = f"cannot remove {path}: {error.strerror or error}"
                raise FlawsmithError(f"{text}; {count:,} images were removed before it") from None
            count, size = count + 1, size + found.st_size
        return Removed(count, size)

    def _old(self) -> dict[Path, float]:
        """Return what this class has written long ago, and when; no other file is touched.

        Age counts from the newest image where the clock is ahead of it, so that a clock that has
        jumped makes nothing old.
        """
        times: dict[Path, float] = {}
        for path in self.folder.glob("??/*"):
            if _KEPT_NAME.fullmatch(path.name) or _BROKEN_OFF.fullmatch(path.name):
                with suppress(FileNotFoundError):
                    times[path] = path.stat().st_mtime
        now = min(time.time(), max(times.values(), default=0.0))
        return {path: at for path, at in times.items() if at < now - FRESH_SECONDS}

    def _named(self) -> set[str]:
        """Return the file names of all images in the store, wherever their folder was then."""
        with self._store.reading() as session:
            paths = session.scalars(sa.select(ImageRow.path).execution_options(yield_per=10_000))
            waiting = session.scalars(sa.select(WaitingRow.inspection))
            every = chain(paths, (str(view["image"]) for view in waiting))
            names = (path.rpartition("/")[2] for path in every)
            return {name for name in names if _KEPT_NAME.fullmatch(name)}

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


def _touched(path: Path) -> bool:
    """Make an image young again; tell whether it is there."""
    try:
        os.utime(path)
    except OSError:
        return False
    return True


def _suffix(data: bytes) -> str:
    header = Header.read(data)
    return SUFFIXES.get(header.format, DAMAGED) if header else DAMAGED
