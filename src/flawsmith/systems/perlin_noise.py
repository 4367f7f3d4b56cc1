"""Perlin-noise defects (Zavrtanik et al. 2021, DRAEM): no class is imitated, nothing is trained.

Inside the drawn mask, or in patches of it cut out by thresholded Perlin noise, another texture is
blended onto a real background with a random opacity. What nobody could see is drawn anew (D94).
"""

from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from flawsmith.config import StrictModel
from flawsmith.data.images import BoolArray, LabelArray
from flawsmith.data.schema import IGNORE, Schema
from flawsmith.errors import FlawsmithError
from flawsmith.systems.base import SYSTEMS, SampleRequest, Samples
from flawsmith.systems.untrained import UntrainedSystem
from flawsmith.training.config import RunConfig

Floats = NDArray[np.float32]

LEAST_SHARE = 0.25
"""If the noise leaves less of a drawn mask than this, the whole of it is used: it is a speck."""

SATELLITE_REACH = 4
"""Pieces of a class at most twice as many pixels apart are one defect: a splash, scaled by 2."""

DRAWS = 100
"""Of texture and opacity, at most; by default one of seven is too faint on an even surface."""

GREY_LEVELS = 127.5
"""Of 8 bits, in a change by 1 of images in [-1, 1]."""


class PerlinNoiseDefect(StrictModel):
    """Shape and look of the defects.

    Attributes:
        shape: perlin: patches of the drawn mask where the noise is high; mask: all of it.
        threshold: of the noise, whose usual range is -1 to 1; the higher, the smaller the patches.
        largest_period: pixels of the coarsest noise; a power of two down to 2 is drawn.
        opacity: least and most; 1 hides the background.
        grid: the texture is the background cut into so many blocks a side, which are shuffled.
        brightness: largest random offset of the texture, of the full scale.
        contrast: largest random relative change of its contrast.
        edge: pixels outside the mask over which it fades out.
        least_change: of the labelled pixels of a defect, their mean in grey levels of 255; 0: any.
    """

    shape: Literal["perlin", "mask"] = "perlin"
    threshold: float = Field(default=0.0, ge=-1, le=1)
    largest_period: int = Field(default=32, ge=2)
    opacity: tuple[float, float] = (0.15, 1.0)
    grid: int = Field(default=4, ge=1)
    brightness: float = Field(default=0.3, ge=0, le=1)
    contrast: float = Field(default=0.5, ge=0, lt=1)
    edge: float = Field(default=1.0, ge=0)
    least_change: float = Field(default=5.0, ge=0, le=255)


class PerlinNoiseConfig(RunConfig):
    """Configuration of a Perlin-noise run; of ``training`` only the tile size means anything."""

    defect: PerlinNoiseDefect = PerlinNoiseDefect()


@SYSTEMS.register("perlin_noise")
class PerlinNoise(UntrainedSystem):
    """Perlin-noise patches of another texture on real backgrounds; nothing is trained."""

    config_class = PerlinNoiseConfig
    size_multiple = 1
    needs = frozenset({"background_images"})

    def __init__(self, config: PerlinNoiseConfig, schema: Schema) -> None:
        super().__init__()
        self.config = config
        self.schema = schema
        if config.defect.shape == "perlin":
            self.cuts_masks_unless = "defect.shape=mask"

    def sample(self, request: SampleRequest, seeds: Tensor) -> Samples:
        """Return one image a label map; the label shrinks to the patches, not their soft edge.

        Raises:
            FlawsmithError: if the configured look cannot be seen on one of the backgrounds.
        """
        if request.background_images is None:
            raise ValueError("perlin_noise needs background_images")
        images, labels = [], []
        for background, defects, seed in zip(
            request.background_images, request.defects, seeds, strict=True
        ):
            image, label = disturb(
                background.permute(1, 2, 0).float().cpu().numpy(),
                defects.cpu().numpy().astype(np.uint8),
                self.config.defect,
                np.random.default_rng(int(seed)),
            )
            images.append(image.transpose(2, 0, 1))
            labels.append(label)
        return Samples(
            images=torch.from_numpy(np.stack(images)).to(request.background_images.device),
            defects=torch.from_numpy(np.stack(labels)).to(request.defects),
            backgrounds=request.backgrounds,
            mask_source="conditioning",
            seeds=seeds,
            layers={"background": request.background_images},
        )


def disturb(
    background: Floats, defects: LabelArray, look: PerlinNoiseDefect, rng: np.random.Generator
) -> tuple[Floats, LabelArray]:
    """Return the image and the label map of what was changed.

    Args:
        background: H x W x C in [-1, 1].
        defects: H x W, the drawn label map.
        look: of the defects.
        rng: everything random is drawn from it.

    Raises:
        FlawsmithError: if no texture and opacity change the labelled pixels as much as is asked.
    """
    places = _each_defect(defects)
    if look.shape == "perlin":
        places = _where_high(places, look, rng)
    mask = np.zeros(defects.shape, np.bool_)
    for place in places:
        mask |= place
    texture, opacity = _visible_texture(background, places, look, rng)
    distance = np.full(mask.shape, np.inf, np.float32)
    if mask.any():
        outside = (~mask).astype(np.uint8)
        distance = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    alpha = np.clip(1.0 - distance / (look.edge + 1.0), 0.0, 1.0) * opacity
    mixed = background + alpha[..., None].astype(np.float32) * (texture - background)
    image = np.where(alpha[..., None] > 0, mixed, background)
    kept = np.where(mask | (defects == IGNORE), defects, 0).astype(np.uint8)
    return np.ascontiguousarray(image, np.float32), kept


