"""Which code gave an answer: two states of the program never have the same name."""

import hashlib
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

from flawsmith import __version__

ANSWERING = ("data", "inspection", "line")
"""Packages whose code stands between an image and its verdict."""


@cache
def code_version() -> str:
    """Return the version and a short hash of the source that inspects and decides.

    Of its bytes, as it is read at every start of a line PC; what trains is compared by
    `flawsmith.experiment.source.code_hash`, for which a comment is no change.
    """
    package = resources.files("flawsmith")
    digest = hashlib.sha256()
    for folder in ANSWERING:
        _add(digest, package / folder, folder)
    return f"{__version__}+{digest.hexdigest()[:16]}"


def _add(digest: "hashlib._Hash", folder: Traversable, name: str) -> None:
    """Feed the source files of a folder, in the order of their names, with these."""
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        path = f"{name}/{entry.name}"
        if entry.is_dir():
            _add(digest, entry, path)
        elif entry.name.endswith(".py"):
            digest.update(path.encode() + b"\0" + entry.read_bytes() + b"\0")
