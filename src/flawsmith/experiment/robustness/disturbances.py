"""What may change between the images that a model learned from and those that it meets.

The list follows Figure 15 of the DBS-GAN paper (rotation, scaling, shearing, colouring,
brightening) and its text (flipping), with gain, contrast, blur, noise and compression added. A
disturbance moves pixels, and their labels with them, or it changes their values; never both.

Strengths are ours: the paper gives none. Each has a neutral one that changes nothing.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.dataset import LabelMap
from flawsmith.data.images import ImageArray, LabelArray, from_unit, to_unit
from flawsmith.data.schema import IGNORE, Schema
from flawsmith.registry import Registry

Floats = NDArray[np.float32]
Group = Literal["geometry", "light", "sharpness"]
Linear = Callable[[float], NDArray[np.float64]]
Change = Callable[[Floats, float, np.random.Generator], Floats]

GROUPS: dict[Group, str] = {
    "geometry": "Place and shape",
    "light": "Light and colour",
    "sharpness": "Sharpness and noise",
}


@dataclass(frozen=True)
class Disturbance:
    """A change of images that can be more or less strong.

    Attributes:
        name: in commands and files.
        meaning: one sentence for the reader.
        strengths: tested ones, rising.
        neutral: the strength that changes nothing.
        text: how a strength is written.
        scale: title of an axis of strengths.
        by_factor: strengths are factors, so that 0.5 is as strong as 2.
        linear: strength to the 2 x 2 map of (x, y) offsets from the centre; None if no pixel moves.
        change: H x W x C in [0, 1] to the same, not clipped; None if no value changes.
    """

    name: str
    meaning: str
    group: Group
    strengths: tuple[float, ...]
    neutral: float
    text: str
    scale: str = ""
    by_factor: bool = False
    linear: Linear | None = None
    change: Change | None = None

    @property
    def strongest(self) -> float:
        """The strength farthest from the neutral one; of two as far the higher."""
        return max(self.strengths, key=lambda s: (round(self._distance(s), 9), s))

    def _distance(self, strength: float) -> float:
        if self.by_factor:
            return abs(math.log(strength / self.neutral))
        return abs(strength - self.neutral)

    def strength_text(self, strength: float) -> str:
        """Return a strength as it is read, such as 15°."""
        if self.name == "flip":
            return {1.0: "left to right", 2.0: "top to bottom"}.get(strength, "none")
        return self.text.format(strength)

    def size(self, height: int, width: int, strength: float) -> tuple[int, int]:
        """Return (height, width) of a disturbed image: what holds the whole original."""
        if self.linear is None or strength == self.neutral:
            return height, width
        reach = np.abs(self.linear(strength)) @ np.array([width, height], np.float64)
        # Rounding errors of a sine must not add a row.
        new_width, new_height = (math.ceil(side - 1e-6) for side in reach)
        return max(new_height, 1), max(new_width, 1)

    def image(
        self, image: ImageArray, strength: float, schema: Schema, rng: np.random.Generator
    ) -> ImageArray:
        """Return the disturbed pixels, in the schema's depth and channels.

        Beyond the border of the original it is mirrored, as in training. The neutral strength
        returns the very pixels.
        """
        if strength == self.neutral:
            return image
        unit = to_unit(image, schema)
        if self.change is not None:
            return from_unit(self.change(unit, strength, rng), schema)
        matrix, size = self._map(unit.shape, strength)
        moved = cv2.warpAffine(
            unit, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )
        return from_unit(moved.reshape(size[1], size[0], -1).astype(np.float32), schema)

    def label_map(self, given: LabelMap, strength: float) -> LabelMap:
        """Return what is where in the disturbed image; 255 where it was outside the original."""
        if self.linear is None or strength == self.neutral:
            return given
        return LabelMap(
            self._moved(given.defects, strength), self._moved(given.backgrounds, strength)
        )

    def _moved(self, indices: LabelArray, strength: float) -> LabelArray:
        matrix, size = self._map(indices.shape, strength)
        moved = cv2.warpAffine(
            indices, matrix, size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT,
            borderValue=(IGNORE,),
        )  # fmt: skip
        return cast(LabelArray, moved)

    def _map(
        self, shape: tuple[int, ...], strength: float
    ) -> tuple[NDArray[np.float64], tuple[int, int]]:
        """Return the 2 x 3 map of (x, y), centre on centre, and (width, height) of its result."""
        assert self.linear is not None
        height, width = shape[:2]
        new_height, new_width = self.size(height, width, strength)
        linear = self.linear(strength)
        before = np.array([width - 1, height - 1]) / 2
        after = np.array([new_width - 1, new_height - 1]) / 2
        return np.column_stack([linear, after - linear @ before]), (new_width, new_height)


DISTURBANCES: Registry[Disturbance] = Registry("disturbance")


def in_order() -> list[Disturbance]:
    """Return all disturbances as they are shown: by group."""
    order = list(GROUPS)
    return sorted((d for _, d in DISTURBANCES), key=lambda d: order.index(d.group))


def _geometric(
    name: str,
    strengths: tuple[float, ...],
    neutral: float,
    text: str,
    scale: str,
    *,
    by_factor: bool = False,
) -> Callable[[Linear], Linear]:
    """Return the decorator that files a map of places; its docstring is the meaning."""

    def add(linear: Linear) -> Linear:
        meaning = (linear.__doc__ or "").strip()
        DISTURBANCES.register(name)(
            Disturbance(
                name, meaning, "geometry", strengths, neutral, text, scale, by_factor, linear
            )
        )
        return linear

    return add


def _of_values(
    name: str,
    group: Group,
    strengths: tuple[float, ...],
    neutral: float,
    text: str,
    scale: str,
    *,
    by_factor: bool = False,
) -> Callable[[Change], Change]:
    """Return the decorator that files a change of pixel values; its docstring is the meaning."""

    def add(change: Change) -> Change:
        meaning = (change.__doc__ or "").strip()
        DISTURBANCES.register(name)(
            Disturbance(
                name, meaning, group, strengths, neutral, text, scale, by_factor, change=change
            )
        )
        return change

    return add


@_geometric("rotation", (5.0, 15.0, 45.0), 0.0, "{:g}°", "degrees")
def rotation(strength: float) -> NDArray[np.float64]:
    """Turned counter-clockwise; the picture grows so that nothing is cut off."""
    angle = math.radians(strength)
    return np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])


@_geometric("scaling", (0.7, 0.85, 1.2, 1.4), 1.0, "x {:g}", "factor", by_factor=True)
def scaling(strength: float) -> NDArray[np.float64]:
    """Nearer to the camera or farther from it, the whole image larger or smaller."""
    return np.eye(2) * strength


@_geometric("shearing", (5.0, 10.0, 20.0), 0.0, "{:g}°", "degrees")
def shearing(strength: float) -> NDArray[np.float64]:
    """Rows shifted against each other: a part that runs slantwise past a line camera."""
    return np.array([[1.0, math.tan(math.radians(strength))], [0.0, 1.0]])


@_geometric("flip", (1.0, 2.0), 0.0, "{:g}", "axis")
def flip(strength: float) -> NDArray[np.float64]:
    """Mirrored."""
    return np.diag([-1.0, 1.0] if strength == 1.0 else [1.0, -1.0])


@_of_values("gain", "light", (0.6, 0.8, 1.25), 1.0, "x {:g}", "factor", by_factor=True)
def gain(image: Floats, strength: float, rng: np.random.Generator) -> Floats:
    """All light times a factor: a lamp that ages, a shorter exposure."""
    return image * np.float32(strength)


@_of_values("brightening", "light", (0.1, 0.2, 0.3), 0.0, "+ {:g}", "share of full scale")
def brightening(image: Floats, strength: float, rng: np.random.Generator) -> Floats:
    """A share of full scale added: stray light."""
    return image + np.float32(strength)


@_of_values("contrast", "light", (0.5, 0.75, 1.5), 1.0, "x {:g}", "factor", by_factor=True)
def contrast(image: Floats, strength: float, rng: np.random.Generator) -> Floats:
    """Differences from the image's mean times a factor."""
    mean = np.float32(image.mean())
    return np.asarray((image - mean) * np.float32(strength) + mean, np.float32)


