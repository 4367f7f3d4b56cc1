"""Steering of the size of drawn defects."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flawsmith.data.schema import Schema
from flawsmith.errors import FlawsmithError

SCALE_LIMITS = (0.5, 2.0)
"""Beyond this a scaled mask no longer looks like a defect of its class."""


@dataclass(frozen=True)
class SizeRange:
    """Wanted diameters of discs with the area of the defects, in pixels, least and most."""

    low: float
    high: float

    def reachable(self, diameters: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which masks of these diameters can be scaled into the range."""
        least, most = SCALE_LIMITS
        reach: NDArray[np.bool_] = (diameters * least <= self.high) & (diameters * most >= self.low)
        return reach

    def draw_scale(self, diameter: float, rng: np.random.Generator) -> float:
        """Return a factor that brings a reachable diameter to a random one in the range."""
        low = max(self.low / diameter, SCALE_LIMITS[0])
        high = min(self.high / diameter, SCALE_LIMITS[1])
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    def out_of_reach(self, name: str, diameters: NDArray[np.float64]) -> FlawsmithError:
        """Return the error for a class of which no mask can be scaled into the range."""
        least, most = SCALE_LIMITS
        return FlawsmithError(
            f"no real '{name}' can be made {self.low:g} to {self.high:g} px large: they are "
            f"{diameters.min():.1f} to {diameters.max():.1f} px, and are scaled by {least:g} to "
            f"{most:g}; ask for sizes between {least * diameters.min():.1f} and "
            f"{most * diameters.max():.1f} px"
        )


def parse_sizes(pixels: str | None, millimetres: str | None, schema: Schema) -> SizeRange | None:
    """Return the range that a user gave as ``10..40``, in pixels; None if none was given.

    Args:
        pixels: range in pixels.
        millimetres: range in millimetres, instead.
        schema: has the size of a pixel; where x and y differ, a disc of the same area counts.

    Raises:
        FlawsmithError: if both are given, one is no range, or the pixel size is not known.
    """
    if pixels is not None and millimetres is not None:
        raise FlawsmithError("--size-px and --size-mm say the same; give one of them")
    if pixels is not None:
        return SizeRange(*_bounds("--size-px", pixels))
    if millimetres is None:
        return None
    low, high = _bounds("--size-mm", millimetres)
    size = schema.pixel_size_mm
    if size is None:
        raise FlawsmithError(
            "--size-mm needs pixel_size_mm in dataset.toml, which this data set has not; give "
            "--size-px"
        )
    side = float(np.sqrt(size.x * size.y))
    return SizeRange(low / side, high / side)


def _bounds(option: str, text: str) -> tuple[float, float]:
    first, separator, last = text.partition("..")
    try:
        low, high = float(first), float(last if separator else first)
    except ValueError:
        low = high = -1.0
    if not 0.0 < low <= high < float("inf"):
        raise FlawsmithError(f"{option} {text}: expected a range above 0, such as 10..40")
    return low, high
