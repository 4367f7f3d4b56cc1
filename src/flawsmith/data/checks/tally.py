"""What one pass over the images gathers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.check_report import SMALL_REGION_PX, Box, Finding, Kind, SmallestRegion
from flawsmith.data.checks.alignment import Support
from flawsmith.data.checks.crumbs import TINY_PX
from flawsmith.data.checks.quality import Quality
from flawsmith.data.images import LabelArray

Areas = NDArray[np.int64]


@dataclass
class Regions:
    """Regions of one class, gathered over the images in use: one array an image."""

    areas: list[Areas] = field(default_factory=list)
    small: list[NDArray[np.bool_]] = field(default_factory=list)
    smallest: SmallestRegion | None = None

    def add(self, file: str, inside: LabelArray) -> list[tuple[int, Box]]:
        """Add the 8-connected components of an H x W mask of 0 and 1; return the tiny ones."""
        _, _, stats, centres = cv2.connectedComponentsWithStats(inside, connectivity=8)
        areas = stats[1:, cv2.CC_STAT_AREA].astype(np.int64)
        sides = stats[1:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]
        self.areas.append(areas)
        self.small.append(sides.max(axis=1) < SMALL_REGION_PX)
        least = int(areas.argmin())
        if self.smallest is None or areas[least] < self.smallest.area_px:
            x, y = (round(float(value), 1) for value in centres[1 + least])
            self.smallest = SmallestRegion(file=file, area_px=int(areas[least]), x=x, y=y)
        tiny = []
        for x0, y0, width, height, area in stats[1:][areas <= TINY_PX].tolist():
            tiny.append((area, (x0, y0, x0 + width, y0 + height)))
        return tiny


@dataclass
class Tally:
    """What one pass over the images gathers; its size does not depend on the pixels.

    Attributes:
        crumbs: (class, area, box) of tiny regions, by file.
        compared: see `CheckReport`.
    """

    regions: dict[int, Regions]
    findings: list[Finding] = field(default_factory=list)
    sizes: Counter[str] = field(default_factory=Counter)
    pixel_types: Counter[str] = field(default_factory=Counter)
    crumbs: dict[str, list[tuple[str, int, Box]]] = field(default_factory=dict)
    supports: list[Support] = field(default_factory=list)
    qualities: list[Quality] = field(default_factory=list)
    compared: bool = True

    def report(self, kind: Kind, file: str, message: str, others: Sequence[str] = ()) -> None:
        """Keep a finding."""
        self.findings.append(Finding(kind=kind, file=file, message=message, others=list(others)))
