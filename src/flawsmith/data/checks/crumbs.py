"""Regions of a few pixels, likely left behind by a brush or an eraser."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from flawsmith.data.check_report import Box, Finding
from flawsmith.errors import listed

TINY_PX = 4
"""Area up to which a region is listed, in pixels."""

_TYPICAL = 8 * TINY_PX


def tiny_regions(
    crumbs: Mapping[str, list[tuple[str, int, Box]]], areas: Mapping[str, NDArray[np.int64]]
) -> list[Finding]:
    """Return one finding an image with tiny regions of classes whose regions usually are larger.

    Args:
        crumbs: (class, area, box) of the regions of at most `TINY_PX` pixels, by file.
        areas: of all regions of each class.
    """
    larger = {name for name, sizes in areas.items() if np.median(sizes) >= _TYPICAL}
    findings = []
    for file, regions in crumbs.items():
        tiny = sorted((r for r in regions if r[0] in larger), key=lambda region: region[1:])
        if not tiny:
            continue
        counts = Counter(name for name, _, _ in tiny)
        classes = ", ".join(f"{count} of {name}" for name, count in counts.items())
        places = [f"{area} px at x={box[0]}, y={box[1]}" for _, area, box in tiny]
        findings.append(
            Finding(
                kind="tiny_regions",
                file=file,
                message=f"regions of at most {TINY_PX} px: {classes} ({listed(places)}); "
                "defects, or slips of the brush?",
                box=tiny[0][2],
            )
        )
    return findings
