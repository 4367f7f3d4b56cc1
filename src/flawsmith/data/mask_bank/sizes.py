"""Steering of the size of drawn defects."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
