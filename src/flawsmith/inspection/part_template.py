"""Finding a part by a template: normalised correlation, coarse to fine, over a range of angles."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from flawsmith.config import StrictModel
from flawsmith.data.images import ImageArray
from flawsmith.data.schema import PixelSize
from flawsmith.errors import FlawsmithError
from flawsmith.inspection.part_location import (
    PartLocation,
    PartNotFoundError,
    Places,
    SquareImage,
    Unit,
    rotation,
)

FINEST_PIXELS = 1 << 18
"""Pixels of the template at the finest level; below a pixel the peak is interpolated anyway."""

LEAST_SIDE = 16
"""Pixels of the template's shorter side at the coarsest level."""

LEVELS = 5
LEAD = 0.05
"""By how much the best place must correlate more than any other, at the coarsest level."""

FINER = (0.75, 0.3)
"""Spreads of the last rounds: a place between pixels correlates less, which bends the angle."""

MARGIN = 3  # pixels around the place of the level above
Grey = NDArray[np.float32]


class TemplateSettings(StrictModel):
    """How a part is found by a template.

    Attributes:
        image: file of the template: what is always there and seen once, such as a corner or mark.
        origin: x, y of the part's origin in pixels of the template; it may lie outside.
        max_angle: degrees by which the part may be turned either way.
        min_confidence: least normalised correlation.
    """

    method: Literal["template"] = "template"
    image: str = Field(min_length=1, max_length=200)
    origin: tuple[float, float] = (0.0, 0.0)
    max_angle: float = Field(default=5.0, ge=0.0, le=45.0)
    min_confidence: float = Field(default=0.7, gt=0.0, lt=1.0)


@dataclass(frozen=True)
class _Peak:
    """A place of the template: its middle in the image of a level, angle, and correlation."""

    middle: Places
    angle: float
    correlation: float


