"""How large the regions of each class are, from a sample of the masks, as small histograms."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.dataset import DefectDataset
from flawsmith.data.thumbnails import read_defects
from flawsmith.errors import FlawsmithError

SAMPLED_MASKS = 1200
"""Masks that are read for the histograms of all classes together."""

LEAST_MASKS = 10
"""Masks that every class may have read, however many classes there are."""

BINS_PER_DECADE = 4


@dataclass(frozen=True)
class Bar:
    """A bar of a histogram: place, width and height in percent of the drawing, and its words."""

    x: float
    width: float
    height: float
    words: str


@dataclass(frozen=True)
class SizeHistograms:
    """Histograms of region areas on one logarithmic axis.

    Attributes:
        bars: by class name; classes without a measured region are absent.
        decades: the axis goes from 1 to ten to this power, in pixels.
        masks: how many were read.
        complete: all masks in use were read.
    """

    bars: dict[str, list[Bar]]
    decades: int
    masks: int
    complete: bool


def size_histograms(dataset: DefectDataset) -> SizeHistograms | None:
    """Return histograms of the areas of regions, or None if there is no region to measure."""
    schema = dataset.schema
    used = [record for record in dataset.usable() if record.mask_file_name]
    share = max(LEAST_MASKS, SAMPLED_MASKS // max(schema.num_defects, 1))
    rng = random.Random(0)
    chosen = set()
    for name in schema.defect_names:
        showing = [place for place, record in enumerate(used) if name in record.labels]
        chosen.update(rng.sample(showing, min(share, len(showing))))
    areas: dict[str, list[NDArray[np.int64]]] = {}
    for place in sorted(chosen):
        record = used[place]
        try:
            defects = read_defects(dataset, record, (record.height, record.width))
        except (FlawsmithError, OSError, ValueError):
            continue
        if defects is None:
            continue
        for defect in schema.defects:
            inside = defects == defect.id
            if inside.any():
                areas.setdefault(defect.name, []).append(_areas(inside))
    if not areas:
        return None
    joined = {name: np.concatenate(found) for name, found in areas.items()}
    decades = max(1, max(len(str(int(found.max()))) for found in joined.values()))
    return SizeHistograms(_bars(joined, decades), decades, len(chosen), len(chosen) == len(used))


def _areas(inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    _, _, stats, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8), connectivity=8)
    found: NDArray[np.int64] = stats[1:, cv2.CC_STAT_AREA].astype(np.int64)
    return found


def _bars(areas: Mapping[str, NDArray[np.int64]], decades: int) -> dict[str, list[Bar]]:
    edges = 10 ** np.linspace(0, decades, BINS_PER_DECADE * decades + 1)
    width = 100 / (len(edges) - 1)
    drawn = {}
    for name, found in areas.items():
        counts: Sequence[int] = np.histogram(found, edges)[0].tolist()
        drawn[name] = [
            Bar(
                x=round(place * width, 3),
                width=round(0.86 * width, 3),
                height=round(100 * count / max(counts), 2),
                words=f"{count:,} of {low:,.0f} to {high:,.0f} px",
            )
            for place, (count, low, high) in enumerate(
                zip(counts, edges[:-1], edges[1:], strict=True)
            )
            if count
        ]
    return drawn
