"""Where a part lies in an image: part coordinates, and what all ways of finding a part share."""

import math
from typing import Literal, Protocol, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from flawsmith.config import StrictModel
from flawsmith.data.images import ImageArray
from flawsmith.data.schema import PixelSize
from flawsmith.errors import FlawsmithError

Places = NDArray[np.float64]
"""N x 2 (x, y)."""

Unit = Literal["mm", "px"]
SQUARE = PixelSize(x=1.0, y=1.0)


class PartNotFoundError(FlawsmithError):
    """The part was looked for and not found; its zones are not known then."""


class PartLocation(StrictModel):
    """A similarity transform between an image and part coordinates.

    Part coordinates have their origin and x axis on the part. Their scale is that of the
    calibration, or one pixel; it is not measured on the part.

    Attributes:
        origin: x, y of the part's origin in the image; (0, 0) is the middle of the first pixel.
        angle: of the part's x axis, in degrees from the image's x axis towards its y axis, which
            points down; measured where both scales are equal (in mm on a line scan).
        unit: of part coordinates.
        pixel_size: of the image, in that unit.
        confidence: 0 to 1; what it counts depends on how the part was found.
    """

    origin: tuple[float, float]
    angle: float
    unit: Unit
    pixel_size: PixelSize
    confidence: float = Field(ge=0.0, le=1.0)

    def to_part(self, places: Places) -> Places:
        """Return part coordinates of places in the image."""
        size = (self.pixel_size.x, self.pixel_size.y)
        turned: Places = (places - self.origin) * size @ rotation(self.angle)
        return turned

    def to_image(self, places: Places) -> Places:
        """Return where places in part coordinates lie in the image: inverse of `to_part`."""
        size = (self.pixel_size.x, self.pixel_size.y)
        found: Places = places @ rotation(self.angle).T / size + self.origin
        return found


class Locator(Protocol):
    """Finds the part in an image."""

    def locate(self, image: ImageArray) -> PartLocation:
        """Return where the part lies.

        Raises:
            PartNotFoundError: if it is not found, or not surely enough.
        """
        ...


def rotation(angle: float) -> Places:
    """Return the matrix whose columns are the turned x and y axes."""
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return np.array([[c, -s], [s, c]])


class SquareImage:
    """A grey image, reduced and with square pixels, and the way back to the pixels of the original.

    Attributes:
        pixels: H x W float32.
        size: of a pixel, in the unit of the original's pixel size.
    """

    def __init__(self, image: ImageArray, pixel_size: PixelSize, size: float) -> None:
        """Reduce an image to pixels of ``size``, which is that of its pixels or more."""
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
        self._given = np.array(grey.shape[::-1], np.float64)
        scales = np.array([pixel_size.x, pixel_size.y]) / size
        width, height = np.maximum(np.rint(self._given * scales), 1).astype(int).tolist()
        reduced = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
        self.pixels = cast(NDArray[np.float32], reduced.astype(np.float32))
        self.size = size
        self._scales = np.array([width, height]) / self._given

    def to_given(self, places: Places) -> Places:
        """Return where places in this image lie in the original."""
        found: Places = (places + 0.5) / self._scales - 0.5
        return found

    def from_given(self, places: Places) -> Places:
        """Return where places in the original lie in this image: inverse of `to_given`."""
        found: Places = (places + 0.5) * self._scales - 0.5
        return found
