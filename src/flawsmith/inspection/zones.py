"""Named zones and do-not-inspect masks that lie on the part and move with it."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, Protocol, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from flawsmith.config import StrictModel, load_toml, validate
from flawsmith.data.images import ImageArray, read_image
from flawsmith.data.schema import PixelSize
from flawsmith.errors import FlawsmithError
from flawsmith.inspection.findings import Findings
from flawsmith.inspection.part_edges import EdgeLocator, EdgeSettings
from flawsmith.inspection.part_location import (
    SQUARE,
    Locator,
    PartLocation,
    PartNotFoundError,
    Places,
    Unit,
)
from flawsmith.inspection.part_template import TemplateLocator, TemplateSettings
from flawsmith.inspection.regions import Region

MAX_BYTES = 1 << 20
"""A layout is written by a person; a larger file is something else."""

Coordinate = Annotated[float, Field(ge=-1e6, le=1e6)]
Mask = NDArray[np.uint8]


class PartZone(StrictModel):
    """A polygon in part coordinates. Where its sides cross, what lies within twice is outside.

    Attributes:
        name: several polygons may share one and are one zone then.
        polygon: x, y of its corners in order.
    """

    name: str = Field(min_length=1, max_length=80)
    polygon: list[tuple[Coordinate, Coordinate]] = Field(min_length=3, max_length=200)


class PartLayout(StrictModel):
    """The file that says how a part is found and what lies where on it.

    Attributes:
        unit: of all coordinates; mm need a calibration.
        locate: how the part is found.
        zones: named places.
        masks: places that are not inspected.
    """

    format_version: Literal[1] = 1
    unit: Unit
    locate: Annotated[EdgeSettings | TemplateSettings, Field(discriminator="method")]
    zones: list[PartZone] = []
    masks: list[PartZone] = []

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a layout.

        Raises:
            FlawsmithError: if it is missing, too large, no TOML, or a key or value is wrong.
        """
        try:
            size = path.stat().st_size
        except OSError as error:
            raise FlawsmithError(
                f"cannot read the part layout {path}: {error.strerror or error}"
            ) from None
        if not path.is_file() or size > MAX_BYTES:
            raise FlawsmithError(
                f"{path} is no part layout ({size} bytes); expected a TOML file of at most "
                f"{MAX_BYTES}"
            )
        return validate(cls, load_toml(path), source=str(path))


class PartZones:
    """Finds the part in an image and says of each region where on the part it lies.

    Attributes:
        identity: SHA-256 of the layout's content and of the template's pixels.
    """

    def __init__(
        self, layout: PartLayout, locator: Locator, template: ImageArray | None = None
    ) -> None:
        """Use a layout with a locator in its unit, made of the template if it has one."""
        self.layout = layout
        self.locator = locator
        digest = hashlib.sha256(layout.model_dump_json().encode())
        if template is not None:
            digest.update(f"{template.dtype} {template.shape}".encode() + template.tobytes())
        self.identity = digest.hexdigest()

    @classmethod
    def load(cls, path: Path, pixel_size: PixelSize | None) -> Self:
        """Read a layout and, beside it, its template.

        Args:
            path: of the TOML file.
            pixel_size: in mm; None without a calibration.

        Raises:
            FlawsmithError: if anything of it is wrong, or it is in mm without a calibration.
        """
        layout = PartLayout.load(path)
        if layout.unit == "mm" and pixel_size is None:
            raise FlawsmithError(
                f"{path} is in mm, but the model has no calibration; calibrate it, or give all "
                'coordinates in pixels and unit = "px"'
            )
        size = pixel_size if layout.unit == "mm" and pixel_size is not None else SQUARE
        if isinstance(layout.locate, EdgeSettings):
            return cls(layout, EdgeLocator(layout.locate, size, layout.unit))
        name = layout.locate.image
        if Path(name).name != name or name in ("", ".", ".."):
            raise FlawsmithError(
                f"{path}: 'locate.image' = {name!r} is no name of a file beside the layout"
            )
        template = read_image(path.parent / name)
        return cls(layout, TemplateLocator(layout.locate, template, size, layout.unit), template)

    def place(self, image: ImageArray, regions: Sequence[Region]) -> list[Region]:
        """Return the regions with their places on the part.

        Raises:
            PartNotFoundError: if the part was not found; then no place is known.
        """
        return place_regions(regions, self.layout, self.locator.locate(image))


class FindsRegions(Protocol):
    """What finds regions in an image, such as `Runtime`."""

    def inspect(self, image: ImageArray) -> Findings:
        """Return what is in the image."""
        ...


