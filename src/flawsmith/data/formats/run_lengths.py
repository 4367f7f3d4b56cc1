"""COCO run lengths: masks as text, and instances as the lines of ``metadata.jsonl`` hold them."""

from typing import Any

import numpy as np

from flawsmith.data.images import BoolArray

RunLengths = dict[str, Any]
"""``size`` (height, width) and ``counts`` (bytes), as pycocotools takes them."""


def parse_counts(text: str) -> list[int]:
    """Return the run lengths of a compressed RLE string (maskApi.c, ``rleFrString``).

    pycocotools decodes runs that do not fill the image into uninitialised memory, so runs are
    checked before anything is decoded.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text.encode("latin-1"):
        bits = character - 48
        if not 0 <= bits < 64 or shift > 30:
            raise ValueError("its RLE has a wrong character")
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            if bits & 0x10:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    return counts


def expand(counts: list[int], size: tuple[int, int]) -> BoolArray:
    """Return the pixels, H x W, of run lengths in column order that begin with unset ones.

    Raises:
        ValueError: if a run is negative or they do not fill the image.
    """
    runs = np.array(counts, np.int64)
    pixels = size[0] * size[1]
    # Huge runs are refused one by one, for their sum may be right after an overflow.
    if runs.ndim != 1 or ((runs < 0) | (runs > pixels)).any() or int(runs.sum()) != pixels:
        raise ValueError("its RLE does not fill the image")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(size[::-1]).T


def encode(where: BoolArray) -> RunLengths:
    """Return the compressed run lengths of a mask, H x W."""
    from pycocotools import mask as rle

    code: RunLengths = rle.encode(np.asfortranarray(where, dtype=np.uint8))
    return code


def decode(code: RunLengths) -> BoolArray:
    """Return the mask, H x W, of run lengths that `encode` or `expand` vouch for."""
    from pycocotools import mask as rle

    return np.asarray(rle.decode(code)).view(np.bool_)


def instance(
    name: str, code: RunLengths, *, crowd: bool = False, weak: bool = False
) -> dict[str, Any]:
    """Return an instance with the same keys and types in every line, as Arrow needs them.

    Args:
        name: the class.
        code: its pixels.
        crowd: several objects that nobody told apart; ignored.
        weak: it is a box: the defect is somewhere inside.
    """
    from pycocotools import mask as rle

    return {
        "label": name,
        "bbox": [float(v) for v in rle.toBbox(code)],
        "area": int(rle.area(code)),
        "iscrowd": crowd,
        "weak": weak,
        "rle": {"size": [int(v) for v in code["size"]], "counts": code["counts"].decode()},
    }
