"""What is kept of an image to recognise it: SIFT points, a thumbnail and a digest.

About 100 kB an image at most; the pixels themselves are dropped.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.images import ImageArray, read_image
from flawsmith.errors import FlawsmithError

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

WORKING_PIXELS = 400_000
"""Larger images are shrunk to this area: SIFT's time is per pixel."""

MAX_POINTS, MIN_POINTS = 512, 96
POINT_BYTES = 128 + 16
STORE_BYTES = 560_000_000
"""Most that the points of all images take; from 7,600 images on each gets fewer points."""

PICTURE_PIXELS = 16_384
"""Area of the small picture that is kept to look at places where no points agree."""

THUMBNAIL_SIDE = 24
_LIGHT_DEGREE = 4

_THREADS = 2
_AHEAD = 8  # images whose pixels are in memory at once
_SMALL_SIDE = 96  # images with a shorter side are enlarged, at most fourfold
_DETECTED = 1000
_CELLS = 6
_SMOOTHED = 1.2  # noise would fill the list of points of faint surfaces
_CONTRAST = 0.01  # a quarter of Lowe's 0.04: metal surfaces are faint


@dataclass(frozen=True)
class ImageFeatures:
    """One image as it is remembered.

    Attributes:
        points: N x 4, x, y, diameter in working pixels and angle in radians (y points down).
        descriptors: N x 128, square root of the L1-normalised SIFT descriptor, times 512
            (Arandjelovic and Zisserman, "Three things everyone should know", 2012).
        shape: height and width in working pixels.
        zoom: working pixels per pixel of the image.
        picture: the working image shrunk to `PICTURE_PIXELS`.
        thumbnail: 576 values of mean 0 and norm 1, or all 0 for a flat image.
        digest: of the pixels and their layout; empty for a constant image, which shows nothing.
    """

    points: Floats
    descriptors: Bytes
    shape: tuple[int, int]
    zoom: float
    picture: Bytes
    thumbnail: Floats
    digest: bytes


