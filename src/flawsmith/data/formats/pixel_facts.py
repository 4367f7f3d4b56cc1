"""What the pixels of the imported images say about the schema: channels, depth, white level."""

import statistics
from typing import Any

import numpy as np

from flawsmith.config import StrictModel
from flawsmith.data.images import ImageArray
from flawsmith.data.schema import Schema
from flawsmith.errors import FlawsmithError


class PixelFacts(StrictModel):
    """Of one image: whether it has 16 bits and colours; its highest value if it has 16 bits."""

    deep: bool
    colour: bool
    highest: int = 0

    @classmethod
    def of(cls, pixels: ImageArray) -> "PixelFacts":
        """Return the facts of an image, H x W or H x W x 3."""
        deep = pixels.dtype == np.uint16
        highest = int(pixels.max()) if deep else 0
        return cls(deep=deep, colour=pixels.ndim == 3, highest=highest)


class PixelTally:
    """The facts of all images."""

    def __init__(self) -> None:
        self._facts: dict[str, PixelFacts] = {}

    def add(self, file: str, facts: PixelFacts) -> None:
        """Count an image."""
        self._facts[file] = facts

    def minority(self) -> set[str]:
        """Return the 8-bit images among 16-bit ones, or the reverse."""
        mostly = self._mostly_deep()
        return {file for file, facts in self._facts.items() if facts.deep != mostly}

    def complete(self, schema: Schema, white_level: int | None, notes: list[str]) -> Schema:
        """Return the schema with channels, bit depth and white level.

        Args:
            schema: without them.
            white_level: pixel value of full scale; a guess, noted, if not given for 16 bits.
            notes: sentences for the user are added.

        Raises:
            FlawsmithError: if the white level does not suit the images.
        """
        deep = self._mostly_deep()
        largest = 65535 if deep else 255
        if white_level is not None and not 0 < white_level <= largest:
            raise FlawsmithError(
                f"--white-level {white_level}: these are {16 if deep else 8}-bit images; "
                f"expected 1 to {largest}"
            )
        if deep and white_level is None:
            brightest = [facts.highest for facts in self._facts.values() if facts.deep]
            white_level = 4095 if max(brightest) <= 4095 else 65535
            notes.append(
                f"16-bit files with values up to {max(brightest)} (median of the brightest "
                f"{statistics.median(brightest):.0f}): white level {white_level}. "
                "Give the camera's with --white-level if it is another."
            )
        white = white_level or 255
        depth = min(16, max(9, white.bit_length())) if deep else 8
        colour = any(facts.colour for facts in self._facts.values())
        values: dict[str, Any] = {"bit_depth": depth, "white_level": white}
        return schema.model_copy(update={**values, "channels": 3 if colour else 1})

    def _mostly_deep(self) -> bool:
        return sum(facts.deep for facts in self._facts.values()) * 2 > len(self._facts)
