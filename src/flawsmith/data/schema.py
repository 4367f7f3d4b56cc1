"""The schema of a defect data set: what its labels, colours and pixels mean."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from flawsmith.config import StrictModel, load_toml, to_toml, validate
from flawsmith.errors import FlawsmithError
from flawsmith.storage import write_text

IGNORE = 255
"""Label index of pixels that neither train nor count."""

SCHEMA_FILE = "dataset.toml"

# Okabe and Ito's palette (2008): told apart with colour-blind eyes and on grey images.
DEFECT_COLOURS = (
    "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#d55e00", "#cc79a7", "#0072b2", "#999933",
)  # fmt: skip
BACKGROUND_COLOURS = ("#202020", "#606060", "#a0a0a0", "#d0d0d0")

Colour = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]
Name = Annotated[str, Field(min_length=1, max_length=80)]


class Background(StrictModel):
    """A kind of surface, such as the body of a pouch cell. Ids count from 0."""

    id: int = Field(ge=0, le=253)
    name: Name
    aliases: list[str] = []
    colour: Colour


class Defect(StrictModel):
    """A type of defect. Ids count from 1; 0 in a mask means no defect."""

    id: int = Field(ge=1, le=254)
    name: Name
    aliases: list[str] = []
    colour: Colour


class PixelSize(StrictModel):
    """Millimetres per pixel; x and y differ on a line scan (optics and encoder)."""

    x: float = Field(gt=0)
    y: float = Field(gt=0)


class Schema(StrictModel):
    """Backgrounds and defects with ids, names and colours, and what a pixel value means.

    Attributes:
        simulated: the images are procedural; every report says so.
        pixel_size_mm: absent without a calibration; sizes are then in pixels only.
        black_level: pixel value that means no light, mapped to 0 (-1 in training).
        white_level: pixel value that means full scale, mapped to 1.
    """

    format_version: int = 1
    name: Name
    simulated: bool = False
    channels: int = Field(default=1, ge=1, le=3)
    bit_depth: int = Field(default=8, ge=8, le=16)
    black_level: int = Field(default=0, ge=0)
    white_level: int = Field(default=255, gt=0)
    pixel_size_mm: PixelSize | None = None
    backgrounds: list[Background] = Field(min_length=1)
    defects: list[Defect] = []

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.channels == 2:
            raise ValueError("channels must be 1 (grey) or 3 (RGB)")
        if [b.id for b in self.backgrounds] != list(range(len(self.backgrounds))):
            raise ValueError("background ids must count 0, 1, 2, ...")
        if [d.id for d in self.defects] != list(range(1, len(self.defects) + 1)):
            raise ValueError("defect ids must count 1, 2, 3, ...")
        names = [b.name.casefold() for b in self.backgrounds]
        names += [d.name.casefold() for d in self.defects]
        if len(set(names)) != len(names):
            raise ValueError("two backgrounds or defects have the same name")
        if self.black_level >= self.white_level:
            raise ValueError("black_level must be below white_level")
        return self

    @property
    def defect_names(self) -> list[str]:
        """Names of the defects in the order of their ids."""
        return [defect.name for defect in self.defects]

    @property
    def num_defects(self) -> int:
        """Number of defect classes."""
        return len(self.defects)

    @property
    def num_backgrounds(self) -> int:
        """Number of backgrounds."""
        return len(self.backgrounds)

    def defect(self, name: str) -> Defect:
        """Return the defect with this name or alias, whatever its case.

        Raises:
            FlawsmithError: if there is none; the message lists the known names.
        """
        for defect in self.defects:
            if name.casefold() in {n.casefold() for n in (defect.name, *defect.aliases)}:
                return defect
        raise FlawsmithError(
            f"'{name}' is no defect of {self.name} (known: {', '.join(self.defect_names)})"
        )

    def palette(self) -> list[int]:
        """Return 768 palette values for an index mask: black, defects, white for ignore."""
        colours = [0] * 768
        for defect in self.defects:
            colours[3 * defect.id : 3 * defect.id + 3] = rgb(defect.colour)
        colours[3 * IGNORE :] = [255, 255, 255]
        return colours

    def save(self, folder: Path) -> None:
        """Write ``dataset.toml`` into ``folder``."""
        write_text(folder / SCHEMA_FILE, to_toml(self))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read ``dataset.toml`` of ``folder``."""
        path = folder / SCHEMA_FILE
        if not path.is_file():
            raise FlawsmithError(
                f"{folder} is no defect data set (it has no {SCHEMA_FILE}); "
                "make one with: flawsmith data import FOLDER OUT"
            )
        return validate(cls, load_toml(path), source=str(path))


def rgb(colour: str) -> tuple[int, int, int]:
    """Return the three 8-bit values of ``#rrggbb``."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def make_defects(names: list[str]) -> list[Defect]:
    """Return defects 1, 2, ... with these names and the default colours."""
    return [
        Defect(id=i, name=name, colour=DEFECT_COLOURS[(i - 1) % len(DEFECT_COLOURS)])
        for i, name in enumerate(names, start=1)
    ]


def make_backgrounds(names: list[str]) -> list[Background]:
    """Return backgrounds 0, 1, ... with these names and the default colours."""
    return [
        Background(id=i, name=name, colour=BACKGROUND_COLOURS[i % len(BACKGROUND_COLOURS)])
        for i, name in enumerate(names)
    ]
