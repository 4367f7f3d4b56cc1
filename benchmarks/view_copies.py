"""Altered copies of images, as people make them to enlarge a data set: for the views benchmark."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.pouch import render_frame, render_tile

Pixels = NDArray[np.uint8]
Change = Callable[[Pixels, np.random.Generator], Pixels]

SIDE = 512


def base(number: int) -> Pixels:
    """Return a simulated surface of its own: every tenth a whole small cell, else 512 x 512."""
    if number % 10 == 9:
        return render_frame(7, number, 0, 600, 800)[0]
    return render_tile(7, number, 0, None, SIDE)[0]


def grain(rng: np.random.Generator, height: int, width: int) -> Pixels:
    """Return a surface of noise at three scales, stretched in a random direction; quick to make."""
    total = np.full((height, width), 120.0, np.float32)
    for size, contrast in ((1.0, 12.0), (4.0, 12.0), (16.0, 12.0)):
        stretched = (size * rng.uniform(1, 3), size)[:: rng.choice([-1, 1])]
        small = max(1, round(size / 2))
        noise = rng.standard_normal((height // small + 1, width // small + 1)).astype(np.float32)
        layer = cv2.GaussianBlur(noise, (0, 0), stretched[0] / small, sigmaY=stretched[1] / small)
        total += contrast * cv2.resize(layer / layer.std(), (width, height))
    return np.clip(total, 0, 255).astype(np.uint8)


def _turn(image: Pixels, degrees: float, scale: float, border: int) -> Pixels:
    height, width = image.shape
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, scale)
    grey = float(np.median(image))
    return cv2.warpAffine(image, matrix, (width, height), borderMode=border, borderValue=grey)


def quarter_turn(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Turn by 90, 180 or 270 degrees."""
    return np.ascontiguousarray(np.rot90(image, int(rng.integers(1, 4))))


def rotation(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Turn by any angle, the corners filled with one grey value or by reflection."""
    border = [cv2.BORDER_CONSTANT, cv2.BORDER_REFLECT_101][int(rng.integers(2))]
    return _turn(image, rng.uniform(-180, 180), 1.0, border)


def mirror(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Flip left to right or top to bottom."""
    return np.ascontiguousarray(image[:, ::-1] if rng.random() < 0.5 else image[::-1])


def mirror_rotation(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Flip, then turn by any angle."""
    return rotation(mirror(image, rng), rng)


def crop(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Cut out half of both sides up to nine tenths of them."""
    size = [round(side * rng.uniform(0.5, 0.9)) for side in image.shape]
    top, left = (int(rng.integers(s - n + 1)) for s, n in zip(image.shape, size, strict=True))
    return image[top : top + size[0], left : left + size[1]].copy()


def shrink(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Resize to 50 to 90 %."""
    zoom = rng.uniform(0.5, 0.9)
    return cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)


def enlarge(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Cut out two thirds and resize them to 120 to 180 %."""
    height, width = (side * 2 // 3 for side in image.shape)
    zoom = rng.uniform(1.2, 1.8)
    cut = image[-height:, -width:]
    return cv2.resize(cut, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)


def blend_surface(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Mix with up to 35 % of another simulated surface that is in no set."""
    other = render_tile(7, 100_000 + int(rng.integers(100_000)), 0, None, SIDE)[0]
    other = cv2.resize(other, image.shape[::-1])
    weight = rng.uniform(0.2, 0.35)
    return cv2.addWeighted(image, 1 - weight, other, weight, 0)


def blend_flat(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Mix with 35 % of one grey value."""
    return cv2.addWeighted(image, 0.65, np.full_like(image, int(rng.integers(256))), 0.35, 0)


def relight(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Change gain and gamma and let the light fall off to one side."""
    unit = image.astype(np.float32) / 255
    across = np.linspace(rng.uniform(0.4, 1.0), 1.2, image.shape[1], dtype=np.float32)
    lit = rng.uniform(0.7, 1.3) * unit ** rng.uniform(0.6, 1.6) * across
    return np.clip(lit * 255, 0, 255).astype(np.uint8)


def blur(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Blur with a sigma of 0.8 to 2 pixels."""
    return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.8, 2.0))


def noise(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Add Gaussian noise of 4 to 10 grey levels."""
    noisy = image + rng.normal(0, rng.uniform(4, 10), image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def jpeg(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Compress with a quality of 25 to 60."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 61))]
    return cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], cv2.IMREAD_GRAYSCALE)


def several(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Mirror or not, turn, scale, cut, relight, compress: one after the other."""
    turned = _turn(image, rng.uniform(-180, 180), rng.uniform(0.8, 1.2), cv2.BORDER_REFLECT_101)
    turned = mirror(turned, rng) if rng.random() < 0.5 else turned
    inner = [slice(side // 8, -side // 8) for side in image.shape]
    return jpeg(relight(np.ascontiguousarray(turned[inner[0], inner[1]]), rng), rng)


CHANGES: tuple[Change, ...] = (
    quarter_turn, rotation, mirror, mirror_rotation, crop, shrink, enlarge, blend_surface,
    blend_flat, relight, blur, noise, jpeg, several,
)  # fmt: skip