class TemplateLocator:
    """Looks for a template in the whole image, reduced, and follows the best place upwards.

    The confidence is the normalised correlation (-1 to 1) at the finest level, which neither
    brightness nor contrast changes.
    """

    def __init__(
        self, settings: TemplateSettings, template: ImageArray, pixel_size: PixelSize, unit: Unit
    ) -> None:
        """Prepare the template.

        Args:
            settings: how to look.
            template: cut out of an image of the same camera.
            pixel_size: of both, in ``unit``.
            unit: of part coordinates.

        Raises:
            FlawsmithError: if the template is too small or has no contrast.
        """
        self.settings = settings
        self.pixel_size = pixel_size
        self.unit = unit
        square = max(pixel_size.x, pixel_size.y)
        whole = SquareImage(template, pixel_size, square)
        height, width = whole.pixels.shape
        if min(height, width) < LEAST_SIDE or not float(whole.pixels.std()) > 0:
            raise FlawsmithError(
                f"a template of {width} x {height} square pixels cannot be found: it needs "
                f"{LEAST_SIDE} pixels a side, and contrast"
            )
        finest = max((height * width / FINEST_PIXELS) ** 0.5, 1.0)
        # Not below what still shows structure: 32 x 32 pixels in all.
        coarsest = min(min(height, width) / LEAST_SIDE, (height * width) ** 0.5 / 32)
        sizes = [finest]
        while len(sizes) < LEVELS and sizes[-1] * 2 <= coarsest:
            sizes.append(sizes[-1] * 2)
        self._sizes = [square * size for size in sizes]
        self._templates = [SquareImage(template, pixel_size, size) for size in self._sizes]
        self._middle = (np.array([template.shape[1], template.shape[0]]) - 1) / 2

    def locate(self, image: ImageArray) -> PartLocation:
        """Return where the part lies.

        Raises:
            PartNotFoundError: if the template does not fit anywhere, or fits in two places.
        """
        levels = [SquareImage(image, self.pixel_size, size) for size in self._sizes]
        template = self._templates[-1].pixels
        if any(a < b for a, b in zip(levels[-1].pixels.shape, template.shape, strict=True)):
            raise PartNotFoundError(
                f"part not found: the image of {image.shape[1]} x {image.shape[0]} pixels is "
                "smaller than the template"
            )
        peak = self._search(levels[-1].pixels, template)
        for i in reversed(range(len(levels))):
            if i + 1 < len(levels):
                given = levels[i + 1].to_given(peak.middle)
                peak = _Peak(levels[i].from_given(given), peak.angle, peak.correlation)
            peak = _refined(levels[i].pixels, self._templates[i].pixels, peak)
        for spread in FINER:
            peak = _refined(levels[0].pixels, self._templates[0].pixels, peak, spread)
        if peak.correlation < self.settings.min_confidence:
            raise PartNotFoundError(
                f"part not found: the template correlates with {peak.correlation:.2f} at best; "
                f"{self.settings.min_confidence:g} is asked for"
            )
        if abs(peak.angle) > self.settings.max_angle + 0.5:
            raise PartNotFoundError(
                f"part not found: the template fits at {peak.angle:.1f} degrees; at most "
                f"{self.settings.max_angle:g} are allowed"
            )
        middle = levels[0].to_given(peak.middle)
        at_middle = PartLocation(
            origin=(float(middle[0]), float(middle[1])),
            angle=peak.angle,
            unit=self.unit,
            pixel_size=self.pixel_size,
            confidence=min(peak.correlation, 1.0),
        )
        away = np.array(self.settings.origin) - self._middle
        away = away * (self.pixel_size.x, self.pixel_size.y)
        x, y = at_middle.to_image(away[None])[0].tolist()
        return at_middle.model_copy(update={"origin": (x, y)})

    def _search(self, pixels: Grey, template: Grey) -> _Peak:
        """Return the best place at the coarsest level."""
        height, width = template.shape
        # Neighbouring angles move the template's corners by a pixel.
        step = np.degrees(2.0 / np.hypot(height, width))
        count = int(np.ceil(self.settings.max_angle / step))
        best: tuple[float, float, Grey] | None = None
        for angle in np.linspace(-1, 1, 2 * count + 1) * self.settings.max_angle:
            found = _correlation(_upright(pixels, angle), template)
            if best is None or found.max() > best[0]:
                best = (float(found.max()), float(angle), found)
        assert best is not None
        top, angle, found = best
        y, x = np.unravel_index(int(found.argmax()), found.shape)
        others = found.copy()
        rows = slice(max(int(y) - height // 2, 0), int(y) + height // 2 + 1)
        others[rows, max(int(x) - width // 2, 0) : int(x) + width // 2 + 1] = -1.0
        if top - float(others.max()) < LEAD:
            raise PartNotFoundError(
                f"part not found: the template fits in two places alike ({top:.2f} and "
                f"{float(others.max()):.2f}), or in none; take one that is seen once"
            )
        turned = np.array([float(x) + (width - 1) / 2, float(y) + (height - 1) / 2])
        return _Peak(_from_upright(turned, pixels.shape, angle), angle, top)


def _frame(shape: tuple[int, ...], angle: float) -> tuple[int, int]:
    """Return width and height around a turned image."""
    height, width = shape[:2]
    corners = np.array([(width, height), (width, -height)]) @ rotation(angle)
    across, down = np.ceil(abs(corners).max(axis=0)).astype(int).tolist()
    return across, down


def _upright(pixels: Grey, angle: float) -> Grey:
    """Return an image in which what was turned by ``angle`` is upright."""
    across, down = _frame(pixels.shape, angle)
    centre = _from_upright(np.zeros(2), pixels.shape, angle)
    return _warp(pixels, centre, angle, across, down)


def _from_upright(place: Places, shape: tuple[int, ...], angle: float) -> Places:
    """Return where a place in the image of `_upright` lies in the original."""
    across, down = _frame(shape, angle)
    middle = (np.array(shape[1::-1]) - 1) / 2
    found: Places = rotation(angle) @ (place - (np.array([across, down]) - 1) / 2) + middle
    return found


def _warp(pixels: Grey, corner: Places, angle: float, width: int, height: int) -> Grey:
    """Return width x height pixels from ``corner`` on, along axes that are turned by ``angle``."""
    matrix = np.column_stack([rotation(angle), corner])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped: Grey = cv2.warpAffine(
        pixels, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return warped


def _correlation(pixels: Grey, template: Grey) -> Grey:
    """Return the normalised correlation at every place; -1 where the image has no contrast."""
    found = cv2.matchTemplate(pixels, template, cv2.TM_CCOEFF_NORMED)
    # Where both are nearly flat, rounding gives what no correlation can be.
    found[~(np.abs(found) <= 1.001)] = -1.0
    return np.asarray(found, np.float32)


def _refined(pixels: Grey, template: Grey, peak: _Peak, spread: float = 1.5) -> _Peak:
    """Return the best place near a peak, between the pixels and between the angles tried.

    Args:
        pixels: image of a level.
        template: of that level.
        peak: place in that image.
        spread: by how many pixels at the template's corners the angles tried differ from it.
    """
    height, width = template.shape
    offsets = np.degrees(2.0 / np.hypot(height, width)) * np.linspace(-spread, spread, 7)
    half = np.array([width - 1, height - 1]) / 2 + MARGIN
    tops, maps = [], []
    for angle in peak.angle + offsets:
        corner = peak.middle - rotation(angle) @ half
        window = _warp(pixels, corner, angle, width + 2 * MARGIN, height + 2 * MARGIN)
        maps.append(_correlation(window, template))
        tops.append(float(maps[-1].max()))
    best = int(np.argmax(tops))
    angle = peak.angle + offsets[best] + _vertex(tops, best) * (offsets[1] - offsets[0])
    found = maps[best]
    y, x = (int(i) for i in np.unravel_index(int(found.argmax()), found.shape))
    shift = np.array([x + _vertex(found[y].tolist(), x), y + _vertex(found[:, x].tolist(), y)])
    middle = peak.middle + rotation(angle) @ (shift - MARGIN)
    return _Peak(middle, float(angle), tops[best])


def _vertex(values: list[float], best: int) -> float:
    """Return where, from ``best`` on, the parabola through it and its neighbours is highest."""
    if not 0 < best < len(values) - 1:
        return 0.0
    left, middle, right = values[best - 1 : best + 2]
    bend = left - 2 * middle + right
    return 0.5 * (left - right) / bend if bend < 0 else 0.0
