"""What one pass over the images gathers."""

from collections import Counter
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.check_report import SMALL_REGION_PX, Finding, Kind, SmallestRegion
from flawsmith.data.images import LabelArray

Areas = NDArray[np.int64]


@dataclass
class Regions:
    """Regions of one class, gathered over the images in use: one array an image."""

    areas: list[Areas] = field(default_factory=list)
    small: list[NDArray[np.bool_]] = field(default_factory=list)
    smallest: SmallestRegion | None = None

    def add(self, file: str, inside: LabelArray) -> None:
        """Add the 8-connected components of an H x W mask of 0 and 1."""
        _, _, stats, centres = cv2.connectedComponentsWithStats(inside, connectivity=8)
        areas = stats[1:, cv2.CC_STAT_AREA].astype(np.int64)
        sides = stats[1:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]
        self.areas.append(areas)
        self.small.append(sides.max(axis=1) < SMALL_REGION_PX)
        least = int(areas.argmin())
        if self.smallest is None or areas[least] < self.smallest.area_px:
            x, y = (round(float(value), 1) for value in centres[1 + least])
            self.smallest = SmallestRegion(file=file, area_px=int(areas[least]), x=x, y=y)


@dataclass
class Tally:
    """What one pass over the images gathers; its size does not depend on the pixels."""

    regions: dict[int, Regions]
    findings: list[Finding] = field(default_factory=list)
    sizes: Counter[str] = field(default_factory=Counter)
    pixel_types: Counter[str] = field(default_factory=Counter)

    def report(self, kind: Kind, file: str, message: str) -> None:
        """Keep a finding."""
        self.findings.append(Finding(kind=kind, file=file, message=message))
