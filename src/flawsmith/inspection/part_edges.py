"""Finding a rectangular part by its edges: brighter or darker than what it lies on."""

import math
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from flawsmith.config import StrictModel
from flawsmith.data.images import ImageArray
from flawsmith.data.schema import PixelSize
from flawsmith.inspection.part_location import (
    PartLocation,
    PartNotFoundError,
    Places,
    SquareImage,
    Unit,
    rotation,
)

MOST_PIXELS = 1024
"""The part is looked for in an image that is reduced to this longer side."""

BLUR = 2.0  # reduced pixels: woven belts and grain are finer
BAND = 0.1
"""Share of the shorter side within which an edge is looked for around the rough rectangle."""

STEP = 5  # reduced pixels on either side of an edge whose brightness is compared
RISE = np.repeat(np.array([-1.0, 0.0, 1.0], np.float32), (STEP, 1, STEP)) / STEP
GAP = 31  # reduced pixels: shadows along an edge up to this width do not count
CORNER = 0.15
"""Share of each side, at both ends, that is left out because corners are round."""


class EdgeSettings(StrictModel):
    """How a part is found by its edges. It must lie wholly in the image.

    Attributes:
        part: what the part is against its surroundings.
        size: along the part's x and y axes, in the unit of the zones.
        tolerance: by which share either side may differ.
        max_angle: degrees by which the part may be turned.
        min_confidence: least product of how well the sides agree (shorter by longer, the worse of
            the two) and of the IoU of the area found and the rectangle fitted to it.
    """

    method: Literal["edges"] = "edges"
    part: Literal["bright", "dark"] = "bright"
    size: tuple[float, float]
    tolerance: float = Field(default=0.05, gt=0.0, le=0.5)
    max_angle: float = Field(default=10.0, gt=0.0, le=44.0)
    min_confidence: float = Field(default=0.85, gt=0.0, le=1.0)


