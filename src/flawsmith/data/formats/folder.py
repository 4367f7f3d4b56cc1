"""The folder that is imported: what is in it, and which of it a label file may name."""

import json
import os
import posixpath
import re
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any

from flawsmith.data.images import is_image_file
from flawsmith.data.schema import SCHEMA_FILE
from flawsmith.errors import FlawsmithError

MAX_JSON_BYTES = 256 << 20

GOOD_NAMES = frozenset(
    "good ok okay io normal free none pass nodefect nodefects defectfree nondefective "
    "nondefect flawless".split()
)


def is_good_name(name: str) -> bool:
    """Tell whether a folder or label such as ``good``, ``OK`` or ``defect-free`` says no defect."""
    return re.sub(r"[^a-z]", "", name.casefold()) in GOOD_NAMES


class OutsideSourceError(FlawsmithError):
    """A label file names a path outside the imported folder."""


class SourceFolder:
    """The files below a folder, as sorted POSIX paths relative to it.

    Hidden files and folders (macOS ``._*`` among them) and data sets of our own are left out.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files, self.skipped = _walk(root)
        self.images = [name for name in self.files if is_image_file(Path(name))]
        self.jsons = [name for name in self.files if name.lower().endswith(".json")]

    @classmethod
    def scan(cls, root: Path) -> "SourceFolder":
        """Read the listing of ``root``.

        Raises:
            FlawsmithError: if it is missing, a file, already a defect data set or empty.
        """
        if not root.exists():
            raise FlawsmithError(f"there is no folder {root}")
        if not root.is_dir():
            raise FlawsmithError(
                f"{root} is a file; give the folder with images and labels (unpack an archive)"
            )
        if (root / SCHEMA_FILE).is_file():
            raise FlawsmithError(
                f"{root} is a defect data set already; use it as it is: flawsmith data check {root}"
            )
        folder = cls(root)
        if not folder.files:
            raise FlawsmithError(f"{root} has no files; give the folder with images and labels")
        return folder

    @cached_property
    def names(self) -> frozenset[str]:
        """All files, for membership."""
        return frozenset(self.files)

    @cached_property
    def image_names(self) -> frozenset[str]:
        """All images, for membership."""
        return frozenset(self.images)

    @cached_property
    def by_basename(self) -> dict[str, list[str]]:
        """Images by file name without folder."""
        found: dict[str, list[str]] = {}
        for name in self.images:
            found.setdefault(posixpath.basename(name), []).append(name)
        return found

    def path(self, name: str) -> Path:
        """Return where a listed file is."""
        return self.root / name

    def locate(self, label_file: str, name: str) -> str | None:
        """Return the listed file that ``label_file`` names relative to itself, or None.

        Raises:
            OutsideSourceError: if the name is absolute or leads out of the imported folder.
        """
        plain = name.replace("\\", "/")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(label_file), plain))
        absolute = plain.startswith("/") or re.match(r"[A-Za-z]:|\w+://", plain)
        if absolute or path.split("/")[0] == "..":
            raise OutsideSourceError(
                f"names '{name}', which leads out of the imported folder; not followed"
            )
        return path if path in self.names else None

    def read_json(self, name: str) -> Any:  # noqa: ANN401 - JSON has any type
        """Return the content of a JSON file.

        Raises:
            FlawsmithError: if it is larger than 256 MB, nested too deeply or not JSON.
        """
        path = self.path(name)
        if path.stat().st_size > MAX_JSON_BYTES:
            raise FlawsmithError(
                f"{name} is larger than {MAX_JSON_BYTES >> 20} MB; split it into several files"
            )
        try:
            return json.loads(path.read_text(encoding="utf-8-sig"))
        except (ValueError, RecursionError, OSError) as error:
            raise FlawsmithError(f"{name} is not readable JSON: {error}") from None

    def mentions(self, name: str, *keys: str) -> bool:
        """Tell whether a file of at most 256 MB contains every one of the quoted ``keys``."""
        path = self.path(name)
        if path.stat().st_size > MAX_JSON_BYTES:
            return False
        data = path.read_bytes()
        return all(f'"{key}"'.encode() in data for key in keys)

    def describe(self) -> str:
        """Return what is in the folder in one line, for messages."""
        suffixes = Counter(
            posixpath.splitext(name)[1].lower() or "no suffix" for name in self.files
        )
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in suffixes.most_common(5))
        folders = sorted({posixpath.dirname(name) or "." for name in self.files})
        more = f" and {len(folders) - 6} more" if len(folders) > 6 else ""
        return f"{kinds} in {', '.join(folders[:6])}{more}"


def _walk(root: Path) -> tuple[list[str], list[str]]:
    files: list[str] = []
    skipped: list[str] = []
    seen: set[str] = set()
    for parent, folders, names in os.walk(root, followlinks=True):
        here = Path(parent).relative_to(root).as_posix()
        real = os.path.realpath(parent)
        if real in seen:  # a link that leads back up
            folders.clear()
            continue
        seen.add(real)
        if SCHEMA_FILE in names:
            skipped.append(here)
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        prefix = "" if here == "." else f"{here}/"
        files += [f"{prefix}{name}" for name in names if not name.startswith(".")]
    return sorted(files), skipped