@_of_values("colouring", "light", (0.5, 0.7, 1.4, 2.0), 1.0, "power {:g}", "power", by_factor=True)
def colouring(image: Floats, strength: float, rng: np.random.Generator) -> Floats:
    """Another tone curve: grey to a power; in colour blue so and red the other way."""
    powers = [strength] if image.shape[2] == 1 else [1 / strength, 1.0, strength]
    return image ** np.array(powers, np.float32)


@_of_values("blur", "sharpness", (1.0, 2.0, 3.0), 0.0, "sigma {:g} px", "sigma in pixels")
def blur(image: Floats, strength: float, rng: np.random.Generator) -> Floats:
    """Out of focus: a Gaussian."""
    blurred = cv2.GaussianBlur(image, (0, 0), strength, borderType=cv2.BORDER_REFLECT_101)
    return cast(Floats, blurred.reshape(image.shape))


@_of_values("motion_blur", "sharpness", (3.0, 7.0, 11.0), 1.0, "{:g} px", "pixels")
def motion_blur(image: Floats, strength: float, rng: np.random.Generator) -> Floats:
    """The mean along a row: the part moves while the shutter is open."""
    window = (round(strength), 1)
    blurred = cv2.blur(image, window, borderType=cv2.BORDER_REFLECT_101)
    return cast(Floats, blurred.reshape(image.shape))


@_of_values(
    "noise", "sharpness", (0.02, 0.05, 0.1), 0.0, "sigma {:g}", "sigma, share of full scale"
)
def noise(image: Floats, strength: float, rng: np.random.Generator) -> Floats:
    """Gaussian noise of the sensor, as a share of full scale."""
    return image + rng.standard_normal(image.shape, np.float32) * np.float32(strength)


@_of_values("jpeg", "sharpness", (10.0, 20.0, 50.0), 100.0, "quality {:g}", "quality")
def jpeg(image: Floats, strength: float, rng: np.random.Generator) -> Floats:
    """Compressed with loss, in 8 bits."""
    pixels = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    bgr = pixels[..., ::-1] if pixels.shape[2] == 3 else pixels
    _, data = cv2.imencode(
        ".jpg", np.ascontiguousarray(bgr), [cv2.IMWRITE_JPEG_QUALITY, round(strength)]
    )
    decoded = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    values: Floats = np.asarray(decoded, np.float32).reshape(image.shape) / np.float32(255)
    return values[..., ::-1] if image.shape[2] == 3 else values