def points_per_image(images: int) -> int:
    """Return how many points of each image fit into `STORE_BYTES`."""
    return int(np.clip(STORE_BYTES // (POINT_BYTES * max(images, 1)), MIN_POINTS, MAX_POINTS))


def normalise(pixels: ImageArray) -> Bytes:
    """Return grey 8-bit pixels: the 1st percentile becomes 0, the 99th 255.

    So 16-bit, dark and colour images are seen like any others.
    """
    grey = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    low, high = np.percentile(grey, [1.0, 99.0])
    if high <= low:
        low, high = float(grey.min()), float(grey.max())
    if high <= low:
        return np.zeros(grey.shape, np.uint8)
    stretched = (grey.astype(np.float32) - np.float32(low)) * np.float32(255 / (high - low))
    normalised: Bytes = np.rint(np.clip(stretched, 0, 255)).astype(np.uint8)
    return normalised


def extract(pixels: ImageArray, limit: int = MAX_POINTS) -> ImageFeatures:
    """Return what is remembered of an image.

    Args:
        pixels: H x W or H x W x 3, 8 or 16 bit.
        limit: the most points that are kept.
    """
    grey = normalise(pixels)
    enlarged = float(np.clip(_SMALL_SIDE / min(grey.shape), 1.0, 4.0))
    zoom = min(enlarged, math.sqrt(WORKING_PIXELS / grey.size))
    working = grey if zoom == 1 else _resize(grey, zoom)
    points, descriptors = _detect(working, limit)
    digest = b""
    if pixels.min() != pixels.max():
        head = f"{pixels.shape} {pixels.dtype}".encode()
        digest = hashlib.sha256(head + np.ascontiguousarray(pixels).tobytes()).digest()
    shape = (working.shape[0], working.shape[1])
    shrunk = math.sqrt(PICTURE_PIXELS / working.size)
    picture = _resize(working, shrunk) if shrunk < 1 else working
    return ImageFeatures(points, descriptors, shape, zoom, picture, _thumbnail(grey), digest)


def _resize(grey: Bytes, zoom: float) -> Bytes:
    size = (max(1, round(grey.shape[1] * zoom)), max(1, round(grey.shape[0] * zoom)))
    way = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    resized: Bytes = cv2.resize(grey, size, interpolation=way)
    return resized


@lru_cache(maxsize=1)
def _light_basis() -> Floats:
    """Return 576 x 15: orthonormal polynomials, to which cos^4 vignetting and gradients belong."""
    y, x = np.mgrid[-1 : 1 : THUMBNAIL_SIDE * 1j, -1 : 1 : THUMBNAIL_SIDE * 1j]
    degrees = range(_LIGHT_DEGREE + 1)
    terms = [(x**i * y**j).ravel() for i in degrees for j in degrees if i + j <= _LIGHT_DEGREE]
    basis: Floats = np.linalg.qr(np.stack(terms, 1))[0].astype(np.float32)
    return basis


def _thumbnail(grey: Bytes) -> Floats:
    side = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    small = cv2.resize(grey, side, interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    # The light falls off smoothly in every image of a camera; it says nothing about the part.
    basis = _light_basis()
    small -= basis @ (basis.T @ small)
    norm = float(np.linalg.norm(small))
    flat = norm < THUMBNAIL_SIDE  # less than one grey level of 255 a pixel
    return np.zeros(small.size, np.float32) if flat else small / np.float32(norm)


def _detect(working: Bytes, limit: int) -> tuple[Floats, Bytes]:
    sift = cv2.SIFT.create(nfeatures=_DETECTED, contrastThreshold=_CONTRAST)
    smooth = cv2.GaussianBlur(working, (0, 0), _SMOOTHED)
    keypoints, found = sift.detectAndCompute(smooth, None)
    if found is None:
        return np.zeros((0, 4), np.float32), np.zeros((0, 128), np.uint8)
    rows = [(*k.pt, k.size, math.radians(k.angle), k.response) for k in keypoints]
    points = np.array(rows, np.float32)
    order = _spread(points, working.shape[:2])[:limit]
    roots = np.sqrt(found[order] / np.maximum(found[order].sum(1, keepdims=True), 1))
    return points[order, :4], np.minimum(np.rint(roots * 512), 255).astype(np.uint8)


def _spread(points: Floats, shape: tuple[int, int]) -> NDArray[np.int64]:
    """Return the points in an order that takes the strongest of every cell of the image in turn.

    Else a holder with sharp edges would use up all points.
    """
    place = points[:, 1::-1] * _CELLS / np.array(shape)
    cells = np.clip(place.astype(np.int64), 0, _CELLS - 1) @ np.array([_CELLS, 1])
    order = np.lexsort((points[:, 0], points[:, 1], -points[:, 4], cells))
    starts = np.searchsorted(cells[order], cells[order])
    turns = np.arange(len(order)) - starts
    x, y, strength = points[order, 0], points[order, 1], points[order, 4]
    ranked = np.lexsort((x, y, -strength, turns))
    spread: NDArray[np.int64] = order[ranked]
    return spread


def mirror_points(points: Floats, width: int) -> Floats:
    """Return the points as they are in the image flipped left to right."""
    x, y, size, angle = points.T
    return np.stack([width - 1 - x, y, size, np.float32(np.pi) - angle], 1).astype(np.float32)


def mirror_descriptors(descriptors: Bytes) -> Bytes:
    """Return the descriptors of the flipped image: the rows of cells and the angles run backwards.

    The 4 x 4 cells of 8 angles turn with the point's own angle, so a flip of the image reverses
    what lies across it and leaves what lies along it.
    """
    cells = descriptors.reshape(-1, 4, 4, 8)[:, ::-1]
    return np.ascontiguousarray(cells[..., -np.arange(8) % 8]).reshape(-1, 128)


@contextmanager
def _single_threaded_opencv() -> Iterator[None]:
    """Images are read side by side; threads within one would only wait for each other."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def extract_all(
    paths: Sequence[Path], limit: int, done: Callable[[int], object]
) -> Iterator[ImageFeatures | str]:
    """Yield the features of each file in order, or why it cannot be read.

    Args:
        paths: the image files.
        limit: the most points that are kept of each.
        done: called with 1 after each file.
    """

    def one(path: Path) -> ImageFeatures | str:
        try:
            return extract(read_image(path), limit)
        except FlawsmithError as error:
            return str(error)

    with _single_threaded_opencv(), ThreadPoolExecutor(_THREADS) as threads:
        for first in range(0, len(paths), _AHEAD):
            for features in threads.map(one, paths[first : first + _AHEAD]):
                done(1)
                yield features