def perlin(shape: tuple[int, int], period: int, rng: np.random.Generator) -> Floats:
    """Return H x W gradient noise, about -1 to 1 (Perlin 1985, with the fade of 2002).

    Args:
        shape: height and width.
        period: pixels between the points of the lattice, where the noise is 0.
        rng: draws the gradients and where the lattice begins.
    """
    rows, columns = (-(-length // period) + 2 for length in shape)
    angles = rng.uniform(0, 2 * np.pi, (rows, columns))
    gradients = np.stack([np.sin(angles), np.cos(angles)], axis=-1)
    start = rng.integers(0, period, 2)
    y = (np.arange(shape[0]) + start[0]) / period
    x = (np.arange(shape[1]) + start[1]) / period
    whole_y, whole_x = np.floor(y).astype(int), np.floor(x).astype(int)
    dy, dx = (y - whole_y)[:, None], (x - whole_x)[None]
    corners = []
    for j in (0, 1):
        for i in (0, 1):
            at = gradients[(whole_y + j)[:, None], (whole_x + i)[None]]
            corners.append(at[..., 0] * (dy - j) + at[..., 1] * (dx - i))
    fade_y, fade_x = (t**3 * (t * (6 * t - 15) + 10) for t in (dy, dx))
    upper = corners[0] + fade_x * (corners[1] - corners[0])
    lower = corners[2] + fade_x * (corners[3] - corners[2])
    return np.asarray(np.sqrt(2.0) * (upper + fade_y * (lower - upper)), np.float32)


def _each_defect(defects: LabelArray) -> list[BoolArray]:
    """Return the H x W mask of each defect: the regions of a class, with their satellites."""
    places = []
    size = 2 * SATELLITE_REACH + 1
    for class_id in np.unique(defects[(defects > 0) & (defects != IGNORE)]):
        mask = defects == class_id
        grown = cv2.dilate(mask.astype(np.uint8), np.ones((size, size), np.uint8))
        count, regions = cv2.connectedComponents(grown, connectivity=8)
        places += [mask & (regions == index) for index in range(1, count)]
    return places


def _where_high(
    places: list[BoolArray], look: PerlinNoiseDefect, rng: np.random.Generator
) -> list[BoolArray]:
    """Return the patches of each defect where the noise is high, or all of it if few are."""
    if not places:
        return []
    powers = int(np.log2(look.largest_period))
    high = perlin(places[0].shape, 2 ** int(rng.integers(1, powers + 1)), rng) > look.threshold
    patches = []
    for drawn in places:
        cut = drawn & high
        enough = np.count_nonzero(cut) >= max(1.0, LEAST_SHARE * np.count_nonzero(drawn))
        patches.append(cut if enough else drawn)
    return patches


def _visible_texture(
    background: Floats, places: list[BoolArray], look: PerlinNoiseDefect, rng: np.random.Generator
) -> tuple[Floats, float]:
    """Return a texture and an opacity that change every defect enough to be seen.

    Raises:
        FlawsmithError: if none of many does.
    """
    for _ in range(DRAWS):
        texture = _texture(background, look, rng)
        opacity = rng.uniform(*look.opacity)
        change = GREY_LEVELS * opacity * np.abs(texture - background).mean(axis=2)
        if all(change[place].mean() >= look.least_change for place in places):
            return texture, opacity
    raise FlawsmithError(
        f"perlin_noise: none of {DRAWS} textures changed a surface by the {look.least_change:g} "
        "grey levels that can be seen; raise defect.brightness, defect.contrast or defect.opacity, "
        "or lower defect.least_change"
    )


def _texture(background: Floats, look: PerlinNoiseDefect, rng: np.random.Generator) -> Floats:
    """Return the background with its blocks shuffled and mirrored, in another light."""
    height, width = background.shape[:2]
    rows = np.linspace(0, height, look.grid + 1).astype(int)
    columns = np.linspace(0, width, look.grid + 1).astype(int)
    blocks = [(i, j) for i in range(look.grid) for j in range(look.grid)]
    texture = np.empty_like(background)
    for (i, j), other in zip(blocks, rng.permutation(len(blocks)).tolist(), strict=True):
        place = (slice(rows[i], rows[i + 1]), slice(columns[j], columns[j + 1]))
        k, m = blocks[other]
        block = background[rows[k] : rows[k + 1], columns[m] : columns[m + 1]][::-1]
        size = (place[1].stop - place[1].start, place[0].stop - place[0].start)
        if min(size) > 0 and min(block.shape[:2]) > 0:
            same = np.ascontiguousarray(block)
            scaled = cv2.resize(same, tuple(map(int, size)), interpolation=cv2.INTER_LINEAR)
            texture[place] = scaled.reshape(texture[place].shape)
    mean = texture.mean(axis=(0, 1))
    contrast = 1.0 + rng.uniform(-look.contrast, look.contrast)
    # The full scale is 2 on images in [-1, 1].
    offset = 2.0 * rng.uniform(-look.brightness, look.brightness, background.shape[2])
    return np.asarray(np.clip((texture - mean) * contrast + mean + offset, -1.0, 1.0), np.float32)
