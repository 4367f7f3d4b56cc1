"""CrackForest: ``image/*.jpg`` with ``groundTruth/*.mat`` (Shi et al. 2016).

Shi et al., "Automatic road crack detection using random structured forests", IEEE Transactions on
Intelligent Transportation Systems 17(12), 2016. A label file holds ``groundTruth.Segmentation``
with 1 for no crack, 2 for crack, 3 and 4 for other marks, which are ignored.
"""

import io
import posixpath
import struct
import zlib
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from flawsmith.data.formats.base import FORMATS, Certainty, Format, Match, Source, SourceImage
from flawsmith.data.formats.canvas import Canvas
from flawsmith.data.formats.folder import SourceFolder
from flawsmith.data.formats.pairing import stem
from flawsmith.errors import FlawsmithError

CLASS = "crack"
LABELS = "groundTruth"
NOTHING, CRACK, OTHERS = 1, 2, (3, 4)
MAX_UNPACKED_BYTES = 256 << 20
HEADER_BYTES = 128
COMPRESSED, MATRIX = 15, 14  # element types of the MAT-file format, version 5
KNOWN_TYPES = frozenset({1, 2, 3, 4, 5, 6, 7, 9, 12, 13, MATRIX, 16, 17, 18})
CELL, STRUCT = 1, 2
KNOWN_CLASSES = frozenset({CELL, STRUCT, 4, *range(6, 16)})  # not objects, functions, sparse arrays
COMPLEX = 0x800  # flag of an array with an imaginary part, for which scipy reads on past the end
MAX_DEPTH = 8


@FORMATS.register("crackforest")
class CrackForest(Format):
    """``image/001.jpg`` is labelled by ``groundTruth/001.mat``; other images are unlabelled."""

    summary: ClassVar[str] = "CrackForest: image/*.jpg with groundTruth/*.mat"

    def detect(self, folder: SourceFolder) -> Match | None:
        """Recognise images in image/ that have a .mat file of their name in groundTruth/."""
        labels = _label_files(folder)
        pairs = sum(_key(name) in labels for name in folder.images)
        if not pairs:
            return None
        return Match(Certainty.DATA_SET, f"{pairs} images in image/ have {LABELS}/*.mat")

    def read(self, folder: SourceFolder) -> Source:
        """Pair images and label files by name; labels are read when their image is imported."""
        labels = _label_files(folder)
        source = Source([CLASS])
        for image in folder.images:
            file = labels.pop(_key(image), None)
            if file is None:
                source.unlabelled(image, f"it has no .mat file in {LABELS}/")
            else:
                source.images.append(SourceImage(image, partial(_paint, folder, file)))
        for file in labels.values():
            source.find("orphaned labels", file, "there is no image of this name in image/")
        return source


def _label_files(folder: SourceFolder) -> dict[tuple[str, str] | None, str]:
    found = folder.with_suffix(".mat")
    places = [posixpath.split(posixpath.dirname(name)) for name in found]
    return {
        (home, stem(name)): name
        for name, (home, last) in zip(found, places, strict=True)
        if last == LABELS
    }


def _key(image: str) -> tuple[str, str] | None:
    home, last = posixpath.split(posixpath.dirname(image))
    return (home, stem(image)) if last == "image" else None


def _paint(folder: SourceFolder, file: str, canvas: Canvas) -> None:
    values = _segmentation(file, folder.read_bytes(file))
    canvas.paint(CLASS, values == CRACK)
    if values.shape != (canvas.height, canvas.width):
        return  # the canvas has excluded it
    canvas.ignore(np.isin(values, OTHERS))
    unknown = ~np.isin(values, (NOTHING, CRACK, *OTHERS))
    if unknown.any():
        count = np.count_nonzero(unknown)
        canvas.note("unknown value", f"{count} pixels of {file} are not 1, 2, 3 or 4; ignored")
        canvas.ignore(unknown)


def _segmentation(file: str, data: bytes) -> NDArray[Any]:
    """Return the values of a label file, H x W.

    Raises:
        FlawsmithError: if it is damaged, no MAT-file of version 5, or has no segmentation.
    """
    from scipy.io import loadmat

    try:
        _require_bounded(data)
        content = loadmat(io.BytesIO(data), variable_names=[LABELS])
        values = np.asarray(content[LABELS]["Segmentation"][0, 0])
    except Exception as error:  # scipy raises nearly every type on damaged files
        raise FlawsmithError(
            f"{file} has no readable {LABELS}.Segmentation ({type(error).__name__}: {error})"
        ) from None
    if values.ndim != 2 or values.dtype.kind not in "buif":
        raise FlawsmithError(
            f"{file}: its Segmentation is {values.dtype} of shape {values.shape}; "
            "expected numbers, height x width"
        )
    return values


def _require_bounded(data: bytes) -> None:
    """Raise a `ValueError` unless it is a version 5 file that unpacks to at most 256 MB."""
    order = {b"IM": "<", b"MI": ">"}.get(data[126:HEADER_BYTES])
    if order is None or struct.unpack(f"{order}H", data[124:126])[0] != 0x0100:
        raise ValueError("no MAT-file of version 5")
    position, unpacked = HEADER_BYTES, 0
    while position + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}II", data, position)
        if kind == COMPRESSED:
            packed = data[position + 8 : position + 8 + size]
            element = zlib.decompressobj().decompress(packed, MAX_UNPACKED_BYTES + 1)
            unpacked += len(element)
            if unpacked > MAX_UNPACKED_BYTES:
                raise ValueError(f"it unpacks to more than {MAX_UNPACKED_BYTES >> 20} MB")
        else:
            element = data[position : position + 8 + size]
        _require_known(element, order)
        position += 8 + size


def _require_known(data: bytes, order: str, holder: int = STRUCT, depth: int = 0) -> None:
    """Raise a `ValueError` for an element of a type that ends the process in scipy's reader.

    Args:
        data: elements one after the other, each with its tag.
        order: of bytes, as in `struct`.
        holder: class of the array that they belong to.
        depth: of arrays around it.
    """
    position = 0
    while position + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}II", data, position)
        start = position + 8
        if kind >> 16:  # a small element has its size and up to 4 bytes in the tag
            kind, size, start = kind & 0xFFFF, kind >> 16, position + 4
        if kind not in KNOWN_TYPES or start + size > len(data) or depth > MAX_DEPTH:
            raise ValueError("it is damaged or has values that are no numbers")
        if kind == MATRIX:
            body = data[start : start + size]
            own = _array_class(body, order)
            if holder not in (CELL, STRUCT) or own not in KNOWN_CLASSES:
                raise ValueError("it is damaged or has values that are no numbers")
            _require_known(body, order, own, depth + 1)
        position = max(start + size, position + 8)
        position += -position % 8


def _array_class(body: bytes, order: str) -> int:
    """Return the class in the flags that an array begins with; 0 where there are none."""
    if not body:
        return STRUCT  # an empty field
    if len(body) < 16 or struct.unpack_from(f"{order}II", body) != (6, 8):
        return 0
    flags: int = struct.unpack_from(f"{order}I", body, 8)[0]
    return 0 if flags & COMPLEX else flags & 0xFF
