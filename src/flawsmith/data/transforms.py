"""The paper's augmentation, applied jointly to an image and its label map.

Crop, rotation, scaling, shift and mirror are one affine map and so one interpolation: what is
one pixel wide stays visible. OpenCV does it, as in the paper.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from flawsmith.config import StrictModel
from flawsmith.data.dataset import LabelMap

Floats = NDArray[np.float32]


class AugmentationConfig(StrictModel):
    """The paper's augmentation, applied jointly to image and label (zero switches a term off).

    Attributes:
        rotation: largest angle, degrees.
        translation: largest shift, share of the tile.
        scaling: largest relative change of size (0.1: 0.9 to 1.1).
        flip: mirror left-right and top-bottom, each with probability one half ("inversion").
        brightness: largest added offset, of the full scale.
        contrast: largest relative change of contrast.
        noise: largest standard deviation of added noise, of the full scale.
    """

    rotation: float = Field(default=0.0, ge=0, le=180)
    translation: float = Field(default=0.0, ge=0, le=1)
    scaling: float = Field(default=0.0, ge=0, lt=1)
    flip: bool = False
    brightness: float = Field(default=0.0, ge=0, le=1)
    contrast: float = Field(default=0.0, ge=0, lt=1)
    noise: float = Field(default=0.0, ge=0, le=1)


@dataclass(frozen=True)
class View:
    """How a tile looks at an image: where, how large, how turned.

    Attributes:
        centre: (y, x) in pixels of the image, shown at the middle of the tile.
        angle: degrees, counter-clockwise.
        scale: tile pixels per image pixel.
    """

    centre: tuple[float, float]
    angle: float = 0.0
    scale: float = 1.0
    flip_x: bool = False
    flip_y: bool = False

    def matrix(self, size: int) -> NDArray[np.float64]:
        """Return the 2 x 3 affine map from image to tile coordinates (x, y)."""
        angle = np.deg2rad(self.angle)
        cosine, sine = np.cos(angle) * self.scale, np.sin(angle) * self.scale
        linear = np.array([[cosine, sine], [-sine, cosine]])
        linear[0] *= -1.0 if self.flip_x else 1.0
        linear[1] *= -1.0 if self.flip_y else 1.0
        middle = np.full(2, (size - 1) / 2)
        return np.column_stack([linear, middle - linear @ np.array(self.centre[::-1])])


def draw_view(
    config: AugmentationConfig, centre: tuple[float, float], size: int, rng: np.random.Generator
) -> View:
    """Return a random view around ``centre`` within the limits of the configuration."""
    shift = rng.uniform(-config.translation, config.translation, 2) * size
    flips = rng.random(2) < 0.5
    return View(
        centre=(centre[0] + float(shift[0]), centre[1] + float(shift[1])),
        angle=float(rng.uniform(-config.rotation, config.rotation)),
        scale=1.0 + float(rng.uniform(-config.scaling, config.scaling)),
        flip_x=config.flip and bool(flips[0]),
        flip_y=config.flip and bool(flips[1]),
    )


def cut(image: Floats, label_map: LabelMap, view: View, size: int) -> tuple[Floats, LabelMap]:
    """Return the size x size tile that ``view`` shows; beyond its border an image is mirrored.

    Args:
        image: H x W x C.
        label_map: H x W, sampled at the nearest pixel so that no class is invented.
        view: what to look at.
        size: side of the tile in pixels.
    """
    matrix, shape = view.matrix(size), (size, size)
    straight = view.angle == 0.0 and view.scale == 1.0
    smooth = cv2.INTER_NEAREST if straight else cv2.INTER_LINEAR
    border = cv2.BORDER_REFLECT_101
    tile = cv2.warpAffine(image, matrix, shape, flags=smooth, borderMode=border)
    labels = [
        cv2.warpAffine(indices, matrix, shape, flags=cv2.INTER_NEAREST, borderMode=border)
        for indices in (label_map.defects, label_map.backgrounds)
    ]
    return tile.reshape(size, size, -1), LabelMap(*labels)


def change_light(tile: Floats, config: AugmentationConfig, rng: np.random.Generator) -> Floats:
    """Return the tile with changed brightness, contrast and noise, clipped to [0, 1]."""
    contrast = 1.0 + rng.uniform(-config.contrast, config.contrast)
    offset = rng.uniform(-config.brightness, config.brightness)
    sigma = rng.uniform(0.0, config.noise)
    if contrast != 1.0 or offset != 0.0:
        tile = (tile - tile.mean()) * np.float32(contrast) + tile.mean() + np.float32(offset)
    if sigma > 0.0:
        tile = tile + rng.standard_normal(tile.shape, np.float32) * np.float32(sigma)
    return np.asarray(np.clip(tile, 0.0, 1.0), np.float32)