class EdgeLocator:
    """Finds the largest bright or dark area by Otsu's threshold and fits a line to each side.

    The origin of the part coordinates is the upper left corner of a rectangle of the stated size,
    put where its middle agrees with the middle of the edges.
    """

    def __init__(self, settings: EdgeSettings, pixel_size: PixelSize, unit: Unit) -> None:
        """Look for a part as told; the size of a pixel is in the unit of the settings' size."""
        self.settings = settings
        self.pixel_size = pixel_size
        self.unit = unit

    def locate(self, image: ImageArray) -> PartLocation:
        """Return where the part lies.

        Raises:
            PartNotFoundError: if nothing, or something of another size or angle, is there.
        """
        height, width = image.shape[:2]
        longest = max(width * self.pixel_size.x, height * self.pixel_size.y)
        least = max(self.pixel_size.x, self.pixel_size.y)
        reduced = SquareImage(image, self.pixel_size, max(longest / MOST_PIXELS, least))
        mask = self._largest(reduced.pixels)
        rough = _fit_sides(*_sides_of(_outer(mask).astype(np.float64)))
        sign = 1 if self.settings.part == "bright" else -1
        edges = _outermost_edges(reduced.pixels, *rough, sign)
        angle, centre, sides = _fit_sides(rough[0], rough[1], edges)
        measured = sides * reduced.size
        confidence = self._check(measured, angle, _agreement(mask, angle, centre, sides))
        middle = reduced.to_given(centre[None])[0]
        at_middle = PartLocation(
            origin=(float(middle[0]), float(middle[1])),
            angle=angle,
            unit=self.unit,
            pixel_size=self.pixel_size,
            confidence=confidence,
        )
        x, y = at_middle.to_image(-np.array([self.settings.size]) / 2)[0].tolist()
        return at_middle.model_copy(update={"origin": (x, y)})

    def _largest(self, pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return the mask of the largest area that is bright (or dark), without holes."""
        blurred = cv2.GaussianBlur(pixels, (0, 0), BLUR)
        low, high = float(blurred.min()), float(blurred.max())
        if not high > low:
            raise PartNotFoundError("part not found: the image is all of one brightness")
        grey = ((blurred - low) * (255.0 / (high - low))).astype(np.uint8)
        kind = cv2.THRESH_BINARY if self.settings.part == "bright" else cv2.THRESH_BINARY_INV
        mask = cv2.threshold(grey, 0, 1, kind | cv2.THRESH_OTSU)[1]
        mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
        _, labels, figures, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
        if len(figures) < 2:
            raise PartNotFoundError(f"part not found: nothing {self.settings.part} is in the image")
        number = 1 + int(figures[1:, cv2.CC_STAT_AREA].argmax())
        x, y, w, h = figures[number, :4].tolist()
        height, width = mask.shape
        if min(x, y) < 1 or x + w > width - 1 or y + h > height - 1:
            raise PartNotFoundError(
                f"part not found: the largest {self.settings.part} area reaches the border of the "
                "image; the part must lie wholly in it"
            )
        single = np.pad((labels == number).astype(np.uint8), GAP)
        single = cv2.morphologyEx(single, cv2.MORPH_CLOSE, np.ones((GAP, GAP), np.uint8))
        single = np.ascontiguousarray(single[GAP:-GAP, GAP:-GAP])
        filled: NDArray[np.uint8] = cv2.drawContours(single, [_outer(single)], -1, 1, cv2.FILLED)
        return filled

    def _check(self, measured: Places, angle: float, agreement: float) -> float:
        """Return the confidence, or raise if this is not the part."""
        expected = np.array(self.settings.size)
        words = " x ".join(f"{value:.4g}" for value in measured)
        ratio = float(np.minimum(measured / expected, expected / measured).min())
        if (abs(measured / expected - 1) > self.settings.tolerance).any():
            raise PartNotFoundError(
                f"part not found: the largest {self.settings.part} area is {words} {self.unit}; "
                f"expected {expected[0]:.4g} x {expected[1]:.4g} "
                f"within {self.settings.tolerance:.0%}"
            )
        if abs(angle) > self.settings.max_angle:
            raise PartNotFoundError(
                f"part not found: an area of its size is turned by {angle:.1f} degrees; at most "
                f"{self.settings.max_angle:g} are allowed"
            )
        confidence = ratio * agreement
        if confidence < self.settings.min_confidence:
            raise PartNotFoundError(
                f"part not found: an area of its size is no rectangle (confidence "
                f"{confidence:.2f}, at least {self.settings.min_confidence:g} is asked for)"
            )
        return confidence


def _agreement(mask: NDArray[np.uint8], angle: float, centre: Places, sides: Places) -> float:
    """Return the IoU of an area and a rectangle."""
    x, y = centre.tolist()
    width, height = sides.tolist()
    corners = cv2.boxPoints(((x, y), (width, height), angle))
    drawn = cv2.fillPoly(np.zeros_like(mask), [np.rint(corners).astype(np.int32)], 1)
    return float(np.count_nonzero(drawn & mask) / np.count_nonzero(drawn | mask))


def _outer(mask: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return the N x 2 outline of the largest area of a mask."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    largest: NDArray[np.int32] = max(contours, key=cv2.contourArea)
    return largest.reshape(-1, 2)


def _sides_of(outline: Places) -> tuple[float, Places, list[Places]]:
    """Return angle and centre of a rough rectangle, and what of the outline is on each side.

    The order of the sides is that of `_fit_sides`.
    """
    box = cv2.minAreaRect(outline.astype(np.float32))
    angle, centre = (float(box[2]) + 45.0) % 90.0 - 45.0, np.array(box[0], np.float64)
    places = (outline - centre) @ rotation(angle)
    reach = abs(places).max(axis=0)
    nearest = abs(abs(places) - reach)
    sides = []
    for axis in (0, 1):
        on_axis = (nearest[:, axis] < nearest[:, 1 - axis]) & (
            abs(places[:, 1 - axis]) <= (1 - 2 * CORNER) * reach[1 - axis]
        )
        sides += [outline[on_axis & (sign * places[:, axis] > 0)] for sign in (-1, 1)]
    return angle, centre, sides


def _fit_sides(angle: float, centre: Places, sides: list[Places]) -> tuple[float, Places, Places]:
    """Return angle in degrees, centre and lengths (along x and y) of the rectangle of four sides.

    A line is fitted to each side, so that a wave of an edge hardly counts.

    Args:
        angle: a first guess.
        centre: a first guess.
        sides: places on the left, right, upper and lower side.
    """
    if min(len(side) for side in sides) < 3:
        raise PartNotFoundError("part not found: the largest area has no four sides")
    lengths = np.zeros(2)
    for _ in range(3):
        slopes, weights, ends = [], [], np.zeros((2, 2))
        for number, side in enumerate(sides):
            axis, end = divmod(number, 2)
            places = (side - centre) @ rotation(angle)
            slope, ends[end, axis] = _line(places[:, 1 - axis], places[:, axis])
            slopes.append(slope if axis == 1 else -slope)
            # A longer side says more of the angle: its variance falls with the third power.
            weights.append(float(np.ptp(places[:, 1 - axis])) ** 3)
        centre = ends.mean(axis=0) @ rotation(angle).T + centre
        lengths = ends[1] - ends[0]
        angle += math.degrees(math.atan(np.average(slopes, weights=weights)))
    return angle, centre, lengths


def _line(along: Places, across: Places) -> tuple[float, float]:
    """Return slope and offset (at 0 along) of a line through most places, outliers left out."""
    chosen = np.ones(len(along), bool)
    slope = offset = 0.0
    for _ in range(4):
        slope, offset = np.polyfit(along[chosen], across[chosen], 1)
        away = abs(across - slope * along - offset)
        chosen = away <= 2.5 * max(1.4826 * float(np.median(away)), 0.5)
    return float(slope), float(offset)


def _outermost_edges(
    pixels: NDArray[np.float32], angle: float, centre: Places, lengths: Places, sign: int
) -> list[Places]:
    """Return places on each side of the part, to which a shadow or seam inside it is no matter.

    Profiles run across each side of a rough rectangle from outside to inside. In each the edge is
    the outermost rise that is half as steep as the steepest.

    Args:
        pixels: reduced image.
        angle: of the rough rectangle.
        centre: of it.
        lengths: of its sides.
        sign: 1 for a bright part, -1 for a dark one.
    """
    reach = int(max(3 * STEP, BAND * float(lengths.min())))
    steps = np.arange(-reach, reach + 1, dtype=np.float64)  # from outside to inside
    sides = []
    for axis in (0, 1):
        half = (0.5 - CORNER) * lengths[1 - axis]
        along = np.arange(-half, half + 1)
        for outward in (-1.0, 1.0):
            grid = np.empty((len(along), len(steps), 2))
            grid[..., axis] = outward * (lengths[axis] / 2 - steps)
            grid[..., 1 - axis] = along[:, None]
            places = grid @ rotation(angle).T + centre
            # Where a profile leaves the image, nothing rises.
            seen = cv2.remap(
                pixels,
                places.astype(np.float32),
                None,
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
            rise = sign * cv2.filter2D(cv2.blur(seen, (1, 2 * STEP + 1)), -1, RISE[None])
            rise[:, :STEP] = rise[:, -STEP:] = 0.0
            steep = rise >= 0.5 * rise.max(axis=1, keepdims=True)
            first = steep.argmax(axis=1)
            ends = ~steep & (np.arange(len(steps)) > first[:, None])
            within = (
                np.arange(len(steps))
                < np.where(ends.any(axis=1), ends.argmax(axis=1), len(steps))[:, None]
            )
            edge = np.where(within, rise, -np.inf).argmax(axis=1)
            sides.append(places[np.arange(len(along)), edge])
    return sides
