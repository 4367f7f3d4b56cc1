"""Finding the mask files that belong to an image file, by folder and file name."""

import posixpath
import re
from collections.abc import Iterable

from flawsmith.data.formats.folder import SourceFolder

IMAGE_FOLDERS = frozenset(
    "images image imgs img jpegimages sourceimages source rgb photos pictures".split()
)
MASK_FOLDERS = frozenset(
    "masks mask labels label annotations annotation annots segmentation segmentations "
    "segmentationclass groundtruth gt indexmasks labelmaps seg".split()
)
MASK_WORDS = frozenset("mask masks gt label labels seg annotation groundtruth".split())


def plain(name: str) -> str:
    """Return a folder name in lower case without separators: ``Ground truth`` is groundtruth."""
    return re.sub(r"[\s_\-]+", "", name.casefold())


def stem(file: str) -> str:
    """Return the file name without folder and suffix."""
    return posixpath.splitext(posixpath.basename(file))[0]


def mask_root(file: str) -> str | None:
    """Return the outermost folder on the way to ``file`` whose name says masks, or None."""
    parts = file.split("/")[:-1]
    for depth, part in enumerate(parts, start=1):
        if plain(part) in MASK_FOLDERS:
            return "/".join(parts[:depth])
    return None


def split_images_and_masks(folder: SourceFolder) -> tuple[list[str], list[str]]:
    """Return image files and mask files; a mask lies below a folder called masks or the like."""
    masks = [name for name in folder.images if mask_root(name)]
    taken = set(masks)
    return [name for name in folder.images if name not in taken], masks


def place(file: str) -> str:
    """Return the folder of ``file`` without the folders that say images or masks.

    ``train/images/a.png`` and ``masks/train/a.png`` are both in ``train``.
    """
    parts = file.split("/")[:-1]
    return "/".join(p for p in parts if plain(p) not in IMAGE_FOLDERS | MASK_FOLDERS)


def bare_stem(file: str) -> str:
    """Return a mask's stem without ``_mask``, ``-gt``, ``_label`` and the like at its end."""
    name = stem(file)
    match = re.fullmatch(r"(.+)[_\-. ]([^_\-. ]+)", name)
    return match[1] if match and match[2].casefold() in MASK_WORDS else name


def by_place_and_stem(files: Iterable[str]) -> dict[tuple[str, str], str]:
    """Return mask files under (place, stem) and (place, stem without ``_mask``)."""
    files = list(files)
    found = {(place(name), bare_stem(name)): name for name in files}
    return found | {(place(name), stem(name)): name for name in files}
