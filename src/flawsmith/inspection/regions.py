"""Regions of an index map: type, score, position and size; the same code offline and inline."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.config import StrictModel
from flawsmith.data.images import LabelArray
from flawsmith.data.schema import PixelSize, Schema
from flawsmith.errors import FlawsmithError

CORNERS = np.array([(-0.5, -0.5), (-0.5, 0.5), (0.5, -0.5), (0.5, 0.5)], np.float32)


class Region(StrictModel):
    """One 8-connected region of one defect class.

    Length and width are the sides of the smallest rectangle, at any angle, around the region's
    pixels taken as squares: a single pixel is 1 x 1. A bent crack is longer than its length.

    Attributes:
        score: highest score of the class in the region, 0 to 1.
        box: x, y, width, height in whole pixels, as in COCO.
        centroid: x, y in pixels; (0, 0) is the middle of the first pixel.
        diameter_px: of the circle with the same area.
        area_mm2: this and every mm figure is None without a calibration.
    """

    class_id: int
    class_name: str
    score: float
    box: tuple[int, int, int, int]
    centroid: tuple[float, float]
    area_px: int
    length_px: float
    width_px: float
    diameter_px: float
    area_mm2: float | None = None
    length_mm: float | None = None
    width_mm: float | None = None
    diameter_mm: float | None = None


def label_components(
    indices: LabelArray, num_defects: int
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Return the 8-connected components of every defect class.

    Returns:
        H x W component numbers, 0 where there is no defect (or ignore), and the class of each
        number, class 0 for number 0. Numbers rise with the class.
    """
    components = np.zeros(indices.shape, np.int32)
    classes = [0]
    histogram = cv2.calcHist([np.ascontiguousarray(indices)], [0], None, [256], [0, 256])
    for class_id in np.flatnonzero(histogram.ravel()[1 : num_defects + 1]) + 1:
        mask = (indices == class_id).astype(np.uint8)
        count, labels = cv2.connectedComponents(mask, connectivity=8, ltype=cv2.CV_32S)
        np.copyto(components, labels + (len(classes) - 1), where=mask.astype(bool))
        classes.extend([int(class_id)] * (count - 1))
    return components, np.array(classes, np.uint8)


def find_regions(
    index_map: LabelArray, scores: NDArray[np.float32], schema: Schema
) -> list[Region]:
    """Return every region of an index map, highest score first; none is too small.

    Args:
        index_map: H x W: 0 = no defect, k = k-th defect; 255 is no defect.
        scores: (1 + defects) x H x W in [0, 1].
        schema: names of the defects and size of a pixel.

    Raises:
        FlawsmithError: if the scores do not fit the index map and the schema.
    """
    expected = (1 + schema.num_defects, *index_map.shape)
    if scores.shape != expected:
        raise FlawsmithError(
            f"scores have the shape {scores.shape}; expected {expected} for {schema.num_defects} "
            "defect classes and this index map: use the model with the data set it was trained on"
        )
    components, classes = label_components(index_map, schema.num_defects)
    rows, columns = np.nonzero(components)
    numbers = components[rows, columns]
    values = scores[classes[numbers], rows, columns]
    order = np.argsort(numbers, kind="stable")
    ends = np.cumsum(np.bincount(numbers, minlength=len(classes)))
    regions = []
    for number in range(1, len(classes)):
        chosen = order[ends[number - 1] : ends[number]]
        points = np.stack([columns[chosen], rows[chosen]], axis=1)
        score = float(values[chosen].max())
        regions.append(_measure(points, score, int(classes[number]), schema))
    return sorted(regions, key=lambda region: -region.score)


def _measure(points: NDArray[np.intp], score: float, class_id: int, schema: Schema) -> Region:
    """Return the region with these N x 2 pixels (x, y)."""
    area = len(points)
    low, high = points.min(axis=0), points.max(axis=0)
    width, height = high - low + 1
    hull = cv2.convexHull(points.astype(np.int32)).reshape(-1, 1, 2)
    corners = (hull + CORNERS).reshape(-1, 2).astype(np.float32)
    size = schema.pixel_size_mm
    long_px, short_px = _sides(corners, PixelSize(x=1.0, y=1.0))
    long_mm, short_mm = _sides(corners, size) if size else (None, None)
    area_mm2 = area * size.x * size.y if size else None
    return Region(
        class_id=class_id,
        class_name=schema.defects[class_id - 1].name,
        score=score,
        box=(int(low[0]), int(low[1]), int(width), int(height)),
        centroid=(float(points[:, 0].mean()), float(points[:, 1].mean())),
        area_px=area,
        length_px=long_px,
        width_px=short_px,
        diameter_px=_diameter(area),
        area_mm2=area_mm2,
        length_mm=long_mm,
        width_mm=short_mm,
        diameter_mm=_diameter(area_mm2) if area_mm2 is not None else None,
    )


def _sides(corners: NDArray[np.float32], size: PixelSize) -> tuple[float, float]:
    """Return the longer and the shorter side of the smallest rectangle around the corners."""
    # Scaled before it is measured: on a line scan a square pixel is a rectangle in mm.
    scaled = corners * np.array([size.x, size.y], np.float32)
    scaled -= scaled.mean(axis=0)
    _, sides, _ = cv2.minAreaRect(scaled)
    return float(max(sides)), float(min(sides))


def _diameter(area: float) -> float:
    return 2.0 * math.sqrt(area / math.pi)
