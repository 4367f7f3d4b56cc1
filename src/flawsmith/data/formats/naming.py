"""File names for imported images: unique, portable, and safe for Hugging Face `datasets`."""

import posixpath
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

LONGEST = 100
MOST_BYTES = 200  # of 255 in most file systems; the suffix needs some

# `datasets` 5.2 (data_files.py, SPLIT_KEYWORDS) takes a file called such for a split of its own and
# then finds no metadata for it. Its separators are - . _ space and digits.
_EDGE = r"[-._ 0-9]"
_SPLIT_WORD = re.compile(
    rf"(?:(?<={_EDGE})|^)(?:train|training|validation|valid|dev|val|test|testing|eval|evaluation)"
    rf"(?={_EDGE}|$)",
    re.IGNORECASE,
)


# Windows opens a device instead of a file called such, whatever its suffix.
_DEVICE = re.compile(r"(?:con|prn|aux|nul|(?:com|lpt)[0-9])(?:\..*)?", re.IGNORECASE)


class UniqueNames:
    """Gives every image a name without suffix: its own, with folders where that is not unique."""

    def __init__(self, files: Sequence[str]) -> None:
        self._shared = posixpath.commonpath([posixpath.dirname(f) or "." for f in files] or ["."])
        self._stems = Counter(_clean(_stem(file)).casefold() for file in files)
        self._taken: set[str] = set()

    def take(self, file: str) -> str:
        """Return the name for ``file``; it is not given again."""
        unique = self.next(file)
        self._taken.add(unique.casefold())
        return unique

    def next(self, file: str) -> str:
        """Return the name that `take` would give."""
        name = _clean(_stem(file))
        if self._stems[name.casefold()] > 1 or not name:
            inside = posixpath.relpath(posixpath.splitext(file)[0], self._shared)
            name = _clean(inside.replace("/", "_"))
        unique, number = name or "image", 1
        while unique.casefold() in self._taken:
            number += 1
            unique = f"{name or 'image'}_{number}"
        return unique


def _stem(file: str) -> str:
    return posixpath.splitext(posixpath.basename(file))[0]


def _clean(text: str) -> str:
    words = _SPLIT_WORD.sub("", unicodedata.normalize("NFC", text))
    safe = re.sub(r"[^\w.\-]+", "_", words)
    name = re.sub(r"([-._])[-._]+", r"\1", safe).strip("-._")[-LONGEST:]
    name = name.encode()[-MOST_BYTES:].decode(errors="ignore").strip("-._")
    return f"{name}_file" if _DEVICE.fullmatch(name) else name