class ZonedModel:
    """A model whose regions say where on the part they lie.

    Where the part is not found, the findings say so in a warning, with regions or without: nobody
    knows what the image shows then, and acceptance rules make REVIEW of every warning.
    """

    def __init__(self, model: FindsRegions, zones: PartZones) -> None:
        """Put zones behind a model."""
        self.model = model
        self.zones = zones

    def inspect(self, image: ImageArray) -> Findings:
        """Return the model's findings with zones, or with the warning that there are none."""
        findings = self.model.inspect(image)
        began = time.monotonic()
        regions, warnings = findings.regions, findings.warnings
        try:
            regions = self.zones.place(image, regions)
        except PartNotFoundError as error:
            warnings = [*warnings, str(error)]
        seconds = {**findings.seconds, "location": time.monotonic() - began}
        return replace(findings, regions=regions, warnings=warnings, seconds=seconds)


def with_zones(
    model: FindsRegions, identity: str, path: Path | None, pixel_size: PixelSize | None
) -> tuple[FindsRegions, str]:
    """Return a model that places its regions, and the identity of model and layout together.

    Args:
        model: finds regions.
        identity: of the model.
        path: of the layout; without one, model and identity stay as they are.
        pixel_size: in mm; None without a calibration.

    Raises:
        FlawsmithError: as `PartZones.load`.
    """
    if path is None:
        return model, identity
    zones = PartZones.load(path, pixel_size)
    both = hashlib.sha256(f"{identity} {zones.identity}".encode()).hexdigest()
    return ZonedModel(model, zones), both


def place_regions(
    regions: Sequence[Region], layout: PartLayout, location: PartLocation
) -> list[Region]:
    """Return the regions with position, zones and masked share of a located part.

    Shares are of the region's outline, filled and grown by one pixel, as an outline is known to
    within half a pixel: 1 means wholly inside with a pixel to spare, 0 that nothing is near.
    """
    zones: dict[str, list[Places]] = {}
    for zone in layout.zones:
        zones.setdefault(zone.name, []).append(location.to_image(np.array(zone.polygon)))
    masks = [location.to_image(np.array(mask.polygon)) for mask in layout.masks]
    placed = []
    for region in regions:
        centroid = np.array(region.centroid)
        x, y = location.to_part(centroid[None])[0].tolist()
        shape, corner = _grown(region)
        shares = {name: _share(shape, corner, polygons) for name, polygons in zones.items()}
        holding = [n for n, p in zones.items() if _share(np.ones((1, 1), np.uint8), centroid, p)]
        changes = {
            "part_position": (x, y),
            "part_unit": location.unit,
            "zone": holding[0] if holding else None,
            "zone_shares": {name: share for name, share in shares.items() if share > 0},
            "masked_share": _share(shape, corner, masks),
        }
        placed.append(region.model_copy(update=changes))
    return placed


def _grown(region: Region) -> tuple[Mask, Places]:
    """Return a region's pixels, one more on each side, and x, y of the first pixel."""
    x, y, width, height = region.box
    corner = np.array([x - 1, y - 1])
    if not region.polygon:  # a file of an older version has the box alone
        return np.ones((height + 2, width + 2), np.uint8), corner.astype(np.float64)
    shape = np.zeros((height + 2, width + 2), np.uint8)
    cv2.fillPoly(shape, [(np.array(region.polygon) - corner).astype(np.int32)], 1)
    return cv2.dilate(shape, np.ones((3, 3), np.uint8)), corner.astype(np.float64)


def _share(shape: Mask, corner: Places, polygons: Sequence[Places]) -> float:
    """Return which share of some pixels has its middle in any of the polygons.

    Args:
        shape: H x W, 1 for those that count; not empty.
        corner: x, y of the first pixel.
        polygons: in the image.
    """
    height, width = shape.shape
    covered = np.zeros_like(shape)
    for polygon in polygons:
        relative = polygon - corner
        low, high = relative.min(axis=0), relative.max(axis=0)
        if (high >= 0).all() and (low <= (width - 1, height - 1)).all():
            covered |= _covered(relative, width, height)
    return float(np.count_nonzero(covered & shape) / np.count_nonzero(shape))


def _covered(polygon: Places, width: int, height: int) -> Mask:
    """Return which pixels of a grid have their middle in a polygon, by the even-odd rule."""
    crossings = np.zeros((height, width + 1), np.uint8)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        (top, at_top), (bottom, at_bottom) = sorted([(y0, x0), (y1, x1)])
        first, last = max(int(np.ceil(top)), 0), min(int(np.ceil(bottom)), height)
        rows = np.arange(first, last)
        x = at_top + (rows - top) * ((at_bottom - at_top) / (bottom - top))
        columns = np.clip(np.ceil(x), 0, width).astype(np.intp)
        crossings[rows, columns] ^= 1
    covered: Mask = np.bitwise_xor.accumulate(crossings[:, :width], axis=1)
    return covered
